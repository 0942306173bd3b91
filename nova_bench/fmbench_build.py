"""Builds FMBench's tables from Harvard-FairVLMed: questions and answers from the notes, reports, pictures, and a data card.

Two passes of the ordinary engine, each in a folder of its own below ``OUT/build``: one writes pairs, one keeps, mends or drops each. So
the same call goes on where an earlier one ended, and asks nothing again that was answered. The tables are written only once both are
complete, each under another name first.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nova_bench import __version__
from nova_bench.adapter import Model
from nova_bench.ask import Progress
from nova_bench.build_card import Tally, readme
from nova_bench.catalog import load_task
from nova_bench.demographics import ATTRIBUTES
from nova_bench.discreet import Discreet
from nova_bench.errors import DataError
from nova_bench.fmbench_pairs import (
    PROMPTS_HASH,
    Checked,
    Pair,
    check_task,
    pair_id,
    write_task,
)
from nova_bench.plan import Unusable
from nova_bench.prepare import Settings, ready_model
from nova_bench.run import Run, evaluate
from nova_bench.runlog import RunLog, write_json
from nova_bench.score import answered_items
from nova_bench.signature import params_json
from nova_bench.task import Task
from nova_bench.types import Adapter, Request, Response, Sample

if TYPE_CHECKING:
    import pyarrow as pa

Watch = Callable[[str, Progress], None]

_BATCH = 500
_DEMOGRAPHICS = ("gender", "race", "ethnicity", "language")
_VQA = ("id", "patient_id", "image_path", "category", "question", "answer", *_DEMOGRAPHICS)
_REPORT = ("id", "patient_id", "image_path", "report", *_DEMOGRAPHICS)


@dataclass(slots=True)
class Built:
    """What a build came to.

    Attributes:
        folder: The built folder.
        is_complete: Whether its tables are there and whole.
        messages: What the user should know; one sentence each.
        card: The data card; empty where the build is not complete.
        error: What ended it early.
    """

    folder: Path
    is_complete: bool = False
    messages: list[str] = field(default_factory=list)
    card: dict[str, Any] = field(default_factory=dict)
    error: BaseException | None = None


def build_fmbench(
    source: str | Path,
    writer: str | Model | Adapter | Callable[[Request], str | Response],
    out: Path | str,
    *,
    options: Mapping[str, str] | None = None,
    limit: int | None = None,
    settings: Settings | None = None,
    allow_hosted: bool = False,
    watch: Watch | None = None,
) -> Built:
    """Build ``vqa.parquet``, ``report.parquet``, ``images/`` and a data card, or go on where an earlier call ended.

    Args:
        source: A folder as the owners ship Harvard-FairVLMed, ``full`` for the hub's copy, or another data set that ``fmbench_report`` reads.
        writer: ``ADAPTER[:MODEL]``, an adapter, or a plain function from a `Request` to a text; writes and checks the pairs.
        out: The folder to build.
        options: The adapter's options, as texts.
        limit: Only so many patients; a larger limit later goes on from there.
        settings: Cache and configuration folders.
        allow_hosted: Whether the notes may be sent to a vendor.
        watch: Called about ten times a second with the pass's name and its progress.

    Returns:
        What it came to. Not complete: some requests failed, or the passes ended early; nothing was written but the passes' logs.

    Raises:
        NovaBenchError: Anything that keeps it from starting: no such source or writer, notes that may not leave, a folder with another build.
    """
    made = Built(Path(out))
    model = ready_model(writer, options, "fmbench_build")
    model = dataclasses.replace(model, adapter=Discreet(model.adapter))

    def run(task: Task) -> Run | None:
        name = task.name.removeprefix("fmbench_")
        done = evaluate(
            task,
            model,
            data=str(source),
            out=made.folder / "build" / name,
            limit=limit,
            settings=settings,
            allow_hosted=allow_hosted,
            watch=None if watch is None else lambda progress: watch(name, progress),
        )
        return done if _is_complete(done, name, made) else None

    reports = load_task("fmbench_report").data
    written = run(write_task(reports))
    if written is None:
        return made
    pairs: dict[str, tuple[Pair, ...]] = {}
    for patient, value in _answers(written):
        pairs[patient] = value or ()
    checked = run(check_task(reports, pairs))
    if checked is None:
        return made
    verdicts: dict[str, Checked | None] = dict(_answers(checked))
    _write_all(made, written, checked, model, pairs, verdicts)
    return made


def _is_complete(run: Run, name: str, made: Built) -> bool:
    """Say what a pass lacks, and return whether it lacks nothing."""
    progress = run.progress
    assert progress is not None  # evaluate always sets it
    unusable = sum(isinstance(sample, Unusable) for sample in run.plan.samples())
    failed = progress.failed - unusable
    # both passes say of the same patients why they are left out
    made.messages += [message for message in progress.messages if message not in made.messages]
    made.error = progress.error
    if failed > 0:
        made.messages.append(f"{failed} requests of the pass {name!r} failed")
    if failed <= 0 and progress.error is None:
        return True
    made.messages.append(
        f"the build is not complete: its tables are not written. Give the same command again to go on; what was answered is in {run.folder}"
    )
    return False


def _answers(run: Run) -> Iterator[tuple[str, Any]]:
    """Yield each answered sample's id and what was understood of the answer."""
    with RunLog(run.folder) as log:
        for item in answered_items(run.plan, log):
            yield item.sample.id, item.prediction.value


