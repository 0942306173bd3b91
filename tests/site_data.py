"""Data files of a site, read back in Python: the JSON in the one call that each of them makes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

_CALL = re.compile(r"nova\('((?:[^'\\\n]|\\.)*)','((?:[^'\\\n]|\\.)*)'\)\n")


def data_of(site: Path, key: str) -> Any:
    """Return what a data file brings; a table's cells as the short lists that they are.

    Args:
        site: The folder with ``data/``.
        key: Such as ``tasks/nova_caption``.
    """
    found = _CALL.fullmatch((site / "data" / f"{key}.js").read_text("ascii"))
    assert found is not None
    assert found[1] == key
    return json.loads(re.sub(r"\\(.)", r"\1", found[2]))


def entry_at(board: Path, place: str) -> dict[str, Any]:
    return json.loads((board / place).read_text("utf-8"))
