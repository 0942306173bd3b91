"""Builds NOVA-mini: synthetic brain-MRI slices with lesions, in the hub schema of NOVA.

Run as `python tasks/data/nova_mini/build.py [--out FOLDER]`. Needs nilearn (for the MNI template that it
carries), numpy, scipy and pyarrow; no network. The result depends on `SEED` alone.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from anatomy import Array, Patient, acquire, load_template, signal
from captions import caption
from cases import CASES, Case
from lesions import MAKERS, Lesion, paint
from numpy.typing import NDArray
from scipy import ndimage

HERE = Path(__file__).resolve().parent
SEED = 20250521
SIZE = 480
NOTE = "Synthetic: lesion painted into the MNI ICBM152 template; patient and text are invented."
AXIS = {"sagittal": 0, "coronal": 1, "axial": 2}
VISIBLE = 0.07  # least change of signal that a reader sees; grey-white contrast is about 0.15
VISIBLE_SUBTLE = 0.035

BOX = pa.struct(
    [
        ("x", pa.float64()),
        ("y", pa.float64()),
        ("width", pa.float64()),
        ("height", pa.float64()),
        ("source", pa.string()),
    ]
)
META = pa.struct(
    [
        ("clinical_history", pa.string()),
        ("final_diagnosis", pa.string()),
        ("synthetic", pa.string()),
        ("lesion_kind", pa.string()),
    ]
)
SCHEMA = pa.schema(
    [
        ("filename", pa.string()),
        ("case_id", pa.string()),
        ("scan_id", pa.string()),
        ("caption_text", pa.string()),
        ("image_path", pa.string()),
        ("meta", META),
        ("bboxes", pa.list_(BOX)),
    ]
)

Corners = tuple[int, int, int, int]


def visible_box(change: Array, threshold: float) -> Corners | None:
    """Returns the box (x0, y0, x1, y1; 480 px frame) around a visible change of signal, or None.

    Gaps up to three native pixels are bridged; pieces under a tenth of the largest are dropped as specks.
    """
    mask = ndimage.gaussian_filter(np.abs(change), 0.6) > threshold
    bridged = ndimage.binary_closing(np.pad(mask, 4), iterations=3)[4:-4, 4:-4]
    labels, n = ndimage.label(bridged, structure=np.ones((3, 3)))
    if n == 0:
        return None
    sizes = ndimage.sum(mask, labels, index=range(1, n + 1))
    if sizes.max() < 18:
        return None
    keep = np.isin(labels, 1 + np.flatnonzero(sizes >= 0.1 * sizes.max())) & mask
    rows, columns = np.flatnonzero(keep.any(axis=1)), np.flatnonzero(keep.any(axis=0))
    return 2 * int(columns[0]), 2 * int(rows[0]), 2 * int(columns[-1] + 1), 2 * int(rows[-1] + 1)


def merge(boxes: list[Corners]) -> list[Corners]:
    """Unites boxes that overlap by more than a third of the smaller one."""
    boxes = list(boxes)
    for i in range(len(boxes)):
        for j in range(i + 1, len(boxes)):
            a, b = boxes[i], boxes[j]
            width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
            smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
            if width > 0 and height > 0 and width * height > smaller / 3:
                united = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
                return merge([*(box for k, box in enumerate(boxes) if k not in (i, j)), united])
    return sorted(boxes)


def as_record(corners: tuple[float, ...], source: str) -> dict[str, Any]:
    """Returns a box of the hub's schema."""
    x0, y0, x1, y1 = (float(c) for c in corners)
    return {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0, "source": source}


def annotate(gold: list[Corners], mode: str, rng: np.random.Generator) -> list[dict[str, Any]] | None:
    """Returns the annotations of an image: the consensus, and raters who draw a little off or miss one."""
    if mode in ("null", "normal"):
        return None
    records: list[dict[str, Any]] = []
    if mode != "alone":
        for rater in range(1, 2 + int(rng.random() < 0.85) + int(rng.random() < 0.1)):
            for corners in gold:
                if len(gold) > 1 and rng.random() < 0.15:
                    continue
                size = np.array([corners[2] - corners[0], corners[3] - corners[1]] * 2)
                drawn = np.round(np.array(corners) + rng.normal(0.0, 1.5 + 0.06 * size))
                drawn = np.clip(drawn, 0, SIZE)
                if drawn[2] - drawn[0] >= 6 and drawn[3] - drawn[1] >= 6:
                    records.append(as_record(tuple(drawn), f"rater{rater}"))
    if mode != "raters":
        # The consensus is not always first: a reader of the file has to look at `source`.
        at = int(rng.integers(0, 2)) * len(records)
        records[at:at] = [as_record(corners, "gold") for corners in gold]
    return records


