"""Names: which tasks, adapters and suites there are, and how one is found and loaded.

The file name is the registry. A name is looked up in the shipped content and in entry points (groups ``nova_bench.tasks`` and
``nova_bench.adapters``); anything else needs a path with a slash. Listing reads docstrings and headers and runs nothing; a name
that two places offer is an error.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.metadata
import importlib.util
import json
import sys
import tomllib
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from nova_bench.adapter import ENGINE_OPTIONS, Model, own_identity, read_card, read_header, read_options
from nova_bench.errors import AdapterError, NovaBenchError, UnknownNameError, UsageError
from nova_bench.source_file import StaticOption, first_line, printable, read_source, static_options
from nova_bench.task import Task
from nova_bench.types import Adapter, Card

Kind = Literal["tasks", "adapters"]
_SINGULAR = {"tasks": "task", "adapters": "adapter"}


def content_root() -> Path:
    """Return the folder that holds ``tasks/`` and ``adapters/``: in a wheel beside this file, in a checkout the repository's root.

    Raises:
        NovaBenchError: There is neither; the installation is damaged.
    """
    package = Path(__file__).resolve().parent
    shipped = package / "_content"
    if shipped.is_dir():
        return shipped
    project = package.parent / "pyproject.toml"
    if project.is_file() and 'name = "nova-bench"' in project.read_text(encoding="utf-8"):
        return package.parent
    raise NovaBenchError(
        f"no tasks/ and adapters/ beside {package}: the installation is damaged; install nova-bench again"
    )


@dataclass(frozen=True, slots=True)
class Found:
    """A task or adapter that a name or path leads to; nothing of it has run."""

    kind: Kind
    name: str
    door: Literal["content", "path", "entry point"]
    path: Path | None
    """Its source file; None where an entry point's file cannot be found without importing it."""
    entry: importlib.metadata.EntryPoint | None = None

    def source(self) -> str:
        """Return its source text, empty where it cannot be found without importing.

        Raises:
            AdapterError: It is no text that can be read.
        """
        return "" if self.path is None else read_source(self.path)

    def header(self) -> dict[str, Any]:
        """Return an adapter's header, without running it."""
        return read_header(self.source(), self.name)

    def about(self) -> str:
        """Return the first line of its docstring as harmless text, without running it."""
        try:
            return first_line(self.source())
        except AdapterError as error:
            return f"({printable(str(error))})"

    def whose(self) -> str:
        """Return where its code comes from, as harmless text: whom one trusts by running it."""
        if self.entry is None:
            return printable(str(self.path), 500)
        package = (
            "an installed package"
            if self.entry.dist is None
            else f"{self.entry.dist.name} {self.entry.dist.version}"
        )
        return printable(f"{package} ({self.entry.value})", 500)


def find_all(kind: Kind) -> list[Found]:
    """Return everything of a kind that has a name, sorted, without running any of it."""
    folder = content_root() / kind
    listed = [
        Found(kind, path.stem, "content", path)
        for path in sorted(folder.glob("*.py"))
        if not path.stem.startswith("_")
    ]
    entries = importlib.metadata.entry_points(group=f"nova_bench.{kind}")
    listed += [Found(kind, entry.name, "entry point", _entry_source(entry), entry) for entry in entries]
    return sorted(listed, key=lambda found: found.name)


def find(kind: Kind, name: str) -> Found:
    """Return the one task or adapter that a name, or a path with a slash, stands for.

    Raises:
        UnknownNameError: No such name; with the closest ones.
        UsageError: Two places offer the name, or the path does not exist.
    """
    if "/" in name or "\\" in name:
        path = Path(name).expanduser()
        if not path.is_file():
            raise UsageError(
                f"{_SINGULAR[kind]} file {name} does not exist; expected the path of a Python file"
            )
        return Found(kind, path.stem, "path", path.resolve())
    matches = [found for found in find_all(kind) if found.name == name]
    if len(matches) > 1:
        places = " and ".join(str(found.path or found.entry) for found in matches)
        raise UsageError(f"{_SINGULAR[kind]} {name!r} is offered by {places}; name one by its path")
    if not matches:
        names = [found.name for found in find_all(kind)]
        raise UnknownNameError(_SINGULAR[kind], name, names, f"{kind}/ or entry points", path=file_here(name))
    return matches[0]


def file_here(name: str) -> str:
    """Return the path, with a slash, of the Python file in this folder that a name without one may mean; empty where there is none."""
    file = name if name.endswith(".py") else f"{name}.py"
    return f"./{file}" if not set(file) & {"/", "\\", "\0"} and Path(file).is_file() else ""


