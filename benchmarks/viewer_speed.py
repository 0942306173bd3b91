"""How long the viewer takes: two runs on NOVA's 906 images written as pages, and opened in Chromium.

    python benchmarks/viewer_speed.py [--quick]

The images are made up, as many and as large as NOVA's, with random boxes; one answer has a million characters. Writing starts from the runs'
folders, so it includes scoring, whose time stands beside it. Opening is the time that the page itself measures from the start of its loading
to the first sample with its picture, the list and the answers; a step is that to the next sample. An empty page in the same browser is the
floor of opening. The best of N is taken, because everything else that a machine does only adds.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import nova_bench as nb

OPEN_BUDGET, STEP_BUDGET, FIRST_BYTES = 1.0, 0.1, 1_500_000
IMAGES, CASES, SIDE = 906, 281, 480

# Seconds from the start of loading to a sample that is there, its picture decoded.
OPENED = """async () => {
  while (!document.body.dataset.ready || !document.querySelector("#stage img")) await new Promise(requestAnimationFrame);
  await document.querySelector("#stage img").decode();
  return performance.now() / 1000;
}"""
STEPPED = """async () => {
  const began = performance.now(), before = view.detail;
  step(1);
  while (view.detail === before) await new Promise((done) => setTimeout(done, 0));
  await document.querySelector("#stage img").decode();
  return (performance.now() - began) / 1000;
}"""


def make_set(folder: Path, n: int) -> dict[str, list[list[float]]]:
    """Write a data set in NOVA's layout, and return its boxes, px."""
    import PIL.Image
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    (folder / "data").mkdir()
    across = np.linspace(0, 200, SIDE)
    rows, known = [], {}
    for i in range(n):
        name = f"image{i:04d}.png"
        picture = (across[None, :] + across[:, None]) / 2 + rng.integers(0, 6, (SIDE, SIDE))
        corners = []
        for _ in range(int(rng.integers(1, 4))):
            x, y = rng.uniform(0, 300, 2).round().tolist()
            picture[int(y) : int(y) + 90, int(x) : int(x) + 120] += 40
            corners.append([x, y, x + 120, y + 90])
        PIL.Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(
            folder / "images" / name, compress_level=1
        )
        known[name] = corners
        rows.append(
            {
                "filename": name,
                "case_id": f"case{i % CASES:04d}",
                "caption_text": f"{('Axial', 'Sagittal')[i % 2]} {('T1-weighted', 'FLAIR', 'DWI')[i % 3]} image.",
                "image_path": f"images/{name}",
                "meta": {"clinical_history": "Headache.", "final_diagnosis": "glioma"},
                "bboxes": [
                    {"x": x, "y": y, "width": right - x, "height": bottom - y, "source": "gold"}
                    for x, y, right, bottom in corners
                ],
            }
        )
    pq.write_table(pa.Table.from_pylist(rows), folder / "data" / "nova-v1.parquet")
    return known


def model_of(known: dict[str, list[list[float]]], seed: int) -> Callable[[nb.Request], str]:
    """Return a model that finds the boxes, more or less; its first answer has a million characters."""
    first = next(iter(known))

    def answer(request: nb.Request) -> str:
        rng = np.random.default_rng([seed, int(request.sample[5:9])])
        boxes = [(np.array(box) + rng.uniform(-40, 40, 4)) * 1000 / SIDE for box in known[request.sample]]
        said = json.dumps([{"box": box.round(1).tolist(), "score": 0.5, "label": "lesion"} for box in boxes])
        return said if request.sample != first else "I see. " * 140_000 + said

    return answer


def best(n: int, act: Callable[[], float]) -> float:
    """Return the least of n measurements."""
    return min(act() for _ in range(n))


def in_browser(page: Path, n: int) -> dict[str, float]:
    """Return the best times of opening and of a step, and the bytes of what an opened page has loaded, pictures apart."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    empty = page.parent / "empty.html"
    empty.write_text("<!doctype html><title>empty</title>")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])

        def opened() -> Any:
            return browser.new_context(viewport={"width": 1280, "height": 800}).new_page()

        def nothing() -> float:
            tab = opened()
            began = time.perf_counter()
            tab.goto(empty.as_uri())
            return time.perf_counter() - began

        def whole() -> float:
            tab = opened()
            began = time.perf_counter()
            tab.goto(page.as_uri())
            tab.evaluate(OPENED)
            return time.perf_counter() - began

        def measured() -> float:
            tab = opened()
            tab.goto(page.as_uri() + "#sample=image0001.png")
            return float(tab.evaluate(OPENED))

        opened()
        tab = opened()
        sizes: list[int] = []
        tab.on(
            "requestfinished",
            lambda made: (
                sizes.append(_size(made.url)) if made.url.endswith((".js", ".css", ".html")) else None
            ),
        )
        tab.goto(page.as_uri() + "#sample=image0050.png")
        tab.evaluate(OPENED)
        tab.wait_for_timeout(200)
        found = {"bytes": float(sum(sizes)), "step": best(20, lambda: float(tab.evaluate(STEPPED)))}
        tab.evaluate("show(1)")
        found["steps, mean of 100"] = float(np.mean([tab.evaluate(STEPPED) for _ in range(100)]))
        found["open"] = best(n, measured)
        found["open, from outside, million characters"] = best(n, whole)
        found["empty"] = best(n, nothing)
        browser.close()
    return found


def _size(address: str) -> int:
    from urllib.parse import unquote, urlsplit

    return Path(unquote(urlsplit(address).path)).stat().st_size


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="best of 2 instead of 7")
    n = 2 if parser.parse_args().quick else 7
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        settings = nb.Settings(cache=home / "cache", config=home / "config")
        known = make_set(home / "set", IMAGES)
        for seed, name in enumerate(("one", "two")):
            nb.evaluate(
                "nova_localization",
                model_of(known, seed),
                data=str(home / "set"),
                out=home / name,
                settings=settings,
            )

        def opened_runs() -> list[nb.Run]:
            return [nb.open_run(home / name, settings=settings) for name in ("one", "two")]

        def scoring() -> float:
            began = time.perf_counter()
            for run in opened_runs():
                _ = run.scored
            return time.perf_counter() - began

        def writing() -> float:
            began = time.perf_counter()
            nb.view(*opened_runs(), out=home / "page")
            return time.perf_counter() - began

        scored, written = best(n, scoring), best(n, writing)
        found = in_browser(home / "page" / "index.html", n)
    lines = [
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}  {os.cpu_count()} CPUs  python {platform.python_version()}  "
        f"nova-bench {importlib.metadata.version('nova-bench')}; {IMAGES} images, two runs; best of {n}",
        f"written                    {written:7.2f} s   {written / scored:5.2f} x opening and scoring the same runs ({scored:.2f} s)",
        f"opened                     {found['open']:7.3f} s   budget {OPEN_BUDGET:.1f} s, of budget {found['open'] / OPEN_BUDGET:.2f}",
        f"opened, seen from outside  {found['open, from outside, million characters']:7.3f} s   first answer of a million characters; "
        f"{found['open, from outside, million characters'] / found['empty']:.1f} x an empty page ({found['empty']:.3f} s)",
        f"next sample                {found['step']:7.3f} s   budget {STEP_BUDGET:.1f} s, of budget {found['step'] / STEP_BUDGET:.2f}; "
        f"mean of 100 {found['steps, mean of 100']:.3f} s",
        f"loaded at first            {found['bytes'] / 1e6:7.2f} MB  budget {FIRST_BYTES / 1e6:.1f} MB, pictures apart",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
