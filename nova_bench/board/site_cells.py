"""An entry as the site's data files have it: a row of its task's table, rows of the fairness files, and all its cells."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from nova_bench.board import site_entry
from nova_bench.board.site_entry import Entry
from nova_bench.board.site_files import compact

STATES = ("ok", "unparsed", "refused", "truncated", "rejected", "failed", "unjudged", "judge_failed")
"""The order of the counts beside a cell."""

_ALWAYS = STATES[:6]
_COMPOSITES = ("gap", "worst", "ratio", "fap", "es")
_CARD_LIMIT = 200
"""Characters of a text of a card that the board shows; the model's own page has all of it."""
_MOST = 1e15
_NOTE_LIMIT = 500
"""Of a note in a table, and of a sentence on fairness."""
_ELSEWHERE = ("cells", "fairness", "signatures", "pairing")


def row_of(entry: Entry, record: Mapping[str, Any] | None, slug: str) -> dict[str, Any]:
    """Return an entry as a row of its task's table: what it scored on all samples, and what that took.

    Args:
        entry: The entry.
        record: Its verification; None where there is none.
        slug: Of its model.
    """
    model, usage = entry["model"], entry["usage"].get("model")
    usage = usage if isinstance(usage, dict) else {}
    stated = usage.get("tokens")
    # Where no answer came with counts, the sums are 0 and say nothing.
    is_counted = usage.get("without_counts") != usage.get("requests")
    tokens = stated if isinstance(stated, dict) and is_counted else {}
    return {
        "model": slug,
        "cells": {cell["metric"]: _cell(cell) for cell in entry["cells"] if cell["slice"] == "all"},
        "counts": entry["counts"]["states"],
        "lines": entry["counts"]["lines"],
        "usage": {
            "cost_usd": _number(usage.get("cost_usd")),
            "cost_note": _cut(site_entry.text_of(usage.get("cost_note")), _NOTE_LIMIT) or None,
            **{key: _number(tokens.get(key)) for key in ("input", "output", "total")},
            **{key: _number(usage.get(key)) for key in ("seconds", "requests")},
        },
        "judges": [
            {"name": judge["name"], "stand_in": judge["stand_in"], "self": judge["self"]}
            for judge in entry["judges"]
        ],
        "status": None if record is None else record["status"],
        "date": site_entry.date_of(entry),
        "exposed": site_entry.has_seen(model["card"], entry["data"]["name"]),
        "remote_code": model["remote_code"] is not None,
        "reproduce": entry["reproduce"],
    }


def _cell(cell: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "v": [cell["value"], cell["low"], cell["high"]],
        **{key: cell[key] for key in ("n", "n_failed", "clusters")},
        "id": cell["signature"],
        "note": _cut_or_none(cell["note"]),
        "unjudged": cell["counts"].get("unjudged", 0),
    }


