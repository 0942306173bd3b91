"""`verify` on what a bundle says of its judges, its resources, its check and its data: where it can be known, a lie is rejected."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fmbench_set import make_built
from forged import Parts, forge, pair_again, parts_of, write
from running import make_set, settings
from submissions import run, submitted, write_adapter
from test_verify import Sound
from test_verify_judges import found

import nova_bench as nb
from nova_bench.board import bundle_reader, layout
from nova_bench.board.entry_check import other_run
from nova_bench.signature import digest


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("statements")
    make_set(path / "set", [1, 2] * 4)
    return path


@pytest.fixture(scope="module")
def judged(home: Path) -> Path:
    made = run(
        home, write_adapter(home), "nova_diagnosis", data=str(home / "set"), judges=[Sound()], out=home / "d"
    )
    return Path(submitted(home, made)["submitted"][0]["bundle"])


@pytest.fixture(scope="module")
def caption(home: Path) -> Path:
    made = run(home, write_adapter(home), "nova_caption", data=str(home / "set"), out=home / "c")
    return Path(submitted(home, made)["submitted"][0]["bundle"])


def judge_is(parts: Parts, identity: dict[str, Any]) -> None:
    """Say everywhere that the judge was another one."""
    (judge,) = parts["bundle.json"]["judges"]
    old, name = judge["folder"], judge["name"]
    judge["identity"] = {**judge["identity"], **identity}
    judge["folder"], judge["name"] = digest(judge["identity"])[:12], judge["identity"]["name"]
    for member in [member for member in parts if member.startswith(f"judges/{old}/")]:
        parts[member.replace(old, judge["folder"])] = parts.pop(member)
    parts[f"judges/{judge['folder']}/manifest.json"]["identity"] = judge["identity"]
    header = parts["rows.jsonl"][0]
    header["columns"] = {key.replace(name, judge["name"]): value for key, value in header["columns"].items()}


def stand_in_that_is_none(parts: Parts) -> None:
    judge_is(parts, {"name": "rule_based_judge", "adapter": "rule_based_judge"})


def model_judges_itself(parts: Parts) -> None:
    model = parts["bundle.json"]["model"]
    judge_is(
        parts,
        {
            "name": "acme",
            "adapter": model["name"],
            "source": model["source"],
            "options": model["options"],
        },
    )


def vendor_named_one_model(parts: Parts) -> None:
    parts["bundle.json"]["judges"][0]["models"] = dict(parts["bundle.json"]["model"]["answered_as"])


def other_rubric(parts: Parts) -> None:
    parts["bundle.json"]["judges"][0]["rubrics"] = ["expert panel"]


def verdicts_left_out(parts: Parts) -> None:
    for name in [name for name in parts if name.endswith(layout.VERDICTS)]:
        del parts[name]


def nothing_to_verify(parts: Parts) -> None:
    """All that the data set could be compared with, though nobody's data are protected by that."""
    verdicts_left_out(parts)
    parts["bundle.json"]["with_answers"] = False
    del parts["responses.jsonl"]


def other_adapter_checked(parts: Parts) -> None:
    parts["bundle.json"]["check"]["adapter"] = "acme2"


def card_of_another_form(parts: Parts) -> None:
    parts["bundle.json"]["model"]["card"]["license"] = {"<b>": [1]}


def versions_of_another_form(parts: Parts) -> None:
    for cell in parts["report.json"]["cells"]:
        cell["signature"]["provenance"]["versions"] = {"numpy": ["x" * 1000]}


@pytest.mark.parametrize(
    ("change", "is_coherent", "said"),
    [
        (stand_in_that_is_none, True, "stand_in is False, expected True"),
        (model_judges_itself, True, "it is the model under test"),
        (vendor_named_one_model, False, "it is the model under test"),
        (other_rubric, False, "rubrics/0 is 'expert panel'"),
        (verdicts_left_out, False, "verdicts of judge .* are left out"),
        (nothing_to_verify, False, "is left out, and the data are not gated"),
        (card_of_another_form, False, "model/card is no card"),
        (versions_of_another_form, False, "provenance/versions/numpy is"),
        (other_adapter_checked, False, "check is of another adapter"),
    ],
)
def test_statement_that_is_not_so_is_rejected_without_the_data(
    home: Path, judged: Path, tmp_path: Path, change: Callable[[Parts], None], is_coherent: bool, said: str
) -> None:
    result = found(home, forge(judged, tmp_path / "forged.zip", change, coherent=is_coherent), None)
    assert result["status"] == "rejected"
    assert any(re.search(said, reason) for reason in result["reasons"]), result["reasons"]


