"""`verify` on verdicts and on gated data: forged verdicts are found, and masked rows are compared without naming a patient."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fmbench_set import make_built
from forged import Parts, forge
from running import make_set, settings
from submissions import run, submitted, write_adapter
from test_verify import Sound

import nova_bench as nb


def found(home: Path, bundle: Path, data: Path | None) -> dict[str, Any]:
    (result,) = nb.verify(bundle, data=None if data is None else str(data), settings=settings(home))[
        "results"
    ]
    return result


def log_of(parts: Parts) -> list[dict[str, Any]]:
    (log,) = (value for name, value in parts.items() if name.endswith("verdicts.jsonl"))
    return log


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A home, a data set that counts as real, and the bundle of a judged run on it."""
    home = tmp_path_factory.mktemp("judged")
    data = make_set(home / "set", [1, 2] * 4)
    made = run(home, write_adapter(home), "nova_diagnosis", data=str(data), judges=[Sound()])
    return home, data, Path(submitted(home, made)["submitted"][0]["bundle"])


def better_verdict(parts: Parts) -> None:
    """The verdict is another one, and the judge's own words are what they were."""
    record = log_of(parts)[0]
    record["verdict"] = {
        key: not value if isinstance(value, bool) else value for key, value in record["verdict"].items()
    }
    first = next(iter(record["verdict"]))
    if not isinstance(record["verdict"][first], bool):
        record["verdict"][first] = 1


def verdict_of_no_form(parts: Parts) -> None:
    log_of(parts)[0]["verdict"] = {"top1": {"$ref": "x"}}


def verdict_and_words(parts: Parts) -> None:
    """Both are changed, and fit each other: what only asking the judge again could find; the rows no longer follow."""
    for record in log_of(parts):
        said = json.loads(record["text"])
        said = {key: (not value if isinstance(value, bool) else value) for key, value in said.items()}
        record["verdict"], record["text"] = said, json.dumps(said)


def called_broken(parts: Parts) -> None:
    record = log_of(parts)[0]
    del record["verdict"]
    record["fault"] = "no JSON"


def verdict_left_out(parts: Parts) -> None:
    del log_of(parts)[0]


def other_judge(parts: Parts) -> None:
    """The better judge's name on the cheaper one's verdicts."""
    for judge in parts["bundle.json"]["judges"]:
        judge["identity"] = {**judge["identity"], "name": "openai:best", "adapter": "openai:best"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (verdict_of_no_form, r"does not fit the rubric's form"),
        (called_broken, r"the judge's own words say something else"),
        (verdict_left_out, r"of case.* is 1.0, and the answer gives (-1|nan)|judge_failed|has other columns"),
        (other_judge, r"is called 'openai:best'|not that of its identity"),
        (better_verdict, r"the judge's own words say something else|does not fit the rubric's form"),
    ],
)
def test_forged_verdict_is_rejected(
    judged: tuple[Path, Path, Path], tmp_path: Path, change: Callable[[Parts], None], said: str
) -> None:
    home, data, bundle = judged
    result = found(home, forge(bundle, tmp_path / "forged.zip", change), data)
    assert result["status"] == "rejected"
    assert any(re.search(said, reason) for reason in result["reasons"]), result["reasons"]


def test_more_left_unjudged_than_may_be_is_rejected(judged: tuple[Path, Path, Path], tmp_path: Path) -> None:
    home, _, bundle = judged

    def many(parts: Parts) -> None:
        parts["bundle.json"]["judges"][0]["unjudged"] = 3

    result = found(home, forge(bundle, tmp_path / "forged.zip", many), None)
    assert any("left more than 1% unjudged" in reason for reason in result["reasons"])


