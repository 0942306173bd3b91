"""What `nova-bench check` asks an adapter that only judges: rubric requests in the place of pictures.

Such an adapter says ``only_judges = true`` in its header, and is then refused as a model under test: nobody passes the check by saying so
who could then be measured. In return its answers have to be whole verdicts, where those of a model are not looked at.
"""

from __future__ import annotations

from nova_bench import conformance_requests as asked
from nova_bench.conformance_stream import Outcome, Trouble
from nova_bench.judge import judge_request, texts_in
from nova_bench.judge_reading import read_verdict
from nova_bench.rubrics.nova_diagnosis import NOVA_DIAGNOSIS
from nova_bench.types import Card, Request

NOT_FOR_JUDGES = frozenset(
    {*asked.CONTENTS, "large image", "unreadable image", "boxes", "outputs"} - {"unicode"}
)
"""Steps about pictures, prompts and outputs that no judge is sent."""

TEXTS_ONLY = "not sent: the header says only_judges = true, and a judge is given a rubric and texts"

_TEXTS = (
    ("Glioblastoma", "1. Glioblastoma\n2. Abscess"),
    ("Cerebral abscess", "1. Glioma\n2. Cerebral abscess"),
    ("Multiple sclerosis", "1. Stroke"),
)


def ordinary(card: Card, n: int = 3, prefix: str = "plain") -> list[Request]:
    """Return ordinary requests: a picture and a sentence each, or a rubric with texts for an adapter that only judges.

    >>> [request.id for request in ordinary(Card(only_judges=True), 2)]
    ['plain0|nova_diagnosis', 'plain1|nova_diagnosis']
    """
    if not card.only_judges:
        return asked.plain(n, prefix)
    return [_rubric(f"{prefix}{i}", *_TEXTS[i % len(_TEXTS)]) for i in range(n)]


def content(card: Card, step: str) -> tuple[str, Request]:
    """Return what a step of `nova_bench.conformance_requests.CONTENTS` sends, in words and as a request."""
    words, request = asked.content(step)
    if not card.only_judges:
        return words, request
    return "texts with letters of many scripts", _rubric(
        "unicode", "größe ≥ 5 µm 肺結節", "1. רקמה\n2. عقدة é́ \U0001f9e0"
    )


def no_verdict(card: Card, outcome: Outcome) -> Trouble | None:
    """Return what to say where an adapter that only judges answered with what is no verdict."""
    for key, response in outcome.responses.items() if card.only_judges else ():
        if response.finish == "error":
            continue
        read = read_verdict(NOVA_DIAGNOSIS, response, texts_in(outcome.given[key].parts), card.think)
        if read.value is None:
            return (
                f"the answer to {key!r} is no verdict: {read.fault or response.finish}",
                "answer each rubric request with one JSON object that fits request.params.json_schema (docs/judges.md)",
            )
    return None


def _rubric(id: str, reference: str, candidate: str) -> Request:
    return judge_request(NOVA_DIAGNOSIS, {"reference": reference, "candidate": candidate}, id, id)
