"""Harvard-FairVLMed as its owners ship it: layouts, codes, damage, the hub, and that notes stay where they are."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import loopback
import numpy as np
import PIL.Image
import pytest
from fmbench_set import make_built, note_of, patient, write_npz
from loopback_hub import LoopbackHub
from running import nova, settings

import nova_bench as nb
from nova_bench.array_images import ArrayImage
from nova_bench.data import Data, open_data
from nova_bench.hosted import sends_to_vendor
from nova_bench.images import DigestIndex

REPORT = nb.load_task("fmbench_report")


def opened(tmp_path: Path, folder: Path, **more: Any) -> Data:
    places = {name: tmp_path / name for name in ("content", "cache", "config")}
    return open_data(REPORT.data, str(folder), **places, **more)


def summary(uses: dict[str, str], use: str = "use") -> str:
    """Return a summary with the columns that the owners describe, notes with line breaks and quotes among them."""
    lines = [f"filename,age,gender,note,gpt4_summary,{use}"]
    lines += [
        f'{name},50,0,"A ""quoted"" note,\nwith a CANARY line {"x" * 3000}",short,{split}'
        for name, split in uses.items()
    ]
    return "\n".join(lines) + "\n"


def ship(folder: Path, layout: str) -> Path:
    """Write six patients, of whom 4 and 5 are for testing, in one of the known layouts."""
    names = [f"data_{i:05d}.npz" for i in range(6)]
    parts = ["Training", "Training", "Training", "Validation", "Test", "Test"]
    words = {"Training": "training", "Validation": "validation", "Test": "test"}
    inner = [""] * 6
    if layout in ("folders", "folders without summary", "summary in ReadMe", "Testing"):
        inner = [
            f"{part}/".replace("Test/", "Testing/" if layout == "Testing" else "Test/") for part in parts
        ]
    elif layout == "split_files":
        inner = ["data/"] * 6
    for i, name in enumerate(names):
        write_npz(folder / inner[i] / name, i)
    uses = dict(zip(names, (words[part] for part in parts), strict=True))
    if layout in ("folders", "flat", "Testing"):
        (folder / "data_summary.csv").write_text(summary(uses))
    if layout == "summary in ReadMe":
        (folder / "ReadMe").mkdir()
        (folder / "ReadMe" / "data_summary.csv").write_text(summary(uses))
    if layout == "split_files":
        (folder / "split_files.csv").write_text(summary(uses, "file_type"))
    if layout == "flat without use":
        (folder / "data_summary.csv").write_text("filename,age\n" + "".join(f"{name},50\n" for name in names))
    return folder


# Layouts and splits


@pytest.mark.parametrize(
    "layout", ["folders", "folders without summary", "summary in ReadMe", "Testing", "flat", "split_files"]
)
def test_test_patients_are_found_in_every_known_layout(tmp_path: Path, layout: str) -> None:
    data = opened(tmp_path, ship(tmp_path / "set", layout))
    rows = list(data.rows())
    assert [row["id"] for row in rows] == ["data_00004", "data_00005"]
    assert data.n_rows == 2
    assert {row["split"] for row in rows} == {"test"}
    assert [row["report"] for row in rows] == [note_of(4), note_of(5)]
    assert [data.image(row["image_path"]).size for row in rows] == [(24, 20)] * 2
    assert list(data.rows()) == rows


@pytest.mark.parametrize("layout", ["flat without summary", "flat without use"])
def test_all_patients_are_taken_where_no_split_is_known_and_the_split_says_so(
    tmp_path: Path, layout: str
) -> None:
    rows = list(opened(tmp_path, ship(tmp_path / "set", layout)).rows())
    assert len(rows) == 6
    assert {row["split"] for row in rows} == {"all"}


def test_the_summary_decides_over_the_folders(tmp_path: Path) -> None:
    folder = ship(tmp_path / "set", "folders")
    (folder / "data_summary.csv").write_text(summary({"data_00000": "Test ", "data_00005.npz": "training"}))
    assert [row["image_path"] for row in opened(tmp_path, folder).rows()] == ["Training/data_00000.npz"]


def test_a_test_patient_whose_file_is_not_there_counts_as_failed(tmp_path: Path) -> None:
    folder = ship(tmp_path / "set", "folders")
    (folder / "Test" / "data_00004.npz").unlink()
    run = nb.evaluate(
        "fmbench_report",
        lambda request: "x",
        data=str(folder),
        out=tmp_path / "out",
        settings=settings(tmp_path),
    )
    assert list(run.scored.table.status) == ["failed", "ok"]
    assert "data_00004.npz is missing" in run.scored.reasons["data_00004"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"data_summary.csv": "filename,use\na.npz,training\n", "a.npz": None},
            "names no patient for testing: it has training",
        ),
        (
            {"Training/a.npz": None, "Test/a.npz": None},
            r"patient a\.npz is there twice, as Test/a\.npz and Training/a\.npz",
        ),
        (
            {"data_summary.csv": "filename,age\n"},
            "holds no NPZ files; expected a folder with data_summary.csv",
        ),
        ({"data_summary.csv": 'filename,use\n"a', "a.npz": None}, "data_summary.csv is no readable CSV file"),
        (
            {"other.txt": "x"},
            r"report\.parquet is missing(.|\n)*or as its owners ship it: a folder with data_summary.csv",
        ),
    ],
)
def test_folders_that_cannot_be_read_say_why(
    tmp_path: Path, files: dict[str, str | None], message: str
) -> None:
    folder = tmp_path / "set"
    for i, (name, text) in enumerate(files.items()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text) if text is not None else write_npz(folder / name, i)
    with pytest.raises(nb.DataError, match=message):
        opened(tmp_path, folder)


# Codes


def test_codes_become_the_words_of_the_groups(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for i in range(20):
        write_npz(folder / f"data_{i:05d}.npz", i)
    rows = list(opened(tmp_path, folder).rows())
    names = ("gender", "race", "ethnicity", "language", "age")
    assert [{name: row[name] for name in names} for row in rows] == [
        {name: patient(i)[name] for name in names} for i in range(20)
    ]
    assert None in {row["ethnicity"] for row in rows}
    assert None in {row["age"] for row in rows}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"race": 3}, "race is 'code 3'; expected asian, black, white"),
        ({"gender": 0.5}, "gender is 'code 0.5'; expected female, male"),
        ({"language": "English"}, "language is 'code English'"),
        ({"ethnicity": float("nan")}, "ethnicity is 'code nan'"),
        ({"age": "old"}, "age is 'old'; expected years"),
        ({"age": 200}, "age is 200; expected years from 0 to 130"),
        ({"note": None}, "data_00001.npz has no field note; it has age, ethnicity, gender"),
        ({"race": None}, "data_00001.npz has no field race"),
        ({"note": "  "}, "no report"),
        ({"note": 7}, "its note is a int; expected a text"),
        ({"note": np.array(["a", "b"])}, "no readable NPZ file in its field 'note' (ValueError)"),
        ({"slo_fundus": np.zeros(5)}, "expected numbers, (height, width) or (height, width, 3)"),
        ({"slo_fundus": np.array([["a"]])}, "is an array of <U1"),
        ({"slo_fundus": None}, "has no array 'slo_fundus'"),
    ],
)
def test_a_file_that_cannot_be_used_fails_alone(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    folder = tmp_path / "set"
    write_npz(folder / "data_00000.npz", 0)
    write_npz(folder / "data_00001.npz", 1, **changes)
    run = nb.evaluate(
        "fmbench_report", lambda request: request.images[0].array().shape and "x", data=str(folder), out=tmp_path / "out",
        settings=settings(tmp_path),
    )  # fmt: skip
    assert list(run.scored.table.status) == ["ok", "failed"]
    assert reason in run.scored.reasons["data_00001"]
    assert "CANARY" not in str(run.scored.reasons)


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "no zip", "pickle", "wrong checksum"])
def test_a_damaged_file_fails_alone(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "set"
    for i in range(2):
        write_npz(folder / f"data_{i:05d}.npz", i)
    path = folder / "data_00001.npz"
    whole = path.read_bytes()
    if damage == "pickle":
        fields = dict(np.load(path))
        np.savez(path, **{**fields, "note": np.array(note_of(1), dtype=object)})
    elif damage == "no zip":
        np.save(io_file := io.BytesIO(), np.zeros(3))
        path.write_bytes(io_file.getvalue())
    else:
        spot = whole.index(b"note.npy") + 60
        changed = whole[:spot] + bytes(255 - byte for byte in whole[spot : spot + 40]) + whole[spot + 40 :]
        path.write_bytes(
            {
                "empty": b"",
                "text": b"CANARY note",
                "cut": whole[: len(whole) // 2],
                "wrong checksum": changed,
            }[damage]
        )
    run = nb.evaluate(
        "fmbench_report",
        lambda request: "x",
        data=str(folder),
        out=tmp_path / "out",
        settings=settings(tmp_path),
    )
    assert list(run.scored.table.status) == ["ok", "failed"]
    assert "data_00001.npz is no readable NPZ file" in run.scored.reasons["data_00001"]
    assert "CANARY" not in str(run.scored.reasons)


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    folder = ship(tmp_path / "set", "flat without summary")
    write_npz(tmp_path / "elsewhere.npz", 9)
    (folder / "data_00009.npz").symlink_to(tmp_path / "elsewhere.npz")
    data = opened(tmp_path, folder)
    rows = {row["id"]: row for row in data.rows()}
    assert "report" not in rows["data_00009"]
    with pytest.raises(nb.DataError, match="leads out of the data set by a link"):
        data.image("data_00009.npz")


def test_a_note_of_100_kb_is_read_and_scored(tmp_path: Path) -> None:
    write_npz(tmp_path / "set" / "data_00000.npz", 0, note="The disc is pale. " * 6000)
    run = nb.evaluate(
        "fmbench_report",
        lambda request: "The disc is pale.",
        data=str(tmp_path / "set"),
        out=tmp_path / "out",
        settings=settings(tmp_path),
    )
    assert list(run.scored.table.status) == ["ok"]


def test_memory_does_not_grow_with_the_patients(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        folder = tmp_path / f"set{count}"
        for i in range(count):
            write_npz(
                folder / f"data_{i:05d}.npz",
                i,
                note=f"{i:02d} " * 130_000,
                slo_fundus=np.zeros((600, 500), np.uint8),
            )
        data = opened(tmp_path, folder)
        list(zip(range(1), data.rows(), strict=False))
        tracemalloc.start()
        for row in data.rows():
            data.image(row["image_path"]).size  # noqa: B018
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    few, many = peak(5), peak(50)
    assert many < few + 1_000_000  # 45 more notes alone are 45 times 390 kB


# Pictures


@pytest.mark.parametrize(
    ("array", "shown"),
    [
        (np.array([[0, 7], [200, 255]], np.uint8), [[0, 7], [200, 255]]),
        (np.array([[0, 7], [200, 255]], np.float32), [[0, 7], [200, 255]]),
        (np.array([[0, 7], [200, 255]], np.int64), [[0, 7], [200, 255]]),
        (np.array([[0.0, 0.5], [1.0, 0.25]]), [[0, 128], [255, 64]]),
        (np.array([[0, 1000], [2000, 500]], np.uint16), [[0, 128], [255, 64]]),
        (np.array([[np.nan, 10], [10, 20]]), [[10, 10], [10, 20]]),
        (np.array([[np.inf, 0.0], [0.5, 1.0]]), [[255, 0], [128, 255]]),
        (np.array([[False, True]]), [[0, 255]]),
        (np.full((2, 2), 0.3), [[0, 0], [0, 0]]),
        (np.array([[[9], [8]]], np.uint8), [[9, 8]]),
        (np.asfortranarray(np.array([[1, 2, 3], [4, 5, 6]], np.uint8)), [[1, 2, 3], [4, 5, 6]]),
    ],
)  # fmt: skip
def test_arrays_are_shown_by_the_rules(tmp_path: Path, array: np.ndarray, shown: list[list[int]]) -> None:
    np.savez(tmp_path / "a.npz", slo_fundus=array)
    image = ArrayImage(tmp_path / "a.npz", "slo_fundus")
    if np.isnan(array.astype(float)).any():
        shown[0][0] = 0  # what is no number is black
    assert image.array().tolist() == shown
    assert image.size == (array.shape[1], array.shape[0])
    data, media_type = image.sendable()
    assert media_type == "image/png"
    assert np.asarray(PIL.Image.open(io.BytesIO(data))).tolist() == shown


def test_rgb_arrays_stay_rgb(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    np.savez(tmp_path / "a.npz", slo_fundus=array)
    assert ArrayImage(tmp_path / "a.npz", "slo_fundus").array().tolist() == array.tolist()


def test_digest_is_of_the_array_alone(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    variants = {
        "a": {"slo_fundus": array, "note": "one"},
        "note": {"slo_fundus": array, "note": "another"},
        "order": {"slo_fundus": np.asfortranarray(array)},
        "shape": {"slo_fundus": array.reshape(3, 2)},
        "type": {"slo_fundus": array.astype(np.int16)},
        "endian": {"slo_fundus": array.astype(">i2")},
        "value": {"slo_fundus": array + 1},
    }
    digests = {}
    for name, fields in variants.items():
        np.savez_compressed(tmp_path / f"{name}.npz", **fields)
        digests[name] = ArrayImage(tmp_path / f"{name}.npz", "slo_fundus").digest
    assert digests["a"] == digests["note"] == digests["order"]
    assert digests["type"] == digests["endian"]
    assert len(set(digests.values())) == 4


def test_index_keeps_a_files_digest_and_its_arrays_apart(tmp_path: Path) -> None:
    write_npz(tmp_path / "a.npz", 0)
    os.utime(tmp_path / "a.npz", (1e9, 1e9))
    for _ in range(2):
        index = DigestIndex(tmp_path / "cache")
        whole, part = nb.Image(tmp_path / "a.npz"), ArrayImage(tmp_path / "a.npz", "slo_fundus")
        assert index.digest(whole) == nb.Image(tmp_path / "a.npz").digest
        assert index.digest(part) == ArrayImage(tmp_path / "a.npz", "slo_fundus").digest
        index.save()


def test_an_array_that_claims_to_be_huge_is_refused_before_it_is_read(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**6)}
    )
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("slo_fundus.npy", header.getvalue())
    image = ArrayImage(tmp_path / "a.npz", "slo_fundus")
    for read in (lambda: image.size, image.array, lambda: image.digest):
        with pytest.raises(nb.DataError, match=r"claims 1000000 x 1000000 pixels"):
            read()


# Pairs are not shipped


@pytest.mark.parametrize("where", ["full", "folder"])
def test_questions_on_the_shipped_form_name_the_build(tmp_path: Path, where: str) -> None:
    data = "full" if where == "full" else str(ship(tmp_path / "set", "folders"))
    with pytest.raises(
        nb.DataError, match=r"nova-bench build fmbench --source FAIRVLMED --writer ADAPTER:MODEL --out FOLDER"
    ):
        nb.evaluate(
            "fmbench_vqa", lambda request: "x", data=data, out=tmp_path / "out", settings=settings(tmp_path)
        )
    assert not (tmp_path / "out").exists()


# Gated data and vendors


@pytest.mark.parametrize(
    ("options", "leaves"),
    [
        ({}, True),
        ({"base_url": "https://api.example.com/v1", "key_env": "none"}, True),
        ({"base_url": "http://8.8.8.8/v1", "key_env": "none"}, True),
        ({"base_url": "http://[2001:4860:4860::8888]/v1", "key_env": "none"}, True),
        ({"base_url": "http://127.0.0.1:9/v1"}, False),
        ({"base_url": "http://localhost/v1"}, False),
        ({"base_url": "http://[::1]:9/v1"}, False),
        ({"base_url": "http://10.1.2.3:9/v1"}, False),
        ({"base_url": "http://vllm.internal/v1"}, False),
    ],
)
def test_the_address_says_whether_requests_leave_the_house(
    options: dict[str, str], leaves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    assert sends_to_vendor(nb.load_model("openai:m", options)) == leaves


@pytest.mark.parametrize("data", ["shipped", "built", "full"])
def test_gated_data_go_to_a_vendor_only_if_allowed(tmp_path: Path, data: str) -> None:
    folder = {"full": "full"}.get(data) or (
        ship(tmp_path / "set", "flat") if data == "shipped" else make_built(tmp_path / "set", 2)
    )
    env = {"OPENAI_API_KEY": "sk-none", "HF_HOME": str(tmp_path / "hf")}
    words = (
        "run",
        "fmbench_report",
        "--data",
        folder,
        "--model",
        "openai:m",
        "--out",
        "out",
        "--accept-license",
    )
    done = nova(tmp_path, *words, env=env)
    assert done.returncode == 2
    for part in (
        "--allow-hosted",
        "CC BY-NC-ND 4.0",
        "https://creativecommons.org/licenses/by-nc-nd/4.0/",
        "vendor",
    ):
        assert part in done.stderr
    assert not (tmp_path / "out").exists()
    allowed = nova(
        tmp_path, *words, "--allow-hosted", "--limit", "0", env=env
    )  # the next thing that is wrong stops it
    assert "--allow-hosted" not in allowed.stderr
    assert ("limit is 0" if data != "full" else "out of reach") in allowed.stderr


def test_a_card_that_sends_to_a_vendor_is_believed(tmp_path: Path) -> None:
    adapter = tmp_path / "mine.py"
    adapter.write_text(
        '# /// script\n# [tool.nova-bench]\n# sends = "vendor"\n# ///\n"""Mine."""\nimport nova_bench as nb\n\n\n'
        'def load():\n    return nb.each(lambda request: "x")\n'
    )
    folder = make_built(tmp_path / "set", 2)
    given = {"data": str(folder), "out": tmp_path / "out", "settings": settings(tmp_path)}
    with pytest.raises(nb.UsageError, match=r"allow_hosted=True"):
        nb.evaluate("fmbench_report", str(adapter), **given)
    assert nb.evaluate("fmbench_report", str(adapter), **given, allow_hosted=True).is_complete
    with pytest.raises(nb.UsageError, match="--allow-hosted"):
        nb.evaluate(
            "fmbench_report",
            nb.backends.OpenAIChat(model="m", base_url="https://8.8.8.8/v1", key_env="PATH"),
            **given,
        )


def test_data_that_are_not_gated_go_anywhere(tmp_path: Path) -> None:
    adapter = tmp_path / "mine.py"
    adapter.write_text(
        '# /// script\n# [tool.nova-bench]\n# sends = "vendor"\n# ///\n"""Mine."""\nimport nova_bench as nb\n\n\n'
        'def load():\n    return nb.each(lambda request: "x")\n'
    )
    run = nb.evaluate(
        "nova_caption", str(adapter), data="mini", limit=1, out=tmp_path / "out", settings=settings(tmp_path)
    )
    assert run.is_complete


# Notes stay where they are


def test_notes_are_in_nothing_that_a_run_writes(tmp_path: Path) -> None:
    folder = ship(tmp_path / "set", "folders")
    write_npz(folder / "Test" / "data_00005.npz", 5, race=9)
    with loopback.serve(loopback.Plan(first=("400", None), latency=0.0)) as (url, server):
        done = nova(
            tmp_path, "run", "fmbench_report", "--data", "set", "--model", "openai:m", "-o", f"base_url={url}", "--out", "out",
        )  # fmt: skip
        (body, *_) = server.stats.bodies
    assert b"image_url" in body
    assert b"CANARY" not in body
    assert done.returncode == 1
    assert "code 9" in done.stderr
    shutil.rmtree(folder)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"manifest.json", "responses.jsonl", "report.json"} <= {path.name for path in written}
    for path in written:
        assert b"CANARY" not in path.read_bytes()
    assert "CANARY" not in done.stdout + done.stderr


# The hub, through its real client in a process of its own


CLIENT = """
import json, sys
from pathlib import Path
sys.path[:0] = json.loads(sys.argv[1])
import nova_bench as nb
from nova_bench.data import open_data
source, root = nb.load_task("fmbench_report").data, Path(sys.argv[2])
try:
    data = open_data(source, "full", content=root, cache=root / "cache", config=root / "config", **json.loads(sys.argv[3]))
    rows = list(data.rows())
    result = {"revision": data.revision, "digest": data.digest, "rows": [row["id"] for row in rows],
              "sizes": [data.image(row["image_path"]).size for row in rows]}
