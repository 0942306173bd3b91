"""What `nova-bench check` asks an adapter: small requests, and pictures that are drawn here."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Sequence

import numpy as np
import PIL.Image

from nova_bench.images import Image
from nova_bench.types import Card, GenParams, Request

MOST_TOKENS = 16
"""Of an answer whose content is not looked at: a paid API is not to be asked for more."""

MOST_TOKENS_BOXES = 256

LARGE = (8000, 6000)
SMALL = (96, 64)
SCENE = (1400, 1200)
"""Width and height, px. Corners of a lesion at its lower right are above 1000, so that pixels cannot pass for thousandths."""

LABELS = ("yes", "no")


def picture(
    size: tuple[int, int] = SMALL, seed: int = 0, *, bits: int = 8, name: str = "picture.png"
) -> Image:
    """Return a grey PNG: a dark disc with a bright spot, the spot's place drawn from `seed`.

    >>> picture((32, 24)).size, picture(bits=16).pil().mode
    ((32, 24), 'L')
    """
    times = max(1, max(size) // 800)  # a large picture is a small one, enlarged: the time is the adapter's
    width, height = size[0] // times, size[1] // times
    place = np.random.default_rng(seed).uniform(0.62, 0.74, 2)
    across = np.linspace(0.0, 1.0, width, dtype=np.float32)[None, :]
    down = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None]
    disc = ((across - 0.5) ** 2 + (down - 0.5) ** 2) < 0.2
    spot = ((across - place[0] - 0.1) ** 2 + (down - place[1] - 0.1) ** 2) < 0.01
    grey = np.where(spot, 220, np.where(disc, 70, 5))
    values = grey.astype(np.uint8) if bits == 8 else (grey * 200).astype(np.uint16)
    values = values.repeat(times, axis=0).repeat(times, axis=1)
    buffer = io.BytesIO()
    PIL.Image.fromarray(values).save(buffer, "PNG", compress_level=1)
    return Image(data=buffer.getvalue(), name=name)


def damaged() -> Image:
    """Return a picture whose file was cut in the middle: its size can be read, its pixels cannot."""
    whole = picture().read()
    return Image(data=whole[: len(whole) // 2], name="damaged.png")


def request(
    name: str,
    parts: Sequence[str | Image],
    *,
    max_tokens: int = MOST_TOKENS,
    system: str | None = None,
    ask: dict[str, object] | None = None,
    labels: tuple[str, ...] = (),
    outputs: Sequence[str] = ("text",),
) -> Request:
    """Return one request at temperature 0."""
    params = GenParams(max_tokens=max_tokens, temperature=0.0, seed=0)
    return Request(name, name, 0, tuple(parts), system, params, frozenset(outputs), labels, ask)


def plain(n: int = 3, prefix: str = "plain") -> list[Request]:
    """Return ordinary requests: one small picture and a sentence each."""
    return [
        request(f"{prefix}{i}.png", (picture(seed=i), f"What is picture {i + 1}? Answer in three words."))
        for i in range(n)
    ]


CONTENTS = ("unicode", "empty text", "text only", "several images", "16-bit image", "system prompt")


def content(step: str) -> tuple[str, Request]:
    """Return what a data set may hold, by the name of its step (one of `CONTENTS`, or ``large image``): in words, and as a request."""
    ask = "Describe it in three words."
    if step == "unicode":
        unicode = "Beschreibe: größe ≥ 5 µm, 肺結節, רקמה, عقدة, é́, \U0001f9e0. In three words."
        return "a prompt with letters of many scripts", request("unicode-脳.png", (picture(), unicode))
    if step == "empty text":
        return "a picture with an empty text", request("empty-text.png", (picture(seed=3), ""))
    if step == "text only":
        return "a text without a picture", request("text-only", ("Name one organ in one word.",))
    if step == "several images":
        before, after = (picture(seed=seed, name=f"view{seed}.png") for seed in (1, 2))
        parts = (before, "This was before.", after, f"This is after. {ask}")
        return "a prompt of two pictures with text between them", request("several.png", parts)
    if step == "16-bit image":
        return "a grey picture of 16 bits", request("16-bit.png", (picture(bits=16), ask))
    if step == "system prompt":
        system = "You are a radiologist. Be brief."
        return "a request with a system prompt", request("system.png", (picture(seed=4), ask), system=system)
    assert step == "large image"  # there is no other step
    words = f"a picture of {LARGE[0]} x {LARGE[1]} pixels"
    return words, request("large.png", (picture(LARGE, name="large.png"), ask))


def unreadable() -> list[Request]:
    """Return three requests, the second of which has a damaged picture."""
    good = plain(2, "beside")
    bad = request("damaged.png", (damaged(), "What is it? Answer in three words."))
    return [good[0], bad, good[1]]


def localisation(card: Card, n: int = 3) -> list[Request]:
    """Return prompts for boxes in the card's frame, as tasks write them."""
    text = f"""Mark every bright spot with a box that encloses it tightly.

Write each box as {card.frame.words()}.
Answer with JSON only: a list of objects, each with the keys "box" (four numbers) and "label"."""
    ask = {"kind": "ground", "phrases": ["bright spot"]}
    return [
        request(f"boxes{i}.png", (picture(SCENE, i), text), max_tokens=MOST_TOKENS_BOXES, ask=dict(ask))
        for i in range(n)
    ]


def declared(outputs: Sequence[str]) -> list[Request]:
    """Return a request for each output beside text that a card declares."""
    text = "Is this a picture of a brain? Answer with one word: yes or no."
    return [
        request(
            f"output-{name}.png",
            (picture(), text),
            labels=LABELS if name == "label_probs" else (),
            outputs=("text", name),
        )
        for name in outputs
        if name != "text"
    ]


def fingerprint(request: Request) -> str:
    """Return a hash of everything that a request holds, to tell whether somebody changed it.

    >>> asked = request("a", ("one",), ask={"kind": "question"})
    >>> before = fingerprint(asked)
    >>> asked.ask["kind"] = "report"
    >>> before == fingerprint(asked)
    False
    """
    parts = [
        part if isinstance(part, str) else ["image", part.name, hashlib.sha256(part.read()).hexdigest()]
        for part in request.parts
    ]
    params = {field.name: getattr(request.params, field.name) for field in dataclasses.fields(request.params)}
    rest = [
        request.id,
        request.sample,
        request.repeat,
        request.system,
        sorted(request.outputs),
        request.labels,
    ]
    told = json.dumps([parts, params, rest, request.ask], default=repr, sort_keys=True)
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()
