"""Finds JSON-like values in a model's answer, however carelessly they are written.

A strict parser fails on what models write every day: prose around the JSON, Markdown fences, comments, trailing commas, single
quotes, Python's ``None``, unquoted keys, a missing bracket, a text that was cut. `scan` reads on through all of it.

One pass, a stack and no recursion: the position only moves forward, so the work grows with the length of the text whatever the
text is, and nothing raises. `Scan.steps` counts the characters that were looked at, for the test that holds this.

How broken structure is read:

- A closing bracket of the wrong kind closes up to its own opener, if that is open at all; else it is skipped.
- Words where only structure can stand (a colon in a list, prose on a new line after a value) end everything that is open: what
  was read until then is a value, and the search goes on from there. A Markdown fence ends everything that is open too.
- Words on the same line behind a value are an annotation and skipped.
- The end of the text with something open means that the text was cut: `Root.cut` is set, and a last number or unclosed string
  that touches the end is dropped, because nobody knows whether it was whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

MAX_DEPTH = 64
"""Deeper nesting is no answer; it ends what is open, so readers of a value may recurse."""
MAX_CONTAINERS = 100_000
"""After so many lists and objects the rest of the text is not read: it bounds memory on megabytes of brackets."""


@dataclass(slots=True, eq=False)
class Listed:
    """A list or tuple: numbers are floats, words are strings, and true, false and null are Python's."""

    items: list[Any] = field(default_factory=list)
    closed: bool = False


@dataclass(slots=True, eq=False)
class Keyed:
    """An object as pairs in order: models repeat keys, and a dict would lose all values but the last."""

    items: list[tuple[str, Any]] = field(default_factory=list)
    closed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Root:
    """A value that stands in the text by itself, with its place.

    Attributes:
        value: The list or object.
        start: Index of its first character.
        end: Index after its last character.
        fence: Number of the Markdown fence that it stands in, from 1; 0 outside.
        cut: Whether the text ended before the value did.
    """

    value: Listed | Keyed
    start: int
    end: int
    fence: int
    cut: bool


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """What `scan` found.

    Attributes:
        roots: The values, in the order of the text.
        steps: Characters looked at.
        exhausted: Whether reading stopped at `MAX_CONTAINERS`.
    """

    roots: tuple[Root, ...]
    steps: int
    exhausted: bool


@dataclass(slots=True, eq=False)
class _Open:
    """A container that is being read."""

    node: Listed | Keyed
    bracket: str
    start: int
    key: str | None = None
    """A key whose value has not come yet."""
    after_value: bool = False
    """A value ended and no comma came since."""
    after_words: bool = False
    """That value was unquoted words."""
    new_line: bool = False
    """A line ended since that value."""


_OUTSIDE = re.compile(r"[\[{]|```")
_SPACE = re.compile(r"\s+")
_NUMBERLIKE = re.compile(r"[-+.\d](?:[\w.+%-]|/(?![/*]))*")
_WORDS_END = re.compile(r"[,:\[\]{}\"\n#]|//|/\*|```")
_WORDS_END_IN_TUPLE = re.compile(r"[,:\[\]{}()\"\n#]|//|/\*|```")
_LINE_END = re.compile(r"\n|```")
_CLOSERS = {"]": "[", "}": "{", ")": "("}
_QUOTE_PAIRS = (('"', '"'), ("'", "'"), ("\u201c", "\u201d"), ("\u2018", "\u2019"))
_QUOTES = {opening: re.compile(f"[{closing}\\\\]") for opening, closing in _QUOTE_PAIRS}
_LITERALS: dict[str, bool | None] = {
    "true": True,
    "false": False,
    "null": None,
    "none": None,
    "undefined": None,
}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


def scan(text: str) -> Scan:
    r"""Return the lists and objects that stand in a text.

    Args:
        text: Anything.

    Returns:
        The outermost values with their places. Numbers are floats (``NaN`` and ``Infinity`` included), ``87%`` and other
        half-numbers stay strings.

    >>> found = scan("Sure: {'boxes': [[1, 2, 3, 4,], // left\n [5, 6, 7, 8]]} Done.")
    >>> key, boxes = found.roots[0].value.items[0]
    >>> key, [box.items for box in boxes.items], found.roots[0].cut
    ('boxes', [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]], False)
    """
    scanner = _Scanner(text)
    scanner.run()
    return Scan(tuple(scanner.roots), scanner.steps, scanner.exhausted)


def as_number(word: str) -> float | None:
    """Return a word as a float, or None where it is not one; digits may not be grouped, and 64 characters are enough.

    >>> as_number("1e2"), as_number("-inf"), as_number("12px"), as_number("1_000")
    (100.0, -inf, None, None)
    """
    if len(word) > 64 or "_" in word:
        return None
    try:
        return float(word)
    except ValueError:
        return None


