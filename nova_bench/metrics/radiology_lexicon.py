"""Keywords of a brain-MRI caption from a word list: a free, repeatable stand-in for the judge of NOVA (arXiv 2505.14064).

A caption is cut into words in one spelling, the longest known wordings are found, and each becomes its concept's standard form,
so that equal concepts are equal strings. Findings and diseases within reach of a negation become ``no <standard form>``. It
knows what is written in ``radiology_lexicon.toml`` and nothing else: a paraphrase outside the list is missed, which a judge
would not do. So scores made with it say ``lexicon`` in their name.
"""

from __future__ import annotations

import functools
import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "LEXICON_VERSION",
    "MODALITY_VOCABULARY",
    "Findings",
    "Lexicon",
    "Mention",
    "extract_findings",
    "find_mentions",
    "keyword_of",
    "load_lexicon",
    "sequences_and_planes",
    "word",
]

LEXICON_VERSION = 1
"""Of the word list and the rules below; a change of either changes scores, so it is part of their signature."""

MODALITY_VOCABULARY = frozenset(
    {"flair", "axial", "sagittal", "t1", "t2", "coronal", "dwi", "t1w", "t2w", "weighted"}
)
"""Keywords that count for Modality F1; all others count for Clinical F1 (NOVA, arXiv 2505.14064)."""

_CATEGORIES = ("anatomy", "finding", "descriptor", "disease", "sequence", "plane")
_NEGATABLE = frozenset({"finding", "disease"})
_NEGATIONS = ("before", "next", "after", "never", "ends")

_FLAGS: Mapping[str, str] = {
    "t1": "t1w",
    "t2": "t2w",
    "flair": "flair",
    "dwi": "dwi",
    "adc": "adc",
    "swi": "swi",
    "mra": "mr angiography",
    "axial": "axial",
    "coronal": "coronal",
    "sagittal": "sagittal",
}
_OTHER_WEIGHTINGS = frozenset(
    {
        "t2w",
        "flair",
        "dwi",
        "adc",
        "swi",
        "proton density",
        "perfusion",
        "mr angiography",
        "mr venography",
        "ct",
    }
)

_SPELLINGS = (
    ("oedema", "edema"),
    ("haem", "hem"),
    ("aemi", "emi"),
    ("tumour", "tumor"),
    ("leuco", "leuko"),
    ("grey", "gray"),
    ("centre", "center"),
    ("fibre", "fiber"),
    ("calibre", "caliber"),
    ("foetal", "fetal"),
    ("ischae", "ische"),
    ("necrotis", "necrotiz"),
    ("labelling", "labeling"),
    ("localis", "localiz"),
    ("generalis", "generaliz"),
    ("remodelling", "remodeling"),
    ("oesoph", "esoph"),
)
_DASHES = re.compile("[\u2010-\u2015\u2212_]")
_REWRITES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\bt2[\s-]*(?:\*|star\b)"), " t2star "),
    (
        re.compile(
            r"\bb[\s-]*(?:value)?[\s-]*(?:of|=)?[\s-]*([5-9]\d\d|[1-9]\d{3})\b(?:\s*s\s*/\s*mm(?:2|\^2)?)?"
        ),
        " b1000 ",
    ),
    (re.compile(r"\bc\s*\+|\+\s*(?:c|gd|gad|gado|gadolinium|contrast|ce)\b"), " postcontrast "),
    (re.compile(r"\b(?:t1(?:ce|c|gd|post)|cet1w?|t1w?[\s-]?(?:ce|gd))\b"), " postcontrast t1 "),
    (re.compile(r"\bi\.\s?v\."), "iv"),
    (re.compile(r"\bnon(enhanc)"), r"non \1"),
    (re.compile(r"(?:\be\.g\.|\bi\.e\.)"), " "),
)
_TOKENS = re.compile(r"\d+(?:[.,]\d+)+|[a-z0-9]+(?:'[a-z]+)?|[.;:!?,()/\n]")
_MARKS = dict.fromkeys(".;:!?\n", "end") | dict.fromkeys(",()", "comma") | {"/": "slash"}


@dataclass(frozen=True, slots=True)
class Findings:
    """What a caption says, as far as the word list knows it.

    Attributes:
        keywords: Standard forms; negated findings as ``no <standard form>``.
        abnormal: Whether any finding or disease is affirmed; None for a text without a word, which says neither.
    """

    keywords: frozenset[str]
    abnormal: bool | None

    @property
    def modality(self) -> frozenset[str]:
        """The keywords inside `MODALITY_VOCABULARY`."""
        return self.keywords & MODALITY_VOCABULARY

    @property
    def clinical(self) -> frozenset[str]:
        """The keywords outside it."""
        return self.keywords - MODALITY_VOCABULARY


@dataclass(frozen=True, slots=True, eq=False)
class Lexicon:
    """A word list, ready for the longest match.

    Attributes:
        phrases: Words of a wording to (kind, standard form); the kind is a category, or ``negate-`` with the way it negates.
        longest: First word to the number of words of the longest wording that begins with it.
        plurals: Irregular plural to singular.
        concepts: Standard form to category.
    """

    phrases: Mapping[tuple[str, ...], tuple[str, str]]
    longest: Mapping[str, int]
    plurals: Mapping[str, str]
    concepts: Mapping[str, str]


