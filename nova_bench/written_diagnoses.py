"""Finds the diagnoses that an answer names: one most likely, and alternatives.

What counts is the first of these that is there:

1. JSON with a diagnosis under one of the known keys, or a JSON list of quoted texts. As with boxes, Markdown fences go before
   what stands outside, and of several such values the last counts; one that says which is the most likely goes before a list.
2. Lines: ``Most likely diagnosis: X``, ``Differential: A, B, C``, and numbered or bulleted lists.
3. A numbered list in running text: ``1. X 2. Y``.

Nothing else in prose is taken for a diagnosis.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from nova_bench.json_boxes import plain
from nova_bench.loose_json import Keyed, Listed, scan

MAX_WORDS = 16
"""A longer list item is a sentence of reasoning, not a name."""

_FIRST_KEYS = frozenset(
    (
        *(
            "mostlikelydiagnosis",
            "mostlikely",
            "mostprobablediagnosis",
            "likelydiagnosis",
            "diagnosis",
            "finaldiagnosis",
        ),
        *(
            "primarydiagnosis",
            "leadingdiagnosis",
            "topdiagnosis",
            "maindiagnosis",
            "principaldiagnosis",
            "workingdiagnosis",
        ),
        *("primary", "top", "best"),
    )
)
_OTHER_KEYS = frozenset(
    (
        *(
            "otherpossiblediagnoses",
            "otherpossiblediagnosis",
            "otherdiagnoses",
            "otherpossibilities",
            "otherpossible",
        ),
        *(
            "others",
            "differential",
            "differentials",
            "differentialdiagnosis",
            "differentialdiagnoses",
            "ddx",
            "alternatives",
        ),
        *(
            "alternative",
            "alternativediagnoses",
            "alternativediagnosis",
            "possiblediagnoses",
            "diagnoses",
            "candidates",
        ),
        *(
            "top5",
            "top5diagnoses",
            "rankeddiagnoses",
            "otherpotentialdiagnoses",
            "otherlikelydiagnoses",
            "topdiagnoses",
        ),
    )
)
_RANKED_KEY = re.compile(
    r"(?:top|diagnosis|dx|rank|candidate|option|alternative|differential|otherdiagnosis)?([1-9])(?:diagnosis)?"
)
_QUOTED_LIST = re.compile(r"\[\s*[\"'{\[\u201c]")
_END = "\0"
"""Marks the end of a cut text; a name that holds it is not whole."""
_NAME_KEYS = (
    "diagnosis",
    "name",
    "disease",
    "condition",
    "label",
    "text",
    "mostlikelydiagnosis",
    "value",
    "answer",
)


@dataclass(frozen=True, slots=True, eq=False)
class WrittenDiagnoses:
    """What `find_diagnoses` understood.

    Attributes:
        names: As written, the most likely one first; blank ones and repetitions are still in.
        has_first: Whether the answer says which is the most likely; else the first of its list is taken.
        cut: Whether the text ended within the part that counts.
    """

    names: tuple[str, ...] = ()
    has_first: bool = False
    cut: bool = False


def find_diagnoses(text: str, *, cut: bool = False) -> WrittenDiagnoses:
    """Return the diagnoses that an answer names.

    Args:
        text: The answer.
        cut: Whether it is known to be cut; a name that touches its end is then left out, since nobody knows whether it is whole.

    >>> find_diagnoses('{"most_likely_diagnosis": "Glioma", "other_possible_diagnoses": ["Abscess", "Lymphoma"]}').names
    ('Glioma', 'Abscess', 'Lymphoma')
    >>> find_diagnoses("1. **Glioma** - it enhances 2. Abscess").names
    ('Glioma', 'Abscess')
    """
    roots = scan(text).roots
    ends_within = bool(roots) and roots[-1].cut and isinstance(roots[-1].value, Keyed)
    read = [
        (root, _read(root.value))
        for root in roots
        if isinstance(root.value, Keyed) or _QUOTED_LIST.match(text, root.start)
    ]
    named = [(root, found) for root, found in read if found.names]
    for pool in ([pair for pair in named if pair[0].fence], [pair for pair in named if not pair[0].fence]):
        if pool:
            root, found = next((pair for pair in reversed(pool) if pair[1].has_first), pool[-1])
            return WrittenDiagnoses(found.names, found.has_first, root.cut or ends_within)
    found = _from_lines(text + _END if cut else text)
    names = tuple(name for name in found.names if _END not in name)
    return WrittenDiagnoses(names, found.has_first and names[:1] == found.names[:1], ends_within)


def _read(value: Listed | Keyed) -> WrittenDiagnoses:
    """Read one value; recursion is bounded by the depth that `scan` admits."""
    if isinstance(value, Listed):
        # A list of objects, or of at least two texts: `[label]` in prose is neither.
        texts = [item for item in value.items if isinstance(item, str)]
        names = (
            _names(value) if len(texts) > 1 or any(isinstance(item, Keyed) for item in value.items) else []
        )
        return WrittenDiagnoses(tuple(names))
    first: list[str] = []
    ranked: list[tuple[int, str]] = []
    others: list[str] = []
    nested = WrittenDiagnoses()
    for key, child in value.items:
        name = plain(key)
        rank = _RANKED_KEY.fullmatch(name)
        if name in _FIRST_KEYS:
            inner = _read(child) if isinstance(child, Keyed) else WrittenDiagnoses()
            if inner.has_first and len(inner.names) > 1:
                nested = inner
            elif isinstance(child, Listed):
                (others if first else first).extend(_names(child))
            else:
                first.extend(_name(child))
        elif name in _OTHER_KEYS:
            others.extend(_names(child))
        elif rank and isinstance(child, (str, Keyed)):
            ranked.extend((int(rank[1]), found) for found in _name(child))
        elif isinstance(child, (Listed, Keyed)) and not nested.names:
            nested = _read(child)
    ordered = [found for _, found in sorted(ranked, key=lambda pair: pair[0])]
    if first:
        return WrittenDiagnoses((*first, *ordered, *others), has_first=True)
    if ordered:
        return WrittenDiagnoses((*ordered, *others), has_first=True)
    if nested.names:
        return WrittenDiagnoses((*nested.names, *others), nested.has_first)
    return WrittenDiagnoses(tuple(others))


def _names(value: Any) -> list[str]:
    """Return the names in a list, in an object of ranks, or in a text that lists them."""
    if isinstance(value, Listed):
        return [
            name
            for item in value.items
            for name in (_names(item) if isinstance(item, Listed) else _name(item))
        ]
    if isinstance(value, Keyed):
        if _name(value):
            return _name(value)
        ranked = all(_RANKED_KEY.fullmatch(plain(key)) for key, _ in value.items)
        # {"1": "Glioma", ...}, or names as keys: {"Glioma": 0.7, "Abscess": 0.2}.
        return [name for key, child in value.items for name in (_name(child) if ranked else [key])]
    return _split(value) if isinstance(value, str) else []


def _name(value: Any) -> list[str]:
    """Return the one name that a text or an object holds, if it holds one."""
    if isinstance(value, Keyed):
        keys = {plain(key): child for key, child in value.items}
        value = next((keys[key] for key in _NAME_KEYS if isinstance(keys.get(key), str)), None)
    return [" ".join(value.split())] if isinstance(value, str) and value.strip() else []


def _split(text: str) -> list[str]:
    """Split a listing: by lines or semicolons where there are any, else by commas outside of brackets."""
    inline = _inline_list(text)
    if len(inline) > 1:
        return inline
    pieces = re.split(r"[\n;]" if "\n" in text or ";" in text else r",(?![^()]{0,80}\))", text)
    cleaned = (_clean(re.sub(r"^(?:and|or)\s+", "", piece.strip())) for piece in pieces)
    return [piece for piece in cleaned if piece]


# Lines.

_MARKS = " \t\r*_#>`\u2022|"
_DIAGNOSIS_IS = r"(?: \([^()]{0,40}\))?[*_ ]*(?: is|:|=| -| \u2013| \u2014| would be)[*_ :]*(.*)"
_FIRST_LINE = re.compile(
    r"(?:the |my )?(?:single )?"
    r"(?:(?:(?:(?:most|more) (?:likely|probable)|likely|primary|final|leading|top|main|working|principal|best)"
    r"(?: possible| probable)? )?(?:diagnosis(?: 1)?|dx)|top[- ]?1|most (?:likely|probable))" + _DIAGNOSIS_IS,
    re.IGNORECASE,
)
_WITHIN = re.compile(
    r"most (?:likely|probable) diagnosis[*_ ]{0,9}(?: is|:| would be| remains)[*_ :]{1,9}([^\n]+)",
    re.IGNORECASE,
)
_OTHER_LINE = re.compile(
    r"(?:the )?(?:(?:other|alternative|further|additional)(?: (?:possible|potential|likely|considered|differential))? "
    r"(?:diagnos[ei]s|possibilities|considerations)|(?:possible |potential )?"
    r"(?:differential(?: diagnos[ei]s| considerations)?|differentials|ddx|alternatives)|possible diagnoses)"
    r"(?: \([^()]{0,40}\))?[*_ ]*(?: include| are|:|=| -|$)[*_ :]*(.*)",
    re.IGNORECASE,
)
_ITEM = re.compile(r"(?:[*_]{0,2}(\d{1,2})[.)][*_]{0,2}|[-*\u2022+])\s+(\S.*)")
_INLINE = re.compile(r"(?:(?<=\s)|(?<=[,;:(])|^)(\d{1,2})[.)]\s+")
_EXPLANATION = re.compile(
    r" [-\u2013\u2014] |: | because | due to the |, (?:given|as|since|which) |(?<=\w{4})\. |(?<=\))\. "
)


def _from_lines(text: str) -> WrittenDiagnoses:
    """Read marked lines and lists, line by line; without any mark, a list alone."""
    first, waiting = "", ""
    # Items of a list, with whether they are numbered; `waiting` is what the next line must bring: "first" where a mark stood
    # alone, "others" after a mark.
    others: list[tuple[bool, str]] = []
    unmarked: list[tuple[bool, str]] = []
    for raw in text.splitlines():
        line = raw.strip(_MARKS)
        if not line:
            continue
        item, marked, listing = _ITEM.match(raw.strip()), _FIRST_LINE.match(line), _OTHER_LINE.match(line)
        if marked:
            first = first or _clean(marked[1])
            waiting = "others" if first else "first"
        elif listing:
            # What was collected before the heading were reasons for the first.
            others = [(True, name) for name in _split(listing[1])]
            waiting = "others"
        elif waiting == "first":
            first, waiting = _clean(item[2] if item else line), "others"
        elif item:
            names = _inline_list(line)
            names = names if len(names) > 1 else [_clean(item[2])]
            listed = [
                (item[1] is not None, name) for name in names if name and len(name.split()) <= MAX_WORDS
            ]
            (others if waiting == "others" else unmarked).extend(listed)
    if not first:
        within = _WITHIN.search(text)
        first = _clean(within[1]) if within else ""
    # Bullets below numbers are reasons; bullets alone are a list only after a mark.
    others = [pair for pair in others if pair[0]] or others
    names = [name for _, name in others] or [name for numbered, name in unmarked if numbered]
    if first and len(first.split()) <= MAX_WORDS:
        return WrittenDiagnoses((first, *names), has_first=True)
    names = names or _inline_list(text)
    return WrittenDiagnoses(tuple(names) if len(names) > 1 else ())


def _inline_list(text: str) -> list[str]:
    """Return the items of ``1. X 2. Y`` where the numbers count from one."""
    marks: list[re.Match[str]] = []
    for mark in _INLINE.finditer(text):
        if int(mark[1]) == len(marks) + 1:
            marks.append(mark)
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    names = [
        _clean(text[mark.end() : end].strip().partition("\n")[0])
        for mark, end in zip(marks, ends, strict=False)
    ]
    return [name for name in names if name and len(name.split()) <= MAX_WORDS]


def _clean(name: str) -> str:
    """Return a name without Markdown, quotes, explanation and full stop."""
    name = " ".join(name.split()).strip(" _#>`\u2022|")
    bold = re.match(r"\*\*([^*]+)\*\*", name)
    name = (bold[1] if bold else name).replace("**", "").strip(" *_`\"'\u201c\u201d")
    return _EXPLANATION.split(name, maxsplit=1)[0].strip(" .,;:*_`\"'\u201c\u201d")
