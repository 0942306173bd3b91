"""Makes the pictures that the README shows, from the folder that ``nova-bench demo`` left.

    python docs/images/make.py [runs/demo] [--out docs/images]

The pages are photographed by Chromium (Debian's package ``chromium``) through Playwright, which the extra ``test`` brings: those of the
leaderboard and the viewer in the light and in the dark theme, the page of the verb ``fairness`` in the light one.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

MOST_BYTES = 400_000
SITE = "leaderboard/site/synthetic"


class Shot(NamedTuple):
    """A picture of a page below the demo's folder: what is chosen on it, its size, its themes.

    A page with a photograph needs more than 128 colours: it leaves too few of them to its boxes.
    """

    name: str
    page: str
    chosen: str = ""
    width: int = 1280
    height: int = 860
    themes: tuple[str, ...] = ("light", "dark")
    few_colours: bool = True


SHOTS = (
    Shot("table", f"{SITE}/index.html", "task=nova_localization"),
    Shot("board-fairness", f"{SITE}/fairness.html", "task=fmbench_vqa", height=1000),
    Shot("model", f"{SITE}/model.html", "model=symmetry&task=nova_localization", height=1000),
    Shot("viewer", "view/index.html", few_colours=False),
    Shot("fairness", "fairness/index.html", width=1180, height=1620, themes=("light",)),
)


def photograph(browser: Browser, page: Path, shot: Shot, theme: str) -> Image.Image:
    """Return the upper part of a page."""
    opened = browser.new_page(viewport={"width": shot.width, "height": shot.height}, color_scheme=theme)
    opened.goto(page.resolve().as_uri() + (f"#{shot.chosen}" if shot.chosen else ""))
    opened.wait_for_timeout(2000)  # tables and plots are drawn when their data have arrived
    taken = opened.screenshot()
    opened.close()
    picture = Image.open(io.BytesIO(taken)).convert("RGB")
    return picture.quantize(128, dither=Image.Dither.NONE) if shot.few_colours else picture


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("demo", nargs="?", type=Path, default=Path("runs/demo"), help="the demo's folder")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
        )
        for shot in SHOTS:
            for theme in shot.themes:
                path = given.out / (
                    f"{shot.name}.png" if len(shot.themes) == 1 else f"{shot.name}-{theme}.png"
                )
                photograph(browser, given.demo / shot.page, shot, theme).save(path, optimize=True)
                if path.stat().st_size > MOST_BYTES:
                    sys.exit(f"{path} has {path.stat().st_size} bytes; at most {MOST_BYTES} are wanted")
        browser.close()


if __name__ == "__main__":
    main()
