"""The request hash, which decides whether an answer in a log still counts."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_bench.images import Image
from nova_bench.signature import params_json, request_hash
from nova_bench.types import GenParams, Request

IMAGE = Image(data=b"picture")


def reference(request: Request) -> bytes:
    """The hash by its definition: one canonical JSON document, made by the json module in one piece."""
    parts = [part if isinstance(part, str) else {"image": part.digest} for part in request.parts]
    rendered: list[Any] = [parts, request.system, params_json(request.params)]
    if request.outputs != {"text"} or request.labels or request.ask is not None:
        rendered += [sorted(request.outputs), list(request.labels), request.ask]
    return hashlib.sha256(json.dumps(rendered, sort_keys=True, separators=(",", ":")).encode()).digest()


texts = st.text(alphabet=st.characters(), max_size=40)  # lone surrogates too: JSON escapes them


@given(
    parts=st.lists(st.one_of(texts, st.just(IMAGE)), max_size=4).map(tuple),
    system=st.none() | texts,
    params=st.builds(
        GenParams,
        max_tokens=st.none() | st.integers(1, 4096),
        temperature=st.none() | st.floats(0, 2),
        stop=st.lists(texts, max_size=2).map(tuple),
        json_schema=st.none() | st.just({"type": "object", "properties": {"b": {}, "a": {"type": "string"}}}),
    ),
    outputs=st.sampled_from([frozenset({"text"}), frozenset({"text", "label_probs"})]),
    labels=st.lists(texts, max_size=2).map(tuple),
    ask=st.none() | st.dictionaries(texts, st.integers() | texts, max_size=3),
)
def test_hash_is_that_of_the_canonical_json(**fields: Any) -> None:
    request = Request("id", "sample", 0, **fields)
    assert request_hash(request, lambda image: image.digest) == reference(request)


@pytest.mark.parametrize(
    "changed",
    [
        {"parts": (IMAGE, "Where?")},
        {"parts": ("What?",)},
        {"system": "You are a radiologist."},
        {"params": GenParams(temperature=0.1)},
        {"labels": ("a",)},
        {"outputs": frozenset({"text", "embedding"})},
        {"ask": {"kind": "ground"}},
    ],
)
def test_every_part_of_a_request_counts(changed: dict[str, Any]) -> None:
    plain: dict[str, Any] = {"parts": (IMAGE, "What?")}
    hashes = [
        request_hash(Request("id", "sample", 0, **fields), lambda image: image.digest)
        for fields in (plain, {**plain, **changed})
    ]
    assert hashes[0] != hashes[1]
