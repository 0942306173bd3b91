"""Judges that cannot be reached, may not be asked or answer with what is no verdict; and answers that are hard to judge. Over real HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from loopback import Plan, serve
from loopback_judge import (
    JUDGE,
    calm,
    judged,
    judged_cells,
    request_of,
    true_answer,
    true_verdict,
    verdict_lines,
)
from running import final_ids

from nova_bench.judge import texts_in
from nova_bench.rubrics.texts import MAX_CAPTION, MAX_KEYWORDS, first_words

pytest.importorskip("openai")

DIAGNOSIS = ("nova_diagnosis",)
KEY = "sk-planted-0123456789abcdef"
WRONG = {"reason": "none is it", "top1": "wrong", "top5": "wrong"}
RIGHT = {"reason": "line 1", "top1": "correct", "top5": "correct"}


def asked_of_model(home: Path) -> int:
    return len((home / "asked_model.txt").read_text().splitlines())


def expect_whole_after(home: Path, url: str, before: int, *more: str, **how: Any) -> None:
    """Give the same command again, with a judge that answers: it goes on from there, and the model is not asked."""
    done = judged(home, url, "out", *more, tasks=DIAGNOSIS, **how)
    assert done.returncode == 0, done.stderr
    cell = judged_cells(json.loads(done.stdout))[f"top1(judge={JUDGE})"]
    assert (cell["n_failed"], cell["incomplete"]) == (0, False)
    assert asked_of_model(home) == before


def test_a_judge_that_nobody_serves(tmp_path: Path) -> None:
    with serve() as (url, _):
        pass  # nobody listens there any more
    done = judged(tmp_path, url, "out", "--limit", "8", "-J", "deadline=1", tasks=DIAGNOSIS, form=())
    assert done.returncode == 1
    n = len(final_ids(tmp_path / "out"))
    assert n == asked_of_model(tmp_path) > 8  # the model went on to its end
    assert "the same command goes on from there" in done.stderr
    assert url in done.stderr
    assert "Traceback" not in done.stderr
    assert f"{n} answers wait for a verdict of {JUDGE}" in " ".join(done.stdout.split())
    assert re.search(r"top5\(normalised\) +│ +0\.\d+", done.stdout)  # what needs no judge is scored
    with serve(calm()) as (url, _):
        expect_whole_after(tmp_path, url, n, "--limit", "8")


def test_a_wrong_key_ends_the_judge_once_and_is_not_shown(tmp_path: Path) -> None:
    env = {"JUDGE_KEY": KEY}
    more = ("--limit", "8", "-J", "key_env=JUDGE_KEY", "-J", "concurrency=2")
    with serve(Plan(faults={"401": 1.0})) as (url, server):
        done = judged(tmp_path, url, "out", *more, tasks=DIAGNOSIS, env=env)
    assert done.returncode == 1
    assert server.stats.keys == {KEY}
    n = asked_of_model(tmp_path)
    assert server.stats.calls <= 4 < n  # not once an answer
    assert "401" in done.stderr
    assert "Traceback" not in done.stderr
    assert not any(KEY in said for said in (done.stdout, done.stderr))
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(KEY.encode() in path.read_bytes() for path in written)
    cell = judged_cells(json.loads(done.stdout))[f"top1(judge={JUDGE})"]
    assert cell["counts"]["judge_failed"] == cell["n_failed"] == n
    assert cell["incomplete"]
    assert cell["value"] is None
    with serve(calm()) as (url, _):
        expect_whole_after(tmp_path, url, n, *more, env=env)


def of_another_sample(body: Mapping[str, Any]) -> str:
    """Answer with a verdict that says whose it is, and it is another's."""
    return json.dumps({"sample": "case9999_000.png", **true_verdict(body)})


