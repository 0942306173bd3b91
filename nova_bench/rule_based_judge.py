"""A judge made of word lists: it speaks the rubrics' JSON, costs nothing and always says the same. A stand-in, for tests and the demo.

It knows the words of `nova_bench.metrics.radiology_lexicon` and of the eye's list and understands nothing else, so its verdicts are no
measure of what a model knows: whoever reads its columns reads ``rule-based stand-in`` in their names. It reads the texts out of their
delimiters as any judge does, and nothing of what they say is an order to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from nova_bench.errors import AdapterError, UsageError
from nova_bench.judge import texts_in
from nova_bench.metrics.radiology_lexicon import LEXICON_VERSION, find_mentions, keyword_of, load_lexicon
from nova_bench.metrics.report_comparison import COMPARISON_VERSION, ERRORS, compare_reports, score_answer
from nova_bench.metrics.report_statements import STATEMENTS_VERSION
from nova_bench.text import normalise_diagnosis
from nova_bench.types import Adapter, Request, Response
from nova_bench.verdict_schema import fault_of

RULES_VERSION = 1
"""Of the rules in this file; a change of them changes verdicts."""

MAX_READ = 20_000
"""Characters of a text that are read; a report has fewer."""


class RuleBasedJudge:
    """The adapter: a judge's requests to verdicts, one after the other."""

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Answer requests as they come.

        Raises:
            UsageError: A request is none of a judge: a stand-in answers no task.
            AdapterError: A rubric that it does not speak.
        """
        for request in requests:
            yield Response(request.id, json.dumps(verdict_of(request), ensure_ascii=False))

    def identity(self) -> dict[str, Any]:
        """Return what decides its verdicts besides the adapter's file."""
        versions = (RULES_VERSION, COMPARISON_VERSION, STATEMENTS_VERSION, LEXICON_VERSION)
        return {"rules": ".".join(map(str, versions))}


def rule_based_judge() -> Adapter:
    """Return the stand-in as an adapter."""
    return RuleBasedJudge()


def verdict_of(request: Request) -> dict[str, Any]:
    """Return the verdict on one request; it fits the request's schema.

    Args:
        request: From `nova_bench.judge.judge_request`.

    Raises:
        UsageError: It is none of a judge.
        AdapterError: Its rubric or its schema is one that the stand-in does not speak.
    """
    ask = request.ask or {}
    if ask.get("kind") != "judge":
        raise UsageError(
            "adapter rule_based_judge got a task's question; it only judges: give it as --judge rule_based_judge, with another --model"
        )
    rubric = str(ask.get("judge", "")).partition("/")[0]
    speak = RUBRICS.get(rubric)
    if speak is None:
        raise AdapterError(
            f"the rule-based stand-in does not speak the rubric {rubric!r}; expected {', '.join(RUBRICS)}. Choose a model as the judge"
        )
    texts = {name: text[:MAX_READ] for name, text in texts_in(request.parts).items()}
    verdict: dict[str, Any] = _fitted(speak(texts), request.params.json_schema or {})
    if request.params.json_schema and (fault := fault_of(verdict, request.params.json_schema)):
        raise AdapterError(
            f"the rule-based stand-in speaks another version of the rubric {ask.get('judge')!r} ({fault}): nova_bench/rule_based_judge.py "
            "has to follow the rubric's schema"
        )
    return verdict


def _fitted(value: Any, schema: Mapping[str, Any]) -> Any:
    """Cut lists, texts and counts that are too long for a schema: a long answer is no reason for a broken verdict."""
    if isinstance(value, dict):
        return {
            key: _fitted(inner, schema.get("properties", {}).get(key, {})) for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_fitted(item, schema.get("items", {})) for item in value[: schema.get("maxItems")]]
    if isinstance(value, str):
        return value[: schema.get("maxLength")]
    if isinstance(value, int) and not isinstance(value, bool) and "maximum" in schema:
        return min(value, schema["maximum"])
    return value


# NOVA: description. Five categories of keywords in one standard form, and normal or abnormal.

_CATEGORIES = {
    "anatomy": "anatomy",
    "descriptor": "imaging",
    "finding": "imaging",
    "disease": "disease",
    "sequence": "sequence",
    "plane": "sequence",
}


_LISTS = ("anatomy", "imaging", "disease", "negated", "sequence")


def keywords_of(text: str) -> dict[str, Any]:
    """Return a caption's keywords in five categories, each once and in the caption's order, and whether it is normal or abnormal.

    >>> found = keywords_of("Axial FLAIR: hyperintense lesion in the left thalamus, no oedema.")
    >>> found["imaging"], found["negated"], found["sequence"], found["label"]
    (['hyperintense', 'lesion', 'left'], ['no edema'], ['axial', 'flair'], 'abnormal')
    """
    found: dict[str, list[str]] = {name: [] for name in _LISTS}
    is_abnormal = False
    for mention in find_mentions(text, load_lexicon()):
        if mention.kind in _CATEGORIES:
            keyword = keyword_of(mention)
            is_denied = keyword.startswith("no ")
            is_abnormal |= mention.kind in ("finding", "disease") and not is_denied
            found["negated" if is_denied else _CATEGORIES[mention.kind]].append(keyword)
    unique = {name: list(dict.fromkeys(words)) for name, words in found.items()}
    return {**unique, "label": "abnormal" if is_abnormal else "normal"}


