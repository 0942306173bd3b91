"""How a report compares with a reference by word lists: shared findings and errors as GREEN counts them, and a score of 0 to 10.

For the rule-based stand-in of a judge; see `nova_bench.metrics.report_statements` for what is read.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import NamedTuple

from nova_bench.metrics.answers import SHORT_TOKENS, normalise_answer, token_f1_of
from nova_bench.metrics.report_statements import Reading, Statement, lexicon_of, read_report

COMPARISON_VERSION = 1
"""Of the rules below; a change of them changes verdicts."""

ERRORS = (
    "false_finding",
    "missing_finding",
    "wrong_location",
    "wrong_severity",
    "false_comparison",
    "missing_comparison",
)


class Comparison(NamedTuple):
    """How a candidate report compares with a reference.

    Attributes:
        matched: Findings that both affirm, with the same place and degree, or both deny.
        significant: Errors that matter for the patient, by kind.
        minor: The others.
    """

    matched: int
    significant: Counter[str]
    minor: Counter[str]


def compare_reports(reference: str, candidate: str) -> Comparison:
    """Return the findings that two reports share, and the candidate's errors of GREEN's six kinds (Ostmeier et al. 2024).

    A finding that only one of them affirms is a significant error; a denial or a normal structure that one of them lacks is none. A finding
    with a wrong place or degree is no match, but one error: left for right is significant, another structure or position minor; two steps
    of degree, 0.2 of a cup-to-disc ratio or two thirds of another number are significant, less is minor. A change that only one tells is
    significant, a stable course minor.

    Args:
        reference: The report that is right.
        candidate: The report that is judged.

    >>> compare_reports("Lesion in the left thalamus.", "Lesion in the right thalamus, no edema.")
    Comparison(matched=0, significant=Counter({'wrong_location': 1}), minor=Counter())
    """
    lexicon = lexicon_of(reference, candidate)
    return compare_readings(read_report(reference, lexicon), read_report(candidate, lexicon))


def compare_readings(true: Reading, said: Reading) -> Comparison:
    """Return the same from what was read.

    Args:
        true: From the reference.
        said: From the candidate.
    """
    by_concept = {statement.concept: statement for statement in said.statements}
    known = {statement.concept: statement for statement in true.statements}
    matched, significant, minor = 0, Counter[str](), Counter[str]()
    for statement in true.statements:
        other = by_concept.get(statement.concept)
        if other is None or other.is_denied != statement.is_denied:
            if not statement.is_normality:
                significant["missing_finding"] += 1
        elif statement.is_denied or (fault := _fault(statement, other)) is None:
            matched += 1
        else:
            kind, is_significant = fault
            (significant if is_significant else minor)[kind] += 1
    for statement in said.statements:
        fact = known.get(statement.concept)
        if (fact is None or fact.is_denied) and not statement.is_normality:
            significant["false_finding"] += 1
    for kind, courses in (
        ("missing_comparison", true.courses - said.courses),
        ("false_comparison", said.courses - true.courses),
    ):
        for course in courses:
            (significant if course in ("worse", "better") else minor)[kind] += 1
    return Comparison(matched, significant, minor)


def _fault(true: Statement, said: Statement) -> tuple[str, bool] | None:
    """Return what a finding that both affirm has wrong, and whether that is significant; None where nothing is."""
    if true.sides and said.sides and true.sides != said.sides:
        return "wrong_location", True
    if _disjoint(true.places, said.places) or _disjoint(true.positions, said.positions):
        return "wrong_location", False
    apart = _steps_apart(true, said)
    return ("wrong_severity", apart >= 2) if apart else None


def _steps_apart(true: Statement, said: Statement) -> int:
    """Return how far apart two degrees or numbers are: tenths of a ratio, steps of degree, thirds of any other number."""
    if true.number is None or said.number is None:
        return abs(true.degree - said.degree) if true.degree and said.degree else 0
    apart = abs(true.number - said.number)
    if max(true.number, said.number) <= 1:
        return round(10 * apart)
    return math.floor(3 * apart / max(true.number, said.number))


def _disjoint(one: frozenset[str], other: frozenset[str]) -> bool:
    return bool(one) and bool(other) and not one & other


_CALLS = (
    (
        "unsure",
        re.compile(
            r"(?:suspected|suspect|suspicious|possibl[ey]|perhaps|maybe|unclear|cannot be (?:determined|told))\b"
        ),
    ),
    ("no", re.compile(r"(?:no|not|none|never|absent|negative|without)\b")),
    ("yes", re.compile(r"(?:yes|present|positive|true|correct)\b")),
)
_NUMBERS = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\d)")


def score_answer(reference: str, candidate: str, question: str = "") -> int:
    """Return how well an answer agrees with a reference, 0 to 10.

    10: the same after normalisation. 0: no for yes. At most 2: another number, another side, or affirmed what is denied. Else from the
    findings that both state, where the reference states any, and from the words that both share.

    Args:
        reference: The answer that is right.
        candidate: The answer that is judged.
        question: What was asked; of a report nothing.

    >>> [score_answer("Yes", said, "Is there glaucoma?") for said in ("yes.", "There is glaucoma", "No", "No sign of glaucoma")]
    [10, 10, 0, 0]
    >>> [score_answer("0.7", said) for said in ("0.70", "about 0.6", "0.3")]
    [10, 6, 0]
    """
    if normalise_answer(reference) == normalise_answer(candidate):
        return 10
    lexicon = lexicon_of(question, reference, candidate)
    true, said = read_report(reference, lexicon), read_report(candidate, lexicon)
    expected = normalise_answer(reference).split()
    if len(expected) == 1:
        asked = (
            frozenset(s.concept for s in read_report(question, lexicon).statements)
            if question
            else frozenset()
        )
        call, other = _call(reference, true, asked), _call(candidate, said, asked)
        if call is not None and other is not None:
            return 10 if other == call else 3 if "unsure" in (call, other) else 0
    if _only_normal(true) and _only_normal(said) and {s.concept for s in true.statements} & _ANY_DISEASE:
        return 10
    found = compare_readings(true, said)
    wrong = found.significant.total() + found.minor.total() / 2
    words = token_f1_of(candidate, reference) if expected else 0.0
    share = (2 * found.matched / (found.matched + wrong or 1) + words) / 3 if true.statements else words
    score = math.floor(10 * share + 0.5)
    is_short = len(expected) <= SHORT_TOKENS
    numbers = _numbers_agree(reference, candidate) if is_short else None
    if (
        numbers == "other"
        or _contradicts(true, said)
        or (true.sides and said.sides and true.sides != said.sides)
        or (is_short and found.minor["wrong_location"])
        or (true.denies != said.denies and words >= 0.5)
    ):
        return min(2, score)
    if numbers == "near":
        return 6
    if is_short and not wrong and true.denies == said.denies:
        is_same_value = numbers == "same" or (bool(true.sides) and true.sides == said.sides)
        has_all_words = set(expected) <= set(normalise_answer(candidate).split())
        is_all_stated = bool(true.statements) and found.matched == len(true.statements)
        if has_all_words or is_all_stated or (len(expected) == 1 and is_same_value):
            return 10
    return score


_ANY_DISEASE = frozenset({"eye disease", "abnormality", "lesion", "normal eye", "normal brain"})
"""What denies every disease, or calls all of it normal."""


def _only_normal(reading: Reading) -> bool:
    return bool(reading.statements) and all(statement.is_normality for statement in reading.statements)


def _call(text: str, said: Reading, asked: frozenset[str]) -> str | None:
    """Return the yes, no or unsure that an answer begins with, or what it says of the finding that was asked for; None where neither."""
    lowered = text.strip().lower().lstrip("\"'*_ ")
    begun = next((name for name, pattern in _CALLS if pattern.match(lowered)), None)
    if begun == "yes" or (begun is not None and len(lowered.split()) <= 2):
        return begun
    for statement in said.statements:
        if statement.concept in asked:
            return "no" if statement.is_denied else "yes"
        if statement.concept.endswith(" suspect") and not statement.is_denied:
            return "unsure"
    return begun


def _contradicts(true: Reading, said: Reading) -> bool:
    facts = {statement.concept: statement.is_denied for statement in true.statements}
    return any(facts.get(other.concept, other.is_denied) != other.is_denied for other in said.statements)


def _numbers_agree(reference: str, candidate: str) -> str | None:
    """Return ``same``, ``near`` where a ratio is off by 0.1 at most, or ``other``; None where the reference has no number."""
    true = {float(found) for found in _NUMBERS.findall(reference)}
    if not true:
        return None
    said = {float(found) for found in _NUMBERS.findall(candidate)}
    if true == said:
        return "same"
    is_near = len(said) == len(true) == 1 and abs(max(true) - max(said)) < 0.15 and max(true) <= 1
    return "near" if is_near else "other"
