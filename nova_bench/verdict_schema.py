"""The part of JSON Schema that a judge's verdict is written in, and whether a value fits it exactly.

A small part, so that every backend that decodes under a schema takes all of it, and a reader of the page too: closed objects with every
key required, lists, texts, numbers, booleans, null, and lists of allowed values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

_KINDS: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_KEYWORDS: Mapping[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems", "maxItems", "uniqueItems"}),
    "string": frozenset({"minLength", "maxLength"}),
    "integer": frozenset({"minimum", "maximum"}),
    "number": frozenset({"minimum", "maximum"}),
    "boolean": frozenset(),
    "null": frozenset(),
}
_NOTES = frozenset({"title", "description"})


def schema_faults(schema: Mapping[str, Any], where: str = "verdict") -> Iterator[str]:
    """Yield what keeps a schema from being that of a verdict; nothing where it may be one.

    Args:
        schema: The schema.
        where: What the messages call its root.

    >>> list(schema_faults({"type": "object", "properties": {"score": {"type": "integer"}}}))
    ['verdict: additionalProperties is not false', 'verdict: not required: score']
    """
    if where == "verdict" and schema.get("type") != "object":
        yield "verdict: the root is no object"
        return
    if "enum" in schema:
        if not isinstance(schema["enum"], (list, tuple)) or not schema["enum"]:
            yield f"{where}: enum is no list of values"
        extra = set(schema) - {"enum", "type"} - _NOTES
    else:
        kinds = _kinds(schema)
        if not kinds or not set(kinds) <= set(_KINDS):
            yield f"{where}: type is {schema.get('type')!r}; expected one of {', '.join(_KINDS)}"
            return
        extra = set(schema) - {"type"} - _NOTES - set().union(*(_KEYWORDS[kind] for kind in kinds))
        if "object" in kinds:
            yield from _object_faults(schema, where)
        if "array" in kinds:
            if not isinstance(schema.get("items"), Mapping):
                yield f"{where}: items is not said"
            else:
                yield from schema_faults(schema["items"], f"{where}[]")
    if extra:
        yield f"{where}: {', '.join(sorted(extra))}: not among the keywords of a verdict's schema"


def _object_faults(schema: Mapping[str, Any], where: str) -> Iterator[str]:
    properties = schema.get("properties", {})
    if schema.get("additionalProperties") is not False:
        yield f"{where}: additionalProperties is not false"
    if optional := set(properties) - set(schema.get("required", ())):
        yield f"{where}: not required: {', '.join(sorted(optional))}"
    if unknown := set(schema.get("required", ())) - set(properties):
        yield f"{where}: required, but no property: {', '.join(sorted(unknown))}"
    for key, inner in properties.items():
        yield from schema_faults(inner, f"{where}.{key}")


def _kinds(schema: Mapping[str, Any]) -> tuple[str, ...]:
    kind = schema.get("type")
    return (kind,) if isinstance(kind, str) else tuple(kind) if isinstance(kind, (list, tuple)) else ()


def fault_of(value: Any, schema: Mapping[str, Any], where: str = "verdict") -> str | None:
    """Return where and how a value breaks a schema; None where it fits. No fault quotes a text of the value: it may be a patient's.

    Args:
        value: From JSON.
        schema: One without `schema_faults`.
        where: What the message calls the value.

    >>> schema = {"type": "object", "properties": {"label": {"enum": ["CORRECT", "INCORRECT"]}}, "required": ["label"],
    ...           "additionalProperties": False}
    >>> fault_of({"label": "INCORRECT"}, schema), fault_of({"label": "NOT INCORRECT"}, schema)
    (None, 'verdict.label: none of the 2 allowed values')
    >>> fault_of({}, schema), fault_of(True, {"type": "integer"})
    ('verdict: label is missing', 'verdict: expected integer, got bool')
    """
    if "enum" in schema:
        if not any(type(value) is type(known) and value == known for known in schema["enum"]):
            return f"{where}: none of the {len(schema['enum'])} allowed values"
        return None
    kinds = _kinds(schema)
    if not any(_is(value, kind) for kind in kinds):
        return f"{where}: expected {' or '.join(kinds)}, got {type(value).__name__}"
    if isinstance(value, dict):
        return _object_fault(value, schema, where)
    if isinstance(value, list):
        return _list_fault(value, schema, where)
    if isinstance(value, str):
        low, high = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        if not low <= len(value) <= high:
            return f"{where}: a text of {len(value)} characters, expected {low} to {high}"
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
        if not low <= value <= high:
            return f"{where}: a number outside {low} to {high}"
    return None


def _is(value: Any, kind: str) -> bool:
    """Return whether a value is of a kind; a boolean is no number, and a number that is not finite is none either."""
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return isinstance(value, _KINDS[kind])


def _object_fault(value: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> str | None:
    properties = schema.get("properties", {})
    for key in schema.get("required", ()):
        if key not in value:
            return f"{where}: {key} is missing"
    if len(value) > len(properties):
        return f"{where}: {len(value) - len(properties)} keys that the schema does not know"
    found = (fault_of(value[key], inner, f"{where}.{key}") for key, inner in properties.items())
    return next((fault for fault in found if fault is not None), None)


def _list_fault(value: list[Any], schema: Mapping[str, Any], where: str) -> str | None:
    low, high = schema.get("minItems", 0), schema.get("maxItems", math.inf)
    if not low <= len(value) <= high:
        return f"{where}: a list of {len(value)}, expected {low} to {high}"
    found = (fault_of(item, schema["items"], f"{where}[{i}]") for i, item in enumerate(value))
    if fault := next((fault for fault in found if fault is not None), None):
        return fault
    if schema.get("uniqueItems") and any(item in value[:i] for i, item in enumerate(value)):
        return f"{where}: a value stands twice"
    return None
