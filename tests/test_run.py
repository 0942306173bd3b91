"""Runs that go wrong, are stopped, repeated or controlled: what is kept, what is said, and what the next start does."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback import Plan as ServerPlan
from loopback import images_of, serve
from PIL import Image as Pillow
from running import cell, command, environment, final_ids, log_of, make_set, nova, settings, truth

import nova_bench as nb
from nova_bench.errors import AdapterError, IdentityError, UnknownNameError, UsageError

HEAD = "from __future__ import annotations\nimport nova_bench as nb\n"
GOOD = HEAD + (
    "class A:\n"
    "    def generate(self, requests):\n"
    "        for request in requests:\n"
    "            yield nb.Response(request.id, '[]')\n"
    "def load(*, note: str = '', base_url: str = ''):\n"
    "    return A()\n"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set: 8 cases, 12 images."""
    return make_set(tmp_path_factory.mktemp("small") / "set", [1, 2] * 4)


def adapter(folder: Path, body: str, name: str = "mine") -> str:
    """Write an adapter whose ``generate`` has this body, and return its path."""
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    path = folder / f"{name}.py"
    path.write_text(
        HEAD
        + f"class A:\n    def generate(self, requests):\n{lines}\ndef load(*, note: str = ''):\n    return A()\n"
    )
    return str(path)


def run(home: Path, where: Path, model: Any, task: str = "nova_localization", **more: Any) -> nb.Run:
    """Run in this process, into ``home/out``."""
    return nb.evaluate(
        task, model, **{"data": str(where), "out": home / "out", "settings": settings(home), **more}
    )


def reasons(run: nb.Run) -> dict[str, str]:
    """Return why samples failed."""
    return dict(run.scored.reasons)


class Recorder:
    """An adapter that keeps what it was asked."""

    def __init__(self, text: str = "[]") -> None:
        self.asked: list[nb.Request] = []
        self.text = text

    def generate(self, requests: Iterator[nb.Request]) -> Iterator[nb.Response]:
        for request in requests:
            self.asked.append(request)
            yield nb.Response(request.id, self.text)


# Ctrl-C


def test_ctrl_c_lets_what_is_in_flight_arrive_and_the_same_command_goes_on(
    tmp_path: Path, data: Path
) -> None:
    out = tmp_path / "out"
    with serve(ServerPlan(latency=0.4)) as (url, server):
        words = (
            "run",
            "nova_localization",
            "--data",
            data,
            "--model",
            "openai:tiny",
            "-o",
            f"base_url={url}",
        )
        words = (*words, "--concurrency", "3", "--out", out)
        process = subprocess.Popen(
            command(*words),
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while len(final_ids(out)) < 2 or not server.stats.in_flight:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "stopped" in stderr
        assert "the same command goes on" in stderr
        assert "Traceback" not in stderr
        assert 2 < len(final_ids(out)) < 12
        assert server.stats.answered.total() == len(final_ids(out))  # nothing in flight was thrown away
        server.plan.latency = 0.0
        again = nova(tmp_path, *words)
        assert again.returncode == 0, again.stderr
        assert server.stats.answered.total() == len(final_ids(out)) == 12


def test_second_ctrl_c_ends_at_once_and_keeps_what_arrived(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "out"
    with serve(ServerPlan(first=(None, None, None), faults={"hang": 1.0})) as (url, server):
        words = (
            "run",
            "nova_localization",
            "--data",
            data,
            "--model",
            "openai:tiny",
            "-o",
            f"base_url={url}",
        )
        process = subprocess.Popen(
            command(*words, "--concurrency", "2", "--out", out),
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while len(final_ids(out)) < 3 or server.stats.in_flight < 2:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None  # it waits for what is in flight
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "stopped" in stderr
    assert "Traceback" not in stderr
    assert len(final_ids(out)) == 3


# Adapters that break the contract


def test_adapter_that_raises_on_import_is_refused_with_its_line(tmp_path: Path, data: Path) -> None:
    (tmp_path / "bad.py").write_text("x = 1\nraise RuntimeError('no weights here')\n")
    done = nova(
        tmp_path, "run", "nova_localization", "--data", data, "--model", "./bad.py", "--out", tmp_path / "out"
    )
    assert done.returncode == 1
    assert "bad.py line 2" in done.stderr
    assert "RuntimeError: no weights here" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            HEAD + "def load():\n    raise ValueError('no GPU')\n",
            r"load\(\) of adapter 'bad' line 4 raised ValueError: no GPU",
        ),
        (HEAD + "def load():\n    return 3\n", r"returned a int; expected an object with generate"),
        (HEAD + "def load(path):\n    return None\n", r"parameter 'path' needs a default"),
        (HEAD, r"has no load\("),
        ("def load(:\n", r"cannot be loaded .*SyntaxError"),
    ],
)
def test_adapter_that_cannot_load_is_refused(tmp_path: Path, data: Path, source: str, said: str) -> None:
    (tmp_path / "bad.py").write_text(source)
    with pytest.raises(AdapterError, match=said):
        run(tmp_path, data, str(tmp_path / "bad.py"))


