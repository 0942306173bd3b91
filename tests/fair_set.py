"""What the fairness tests share: a task of texts with demographics, patients with uneven groups, and models with a planted gap or none."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from running import settings

import nova_bench as nb

TASK = '''
"""Say yes or no: a task of texts whose patients have a race and a sex, for the tests of fairness."""

import dataclasses

import nova_bench as nb
from nova_bench.metrics.classification import coverage, mean_of

SOURCE = nb.Source(
    name="Fair", hub="a/b", revision="main", table="rows.parquet", key="id", images=None,
    required=("id", "patient", "question", "answer", "race", "sex", "ward"), license="x", license_url="x",
)
OTHERS = {"race": ("white", "black"), "sex": ("f", "m")}


def sample(row, variant):
    if row["patient"] is None:
        raise nb.DataError("no patient")
    groups = {"race": row["race"], "sex": row["sex"], "ward": row["ward"], "swapped": None}
    told = variant["demographics"]
    text = {"question": row["question"], "told": f"race={row['race']} sex={row['sex']}" if told != "none" else ""}
    made = nb.Sample(row["id"], (), text, row["answer"], row["patient"], groups)
    if told != "swapped":
        yield made
        return
    for attribute, values in OTHERS.items():
        for value in values:
            if row[attribute] in (None, value):
                continue
            swap = f"{attribute}={value}"
            said = {**text, "told": text["told"].replace(f"{attribute}={row[attribute]}", swap)}
            yield dataclasses.replace(made, id=f"{row['id']}+{swap}", text=said, groups={**groups, "swapped": swap}, base=row["id"])


def prompt(sample, card):
    return nb.Prompt((f"{sample.text['told']} {sample.text['question']}".strip(),))


def parse(response, context):
    if response.finish == "filter":
        return nb.Prediction("refused")
    said = (response.text or "").strip()
    return nb.Prediction("ok", said) if said in ("yes", "no") else nb.Prediction("unparsed")


def row(sample, prediction):
    right = float(prediction.value == sample.target)
    return {
        "right": right,
        "points": 100 * right,
        "wrong": 1 - right,
        "said": float({"yes": 1, "no": 2}.get(prediction.value, 0)),
        "true": float(sample.target == "yes"),
        "answer_hash": float({"yes": 1, "no": 2}.get(prediction.value, 0)),
    }


COLUMNS = ("right", "points", "wrong", "said", "true", "answer_hash")
WORST = {"right": 0.0, "points": 0.0, "wrong": 1.0, "said": 0.0, "true": 0.0, "answer_hash": 0.0}
BEST = {"right": 1.0, "points": 100.0, "wrong": 0.0, "said": 0.0, "true": 0.0, "answer_hash": 0.0}
absent = nb.Scorer("absent", ("judged",), lambda items: iter(()), missing=lambda: "pip install judge")

TASK = nb.Task(
    name="fair_task", version=1, data=SOURCE, sample=sample, prompt=prompt, parse=parse, parser_version=1,
    scorers=(nb.per_sample(row, name="right", columns=COLUMNS, bounds=lambda sample: (WORST, BEST)), absent),
    metrics=(
        mean_of("right", "accuracy"),
        mean_of("points", "points", range=(0.0, 100.0)),
        mean_of("wrong", "error", higher_is_better=False),
        dataclasses.replace(mean_of("right", "drawn"), sums=None),
        mean_of("judged", "judged"),
        coverage("said", "true", "coverage"),
    ),
    headline="accuracy", params=nb.GenParams(max_tokens=9), sends_image=lambda variant: False,
    variants={"demographics": ("none", "stated", "swapped")}, slices=("ward",), demographics=("race", "sex"),
)
'''

Answer = Callable[[nb.Request], "str | nb.Response"]


def make_fair_set(folder: Path, seed: int = 0) -> Path:
    """Write 200 white, 70 black and 12 asian patients and 18 of unknown race, one to three questions each, and the task beside them."""
    dice = random.Random(seed)
    folder.mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    races = ["white"] * 200 + ["black"] * 70 + ["asian"] * 12 + [None] * 18
    for i, race in enumerate(races):
        sex = dice.choice(("f", "m"))
        for question in range(dice.randint(1, 3)):
            rows.append(
                {
                    "id": f"p{i:03d}-q{question}",
                    "patient": f"p{i:03d}",
                    "question": f"Is finding {question} there?",
                    "answer": dice.choice(("yes", "no")),
                    "race": race,
                    "sex": sex,
                    "ward": f"w{question}",
                }
            )
    dice.shuffle(rows)
    pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet")
    (folder / "fair_task.py").write_text(TASK)
    return folder


def rows_of(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of a set by id."""
    return {row["id"]: row for row in pq.read_table(folder / "rows.parquet").to_pylist()}


def answers(folder: Path, chance: Mapping[str | None, float], seed: int = 1) -> Answer:
    """Return a model that knows the answers and gives the right one with a chance that depends on the race; seeded by sample.

    Args:
        folder: The set.
        chance: Race to the chance; None is all others.
        seed: Another seed, another model.
    """
    known = rows_of(folder)

    def answer(request: nb.Request) -> str:
        row = known[request.sample.partition("+")[0]]
        right = random.Random(f"{seed} {row['id']}").random() < chance.get(row["race"], chance[None])
        return row["answer"] if right else {"yes": "no", "no": "yes"}[row["answer"]]

    answer.__name__ = f"model{seed}"
    return answer


def run_fair(home: Path, model: Answer, name: str, variant: str = "", **more: Any) -> nb.Run:
    """Run a model on the set in ``home/set`` into ``home/name``."""
    return nb.evaluate(
        f"{home}/set/fair_task.py{variant}",
        model,
        data=str(home / "set"),
        out=home / name,
        settings=settings(home),
        **more,
    )