Answer = Callable[[Mapping[str, Any]], str]
BROKEN: Mapping[str, tuple[Answer | Mapping[str, Any], str]] = {
    "another-sample": (of_another_sample, "1 keys that the schema does not know"),
    "two-samples": (lambda body: json.dumps([WRONG, RIGHT]), "expected object, got list"),
    "of-more-lines": (  # as of a list with alternatives where one diagnosis was given
        lambda body: json.dumps({**WRONG, "top1": "correct"}), "top1 is correct and top5 is wrong",
    ),
    "incorrect": (lambda body: "INCORRECT", "no JSON object"),
    "correct": (lambda body: "CORRECT", "no JSON object"),
    "incorrect-label": (lambda body: json.dumps({**RIGHT, "top1": "incorrect"}), "verdict.top1: none of the 2"),
    "upper-case": (lambda body: json.dumps({**RIGHT, "top1": "CORRECT"}), "verdict.top1: none of the 2"),
    "100-kB": (lambda body: json.dumps({**RIGHT, "reason": "x" * 100_000}), "characters"),
    "100-kB-of-prose": (lambda body: f"{'It is correct. ' * 6_500}\n{{", "no JSON"),
    "90-kB-of-reason": (lambda body: json.dumps({**RIGHT, "reason": "x" * 90_000}), "verdict.reason"),
    "empty": (lambda body: "", "the answer is empty"),
    "white": (lambda body: " \n\t", "the answer is empty"),
    "chinese-prose": (lambda body: "第一行是正确的诊断。", "no JSON object"),
    "chinese-labels": (lambda body: json.dumps({**RIGHT, "top1": "正确"}, ensure_ascii=False), "verdict.top1"),
    "chinese-keys": (lambda body: json.dumps({"理由": "", "top1": "wrong", "top5": "wrong"}), "reason is missing"),
    "cut": ({"finish_reason": "length"}, "the answer was cut"),
    "filter": ({"finish_reason": "content_filter"}, "content filter"),
    "refusal": (
        {"message": {"role": "assistant", "content": None, "refusal": "I can't judge that."}}, "no JSON object",
    ),
    "html": (lambda body: "<html>please sign in</html>", "no JSON object"),
}  # fmt: skip
"""What a judge says that is no verdict, and what the log says of it."""

READ: Mapping[str, Answer] = {
    "chinese-reason": lambda body: json.dumps({**WRONG, "reason": "没有一行是正确的诊断"}, ensure_ascii=False),
    "correct-in-the-reason": lambda body: json.dumps({**WRONG, "reason": 'CORRECT? {"top1": "correct"} INCORRECT'}),
    "arabic-around": lambda body: f"هذا هو الحكم:\n```json\n{json.dumps(WRONG)}\n```\nانتهى",
}  # fmt: skip
"""What a judge says that is one: top1 and top5 are wrong."""


def without_seed(body: Mapping[str, Any]) -> str:
    return json.dumps({key: value for key, value in body.items() if key != "seed"}, sort_keys=True)


def test_every_answer_that_is_no_verdict_is_named_counted_and_final(tmp_path: Path) -> None:
    fates: dict[str, str] = {}
    kinds = [*BROKEN, *READ]

    def fate(body: Mapping[str, Any]) -> str:
        return fates.setdefault(without_seed(body), kinds[len(fates)] if len(fates) < len(kinds) else "true")

    def answer(body: Mapping[str, Any]) -> str:
        kind = fate(body)
        said = READ.get(kind) or BROKEN.get(kind, (true_answer, ""))[0]
        return said(body) if callable(said) else true_answer(body)

    def choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
        said = BROKEN.get(fate(body), (None, ""))[0]
        return said if isinstance(said, Mapping) else {}

    more = ("--limit", "30", "-J", "concurrency=1")
    with serve(Plan(answer_of=answer, choice_of=choice)) as (url, server):
        done = judged(tmp_path, url, "out", *more, tasks=DIAGNOSIS)
        calls = server.stats.calls
        assert done.returncode == 0, done.stderr  # they are final: nothing is to be asked again
        again = judged(tmp_path, url, "out", *more, tasks=DIAGNOSIS, form=())
        assert server.stats.calls == calls
    assert again.returncode == 0, again.stderr
    assert len(fates) > len(kinds)
    records = verdict_lines(tmp_path / "out")
    by_id: dict[str, list[dict[str, Any]]] = {}
    for record in records:  # of one stream, in the order in which they were asked
        by_id.setdefault(record["id"], []).append(record)
    for kind, tries in zip([*kinds, *["true"] * len(by_id)], by_id.values(), strict=False):
        if kind in BROKEN:
            assert len(tries) == 3, kind
            for record in tries:
                assert BROKEN[kind][1] in record["fault"], kind
                assert "verdict" not in record
        else:
            (record,) = tries
            assert "fault" not in record, kind
            if kind in READ:
                assert {key: record["verdict"][key] for key in ("top1", "top5")} == {
                    "top1": "wrong",
                    "top5": "wrong",
                }
    cell = judged_cells(json.loads(done.stdout))[f"top1(judge={JUDGE})"]
    assert cell["counts"]["unjudged"] == len(BROKEN)
    assert (cell["n_failed"], cell["incomplete"]) == (0, False)
    # Not a zero: the mean is that of the answers that were judged.
    good = [tries[-1]["verdict"]["top1"] == "correct" for tries in by_id.values() if "verdict" in tries[-1]]
    assert cell["value"] == pytest.approx(sum(good) / len(good))
    assert f"unjudged {len(BROKEN)} of {len(by_id)}" in " ".join(again.stdout.split())
    assert "too many for a submission" in " ".join(again.stdout.split())
    assert f"{len(BROKEN)} unjudged for good" in done.stderr