def test_adapter_that_dies_half_way_keeps_what_was_answered(tmp_path: Path, data: Path) -> None:
    path = adapter(
        tmp_path,
        "import pathlib\n"
        "for i, request in enumerate(requests):\n"
        "    if i == 5 and not pathlib.Path('mended').exists():\n"
        "        raise RuntimeError('out of memory')\n"
        "    yield nb.Response(request.id, '[]')",
    )
    words = ("run", "nova_localization", "--data", data, "--model", path, "--out", "out")
    died = nova(tmp_path, *words, "--json")
    assert died.returncode == 1
    assert "RuntimeError: out of memory" in died.stderr
    assert "mine.py line" in died.stderr
    assert "the same command goes on" in died.stderr
    assert len(final_ids(tmp_path / "out")) == 5
    found = cell(json.loads(died.stdout), "hit50")
    assert (found["n"], found["n_failed"], found["incomplete"]) == (12, 7, True)
    assert found["bounds"] == [0.0, pytest.approx(7 / 12)]
    before = (tmp_path / "out" / "responses.jsonl").read_bytes()
    (tmp_path / "mended").touch()
    again = nova(tmp_path, *words)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "out" / "responses.jsonl").read_bytes().startswith(before)
    assert len(log_of(tmp_path / "out")) == 12


def test_wrong_and_repeated_ids_are_left_out_and_said(tmp_path: Path, data: Path) -> None:
    path = adapter(
        tmp_path,
        "for request in requests:\n"
        "    yield nb.Response('nobody', '[]')\n"
        "    yield nb.Response(request.id, 'first []')\n"
        "    yield nb.Response(request.id, 'second []')",
    )
    done = run(tmp_path, data, path)
    assert done.progress is not None
    (message,) = done.progress.messages
    assert "24 responses for ids that were not asked, or were answered already" in message
    assert "'nobody'" in message
    assert [record["text"] for record in log_of(done.folder)] == ["first []"] * 12
    assert done.is_complete


def test_too_few_answers_are_failures_that_the_next_start_asks(tmp_path: Path, data: Path) -> None:
    path = adapter(
        tmp_path,
        "import itertools\nfor request in list(requests)[:4]:\n    yield nb.Response(request.id, '[]')",
    )
    words = ("run", "nova_localization", "--data", data, "--model", path, "--out", "out")
    logged = []
    for code in (1, 1, 0):
        done = nova(tmp_path, *words)
        assert done.returncode == code
        assert ("ended without answering" in done.stderr) == (code == 1)
        logged.append(len(log_of(tmp_path / "out")))
    assert logged == [4, 8, 12]


class GivesUp:
    """An adapter that fails for some samples and ends the run after three failures in a row, if nothing was answered; as backends do."""

    def __init__(self, bad: set[str], most: int = 99) -> None:
        self.bad, self.most, self.asked = bad, most, list[str]()

    def generate(self, requests: Iterator[nb.Request]) -> Iterator[nb.Response]:
        for request in requests:
            self.asked.append(request.id)
            is_bad = request.id in self.bad
            yield (
                nb.Response(request.id, error="HTTP 400", finish="error")
                if is_bad
                else nb.Response(request.id, "[]")
            )
            if len(self.asked) == 3 and self.bad.issuperset(self.asked):
                raise AdapterError("three times in a row")
            if len(self.asked) == self.most:
                return


