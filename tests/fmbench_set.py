"""What the tests of FMBench share: a small built folder, and a small folder as the owners of Harvard-FairVLMed ship it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image as Pillow

CATEGORIES = ("diagnosis", "testing or treatment", "medical condition")
DEMOGRAPHICS = ("gender", "race", "ethnicity", "language", "age")
SCHEMA = pa.schema(
    [
        *(
            (name, pa.string())
            for name in ("id", "patient_id", "image_path", "category", "question", "answer")
        ),
        *((name, pa.string()) for name in ("gender", "race", "ethnicity", "language")),
        ("age", pa.int64()),
    ]
)
REPORT_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "patient_id", "image_path", "report")),
        *((name, pa.string()) for name in ("gender", "race", "ethnicity", "language")),
        ("age", pa.int64()),
    ]
)


def patient(i: int) -> dict[str, Any]:
    """Return the demographics of patient i; every seventh has no known ethnicity."""
    return {
        "gender": ("female", "male")[i % 2],
        "race": ("white", "white", "black", "asian")[i % 4],
        "ethnicity": None if i % 7 == 6 else ("non-hispanic", "hispanic")[i % 5 == 4],
        "language": ("english", "english", "spanish", "other")[i % 4],
        "age": None if i % 9 == 8 else 40 + 7 * (i % 8),
    }


def make_built(
    folder: Path, patients: int = 8, changes: Mapping[str, Mapping[str, Any]] | None = None
) -> Path:
    """Write a built folder: three questions and a report a patient.

    Args:
        folder: Where.
        patients: How many.
        changes: Row id to values over its own, in both tables.
    """
    dice = random.Random(0)
    (folder / "images").mkdir(parents=True)
    pairs, reports = [], []
    for i in range(patients):
        name = f"p{i:04d}"
        Pillow.frombytes("L", (24, 20), dice.randbytes(480)).save(folder / "images" / f"{name}.png")
        shared = {"patient_id": name, "image_path": f"images/{name}.png", **patient(i)}
        answers = (
            f"glaucoma stage {i % 3}",
            "visual field testing",
            f"a cup-to-disc ratio of 0.{i % 9 + 1} in this eye",
        )
        for q, (category, answer) in enumerate(zip(CATEGORIES, answers, strict=True), 1):
            row = {"id": f"{name}-q{q}", **shared, "category": category, "answer": answer}
            pairs.append({**row, "question": f"What does the {category} of this patient look like?"})
        reports.append(
            {
                "id": name,
                **shared,
                "report": f"Disc with a cup-to-disc ratio of 0.{i % 9 + 1}. Return in {i + 2} months.",
            }
        )
    for rows in (pairs, reports):
        for row in rows:
            row.update((changes or {}).get(row["id"], {}))
    pq.write_table(pa.Table.from_pylist(pairs, SCHEMA), folder / "vqa.parquet")
    pq.write_table(pa.Table.from_pylist(reports, REPORT_SCHEMA), folder / "report.parquet")
    return folder


def note_of(i: int) -> str:
    """Return the note of patient i, with a sentence that must be found nowhere else."""
    return (
        f"Follow-up of glaucoma suspect number {i}. Cup-to-disc ratio 0.{i % 9 + 1} in both eyes. "
        f"CANARY{i:05d} went sailing with a parrot. Plan: visual field testing and return in {i + 2} months."
    )


def write_npz(path: Path, i: int, **changes: Any) -> None:
    """Write patient i's file in the form in which the owners ship it; a change to None leaves the field out."""
    dice = np.random.default_rng(i)
    codes = patient(i)
    fields: dict[str, Any] = {
        "slo_fundus": dice.integers(0, 256, (20, 24), dtype=np.uint8),
        "md": -3.5,
        "tds": np.zeros(52),
        "age": -1 if codes["age"] is None else codes["age"],
        "gender": ("female", "male").index(codes["gender"]),
        "race": ("asian", "black", "white").index(codes["race"]),
        "ethnicity": -1
        if codes["ethnicity"] is None
        else ("non-hispanic", "hispanic").index(codes["ethnicity"]),
        "language": ("english", "spanish", "other").index(codes["language"]),
        "maritalstatus": 0,
        "glaucoma": i % 2,
        "note": note_of(i),
        "note_extra": f"A {codes['gender']} patient. {note_of(i)}",
        **changes,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path, **{name: np.asarray(value) for name, value in fields.items() if value is not None}
    )
