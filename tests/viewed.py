"""What the tests of the viewer share: sets and runs to look at, hostile ones too, and the data files of a page as Python values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from running import make_set, settings, truth

import nova_bench as nb
from nova_bench.run import Run

HOSTILE = (
    '<script>document.title = "taken"</script>',
    '"><img src=x onerror="document.title=\'taken\'">',
    "__proto__",
    "abc\u202edef\u2066ghi\x1b[31m",
    "</script><svg onload=alert(1)>",
    "{{ 7*7 }} ${7*7}",
    "名前 עברית é",
)


def read(path: Path) -> Any:
    """Return what a data file hands to the page."""
    written = path.read_text(encoding="ascii")
    found = re.fullmatch(r"nova\('([^']*)','(.*)'\)\n", written, re.DOTALL)
    assert found, written[:100]
    assert path.as_posix().endswith(f"/data/{found[1]}.js")
    return json.loads(re.sub(r"\\(.)", r"\1", found[2]))


def index_of(folder: Path) -> dict[str, Any]:
    """Return a page's index."""
    found: dict[str, Any] = read(folder / "data" / "index.js")
    return found


def details_of(folder: Path) -> list[dict[str, Any]]:
    """Return all details of a page, in the order of its lines."""
    starts = index_of(folder)["chunks"]
    made: list[dict[str, Any]] = []
    for number, start in enumerate(starts):
        assert len(made) == start
        made += read(folder / "data" / "samples" / f"{number}.js")
    return made


def boxes_of(folder: Path, shift: float, *, but: int = 0) -> Callable[[nb.Request], str]:
    """Return a model that answers with the true boxes moved right, in px, and says nothing that can be read to the first `but` samples."""
    known = truth(folder)
    silent = sorted(known)[:but]

    def answer(request: nb.Request) -> str:
        if request.sample in silent:
            return "I cannot say."
        boxes = [[x0 + shift, y0, x1 + shift, y1] for x0, y0, x1, y1 in known[request.sample]]
        # The default frame is thousandths of the picture's sides.
        return json.dumps([{"box": [edge * 1000 / 48 for edge in box], "score": 0.5} for box in boxes])

    return answer


def run(home: Path, data: Path, task: Any, model: Any, name: str, **more: Any) -> Run:
    """Return a run in a folder of its own."""
    made = nb.evaluate(task, model, data=str(data), out=home / name, settings=settings(home), **more)
    return Run(made.folder, made.plan, name)


def hostile_set(folder: Path) -> Path:
    """Return a set whose names of samples and cases, and whose captions, would like to be more than text."""
    make_set(folder, [1] * 12)
    path = folder / "data" / "nova-v1.parquet"
    rows = pq.read_table(path).to_pylist()
    for i, row in enumerate(rows):
        row["filename"] = f"{HOSTILE[i % len(HOSTILE)]} {i}"
        row["case_id"] = f"case {HOSTILE[(i + 1) % len(HOSTILE)]} {i}"
        row["caption_text"] = f"Axial T2 image: {HOSTILE[(i + 2) % len(HOSTILE)]}"
    rows[0]["filename"] = "__proto__"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return folder


def hostile_answer(request: nb.Request) -> str:
    """Return an answer that would like to be more than text; one of them has a million characters."""
    if request.sample == "__proto__":
        return "ANSWER: " + "<b>lesion</b> " * 71_000
    return f"ANSWER: {HOSTILE[len(request.id) % len(HOSTILE)]} {HOSTILE[1]}\nwith \x07 a bell"
