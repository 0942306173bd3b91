"""vLLM's own server, real and on this machine: what it answers through our adapters, and that it ends with us."""

from __future__ import annotations

import json
import math
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import PIL.Image
import psutil
import pytest
from running import command, environment, final_ids, nova

import nova_bench as nb
from nova_bench.errors import UnknownNameError, UsageError
from nova_bench.types import GenParams, Image, Request, Response

pytestmark = [
    pytest.mark.engine,
    pytest.mark.real("vllm as a server"),
    pytest.mark.filterwarnings("ignore"),
]  # vLLM and torch warn at import

CONTEXT = 1024
GREEDY = GenParams(max_tokens=12, temperature=0.0)
OPTIONS = {
    "dtype": "float32",
    "enforce_eager": "true",
    "max_model_len": str(CONTEXT),
    "limit_mm_per_prompt": '{"image": 3}',
}
SCHEMA = {
    "type": "object",
    "properties": {
        "finding": {"type": "string", "enum": ["mass", "none"]},
        "box": {
            "type": "array",
            "items": {"type": "integer", "minimum": 0, "maximum": 999},
            "minItems": 4,
            "maxItems": 4,
        },
        "why": {"type": "string", "maxLength": 20},
    },
    "required": ["finding", "box", "why"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def sharp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen2-VL whose first word after `QUESTION` is sure enough for label probabilities to be told."""
    pytest.importorskip("vllm")
    folder = tmp_path_factory.mktemp("model") / "sharp"
    maker = Path(__file__).with_name("tiny_models.py")
    subprocess.run([sys.executable, maker, "qwen2_vl", folder], check=True, capture_output=True)
    subprocess.run([sys.executable, "-c", SHARPEN, folder], check=True, capture_output=True)
    return folder


QUESTION = "Is it?"

# Multiplies the last layer until the likeliest token holds between 60 and 90 percent; also writes all labels' true probabilities.
SHARPEN = f"""
import json, pathlib, sys, torch
from transformers import AutoTokenizer, Qwen2VLForConditionalGeneration
folder = pathlib.Path(sys.argv[1])
model = Qwen2VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
words = AutoTokenizer.from_pretrained(folder)
ids = words.apply_chat_template([{{"role": "user", "content": {QUESTION!r}}}], add_generation_prompt=True, return_tensors="pt", return_dict=True)
with torch.no_grad():
    logits = model(**ids).logits[0, -1]
scale = next(s / 4 for s in range(1, 4000) if (logits * s / 4).softmax(-1).max() > 0.6)
with torch.no_grad():
    model.lm_head.weight *= scale
model.save_pretrained(folder)
probs = (logits * scale).softmax(-1)
texts = {{}}
for i, p in enumerate(probs.tolist()):
    texts.setdefault(words.decode([i]).strip().casefold(), []).append(p)
(folder / "first.json").write_text(json.dumps({{text: sum(ps) for text, ps in texts.items()}}))
"""


@pytest.fixture(scope="module")
def served(sharp: Path) -> Iterator[nb.Model]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        before = set(psutil.Process().children(recursive=True))  # of an engine in this process, say
        model = nb.load_model(f"vllm:{sharp}", {**OPTIONS, "serve": "true"})
        assert answers(model, Request("1", "1", 0, (QUESTION,), params=GREEDY))["1"].finish in (
            "stop",
            "length",
        )
        yield model
        found = set(psutil.Process().children(recursive=True)) - before
        assert found
        began = time.monotonic()
        model.close()
        assert time.monotonic() - began < 5
        assert gone(found)


def gone(processes: Iterable[psutil.Process], seconds: float = 1.0) -> bool:
    """Return whether all have ended soon; those that only wait to be buried by their parent have."""
    until = time.monotonic() + seconds
    while any(map(_lives, processes)) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(map(_lives, processes))


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def answers(model: nb.Model, *requests: Request) -> dict[str, Response]:
    return {response.id: response for response in model.adapter.generate(iter(requests))}


def picture(width: int, height: int, seed: int, form: str = "PNG") -> Image:
    buffer = BytesIO()
    PIL.Image.frombytes("RGB", (width, height), random.Random(seed).randbytes(3 * width * height)).save(
        buffer, form
    )
    return Image(data=buffer.getvalue())


def ask(request_id: str, *parts: str | Image, params: GenParams = GREEDY, **more: Any) -> Request:
    return Request(request_id, request_id, 0, parts, params=params, **more)


def test_texts_and_pictures_in_order(served: nb.Model) -> None:
    a, b = picture(50, 50, 1), picture(80, 40, 2)
    got = answers(
        served,
        ask("text", QUESTION),
        ask("system", QUESTION, system="You are a radiologist."),
        ask("one", a, QUESTION),
        ask("again", a, QUESTION),
        ask("two", a, "then", b, QUESTION),
        ask("reversed", b, "then", a, QUESTION),
        *(ask(form, picture(50, 50, 3, form), QUESTION) for form in ("JPEG", "WEBP", "BMP")),
    )
    assert {response.finish for response in got.values()} <= {"stop", "length"}
    assert {response.error for response in got.values()} == {None}
    assert got["one"].text == got["again"].text
    assert {response.model for response in got.values()} == {"sharp"}
    # A token stands for 28 x 28 pixels, and a picture has two more around it.
    n = {name: response.usage.input_tokens for name, response in got.items() if response.usage is not None}
    assert n["one"] - n["text"] == 2 * 2 + 2
    assert n["two"] == n["reversed"]
    assert got["one"].image_sizes == ((56, 56),)
    assert got["two"].image_sizes == ((56, 56), (84, 56))
    assert got["reversed"].image_sizes == ((84, 56), (56, 56))
    assert got["text"].image_sizes == ()


def test_every_answer_parses_with_a_schema(served: nb.Model) -> None:
    params = [
        GenParams(max_tokens=300, temperature=t, seed=s, json_schema=SCHEMA)
        for t, s in ((0.0, 0), *((1.0, s) for s in range(20)))
    ]
    got = answers(
        served, *(ask(str(i), picture(50, 50, i), QUESTION, params=p) for i, p in enumerate(params))
    )
    assert len(got) == len(params)
    for response in got.values():
        assert response.finish == "stop"
        assert response.dropped == ()
        said = json.loads(response.text or "")
        assert set(said) == set(SCHEMA["required"])
        assert said["finding"] in ("mass", "none")
        assert len(said["box"]) == 4
        assert all(type(x) is int and 0 <= x <= 999 for x in said["box"])
        assert len(said["why"]) <= 20


def test_label_probs_are_those_of_the_weights(served: nb.Model, sharp: Path) -> None:
    first = json.loads((sharp / "first.json").read_text())
    words = [
        word for word in sorted(first, key=first.__getitem__, reverse=True) if word and "\ufffd" not in word
    ]
    labels = tuple(words[:3])
    assert first[labels[0]] > 0.5
    got = answers(
        served,
        ask(
            "1",
            QUESTION,
            params=GenParams(max_tokens=1, temperature=0.0),
            labels=labels,
            outputs=frozenset({"text", "label_probs"}),
        ),
    )["1"]
    assert got.dropped == ()
    whole = sum(first[label] for label in labels)
    for label, probability in zip(labels, got.arrays["label_probs"], strict=True):
        assert math.isclose(probability, first[label] / whole, abs_tol=2e-3)


def test_seed_decides_what_is_drawn(served: nb.Model) -> None:
    drawn = {
        name: GenParams(max_tokens=30, temperature=2.0, seed=seed)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    }
    got = answers(served, *(ask(name, QUESTION, params=params) for name, params in drawn.items()))
    assert got["a"].text == got["b"].text != got["c"].text


def test_no_temperature_is_greedy(served: nb.Model) -> None:
    got = answers(
        served,
        *(ask(str(i), QUESTION, params=GenParams(max_tokens=30)) for i in range(3)),
        ask("0.0", QUESTION, params=GenParams(max_tokens=30, temperature=0.0)),
    )
    assert len({response.text for response in got.values()}) == 1


def test_what_the_model_cannot_take_is_rejected_alone(served: nb.Model) -> None:
    got = answers(
        served,
        ask("long", "brain " * 3000),
        ask("long with a picture", picture(50, 50, 1), "brain " * 1500),
        ask("four", *(picture(50, 50, i) for i in range(4)), QUESTION),
        ask("fine", picture(50, 50, 1), QUESTION),
    )
    assert {name: response.finish == "rejected" for name, response in got.items()} == {
        "long": True, "long with a picture": True, "four": True, "fine": False,
    }  # fmt: skip


def test_more_tokens_than_the_context_holds_name_the_remedy(served: nb.Model) -> None:
    (got,) = answers(served, ask("1", QUESTION, params=GenParams(max_tokens=CONTEXT + 1))).values()
    assert got.finish == "error"
    assert "-p max_tokens=N" in (got.error or "")


def test_server_wants_its_key_and_shows_it_to_nobody(served: nb.Model) -> None:
    server = served.adapter.server  # type: ignore[attr-defined]
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"http://127.0.0.1:{server.port}/v1/models", timeout=10)
    below = psutil.Process().children(recursive=True)
    assert below
    assert not any(server.key in " ".join(process.cmdline()) for process in below)
    listening = {
        c.laddr.ip
        for p in below
        for c in p.net_connections("tcp")
        if c.status == psutil.CONN_LISTEN and c.laddr.port == server.port
    }
    assert listening == {"127.0.0.1"}


def test_openai_adapter_gives_the_same_answers(served: nb.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    server = served.adapter.server  # type: ignore[attr-defined]
    monkeypatch.setenv("TINY_KEY", server.key)
    base = {"base_url": f"http://127.0.0.1:{server.port}/v1", "key_env": "TINY_KEY"}
    requests = [
        ask("text", QUESTION),
        ask("pictures", picture(50, 50, 1), "then", picture(80, 40, 2), QUESTION),
        ask("drawn", QUESTION, params=GenParams(max_tokens=20, temperature=2.0, seed=7)),
        ask("long", "brain " * 3000),
        ask("stop", QUESTION, params=GenParams(max_tokens=20, temperature=0.0, stop=("zzz",))),
    ]
    ours, theirs = answers(served, *requests), answers(nb.load_model("openai:sharp", base), *requests)
    for name, response in ours.items():
        assert (theirs[name].finish, theirs[name].text) == (response.finish, response.text), name
        assert theirs[name].dropped == ()
    wrong = nb.load_model("openai:sharp", {**base, "key_env": "none"})
    assert "401" in (answers(wrong, requests[0])["text"].error or "")


def test_scaled_picture_says_in_which_size_it_was_seen(
    served: nb.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = served.adapter.server  # type: ignore[attr-defined]
    monkeypatch.setenv("TINY_KEY", server.key)
    model = nb.load_model(
        "openai:sharp",
        {"base_url": f"http://127.0.0.1:{server.port}/v1", "key_env": "TINY_KEY", "max_pixels": "3200"},
    )
    got = answers(model, ask("1", picture(100, 50, 1), QUESTION))["1"]
    assert (got.finish in ("stop", "length"), got.image_sizes) == (True, ((80, 40),))


@pytest.mark.parametrize(
    ("option", "value", "error", "said"),
    [
        ("max_modell_len", "10", UnknownNameError, "max_model_len"),
        ("max_model_len", "many", UsageError, "max_model_len"),
        ("port", "80", UsageError, "leave it out"),
        ("enforce_eager", "perhaps", UsageError, "true or false"),
    ],
)
def test_options_are_checked_before_anything_starts(
    sharp: Path, option: str, value: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        nb.load_model(f"vllm:{sharp}", {"serve": "true", option: value})


def words(model: Path, out: Path, **options: str) -> list[str | Path]:
    given = [
        text
        for key, value in {"dtype": "float32", "enforce_eager": "true", "serve": "true", **options}.items()
        for text in ("-o", f"{key}={value}")
    ]
    return [
        "run",
        "nova_localization",
        "--data",
        "mini",
        "--model",
        f"vllm:{model}",
        *given,
        "-p",
        "max_tokens=100",
        "--concurrency",
        "4",
        "--out",
        out,
    ]


def start(home: Path, *what: str | Path) -> subprocess.Popen[str]:
    env = environment(home, VLLM_CPU_KVCACHE_SPACE="1")
    return subprocess.Popen(
        command(*what), cwd=home, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def below(process: subprocess.Popen[str], name: str) -> list[psutil.Process]:
    """Return all processes below ours once one of that name is among them."""
    while process.poll() is None:
        found = psutil.Process(process.pid).children(recursive=True)
        if any(name in " ".join(_words(child)) for child in found):
            return found
        time.sleep(0.05)
    raise AssertionError(process.communicate())


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_server_that_dies_ends_the_run_resumable_with_its_log(sharp: Path, tmp_path: Path) -> None:
    what = words(sharp, tmp_path / "run")
    process = start(tmp_path, *what)
    while len(final_ids(tmp_path / "run")) < 3 and process.poll() is None:
        time.sleep(0.02)
    found = below(process, "EngineCore")
    next(child for child in found if "EngineCore" in " ".join(_words(child))).kill()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "ended in the middle of the run" in said
    assert "EngineCore" in said or "Engine" in said  # of the log
    assert "the same command goes on" in said
    assert gone(found)
    logged = final_ids(tmp_path / "run")
    assert 3 <= len(logged) < 68
    again = nova(tmp_path, *what, env={"VLLM_CPU_KVCACHE_SPACE": "1"}, timeout=300)
    assert again.returncode == 0, again.stderr
    assert len(final_ids(tmp_path / "run")) == 68


def test_server_that_cannot_start_says_why(sharp: Path, tmp_path: Path) -> None:
    got = nova(
        tmp_path,
        *words(sharp, tmp_path / "run", max_model_len="100000000"),
        env={"VLLM_CPU_KVCACHE_SPACE": "1"},
        timeout=200,
    )
    assert got.returncode == 1
    assert "ended while it was starting (exit code 1)" in got.stderr
    assert "max_model_len" in got.stderr
    assert got.stdout.count("nova_localization") <= 1


def test_server_that_takes_too_long_is_ended(sharp: Path, tmp_path: Path) -> None:
    process = start(tmp_path, *words(sharp, tmp_path / "run", start_timeout="4"))
    found = below(process, "api_server")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "-o start_timeout=SECONDS" in said
    assert gone(found)


def test_second_interrupt_ends_a_server_that_is_starting(sharp: Path, tmp_path: Path) -> None:
    process = start(tmp_path, *words(sharp, tmp_path / "run"))
    below(process, "api_server")
    time.sleep(4)  # into the start of its engine
    found = below(process, "api_server")
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "stopped" in said
    assert time.monotonic() - began < 15  # of which the report takes some
    assert gone(found)


def test_complete_run_starts_no_server(sharp: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(sharp, tmp_path / "sharp")
    model = nb.load_model(f"vllm:{moved}", {"serve": "true"})
    assert list(model.adapter.generate(iter(()))) == []
    assert model.adapter.server.port == 0  # type: ignore[attr-defined]
    model.close()


def test_close_during_the_start_frees_whoever_waits(sharp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    model = nb.load_model(f"vllm:{sharp}", {"serve": "true", "dtype": "float32"})
    before = set(psutil.Process().children(recursive=True))
    found: list[psutil.Process] = []

    def close() -> None:
        found.extend(set(psutil.Process().children(recursive=True)) - before)
        model.close()

    timer = threading.Timer(3.0, close)
    timer.start()
    with pytest.raises(nb.errors.AdapterError, match="stopped"):
        answers(model, ask("1", QUESTION))
    timer.join()
    assert len(found) >= 2  # the guard and the server
    assert gone(found)
