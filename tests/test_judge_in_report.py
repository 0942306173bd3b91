"""What a report and a signature say of a judge beside its scores: verdicts that are missing, parameters dropped, what moves a number."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from judged_task import FakeJudge, verdict_on
from rich.console import Console
from running import make_set, settings
from test_judge_stage import LIKENESS, cells_of, hash_of, run, verdicts_of

import nova_bench as nb
from nova_bench import judge as engine
from nova_bench.judge import asking_digest
from nova_bench.judge_log import asked_judges
from nova_bench.render import judged as judge_lines
from nova_bench.render import report
from nova_bench.report import too_many_unjudged
from nova_bench.rubrics import texts


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set: 8 cases, 12 images."""
    return make_set(tmp_path_factory.mktemp("small") / "set", [1, 2] * 4)


def shown(document: dict[str, Any]) -> str:
    return "\n".join(text.plain for text in judge_lines(document))


def printed(document: dict[str, Any]) -> str:
    page = Console(width=200, file=io.StringIO())
    page.print(report(document, slices=False))
    return page.file.getvalue()  # type: ignore[attr-defined]  # it is the text above


def test_a_repeat_without_verdicts_is_no_secret(tmp_path: Path, data: Path) -> None:
    half = FakeJudge(lambda request, nth: "no verdict" if request.repeat == 1 else None)
    made = run(tmp_path, data, [half], judge_repeats=2)
    document = made.report()
    (judge,) = document["judges"]
    assert (judge["lines"], judge["unjudged"], judge["unjudged_share"]) == (12, 0, 0.0)
    assert (judge["verdicts"], judge["unjudged_verdicts"]) == (24, 12)
    assert judge["unjudged_verdict_share"] == 0.5
    assert judge["too_many_unjudged"] is True
    assert cells_of(made)[LIKENESS].n_failed == 0
    assert "unjudged 0 of 12 (0.0%)\nunjudged verdicts 12 of 24 (50.0%)" in shown(document)
    assert "too many for a submission" in shown(document)


def test_lines_by_rule_and_verdicts_to_come_are_no_verdicts(tmp_path: Path, data: Path) -> None:
    class Silent:
        def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
            for i, request in enumerate(requests):
                yield nb.Response(request.id, "" if i < 3 else "ANSWER: A lesion.")

    def busy(request: nb.Request, nth: int) -> nb.Response | str | None:
        if request.repeat == 1:
            return nb.Response(request.id, finish="error", error="busy")
        return "no verdict" if hash_of(request.sample) else None

    made = run(tmp_path, data, [FakeJudge(busy)], Silent(), judge_repeats=2)
    (judge,) = made.report()["judges"]
    asked = {entry["id"].partition("|")[0] for entry in verdicts_of(tmp_path / "out")}
    assert len(asked) == judge["verdicts"] == 9
    assert 0 < judge["unjudged_verdicts"] == sum(map(hash_of, asked)) < 9
    assert judge["judge_failed"] == 9
    assert judge["unjudged"] == 0


def test_no_verdict_at_all_has_no_share(tmp_path: Path, data: Path) -> None:
    busy = FakeJudge(lambda request, nth: nb.Response(request.id, finish="error", error="busy"))
    (judge,) = run(tmp_path, data, [busy]).report()["judges"]
    assert (judge["verdicts"], judge["unjudged_verdict_share"], judge["too_many_unjudged"]) == (
        0,
        None,
        False,
    )


def test_unjudged_lines_are_in_the_bounds_and_in_no_value(tmp_path: Path, data: Path) -> None:
    """What is left out for good could have been anything: the bounds say how much that matters, and the cell is not incomplete."""
    made = run(tmp_path, data, [FakeJudge(lambda request, nth: "no" if hash_of(request.id) else None)])
    cell = cells_of(made)[LIKENESS]
    left = sum(map(hash_of, {entry["id"] for entry in verdicts_of(tmp_path / "out")}))
    assert 0 < left == cell.counts["unjudged"] < 12
    assert cell.n_failed == 0
    total = cell.value * (12 - left)
    assert cell.bounds == pytest.approx((total / 12, (total + left) / 12))
    assert cells_of(made)["binary_accuracy(lexicon)"].bounds is None
    assert cells_of(made)["correct(judge=FakeJudge)"].bounds is None  # its scorer has none
    assert all(one.bounds is None or one.counts["unjudged"] for one in made.cells())
    document = made.report()
    (record,) = (one for one in document["cells"] if one["metric"] == LIKENESS and one["slice"] == "all")
    assert record["incomplete"] is False
    low, high = record["bounds"]
    assert f"{record['value']:.3f} ({low:.3f}..{high:.3f})" in printed(document)
    assert "in brackets the value if they and those that failed were worst .. best" in shown(document)


