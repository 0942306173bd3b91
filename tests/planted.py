"""A twin of any adapter that answers worse for the samples that it is told beforehand, and for no others.

For tests only: a fairness number has to find a gap that was planted, and must find none where none was. What to worsen comes as
sample ids, because no request says which group a sample belongs to.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import pyarrow.parquet as pq

import nova_bench as nb

WRONG = "Retinal detachment"
"""Shares no word with an answer of the embedded sets, so that it scores 0 by every lexical metric."""


class Planted:
    """The twin: passes everything on, and replaces some answers.

    Args:
        adapter: Whose twin it is.
        samples: Ids of the samples to worsen.
        share: Of these, how many are worsened; which ones follows from the seed and the id alone.
        seed: Of that choice.
        answer: What is said instead.
    """

    def __init__(
        self,
        adapter: nb.Adapter,
        samples: Collection[str],
        *,
        share: float = 1.0,
        seed: int = 0,
        answer: str = WRONG,
    ) -> None:
        self._adapter = adapter
        self.worsened = frozenset(sample for sample in samples if draw(seed, sample) < share)
        self._answer = answer

    def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
        """Answer as the adapter does; a failure stays a failure."""
        marked: set[str] = set()

        def seen() -> Iterator[nb.Request]:
            for request in requests:
                if request.sample in self.worsened:
                    marked.add(request.id)
                yield request

        for response in self._adapter.generate(seen()):
            if response.id in marked and response.finish == "stop":
                response = dataclasses.replace(response, text=self._answer)
            yield response


def draw(seed: int, sample: str) -> float:
    """Return a number from 0 to 1 that depends on seed and sample id alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{sample}".encode()).digest()[:8], "big") / 2**64


def members(table: Path, attribute: str, value: str | None) -> frozenset[str]:
    """Return the ids of the samples with one value of an attribute, from a Parquet table with those columns."""
    rows = pq.read_table(table, columns=["id", attribute]).to_pylist()
    return frozenset(row["id"] for row in rows if row[attribute] == value)
