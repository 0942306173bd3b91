"""`nova-bench check` on adapters that are fit, and on those that take their process with them. The gallery of faults has its own tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from loopback import serve
from loopback_plan import Plan
from running import command, environment, nova

import nova_bench as nb
from nova_bench import conformance_requests as asked

HEADER = """\
# /// script
# requires-python = ">=3.11"
# dependencies = []
# [tool.nova-bench]
# name = "Acme VLM"
# license = "apache-2.0"
# weights = "none"
# outputs = ["text"]
# boxes = "xyxy/1000"
# sends = "local"
{more}# ///
\"\"\"An adapter of the tests.\"\"\"

import nova_bench as nb

"""
EACH = """
def load(*, size: int = 300) -> nb.Adapter:
    return nb.each(lambda request: f'[{{"box": [{500 - size}, 400, {500 + size}, 600]}}]')
"""
STREAMING = """
class Acme:
    def generate(self, requests):
        for request in requests:
            yield nb.Response(request.id, request.text[::-1], model="acme-1", usage=nb.Usage(3, 4))

    def close(self):
        pass


def load() -> nb.Adapter:
    return Acme()
"""
POOLED = """
import concurrent.futures


class Acme:
    def generate(self, requests):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            flying = set()
            for request in requests:
                flying.add(pool.submit(lambda request=request: nb.Response(request.id, "[]")))
                done, flying = concurrent.futures.wait(flying, return_when="FIRST_COMPLETED")
                yield from (future.result() for future in done)
            yield from (future.result() for future in flying)


def load() -> nb.Adapter:
    return Acme()
"""
BATCHED = """
import itertools


class Acme:
    def generate(self, requests):
        requests = iter(requests)
        while batch := list(itertools.islice(requests, 8)):
            yield from (nb.Response(request.id, "") for request in reversed(batch))


def load() -> nb.Adapter:
    return Acme()
"""
GREEDY = """
class Acme:
    def generate(self, requests):
        yield from [nb.Response(request.id, "nothing") for request in requests]


def load() -> nb.Adapter:
    return Acme()
