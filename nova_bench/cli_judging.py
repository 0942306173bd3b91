"""The part of ``nova-bench run`` and ``nova-bench score`` that is about judges: who judges, with which options, made ready once."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nova_bench.cli_ending import told
from nova_bench.cli_options import DONE, pairs, say_whose, settings_of
from nova_bench.errors import UsageError

if TYPE_CHECKING:
    from nova_bench.adapter import Model
    from nova_bench.catalog import Found
    from nova_bench.run import Run


def add_options(verb: argparse.ArgumentParser, *, has_model: bool = True) -> None:
    """Add the options to a verb.

    Args:
        verb: Its parser.
        has_model: Whether there is a model under test, which may not be its own judge.
    """
    group = verb.add_argument_group(
        "judges",
        "Some columns need a language model that judges the answers (see show TASK). Without --judge they are absent. Two judges are two columns.",
    )
    group.add_argument(
        "--judge",
        dest="judges",
        action="append",
        default=[],
        metavar="ADAPTER[:MODEL]",
        help="who judges, named as for --model; may be given several times",
    )
    group.add_argument(
        "-J",
        dest="judge_options",
        action="append",
        default=[],
        metavar="key[@JUDGE]=value",
        help="an option of the judges' adapters; with @ADAPTER[:MODEL], or @N for the Nth --judge, of that judge only",
    )
    group.add_argument(
        "--judge-param",
        dest="judge_params",
        action="append",
        default=[],
        metavar="key=value",
        help="max_tokens or temperature, over the rubrics' own: a judge that reasons needs more tokens",
    )
    group.add_argument(
        "--judge-repeats", type=int, metavar="N", help="ask each judge N times about an answer (default: 1)"
    )
    if has_model:
        group.add_argument(
            "--allow-self-judge",
            action="store_true",
            help="let the model under test judge itself; the signature says so",
        )


class Judges:
    """The judges of a command, each made ready once for all its runs; a context manager that frees them.

    Args:
        parsed: The command line.

    Raises:
        UsageError: An option without a judge, or of one that was not named; fewer than one repeat.
    """

    def __init__(self, parsed: argparse.Namespace) -> None:
        self.names: list[str] = getattr(parsed, "judges", [])
        repeats = getattr(parsed, "judge_repeats", None)
        given = getattr(parsed, "judge_options", [])
        params = getattr(parsed, "judge_params", [])
        self._is_self_allowed = getattr(parsed, "allow_self_judge", False)
        if not self.names:
            for flag, is_given in (
                ("-J", bool(given)),
                ("--judge-param", bool(params)),
                ("--judge-repeats", repeats is not None),
                ("--allow-self-judge", self._is_self_allowed),
            ):
                if is_given:
                    raise UsageError(
                        f"{flag} is about judges, and none was named: give --judge ADAPTER[:MODEL]"
                    )
        if repeats is not None and repeats < 1:
            raise UsageError(f"--judge-repeats {repeats}: expected 1 or more")
        self._repeats = 1 if repeats is None else repeats
        self._params = pairs(params, "--judge-param")
        self._options = options_of(self.names, given)
        self._ready: dict[tuple[str, tuple[tuple[str, str], ...]], Model] = {}

    def __enter__(self) -> Judges:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Free what the judges hold."""
        for model in self._ready.values():
            model.close()
        self._ready.clear()

    def found(self) -> list[Found]:
        """Return whose code the judges are."""
        from nova_bench.catalog import find, split_model

        return [find("adapters", split_model(name)[0]) for name in self.names]

    def check_names(self, model: str, options: Mapping[str, str]) -> None:
        """Refuse a judge that is named as the model under test is, unless that was allowed; nothing is loaded.

        Args:
            model: ``ADAPTER[:MODEL]`` of the model under test.
            options: Its adapter's options.
        """
        from nova_bench.judge import check_self_named

        if not self._is_self_allowed:
            for name, told in zip(self.names, self._options, strict=True):
                check_self_named(model, options, name, told)

    def ready(self, task: str) -> list[Model]:
        """Return the judges of a task's run; one is made again only where an option depends on the task.

        Args:
            task: Its spelling, for ``{task}`` in an option.
        """
        from nova_bench.prepare import ready_judge

        made = []
        for name, options in zip(self.names, self._options, strict=True):
            told = {key: value.replace("{task}", task) for key, value in options.items()}
            key = (name, tuple(sorted(told.items())))
            if key not in self._ready:
                self._ready[key] = ready_judge(name, told, task)
            made.append(self._ready[key])
        return made

    def share(self, name: str, options: Mapping[str, str], model: Model) -> None:
        """Take a model that is ready: where it is a judge too, of the same options, it is not loaded a second time.

        Args:
            name: As ``--model`` gave it.
            options: As ``-o`` gave them.
            model: The model under test.
        """
        self._ready.setdefault((name, tuple(sorted(options.items()))), model)

    def arguments(self, spelling: str) -> dict[str, Any]:
        """Return what `evaluate` takes; no judge is loaded for a task that has no column for it.

        Args:
            spelling: The task as it was given.
        """
        from nova_bench.catalog import load_task
        from nova_bench.task import split_spelling

        if not self.names:
            return {}
        name, choices = split_spelling(spelling)
        task = load_task(name)
        whole = task.spell(task.variant(choices))
        return self.arguments_of(self.ready(whole) if task.judges else self.names)

    def arguments_of(self, judges: Sequence[Model | str]) -> dict[str, Any]:
        """Return what `evaluate` and `rejudge` take, of judges that are ready."""
        return {
            "judges": judges,
            "judge_params": self._params,
            "judge_repeats": self._repeats,
            "allow_self_judge": self._is_self_allowed,
        }


