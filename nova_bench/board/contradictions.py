"""Whether a bundle's documents agree with each other and with its task, and are of a run that may be submitted."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from nova_bench import catalog
from nova_bench.adapter import remote_code
from nova_bench.board import layout
from nova_bench.board.bundle import SEED, card_json
from nova_bench.board.bundle_reader import Bundle
from nova_bench.board.differences import differences
from nova_bench.board.ready import is_stand_in
from nova_bench.catalog import content_root, split_model
from nova_bench.data import open_data
from nova_bench.errors import BundleError
from nova_bench.model_names import is_any_same, is_same_model
from nova_bench.report import too_many_unjudged
from nova_bench.signature import digest
from nova_bench.stats import RESAMPLES
from nova_bench.task import Task
from nova_bench.types import STATUSES, Card

MAX_REPEATS = 1000


def contradictions(bundle: Bundle, task: Task) -> Iterator[str]:
    """Yield where a bundle's documents contradict each other, its task, or what a submission has to be.

    Args:
        bundle: As it was read.
        task: The one that it names, as installed here.
    """
    about, model = bundle.about, bundle.about["model"]
    yield from differences(bundle.manifest["identity"], identity_stated(about), f"{layout.MANIFEST}/identity")
    yield from _start_faults(bundle)
    if (stated := model["remote_code"]) != (real := remote_code(model["options"])):
        yield f"model/remote_code is {stated}, expected {real}"
    checked = (about["check"]["adapter"], about["check"]["source"], about["check"]["options"])
    if checked != (split_model(model["name"])[0], model["source"], model["options"]):
        yield "check is of another adapter, other options or another state of its file than what was run"
    form = card_json(Card())
    if set(model["card"]) != set(form) or any(
        form[key] is not None and not isinstance(value, type(form[key]))
        for key, value in model["card"].items()
    ):
        yield f"model/card is no card: expected {', '.join(form)}, each of its kind"
    yield from _data_faults(about, task)
    yield from _row_faults(bundle, task)
    yield from _answer_faults(bundle)
    for judge in about["judges"]:
        yield from _judge_faults(bundle, judge, task)
    if odd := set(bundle.judges) ^ {judge["folder"] for judge in about["judges"]}:
        yield f"judges of {layout.BUNDLE} and of the folder differ: {', '.join(sorted(odd))}"


def check_sizes(about: Mapping[str, Any], n_lines: int) -> None:
    """Raise where a number that loops are made of is none that a run has; before anything is made of it.

    Args:
        about: ``bundle.json``.
        n_lines: Of the rows.

    Raises:
        BundleError: It is not.
    """
    repeats = [about["model"]["repeats"], *(judge["repeats"] for judge in about["judges"])]
    if max(repeats) > MAX_REPEATS or about["model"]["repeats"] > max(n_lines, 1):
        raise BundleError(
            f"repeats is {max(repeats)}; expected at most {MAX_REPEATS}, and a line of {layout.ROWS} for each"
        )
    expected = {"resamples": RESAMPLES, "seed": SEED}
    if about["resampling"] != expected:
        raise BundleError(
            f"resampling is {about['resampling']}; a submission has {expected}, as all of a table"
        )


def _start_faults(bundle: Bundle) -> Iterator[str]:
    """Yield what is wrong with the manifest's starts, and where the bundle's dates and versions are not theirs."""
    manifest, about = bundle.manifest, bundle.about
    starts = manifest.get("starts")
    if set(manifest) != {"schema_version", "identity", "starts"} or manifest["schema_version"] != 1:
        yield f"{layout.MANIFEST} has other keys than schema_version, identity and starts, or another version than 1"
    if not isinstance(starts, list) or not starts or not all(isinstance(start, dict) for start in starts):
        yield f"{layout.MANIFEST} has no starts; expected one for each command that was given"
        return
    last = starts[-1]
    if about["limit"] is not None or last.get("limit") is not None:
        yield f"it has a limit ({about['limit'] or last.get('limit')}): only some of the cases were asked; a submission is of all of them"
    dates = {
        "first_start": starts[0].get("time"),
        "last_start": last.get("time"),
        "starts": len(starts),
        "commit": last.get("commit"),
        "dirty": last.get("dirty"),
    }
    yield from differences(about["dates"], dates, f"{layout.BUNDLE}/dates")
    yield from differences(about["versions"], last.get("versions"), f"{layout.BUNDLE}/versions")


def identity_stated(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run's manifest says of its identity, made from what a bundle says of it.

    Args:
        about: ``bundle.json``.
    """
    task, model, data = about["task"], about["model"], about["data"]
    return {
        "task": task["name"],
        "task_file": None,
        "task_version": task["version"],
        "variant": task["variant"],
        "data": {"name": data["name"], "revision": data["revision"], "digest": data["digest"]},
        "model": {"name": model["name"], "source": model["source"], "options": model["options"]},
        "frame": model["frame"],
        "think": model["think"],
        "params": model["params"],
        "repeats": model["repeats"],
    }


