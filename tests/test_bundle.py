"""Bundles and entries: what is in them, that they are the same whenever they are made, and what is never in them."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from fmbench_set import make_built, patient
from jsonschema import Draft202012Validator
from running import settings
from submissions import contents, missing, run, submitted, write_adapter

import nova_bench as nb
from nova_bench.board.bundle import row_lines
from nova_bench.board.layout import entry_path, is_member, schema_path, slug
from nova_bench.errors import NovaBenchError

JUDGE = "rule_based_judge"


@pytest.fixture(scope="module")
def caption(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nb.Run, dict[str, Any]]:
    """A submitted run of a judged task on the embedded data."""
    home = tmp_path_factory.mktemp("caption")
    made = run(home, write_adapter(home), "nova_caption", judges=[JUDGE])
    return home, made, submitted(home, made)["submitted"][0]


def validate(schema: str, document: Any) -> None:
    Draft202012Validator(json.loads(schema_path(schema).read_text())).validate(document)


def test_members_are_those_that_readers_expect_and_their_checksums_hold(
    caption: tuple[Path, nb.Run, dict[str, Any]],
) -> None:
    _, made, record = caption
    members = contents(record["bundle"])
    (judge,) = (made.folder / "judges").iterdir()
    of_judge = {f"judges/{judge.name}/manifest.json", f"judges/{judge.name}/verdicts.jsonl"}
    assert set(members) == {
        "bundle.json",
        "manifest.json",
        "report.json",
        "pairing.json",
        "rows.jsonl",
        "responses.jsonl",
        *of_judge,
    }
    assert all(is_member(name) for name in members)
    bundle = json.loads(members["bundle.json"])
    validate("bundle", bundle)
    assert set(bundle["files"]) == set(members) - {"bundle.json"}
    for name, about in bundle["files"].items():
        assert about == {"sha256": hashlib.sha256(members[name]).hexdigest(), "bytes": len(members[name])}
    with zipfile.ZipFile(record["bundle"]) as archive:
        assert {(info.date_time, info.external_attr >> 16) for info in archive.infolist()} == {
            ((1980, 1, 1, 0, 0, 0), 0o100644)
        }
    assert bundle["data"]["synthetic"]
    assert bundle["judges"][0]["stand_in"]
    assert bundle["counts"] == {
        "samples": 68,
        "lines": 68,
        "clusters": 33,
        "states": {"ok": 68, "unparsed": 0, "refused": 0, "truncated": 0, "rejected": 0, "failed": 0},
    }
    assert bundle["model"]["answered_as"] == {"acme-1": 68}
    assert bundle["model"]["card"]["name"] == "Acme VLM"


def test_the_entry_is_what_the_bundle_says(caption: tuple[Path, nb.Run, dict[str, Any]]) -> None:
    home, _, record = caption
    entry, bundle = json.loads(Path(record["entry"]).read_text()), Path(record["bundle"])
    validate("entry", entry)
    assert Path(record["entry"]) == home / "board" / "synthetic" / "acme" / "nova_caption.json"
    content = bundle.read_bytes()
    assert entry["bundle"] == {
        "file": "nova_caption.zip",
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "with_answers": True,
        "masked": False,
    }
    report = json.loads(contents(bundle)["report.json"])
    again = [{**cell, "signature": entry["signatures"][cell["signature"]]} for cell in entry["cells"]]
    assert again == [
        {key: value for key, value in cell.items() if key in again[0]} for cell in report["cells"]
    ]
    assert {"value", "low", "high", "counts", "bounds", "note"} <= set(again[0])
    assert set(entry["metrics"]) == {cell["metric"] for cell in entry["cells"]}
    assert "synthetic" in entry["caution"]
    assert (
        entry["reproduce"]
        == "nova-bench run nova_caption --model ./adapters/acme.py --data mini --judge rule_based_judge"
    )
    assert not {"verification", "verified", "status"} & set(entry)
    assert entry["pairing"] == json.loads(contents(bundle)["pairing.json"])


def test_a_bundle_opens_as_a_run_and_gives_the_same_rows_and_cells(
    caption: tuple[Path, nb.Run, dict[str, Any]], tmp_path: Path
) -> None:
    _, made, record = caption
    for name, content in contents(record["bundle"]).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    opened = nb.open_run(tmp_path, data="mini", settings=settings(tmp_path))
    assert "".join(f"{line}\n" for line in row_lines(opened)) == (tmp_path / "rows.jsonl").read_text()
    told = json.loads((tmp_path / "report.json").read_text())
    report = opened.report(fresh=True)
    assert report["cells"] == told["cells"] == made.report()["cells"]
    assert any("judge=" in cell["metric"] and cell["value"] for cell in report["cells"])


def test_it_is_the_same_byte_for_byte(caption: tuple[Path, nb.Run, dict[str, Any]]) -> None:
    home, made, record = caption
    first = Path(record["bundle"]).read_bytes(), Path(record["entry"]).read_bytes()
    opened = nb.open_run(made.folder, settings=settings(home))
    again = submitted(home, opened, out=home / "again")["submitted"][0]
    assert (Path(again["bundle"]).read_bytes(), Path(again["entry"]).read_bytes()) == first


def test_only_what_counts_is_published(tmp_path: Path) -> None:
    made = run(tmp_path, write_adapter(tmp_path), options={"base_url": "http://canary-box.lan:9/v1"})
    manifest = json.loads((made.folder / "manifest.json").read_text())
    manifest["starts"][0]["command"] += ["--prices", "/home/canary/prices.toml"]
    manifest["starts"][0]["price"] = {
        "input": 1.0,
        "output": 1.0,
        "cached_input": None,
        "date": "2026-01-31",
        "origin": "/home/canary/prices.toml",
    }
    (made.folder / "manifest.json").write_text(json.dumps(manifest))
    log = made.folder / "responses.jsonl"
    first, *others = log.read_text().splitlines()
    thoughtful = {
        **json.loads(first),
        "reasoning": "canary: let me think",
        "error": "canary: slow",
        "extra": "canary",
    }
    old = {**thoughtful, "request": "0" * 64, "text": "canary: to another prompt"}
    log.write_text("".join(f"{line}\n" for line in [json.dumps(old), json.dumps(thoughtful), *others]))
    (made.folder / "private.jsonl").write_text("canary\n")
    opened = nb.open_run(made.folder, settings=settings(tmp_path))
    record = submitted(tmp_path, opened)["submitted"][0]
    members = contents(record["bundle"])
    everything = b"".join([*members.values(), Path(record["entry"]).read_bytes(), *map(str.encode, members)])
    assert b"canary" not in everything
    assert str(tmp_path).encode() not in everything
    assert json.loads(members["manifest.json"])["starts"][0]["price"]["origin"] == "prices.toml"
    assert len(members["responses.jsonl"].splitlines()) == 68


def test_a_key_in_an_answer_stops_the_submission_and_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run(tmp_path, write_adapter(tmp_path), options={"note": "sk-canary/1234"})
    monkeypatch.setenv("ACME_API_KEY", "sk-canary/1234")
    with pytest.raises(NovaBenchError, match="would hold the value of ACME_API_KEY") as raised:
        submitted(tmp_path, made)
    assert "sk-canary" not in str(raised.value)
    assert not [path for path in (tmp_path / "board").rglob("*") if path.is_file()]
    log = made.folder / "responses.jsonl"
    monkeypatch.setenv("ACME_API_KEY", 'key "of" ümläuts')
    first, *others = log.read_text().splitlines()
    said = {**json.loads(first), "text": 'it is key "of" ümläuts'}
    log.write_text("".join(f"{line}\n" for line in [json.dumps(said), *others]))
    with pytest.raises(NovaBenchError, match=r"responses\.jsonl would hold the value of ACME_API_KEY"):
        submitted(tmp_path, nb.open_run(made.folder, settings=settings(tmp_path)))
    assert not [path for path in (tmp_path / "board").rglob("*") if path.is_file()]


def test_a_place_on_this_machine_in_a_document_stops_it(tmp_path: Path) -> None:
    made = run(tmp_path, write_adapter(tmp_path), options={"note": f"see {tmp_path / 'run'}"})
    with pytest.raises(NovaBenchError, match="would hold the run's folder"):
        submitted(tmp_path, made)


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nb.Run]:
    """A run on a built folder of gated data."""
    home = tmp_path_factory.mktemp("gated")
    data = make_built(home / "set", patients=60)
    return home, run(home, write_adapter(home), "fmbench_vqa", data=str(data))


def test_of_gated_data_nothing_tells_whose_the_rows_are(gated: tuple[Path, nb.Run]) -> None:
    home, made = gated
    record = submitted(home, made)["submitted"][0]
    assert not record["with_answers"]
    assert Path(record["entry"]) == home / "board" / "entries" / "acme" / "fmbench_vqa.json"
    members = contents(record["bundle"])
    assert set(members) == {
        "bundle.json",
        "manifest.json",
        "report.json",
        "fairness.json",
        "pairing.json",
        "rows.jsonl",
    }
    bundle = json.loads(members["bundle.json"])
    validate("bundle", bundle)
    assert (bundle["masked"], bundle["with_answers"], bundle["data"]["gated"]) == (True, False, True)
    everything = b"".join(members.values()) + Path(record["entry"]).read_bytes()
    for canary in (
        b"p0003",
        b"p0003-q1",
        b"glaucoma stage",
        b"What does the",
        b"cup-to-disc ratio of 0.",
        b"hyperintense",
    ):
        assert canary not in everything, canary
    header, *lines = (json.loads(line) for line in members["rows.jsonl"].splitlines())
    pairing = json.loads(members["pairing.json"])
    named = json.dumps([[line["id"], line["repeat"], line["cluster"]] for line in lines])
    assert pairing["lines"] == hashlib.sha256(named.encode()).hexdigest()[:16]
    assert pairing["clusters"] == 60
    assert header["groups"] == []
    assert [lines[0]["id"], lines[0]["cluster"], lines[-1]["id"]] == ["s001", "c01", "s180"]
    assert {json.dumps(line["groups"]) for line in lines} == {"[]"}
    assert patient(0)["race"] not in members["rows.jsonl"].decode()
    entry = json.loads(Path(record["entry"]).read_text())
    validate("entry", entry)
    races = next(one for one in entry["fairness"]["comparisons"] if one["attribute"] == "race")
    assert set(races["groups"]) == {"white", "black", "asian"}


def test_of_gated_data_answers_are_there_where_the_submitter_says_so(gated: tuple[Path, nb.Run]) -> None:
    home, made = gated
    record = submitted(home, made, with_answers=True, out=home / "answers")["submitted"][0]
    members = contents(record["bundle"])
    assert len(members["responses.jsonl"].splitlines()) == 180
    assert json.loads(members["rows.jsonl"].splitlines()[0])["groups"] == []
    assert b"glaucoma stage" not in b"".join(members.values())
    assert json.loads(members["bundle.json"])["with_answers"]


def test_names_of_folders_are_safe_and_apart() -> None:
    names = [
        "openai:gpt-x",
        "openai-gpt-x",
        "OpenAI:gpt-x",
        "a/b",
        "a:b",
        "..",
        "ü",
        "x" * 300,
        "x" * 301,
        "con\n",
    ]
    slugs = [slug(name) for name in names]
    assert len({made.lower() for made in slugs}) == len(names)
    assert all(set(made) <= set("abcdefghijklmnopqrstuvwxyz0123456789._+=@,-") for made in slugs)
    assert all(len(made) < 100 and made[0] not in ".-" for made in slugs)
    assert str(entry_path("prior", "nova_caption", is_synthetic=False)) == "entries/prior/nova_caption.json"


def test_two_entries_of_one_place_are_refused(
    caption: tuple[Path, nb.Run, dict[str, Any]], tmp_path: Path
) -> None:
    home, made, record = caption
    other = run(tmp_path, home / "acme.py", "nova_caption", judges=[JUDGE], options={"size": "200"})
    (told,) = missing(submitted(tmp_path, other, out=home / "board"))
    assert "same model with other options" in told
    assert "--replace" in told
    kept = Path(record["entry"]).read_bytes()
    assert submitted(tmp_path, other, out=home / "board", replace=True)["submitted"]
    assert Path(record["entry"]).read_bytes() != kept
    assert submitted(home, made, replace=True)["submitted"]
    assert Path(record["entry"]).read_bytes() == kept
    with pytest.raises(nb.UsageError, match="which is one entry"):
        nb.submit([made, other], out=tmp_path / "board")
