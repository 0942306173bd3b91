"""One list of the words that tell a patient's demographics, for three uses: stating, swapping and blinding them.

The words are in ``demographic_terms.toml``. Forms match as whole words, in any case (pronouns and titles: not in capitals only, as MS, MR
and HE mean other things in a note). Where a word means something else in medicine, its context decides:

- *Black*, *White* and the peoples ("Chinese") count before a person ("a Black 67-year-old woman"), after "race is", "identifies as"
  and the like, and after "the patient is" where no noun follows. "White matter", "black spot", "white lesion" are never hits.
- *Spanish*, *English* and other languages count as a language where language is spoken of ("Spanish-speaking", "in Spanish",
  "language: Spanish", "a Spanish interpreter"). "A Spanish man" tells a people: blinding masks it as ethnicity, swapping leaves it, as no
  value of the data set stands for Spaniards.
- *her* is a possessive before a noun and an object elsewhere, so that it becomes "his" or "him".

A pronoun is taken to mean the patient, whoever is meant. Relatives are left alone.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from nova_bench.demographics import ATTRIBUTES
from nova_bench.types import Sample

LEXICON_VERSION = 1
"""Raised when a text is stated, swapped or blinded in another way; a task that uses them raises its own version with it."""

CHOICES = ("none", "stated", "swapped")
"""The values of the variant key ``demographics`` that `vary` makes."""

_PERSON = (
    r"(?:patients?|m[ae]n|wom[ae]n|males?|females?|persons?|people|individuals?|gentlem[ae]n|lady|ladies|adults?|boys?|girls?|child"
    r"|children|subjects?|participants?|populations?|race|ethnicity|descent|ancestry|heritage|origin|background|americans?|veterans?)\b"
)
_BETWEEN = (
    r"(?:\d{1,3}[- ]?(?:year|yr)s?[- ]old|\d{1,3} ?y/?o|elderly|older?|young(?:er)?|middle-aged|adult|pregnant|diabetic|healthy|obese|and"
    r"|or|non[- ]hispanic|not hispanic|hispanic|latin[oax]|asian|black|white|american|english-speaking|spanish-speaking)"
)
_AHEAD_PERSON = rf"(?=(?:[ ,/]+{_BETWEEN}){{0,4}}[ ,]+{_PERSON})"
_TOLD = (
    "race is ",
    "race: ",
    "race ",
    "ethnicity is ",
    "ethnicity: ",
    "identifies as ",
    "identified as ",
    "described as ",
)
_IS = ("patient is ", "patient was ", "he is ", "she is ")
_ENDS = r"(?=\s*(?:[.,;:?!)]|$)|\s+(?:and|or|but|with|who)\b)"
_SPOKEN = (
    "speaks ", "speak ", "speaking ", "spoke ", "in ", "language is ", "language: ", "language ", "fluent in ", "understands ",
    "understand ", "prefers ", "speaks only ", "only ",
)  # fmt: skip
_AHEAD_LANGUAGE = (
    r"(?=[- ](?:speaking|speakers?|language|interpreters?|interpretation|translators?|translation|only)\b)"
)
_NO_NOUN = (
    r"(?:(?![- ]*\w)|(?= (?:and|or|to|in|at|on|for|with|that|is|was|has|had|if|when|as|by|from|about|because|before|after|during"
    r"|today|again|the|an?|who|may|can|will|should)\b))"
)
_TITLE = r"(?= [A-Z])"
_AGES = (
    r"\d{1,3}[- ]?(?:year|yr)s?[- ]?old\b|\d{1,3} ?(?:y/o|yo|y\.o\.)(?!\w)|(?:(?<=aged )|(?<=age ))\d{1,3}\b",
    r"(?:sexa|septua|octo|nona)genarian\b",
)
_WORD = re.compile(r"[^\W_]+")
_ARTICLE_BEFORE = re.compile(r"(?<!\w)[Aa]n?(?=\s{1,3}\Z)")


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Term:
    attribute: str
    value: str | None
    """None: known to blinding only."""
    form: str
    """As the lexicon has it; empty for ages."""
    pattern: re.Pattern[str]
    written: Mapping[str, str]
    """Value to what is written in this slot."""
    is_masked: bool = True


def state(groups: Mapping[str, str | None]) -> str:
    """Return one sentence with what is known of race, ethnicity, language and gender; empty where nothing is.

    The age is not stated: it is clinical information in its own right, and what is stated is what can be swapped.

    Args:
        groups: Attribute to value, as `nova_bench.demographics.demographic_groups` gives them.

    >>> state({"race": "asian", "ethnicity": "non-hispanic", "language": "spanish", "gender": "female"})
    'The patient is an Asian, non-Hispanic woman whose preferred language is Spanish.'
    >>> state({"race": None, "ethnicity": None, "language": "other", "gender": None})
    'The preferred language of the patient is neither English nor Spanish.'
    """
    race = {"asian": "Asian", "black": "Black", "white": "White"}.get(groups.get("race") or "")
    ethnicity = {"non-hispanic": "non-Hispanic", "hispanic": "Hispanic"}.get(groups.get("ethnicity") or "")
    person = {"female": "woman", "male": "man"}.get(groups.get("gender") or "")
    spoken = {"english": "English", "spanish": "Spanish", "other": "neither English nor Spanish"}.get(
        groups.get("language") or ""
    )
    told = ", ".join(word for word in (race, ethnicity) if word)
    if not told and not person:
        return f"The preferred language of the patient is {spoken}." if spoken else ""
    described = " ".join(word for word in (told, person or "person") if word)
    language = f" whose preferred language is {spoken}" if spoken else ""
    return f"The patient is {_article(described)} {described}{language}."


def swap(text: str, attribute: str, old: str, new: str) -> str:
    """Return a text in which the words for one value of an attribute are those for another; all else is as it was.

    Capitals are kept ("Woman" becomes "Man"), a proper name keeps its own ("white" becomes "Asian"), and an article before the word
    follows it ("a Black" becomes "an Asian").

    Args:
        text: Any text.
        attribute: One of `nova_bench.demographics.ATTRIBUTES`.
        old: The value whose words are replaced.
        new: The value whose words are written.

    >>> swap("Does this Black woman need her drops, or does a white spot tell her?", "gender", "female", "male")
    'Does this Black man need his drops, or does a white spot tell him?'
    >>> swap("a Black woman with a black spot", "race", "black", "asian")
    'an Asian woman with a black spot'
    """
    return _rewrite(
        text, _by_first_word(attribute, old), lambda term, found: _cased(found, term.form, term.written[new])
    )


def blind(text: str) -> str:
    """Return a text in which every word that tells demographics is a mask: ``[race]``, ``[ethnicity]``, ``[language]``, ``[gender]``, ``[age]``.

    Args:
        text: Any text.

    >>> blind("A 67-year-old African American woman: does her white matter, or the black spot, matter to Spanish speakers?")
    'A [age] [race] [gender]: does [gender] white matter, or the black spot, matter to [language] speakers?'
    """
    return _rewrite(text, _by_first_word(None, None), lambda term, found: f"[{term.attribute}]")


def vary(sample: Sample, choice: str) -> Iterator[Sample]:
    """Yield a sample as the variant ``demographics=none|stated|swapped`` asks for it.

    ``none``: as it is. ``stated``: its texts have ``patient``, the sentence of `state` (empty where nothing is known). ``swapped``: for each
    attribute with a known value, one copy for each other value, with id ``ID+race=asian``, ``base`` the sample's id and the group
    ``swapped`` ``race=asian``; the sentence states the other value and the words of all texts are swapped. Truth, images, cluster and the
    patient's own groups are those of the sample.

    Args:
        sample: With the patient's demographics among its groups.
        choice: One of `CHOICES`.
    """
    if choice == "none":
        yield sample
        return
    if choice == "stated":
        yield dataclasses.replace(sample, text={**sample.text, "patient": state(sample.groups)})
        return
    for attribute, values in ATTRIBUTES.items():
        own = sample.groups.get(attribute)
        if own is None:
            continue
        for value in values:
            if value == own:
                continue
            texts = {name: swap(text, attribute, own, value) for name, text in sample.text.items()}
            swapped = f"{attribute}={value}"
            yield dataclasses.replace(
                sample,
                id=f"{sample.id}+{swapped}",
                text={**texts, "patient": state({**sample.groups, attribute: value})},
                groups={**sample.groups, "swapped": swapped},
                base=sample.id,
            )


# The lexicon as one pattern


def blinding_digest() -> str:
    """Return 12 hex digits over all that `blind` masks: for what is signed of a text that was blinded."""
    masked = [
        [LEXICON_VERSION, term.attribute, term.pattern.pattern] for term in _lexicon() if term.is_masked
    ]
    return hashlib.sha256(repr(masked).encode()).hexdigest()[:12]


@functools.cache
def _lexicon() -> tuple[_Term, ...]:
    """Return all terms, longer forms first so that "African American" is never read as "African"."""
    words = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    found: list[tuple[int, _Term]] = []
    for slot in words["slots"]:
        attribute, context = slot["attribute"], slot.get("context", "")
        values = {value: slot[value] for value in ATTRIBUTES[attribute]}
        written = {value: forms[0] for value, forms in values.items()}
        for value, forms in values.items():
            for form in forms:
                pattern = re.compile(_pattern(form, context))
                term = _Term(attribute, value, form, pattern, written, context != "swap only")
                found.append((len(form), term))
    for attribute, peoples in words["blind"].items():
        found += [
            (len(form), _Term(attribute, None, form, re.compile(_pattern(form, "person")), {}))
            for form in peoples
        ]
    found += [(99, _Term("age", None, "", re.compile(f"(?i:{ages})"), {})) for ages in _AGES]
    return tuple(term for _, term in sorted(found, key=lambda entry: -entry[0]))


def _pattern(form: str, context: str) -> str:
    """Return the pattern of one form where it counts."""
    escaped = re.escape(form)
    word = rf"(?<![\w-])(?i:{escaped})(?!\w|-\w)"
    if form in ("Black", "White") or context == "person":
        told, said = (_behind(words) for words in (_TOLD, _IS))
        return rf"(?:{word}(?i:{_AHEAD_PERSON})|{told}{word}|{said}{word}{_ENDS})"
    if form in ("Blacks", "Whites"):
        return rf"(?<![\w-]){escaped}(?![\w-]| of )"
    if context == "language":
        return rf"(?:(?<![\w-])(?i:{escaped}{_AHEAD_LANGUAGE})|{_behind(_SPOKEN)}{word})"
    capitalised = rf"(?<![\w-])(?:{escaped}|{form.capitalize()})(?!\w|-\w)"
    if context == "pronoun":
        return capitalised
    if context == "determiner":
        return rf"{capitalised}(?!{_NO_NOUN})"
    if context in ("object", "standalone"):
        return rf"{capitalised}(?:{_NO_NOUN})" if form in ("her", "his") else capitalised
    if context == "title":
        return rf"(?<![\w-]){escaped}{_TITLE}"
    if context == "letter":
        return rf"{_behind(('yo ', 'y/o ', 'year-old ', 'year old '))}{escaped}(?![\w-])"
    return word


def _behind(words: tuple[str, ...]) -> str:
    """Return the pattern of a place right behind one of several words."""
    return "(?:" + "|".join(rf"(?i:(?<=\b{re.escape(word)}))" for word in words) + ")"


@functools.cache
def _by_first_word(attribute: str | None, value: str | None) -> Mapping[str, tuple[_Term, ...]]:
    """Return the terms of one value, or all that blinding masks, by the word with which they begin; ages by the empty text.

    One pattern of all terms would be tried at every character: 30 s a megabyte against 1 s.
    """
    chosen: dict[str, list[_Term]] = {}
    for term in _lexicon():
        if term.is_masked if attribute is None else (term.attribute, term.value) == (attribute, value):
            first = _WORD.match(term.form)
            chosen.setdefault(first[0].lower() if first else "", []).append(term)
    return {word: tuple(terms) for word, terms in chosen.items()}


def _rewrite(text: str, terms: Mapping[str, tuple[_Term, ...]], write: Callable[[_Term, str], str]) -> str:
    pieces: list[str] = []
    done = 0
    for word in _WORD.finditer(text):
        at = word.start()
        if at < done:
            continue
        key = word[0].lower()
        candidates = terms.get("" if key[0].isdigit() or key.endswith("genarian") else key, ())
        for term in candidates:
            found = term.pattern.match(text, at)
            if found is None:
                continue
            new = write(term, found[0])
            before = text[done:at]
            article = _ARTICLE_BEFORE.search(before, max(0, len(before) - 6))
            if article is not None:
                right = _article(new)
                right = right.capitalize() if article[0][0] == "A" else right
                before = before[: article.start()] + right + before[article.end() :]
            pieces += [before, new]
            done = found.end()
            break
    return "".join([*pieces, text[done:]])


def _article(word: str) -> str:
    return "an" if word[:1].lower() in "aeiou" else "a"


def _cased(found: str, form: str, new: str) -> str:
    """Return a word with the capitals of the one that it replaces; proper names keep theirs.

    Args:
        found: The word as it stands in the text.
        form: The same as the lexicon has it.
        new: What is written in its place, as the lexicon has it.
    """
    if len(found) > 1 and found.isupper():
        return new.upper()
    if new.startswith(("Black", "White")) and found[0].islower():
        return new.lower()
    is_sentence_start = found[0].isupper() and form[0].islower()
    return new[0].upper() + new[1:] if is_sentence_start else new
