"""Where the records of a log lie, kept small: a run may have a million of them."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """Where a record lies in the log, and what decides whether it counts.

    Attributes:
        offset: Of its line, in bytes.
        length: Of its line, in bytes.
        request: sha256 of the rendered request, 32 bytes.
        is_final: Whether it is an outcome, and no failure.
    """

    offset: int
    length: int
    request: bytes
    is_final: bool


class Index:
    """Where the records of a log lie, by request id and request hash.

    A record counts for a request only when both are the same: an answer to an older prompt is kept in the log and counts for nothing.
    """

    def __init__(self) -> None:
        # Plain tuples: the garbage collector walks over a million named ones again and again.
        self._entries: dict[str, tuple[int, int, bytes, bool]] = {}
        # Only ids that were asked with several prompts have more than one entry; a list for each of a million ids would cost 100 MB.
        self._others: dict[str, list[Entry]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, request_id: str, entry: Entry) -> None:
        """Take in a record in the order of the log: the first final one of a request stays, else the last."""
        plain = (entry.offset, entry.length, entry.request, entry.is_final)
        known = self._entries.setdefault(request_id, plain)
        if known is plain:
            return
        if known[2] == entry.request:
            if not known[3]:
                self._entries[request_id] = plain
            return
        others = self._others.setdefault(request_id, [])
        for i, other in enumerate(others):
            if other.request == entry.request:
                if not other.is_final:
                    others[i] = entry
                return
        others.append(entry)

    def find(self, request_id: str, request_hash: bytes) -> Entry | None:
        """Return the entry of this very request, or None."""
        plain = self._entries.get(request_id)
        if plain is None:
            return None
        if plain[2] == request_hash:
            return Entry._make(plain)
        return next(
            (other for other in self._others.get(request_id, ()) if other.request == request_hash), None
        )

    def has(self, request_id: str) -> bool:
        """Return whether the log has any record of this id, whatever was asked."""
        return request_id in self._entries