def _description(texts: Mapping[str, str]) -> dict[str, Any]:
    said = {name: keywords_of(texts[name]) for name in ("reference", "candidate")}
    if not any(said["candidate"][name] for name in _LISTS):
        said["candidate"]["label"] = "neither"
    return said


# NOVA: diagnosis. Whether a candidate names the confirmed disease, synonyms allowed.

_GENERIC = frozenset(
    (
        *(
            "tumor",
            "carcinoma",
            "infection",
            "inflammation",
            "malformation",
            "encephalopathy",
            "neurodegeneration",
        ),
        *("sclerosis", "granuloma", "leukoencephalopathy", "leukodystrophy"),
    )
)
"""Concepts that say a kind of disease: beside a name they are no part of the core."""
_BESIDE = frozenset(
    (
        *(
            "left",
            "right",
            "bilateral",
            "unilateral",
            "acute",
            "subacute",
            "chronic",
            "primary",
            "secondary",
            "multiple",
            "solitary",
        ),
        *(
            "of",
            "in",
            "with",
            "and",
            "a",
            "an",
            "due",
            "to",
            "disease",
            "syndrome",
            "lesion",
            "cerebral",
            "brain",
            "intracranial",
            "cns",
        ),
    )
)
"""Words that tell side, time or nothing: they do not make another disease of one."""


def is_same_diagnosis(confirmed: str, candidate: str) -> bool:
    """Tell whether two names are of one disease: the same words, or the same concept of the word list.

    A candidate that offers two diseases at once is none.

    >>> is_same_diagnosis("Glioblastoma", "GBM, left temporal lobe"), is_same_diagnosis("Glioblastoma", "not glioblastoma")
    (True, False)
    >>> is_same_diagnosis("Vestibular schwannoma", "acoustic neuroma"), is_same_diagnosis("Glioma", "Glioblastoma or glioma")
    (True, False)
    """
    names = [normalise_diagnosis(text) for text in (confirmed, candidate)]
    if not all(names):
        return False
    if names[0] == names[1]:
        return True
    found = [_diseases(text) for text in (confirmed, candidate)]
    if all(found):
        return found[0] == found[1]
    if any(found):
        return False
    bare = [frozenset(name.split()) - _BESIDE for name in names]
    return bool(bare[0]) and bare[0] == bare[1]


def _diseases(text: str) -> frozenset[str]:
    named = frozenset(keyword_of(m) for m in find_mentions(text, load_lexicon()) if m.kind == "disease")
    return named - _GENERIC or named


_NUMBERED = re.compile(r"(?m)^\s*\d{1,2}[.)]\s+")


def _diagnosis(texts: Mapping[str, str]) -> dict[str, Any]:
    listed = [_NUMBERED.sub("", line).strip() for line in texts["candidate"].splitlines()]
    right = [is_same_diagnosis(texts["reference"], name) for name in listed if name]
    first = bool(right) and right[0]
    return {
        "reason": f"by rule: {sum(right[:5])} of {len(right)} lines",
        "top1": "correct" if first else "wrong",
        "top5": "correct" if any(right[:5]) else "wrong",
    }


# GREEN and FMBench's score: see `nova_bench.metrics.report_comparison`.


def _green(texts: Mapping[str, str]) -> dict[str, Any]:
    found = compare_reports(texts["reference"], texts["candidate"])
    errors = {**{f"{k} (significant)": n for k, n in found.significant.items()}, **dict(found.minor)}
    return {
        "reason": "by rule: "
        + (", ".join(f"{n} {kind}" for kind, n in sorted(errors.items())) or "no error"),
        "matched_findings": found.matched,
        "significant_errors": {kind: found.significant[kind] for kind in ERRORS},
        "insignificant_errors": {kind: found.minor[kind] for kind in ERRORS},
    }


def _llm_score(texts: Mapping[str, str]) -> dict[str, Any]:
    score = score_answer(texts["reference"], texts["candidate"], texts.get("question", ""))
    return {"reason": "by rule: shared findings and words", "score": score}


RUBRICS: Mapping[str, Callable[[Mapping[str, str]], dict[str, Any]]] = {
    "nova_description": _description,
    "nova_diagnosis": _diagnosis,
    "green": _green,
    "llm_score_answer": _llm_score,
    "llm_score_report": _llm_score,
}
"""What it speaks: a rubric's name to the function from the texts to the verdict."""