def test_metric_that_needs_no_resource_cannot_be_called_missing(
    home: Path, caption: Path, tmp_path: Path
) -> None:
    def hidden(parts: Parts) -> None:
        header, *lines = parts["rows.jsonl"]
        place = list(header["columns"]).index("rougeL")
        del header["columns"]["rougeL"]
        for line in lines:
            del line["values"][place]
        parts["bundle.json"]["scoring"]["missing"]["rougeL"] = "not installed"

    def advertised(parts: Parts) -> None:
        missing = parts["bundle.json"]["scoring"]["missing"]
        missing["bertscore(roberta-large)"] = "best\x1b[1m model"

    for change, said in ((hidden, "missing names rougeL"), (advertised, "something else than a line")):
        result = found(home, forge(caption, tmp_path / "x.zip", change, coherent=True), home / "set")
        assert any(said in reason for reason in result["reasons"]), result


def test_number_that_no_array_holds_is_a_reason(home: Path, judged: Path, tmp_path: Path) -> None:
    parts = parts_of(judged)
    parts["rows.jsonl"][1]["repeat"] = 10**30
    result = found(home, write(parts, tmp_path / "forged.zip"), None)
    assert result["status"] == "rejected"


def test_more_values_than_memory_holds_are_not_read(
    home: Path, judged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def many(parts: Parts) -> None:
        parts["rows.jsonl"][1]["values"] = [[[]] * 200_000]

    monkeypatch.setattr(layout, "MAX_VALUES", 100_000)
    forged = forge(judged, tmp_path / "forged.zip", many)
    with pytest.raises(bundle_reader.BundleError, match=r"about [0-9,]+ values; at most 100,000"):
        bundle_reader.read_bundle(forged)


def test_record_is_not_written_through_a_link(home: Path, judged: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    shutil.copytree(judged.parents[2], board)
    (tmp_path / "elsewhere").mkdir()
    (board / "verifications").symlink_to(tmp_path / "elsewhere")
    entry = board / "entries" / "acme" / "nova_diagnosis.json"
    with pytest.raises(nb.UsageError, match="behind a link"):
        nb.verify(entry, record=True, settings=settings(home))
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.fixture(scope="module")
def masked(home: Path) -> tuple[Path, Path]:
    """A gated data set, and a bundle of a run on it without the answers."""
    data = make_built(home / "gated", patients=24)
    made = run(home, write_adapter(home), "fmbench_report", data=str(data), out=home / "g")
    return data, Path(submitted(home, made)["submitted"][0]["bundle"])


def test_rows_of_gated_data_hold_no_hash_of_an_answer(masked: tuple[Path, Path]) -> None:
    """Of an answer of a word or two a hash is the answer, and where it was right the gated one."""
    assert "answer_hash" not in parts_of(masked[1])["rows.jsonl"][0]["columns"]


def fairer(parts: Parts) -> None:
    parts["fairness.json"]["comparisons"][0]["gap"]["value"] = 0.0


def group_left_out(parts: Parts) -> None:
    report = parts["report.json"]
    report["cells"] = [cell for cell in report["cells"] if cell["slice"] == "all"]


def other_requests(parts: Parts) -> None:
    parts["bundle.json"]["scoring"]["requests"] = "0" * 64
    text = json.dumps(parts["report.json"])
    stated = json.loads(text)["cells"][0]["signature"]["provenance"]["requests"]
    parts["report.json"] = json.loads(text.replace(stated, "0" * 12))


def patients_split(parts: Parts) -> None:
    """Each sample its own patient: narrower intervals. Here samples are patients, so one is only renamed."""
    parts["rows.jsonl"][1]["cluster"] = "c99"
    pair_again(parts)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (fairer, r"fairness.json/comparisons/0/gap/value"),
        (group_left_out, r"is left out; a report has all cells"),
        (other_requests, r"scoring/requests is"),
        (patients_split, r"cluster of s01 is c99"),
    ],
)
def test_data_set_tells_of_rows_without_answers_what_it_can(
    home: Path, masked: tuple[Path, Path], tmp_path: Path, change: Callable[[Parts], None], said: str
) -> None:
    data, bundle = masked
    forged = forge(bundle, tmp_path / "forged.zip", change)
    assert found(home, forged, None)["status"] == "consistent"
    result = found(home, forged, data)
    assert result["status"] == "rejected"
    assert any(re.search(said, reason) for reason in result["reasons"]), result["reasons"]


@pytest.mark.parametrize(
    ("command", "is_so"),
    [
        ("--model ./adapters/acme.py --data PATH --judge Sound", True),
        ("--model acme -o size=300 -p stop=none", True),
        ("--model acme -o size=200", False),
        ("--model acme -o trust_remote_code=true", False),
        ("--model hf_chat:evil/repo", False),
        ("--model acme --judge hf_chat:evil/repo", False),
        ("--model acme --model acme", False),
        ("--data PATH", False),
    ],
)
def test_command_is_of_the_very_run(judged: Path, command: str, is_so: bool) -> None:
    about = parts_of(judged)["bundle.json"]
    assert (not list(other_run(f"nova-bench run nova_diagnosis {command}", about))) == is_so
