"""The command line as its users meet it: exit codes, messages, JSON, and what it does not import."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from running import cell, environment, final_ids, log_of, make_set, nova, settings, truth

import nova_bench as nb

NAMES = (
    "ap50",
    "ap",
    "ap30",
    "hit30",
    "hit50",
    "acc50",
    "tp30",
    "fp30",
    "fnr30",
    "ap50(image11)",
    "ap50(tie)",
)
HEAVY = (
    "torch",
    "datasets",
    "pandas",
    "openai",
    "anthropic",
    "google.genai",
    "numpy",
    "PIL",
    "pyarrow",
    "scipy",
    "aiohttp",
    "rich",
    "matplotlib",
    "jinja2",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run of `replay` in ``out``, answered by partly wrong boxes."""
    home = tmp_path_factory.mktemp("cli")
    data = make_set(home / "set", [1, 2] * 4)
    lines = []
    for i, (name, boxes) in enumerate(sorted(truth(data).items())):
        found = [{"box": [c + i % 4 for c in box], "score": 0.3 + 0.05 * (i % 7)} for box in boxes]
        found += [{"box": [40, 40, 47, 47], "score": 0.5}] * (i % 3)
        lines.append({"id": name, "text": json.dumps(found)})
    (home / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return home


WORDS = ("run", "nova_localization", "--data", "set", "--model", "replay", "-o", "path=answers.jsonl")
WORDS = (*WORDS, "-o", "boxes=xyxy/px", "--out", "out")


@pytest.fixture(scope="module")
def document(home: Path) -> dict[str, Any]:
    """What ``run --json`` prints."""
    done = nova(home, *WORDS, "--json")
    assert done.returncode == 0, done.stderr
    return strict(done.stdout)


def strict(text: str) -> dict[str, Any]:
    """Read one JSON document, and nothing beside it; NaN and infinities are no JSON."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} in JSON")

    document: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return document


# JSON


def test_run_and_report_print_the_same_one_document(home: Path, document: dict[str, Any]) -> None:
    done = nova(home, "report", "out", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert strict(done.stdout) == document


def test_every_column_stands_under_its_own_name_overall_and_by_slice(document: dict[str, Any]) -> None:
    slices = {cell["slice"] for cell in document["cells"]}
    assert {"all", "flair=true", "flair=false", "t2=true", "axial=true", "n_boxes=1"} <= slices
    assert any(name.startswith("box_area=") for name in slices)
    for name in NAMES:
        for part in slices:
            found = cell(document, name, part)
            assert (found["task"], found["model"]) == ("nova_localization", "replay")
            assert found["value"] is not None
    assert cell(document, "ap50")["n"] == 12
    assert cell(document, "ap50", "flair=true")["n"] + cell(document, "ap50", "flair=false")["n"] == 12
    assert cell(document, "tp30")["value"] + 0 == cell(document, "tp30")["value"] > 0
    assert (
        0 < cell(document, "ap")["value"] < cell(document, "ap50")["value"] <= cell(document, "ap30")["value"]
    )


def test_ap_is_what_pycocotools_computes(home: Path, document: dict[str, Any]) -> None:
    pytest.importorskip("pycocotools")
    done = nova(home, "report", "out", "--json", "--coco")
    assert done.returncode == 0, done.stderr
    (run,) = strict(done.stdout)["runs"]
    assert set(run["coco"]) == {"ap50", "ap", "ap30"}
    for name, pair in run["coco"].items():
        assert pair["ours"] == pytest.approx(pair["pycocotools"], abs=1e-9)
        assert pair["ours"] == cell(document, name)["value"]


def test_score_makes_the_report_anew_from_the_log(home: Path, document: dict[str, Any]) -> None:
    report = home / "out" / "report.json"
    before = report.read_bytes()
    report.unlink()
    done = nova(home, "score", "out", "--json")
    assert done.returncode == 0, done.stderr
    assert strict(done.stdout) == document
    assert report.read_bytes() == before


def test_report_of_a_folder_of_runs_has_them_all(home: Path, document: dict[str, Any]) -> None:
    for name in ("nova_caption", "nova_diagnosis@inputs=image"):
        nb.evaluate(
            name,
            lambda request: "",
            data=str(home / "set"),
            out=home / "many" / name,
            limit=2,
            settings=settings(home),
        )
    done = nova(home, "report", "many", "--json")
    assert done.returncode == 0, done.stderr
    found = strict(done.stdout)
    assert {entry["task"] for entry in found["runs"]} == {"nova_caption", "nova_diagnosis@inputs=image"}
    assert {cell["task"] for cell in found["cells"]} == {entry["task"] for entry in found["runs"]}


def test_tables_show_value_interval_and_slices(home: Path, document: dict[str, Any]) -> None:
    whole, short = nova(home, "report", "out"), nova(home, "report", "out", "--no-slices")
    assert (whole.returncode, short.returncode) == (0, 0)
    assert f"{cell(document, 'ap50')['value']:.3f}" in short.stdout
    assert "ap50(image11)" in short.stdout
    assert "flair=true" in whole.stdout
    assert "flair=true" not in short.stdout


# Wrong use


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "nova_localisation", "--model", "prior"), "did you mean 'nova_localization'"),
        (("run", "nova_localization@imag=none", "--model", "prior"), "did you mean 'image'"),
        (("run", "nova_localization@image=shufled", "--model", "prior"), "did you mean 'image=shuffled'"),
        (("run", "nova_diagnosis@inputs=imge", "--model", "prior"), "did you mean 'inputs=image'"),
        (("run", "nova_localization@image", "--model", "prior"), "expected @key=value"),
        (("run", "mini@inputs=image", "--model", "prior"), "a suite takes no variant"),
        (("run", "nova_localization", "--model", "openia:x"), "did you mean 'openai'"),
        (("run", "nova_localization", "--model", "openai"), "which model?"),
        (("run", "nova_localization", "--model", "openai:"), "ends in a colon"),
        (("run", "nova_localization", "--model", "openai:x", "-o", "base_ur=y"), "did you mean 'base_url'"),
        (("run", "nova_localization", "--model", "openai:x", "-o", "base_url"), "expected key=value"),
        (("run", "nova_localization", "--model", "openai:x", "-o", "deadline=soon"), "expected a number"),
        (("run", "nova_localization", "--model", "prior", "-o", "boxes=xyxy"), "boxes"),
        (("run", "nova_localization", "--model", "prior", "-p", "temprature=1"), "temperature"),
        (("run", "nova_localization", "--model", "prior", "-p", "seed=1", "-p", "seed=2"), "given twice"),
        (("run", "nova_localization", "--model", "prior", "--concurrency", "0"), "expected 1 or more"),
        (
            ("run", "nova_localization", "--model", "prior", "--concurrency", "4"),
            "option 'concurrency' not found",
        ),
        (("run", "nova_localization", "--model", "./none.py"), "does not exist"),
        (("run", "./none.py", "--model", "prior"), "does not exist"),
        (("run", "nova_localization"), "--model"),
        (("show", "ap5"), "did you mean 'ap50'"),
        (("report", "nowhere"), "no run in nowhere"),
        (("list", "taks"), "invalid choice"),
    ],
)
def test_wrong_use_exits_with_2_and_says_what_there_is(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    said: str,
) -> None:
    from nova_bench.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    given = (*words, "--data", "mini") if words[0] == "run" else words
    try:
        code = main(given)
    except SystemExit as exit_:  # argparse's own
        code = exit_.code
    printed = capsys.readouterr()
    assert code == 2, printed.err
    assert said in printed.err
    assert printed.out == ""
    assert "Traceback" not in printed.err
    assert not list(tmp_path.rglob("manifest.json"))


@pytest.mark.parametrize(
    "words",
    [
        ("run", "acme.py", "--model", "prior"),
        ("run", "acme", "--model", "prior"),
        ("run", "mini", "--model", "acme.py"),
        ("check", "acme"),
    ],
)
def test_file_without_a_slash_is_offered_by_its_path(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "acme.py").write_text("open('ran', 'w')\n")
    done = nova(tmp_path, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the file that is here is ./acme.py" in done.stderr
    assert not (tmp_path / "ran").exists()


def test_run_of_an_adapter_that_was_edited_since_is_refused_in_words(tmp_path: Path) -> None:
    prior = Path(nb.__file__).parent.parent / "adapters" / "prior.py"
    shutil.copy(prior, tmp_path / "acme.py")
    words = ("run", "nova_localization", "--data", "mini", "--limit", "1", "--model", "./acme.py")
    assert nova(tmp_path, *words).returncode == 0
    with (tmp_path / "acme.py").open("a", encoding="utf-8") as file:
        file.write("# edited\n")
    done = nova(tmp_path, *words)
    assert done.returncode == 1
    assert "holds another run (the adapter's file has changed since)" in done.stderr


def test_misspelt_header_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "# /// script\n# [tool.nova-bench]\n# licence = 'mit'\n# ///\ndef load():\n    return None\n"
    )
    done = nova(tmp_path, "run", "nova_localization", "--data", "mini", "--model", "./mine.py")
    assert done.returncode == 1
    assert "header key 'licence' not found" in done.stderr
    assert "did you mean 'license'" in done.stderr


def test_folder_without_the_table_is_refused_with_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = nova(tmp_path, "run", "nova_localization", "--data", "empty", "--model", "prior")
    assert done.returncode in (1, 2)
    assert "data/nova-v1.parquet" in done.stderr
    assert "Traceback" not in done.stderr


def test_incomplete_run_exits_with_1_from_run_and_report(tmp_path: Path, home: Path) -> None:
    def some(request: nb.Request) -> str:
        if request.id == "case0000_000.png":
            raise OSError("gone")
        return "[]"

    nb.evaluate(
        "nova_localization", some, data=str(home / "set"), out=tmp_path / "out", settings=settings(tmp_path)
    )
    done = nova(tmp_path, "report", "out", "--json")
    assert done.returncode == 1
    found = cell(strict(done.stdout), "hit30")
    assert (found["n_failed"], found["incomplete"]) == (1, True)


def test_reader_that_leaves_early_is_no_error(home: Path, document: dict[str, Any]) -> None:
    command = (
        f"{sys.executable} -m nova_bench report out --json | head -c 100 > /dev/null; echo ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(
        ["bash", "-c", command], cwd=home, env=environment(home), capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


# Other verbs


def test_list_names_what_there_is(tmp_path: Path) -> None:
    found = strict(nova(tmp_path, "list", "--json").stdout)
    assert {entry["name"] for entry in found["tasks"]} >= {
        "nova_localization",
        "nova_caption",
        "nova_diagnosis",
    }
    assert {entry["name"] for entry in found["adapters"]} >= {"openai", "replay", "symmetry", "prior"}
    assert {entry["name"] for entry in found["suites"]} >= {"nova", "mini"}
    assert all(entry["about"] for kind in ("tasks", "adapters", "suites") for entry in found[kind])
    metrics = strict(nova(tmp_path, "list", "metrics", "--json").stdout)
    assert {entry["name"] for entry in metrics["metrics"]} >= set(NAMES)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nova", "nova_diagnosis"),
        ("mini", "synthetic"),
        ("nova_localization", "CC-BY-NC-SA-4.0"),
        ("nova_caption", "281 cases"),
        ("nova_diagnosis", "history+caption"),
        ("openai", "base_url"),
        ("replay", "path"),
        ("symmetry", "option"),
        ("prior", "option"),
        ("ap50(tie)", "nova_localization"),
    ],
)
def test_show_has_a_page_for_each_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    from nova_bench.cli import main

    monkeypatch.setenv("COLUMNS", "160")
    assert main(["show", name]) == 0
    assert said in capsys.readouterr().out


def test_doctor_reports_what_is_there(tmp_path: Path) -> None:
    done = nova(tmp_path, "doctor", "--json")
    assert done.returncode == 0, done.stderr
    states = {finding["what"]: finding["state"] for finding in strict(done.stdout)["findings"]}
    assert states["Python"] == states["numpy"] == states["cache folder"] == "ok"
    assert states["OPENAI_API_KEY"] == "lacks"
    (tmp_path / "file").touch()
    broken = nova(tmp_path, "doctor", env={"XDG_CACHE_HOME": str(tmp_path / "file")})
    assert broken.returncode == 1
    assert "FAULT" in broken.stdout


# Imports


@pytest.mark.parametrize(
    "code",
    [
        "import nova_bench; nova_bench.Box, nova_bench.UsageError",
        "from nova_bench.cli import main; main(['list'])",
    ],
)
def test_start_loads_nothing_heavy(tmp_path: Path, code: str) -> None:
    report = f"import sys; print(sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "[]\n"


# A full disk


def test_full_disk_keeps_what_was_earned_and_the_next_start_goes_on(tmp_path: Path, home: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import nova_bench as nb\ndef load():\n    return nb.each(lambda request: '[] ' + request.id * 300)\n"
    )
    words = ("run", "nova_localization", "--data", home / "set", "--model", "./mine.py", "--out", "out")

    def little_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (22_000, 22_000))

    full = nova(tmp_path, *words, before=little_disk, env={"PYTHONDONTWRITEBYTECODE": "1"})
    assert full.returncode == 1
    assert "cannot write to" in full.stderr
    assert "give the same command again" in full.stderr
    assert "Traceback" not in full.stderr
    kept = (tmp_path / "out" / "responses.jsonl").read_bytes()
    assert kept.endswith(b"\n")
    assert 0 < len(log_of(tmp_path / "out")) < 12
    again = nova(tmp_path, *words)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "out" / "responses.jsonl").read_bytes().startswith(kept)
    assert len(final_ids(tmp_path / "out")) == len(log_of(tmp_path / "out")) == 12
