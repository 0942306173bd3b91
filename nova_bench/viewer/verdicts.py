"""What the judges of a run said about one answer, as far as it may be shown: of gated data without the judge's free text."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nova_bench.judge import judge_request
from nova_bench.judge_log import Asked, VerdictLog
from nova_bench.run import Run
from nova_bench.types import Prediction, Sample


@dataclass(frozen=True, slots=True, eq=False)
class Jury:
    """The judges of a run whose verdicts count, with their logs open."""

    run: Run
    judges: Sequence[tuple[Asked, VerdictLog]]

    def verdicts(self, sample: Sample, prediction: Prediction, answer: str) -> list[dict[str, Any]]:
        """Return every verdict on one answer: ``judge``, ``rubric``, ``repeat``, ``state`` and ``verdict``.

        The state is ``read``; ``by rule`` where there was nothing to judge and nobody was asked; ``unjudged`` where every try stayed broken;
        or ``waiting``.

        Args:
            sample: What was asked about.
            prediction: What was understood of the answer.
            answer: The id of the model's request.
        """
        made: list[dict[str, Any]] = []
        for asked, log in self.judges:
            for judge in self.run.plan.task.judges:
                said = {"judge": asked.name, "rubric": judge.name, "repeat": 0, "verdict": None}
                texts = judge.material(sample, prediction)
                if texts is None:
                    made.append({**said, "state": "by rule"})
                    continue
                for repeat in range(asked.repeats):
                    request = judge_request(asked.tuned(judge), texts, answer, sample.id, repeat=repeat)
                    known, _ = log.find(request)
                    state = "waiting" if not known.is_final else "unjudged" if known.entry is None else "read"
                    verdict = None if known.entry is None else log.verdict(known.entry)
                    made.append({**said, "repeat": repeat, "state": state, "verdict": verdict})
        return made


@contextlib.contextmanager
def jury_of(run: Run) -> Iterator[Jury]:
    """Open the verdicts of a run's judges.

    Args:
        run: A run; one that no judge was asked about has an empty jury.

    Raises:
        LogError: A line of verdicts is damaged.
    """
    with contextlib.ExitStack() as stack:
        asked = [account.asked for account in run.scored.judges.values()]
        yield Jury(run, [(one, stack.enter_context(VerdictLog(one.folder))) for one in asked])