def test_samples_that_always_fail_are_asked_last_and_block_no_resume(tmp_path: Path, data: Path) -> None:
    everything = Recorder()
    run(tmp_path / "all", data, everything)
    ids = [request.id for request in everything.asked]
    bad = ids[1:7]
    starts = [GivesUp(set(bad), most=8), *(GivesUp(set(bad)) for _ in range(3))]
    ends = [run(tmp_path, data, start) for start in starts]
    assert starts[0].asked == ids[:8]
    assert starts[1].asked == [*ids[8:], *bad]  # at the front they would have ended the run
    assert starts[2].asked == bad[:3]
    assert (
        starts[3].asked == bad[3:]
    )  # what was not asked for longest comes first: no failure hides another for ever
    errors = [end.progress.error for end in ends if end.progress is not None]
    assert [type(error) for error in errors] == [type(None), type(None), AdapterError, AdapterError]
    assert run(tmp_path, data, GivesUp(set())).is_complete


@pytest.mark.parametrize(
    "counts", [{"input_tokens": "12"}, {"output_tokens": float("nan")}, {"cached_tokens": -1}]
)
def test_token_counts_that_are_none_cost_no_answer(
    tmp_path: Path, data: Path, counts: dict[str, Any]
) -> None:
    class Odd:
        def generate(self, requests: Iterator[nb.Request]) -> Iterator[nb.Response]:
            for request in requests:
                usage = nb.Usage(**{"input_tokens": 3, "output_tokens": 4, **counts})
                yield nb.Response(request.id, "[]", usage=usage, model=7)  # type: ignore[arg-type]

    done = run(tmp_path, data, Odd(), budget=nb.Budget(max_hours=1))
    assert done.is_complete
    (kept,) = {tuple(sorted(record["usage"].items())) for record in log_of(done.folder)}
    whole = {"input_tokens": 3, "output_tokens": 4}
    assert dict(kept) == {key: value for key, value in whole.items() if key not in counts}
    assert not any("model" in record for record in log_of(done.folder))


def test_answer_that_is_no_response_ends_the_run_and_keeps_the_log(tmp_path: Path, data: Path) -> None:
    path = adapter(
        tmp_path,
        "for i, request in enumerate(requests):\n    yield nb.Response(request.id, '[]') if i < 3 else '[]'",
    )
    done = run(tmp_path, data, path)
    assert done.progress is not None
    assert isinstance(done.progress.error, AdapterError)
    assert "yielded a str" in str(done.progress.error)
    assert len(log_of(done.folder)) == 3
    assert cell(done.report(), "ap50")["n_failed"] == 9


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("nb.Response(request.id, 'x' * 10_000_000)", "10,000,000 characters"),
        ("nb.Response(request.id, 5)", "text is a int"),
        ("nb.Response(request.id, None)", "no text"),
        ("nb.Response(request.id, '[]', finish='done')", "finish is 'done'"),
        ("nb.Response(request.id, None, finish='error')", "without saying why"),
    ],
)
def test_broken_answer_fails_for_that_sample_alone(tmp_path: Path, data: Path, made: str, said: str) -> None:
    path = adapter(
        tmp_path,
        f"for i, request in enumerate(requests):\n    yield {made} if i == 3 else nb.Response(request.id, '[]')",
    )
    done = run(tmp_path, data, path)
    assert done.progress is not None
    assert done.progress.error is None
    (reason,) = reasons(done).values()
    assert said in reason
    found = cell(done.report(), "ap50")
    assert (found["n_failed"], found["counts"]["ok"], found["counts"]["failed"]) == (1, 11, 1)
    assert (done.folder / "responses.jsonl").stat().st_size < 100_000


