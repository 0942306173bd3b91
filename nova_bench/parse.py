"""Reads answers: from what a model wrote to what it meant, with a status that says how that went.

Rules that hold for every function here, in this order:

- The backend's word comes first: a vendor's filter is ``refused``, a request that the model cannot take is ``rejected``, no
  answer at all is ``failed``.
- Reasoning is not the answer and is removed; a block that was never closed means ``truncated``, as a spent token limit does, and
  as JSON does that ends before its brackets close. What is complete in a truncated answer is kept as its value.
- A usable answer is ``ok`` whatever stands around it. A refusal in words counts only where nothing usable was found.
- Everything else is ``unparsed``, the empty text too: the model answered, and nobody could read it.

A frame of coordinates is declared, never guessed: none of these functions tries several. Nothing here raises on any answer, and
the work grows with the answer's length.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nova_bench.boxes import is_sound
from nova_bench.errors import DataError
from nova_bench.json_boxes import WrittenBox, plain
from nova_bench.loose_json import Keyed, Listed, as_number, scan
from nova_bench.text import is_refusal, normalise_diagnosis, strip_thinking, without_surrogates
from nova_bench.types import Box, Context, Frame, Prediction, Response, Status
from nova_bench.written_boxes import find_boxes
from nova_bench.written_diagnoses import find_diagnoses

PARSER_VERSION = 2
"""Part of every signature: a change that can change what an answer means raises it."""

N_CANDIDATES = 5
"""One most likely diagnosis and four alternatives, as NOVA asks (arXiv 2505.14064)."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a model thinks that a patient has.

    Attributes:
        most_likely: The first of the candidates, as written.
        candidates: The most likely one and the alternatives, in the model's order, as written; no two are equal after
            `nova_bench.text.normalise_diagnosis`, and there are at most `N_CANDIDATES`.
    """

    most_likely: str
    candidates: tuple[str, ...]


def parse_boxes(response: Response, context: Context) -> Prediction:
    """Return the boxes of an answer as a tuple of `Box`; empty where there are none, or none could be read.

    Which part of an answer counts is written in `nova_bench.written_boxes`. Boxes are in px of the first stored image; the
    numbers are read in the declared frame, for ``px`` relative to the image as sent. Nothing is clipped, exact duplicates stay.

    Warnings: ``inverted`` and ``non_finite`` boxes are dropped; ``not_four`` counts places with another count of numbers;
    ``out_of_frame`` boxes cannot belong to the frame and are scored as given; ``bad_score`` is a score that is no finite number,
    read as 1; ``superseded`` counts earlier whole answers that a later one replaced.

    Args:
        response: The answer.
        context: Frame, reasoning tags and image sizes.

    Raises:
        DataError: The sample has no image, or one without an area: there are no pixels to speak of.

    >>> context = Context(Frame("yxyx/1000"), None, ((480, 240),), ((480, 240),))
    >>> parse_boxes(Response("a", "[mass]: [250, 500, 750, 1000]"), context).value
    (Box(x0=240.0, y0=60.0, x1=480.0, y1=180.0, score=1.0, label='mass'),)
    >>> parse_boxes(Response("a", "no target"), context).status
    'ok'
    """
    if not context.stored_sizes:
        raise DataError(
            "got a sample without an image, but boxes are in pixels of its first image; give the sample an image"
        )
    stored = context.stored_sizes[0]
    sent = context.sent_sizes[0] if context.sent_sizes else stored
    if min(*stored, *sent) <= 0:
        raise DataError(
            f"got images of {stored} px stored and {sent} px sent, but both must have an area; repair the image"
        )
    status, text, cut = _opened(response, context)
    if status:
        return Prediction(status, ())
    found = find_boxes(text)
    warnings: Counter[str] = Counter({"not_four": found.not_four, "superseded": found.superseded})
    boxes = tuple(
        box for written in found.boxes if (box := _box(written, context.frame, stored, sent, warnings))
    )
    status = _status(text, usable=found.answered, cut=cut or found.cut)
    return Prediction(status, boxes, _counted(warnings))


def parse_diagnosis(response: Response, context: Context) -> Prediction:
    r"""Return the diagnoses of an answer as a `Diagnosis`; None where none could be read.

    Which part of an answer counts is written in `nova_bench.written_diagnoses`.

    Warnings: ``extra_candidates`` beyond five are not kept; ``few_candidates`` is how many are missing; ``repeated_candidates``
    were equal to an earlier one; ``no_most_likely``: the answer is a list that does not say which is the most likely, so its
    first is taken.

    >>> context = Context(Frame("xyxy/1000"), None, (), ())
    >>> parse_diagnosis(Response("a", "Most likely diagnosis: Glioma\nDifferential: glioma, abscess"), context).value
    Diagnosis(most_likely='Glioma', candidates=('Glioma', 'abscess'))
    """
    status, text, cut = _opened(response, context)
    if status:
        return Prediction(status)
    found = find_diagnoses(text, cut=cut)
    named = {name: normalise_diagnosis(name) for name in found.names}
    kept: dict[str, str] = {}
    for name, normal in named.items():
        if normal and not is_refusal(name):
            kept.setdefault(normal, name)
    if not kept:
        # A refusal may stand inside the JSON that was asked for.
        declined = (
            text if is_refusal(text) else next((name for name in found.names if is_refusal(name)), text)
        )
        return Prediction(_status(declined, usable=False, cut=cut or found.cut))
    names = tuple(kept.values())
    warnings = Counter(
        extra_candidates=max(0, len(names) - N_CANDIDATES),
        few_candidates=max(0, N_CANDIDATES - len(names)),
        repeated_candidates=sum(1 for name in found.names if named[name]) - len(names),
        no_most_likely=int(not found.has_first),
    )
    value = Diagnosis(names[0], names[:N_CANDIDATES])
    return Prediction(_status(text, usable=True, cut=cut or found.cut), value, _counted(warnings))


def parse_text(response: Response, context: Context) -> Prediction:
    r"""Return a caption or another free text, without reasoning and marker; None where there is none.

    What follows the last line that starts with ``ANSWER:`` is the text. Without that marker, what follows the first line that
    starts with ``Caption:`` or ``Description:``, unless a line before it has a label of its own (``Modality: MRI``): then the
    marker is one section of several, and all are kept. Markers count in any case, with Markdown or ``Final`` around them. A JSON
    object with the text under one of these names is opened; Markdown fences, quotes around the whole and end-of-text tokens go.

    >>> context = Context(Frame("xyxy/1000"), ("<think>", "</think>"), (), ())
    >>> parse_text(Response("a", "<think>T2?</think>It is bright.\n**ANSWER:** Axial T2 with a lesion."), context).value
    'Axial T2 with a lesion.'
    """
    status, text, cut = _opened(response, context)
    if status:
        return Prediction(status)
    answer = _after_marker(_bare(text))
    answer = _bare(_text_in_object(answer) or answer)
    refused = is_refusal(answer)
    status = _status(text, usable=bool(answer) and not refused, cut=cut)
    return Prediction(status, answer if answer and not refused else None)


def parse_object(response: Response, context: Context) -> Prediction:
    """Return the last JSON object of an answer as a dict; None where there is none.

    Read as carelessly as models write (see `nova_bench.loose_json`); numbers are floats, and of a repeated key the last value counts. In a
    truncated answer what is whole is kept.

    >>> context = Context(Frame("xyxy/1000"), None, (), ())
    >>> parse_object(Response("a", 'Sure: {"verdict": "keep", "pairs": [{"n": 1}]}'), context).value
    {'verdict': 'keep', 'pairs': [{'n': 1.0}]}
    """
    status, text, cut = _opened(response, context)
    if status:
        return Prediction(status)
    roots = [root for root in scan(text).roots if isinstance(root.value, Keyed)]
    if not roots:
        return Prediction(_status(text, usable=False, cut=cut))
    return Prediction(_status(text, usable=True, cut=cut or roots[-1].cut), _plain(roots[-1].value))


def _plain(value: Any) -> Any:
    """Return a scanned value as dicts, lists and scalars; `scan` bounds its depth."""
    if isinstance(value, Keyed):
        return {key: _plain(child) for key, child in value.items}
    return [_plain(child) for child in value.items] if isinstance(value, Listed) else value


def _opened(response: Response, context: Context) -> tuple[Status | None, str, bool]:
    """Return the status that the backend settled, else None with the text without reasoning and whether it was cut."""
    settled: Mapping[str, Status] = {"filter": "refused", "rejected": "rejected", "error": "failed"}
    if response.finish in settled:
        return settled[response.finish], "", False
    text, unclosed = strip_thinking(without_surrogates(response.text or ""), context.think)
    return None, text, unclosed or response.finish == "length"


def _status(text: str, *, usable: bool, cut: bool) -> Status:
    if cut:
        return "truncated"
    if usable:
        return "ok"
    return "refused" if is_refusal(text) else "unparsed"


def _counted(warnings: Counter[str]) -> Mapping[str, int]:
    return {name: count for name, count in sorted(warnings.items()) if count}


def _box(
    written: WrittenBox, frame: Frame, stored: tuple[int, int], sent: tuple[int, int], warnings: Counter[str]
) -> Box | None:
    """Return a written box in px of the stored image; None where it is no box."""
    # Named numbers state their order; the unit stays the frame's.
    own = Frame(f"{written.order}/{frame.unit}") if written.order else frame
    if not all(math.isfinite(number) for number in written.numbers):
        warnings["non_finite"] += 1
        return None
    corners = own.to_pixels(written.numbers, stored, sent)
    if not is_sound(corners):
        warnings["inverted" if all(math.isfinite(edge) for edge in corners) else "non_finite"] += 1
        return None
    if not own.fits(written.numbers, sent):
        warnings["out_of_frame"] += 1
    score = _score(written.score)
    if score is None:
        warnings["bad_score"] += 1
    return Box(*corners, score=1.0 if score is None else score, label=without_surrogates(written.label)[:200])


def _score(raw: Any) -> float | None:
    """Return a score, ``0.87`` or ``"87%"``; 1 where none was given, None where it is no finite number."""
    if raw is None:
        return 1.0
    if isinstance(raw, str):
        word = raw.strip()
        percent = word.endswith("%")
        number = as_number(word.rstrip("% "))
        raw = number / 100 if percent and number is not None else number
    return raw if isinstance(raw, float) and math.isfinite(raw) else None


# Free text.

_MARKER = r"[*_#>` \t]{0,8}(?:final )?%s[*_` \t]{0,8}:[*_` \t]{0,8}"
_ANSWER = re.compile(f"^[ \\t]{{0,8}}<answer>|^{_MARKER % 'answer'}", re.IGNORECASE | re.MULTILINE)
_CAPTION = re.compile(f"^{_MARKER % '(?:caption|description)'}", re.IGNORECASE | re.MULTILINE)
_LABEL = re.compile(r"^[*_#>\- \t]{0,8}[A-Z][\w /-]{0,40}[*_]{0,3}:[*_]{0,3}[ \t]*\S", re.MULTILINE)
_TEXT_KEYS = ("answer", "finalanswer", "caption", "description", "text", "report", "findings")
_END_TOKENS = (
    "</s>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|endoftext|>",
    "<end_of_turn>",
    "<eos>",
    "<|end|>",
    "</answer>",
)


def _after_marker(text: str) -> str:
    markers = list(_ANSWER.finditer(text))
    if markers:
        return text[markers[-1].end() :].strip()
    caption = _CAPTION.search(text)
    if caption and not _LABEL.search(text, 0, caption.start()):
        return text[caption.end() :].strip()
    return text


def _text_in_object(text: str) -> str | None:
    """Return the text under a known name where the whole is a JSON object."""
    if not text.startswith("{"):
        return None
    for root in scan(text).roots[:1]:
        if isinstance(root.value, Keyed):
            names = {plain(key): child for key, child in root.value.items}
            return next((names[key] for key in _TEXT_KEYS if isinstance(names.get(key), str)), None)
    return None


def _bare(text: str) -> str:
    """Return a text without end-of-text tokens, a fence around the whole, and quotes around the whole."""
    end, shorter = len(text), -1
    while end != shorter:
        # Only an index moves, so that a megabyte of tokens costs no copies.
        shorter = end
        while end and text[end - 1].isspace():
            end -= 1
        end -= next((len(token) for token in _END_TOKENS if text.endswith(token, 0, end)), 0)
    text = text[:end].strip()
    if text.startswith("```"):
        text = re.sub(r"\A```[\w-]{0,20}[ \t]*", "", text.removesuffix("```")).strip()
    if (
        len(text) > 1
        and text[0] + text[-1] in ('""', "\u201c\u201d")
        and not set(text[1:-1]) & set(text[0] + text[-1])
    ):
        text = text[1:-1].strip()
    return text