def packed(cells: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return a row's cells as the page's table has them: short lists, numbers with 6 significant digits.

    A table of 500 models and 20 metrics is to be there within a second; page.js makes objects of them again.

    Args:
        cells: Of `row_of`.

    Returns:
        Metric to value, low, high, n, clusters, signature, and then failed, unjudged and note where one of these says something.
    """
    return {name: _packed(cell) for name, cell in cells.items()}


def _packed(cell: Mapping[str, Any]) -> list[Any]:
    made = [None if number is None else float(f"{number:.6g}") for number in cell["v"]]
    made += [cell["n"], cell["clusters"], cell["id"]]
    rest = [cell["n_failed"], cell["unjudged"], cell["note"]]
    return made + rest if any(rest) else made


def _number(value: Any) -> int | float | None:
    """Return a count or an amount of a log; None where it is none: less than nothing would stand first among costs."""
    is_one = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _MOST
    return value if is_one else None


def model_of(entry: Entry) -> dict[str, Any]:
    """Return what the board says of an entry's model, as its card has it.

    Args:
        entry: The entry.
    """
    name, card = entry["model"]["name"], entry["model"]["card"]
    shown = ("weights", "parameters", "supervision", "license")
    return {
        "name": name,
        "title": _cut(site_entry.text_of(card.get("name")).strip() or name, _CARD_LIMIT),
        **{key: _cut(site_entry.text_of(card.get(key)), _CARD_LIMIT) for key in shown},
        "size_b": site_entry.size_b(card, name),
        "trained_on": [_cut(one, _CARD_LIMIT) for one in site_entry.texts(card.get("trained_on"))[:50]],
        "url": site_entry.address_of(card),
    }


def metrics_of(entry: Entry) -> dict[str, dict[str, Any]]:
    """Return an entry's metrics by name, what they are about cut to what a table shows.

    Args:
        entry: The entry.
    """
    return {
        name: {**metric, "about": _cut(metric["about"], _NOTE_LIMIT)}
        for name, metric in entry["metrics"].items()
    }


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _cut_or_none(text: str | None) -> str | None:
    return None if text is None else _cut(text, _NOTE_LIMIT)


def fairness_row(compared: Mapping[str, Any], slug: str, *, is_rejected: bool) -> dict[str, Any]:
    """Return one metric by one attribute as the fairness files have it.

    Args:
        compared: One of an entry's comparisons.
        slug: Of its model.
        is_rejected: Whether the entry was, by its verification.
    """
    return {
        "model": slug,
        "rejected": is_rejected,
        "attribute": compared["attribute"],
        "id": compared["signature"],
        "overall": _group(compared["overall"]),
        "groups": {name: _group(group) for name, group in compared["groups"].items()},
        "unknown": None if compared["unknown"] is None else _group(compared["unknown"]),
        **{
            name: {
                "v": [compared[name]["value"], compared[name]["low"], compared[name]["high"]],
                **{key: compared[name][key] for key in ("corrected", "floor")},
                "note": _cut_or_none(compared[name]["note"]),
            }
            for name in _COMPOSITES
        },
        **{key: compared[key] for key in ("worst_group", "best_group", "fap_name")},
        "p": compared["p_value"],
        **{key: compared[key] for key in ("p_holm", "tests", "detectable")},
        **{key: _cut_or_none(compared[key]) for key in ("sentence", "note")},
    }


def _group(group: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "v": [group["value"], group["low"], group["high"]],
        **{key: group[key] for key in ("patients", "n", "included")},
        "failed": _number(group["counts"].get("failed")) or 0,
        "note": _cut_or_none(group["note"]),
    }


def cells_text(
    entry: Entry,
    record: Mapping[str, Any] | None,
    *,
    pairs: bool,
    quoted: MutableMapping[str, tuple[Any, str]],
) -> str:
    """Return all of an entry that its page shows as JSON, cells as short lists.

    Args:
        entry: The entry.
        record: Its verification; None where there is none.
        pairs: Whether its differences to other models are in a file of their own.
        quoted: Signatures by id, each with its JSON, as thousands of entries have the same ones; is added to.

    Raises:
        ValueError: A number in it is not finite.
    """
    metrics = {name: i for i, name in enumerate(entry["metrics"])}
    slices = {name: i for i, name in enumerate(dict.fromkeys(cell["slice"] for cell in entry["cells"]))}
    used = {name: i for i, name in enumerate(dict.fromkeys(cell["signature"] for cell in entry["cells"]))}
    for name in used:
        if name not in quoted or quoted[name][0] != entry["signatures"][name]:
            quoted[name] = entry["signatures"][name], compact(entry["signatures"][name])
    document = {
        "entry": {key: value for key, value in entry.items() if key not in _ELSEWHERE},
        "states": STATES,
        "metrics": list(metrics),
        "slices": list(slices),
        "cells": [
            [
                metrics[cell["metric"]],
                slices[cell["slice"]],
                cell["value"],
                cell["low"],
                cell["high"],
                cell["n"],
                cell["n_failed"],
                cell["clusters"],
                _counts(cell["counts"]),
                cell["bounds"],
                cell["note"],
                used[cell["signature"]],
            ]
            for cell in entry["cells"]
        ],
        "verification": record,
        "pairs": pairs,
    }
    signatures = ",".join(quoted[name][1] for name in used)
    return f'{compact(document)[:-1]},"signatures":[{signatures}]}}'


def _counts(counts: Mapping[str, int]) -> list[int]:
    if tuple(counts) == _ALWAYS:  # nearly all
        return [*counts.values(), 0, 0]
    return [counts.get(state, 0) for state in STATES]
