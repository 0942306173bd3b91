"""The vllm adapter against vLLM's engine fed directly, with the same prompts: seconds a round, and their ratio.

    python benchmarks/engines/vllm_throughput.py [--quick] [--model FOLDER] [--rounds 5] [--prompts 500]

Half of the prompts show an image of their own, a PNG file on disk; all answers are greedy. Contenders:

    ours        nova_bench's adapter: requests pulled one at a time, answers yielded as they finish
    AsyncLLM    the same engine (the very same object), all prompts given to it at once, on its own event loop
    LLM.chat    vLLM's offline call with all prompts, a second engine in a process of its own

Rounds alternate, because other work on the machine drifts, and caches are emptied before each: a ratio is that of the medians. Without
``--model`` a checkpoint of a million random weights is made, so that the engine's own work is as small as it can be, and what surrounds it
weighs most. Wants vLLM; on a machine without a GPU set VLLM_CPU_KVCACHE_SPACE=1.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SIDE_PX = 224
PAUSE_SECONDS = 3.0
"""An engine's worker spins for a second after its last answer; on few cores it would slow down whoever comes next."""
MAX_TOKENS = 24
ARGUMENTS = {
    "dtype": "auto",
    "max_model_len": "1024",
    "enforce_eager": "true",
    "limit_mm_per_prompt": '{"image": 1}',
}
QUESTION = "Sample {}. You are shown an MRI of the brain. Is there a lesion? Answer with JSON: a list of boxes with labels."


def write_images(folder: Path, n: int) -> None:
    """Write grey PNGs, no two alike."""
    import PIL.Image

    for i in range(0, n, 2):
        pixels = random.Random(i).randbytes(SIDE_PX * SIDE_PX)
        PIL.Image.frombytes("L", (SIDE_PX, SIDE_PX), pixels).save(folder / f"{i}.png", compress_level=1)


def message(folder: Path, i: int) -> list[dict[str, Any]]:
    """Return a prompt as vLLM takes it."""
    import PIL.Image

    content: list[dict[str, Any]] = [{"type": "text", "text": QUESTION.format(i)}]
    if i % 2 == 0:
        with PIL.Image.open(folder / f"{i}.png") as opened:
            content.append({"type": "image_pil", "image_pil": opened.convert("RGB")})
    return [{"role": "user", "content": content}]