# The tables


def _write_all(
    made: Built,
    written: Run,
    checked: Run,
    model: Model,
    pairs: Mapping[str, tuple[Pair, ...]],
    verdicts: Mapping[str, Checked | None],
) -> None:
    folder, tally, left_out = made.folder, Tally(), Counter[str]()
    (folder / "images").mkdir(parents=True, exist_ok=True)
    tables = {
        "vqa": _Table(folder / "vqa.parquet", _VQA),
        "report": _Table(folder / "report.parquet", _REPORT),
    }
    with contextlib.ExitStack() as stack:
        for table in tables.values():
            stack.callback(table.abandon)
        usable: dict[str, Sample] = {}
        for sample in written.plan.samples():
            if isinstance(sample, Unusable):
                left_out[sample.reason.replace(sample.id, "ID")] += 1
            else:
                usable[sample.id] = dataclasses.replace(
                    sample, text={}
                )  # its note is read again when its row comes
        split = "test"
        for row in written.plan.data.rows():
            chosen = usable.get(row["id"])
            if chosen is None:
                continue
            split = row.get("split") or split
            try:
                picture = chosen.images[0].png()
            except DataError as error:
                left_out[str(error).replace(chosen.id, "ID")] += 1
                continue
            path = f"images/{chosen.id}.png"
            _replace(folder / path, picture)
            shared = {"patient_id": row["patient_id"], "image_path": path, "age": row.get("age")}
            shared |= {name: row.get(name) for name in _DEMOGRAPHICS}
            tables["report"].add({"id": row["id"], "report": row["report"], **shared})
            fates = []
            for number, pair in enumerate(pairs.get(chosen.id, ()), 1):
                name = pair_id(chosen.id, number)
                fate, question, answer = _fate(pair, verdicts.get(name))
                fates.append((pair.category, fate, question))
                if fate in ("kept", "mended"):
                    texts = {"category": pair.category, "question": question, "answer": answer}
                    tables["vqa"].add({"id": name, **texts, **shared})
            tally.patient({name: chosen.groups[name] for name in (*ATTRIBUTES, "age")}, fates)
        digests = {f"{name}.parquet": table.finish() for name, table in tables.items()}
    data = written.plan.data
    made.card = {
        "schema_version": 1,
        "kind": "fmbench build",
        "nova_bench": __version__,
        "source": {
            "name": data.source.name,
            "hub": data.source.hub,
            "kind": data.kind,
            "revision": data.revision,
            "digest": data.digest,
            "split": split,
            "license": data.source.license,
            "license_url": data.source.license_url,
        },
        "writer": {
            "name": model.name,
            "adapter": model.source,
            "options": dict(model.identity),
            "models": sorted({*written.scored.models, *checked.scored.models}),
        },
        "prompts": PROMPTS_HASH,
        "params": params_json(written.plan.params),
        "limit": None if written.plan.limit is None else written.plan.limit.n,
        "patients": {
            "in_source": data.n_rows,
            "in_tables": tally.patients["all"],
            "left_out": dict(sorted(left_out.items())),
        },
        "answers": {"write": _states(written), "check": _states(checked)},
        "tells_demographics": tally.tells_demographics,
        "slices": tally.rows(),
        "files": digests,
    }
    write_json(folder / "card.json", made.card)
    _replace(folder / "README.md", readme(made.card).encode())
    made.is_complete = True


def _fate(pair: Pair, verdict: Checked | None) -> tuple[str, str, str]:
    """Return what becomes of a pair, with the question and answer that stand."""
    if verdict is None:
        return "unchecked", pair.question, pair.answer
    if verdict.verdict == "mend":
        return "mended", verdict.question, verdict.answer
    return ("kept" if verdict.verdict == "keep" else "dropped"), pair.question, pair.answer


def _states(run: Run) -> dict[str, int]:
    """Return how many answers of a pass had which state."""
    return {
        str(name): count
        for name, count in sorted(Counter(run.scored.table.status).items())
        if name != "failed"
    }


class _Table:
    """A Parquet file that is there as a whole or not at all; only a batch of rows is held."""

    def __init__(self, path: Path, texts: tuple[str, ...]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._path, self._scratch = path, path.with_name(f".{path.name}.part")
        self._schema: pa.Schema = pa.schema([*((name, pa.string()) for name in texts), ("age", pa.int64())])
        self._writer = pq.ParquetWriter(self._scratch, self._schema)
        self._rows: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) == _BATCH:
            self._flush()

    def finish(self) -> str:
        """Put the file in its place and return its sha256."""
        self._flush()
        self._writer.close()
        with self._scratch.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        self._scratch.replace(self._path)
        return found

    def abandon(self) -> None:
        """Remove what is not finished."""
        self._writer.close()
        self._scratch.unlink(missing_ok=True)

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, self._schema))
            self._rows.clear()


def _replace(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    scratch = path.with_name(f".{path.name}.part")
    scratch.write_bytes(data)
    scratch.replace(path)
