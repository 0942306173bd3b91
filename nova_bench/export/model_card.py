"""A run's numbers as metadata of a model card on the Hugging Face hub.

Two formats are in use there, and both are written by huggingface_hub's own classes: ``model-index`` in the YAML block of ``README.md``
(`huggingface_hub.EvalResult`), which takes every metric with its interval and signature as ``args``; and ``.eval_results/*.yaml``
(`huggingface_hub.EvalResultEntry`), which takes one number for a benchmark of the hub and has room for the interval in its notes only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nova_bench.errors import DataError, NovaBenchError, UsageError
from nova_bench.run import Run
from nova_bench.runlog import read_manifest

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

README, ENTRIES = "README.md", ".eval_results/nova_bench.yaml"
_TASK_TYPE = "image-text-to-text"
"""The hub's word for what all our tasks ask of a model."""


def eval_results(runs: Sequence[Run]) -> list[EvalResult]:
    """Return the results of runs of one model: every metric over all samples that has a value, each task's headline first.

    Args:
        runs: Complete ones.

    Raises:
        UsageError: They are of several models.
        NovaBenchError: One is incomplete: on a card nothing would mark its numbers.
    """
    from huggingface_hub import EvalResult

    _check(runs)
    made = []
    for run in runs:
        report = run.report()
        cells = [cell for cell in report["cells"] if cell["slice"] == "all" and cell["value"] is not None]
        cells.sort(key=lambda cell: cell["metric"] != report["headline"])
        made += [
            EvalResult(
                task_type=_TASK_TYPE,
                task_name=run.plan.spelling,
                dataset_type=_dataset(run),
                dataset_name=dataset_name(run),
                dataset_config=run.plan.spelling,  # the hub merges results of one data set and configuration
                dataset_split=cell["signature"]["protocol"]["split"],
                dataset_revision=run.plan.data.revision,
                dataset_args={"digest": run.plan.data.digest},
                metric_type=cell["metric"],
                metric_name=cell["metric"],
                metric_value=cell["value"],
                metric_args=_arguments(cell),
            )
            for cell in cells
        ]
    return made


def card_data(runs: Sequence[Run]) -> ModelCardData:
    """Return the metadata of a card that holds nothing but these results (see `eval_results`)."""
    from huggingface_hub import ModelCardData

    return ModelCardData(model_name=runs[0].model, eval_results=eval_results(runs))


def card_text(runs: Sequence[Run], existing: Path | None = None) -> str:
    """Return a ``README.md`` with the results of runs in its metadata.

    Args:
        runs: Of one model, complete.
        existing: A card whose text and other metadata stay. Of its results those of the same data set, task and metric are replaced.

    Raises:
        DataError: The card that is there cannot be read.
        UsageError: The runs are of several models.
        NovaBenchError: One is incomplete.
    """
    from huggingface_hub import ModelCard
    from yaml import YAMLError  # what huggingface_hub reads cards with

    data = card_data(runs)
    if existing is None:
        caution = runs[0].report()["caution"]
        words = "Evaluation results by nova-bench: the intervals (95%, patients resampled) and signatures are in the metadata."
        return f"---\n{data.to_yaml()}\n---\n\n# {_plain(runs[0].model)}\n\n{words}{chr(10) * 2 + caution if caution else ''}\n"
    try:
        card = ModelCard.load(existing)
    except (OSError, ValueError, KeyError, TypeError, YAMLError) as error:
        raise DataError(
            f"{existing} is no model card that can be read ({error}); mend its metadata, or write elsewhere"
        ) from None
    new = data.eval_results or []
    replaced = {_key(result) for result in new}
    kept = [result for result in card.data.eval_results or [] if _key(result) not in replaced]
    card.data.eval_results = [*kept, *new]
    card.data.model_name = card.data.model_name or runs[0].model
    return str(card)