def _entry_source(entry: importlib.metadata.EntryPoint) -> Path | None:
    """Return the file of an entry point's module from its distribution's records; nothing is imported (not even a parent package)."""
    if entry.dist is None:
        return None
    stem = entry.module.replace(".", "/")
    candidates = (f"{stem}.py", f"{stem}/__init__.py")
    for file in entry.dist.files or ():
        if str(file) in candidates:
            return Path(str(entry.dist.locate_file(file)))
    # An editable install records where its project lies, not its files.
    record = entry.dist.read_text("direct_url.json")
    if record:
        url = urlsplit(json.loads(record).get("url", ""))
        if url.scheme == "file":
            project = Path(unquote(url.path))
            for candidate in (project / folder / file for folder in ("", "src") for file in candidates):
                if candidate.is_file():
                    return candidate
    return None


class _FromSource(importlib.machinery.SourceFileLoader):
    """Runs the text of a file, and never bytecode beside it: that can be older than the file, or a stranger's, and no digest shows it."""

    def get_code(self, fullname: str) -> types.CodeType:
        """Return the module's code, compiled anew."""
        path = self.get_filename(fullname)
        code: types.CodeType = self.source_to_code(self.get_data(path), path)
        return code


def _import(found: Found) -> Any:
    """Run the file of a task or adapter and return its module."""
    try:
        if found.entry is not None:
            return importlib.import_module(found.entry.module)
        assert found.path is not None  # only entry points lack one
        name = f"nova_bench_content.{found.kind}.{found.name}"
        loader = _FromSource(name, str(found.path))
        specification = importlib.util.spec_from_file_location(name, found.path, loader=loader)
        assert specification is not None  # a .py path always has a loader
        assert specification.loader is not None
        module = importlib.util.module_from_spec(specification)
        sys.modules[name] = module
        specification.loader.exec_module(module)
        return module
    except NovaBenchError:
        raise
    except Exception as error:
        where = _innermost(error, found.path)
        message = f"{_SINGULAR[found.kind]} {found.name!r} cannot be loaded from {found.path or found.entry}{where}: {type(error).__name__}: {error}"
        raise AdapterError(message) from error


