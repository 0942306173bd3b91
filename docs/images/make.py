"""Makes the picture of the fairness page that the README shows, from runs on the mini data.

    python docs/images/make.py RUN... [--out docs/images/fairness.png]

The page is written by ``nova-bench fairness RUN... --out DIR`` and photographed by Chromium (Debian's package ``chromium``) through
Playwright, which the extra ``test`` brings. A folder that holds an ``index.html`` is photographed as it is.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1180, 1620
MOST_BYTES = 300_000


def photograph(page: Path) -> Image.Image:
    """Return the upper part of a page, with colours few enough for a small file."""
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
        )
        opened = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        opened.goto(page.resolve().as_uri())
        taken = opened.screenshot()
        browser.close()
    return Image.open(io.BytesIO(taken)).convert("RGB").quantize(128, dither=Image.Dither.NONE)


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="runs, or one folder with an index.html"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "fairness.png")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = given.runs[0] / "index.html"
        if not page.is_file():
            page = Path(folder) / "index.html"
            command = [sys.executable, "-m", "nova_bench", "fairness", *map(str, given.runs), "--out", folder]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        photograph(page).save(given.out, optimize=True)
    size = given.out.stat().st_size
    if size > MOST_BYTES:
        sys.exit(f"{given.out} has {size} bytes; at most {MOST_BYTES} are wanted")


if __name__ == "__main__":
    main()