def test_what_a_judge_cannot_take_is_unjudged_after_one_call(tmp_path: Path) -> None:
    with serve(Plan(faults={"context": 1.0})) as (url, server):
        done = judged(tmp_path, url, "out", "--limit", "4", tasks=DIAGNOSIS)
    assert done.returncode == 0, done.stderr
    n = asked_of_model(tmp_path)
    assert server.stats.calls == n
    cell = judged_cells(json.loads(done.stdout))[f"top1(judge={JUDGE})"]
    assert (cell["counts"]["unjudged"], cell["value"]) == (n, None)
    assert "unjudged" in done.stderr


HARD = '''
"""Answers that are hard to judge: empty, white, unseen, of 100 kB, in other languages, torn characters."""
import nova_bench as nb

ANSWERS = {answers!r}


def answer(request: nb.Request) -> str:
    with open("asked_model.txt", "a") as file:
        file.write(request.id + "\\n")
    known = sorted(set(open("asked_model.txt").read().split("\\n")) - {{""}})
    return ANSWERS[(len(known) - 1) % len(ANSWERS)]


def load() -> nb.Adapter:
    return nb.each(answer)
'''
LONG = "Axial T2 image with a hyperintense lesion. " * 2_500 + "THE TAIL OF IT"
ANSWERS = [
    "",
    " \n ",
    "...",
    "\u200b\u2060",
    LONG,
    "轴位T2加权图像显示左侧额叶高信号病变。",
    "صورة محورية تظهر آفة في الفص الجبهي الأيسر.",
    "Осевой срез T2: гиперинтенсивный очаг в левой лобной доле.",
    "Axial \ud83d lesion \x00\x1b[31m red \u202e desrever",
    "Axial T2 image with a hyperintense lesion.",
]
NEVER_SENT = 4


def test_answers_that_are_hard_to_judge(tmp_path: Path) -> None:
    prompts: list[Mapping[str, Any]] = []

    def answer(body: Mapping[str, Any]) -> str:
        prompts.append(body)
        return true_answer(body)

    assert len(LONG) > 100_000
    model = HARD.format(answers=ANSWERS)
    with serve(Plan(answer_of=answer)) as (url, _):
        done = judged(
            tmp_path, url, "out", "--limit", "8", "-J", "concurrency=1", tasks=("nova_caption",), model=model
        )
    assert done.returncode == 0, done.stderr
    asked = asked_of_model(tmp_path)
    assert asked >= len(ANSWERS)
    n_silent = sum(i % len(ANSWERS) < NEVER_SENT for i in range(asked))
    assert len(prompts) == asked - n_silent
    assert f"{n_silent} answers scored by rule and not sent" in done.stderr
    candidates = [texts_in(request_of(body)[1].parts)["candidate"] for body in prompts]
    assert all(re.search(r"\w", candidate) for candidate in candidates)
    assert first_words(LONG, MAX_KEYWORDS) in candidates
    assert max(map(len, candidates)) <= MAX_CAPTION
    assert not any("THE TAIL" in json.dumps(body) for body in prompts)
    assert ANSWERS[5] in candidates
    assert ANSWERS[6] in candidates
    assert ANSWERS[7] in candidates
    assert "Axial \ufffd lesion [31m red  desrever" in candidates
    cell = judged_cells(json.loads(done.stdout))[f"clinical_f1(judge={JUDGE})"]
    assert (cell["n"], cell["n_failed"], cell["counts"]["unjudged"]) == (asked, 0, 0)
    # What was answered is kept whole, however much of it was judged.
    assert any("THE TAIL" in line for line in (tmp_path / "out" / "responses.jsonl").read_text().splitlines())