def _data_faults(about: Mapping[str, Any], task: Task) -> Iterator[str]:
    """Yield what is wrong with what is said of the data set."""
    data = about["data"]
    source = task.data
    embedded = embedded_digest(task)
    is_embedded = embedded is not None and data["digest"] == embedded
    is_gated = source.gated and not is_embedded
    if (data["name"], data["gated"]) != (source.name, is_gated):
        yield f"data is {data['name']}, gated {data['gated']}; expected {source.name}, gated {is_gated}"
    if data["synthetic"] != is_embedded or (data["kind"] == "mini" and not is_embedded):
        yield (
            f"data is of kind {data['kind']}, synthetic {data['synthetic']}, and its digest {data['digest'][:12]} is "
            f"{'' if is_embedded else 'not '}that of the embedded made-up set; the three contradict each other"
        )
    if (data["revision"] is None) != (data["kind"] != "full"):
        yield f"data of kind {data['kind']} with revision {data['revision']}; a commit belongs to data from the hub, and only to these"
    if about["masked"] != is_gated:
        yield f"masked is {about['masked']}; rows of gated data are masked, and others are not"


def _row_faults(bundle: Bundle, task: Task) -> Iterator[str]:
    """Yield what is wrong with the rows as a table: their number, order and states."""
    about, table = bundle.about, bundle.rows.table
    if bundle.rows.is_masked != about["masked"]:
        yield f"masked is {about['masked']} in {layout.BUNDLE} and {bundle.rows.is_masked} in {layout.ROWS}"
    repeats = about["model"]["repeats"]
    keys = list(zip(table.id.tolist(), table.repeat.tolist(), strict=True))
    samples = sorted(set(table.id.tolist()))
    if len(keys) != len(samples) * repeats or keys != [
        (sample, repeat) for sample in samples for repeat in range(repeats)
    ]:
        yield f"{layout.ROWS} does not hold each sample {repeats} times, sorted; a line is missing, stands twice or stands elsewhere"
    states = {status: int((table.status == status).sum()) for status in STATUSES}
    clusters = len(set(table.cluster.tolist()))
    counts = {"samples": len(samples), "lines": len(table), "clusters": clusters, "states": states}
    yield from differences(about["counts"], counts, f"{layout.BUNDLE}/counts")
    if states["failed"]:
        yield f"{states['failed']} lines failed; a submission has none, as the same command asks them again"
    scoring = about["scoring"]
    versions = {scorer.name: scorer.version for scorer in task.scorers}
    yield from differences(scoring["scorers"], versions, f"{layout.BUNDLE}/scoring/scorers")
    if scoring["split"] != (split := "+".join(sorted(set(table.split.tolist())))):
        yield f"scoring/split is {scoring['split']!r}, expected {split!r}"
    columns = {column for scorer in task.scorers if scorer.missing is not None for column in scorer.columns}
    if odd := [column for column in scoring["missing"] if column not in columns or column in table.columns]:
        yield f"scoring/missing names {', '.join(odd[:5])}: no column that a missing resource takes away, or one that is there"
    if any(len(remedy) > 500 or not remedy.isprintable() for remedy in scoring["missing"].values()):
        yield "scoring/missing holds something else than a line that says what to install"


