"""The viewer's data: what a page is given of every sample, where pictures come from, and what happens to the folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import fmbench_set
import numpy as np
import pytest
import viewed
from judged_task import FakeJudge, judged
from PIL import Image as Pillow
from running import make_set, nova, settings, truth

import nova_bench as nb
from nova_bench.run import Run
from nova_bench.runlog import RunLog


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("viewed")


@pytest.fixture(scope="module")
def data(home: Path) -> Path:
    return make_set(home / "set", [1, 2] * 10)


@pytest.fixture(scope="module")
def near(home: Path, data: Path) -> Run:
    return viewed.run(home, data, "nova_localization", viewed.boxes_of(data, 3, but=2), "near")


@pytest.fixture(scope="module")
def far(home: Path, data: Path) -> Run:
    return viewed.run(home, data, "nova_localization", viewed.boxes_of(data, 12), "far")


@pytest.fixture(scope="module")
def pair(home: Path, near: Run, far: Run) -> Path:
    nb.view(near, far, out=home / "pair")
    return home / "pair"


# What a page is given


def test_every_sample_has_its_truth_prompt_answer_and_boxes(pair: Path, near: Run, data: Path) -> None:
    true = truth(data)
    details = viewed.details_of(pair)
    assert [one["id"] for one in details] == [
        sample.id for sample in near.plan.samples() if isinstance(sample, nb.Sample)
    ]
    with RunLog(near.folder) as log:
        answers = {entry["id"]: entry["text"] for _, entry in log.records()}
    for detail, sample in zip(details, near.plan.samples(), strict=True):
        assert isinstance(sample, nb.Sample)
        answer = detail["runs"][0]
        (request,) = near.plan.requests(sample)
        assert [box[:4] for box in detail["truth"]["boxes"]] == true[detail["id"]]
        assert answer["answer"] == answers[detail["id"]]
        assert answer["prompt"]["parts"] == [0, request.text]
        assert detail["groups"] == dict(sample.groups)
        if answer["state"] == "ok":
            moved = [[x0 + 3, y0, x1 + 3, y1] for x0, y0, x1, y1 in true[detail["id"]]]
            np.testing.assert_allclose([box[:4] for box in answer["prediction"]["boxes"]], moved, atol=1e-3)
            assert answer["prediction"]["boxes"][0][6] == pytest.approx(
                13 / 19, abs=1e-5
            )  # 16 px wide, moved by 3
    assert [one["runs"][0]["state"] for one in details].count("unparsed") == 2


def test_the_index_has_states_groups_and_numbers_of_the_table(pair: Path, near: Run, far: Run) -> None:
    index = viewed.index_of(pair)
    lines, names = index["lines"], [[number["name"], *number["also"]] for number in index["numbers"]]
    (hit, miss) = (next(i for i, some in enumerate(names) if name in some) for name in ("hit50", "fnr30"))
    assert [run["label"] for run in index["runs"]] == ["near", "far"]
    for place, run in enumerate((near, far)):
        table = run.scored.table
        at = {name: i for i, name in enumerate(table.id)}
        rows = [at[name] for name in lines["id"]]
        assert [index["states"][code] for code in lines["states"][place]] == table.status[rows].tolist()
        hits = viewed.read(pair / "data" / "numbers" / f"{hit}.js")[place]
        assert hits == [float(value >= 0.5) for value in table["best_iou"][rows]]
        for group in index["groups"]:
            values = [None if code < 0 else group["values"][code] for code in group["codes"]]
            assert values == table.groups[group["name"]][rows].tolist()
    assert index["numbers"][hit]["higher_is_better"] is True
    assert index["numbers"][miss]["higher_is_better"] is False
    assert "acc50" in names[hit]
    assert not any("ap50" in some for some in names)  # pooled: one sample has no value in it


def test_what_two_runs_read_differently_is_marked(pair: Path, home: Path, near: Run) -> None:
    assert len(viewed.index_of(pair)["lines"]["other"]) == 30
    nb.view(near, Run(_copied(near, home / "again"), near.plan, "again"), out=home / "same")
    assert viewed.index_of(home / "same")["lines"]["other"] == []


def _copied(run: Run, folder: Path) -> Path:
    folder.mkdir()
    for name in ("manifest.json", "responses.jsonl"):
        (folder / name).write_bytes((run.folder / name).read_bytes())
    return folder


def test_runs_that_do_not_go_together_are_refused(home: Path, near: Run, data: Path) -> None:
    with pytest.raises(nb.UsageError, match="given twice"):
        nb.view(near, near, out=home / "no")
    other = viewed.run(home, data, "nova_caption", lambda request: "ANSWER: a", "words")
    with pytest.raises(nb.UsageError, match="two runs of one task"):
        nb.view(near, other, out=home / "no")
    elsewhere = make_set(home / "other set", [1, 1], seed=5)
    strange = viewed.run(home, elsewhere, "nova_localization", viewed.boxes_of(elsewhere, 0), "strange")
    with pytest.raises(nb.UsageError, match="different data"):
        nb.view(near, strange, out=home / "no")
    assert not (home / "no").exists()


def test_repeats_are_lines_of_their_own_and_an_unasked_one_is_none(home: Path, data: Path, near: Run) -> None:
    twice = viewed.run(home, data, "nova_localization", viewed.boxes_of(data, 1), "twice", repeats=2)
    nb.view(twice, near, out=home / "repeated")
    details = viewed.details_of(home / "repeated")
    assert [(one["repeat"], [run is not None for run in one["runs"]]) for one in details[:2]] == [
        (0, [True, True]),
        (1, [True, False]),
    ]
    assert len(details) == 60
    assert viewed.index_of(home / "repeated")["lines"]["states"][1].count(-1) == 30


def test_a_long_answer_has_a_chunk_of_its_own(home: Path, data: Path) -> None:
    first = sorted(truth(data))[0]
    model = lambda request: "ANSWER: " + ("x" * 900_000 if request.sample == first else "lesion")  # noqa: E731
    made = viewed.run(home, data, "nova_caption", model, "long")
    nb.view(made, out=home / "long view")
    index = viewed.index_of(home / "long view")
    sizes = {path.stem: path.stat().st_size for path in (home / "long view/data/samples").iterdir()}
    assert sum(size > 900_000 for size in sizes.values()) == 1
    assert sorted(sizes.values())[-2] < 300_000
    assert (home / "long view/data/index.js").stat().st_size < 20_000
    longest = max(viewed.details_of(home / "long view"), key=lambda one: len(one["runs"][0]["answer"]))
    assert (
        longest["id"]
        == first
        == index["lines"]["id"][index["chunks"][int(max(sizes, key=lambda n: sizes[n]))]]
    )
    assert max(map(len, viewed.read(home / "long view/data/search.js"))) == index["searched"]


def test_verdicts_are_shown_with_their_states(home: Path, data: Path) -> None:
    def saying(request: nb.Request, nth: int) -> str | None:
        return "no object" if request.sample == sorted(truth(data))[1] else None

    silent = sorted(truth(data))[0]
    model = lambda request: "" if request.sample == silent else "ANSWER: lesion"  # noqa: E731
    made = nb.evaluate(
        judged(),
        model,
        data=str(data),
        out=home / "judged",
        settings=settings(home),
        judges=[FakeJudge(saying)],
    )
    nb.view(made, out=home / "judged view")
    shown = {one["id"]: one["runs"][0]["verdicts"] for one in viewed.details_of(home / "judged view")}
    states = {name: [verdict["state"] for verdict in verdicts] for name, verdicts in shown.items()}
    assert states.pop(silent) == ["by rule"]
    assert states.pop(sorted(truth(data))[1]) == ["unjudged"]
    assert set(map(tuple, states.values())) == {("read",)}
    assert all(verdict["verdict"] for name in states for verdict in shown[name])


def test_a_sample_whose_picture_is_damaged_says_why(home: Path) -> None:
    data = make_set(home / "damaged", [1, 1, 1])
    broken = sorted((data / "images").iterdir())[0]
    broken.unlink()
    made = viewed.run(home, data, "nova_localization", viewed.boxes_of(data, 0), "torn")
    nb.view(made, out=home / "torn view")
    detail = next(one for one in viewed.details_of(home / "torn view") if one["id"] == broken.name)
    assert detail["runs"][0]["state"] == "failed"
    assert "is missing" in detail["runs"][0]["reason"]
    assert detail["images"] == []


def test_a_picture_shown_in_place_of_the_own_one_stands_beside_it(home: Path, data: Path) -> None:
    made = viewed.run(home, data, "nova_localization@image=shuffled", viewed.boxes_of(data, 0), "shuffled")
    nb.view(made, out=home / "shuffled view")
    for detail in viewed.details_of(home / "shuffled view"):
        own, shown = detail["images"]
        assert (own["own"], shown["own"]) == (True, False)
        assert own["name"] == f"images/{detail['id']}" != shown["name"]
        assert detail["runs"][0]["prompt"]["parts"][0] == 1


# Pictures


def test_pictures_of_licensed_data_stay_where_they_are(pair: Path, data: Path) -> None:
    assert not (pair / "images").exists()
    for detail in viewed.details_of(pair):
        (picture,) = detail["images"]
        assert picture["src"] == (data / "images" / detail["id"]).as_uri()
        assert picture["size"] == [48, 48]
    assert not any(path.suffix in (".png", ".jpg") for path in pair.rglob("*"))


def test_pictures_are_copied_on_request_with_their_licence(home: Path, near: Run, data: Path) -> None:
    told = nb.view(near, out=home / "copies", embed_images=True)
    assert told["pictures"] == {"copied": 30, "referenced": 0, "not_shown": 0}
    for detail in viewed.details_of(home / "copies"):
        copied = (home / "copies" / detail["images"][0]["src"]).read_bytes()
        assert copied == (data / "images" / detail["id"]).read_bytes()
    notice = (home / "copies/images/NOTICE.txt").read_text()
    assert "CC-BY-NC-SA-4.0" in notice
    assert "https://creativecommons.org/licenses/by-nc-sa/4.0/" in notice
    assert not any(
        str(data).encode() in path.read_bytes() for path in (home / "copies").rglob("*") if path.is_file()
    )


@pytest.mark.parametrize(
    ("license", "allowed"),
    [
        *[(name, True) for name in ("CC0-1.0", "CC BY 4.0", "cc-by-sa-3.0", "MIT", "Apache-2.0", "ODC-BY")],
        *[
            (name, False)
            for name in ("CC BY-NC-ND 4.0", "not published", "", "CC-BY", "custom MIT", "PhysioNet")
        ],
    ],
)
def test_only_known_licences_let_pictures_be_copied(license: str, allowed: bool) -> None:
    from nova_bench.viewer.pictures import may_be_passed_on

    assert may_be_passed_on(license) is allowed


def test_of_gated_data_nothing_is_copied_and_the_folder_is_private(home: Path) -> None:
    data = fmbench_set.make_built(home / "gated", 4)
    made = viewed.run(home, data, "fmbench_vqa", lambda request: "ANSWER: glaucoma", "clinic")
    with pytest.raises(nb.UsageError, match="approved accounts only"):
        nb.view(made, out=home / "gated view", embed_images=True)
    assert not (home / "gated view").exists()
    (made.folder / "private.jsonl").write_text('{"id": "p0000-q1", "error": "Mrs Canary"}\n')
    told = nb.view(made, out=home / "gated view")
    assert told["private"]
    assert os.stat(home / "gated view").st_mode & 0o777 == 0o700
    assert viewed.index_of(home / "gated view")["data"]["gated"] is True
    assert not any(
        b"Canary" in path.read_bytes() for path in (home / "gated view").rglob("*") if path.is_file()
    )
    assert viewed.details_of(home / "gated view")[0]["given"]["question"]


def test_synthetic_pictures_are_copied_and_are_nobodys_secret(home: Path) -> None:
    made = nb.evaluate(
        "fmbench_vqa",
        lambda request: "ANSWER: no",
        data="mini",
        out=home / "mini",
        settings=settings(home),
        limit=3,
    )
    told = nb.view(made)
    assert told["page"] == str(home / "mini/view/index.html")
    assert told["pictures"]["copied"] == 3
    assert "made-up" in (home / "mini/view/images/NOTICE.txt").read_text()
    assert not any(
        str(made.plan.data.folder).encode() in path.read_bytes()
        for path in (home / "mini/view").rglob("*.js")
    )


def test_pictures_that_no_browser_shows_say_so_or_are_turned_into_png(home: Path) -> None:
    from nova_bench.array_images import ArrayImage
    from nova_bench.images import Image
    from nova_bench.viewer.pictures import Pictures

    deep = home / "deep.png"
    Pillow.fromarray((np.arange(12, dtype=np.uint16) * 300).reshape(3, 4)).save(deep)
    np.savez(home / "p.npz", slo_fundus=np.zeros((2, 3), np.uint8))
    Pillow.new("L", (5, 4), 9).save(home / "slide.tiff")
    images = [
        Image(deep),
        ArrayImage(home / "p.npz", "slo_fundus"),
        Image(home / "slide.tiff"),
        Image(home / "none.png"),
    ]
    plain = [Pictures(home, copies=False).entry(image) for image in images]
    assert [entry["src"] is not None for entry in plain] == [True, False, False, False]
    assert ["16-bit" in plain[0]["note"], "array" in plain[1]["note"], "image/tiff" in plain[2]["note"]] == [
        True
    ] * 3
    assert "none.png cannot be read" in plain[3]["note"]
    pictures = Pictures(home / "turned", copies=True)
    (home / "turned").mkdir()
    for image, size in zip(images[:3], [[4, 3], [3, 2], [5, 4]], strict=True):
        entry = pictures.entry(image)
        assert entry["size"] == size
        with Pillow.open(home / "turned" / entry["src"]) as opened:
            assert (opened.format, opened.mode, list(opened.size)) == ("PNG", "L", size)
            assert np.array_equal(np.asarray(opened), image.array())


# The folder


def test_the_same_runs_give_the_same_bytes(home: Path, pair: Path, near: Run, far: Run) -> None:
    nb.view(near, far, out=home / "twin")
    assert _digests(home / "twin") == _digests(pair)


def _digests(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_an_old_view_goes_and_other_files_stay(tmp_path: Path, near: Run) -> None:
    nb.view(near, out=tmp_path / "out", embed_images=True)
    (tmp_path / "out" / "mine.txt").write_text("mine")
    (tmp_path / "out" / "data" / "samples" / "99.js").write_text("old")
    nb.view(near, out=tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    assert not (tmp_path / "out" / "images").exists()
    assert not (tmp_path / "out" / "data" / "samples" / "99.js").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path, near: Run) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "index.js").write_text("var x = 1;")
    with pytest.raises(nb.UsageError, match="no viewer's"):
        nb.view(near, out=tmp_path)
    with pytest.raises(nb.UsageError, match="is a file"):
        nb.view(near, out=tmp_path / "data" / "index.js")
    assert [path.name for path in tmp_path.rglob("*")] == ["data", "index.js"]


def test_the_command_says_where_the_page_is(tmp_path: Path, near: Run) -> None:
    said = nova(tmp_path, "view", near.folder, "--out", "page", "--json")
    assert (said.returncode, said.stderr) == (0, "")
    document = json.loads(said.stdout)
    assert document["schema_version"] == 1
    assert document["samples"] == 30
    assert (tmp_path / document["page"]).is_file()
    again = nova(tmp_path, "view", near.folder, "--out", "page", "--embed-images")
    assert again.returncode == 0
    assert "30 pictures were copied" in again.stdout
    wrong = nova(tmp_path, "view", tmp_path / "page")
    assert (wrong.returncode, wrong.stdout) == (1, "")


def test_all_text_of_the_page_itself_is_escaped(home: Path, near: Run) -> None:
    hostile: Any = Run(near.folder, near.plan, viewed.HOSTILE[0] + "\u202e")
    nb.view(hostile, out=home / "escaped")
    html = (home / "escaped/index.html").read_text()
    assert "<script>document" not in html
    assert "&lt;script&gt;document" in html
    assert "\u202e" not in html


def test_the_documentation_names_every_option_and_its_commands_run(tmp_path: Path) -> None:
    text = (Path(__file__).parent.parent / "docs" / "viewer.md").read_text()
    said = nova(tmp_path, "view", "--help")
    options = set(re.findall(r"--[a-z-]+", said.stdout)) - {"--help"}
    assert options == set(re.findall(r"--[a-z-]+", text.split("```")[1]))
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    for line in blocks[1].splitlines():
        ran = nova(tmp_path, *line.removeprefix("$ nova-bench ").split())
        assert ran.returncode == 0, f"{line}\n{ran.stderr}"
    assert (tmp_path / "runs/symmetry/view/index.html").is_file()
    assert len(viewed.index_of(tmp_path / "both")["runs"]) == 2
