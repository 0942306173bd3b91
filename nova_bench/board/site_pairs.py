"""Which of a task's models is better: ranks that say how sure they are, and each model's differences from all others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nova_bench.board.pairing import pairing_fault, stored_differences
from nova_bench.board.site_files import compact, script, write
from nova_bench.errors import BundleError
from nova_bench.stats import ranks

_AGREES = 1e-6
"""How far a pairing's value may lie from the cell's, which has 12 digits."""

VERIFIED = 2
"""The trust in an entry whose numbers were computed again from its answers and the data set."""

Pairing = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Paired:
    """An entry whose headline number can be paired with others'.

    Attributes:
        slug: Of its model.
        pairing: Of the entry, checked.
        counts: Whether it takes part in ranks: a rejected entry does not.
        trust: `VERIFIED`, 1 consistent, 0 not checked.
    """

    slug: str
    pairing: Pairing
    counts: bool
    trust: int = 0


def checked(pairing: Pairing | None, cell: Mapping[str, Any]) -> Pairing | None:
    """Return an entry's pairing if it can be that of its headline number; None where there is none.

    Args:
        pairing: It fits its schema.
        cell: The headline's, on all samples.

    Raises:
        BundleError: It contradicts itself or the cell.
    """
    if pairing is None:
        return None
    fault = pairing_fault(pairing)
    numbers = [pairing["value"], *(number for number in pairing["numbers"] if number is not None)]
    if fault is None and not all(map(math.isfinite, numbers)):
        fault = "a number in it is not finite"
    if fault is None and (pairing["metric"] != cell["metric"] or pairing["signature"] != cell["signature"]):
        fault = "it is of another number than the headline"
    value = cell["value"]
    if fault is None and (
        value is None or not math.isclose(pairing["value"], value, rel_tol=_AGREES, abs_tol=_AGREES)
    ):
        fault = f"its value is {pairing['value']:.9g}, and the headline's {value}"
    if fault is not None:
        raise BundleError(f"pairing: {fault}")
    return pairing


def pair(
    found: Sequence[Paired], task: str, data: Path, *, higher_is_better: bool, range: Sequence[float] | None
) -> dict[str, dict[str, int]]:
    """Write each model's differences from all that it can be paired with, and return the ranks.

    Args:
        found: The task's entries with a pairing, in order.
        task: Its slug.
        data: The folder for data files.
        higher_is_better: Of the headline.
        range: Of the headline; None for unbounded.

    Returns:
        Model slug to ``{"low", "high", "of"}``: 1 + how many are significantly better, and how many of the `of` are not significantly worse.
        Of entries on the same lines the verified ones are ranked; where there is none, all but the rejected.
    """
    groups: dict[tuple[Any, ...], list[Paired]] = {}
    for one in found:
        own = one.pairing
        key = own["signature"], own["lines"], own["kind"], own["clusters"], len(own["numbers"])
        groups.setdefault(key, []).append(one)
    made: dict[str, dict[str, int]] = {}
    largest: dict[str, tuple[int, int, int]] = {}
    for (signature, *_), members in groups.items():
        ranked = _group(members, task, data, higher_is_better, range)
        # Of one protocol the lines may differ, as judges leave out different ones: only one group of those is ranked. It is not for entries
        # that nobody checked to be many and so take the ranks of others.
        trusts = [one.trust for one in members if one.slug in ranked]
        size = sum(trust == VERIFIED for trust in trusts), sum(trust > 0 for trust in trusts), len(trusts)
        if size > largest.get(signature, (0, 0, 0)):
            of_signature = {one.slug for one in found if one.pairing["signature"] == signature}
            made = {slug: rank for slug, rank in made.items() if slug not in of_signature} | ranked
            largest[signature] = size
    return made


def _group(
    members: Sequence[Paired], task: str, data: Path, higher_is_better: bool, range: Sequence[float] | None
) -> dict[str, dict[str, int]]:
    bounds = None if range is None else (float(range[0]), float(range[1]))
    with np.errstate(
        all="ignore"
    ):  # a stranger's numbers may be of any size; what comes of them is undefined, not an error
        found = stored_differences([one.pairing for one in members], range=bounds)
    slugs = [one.slug for one in members]
    columns = {
        "difference": found.value,
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "differing": found.n_differing,
        "clusters": found.n_clusters,
    }
    listed = {name: _listed(values) for name, values in columns.items()}
    about = {"id": members[0].pairing["signature"], "metric": members[0].pairing["metric"]}
    for i, slug in enumerate(slugs):
        document = {
            **about,
            "models": slugs[:i] + slugs[i + 1 :],
            **{name: values[i][:i] + values[i][i + 1 :] for name, values in listed.items()},
        }
        write(data / "pairs" / task / f"{slug}.js", script(f"pairs/{task}/{slug}", compact(document)))
    counted = [i for i, one in enumerate(members) if one.counts]
    # Numbers that nobody computed again could be made so as to push those that were.
    counted = [i for i in counted if members[i].trust == VERIFIED] or counted
    if not counted:
        return {}
    cut = np.ix_(counted, counted)
    better = found.value[cut] if higher_is_better else -found.value[cut]
    return {
        slugs[i]: {"low": rank.low, "high": rank.high, "of": len(counted)}
        for i, rank in zip(counted, ranks(found.p[cut], better), strict=True)
        if rank is not None
    }


def _listed(values: np.ndarray) -> list[list[Any]]:
    """Return a matrix as lists, floats with 6 significant digits, None where undefined."""
    if values.dtype.kind != "f":
        return [[int(one) for one in row] for row in values.tolist()]
    known = np.isfinite(values)
    size = np.where(known & (values != 0), np.abs(values), 1.0)
    digits = np.clip(5 - np.floor(np.log10(size)), 0, 22)  # powers of ten up to the 22nd are exact
    scale = 10.0**digits
    short = (np.round(np.where(known, values, 0.0) * scale) / scale).astype(object)
    short[~known] = None
    return [list(row) for row in short.tolist()]
