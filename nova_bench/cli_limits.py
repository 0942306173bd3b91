"""The part of ``nova-bench run`` that is about money: limits, price files, the response cache, the dry run, and what was spent."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nova_bench.cli_options import DONE, folder_of, pairs, settings_of

if TYPE_CHECKING:
    from nova_bench.budget import Budget


JUDGES_RULE = (
    "input: characters / 4, as each vendor counts in its own way; output: max_tokens for each request. A broken verdict is asked for "
    "again, up to three times in all"
)


def add_limits(verb: argparse.ArgumentParser) -> None:
    """Add the limits to a verb that asks a model or a judge."""
    limits = verb.add_argument_group(
        "limits",
        "Each ends the run resumable, with what is in flight let arrive. They are of all runs of the command together, earlier starts included "
        "(hours: of this start).",
    )
    limits.add_argument(
        "--max-cost", type=float, metavar="USD", help="needs the model's price (see --prices)"
    )
    limits.add_argument("--max-total-tokens", type=int, metavar="N", help="input and output together")
    limits.add_argument("--max-hours", type=float, metavar="H", help="since this command began to ask")
    limits.add_argument(
        "--prices",
        type=Path,
        metavar="FILE",
        help="a price file, asked before prices.toml in the configuration folder",
    )


def add_options(run: argparse.ArgumentParser) -> None:
    """Add the limits, the cache and the dry run to the verb ``run``."""
    add_limits(run)
    run.add_argument(
        "--cache", type=Path, metavar="DIR", help="reuse answers across runs; several runs may share a folder"
    )
    run.add_argument(
        "--dry-run",
        action="store_true",
        help="ask nothing: number of requests, about what they cost, the first one",
    )
    run.add_argument(
        "--show-text", action="store_true", help="with --dry-run: show texts of gated data as well"
    )


def add_dry_run(verb: argparse.ArgumentParser) -> None:
    """Add the dry run to a verb that asks judges only."""
    verb.add_argument(
        "--dry-run",
        action="store_true",
        help="ask nothing: how many requests would go to which judge, and about what they cost",
    )


def budget_of(parsed: argparse.Namespace) -> Budget | None:
    """Return the limits that the command line gave."""
    if parsed.max_cost is parsed.max_total_tokens is parsed.max_hours is None:
        return None
    from nova_bench.budget import Budget

    return Budget(
        max_cost=parsed.max_cost, max_total_tokens=parsed.max_total_tokens, max_hours=parsed.max_hours
    )


def rehearse(
    parsed: argparse.Namespace,
    asked: Sequence[tuple[str, str]],
    options: Mapping[str, str],
    judged: Callable[[str], Mapping[str, Any]],
) -> int:
    """Say what the command would ask, and ask nothing.

    Args:
        parsed: The command line.
        asked: Each task as it was spelled, and where its data are.
        options: Of the adapter.
        judged: From a task's spelling to what is said of its judges.
    """
    from nova_bench.dry_run import estimate_run

    found = [
        estimate_run(
            name,
            parsed.model,
            options=options,
            data=data,
            out=folder_of(parsed.out, name, len(asked)),
            limit=parsed.limit,
            repeats=parsed.repeats,
            params=pairs(parsed.params, "-p"),
            settings=settings_of(parsed),
            allow_hosted=parsed.allow_hosted,
            prices=parsed.prices,
            cache=parsed.cache,
            show_text=parsed.show_text,
            **judged(name),
        )
        for name, data in asked
    ]
    if parsed.json:
        print(
            json.dumps({"schema_version": 1, "dry_run": found}, indent=1, ensure_ascii=True, allow_nan=False)
        )
    else:
        print("\n\n".join(_told(one) for one in found))
    return DONE


def spent(usage: Mapping[str, Any]) -> str:
    """Return one line on what a run cost so far; empty where nothing was counted, as with most models on this machine."""
    told = []
    for role, account in usage.items():
        tokens, reused = account["tokens"], account["from_cache"]["answers"]
        if not tokens["total"] and not reused:
            continue
        cost = account["cost_note"] if account["cost_usd"] is None else f"{account['cost_usd']:.6g} USD"
        who = role if role.endswith(f" {account['model']}") else f"{role} {account['model']}"
        told.append(
            f"{who}: {account['requests']:,} requests, {tokens['input']:,} input tokens ({tokens['cached']:,} of them cached), "
            f"{tokens['output']:,} output tokens ({tokens['reasoning']:,} of them reasoning), "
            f"{account['seconds']:.1f} s summed over the requests, {cost}"
            + (f"; {reused:,} answers from the response cache" if reused else "")
        )
    return "; ".join(told)


def judges_told(found: Mapping[str, Any], what: str) -> str:
    """Return what a dry run says of judges that are asked without the model.

    Args:
        found: With ``judges`` and ``notes``.
        what: What they would judge.
    """
    return "\n".join(
        [
            f"{what}: dry run, nothing is sent",
            *(_judge_told(judge) for judge in found["judges"]),
            f"estimate   {JUDGES_RULE}",
            *(f"note       {note}" for note in found["notes"]),
        ]
    )


def _told(found: Mapping[str, Any]) -> str:
    requests, estimate = found["requests"], found["estimate"]
    most = estimate["output_tokens_at_most"]
    cost = estimate["cost_usd_at_most"]
    extrapolated = (
        f" (from the first {estimate['measured']:,})" if estimate["measured"] < requests["left"] else ""
    )
    lines = [
        f"{found['task']} with {found['model']} ({found['goes_to']}), into {found['folder']}: dry run, nothing is sent",
        f"requests   {requests['left']:,} left of {requests['total']:,} ({requests['answered']:,} in the log, {requests['in_cache']:,} in the "
        f"cache, {requests['unusable']:,} unusable)",
        f"tokens     about {estimate['input_tokens']:,} input, at most {'?' if most is None else f'{most:,}'} output{extrapolated}",
        f"cost       {estimate['cost_note'] if cost is None else f'at most about {cost:.6g} USD'}",
        f"estimate   {estimate['rule']}",
        *(_judge_told(judge) for judge in found["judges"]),
        *(f"note       {note}" for note in found["notes"]),
    ]
    if found["first_request"] is not None:
        lines.append(
            f"first request\n{json.dumps(found['first_request'], indent=1, ensure_ascii=False, allow_nan=False)}"
        )
    return "\n".join(lines)


def _judge_told(judge: Mapping[str, Any]) -> str:
    requests, estimate = judge["requests"], judge["estimate"]
    cost = estimate["cost_usd_at_most"]
    told = "no price is known" if cost is None else f"at most about {cost:.6g} USD"
    return (
        f"judge      {judge['name']} ({judge['goes_to']}): at most {requests['at_most']:,} requests ({requests['in_log']:,} verdicts in the log, "
        f"{requests['by_rule']:,} by rule), about {estimate['input_tokens']:,} input, at most {estimate['output_tokens_at_most']:,} output tokens; "
        f"{told}\n           rubrics {', '.join(judge['rubrics'])}; repeats {judge['repeats']}"
    )
