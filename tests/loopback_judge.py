"""A judge behind OpenAI's wire format, on this machine: the rule-based stand-in's verdicts, spoilt as often as it is told to."""

from __future__ import annotations

import hashlib
import json
import random
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from loopback import Plan
from running import nova

import nova_bench as nb
from nova_bench.rubrics.green import GREEN
from nova_bench.rubrics.llm_score import ANSWER_SCORE, REPORT_SCORE
from nova_bench.rubrics.nova_description import NOVA_DESCRIPTION
from nova_bench.rubrics.nova_diagnosis import NOVA_DIAGNOSIS
from nova_bench.rule_based_judge import verdict_of
from nova_bench.types import Judge

RUBRICS = {
    judge.rubric.strip(): judge
    for judge in (NOVA_DESCRIPTION, NOVA_DIAGNOSIS, GREEN, ANSWER_SCORE, REPORT_SCORE)
}
"""Every rubric of the project by its text: a judge behind HTTP knows what it is asked by nothing else."""

FAULTS = {"429": 0.08, "500": 0.08, "reset": 0.09, "hang": 0.05}
"""Kinds of failure to their shares of the calls: 30 % in all."""


def parts_of(prompt: str) -> tuple[str, ...]:
    """Return the parts of a judge's request as one text, which is how they go over the wire: by the tag that the last one states."""
    tag = re.findall(r"that carry the tag ([0-9a-f]{16})\.", prompt)[-1]
    block = rf"<<<([a-z_]+) {tag}>>>\n.*?\n<<<end \1 {tag}>>>"
    blocks = list(re.finditer(block, prompt, flags=re.DOTALL))
    parts = [prompt[: blocks[0].start()], *(found[0] for found in blocks), prompt[blocks[-1].end() :]]
    return tuple(part.strip("\n") for part in parts)


def request_of(body: Mapping[str, Any]) -> tuple[Judge, nb.Request]:
    """Return which rubric a body asks, and the request as the stand-in reads it; the body is all that is known here."""
    (message,) = body["messages"]  # no system message
    parts = parts_of(message["content"])
    judge = RUBRICS[parts[0]]
    assert body["response_format"]["json_schema"]["schema"]["required"] == judge.schema["required"]
    params = nb.GenParams(json_schema=judge.schema)
    ask = {"kind": "judge", "judge": f"{judge.name}/{judge.version}"}
    return judge, nb.Request("?", "?", 0, parts, params=params, ask=ask)


def true_verdict(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stand-in's verdict on a body."""
    return verdict_of(request_of(body)[1])


def true_answer(body: Mapping[str, Any]) -> str:
    """Return the answer of a judge that nothing disturbs."""
    return json.dumps(true_verdict(body))


def broken_answer(dice: random.Random, verdict: Mapping[str, Any]) -> str:
    """Return an answer that is no verdict, in one of the ways of judges: cut, a key lost, a key more, a bare word, nothing, another shape."""
    whole = json.dumps(verdict)
    key = dice.choice(sorted(verdict))
    return dice.choice(
        [
            whole[: len(whole) // 2],
            json.dumps({name: value for name, value in verdict.items() if name != key}),
            json.dumps({**verdict, "confidence": 0.9}),
            json.dumps({**verdict, key: None}),
            json.dumps([verdict]),
            "The candidate is INCORRECT.",
            "",
        ]
    )


def broken_sometimes(share: float, seed: int = 0) -> Callable[[Mapping[str, Any]], str]:
    """Return what answers a share of the bodies with what is no verdict; which ones is settled by seed and body."""

    def answer(body: Mapping[str, Any]) -> str:
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        dice = random.Random(f"{seed} {digest}")
        verdict = true_verdict(body)
        return broken_answer(dice, verdict) if dice.random() < share else json.dumps(verdict)

    return answer


def calm() -> Plan:
    """Return a judge that always answers."""
    return Plan(answer_of=true_answer)


def rough(seed: int = 0, broken: float = 0.1) -> Plan:
    """Return a judge that fails 30 % of the calls and breaks its schema in a share of those that it answers."""
    return Plan(answer_of=broken_sometimes(broken, seed), faults=FAULTS, seed=seed)


def verdict_lines(run: Path) -> list[dict[str, Any]]:
    """Return the records of the verdict logs of a run."""
    paths = sorted(run.glob("**/judges/*/verdicts.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def verdicts(run: Path) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return a run's verdicts by task, id and the hash of what was asked."""
    return {
        (record["task"], record["id"], record["request"]): record["verdict"]
        for record in verdict_lines(run)
        if "verdict" in record
    }


JUDGE = "openai:tiny-judge"

MODEL = '''
"""Answers by the request's name: of four captions or diagnoses one; counts its calls."""
import json

import nova_bench as nb

CAPTIONS = (
    "Axial FLAIR image with a hyperintense lesion in the left frontal lobe.",
    "Normal sagittal T1-weighted image, no lesion, no edema.",
    "Coronal T2 image: bilateral white matter hyperintensities and hydrocephalus.",
    "Axial DWI with restricted diffusion in the right temporal lobe, a mass with ring enhancement.",
)
DIAGNOSES = ("Glioblastoma", "Cavernous malformation", "Brain abscess", "Meningioma", "Multiple sclerosis")


def answer(request: nb.Request) -> str:
    with open("asked_model.txt", "a") as file:
        file.write(request.id + "\\n")
    nth = sum(request.id.encode())
    if request.ask["kind"] == "diagnose":
        names = [DIAGNOSES[(nth + i) % 5] for i in range(5)]
        return json.dumps({"most_likely_diagnosis": names[0], "other_possible_diagnoses": names[1:]})
    return CAPTIONS[nth % 4]


def load() -> nb.Adapter:
    return nb.each(answer)
'''


def judged(
    home: Path,
    url: str,
    out: str,
    *more: str,
    tasks: tuple[str, ...],
    model: str = MODEL,
    form: tuple[str, ...] = ("--json",),
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the one command: tasks, model, judge; the judge's address is transport."""
    (home / "model.py").write_text(model)
    return nova(
        home, "run", *tasks, "--data", "mini", "--model", "./model.py", "--out", out, *form,
        "--judge", JUDGE, "-J", f"base_url={url}", *more,
        env=env,
    )  # fmt: skip


def reports(run: Path) -> dict[str, bytes]:
    """Return the reports of a run, or of the runs in a folder, by the folder's name."""
    return {path.parent.name: path.read_bytes() for path in run.glob("**/report.json")}


def judged_cells(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the judged cells of a report over all samples, by metric."""
    return {
        made["metric"]: made
        for made in document["cells"]
        if made["slice"] == "all" and "(judge=" in made["metric"]
    }
