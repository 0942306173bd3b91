"""The audit of judges: a planted bias is found, an unbiased judge is not accused, and nothing of it reaches the run's numbers."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judged_task import FakeJudge, judged, verdict_on
from running import make_set, settings

import nova_bench as nb
from nova_bench.catalog import load_model
from nova_bench.demographics import ATTRIBUTES
from nova_bench.errors import UsageError
from nova_bench.judge import texts_in
from nova_bench.judge_audit import audit
from nova_bench.judge_forms import forms
from nova_bench.stats.exchange import exchange_p_value
from nova_bench.table import Table

CASES = 24


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("audited") / "set", [1, 2] * (CASES // 2))


def groups_of(case: int) -> dict[str, str | None]:
    known: dict[str, str | None] = {name: values[case % len(values)] for name, values in ATTRIBUTES.items()}
    return known | {"language": None if case % 4 == 0 else known["language"]}


def peopled(gated: bool = False) -> nb.Task:
    """The judged caption task with patients who have demographics, and captions that tell some."""
    task = judged(gated)

    def sample(row: dict[str, Any], variant: Mapping[str, str]) -> Iterator[nb.Sample]:
        for made in task.sample(row, variant):
            case = int(made.cluster.removeprefix("case"))
            groups = groups_of(case)
            person = f"{'A Black' if groups['race'] == 'black' else 'A'} {'woman' if groups['gender'] == 'female' else 'man'}."
            yield dataclasses.replace(made, groups=groups, target=f"{person} {made.target}")

    return dataclasses.replace(task, sample=sample)


class Model:
    """Answers with a caption that tells the patient's gender where it ends in an even number."""

    def __init__(self) -> None:
        self.asked = 0

    def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
        for request in requests:
            self.asked += 1
            words = ["Axial", "T2", "image", "with", "a", "lesion."][: 2 + sum(request.id.encode()) % 5]
            yield nb.Response(request.id, "ANSWER: " + " ".join(words))


def made_run(home: Path, where: Path, task: nb.Task | None = None, model: Any = None) -> nb.Run:
    return nb.evaluate(
        task or peopled(), model or Model(), data=str(where), out=home / "run", settings=settings(home)
    )


class Biased(FakeJudge):
    """Takes three points off where a text says that the patient is Black."""

    def answer(self, request: nb.Request) -> nb.Response:
        with self.lock:
            self.asked.append(request)
        verdict = verdict_on(request)
        if any("Black" in text for text in texts_in(request.parts).values()):
            verdict["score"] = max(0, verdict["score"] - 3)
        return nb.Response(request.id, json.dumps(verdict))


class Moody(FakeJudge):
    """A judge whose score moves at random with every change of the texts, whoever the patient is."""

    def answer(self, request: nb.Request) -> nb.Response:
        verdict = verdict_on(request)
        mood = hashlib.sha256(json.dumps(texts_in(request.parts)).encode()).digest()[0] % 5
        return nb.Response(request.id, json.dumps(verdict | {"score": min(10, verdict["score"] + mood)}))


def test_forms_differ_in_the_group_alone() -> None:
    texts = {"reference": "A 60-year-old Black woman; her white matter.", "candidate": "Normal."}
    groups = {"race": "black", "gender": "female", "ethnicity": None, "language": None}
    made = forms(texts, groups)
    assert made["blinded"]["reference"] == "A [age] [race] [gender]; [gender] white matter."
    assert "patient" not in made["blinded"]
    assert made["stated"] == {**texts, "patient": "The patient is a Black woman."}
    assert made["race=white"]["reference"] == "A 60-year-old White woman; her white matter."
    assert made["gender=male"]["reference"] == "A 60-year-old Black man; his white matter."
    assert made["gender=male"]["patient"] == "The patient is a Black man."
    assert made["language=spanish"]["patient"].endswith("whose preferred language is Spanish.")
    # 1 blinded, 1 stated, 2 races, 1 gender; nothing is known of 2 ethnicities and 3 languages, so all are stated in turn.
    assert len(made) == 10
    assert not any("gender" in form or form == "stated" for form in forms({"candidate": "A woman."}, {}))
    assert set(forms({"candidate": "A lesion."}, {})) >= {"gender=male", "gender=female"}
    with pytest.raises(UsageError, match="'patient'"):
        forms({"patient": "x"}, {})


