"""What a run lacks to be submitted, all of it at once, each with its remedy; and what is said beside a submission without keeping it back."""

from __future__ import annotations

import collections
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from nova_bench.backends.addresses import is_private_host
from nova_bench.board.adapter_check import Gap
from nova_bench.board.layout import MAX_JUDGES
from nova_bench.catalog import find
from nova_bench.errors import NovaBenchError
from nova_bench.judge_log import Asked, all_judges, asked_judges
from nova_bench.report import MOST_UNJUDGED
from nova_bench.run import Run
from nova_bench.source_file import printable

STAND_IN = "rule_based_judge"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PLACE = re.compile(r"(?:~[^/\\\\]*)?[/\\\\]|[A-Za-z]:[/\\\\]|file:")
_KEY_NAME = re.compile(r"(?:^|_)(?:api_?key|token|secret|password|access_key)$", re.IGNORECASE)


_KEY_FORM = re.compile(r"(?:sk-|hf_|gh[opsu]_|github_pat_|AIza|xox[abp]-|Bearer )[A-Za-z0-9_-]{16,}")
"""How the keys of well-known services begin, whatever an option is called."""


def gaps(run: Run, manifest: Mapping[str, Any], report: Mapping[str, Any]) -> list[Gap]:
    """Return what keeps a run from being submitted, its adapter's check apart; an empty list where nothing does.

    Args:
        run: The run.
        manifest: Its manifest.
        report: Its report.
    """
    return [
        *_of_task(run, manifest),
        *_of_data(run),
        *_of_answers(run, manifest),
        *_of_names(run),
        *_of_judges(run, report),
        *_of_options(manifest),
        *(gap for asked in asked_judges(run.folder) for gap in _of_judge_options(asked)),
    ]


def is_stand_in(identity: Mapping[str, Any]) -> bool:
    """Return whether a judge is the rule-based stand-in."""
    return str(identity["adapter"]).partition(":")[0] == STAND_IN or "rules" in identity["options"]


def _of_task(run: Run, manifest: Mapping[str, Any]) -> Iterator[Gap]:
    name = run.plan.task.name
    try:
        is_shipped = find("tasks", name).door == "content"
    except NovaBenchError:
        is_shipped = False
    if manifest["identity"]["task_file"] or not is_shipped:
        yield Gap(
            f"task {printable(name, 100)} does not come with nova-bench, so that nobody else can verify the run",
            "contribute the task first (CONTRIBUTING.md), then run it by its name",
        )


def _of_data(run: Run) -> Iterator[Gap]:
    plan = run.plan
    if plan.limit is not None:
        yield Gap(
            f"only {plan.limit.n} clusters were asked for (--limit {plan.limit.n})",
            "give the run's command again without --limit; what is answered is kept",
        )
    if (
        plan.data.kind == "full"
        and not plan.data.is_synthetic
        and not _COMMIT.fullmatch(plan.data.revision or "")
    ):
        yield Gap(
            f"the data set's revision is {printable(str(plan.data.revision), 60)}, which is no commit",
            "run with --data full again, so that the commit is recorded",
        )


def _command(run: Run, manifest: Mapping[str, Any]) -> str:
    """Return the command that goes on with a run: its last one, as far as that is known."""
    command = [str(word) for word in manifest["starts"][-1].get("command") or ()]
    if command[:2] == ["nova-bench", "run"]:
        return printable(shlex.join(command), 500)
    said = f"nova-bench run {run.plan.spelling} --model {printable(run.model, 100)} with the run's other options and --out"
    return f"{said} {printable(str(run.folder), 200)}"


def _of_answers(run: Run, manifest: Mapping[str, Any]) -> Iterator[Gap]:
    reasons = collections.Counter(printable(reason, 120) for reason in run.scored.reasons.values())
    if reasons:
        told = "; ".join(f"{n} x {reason}" for reason, n in reasons.most_common(3))
        more = f"; and {len(reasons) - 3} other reasons" if len(reasons) > 3 else ""
        yield Gap(
            f"{reasons.total()} of {len(run.scored.table)} requests have no answer ({told}{more})",
            f"give the run's command again, it asks only what is open: {_command(run, manifest)}",
        )


def _of_names(run: Run) -> Iterator[Gap]:
    """Yield the names that servers gave for their models and that are places: a server that was not told a name gives its folder's."""
    named = [*run.scored.models, *(name for one in run.scored.judges.values() for name in one.models)]
    for name in dict.fromkeys(named):
        if _PLACE.match(name):
            yield Gap(
                f"the server called its model {printable(name, 100)}, a place on its machine, and each answer would say so",
                "give it a name where it is started (vLLM: --served-model-name), and run again",
            )


