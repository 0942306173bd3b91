"""What a report states, as far as word lists know it: each finding with its denial, side, place, degree and number.

It reads `nova_bench.metrics.radiology_lexicon`, and for eyes the list that is laid over it. A sentence is what stands between full stops,
semicolons and colons; what it says of side and place holds for each finding in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from nova_bench.metrics.radiology_lexicon import Lexicon, Mention, find_mentions, keyword_of, load_lexicon

STATEMENTS_VERSION = 1
"""Of the rules below and of the eye's word list; a change of either changes verdicts."""

_SIDES = frozenset({"left", "right", "bilateral"})
_POSITIONS = frozenset(
    (
        *("anterior", "posterior", "superior", "inferior", "medial", "lateral", "temporal", "nasal"),
        *("superotemporal", "inferotemporal", "superonasal", "inferonasal"),
    )
)
_DEGREES = {"few": 1, "mild": 1, "small": 1, "moderate": 2, "many": 3, "marked": 3, "large": 3}
_PLACELESS = frozenset({"brain", "eye", "intraocular pressure", "visual field"})
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_NEAR = 6
"""Mentions between two words that still belong together, unknown words and marks included."""

_COMPARISONS = (
    ("stable", re.compile(r"\b(?:stable|unchanged|no (?:significant |interval |relevant )?change)\b")),
    (
        "worse",
        re.compile(
            r"\b(?:worse|worsen(?:ed|ing)|progress(?:ed|ion|ing)|newly|new since|interval (?:increase|growth|development|progression)"
            r"|(?:has|have) (?:grown|increased|enlarged)|(?:increased|larger|enlarged|grown) (?:since|compared))\b"
        ),
    ),
    (
        "better",
        re.compile(
            r"\b(?:improved|improvement|regress(?:ed|ion)|resolved|interval (?:decrease|improvement|regression|resolution)"
            r"|(?:has|have) (?:shrunk|decreased)|(?:decreased|smaller|shrunk) (?:since|compared))\b"
        ),
    ),
    (
        "earlier",
        re.compile(
            r"\b(?:compar(?:ed|ison) (?:with|to)|(?:prior|previous|earlier|last) (?:exam(?:ination)?|study|scan|mri|image|visit|report)s?)\b"
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One finding, disease or normal structure that a text affirms or denies.

    Attributes:
        concept: Standard form; ``normal X`` for a structure X that is called normal.
        is_denied: Whether the text says that it is not there.
        is_disease: Whether it is a name of a disease.
        sides: Of ``left``, ``right``, ``bilateral``.
        places: Structures named in its sentence.
        positions: Such as ``superior``.
        degree: 1 mild to 3 marked; 0 where nothing is said.
        number: That is said of it (a cup-to-disc ratio); None where none is.
    """

    concept: str
    is_denied: bool = False
    is_disease: bool = False
    sides: frozenset[str] = frozenset()
    places: frozenset[str] = frozenset()
    positions: frozenset[str] = frozenset()
    degree: int = 0
    number: float | None = None

    @property
    def is_normality(self) -> bool:
        """Whether it says that something is normal or absent."""
        return self.is_denied or self.concept.startswith("normal ")


def lexicon_of(*texts: str) -> Lexicon:
    """Return the word list that texts are read with: with the eye's words over it where one of them names a part of the eye.

    >>> [lexicon_of(text).concepts.get("drusen") for text in ("Lesion of the pons.", "The macula is normal.")]
    [None, 'finding']
    """
    return load_lexicon("eye_lexicon") if any(_EYE.search(text.lower()) for text in texts) else load_lexicon()


_EYE = re.compile(
    r"\b(?:glaucoma\w*|macula\w*|fundus|retina\w*|cup[- ](?:to[- ])?disc|optic (?:disc|disk|cup)|drusen|neuroretinal|rnfl|disc"
    r"|ophthalm\w*|intraocular|eyes?)\b"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read from one text.

    Attributes:
        statements: Each concept once, in the text's order.
        sides: Of ``left``, ``right``, ``bilateral``, wherever they stand.
        denies: Whether it denies anything, known or not.
        courses: What it says in comparison with an earlier picture, see `read_courses`.
    """

    statements: tuple[Statement, ...] = ()
    sides: frozenset[str] = frozenset()
    denies: bool = False
    courses: frozenset[str] = frozenset()


def read_report(text: str, lexicon: Lexicon) -> Reading:
    """Return what a text states.

    A side holds for the whole text where it names only one. What is denied in one place and affirmed in another counts as affirmed.

    Args:
        text: In English.
        lexicon: From `lexicon_of`.

    >>> edema, shift = read_report("Mild edema of the left thalamus, no midline shift.", load_lexicon()).statements
    >>> edema.concept, sorted(edema.sides), sorted(edema.places), edema.degree
    ('edema', ['left'], ['thalamus'], 1)
    >>> shift.concept, shift.is_denied
    ('midline shift', True)
    >>> [read_report(text, load_lexicon()).denies for text in ("No treatment is needed.", "Hemorrhage cannot be excluded.")]
    [True, False]
    """
    mentions = find_mentions(text, lexicon)
    sides = frozenset(m.name for m in mentions if m.kind == "descriptor" and m.name in _SIDES)
    only_side = sides if len(sides) == 1 else frozenset()
    found: dict[str, Statement] = {}
    for sentence in _sentences(mentions):
        for statement in _of_sentence(sentence, only_side):
            known = found.get(statement.concept)
            found[statement.concept] = statement if known is None else _joined(known, statement)
    denies = any(m.kind in ("negate-before", "negate-next", "negate-after") for m in mentions)
    return Reading(tuple(found.values()), sides, denies, read_courses(text))


def read_courses(text: str) -> frozenset[str]:
    """Return what a text says in comparison with an earlier picture: ``stable``, ``worse``, ``better``, or only ``earlier``.

    >>> sorted(read_courses("Compared with the prior study the mass is unchanged.")), sorted(read_courses("A mass."))
    (['stable'], [])
    """
    lowered = text.lower()
    named = frozenset(name for name, pattern in _COMPARISONS if pattern.search(lowered))
    return named - {"earlier"} or named


def _sentences(mentions: list[Mention]) -> Iterator[list[Mention]]:
    sentence: list[Mention] = []
    for mention in mentions:
        if mention.kind == "end":
            yield sentence
            sentence = []
        else:
            sentence.append(mention)
    yield sentence


def _of_sentence(sentence: list[Mention], only_side: frozenset[str]) -> Iterator[Statement]:
    descriptors = {mention.name for mention in sentence if mention.kind == "descriptor"}
    sides = frozenset(descriptors & _SIDES) or only_side
    places = frozenset(mention.name for mention in sentence if mention.kind == "anatomy") - _PLACELESS
    for i, mention in enumerate(sentence):
        if mention.kind in ("finding", "disease"):
            keyword = keyword_of(mention)
            is_denied = keyword.startswith("no ")
            yield Statement(
                keyword[3:] if is_denied else keyword,
                is_denied,
                mention.kind == "disease",
                sides,
                places,
                frozenset(descriptors & _POSITIONS),
                _degree(sentence, i),
                _number(sentence, i),
            )
        elif (
            mention.kind == "descriptor"
            and mention.name == "normal"
            and (place := _place_of(sentence, i)) is not None
        ):
            is_not = i > 0 and sentence[i - 1].kind == "negate-before"
            if not is_not:
                yield Statement(f"normal {place}", sides=sides)


def _degree(sentence: list[Mention], at: int) -> int:
    """Return the degree in the words right before a finding, else behind it."""
    for mention in (*reversed(sentence[max(0, at - 3) : at]), *sentence[at + 1 : at + 3]):
        if mention.name in _DEGREES:
            return _DEGREES[mention.name]
    return 0


def _number(sentence: list[Mention], at: int) -> float | None:
    """Return the number that follows a finding, before the next finding and within reach."""
    for mention in sentence[at + 1 : at + 1 + _NEAR]:
        if mention.kind in ("finding", "disease"):
            break
        if mention.kind == "word" and _NUMBER.fullmatch(mention.name):
            return float(mention.name.replace(",", "."))
    return None


def _place_of(sentence: list[Mention], at: int) -> str | None:
    """Return the structure that is called normal: the nearest before the word, else behind it."""
    for mention in (*reversed(sentence[max(0, at - _NEAR) : at]), *sentence[at + 1 : at + 1 + _NEAR]):
        if mention.kind == "anatomy":
            return mention.name
    return None


def _joined(one: Statement, other: Statement) -> Statement:
    if one.is_denied != other.is_denied:
        return other if one.is_denied else one
    return Statement(
        one.concept,
        one.is_denied,
        one.is_disease,
        one.sides | other.sides,
        one.places | other.places,
        one.positions | other.positions,
        max(one.degree, other.degree),
        one.number if one.number is not None else other.number,
    )
