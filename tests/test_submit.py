"""`submit`: everything that a run lacks is said at once, each with its remedy; the adapter's own check; the command line."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from loopback import serve
from loopback_plan import Plan
from running import make_set, nova, settings
from submissions import ADAPTER, Clerk, contents, missing, run, submitted, write_adapter

import nova_bench as nb

GREEDY = """\
class Greedy:
    def __init__(self, answer):
        self.answer = nb.each(answer)

    def generate(self, requests):
        return self.answer.generate(list(requests))


"""


def copied(made: nb.Run, home: Path) -> nb.Run:
    """Return a copy of a run."""
    shutil.copytree(made.folder, home / "copy")
    return nb.open_run(home / "copy", settings=settings(home))


def rewritten(made: nb.Run, home: Path, **changes: Any) -> nb.Run:
    """Return a run after changes to its manifest's identity."""
    path = made.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["identity"].update(changes)
    path.write_text(json.dumps(manifest))
    (made.folder / "report.json").unlink(missing_ok=True)  # it says in each signature what the manifest said
    return nb.open_run(made.folder, settings=settings(home))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nb.Run]:
    """A home and a run in it that lacks nothing."""
    home = tmp_path_factory.mktemp("whole")
    return home, run(home, write_adapter(home))


def test_a_limit_is_told_together_with_all_else(tmp_path: Path) -> None:
    failing = ADAPTER.replace("def text(", "BAD = 'case0001'\n\n\ndef text(").replace(
        "    if (request.ask",
        "    if size > 400 and request.sample.endswith('1.png'):\n        raise ValueError('no')\n    if (request.ask",
    )
    adapter = write_adapter(tmp_path, failing)
    made = run(tmp_path, adapter, limit=5, options={"size": "401"})
    adapter.write_text(failing + "\n")
    told = missing(submitted(tmp_path, made))
    assert len(told) == 3
    assert "5 clusters were asked for (--limit 5) -> give the run's command again without --limit" in told[0]
    assert "requests have no answer" in told[1]
    assert "ValueError: no" in told[1]
    assert "has changed since the run" in told[2]
    assert not (tmp_path / "board").exists()


def test_what_was_never_asked_is_missing(whole: tuple[Path, nb.Run], tmp_path: Path) -> None:
    made = copied(whole[1], tmp_path)
    log = made.folder / "responses.jsonl"
    log.write_text("".join(f"{line}\n" for line in log.read_text().splitlines()[2:]))
    (told,) = missing(submitted(tmp_path, nb.open_run(made.folder, settings=settings(tmp_path))))
    assert "2 of 68 requests have no answer (2 x not answered yet)" in told
    manifest = json.loads((made.folder / "manifest.json").read_text())
    manifest["starts"][-1]["command"] = [
        "nova-bench",
        "run",
        "mini",
        "--model",
        "./my acme.py",
        "-o",
        "size=401",
    ]
    (made.folder / "manifest.json").write_text(json.dumps(manifest))
    told = missing(submitted(tmp_path, nb.open_run(made.folder, settings=settings(tmp_path))))[0]
    assert told.endswith("what is open: nova-bench run mini --model './my acme.py' -o size=401")
    manifest["starts"][-1]["command"] = []
    (made.folder / "manifest.json").write_text(json.dumps(manifest))
    told = missing(submitted(tmp_path, nb.open_run(made.folder, settings=settings(tmp_path))))[0]
    assert "--model acme with the run's other options and --out" in told


def test_judges_that_have_not_finished_and_those_that_say_nothing(tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path)
    waits = run(tmp_path, adapter, "nova_diagnosis", judges=[Clerk(9, fails=True)], out=tmp_path / "a")
    (told,) = missing(submitted(tmp_path, waits))
    assert "8 answers wait for a verdict of judge Clerk" in told
    silent = run(tmp_path, adapter, "nova_diagnosis", judges=[Clerk(9)], out=tmp_path / "b")
    (told,) = missing(submitted(tmp_path, silent))
    assert "judge Clerk left 11.8% unjudged; at most 1% may be" in told
    nearly = run(tmp_path, adapter, "nova_diagnosis", judges=[Clerk(200)], out=tmp_path / "c")
    (told,) = missing(submitted(tmp_path, nearly))
    assert "1.5% unjudged" in told