def render(
    patient: Patient, case: Case, lesion: Lesion, spec: str, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], list[Corners]]:
    """Renders one slice and returns it with the boxes of the lesions that it shows."""
    plane, sequence, offset, mode = spec.split()
    centre = patient.locate(np.asarray(case.at, dtype=np.float32))
    q = patient.to_template(patient.slice_points(plane, float(centre[AXIS[plane]]) + float(offset)))
    tissues = patient.tissues(q)
    clean = signal(tissues, sequence, q)
    if mode == "normal":
        return acquire(clean, sequence, rng), []
    image, boxes = clean, []
    threshold = VISIBLE_SUBTLE if case.kind == "dysplasia" else VISIBLE
    for instance in lesion.instances:
        ground = paint(image, instance.halo, sequence, q, tissues)
        painted = paint(ground, instance.layers, sequence, q, tissues)
        box = visible_box(painted - (image if sequence in instance.halo_counts else ground), threshold)
        boxes += [box] if box else []
        image = painted
    return acquire(image, sequence, rng), merge(boxes)


def png(image: NDArray[np.uint8]) -> bytes:
    """Encodes an 8-bit grey image as PNG with the Paeth filter on each row, which suits smooth noise."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")

    height, width = image.shape
    padded = np.pad(image, ((1, 0), (1, 0))).astype(np.int16)
    left, up, corner = padded[1:, :-1], padded[:-1, 1:], padded[:-1, :-1]
    guess = left + up - corner
    to_left, to_up, to_corner = np.abs(guess - left), np.abs(guess - up), np.abs(guess - corner)
    paeth = np.where(
        (to_left <= to_up) & (to_left <= to_corner), left, np.where(to_up <= to_corner, up, corner)
    )
    rows = np.concatenate([np.full((height, 1), 4), (image - paeth) % 256], axis=1).astype(np.uint8)
    packer = zlib.compressobj(9, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    body = packer.compress(rows.tobytes()) + packer.flush()
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def build(out: Path, only: int | None = None) -> list[dict[str, Any]]:
    """Writes images and parquet under `out` and returns the rows; `only` limits the number of cases."""
    (out / "images").mkdir(parents=True, exist_ok=True)
    (out / "data").mkdir(parents=True, exist_ok=True)
    for old in (out / "images").glob("*.png"):
        old.unlink()
    load_template()
    order = np.random.default_rng([SEED, 0]).permutation(len(CASES))
    rows: list[dict[str, Any]] = []
    for number, index in enumerate(order[:only], start=1):
        case, rng = CASES[index], np.random.default_rng([SEED, 1, int(index)])
        lesion = MAKERS[case.kind](rng, **case.lesion) if case.kind in MAKERS else Lesion([])
        patient = Patient(rng, atrophy=case.atrophy, push=lesion.push)
        case_id = f"case{number:04d}"
        for scan, spec in enumerate(case.slices, start=1):
            plane, sequence, _, mode = spec.split()
            image, gold = render(patient, case, lesion, spec, rng)
            filename = f"{case_id}_{scan:03d}.png"
            (out / "images" / filename).write_bytes(png(image))
            rows.append(
                {
                    "filename": filename,
                    "case_id": case_id,
                    "scan_id": f"{scan:03d}",
                    "caption_text": caption(case, plane, sequence, mode == "normal", rng),
                    "image_path": f"images/{filename}",
                    "meta": {
                        "clinical_history": case.history,
                        "final_diagnosis": case.diagnosis,
                        "synthetic": NOTE,
                        "lesion_kind": case.kind,
                    },
                    "bboxes": annotate(gold, mode, rng),
                }
            )
    # As on the hub, rows are not in the order of file names: a join on row index must come out wrong.
    shuffled = [rows[i] for i in np.random.default_rng([SEED, 2]).permutation(len(rows))]
    table = pa.Table.from_pylist(shuffled, schema=SCHEMA)
    pq.write_table(table, out / "data" / "nova-v1.parquet", compression="zstd", store_schema=False)
    return shuffled


def main() -> None:
    """Builds the set and prints its size and counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to (default: this script's)")
    parser.add_argument("--cases", type=int, help="build only the first CASES cases")
    arguments = parser.parse_args()
    folder = arguments.out
    rows = build(folder, arguments.cases)
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file() and "__pycache__" not in f.parts)
    kinds = Counter(row["meta"]["lesion_kind"] for row in rows)
    gold = [sum(b["source"] == "gold" for b in row["bboxes"] or ()) for row in rows]
    lines = [
        f"{len(rows)} images of {len({row['case_id'] for row in rows})} cases, {size / 1e6:.2f} MB in all",
        f"gold boxes {sum(gold)}; images by number of gold boxes {dict(sorted(Counter(gold).items()))}",
        f"images without annotation {sum(row['bboxes'] is None for row in rows)}",
        f"distinct diagnoses {len({row['meta']['final_diagnosis'] for row in rows})}",
        *(f"  {kind}: {n}" for kind, n in sorted(kinds.items())),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
