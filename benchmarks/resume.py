"""How soon a run with 200,000 finished samples asks its next one: from process start to the first new request.

    python benchmarks/resume.py [--quick] [--profile] [--samples N]

The data set is a folder with one Parquet table and PNGs of a few hundred bytes. The log is written as the engine writes it, with the hash
that the engine gives each request, for all samples but the last; then the real command, ``nova-bench run``, goes on in a fresh
process with an adapter that notes the time of its first request and ends there. Once without an index of image digests (a new
machine: every picture is read and hashed), once with it. The files of the data set are in the machine's file cache both times. Two tasks:
a plain one, where the engine is all there is, and nova_localization, whose `sample` also reads each picture's size and caption.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import io
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

from nova_bench.adapter import Model
from nova_bench.catalog import content_root, load_model, load_task
from nova_bench.data import open_data
from nova_bench.identity import identity_of, start_of
from nova_bench.images import DigestIndex
from nova_bench.plan import Plan
from nova_bench.runlog import RunLog, join_identity, record_of
from nova_bench.task import Task
from nova_bench.types import Response, Sample

BUDGET = 5.0

TASK = '''"""A plain task with one picture a sample."""
import nova_bench as nb


def sample(row, variant):
    yield nb.Sample(row["filename"], (row["image"],), {}, row["caption_text"], row["case_id"], {})


def rows(items):
    for item in items:
        yield {"right": float(item.prediction.value == item.sample.target)}


TASK = nb.Task(
    name="plain", version=1,
    data=nb.Source("Resume", "none/none", "main", "data/nova-v1.parquet", "filename", "image_path",
                   ("filename", "caption_text"), "CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
    sample=sample,
    prompt=lambda sample, card: nb.Prompt((*sample.images, "Describe this picture in one sentence.")),
    parse=lambda response, context: nb.Prediction("ok", response.text), parser_version=1,
    scorers=(nb.Scorer("right", ("right",), rows),),
    metrics=(nb.from_table(lambda table: table["right"].mean(), name="accuracy", needs=("right",)),),
    headline="accuracy", params=nb.GenParams(max_tokens=64, temperature=0.0, seed=0), variants={},
)
'''

ADAPTER = '''# /// script
# [tool.nova-bench]
# transport = ["note"]
# ///
"""Notes when the first new request came, and ends the process there."""
import os
import time
import zlib
from pathlib import Path

import nova_bench as nb


class Noted:
    def __init__(self, note):
        self.note = note

    def generate(self, requests):
        request = next(iter(requests), None)
        if request is not None:
            Path(self.note).write_text(f"{time.monotonic()} {request.id}")
        os._exit(0)


def load(*, note: str = "") -> nb.Adapter:
    return Noted(note)
'''

CAPTION = (
    "Axial T2-weighted image shows a hyperintense lesion in the left frontal lobe with surrounding oedema."
)
ANSWER = '[{"box": [312, 205, 441, 377], "label": "hyperintense lesion", "score": 0.8}]'


def write_data(folder: Path, n: int) -> None:
    """Write a data set in the hub's layout: `n` rows, each with a picture of its own."""
    import PIL.Image
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [f"case{i // 3:06d}_{i % 3}.png" for i in range(n)]
    # One encoded picture, made unlike all others by a text chunk: encoding 200,000 would take longer than what is measured.
    buffer = io.BytesIO()
    PIL.Image.frombytes("L", (32, 16), random.Random(0).randbytes(512)).save(buffer, "PNG")
    encoded = buffer.getvalue()
    long_ago = time.time() - 3600  # a file this young is not remembered by the index
    for i, name in enumerate(names):
        chunk = b"tEXtComment\0" + f"{i:08d}".encode()
        whole = (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
        path = folder / "images" / f"{i // 5000:03d}" / name
        if i % 5000 == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(encoded[:33] + whole + encoded[33:])
        os.utime(path, (long_ago, long_ago))
    box = [{"x": 4.0, "y": 3.0, "width": 9.0, "height": 7.0, "source": "gold"}]
    table = {
        "filename": names,
        "image_path": [f"images/{i // 5000:03d}/{name}" for i, name in enumerate(names)],
        "case_id": [name.partition("_")[0] for name in names],
        "caption_text": [CAPTION] * n,
        "bboxes": [box] * n,
    }
    (folder / "data").mkdir()
    pq.write_table(pa.table(table), folder / "data" / "nova-v1.parquet", row_group_size=10_000)


def finish_all_but_last(
    task: Task, model: Model, data: Path, out: Path, cache: Path, task_file: str | None
) -> int:
    """Write the run's manifest and the log of all samples but the last; return how many there are."""
    index = DigestIndex(cache)
    opened = open_data(
        task.data,
        str(data),
        content=content_root() / "tasks" / "data",
        cache=cache,
        config=cache,
        digests=index,
    )
    plan = Plan(task, task.variant({}), opened, model.card, digests=index)
    join_identity(out, identity_of(plan, model, task_file), start_of(plan, model, str(data), ["benchmark"]))
    answered, last = 0, opened.n_rows - 1
    with RunLog(out, append=True) as log:
        for i, sample in enumerate(plan.samples()):
            if not isinstance(sample, Sample):
                raise SystemExit(f"{sample.id}: {sample.reason}")
            if i == last:
                break
            for request in plan.requests(sample):
                response = Response(request.id, ANSWER, seconds=1.25)
                log.append(record_of(plan.spelling, request.id, plan.hash(request).hex(), response))
                answered += 1
    index.save()
    return answered


def resume(command: list[str], note: Path, cache: Path, profile: bool) -> tuple[float, str]:
    """Return the seconds from the start of a fresh process to its first new request, and that request's id."""
    note.unlink(missing_ok=True)
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "XDG_CONFIG_HOME": str(cache)}
    began = time.monotonic()  # one clock for all processes of the machine
    run = [sys.executable, "-c", PROFILED if profile else VERB, *command]
    done = subprocess.run(run, env=environment, capture_output=not profile, text=True)
    if not note.exists():
        raise SystemExit(f"the run ended without a request:\n{done.stdout}\n{done.stderr}")
    at, request_id = note.read_text().split()
    return float(at) - began, request_id


