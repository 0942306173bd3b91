"""The pages of the leaderboard's site: shells that are rendered once a board, and the scripts, styles and libraries that all share."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import get_args

from nova_bench import __version__
from nova_bench.board import layout
from nova_bench.board.badge import Status, badge
from nova_bench.board.site_files import write
from nova_bench.fairness_view import GLOSSARY

PAGES = ("index.html", "fairness.html", "model.html", "compare.html")
CAUTION = "All data on this board are made up. The numbers show that the harness works and are no measure of clinical skill."

_TEMPLATES = Path(__file__).parents[1] / "templates"


def write_pages(site: Path, *, has_real: bool, has_synthetic: bool) -> None:
    """Write the pages of a site, and what they share.

    Args:
        site: The site's folder, new.
        has_real: Whether there are entries of real data; if not, the index only says so.
        has_synthetic: Whether there are entries of made-up data.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined)
    badges = [(status, *badge(status)) for status in get_args(Status)]
    other = {
        False: {"label": "Made-up data", "address": f"{layout.SYNTHETIC}/index.html"},
        True: {"label": "Real data", "address": "../index.html"},
    }
    for is_synthetic in (False, True):
        has_own, has_other = (has_synthetic, has_real) if is_synthetic else (has_real, has_synthetic)
        if is_synthetic and not has_own:
            continue
        for page in PAGES if has_own else PAGES[:1]:
            html = environment.get_template(f"site/{page}").render(
                page=page,
                root="../" if is_synthetic else "",
                synthetic=is_synthetic,
                empty=not has_own,
                caution=CAUTION if is_synthetic else None,
                version=__version__,
                badges=badges,
                glossary=GLOSSARY,
                other=other[is_synthetic] if has_other else None,
            )
            write(site / layout.SYNTHETIC / page if is_synthetic else site / page, html + "\n")
    for folder in ("assets", "vendor"):
        (site / folder).mkdir()
        for file in sorted((_TEMPLATES / folder).iterdir()):
            shutil.copyfile(file, site / folder / file.name)
