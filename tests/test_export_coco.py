"""COCO's files: pycocotools reads them and finds our numbers; failures are in neither file."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from running import SIZE, make_set, nova, settings, truth

import nova_bench as nb
from nova_bench.errors import UsageError

pytestmark = pytest.mark.real("pycocotools")


class Boxes:
    """Answers with boxes near the truth's place, with tied scores; fails on the first few, finds nothing in every fifth."""

    def __init__(self, fails: int = 0) -> None:
        self.fails = fails

    def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
        for i, request in enumerate(requests):
            if i < self.fails:
                yield nb.Response(request.id, finish="error", error="no route to the server")
                continue
            rank = sum(request.id.encode()) % 7
            x, score = 60 * rank, (0.5, 0.75)[rank % 2]
            said = [
                {"box": [x, 100, x + 350, 400], "score": score},
                {"box": [0, 0, 500 + x, 500], "score": 0.5},
            ]
            yield nb.Response(request.id, "ANSWER: " + json.dumps(said if rank % 5 else []))


def evaluated(folder: Path) -> tuple[Any, dict[str, Any]]:
    """Return COCOeval's statistics with its own settings, and the ground truth."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        there = COCO(str(folder / "ground_truth.json"))
        evaluation = COCOeval(there, there.loadRes(str(folder / "results.json")), iouType="bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats, json.loads((folder / "ground_truth.json").read_text())


def value(run: nb.Run, metric: str) -> float | None:
    (cell,) = (cell for cell in run.cells() if (cell.metric, cell.slice) == (metric, "all"))
    return cell.value


def test_pycocotools_finds_our_numbers_on_the_baseline(tmp_path: Path) -> None:
    run = nb.evaluate(
        "nova_localization", "symmetry", data="mini", out=tmp_path / "run", settings=settings(tmp_path)
    )
    document = nb.export_run(run, "coco", out=tmp_path / "coco")
    stats, truth_file = evaluated(tmp_path / "coco")
    assert value(run, "ap") == pytest.approx(stats[0], abs=1e-9)
    assert value(run, "ap50") == pytest.approx(stats[1], abs=1e-9)
    assert stats[1] > 0.1
    assert "(synthetic)" in truth_file["info"]["description"]
    assert any("synthetic" in note for note in document["notes"])
    written = (tmp_path / "coco" / "ground_truth.json").read_text()
    assert str(tmp_path) not in written
    assert str(run.plan.data.folder) not in written


@pytest.mark.parametrize("fails", [0, 3])
def test_pycocotools_finds_our_numbers_with_ties_and_failures(fails: int, tmp_path: Path) -> None:
    folder = make_set(tmp_path / "set", [1, 2, 3] * 6)
    run = nb.evaluate(
        "nova_localization", Boxes(fails), data=str(folder), out=tmp_path / "run", settings=settings(tmp_path)
    )
    document = nb.export_run(run, "coco", out=tmp_path / "coco")
    stats, there = evaluated(tmp_path / "coco")
    assert value(run, "ap") == pytest.approx(stats[0], abs=1e-9)
    assert value(run, "ap50") == pytest.approx(stats[1], abs=1e-9)
    assert stats[1] > 0
    assert len(there["images"]) == 36 - fails
    assert len(there["info"]["left_out"]) == fails
    assert set(there["info"]["left_out"].values()) <= {"no route to the server"}
    assert any("incomplete: 3 samples failed" in note for note in document["notes"]) == bool(fails)


def test_ground_truth_is_that_of_the_data_set(tmp_path: Path) -> None:
    folder = make_set(tmp_path / "set", [1, 2])
    run = nb.evaluate(
        "nova_localization", Boxes(), data=str(folder), out=tmp_path / "run", settings=settings(tmp_path)
    )
    nb.export_run(run, "coco", out=tmp_path / "coco")
    there = json.loads((tmp_path / "coco" / "ground_truth.json").read_text())
    names = {image["id"]: image["sample"] for image in there["images"]}
    assert list(names.values()) == sorted(truth(folder))
    for image in there["images"]:
        assert (image["width"], image["height"]) == (SIZE, SIZE)
        assert (folder / image["file_name"]).is_file()
    for annotation in there["annotations"]:
        (x0, y0, x1, y1) = truth(folder)[names[annotation["image_id"]]][0]
        assert annotation["bbox"] == [x0, y0, x1 - x0, y1 - y0]
    assert [annotation["id"] for annotation in there["annotations"]] == [1, 2, 3]


def test_repeats_have_a_folder_each_whose_mean_is_the_cell(tmp_path: Path) -> None:
    folder = make_set(tmp_path / "set", [1, 2, 3] * 4)
    run = nb.evaluate(
        "nova_localization",
        Boxes(2),
        data=str(folder),
        out=tmp_path / "run",
        repeats=2,
        settings=settings(tmp_path),
    )
    nb.export_run(run, "coco", out=tmp_path / "coco")
    found = [evaluated(tmp_path / "coco" / f"repeat_{repeat}") for repeat in (0, 1)]
    assert value(run, "ap50") == pytest.approx((found[0][0][1] + found[1][0][1]) / 2, abs=1e-9)
    left_out = [len(there["info"]["left_out"]) for _, there in found]
    assert sum(left_out) == 2


def test_an_image_control_keeps_the_pictures_own_name(tmp_path: Path) -> None:
    folder = make_set(tmp_path / "set", [1, 1, 1])
    run = nb.evaluate(
        "nova_localization@image=none",
        Boxes(),
        data=str(folder),
        out=tmp_path / "run",
        settings=settings(tmp_path),
    )
    nb.export_run(run, "coco", out=tmp_path / "coco")
    there = json.loads((tmp_path / "coco" / "ground_truth.json").read_text())
    assert all((folder / image["file_name"]).is_file() for image in there["images"])


def test_no_box_at_all_is_said(tmp_path: Path) -> None:
    folder = make_set(tmp_path / "set", [1])
    run = nb.evaluate(
        "nova_localization",
        lambda request: "ANSWER: []",
        data=str(folder),
        out=tmp_path / "run",
        settings=settings(tmp_path),
    )
    document = nb.export_run(run, "coco", out=tmp_path / "coco")
    assert any("no box at all" in note for note in document["notes"])
    assert json.loads((tmp_path / "coco" / "results.json").read_text()) == []


def test_a_task_without_boxes_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    run = nb.evaluate(
        "nova_caption", "prior", data="mini", limit=2, out=tmp_path / "run", settings=settings(tmp_path)
    )
    with pytest.raises(UsageError, match="no boxes"):
        nb.export_run(run, "coco", out=tmp_path / "coco")
    assert not (tmp_path / "coco").exists()


def test_several_runs_have_folders_of_their_own(tmp_path: Path) -> None:
    for model in ("prior", "symmetry"):
        out = tmp_path / "runs" / model
        nb.evaluate("nova_localization", model, data="mini", limit=4, out=out, settings=settings(tmp_path))
    done = nova(tmp_path, "export", "runs", "--format", "coco", "--out", "coco")
    assert done.returncode == 0, done.stderr
    written = sorted(
        path.relative_to(tmp_path / "coco").as_posix() for path in (tmp_path / "coco").rglob("*.json")
    )
    assert written == [
        f"{model}/nova_localization/{name}"
        for model in ("prior", "symmetry")
        for name in ("ground_truth.json", "results.json")
    ]
    (tmp_path / "again").mkdir()
    run = nb.evaluate(
        "nova_localization",
        "prior",
        data="mini",
        limit=4,
        out=tmp_path / "again" / "run",
        settings=settings(tmp_path),
    )
    with pytest.raises(UsageError, match="one model and task"):
        nb.export_run([run, run], "coco", out=tmp_path / "twice")