def test_lone_surrogates_survive_log_and_report(tmp_path: Path, data: Path) -> None:
    text = 'a \ud800 lesion \udcff [{"box": [1, 2, 3, 4], "label": "\ud83d"}] \x00\u2028'
    path = adapter(tmp_path, f"for request in requests:\n    yield nb.Response(request.id, {text!a})")
    words = ("run", "nova_localization", "--data", data, "--model", path, "--out", "out", "--json")
    done = nova(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert cell(json.loads(done.stdout), "ap50")["counts"]["ok"] == 12
    assert {record["text"] for record in log_of(tmp_path / "out")} == {text}


def test_long_answer_within_the_limit_is_scored(tmp_path: Path, data: Path) -> None:
    done = run(tmp_path, data, Recorder("[1, " * 100_000), limit=1)
    assert done.is_complete
    assert cell(done.report(), "ap50")["n_failed"] == 0


def test_function_that_raises_fails_for_its_samples_alone(tmp_path: Path, data: Path) -> None:
    def answer(request: nb.Request) -> str:
        if request.id.startswith("case0003"):
            raise KeyError("lost")
        return "[]"

    done = run(tmp_path, data, answer)
    assert set(reasons(done)) == {"case0003_000.png", "case0003_001.png"}
    assert "KeyError" in reasons(done)["case0003_000.png"]


# Identity


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"options": {"note": "b"}}, 'model.options.note was "a", now "b"'),
        ({"params": {"temperature": "0.7"}}, "params.temperature was 0.0, now 0.7"),
        ({"repeats": 2}, "repeats was 1, now 2"),
        ({"variant": {"image": "none"}}, 'variant.image was "given", now "none"'),
        ({"task": "nova_caption"}, 'task was "nova_localization", now "nova_caption"'),
        ({"options": {"note": "a", "boxes": "xyxy/px"}}, 'frame was "xyxy/1000", now "xyxy/px"'),
        ({"options": {"note": "a", "think": "none"}}, "think was"),
        ({"data": "mini"}, "data.digest was"),
    ],
)
def test_folder_of_another_run_is_refused_with_the_difference(
    tmp_path: Path, data: Path, changed: dict[str, Any], named: str
) -> None:
    (tmp_path / "good.py").write_text(GOOD)
    path = str(tmp_path / "good.py")
    run(tmp_path, data, path, limit=1, options={"note": "a"})
    before = (tmp_path / "out" / "manifest.json").read_bytes()
    with pytest.raises(IdentityError) as caught:
        run(tmp_path, data, path, **{"limit": 1, "options": {"note": "a"}, **changed})
    assert named in str(caught.value)
    assert "Choose another --out" in str(caught.value)
    assert (tmp_path / "out" / "manifest.json").read_bytes() == before


def test_changed_adapter_file_is_another_run(tmp_path: Path, data: Path) -> None:
    (tmp_path / "good.py").write_text(GOOD)
    run(tmp_path, data, str(tmp_path / "good.py"), limit=1)
    (tmp_path / "good.py").write_text(GOOD.replace("'[]'", "'[ ]'"))
    with pytest.raises(IdentityError, match="the adapter's file has changed since"):
        run(tmp_path, data, str(tmp_path / "good.py"), limit=1)


def test_transport_and_limit_are_no_part_of_the_identity(tmp_path: Path, data: Path) -> None:
    header = "# /// script\n# [tool.nova-bench]\n# transport = ['base_url']\n# ///\n"
    (tmp_path / "good.py").write_text(header + GOOD)
    path = str(tmp_path / "good.py")
    run(tmp_path, data, path, limit=1, options={"base_url": "http://me:secret@one/"})
    done = run(tmp_path, data, path, limit=2, options={"base_url": "http://two/"})
    manifest = json.loads((done.folder / "manifest.json").read_text())
    assert [start["limit"]["n"] for start in manifest["starts"]] == [1, 2]
    assert [start["transport"]["base_url"] for start in manifest["starts"]] == ["http://one/", "http://two/"]


# Limit, repeats and controls


def test_larger_limit_goes_on_without_asking_again(tmp_path: Path, data: Path) -> None:
    first, second, third = Recorder(), Recorder(), Recorder()
    run(tmp_path, data, first, limit=3)
    done = run(tmp_path, data, second, limit=5)
    asked = [{request.id for request in model.asked} for model in (first, second)]
    assert not asked[0] & asked[1]
    assert len({name[:8] for name in asked[0]}) == 3
    assert len({name[:8] for name in asked[0] | asked[1]}) == 5
    assert cell(done.report(), "ap50")["n"] == len(asked[0]) + len(asked[1])
    done = run(tmp_path, data, third)
    assert {request.id for request in third.asked} | asked[0] | asked[1] == set(truth(data))
    assert cell(done.report(), "ap50")["n"] == 12