VERB = "import sys; from nova_bench.cli import main; sys.exit(main())"
# The requests are walked in the model's thread, so a profiler starts in each; the end is an os._exit, before which it prints.
PROFILED = """
import cProfile, os, pstats, sys, threading
profiles = []
def begin(self, run=threading.Thread.run):
    profiles.append(cProfile.Profile()); profiles[-1].runcall(run, self)
threading.Thread.run = begin
main_profile = cProfile.Profile()
def end(code):
    main_profile.disable()
    for profile in profiles:
        profile.disable()
    print("-- the calling thread, then the model's")
    for profile in (main_profile, *profiles):
        pstats.Stats(profile).sort_stats("tottime").print_stats(22)
    sys.stdout.flush()
    leave(code)
leave, os._exit = os._exit, end
from nova_bench.cli import main
main_profile.runcall(main)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="5,000 samples, some ten seconds")
    parser.add_argument("--samples", type=int, default=200_000)
    parser.add_argument(
        "--profile", action="store_true", help="also print where the time of a warm resume goes"
    )
    args = parser.parse_args()
    n = 5000 if args.quick else args.samples
    versions = "  ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("nova-bench", "datasets", "pyarrow")
    )
    lines = [
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}  {os.cpu_count()} CPUs  python {platform.python_version()}  {versions}",
        f"process start to the first new request of a run with {n - 1:,} finished samples (the budget is for 200,000)",
        f"{'task':<20}{'digest index':<14}{'measured':>10}{'budget':>9}{'of budget':>11}",
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, note = folder / "set", folder / "note"
        write_data(data, n)
        (folder / "plain.py").write_text(TASK)
        (folder / "noted.py").write_text(ADAPTER)
        for spelled in (str(folder / "plain.py"), "nova_localization"):
            task = load_task(spelled)
            model = load_model(str(folder / "noted.py"), {"note": str(note)})
            out, warm, cold = folder / f"run-{task.name}", folder / "warm", folder / "cold"
            out.mkdir()
            task_file = spelled if "/" in spelled else None
            finish_all_but_last(task, model, data, out, warm / "nova_bench", task_file)
            command = ["run", spelled, "--model", str(folder / "noted.py"), "-o", f"note={note}"]
            command += ["--data", str(data), "--out", str(out)]
            states = [("cold", cold), ("warm", warm)]
            for state, cache in states[1:] if args.quick and spelled == "nova_localization" else states:
                shutil.rmtree(cold, ignore_errors=True)
                seconds, asked = resume(command, note, cache, False)
                if asked != f"case{(n - 1) // 3:06d}_{(n - 1) % 3}.png":
                    raise SystemExit(f"asked {asked} again, though it was answered")
                lines.append(
                    f"{task.name:<20}{state:<14}{seconds:>8.2f} s{BUDGET:>7.2f} s{seconds / BUDGET:>11.2f}"
                )
            if args.profile:
                resume(command, note, warm, True)
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