def _innermost(error: BaseException, path: Path | None) -> str:
    """Return `` line N``: the deepest line of `path` in an error's traceback."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if path is not None and trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return "" if line is None else f" line {line}"


def load_task(name: str) -> Task:
    """Load the task of a name, or of a path with a slash.

    Raises:
        UnknownNameError: No such task.
        AdapterError: Its file fails, or has no ``TASK``.
    """
    found = find("tasks", name)
    module = _import(found)
    attribute = (found.entry.attr if found.entry else "") or "TASK"
    task = getattr(module, attribute, None)
    if not isinstance(task, Task):
        raise AdapterError(f"task file {found.path or found.entry} has no {attribute} = nova_bench.Task(...)")
    return task


def shipped_tasks() -> list[Task]:
    """Return the tasks of this project, loaded; those of other packages are left out, because loading runs them."""
    return [load_task(found.name) for found in find_all("tasks") if found.door == "content"]


def load_model(name: str, options: Mapping[str, str] | None = None, *, task: str = "") -> Model:
    """Load an adapter and make its model ready.

    Args:
        name: ``ADAPTER`` or ``ADAPTER:MODEL``; the adapter is a name, or a path with a slash.
        options: Texts for ``load``, as ``-o key=value`` gives them.
        task: What ``{task}`` in an option's value becomes.

    Raises:
        UnknownNameError: No such adapter, or no such option.
        UsageError: A value does not fit.
        AdapterError: The file fails, or breaks the contract.
    """
    adapter_name, model_name = split_model(name)
    given = dict(options or {})
    if model_name:
        if "model" in given:
            raise UsageError(f"the model is named twice: {name!r} and -o model={given['model']}; give one")
        given["model"] = model_name
    given = {key: value.replace("{task}", task) for key, value in given.items()}
    found = find("adapters", adapter_name)
    source = found.source()
    card = read_card(read_header(source, found.name), found.name, given)
    load = load_function(found)
    loaded = read_options(load, given, found.name)
    try:
        adapter = load(**loaded)
    except NovaBenchError:
        raise
    except Exception as error:
        where = _innermost(error, found.path)
        raise AdapterError(
            f"load() of adapter {found.name!r}{where} raised {type(error).__name__}: {error}"
        ) from error
    if not isinstance(adapter, Adapter):
        raise AdapterError(
            f"load() of adapter {found.name!r} returned a {type(adapter).__name__}; expected an object with generate(requests)"
        )
    everything = {**loaded, **{key: given[key] for key in ENGINE_OPTIONS if key in given}}
    identity = options_identity(everything, card, adapter)
    spelled = adapter_name if "/" not in adapter_name else found.name
    named = identity["model"] if isinstance(identity.get("model"), str) else loaded.get("model")
    return Model(
        name=f"{spelled}:{named}" if named else spelled,
        adapter=adapter,
        card=card,
        source=hashlib.sha256(source.encode()).hexdigest(),
        options=everything,
        identity=identity,
    )


def options_identity(options: Mapping[str, Any], card: Card, adapter: Adapter) -> dict[str, Any]:
    """Return what of a ready model's options can change an answer, and what its adapter says of itself, by name.

    Args:
        options: Every option, defaults included.
        card: Names those that cannot change an answer.
        adapter: The adapter, loaded.
    """
    known = {key: _identity(value) for key, value in options.items() if key not in card.transport}
    return dict(sorted({**known, **own_identity(adapter)}.items()))


def adapter_options(found: Found) -> dict[str, StaticOption] | None:
    """Return an adapter's options as its source states them; nothing runs. None where they are known only once it runs.

    Raises:
        AdapterError: The file does not parse.
    """
    attribute = (found.entry.attr if found.entry else "") or "load"
    return None if found.path is None else static_options(found.source(), attribute)


def load_function(found: Found) -> Callable[..., Any]:
    """Return the ``load`` of an adapter; this runs its file."""
    module = _import(found)
    attribute = (found.entry.attr if found.entry else "") or "load"
    load = getattr(module, attribute, None)
    if not callable(load):
        raise AdapterError(
            f"adapter file {found.path or found.entry} has no {attribute}(*, option=default) that returns an adapter"
        )
    return load  # type: ignore[no-any-return]  # a module's attribute has no type


def split_model(text: str) -> tuple[str, str]:
    """Return (adapter, model) of ``ADAPTER[:MODEL]``, cut at the first colon after the adapter's name or path.

    >>> split_model("openai:org/model:7b"), split_model("./my_adapter.py"), split_model("replay")
    (('openai', 'org/model:7b'), ('./my_adapter.py', ''), ('replay', ''))
    """
    head, colon, model = text.partition(":")
    if colon and not model:
        raise UsageError(f"model {text!r} ends in a colon; expected ADAPTER or ADAPTER:MODEL")
    return head, model


def _identity(value: Any) -> Any:
    """Return an option's value, or the sha256 of the file that it names."""
    if isinstance(value, (str, Path)) and str(value) and ("/" in str(value) or "." in str(value)):
        path = Path(value)
        try:
            if path.is_file():
                with path.open("rb") as file:
                    return {"sha256": hashlib.file_digest(file, "sha256").hexdigest()}
        except OSError:
            pass  # a text that is no path at all, or a file that nobody may read
    return str(value) if isinstance(value, Path) else value


def suites() -> dict[str, dict[str, Any]]:
    """Return the suites: name to ``about``, ``tasks`` and, where it is fixed, ``data``."""
    with (content_root() / "tasks" / "suites.toml").open("rb") as file:
        return tomllib.load(file)


def expand(name: str) -> tuple[list[str], str | None]:
    """Return the task strings that a suite or a task string stands for, and the suite's data set.

    Raises:
        UnknownNameError: Neither a suite nor a task has that name.
        UsageError: A variant was given with a suite.
    """
    known = suites()
    head = name.partition("@")[0]
    if head in known:
        if head != name:
            raise UsageError(
                f"{name!r}: a suite takes no variant; name the task, as in nova_diagnosis@inputs=image"
            )
        return list(known[head]["tasks"]), known[head].get("data")
    if "/" not in head:
        names = [found.name for found in find_all("tasks")]
        if head not in names:
            raise UnknownNameError("suite or task", head, [*known, *names], "tasks/", path=file_here(head))
    return [name], None


def describe_adapters() -> Iterator[tuple[Found, dict[str, Any] | str]]:
    """Yield each adapter with its header, or with what is wrong with it; none of them runs."""
    for found in find_all("adapters"):
        try:
            yield found, found.header()
        except NovaBenchError as error:
            yield found, printable(str(error))
