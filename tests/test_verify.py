"""`verify`: what it says of honest bundles, and of forged ones with and without the data set, reason by reason."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from forged import Parts, forge, parts_of
from running import make_set, nova, settings
from submissions import run, submitted, write_adapter

import nova_bench as nb
from nova_bench.rule_based_judge import verdict_of

DOCS = Path(__file__).parents[1] / "docs" / "submissions.md"


class Sound:
    """A judge that is no stand-in by name and spoils nothing."""

    def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
        for request in requests:
            yield nb.Response(request.id, json.dumps(verdict_of(request)))


class Home(NamedTuple):
    """A home with a data set that counts as real, and bundles of runs on it."""

    path: Path
    data: Path
    boxes: Path
    words: Path

    def verify(self, bundle: Path, *, data: bool = True) -> dict[str, Any]:
        document = nb.verify(bundle, data=str(self.data) if data else None, settings=settings(self.path))
        (result,) = document["results"]
        return result


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    path = tmp_path_factory.mktemp("verify")
    data = make_set(path / "set", [1, 2] * 4)
    adapter = write_adapter(path)
    boxes = run(path, adapter, data=str(data))
    words = run(path, adapter, "nova_diagnosis", data=str(data), out=path / "words", judges=[Sound()])
    made = [submitted(path, one, out=path / f"board{i}") for i, one in enumerate((boxes, words))]
    places = [Path(document["submitted"][0]["bundle"]) for document in made]
    return Home(path, data, *places)


def altered_answer(parts: Parts) -> None:
    """No answer in the place of one, under the hash of the same request."""
    parts["responses.jsonl"][0]["text"] = "[]"


def altered_number(parts: Parts) -> None:
    parts["report.json"]["cells"][0]["value"] += 0.01


def better_row(parts: Parts) -> None:
    """All boxes lie better than they do."""
    header, *lines = parts["rows.jsonl"]
    where = list(header["columns"]).index("best_iou")
    for line in lines:
        line["values"][where] = 1.0


def left_out(parts: Parts) -> None:
    gone = parts["rows.jsonl"].pop(3)["id"]
    parts["responses.jsonl"] = [one for one in parts["responses.jsonl"] if one["id"] != gone]


def left_out_of_answers(parts: Parts) -> None:
    del parts["responses.jsonl"][2]


def forged_digest(parts: Parts) -> None:
    parts["bundle.json"]["data"]["digest"] = "a" * 64


def stated_limit(parts: Parts) -> None:
    parts["bundle.json"]["limit"] = {"n": 3, "seed": 0}


def manifest_limit(parts: Parts) -> None:
    parts["manifest.json"]["starts"][-1]["limit"] = {"n": 3, "seed": 0}


def hidden_limit(parts: Parts) -> None:
    """Only some cases were asked, and nothing says so."""
    header, *lines = parts["rows.jsonl"]
    kept = sorted({line["cluster"] for line in lines})[:5]
    parts["rows.jsonl"] = [header, *(line for line in lines if line["cluster"] in kept)]
    ids = {line["id"] for line in parts["rows.jsonl"][1:]}
    parts["responses.jsonl"] = [one for one in parts["responses.jsonl"] if one["id"] in ids]


def forged_counts(parts: Parts) -> None:
    parts["bundle.json"]["counts"]["states"]["ok"] += 1


def other_prompt(parts: Parts) -> None:
    """The answers were given to another prompt, and are put under the hashes that the task's requests have."""
    parts["bundle.json"]["scoring"]["template"] = "0" * 12


def other_requests(parts: Parts) -> None:
    """As they were really asked: the hashes are of another prompt."""
    for record in parts["responses.jsonl"]:
        record["request"] = record["request"][::-1]


def cell_left_out(parts: Parts) -> None:
    del parts["report.json"]["cells"][1]


def cell_added(parts: Parts) -> None:
    parts["report.json"]["cells"].append({**parts["report.json"]["cells"][0], "slice": "plane=best"})


def pairing_altered(parts: Parts) -> None:
    """One patient's share is larger than it is: the model looks less certain to be worse than others."""
    parts["pairing.json"]["numbers"][3] += 1e-6


def made_synthetic(parts: Parts) -> None:
    parts["bundle.json"]["data"] |= {"synthetic": True, "kind": "mini"}


