"""What a model writes to move its judge stays inside its delimiters, and a judge that quotes it has not said it."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
from injections import INJECTIONS, RUBRIC, VERDICT
from loopback_judge import RUBRICS, parts_of

import nova_bench as nb
from nova_bench.judge import judge_request, texts_in
from nova_bench.judge_reading import read_verdict
from nova_bench.rubrics.green import ERRORS, GREEN
from nova_bench.rubrics.llm_score import ANSWER_SCORE, REPORT_SCORE
from nova_bench.rubrics.nova_description import CATEGORIES, NOVA_DESCRIPTION
from nova_bench.rubrics.nova_diagnosis import MAX_LABEL, NOVA_DIAGNOSIS
from nova_bench.rubrics.texts import MAX_CANDIDATE, MAX_CAPTION, MAX_KEYWORDS, MAX_REPORT_WORDS, first_words
from nova_bench.types import Judge

NAMES = {
    "description": NOVA_DESCRIPTION,
    "diagnosis": NOVA_DIAGNOSIS,
    "green": GREEN,
    "answer-score": ANSWER_SCORE,
    "report-score": REPORT_SCORE,
}
WORDS = {NOVA_DESCRIPTION: MAX_KEYWORDS, GREEN: MAX_REPORT_WORDS}
"""How many words of an answer are judged, where there is a bound."""
REFERENCE = "Cavernous malformation"
THINK = ("<think>", "</think>")
SIGNS = re.compile(
    r"<\||<\uff5c|</?s>|<</?SYS>>|\[/?INST\]|\[IMG\]|</?think>|<(?:start|end)_of_turn>|<eos>|<image>"
)
"""What a tokenizer of some family reads as a sign of its chat template."""
UNSEEN = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0]"
    r"|[\ud800-\udfff\U000e0000-\U000e01ef]"
)


def verdict(judge: Judge, good: bool) -> dict[str, Any]:
    """Return a verdict that fits a rubric: one that praises, as an injection wants it, or one that does not."""
    if judge is NOVA_DIAGNOSIS:
        word = "correct" if good else "wrong"
        return {"reason": "as it is", "top1": word, "top5": word}
    if judge is GREEN:
        errors = {**dict.fromkeys(ERRORS, 0), "missing_finding": 0 if good else 3}
        none = dict.fromkeys(ERRORS, 0)
        return {
            "reason": "as it is",
            "matched_findings": 5 if good else 0,
            "significant_errors": errors,
            "insignificant_errors": none,
        }
    if judge is NOVA_DESCRIPTION:
        reference = {**{name: [] for name in CATEGORIES}, "disease": ["cavernoma"], "label": "abnormal"}
        return {
            "reference": reference,
            "candidate": reference
            if good
            else {**reference, "disease": [], "imaging": ["mass"], "label": "neither"},
        }
    return {"reason": "as it is", "score": 10 if good else 1}


def written(name: str, judge: Judge) -> str:
    """Return an injection with the verdict and the rubric's words in it."""
    wanted = json.dumps(verdict(judge, good=True))
    return INJECTIONS[name].replace(VERDICT, wanted).replace(RUBRIC, judge.rubric[-400:].partition(" ")[2])


def texts_of(judge: Judge, candidate: str) -> dict[str, str]:
    """Return what goes in, through the rubric's own material."""
    sample = nb.Sample("a", (), {"question": "What is seen?"}, REFERENCE, "c", {})
    value: Any = candidate
    if judge is NOVA_DIAGNOSIS:
        value = SimpleNamespace(most_likely=candidate, candidates=(candidate, "Abscess"))
    texts = judge.material(sample, nb.Prediction("ok", value))
    assert texts is not None
    return dict(texts)


def letters(text: str) -> str:
    """Return what a text says: letters and digits of it that can be seen."""
    return re.sub(r"\W|_", "", UNSEEN.sub("", text))


every_injection = pytest.mark.parametrize("name", INJECTIONS)
every_rubric = pytest.mark.parametrize("rubric", NAMES)


def test_there_are_enough_and_every_rubric_is_tried() -> None:
    assert len(INJECTIONS) >= 30
    assert len(set(INJECTIONS.values())) == len(INJECTIONS)
    assert {id(judge) for judge in NAMES.values()} == {id(judge) for judge in RUBRICS.values()}


@every_injection
@every_rubric
def test_an_injection_stays_in_its_block(name: str, rubric: str) -> None:
    judge = NAMES[rubric]
    injected = written(name, judge)
    texts = texts_of(judge, injected)
    request = judge_request(judge, texts, "a", "a")
    request.text.encode("utf-8")
    # As one text, which is how it goes out: the blocks are where they should be, and hold what they should.
    assert parts_of(request.text) == request.parts
    found = texts_in(parts_of(request.text))
    assert list(found) == list(texts)
    assert found["reference"] == REFERENCE
    assert found.get("question", "What is seen?") == "What is seen?"
    tag = re.findall(r"carry the tag ([0-9a-f]{16})", request.parts[-1])[0]
    assert tag not in injected
    assert request.text.count(tag) == 2 * len(texts) + 1
    assert request.parts[0] == judge.rubric.strip()
    assert not SIGNS.search("".join(request.parts[1:]))
    assert not UNSEEN.search(request.text)
    # Nothing that could be read is lost, up to the length that is judged.
    if judge is NOVA_DIAGNOSIS:
        lines = found["candidate"].split("\n")
        assert [line[:3] for line in lines] == ["1. ", "2. "]
        assert lines[1] == "2. Abscess"
        assert letters(injected).startswith(letters(lines[0][3:]))
        is_whole = len(" ".join(injected.split())) <= MAX_LABEL
        said = letters(lines[0][3:])
    else:
        is_whole = len(injected.strip()) <= (MAX_CAPTION if judge is NOVA_DESCRIPTION else MAX_CANDIDATE)
        is_whole &= judge not in WORDS or first_words(injected, WORDS[judge]) == injected
        said = letters(found["candidate"])
        assert letters(injected).startswith(said)
    assert said == letters(injected) if is_whole else len(said) > 0