def test_stand_in_on_real_data_is_rejected(judged: tuple[Path, Path, Path], tmp_path: Path) -> None:
    home, _, bundle = judged

    def stand_in(parts: Parts) -> None:
        parts["bundle.json"]["judges"][0]["stand_in"] = True

    result = found(home, forge(bundle, tmp_path / "forged.zip", stand_in), None)
    assert any("stand-in" in reason for reason in result["reasons"])


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path, Path]:
    """A home, a gated data set, and bundles of one run on it: without the answers, and with them."""
    home = tmp_path_factory.mktemp("gated")
    data = make_built(home / "set", patients=24)
    made = run(home, write_adapter(home), "fmbench_report", data=str(data))
    bundles = [
        Path(
            submitted(home, made, out=home / str(with_answers), with_answers=with_answers)["submitted"][0][
                "bundle"
            ]
        )
        for with_answers in (False, True)
    ]
    return home, data, *bundles


def test_gated_bundle_is_self_reported_without_its_answers(gated: tuple[Path, Path, Path, Path]) -> None:
    home, data, bare, whole = gated
    result = found(home, bare, None)
    assert (result["status"], result["reasons"]) == ("consistent", [])
    assert 0 < result["cells"]["recomputed"] < result["cells"]["stated"]
    assert any("cells of groups and slices were not computed anew" in note for note in result["notes"])
    result = found(home, bare, data)  # which tells the groups
    assert (result["status"], result["reasons"]) == ("consistent", [])
    assert result["cells"]["recomputed"] == result["cells"]["stated"]
    assert any("are the submitter's own" in note for note in result["notes"])
    result = found(home, whole, data)
    assert (result["status"], result["reasons"]) == ("verified", []), result
    assert result["cells"]["recomputed"] == result["cells"]["stated"]


def test_gated_bundle_without_answers_is_compared_with_the_samples_of_the_data(
    gated: tuple[Path, Path, Path, Path], tmp_path: Path
) -> None:
    home, data, bare, _ = gated
    other = make_built(tmp_path / "other", patients=23)
    result = found(home, bare, other)
    assert result["status"] == "rejected"
    assert "digest" in result["reasons"][0]

    def asked_otherwise(parts: Parts) -> None:
        parts["bundle.json"]["scoring"]["requests"] = "0" * 64
        for one in (*parts["report.json"]["cells"], *parts["fairness.json"]["comparisons"]):
            one["signature"]["provenance"]["requests"] = "0" * 12

    forged = forge(bare, tmp_path / "forged.zip", asked_otherwise)
    assert found(home, forged, None)["status"] == "consistent"
    result = found(home, forged, data)
    assert any("scoring/requests" in reason for reason in result["reasons"]), result


def test_masked_rows_are_compared_and_no_patient_is_named(
    gated: tuple[Path, Path, Path, Path], tmp_path: Path
) -> None:
    home, data, _, whole = gated

    def altered(parts: Parts) -> None:
        parts["responses.jsonl"][4]["text"] = "glaucoma"

    result = found(home, forge(whole, tmp_path / "forged.zip", altered), data)
    assert result["status"] == "rejected"
    assert not re.search(r"p00\d\d", json.dumps(result["reasons"]))


def test_group_cell_that_is_impossible_is_seen_without_the_data(
    gated: tuple[Path, Path, Path, Path], tmp_path: Path
) -> None:
    home, data, _, whole = gated

    def crowded(parts: Parts) -> None:
        cell = next(cell for cell in parts["report.json"]["cells"] if cell["slice"].startswith("race="))
        cell["n"] += 1000

    def better(parts: Parts) -> None:
        cell = next(
            cell
            for cell in parts["report.json"]["cells"]
            if cell["slice"].startswith("race=") and cell["value"]
        )
        cell["value"] = 0.999

    def fairer(parts: Parts) -> None:
        parts["fairness.json"]["comparisons"][0]["gap"]["value"] = 0.0

    result = found(home, forge(whole, tmp_path / "a.zip", crowded), None)
    assert any("samples together, more than" in reason for reason in result["reasons"])
    for i, change in enumerate((better, fairer)):
        forged = forge(whole, tmp_path / f"b{i}.zip", change)
        assert found(home, forged, None)["status"] == "consistent"
        assert found(home, forged, data)["status"] == "rejected"