def test_unjudged_and_waiting_lines_are_in_the_bounds_together(tmp_path: Path, data: Path) -> None:
    def bad(request: nb.Request, nth: int) -> nb.Response | str | None:
        if request.id.startswith("case0001"):
            return nb.Response(request.id, finish="error", error="busy")
        return "no" if hash_of(request.id) else None

    cell = cells_of(run(tmp_path, data, [FakeJudge(bad)]))[LIKENESS]
    out = cell.counts["unjudged"] + cell.counts["judge_failed"]
    assert 0 < cell.counts["unjudged"] < out < 12
    total = cell.value * (12 - out)
    assert cell.bounds == pytest.approx((total / 12, (total + out) / 12))


def test_one_in_a_hundred_unjudged_lines_or_verdicts_is_allowed_and_no_more() -> None:
    assert not too_many_unjudged(0.0, None)
    assert not too_many_unjudged(0.01, 0.01)
    assert too_many_unjudged(0.011, 0.0)
    assert too_many_unjudged(0.0, 0.011)


def test_what_the_judges_server_did_not_honour_is_said(tmp_path: Path, data: Path) -> None:
    def deaf(request: nb.Request, nth: int) -> nb.Response:
        dropped = ("temperature", "json_schema") if request.sample.endswith("001.png") else ("json_schema",)
        return nb.Response(request.id, json.dumps(verdict_on(request)), dropped=dropped)

    made = run(tmp_path, data, [FakeJudge(deaf)])
    n_first = sum(name.endswith("001.png") for name in made.scored.table.id)
    assert 0 < n_first < 12
    provenance = cells_of(made)[LIKENESS].signature["provenance"]
    assert provenance["judge_dropped"] == {"json_schema": 12, "temperature": n_first}
    document = made.report()
    assert document["judges"][0]["dropped"] == {"json_schema": 12, "temperature": n_first}
    assert (
        f"not honoured by the judge's server: json_schema (12 answers), temperature ({n_first} answers)"
        in shown(document)
    )


def test_the_signature_names_all_that_moves_a_verdict(tmp_path: Path, data: Path) -> None:
    made = run(tmp_path, data, [FakeJudge()])
    said = cells_of(made)[LIKENESS].signature["protocol"]["judge"]
    (asked,) = asked_judges(tmp_path / "out")
    identity = json.loads((asked.folder / "manifest.json").read_text())["identity"]
    assert said["adapter"] == identity["adapter"]
    assert said["source"] == identity["source"][:12]
    assert len(said["source"]) == 12
    assert said["think"] == ["<think>", "</think>"]
    assert said["asking"] == asking_digest()
    for change in (
        {"source": "f" * 64},
        {"adapter": "other"},
        {"think": None},
        {"name": "other"},
        {"options": {"effort": "high"}},
        {"params": {"temperature": 0.5}},
    ):
        other = dataclasses.replace(asked, identity={**asked.identity, **change})
        assert other.signature(made.plan.task.judges[0]) != said


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        (engine, "READING_VERSION", 99),
        (engine, "TRIES", 4),
        (engine, "MAX_ANSWER", 10),
        (engine, "CLOSING", "{names} {tag} Thank you."),
        (engine, "BLOCK", "[{name} {tag}]\n{text}\n[end {name} {tag}]"),
        (engine, "_UNSEEN", engine.re.compile("x")),
        (engine, "_CONTROL_SIGNS", engine.re.compile("x")),
        (texts, "MAX_CANDIDATE", 10),
        (texts, "MAX_LABEL", 10),
    ],
)
def test_what_is_put_around_the_texts_is_in_the_digest(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, value: Any
) -> None:
    before = asking_digest()
    monkeypatch.setattr(module, name, value)
    asking_digest.cache_clear()
    changed = asking_digest()
    monkeypatch.undo()
    asking_digest.cache_clear()
    assert changed != before == asking_digest()


def test_the_list_of_masked_words_is_in_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    before = asking_digest()
    monkeypatch.setattr(texts, "blinding_digest", lambda: "another list")
    asking_digest.cache_clear()
    changed = asking_digest()
    monkeypatch.undo()
    asking_digest.cache_clear()
    assert changed != before


def test_a_judge_from_settings_is_the_same_on_every_start(tmp_path: Path, data: Path) -> None:
    first = cells_of(run(tmp_path / "a", data, [FakeJudge()]))[LIKENESS].signature
    again = cells_of(run(tmp_path / "b", data, [FakeJudge()], settings=settings(tmp_path / "b")))
    assert again[LIKENESS].signature == first
