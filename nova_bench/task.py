"""The task contract: how a data set becomes requests, answers become predictions, and predictions become numbers.

A task is one file in ``tasks/`` that ends in ``TASK = Task(...)``. Its first docstring line is what ``nova-bench list`` shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nova_bench.errors import UnknownNameError, UsageError
from nova_bench.source import Source
from nova_bench.types import (
    Card,
    Context,
    GenParams,
    Judge,
    Metric,
    Prediction,
    Prompt,
    Response,
    Sample,
    Scorer,
)

Variant = Mapping[str, str]
"""Every choice of a run, by key; the engine's ``image`` among them where the variant sends one."""

IMAGE_CONTROL = ("given", "none", "shuffled")
"""The engine's own control: the sample's image, none at all, or one of another cluster. The first is the default."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A published number: printed apart from ours, because prompts, judge and often the metric's form differ."""

    model: str
    metric: str
    """The paper's word for it."""
    value: float
    """On the scale of our metrics, 0 to 1."""
    evidence: Literal["primary source", "second-hand", "inferred"]
    source: str
    sources: int = 1
    """How many independent second-hand sources agree."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A benchmark's one ability: data, prompt, parser, scorers and metrics."""

    name: str
    """The file's name without ``.py``."""
    version: int
    """Raised whenever a request or a score of an unchanged answer can change."""
    data: Source
    sample: Callable[[Mapping[str, Any], Variant], Iterable[Sample]]
    """From a row to its samples; the row has ``image``, an `Image`, where the source names an image column.
    Raises DataError for a row that cannot be used: it becomes a failed sample, and the run goes on."""
    prompt: Callable[[Sample, Card], Prompt]
    parse: Callable[[Response, Context], Prediction]
    parser_version: int
    scorers: tuple[Scorer, ...]
    metrics: tuple[Metric, ...]
    headline: str
    params: GenParams
    variants: Mapping[str, tuple[str, ...]]
    """Key to its values; the first is the default."""
    sends_image: Callable[[Variant], bool] = lambda variant: True
    slices: tuple[str, ...] = ()
    demographics: tuple[str, ...] = ()
    about: str = ""
    doubts: tuple[str, ...] = ()
    """What is not known of the published evaluation, and what was chosen here."""
    references: tuple[Reference, ...] = ()
    citation: str = ""

    @property
    def judges(self) -> tuple[Judge, ...]:
        """What its judged scorers ask, each once."""
        return tuple({id(scorer.judge): scorer.judge for scorer in self.scorers if scorer.judge}.values())

    @property
    def judged_columns(self) -> tuple[str, ...]:
        """The columns that need a judge."""
        return tuple(column for scorer in self.scorers if scorer.judge for column in scorer.columns)

    @property
    def plain_metrics(self) -> tuple[Metric, ...]:
        """The metrics that need no judge."""
        judged = set(self.judged_columns)
        return tuple(metric for metric in self.metrics if not judged & set(metric.needs))

    @property
    def judged_metrics(self) -> tuple[Metric, ...]:
        """The metrics that need a judge, as the task writes them: without a judge's name."""
        judged = set(self.judged_columns)
        return tuple(metric for metric in self.metrics if judged & set(metric.needs))

    def variant(self, choices: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the whole variant for some choices: every key, with its default where it was not chosen.

        Raises:
            UnknownNameError: A key or a value does not exist.
            UsageError: An image control on a variant that sends no image.
        """
        choices = choices or {}
        offered = dict(self.variants)
        full = {key: choices.get(key, values[0]) for key, values in offered.items()}
        for key, value in full.items():
            if value not in offered[key]:
                raise UnknownNameError(
                    "variant",
                    f"{key}={value}",
                    [f"{key}={known}" for known in offered[key]],
                    f"task {self.name}",
                )
        if self.sends_image(full):
            offered["image"] = IMAGE_CONTROL
            full["image"] = choices.get("image", IMAGE_CONTROL[0])
            if full["image"] not in IMAGE_CONTROL:
                raise UnknownNameError(
                    "variant",
                    f"image={full['image']}",
                    [f"image={known}" for known in IMAGE_CONTROL],
                    f"task {self.name}",
                )
        elif "image" in choices:
            raise UsageError(
                f"task {self.spell(full)} sends no image, so image={choices['image']} has nothing to control; leave it out"
            )
        for key in choices:
            if key not in offered:
                raise UnknownNameError("variant key", key, offered, f"task {self.name}")
        return full

    def spell(self, variant: Mapping[str, str]) -> str:
        """Return the task's name with the choices that are not defaults, as users write it: ``nova_diagnosis@inputs=image@image=none``."""
        defaults = {key: values[0] for key, values in self.variants.items()} | {"image": IMAGE_CONTROL[0]}
        chosen = [f"@{key}={value}" for key, value in variant.items() if value != defaults.get(key)]
        return self.name + "".join(chosen)


def split_spelling(text: str) -> tuple[str, dict[str, str]]:
    """Return the task's name and the choices of ``NAME@key=value@key=value``.

    Raises:
        UsageError: A choice is not of the form key=value, or a key stands twice.

    >>> split_spelling("nova_diagnosis@inputs=history+image")
    ('nova_diagnosis', {'inputs': 'history+image'})
    """
    name, *parts = text.split("@")
    choices: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals or not key or not value:
            raise UsageError(
                f"variant {part!r} in {text!r}: expected @key=value, as in nova_diagnosis@inputs=image"
            )
        if key in choices:
            raise UsageError(f"variant key {key!r} stands twice in {text!r}")
        choices[key] = value
    return name, choices
