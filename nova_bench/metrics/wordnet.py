"""Where METEOR's WordNet comes from, without a download.

nltk's METEOR matches synonyms of WordNet 3.0, which is looked for in three places: nltk's own data folders; a folder that an
earlier call assembled; Debian's packages ``wordnet-base`` and ``wordnet-sense-index``, from which that folder is assembled.
Nothing is fetched. METEOR without synonyms would be another metric, so without WordNet there is no value but a remedy.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from nova_bench.errors import DataError

__all__ = ["DEBIAN_FOLDER", "REMEDY", "assemble", "load_wordnet", "wordnet_remedy"]

REMEDY = (
    "METEOR needs WordNet: run `python -m nltk.downloader wordnet omw-1.4`, "
    "or install the Debian packages: `apt-get install wordnet-base wordnet-sense-index`"
)
DEBIAN_FOLDER = Path("/usr/share/wordnet")

_FILES = (
    "cntlist.rev",
    "index.sense",
    *(f"{kind}.{part}" for kind in ("index", "data") for part in ("adj", "adv", "noun", "verb")),
    *(f"{part}.exc" for part in ("adj", "adv", "noun", "verb")),
)
"""What nltk's reader opens, less ``lexnames``, which Debian leaves out."""

_NOUNS = (
    "Tops act animal artifact attribute body cognition communication event feeling food group location motive object person "
    "phenomenon plant possession process quantity relation shape state substance time"
)
_VERBS = "body change cognition communication competition consumption contact creation emotion motion perception possession social stative weather"
_LEXNAMES = (
    "adj.all",
    "adj.pert",
    "adv.all",
    *(f"noun.{name}" for name in _NOUNS.split()),
    *(f"verb.{name}" for name in _VERBS.split()),
    "adj.ppl",
)
_PART_OF_SPEECH = {"noun": 1, "verb": 2, "adj": 3, "adv": 4}


def _default_cache() -> Path:
    return Path.home() / ".cache" / "nova_bench" / "nltk_data"


def _is_complete(folder: Path, files: tuple[str, ...] = _FILES) -> bool:
    return all((folder / name).is_file() for name in files)


def _assembled(cache: Path) -> bool:
    return _is_complete(cache / "corpora" / "wordnet", (*_FILES, "lexnames"))


def _nltk_has_it() -> bool:
    import nltk

    for name in ("corpora/wordnet", "corpora/wordnet.zip/wordnet/"):
        try:
            nltk.data.find(name)
        except LookupError:
            continue
        return True
    return False


def lexnames() -> str:
    r"""Return the text of WordNet 3.0's ``lexnames``: number, name and part of speech of 45 files.

    The names are those of Debian's manual page lexnames(5WN).

    Examples:
        >>> lines = lexnames().splitlines()
        >>> len(lines), lines[3], lines[44]
        (45, '03\tnoun.Tops\t1', '44\tadj.ppl\t3')
    """
    return "".join(
        f"{i:02d}\t{name}\t{_PART_OF_SPEECH[name.split('.')[0]]}\n" for i, name in enumerate(_LEXNAMES)
    )


def assemble(cache: Path, debian: Path = DEBIAN_FOLDER) -> Path:
    """Build ``cache/corpora/wordnet`` from Debian's files, about 36 MB, and return `cache`.

    The files are copied because nltk refuses links that leave its folders. They are put together beside their place and then
    renamed, so that two processes can do it at once.

    Args:
        cache: The folder to be put on nltk's search path.
        debian: Where the Debian packages put their files.

    Raises:
        DataError: Debian's files are not there.
    """
    if _assembled(cache):
        return cache
    if not _is_complete(debian):
        lacking = [name for name in _FILES if not (debian / name).is_file()]
        raise DataError(
            f"{debian} lacks {', '.join(lacking[:3])}{' and more' if len(lacking) > 3 else ''}. {REMEDY}"
        )
    corpora = cache / "corpora"
    corpora.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".wordnet-", dir=corpora))
    try:
        for name in _FILES:
            shutil.copyfile(debian / name, partial / name)
        (partial / "lexnames").write_text(lexnames(), encoding="ascii")
        final = corpora / "wordnet"
        if final.exists() and not _assembled(cache):
            shutil.rmtree(final)
        try:
            os.rename(partial, final)
        except OSError:
            if not _assembled(cache):
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return cache


def wordnet_remedy(cache: Path | None = None, debian: Path = DEBIAN_FOLDER) -> str | None:
    """Return what to do to get WordNet, None where it can be had without doing anything.

    Args:
        cache: Where an assembled folder would be; ``~/.cache/nova_bench/nltk_data`` by default.
        debian: Where the Debian packages put their files.
    """
    if _nltk_has_it() or _assembled(cache or _default_cache()) or _is_complete(debian):
        return None
    return REMEDY


def load_wordnet(cache: Path | None = None, debian: Path = DEBIAN_FOLDER) -> Any:
    """Return nltk's WordNet reader, after looking in nltk's data, then in `cache`, then among Debian's files.

    Puts `cache` on ``nltk.data.path`` where it is needed: nltk reads no corpus outside the folders named there. Takes some
    seconds the first time.

    Args:
        cache: Where Debian's files are put together; ``~/.cache/nova_bench/nltk_data`` by default.
        debian: Where the Debian packages put their files.

    Raises:
        DataError: WordNet is nowhere.
    """
    import nltk
    from nltk.corpus import wordnet

    if not _nltk_has_it():
        folder = str(assemble(cache or _default_cache(), debian).resolve())
        if folder not in nltk.data.path:
            nltk.data.path.append(folder)
    wordnet.ensure_loaded()
    return wordnet