def test_a_stand_in_judges_no_real_data(tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", [1, 2] * 4)
    made = run(tmp_path, write_adapter(tmp_path), "nova_caption", data=str(data), judges=["rule_based_judge"])
    (told,) = missing(submitted(tmp_path, made))
    assert "judge rule-based stand-in is a stand-in" in told
    alone = run(tmp_path, tmp_path / "acme.py", data=str(data), out=tmp_path / "alone")
    record = submitted(tmp_path, alone)["submitted"][0]
    assert Path(record["entry"]).parent.parent.name == "entries"
    assert any("there is no revision, and the digest alone" in warning for warning in record["warnings"])
    entry = json.loads(Path(record["entry"]).read_text())
    assert (entry["data"]["kind"], entry["data"]["revision"], entry["data"]["synthetic"]) == (
        "path",
        None,
        False,
    )
    assert "--data PATH" in entry["reproduce"]


def test_a_function_is_no_adapter(tmp_path: Path) -> None:
    made = nb.evaluate(
        "nova_localization",
        lambda request: "[]",
        data="mini",
        out=tmp_path / "run",
        settings=settings(tmp_path),
    )
    (told,) = missing(submitted(tmp_path, made))
    assert "is no adapter by name or file" in told
    assert "nova-bench new adapter" in told


def test_a_file_is_found_by_its_path_or_named(whole: tuple[Path, nb.Run], tmp_path: Path) -> None:
    made = nb.evaluate(
        "nova_localization",
        str(whole[0] / "acme.py"),
        data="mini",
        out=tmp_path / "run",
        settings=settings(tmp_path),
    )
    (told,) = missing(submitted(tmp_path, made))
    assert "--adapter FILE" in told
    assert submitted(tmp_path, made, adapter=whole[0] / "acme.py")["submitted"]
    other = tmp_path / "other.py"
    other.write_text(ADAPTER)
    (told,) = missing(submitted(tmp_path, made, adapter=other))
    assert "is adapter other" in told


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"passed": False, "findings": [{"step": "lazy", "state": "fail", "what": "reads all"}]},
            "does not pass check .*lazy: reads all",
        ),
        ({"source": "0" * 64}, "the check is of another file"),
        (
            {"options": {"note": "", "size": 200}},
            "with other options than the run: size was 300, checked 200",
        ),
        ({"options": None}, "with other options"),
    ],
)
def test_a_saved_check_is_of_this_file_and_these_options(
    whole: tuple[Path, nb.Run], change: dict[str, Any], said: str
) -> None:
    home, made = whole
    (told,) = missing(submitted(home, made, change=change, out=home / "none"))
    assert re.search(said, told)
    assert not (home / "none").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "acme/vlm", "trust_remote_code": True}, "no commit says which"),
        ({"api_key": "sk-1"}, "option api_key of the model looks like a key"),
        ({"weights_in": "/home/me/weights"}, "option weights_in of the model is a place on this machine"),
        ({"weights_in": "~/weights"}, "is a place on this machine"),
        ({"other": "hf_" + "a1" * 12}, "option other of the model looks like a key"),
        ({"server": "https://me:pw@models.example/v1"}, "option server of the model looks like a key"),
        (
            {"server": "http://gpu-box:8000/v1"},
            "option server of the model is an address in a private network",
        ),
    ],
)
def test_options_that_may_not_be_published(
    whole: tuple[Path, nb.Run], tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    made = copied(whole[1], tmp_path)
    model = json.loads((made.folder / "manifest.json").read_text())["identity"]["model"]
    opened = rewritten(made, tmp_path, model={**model, "options": options})
    (told,) = missing(submitted(tmp_path, opened))
    assert said in told
    pinned = {
        "model": "acme/vlm",
        "trust_remote_code": True,
        "revision": "0" * 40,
        "server": "https://api.example.org",
    }
    opened = rewritten(made, tmp_path, model={**model, "options": pinned})
    assert submitted(tmp_path, opened)["submitted"]


def test_a_server_that_calls_its_model_by_a_folder_is_told_of(tmp_path: Path) -> None:
    path = write_adapter(tmp_path, ADAPTER.replace('model="acme-1"', 'model="/scratch/me/acme-1"'))
    (told,) = missing(submitted(tmp_path, run(tmp_path, path)))
    assert "the server called its model /scratch/me/acme-1, a place on its machine" in told


def test_what_a_reader_would_reject_is_not_handed_out(tmp_path: Path) -> None:
    made = run(tmp_path, write_adapter(tmp_path), limit=None, params={"stop": "a\nb"})
    with pytest.raises(nb.NovaBenchError, match=r"verify` would reject it .reproduce holds more than words"):
        submitted(tmp_path, made)
    assert not [path for path in (tmp_path / "board").rglob("*") if path.is_file()]


def test_a_report_that_was_edited_by_hand_is_not_handed_out(
    whole: tuple[Path, nb.Run], tmp_path: Path
) -> None:
    made = copied(whole[1], tmp_path)
    report = made.report()
    cell = next(cell for cell in report["cells"] if cell["metric"] == "hit50" and cell["slice"] == "all")
    stated = cell["value"]
    cell["value"] = 0.987
    (made.folder / "report.json").write_text(json.dumps(report))
    with pytest.raises(
        nb.NovaBenchError, match=r"verify` would reject it .*value is 0\.987, expected"
    ) as told:
        submitted(tmp_path, nb.open_run(made.folder, settings=settings(tmp_path)))
    assert f"{stated}" in str(told.value)
    assert not [path for path in (tmp_path / "board").rglob("*") if path.is_file()]


def test_a_task_of_ones_own_is_no_entry(tmp_path: Path) -> None:
    task = tmp_path / "nova_localization.py"
    task.write_text('"""Mine."""\nimport nova_bench as nb\n\nTASK = nb.load_task("nova_localization")\n')
    made = run(tmp_path, write_adapter(tmp_path), str(task))
    (told,) = missing(submitted(tmp_path, made))
    assert "does not come with nova-bench" in told


def test_data_of_the_hub_need_their_commit(
    whole: tuple[Path, nb.Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, made = whole
    monkeypatch.setattr(made.plan.data, "kind", "full")
    monkeypatch.setattr(made.plan.data, "is_synthetic", False)
    monkeypatch.setattr(made.plan.data, "revision", "main")
    (told,) = missing(submitted(home, made, out=home / "hub"))
    assert "revision is main, which is no commit" in told


def test_a_model_behind_a_server_is_checked_where_it_was_asked_and_its_address_stays_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openai")
    monkeypatch.setenv("ACME_TOKEN", "tok-canary-123")
    options = {"key_env": "ACME_TOKEN", "reasoning_effort": "low"}
    with serve(Plan()) as (url, server):
        made = run(tmp_path, "openai:org/acme-vlm", options={"base_url": url, **options})
        calls = server.stats.calls
        record = nb.submit(made, out=tmp_path / "board")["submitted"][0]
        assert server.stats.calls > calls
    assert Path(record["entry"]).parent.name.startswith("openai-org-acme-vlm-")
    members = contents(record["bundle"])
    everything = b"".join([*members.values(), Path(record["entry"]).read_bytes()])
    assert not [word for word in (b"tok-canary", b"127.0.0.1", url.encode()) if word in everything]
    bundle = json.loads(members["bundle.json"])
    assert bundle["check"]["options"] == bundle["model"]["options"]
    wanted = (
        "nova-bench run nova_localization --model openai:org/acme-vlm -o reasoning_effort=low --data mini"
    )
    assert bundle["reproduce"] == wanted
    gone = nb.submit(made, out=tmp_path / "other")
    assert "does not pass check" in gone["refused"][0]["missing"][0]["what"]


def test_the_command_line_checks_the_adapter_once_and_submits_two_runs(tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path)
    done = nova(
        tmp_path,
        "run",
        "nova_localization",
        "nova_caption",
        "--model",
        adapter,
        "--data",
        "mini",
        "--out",
        "runs",
    )
    assert done.returncode == 0, done.stderr
    dry = nova(tmp_path, "submit", "runs", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "nothing is missing" in dry.stdout
    assert not (tmp_path / "leaderboard").exists()
    said = nova(tmp_path, "submit", "runs", "--out", "my board")
    assert said.stdout.endswith("nova-bench verify 'my board/synthetic/acme'\n")
    done = nova(tmp_path, "submit", "runs", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("check of") == 1
    document = json.loads(done.stdout)
    assert [record["task"] for record in document["submitted"]] == ["nova_caption", "nova_localization"]
    assert document["refused"] == []
    assert sorted(
        path.relative_to(tmp_path / "leaderboard").as_posix() for path in tmp_path.glob("leaderboard/**/*.*")
    ) == [
        f"synthetic/acme/{name}"
        for name in (
            "nova_caption.json",
            "nova_caption.zip",
            "nova_localization.json",
            "nova_localization.zip",
        )
    ]


def test_the_command_line_refuses_an_unfit_adapter_with_1_and_says_what_to_do(tmp_path: Path) -> None:
    greedy = ADAPTER.replace("return nb.each(", "return Greedy(").replace(
        "def load(", f"{GREEDY}def load(", 1
    )
    adapter = write_adapter(tmp_path, greedy)
    done = nova(tmp_path, "run", "nova_localization", "--model", adapter, "--data", "mini", "--out", "run")
    assert done.returncode == 0, done.stderr
    done = nova(tmp_path, "submit", "run")
    assert done.returncode == 1
    assert "not submitted, 1 thing missing" in done.stdout
    assert "does not pass check" in done.stdout
    assert "-> see all of it: nova-bench check" in done.stdout
    assert not (tmp_path / "leaderboard").exists()
    assert nova(tmp_path, "submit", "nowhere").returncode == 2
    (tmp_path / "bad.json").write_text('{"adapter": "acme"}')
    done = nova(tmp_path, "submit", "run", "--check", "bad.json")
    assert done.returncode == 2
    assert "expected what `nova-bench check ADAPTER --json` prints" in done.stderr
