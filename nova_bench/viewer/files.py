"""The files of a viewer's folder: data as scripts that a page loads when it needs them, written beside the old ones, then put in their place.

Scripts are those of the leaderboard's site (`nova_bench.board.site_files`). Details come in chunks, so that a run of any size opens at once.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nova_bench.board.site_files import compact, script, write
from nova_bench.errors import UsageError

PAGE = "index.html"
OURS = (PAGE, "assets", "vendor", "data", "images")
"""What stands in a viewer's folder; anything else there is somebody else's and stays."""
_MARK = Path("data") / "index.js"

CHUNK_LINES = 40
CHUNK_CHARACTERS = 200_000


class Chunks:
    """Writes details of samples in chunks of some lines each; a long one has a chunk of its own.

    Args:
        folder: The viewer's folder, which need not have one for data yet.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "data" / "samples"
        self._held: list[str] = []
        self._size = 0
        self._n_lines = 0
        self.starts: list[int] = []
        """The first line of each chunk."""

    def add(self, detail: Mapping[str, Any]) -> None:
        """Take in the next line."""
        text = compact(detail)
        if self._held and (len(self._held) >= CHUNK_LINES or self._size + len(text) > CHUNK_CHARACTERS):
            self.flush()
        self._held.append(text)
        self._size += len(text)
        self._n_lines += 1

    def flush(self) -> None:
        """Write what is held."""
        if not self._held:
            return
        number = len(self.starts)
        self.starts.append(self._n_lines - len(self._held))
        write(self._folder / f"{number}.js", script(f"samples/{number}", f"[{','.join(self._held)}]"))
        self._held, self._size = [], 0


def write_script(folder: Path, key: str, document: Any) -> None:
    """Write a document to ``data/KEY.js`` below a folder."""
    write(folder / "data" / f"{key}.js", script(key, compact(document)))


def check_place(out: Path) -> None:
    """Refuse a folder that holds something else than a viewer.

    Args:
        out: Where the viewer is to stand; need not exist.

    Raises:
        UsageError: It is a file, or a folder with files that no viewer wrote.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise UsageError(f"--out {out} is a file; give a folder, which is made where there is none")
    if any(out.iterdir()) and not is_view(out):
        raise UsageError(
            f"--out {out} holds files that are no viewer's; give another folder, or an empty one"
        )


def is_view(folder: Path) -> bool:
    """Return whether a folder holds a viewer."""
    try:
        with (folder / _MARK).open(encoding="ascii") as file:
            return file.read(5) == "nova("
    except (OSError, ValueError):
        return False


def beside(out: Path) -> Path:
    """Return a new folder beside the place of a viewer, which nobody but the owner can read yet.

    Raises:
        UsageError: It cannot be made.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{out.name[:80]}.", dir=out.parent))
    except OSError as error:
        raise UsageError(f"--out {out}: nothing can be written there: {error.strerror or error}") from error


def put_in_place(made: Path, out: Path, *, is_private: bool) -> None:
    """Put a viewer that was written beside into its place, and remove the old one's files.

    Args:
        made: Of `beside`, filled.
        out: The viewer's place; files in it that are not a viewer's stay.
        is_private: Whether nobody but the owner may read the folder.
    """
    out.mkdir(mode=0o700, exist_ok=True)
    if is_private:
        out.chmod(0o700)  # before anything is in it
    else:
        umask = os.umask(0)
        os.umask(umask)
        out.chmod(0o777 & ~umask)
    for name in OURS:
        old, new = out / name, made / name
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        else:
            old.unlink(missing_ok=True)
        if new.exists():
            new.rename(old)
    made.rmdir()
