"""A leaderboard of many models on many tasks, made fast from a few real entries: each keeps the form of its pattern, with other numbers.

Every entry is one that the site takes: its signatures are those of its protocols, its command is that of its model. Models differ in skill, some
in protocol; some entries have failures, costs, records. No bundle lies beside any.

The patterns are entries of the built-in baselines on the made-up data; to make them anew, after the form of an entry has changed:

    nova-bench demo --out DIR && python tests/many_entries.py DIR/leaderboard
"""

from __future__ import annotations

import copy
import gzip
import hashlib
import json
import random
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nova_bench.board.layout import entry_path
from nova_bench.board.record import record_path
from nova_bench.signature import seal

PATTERNS = Path(__file__).parent / "patterns"
_PATTERNS = (
    "cup_disc/fmbench_report",
    "cup_disc/fmbench_vqa",
    "symmetry/nova_caption",
    "symmetry/nova_diagnosis",
    "symmetry/nova_localization",
)
HOSTILE_NAMES = (
    "<script>alert(1)</script>",
    '"onerror=alert(1) x="',
    "'\"><img src=x onerror=alert(1)>",
    "__proto__",
    "constructor",
    "=HYPERLINK(0)",
    "../../etc/passwd",
    "名前-مرحبا-🩻",
    "x" * 300,
    "</script><script>alert(1)</script>",
)
"""Names that a model may have: a command that names it has to be printable."""
HOSTILE_CARDS = (
    {"name": "\u202eevil\u202c <b>bold</b>", "license": "<script>alert(1)</script>"},
    {"name": "y" * 1_000_000, "parameters": "1" * 5000 + "B"},
    {"name": ["no", "text"], "trained_on": {"__proto__": 1}, "url": "javascript:alert(1)"},
    {"name": "", "trained_on": ["\u2066NOVA\u2069", 3], "url": "https://example.org/\u202e"},
    {"url": 'https://example.org/"onmouseover="alert(1)', "supervision": "=1+1"},
)
_MODEL, _COMMAND, _CARD, _USAGE, _VALUE, _NUMBERS, _PRINTS, _DATE = (
    f"@@{i}@@" for i in ("model", "command", "card", "usage", "value", "numbers", "prints", "date")
)
_VARIATIONS = 6
_STATES = ({}, {"refused": 4}, {"truncated": 7, "unparsed": 2}, {}, {"unparsed": 11}, {})
_SIZES = ("7B", "0.45B", "72B", "", "8.3 billion", "235B", "2b", "32B")
_SUPERVISION = ("instruction tuning", "contrastive pre-training", "", "reinforcement learning")
_STATUS = (
    "verified",
    "verified",
    "consistent",
    None,
    "verified",
    "consistent",
    "verified",
    "rejected",
    "verified",
    None,
)


REAL_DIGEST = "5ea1" * 16
"""Of data that no task comes with."""