@dataclass(slots=True)
class Mention:
    """One wording found, or one punctuation mark (kind ``end``, ``comma``, ``slash``) or unknown word (kind ``word``).

    Attributes:
        kind: A category of the word list, ``negate-`` with a way of negating, or one of those above.
        name: The standard form, or the mark or word itself.
        negated: Whether it is a finding or disease within reach of a negation.
    """

    kind: str
    name: str
    negated: bool = False


def word(token: str, plurals: Mapping[str, str]) -> str:
    """Return a lower-case word in American spelling and singular.

    Args:
        token: One word.
        plurals: Irregular plural to singular.

    Examples:
        >>> [word(token, {"foci": "focus"}) for token in ("oedema", "lesions", "cavities", "foci", "mass", "haemorrhages")]
        ['edema', 'lesion', 'cavity', 'focus', 'mass', 'hemorrhage']
    """
    for british, american in _SPELLINGS:
        if british in token:
            token = token.replace(british, american)
    if token in plurals:
        return plurals[token]
    if len(token) <= 3 or not token.endswith("s") or token.endswith(("ss", "us", "is")):
        return token
    if token.endswith("ies") and len(token) > 4:
        return token[:-3] + "y"
    if token.endswith(("sses", "xes", "shes", "ches")):
        return token[:-2]
    return token[:-1]


def _tokens(text: str, plurals: Mapping[str, str]) -> list[str]:
    text = _DASHES.sub("-", unicodedata.normalize("NFKC", text).lower().replace("\u2019", "'"))
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    return [word(token, plurals) if token[0].isalnum() else token for token in _TOKENS.findall(text)]


@functools.cache
def load_lexicon(*more: str) -> Lexicon:
    """Return the word list that ships with the package, with others laid over it.

    Args:
        more: Names of further lists (``eye_lexicon``); a wording that two lists know has the meaning of the later one.

    Raises:
        ValueError: One wording stands for two concepts of one list.

    Examples:
        >>> load_lexicon().concepts["midline shift"]
        'finding'
    """
    plurals: dict[str, str] = {}
    phrases: dict[tuple[str, ...], tuple[str, str]] = {}
    concepts: dict[str, str] = {}
    for name in ("radiology_lexicon", *more):
        content = tomllib.loads((Path(__file__).parent / f"{name}.toml").read_text(encoding="utf-8"))
        plurals |= content.get("plural", {})
        phrases |= _wordings(content, plurals)
        concepts |= {concept: category for category in _CATEGORIES for concept in content.get(category, ())}
    longest: dict[str, int] = {}
    for key in phrases:
        longest[key[0]] = max(longest.get(key[0], 0), len(key))
    return Lexicon(phrases, longest, plurals, concepts)


def _wordings(
    content: Mapping[str, Mapping[str, list[str]]], plurals: Mapping[str, str]
) -> dict[tuple[str, ...], tuple[str, str]]:
    phrases: dict[tuple[str, ...], tuple[str, str]] = {}

    def add(wording: str, meaning: tuple[str, str]) -> None:
        key = tuple(_tokens(wording, plurals))
        if phrases.setdefault(key, meaning) != meaning:
            raise ValueError(
                f"the wording {wording!r} stands for {phrases[key]} and for {meaning}: give it to one of them"
            )

    for category in _CATEGORIES:
        for name, wordings in content.get(category, {}).items():
            for wording in (name, *wordings):
                add(wording, (category, name))
    for way in _NEGATIONS:
        for wording in content.get("negation", {}).get(way, ()):
            add(wording, (f"negate-{way}", wording))
    return phrases


def find_mentions(text: str, lexicon: Lexicon) -> list[Mention]:
    """Return what a text mentions, in its order, negations applied.

    Args:
        text: In English.
        lexicon: From `load_lexicon`.

    Examples:
        >>> found = find_mentions("No oedema of the left thalamus", load_lexicon())
        >>> [(mention.name, mention.negated) for mention in found if mention.kind in ("anatomy", "finding", "descriptor")]
        [('edema', True), ('left', False), ('thalamus', False)]
    """
    mentions = _mentions(text, lexicon)
    _mark_negated(mentions)
    return mentions


def _mentions(text: str, lexicon: Lexicon) -> list[Mention]:
    tokens = _tokens(text, lexicon.plurals)
    found: list[Mention] = []
    i = 0
    while i < len(tokens):
        for length in range(min(lexicon.longest.get(tokens[i], 0), len(tokens) - i), 0, -1):
            meaning = lexicon.phrases.get(tuple(tokens[i : i + length]))
            if meaning is not None:
                found.append(Mention(*meaning))
                i += length
                break
        else:
            token = tokens[i]
            found.append(Mention(_MARKS.get(token, "word"), token))
            i += 1
    return found