FORGERIES: dict[str, tuple[Callable[[Parts], None], bool, str, str | None]] = {
    # name in the docs: change, whether the rest is made to fit, reason with the data, reason without (None: not seen)
    "one answer altered": (altered_answer, False, r"rows.jsonl, .* of case.* and the answer gives", None),
    "one number altered": (
        altered_number,
        False,
        r"cell .* \(all\)/value is .*, expected",
        r"cell .* \(all\)/value is .*, expected",
    ),
    "rows altered, numbers made to fit": (better_row, True, r"best_iou of case.* and the answer gives", None),
    "one sample left out, numbers made to fit": (
        left_out,
        True,
        r"1 of 12 requests of the data set have no answer",
        None,
    ),
    "one answer left out": (
        left_out_of_answers,
        False,
        r"responses.jsonl has 11 records",
        r"responses.jsonl has 11 records",
    ),
    "digest forged, numbers made to fit": (forged_digest, True, r"digest .*, expected aaaaaaaaaaaa", None),
    "a limit that is stated": (stated_limit, False, r"it has a limit", r"it has a limit"),
    "a limit that only the manifest states": (manifest_limit, False, r"it has a limit", r"it has a limit"),
    "a limit that nothing states, numbers made to fit": (
        hidden_limit,
        True,
        r"of 12 requests of the data set have no answer",
        None,
    ),
    "counts forged": (
        forged_counts,
        False,
        r"counts/states/ok is 13, expected 12",
        r"counts/states/ok is 13, expected 12",
    ),
    "another prompt, numbers made to fit": (other_prompt, True, r"scoring/template is '0{12}'", None),
    "answers to other requests, numbers made to fit": (
        other_requests,
        True,
        r"12 answers are to other requests",
        None,
    ),
    "a cell left out": (cell_left_out, False, r"cell .* is left out", r"cell .* is left out"),
    "a cell added": (cell_added, False, r"\(plane=best\) is no cell", r"\(plane=best\) is no cell"),
    "the pairing altered": (
        pairing_altered,
        False,
        r"pairing.json/numbers/3 is .*, expected",
        r"pairing.json/numbers/3 is .*, expected",
    ),
    "real data called made-up": (
        made_synthetic,
        True,
        r"the three contradict each other",
        r"the three contradict each other",
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forgery(home: Home, tmp_path: Path, name: str) -> None:
    change, coherent, with_data, without = FORGERIES[name]
    forged = forge(home.boxes, tmp_path / "forged.zip", change, coherent=coherent)
    found = home.verify(forged)
    assert found["status"] == "rejected"
    assert any(re.search(with_data, reason) for reason in found["reasons"]), found["reasons"]
    blind = home.verify(forged, data=False)
    if without is None:
        assert (blind["status"], blind["label"]) == ("consistent", "self-reported")
    else:
        assert blind["status"] == "rejected"
        assert any(re.search(without, reason) for reason in blind["reasons"]), blind["reasons"]


def test_docs_say_which_forgeries_cannot_be_seen_without_the_data() -> None:
    rows = dict(
        re.findall(r"(?m)^\| ([^|]+?) \| rejected \| (rejected|\*\*not seen\*\*) \|$", DOCS.read_text())
    )
    assert rows == {
        name: "rejected" if without else "**not seen**" for name, (_, _, _, without) in FORGERIES.items()
    }


@pytest.mark.parametrize("kind", ["boxes", "words"])
def test_honest_bundle_is_verified_with_the_data_and_self_reported_without(home: Home, kind: str) -> None:
    found = home.verify(getattr(home, kind))
    assert (found["status"], found["reasons"], found["notes"]) == ("verified", [], [])
    assert found["cells"]["recomputed"] == found["cells"]["stated"] > 50
    assert "does not mean that the model gave these answers" in found["meaning"]
    blind = home.verify(getattr(home, kind), data=False)
    assert (blind["status"], blind["label"], blind["reasons"]) == ("consistent", "self-reported", [])
    assert blind["cells"] == found["cells"]
    assert "the submitter's own" in blind["meaning"]


def test_every_number_of_report_entry_and_rows_is_looked_at(home: Home, tmp_path: Path) -> None:
    """Each leaf of the report, one at a time over all kinds of leaves: a change is seen without the data."""
    for place in ("low", "n", "incomplete", "bounds", "slice"):

        def change(parts: Parts, place: str = place) -> None:
            cell = parts["report.json"]["cells"][0]
            cell[place] = (
                not cell[place]
                if isinstance(cell[place], bool)
                else 7
                if isinstance(cell[place], int | float)
                else "x"
            )

        found = home.verify(forge(home.boxes, tmp_path / "forged.zip", change), data=False)
        assert found["status"] == "rejected", place
    for path in (
        ("signature", "id"),
        ("signature", "protocol", "parser"),
        ("signature", "provenance", "repeats"),
    ):

        def change(parts: Parts, path: tuple[str, ...] = path) -> None:
            inner = parts["report.json"]["cells"][0]
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = 99

        assert (
            home.verify(forge(home.boxes, tmp_path / "forged.zip", change), data=False)["status"]
            == "rejected"
        ), path


def test_every_key_of_the_pairing_is_looked_at(home: Home, tmp_path: Path) -> None:
    honest = parts_of(home.words)["pairing.json"]
    changes: dict[str, Any] = {
        "metric": "top5(normalised)",
        "signature": "0" * 12,
        "lines": "0" * 16,
        "kind": "resampled",
        "value": honest["value"] + 1e-6,
        "clusters": honest["clusters"] + 1,
        "silent": [0],
        "prints": f"{int(honest['prints'][0], 16) ^ 1:x}{honest['prints'][1:]}",
    }
    assert {*changes, "numbers"} == {*honest}
    for key, value in changes.items():

        def change(parts: Parts, key: str = key, value: Any = value) -> None:
            assert parts["pairing.json"][key] != value
            parts["pairing.json"][key] = value

        found = home.verify(forge(home.words, tmp_path / "forged.zip", change), data=False)
        assert found["status"] == "rejected"
        assert any(reason.startswith(f"pairing.json/{key} ") for reason in found["reasons"])

    def left_out(parts: Parts) -> None:
        del parts["pairing.json"]

    found = home.verify(forge(home.words, tmp_path / "forged.zip", left_out), data=False)
    assert found["reasons"] == ["pairing.json is missing, and its rows give one"]

    def noise(parts: Parts) -> None:
        """What another processor makes of the last digit."""
        numbers = parts["pairing.json"]["numbers"]
        parts["pairing.json"]["numbers"] = [number * (1 + 1e-13) for number in numbers]

    assert home.verify(forge(home.words, tmp_path / "forged.zip", noise), data=False)["reasons"] == []


def test_data_set_that_is_another_is_told_as_such(home: Home, tmp_path: Path) -> None:
    other = make_set(tmp_path / "other", [1, 2] * 4, seed=9)
    (found,) = nb.verify(home.boxes, data=str(other), settings=settings(home.path))["results"]
    assert found["status"] == "rejected"
    assert "another version of the data set" in found["reasons"][0]


def test_missing_data_set_says_nothing_of_the_bundle(home: Home, tmp_path: Path) -> None:
    with pytest.raises(nb.DataError):
        nb.verify(home.boxes, data=str(tmp_path), settings=settings(home.path))
    with pytest.raises(nb.UsageError, match="is of real data"):
        nb.verify(home.boxes, data="mini", settings=settings(home.path))


def test_made_up_data_are_verified_against_the_embedded_ones(tmp_path: Path) -> None:
    made = run(tmp_path, "prior", "nova_diagnosis", data="mini")
    record = submitted(tmp_path, made)["submitted"][0]
    done = nova(tmp_path, "verify", record["entry"], "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = json.loads(done.stdout)["results"]
    assert (found["status"], found["data"]["synthetic"]) == ("verified", True)

    def real(parts: Parts) -> None:
        parts["bundle.json"]["data"] |= {"synthetic": False, "kind": "full", "revision": "a" * 40}

    forged = forge(Path(record["bundle"]), tmp_path / "forged.zip", real, coherent=True)
    done = nova(tmp_path, "verify", forged)
    assert done.returncode == 1
    assert "the three contradict each other" in done.stdout


def test_command_line_says_the_reason_and_what_the_label_means(home: Home, tmp_path: Path) -> None:
    forged = forge(home.boxes, tmp_path / "forged.zip", altered_number)
    done = nova(home.path, "verify", home.boxes, forged, "--data", home.data)
    assert done.returncode == 1
    assert re.search(r"(?m)^verified +.*cells computed again$", done.stdout)
    assert re.search(r"(?m)^FAIL +.*forged\.zip", done.stdout)
    assert re.search(r"(?m)^ +-> cell .*/value is .*, expected", done.stdout)
    assert "does not mean that the model gave these answers" in done.stdout
    assert nova(home.path, "verify", tmp_path / "nothing.zip").returncode == 2
    assert nova(home.path, "verify", home.boxes, "--model", "prior").returncode == 2