def many_entries(
    board: Path,
    *,
    models: int,
    tasks: int = 5,
    attributes: int = 4,
    hostile: bool = False,
    is_synthetic: bool = True,
    indent: int | None = None,
    seed: int = 0,
) -> list[str]:
    """Write a board below ``synthetic/`` (or ``entries/``), and return the models' names.

    Args:
        board: The leaderboard's folder.
        models: How many.
        tasks: How many: fmbench_report, fmbench_vqa, nova_caption, nova_diagnosis, nova_localization, then variants of these.
        attributes: Of the fairness of every task.
        hostile: Whether the first models are named, and described, to break a page.
        is_synthetic: Whether the data are called made up.
        indent: Of the JSON; real entries have 1, which takes longer to write.
        seed: Of the numbers.
    """
    read = [
        json.loads(gzip.decompress((PATTERNS / f"{name.partition('/')[2]}.json.gz").read_bytes()))
        for name in _PATTERNS
    ]
    fairness = next(one["fairness"] for one in read if one["fairness"])
    for one in read:
        if not is_synthetic:
            one["data"] |= {"kind": "full", "synthetic": False, "digest": REAL_DIGEST}
            one["caution"] = None
    names = [*(HOSTILE_NAMES if hostile else ()), *(f"acme:medvlm-{i:03}" for i in range(models))][:models]
    for t in range(tasks):
        pattern = _task(read[t % len(read)], t // len(read), fairness, attributes)
        # A model is as good at all tasks: its skill is drawn anew from the same seed.
        rng = random.Random(seed)
        skills = [(rng.random(), rng.randrange(1 << 30)) for _ in names]
        templates = [
            _template(pattern, variation, random.Random(f"{seed} {t} {variation}"), indent)
            for variation in range(min(_VARIATIONS, len(names)))
        ]
        for i, (name, (skill, own)) in enumerate(zip(names, skills, strict=True)):
            card = HOSTILE_CARDS[i % len(HOSTILE_CARDS)] if hostile and i < 2 * len(HOSTILE_CARDS) else None
            text = _filled(pattern, templates[i % _VARIATIONS], name, i, card, skill, random.Random(own + t))
            place = board / entry_path(name, pattern["task"]["spelling"], is_synthetic=is_synthetic)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
            status = _STATUS[i % len(_STATUS)]
            if status is not None:
                _record(place, pattern, name, status)
    return names


def _task(entry: dict[str, Any], number: int, fairness: dict[str, Any], attributes: int) -> dict[str, Any]:
    """Return a pattern: an entry of its own task, with a fairness document of so many attributes."""
    made = copy.deepcopy(entry)
    task = made["task"]
    if number:
        task["variant"] = {**task["variant"], "form": str(number)}
        task["spelling"] += f"{',' if '@' in task['spelling'] else '@'}form={number}"
    made["signatures"], renamed = {}, {}
    for old, signature in entry["signatures"].items():
        if "fairness" not in signature["protocol"]:
            renamed[old] = _sign(
                made,
                {**signature["protocol"], "variant": task["variant"], "data": made["data"]["digest"][:12]},
                signature["provenance"],
            )
    for cell in made["cells"]:
        cell["signature"] = renamed[cell["signature"]]
    by_metric = {one["protocol"]["metric"]: one for one in made["signatures"].values()}
    listed = list(dict.fromkeys(one["attribute"] for one in fairness["comparisons"]))[:attributes]
    first = fairness["comparisons"][0]["metric"]
    made["fairness"] = {"settings": fairness["settings"], "comparisons": []}
    for metric in list(made["metrics"])[:7]:
        for one in fairness["comparisons"]:
            if one["metric"] == first and one["attribute"] in listed:
                protocol = {
                    **by_metric[metric]["protocol"],
                    "attribute": one["attribute"],
                    "fairness": fairness["settings"],
                }
                better = made["metrics"][metric]["higher_is_better"]
                signed = _sign(made, protocol, by_metric[metric]["provenance"])
                made["fairness"]["comparisons"].append(
                    {**copy.deepcopy(one), "metric": metric, "higher_is_better": better, "signature": signed}
                )
    if made["pairing"]:
        made["pairing"]["signature"] = renamed[made["pairing"]["signature"]]
    return made


def _sign(entry: dict[str, Any], protocol: dict[str, Any], provenance: dict[str, Any]) -> str:
    signature = seal(protocol, provenance)
    entry["signatures"][signature["id"]] = signature
    return str(signature["id"])


def _template(pattern: dict[str, Any], variation: int, rng: random.Random, indent: int | None) -> str:
    """Return a pattern as text with other numbers, and with marks where each model has its own."""
    made = copy.deepcopy(pattern)
    if variation == _VARIATIONS - 1:  # another protocol
        made["signatures"], renamed = {}, {}
        for old, signature in pattern["signatures"].items():
            protocol = {**signature["protocol"], "limit": {"n": 20, "seed": 0}}
            renamed[old] = _sign(made, protocol, signature["provenance"])
        for one in (*made["cells"], *made["fairness"]["comparisons"], made["pairing"] or {}):
            if "signature" in one:
                one["signature"] = renamed[one["signature"]]
    headline = _headline(made)
    for cell in made["cells"]:
        _move(cell, ("value", "low", "high"), made["metrics"][cell["metric"]]["range"], rng)
        for state, n in _STATES[variation].items():
            n = min(n, cell["counts"]["ok"])
            cell["counts"][state] += n
            cell["counts"]["ok"] -= n
    for state, n in _STATES[variation].items():
        made["counts"]["states"][state] += n
        made["counts"]["states"]["ok"] -= n
    for one in made["fairness"]["comparisons"]:
        for part in (
            one["overall"],
            *one["groups"].values(),
            *(one[name] for name in ("gap", "worst", "fap", "es")),
        ):
            _move(part, ("value", "low", "high"), [0, 1], rng)
    cell = next(one for one in made["cells"] if (one["metric"], one["slice"]) == (headline, "all"))
    cell["value"], cell["low"], cell["high"] = _VALUE, _VALUE + "low", _VALUE + "high"
    made["model"] |= {"name": _MODEL, "card": _CARD, "options": {}, "params": {}}
    made["reproduce"] = _COMMAND
    made["usage"]["model"] = _USAGE
    made["dates"]["last_start"] = _DATE
    if made["pairing"]:
        made["pairing"] |= {"value": _VALUE, "numbers": _NUMBERS, "prints": _PRINTS}
    return json.dumps(made, indent=indent, ensure_ascii=False)


def _headline(entry: dict[str, Any]) -> str:
    return str(entry["task"]["headline"])


def _move(
    part: dict[str, Any], keys: Sequence[str], bounds: Sequence[float] | None, rng: random.Random
) -> None:
    step = rng.uniform(-0.05, 0.05)
    for key in keys:
        if part[key] is not None:
            moved = part[key] * (1 + step)
            part[key] = float(f"{moved if bounds is None else min(max(moved, bounds[0]), bounds[1]):.12g}")


def _filled(
    pattern: dict[str, Any],
    template: str,
    name: str,
    i: int,
    card: dict[str, Any] | None,
    skill: float,
    rng: random.Random,
) -> str:
    value = float(f"{0.2 + 0.6 * skill + rng.uniform(-0.03, 0.03):.12g}")
    usage = pattern["usage"]["model"]
    cost = None if i % 3 == 0 else round(0.4 * (i % 40), 4)
    usage = {
        **usage,
        "model": name,
        "cost_usd": cost,
        "cost_note": "no price is known" if cost is None else None,
        "without_counts": 0,
        "tokens": {
            **usage["tokens"],
            "input": 91_000 + 13 * i,
            "output": 4_000 + 7 * i,
            "total": 95_000 + 20 * i,
        },
        "seconds": 40.0 + i,
    }
    size = _SIZES[i % len(_SIZES)]
    words = ["nova-bench", "run", pattern["task"]["spelling"], "--model", name]
    words += ["--data", "mini"] if pattern["data"]["synthetic"] else []
    words += [word for judge in pattern["judges"] for word in ("--judge", judge["identity"]["adapter"])]
    own = pattern["model"]["card"] | {
        "name": f"Acme MedVLM {i:03}",
        "weights": "open" if i % 3 else "closed",
        "parameters": size,
        "supervision": _SUPERVISION[i % len(_SUPERVISION)],
        "trained_on": ([], ["MIMIC-CXR"], ["NOVA", "FMBench"])[i % 3],
        "url": f"https://example.org/medvlm/{i}",
    }
    replaced = {
        f'"{_VALUE}low"': repr(max(value - 0.06, 0.0)),
        f'"{_VALUE}high"': repr(min(value + 0.05, 1.0)),
        f'"{_VALUE}"': repr(value),
        f'"{_CARD}"': json.dumps(own | (card or {})),
        f'"{_USAGE}"': json.dumps(usage),
        f'"{_MODEL}"': json.dumps(name),
        f'"{_COMMAND}"': json.dumps(shlex.join(words)),
        _DATE: f"2026-{1 + i % 11:02}-{1 + i % 28:02}T10:00:00+00:00",
    }
    pairing = pattern["pairing"]
    if pairing:
        numbers = [
            None
            if number is None
            else (number if pairing["kind"] == "ratio" else number - pairing["value"])
            * rng.uniform(-1.8, 1.8)
            for number in pairing["numbers"]
        ]
        if pairing["kind"] == "resampled":
            numbers = [None if number is None else value + number for number in numbers]
        replaced[f'"{_NUMBERS}"'] = json.dumps(numbers)
        replaced[f'"{_PRINTS}"'] = f'"{rng.randbytes(4 * pairing["clusters"]).hex()}"'
    for mark, text in replaced.items():
        template = template.replace(mark, text)
    return template


def _record(entry: Path, pattern: dict[str, Any], name: str, status: str) -> None:
    path = record_path(entry)
    path.parent.mkdir(parents=True, exist_ok=True)
    n = len(pattern["cells"])
    record = {
        "schema_version": 1,
        "kind": "verification",
        "entry": "/".join(entry.parts[-3:]),
        "entry_sha256": hashlib.sha256(entry.read_bytes()).hexdigest(),
        "bundle": {"file": pattern["bundle"]["file"], "sha256": pattern["bundle"]["sha256"]},
        "status": status,
        "reasons": ["rows.jsonl: 1 line of 240 is not that of its answer"] if status == "rejected" else [],
        "notes": [],
        "task": pattern["task"]["spelling"],
        "model": name,
        "data": {key: pattern["data"][key] for key in ("name", "digest", "revision", "synthetic")},
        "with_data": status == "verified",
        "cells": {"stated": n, "recomputed": n if status == "verified" else n // 2},
        "rerun": None,
        "nova_bench": "0.1.0",
        "date": "2026-11-30T12:00:00+00:00",
    }
    path.write_text(json.dumps(record, indent=1), encoding="utf-8")


if __name__ == "__main__":
    PATTERNS.mkdir(exist_ok=True)
    for pattern in _PATTERNS:
        entry = json.loads((Path(sys.argv[1]) / "synthetic" / f"{pattern}.json").read_text("utf-8"))
        content = json.dumps(entry, separators=(",", ":")).encode()
        (PATTERNS / f"{pattern.partition('/')[2]}.json.gz").write_bytes(gzip.compress(content, 9, mtime=0))
