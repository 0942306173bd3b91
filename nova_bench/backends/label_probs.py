"""Probabilities of a request's labels, from the logarithms that a server gives for the tokens of its answer.

The definition, the same for every server: at the first position of the answer that is not blank, the probability of a label is the sum
over the listed tokens that are the label (white space around them left out; letter case too where the labels stay different without
it), divided by the sum over all labels. So the prompt must ask for the label alone.

Three things make that number mean nothing. Then there are no probabilities, and the response says that ``label_probs`` was dropped:

- The server gave no logarithms.
- The labels hold less than half of the probability at that position. The model was about to write something else first ("The answer
  is", a quotation mark, a reasoning block), so the labels' order there says little about the answer.
- A label is not listed, and more than 1% of the probability may be its own: that of tokens that begin it (a label of several tokens,
  such as "pneumonia", shows only its first) and that of tokens that are not listed. With 1% or less it counts as 0.

Servers list the likeliest 20 tokens (`TOP`). vLLM and SGLang give the model's own probabilities, before temperature; OpenAI and others
do not say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

TOP = 20
"""Tokens a position that are asked for: the most that OpenAI gives, and vLLM by default."""

LEAST_MASS = 0.5
MOST_UNKNOWN = 0.01


def label_probs(content: object, labels: Sequence[str]) -> np.ndarray | None:
    """Return the probability of each label, None where it cannot be told.

    Args:
        content: The positions of an answer, each ``{"token", "logprob", "top_logprobs": [{"token", "logprob"}, ...]}``: in Chat
            Completions ``choices[0].logprobs.content``, in Responses ``logprobs`` of the output text.
        labels: The request's labels, all different.

    Returns:
        float64 array (n_labels,), summing to 1.

    >>> top = [{"token": " Yes", "logprob": math.log(0.6)}, {"token": "No", "logprob": math.log(0.2)}]
    >>> label_probs([{"token": " Yes", "logprob": math.log(0.6), "top_logprobs": top}], ["No", "Yes"]).round(6).tolist()
    [0.25, 0.75]
    """
    import numpy as np

    listed = _first_position(content)
    if not listed or not labels:
        return None
    folded = [label.strip().casefold() for label in labels]
    names = folded if len(set(folded)) == len(labels) else [label.strip() for label in labels]
    if len(set(names)) < len(labels) or "" in names:
        return None
    mass = dict.fromkeys(names, 0.0)
    unlisted = max(0.0, 1.0 - sum(listed.values()))
    seen: set[str] = set()
    beginnings: list[tuple[str, float]] = []
    for token, probability in listed.items():
        text = token.strip() if names is not folded else token.strip().casefold()
        if text in mass:
            mass[text] += probability
            seen.add(text)
        elif text:
            beginnings.append((text, probability))
    total = sum(mass.values())
    if total < LEAST_MASS:
        return None
    missing = [name for name in names if name not in seen]
    if missing:
        # A token that is a label itself may begin a longer one as well ("No", "No finding"): then it is nobody's for certain.
        begun = sum(
            probability
            for text, probability in (*beginnings, *((name, mass[name]) for name in seen))
            if any(name.startswith(text) for name in missing)
        )
        if begun + unlisted > MOST_UNKNOWN:
            return None
    return np.array([mass[name] for name in names], dtype=np.float64) / total


def _first_position(content: object) -> dict[str, float]:
    """Return token to probability at the first position whose own token is not blank."""
    for position in content if isinstance(content, list) else ():
        if not isinstance(position, Mapping) or not str(position.get("token") or "").strip():
            continue
        others = position.get("top_logprobs")
        # Two tokens may have one text ("No" and "\u2581No" of a SentencePiece vocabulary): their shares add up. One that a server lists twice
        # has one share.
        shares: dict[str, set[float]] = {}
        for entry in others if isinstance(others, list) else ():
            if _is_entry(entry):
                shares.setdefault(entry["token"], set()).add(math.exp(min(0.0, entry["logprob"])))
        # The chosen token is listed too, save where it was drawn from outside the likeliest.
        if _is_entry(position):
            shares.setdefault(position["token"], {math.exp(min(0.0, position["logprob"]))})
        return {token: min(1.0, sum(different)) for token, different in shares.items()}
    return {}


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, Mapping)
        and isinstance(entry.get("token"), str)
        and isinstance(entry.get("logprob"), int | float)
        and not math.isnan(entry["logprob"])
    )
