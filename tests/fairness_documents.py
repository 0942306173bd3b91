"""Fairness documents made up for the tests of what people see: shaped as `nova-bench fairness --json` prints them.

The numbers hang together (limits around values, counts that add up) but are nobody's results.
"""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

STATES = ("ok", "unparsed", "refused", "truncated", "rejected", "failed")
GROUPS: dict[str, dict[str | None, int]] = {
    "race": {"white": 152, "black": 31, "asian": 17},
    "ethnicity": {"non-hispanic": 178, "hispanic": 8, None: 14},
    "language": {"english": 149, "spanish": 31, "other": 9, None: 11},
    "gender": {"female": 113, "male": 87},
    "age": {"65-79": 84, "50-64": 61, "<50": 33, ">=80": 22},
}
METRICS = {"token_f1": 0.56, "exact_match": 0.31, "rouge_l": 0.52}
HOSTILE = (
    "<script>alert(1)</script>",
    "\"quotes\" 'single' & $x^2$ {{ 7*7 }}",
    "\u202etxet desrever\u202c \x1b[31mred",
    "long " * 2000,
    "עברית",
    "中文",
    "x" * 10_000,
)


def document(*, runs: int = 2, hostile: bool = False, counterfactual: bool = True) -> dict[str, Any]:
    """Return a document of some runs on one task: three metrics, five attributes, small and undefined groups, failures."""
    draw = random.Random(3)
    labels = ["reader_8b", "reader_27b", "cup_disc", "prior"][:runs]
    if hostile:
        labels = [f"{label}</title><img src=x onerror=alert(2)>" for label in labels]
    groups = dict(GROUPS)
    if hostile:
        groups["../../<b>race</b>\x00"] = dict(zip(HOSTILE, (60, 50, 40, 30, 25, 22, 21), strict=True))
    made = [
        _comparison(draw, label, rank, metric, attribute, groups[attribute])
        for rank, label in enumerate(labels)
        for metric in METRICS
        for attribute in groups
    ]
    _pair(made, labels)
    tests = sum(entry["p_value"] is not None for entry in made)
    for entry in made:
        entry["tests"] = tests
        entry["p_holm"] = None if entry["p_value"] is None else min(1.0, entry["p_value"] * tests)
    return {
        "schema_version": 1,
        "kind": "fairness",
        "settings": {
            "lambda": 1.0,
            "deviation": "wstd",
            "weights": "size",
            "es_alpha": 1.0,
            "min_n": 20,
            "resamples": 1000,
            "permutations": 1999,
            "seed": 0,
            "level": 0.95,
        },
        "runs": [
            {
                "label": label,
                "model": label,
                "task": "fmbench_vqa",
                "folder": f"runs/{label}/fmbench_vqa",
                "synthetic": True,
                "caution": "FMBench-mini is synthetic: these numbers show that the harness works and are no measure of clinical skill.",
            }
            for label in labels
        ],
        "comparisons": made,
        "counterfactual": _counterfactual(draw, labels) if counterfactual else [],
    }