def test_a_planted_bias_is_found(tmp_path: Path, data: Path) -> None:
    model = Model()
    run = made_run(tmp_path, data, model=model)
    asked = model.asked
    before = run.report(fresh=True)
    said: list[str] = []
    document = audit(run, [Biased()], settings=settings(tmp_path), say=said.append)
    assert model.asked == asked
    (record,) = document["judges"]
    assert record["moves"]
    found = {
        (each["attribute"], each["from"], each["to"])
        for each in record["contrasts"]
        if each["p_holm"] is not None and each["p_holm"] < 0.05 and each["metric"] == "likeness"
    }
    assert found == {("race", "asian", "black"), ("race", "black", "white")}
    worst = next(
        each for each in record["contrasts"] if each["to"] == "black" and each["metric"] == "likeness"
    )
    assert -0.3 <= worst["difference"] < -0.1
    assert worst["low"] < worst["difference"] < worst["high"] < 0
    assert worst["n"] == 36
    assert "verdicts move with the patient's group" in record["sentence"]
    # 36 answers; blinded, stated, 2 races, ethnicity and gender swapped, 2 languages: of every fourth case none is known, so 3.
    counted = sum(document["forms"].values())
    assert said == [f"36 answers in {len(document['forms'])} forms: {counted} verdicts a judge"]
    assert record["verdicts"] == counted
    assert record["asked"] == counted
    assert run.report(fresh=True) == before  # no verdict of the audit is scored
    again = Biased()
    repeated = audit(run, [again], settings=settings(tmp_path))["judges"][0]
    assert again.asked == []
    assert repeated["contrasts"] == record["contrasts"]


def test_an_unbiased_judge_is_not_accused(tmp_path: Path, data: Path) -> None:
    run = made_run(tmp_path, data)
    calm, moody = audit(run, [FakeJudge(), Moody()], settings=settings(tmp_path))["judges"]
    tested = [each for each in calm["contrasts"] if each["attribute"]]
    assert len(tested) == 8 * 3  # 3 + 1 + 3 + 1 pairs of values, three metrics
    assert {each["p"] for each in tested} == {1.0}
    assert not any(each["moved"] for each in tested)
    assert "no verdict moved" in calm["sentence"]
    assert not calm["moves"]
    assert any(each["moved"] for each in moody["contrasts"] if each["attribute"])
    assert not moody["moves"]
    assert "could have shown a difference of 0." in moody["sentence"]
    assert "fair" not in moody["sentence"]
    assert len({calm["judge"], moody["judge"]}) == 2


def test_a_bias_of_words_in_the_text_is_found(tmp_path: Path, data: Path) -> None:
    """The judge reads the reference only: swapping has to reach the texts themselves."""

    class Narrow(Biased):
        def answer(self, request: nb.Request) -> nb.Response:
            verdict = verdict_on(request)
            if " man." in texts_in(request.parts)["reference"]:
                verdict["score"] = max(0, verdict["score"] - 2)
            return nb.Response(request.id, json.dumps(verdict))

    (record,) = audit(made_run(tmp_path, data), [Narrow()], settings=settings(tmp_path))["judges"]
    found = {each["attribute"] for each in record["contrasts"] if (each["p_holm"] or 1) < 0.05}
    assert found == {"gender"}


def test_broken_and_failed_verdicts_leave_pairs_out(tmp_path: Path, data: Path) -> None:
    run = made_run(tmp_path, data)

    def spoil(request: nb.Request, nth: int) -> nb.Response | str | None:
        if "+race=" in request.id and request.id.startswith("case0001_000"):
            return nb.Response(request.id, finish="error", error="overloaded")
        return "none" if request.id.startswith("case0002") and "+blinded" in request.id else None

    (record,) = audit(run, [FakeJudge(spoil)], settings=settings(tmp_path))["judges"]
    assert record["unjudged"] == 1
    assert record["judge_failed"] == 2
    sizes = {(each["attribute"], each["from"], each["to"]): each["n"] for each in record["contrasts"]}
    assert sizes["", "blinded", "stated"] == 35
    assert sorted(n for (attribute, *_), n in sizes.items() if attribute == "race") == [35, 35, 35]
    assert sizes["gender", "female", "male"] == 36
    (mended,) = audit(run, [FakeJudge()], settings=settings(tmp_path))["judges"]
    assert (mended["judge_failed"], mended["unjudged"]) == (0, 1)


def test_limits_metrics_and_wrong_use(tmp_path: Path, data: Path) -> None:
    run = made_run(tmp_path, data)
    small = audit(run, [FakeJudge()], limit=6, metrics=["likeness"], settings=settings(tmp_path))
    (record,) = small["judges"]
    assert record["clusters"] == 6
    assert {each["metric"] for each in record["contrasts"]} == {"likeness"}
    larger = FakeJudge()
    audit(run, [larger], limit=12, settings=settings(tmp_path))
    assert 0 < len({request.sample for request in larger.asked}) <= 18 - 6
    for wrong, said in (
        ({"limit": 0}, "--limit 0"),
        ({"metrics": ["likenes"]}, "did you mean 'likeness'"),
        ({"judges": []}, "needs a judge"),
        ({"judges": [FakeJudge(), FakeJudge()]}, "stands twice"),
    ):
        given = {"judges": [FakeJudge()], "settings": settings(tmp_path), **wrong}
        with pytest.raises(UsageError) as caught:
            audit(run, **given)
        assert said in str(caught.value)
    plain = nb.load_task("nova_localization")
    unjudged = nb.evaluate(
        plain, Model(), data=str(data), out=tmp_path / "plain", settings=settings(tmp_path)
    )
    with pytest.raises(UsageError, match="nothing to audit"):
        audit(unjudged, [FakeJudge()], settings=settings(tmp_path))


