"""The nouns of nova_bench, in the order in which one sample becomes one number.

dataset row -> `Sample` -> `Request` -> `Response` -> `Prediction` -> rows -> `Table` -> `Cell`.

Every step after `Response` runs again without the model. Nothing here imports NumPy or Pillow, so that the command line starts at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from nova_bench.boxes import Box, Frame
from nova_bench.images import Image

if TYPE_CHECKING:
    import numpy as np

    from nova_bench.table import Table

__all__ = [
    "STATUSES",
    "Adapter",
    "Box",
    "Card",
    "Cell",
    "Context",
    "Frame",
    "GenParams",
    "Image",
    "Item",
    "Judge",
    "Lazy",
    "Metric",
    "Prediction",
    "Prompt",
    "Request",
    "Response",
    "Row",
    "Sample",
    "Scorer",
    "Usage",
]

Status = Literal["ok", "unparsed", "refused", "truncated", "rejected", "failed"]
"""What became of a request. The first five are the model's outcome: final and scored. `failed` is ours: tried again, never scored."""

STATUSES: tuple[Status, ...] = ("ok", "unparsed", "refused", "truncated", "rejected", "failed")

Finish = Literal["stop", "length", "filter", "rejected", "error"]
Row = Mapping[str, Any]
"""One sample's numbers: column name to a scalar, or to a sequence (or array) where the column is ragged."""


@dataclass(frozen=True, slots=True, eq=False)
class GenParams:
    """Generation parameters; None leaves a value to the backend."""

    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: Mapping[str, Any] | None = None


class Lazy(Mapping[str, "str | None"]):
    """Groups that are worked out when they are first read: asking a model needs none, and reading a caption for them costs 0.2 ms.

    >>> groups = Lazy(lambda: {"plane": "axial"})
    >>> groups["plane"]
    'axial'
    """

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], Mapping[str, str | None]]) -> None:
        self._make = make
        self._made: Mapping[str, str | None] | None = None

    def _read(self) -> Mapping[str, str | None]:
        if self._made is None:
            self._made = self._make()
        return self._made

    def __getitem__(self, key: str) -> str | None:
        return self._read()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One thing to be answered, with its truth; stays on our side of the wall."""

    id: str
    images: tuple[Image, ...]
    text: Mapping[str, str]
    """What a prompt may show, by name (``clinical_history``)."""
    target: Any
    """The truth, in the form that the task's scorers expect."""
    cluster: str
    """The case or patient; intervals resample clusters."""
    groups: Mapping[str, str | None]
    """Attribute to value, for slices and demographics; None is unknown."""
    split: str = "test"
    base: str | None = None
    """The id of the sample of which this one is a counterfactual copy; None where it is no copy."""


@dataclass(frozen=True, slots=True, eq=False)
class Card:
    """What an adapter declares in its file's header (see `nova_bench.adapter.HEADER_KEYS`), with ``-o boxes=`` and ``-o think=`` applied."""

    name: str = ""
    license: str = ""
    url: str = ""
    weights: str = ""
    parameters: str = ""
    trained_on: tuple[str, ...] = ()
    supervision: str = ""
    outputs: tuple[str, ...] = ("text",)
    frame: Frame = Frame("xyxy/1000")  # noqa: RUF009  (frozen)
    native: tuple[str, ...] = ()
    think: tuple[str, str] | None = ("<think>", "</think>")
    stream: bool = True
    """Whether it answers while requests still come; a batch API, which needs all of them first, says false."""
    only_judges: bool = False
    """Whether it answers rubrics only (``--judge``) and is no model that can be measured."""
    sends: Literal["local", "vendor"] = "local"
    transport: tuple[str, ...] = ()
    resources: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """What a task says to a model about one sample: text and images in order."""

    parts: tuple[str | Image, ...]
    system: str | None = None
    json_schema: Mapping[str, Any] | None = None
    ask: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """All that a model is given. There is no field for a target, a group or a data set's name."""

    id: str
    """Unique in a stream: the sample's id, or ``SAMPLE#r`` for repeat r >= 1."""
    sample: str
    repeat: int
    parts: tuple[str | Image, ...]
    system: str | None = None
    params: GenParams = GenParams()
    outputs: frozenset[str] = frozenset({"text"})
    labels: tuple[str, ...] = ()
    ask: Mapping[str, Any] | None = None
    """The prompt's structured twin, for models that ground natively: ``{"kind": "ground", "phrases": [...]}``."""

    @property
    def text(self) -> str:
        """The text parts, joined by blank lines."""
        return "\n\n".join(part for part in self.parts if isinstance(part, str))

    @property
    def images(self) -> tuple[Image, ...]:
        """The images, in order."""
        return tuple(part for part in self.parts if not isinstance(part, str))


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one response, as the backend counts them; None where it does not say.

    Vendors differ in what is part of what. Here the cached tokens are part of the input, and the reasoning ones of the output.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """What came back, untouched."""

    id: str
    text: str | None = None
    finish: Finish = "stop"
    """``stop`` ended by itself; ``length`` cut; ``filter`` the vendor's content filter; ``rejected`` cannot take this request;
    ``error`` no answer."""
    error: str | None = None
    reasoning: str | None = None
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    model: str | None = None
    """The model as the vendor names it."""
    image_sizes: tuple[tuple[int, int], ...] = ()
    """(width, height) of each image as sent, px; empty where they went out unchanged."""
    dropped: tuple[str, ...] = ()
    """Parameters that the backend could not honour."""
    usage: Usage | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What a parser may know besides the response."""

    frame: Frame
    think: tuple[str, str] | None
    stored_sizes: tuple[tuple[int, int], ...]
    """(width, height) of the sample's own images as stored, px."""
    sent_sizes: tuple[tuple[int, int], ...]
    """(width, height) of the same images as sent, px."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What we understood of a response."""

    status: Status
    value: Any = None
    warnings: Mapping[str, int] = field(default_factory=dict)
    """Counts of what was odd: ``out_of_frame``, ``inverted``, ..."""


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """What a judged scorer asks a language model about an answer; any adapter may be the one that is asked.

    The rubric is constant: what differs from sample to sample goes in as named texts, between delimiters (`nova_bench.judge`).
    """

    name: str
    """Unique in its task, as in a file's name: ``nova_description``."""
    version: int
    """Raised whenever the verdict on an unchanged answer can change; asks anew."""
    rubric: str
    """The whole instruction: printed on the task's page, hashed into the signature."""
    schema: Mapping[str, Any]
    """JSON schema of a verdict: closed objects, every key required (`nova_bench.judge.schema_faults`)."""
    material: Callable[[Sample, Prediction], Mapping[str, str] | None]
    """The texts that go in, by name: ``{"reference": ..., "candidate": ...}``. None: the row is made by rule (no answer, no reference),
    and nothing is sent."""
    check: Callable[[Mapping[str, Any], Mapping[str, str]], str | None] = lambda verdict, texts: None
    """From a verdict that fits the schema, and the texts, to what is wrong with it that a schema cannot say; None where it holds."""
    private: tuple[str, ...] = ()
    """Keys of free text. Of gated data they go to a private file only, and a scorer never sees them again."""
    max_tokens: int = 1024
    temperature: float = 0.0
    names: tuple[str, ...] = ()
    """Of the texts that `material` gives; () where they are not said. Texts of people's labels have to have these."""
    shown: Callable[[Mapping[str, str]], Mapping[str, str]] = dict
    """How texts that did not come from `material`, those of people's labels, become what it would have given: masked, cut."""


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """What a scorer sees of one sample and one repeat."""

    sample: Sample
    prediction: Prediction
    repeat: int = 0
    verdict: Mapping[str, Any] | None = None
    """Of a judged scorer's judge; None where its row is made by rule. An answer that waits for its verdict, or has none for good, is shown
    to no judged scorer."""


