"""New adapter and task files, made from the templates beside this package: each runs and passes its check as it is."""

from __future__ import annotations

import csv
import importlib.resources
import importlib.util
import io
import keyword
import os
import random
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nova_bench.catalog import Kind, content_root, find_all, suites
from nova_bench.errors import UnknownNameError, UsageError

ADAPTER_KINDS: Mapping[str, str] = {
    "openai": "a server that speaks OpenAI's Chat Completions",
    "vllm": "a checkpoint in vLLM's engine",
    "transformers": "a checkpoint through transformers",
    "python": "a plain Python function",
}
"""What an adapter file can start from."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_LONGEST = 60  # characters; a run's folder has the name in it
_PER_SEX = 20  # patients; what `nova-bench fairness` asks of a group


@dataclass(frozen=True, slots=True)
class Written:
    """What was made: the files, and commands to go on with."""

    paths: tuple[Path, ...]
    commands: tuple[str, ...]


def write_adapter(name: str, kind: str = "python", folder: Path = Path()) -> Written:
    """Write an adapter file to start from.

    Args:
        name: The file's name without ``.py``, and the model's.
        kind: One of `ADAPTER_KINDS`.
        folder: Where to.

    Raises:
        UnknownNameError: There is no such kind.
        UsageError: The name is none or is taken, or the file is there.

    >>> written = write_adapter("acme_medvlm_8b", "python", getfixture("tmp_path"))
    >>> written.paths[0].name, len(written.commands)
    ('acme_medvlm_8b.py', 3)
    """
    if kind not in ADAPTER_KINDS:
        raise UnknownNameError("kind of adapter", kind, ADAPTER_KINDS, "nova-bench new adapter")
    path = _place("adapters", name, folder)
    _write({path: _template(f"adapter_{kind}.py").replace("my_model", name).encode()})
    said = _spelled("adapters", path)
    option = {
        "openai": " -o base_url=http://localhost:8000/v1",
        "vllm": " -o model=FOLDER",
        "transformers": " -o model=FOLDER",
        "python": "",
    }[kind]
    return Written(
        (path,),
        (
            f"nova-bench show {said}",
            f"nova-bench check {said}{option}",
            f"nova-bench run mini --model {said}{option}",
        ),
    )


def write_task(name: str, folder: Path = Path()) -> Written:
    """Write a task file to start from, and a made-up data set that it runs on.

    Args:
        name: The file's name without ``.py``, and the task's.
        folder: Where to.

    Raises:
        UsageError: The name is none or is taken, or one of the files is there.

    >>> written = write_task("disc_seen", getfixture("tmp_path"))
    >>> [path.name for path in written.paths]
    ['disc_seen.py', 'disc_seen_data']
    """
    path = _place("tasks", name, folder)
    data = path.with_name(f"{name}_data")
    _write(
        {path: _template("task.py").replace("my_task", name).encode()}
        | {data / relative: content for relative, content in _made_up_set().items()}
    )
    said = _spelled("tasks", path)
    commands = (
        f"nova-bench check --no-run {path if path.is_absolute() else os.path.join('.', path)}",
        f"nova-bench run {said} --data {data} --model prior",
        f"nova-bench fairness runs/prior/{name}",
    )
    return Written((path, data), commands)


def _place(kind: Kind, name: str, folder: Path) -> Path:
    """Return the path of a new file.

    Raises:
        UsageError: The name cannot be used, the folder is not there, or the file is.
    """
    what = {"tasks": "task", "adapters": "adapter"}[kind]
    if not _NAME.fullmatch(name) or len(name) > _LONGEST or keyword.iskeyword(name):
        mended = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:_LONGEST]
        usable = _NAME.fullmatch(mended) and not keyword.iskeyword(mended)
        raise UsageError(
            f"{what} name {name[: 2 * _LONGEST]!r}: expected small letters, digits and _, beginning with a letter, at most {_LONGEST} "
            f"characters and no word of Python's own{f'; {mended} would do' if usable else ''}"
        )
    if not folder.is_dir():
        raise UsageError(f"--into {folder}: there is no such folder; make it first")
    path = folder / f"{name}.py"
    for there in (path, folder / f"{name}_data") if kind == "tasks" else (path,):
        if os.path.lexists(there):
            raise UsageError(
                f"{there} is there already and is not overwritten; choose another name or --into FOLDER"
            )
    for found in find_all(kind):
        if found.name == name:
            where = found.path or found.entry
            raise UsageError(f"{what} {name!r} exists ({where}); choose another name, such as {name}_2")
    if kind == "tasks" and name in suites():
        raise UsageError(f"{name!r} is the name of a suite; choose another name, such as {name}_2")
    if name in sys.stdlib_module_names or importlib.util.find_spec(name) is not None:
        raise UsageError(
            f"{name!r} is the name of a Python module, and {path} could be imported in its place; choose another name, such as my_{name}"
        )
    return path


def _spelled(kind: Kind, path: Path) -> str:
    """Return how a command names a file: by its name where it lies among the content, else by its path with a slash."""
    if path.parent.resolve() == (content_root() / kind).resolve():
        return path.stem
    return str(path) if len(path.parts) > 1 else f"./{path}"


def _template(file: str) -> str:
    return (importlib.resources.files("nova_bench") / "templates" / file).read_text(encoding="utf-8")


def _write(files: Mapping[Path, bytes]) -> None:
    """Write files that are not there yet; where one cannot be written, none is left."""
    done: list[Path] = []
    try:
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                done.append(path)
                file.write(content)
    except OSError as error:
        for path in done:
            path.unlink(missing_ok=True)
        raise UsageError(
            f"{error.filename or 'a file'} cannot be written: {error.strerror or error}"
        ) from error


def _made_up_set() -> dict[str, bytes]:
    """Return the files of a made-up data set: a table, and a grey picture a patient, half of them with a bright disc."""
    import PIL.Image
    import PIL.ImageDraw

    dice = random.Random(0)
    sexes = ["female", "male"] * _PER_SEX + ["", ""]  # two are unknown
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("id", "patient", "file", "finding", "sex", "age"))
    files: dict[str, bytes] = {}
    for i, sex in enumerate(sexes):
        finding = dice.choice(("yes", "no"))
        picture = PIL.Image.new("L", (64, 64), dice.randint(20, 60))
        if finding == "yes":
            x, y, radius = dice.randint(20, 44), dice.randint(20, 44), dice.randint(5, 14)
            PIL.ImageDraw.Draw(picture).ellipse((x - radius, y - radius, x + radius, y + radius), fill=220)
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        files[f"images/{i:03d}.png"] = buffer.getvalue()
        age = dice.randint(50, 64) if i // 2 % 2 else dice.randint(65, 79)
        writer.writerow((f"{i:03d}", f"patient_{i:03d}", f"images/{i:03d}.png", finding, sex, age))
    return {"table.csv": table.getvalue().encode(), **files}
