"""Builds FMBench-mini: synthetic fundus pictures with questions, answers and notes, in the layout of the FMBench tasks.

Run as `python tasks/data/fmbench_mini/build.py [--out FOLDER] [--patients N]`. Needs numpy, scipy, pillow and pyarrow; no
network. The result depends on `patients.SEED` alone.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fundus import render
from patients import PATIENTS, SEED, Patient, draw
from PIL import Image
from wording import ask, note

HERE = Path(__file__).resolve().parent
QUALITY = 80  # of the JPEG files: about 10 kB each

WHO = ("gender", "race", "ethnicity", "language", "age")
DEMOGRAPHICS = [*((name, pa.string()) for name in WHO[:-1]), ("age", pa.int64())]
VQA = pa.schema(
    [
        *(
            (name, pa.string())
            for name in ("id", "patient_id", "image_path", "category", "question", "answer")
        ),
        *DEMOGRAPHICS,
    ]
)
REPORT = pa.schema(
    [*((name, pa.string()) for name in ("id", "patient_id", "image_path", "report")), *DEMOGRAPHICS]
)

Rows = list[dict[str, Any]]


def rows_of(patient: Patient) -> tuple[Rows, Rows]:
    """Return a patient's lines of the two tables: questions, report."""
    rng = np.random.default_rng([SEED, 4, int(patient.id[1:])])
    shared = {"patient_id": patient.id, "image_path": f"images/{patient.id}.jpg"}
    who = {name: getattr(patient, name) for name in WHO}
    report = {"id": patient.id, **shared, "report": note(patient.findings, rng), **who}
    questions = [
        {
            "id": f"{patient.id}-q{number}",
            **shared,
            "category": category,
            "question": question,
            "answer": answer,
            **who,
        }
        for number, (category, question, answer) in enumerate(ask(patient.findings, rng), start=1)
    ]
    return questions, [report]


def build(out: Path, patients: int = PATIENTS) -> tuple[Rows, Rows]:
    """Write the tables, always whole, and the pictures of the first patients under `out`; return the rows."""
    (out / "images").mkdir(parents=True, exist_ok=True)
    for old in (out / "images").glob("*.jpg"):
        old.unlink()
    everybody = draw()
    for patient in everybody[:patients]:
        picture = render(patient.findings, np.random.default_rng([SEED, 3, int(patient.id[1:])]))
        Image.fromarray(picture).save(
            out / "images" / f"{patient.id}.jpg", "JPEG", quality=QUALITY, optimize=True
        )
    tables: tuple[Rows, Rows] = ([], [])
    for patient in everybody:
        for table, rows in zip(tables, rows_of(patient), strict=True):
            table.extend(rows)
    for number, (name, schema, rows) in enumerate((("vqa", VQA, tables[0]), ("report", REPORT, tables[1]))):
        # Rows do not come patient by patient: what relies on the order must come out wrong.
        order = np.random.default_rng([SEED, 5, number]).permutation(len(rows))
        table = pa.Table.from_pylist([rows[i] for i in order], schema=schema)
        pq.write_table(table, out / f"{name}.parquet", compression="zstd", store_schema=False)
    return tables


def main() -> None:
    """Build the set and print its size and counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to (default: this script's)")
    parser.add_argument(
        "--patients", type=int, default=PATIENTS, help="draw the pictures of the first N alone"
    )
    arguments = parser.parse_args()
    questions, reports = build(arguments.out, arguments.patients)
    files = [f for f in arguments.out.rglob("*") if f.is_file() and "__pycache__" not in f.parts]
    lines = [
        f"{len(reports)} patients, {len(questions)} questions, {sum(f.stat().st_size for f in files) / 1e6:.2f} MB in all",
        *(f"{name}: {dict(Counter(row[name] for row in reports))}" for name in WHO[:-1]),
        f"age unknown: {sum(row['age'] is None for row in reports)}",
        f"category: {dict(Counter(row['category'] for row in questions))}",
        *(f"  {answer}: {n}" for answer, n in Counter(row["answer"] for row in questions).most_common()),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
