"""Some requests of a bundle, asked again: the one check that speaks to whether the model gave the answers.

The requests go the way of any run: one engine, one adapter, a log. What comes back is compared answer by answer. Agreement is reported and
never changes a status: a hosted model changes under its name, and one that samples at a temperature agrees with itself only in part.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nova_bench.adapter import Model
from nova_bench.ask import ask
from nova_bench.board.bundle_reader import Bundle
from nova_bench.board.differences import differences, same_number
from nova_bench.errors import UsageError
from nova_bench.hosted import check_hosted
from nova_bench.plan import Plan, Unusable
from nova_bench.prepare import Settings, ready_model
from nova_bench.report import rounded
from nova_bench.run import Run
from nova_bench.runlog import RunLog
from nova_bench.score import score
from nova_bench.table import Ragged, Table
from nova_bench.types import Request, Sample


@dataclass(frozen=True, slots=True)
class Rerun:
    """What is to be asked again, and whom."""

    n: int
    model: str
    """``ADAPTER[:MODEL]``."""
    options: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    """Of the choice of requests; None draws one, which is told, so that nobody can know before what will be asked."""
    allow_hosted: bool = False


class _Chosen(Plan):
    """A plan that asks some of another's requests."""

    def choose(self, ids: frozenset[str]) -> _Chosen:
        """Keep only the requests with these ids."""
        self._ids = ids
        return self

    def samples(self) -> Iterator[Sample | Unusable]:
        wanted = {self._sample_of(one) for one in self._ids}
        return (sample for sample in super().samples() if isinstance(sample, Sample) and sample.id in wanted)

    def requests(self, sample: Sample) -> Iterator[Request]:
        return (request for request in super().requests(sample) if request.id in self._ids)

    def _sample_of(self, request: str) -> str:
        head, mark, tail = request.rpartition("#")
        return head if mark and tail.isdigit() and 0 < int(tail) < self.repeats else request


def ask_again(bundle: Bundle, run: Run, wanted: Rerun, folder: Path, settings: Settings) -> dict[str, Any]:
    """Ask a model some requests of a bundle again, and return how far the answers agree.

    Args:
        bundle: The bundle.
        run: The run made from its answers and the data set; where it holds no answers, one opened on the data set.
        wanted: What to ask, and whom.
        folder: An empty folder of our own, for the log.
        settings: Cache and configuration folders.

    Raises:
        UsageError: The model cannot be made, only judges, or may not be sent this data.
    """
    if wanted.n < 1:
        raise UsageError(f"--rerun {wanted.n}: expected 1 or more requests")
    plan = run.plan
    model = ready_model(wanted.model, wanted.options, plan.spelling)
    try:
        if model.card.only_judges:
            raise UsageError(f"{model.name} only judges; give the model that answered")
        check_hosted(plan.data.source, model, is_allowed=wanted.allow_hosted or plan.data.is_synthetic)
        seed = random.SystemRandom().randrange(1 << 32) if wanted.seed is None else wanted.seed
        table = run.scored.table
        ids = [
            _request_id(sample, repeat)
            for sample, repeat in zip(table.id, table.repeat.tolist(), strict=True)
        ]
        chosen = sorted(random.Random(seed).sample(ids, min(wanted.n, len(ids))))
        again = _Chosen(
            plan.task,
            plan.variant,
            plan.data,
            plan.card,
            params=plan.params,
            repeats=plan.repeats,
            digests=plan.digests,
        ).choose(frozenset(chosen))
        progress = ask(again, model, folder, total=len(chosen))
        with RunLog(folder) as log:
            fresh = score(again, log)
            compared = _compared(bundle, run, again, fresh.table, log)
    finally:
        model.close()
    answered = compared["answered"]
    return {
        "asked": len(chosen),
        "answered": answered,
        "failed": len(chosen) - answered,
        "seed": seed,
        "model": model.name,
        "identity": list(differences(_identity(bundle), _own(model), "model")),
        "same_text": _share(compared["text"], answered) if bundle.responses is not None else None,
        "same_prediction": _share(compared["prediction"], answered) if bundle.responses is not None else None,
        "same_row": _share(compared["row"], answered),
        "metrics": compared["metrics"],
        "ended": None if progress.error is None else f"{type(progress.error).__name__}: {progress.error}",
    }


def _request_id(sample: str, repeat: int) -> str:
    return f"{sample}#{repeat}" if repeat else sample


