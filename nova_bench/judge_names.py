"""What a judge is called: its own name and, where two of a run share that, with the options that differ."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from nova_bench.adapter import Model
from nova_bench.signature import digest


def judge_name(model: Model) -> str:
    """Return what columns and metrics call a judge: ``ADAPTER:MODEL``, or the card's name where there is no model."""
    return model.name if ":" in model.name else model.card.name or model.name


def judge_identity(model: Model, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides whether a judge's verdicts are of one kind; its rubrics are in each verdict's request.

    Args:
        model: Who judges.
        params: Generation parameters over the rubrics' own.
    """
    return {
        "name": judge_name(model),
        "adapter": model.name,
        "source": model.source,
        "options": dict(model.identity),
        "think": list(model.card.think) if model.card.think else None,
        "params": dict(sorted(params.items())),
    }


def kind_of(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return what tells a judge from others of the same name: its identity without its adapter's text.

    Args:
        identity: Of `judge_identity`.
    """
    return {key: value for key, value in identity.items() if key != "source"}


def names_apart(kinds: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a name for each judge: its own, and where another has the same one, with the options that differ.

    Args:
        kinds: Of `kind_of`, all different.

    >>> one, other = ({"name": "a:m", "options": {"model": "m", "effort": effort}, "params": {}} for effort in ("low", "high"))
    >>> names_apart([one, other, {"name": "b", "options": {}, "params": {}}])
    ['a:m[effort=low]', 'a:m[effort=high]', 'b']
    """
    sharing: dict[str, list[dict[str, Any]]] = {}
    for kind in kinds:
        sharing.setdefault(kind["name"], []).append(_flat(kind))
    made = []
    for kind in kinds:
        others, own = sharing[kind["name"]], _flat(kind)
        keys = sorted({key for one in others for key in one})
        differing = [key for key in keys if any(one.get(key) != own.get(key) for one in others)]
        told = ";".join(f"{key}={_word(own[key])}" for key in differing if own.get(key) is not None)
        made.append(f"{kind['name']}[{told}]" if told else kind["name"])
    if len(set(made)) < len(made):  # values that look alike as words
        made = [f"{kind['name']}[{digest(kind)[:12]}]" for kind in kinds]
    return made


def _flat(kind: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in kind.items() if key not in ("name", "options", "params")}
    options = kind["options"]
    params = {
        f"param.{key}" if key in options else key: float(value) for key, value in kind["params"].items()
    }
    return {**rest, **options, **params}


def _word(value: Any) -> str:
    """Return an option's value as a part of a column's name."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if re.fullmatch(r"[\w.:/+-]{1,40}", text) else digest(value)[:8]
