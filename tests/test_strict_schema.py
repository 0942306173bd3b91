"""Which schemas are strict, against what OpenAI's own client makes of typed models."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pydantic
import pytest
from openai.lib._pydantic import to_strict_json_schema

from nova_bench.backends.strict_schema import strict_faults
from nova_bench.fmbench_pairs import CHECK_SCHEMA, WRITE_SCHEMA

TASKS = Path(__file__).resolve().parents[1] / "tasks"


class Box(pydantic.BaseModel):
    corners: list[float]
    label: str | None = None


class Answer(pydantic.BaseModel):
    boxes: list[Box]
    best: Box | None


def test_what_openais_client_makes_is_strict_and_a_plain_schema_is_not() -> None:
    assert strict_faults(to_strict_json_schema(Answer)) == []
    assert strict_faults(Answer.model_json_schema()) != []


def closed(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ({"type": "array", "items": {"type": "string"}}, "root is no object"),
        ({"anyOf": [closed(), closed()]}, "root is no object"),
        ({**closed(a={}), "required": []}, "not required: a"),
        ({**closed(a={}), "additionalProperties": True}, "additionalProperties"),
        (closed(a={"allOf": [closed()]}), "root.a: allOf"),
        (closed(a={"type": "array", "items": {"type": "object"}}), "root.a.items: additionalProperties"),
        (closed(a={"anyOf": [{"type": "null"}, {"type": "object"}]}), "anyOf[1]: additionalProperties"),
        ({**closed(a={"$ref": "#/$defs/x"}), "$defs": {"x": {"not": {}}}}, "$defs.x: not"),
    ],
)
def test_what_is_not_strict_is_named(schema: dict[str, Any], fault: str) -> None:
    assert any(fault in found for found in strict_faults(schema))


def test_nesting_has_a_limit() -> None:
    schema = closed(a={"type": "string"})
    for _ in range(9):
        schema = closed(a=schema)
    assert strict_faults(schema) == []
    assert any("deeper" in fault for fault in strict_faults(closed(a=closed(a=schema))))


def test_schemas_of_the_project_are_strict() -> None:
    diagnosis = runpy.run_path(str(TASKS / "nova_diagnosis.py"))["SCHEMA"]
    for schema in (diagnosis, WRITE_SCHEMA, CHECK_SCHEMA):
        assert strict_faults(schema) == []