except nb.NovaBenchError as error:
    result = {"error": str(error)}
print(json.dumps(result))
"""


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub("harvardairobotics/FairVLMed") as server:
        yield server


def client(
    hub: LoopbackHub, tmp_path: Path, *, env: dict[str, str] | None = None, **options: Any
) -> dict[str, Any]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    given = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
    }
    paths = json.dumps([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    words = [
        sys.executable,
        "-W",
        "error",
        "-c",
        CLIENT,
        paths,
        str(tmp_path),
        json.dumps({"accept_license": True, **options}),
    ]
    done = subprocess.run(
        words,
        env={**inherited, **given, **(env or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("layout", ["folders", "summary in ReadMe", "flat without summary"])
def test_hub_copy_gives_what_the_folder_gives_and_fetches_only_what_is_needed(
    hub: LoopbackHub, tmp_path: Path, layout: str
) -> None:
    folder = ship(tmp_path / "set", layout)
    commit = hub.commit({**files_of(folder), "README.md": b"not needed"})
    found = client(hub, tmp_path)
    there = opened(tmp_path, folder)
    assert found == {
        "revision": commit,
        "digest": there.digest,
        "rows": [row["id"] for row in there.rows()],
        "sizes": [[24, 20]] * there.n_rows,
    }
    assert hub.asked(".npz") == there.n_rows
    assert hub.asked("README.md") == 0
    hub.requests.clear()
    assert client(hub, tmp_path) == found
    assert hub.asked(".npz") == 0
    if layout != "flat without summary":  # only a summary tells without the hub whether all is there
        assert client(hub, tmp_path, env={"HF_HUB_OFFLINE": "1"}) == found
        assert client(hub, tmp_path, pinned=commit, env={"HF_HUB_OFFLINE": "1"}) == found


def test_hub_copy_is_gated(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.commit(files_of(ship(tmp_path / "set", "folders")))
    hub.gated, hub.granted = True, {"hf_granted"}
    stranger = client(hub, tmp_path)["error"]
    assert "(401)" in stranger
    assert "hf auth login" in stranger
    waiting = client(hub, tmp_path, env={"HF_TOKEN": "hf_waiting"})["error"]
    assert "(403)" in waiting
    assert f"Ask for access at {hub.url}/datasets/harvardairobotics/FairVLMed" in waiting
    assert client(hub, tmp_path, env={"HF_TOKEN": "hf_granted"})["rows"] == ["data_00004", "data_00005"]


def test_hub_copy_asks_for_the_licence_first(hub: LoopbackHub, tmp_path: Path) -> None:
    error = client(hub, tmp_path, accept_license=False)["error"]
    assert "CC BY-NC-ND 4.0" in error
    assert "--accept-license" in error
    assert hub.requests == []


def test_hub_copy_without_files_that_can_be_read_says_what_it_has(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.commit({"README.md": b"moved", "FairVLMed.zip": b"zip"})
    error = client(hub, tmp_path)["error"]
    assert "holds nothing that can be read (FairVLMed.zip, README.md)" in error
    assert "--data FOLDER" in error


def test_hub_copy_offline_and_unknown_names_the_ways_on(hub: LoopbackHub, tmp_path: Path) -> None:
    error = client(hub, tmp_path, env={"HF_HUB_OFFLINE": "1"})["error"]
    assert "out of reach (HF_HUB_OFFLINE is set)" in error
    assert "hf download harvardairobotics/FairVLMed" in error