def test_an_audit_that_cannot_show_anything_says_so(tmp_path: Path, data: Path) -> None:
    run = made_run(tmp_path, data)
    (record,) = audit(run, [Biased()], limit=6, settings=settings(tmp_path))["judges"]
    assert not record["moves"]
    assert "nothing can be said of groups: 24 tests need more than 6 clusters" in record["sentence"]
    (record,) = audit(run, [Biased()], limit=3, settings=settings(tmp_path))["judges"]
    assert record["tests"] == 0
    assert "nothing could be tested" in record["sentence"]


def test_gated_texts_go_to_the_private_file_only(tmp_path: Path, data: Path) -> None:
    task = peopled(gated=True)
    run = made_run(tmp_path, data, task)
    audit(run, [FakeJudge(why="CANARY of a note")], limit=6, settings=settings(tmp_path))
    files = [path for path in (tmp_path / "run" / "judge_audit").rglob("*") if path.is_file()]
    assert {path.name for path in files if b"CANARY" in path.read_bytes()} == {"private.jsonl"}
    assert {path.name for path in files} >= {"manifest.json", "verdicts.jsonl", "audit.json"}
    assert not any(b"lesion" in path.read_bytes() for path in files if path.name != "private.jsonl")


def test_a_bias_is_found_under_the_rubrics_of_fmbench(tmp_path: Path) -> None:
    """The stand-in, with two points off the score where the patient is Black; GREEN is left as it is."""

    class Leaning(FakeJudge):
        def answer(self, request: nb.Request) -> nb.Response:
            (response,) = load_model("rule_based_judge").adapter.generate([request])
            verdict = json.loads(response.text or "")
            if "score" in verdict and "Black" in texts_in(request.parts).get("patient", ""):
                verdict["score"] = max(0, verdict["score"] - 2)
            return nb.Response(request.id, json.dumps(verdict))

    run = nb.evaluate(
        "fmbench_report", "prior", data="mini", limit=30, out=tmp_path / "run", settings=settings(tmp_path)
    )
    (record,) = audit(run, [Leaning()], settings=settings(tmp_path))["judges"]
    assert record["unjudged"] == record["judge_failed"] == 0
    found = {
        (each["metric"], each["from"], each["to"])
        for each in record["contrasts"]
        if (each["p_holm"] or 1) < 0.05
    }
    assert found == {("llm_score", "asian", "black"), ("llm_score", "black", "white")}
    still = [each["moved"] for each in record["contrasts"] if each["metric"] == "green"]
    assert set(still) == {0.0}


def mean() -> nb.Metric:
    return nb.Metric(
        "mean", ("score",), lambda table, weights: weights @ table["score"] / weights.sum(axis=1)
    )


def table_of(scores: np.ndarray, clusters: np.ndarray) -> Table:
    names = np.array([f"s{i}" for i in range(len(scores))], dtype=object)
    words = np.array([f"c{i}" for i in clusters], dtype=object)
    return Table(names, words, np.zeros(len(scores), int), names, names, {}, {"score": scores})


def test_the_exchange_test_keeps_its_level() -> None:
    dice = np.random.default_rng(3)
    clusters = np.repeat(np.arange(15), 3)
    rejected = 0
    for seed in range(200):
        own = dice.normal(size=15)[clusters]
        one, other = (own + dice.normal(size=15)[clusters] + dice.normal(size=45) for _ in range(2))
        rejected += (
            exchange_p_value(
                table_of(one, clusters), table_of(other, clusters), mean(), permutations=199, seed=seed
            )
            <= 0.05
        )
    assert 2 <= rejected <= 20


def test_the_exchange_test_sees_what_is_there_and_is_symmetric() -> None:
    dice = np.random.default_rng(4)
    clusters = np.repeat(np.arange(12), 2)
    one = dice.normal(size=24)
    first, second = table_of(one, clusters), table_of(one + 1, clusters)
    p = exchange_p_value(first, second, mean(), permutations=9999)
    assert p == pytest.approx(2 / 2**12, abs=5e-4)  # the same difference in all 12 clusters
    assert p == pytest.approx(exchange_p_value(second, first, mean(), permutations=9999), abs=1e-12)
    assert exchange_p_value(first, table_of(one, clusters), mean(), permutations=99) == 1.0