def _answer_faults(bundle: Bundle) -> Iterator[str]:
    """Yield where the answers are not one to each line, or not to the requests that the bundle states."""
    records, table = bundle.responses, bundle.rows.table
    if records is None:
        if not bundle.about["data"]["gated"]:
            yield f"{layout.RESPONSES} is left out, and the data are not gated; only answers on gated data may be"
        return
    if lacking := sorted(set(bundle.judges) - set(bundle.verdicts)):
        yield f"the verdicts of judge {', '.join(lacking)} are left out, and the answers are there; expected both or neither"
    if len(records) != len(table):
        yield f"{layout.RESPONSES} has {len(records)} records, and {layout.ROWS} {len(table)} lines; expected one to each"
        return
    lines = {
        f"{name}#{repeat}" if repeat else name
        for name, repeat in zip(table.id.tolist(), table.repeat.tolist(), strict=True)
    }
    if not bundle.rows.is_masked and {record["id"] for record in records} != lines:
        yield f"{layout.RESPONSES} has answers to other samples than {layout.ROWS} has lines of"
    # Written in the data set's order, so that this is the very sum over it; whether the hashes are right only the data set can tell.
    found = hashlib.sha256(b"".join(bytes.fromhex(record["request"]) for record in records)).hexdigest()
    if found != (stated := bundle.about["scoring"]["requests"]):
        yield f"scoring/requests is {stated[:12]}, and the hashes of the answers' requests give {found[:12]}"
    finishes = [record for record in records if record["finish"] == "error"]
    if finishes:
        yield f"{layout.RESPONSES} has {len(finishes)} failed requests; a submission has none"


def _judge_faults(bundle: Bundle, judge: Mapping[str, Any], task: Task) -> Iterator[str]:
    """Yield what is wrong with what is said of one judge."""
    name, folder = judge["name"], judge["folder"]
    if folder != digest(judge["identity"])[:12]:
        yield f"judge {name}: folder {folder} is not that of its identity, {digest(judge['identity'])[:12]}"
    if folder in bundle.judges:
        starts = bundle.judges[folder].get("starts")
        last = starts[-1] if isinstance(starts, list) and starts and isinstance(starts[-1], dict) else {}
        # A judge can turn out to be the model itself by the names that vendors gave; it cannot turn out not to be.
        if last.get("repeats") != judge["repeats"] or (last.get("self") is not False and not judge["self"]):
            yield f"judge {name}: its manifest says repeats {last.get('repeats')}, self {last.get('self')}, and {layout.BUNDLE} something else"
        where = f"{layout.JUDGES}/{folder}/{layout.MANIFEST}/identity"
        yield from differences(bundle.judges[folder].get("identity"), judge["identity"], where)
    lines, verdicts = judge["lines"], judge["verdicts"]
    if judge["unjudged_verdicts"] > verdicts or lines != len(bundle.rows.table):
        yield f"judge {name}: {judge['unjudged_verdicts']} of {verdicts} verdicts missing, {lines} lines; expected {len(bundle.rows.table)} lines"
    elif too_many_unjudged(
        judge["unjudged"] / lines if lines else None,
        judge["unjudged_verdicts"] / verdicts if verdicts else None,
    ):
        yield f"judge {name} left more than 1% unjudged; such a run cannot be submitted"
    if judge["stand_in"] != (is_real := is_stand_in(judge["identity"])):
        yield f"judge {name}: stand_in is {judge['stand_in']}, expected {is_real}"
    if not judge["self"] and _is_self(bundle.about["model"], judge):
        yield f"judge {name}: self is False, and it is the model under test by what both are called"
    if (judge["stand_in"] or is_real) and not bundle.about["data"]["synthetic"]:
        yield f"judge {name} is a stand-in for tests; numbers of real data need a model"


def _is_self(model: Mapping[str, Any], judge: Mapping[str, Any]) -> bool:
    """Return whether a judge is the model under test: by the rule of `nova_bench.judge.check_self_judge`, or by the names that vendors gave."""
    identity = judge["identity"]
    own, other = (
        str(options.get("model") or name.partition(":")[2]).strip()
        for name, options in (
            (model["name"], model["options"]),
            (str(identity["adapter"]), identity["options"]),
        )
    )
    if is_any_same(model["answered_as"], judge["models"]):
        return True
    if own or other:
        return is_same_model(own, other)
    return (model["name"], model["source"], model["options"]) == (
        identity["adapter"],
        identity["source"],
        identity["options"],
    )


def embedded_digest(task: Task) -> str | None:
    """Return the digest of a task's embedded data set; None where it has none."""
    if task.data.mini is None:
        return None
    with tempfile.TemporaryDirectory(prefix="nova_bench_") as folder:
        nowhere = Path(folder)
        opened = open_data(
            task.data, "mini", content=content_root() / "tasks" / "data", cache=nowhere, config=nowhere
        )
        return opened.digest


@cache
def embedded_digests() -> frozenset[str]:
    """Return the digests of the embedded data sets of all tasks that come with nova-bench."""
    tasks = [catalog.load_task(found.name) for found in catalog.find_all("tasks") if found.door == "content"]
    one_each = {(task.data.mini, task.data.table): task for task in tasks}
    return frozenset(filter(None, map(embedded_digest, one_each.values())))
