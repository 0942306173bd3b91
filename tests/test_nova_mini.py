"""NOVA-mini: its schema, its traps, its size, and that its script still builds what is committed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pq = pytest.importorskip("pyarrow.parquet")

FOLDER = Path(__file__).resolve().parent.parent / "tasks" / "data" / "nova_mini"
SIZE = 480
COLUMNS = ["filename", "case_id", "scan_id", "caption_text", "image_path", "meta", "bboxes"]


def read(folder: Path) -> list[dict[str, Any]]:
    """Read the annotations under `folder`, in the file's order."""
    return pq.read_table(folder / "data" / "nova-v1.parquet").to_pylist()


def gold(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the consensus boxes of a row."""
    return [box for box in row["bboxes"] or () if box["source"] == "gold"]


def pixels(folder: Path, row: dict[str, Any]) -> np.ndarray:
    """Decode a row's image."""
    with Image.open(folder / row["image_path"]) as image:
        assert (image.size, image.mode, image.format) == ((SIZE, SIZE), "L", "PNG")
        return np.asarray(image)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """The committed annotations."""
    return read(FOLDER)


def test_schema() -> None:
    schema = pq.read_schema(FOLDER / "data" / "nova-v1.parquet")
    assert schema.names == COLUMNS
    box = schema.field("bboxes").type.value_type
    assert [(f.name, str(f.type)) for f in box] == [
        *((name, "double") for name in ("x", "y", "width", "height")),
        ("source", "string"),
    ]
    meta = {f.name: str(f.type) for f in schema.field("meta").type}
    assert meta == dict.fromkeys(
        ("clinical_history", "final_diagnosis", "synthetic", "lesion_kind"), "string"
    )


def test_counts(rows: list[dict[str, Any]]) -> None:
    assert len(rows) == 68
    clusters = Counter(row["case_id"] for row in rows)
    assert len(clusters) == 33
    assert set(clusters.values()) == {1, 2, 3, 4}
    assert len({row["filename"] for row in rows}) == len(rows)
    assert len({row["meta"]["lesion_kind"] for row in rows} - {"normal"}) >= 8
    assert len({row["meta"]["final_diagnosis"] for row in rows}) >= 20


def test_names(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert row["filename"] == f"{row['case_id']}_{row['scan_id']}.png"
        assert row["image_path"] == f"images/{row['filename']}"
        assert row["meta"]["synthetic"].startswith("Synthetic")


def test_row_order_is_a_trap(rows: list[dict[str, Any]]) -> None:
    names = [row["filename"] for row in rows]
    in_place = sum(a == b for a, b in zip(names, sorted(names), strict=True))
    assert in_place < len(names) / 10


def test_files_are_those_of_the_table(rows: list[dict[str, Any]]) -> None:
    on_disk = {f"images/{f.name}" for f in (FOLDER / "images").iterdir()}
    assert on_disk == {row["image_path"] for row in rows}


def test_images(rows: list[dict[str, Any]]) -> None:
    seen = set()
    for row in rows:
        image = pixels(FOLDER, row)
        assert image[0, 0] == 0
        assert image.max() > 100
        seen.add(image.tobytes())
    assert len(seen) == len(rows)


def test_size() -> None:
    files = [f for f in FOLDER.rglob("*") if f.is_file() and "__pycache__" not in f.parts]
    assert sum(f.stat().st_size for f in files) <= 3_000_000


def test_boxes(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        for box in row["bboxes"] or ():
            assert box["source"] == "gold" or box["source"].startswith("rater")
            assert box["width"] >= 4
            assert box["height"] >= 4
            assert min(box["x"], box["y"]) >= 0
            assert max(box["x"] + box["width"], box["y"] + box["height"]) <= SIZE


def test_annotation_traps(rows: list[dict[str, Any]]) -> None:
    annotated = [row for row in rows if row["bboxes"] is not None]
    assert len(rows) - len(annotated) == 5
    assert sum(not gold(row) for row in annotated) == 2  # raters only
    assert all(row["bboxes"] for row in annotated)
    by_count = Counter(len(gold(row)) for row in annotated)
    assert by_count[1] > len(rows) / 2
    assert max(by_count) in range(2, 6)
    assert any(row["bboxes"][0]["source"] != "gold" for row in annotated if gold(row))


def test_gold_boxes_hold_something(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        image = pixels(FOLDER, row)
        for box in gold(row):
            x, y, w, h = (int(box[key]) for key in ("x", "y", "width", "height"))
            assert image[y : y + h, x : x + w].std() > 3


def test_texts(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        caption, meta = row["caption_text"], row["meta"]
        assert 20 < len(caption) < 300
        assert any(plane in caption.lower() for plane in ("axial", "coronal", "sagittal"))
        assert any(word in caption for word in ("T1", "T2", "FLAIR", "DWI", "diffusion"))
        assert len(meta["clinical_history"]) > 40
        leak = meta["final_diagnosis"].lower()
        assert leak not in meta["clinical_history"].lower()
        assert leak not in caption.lower()
    assert len({row["meta"]["clinical_history"] for row in rows}) == len({row["case_id"] for row in rows})


def test_normal_images_say_so(rows: list[dict[str, Any]]) -> None:
    normal = [
        row
        for row in rows
        if "no abnormal" in row["caption_text"].lower() or row["meta"]["lesion_kind"] == "normal"
    ]
    assert normal
    assert all(row["bboxes"] is None for row in normal)


def test_licence_travels() -> None:
    notice = " ".join((FOLDER / "LICENSE-MNI.txt").read_text(encoding="utf-8").split())
    assert "Copyright (C) 1993-2004 Louis Collins, McConnell Brain Imaging Centre, Montreal" in notice
    assert "provided that the above copyright notice appear in all copies" in notice
    assert "Synthetic" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_script_builds_what_is_committed(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    """Rebuild the first cases twice: the two agree to the byte, and with the committed files to rounding."""
    pytest.importorskip("nilearn")
    pytest.importorskip("scipy")
    for name in ("a", "b"):
        command = [sys.executable, str(FOLDER / "build.py"), "--out", str(tmp_path / name), "--cases", "3"]
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
        subprocess.run(command, check=True, capture_output=True, env=environment)
    again = read(tmp_path / "a")
    assert len(again) >= 3
    parquet = Path("data") / "nova-v1.parquet"
    assert (tmp_path / "a" / parquet).read_bytes() == (tmp_path / "b" / parquet).read_bytes()
    committed = {row["filename"]: row for row in rows}
    for row in again:
        path = row["image_path"]
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()
        old = committed[row["filename"]]
        # Other versions of NumPy and SciPy may round otherwise, by one grey level or one native pixel.
        assert np.mean(pixels(tmp_path / "a", row) != pixels(FOLDER, old)) < 1e-3
        assert {k: row[k] for k in COLUMNS[:-1]} == {k: old[k] for k in COLUMNS[:-1]}
        assert [b["source"] for b in gold(row)] == [b["source"] for b in gold(old)]
        for new_box, old_box in zip(gold(row), gold(old), strict=True):
            for key in ("x", "y", "width", "height"):
                assert new_box[key] == pytest.approx(old_box[key], abs=4)