def _lists_that_go_on(mentions: list[Mention]) -> list[bool]:
    """Tell for each place whether a list goes on after it: an "or" follows before the clause ends."""
    goes_on, found = False, []
    for mention in reversed(mentions):
        found.append(goes_on)
        if mention.kind == "end" or mention.kind.startswith("negate-"):
            goes_on = mention.name == "nor"
        elif mention.name == "or":
            goes_on = True
    return found[::-1]


def _mark_negated(mentions: list[Mention]) -> None:
    reach = only_next = False
    goes_on = _lists_that_go_on(mentions)
    clause: list[Mention] = []
    for i, mention in enumerate(mentions):
        kind = mention.kind
        if kind in _NEGATABLE:
            mention.negated = reach or only_next
            clause.append(mention)
            only_next = False
        elif kind == "end" or kind == "negate-ends":
            reach, only_next = False, False
            clause = (
                []
                if kind == "end" or mention.name in ("but", "however", "while", "whereas", "although")
                else clause
            )
        elif kind == "comma":
            reach = reach and goes_on[i]
            clause = []
        elif kind == "negate-before":
            reach = True
        elif kind == "negate-next":
            only_next = True
        elif kind == "negate-after":
            for earlier in clause:
                earlier.negated = True
            reach, clause = False, []


def keyword_of(mention: Mention) -> str:
    """Return a mention's keyword: its standard form, with the negation in it."""
    if not mention.negated:
        return mention.name
    return mention.name[3:] if mention.name.startswith("no ") else f"no {mention.name}"


@functools.cache
def all_keywords() -> frozenset[str]:
    """Return every keyword that `extract_findings` can find: each standard form, and each finding and disease denied.

    >>> {"thalamus", "edema", "no edema"} <= all_keywords(), "no thalamus" in all_keywords()
    (True, False)
    """
    concepts = load_lexicon().concepts.items()
    mentions = [Mention(kind, name, negated) for name, kind in concepts for negated in (False, True)]
    return frozenset(keyword_of(one) for one in mentions if not one.negated or one.kind in _NEGATABLE)


def extract_findings(text: str) -> Findings:
    """Return the keywords of a caption, and whether it describes something abnormal.

    Args:
        text: A caption, in English.

    Examples:
        >>> found = extract_findings("Axial T2-weighted: hyperintense lesion in the left thalamus, no midline shift or oedema.")
        >>> sorted(found.modality)
        ['axial', 't2w']
        >>> sorted(found.clinical)
        ['hyperintense', 'left', 'lesion', 'no edema', 'no midline shift', 'thalamus']
        >>> found.abnormal, extract_findings("Normal MRI, no lesion.").abnormal, extract_findings("").abnormal
        (True, False, None)
    """
    lexicon = load_lexicon()
    mentions = find_mentions(text, lexicon)
    known = [mention for mention in mentions if mention.kind in _CATEGORIES]
    keywords = frozenset(keyword_of(mention) for mention in known)
    if not any(mention.kind not in ("end", "comma", "slash") for mention in mentions):
        return Findings(keywords, None)
    abnormal = any(
        mention.kind in _NEGATABLE and not keyword_of(mention).startswith("no ") for mention in known
    )
    return Findings(keywords, abnormal)


def _sentences(mentions: list[Mention]) -> Iterator[set[str]]:
    names: set[str] = set()
    for mention in mentions:
        if mention.kind == "end" and mention.name in ".;!?\n":
            yield names
            names = set()
        elif mention.kind in ("sequence", "plane"):
            names.add(mention.name)
    yield names


def sequences_and_planes(caption: str) -> dict[str, bool]:
    """Return whether each sequence and plane is named in a caption, for slices.

    ``t1`` is true for any T1 weighting, ``t1c`` for one after contrast: where a contrast agent is named in a sentence that also
    names T1, or that names no other weighting ("post-contrast MRI"). "T2-FLAIR" is FLAIR, "T2/FLAIR" is both. ``swi`` includes
    T2* and gradient echo. A plane is not seen in "sagittal sinus", "extra-axial" or "corona radiata". Words for enhancement as
    a finding ("ring-enhancing", "no contrast enhancement") name no sequence. A negation plays no part, but "without contrast"
    does: it is no contrast.

    Args:
        caption: A caption, in English; an empty one names nothing.

    Examples:
        >>> named = sequences_and_planes("Axial and coronal post-contrast T1WI; FLAIR shows an extra-axial mass.")
        >>> [name for name, present in named.items() if present]
        ['t1', 't1c', 'flair', 'axial', 'coronal']
    """
    sentences = list(_sentences(_mentions(caption, load_lexicon())))
    named = set().union(*sentences)
    flags = {flag: concept in named for flag, concept in _FLAGS.items()}
    after_contrast = any(
        "contrast-enhanced" in names and ("t1w" in names or not names & _OTHER_WEIGHTINGS)
        for names in sentences
    )
    return {"t1": flags["t1"], "t1c": after_contrast, **{flag: flags[flag] for flag in flags if flag != "t1"}}
