"""Finds the boxes that an answer writes, as numbers still in the model's frame; `nova_bench.parse` turns them into pixels.

Which part of an answer counts, when several parts hold numbers. The first of these that is there:

1. Native tokens: ``<loc_12>`` in groups of four, ``<box>(a,b),(c,d)</box>``, ``<|box_start|>(a,b),(c,d)<|box_end|>``.
2. JSON inside Markdown fences; else
3. JSON outside of them. In both, a *whole answer* (an object with a list of boxes, a list of boxes, an explicit "none") is final:
   of several, in blocks of their own, the last counts, since models draft and then decide. A block is one fence, or values with
   nothing but space and commas between them; the values of one block are united. Where all are *single findings* (an object with
   one box, or with a label of its own), they are united over all blocks, since models also name one finding after the other.
4. Lines: ``label: [a, b, c, d]``, ``[label]: [a, b, c, d]``, or a list alone on its line; all are united.
5. "No target" in words.
6. Four numbers in brackets within a sentence; else ``(a,b),(c,d)``, which is what is left of Qwen2-VL's form where a server has
   taken the special tokens out of its text, as vLLM's does unless told otherwise.

What says the same thing twice within the part that counts is kept twice: the second is the model's false positive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from nova_bench.json_boxes import ONLY_NUMBERS, Part, WrittenBox, fours, numbers_in, read_boxes
from nova_bench.loose_json import Keyed, Listed, Root, scan
from nova_bench.text import says_nothing_abnormal

_NO_LABELS = frozenset(
    ("reference", "references", "ref", "refs", "citation", "citations", "source", "sources", "year", "years")
)
_CUT_LIST = re.compile(r"[\[\s]*(?:[-+.\d\"'{(]|\Z)")
_BULLET = re.compile(r"\d{1,3}[.)]\s+")


@dataclass(frozen=True, slots=True, eq=False)
class WrittenBoxes:
    """What `find_boxes` understood.

    Attributes:
        boxes: In the order of the answer.
        not_four: Places that should hold a box and hold another count of numbers.
        answered: Whether the answer names boxes or says that there are none.
        cut: Whether the text ended within the part that counts.
        superseded: Earlier whole answers that do not count.
        steps: Characters looked at, of the order of the text's length.
    """

    boxes: tuple[WrittenBox, ...] = ()
    not_four: int = 0
    answered: bool = False
    cut: bool = False
    superseded: int = 0
    steps: int = 0


def find_boxes(text: str) -> WrittenBoxes:
    """Return the boxes that an answer writes; the module says which part of it counts.

    >>> found = find_boxes('I see one: {"bbox_2d": [10, 20, 30, 40], "label": "mass", "score": 0.9}')
    >>> found.boxes
    (WrittenBox(numbers=(10.0, 20.0, 30.0, 40.0), order=None, score=0.9, label='mass'),)
    >>> find_boxes("[mass]: [10, 20, 30, 40]").boxes[0].label, find_boxes("no target").answered
    ('mass', True)
    """
    native = _native(text)
    if native.answers:
        return _united([native], steps=len(text))
    scanned = scan(text)
    parts, steps = _parts(text, scanned.roots)
    steps += scanned.steps + len(text)
    answers = [part for part in parts if part.answers]
    last = scanned.roots[-1] if scanned.roots else None
    # An object that was cut at the end belongs to the answer, whatever else counts.
    cut = scanned.exhausted or native.cut or (last is not None and last.cut and isinstance(last.value, Keyed))
    for structured in (
        [part for part in answers if part.fence],
        [part for part in answers if not part.fence and part.kind in ("whole", "finding")],
    ):
        if any(part.kind == "whole" for part in structured):
            blocks = {part.block for part in structured}
            chosen = [part for part in parts if part.block == structured[-1].block]
            return _united(chosen, steps=steps, cut=cut, superseded=len(blocks) - 1)
        if structured:
            blocks = {part.block for part in structured}
            return _united([part for part in parts if part.block in blocks], steps=steps, cut=cut)
    lines = [part for part in parts if part.kind == "line"]
    if any(part.answers for part in lines):
        return _united(lines, steps=steps, cut=cut)
    # So does a list that was cut, unless it begins with words: a remark in brackets.
    cut = cut or (last is not None and last.cut and _CUT_LIST.match(text, last.start) is not None)
    if says_nothing_abnormal(text) or any(
        says_nothing_abnormal(_words(root.value)) for root in scanned.roots
    ):
        return WrittenBoxes(answered=True, cut=cut, steps=steps)
    found = _united(parts, steps=steps, cut=cut)
    pairs = [] if found.answered else _corner_pairs(text)
    return replace(found, boxes=tuple(pairs), answered=True) if pairs else found


def _united(parts: list[Part], *, steps: int, cut: bool = False, superseded: int = 0) -> WrittenBoxes:
    boxes = tuple(box for part in parts for box in part.boxes)
    answered = any(part.answers for part in parts)
    cut = cut or any(part.cut and part.answers for part in parts)
    return WrittenBoxes(boxes, sum(part.not_four for part in parts), answered, cut, superseded, steps)


def _words(value: object) -> str:
    """Return the words that an object holds, a sentence each: ``{"answer": "no target"}``."""
    if isinstance(value, Keyed):
        return ". ".join(filter(None, (_words(child) for _, child in value.items)))
    return value if isinstance(value, str) else ""


def _parts(text: str, roots: Iterable[Root]) -> tuple[list[Part], int]:
    """Return what each value of the text says, with the block that it belongs to, and the characters looked at between values."""
    parts: list[Part] = []
    steps, block = 0, 0
    label, on_line = "", False
    previous: Root | None = None
    for root in roots:
        between = text[previous.end if previous else 0 : root.start]
        steps += len(between)
        joined = not between.strip(" \t\r\n,;")
        if previous is None or root.fence != previous.fence or not (root.fence or joined):
            block += 1
        line_start = between.rfind("\n") + 1
        before = between[line_start:].strip(" \t\r*_#>`|\u2022")
        bullet = _BULLET.match(before)
        before = (before[bullet.end() :] if bullet else before).lstrip("- \t")
        if previous is None or line_start or isinstance(previous.value, Keyed):
            label, on_line = _line_label(before)
        elif (
            previous.value.items
            and all(isinstance(item, str) for item in previous.value.items)
            and not before.strip(" :=*_-")
        ):
            label, on_line = (
                text[previous.start + 1 : previous.end - 1].strip()[:200],
                True,
            )  # `[label]: [...]`
        elif before.strip(" ,;&") not in ("", "and"):
            label, on_line = _line_label(before)
        part = read_boxes(root.value)
        if text[root.start : root.end] == "[ ]" and between.rstrip()[-1:] in ("-", "*"):
            part.none = False  # the empty box of a task list
        part.fence, part.block, part.cut = root.fence, block, root.cut
        if isinstance(root.value, Listed):
            _place(part, root.value, label, on_line=on_line)
        parts.append(part)
        previous = root
    return parts, steps


def _line_label(before: str) -> tuple[str, bool]:
    """Return the label of a line whose first list comes next, and whether what stands before makes it a line of its own."""
    if not before:
        return "", True
    if before[-1] not in ":=-\u2013\u2014\u2192":
        return "", False
    label = before.rstrip(":= *_-\u2013\u2014\u2192").strip("*_\"' ")[-200:]
    return label, label.casefold() not in _NO_LABELS


def _place(part: Part, value: Listed, label: str, *, on_line: bool) -> None:
    """Say what kind of answer a list is, given where it stands, and give it its line's label."""
    flat = not any(isinstance(item, (Listed, Keyed)) for item in value.items)
    objects = any(isinstance(item, Keyed) for item in value.items)
    if flat or (label and not objects):
        part.kind = "line" if on_line or part.fence else "prose"
        if label:
            part.boxes = [box if box.label else replace(box, label=label) for box in part.boxes]
    if not part.fence and not objects:
        # `[1]`, `[3, 7]`, `[[2]]` are citations and links.
        longest = max(
            (len(item.items) for item in value.items if isinstance(item, Listed)), default=len(value.items)
        )
        part.not_four = part.not_four if longest > 2 else 0


