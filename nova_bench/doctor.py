"""What an installation has, what it lacks, and the command that brings it."""

from __future__ import annotations

import importlib.metadata
import os
import sys
import tempfile
from pathlib import Path

_CORE = (
    "numpy",
    "scipy",
    "pillow",
    "pyarrow",
    "datasets",
    "huggingface_hub",
    "pandas",
    "sacrebleu",
    "rouge-score",
    "nltk",
    "rich",
)
_EXTRAS = {
    "openai": ("openai", "openai-compatible servers"),
    "google-genai": ("gemini", "Google's models"),
    "anthropic": ("anthropic", "Anthropic's models"),
    "pycocotools": ("coco", "report --coco"),
    "bert-score": ("bertscore", "BERTScore"),
}
_KEYS = ("OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "ANTHROPIC_API_KEY", "HF_TOKEN")


def checkup(cache: Path, config: Path) -> list[dict[str, str]]:
    """Return findings, each with ``state`` (ok, lacks: an extra is not there, fault: something will not work), ``what`` and ``detail``.

    Args:
        cache: The user's cache folder.
        config: The user's configuration folder.
    """
    findings = [_finding("ok" if sys.version_info >= (3, 11) else "fault", "Python", sys.version.split()[0])]
    for package in _CORE:
        version = _version(package)
        findings.append(
            _finding("ok" if version else "fault", package, version or "missing; install nova-bench again")
        )
    for package, (extra, purpose) in _EXTRAS.items():
        version = _version(package)
        findings.append(
            _finding(
                "ok" if version else "lacks",
                package,
                version or f'for {purpose}: pip install "nova-bench[{extra}]"',
            )
        )
    from nova_bench.metrics.wordnet import wordnet_remedy

    remedy = wordnet_remedy(cache / "nltk_data")
    findings.append(_finding("lacks" if remedy else "ok", "WordNet (METEOR)", remedy or "found"))
    for name, folder in (("cache", cache), ("configuration", config)):
        findings.append(_writable(name, folder))
    for key in _KEYS:
        findings.append(
            _finding(
                "ok" if os.environ.get(key) else "lacks", key, "set" if os.environ.get(key) else "not set"
            )
        )
    return findings


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _writable(name: str, folder: Path) -> dict[str, str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return _finding("ok", f"{name} folder", str(folder))
    except OSError as error:
        return _finding("fault", f"{name} folder", f"{folder} cannot be written: {error.strerror}")


def _finding(state: str, what: str, detail: str) -> dict[str, str]:
    return {"state": state, "what": what, "detail": detail}