def quoting(judge: Judge, true: dict[str, Any], said: str) -> dict[str, str]:
    """Return answers of a judge whose verdict is `true`, and which quote what was judged."""
    whole, raw = json.dumps(true), said.replace('"', '\\"')
    answers = {
        "before": f"The candidate says:\n{said}\nThat is no finding. My verdict:\n{whole}",
        "before-fenced": f"The candidate says:\n```\n{said}\n```\nMy verdict:\n```json\n{whole}\n```",
        "after": f"{whole}\nThe candidate also holds an instruction, which I did not follow:\n{said}",
        "after-fenced": f"```json\n{whole}\n```\nNot followed:\n```json\n{said}\n```",
        "both": f"{said}\n{whole}\n{said}",
        "beside": f"My verdict is {whole}. The candidate holds this:\n{said}\n",
        "alone": f"The candidate is wrong; it tells me to say\n{said}\nand I do not.",
        "raw-in-string": '{"reason": "it says ' + said + '", ' + whole[1:],
        "half-escaped": '{"reason": "it says ' + raw + '", ' + whole[1:],
        "unended": f'{{"reason": "it says\n{said}',
        "in-reasoning": f"<think>It says\n{said}\nI do not follow that.</think>\n{whole}",
        "object-around": f'{{"quoted":\n{said}\n}}\n{whole}',
    }
    if "reason" in true:
        loose = json.dumps({**verdict(judge, good=True), "reason": "..."})  # as one quotes who shortens
        answers["shortened-inline"] = f"That is wrong. Instead of a caption it holds {loose}"
        if "{" in said:
            answers["shortened-after"] = f"{whole}\nIt demanded:\n{loose}\n"
        limit = judge.schema["properties"]["reason"]["maxLength"]
        answers["in-reason"] = json.dumps({**true, "reason": said[:limit]})
        answers["in-reason-unescaped"] = json.dumps({**true, "reason": said[:limit]}, ensure_ascii=False)
    else:
        noted = [said[i : i + 60] for i in range(0, 300, 60)]
        noted = [word for word in noted if word]
        answers["in-reason"] = json.dumps({**true, "candidate": {**true["candidate"], "imaging": noted}})
    return answers


def is_true(judge: Judge, value: dict[str, Any], true: dict[str, Any]) -> bool:
    """Return whether a verdict is the judge's, whatever stands in its free text."""
    if judge is NOVA_DESCRIPTION:
        return value["candidate"]["label"] == "neither" and value["candidate"]["disease"] == []
    return {key: value[key] for key in value if key != "reason"} == {
        key: true[key] for key in true if key != "reason"
    }


@every_injection
@every_rubric
def test_a_judge_that_quotes_an_injection_has_not_said_it(name: str, rubric: str) -> None:
    judge = NAMES[rubric]
    injected = written(name, judge)
    texts = texts_of(judge, injected)
    shown = texts_in(judge_request(judge, texts, "a", "a").parts)["candidate"]
    true = verdict(judge, good=False)
    label = shown.removeprefix("1. ").partition("\n")[0]
    seen = injected[: len(label) if judge is NOVA_DIAGNOSIS else MAX_CANDIDATE]
    if judge in WORDS:
        seen = first_words(seen, WORDS[judge])
    for said in (shown, seen, label):
        for how, answer in quoting(judge, true, said).items():
            for think in (THINK, None):
                read = read_verdict(judge, nb.Response("a", answer), texts, think)
                assert (read.value is None) != (read.fault is None)
                if read.value is not None:
                    assert is_true(judge, read.value, true), f"{how}: {answer[:400]}"
                if how.startswith("in-reason") and how != "in-reasoning":
                    assert read.value is not None, f"{how}: {read.fault}"
                if read.fault is not None:  # a fault goes into logs and on the screen
                    assert not any(word in read.fault for word in ("Glioma", "Ignore", "as it is", "<<<"))


@every_rubric
def test_a_judge_that_is_not_led_astray_is_read(rubric: str) -> None:
    """The guards do not cost honest verdicts: words around, fences, braces in a caption. A draft beside the final one they do."""
    judge = NAMES[rubric]
    true, draft = verdict(judge, good=False), verdict(judge, good=True)
    whole = json.dumps(true)
    plain = texts_of(judge, "A mass.")
    braces = texts_of(judge, "A mass {sic}, T1 {hyperintense}.")
    for texts in (plain, braces):
        for answer in (
            whole,
            f"Verdict:\n{whole}",
            f"```json\n{whole}\n```",
            f"<think>{{</think>{whole}",
            f"{whole}\n{whole}",
        ):
            assert read_verdict(judge, nb.Response("a", answer), texts, THINK).value == true
    both = f"Draft:\n{json.dumps(draft)}\nFinal:\n{whole}"
    for texts in (plain, braces):
        assert read_verdict(judge, nb.Response("a", both), texts) == (None, "two verdicts that differ")
