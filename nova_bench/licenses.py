"""The licence of a data set: accepted once, and remembered in the user's configuration."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nova_bench.errors import DataError
from nova_bench.source import Source


def check_license(source: Source, config: Path, accept: bool) -> None:
    """Raise DataError unless the licence is accepted, now or by a line in ``licenses.toml``."""
    path = config / "licenses.toml"
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        accepted: Mapping[str, Any] = tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read: {error}; expected lines such as {_license_line(source)}"
        ) from error
    line = str(accepted.get(source.hub, ""))
    if line == source.license or line.startswith(source.license + " "):
        return
    if not accept:
        sample = "\nIts embedded sample needs none: --data mini" if source.mini else ""
        changed = f" (accepted before: {line})" if line else ""
        raise DataError(
            f"{source.name} is under the licence {source.license}{changed}: {source.license_url}\n"
            f"Read it; if you accept it, run again with --accept-license once, or add this line to {path}:\n"
            f"    {_license_line(source)}{sample}"
        )
    kept = [
        old
        for old in text.splitlines()
        if not old.lstrip().startswith((f'"{source.hub}"', f"'{source.hub}'"))
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([*kept, _license_line(source)]) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"the accepted licence cannot be written to {path}: {error}") from error


def _license_line(source: Source) -> str:
    """Return the line of ``licenses.toml`` that accepts a licence today."""
    return f'"{source.hub}" = "{source.license} {datetime.datetime.now(datetime.UTC).date()}"'