def entries_text(runs: Sequence[Run]) -> tuple[str | None, list[str]]:
    """Return ``.eval_results/nova_bench.yaml`` with the headline of each run, None where there is none, and what was left out, in words.

    A hub page lists such an entry on the benchmark's own leaderboard. So there is none of synthetic data, of a part of a data set, or of
    one that is not on the hub.
    """
    try:
        from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
    except ImportError:
        return None, [
            f"{ENTRIES} is left out: this huggingface_hub does not know the format; pip install -U huggingface_hub"
        ]
    from huggingface_hub.utils import yaml_dump  # type: ignore[attr-defined]  # no __all__ there

    entries, notes = [], []
    for run in runs:
        report = run.report()
        cell = next(
            (
                each
                for each in report["cells"]
                if each["slice"] == "all" and each["metric"] == report["headline"]
            ),
            None,
        )
        reason = _why_no_entry(run, cell)
        if reason or cell is None:
            notes.append(f"{run.plan.spelling} has no entry in {ENTRIES}: {reason}")
            continue
        entries.append(
            EvalResultEntry(
                dataset_id=run.plan.task.data.hub,
                task_id=run.plan.spelling,
                value=cell["value"],
                dataset_revision=run.plan.data.revision,
                date=read_manifest(run.folder)["starts"][-1]["time"],
                notes=_sentence(cell),
            )
        )
    return (yaml_dump(eval_result_entries_to_yaml(entries), sort_keys=False) if entries else None), notes


def dataset_name(run: Run) -> str:
    """Return what a card calls the data set: synthetic data and a part of a data set say so in their name."""
    name = run.plan.task.data.name
    if run.plan.data.is_synthetic:
        name = f"{name}-mini (synthetic data: no measure of clinical skill)"
    if run.plan.limit is not None:
        name += f", only {run.plan.limit.n} cases of it"
    return name


def _dataset(run: Run) -> str:
    source = run.plan.task.data
    plain = re.sub(r"[^a-z0-9]+", "-", source.name.lower()).strip("-")
    return f"{plain}-mini-synthetic" if run.plan.data.is_synthetic else source.hub or plain


def _check(runs: Sequence[Run]) -> None:
    models = list(dict.fromkeys(run.model for run in runs))
    if len(models) > 1:
        raise UsageError(
            f"a model card is of one model, and these runs are of {', '.join(models)}; export each by itself"
        )
    for run in runs:
        if not run.is_complete:
            raise NovaBenchError(
                f"{run.plan.spelling} of {run.model} is incomplete: some requests failed, and on a card nothing would mark its numbers. "
                "Give its `nova-bench run` again, then export"
            )


def _arguments(cell: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {name: cell[name] for name in ("n", "clusters")}
    if cell["low"] is not None:
        found |= {"low": cell["low"], "high": cell["high"], "level": 0.95}
    if cell["bounds"] is not None:
        found["bounds"] = list(cell["bounds"])
    found |= {name: count for name, count in cell["counts"].items() if name != "ok" and count}
    return found | {"signature": cell["signature"]["id"], "signature_text": cell["signature"]["text"]}


def _sentence(cell: Mapping[str, Any]) -> str:
    limits = "" if cell["low"] is None else f", 95% interval {cell['low']:.4g} to {cell['high']:.4g}"
    return f"{cell['metric']}{limits}, {cell['n']} samples of {cell['clusters']} patients; nova-bench signature {cell['signature']['id']}"


def _why_no_entry(run: Run, cell: Mapping[str, Any] | None) -> str | None:
    if run.plan.data.is_synthetic:
        return "its data are synthetic"
    if run.plan.limit is not None:
        return f"only {run.plan.limit.n} cases were run (--limit)"
    if not run.plan.task.data.hub:
        return "its data set is on no hub"
    if cell is None or cell["value"] is None:
        return f"its headline {run.plan.task.headline} has no value"
    return None


def _key(result: EvalResult) -> tuple[Any, ...]:
    return result.dataset_type, result.dataset_config, result.metric_type


def _plain(text: str) -> str:
    """Return a model's name as a heading of Markdown takes it."""
    return re.sub(r"([\\`*_{}\[\]()#+!<>|])", r"\\\1", " ".join(text.split()))
