"""People's verdicts on texts, from a file of JSON lines: what a judge is calibrated with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nova_bench.errors import DataError, NovaBenchError, UnknownNameError
from nova_bench.rubrics.texts import has_words
from nova_bench.signature import canonical
from nova_bench.types import Judge
from nova_bench.verdict_schema import fault_of

_KEYS = frozenset({"id", "rubric", "texts", "verdict", "rater", "cluster"})


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """One person's verdict on one set of texts, by key such as ``errors.missing``."""

    id: str
    rubric: str
    texts: Mapping[str, str]
    verdict: Mapping[str, Any]
    rater: str
    cluster: str


def read_labels(path: Path, rubrics: Mapping[str, Judge]) -> list[Label]:
    """Read a file of labels.

    Args:
        path: JSON lines.
        rubrics: The rubrics that a line may name.

    Raises:
        DataError: A line is no label; with its number, and without a word of its texts.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"labels {path} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}"
        ) from error
    labels: list[Label] = []
    known: dict[tuple[str, str], tuple[str, bytes]] = {}
    seen: set[tuple[str, str, str]] = set()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            label = _label(line, rubrics)
        except (DataError, UnknownNameError, ValueError) as error:
            what = str(error) if isinstance(error, NovaBenchError) else "no JSON"
            raise DataError(f"labels {path}, line {number}: {what}") from None
        key, about = (label.rubric, label.id), (label.cluster, canonical(dict(label.texts)))
        if known.setdefault(key, about) != about:
            raise DataError(
                f"labels {path}, line {number}: id {label.id!r} stands above with other texts or another cluster"
            )
        if (*key, label.rater) in seen:
            raise DataError(
                f"labels {path}, line {number}: id {label.id!r} has a label by {label.rater or 'the same rater'} already; "
                'tell people apart with "rater"'
            )
        seen.add((*key, label.rater))
        labels.append(label)
    if not labels:
        raise DataError(f"labels {path}: no label; expected one JSON object a line, see docs/judges.md")
    return labels


def _label(line: str, rubrics: Mapping[str, Judge]) -> Label:
    value = json.loads(line)
    if not isinstance(value, dict):
        raise DataError("expected a JSON object")
    if strange := sorted(set(value) - _KEYS):
        raise DataError(f"key {strange[0]!r} does not exist; there is: {', '.join(sorted(_KEYS))}")
    if lacking := sorted({"id", "rubric", "texts", "verdict"} - set(value)):
        raise DataError(f"{', '.join(lacking)} missing")
    texts, verdict = value["texts"], value["verdict"]
    words = [value["id"], value["rubric"], value.get("rater", ""), value.get("cluster", "")]
    if not all(isinstance(word, str) for word in words) or not value["id"]:
        raise DataError("id, rubric, rater and cluster are texts, and id is not empty")
    if not isinstance(texts, dict) or not texts or not all(isinstance(text, str) for text in texts.values()):
        raise DataError("texts is an object of texts by name, as the rubric's material has them")
    if not isinstance(verdict, dict):
        raise DataError("verdict is an object with keys of the rubric")
    if value["rubric"] not in rubrics:
        raise UnknownNameError("rubric", value["rubric"], rubrics, "the tasks")
    judge = rubrics[value["rubric"]]
    if judge.names and set(texts) != set(judge.names):
        raise DataError(f"texts are {', '.join(texts)}; rubric {judge.name} has {', '.join(judge.names)}")
    if empty := [name for name, text in texts.items() if not has_words(text)]:
        raise DataError(
            f"text {empty[0]!r} has no letter and no digit; such a text is scored by rule, and no judge is asked"
        )
    leaves = leaves_of(judge)
    flat = dict(flattened(verdict))
    for key, given in flat.items():
        if key not in leaves:
            raise UnknownNameError("key of a verdict", key, leaves, f"rubric {value['rubric']}")
        if fault := fault_of(given, leaves[key], key):
            raise DataError(fault)
    if not flat:
        raise DataError("verdict has no key")
    return Label(value["id"], value["rubric"], judge.shown(texts), flat, words[2], words[3] or value["id"])


def leaves_of(judge: Judge) -> dict[str, Mapping[str, Any]]:
    """Return the schema of everything in a verdict that can be compared, by its key; objects inside are joined by dots.

    Args:
        judge: What is asked. Free text, private or not, is left out.
    """
    found: dict[str, Mapping[str, Any]] = {}

    def walk(schema: Mapping[str, Any], prefix: str) -> None:
        for key, inner in schema.get("properties", {}).items():
            if not prefix and key in judge.private:
                continue
            if "properties" in inner:
                walk(inner, f"{prefix}{key}.")
            elif "enum" in inner or inner.get("type") != "string":
                found[f"{prefix}{key}"] = inner

    walk(judge.schema, "")
    return found


def flattened(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (key, value) of everything in a verdict, keys of objects inside joined by dots.

    >>> list(flattened({"a": 1, "b": {"c": [2]}}))
    [('a', 1), ('b.c', [2])]
    """
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from flattened(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner
