"""The modules for Hugging Face evaluate: they load from the folder without a hub, and give our numbers, from a run's files too."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fmbench_set import make_built
from running import environment, make_set, settings

import nova_bench as nb
from nova_bench.boxes import Box
from nova_bench.errors import UsageError
from nova_bench.metrics.coco import coco_eval
from nova_bench.metrics.fairness import equity_scaled, fap

evaluate = pytest.importorskip("evaluate")
pytestmark = pytest.mark.real("evaluate")

MODULES = Path(__file__).resolve().parent.parent / "evaluate_modules"
NAMES = ("fap", "equity_scaled", "ap50")


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Loads a module with evaluate's own files in a folder of the test's."""
    home = tmp_path_factory.mktemp("evaluate")
    with pytest.MonkeyPatch.context() as patch:
        import evaluate.loading

        patch.setattr(evaluate.config, "HF_EVALUATE_OFFLINE", True)
        patch.setattr(evaluate.loading, "init_dynamic_modules", lambda: _modules_at(home))
        patch.syspath_prepend(str(home))
        yield lambda name, *more: evaluate.load(str(MODULES / name), *more, cache_dir=str(home / "cache"))
    for name in [name for name in sys.modules if name.startswith("evaluate_modules")]:
        del sys.modules[name]


def _modules_at(home: Path) -> str:
    place = home / "evaluate_modules"
    place.mkdir(exist_ok=True)
    (place / "__init__.py").touch()
    return str(place)


@pytest.fixture(scope="module")
def vqa(tmp_path_factory: pytest.TempPathFactory) -> nb.Run:
    home = tmp_path_factory.mktemp("vqa")
    return nb.evaluate(
        "fmbench_vqa", "cup_disc", data="mini", limit=60, out=home / "run", settings=settings(home)
    )


def test_they_load_in_a_fresh_process_without_a_hub(tmp_path: Path) -> None:
    script = f"""
import evaluate
for name in {NAMES}:
    module = evaluate.load({str(MODULES)!r} + "/" + name)
    assert module.name == name, module.name
fap = evaluate.load({str(MODULES / "fap")!r})
print(fap.compute(predictions=["a", "b", "a"], references=["a", "a", "a"], groups=["x", "x", "y"])["groups"])
"""
    env = environment(tmp_path, HF_HOME=str(tmp_path / "hf"), HF_EVALUATE_OFFLINE="1")
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "{'x': 0.5, 'y': 1.0}"


@pytest.mark.parametrize("name", NAMES)
def test_each_has_one_import_a_line(name: str) -> None:
    """Evaluate's scanner reads lines: a bracket or a comma in one hides what the module needs."""
    source = (MODULES / name / f"{name}.py").read_text(encoding="utf-8")
    imports = [line for line in source.splitlines() if re.match(r"\s*(import|from)\b.*", line)]
    assert len(imports) >= 3
    assert all(re.fullmatch(r"import \w+|from [\w.]+ import \w+", line) for line in imports)


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_its_page_and_its_docstring_hold(name: str, load: Any) -> None:
    page = (MODULES / name / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (quoted,) = re.findall(r"^# (\{.*\})$", code, re.MULTILINE)
    call = code[code.index(f"{name}.compute") : code.index("\n# {")]
    space = {name: load(name)}
    assert eval(call, space) == eval(quoted)
    (example,) = re.findall(rf">>> ({name}\.compute.*)\n\s+(.*)\n", load(name).inputs_description)
    assert eval(example[0], space) == eval(example[1])


@pytest.mark.parametrize("seed", range(5))
def test_numbers_are_ours_on_labels(seed: int, load: Any) -> None:
    dice = random.Random(seed)
    n = 60
    references = [dice.choice("abc") for _ in range(n)]
    predictions = [r if dice.random() < 0.6 else "z" for r in references]
    groups = [dice.choice(["f", "m", "x", ""]) for _ in range(n)]
    right: dict[str, list[bool]] = {}
    for p, r, g in zip(predictions, references, groups, strict=True):
        if g:
            right.setdefault(g, []).append(p == r)
    scores = {g: sum(hits) / len(hits) for g, hits in right.items()}
    counts = {g: len(hits) for g, hits in right.items()}
    overall = sum(p == r for p, r in zip(predictions, references, strict=True)) / n
    given = {"predictions": predictions, "references": references, "groups": groups}
    for choices in ({}, {"lam": 0.5, "deviation": "max", "weights": "uniform"}, {"deviation": "wmad"}):
        assert load("fap").compute(**given, **choices)["fap"] == pytest.approx(
            fap(scores, counts, **choices), abs=1e-12
        )
    assert (
        load("fap").compute(**given, lam=2.0, weights="uniform")["name"] == "fap(lambda=2,dev=wstd,w=uniform)"
    )
    for alpha in (1.0, 0.25):
        found = load("equity_scaled").compute(**given, alpha=alpha)
        assert found["equity_scaled"] == pytest.approx(equity_scaled(overall, scores, alpha=alpha), abs=1e-12)
        assert found["overall"] == pytest.approx(overall)


def test_numbers_as_labels_and_batches(load: Any) -> None:
    module = load("equity_scaled")
    module.add_batch(predictions=[1, 2], references=[1, 1], groups=["", "x"])
    module.add_batch(predictions=[3.0], references=[3.0], groups=["y"])
    assert module.compute() == {
        "equity_scaled": pytest.approx(equity_scaled(2 / 3, {"x": 0.0, "y": 1.0})),
        "overall": pytest.approx(2 / 3),
        "groups": {"x": 0.0, "y": 1.0},
        "n": {"x": 1, "y": 1},
    }


@pytest.mark.parametrize("seed", range(4))
def test_ap50_is_that_of_pycocotools(seed: int, load: Any) -> None:
    dice = random.Random(seed)
    truth, answers = [], []
    for i in range(25):
        truth.append([_box(dice) for _ in range(dice.randint(0, 3) if i else 0)])
        near = [_moved(dice, box) for box in truth[-1] if dice.random() < 0.7]
        answers.append(
            near + [_box(dice, dice.choice([0.25, 0.5])) for _ in range(dice.randint(0, 2) if i else 0)]
        )
    found = load("ap50").compute(
        predictions=[{"boxes": _corners(boxes), "scores": [box.score for box in boxes]} for boxes in answers],
        references=[{"boxes": _corners(boxes)} for boxes in truth],
    )
    expected = coco_eval(truth, answers)
    assert found == {
        "ap50": pytest.approx(expected["ap50"], abs=1e-9),
        "ap": pytest.approx(expected["ap"], abs=1e-9),
        "n_images": 25,
        "n_true": sum(map(len, truth)),
    }
    assert found["ap50"] > 0
    nothing = load("ap50").compute(predictions=[{"boxes": [], "scores": []}], references=[{"boxes": []}])
    assert math.isnan(nothing["ap50"])


def _box(dice: random.Random, score: float = 1.0) -> Box:
    x, y = dice.uniform(0, 80), dice.uniform(0, 80)
    return Box(x, y, x + dice.uniform(5, 20), y + dice.uniform(5, 20), score=score)


def _moved(dice: random.Random, box: Box) -> Box:
    step = dice.uniform(-3, 3)
    return Box(box.x0 + step, box.y0, box.x1 + step, box.y1, score=dice.choice([0.5, 0.75, dice.random()]))


def _corners(boxes: list[Box]) -> list[list[float]]:
    return [[box.x0, box.y0, box.x1, box.y1] for box in boxes]


def test_a_runs_files_give_the_numbers_of_the_fairness_document(
    vqa: nb.Run, load: Any, tmp_path: Path
) -> None:
    nb.export_run(vqa, "evaluate", out=tmp_path)
    chosen = nb.FairnessSettings(min_n=2, resamples=2, permutations=1)
    document = nb.fairness([vqa], metrics="token_f1", settings=chosen)
    assert len(document["comparisons"]) == 5
    compared = 0
    for entry in document["comparisons"]:
        if not all(group["included"] for group in entry["groups"].values()):
            continue  # a group of one patient: the document leaves it out
        answers = json.loads((tmp_path / f"{entry['metric']}.json").read_text())
        given = {
            "predictions": answers["predictions"],
            "references": answers["references"],
            "groups": answers["groups"][entry["attribute"]],
        }
        found = load("fap", "sums").compute(**given)
        assert found["name"] == entry["fap_name"]
        assert found["fap"] == pytest.approx(entry["fap"]["value"], abs=1e-9)
        scaled = load("equity_scaled", "sums").compute(**given)
        assert scaled["equity_scaled"] == pytest.approx(entry["es"]["value"], abs=1e-9)
        (cell,) = (c for c in vqa.cells() if (c.metric, c.slice) == (entry["metric"], "all"))
        assert scaled["overall"] == pytest.approx(cell.value, abs=1e-9)
        compared += 1
    assert compared >= 3


def test_group_scores_of_every_file_are_the_cells(vqa: nb.Run, load: Any, tmp_path: Path) -> None:
    located = nb.evaluate(
        "nova_localization", "symmetry", data="mini", out=tmp_path / "loc", settings=settings(tmp_path)
    )
    diagnosed = nb.evaluate(
        "nova_diagnosis",
        "prior",
        data="mini",
        out=tmp_path / "dia",
        judges=["rule_based_judge"],
        settings=settings(tmp_path),
    )
    seen = 0
    named: list[str] = []
    for run in (vqa, located, diagnosed):
        out = tmp_path / "files" / run.plan.spelling
        notes = nb.export_run(run, "evaluate", out=out)["notes"]
        cells = {(cell.metric, cell.slice): cell.value for cell in run.cells()}
        for path in out.glob("*.json"):
            answers = json.loads(path.read_text())
            if path.name == "boxes.json":
                made = load("ap50").compute(
                    predictions=answers["predictions"], references=answers["references"]
                )
                assert (made["ap50"], made["ap"]) == (
                    pytest.approx(cells["ap50", "all"], abs=1e-9),
                    pytest.approx(cells["ap", "all"], abs=1e-9),
                )
                continue
            named.append(answers["metric"])
            assert answers["signature"]["protocol"]["metric"] == answers["metric"]
            for attribute, groups in answers["groups"].items():
                wanted = {g: cells[answers["metric"], f"{attribute}={g}"] for g in set(groups) - {""}}
                if not wanted or None in wanted.values():
                    continue
                made = load("equity_scaled", "sums").compute(
                    predictions=answers["predictions"], references=answers["references"], groups=groups
                )
                assert made["groups"] == pytest.approx(wanted, abs=1e-9), (answers["metric"], attribute)
                seen += 1
        if (
            run is diagnosed
        ):  # means over cases weigh a line by its case, which a slice of single pictures cuts
            assert any("judge=" in name for name in named)
            assert any("unit=case" in note and "a case lies in several groups" in note for note in notes)
    assert seen > 30


def test_names_of_files_are_names_of_files() -> None:
    from nova_bench.export.evaluate_files import file_name

    for metric in ("../../etc/passwd", ".hidden", "a/b", "\x00", "x" * 300, "top1(judge=\u202eopenai)"):
        name = file_name(metric)
        assert re.fullmatch(r"[A-Za-z0-9=,_-][A-Za-z0-9=.,_-]*\.json", name)
        assert len(name) <= 125
        assert "/" not in name


def test_metrics_whose_names_meet_as_files_have_a_file_each(tmp_path: Path) -> None:
    task = nb.load_task("nova_localization")
    (hit,) = (metric for metric in task.metrics if metric.name == "hit50")
    twins = tuple(dataclasses.replace(hit, name=name) for name in ("hit(a/b)", "hit(a:b)", "token_hit(a_b)"))
    task = dataclasses.replace(task, metrics=twins, headline=twins[0].name)
    run = nb.evaluate(task, "prior", data="mini", limit=2, out=tmp_path / "run", settings=settings(tmp_path))
    nb.export_run(run, "evaluate", out=tmp_path / "out")
    files = {
        path.name: json.loads(path.read_text())["metric"] for path in (tmp_path / "out").glob("*hit*.json")
    }
    assert sorted(files.values()) == sorted(metric.name for metric in twins)
    assert {files["hit_a_b.json"], files["token_hit_a_b.json"]} == {"hit(a/b)", "token_hit(a_b)"}


class Half:
    """Fails on the first request."""

    def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
        for i, request in enumerate(requests):
            if i == 0:
                yield nb.Response(request.id, finish="error", error="down")
            else:
                yield nb.Response(request.id, 'ANSWER: [{"box": [100, 100, 500, 500], "score": 0.5}]')


def test_failed_lines_are_left_out_and_repeats_have_folders(tmp_path: Path) -> None:
    folder = make_set(tmp_path / "set", [1, 2, 1])
    run = nb.evaluate(
        "nova_localization",
        Half(),
        data=str(folder),
        repeats=2,
        out=tmp_path / "run",
        settings=settings(tmp_path),
    )
    nb.export_run(run, "evaluate", out=tmp_path / "out")
    sizes = [
        len(json.loads((tmp_path / "out" / f"repeat_{repeat}" / name).read_text())["ids"])
        for repeat in (0, 1)
        for name in ("hit50.json", "boxes.json")
    ]
    assert sorted(sizes) == [3, 3, 4, 4]


def test_gated_groups_need_the_flag_and_are_named_first(tmp_path: Path) -> None:
    folder = make_built(tmp_path / "set", patients=6)
    run = nb.evaluate(
        "fmbench_vqa", "prior", data=str(folder), out=tmp_path / "run", settings=settings(tmp_path)
    )
    with pytest.raises(UsageError, match="patients' groups"):
        nb.export_run(run, "evaluate", out=tmp_path / "out")
    said: list[tuple[str, bool]] = []
    nb.export_run(
        run,
        "evaluate",
        out=tmp_path / "out",
        with_groups=True,
        say=lambda words: said.append((words, (tmp_path / "out").exists())),
    )
    ((words, was_there),) = said
    assert "race, ethnicity, language, gender, age" in words
    assert not was_there


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"predictions": ["a"], "references": ["a"], "groups": [""]}, "no answer has a known group"),
        ({"predictions": ["a"], "references": ["a"], "groups": ["x"], "lam": -1.0}, "lambda"),
        ({"predictions": ["a"], "references": ["a"], "groups": ["x"], "deviation": "std"}, "deviation"),
    ],
)
def test_wrong_use_of_a_module_is_said(given: dict[str, Any], message: str, load: Any) -> None:
    with pytest.raises(UsageError, match=message):
        load("fap").compute(**given)


def test_a_denominator_of_nothing_and_a_wrong_configuration_are_said(load: Any) -> None:
    with pytest.raises(UsageError, match="group 'x' has no score"):
        load("fap", "sums").compute(predictions=[0.0, 1.0], references=[0.0, 1.0], groups=["x", "y"])
    with pytest.raises(UsageError, match="finite"):
        load("fap", "sums").compute(predictions=[math.nan], references=[1.0], groups=["x"])
    with pytest.raises(ValueError, match="sums"):
        load("equity_scaled", "scores")
    with pytest.raises(UsageError, match="box of 3 numbers"):
        load("ap50").compute(predictions=[{"boxes": [[0, 1, 2]], "scores": [1]}], references=[{"boxes": []}])
