"""Where a run and its judges stand: written by their threads, read by the one that shows it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class JudgeProgress:
    """Where a judge stands; read by another thread while it goes on. All counts are of verdicts: rubric times judge repeat."""

    name: str
    total: int | None = None
    """Verdicts there are to be, those by rule included; an upper bound while the model is at work, None where it is not known."""
    repeats: int = 1
    """Verdicts of one rubric on an answer."""
    kept: int = 0
    """Known from an earlier start."""
    judged: int = 0
    unjudged: int = 0
    """Broken as often as they may be, or rejected: final."""
    failed: int = 0
    """No answer came: to be asked again."""
    broken: int = 0
    """Answers that were no verdict and were asked for again."""
    by_rule: int = 0
    """Answers that were not sent."""
    messages: list[str] = field(default_factory=list)
    error: BaseException | None = None
    """What ended the judge before its end."""
    is_done: bool = False
    """Whether everything that there was to judge was asked."""

    @property
    def done(self) -> int:
        """Verdicts that are dealt with, by this or an earlier start, with whatever outcome."""
        return self.kept + self.judged + self.unjudged + self.failed + self.by_rule * self.repeats


@dataclass(slots=True)
class Progress:
    """Where a run stands; read by another thread while the run goes on."""

    total: int | None = None
    """Requests of the plan; None until they were counted."""
    kept: int = 0
    """Answered by an earlier start."""
    reused: int = 0
    """Answered by this start from the response cache."""
    answered: int = 0
    """Answered by this start, with whatever outcome."""
    failed: int = 0
    """Failed in this start: to be asked again."""
    ignored: int = 0
    """Log records of another prompt for a sample of this plan."""
    stopping: bool = False
    messages: list[str] = field(default_factory=list)
    """What the user should know; one sentence each."""
    error: BaseException | None = None
    """What ended the run before its end."""
    judges: list[JudgeProgress] = field(default_factory=list)
    """Where each judge stands."""

    @property
    def done(self) -> int:
        """Requests that are dealt with, by this or an earlier start."""
        return self.kept + self.reused + self.answered + self.failed
