"""What can be told of a bundle with its data set: whether its rows, and so all its numbers, follow from the answers and verdicts in it.

The answers are written into a folder of our own, under names of our own, with a manifest that is made here from facts that were checked.
Then they are what any run's are: `open_run` finds to each request of the data set the answer that carries its hash.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nova_bench.board import layout
from nova_bench.board.bundle_reader import Bundle
from nova_bench.board.contradictions import identity_stated
from nova_bench.board.differences import SMALL, TOLERANCE, differences
from nova_bench.board.recompute import Findings, compare_numbers
from nova_bench.board.rows_file import Rows, masked
from nova_bench.board.stated import stated_run
from nova_bench.board.verdicts import verdict_faults
from nova_bench.errors import DataError, IdentityError, NovaBenchError, UsageError
from nova_bench.prepare import Settings
from nova_bench.run import Run, open_run
from nova_bench.runlog import MANIFEST, RESPONSES
from nova_bench.score import Scored
from nova_bench.table import Ragged, Table


def check_answers(bundle: Bundle, data: str, folder: Path, settings: Settings) -> tuple[Findings, Run | None]:
    """Return what the data set tells of a bundle, and the run that was made from its answers.

    Args:
        bundle: A bundle that contradicts itself nowhere.
        data: Where the data set is: ``full``, ``mini`` or a path.
        folder: An empty folder of our own.
        settings: Cache and configuration folders.

    Raises:
        DataError: The data set cannot be opened; nothing is said of the bundle then.
        UsageError: It cannot be by these words.
    """
    found = Findings()
    unpack(bundle, data, folder)
    try:
        run = open_run(folder, settings=settings)
        if bundle.responses is None:
            found.notes.append(
                "it holds no answers: its samples and requests are those of the data set, its rows are the submitter's own"
            )
            found.add(_sample_faults(bundle, run))
            if not found.reasons:
                _compare_by_group(bundle, run, found)
            return found, None
        # First: what is no verdict must not come to a scorer.
        found.add(verdict_faults(bundle, run))
        if not found.reasons:
            _as_stated(bundle, run, found)
            found.add(_answer_faults(bundle, run))
            found.add(_row_faults(bundle, run.scored))
            with np.errstate(all="ignore"):
                compare_numbers(bundle, run, found)
    except (DataError, UsageError):
        raise
    except IdentityError as error:
        found.reasons.append(
            f"{error}. Either the bundle's digest is forged, or this is another version of the data set"
        )
        return found, None
    except NovaBenchError as error:
        found.reasons.append(str(error))
        return found, None
    except Exception as error:  # an answer of a stranger can bring down a parser or scorer; the run would not have ended then
        found.reasons.append(f"its answers cannot be scored ({type(error).__name__}: {str(error)[:200]})")
        return found, None
    return found, run


def unpack(bundle: Bundle, data: str, folder: Path) -> None:
    """Write a bundle's answers and verdicts as a run's folder; every name in it is ours.

    Args:
        bundle: The bundle.
        data: Where the data set is, for the manifest.
        folder: An empty folder.
    """
    # The stranger's own manifest is not used: its task_file would name a file to run.
    start = {"data": data, "limit": None, "price": None}
    _write(
        folder / MANIFEST,
        [{"schema_version": 1, "identity": identity_stated(bundle.about), "starts": [start]}],
    )
    _write(folder / RESPONSES, bundle.responses or ())
    for judge in bundle.about["judges"]:
        own = folder / layout.JUDGES / judge["folder"]
        own.mkdir(parents=True)
        asked = {"time": "", "repeats": judge["repeats"], "self": judge["self"], "price": None}
        _write(own / MANIFEST, [{"schema_version": 1, "identity": judge["identity"], "starts": [asked]}])
        _write(own / layout.VERDICTS, bundle.verdicts.get(judge["folder"], ()))


def _write(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    with path.open("x", encoding="ascii") as file:
        for record in records:
            file.write(json.dumps(record, separators=(",", ":"), allow_nan=False) + "\n")


def _as_stated(bundle: Bundle, run: Run, found: Findings) -> None:
    """Take over by which door the data came when it was run, and which resources were missing: neither changes an answer's row."""
    stated, data = bundle.about["data"], run.plan.data
    if data.revision is None and stated["revision"] is not None:
        found.notes.append(
            f"the data set here is the stated one by its digest, and has no commit; that it is of commit {stated['revision'][:12]} is the "
            "submitter's word"
        )
    data.kind, data.revision = stated["kind"], stated["revision"]
    scored, missing = run.scored, bundle.about["scoring"]["missing"]
    if here := sorted(set(scored.missing) - set(missing)):
        remedy = scored.missing[here[0]]
        found.open = True
        found.notes.append(
            f"columns {', '.join(here)} cannot be made here, so their cells stay self-reported: {remedy}"
        )
    if kept_out := sorted(set(missing) & set(scored.table.columns)):
        found.notes.append(
            f"columns {', '.join(kept_out)} can be made here and could not where it was run, so their cells are empty"
        )
    columns = {name: column for name, column in scored.table.columns.items() if name not in missing}
    scored.table = _with_columns(scored.table, columns)
    scored.missing = dict(missing)


