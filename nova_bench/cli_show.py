"""The verbs that show what there is and run nothing: list, show, doctor."""

from __future__ import annotations

import argparse
import json
from typing import Any

from nova_bench.cli_options import DONE, INCOMPLETE, settings_of


def add_verbs(verbs: Any) -> None:
    """Enter list, show and doctor among the verbs of a parser.

    Args:
        verbs: What ``ArgumentParser.add_subparsers`` returned.
    """
    listing = verbs.add_parser("list", help="tasks, adapters, suites, metrics")
    listing.add_argument("what", nargs="?", choices=("tasks", "adapters", "suites", "metrics"))
    listing.add_argument("--json", action="store_true")
    listing.set_defaults(verb=_list)

    show = verbs.add_parser("show", help="a task's, adapter's, suite's or metric's page")
    show.add_argument("name")
    show.set_defaults(verb=_show)

    doctor = verbs.add_parser("doctor", help="what this installation has and lacks")
    doctor.add_argument("--json", action="store_true")
    doctor.set_defaults(verb=_doctor)


def _list(parsed: argparse.Namespace) -> int:
    from nova_bench import catalog

    wanted = (parsed.what,) if parsed.what else ("suites", "tasks", "adapters")
    found: dict[str, list[dict[str, str]]] = {}
    if "suites" in wanted:
        found["suites"] = [
            {"name": name, "about": suite["about"], "tasks": " ".join(suite["tasks"])}
            for name, suite in catalog.suites().items()
        ]
    if "tasks" in wanted:
        found["tasks"] = [
            {"name": task.name, "about": task.about(), "from": task.door}
            for task in catalog.find_all("tasks")
        ]
    if "adapters" in wanted:
        found["adapters"] = [
            {
                "name": adapter.name,
                "about": header.get("name", "") if isinstance(header, dict) else header,
                "from": adapter.door,
            }
            for adapter, header in catalog.describe_adapters()
        ]
    if "metrics" in wanted:
        tasks = [catalog.load_task(task.name) for task in catalog.find_all("tasks")]
        found["metrics"] = [
            {"name": metric.name, "task": task.name, "about": metric.about}
            for task in tasks
            for metric in task.metrics
        ]
    if parsed.json:
        print(json.dumps({"schema_version": 1, **found}, indent=1))
        return DONE
    # Plain columns and no rich: this verb answers at once.
    for kind, entries in found.items():
        print(f"{kind}:")
        width = max((len(entry["name"]) for entry in entries), default=0)
        for entry in entries:
            print(f"  {entry['name']:<{width}}  {entry['about']}")
    return DONE


def _show(parsed: argparse.Namespace) -> int:
    from nova_bench import catalog, render
    from nova_bench.errors import UnknownNameError
    from nova_bench.task import split_spelling

    console = render.console()
    suites = catalog.suites()
    names = {kind: [found.name for found in catalog.find_all(kind)] for kind in ("tasks", "adapters")}
    head = split_spelling(parsed.name)[0]
    if parsed.name in suites:
        console.print(
            render.listing(parsed.name, ("task",), [(task,) for task in suites[parsed.name]["tasks"]])
        )
        console.print(suites[parsed.name]["about"])
    elif head in names["tasks"]:
        for part in render.task_page(catalog.load_task(head)):
            console.print(part)
    elif parsed.name in names["adapters"] or "/" in parsed.name:
        found = catalog.find("adapters", parsed.name)
        header = found.header()
        console.print(
            render.listing(
                found.name,
                ("", ""),
                [("about", found.about()), *((key, str(value)) for key, value in header.items())],
            )
        )
        console.print(
            render.listing(
                "options",
                ("option", "default"),
                [(key, repr(value)) for key, value in catalog.adapter_options(found).items()],
            )
        )
    else:
        metrics = {
            metric.name: (task, metric)
            for task in map(catalog.load_task, names["tasks"])
            for metric in task.metrics
        }
        if parsed.name not in metrics:
            raise UnknownNameError(
                "name",
                parsed.name,
                [*suites, *names["tasks"], *names["adapters"], *metrics],
                "suites, tasks, adapters and metrics",
            )
        task, metric = metrics[parsed.name]
        console.print(
            render.listing(
                metric.name,
                ("", ""),
                [("task", task.name), ("version", str(metric.version)), ("what it is", metric.about)],
            )
        )
    return DONE


def _doctor(parsed: argparse.Namespace) -> int:
    from nova_bench.doctor import checkup

    findings = checkup(settings_of(parsed).cache, settings_of(parsed).config)
    if parsed.json:
        print(json.dumps({"schema_version": 1, "findings": findings}, indent=1))
    else:
        from nova_bench import render

        rows = [
            (
                {"ok": "ok", "lacks": "-", "fault": "FAULT"}[finding["state"]],
                finding["what"],
                finding["detail"],
            )
            for finding in findings
        ]
        render.console().print(render.listing("nova-bench doctor", ("", "what", ""), rows))
    return INCOMPLETE if any(finding["state"] == "fault" for finding in findings) else DONE