def _of_judges(run: Run, report: Mapping[str, Any]) -> Iterator[Gap]:
    for account in run.scored.judges.values():
        name = printable(account.asked.name, 100)
        rejudge = f"nova-bench score {printable(str(run.folder), 200)} --judge {printable(str(account.asked.identity['adapter']), 100)}"
        if account.failed:
            yield Gap(
                f"{account.failed} answers wait for a verdict of judge {name}",
                f"ask it again with its own -J: {rejudge}",
            )
        if is_stand_in(account.asked.identity) and not run.plan.data.is_synthetic:
            yield Gap(
                f"judge {name} is a stand-in, whose verdicts on real data are no measure of anything",
                f"delete {printable(str(account.asked.folder), 200)}, or judge a copy of the run with a language model",
            )
    for judge in report["judges"]:
        if judge["too_many_unjudged"]:
            share = max(judge["unjudged_share"] or 0.0, judge["unjudged_verdict_share"] or 0.0)
            yield Gap(
                f"judge {printable(judge['name'], 100)} left {share:.1%} unjudged; at most {MOST_UNJUDGED:.0%} may be",
                "judge with another model, or with more tokens (--judge-param max_tokens=N), and take this one's folder out of judges/",
            )
    n_judges = len(all_judges(run.folder))
    if n_judges > MAX_JUDGES:
        yield Gap(f"{n_judges} judges; at most {MAX_JUDGES} fit into a bundle", "take folders out of judges/")


def _of_options(manifest: Mapping[str, Any]) -> Iterator[Gap]:
    options = manifest["identity"]["model"]["options"]
    if str(options.get("trust_remote_code", "")).lower() in ("true", "1", "yes"):
        pinned = _COMMIT.fullmatch(str(options.get("revision") or "")) or options.get("weights")
        if not pinned:
            yield Gap(
                "the model's own Python code was run (trust_remote_code), and no commit says which",
                "run with -o revision=COMMIT",
            )
    yield from _unpublishable(options, "model", "-o")


def _of_judge_options(asked: Asked) -> Iterator[Gap]:
    yield from _unpublishable(asked.options, f"judge {printable(asked.name, 100)}", "-J")


def _unpublishable(options: Mapping[str, Any], whose: str, flag: str) -> Iterator[Gap]:
    """Yield the options that may not stand in a public file: keys, places on this machine, hosts of a private network."""
    for key, value in options.items():
        said = printable(str(key), 60)
        if not isinstance(value, str) or not value:
            continue
        if _KEY_NAME.search(str(key)) or _KEY_FORM.match(value) or _has_login(value):
            yield Gap(
                f"option {said} of the {whose} looks like a key and would be published",
                "let the adapter read the key from an environment variable, and run again",
            )
        elif _PLACE.match(value):
            yield Gap(
                f"option {said} of the {whose} is a place on this machine",
                f"name it in `transport` of the adapter's header where it cannot change an answer, or give {flag} {said}= in a form "
                "that others can use",
            )
        elif "://" in value and is_private_host(_host(value)):
            yield Gap(
                f"option {said} of the {whose} is an address in a private network",
                "name it in `transport` of the adapter's header: where a server stands cannot change an answer",
            )


def _has_login(address: str) -> bool:
    """Return whether an address has a name and a password in it."""
    try:
        return "://" in address and "@" in urlsplit(address).netloc
    except ValueError:
        return False


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def warnings(run: Run, manifest: Mapping[str, Any]) -> list[str]:
    """Return what the submitter should know and that keeps nothing back.

    Args:
        run: The run.
        manifest: Its manifest.
    """
    scored, start = run.scored, manifest["starts"][-1]
    said = []
    if start.get("dirty"):
        said.append("nova-bench itself had uncommitted changes when the run was made")
    if run.plan.data.kind == "path" and not run.plan.data.is_synthetic:
        said.append(
            "the data are a copy in a folder: there is no revision, and the digest alone says which data they are"
        )
    if scored.missing:
        remedies = "; ".join(dict.fromkeys(scored.missing.values()))
        said.append(f"cells that need {', '.join(sorted(scored.missing))} are empty: {remedies}")
    if len(scored.models) > 1:
        said.append(f"the vendor named several models: {', '.join(map(str, scored.models))}")
    said += [
        f"judge {account.asked.name} is the model under test"
        for account in scored.judges.values()
        if account.asked.is_self
    ]
    if run.remote_code is not None:
        said.append("Python code that came with the model had a part in every number")
    return [printable(sentence, 500) for sentence in said]