@runtime_checkable
class Adapter(Protocol):
    """A model: a function from a stream of requests to a stream of responses, in any order, each with its request's id.

    `nova_bench.adapter` states the contract in full.
    """

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Answer requests as they come."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Scorer:
    """Makes rows: one sample's sufficient statistics, under columns that it owns."""

    name: str
    columns: tuple[str, ...]
    rows: Callable[[Iterable[Item]], Iterator[Row]]
    """A stream, one row an item, in the items' order."""
    bounds: Callable[[Sample], tuple[Row, Row]] | None = None
    """Rows of the worst and of the best possible answer; None: no bounds for incomplete cells. A column that both leave out has none, and
    nor has a metric that needs it."""
    missing: Callable[[], str | None] | None = None
    """Returns the remedy (a command) where a resource of this scorer is not there, else None."""
    version: int = 1
    judge: Judge | None = None
    """Whom its rows need; without one that was asked its columns are absent. Two scorers with one `Judge` share its calls."""
    labels: tuple[str, ...] = ()
    """Of a judged scorer: columns of 0 and 1 that are one answer together (a class, and what follows from it). Of repeated verdicts the
    combination given most often counts, of several such their mean. The other columns are averaged."""


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """Turns a table, seen through weights, into numbers. Made by factories: ``accuracy()``, ``average_precision(iou=0.5)``."""

    name: str
    needs: tuple[str, ...]
    """Columns that must be there."""
    compute: Callable[[Table, np.ndarray], np.ndarray]
    """Weights (b, n), one line a resample, to values (b,); NaN where undefined."""
    sums: Callable[[Table], tuple[np.ndarray, np.ndarray]] | None = None
    """Numerator and denominator a row (n,), where the metric is ``sum num / sum den``; None: only the bootstrap gives its error."""
    version: int = 1
    higher_is_better: bool = True
    range: tuple[float, float] | None = (0.0, 1.0)
    """None: unbounded."""
    infer: bool = True
    """False (counts, coverage, entropy): no interval, no part in comparisons."""
    about: str = ""
    """One line: what it is, with its source."""


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One number as we are willing to print it."""

    task: str
    model: str
    metric: str
    slice: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    """Samples in the slice; the value is over the ``n - n_failed`` answered ones, of a judged metric less the unjudged ones."""
    n_failed: int
    """Of a judged metric also those that wait for a verdict."""
    clusters: int
    counts: Mapping[str, int]
    """Lines (sample and repeat) of each status. Of a judged metric also how many of the answered ones are ``unjudged`` for good, and on
    how many the judge failed (``judge_failed``): these are asked again."""
    signature: Mapping[str, Any]
    bounds: tuple[float | None, float | None] | None = None
    """With failed or unjudged lines: the value if all of them were worst, and if all were best. The unjudged are final, and the cell is
    not incomplete for them; but what they are left out of could have been this low, or this high."""
    note: str | None = None
