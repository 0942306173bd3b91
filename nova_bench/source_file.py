"""A Python file of somebody else, read and never run: its text, its syntax tree, the options that its ``load`` declares.

What the file says may be hostile; `printable` makes a line of it that a terminal cannot mistake for an order.
"""

from __future__ import annotations

import ast
import unicodedata
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nova_bench.errors import AdapterError

MAX_SOURCE = 1_000_000
"""Characters of a file; Python's own parser is not asked about a longer one."""

MAX_TEXT = 200
"""Characters of a line that a stranger wrote."""


@dataclass(frozen=True, slots=True)
class StaticOption:
    """A parameter of ``load`` as its source states it."""

    default: Any = None
    """The default's value where it is a literal, else its source text; None also where there is none (see `has_default`)."""
    annotation: str = ""
    """As written; empty where there is none."""
    has_default: bool = True
    is_literal: bool = True
    collects: Literal["", "*", "**"] = ""
    """``**`` for ``**engine: str``, which takes any other option; ``*`` for ``*args``, which no option can reach."""

    @property
    def type(self) -> str:
        """Return the type of the option: its default's, or its annotation's where the default is None or no literal."""
        if self.has_default and self.is_literal and self.default is not None:
            return type(self.default).__name__
        annotation = self.annotation.strip("'\"")
        return annotation.removesuffix("| None").removeprefix("None |").strip().rpartition(".")[2]

    def shown(self) -> str:
        """Return the default as a page shows it, one line of harmless text."""
        if not self.has_default:
            return "(no default)"
        return printable(repr(self.default) if self.is_literal else str(self.default))


def printable(text: str, most: int = MAX_TEXT) -> str:
    r"""Return a text as one line without control, bidirectional or other invisible characters, cut to `most` characters.

    >>> printable("a\x1b[31mred\n\u202eb"), printable("x" * 300, 5)
    ('a [31mred b', 'xxxx…')
    """
    # Cut first: a header may hold megabytes. What is invisible shrinks to one blank, so that some more than `most` are looked at.
    shown = " ".join("".join(map(_visible, str(text)[: 4 * most + 4])).split())
    return shown if len(shown) <= most and len(text) <= 4 * most + 4 else shown[: max(most - 1, 0)] + "…"


def harmless(text: str) -> str:
    r"""Return a message of several lines with blanks for what a terminal obeys or does not show.

    >>> harmless("first\n    second\x1b[2J\r")
    'first\n    second [2J '
    """
    return "".join(character if character == "\n" else _visible(character) for character in text)


def _visible(character: str) -> str:
    """Return the character, or a blank for what a terminal obeys or does not show."""
    category = unicodedata.category(character)
    return " " if category[0] == "C" or category in ("Zl", "Zp") else character