def _with_columns(table: Table, columns: Mapping[str, np.ndarray | Ragged]) -> Table:
    return replace(table, columns=columns)


def _answer_faults(bundle: Bundle, run: Run) -> Iterator[str]:
    """Yield where the answers are not one to each request of the data set."""
    scored, about = run.scored, bundle.about
    records = bundle.responses or ()
    secret = about["masked"]
    if scored.reasons:
        shown = (
            ""
            if secret
            else f" ({', '.join(f'{key}: {why}' for key, why in list(scored.reasons.items())[:5])})"
        )
        yield f"{len(scored.reasons)} of {len(scored.table)} requests of the data set have no answer in the bundle{shown}"
    if scored.ignored:
        yield f"{scored.ignored} answers are to other requests than the data set's: another prompt, image, parameter or data set"
    if len(records) != len(scored.table):
        yield f"{layout.RESPONSES} has {len(records)} records, and the data set {len(scored.table)} requests; expected one to each"
    spelling = run.plan.spelling
    if any(record.get("task") != spelling for record in records):
        yield f"{layout.RESPONSES} has answers to another task than {spelling}"
    scoring = {
        "template": scored.template_hash,
        "requests": scored.requests_hash,
        "split": scored.split,
        "scorers": dict(scored.scorer_versions),
        "missing": about["scoring"]["missing"],
        "warnings": dict(scored.warnings),
        "dropped": dict(scored.dropped),
    }
    yield from differences(about["scoring"], scoring, f"{layout.BUNDLE}/scoring")
    yield from differences(
        about["model"]["answered_as"], dict(scored.models), f"{layout.BUNDLE}/model/answered_as"
    )
    judges = {
        judge["name"]: {
            key: judge[key] for key in ("models", "dropped", "unjudged", "verdicts", "unjudged_verdicts")
        }
        for judge in about["judges"]
    }
    counted = {
        name: {
            "models": dict(one.models),
            "dropped": dict(one.dropped),
            "unjudged": one.unjudged,
            "verdicts": one.verdicts,
            "unjudged_verdicts": one.unjudged_verdicts,
        }
        for name, one in scored.judges.items()
    }
    yield from differences(judges, counted, f"{layout.BUNDLE}/judges")


def _compare_by_group(bundle: Bundle, run: Run, found: Findings) -> None:
    """Compute all numbers of rows without answers anew, with the groups that the data set has: masked rows have none."""
    rows, data = bundle.rows, run.plan.data
    data.kind, data.revision = bundle.about["data"]["kind"], bundle.about["data"]["revision"]
    table, worst, best = (
        None if one is None else replace(one, groups=run.scored.table.groups)
        for one in (rows.table, rows.worst, rows.best)
    )
    assert table is not None  # only worst and best may be
    with tempfile.TemporaryDirectory(prefix="nova_bench_") as scratch:
        whole = stated_run(bundle, run.plan.task, Path(scratch))
        whole.scored.table, whole.scored.worst, whole.scored.best = table, worst, best
        with np.errstate(all="ignore"):
            compare_numbers(bundle, whole, found)


