"""The baseline for fundus pictures measures what was drawn, beats guessing, is defeated by some findings, and never breaks."""

from __future__ import annotations

import io
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

import nova_bench as nb
from nova_bench.catalog import load_model
from nova_bench.stats import model_difference

MINI = Path(__file__).resolve().parent.parent / "tasks" / "data" / "fmbench_mini"


@pytest.fixture(scope="module")
def findings() -> dict[str, Any]:
    """What each patient's eye shows, by patient id."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(MINI))
        patch.setattr(sys, "dont_write_bytecode", True)
        import patients

        sys.modules.pop("patients")
        return {patient.id: patient.findings for patient in patients.draw()}


@pytest.fixture(scope="module")
def answer() -> Callable[..., str]:
    """Asks the baseline one question about one picture."""
    adapter = load_model("cup_disc", {}).adapter

    def said(
        question: str, image: nb.Image | None = None, ask: dict[str, str] | None = None, name: str = "s"
    ) -> str:
        parts: tuple[str | nb.Image, ...] = (question,) if image is None else (image, question)
        (response,) = adapter.generate([nb.Request(name, name, 0, parts, ask=ask)])
        assert response.finish == "stop", response.error
        assert response.text
        return response.text

    return said


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, nb.Run]:
    folder = tmp_path_factory.mktemp("runs")
    asked = {
        "cup_disc": ("fmbench_vqa", "cup_disc"),
        "prior": ("fmbench_vqa", "prior"),
        "no picture": ("fmbench_vqa@image=none", "cup_disc"),
        "cup_disc report": ("fmbench_report", "cup_disc"),
        "prior report": ("fmbench_report", "prior"),
    }
    return {
        name: nb.evaluate(task, model, data="mini", out=folder / name.replace(" ", "-"))
        for name, (task, model) in asked.items()
    }


def image_of(patient: str) -> nb.Image:
    return nb.Image(MINI / "images" / f"{patient}.jpg")


def drawn(pixels: np.ndarray) -> nb.Image:
    """Return an image of some pixels."""
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG")
    return nb.Image(data=buffer.getvalue())


def difference(runs: dict[str, nb.Run], a: str, b: str, metric: str) -> tuple[float, float]:
    """Return the interval of b - a, patients resampled."""
    chosen = next(known for known in runs[a].plan.task.metrics if known.name == metric)
    found = model_difference(runs[a].scored.table, runs[b].scored.table, chosen)
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def test_ratio_is_that_of_the_drawing(answer: Callable[..., str], findings: dict[str, Any]) -> None:
    ask = {"kind": "question", "question": "What is the vertical cup-to-disc ratio?"}
    read = np.array([float(answer("", image_of(patient), ask)) for patient in findings])
    true = np.array([f.exact_ratio for f in findings.values()])
    assert np.corrcoef(read, true)[0, 1] > 0.8
    assert np.abs(read - true).mean() < 0.1


def test_cup_disc_beats_prior_and_itself_without_the_picture(runs: dict[str, nb.Run]) -> None:
    assert difference(runs, "prior", "cup_disc", "token_f1")[0] > 0.3
    assert difference(runs, "no picture", "cup_disc", "token_f1")[0] > 0.15
    assert difference(runs, "prior report", "cup_disc report", "rougeL")[0] > 0.1


def test_cup_disc_is_no_oracle(runs: dict[str, nb.Run]) -> None:
    for name in ("cup_disc", "cup_disc report"):
        table = runs[name].scored.table
        assert 0.5 < table["token_f1"].mean() < 0.85
        assert set(table.status) == {"ok"}


def test_some_kinds_of_findings_defeat_it_and_some_do_not(
    answer: Callable[..., str], findings: dict[str, Any]
) -> None:
    asked = {
        "haemorrhage": ("Is there a disc haemorrhage?", lambda f: "Yes" if f.haemorrhage else ""),
        "thinned above": (
            "How is the neuroretinal rim?",
            lambda f: "The rim is thinned superiorly." if f.thin == ("superior",) else "",
        ),
        "many drusen": (
            "What does the macula show?",
            lambda f: "The macula shows many drusen." * (f.drusen == "many"),
        ),
        "atrophy": ("Is there peripapillary atrophy?", lambda f: "Yes" if f.atrophy else ""),
        "blink": (
            "How good is the quality?",
            lambda f: f"{f.quality.capitalize()}, limited by a blink" * (f.limit == "blink band"),
        ),
    }
    found = defaultdict(list)
    for patient, f in findings.items():
        for name, (question, truth) in asked.items():
            if right := truth(f):
                said = answer("", image_of(patient), {"kind": "question", "question": question})
                found[name].append(said == right)
    shares = {name: float(np.mean(hits)) for name, hits in found.items()}
    assert sum(share < 0.5 for share in shares.values()) >= 2, shares
    assert sum(share > 0.75 for share in shares.values()) >= 2, shares


def test_answers_depend_on_picture_and_question_alone(answer: Callable[..., str]) -> None:
    ask = {"kind": "report"}
    assert answer("", image_of("p0001"), ask, name="p0001") == answer(
        "", image_of("p0001"), ask, name="p0002"
    )
    assert answer("", image_of("p0001"), ask) != answer("", image_of("p0002"), ask)


def test_prompt_in_words_is_understood_like_its_structured_twin(
    runs: dict[str, nb.Run], answer: Callable[..., str]
) -> None:
    plan = runs["cup_disc"].plan
    samples = [sample for sample in plan.samples() if isinstance(sample, nb.Sample)][:60]
    for sample in samples:
        (request,) = plan.requests(sample)
        image = request.images[0]
        assert answer(request.text, image) == answer(request.text, image, dict(request.ask or {}))


@pytest.mark.parametrize(
    "shape",
    [(1, 1), (1, 500), (31, 31), (32, 32), (33, 700), (96, 320), (97, 101), (640, 480, 3), (1024, 1024)],
)
@pytest.mark.parametrize("kind", ["black", "white", "noise", "dot", "step", "ramp"])
def test_no_picture_breaks_it(answer: Callable[..., str], shape: tuple[int, ...], kind: str) -> None:
    pixels = np.zeros(shape, np.uint8)
    if kind == "white":
        pixels[:] = 255
    elif kind == "noise":
        pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    elif kind == "dot":
        pixels[shape[0] // 2, shape[1] // 2] = 255
    elif kind == "step":
        pixels[:, : shape[1] // 2] = 255
    elif kind == "ramp":
        pixels[:] = np.linspace(0, 255, shape[1]).astype(np.uint8).reshape((1, -1) + (1,) * (len(shape) - 2))
    picture = drawn(pixels)
    assert 0.0 <= float(answer("What is the cup-to-disc ratio?", picture)) <= 1.0
    assert answer("Write a report.", picture, {"kind": "report"})


def test_no_question_breaks_it(answer: Callable[..., str]) -> None:
    for question in ("", "?", "\n\n", "\x00", "a" * 100_000, "¿Qué se ve?", "((((", "Where?"):
        assert answer(question)
        assert answer("", ask={"kind": "question", "question": question})


def test_prior_answers_questions_and_reports_alike_whatever_it_is_shown(
    runs: dict[str, nb.Run], tmp_path: Path
) -> None:
    for task in ("fmbench_vqa", "fmbench_report"):
        run = nb.evaluate(f"{task}@image=none", "prior", data="mini", out=tmp_path / task)
        seen = runs["prior" if task == "fmbench_vqa" else "prior report"]
        assert (run.folder / "responses.jsonl").stat().st_size > 0
        assert run.scored.table["token_f1"].tolist() == seen.scored.table["token_f1"].tolist()
        assert len(set(run.scored.table["answer_hash"])) == 1


def test_every_question_of_the_set_has_a_rule(runs: dict[str, nb.Run], answer: Callable[..., str]) -> None:
    questions = {row["question"] for row in pq.read_table(MINI / "vqa.parquet").to_pylist()}
    fallback = answer("Tell me.")
    unmatched = {q for q in questions if "diagnosis" not in q and answer(q) == fallback == "No eye disease"}
    assert unmatched == set()