_TAGS = re.compile(r"<loc_?(\d{1,6})>|<box>|</box>|<\|box_start\|>|<\|box_end\|>")
_ANY_TAG = re.compile(r"<[^<>]{0,40}>")
_POINT = r"\( {0,2}\d{1,6}(?:\.\d{1,6})? {0,2}, {0,2}\d{1,6}(?:\.\d{1,6})? {0,2}\)"
_POINTS = re.compile(f"{_POINT}(?: {{0,2}}, {{0,2}}{_POINT})*")


def _native(text: str) -> Part:
    """Read location tokens and box tags."""
    part = Part()
    run: list[float] = []
    label, end, opened, label_follows = "", 0, -1, False

    def close_run(following: str = "") -> None:
        if len(run) % 4:
            part.not_four += 1
        else:
            name = _label_after(following) if label_follows else label
            part.boxes.extend(WrittenBox(four, None, None, name) for four in fours(run))
        run.clear()

    for tag in _TAGS.finditer(text):
        between = text[end : tag.start()]
        if tag[1] is not None:
            if between.strip():
                close_run(between)
            if not run:
                label = _tag_label(between)
                # PaliGemma writes `<loc0123>` and names the object behind its box, Florence-2 writes `<loc_123>` and names it before.
                label_follows = not tag[0].startswith("<loc_")
            run.append(float(tag[1]))
        elif tag[0] in ("<box>", "<|box_start|>"):
            close_run(between)
            label, opened, label_follows = _tag_label(between), tag.end(), False
        elif opened >= 0:
            inside = text[opened : tag.start()]
            if ONLY_NUMBERS.fullmatch(inside):
                run.extend(numbers_in(inside))
            close_run()
            opened = -1
        end = tag.end()
    if opened >= 0 and ONLY_NUMBERS.fullmatch(text, end):
        part.cut = True
    elif len(run) % 4 and not text[end:].strip():
        part.cut = True
        part.boxes.extend(WrittenBox(four, None, None, label) for four in fours(run))
        run.clear()
    close_run(text[end:])
    return part


def _corner_pairs(text: str) -> list[WrittenBox]:
    """Return the pairs of points that stand by themselves; three and more in a row are an outline or a list of points."""
    boxes: list[WrittenBox] = []
    end = 0
    for points in _POINTS.finditer(text):
        if points[0].count("(") == 2:
            touches = not text[points.start() - 1 : points.start()].isspace()
            label = _tag_label(text[end : points.start()]) if touches else ""
            boxes.extend(WrittenBox(four, None, None, label) for four in fours(numbers_in(points[0])))
        end = points.end()
    return boxes


def _tag_label(between: str) -> str:
    return _ANY_TAG.sub(" ", between[-200:].rpartition("\n")[2]).strip(" \t\r:,;-")


def _label_after(following: str) -> str:
    return _ANY_TAG.sub(" ", following[:400].partition(";")[0].partition("\n")[0])[:200].strip(" \t\r:,-")
