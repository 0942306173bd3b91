"""Of gated data nothing that was judged, and no free word of a judge, leaves the private files: canaries in both, and all that is written read.

Where they may be: what a judge said, whole, in ``private.jsonl`` of its folder, for the owner alone; what the model answered in
``responses.jsonl`` and in the response cache, which hold answers, and where a judge quotes it. The notes themselves nowhere.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from fmbench_set import make_built
from running import nova, settings

import nova_bench as nb

TASKS = ("fmbench_report", "fmbench_vqa")
PATIENTS = 4
WORDS = {
    "note": "CANARYNOTE",
    "question": "CANARYQUESTION",
    "truth": "CANARYTRUTH",
    "answer": "CANARYANSWER",
    "judge": "CANARYJUDGE",
    "label": "CANARYLABEL",
}
"""What stands in which text."""
SENTENCE = "{} went sailing with a parrot in Yellow Street"

MODEL = '''
"""Answers with a canary of its own."""
import nova_bench as nb


def load() -> nb.Adapter:
    return nb.each(lambda request: f"The optic disc is normal. CANARYANSWER went sailing with a parrot in Yellow Street, {request.id}.")
'''
JUDGE = '''
"""The stand-in's verdicts with a free word about every patient; in a bad temper in every way in which a judge can go wrong."""
import json
from pathlib import Path

import nova_bench as nb
from nova_bench.rule_based_judge import verdict_of

FREE = "CANARYJUDGE is what I think of the patient"


class Judge:
    def generate(self, requests):
        temper = Path("temper.txt").read_text()
        for request in requests:
            assert "CANARY" in request.text
            if temper == "breaks down":
                raise nb.errors.AdapterError(f"cannot digest this prompt: {request.text}")
            if temper == "crashes":
                raise KeyError(request.text)
            yield self.bad(request) if temper == "bad" else self.good(request)

    def good(self, request):
        text = json.dumps({**verdict_of(request), "reason": f"{FREE}: {request.text[-700:-400]}"[:400]})
        return nb.Response(request.id, text, reasoning=f"{FREE}; it says {request.text}", model="judge-2031", usage=nb.Usage(10, 5))

    def bad(self, request):
        kind = sum(request.id.encode()) % 7
        if kind == 0:
            return nb.Response(request.id, finish="error", error=f"400 bad prompt: {request.text}")
        if kind == 1:
            return nb.Response(request.id, FREE, finish="error", error=f"the server stopped in the middle of {FREE}: {{'content': '{FREE}'}}")
        if kind == 2:
            return nb.Response(request.id, f"{FREE}: {request.text}")
        if kind == 3:
            return nb.Response(request.id, json.dumps({FREE: FREE, "reason": FREE}))
        if kind == 4:
            return nb.Response(request.id, json.dumps({**verdict_of(request), "score": FREE, "matched_findings": FREE}))
        if kind == 5:
            return nb.Response(request.id, FREE, finish="rejected", error=f"too long: {request.text}")
        return nb.Response(request.id, f'{{"reason": "{FREE}', finish="length")


def load(model: str = "one") -> nb.Adapter:
    return Judge()