def parse(source: str, where: str) -> ast.Module:
    """Return a file's syntax tree; nothing of it runs, and no warning about it is printed.

    Raises:
        AdapterError: It is no Python, or too large or too deeply nested to be read.
    """
    if len(source) > MAX_SOURCE:
        raise AdapterError(
            f"{printable(where)} has {len(source):,} characters; at most {MAX_SOURCE:,} are read. Put data into files of their own"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except SyntaxError as error:
        line = "" if error.lineno is None else f", line {error.lineno}"
        raise AdapterError(f"{printable(where)} does not parse: {printable(error.msg)}{line}") from None
    except (ValueError, RecursionError, MemoryError) as error:  # a null byte; nested too deeply
        raise AdapterError(
            f"{printable(where)} does not parse: {type(error).__name__}: {printable(str(error))}"
        ) from None


def first_line(source: str) -> str:
    """Return the first line of a file's docstring as harmless text, or what keeps it from being read."""
    try:
        return printable((ast.get_docstring(parse(source, "it")) or "").partition("\n")[0])
    except AdapterError as error:
        return f"({str(error).removeprefix('it ')})"


def static_task(source: str) -> dict[str, str] | None:
    r"""Return what ``TASK = nb.Task(...)`` states in words or numbers, as harmless text; None where the file has no such line.

    Raises:
        AdapterError: The file does not parse.

    >>> static_task("import nova_bench as nb\nTASK = nb.Task(name='plane', version=1, prompt=prompt)")
    {'name': 'plane', 'version': '1'}
    """
    for node in reversed(parse(source, "the file").body):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if not isinstance(target, ast.Name) or target.id != "TASK":
            continue
        call = getattr(node, "value", None)
        if not isinstance(call, ast.Call):
            return {}
        stated = {word.arg: _option(ast.arg(word.arg), word.value) for word in call.keywords if word.arg}
        return {
            key: printable(str(option.default), 2000) for key, option in stated.items() if option.is_literal
        }
    return None


def static_options(source: str, entry: str = "load") -> dict[str, StaticOption] | None:
    """Return the options of an adapter file, from its syntax tree; None where `entry` is no function that is written in this file.

    Raises:
        AdapterError: The file does not parse.

    >>> static_options("def load(*, size: int = 300, **more: str): ...")["size"]
    StaticOption(default=300, annotation='int', has_default=True, is_literal=True, collects='')
    """
    found = function_named(parse(source, "the file"), entry)
    return None if found is None else options_of(found)


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run when a file is loaded; ``if TYPE_CHECKING`` does not, nor does the body of a function."""
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            yield from statements(node.orelse)
            continue
        yield node
        if isinstance(node, (ast.If, ast.Try, ast.With, ast.For, ast.While)):
            for part in ("body", "orelse", "finalbody"):
                yield from statements(getattr(node, part, []))
            for handler in getattr(node, "handlers", []):
                yield from statements(handler.body)


def function_named(tree: ast.Module, entry: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """Return the function that `entry` names at the end of the file; ``load = other`` is followed once."""
    functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef | None] = {}
    for node in statements(tree.body):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            # A decorator may change the signature: what it then is, only running can tell.
            functions[node.name] = None if node.decorator_list else node
        elif isinstance(node, ast.Assign):
            same = functions.get(node.value.id) if isinstance(node.value, ast.Name) else None
            functions |= {target.id: same for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            functions |= {alias.asname or alias.name: None for alias in node.names}
    return functions.get(entry)


def options_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, StaticOption]:
    """Return the parameters of a function as options, in their order."""
    given = function.args
    options: dict[str, StaticOption] = {}
    positional = [*given.posonlyargs, *given.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(given.defaults)) + [*given.defaults]
    pairs = [*zip(positional, defaults, strict=True), *zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    for argument, default in pairs:
        options[argument.arg] = _option(argument, default)
    if given.vararg is not None:
        options[given.vararg.arg] = StaticOption(None, _written(given.vararg.annotation), False, True, "*")
    if given.kwarg is not None:
        options[given.kwarg.arg] = StaticOption(None, _written(given.kwarg.annotation), False, True, "**")
    return options


def _option(argument: ast.arg, default: ast.expr | None) -> StaticOption:
    annotation = _written(argument.annotation)
    if default is None:
        return StaticOption(None, annotation, has_default=False)
    try:
        return StaticOption(ast.literal_eval(default), annotation)
    except (ValueError, TypeError, RecursionError, MemoryError, SyntaxError):
        return StaticOption(_written(default), annotation, is_literal=False)


def _written(node: ast.expr | None) -> str:
    try:
        return "" if node is None else ast.unparse(node)
    except RecursionError:
        return "(nested too deeply)"


def read_source(path: Path) -> str:
    """Return a file's text, for reading only.

    Raises:
        AdapterError: It is no file, too large, or not UTF-8.
    """
    shown = printable(str(path))
    try:
        if not path.is_file():
            raise AdapterError(f"{shown} is not a file; expected a Python file")
        with path.open("rb") as file:
            data = file.read(4 * MAX_SOURCE + 1)
        if len(data) > 4 * MAX_SOURCE:
            raise AdapterError(f"{shown} is larger than {4 * MAX_SOURCE:,} bytes; expected a Python file")
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AdapterError(f"{shown} is not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except OSError as error:
        raise AdapterError(f"{shown} cannot be read: {error.strerror}") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
