"""What judges would be asked: of answers that are there exactly, of those to come at most."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nova_bench.adapter import Model
from nova_bench.errors import DataError
from nova_bench.hosted import sends_to_vendor
from nova_bench.judge import judge_request, rubric_id
from nova_bench.judge_log import Asked, VerdictLog
from nova_bench.judge_texts import Wanted
from nova_bench.judging import Judging
from nova_bench.plan import Plan, Unusable
from nova_bench.runlog import MANIFEST, RunLog
from nova_bench.signature import canonical
from nova_bench.types import Judge, Request, Response, Sample

RULE = (
    "of answers that are there: what would be sent; of those to come: a request for each rubric and repeat, although empty answers are not "
    "sent; their input is rubric, schema and max_tokens of the answer, without the reference. A broken verdict is asked for again"
)


@dataclass(slots=True)
class _Tally:
    left: int = 0
    kept: int = 0
    by_rule: int = 0
    input: int = 0
    output: int = 0


class _Judge:
    """One judge, what it was asked before, and what it would be asked."""

    def __init__(
        self,
        model: Model,
        asked: Asked,
        judges: Sequence[Judge],
        tokens: Callable[[Request], int],
        most: int = 0,
    ) -> None:
        self.model, self.asked, self.tokens, self.tally = model, asked, tokens, _Tally()
        self.judges = [asked.tuned(judge) for judge in judges]
        self.log = VerdictLog(asked.folder) if (asked.folder / MANIFEST).exists() else None
        self._most = most

    def answered(self, sample: Sample, answer: str, plan: Plan, response: Response) -> None:
        """Count what an answer that is there needs."""
        prediction = plan.predict(sample, response)
        for judge in self.judges:
            texts = judge.material(sample, prediction)
            if texts is None:
                self.tally.by_rule += 1
                continue
            self.texts(judge, texts, answer, sample.id)

    def texts(self, judge: Judge, texts: Mapping[str, str], id: str, sample: str) -> None:
        """Count what texts need that are there."""
        for repeat in range(self.asked.repeats):
            request = judge_request(judge, texts, id, sample, repeat=repeat)
            if self.log is not None and self.log.find(request)[0].is_final:
                self.tally.kept += 1
                continue
            self._add(judge, 1, self.tokens(request))

    def open(self) -> None:
        """Count what an answer that is still to come needs at most."""
        for judge in self.judges:
            characters = len(judge.rubric) + len(canonical(judge.schema))
            self._add(judge, self.asked.repeats, math.ceil(characters / 4) + self._most)

    def _add(self, judge: Judge, count: int, tokens: int) -> None:
        self.tally.left += count
        self.tally.input += count * tokens
        self.tally.output += count * judge.max_tokens

    def json(self) -> dict[str, Any]:
        """Return the judge's part of the dry run's document."""
        tally, price = self.tally, self.asked.price
        cost = None
        if price is not None:
            cost = price.cost(input_tokens=tally.input, cached_tokens=0, output_tokens=tally.output)
        return {
            "name": self.asked.name,
            "goes_to": "vendor" if sends_to_vendor(self.model) else "local",
            "rubrics": [rubric_id(judge) for judge in self.judges],
            "repeats": self.asked.repeats,
            "self": self.asked.is_self,
            "requests": {"at_most": tally.left, "in_log": tally.kept, "by_rule": tally.by_rule},
            "estimate": {
                "input_tokens": tally.input,
                "output_tokens_at_most": tally.output,
                "cost_usd_at_most": None if cost is None else float(f"{cost:.6g}"),
                "price": None if price is None else price.json(),
                "rule": RULE,
            },
        }


def text_requests(
    model: Model, asked: Asked, wanted: Iterable[Wanted], tokens: Callable[[Request], int]
) -> dict[str, Any]:
    """Return what a judge would be asked about texts that are no answers of a run's plan; nothing is written.

    Args:
        model: The judge.
        asked: What its manifest would say.
        wanted: What is to be judged.
        tokens: Estimates a request's input tokens.

    Raises:
        LogError: A log is damaged.
    """
    listed = list(wanted)
    judge = _Judge(model, asked, list({one.judge.name: one.judge for one in listed}.values()), tokens)
    try:
        for one in listed:
            judge.texts(asked.tuned(one.judge), one.texts, one.id, one.sample)
    finally:
        if judge.log is not None:
            judge.log.close()
    return judge.json()


def judge_requests(
    plan: Plan,
    folder: Path,
    judging: Judging,
    tokens: Callable[[Request], int],
    *,
    is_model_asked: bool = True,
) -> list[dict[str, Any]]:
    """Return what each judge of a run would be asked; nothing is written.

    Args:
        plan: The run's plan.
        folder: The run's folder, which need not be there.
        judging: The judges, checked.
        tokens: Estimates a request's input tokens.
        is_model_asked: Whether answers that are not there yet are going to be.

    Raises:
        LogError: A log is damaged.
    """
    judges = [
        _Judge(model, asked, plan.task.judges, tokens, plan.params.max_tokens or 0)
        for model, asked in judging.planned(folder)
    ]
    if not judges:
        return []
    try:
        with RunLog(folder) as log:
            index = log.index()
            for sample in plan.samples():
                if isinstance(sample, Unusable):
                    continue
                try:
                    hashed = [(request.id, plan.hash(request)) for request in plan.requests(sample)]
                except DataError:
                    continue
                for id, request_hash in hashed:
                    entry = index.find(id, request_hash)
                    response = log.read(entry) if entry is not None and entry.is_final else None
                    for judge in judges:
                        if response is None and is_model_asked:
                            judge.open()
                        elif response is not None:
                            judge.answered(sample, id, plan, response)
    finally:
        for judge in judges:
            if judge.log is not None:
                judge.log.close()
    return [judge.json() for judge in judges]