def _unescape(raw: str) -> str:
    if "\\" not in raw:
        return raw
    text = _ESCAPE.sub(lambda m: chr(int(m[1][1:], 16)) if len(m[1]) == 5 else _ESCAPES.get(m[1], m[1]), raw)
    # Escaped surrogate pairs become the character that they mean; what is left alone becomes U+FFFD.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class _Scanner:
    """The state of one pass over one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.pos = 0
        self.steps = 0
        self.roots: list[Root] = []
        self.stack: list[_Open] = []
        self.n_open = {"[": 0, "{": 0, "(": 0}
        self.n_containers = 0
        self.fences = 0
        self.fenced = False
        self.exhausted = False

    def run(self) -> None:
        """Read to the end, or to the limit of containers."""
        while self.pos < len(self.text) and not self.exhausted:
            if self.stack:
                self._inside()
            else:
                self._outside()
        if self.stack:
            self._end_all(cut=True)

    def _move(self, pos: int) -> None:
        self.steps += pos - self.pos
        self.pos = pos

    def _outside(self) -> None:
        found = _OUTSIDE.search(self.text, self.pos)
        if found is None:
            self._move(len(self.text))
        elif found[0] == "```":
            self._move(found.end())
            self._fence()
        else:
            self._move(found.start())
            self._open(found[0])

    def _fence(self) -> None:
        self.fenced = not self.fenced
        self.fences += self.fenced

    def _inside(self) -> None:
        """Read one token within a container."""
        text, start, top = self.text, self.pos, self.stack[-1]
        space = _SPACE.match(text, start)
        if space:
            self._move(space.end())
            top.new_line = top.new_line or "\n" in space[0]
            return
        char = text[start]
        if char in "[{(":
            unexpected = (top.after_value and top.after_words) or (
                isinstance(top.node, Keyed) and top.key is None
            )
            if unexpected and char != "(":
                self._end_all()
            else:
                self._open(char)
        elif char in _CLOSERS:
            self._close(_CLOSERS[char])
        elif char == ",":
            self._move(start + 1)
            top.after_value = top.after_words = False
            top.key = None
        elif char == ":":
            if isinstance(top.node, Listed):
                self._end_all()
            else:
                self._move(start + 1)
        elif char == "#" or text.startswith("//", start):
            end = _LINE_END.search(text, start)
            self._move(end.start() if end else len(text))
        elif text.startswith("/*", start):
            close = text.find("*/", start + 2)
            self._move(close + 2 if close >= 0 else len(text))
        elif text.startswith("```", start):
            self._end_all()
            self._move(start + 3)
            self._fence()
        elif char in _QUOTES:
            self._quoted(_QUOTES[char])
        else:
            self._unquoted()

    def _open(self, bracket: str) -> None:
        if len(self.stack) >= MAX_DEPTH:
            self._end_all()
        if self.n_containers >= MAX_CONTAINERS:
            self.exhausted = True
            return
        self.n_containers += 1
        self.n_open[bracket] += 1
        self.stack.append(_Open(Keyed() if bracket == "{" else Listed(), bracket, self.pos))
        self._move(self.pos + 1)

    def _close(self, bracket: str) -> None:
        self._move(self.pos + 1)
        if not self.n_open[bracket]:
            return
        while self.stack:
            last = self.stack[-1].bracket
            self._pop(closed=True)
            if last == bracket:
                return

    def _pop(self, *, closed: bool) -> None:
        done = self.stack.pop()
        self.n_open[done.bracket] -= 1
        done.node.closed = closed
        if self.stack:
            self._put(done.node)
        else:
            self.roots.append(
                Root(done.node, done.start, self.pos, self.fences if self.fenced else 0, not closed)
            )

    def _end_all(self, *, cut: bool = False) -> None:
        while self.stack:
            self._pop(closed=not cut)

    def _put(self, value: Any, *, words: bool = False) -> None:
        """Add a value to the innermost container; in an object a word without a key before it is a key."""
        top = self.stack[-1]
        if isinstance(top.node, Listed):
            top.node.items.append(value)
        elif top.key is not None:
            top.node.items.append((top.key, value))
            top.key = None
        elif not isinstance(value, (Listed, Keyed)):
            top.key = (
                value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
            )
            top.after_value = top.after_words = False
            return
        top.after_value, top.after_words, top.new_line = True, words, False

    def _quoted(self, stops: re.Pattern[str]) -> None:
        text, begin = self.text, self.pos + 1
        self._move(begin)
        while True:
            stop = stops.search(text, self.pos)
            if stop is None:
                self._move(len(text))
                return
            if stop[0] == "\\":
                self._move(min(stop.end() + 1, len(text)))
                continue
            self._move(stop.end())
            # A quote before a letter or digit closes nothing: `'the patient's left'`, `"a "bright" spot"`.
            if not text[stop.end() : stop.end() + 1].isalnum():
                break
        self._put(_unescape(text[begin : stop.start()]))

    def _unquoted(self) -> None:
        text, start, top = self.text, self.pos, self.stack[-1]
        number = _NUMBERLIKE.match(text, start)
        if number:
            self._move(number.end())
            if number.end() == len(text):
                return
            value = as_number(number[0])
            if value is not None or not top.after_value:
                self._put(number[0] if value is None else value)
            return
        # A tuple's bracket may stand right behind a word, `(1, nan)`; elsewhere words may hold brackets, `mass (left)`.
        stop = (_WORDS_END_IN_TUPLE if self.n_open["("] else _WORDS_END).search(text, start + 1)
        end = stop.start() if stop else len(text)
        is_key = isinstance(top.node, Keyed) and stop is not None and stop[0] == ":"
        if top.after_value and not is_key:
            if top.new_line:
                self.steps += end - start
                self._end_all()
            else:
                self._move(end)
            return
        self._move(end)
        if end == len(text):
            return
        word = text[start:end].strip()
        folded = word.casefold()
        number_word = as_number(word)
        if folded in _LITERALS:
            self._put(_LITERALS[folded])
        elif number_word is not None:
            self._put(number_word)
        else:
            self._put(word, words=True)