class Ours:
    """The adapter, and its engine without it."""

    def __init__(self, model: str, folder: Path, n: int) -> None:
        from nova_bench.catalog import load_model

        self.folder, self.n = folder, n
        self.model = load_model(f"vllm:{model}", ARGUMENTS)
        self.adapter = self.model.adapter
        self.process = self.adapter._process

    def reset(self) -> None:
        """Empty the caches."""

        async def reset() -> None:
            engine = self.process.engine
            await engine.reset_mm_cache()
            await engine.reset_encoder_cache()
            await engine.reset_prefix_cache()

        self.process.submit(reset()).result()

    def ours(self) -> dict[str, str]:
        """Answer through the adapter."""
        from nova_bench.images import Image
        from nova_bench.types import GenParams, Request

        def requests() -> Iterator[Request]:
            for i in range(self.n):
                images = (Image(self.folder / f"{i}.png"),) if i % 2 == 0 else ()
                yield Request(
                    str(i), str(i), 0, (QUESTION.format(i), *images), params=GenParams(max_tokens=MAX_TOKENS)
                )

        return {response.id: response.text for response in self.adapter.generate(requests())}

    def directly(self) -> dict[str, str]:
        """Give all prompts to the engine at once."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        engine, chat, tok = self.process.engine, self.adapter._chat_params, self.adapter._tok_params
        params = SamplingParams(
            temperature=0, max_tokens=MAX_TOKENS, output_kind=RequestOutputKind.FINAL_ONLY
        )

        async def one(i: int) -> tuple[str, str]:
            _, (prompt,) = await engine.renderer.render_chat_async([message(self.folder, i)], chat, tok)
            async for output in engine.generate(prompt, params, f"direct-{time.monotonic_ns()}-{i}"):
                last = output
            return str(i), last.outputs[0].text

        async def everything() -> dict[str, str]:
            return dict(await asyncio.gather(*(one(i) for i in range(self.n))))

        return self.process.submit(everything()).result()


def serve_offline(model: str, folder: Path, n: int) -> None:
    """Answer with ``LLM.chat`` each time a line comes; the process of the third contender."""
    said = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    from vllm import LLM, SamplingParams

    fields = {**ARGUMENTS, "max_model_len": 1024, "enforce_eager": True, "limit_mm_per_prompt": {"image": 1}}
    llm = LLM(model, **fields, disable_log_stats=True, generation_config="vllm")
    params = SamplingParams(temperature=0, max_tokens=MAX_TOKENS)
    said.write("ready\n")
    for _ in sys.stdin:
        llm.llm_engine.reset_mm_cache()
        llm.llm_engine.reset_encoder_cache()
        llm.reset_prefix_cache()
        began = time.monotonic()
        outputs = llm.chat([message(folder, i) for i in range(n)], params, use_tqdm=False)
        seconds = time.monotonic() - began
        texts = {str(i): output.outputs[0].text for i, output in enumerate(outputs)}
        said.write(json.dumps([seconds, texts]) + "\n")


@contextlib.contextmanager
def offline(model: str, folder: Path, n: int) -> Iterator[subprocess.Popen[str]]:
    """Run `serve_offline` in a process of its own."""
    command = [
        sys.executable,
        __file__,
        "--serve-offline",
        str(folder),
        "--model",
        model,
        "--prompts",
        str(n),
    ]
    with (folder / "offline.log").open("w") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            if process.stdout.readline() != "ready\n":
                raise SystemExit((folder / "offline.log").read_text()[-3000:])
            yield process
        finally:
            process.stdin.close()
            process.wait(60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="40 prompts, two rounds")
    parser.add_argument("--model", default="")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--serve-offline", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve_offline:
        serve_offline(arguments.model, Path(arguments.serve_offline), arguments.prompts)
        return
    n, rounds = (40, 2) if arguments.quick else (arguments.prompts, arguments.rounds)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = arguments.model
        if not model:
            model = str(folder / "qwen2_vl")
            tiny = ROOT / "tests" / "engines" / "tiny_models.py"
            subprocess.run([sys.executable, str(tiny), "qwen2_vl", model], check=True, capture_output=True)
        write_images(folder, n)
        with offline(model, folder, n) as peer:
            measured = Ours(model, folder, n)
            seconds: dict[str, list[float]] = {"ours": [], "AsyncLLM": [], "LLM.chat": []}
            try:
                for number in range(rounds + 1):
                    texts = {}
                    order = list(seconds)
                    for name in order[number % 3 :] + order[: number % 3]:
                        time.sleep(PAUSE_SECONDS)
                        if name == "LLM.chat":
                            peer.stdin.write("go\n")
                            peer.stdin.flush()
                            taken, texts[name] = json.loads(peer.stdout.readline())
                        else:
                            measured.reset()
                            began = time.monotonic()
                            texts[name] = measured.ours() if name == "ours" else measured.directly()
                            taken = time.monotonic() - began
                        if number:  # the first one warms up
                            seconds[name].append(taken)
                    if set(texts["ours"]) != set(texts["AsyncLLM"]) or len(texts["ours"]) != n:
                        raise SystemExit("not every prompt was answered")
            finally:
                measured.model.close()
    same = sum(texts["ours"][key] == texts["AsyncLLM"][key] for key in texts["ours"])
    print(
        f"{n} prompts, half with an image, {MAX_TOKENS} tokens each, {rounds} rounds; {platform.machine()}, {os.cpu_count()} CPUs"
    )
    print(f"{same} of {n} answers of ours are the engine's, letter by letter")
    ours = statistics.median(seconds["ours"])
    for name, taken in seconds.items():
        median = statistics.median(taken)
        shown = " ".join(f"{value:.2f}" for value in taken)
        print(
            f"{name:>9}: {median:7.2f} s  (rounds {shown})   throughput of ours / this: {median / ours:.3f}"
        )


if __name__ == "__main__":
    main()