def test_repeats_have_ids_and_seeds_of_their_own(tmp_path: Path, data: Path) -> None:
    model = Recorder()
    done = run(tmp_path, data, model, repeats=2, params={"seed": 7, "temperature": 0.5})
    assert len(model.asked) == 24
    for request in model.asked:
        assert request.id == (f"{request.sample}#1" if request.repeat else request.sample)
        assert (request.params.seed, request.params.temperature) == (7 + request.repeat, 0.5)
    found = cell(done.report(), "ap50")
    assert (found["n"], found["counts"]["ok"]) == (12, 24)
    assert found["signature"]["provenance"]["repeats"] == 2
    assert sorted(done.table()["repeat"].unique()) == [0, 1]


def test_repeat_that_fails_is_asked_again_alone(tmp_path: Path, data: Path) -> None:
    def flaky(request: nb.Request) -> str:
        if request.repeat and not (tmp_path / "mended").exists():
            raise OSError("gone")
        return "[]"

    done = run(tmp_path, data, flaky, repeats=2)
    assert set(reasons(done)) == {f"{name}#1" for name in truth(data)}
    (tmp_path / "mended").touch()
    done = run(tmp_path, data, flaky, repeats=2)
    assert done.is_complete
    assert done.progress is not None
    assert (done.progress.kept, done.progress.answered) == (12, 12)


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"repeats": 0}, "repeats is 0"), ({"limit": 0}, "limit is 0"), ({"limit": -2}, "limit is -2")],
)
def test_counts_below_one_are_refused(tmp_path: Path, data: Path, changed: dict[str, int], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        run(tmp_path, data, Recorder(), **changed)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"temprature": "1"}, "temprature"),
        ({"seed": "x"}, "expected a number"),
        ({"max_tokens": "1.5"}, "max_tokens"),
    ],
)
def test_generation_parameter_that_does_not_fit_is_refused(
    tmp_path: Path, data: Path, params: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        run(tmp_path, data, Recorder(), params=params)


def test_image_none_sends_no_image(tmp_path: Path, data: Path) -> None:
    with serve() as (url, server):
        done = run(
            tmp_path, data, "openai:tiny", "nova_localization@image=none", options={"base_url": url}, limit=3
        )
    assert done.is_complete
    assert server.stats.bodies
    for body in server.stats.bodies:
        assert images_of(json.loads(body)) == []
    assert cell(done.report(), "ap50")["task"] == "nova_localization@image=none"
    assert cell(done.report(), "ap50")["signature"]["protocol"]["variant"]["image"] == "none"


def pixels(data: bytes) -> bytes:
    """Return what a picture shows."""
    with Pillow.open(io.BytesIO(data)) as image:
        return image.convert("L").tobytes()


def test_image_shuffled_shows_each_sample_the_picture_of_another_case(tmp_path: Path, data: Path) -> None:
    owner = {pixels(path.read_bytes()): path.name for path in (data / "images").iterdir()}
    model = Recorder()
    run(tmp_path, data, model, variant={"image": "shuffled"})
    shown = {request.sample: owner[pixels(request.images[0].sendable()[0])] for request in model.asked}
    assert sorted(shown.values()) == sorted(shown) == sorted(truth(data))
    assert all(name[:8] != other[:8] for name, other in shown.items())
    few = Recorder()
    run(tmp_path, data, few, variant={"image": "shuffled"}, limit=3, out=tmp_path / "few")
    assert {
        request.sample: owner[pixels(request.images[0].sendable()[0])] for request in few.asked
    }.items() <= shown.items()


def test_image_control_is_refused_where_no_image_is_sent(tmp_path: Path, data: Path) -> None:
    with pytest.raises(UsageError, match="sends no image"):
        run(tmp_path, data, Recorder(), "nova_diagnosis@image=none")
    with pytest.raises(UnknownNameError, match="did you mean 'image=shuffled'"):
        run(tmp_path, data, Recorder(), "nova_diagnosis@inputs=image@image=shuffle")


def test_shuffling_one_case_is_refused(tmp_path: Path) -> None:
    lonely = make_set(tmp_path / "set", [5, 2])
    done = None
    try:
        done = run(tmp_path, lonely, Recorder(), "nova_localization@image=shuffled")
        assert done.progress is not None
        error = done.progress.error
    except UsageError as refused:
        error = refused
    assert isinstance(error, UsageError)
    assert "one case holds 5 of the 7 images" in str(error)


# Replay, and how answers are written


def answers(folder: Path, lines: list[dict[str, Any]], name: str = "answers.jsonl") -> Path:
    """Write a file for `replay`."""
    path = folder / name
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def perfect(data: Path, scale: float = 1.0) -> list[dict[str, Any]]:
    """Return the lines that answer every sample with its true boxes."""
    return [
        {"id": name, "text": json.dumps([{"box": [c * scale for c in box]} for box in boxes])}
        for name, boxes in truth(data).items()
    ]


def test_replay_in_the_declared_frame_is_perfect(tmp_path: Path, data: Path) -> None:
    px = run(
        tmp_path, data, "replay", options={"path": str(answers(tmp_path, perfect(data))), "boxes": "xyxy/px"}
    )
    assert cell(px.report(), "ap50")["value"] == 1.0
    assert cell(px.report(), "fnr30")["value"] == 0.0
    thousand = answers(tmp_path, perfect(data, 1000 / 48), "thousand.jsonl")
    card = run(tmp_path, data, "replay", options={"path": str(thousand)}, out=tmp_path / "card")
    assert cell(card.report(), "ap50")["value"] == 1.0
    wrong = run(
        tmp_path,
        data,
        "replay",
        options={"path": str(px.folder.parent / "answers.jsonl")},
        out=tmp_path / "wrong",
    )
    assert cell(wrong.report(), "ap50")["value"] == 0.0


def test_replay_fills_in_the_task(tmp_path: Path, data: Path) -> None:
    for name in ("nova_localization", "nova_diagnosis@inputs=image"):
        answers(tmp_path, [{"id": key, "text": "[]"} for key in truth(data)], f"{name}.jsonl")
        done = run(
            tmp_path,
            data,
            "replay",
            name,
            options={"path": f"{tmp_path}/{{task}}.jsonl"},
            out=tmp_path / name,
        )
        assert done.is_complete


def test_replay_with_a_missing_and_an_unused_line(tmp_path: Path, data: Path) -> None:
    lines = perfect(data)
    path = answers(tmp_path, [*lines[1:], {"id": "case9999_000.png", "text": "[]"}])
    words = ("run", "nova_localization", "--data", data, "--model", "replay", "-o", f"path={path}")
    words = (*words, "-o", "boxes=xyxy/px", "--out", tmp_path / "out")
    done = nova(tmp_path, *words, "--json")
    assert done.returncode == 1
    assert f"no line for id '{lines[0]['id']}'" in done.stderr
    assert "1 line of" in done.stderr
    assert "'case9999_000.png'" in done.stderr
    document = json.loads(done.stdout)
    found = cell(document, "ap50")
    assert (found["n"], found["n_failed"], found["incomplete"], found["value"]) == (12, 1, True, 1.0)
    low, high = found["bounds"]
    assert 0 < low < high == 1.0
    assert cell(document, "hit50")["bounds"] == [pytest.approx(11 / 12), 1.0]
    # The file's content is who the run is: a fuller file is another run, and says so.
    answers(tmp_path, lines)
    fuller = nova(tmp_path, *words)
    assert fuller.returncode == 1
    assert "holds another run" in fuller.stderr
    assert "model.options.path.sha256 was" in fuller.stderr


def test_replay_of_repeats(tmp_path: Path, data: Path) -> None:
    lines = perfect(data)
    path = answers(tmp_path, [*lines, *({"id": line["id"], "text": "[]", "repeat": 1} for line in lines)])
    options = {"path": str(path), "boxes": "xyxy/px"}
    done = run(tmp_path, data, "replay", options=options, repeats=2)
    assert done.is_complete
    assert cell(done.report(), "ap50")["value"] == 0.5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}\n", "line 1 is not such a record"),
        ('{"id": "a", "text": "b"}\nnonsense\n', "line 2 is not such a record"),
        ('{"id": "a", "text": "b"}\n{"id": "a", "text": "c"}\n', "line 2 answers 'a', which an earlier line"),
        ('{"id": "a", "text": 3}\n', "id and text are texts"),
        ('{"id": "a", "text": "b", "repeat": -1}\n', "repeat is a number from 0"),
    ],
)
def test_replay_of_a_broken_file_is_refused_with_its_line(
    tmp_path: Path, data: Path, text: str, said: str
) -> None:
    (tmp_path / "bad.jsonl").write_text(text)
    with pytest.raises(AdapterError, match=said):
        run(tmp_path, data, "replay", options={"path": str(tmp_path / "bad.jsonl")})


