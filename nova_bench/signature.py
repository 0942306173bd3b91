"""What a number is the value of: its signature.

The *protocol* part decides comparability: two cells may be compared when it is the same. The *provenance* part is shown and never blocks.
After the idea of sacrebleu's signature (Post 2018, "A Call for Clarity in Reporting BLEU Scores"): kept as a mapping, printed as a text.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Any

from nova_bench.task import Task, Variant
from nova_bench.types import Card, GenParams, Image, Metric, Prompt, Request, Sample

quote = lru_cache(maxsize=64)(encode_basestring_ascii)
"""Return a text as JSON; one prompt's words come back with every sample, and looking them up costs a third."""

_TEXT_ONLY = frozenset({"text"})
_ENCODE = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
).encode  # json.dumps makes an encoder a call


def canonical(value: Any) -> bytes:
    """Return JSON with sorted keys and no spaces, as ASCII bytes: the form that is hashed."""
    return _ENCODE(value).encode("ascii")


def digest(value: Any) -> str:
    """Return the sha256 of a value's canonical JSON, hex.

    >>> digest({"b": 1, "a": [2]}) == digest({"a": [2], "b": 1})
    True
    """
    return hashlib.sha256(canonical(value)).hexdigest()


def params_json(params: GenParams) -> dict[str, Any]:
    """Return the parameters that are set, as JSON values."""
    return {
        field.name: list(value) if isinstance(value := getattr(params, field.name), tuple) else value
        for field in dataclasses.fields(params)
        if getattr(params, field.name) not in (None, ())
    }


def params_text(params: GenParams) -> str:
    """Return `params_json` as canonical JSON."""
    return canonical(params_json(params)).decode("ascii")


def beyond_text(request: Request) -> str:
    """Return the canonical JSON of what a request wants besides a text: ``,outputs,labels,ask``, or nothing."""
    if request.outputs == _TEXT_ONLY and not request.labels and request.ask is None:
        return ""
    return "," + canonical([sorted(request.outputs), list(request.labels), request.ask]).decode("ascii")[1:-1]


def request_hash(
    request: Request,
    image_digest: Callable[[Image], str],
    *,
    params: str | None = None,
    beyond: str | None = None,
) -> bytes:
    """Return the sha256 of a request as it leaves the engine, before any resizing or encoding.

    What is hashed is the canonical JSON of ``[parts, system, params]``, each image part as ``{"image": sha256}``, and behind them
    ``outputs, labels, ask`` where one of these is not the default.

    Args:
        request: The request.
        image_digest: Gives the sha256 of an image's stored bytes, in hex.
        params: `params_text` of the request's parameters, where the caller has it at hand.
        beyond: `beyond_text` of the request, where the caller has it at hand.
    """
    # Put together from quoted pieces: making an encoder and walking lists a request was a fifth of the time that a resume takes.
    parts = ",".join(
        quote(part) if isinstance(part, str) else f'{{"image":"{image_digest(part)}"}}'
        for part in request.parts
    )
    system = "null" if request.system is None else quote(request.system)
    shown = params_text(request.params) if params is None else params
    more = beyond_text(request) if beyond is None else beyond
    return hashlib.sha256(f"[[{parts}],{system},{shown}{more}]".encode("ascii")).digest()


class _Holes(Mapping[str, str]):
    """The texts of a sample, each replaced by its name in braces."""

    def __init__(self, text: Mapping[str, str]) -> None:
        self._text = text

    def __getitem__(self, key: str) -> str:
        if key not in self._text:
            raise KeyError(key)
        return "{" + key + "}"

    def __iter__(self) -> Iterator[str]:
        return iter(self._text)

    def __len__(self) -> int:
        return len(self._text)


class _OpenFrame:
    """A box frame that is left open."""

    name = order = unit = "{frame}"

    def words(self) -> str:
        return "{frame}"


def template(task: Task, sample: Sample) -> str:
    """Return the hash of a task's prompt with the sample's texts and the box frame left open: 12 hex digits.

    Args:
        task: The task.
        sample: Any sample of the run; only which texts and how many images it has is used.
    """
    hollow = dataclasses.replace(
        sample, id="{id}", text=_Holes(sample.text), target=None, cluster="{cluster}", groups={}
    )
    card = dataclasses.replace(Card(), frame=_OpenFrame())  # type: ignore[arg-type]  # a stand-in with the same words
    prompt: Prompt = task.prompt(hollow, card)
    parts = ["<image>" if isinstance(part, Image) else part for part in prompt.parts]
    return digest([parts, prompt.system, prompt.json_schema, prompt.ask])[:12]


def sign(
    task: Task,
    variant: Variant,
    metric: Metric,
    *,
    data_digest: str,
    split: str,
    limit: Mapping[str, Any] | None,
    template_hash: str,
    scorer_versions: Mapping[str, int],
    provenance: Mapping[str, Any],
    judge: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a cell's signature: ``{"id", "protocol", "provenance", "text"}``.

    Args:
        task: The task.
        variant: The whole variant.
        metric: The metric.
        data_digest: sha256 of the data set.
        split: The split that was scored.
        limit: ``{"n", "seed"}`` where only some clusters were run.
        template_hash: Of `template`.
        scorer_versions: Scorer name to version.
        provenance: Shown, never compared.
        judge: Of a judged metric: model, options, rubric, parameters, repeats.
    """
    protocol: dict[str, Any] = {
        "task": task.name,
        "task_version": task.version,
        "variant": dict(variant),
        "data": data_digest[:12],
        "split": split,
        "limit": dict(limit) if limit else None,
        "prompt": template_hash,
        "parser": task.parser_version,
        "scorers": dict(scorer_versions),
        "metric": metric.name,
        "metric_version": metric.version,
        "judge": None if judge is None else dict(judge),
    }
    return seal(protocol, provenance)


def seal(protocol: Mapping[str, Any], provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the signature of a number whose protocol and provenance are known.

    Args:
        protocol: What decides comparability; the order of its keys is that of the text.
        provenance: Shown, never compared.

    >>> seal({"metric": "accuracy", "judge": None}, {})["text"]
    'metric:accuracy'
    """
    shown = {key: _text(value) for key, value in protocol.items() if value not in (None, {})}
    text = "|".join(f"{key}:{value}" for key, value in shown.items())
    return {
        "id": digest(protocol)[:12],
        "protocol": dict(protocol),
        "provenance": dict(provenance),
        "text": text,
    }


def _text(value: Any) -> str:
    return (
        ",".join(f"{key}={item}" for key, item in value.items()) if isinstance(value, Mapping) else str(value)
    )
