"""An adapter that keeps what it was asked out of what it says: prompts that hold clinical notes must not come back into a log.

Servers quote a request in their errors, exceptions carry what they failed on, and a model may repeat its prompt. All of that would be
logged. So a quotation in an error is cut out, a long one in an answer too, and reasoning, which is nothing but remarks on the prompt, is
not kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator

from nova_bench.errors import AdapterError
from nova_bench.types import Adapter, Request, Response

LEFT_OUT = "[quotes the request, left out]"

_QUOTE_IN_ERROR = 24
_QUOTE_IN_ANSWER = 200
"""Characters that follow each other in both texts. An answer may well use a sentence of the note; its length is where copying begins."""

_LONGEST_ERROR = 2_000


class Discreet:
    """An adapter around another that answers the same, without long quotations of what was asked.

    Args:
        adapter: The one that answers.

    >>> from nova_bench.adapter import each
    >>> note = "Seen on Monday with pain in the left eye since a fall."
    >>> shy = Discreet(each(lambda request: {}[request.text]))
    >>> [response.error for response in shy.generate([Request("1", "1", 0, (note,))])]
    ["KeyError: '[quotes the request, left out]'"]
    """

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter

    @property
    def is_private(self) -> bool | None:
        """What the adapter itself says of its address; None where it says nothing."""
        found = getattr(self._adapter, "is_private", None)
        return found if isinstance(found, bool) else None

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Answer requests as they come.

        Raises:
            AdapterError: The adapter failed as a whole.
        """
        in_flight: dict[str, str] = {}

        def watched() -> Iterator[Request]:
            for request in requests:
                in_flight[request.id] = request.text
                yield request

        try:
            for response in self._adapter.generate(watched()):
                asked = in_flight.pop(response.id, "") if isinstance(response, Response) else ""
                yield _discreet(response, asked)
        except Exception as error:  # an adapter's fault of any kind; KeyboardInterrupt goes through
            told = f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]
            for asked in list(in_flight.values()):
                told = without_quotes(told, asked, _QUOTE_IN_ERROR)
            raise AdapterError(f"the writer failed: {told}") from None

    def close(self) -> None:
        """Free what the adapter holds."""
        close = getattr(self._adapter, "close", None)
        if close is not None:
            close()

    def notes(self, requested: Collection[str]) -> Iterable[str]:
        """Return what the adapter wants said after a run."""
        notes = getattr(self._adapter, "notes", None)
        return () if notes is None else notes(requested)


def without_quotes(text: str, asked: str, shortest: int) -> str:
    """Return a text in which every run of characters that also stands in another text is replaced by a mark.

    Args:
        text: What was said.
        asked: What must not be quoted.
        shortest: How many characters in a row make a quotation.

    >>> without_quotes("bad prompt: 'the left eye hurts'", "Since May the left eye hurts.", 12)
    "bad prompt: '[quotes the request, left out]'"
    """
    pieces: list[str] = []
    at = 0
    while at + shortest <= len(text):
        if text[at : at + shortest] not in asked:
            pieces.append(text[at])
            at += 1
            continue
        end = at + shortest
        while end < len(text) and text[at : end + 1] in asked:
            end += 1
        pieces.append(LEFT_OUT)
        at = end
    return "".join([*pieces, text[at:]])


def _discreet(response: Response, asked: str) -> Response:
    if not isinstance(response, Response) or not asked:
        return response  # the engine says what is wrong with it
    error, text = response.error, response.text
    if error is not None:
        error = without_quotes(error[:_LONGEST_ERROR], asked, _QUOTE_IN_ERROR)
    if isinstance(text, str):
        text = without_quotes(text, asked, _QUOTE_IN_ANSWER)
    return dataclasses.replace(response, error=error, text=text, reasoning=None)