def _group(
    draw: random.Random, name: str | None, value: float, patients: int, *, failing: bool
) -> dict[str, Any]:
    n = patients * 3
    counts = dict.fromkeys(STATES, 0)
    counts["failed"] = n // 12 if failing else 0
    counts["refused"] = draw.randrange(0, 3)
    counts["unparsed"] = draw.randrange(0, 1 + n // 25)
    counts["truncated"] = 1 if patients > 100 else 0
    counts["ok"] = n - sum(counts.values())
    half = 1.96 * math.sqrt(0.16 / patients)
    included = name is not None and patients >= 20
    note = None
    if name is None:
        note = "unknown: reported, never part of a composite"
    elif patients < 20:
        note = f"{patients} patients, under the minimum of 20"
    return {
        "value": round(value, 12),
        "low": max(0.0, value - half),
        "high": min(1.0, value + half),
        "patients": patients,
        "n": n,
        "n_failed": counts["failed"],
        "counts": counts,
        "shares": {state: count / n for state, count in counts.items()},
        "included": included,
        "note": note,
    }


def bounded(value: float | None, half: float = 0.0, **more: Any) -> dict[str, Any]:
    """Return one composite number."""
    low = None if value is None else value - half
    high = None if value is None else value + half
    return {"value": value, "corrected": None, "floor": None, "low": low, "high": high, "note": None, **more}


def _comparison(
    draw: random.Random, label: str, rank: int, metric: str, attribute: str, sizes: Mapping[str | None, int]
) -> dict[str, Any]:
    level = METRICS[metric] + 0.06 * rank
    groups: dict[str, dict[str, Any]] = {}
    unknown = None
    for place, (name, patients) in enumerate(sizes.items()):
        step = 0.16 if attribute == "language" and name == "spanish" and rank == 0 else 0.02 * place
        made = _group(
            draw,
            name,
            level - step + draw.uniform(-0.02, 0.02),
            patients,
            failing=rank == 1 and name == "spanish",
        )
        if name is None:
            unknown = made
        else:
            groups[name] = made
    if metric == "exact_match" and "asian" in groups:
        groups["asian"] |= {
            "value": None,
            "low": None,
            "high": None,
            "included": False,
            "note": "no question here has a short answer",
        }
    everyone = [*groups.values(), *([unknown] if unknown else [])]
    overall = _group(draw, "all", level - 0.01, sum(g["patients"] for g in everyone), failing=False)
    overall["counts"] = {state: sum(g["counts"][state] for g in everyone) for state in STATES}
    overall["n_failed"] = overall["counts"]["failed"]
    overall["n"] = sum(overall["counts"].values())
    del overall["shares"], overall["included"]
    entry: dict[str, Any] = {
        "task": "fmbench_vqa",
        "model": label,
        "run": label,
        "metric": metric,
        "attribute": attribute,
        "higher_is_better": True,
        "range": [0, 1],
        "headline": metric == "token_f1",
        "overall": overall,
        "groups": groups,
        "unknown": unknown,
        "fap_name": "fap(lambda=1,dev=wstd,w=size)",
        "tests": 0,
        "p_holm": None,
        "test": "labels permuted over patients, precision-weighted sum of squares, 1999 permutations",
        "paired": {},
        "signature": {
            "id": f"{zlib.crc32((metric + attribute).encode()):012x}",
            "protocol": {"task": "fmbench_vqa", "metric": metric},
            "provenance": {},
            "text": f"task:fmbench_vqa|metric:{metric}|by:{attribute}",
        },
        "note": None,
    }
    entry |= _composites(attribute, groups, overall, draw)
    return entry


def _composites(
    attribute: str, groups: Mapping[str, Mapping[str, Any]], overall: Mapping[str, Any], draw: random.Random
) -> dict[str, Any]:
    kept = {name: group for name, group in groups.items() if group["included"]}
    if len(kept) < 2:
        reason = f"{len(kept)} group of at least 20 patients; two are needed"
        names = ("wmean", "gap", "worst", "ratio", "std", "deviation", "fap", "es")
        return {name: bounded(None, note=reason) for name in names} | {
            "worst_group": None,
            "best_group": None,
            "p_value": None,
            "detectable": None,
            "imputed_gap": {
                "low": None,
                "high": None,
                "interval_low": None,
                "interval_high": None,
                "survives": None,
                "note": reason,
            },
            "sentence": f"{attribute}: groups cannot be compared: {reason}",
            "note": reason,
        }
    values = {name: group["value"] for name, group in kept.items()}
    worst, best = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
    total = sum(group["n"] for group in kept.values())
    mean = sum(group["n"] * group["value"] for group in kept.values()) / total
    spread = math.sqrt(sum(group["n"] * (group["value"] - mean) ** 2 for group in kept.values()) / total)
    gap = values[best] - values[worst]
    half = 1.96 * math.hypot(*(0.4 / math.sqrt(kept[name]["patients"]) for name in (worst, best)))
    p = 0.0005 if gap > half else round(draw.uniform(0.05, 0.9), 3)
    equal = sum(abs(value - overall["value"]) for value in values.values())
    low = kept[worst]
    return {
        "wmean": bounded(mean, 0.05),
        "gap": bounded(
            gap, half, low=max(0.0, gap - half), corrected=max(0.0, gap - 0.02), floor=round(half / 2, 3)
        ),
        "worst": bounded(values[worst], half, corrected=values[worst] + 0.01),
        "ratio": bounded(
            values[worst] / values[best], 0.1, high=min(1.0, values[worst] / values[best] + 0.1)
        ),
        "std": bounded(spread, 0.01, floor=0.02),
        "deviation": bounded(spread, spread, corrected=spread * 0.8, floor=0.02),
        "fap": bounded(mean - spread, 0.07, corrected=mean - 0.8 * spread),
        "es": bounded(overall["value"] / (1 + equal), 0.08),
        "worst_group": worst,
        "best_group": best,
        "p_value": p,
        "detectable": half * 1.43,
        "imputed_gap": {
            "low": max(0.0, gap - 0.04),
            "high": gap + 0.04,
            "interval_low": max(0.0, gap - 0.04 - half),
            "interval_high": gap + 0.04 + half,
            "survives": gap - 0.04 - half > 0,
            "note": None,
        },
        "sentence": f"worst group: {attribute}={worst}, n={low['n']} of {low['patients']} patients, {low['value']:.2f} "
        f"[{low['low']:.2f}, {low['high']:.2f}] against {overall['value']:.2f} overall; "
        + (f"this could be chance, p={p:.2g}" if p > 0.05 else f"this is unlikely to be chance, p={p:.2g}")
        + f"; gap {gap:.2f} [{max(0.0, gap - half):.2f}, {gap + half:.2f}]"
        + (
            ""
            if gap > half
            else f", not distinguishable from 0: noise floor {half / 2:.2f}, this set could have shown {half * 1.43:.2f}"
        ),
    }


def _pair(made: Sequence[dict[str, Any]], labels: Sequence[str]) -> None:
    index = {(entry["run"], entry["metric"], entry["attribute"]): entry for entry in made}
    for entry in made:
        for other in labels:
            if other == entry["run"]:
                continue
            against = index[other, entry["metric"], entry["attribute"]]
            differences: dict[str, Any] = {}
            for name in ("overall", "gap", "worst", "fap", "es", "deviation"):
                mine, theirs = entry[name]["value"], against[name]["value"]
                undefined = mine is None or theirs is None
                found = bounded(None if undefined else mine - theirs, 0.06)
                found["note"] = "undefined for one of the two" if undefined else None
                differences[name] = {key: found[key] for key in ("value", "low", "high", "note")}
            undefined = entry["worst_group"] is None
            differences |= {
                "interaction_p": None if undefined else 0.004,
                "interaction_p_holm": None if undefined else 0.06,
                "tests": 12,
                "worst_group": entry["worst_group"],
                "other_worst_group": against["worst_group"],
                "sentence": f"{entry['run']} against {other}: "
                + (
                    "no comparison of groups"
                    if undefined
                    else "whether the difference depends on the group cannot be told, p=0.06"
                ),
            }
            entry["paired"][other] = differences


def _counterfactual(draw: random.Random, labels: Sequence[str]) -> list[dict[str, Any]]:
    made = []
    for label in labels:
        for attribute, value in (("race", "asian"), ("race", "black"), ("language", "spanish")):
            share = draw.uniform(0.02, 0.2)
            change = bounded(-share / 4, 0.02)
            made.append(
                {
                    "task": "fmbench_vqa",
                    "model": label,
                    "run": label,
                    "stated_folder": "runs/stated",
                    "swapped_folder": "runs/swapped",
                    "attribute": attribute,
                    "value": value,
                    "n": 400,
                    "n_failed": 0,
                    "patients": 160,
                    "changed": {
                        "value": share,
                        "low": share - 0.02,
                        "high": share + 0.03,
                        "note": None,
                        "signature": {},
                    },
                    "metrics": {
                        "token_f1": {
                            **{key: change[key] for key in ("value", "low", "high", "note")},
                            "stated": 0.55,
                            "swapped": 0.55 - share / 4,
                            "higher_is_better": True,
                            "signature": {},
                        }
                    },
                    "sentence": f"{attribute} replaced by {value}: {100 * share:.1f}% of the answers to 400 samples change",
                }
            )
    return made