def test_replay_without_its_file_says_what_to_give(tmp_path: Path, data: Path) -> None:
    with pytest.raises(AdapterError, match="path=FILE"):
        run(tmp_path, data, "replay", options={"path": str(tmp_path / "none.jsonl")})
    with pytest.raises(UsageError, match="path=FILE"):
        run(tmp_path, data, "replay")


def thought(data: Path, opening: str, closing: str) -> list[dict[str, Any]]:
    """Return perfect answers behind a thought that holds a wrong box."""
    wrong = json.dumps([{"box": [0, 0, 2, 2]}])
    return [
        {"id": line["id"], "text": f"{opening}perhaps {wrong}{closing}\n{line['text']}"}
        for line in perfect(data)
    ]


@pytest.mark.parametrize(
    ("tags", "option"), [(("<think>", "</think>"), None), (("[T]", "[/T]"), "[T]..[/T]")]
)
def test_thoughts_are_no_answer(
    tmp_path: Path, data: Path, tags: tuple[str, str], option: str | None
) -> None:
    options = {"path": str(answers(tmp_path, thought(data, *tags))), "boxes": "xyxy/px"}
    done = run(tmp_path, data, "replay", options=options | ({"think": option} if option else {}))
    found = cell(done.report(), "ap50")
    assert found["value"] == 1.0
    assert cell(done.report(), "fp30")["value"] == 0


