"""What of a judge's answer about gated data may stand in its log; the rest goes to its private file (`nova_bench.private_file`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_bench.private_file import LEFT_OUT, error_kind, public_model, public_parameters
from nova_bench.types import Judge, Request

_NUMBERS = ("id", "request", "finish", "task", "usage", "seconds")
"""Keys of a record that hold what is the engine's own, or counts."""


def split_record(
    record: Mapping[str, Any], judge: Judge, request: Request
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the part of a record that may be public, and what else it holds.

    Args:
        record: As it would stand in a log of open data.
        judge: What was asked.
        request: What was sent.
    """
    public = {key: record[key] for key in _NUMBERS if key in record}
    if "error" in record:
        public["error"] = error_kind(record["error"])
    if "fault" in record:
        public["fault"] = LEFT_OUT
    if "model" in record and public_model(record["model"], request):
        public["model"] = record["model"]
    if "dropped" in record:
        public["dropped"] = public_parameters(record["dropped"])
    if "verdict" in record:
        public["verdict"] = {
            key: value for key, value in record["verdict"].items() if key not in judge.private
        }
    private = {key: value for key, value in record.items() if public.get(key) != value and key != "verdict"}
    return public, private