def _sample_faults(bundle: Bundle, run: Run) -> Iterator[str]:
    """Yield where the rows of a bundle without answers are of other samples than the data set has, or of other requests."""
    scored, stated = run.scored, bundle.about["scoring"]
    table = masked(scored.table) if bundle.rows.is_masked else scored.table
    expected = {"template": scored.template_hash, "requests": scored.requests_hash, "split": scored.split}
    yield from differences({key: stated[key] for key in expected}, expected, f"{layout.BUNDLE}/scoring")
    yield from _line_faults(
        bundle.rows.table, table, ("id", "repeat", "cluster", "split", "base"), layout.ROWS
    )


def _line_faults(stated: Table, found: Table, names: Sequence[str], where: str) -> Iterator[str]:
    """Yield where two tables have other lines: how many, or what these are called."""
    if len(stated) != len(found):
        yield f"{where} has {len(stated)} lines, expected {len(found)}"
        return
    for name in names:
        given, expected = getattr(stated, name), getattr(found, name)
        yield from _told(given == expected, given, expected, found, f"{where}, {name}")


def _row_faults(bundle: Bundle, scored: Scored) -> Iterator[str]:
    """Yield where the bundle's rows are not those that the answers give."""
    rows: Rows = bundle.rows
    pairs: list[tuple[str, Table | None, Table | None]] = [("", rows.table, scored.table)]
    if rows.worst is not None or scored.worst is not None:
        pairs += [("worst ", rows.worst, scored.worst), ("best ", rows.best, scored.best)]
    for side, stated, found in pairs:
        if stated is None or found is None:
            yield f"{layout.ROWS} {'lacks' if stated is None else 'has'} imputed rows, and the answers give {'some' if stated is None else 'none'}"
        else:
            yield from _table_faults(
                stated, masked(found) if rows.is_masked else found, f"{layout.ROWS} {side}".strip()
            )


def _table_faults(stated: Table, found: Table, where: str) -> Iterator[str]:
    yield from _line_faults(stated, found, ("id", "repeat", "cluster", "split", "status", "base"), where)
    if len(stated) != len(found):
        return
    if set(stated.groups) != set(found.groups):
        yield f"{where} has the groups {', '.join(sorted(stated.groups))}; expected {', '.join(sorted(found.groups))}"
        return
    for name, values in found.groups.items():
        yield from _told(
            stated.groups[name] == values, stated.groups[name], values, found, f"{where}, {name}"
        )
    if odd := sorted(set(stated.columns) ^ set(found.columns)):
        yield f"{where} has other columns than the answers give: {', '.join(odd[:10])}"
        return
    for name, column in found.columns.items():
        given = stated.columns[name]
        if isinstance(column, Ragged) != isinstance(given, Ragged):
            yield f"{where}, column {name} is ragged in one of the two"
        elif isinstance(column, Ragged) and isinstance(given, Ragged):
            if not np.array_equal(column.offsets, given.offsets):
                yield from _told(
                    column.lengths == given.lengths,
                    given.lengths,
                    column.lengths,
                    found,
                    f"{where}, length of {name}",
                )
            elif len(column.values):
                same: np.ndarray = _close(given.values, column.values)
                same = np.asarray(same.reshape(len(same), -1).all(axis=1))
                yield from _told(
                    same, given.values, column.values, found.take(column.row), f"{where}, {name}"
                )
        elif isinstance(given, np.ndarray) and isinstance(column, np.ndarray):
            yield from _told(_close(given, column), given, column, found, f"{where}, {name}")


def _close(stated: np.ndarray, found: np.ndarray) -> np.ndarray:
    if stated.shape != found.shape:
        return np.zeros(max(len(stated), 1), dtype=bool)
    if stated.dtype.kind != "f" and found.dtype.kind != "f":
        return np.asarray(stated == found)
    return np.asarray(
        np.isclose(stated.astype(float), found.astype(float), rtol=TOLERANCE, atol=SMALL, equal_nan=True)
    )


def _told(same: np.ndarray, stated: np.ndarray, found: np.ndarray, table: Table, where: str) -> Iterator[str]:
    """Yield the first lines in which two columns differ, and how many there are."""
    wrong = np.flatnonzero(~np.asarray(same, dtype=bool))
    for i in wrong[:3].tolist():
        yield f"{where} of {table.id[i]} is {str(stated[i])[:60]}, and the answer gives {str(found[i])[:60]}"
    if len(wrong) > 3:
        yield f"{where} differs in {len(wrong)} places in all"