def _identity(bundle: Bundle) -> dict[str, Any]:
    model = bundle.about["model"]
    return {"name": model["name"], "source": model["source"], "options": model["options"]}


def _own(model: Model) -> dict[str, Any]:
    return {"name": model.name, "source": model.source, "options": dict(model.identity)}


def _compared(bundle: Bundle, run: Run, again: Plan, fresh: Table, log: RunLog) -> dict[str, Any]:
    """Return how many answers are the same, and what the metrics are on the same lines before and after."""
    stated = bundle.rows.table
    place = {
        (sample, repeat): i
        for i, (sample, repeat) in enumerate(
            zip(run.scored.table.id, run.scored.table.repeat.tolist(), strict=True)
        )
    }
    # Rows of gated data are masked, line by line in the order of the data set's own.
    before = stated.take(
        np.array(
            [place[sample, repeat] for sample, repeat in zip(fresh.id, fresh.repeat.tolist(), strict=True)],
            dtype=np.int64,
        )
    )
    is_answered = np.asarray(fresh.status != "failed")
    columns = [name for scorer in again.task.scorers if scorer.judge is None for name in scorer.columns]
    same_rows = is_answered & np.asarray(before.status == fresh.status)
    for name in columns:
        if name in fresh.columns and name in before.columns:
            same_rows &= _same(before.columns[name], fresh.columns[name])
    texts, predictions = _same_answers(run, again, log)
    kept = np.flatnonzero(is_answered)
    old, new = before.take(kept), fresh.take(kept)
    return {
        "answered": int(is_answered.sum()),
        "text": texts,
        "prediction": predictions,
        "row": int(same_rows.sum()),
        "metrics": [
            {"metric": metric.name, "stated": _value(old, metric), "again": _value(new, metric)}
            for metric in again.task.plain_metrics
            if metric.infer and set(metric.needs) <= set(old.columns) & set(new.columns)
        ],
    }


def _same(one: np.ndarray | Ragged, other: np.ndarray | Ragged) -> np.ndarray:
    """Return a boolean array (n,): lines in which two columns are the same."""
    if isinstance(one, Ragged) or isinstance(other, Ragged):
        if not (isinstance(one, Ragged) and isinstance(other, Ragged)):
            return np.zeros(len(one), dtype=bool)
        return np.array(
            [
                a.shape == b.shape and bool(np.allclose(a, b, equal_nan=True))
                for a, b in zip(_lines(one), _lines(other), strict=True)
            ],
            dtype=bool,
        )
    return np.array(
        [same_number(float(a), float(b)) or (a != a and b != b) for a, b in zip(one, other, strict=True)],
        dtype=bool,
    )


def _lines(column: Ragged) -> Iterator[np.ndarray]:
    return (column[i].astype(np.float64) for i in range(len(column)))


def _same_answers(run: Run, again: Plan, log: RunLog) -> tuple[int, int]:
    """Return how many texts, and how many predictions, are the same in both logs."""
    texts = predictions = 0
    fresh = log.index()
    with RunLog(run.folder) as stated:
        index = stated.index()
        for sample in again.samples():
            if not isinstance(sample, Sample):
                continue
            for request in again.requests(sample):
                hashed = again.hash(request)
                old, new = index.find(request.id, hashed), fresh.find(request.id, hashed)
                if old is None or new is None or not new.is_final:
                    continue
                before, after = stated.read(old), log.read(new)
                texts += before.text == after.text
                one, other = again.predict(sample, before), again.predict(sample, after)
                predictions += (one.status, repr(one.value)) == (other.status, repr(other.value))
    return texts, predictions


def _value(table: Table, metric: Any) -> float | None:
    if not len(table):
        return None
    with np.errstate(all="ignore"):
        return rounded(float(metric.compute(table, table.ones())[0]))


def _share(same: int, n: int) -> dict[str, Any]:
    """Return a share with Wilson's interval (1927): requests are drawn at random, so each counts for itself."""
    if not n:
        return {"same": same, "of": n, "share": None, "low": None, "high": None}
    share = same / n
    z = 1.959963984540054
    middle, half = (share + z * z / (2 * n)), z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = ((middle + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    return {
        "same": same,
        "of": n,
        "share": rounded(share),
        "low": rounded(max(float(low), 0.0)),
        "high": rounded(min(float(high), 1.0)),
    }