"""


def answering(line: str, load: str = "") -> str:
    """Return an adapter that runs a line before it answers a request."""
    head = "\nimport os\nimport sys\nimport time\nfrom pathlib import Path\n"
    body = f"\n\ndef answer(request):\n    {line}\n    return 'x'\n"
    return f"{head}{body}\n\ndef load() -> nb.Adapter:\n    {load or 'pass'}\n    return nb.each(answer)\n"


def write(home: Path, code: str, more: str = "") -> str:
    """Write an adapter file; return how it is named."""
    (home / "acme.py").write_text(HEADER.format(more=more) + code)
    return "./acme.py"


def check(home: Path, *words: str, env: Mapping[str, str] | None = None) -> tuple[int, dict[str, Any], str]:
    """Run `check --json`; return exit code, document and standard error."""
    done = nova(home, "check", *words, "--json", env=env)
    return done.returncode, json.loads(done.stdout), done.stderr


def states(document: Mapping[str, Any], state: str) -> dict[str, str]:
    """Return the steps with a state, and their sentences."""
    return {finding["step"]: finding["what"] for finding in document["findings"] if finding["state"] == state}


@pytest.mark.parametrize("code", [EACH, STREAMING, POOLED, BATCHED], ids=["each", "lazy", "pool", "batch"])
def test_good_adapter_passes_every_step(tmp_path: Path, code: str) -> None:
    returned, document, _ = check(tmp_path, write(tmp_path, code), "--timeout", "20")
    assert (returned, document["passed"]) == (0, True), document
    assert states(document, "fail") == states(document, "not checked") == {}
    assert {"lazy", "large image", "unreadable image", "boxes", "exit", "keys"} <= states(
        document, "pass"
    ).keys()
    assert document["requests"] <= 40 if code is BATCHED else document["requests"] <= 30


def test_adapter_that_reads_all_requests_passes_only_where_its_card_says_so(tmp_path: Path) -> None:
    returned, document, _ = check(tmp_path, write(tmp_path, GREEDY, "# stream = false\n"))
    assert returned == 0, document
    returned, document, _ = check(tmp_path, write(tmp_path, GREEDY), "--timeout", "5")
    assert returned == 1
    assert "reads the whole stream first" in states(document, "fail")["lazy"]
    assert len(states(document, "fail")) == 1


def test_card_streams_unless_it_says_otherwise() -> None:
    assert nb.Card().stream is True


@pytest.mark.parametrize("name", ["prior", "symmetry", "cup_disc"])
def test_shipped_baselines_pass(tmp_path: Path, name: str) -> None:
    returned, document, said = check(tmp_path, name)
    assert returned == 0, document
    assert "runs code of" not in said


def test_openai_adapter_passes_on_a_server(tmp_path: Path) -> None:
    key = "sk-acme-0123456789"
    with serve(Plan(probs_of=lambda body: {"yes": 0.75, "no": 0.25})) as (url, server):
        words = ("openai:acme", "-o", f"base_url={url}")
        returned, document, said = check(tmp_path, *words, env={"OPENAI_API_KEY": key})
        calls = server.stats.calls
    assert returned == 0, document
    passed = states(document, "pass")
    assert passed["outputs"] == "label_probs is delivered"
    assert passed["keys"] == "the values of 1 key variables in the environment showed up nowhere"
    assert "3 of 3 answers" in passed["determinism"]
    assert calls <= document["requests"] <= 30
    assert all(json.loads(body)["max_tokens"] <= asked.MOST_TOKENS_BOXES for body in server.stats.bodies)
    assert "about 30 small requests" in said
    assert "cost money" in said


def test_parameters_that_a_server_refuses_are_reported_not_failed(tmp_path: Path) -> None:
    with serve(Plan(refuses={"seed": "unsupported_parameter"})) as (url, _):
        returned, document, _ = check(tmp_path, "openai:acme", "-o", f"base_url={url}")
    assert returned == 0, document
    assert "seed" in states(document, "pass")["parameters"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("replay",), "-o path=FILE"),
        (("openai",), "which model?"),
        (("openai:acme",), "OPENAI_API_KEY"),
        (("prior", "-o", "sise=3"), "option 'sise' not found"),
    ],
    ids=["path", "model", "key", "option"],
)
def test_what_is_missing_is_named_and_the_rest_not_checked(
    tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    returned, document, _ = check(tmp_path, *words)
    assert returned == 1
    assert states(document, "fail") == {}
    assert sentence in states(document, "not checked")["loads"]
    assert sentence in states(document, "not checked")["answers"]
    assert document["requests"] == 0


def test_missing_package_comes_with_the_header_s_install_command(tmp_path: Path) -> None:
    name = write(tmp_path, answering("pass", load="import acme_vlm_sdk"))
    text = (tmp_path / "acme.py").read_text().replace("dependencies = []", 'dependencies = ["acme-vlm>=2"]')
    (tmp_path / "acme.py").write_text(text)
    returned, document, _ = check(tmp_path, name)
    assert returned == 1
    found = next(finding for finding in document["findings"] if finding["step"] == "loads")
    assert found["state"] == "not checked"
    assert "'acme_vlm_sdk' is not installed" in found["what"]
    assert found["remedy"] == 'pip install "acme-vlm>=2"'


IS_LARGE = "request.images and request.images[0].size[0] > 5000"


@pytest.mark.parametrize(
    ("line", "step", "sentence"),
    [
        (f"{IS_LARGE} and time.sleep(1000)", "large image", "it waits in line"),
        (f"{IS_LARGE} and os._exit(0)", "large image", "ended its process with exit code 0"),
        (f"{IS_LARGE} and os.kill(os.getpid(), 11)", "large image", "signal SIGSEGV"),
        ("request.images or sys.exit(3)", "text only", "raised SystemExit (3)"),
        ("request.system and __import__('re').match('(a+)+$', 'a' * 40 + 'b')", "system prompt", "come back"),
    ],
    ids=["blocks", "ends the process", "crashes", "SystemExit", "holds the interpreter"],
)
def test_step_that_takes_the_process_fails_alone(tmp_path: Path, line: str, step: str, sentence: str) -> None:
    returned, document, _ = check(tmp_path, write(tmp_path, answering(line)), "--timeout", "6")
    assert returned == 1
    assert states(document, "not checked") == {}
    assert list(states(document, "fail")) == [step], document
    assert sentence in states(document, "fail")[step]
    assert states(document, "pass")["exit"].startswith("its process ended by itself")


def test_adapter_that_answers_nothing_is_not_asked_on(tmp_path: Path) -> None:
    returned, document, _ = check(tmp_path, write(tmp_path, answering("time.sleep(1000)")), "--timeout", "1")
    assert returned == 1
    assert list(states(document, "fail")) == ["answers"]
    assert "see 'answers'" in states(document, "not checked")["boxes"]
    assert document["requests"] == 1


def test_prints_stay_out_of_the_document_and_are_found(tmp_path: Path) -> None:
    code = answering("print('asked', flush=True); os.write(1, b'raw')")
    returned, document, _ = check(tmp_path, write(tmp_path, code))
    assert returned == 1
    assert list(states(document, "fail")) == ["standard output"]
    assert "asked" in states(document, "fail")["standard output"]


KEY = "acme-key/0123456789"


@pytest.mark.parametrize(
    "code",
    [
        answering("raise ValueError(os.environ['ACME_API_KEY'])"),
        answering("sys.stderr.write('with ' + os.environ['ACME_API_KEY'])"),
        answering("print(os.environ['ACME_API_KEY'])"),
        answering("pass", load="raise RuntimeError(os.environ['ACME_API_KEY'])"),
    ],
    ids=["error", "standard error", "print", "load"],
)
def test_key_that_shows_up_is_found_and_not_shown(tmp_path: Path, code: str) -> None:
    done = nova(tmp_path, "check", write(tmp_path, code), "--json", env={"ACME_API_KEY": KEY})
    assert KEY not in done.stdout + done.stderr
    failed = states(json.loads(done.stdout), "fail")
    assert "ACME_API_KEY" in failed["keys"]


def test_key_of_the_option_key_env_is_looked_for_whatever_its_name(tmp_path: Path) -> None:
    code = """
