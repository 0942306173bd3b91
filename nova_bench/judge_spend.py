"""What the judges of a run have cost: all their logs count, whatever a judge was asked with, and whether its verdicts count or not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from nova_bench.budget import Budget, Ledger
from nova_bench.judge_log import VerdictLog, all_judges
from nova_bench.prices import Price


def judge_usage(run: Path, known: Mapping[Path, Ledger]) -> dict[str, Any]:
    """Return the account of every judge, by role: ``judge NAME``; those that nothing was ever sent to are left out.

    Args:
        run: The run's folder.
        known: Folder of a judge to its ledger, where that was read already.
    """
    spent: dict[str, Ledger] = {}
    price: dict[str, Price | None] = {}
    judges = all_judges(run)
    for one in sorted(judges, key=lambda one: one.started):
        spent.setdefault(one.name, Ledger()).add_all(
            known[one.folder] if one.folder in known else _ledger(one.folder)
        )
        price[one.name] = one.price or price.get(one.name)
    active = {one.name for one in judges if one.folder in known}
    return {
        f"judge {name}": ledger.json(name, price[name])
        for name, ledger in sorted(spent.items())
        if name in active or ledger.answers or ledger.failed
    }


def open_earlier(budget: Budget, run: Path, asked: Collection[Path]) -> list[str]:
    """Put what judges spent that are not asked now into a budget, and return the names of those whose price is not known.

    Args:
        budget: The limits.
        run: The run's folder.
        asked: Folders of the judges that are asked now; they open their own accounts.
    """
    unpriced = []
    for one in all_judges(run):
        if one.folder in asked:
            continue
        ledger = _ledger(one.folder)
        budget.open(str(one.folder.resolve()), ledger, one.price)
        if one.price is None and ledger.answers:
            unpriced.append(one.name)
    return sorted(set(unpriced))


def _ledger(folder: Path) -> Ledger:
    with VerdictLog(folder) as log:
        return log.ledger
