"""A task's table as lines of ``leaderboard.csv``: one line a model and metric, texts guarded against spreadsheets that run them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from nova_bench.export.sheet import guarded, readable

COLUMNS = (
    *(
        "task",
        "task_version",
        "data",
        "synthetic",
        "model",
        "title",
        "metric",
        "is_headline",
        "higher_is_better",
        "judge",
    ),
    *(
        "value",
        "low",
        "high",
        "n",
        "n_failed",
        "n_unjudged",
        "clusters",
        "protocol",
        "rank_low",
        "rank_high",
        "rank_of",
    ),
    *("status", "exposed", "weights", "size_b", "supervision", "license"),
    *("cost_usd", "tokens", "seconds", "date", "reproduce"),
)


def head() -> str:
    """Return the first line."""
    return _lines([COLUMNS])


def lines(table: Mapping[str, Any], models: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a task's lines, models in the order of the table, metrics in that of the task.

    Args:
        table: The task's, with all digits.
        models: Slug to what the board says of a model.
    """
    task, data = table["task"], table["data"]
    first = _shown([task["spelling"], task["version"], data["name"], data["synthetic"]])
    columns = [
        (
            metric["name"],
            metric["name"] == task["headline"],
            _shown(
                [
                    metric["name"],
                    metric["name"] == task["headline"],
                    metric["higher_is_better"],
                    metric["judge"],
                ]
            ),
        )
        for metric in table["metrics"]
    ]
    made = []
    for row in table["rows"]:
        model, usage = models[row["model"]], row["usage"]
        who = _shown([model["name"], model["title"]])
        rest = _shown(
            [
                *(row["status"], row["exposed"], model["weights"], model["size_b"]),
                *(model["supervision"], model["license"]),
                *(usage["cost_usd"], usage["total"], usage["seconds"], row["date"], row["reproduce"]),
            ]
        )
        for name, is_headline, about in columns:
            cell = row["cells"].get(name)
            if cell is None:
                continue
            rank = (row["rank"] if is_headline else None) or {}
            numbers = (cell["n"], cell["n_failed"], cell["unjudged"], cell["clusters"], cell["id"])
            ranks = (rank.get("low"), rank.get("high"), rank.get("of"))
            made.append([*first, *who, *about, *cell["v"], *numbers, *ranks, *rest])
    return _lines(made)


def _lines(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _shown(values: Sequence[Any]) -> list[Any]:
    return [
        guarded(readable(value))
        if isinstance(value, str)
        else str(value).lower()
        if isinstance(value, bool)
        else value
        for value in values
    ]
