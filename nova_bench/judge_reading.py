"""How a judge's answer becomes a verdict: an object that fits the rubric's schema exactly, or a fault that says why there is none.

Nothing searches an answer for words. What stands beside a verdict may be a quotation of what was judged.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from nova_bench.judge import MAX_ANSWER, shown_text
from nova_bench.signature import canonical
from nova_bench.text import strip_thinking
from nova_bench.types import Judge, Response
from nova_bench.verdict_schema import fault_of


class Verdict(NamedTuple):
    """What was read from a judge's answer.

    Attributes:
        value: The verdict; None where it is broken.
        fault: What is wrong with it, without a word of the answer; None where nothing is.
    """

    value: dict[str, Any] | None
    fault: str | None = None


def read_verdict(
    judge: Judge, response: Response, texts: Mapping[str, str], think: tuple[str, str] | None = None
) -> Verdict:
    """Read a verdict: the whole answer where it is JSON, else the one object in it that fits the schema and stands on lines of its own.

    What stands in an answer beside its verdict may be a quotation of what was judged, and a candidate may have written a verdict for
    itself. So an answer is broken where two objects that fit say different things, wherever they stand, where the only one stands in a text
    that was judged as well, and where a brace opens what is no JSON.

    Args:
        judge: What was asked.
        response: What came back; no failure.
        texts: The texts as they went in.
        think: The tags of the judge's reasoning.
    """
    if response.finish != "stop":
        said = {
            "length": "the answer was cut",
            "filter": "the judge's content filter stopped it",
            "rejected": "the judge cannot take this request",
        }
        return Verdict(None, said.get(response.finish, response.finish))
    try:
        value = _verdict_in((response.text or "").strip(), judge, texts, think)
    except (ValueError, RecursionError) as error:
        return Verdict(None, _plain(error))
    wrong = judge.check(value, texts)
    return Verdict(value) if wrong is None else Verdict(None, wrong)


def _verdict_in(
    answer: str, judge: Judge, texts: Mapping[str, str], think: tuple[str, str] | None
) -> dict[str, Any]:
    """Return the verdict in an answer, before the rubric's own check.

    Raises:
        ValueError: There is none; the message has no word of the answer.
    """
    whole = _whole_json(answer)
    if (
        whole is not _NO_JSON and len(answer) <= MAX_ANSWER
    ):  # first, as a verdict may speak of a reasoning's tags
        return _fitting(whole, judge)
    answer, unclosed = strip_thinking(answer, think)
    answer = answer.strip()
    if unclosed:
        raise ValueError("the reasoning was never closed")
    if not answer:
        raise ValueError("the answer is empty")
    if len(answer) > MAX_ANSWER:
        raise ValueError(f"an answer of {len(answer):,} characters")
    whole = _whole_json(answer)
    verdict = _fitting(whole, judge) if whole is not _NO_JSON else _standing_alone(answer, judge)
    if any(value == verdict for text in texts.values() for value in _all_objects(shown_text(text))):
        raise ValueError("the verdict in it stands in a text that was judged")
    return verdict


def _fitting(value: Any, judge: Judge) -> dict[str, Any]:
    """Return a value that fits the rubric's schema.

    Raises:
        ValueError: It does not.
    """
    if (fault := fault_of(value, judge.schema)) is not None:
        raise ValueError(fault)
    return dict(value)


def _standing_alone(answer: str, judge: Judge) -> dict[str, Any]:
    """Return the one verdict among words.

    Raises:
        ValueError: There is none on lines of its own, or another one beside it.
    """
    fault = None
    fitting: list[dict[str, Any]] = []
    stands_alone = False
    for value, is_alone in _objects(answer):
        if (found := fault_of(value, judge.schema)) is None:
            fitting.append(value)
            stands_alone |= is_alone
        elif is_alone:
            fault = found
    if any(canonical(value) != canonical(fitting[0]) for value in fitting):
        raise ValueError("two verdicts that differ")
    if not stands_alone:
        raise ValueError(fault or "no JSON object stands on lines of its own")
    return fitting[0]


def _all_objects(text: str) -> Iterator[Any]:
    """Yield every JSON object in a text, those inside others too."""
    for brace in re.finditer(r"\{", text):
        with contextlib.suppress(ValueError, RecursionError):
            yield _DECODER.raw_decode(text, brace.start())[0]


_NO_JSON = object()


def _whole_json(answer: str) -> Any:
    """Return what an answer is as JSON, or a sign that it is none.

    Raises:
        ValueError: It is JSON that no verdict is written in: a key twice, no finite number.
    """
    try:
        return _DECODER.decode(answer)
    except (json.JSONDecodeError, RecursionError):
        return _NO_JSON


def _objects(answer: str) -> Iterator[tuple[Any, bool]]:
    """Yield each JSON object that is in none other, and whether it begins a line and ends one.

    Raises:
        ValueError: A brace opens what is no JSON.
    """
    position = 0
    while (start := answer.find("{", position)) >= 0:
        value, end = _DECODER.raw_decode(answer, start)
        line = answer[answer.rfind("\n", 0, start) + 1 : start]
        yield value, _LINE_START.fullmatch(line) is not None and _LINE_END.match(answer, end) is not None
        position = end


_LINE_START = re.compile(r"[ \t]*(?:```(?:json)?[ \t]*)?")
_LINE_END = re.compile(r"[ \t]*(?:```[ \t]*)?(?:\n|$)")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("no JSON: a key stands twice")
    return made


def _no_number(word: str) -> Any:
    raise ValueError(f"no JSON: {word} is no number")


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_number)


def _plain(error: Exception) -> str:
    """Return what an error says, without a word of the text that it is about."""
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON: {error.msg} at character {error.pos}"
    return "no JSON: nested too deeply" if isinstance(error, RecursionError) else str(error)
