"""Whether a JSON schema may be sent as ``strict``, which OpenAI grants to a part of JSON Schema only.

The schema itself goes out as the task wrote it. To rewrite it (all properties required, say) would change what is asked, and the
model would have to invent what it may leave out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_REFUSED = (
    "allOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "patternProperties",
    "prefixItems",
    "unevaluatedProperties",
)
"""Keywords that the API's description of strict schemas names as unsupported, or leaves out."""

_DEEPEST = 10


def strict_faults(schema: Mapping[str, Any]) -> list[str]:
    """Return what keeps a schema from being strict, empty where nothing does.

    The API demands an object at the root, ``additionalProperties: false`` and every property required in each object, at most ten
    levels, and none of the keywords that compose schemas save ``anyOf``.

    >>> strict_faults({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False})
    []
    >>> strict_faults({"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}})
    ['the root is no object', 'root.items: additionalProperties is not false', 'root.items: not required: a']
    """
    faults = [] if schema.get("type") == "object" and "anyOf" not in schema else ["the root is no object"]
    return faults + list(_faults(schema, "root", 0))


def _faults(schema: object, where: str, depth: int) -> Iterator[str]:
    if not isinstance(schema, Mapping):
        return
    if depth > _DEEPEST:
        yield f"{where}: deeper than {_DEEPEST} levels"
        return
    for keyword in _REFUSED:
        if keyword in schema:
            yield f"{where}: {keyword}"
    kind, properties = schema.get("type"), schema.get("properties")
    if kind == "object" or (isinstance(kind, list) and "object" in kind) or isinstance(properties, Mapping):
        if schema.get("additionalProperties") is not False:
            yield f"{where}: additionalProperties is not false"
        properties = properties if isinstance(properties, Mapping) else {}
        required = schema.get("required")
        missing = [
            name
            for name in properties
            if name not in (required if isinstance(required, list | tuple) else ())
        ]
        if missing:
            yield f"{where}: not required: {', '.join(missing)}"
        for name, inner in properties.items():
            yield from _faults(inner, f"{where}.{name}", depth + 1)
    yield from _faults(schema.get("items"), f"{where}.items", depth + 1)
    variants = schema.get("anyOf")
    for i, inner in enumerate(variants if isinstance(variants, list | tuple) else ()):
        yield from _faults(inner, f"{where}.anyOf[{i}]", depth)
    for key in ("$defs", "definitions"):
        definitions = schema.get(key)
        for name, inner in (definitions if isinstance(definitions, Mapping) else {}).items():
            yield from _faults(inner, f"{where}.{key}.{name}", depth)
