"""Whether the verdicts of a bundle are ones that a judge can have given: to the very texts, in the rubric's form, read as we read them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from nova_bench.board.bundle_reader import Bundle
from nova_bench.judge import TRIES, judge_request
from nova_bench.judge_log import Asked, asked_judges, read_answer, verdict_hash
from nova_bench.run import Run
from nova_bench.runlog import RunLog, response_of
from nova_bench.score import answered_items
from nova_bench.types import Judge
from nova_bench.verdict_schema import fault_of


def verdict_faults(bundle: Bundle, run: Run) -> Iterator[str]:
    """Yield what is wrong with the verdicts, before anything is computed from them.

    A verdict counts by the hash of its request; one on another answer, text or rubric counts for nothing, as in any run. Where the judge's
    own words are there, they are read again; of gated data they stay with the submitter, and only the form of the verdict can be checked.

    Args:
        bundle: The bundle.
        run: Made from its answers.
    """
    judges = run.plan.task.judges
    if not judges or not bundle.about["judges"]:
        return
    asked = {one.folder.name: one for one in asked_judges(run.folder)}
    if odd := sorted({judge["folder"] for judge in bundle.about["judges"]} ^ set(asked)):
        yield f"judges that never answered, or that differ only in their adapter's text: {', '.join(odd)}"
        return
    logs = {folder: _by_request(bundle.verdicts.get(folder, ())) for folder in asked}
    with RunLog(run.folder) as log:
        for item in answered_items(run.plan, log):
            answer = f"{item.sample.id}#{item.repeat}" if item.repeat else item.sample.id
            for judge in judges:
                texts = judge.material(item.sample, item.prediction)
                if texts is None:
                    continue
                for folder, one in asked.items():
                    for repeat in range(one.repeats):
                        request = judge_request(
                            one.tuned(judge), texts, answer, item.sample.id, repeat=repeat
                        )
                        records = logs[folder].get((request.id, verdict_hash(request).hex()), ())
                        for record in records:
                            wrong = _fault(record, judge, texts, one, is_gated=bundle.about["masked"])
                            if wrong is not None:
                                yield f"judge {one.name}, verdict on {'an answer' if bundle.about['masked'] else answer}: {wrong}"
                        if len(records) > TRIES:
                            yield f"judge {one.name} has {len(records)} records of one verdict; it is asked {TRIES} times at most"


def _by_request(
    records: tuple[Mapping[str, Any], ...],
) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        found[record["id"], record["request"]].append(record)
    return dict(found)


def _fault(
    record: Mapping[str, Any], judge: Judge, texts: Mapping[str, str], asked: Asked, *, is_gated: bool
) -> str | None:
    """Return what is wrong with a judge's record; None where nothing is."""
    if record["finish"] == "error":
        return "no answer came; such a record counts for nothing and has no place in a bundle"
    if ("verdict" in record) == ("fault" in record):
        return "it is a verdict or a broken one; expected one of the two"
    stated = record.get("verdict")
    if stated is not None:
        wrong = fault_of(stated, _public(judge) if is_gated else judge.schema)
        if wrong is not None:
            return f"it does not fit the rubric's form: {wrong}"
    if is_gated:
        return None
    think = asked.identity["think"]
    read = read_answer(judge, response_of(record), texts, tuple(think) if think else None)
    if read.value != stated:
        return "the judge's own words say something else than the verdict that stands there"
    return None


def _public(judge: Judge) -> dict[str, Any]:
    """Return the schema of a verdict without what is kept private of gated data."""
    properties = {key: value for key, value in judge.schema["properties"].items() if key not in judge.private}
    return {**judge.schema, "properties": properties, "required": list(properties)}
