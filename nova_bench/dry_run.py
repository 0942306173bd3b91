"""What a run would ask and about cost, without asking: the number of requests, an estimate, and the first request as it would be.

Nothing is sent to the model and nothing of the run is written. A data set that is not on this machine yet is fetched, because its requests
cannot be counted otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nova_bench.adapter import Model
from nova_bench.cache import ResponseCache, check_cacheable
from nova_bench.data import Data
from nova_bench.dry_run_judges import judge_requests
from nova_bench.errors import DataError, UsageError
from nova_bench.hosted import check_hosted, sends_to_vendor
from nova_bench.identity import identity_of, without_credentials
from nova_bench.judging import Judging
from nova_bench.plan import Unusable
from nova_bench.prepare import Answerer, Prepared, Settings, prepare
from nova_bench.prices import Price, missing_price, price_files
from nova_bench.runlog import RunLog, check_identity
from nova_bench.signature import canonical, params_json
from nova_bench.task import Task
from nova_bench.types import Image, Request

MEASURED = 1_000
"""Requests that are measured; the estimate of more is their mean times the number."""

_LONGEST_SIDE = 1568
_PIXELS_A_TOKEN = 750

RULE = (
    f"input: characters / 4, and for an image width x height / {_PIXELS_A_TOKEN} px after scaling to {_LONGEST_SIDE:,} px at most; each vendor "
    "counts in its own way, so this can be wrong by half. Output: max_tokens for each request, as an upper bound"
)


def image_tokens(width: int, height: int) -> int:
    """Return the tokens that an image is taken for: one vendor's published rule, in the middle of those of the others.

    >>> image_tokens(512, 512), image_tokens(6000, 4000)
    (350, 2186)
    """
    scale = min(1.0, _LONGEST_SIDE / max(width, height, 1))
    return math.ceil(width * scale * height * scale / _PIXELS_A_TOKEN)


def input_tokens(request: Request) -> int:
    """Return an estimate of a request's input tokens, by `RULE`.

    Raises:
        DataError: An image cannot be read.
    """
    schema = request.params.json_schema
    characters = len(request.text) + len(request.system or "") + (len(canonical(schema)) if schema else 0)
    return math.ceil(characters / 4) + sum(image_tokens(*image.size) for image in request.images)


@dataclass(slots=True)
class _Tally:
    answered: int = 0
    in_cache: int = 0
    left: int = 0
    unusable: int = 0
    measured: int = 0
    input: int = 0
    output: int | None = 0
    """Of those that were measured; None once a request has no max_tokens."""
    first: Request | None = None


def estimate_run(
    task: str | Task,
    model: Answerer,
    *,
    options: Mapping[str, str] | None = None,
    variant: Mapping[str, str] | None = None,
    data: str = "full",
    out: Path | str | None = None,
    limit: int | None = None,
    repeats: int = 1,
    params: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    allow_hosted: bool = False,
    prices: Path | str | None = None,
    cache: Path | str | None = None,
    show_text: bool = False,
    judges: Sequence[Answerer] = (),
    judge_options: Mapping[str, str] | None = None,
    judge_params: Mapping[str, Any] | None = None,
    judge_repeats: int = 1,
    allow_self_judge: bool = False,
) -> dict[str, Any]:
    """Return what `evaluate` with the same arguments would ask and about cost: the document of ``run --dry-run --json``.

    Args:
        task: As in `evaluate`, and so are the others.
        model: It is made ready, as for a run, and not asked.
        options: The adapter's options.
        variant: Choices beside those in the task's string.
        data: Where the data set is.
        out: The run's folder; what its log holds already is not counted as left.
        limit: Only so many clusters.
        repeats: How often each sample is asked.
        params: Generation parameters.
        settings: Cache and configuration folders.
        allow_hosted: Only for what is said: nothing is sent.
        prices: A price file.
        cache: A folder with answers of other runs.
        show_text: Show the first request's texts also where they are gated.
        judges: As in `evaluate`, and so are the others: made ready, and not asked.
        judge_options: Options of the judges' adapters.
        judge_params: Generation parameters of the judges.
        judge_repeats: How often each judge would be asked about an answer.
        allow_self_judge: Whether the model under test may be its own judge.

    Raises:
        NovaBenchError: Anything that would keep the run from starting.

    >>> found = estimate_run("nova_diagnosis", lambda request: "", data="mini", out=getfixture("tmp_path"), limit=3)
    >>> found["requests"]["left"], found["estimate"]["cost_usd_at_most"], sorted(found["first_request"]["parts"][-1])
    (7, None, ['text'])
    """
    settings = settings or Settings()
    notes: list[str] = []
    if cache is not None:
        check_cacheable(model)

    judging = Judging(
        judges,
        options=judge_options,
        params=judge_params,
        repeats=judge_repeats,
        allow_self_judge=allow_self_judge,
        allow_hosted=True,  # as for the model it is a note: nothing is sent
        prices=prices,
        settings=settings,
    )

    def check(task: Task, ready: Model, opened: Data | None, price: Price | None) -> None:
        judging.check(task, ready, opened, task.name)
        for one in [ready, *judging.models] if opened is not None else ():
            try:
                check_hosted(
                    task.data,
                    one,
                    is_allowed=allow_hosted or (opened is not None and opened.is_synthetic),
                )
            except UsageError as error:
                notes.append(str(error))

    made = prepare(
        task,
        model,
        options=options,
        variant=variant,
        data=data,
        out=out,
        limit=limit,
        repeats=repeats,
        params=params,
        settings=settings,
        prices=prices,
        check=check,
    )
    check_identity(made.folder, identity_of(made.plan, made.model, made.task_file))
    kept = None
    if cache is not None and Path(cache).is_dir():
        kept = ResponseCache(Path(cache), made.model, is_gated=made.is_gated, is_written=False)
    tally = _count(made, kept)
    try:
        asked = judge_requests(made.plan, made.folder, judging, input_tokens)
    finally:
        judging.close()
    notes += judging.notes(made.plan.task)
    if tally.unusable:
        notes.append(f"{tally.unusable} requests cannot be made, because their rows or pictures are damaged")
    return {
        "task": made.plan.spelling,
        "model": made.model.name,
        "goes_to": "vendor" if sends_to_vendor(made.model) else "local",
        "folder": str(made.folder),
        "requests": {
            "total": tally.answered + tally.in_cache + tally.left + tally.unusable,
            "answered": tally.answered,
            "in_cache": tally.in_cache,
            "unusable": tally.unusable,
            "left": tally.left,
        },
        "estimate": _estimate(
            tally, made, missing_price(made.model.name, price_files(settings.config, prices))
        ),
        "judges": asked,
        "options": {key: _shown(value) for key, value in made.model.options.items()},
        "first_request": None
        if tally.first is None
        else _rendered(tally.first, made, is_text_shown=show_text or not made.is_gated),
        "notes": notes,
    }


def _count(made: Prepared, cache: ResponseCache | None) -> _Tally:
    """Walk the plan and measure what is left."""
    tally = _Tally()
    with RunLog(made.folder) as log:
        index = log.index()
    for request in _requests(made, tally):
        try:
            if cache is not None or index.has(request.id):
                request_hash = made.plan.hash(request)
                entry = index.find(request.id, request_hash)
                if entry is not None and entry.is_final:
                    tally.answered += 1
                    continue
                if cache is not None and cache.find(request, request_hash) is not None:
                    tally.in_cache += 1
                    continue
            if tally.measured < MEASURED:
                tokens = input_tokens(request)
                tally.measured += 1
                tally.input += tokens
                most = request.params.max_tokens
                tally.output = None if most is None or tally.output is None else tally.output + most
        except DataError:
            tally.unusable += 1
            continue
        tally.left += 1
        tally.first = tally.first or request
    return tally


def _requests(made: Prepared, tally: _Tally) -> Iterator[Request]:
    for sample in made.plan.samples():
        if isinstance(sample, Unusable):
            tally.unusable += made.plan.repeats
            continue
        try:
            asked = list(made.plan.requests(sample))
        except DataError:
            tally.unusable += made.plan.repeats
            continue
        yield from asked


def _estimate(tally: _Tally, made: Prepared, unknown: str) -> dict[str, Any]:
    """Return tokens and cost of what is left, each None with its reason where it cannot be told."""
    share = tally.left / tally.measured if tally.measured else 0.0
    given = math.ceil(tally.input * share)
    most = None if tally.output is None else math.ceil(tally.output * share)
    price, cost, note = made.price, None, None
    if price is None:
        note = unknown
    elif most is None:
        part = price.cost(input_tokens=given, cached_tokens=0, output_tokens=0)
        note = f"no max_tokens is set, so there is no upper bound; the input alone costs about {part:.6g} USD. Set it with -p max_tokens=N"
    else:
        cost = float(f"{price.cost(input_tokens=given, cached_tokens=0, output_tokens=most):.6g}")
    return {
        "input_tokens": given,
        "output_tokens_at_most": most,
        "cost_usd_at_most": cost,
        "cost_note": note,
        "price": None if price is None else price.json(),
        "measured": tally.measured,
        "rule": RULE,
    }


def _rendered(request: Request, made: Prepared, *, is_text_shown: bool) -> dict[str, Any]:
    """Return a request as it leaves the engine, each picture as its digest and size."""

    def text(value: str) -> str:
        hidden = f"[{len(value):,} characters of gated data; --show-text shows them]"
        return value if is_text_shown else hidden

    return {
        "id": request.id,
        "repeat": request.repeat,
        "system": None if request.system is None else text(request.system),
        "parts": [
            {"text": text(part)} if isinstance(part, str) else {"image": _picture(part, made)}
            for part in request.parts
        ],
        "params": params_json(request.params),
    }


def _picture(image: Image, made: Prepared) -> dict[str, Any]:
    width, height = image.size
    return {
        "sha256": made.plan.digests.digest(image),
        "bytes": len(image.read()),
        "media_type": image.media_type,
        "width": width,
        "height": height,
    }


def _shown(value: Any) -> Any:
    return (
        value if value is None or isinstance(value, (bool, int, float)) else without_credentials(str(value))
    )