def options_of(names: Sequence[str], given: Sequence[str]) -> list[dict[str, str]]:
    """Return each judge's options of the words of ``-J``: those of all judges, and over them its own.

    >>> options_of(["openai:a", "replay"], ["concurrency=2", "concurrency@openai:a=8", "from@replay=x=y.jsonl"])
    [{'concurrency': '8'}, {'concurrency': '2', 'from': 'x=y.jsonl'}]
    >>> options_of(["openai:a", "openai:a"], ["effort@1=low", "effort@2=high"])
    [{'effort': 'low'}, {'effort': 'high'}]
    """
    shared: list[str] = []
    own: list[list[str]] = [[] for _ in names]
    for word in given:
        key, equals, value = word.partition("=")
        option, at, judge = key.partition("@")
        meant = [i for i, name in enumerate(names) if judge in (name, str(i + 1))]
        if not at:
            shared.append(word)
        elif meant and option and equals:
            for i in meant:
                own[i].append(f"{option}={value}")
        else:
            raise UsageError(
                f"-J {word!r}: expected key=value, or key@JUDGE=value with one of the judges named: {', '.join(names)} (or its place: 1, 2, ...)"
            )
    every = pairs(shared, "-J")
    told = [f"-J ...@{name}" for name in names]
    return [{**every, **pairs(words, flag)} for words, flag in zip(own, told, strict=True)]


def dropping(run: Run, report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what should be known of judges whose verdicts are missing: those that are left out, and those that keep a run incomplete.

    Args:
        run: The run.
        report: Its report.
    """
    from nova_bench.judge_log import asked_judges

    for idle in run.idle_judges:
        yield (
            f"judge {idle.name} was asked before and never answered, so its columns are left out; to have it judge, give it again with --judge, "
            f"to be rid of it, delete {idle.folder}"
        )
    folders = {one.name: one.folder for one in asked_judges(run.folder, run.asked)}
    for judge in report["judges"]:
        if judge["judge_failed"]:
            yield (
                f"{judge['judge_failed']:,} answers wait for judge {judge['name']}: give it again with --judge, or, to drop what it said, "
                f"delete {folders[judge['name']]}"
            )


def judge_again(parsed: argparse.Namespace, runs: Sequence[Run]) -> list[Run]:
    """Have the judges of the command line judge runs that are there; nothing is asked of their models.

    Returns:
        The runs, with how it went; those that no judge has anything to do with as they were. An error of a judge ends the work, and the
        runs behind it come back as they were.

    Raises:
        UsageError: None of the runs has a column that needs a judge, or a judge may not be asked.
    """
    from nova_bench import cli_limits
    from nova_bench.late_judging import rejudge
    from nova_bench.watch import Watch

    with Judges(parsed) as judges:
        if not judges.names:
            return list(runs)
        if not any(run.plan.task.judges for run in runs):
            raise UsageError(_nothing_to_judge(runs))
        say_whose(judges.found())
        budget = cli_limits.budget_of(parsed)
        made: list[Run] = []
        has_ended = False
        for run in runs:
            spelling = run.plan.spelling
            if not run.plan.task.judges or has_ended:
                if not has_ended:
                    print(f"{spelling}: no column needs a judge, so none was asked", file=sys.stderr)
                made.append(run)
                continue
            with Watch(spelling) as watch:
                again = rejudge(
                    run,
                    **judges.arguments_of(judges.ready(spelling)),
                    allow_hosted=parsed.allow_hosted,
                    budget=budget,
                    prices=parsed.prices,
                    settings=settings_of(parsed),
                    watch=watch.show,
                )
            made.append(again)
            has_ended = told(again)
        return made


def rehearse(parsed: argparse.Namespace, runs: Sequence[Run]) -> int:
    """Say what judges of the command line would be asked about runs that are there, and ask nothing.

    Raises:
        UsageError: No judge was named, or one may not be asked.
    """
    import json

    from nova_bench import cli_limits
    from nova_bench.late_judging import estimate_rejudge

    with Judges(parsed) as judges:
        if not judges.names:
            raise UsageError(
                "--dry-run says what judges would be asked, and none was named: give --judge ADAPTER[:MODEL]"
            )
        say_whose(judges.found())
        judged = [run for run in runs if run.plan.task.judges]
        if not judged:
            raise UsageError(_nothing_to_judge(runs))
        found = [
            estimate_rejudge(
                run,
                **judges.arguments_of(judges.ready(run.plan.spelling)),
                allow_hosted=parsed.allow_hosted,
                prices=parsed.prices,
                settings=settings_of(parsed),
            )
            for run in judged
        ]
    if parsed.json:
        print(json.dumps({"schema_version": 1, "dry_run": found}, indent=1, allow_nan=False))
    else:
        print(
            "\n\n".join(
                cli_limits.judges_told(one, f"{one['task']} in {one['folder']}, answers of {one['model']}")
                for one in found
            )
        )
    return DONE


def _nothing_to_judge(runs: Sequence[Run]) -> str:
    names = ", ".join(sorted({run.plan.task.name for run in runs}))
    return f"{names}: no column needs a judge, so there is nothing to judge. Leave --judge out"
