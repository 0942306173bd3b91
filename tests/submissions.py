"""What the tests of submissions share: an adapter file, runs of it, and bundles read back."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from running import settings

import nova_bench as nb
from nova_bench.rule_based_judge import verdict_of

ADAPTER = '''\
# /// script
# requires-python = ">=3.11"
# dependencies = []
# [tool.nova-bench]
# name = "Acme VLM"
# license = "apache-2.0"
# weights = "none"
# outputs = ["text"]
# boxes = "xyxy/1000"
# sends = "local"
# transport = ["base_url"]
# ///
"""An adapter of the tests."""

import nova_bench as nb


def load(*, base_url: str = "", size: int = 300, note: str = "") -> nb.Adapter:
    """Return it."""
    return nb.each(lambda request: nb.Response(request.id, text(request, size), model="acme-1"))


def text(request: nb.Request, size: int) -> str:
    """Return boxes where boxes are asked for, else a caption."""
    if (request.ask or {}).get("kind") == "ground":
        return f'[{{"box": [{500 - size}, 400, {500 + size}, 600]}}]'
    if (request.ask or {}).get("kind") == "diagnose":
        return '{"most_likely_diagnosis": "Glioblastoma", "other_possible_diagnoses": ["Abscess"]}'
    return "ANSWER: Axial T2 image with a hyperintense lesion."
'''
TASK = "nova_localization"


def write_adapter(folder: Path, text: str = ADAPTER) -> Path:
    """Write the adapter's file and return its path."""
    path = folder / "acme.py"
    path.write_text(text)
    return path


def run(home: Path, adapter: Path | str, task: str = TASK, **more: Any) -> nb.Run:
    """Run an adapter as the command line does, so that the manifest says where its file is."""
    given = more.pop("settings", settings(home))
    words = ["nova-bench", "run", task, "--model", str(adapter)]
    return nb.evaluate(
        task,
        str(adapter),
        settings=nb.Settings(cache=given.cache, config=given.config, command=words),
        **{"data": "mini", "out": home / "run", **more},
    )


def fit(run: nb.Run) -> dict[str, Any]:
    """Return the document of a check that a run's adapter passed, so that tests of other things need not run it."""
    model = json.loads((run.folder / "manifest.json").read_text())["identity"]["model"]
    return {
        "schema_version": 1,
        "adapter": model["name"],
        "source": model["source"],
        "options": model["options"],
        "passed": True,
        "findings": [],
    }


def submitted(home: Path, run: nb.Run, **more: Any) -> dict[str, Any]:
    """Submit a run whose adapter passed its check; `change` changes the check's document first."""
    path = home / "check.json"
    path.write_text(json.dumps({**fit(run), **more.pop("change", {})}))
    return nb.submit(run, **{"out": home / "board", "check": path, **more})


def missing(document: Mapping[str, Any]) -> list[str]:
    """Return what the one refused run of a submission lacks, each with its remedy."""
    assert not document["submitted"]
    (refused,) = document["refused"]
    assert all(gap["what"] and gap["remedy"] for gap in refused["missing"])
    return [f"{gap['what']} -> {gap['remedy']}" for gap in refused["missing"]]


def contents(bundle: Path | str) -> dict[str, bytes]:
    """Return a bundle's members."""
    with zipfile.ZipFile(bundle) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


class Clerk:
    """A judge of the task's rubrics that spoils every nth answer: a verdict that is none, or a failure."""

    def __init__(self, every: int, *, fails: bool = False) -> None:
        self.every, self.fails, self.ids = every, fails, {}

    def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
        for request in requests:
            place = self.ids.setdefault(request.sample, len(self.ids))
            if place % self.every:
                yield nb.Response(request.id, json.dumps(verdict_of(request)))
            elif self.fails:
                yield nb.Response(request.id, finish="error", error="HTTP 500")
            else:
                yield nb.Response(request.id, "I had rather not say")