import os


def load(*, key_env: str = "ACME") -> nb.Adapter:
    return nb.each(lambda request: "as " + os.environ[key_env])
"""
    done = nova(tmp_path, "check", write(tmp_path, code), "--json", env={"ACME": KEY})
    assert KEY not in done.stdout + done.stderr
    assert "ACME" in states(json.loads(done.stdout), "fail")["keys"]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda stop: stop.name)
def test_adapter_does_not_outlive_a_check_that_is_stopped(tmp_path: Path, stop: signal.Signals) -> None:
    name = write(tmp_path, answering("Path('pid').write_text(str(os.getpid())); time.sleep(1000)"))
    process = subprocess.Popen(
        command("check", name), cwd=tmp_path, env=environment(tmp_path), stdout=-3, stderr=-3
    )
    pid = int(when(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    process.send_signal(stop)
    assert process.wait(30) != 0
    assert when(lambda: not is_running(pid))


def when(look: Any) -> Any:
    """Return what `look` finds, once it finds something."""
    until = time.monotonic() + 30
    while not (found := look()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found


def is_running(pid: int) -> bool:
    """Return whether a process runs; one that nobody has waited for yet does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


def test_code_of_a_path_is_announced_before_it_runs(tmp_path: Path) -> None:
    done = nova(tmp_path, "check", write(tmp_path, answering("pass")))
    first = done.stderr.splitlines()[0]
    assert str(tmp_path / "acme.py") in first
    assert done.stdout.splitlines()[-1].endswith("fit to be submitted")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("priors",), "did you mean 'prior'"),
        (("./missing.py",), "does not exist"),
        (("prior", "replay"), "expected one"),
        (("prior", "--timeout", "0"), "above 0"),
        (("prior", "-o", "boxes=corners"), "not in the grammar"),
        (("--no-run", "prior", "-o", "a=b"), "leave them out"),
    ],
)
def test_wrong_use_is_said(tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    done = nova(tmp_path, "check", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr


def test_file_that_cannot_run_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "acme.py").write_text("open('ran', 'w')\nload = (\n")
    returned, document, _ = check(tmp_path, "./acme.py")
    assert returned == 1
    assert "mended first" in states(document, "not checked")["loads"]
    assert not (tmp_path / "ran").exists()


def test_pictures_are_what_their_names_say() -> None:
    _, large = asked.content("large image")
    assert large.images[0].size == asked.LARGE
    assert max(len(image.read()) for image in large.images) < 5_000_000
    _, deep = asked.content("16-bit image")
    assert deep.images[0].read()[24] == 16  # bits a channel, in a PNG's header
    damaged = asked.damaged()
    with pytest.raises(nb.DataError):
        damaged.pil()


def test_boxes_in_pixels_of_the_scene_are_out_of_thousandths() -> None:
    spot = asked.picture(asked.SCENE).array()
    rows, columns = (spot > 200).nonzero()
    assert columns.max() > 1000
    assert not nb.Frame("xyxy/1000").fits((columns.min(), rows.min(), columns.max(), rows.max()), asked.SCENE)
