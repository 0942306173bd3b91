"""Answers a second through transformers: our adapter, against the model's own processor and generate in batches of the same size.

    python benchmarks/engines/transformers_throughput.py [--quick] [--model FOLDER] [--requests N] [--batch-size N] [--max-tokens N]

Both get the same prompts (texts of different lengths, one picture each, as PNG), one loaded model each of the same checkpoint, the same
number of threads, and answer greedily to the same limit; both decode their pictures and their answers. The peer is what the
documentation of transformers shows: batches in the order of the requests, one after the other. Rounds alternate, because other work on
the machine drifts; the ratio is that of the medians. Each contender has a process of its own: OpenMP puts a process's threads to sleep at every
barrier once two of its threads compute (the adapter's computes in a thread, the peer in the main one), which halves whoever comes second. Without
``--model`` the checkpoint is a tiny one with random weights, made on the spot, which makes the adapter's own work weigh as much as it ever
can. The answers of both are compared, too.

Exits with 1 where the adapter is more than 5% slower, save with ``--quick``, whose rounds are too short to tell.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import io
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

import nova_bench as nb
from nova_bench.types import GenParams, Image, Request

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 0.95


def make_requests(n: int, max_tokens: int) -> list[Request]:
    """Return requests as a task makes them: a picture of 300 to 420 pixels a side, and a prompt of 20 to 120 words."""
    random = np.random.default_rng(0)
    requests = []
    for i in range(n):
        width, height = random.integers(300, 420, 2)
        coarse = random.integers(0, 255, (12, 12), dtype=np.uint8)
        buffer = io.BytesIO()
        PIL.Image.fromarray(coarse).resize((int(width), int(height))).save(buffer, "PNG")
        text = "Mark every abnormality in this brain MRI. " + "The lesion is on the left. " * int(
            random.integers(1, 20)
        )
        params = GenParams(max_tokens=max_tokens, temperature=0.0)
        requests.append(Request(str(i), str(i), 0, (Image(data=buffer.getvalue()), text), params=params))
    return requests


def ours(chat: Any, requests: list[Request]) -> dict[str, str]:
    return {response.id: response.text for response in chat.generate(iter(requests))}


def peers(model: Any, processor: Any, requests: list[Request], size: int, max_tokens: int) -> dict[str, str]:
    import torch

    texts = {}
    for start in range(0, len(requests), size):
        batch = requests[start : start + size]
        conversations = [
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "image": r.images[0].pil().convert("RGB")},
                        {"type": "text", "text": r.text},
                    ],
                }
            ]
            for r in batch
        ]
        inputs = processor.apply_chat_template(
            conversations,
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True, "padding_side": "left"},
        ).to(model.device, dtype=model.dtype)
        with torch.inference_mode():
            made = model.generate(**inputs, max_new_tokens=max_tokens, do_sample=False)
        written = processor.batch_decode(made[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        texts |= {r.id: text for r, text in zip(batch, written, strict=True)}
    return texts


STATE: dict[str, Any] = {}
"""What a contender's process holds."""


def start(name: str, path: str, options: dict[str, Any]) -> None:
    """Load a contender, in its own process."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    size, max_tokens = options["batch_size"], options["max_tokens"]
    STATE["requests"] = make_requests(options["requests"], max_tokens)
    if name == "nova_bench":
        found = nb.backends.find_model(path)
        chat = nb.backends.HFChat(
            found, dtype=options["dtype"], device_map=options["device"], batch_size=size
        )
        # Not loaded here: as in a run, nothing but the adapter's own thread computes.
        STATE["device"] = "cuda" if torch.cuda.is_available() and options["device"] != "cpu" else "cpu"
        STATE["run"] = lambda some: ours(chat, some)
        return
    processor = transformers.AutoProcessor.from_pretrained(path)
    model = transformers.AutoModelForImageTextToText.from_pretrained(
        path, dtype=getattr(torch, options["dtype"])
    )
    device = "cuda" if options["device"] == "auto" and torch.cuda.is_available() else options["device"]
    model = model.to("cpu" if device == "auto" else device).eval()
    STATE["device"] = model.device.type
    STATE["run"] = lambda some: peers(model, processor, some, size, max_tokens)


def one_round(n: int) -> tuple[float, dict[str, str], str]:
    """Answer the first n requests; returns the seconds, the answers and the kind of device."""
    began = time.perf_counter()
    answers = STATE["run"](STATE["requests"][:n])
    return time.perf_counter() - began, answers, STATE["device"]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="two short rounds; the ratio is not judged")
    parser.add_argument("--model", type=Path, help="a checkpoint with pictures (default: a tiny Qwen2-VL)")
    parser.add_argument("--requests", type=int, default=160)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--max-tokens", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    if options.quick:
        options.requests, options.rounds = 32, 2

    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        path = options.model
        if path is None:
            path = Path(folder) / "qwen2_vl"
            maker = ROOT / "tests" / "engines" / "tiny_models.py"
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            subprocess.run([sys.executable, str(maker), "qwen2_vl", str(path)], check=True, **quiet)
        names = ("transformers", "nova_bench")
        spawn = multiprocessing.get_context("spawn")
        pools = {
            name: concurrent.futures.ProcessPoolExecutor(
                1, mp_context=spawn, initializer=start, initargs=(name, str(path), vars(options))
            )
            for name in names
        }
        for pool in pools.values():
            device = pool.submit(one_round, 2 * options.batch_size).result()[2]
        rates: dict[str, list[float]] = {name: [] for name in names}
        answers: dict[str, dict[str, str]] = {}
        for i in range(options.rounds):
            # Who goes first alternates too: who comes second finds the machine warm.
            for name in names[:: 1 if i % 2 == 0 else -1]:
                seconds, answers[name], _ = pools[name].submit(one_round, options.requests).result()
                rates[name].append(options.requests / seconds)
        for pool in pools.values():
            pool.shutdown()
    same = sum(answers["nova_bench"][key] == text for key, text in answers["transformers"].items())
    medians = {name: statistics.median(values) for name, values in rates.items()}
    ratio = medians["nova_bench"] / medians["transformers"]
    gpu = (
        torch.cuda.get_device_name()
        if device == "cuda"
        else f"{os.cpu_count()} CPUs, {torch.get_num_threads()} threads"
    )
    print(
        f"{options.requests} requests, batches of {options.batch_size}, {options.max_tokens} tokens each, {options.dtype}, {gpu},"
    )
    print(
        f"python {platform.python_version()}, torch {torch.__version__}, transformers {transformers.__version__}"
    )
    for name, values in rates.items():
        print(
            f"{name:14} {medians[name]:8.2f} answers/s   rounds: {', '.join(f'{value:.2f}' for value in values)}"
        )
    print(
        f"ratio          {ratio:8.3f}   (at least {LIMIT}); {same} of {options.requests} answers are the same"
    )
    return 0 if options.quick or ratio >= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
