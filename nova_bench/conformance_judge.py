"""What a check says of single answers, outputs and calls, in words."""

from __future__ import annotations

import os
import threading
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path

from nova_bench.conformance_requests import LABELS, SCENE
from nova_bench.conformance_stream import Outcome, Trouble, line_of, where
from nova_bench.errors import AdapterError
from nova_bench.static_check import printable
from nova_bench.types import Card, Context, Response

CLOSE_SECONDS = 5.0
"""How long close() may take, by the contract."""


def failed(outcome: Outcome) -> Trouble | None:
    """Return what to say where an ordinary request failed."""
    for key, response in outcome.responses.items():
        if response.finish == "error":
            return failure(f"request {key!r}", response)
    return None


def is_failed(outcome: Outcome, key: str) -> bool:
    """Return whether a request was answered with an error."""
    return key in outcome.responses and outcome.responses[key].finish == "error"


def not_reached(outcome: Outcome) -> str:
    """Return why a model was not reached, where a backend said it: server, key, model's name, no fault of the file. Empty where it was."""
    given_up = all(is_failed(outcome, key) for key in outcome.responses)
    return (
        printable(str(outcome.raised), 800) if given_up and isinstance(outcome.raised, AdapterError) else ""
    )


def failure(words: str, response: Response) -> Trouble:
    """Return what to say of a request that was answered with finish='error'."""
    return (
        f"{words} failed: {printable(str(response.error), 300)}",
        "answer it; where the model cannot take such a request, say finish='rejected' with the reason in error",
    )


def outcome_in_words(words: str, response: Response) -> str:
    """Return how a request was answered."""
    if response.finish == "rejected":
        return (
            f"{words} was rejected, which counts as the model's answer: {printable(str(response.error), 200)}"
        )
    return f"{words} was answered"


def frame_used(outcome: Outcome, card: Card) -> tuple[str, Trouble | None]:
    """Return how many boxes of a stream are out of the card's frame, and what to say where all are."""
    from nova_bench.parse import parse_boxes

    n_boxes = n_out = n_small = 0
    for response in outcome.responses.values():
        if response.finish == "error" or not isinstance(response.text, str):
            continue
        sizes = response.image_sizes
        is_said = (
            len(sizes) == 1 and len(sizes[0]) == 2 and min(sizes[0]) > 0
        )  # else it is a fault of its own
        sent = tuple(sizes) if is_said else (SCENE,)
        prediction = parse_boxes(response, Context(card.frame, card.think, (SCENE,), sent))
        n_boxes += len(prediction.value or ())
        n_out += prediction.warnings.get("out_of_frame", 0)
        n_small += sum(max(box.x1 - box.x0, box.y1 - box.y0) < 3 for box in prediction.value or ())
    frame = card.frame.name
    if not n_boxes:
        return f"no box in {len(outcome.responses)} answers; the frame {frame} was not put to use", None
    if n_out == n_boxes:
        remedy = "declare the frame in which the model writes: boxes = ... in the header, or -o boxes=; CONTRIBUTING.md has the frames"
        return "", (f"all {n_boxes} boxes are out of the frame {frame} that the card declares", remedy)
    told = (
        "; all are smaller than 3 pixels: does it write fractions of the image?" if n_small == n_boxes else ""
    )
    return f"{n_out} of {n_boxes} boxes are out of the frame {frame}{told}", None


def wrong_output(name: str, response: Response) -> Trouble | None:
    """Return what is wrong with a declared output of a response."""
    import numpy as np

    put = f"put it into arrays: nb.Response(request.id, text, arrays={{{name!r}: ...}}), or take {name} out of outputs"
    array = response.arrays.get(name)
    if array is None:
        return f"the card declares {name}, but the response has none", put
    try:
        values = np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError):
        return f"{name} is no array of numbers: {printable(repr(array), 100)}", put
    if name != "label_probs":
        return None if values.size else (f"{name} is empty", put)
    fits = "one probability for each of request.labels, in their order, summing to 1"
    if values.shape != (len(LABELS),):
        return f"label_probs has the shape {values.shape} for {len(LABELS)} labels", fits
    if not np.isfinite(values).all() or (values < 0).any() or abs(float(values.sum()) - 1.0) > 1e-3:
        return (
            f"label_probs are {[round(float(value), 4) for value in values]}, which is no distribution",
            fits,
        )
    return None


def closed(close: Callable[[], None], source: Path | None, *, again: bool) -> tuple[Trouble | None, float]:
    """Call an adapter's close() in a thread; return what is wrong with it, and how long it took."""
    raised: list[BaseException] = []

    def call() -> None:
        try:
            close()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=call, daemon=True)
    began = time.monotonic()
    thread.start()
    thread.join(CLOSE_SECONDS)
    seconds = time.monotonic() - began
    which = "a second close()" if again else "close()"
    if thread.is_alive():
        return (
            f"{which} did not end within {CLOSE_SECONDS:g} s{where(thread, source)}",
            "close() cancels what is in flight and does not wait for it; it may be called from any thread",
        ), seconds
    if raised:
        error = raised[0]
        return (
            f"{which} raised {type(error).__name__}{line_of(error, source)}: {printable(str(error), 200)}",
            "close() may be called at any time, more than once, from any thread, and raises nothing",
        ), seconds
    return None, seconds


def leaks(text: str, names: list[str]) -> list[str]:
    """Return the environment variables whose values are in a text."""
    found = []
    for name in names:
        key = os.environ.get(name, "").strip()
        if key and (key in text or urllib.parse.quote(key, safe="") in text):
            found.append(name)
    return found