def test_thought_that_never_ends_is_truncated(tmp_path: Path, data: Path) -> None:
    lines = [{"id": name, "text": "<think>perhaps [{'box': [1, 2"} for name in truth(data)]
    done = run(tmp_path, data, "replay", options={"path": str(answers(tmp_path, lines))})
    assert cell(done.report(), "ap50")["counts"]["truncated"] == 12


@pytest.mark.parametrize(
    "options", [{"boxes": "xyxy/pixel"}, {"think": "<a>"}, {"think": ".."}, {"paht": "x"}]
)
def test_option_that_does_not_fit_is_refused(tmp_path: Path, data: Path, options: dict[str, str]) -> None:
    path = answers(tmp_path, perfect(data))
    with pytest.raises((UsageError, nb.NovaBenchError)) as caught:
        run(tmp_path, data, "replay", options={"path": str(path), **options})
    assert isinstance(caught.value, UsageError)
    assert next(iter(options)) in str(caught.value)


def test_rerun_of_a_complete_run_asks_nothing_and_changes_nothing(tmp_path: Path, data: Path) -> None:
    run(tmp_path, data, Recorder()).report()
    files = [tmp_path / "out" / name for name in ("responses.jsonl", "report.json", "usage.json")]
    before = [path.read_bytes() for path in files]
    model = Recorder()
    run(tmp_path, data, model).report()
    assert model.asked == []
    assert [path.read_bytes() for path in files] == before


def test_damaged_image_fails_for_that_sample_alone(tmp_path: Path) -> None:
    folder = make_set(tmp_path / "set", [2] * 4)
    (folder / "images" / "case0001_000.png").write_bytes(b"no picture")
    (folder / "images" / "case0002_000.png").unlink()
    done = run(tmp_path, folder, Recorder())
    assert set(reasons(done)) <= {"case0001_000.png", "case0002_000.png"}
    assert "case0002_000.png" in reasons(done)
    assert cell(done.report(), "ap50")["n"] == 8
    assert len(log_of(done.folder)) >= 6
