"""The verbs that show what there is and run nothing: list, show, doctor."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nova_bench.cli_options import DONE, INCOMPLETE, settings_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from nova_bench.catalog import Found


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
    show.add_argument(
        "name", help="its name, or the path of an adapter or task file with a slash; nothing contributed runs"
    )
    show.set_defaults(verb=_show)

    doctor = verbs.add_parser("doctor", help="what this installation has and lacks")
    doctor.add_argument("--json", action="store_true")
    doctor.set_defaults(verb=_doctor)


def _list(parsed: argparse.Namespace) -> int:
    from nova_bench import catalog
    from nova_bench.source_file import printable

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
                "about": printable(str(header.get("name", ""))) if isinstance(header, dict) else header,
                "from": adapter.door,
            }
            for adapter, header in catalog.describe_adapters()
        ]
    if "metrics" in wanted:
        found["metrics"] = [
            {"name": metric.name, "task": task.name, "about": metric.about}
            for task in catalog.shipped_tasks()
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
            print(f"  {printable(entry['name']):<{width}}  {entry['about']}")
    return DONE


def _show(parsed: argparse.Namespace) -> int:
    from nova_bench import catalog, render
    from nova_bench.errors import UnknownNameError
    from nova_bench.source_file import static_task
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
        found = catalog.find("tasks", head)
        if found.door == "content":
            for part in render.task_page(catalog.load_task(head)):
                console.print(part)
        else:
            console.print(_contributed_task(found))
    elif "/" in parsed.name and static_task(catalog.find("adapters", parsed.name).source()) is not None:
        console.print(_contributed_task(catalog.find("tasks", parsed.name)))
    elif parsed.name in names["adapters"] or "/" in parsed.name:
        for part in _adapter_page(catalog.find("adapters", parsed.name)):
            console.print(part)
    else:
        metrics = {metric.name: (task, metric) for task in catalog.shipped_tasks() for metric in task.metrics}
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


def _adapter_page(found: Found) -> Iterator[RenderableType]:
    """Yield an adapter's page, from its header and its syntax tree."""
    from nova_bench import catalog, render
    from nova_bench.source_file import printable

    facts = [("about", found.about())]
    facts += [(printable(key), printable(str(value), 1000)) for key, value in found.header().items()]
    if found.door != "content":
        facts.append(("code from", found.whose()))
    yield render.listing(printable(found.name), ("", ""), facts)
    options = catalog.adapter_options(found)
    if options is None:
        yield "Its options are known only once its code runs, and show runs nothing: see its documentation."
        return
    rows = [
        (f"{option.collects}{printable(name)}", "any other option" if option.collects else option.shown())
        for name, option in options.items()
    ]
    yield render.listing("options", ("option", "default"), rows)


def _contributed_task(found: Found) -> RenderableType:
    """Return the page of a task of somebody else, from its syntax tree."""
    from nova_bench import render
    from nova_bench.source_file import printable, static_task

    stated = static_task(found.source()) or {}
    facts = [("about", found.about()), *stated.items(), ("code from", found.whose())]
    return render.listing(f"{printable(found.name)} (read, not run)", ("", ""), facts)


def _doctor(parsed: argparse.Namespace) -> int:
    from nova_bench.catalog import shipped_tasks
    from nova_bench.doctor import checkup
    from nova_bench.errors import NovaBenchError

    settings = settings_of(parsed)
    try:
        sources = [task.data for task in shipped_tasks()]
    except NovaBenchError:  # a package that they need is missing, and a finding
        sources = []
    findings = checkup(settings.cache, settings.config, sources)
    if parsed.json:
        print(json.dumps({"schema_version": 1, "findings": findings}, indent=1))
    else:
        from nova_bench import render

        rows = [
            (
                {"ok": "ok", "lacks": "-", "fault": "FAULT"}[finding["state"]],
                finding["what"],
                finding["detail"],
                finding["remedy"],
            )
            for finding in findings
        ]
        render.console().print(render.listing("nova-bench doctor", ("", "what", "", "what to do"), rows))
    return INCOMPLETE if any(finding["state"] == "fault" for finding in findings) else DONE