'''


def said(kind: str) -> str:
    return SENTENCE.format(WORDS[kind])


class Home:
    """A folder with gated data, a model and a judge, and what every command said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        changes: dict[str, dict[str, str]] = {}
        for i in range(PATIENTS):
            changes[f"p{i:04d}"] = {"report": f"Disc with a cup-to-disc ratio of 0.{i + 1}. {said('note')}."}
            for q in (1, 2, 3):
                changes[f"p{i:04d}-q{q}"] = {
                    "question": f"What of the disc? {said('question')}.",
                    "answer": f"glaucoma. {said('truth')}.",
                }
        make_built(folder / "set", PATIENTS, changes)
        (folder / "model.py").write_text(MODEL)
        (folder / "judge.py").write_text(JUDGE)
        (folder / "labels.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in labels()))
        self.own = set(self.files())
        self.streams: list[tuple[str, str]] = []

    def files(self) -> Iterator[Path]:
        return (path for path in self.folder.rglob("*") if path.is_file())

    def written(self) -> list[Path]:
        return sorted(set(self.files()) - self.own - {self.folder / "temper.txt"})

    def give(self, *words: str, temper: str = "good", codes: Sequence[int] = (0,)) -> str:
        (self.folder / "temper.txt").write_text(temper)
        done = nova(self.folder, *words)
        assert done.returncode in codes, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        self.streams += [
            (f"{' '.join(words)}: stdout", done.stdout),
            (f"{' '.join(words)}: stderr", done.stderr),
        ]
        return done.stdout


def labels() -> list[dict[str, object]]:
    texts = {"reference": f"Glaucoma. {said('note')}.", "candidate": f"Glaucoma. {said('label')}."}
    return [
        {
            "id": f"l{i}",
            "rubric": "llm_score_answer",
            "texts": {"question": "What?", **texts},
            "verdict": {"score": i % 11},
        }
        for i in range(14)
    ]


RUN = (
    "run",
    *TASKS,
    "--data",
    "set",
    "--model",
    "./model.py",
    "--out",
    "out",
    "--cache",
    "cached",
    "--accept-license",
)
ONE, TWO = ("--judge", "./judge.py"), ("--judge", "./judge.py:two")
REPORT, VQA = "out/fmbench_report", "out/fmbench_vqa"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A folder in which every command that writes something was given, in good and in bad tempers."""
    home = Home(tmp_path_factory.mktemp("gated"))
    give = home.give
    give(*RUN, *ONE, "--dry-run")
    for temper in ("breaks down", "crashes"):
        give(*RUN, *ONE, temper=temper, codes=(1,))
    give(*RUN, *ONE, temper="bad", codes=(1,))
    give(*RUN, *ONE, "--json")
    give("score", REPORT, VQA, *TWO, temper="bad", codes=(1,))
    give("score", REPORT, VQA, *TWO, "--judge-repeats", "2", "--json")
    give("report", "out", "--json")
    give("report", "out")
    quick = ("--min-n", "2", "--resamples", "200", "--permutations", "99")
    give("fairness", "out", *quick, "--out", "page")
    for task, run in (("report", REPORT), ("vqa", VQA)):
        table = nb.open_run(home.folder / run, settings=settings(home.folder)).table()
        table.to_csv(home.folder / f"{task}.csv", index=False)
        table.to_json(home.folder / f"{task}.json")
    give(
        "fairness",
        "--table",
        "report.csv",
        "--id",
        "id",
        "--cluster",
        "cluster",
        "--by",
        "gender",
        "--metric",
        "green@judge:one",
        *quick,
        "--json",
        codes=(0,),
    )
    give("judge", "agreement", REPORT, "--json")
    audit = ("judge", "audit", REPORT, *ONE, "--permutations", "99")
    give(*audit, temper="crashes", codes=(1, 2))
    give(*audit, temper="bad", codes=(1,))
    give(*audit, "--json")
    calibrate = (
        "judge",
        "calibrate",
        "--labels",
        "labels.jsonl",
        *ONE,
        "--task",
        "fmbench_vqa",
        "--out",
        "calibrated",
    )
    give(*calibrate, temper="breaks down", codes=(1, 2))
    give(*calibrate, temper="bad", codes=(1,))
    give(*calibrate)
    return home


def places(home: Home, word: str) -> set[str]:
    """Return where a canary is: the names of files, relative, and of streams."""
    held = {
        str(path.relative_to(home.folder)) for path in home.written() if word.encode() in path.read_bytes()
    }
    named = {str(path.relative_to(home.folder)) for path in home.written() if word in str(path)}
    return held | named | {name for name, text in home.streams if word in text}


def is_private(place: str) -> bool:
    return place.endswith("/private.jsonl")


def test_all_was_written_that_is_looked_at(home: Home) -> None:
    names = {path.name for path in home.written()}
    assert names >= {
        *("responses.jsonl", "manifest.json", "report.json", "verdicts.jsonl", "private.jsonl", "index.html"),
        *("audit.json", "calibration.json", "report.csv", "vqa.csv"),
    }
    assert [path for path in home.written() if "cached" in path.parts]
    assert len(home.streams) > 30
    assert any("judge two" in text or "judge:two" in text for _, text in home.streams)


@pytest.mark.parametrize("kind", ["note", "question", "truth", "judge", "label"])
def test_what_was_judged_and_what_a_judge_said_is_in_private_files_only(home: Home, kind: str) -> None:
    found = places(home, WORDS[kind])
    assert found  # it was planted, and a judge was told or said it
    assert {place for place in found if not is_private(place)} == set()


def test_what_the_model_answered_is_where_answers_are_kept(home: Home) -> None:
    found = places(home, WORDS["answer"])
    assert {f"{REPORT}/responses.jsonl", f"{VQA}/responses.jsonl"} <= found
    elsewhere = {place for place in found if not is_private(place) and not place.startswith("cached/")}
    assert elsewhere == {f"{REPORT}/responses.jsonl", f"{VQA}/responses.jsonl"}


def test_no_fragment_of_a_note_is_left(home: Home) -> None:
    """The words around a canary too: a quotation that was cut in the middle is one."""
    for fragment in (
        "sailing with a parrot",
        "Yellow Street",
        "cup-to-disc ratio of",
        "I think of the patient",
    ):
        found = {place for place in places(home, fragment) if not is_private(place)}
        assert {
            place
            for place in found
            if not place.endswith("/responses.jsonl") and not place.startswith("cached/")
        } == set()


def test_private_files_are_the_owners_and_nothing_of_them_is_scored(home: Home) -> None:
    private = [path for path in home.written() if path.name == "private.jsonl"]
    assert {path.relative_to(home.folder).parts[0] for path in private} == {"out", "calibrated"}
    assert any("judge_audit" in path.parts for path in private)
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    before = [home.give("report", run, "--json") for run in (REPORT, VQA)]
    moved = [path.rename(path.with_suffix(".away")) for path in private]
    try:
        assert [home.give("report", run, "--json") for run in (REPORT, VQA)] == before
    finally:
        for path in moved:
            path.rename(path.with_suffix(".jsonl"))
