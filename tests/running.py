"""What the tests of whole runs share: a small data set in the hub's layout, and the command line as a process."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image as Pillow

import nova_bench

SECRETS = ("OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "ANTHROPIC_API_KEY", "HF_TOKEN")
SIZE = 48
KINDS = ("glioma", "cavernoma", "abscess", "meningioma")


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return an environment in which nothing of the user's is read, and no hub is reached."""
    kept = {key: value for key, value in os.environ.items() if key not in SECRETS}
    return {
        **kept,
        "HF_HUB_OFFLINE": "1",
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "PYTHONPATH": str(Path(nova_bench.__file__).parent.parent),
        "COLUMNS": "160",
        **more,
    }


def command(*words: str | Path) -> list[str]:
    """Return the command line of nova-bench with this interpreter."""
    return [sys.executable, "-m", "nova_bench", *map(str, words)]


def nova(
    home: Path,
    *words: str | Path,
    env: Mapping[str, str] | None = None,
    before: Callable[[], None] | None = None,
    timeout: float = 120,
) -> subprocess.CompletedProcess[str]:
    """Run nova-bench as a process of its own, in the folder `home`."""
    return subprocess.run(
        command(*words),
        cwd=home,
        env=environment(home, **(env or {})),
        capture_output=True,
        text=True,
        timeout=timeout,
        preexec_fn=before,
    )


def settings(home: Path) -> nova_bench.Settings:
    """Return the same for runs in this process."""
    return nova_bench.Settings(cache=home / "cache" / "nova_bench", config=home / "config" / "nova_bench")


def make_set(folder: Path, cases: Sequence[int], seed: int = 0) -> Path:
    """Write a data set in the hub's layout: `cases[i]` images of case i, no two alike, in a shuffled order."""
    dice = random.Random(seed)
    (folder / "images").mkdir(parents=True)
    (folder / "data").mkdir()
    rows: list[dict[str, Any]] = []
    for case, count in enumerate(cases):
        for scan in range(count):
            name = f"case{case:04d}_{scan:03d}.png"
            Pillow.frombytes("L", (SIZE, SIZE), dice.randbytes(SIZE * SIZE)).save(folder / "images" / name)
            x, y = dice.randint(0, 20), dice.randint(0, 20)
            boxes = [
                {"x": float(x), "y": float(y), "width": 16.0, "height": 12.0, "source": "gold"},
                {"x": float(x + 1), "y": float(y), "width": 15.0, "height": 12.0, "source": "rater_1"},
            ]
            rows.append(
                {
                    "filename": name,
                    "case_id": f"case{case:04d}",
                    "scan_id": f"{scan:03d}",
                    "caption_text": f"Axial {'T2' if case % 2 else 'FLAIR'} image with a hyperintense lesion.",
                    "image_path": f"images/{name}",
                    "meta": {
                        "clinical_history": f"Headache for {case + 2} days.",
                        "final_diagnosis": KINDS[case % len(KINDS)],
                    },
                    "bboxes": boxes,
                }
            )
    dice.shuffle(rows)
    pq.write_table(pa.Table.from_pylist(rows), folder / "data" / "nova-v1.parquet")
    return folder


def truth(folder: Path) -> dict[str, list[list[float]]]:
    """Return each sample's true boxes: corners, px."""
    rows = pq.read_table(folder / "data" / "nova-v1.parquet").to_pylist()
    return {
        row["filename"]: [
            [box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]]
            for box in row["bboxes"]
            if box["source"] == "gold"
        ]
        for row in rows
    }


def log_of(run: Path) -> list[dict[str, Any]]:
    """Return the records of a run's log; a last line without its newline is left out."""
    path = run / "responses.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def final_ids(run: Path) -> set[str]:
    """Return the requests whose answers are in a run's log."""
    return {record["id"] for record in log_of(run) if record["finish"] != "error"}


def cell(document: Mapping[str, Any], metric: str, name: str = "all") -> dict[str, Any]:
    """Return the one cell of a report."""
    (found,) = (cell for cell in document["cells"] if cell["metric"] == metric and cell["slice"] == name)
    return found
