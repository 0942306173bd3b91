"""What is known of an adapter or task file without running it: its header, its options, its imports, its characters.

The file is read as text and as a syntax tree. Nothing here imports it, so that a file of a stranger can be judged before it is trusted.
What it says of itself may be hostile, and passes through `printable` before a person sees it.
"""

from __future__ import annotations

import ast
import unicodedata
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nova_bench.adapter import ENGINE_OPTIONS, read_card, read_header
from nova_bench.errors import AdapterError, NovaBenchError

REQUIRED_KEYS = ("name", "license", "weights", "outputs", "boxes", "sends")
"""The header keys that an adapter has to state: what people decide by, and what would else be a silent default."""

WEIGHTS = ("open", "closed", "varies", "none")
"""Whether the weights can be had; ``varies``: the file serves many models, ``none``: there is no trained model in it."""

OUTPUTS = ("text", "label_probs", "embedding", "anomaly_map", "mask", "image")

MAX_SOURCE = 1_000_000
"""Characters of a file; Python's own parser is not asked about a longer one."""

_MAX_TEXT = 200
_HEAVY = {
    "anthropic": "nova-bench[anthropic]",
    "google": "nova-bench[gemini]",
    "openai": "nova-bench[openai]",
    "torch": "nova-bench[transformers]",
    "transformers": "nova-bench[transformers]",
    "vllm": "nova-bench[vllm]",
    **dict.fromkeys(("accelerate", "jax", "keras", "onnxruntime", "tensorflow", "timm", "torchvision"), ""),
}
_OPTION_TYPES = ("str", "bool", "int", "float", "Path")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a check: what was looked at, how it came out, and what to do about it."""

    step: str
    state: Literal["pass", "fail", "not checked"]
    what: str
    remedy: str = ""


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


def printable(text: str, most: int = _MAX_TEXT) -> str:
    r"""Return a text as one line without control, bidirectional or other invisible characters, cut to `most` characters.

    >>> printable("a\x1b[31mred\n\u202eb"), printable("x" * 300, 5)
    ('a [31mred b', 'xxxx…')
    """
    # Cut first: a header may hold megabytes. What is invisible shrinks to one blank, so that some more than `most` are looked at.
    shown = " ".join("".join(map(_visible, str(text)[: 4 * most + 4])).split())
    return shown if len(shown) <= most and len(text) <= 4 * most + 4 else shown[: max(most - 1, 0)] + "…"


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


def about(source: str) -> str:
    """Return the first line of a file's docstring as harmless text, or what keeps it from being read."""
    try:
        return printable((ast.get_docstring(parse(source, "it")) or "").partition("\n")[0])
    except AdapterError as error:
        return f"({str(error).removeprefix('it ')})"


def static_options(source: str, entry: str = "load") -> dict[str, StaticOption] | None:
    """Return the options of an adapter file, from its syntax tree; None where `entry` is no function that is written in this file.

    Raises:
        AdapterError: The file does not parse.

    >>> static_options("def load(*, size: int = 300, **more: str): ...")["size"]
    StaticOption(default=300, annotation='int', has_default=True, is_literal=True, collects='')
    """
    found = _function(parse(source, "the file"), entry)
    return None if found is None else _options(found)


def static_findings(source: str, where: str, entry: str = "load") -> list[Finding]:
    """Return what can be said of an adapter file without running it.

    Args:
        source: The file's text.
        where: What findings call the file.
        entry: The name of its function, ``load`` unless an entry point names another.
    """
    findings = [_characters(source)]
    try:
        tree = parse(source, where)
    except AdapterError as error:
        said = Finding("source", "fail", str(error), "run it through Python once: python -m py_compile FILE")
        return [*findings, said, Finding("header", "not checked", "the file does not parse")]
    findings += [Finding("source", "pass", "is Python"), _docstring(tree)]
    function = _function(tree, entry)
    options = None if function is None else _options(function)
    findings += _header_findings(source, where, options)
    findings += _load_findings(tree, function, options, entry)
    findings.append(_imports(tree))
    return findings


def _characters(source: str) -> Finding:
    """Look for characters by which a reviewer sees another program than Python does (CVE-2021-42574)."""
    for number, line in enumerate(source.split("\n"), 1):
        for character in line:
            hidden = unicodedata.category(character) in ("Cc", "Cf") and character not in "\t\f\u200c\u200d"
            if hidden:  # the two joiners are part of how Persian, Hindi and emoji are written
                said = f"line {number} holds the invisible character U+{ord(character):04X}; what people read is not what runs"
                return Finding("characters", "fail", said, "write it as an escape, such as '\\u200f'")
    return Finding("characters", "pass", "no control or bidirectional characters")


def _docstring(tree: ast.Module) -> Finding:
    if (ast.get_docstring(tree) or "").strip():
        return Finding("docstring", "pass", "there is one; its first line is what show prints")
    return Finding(
        "docstring", "fail", "the file has no docstring", "say in its first line which model it asks"
    )


def _header_findings(
    source: str, where: str, options: Mapping[str, StaticOption] | None
) -> Iterator[Finding]:
    page = "CONTRIBUTING.md has an example and the table of keys"
    try:
        header = read_header(source, printable(where))
    except NovaBenchError as error:
        yield Finding("header", "fail", printable(str(error), 500), page)
        return
    if not header:
        said = (
            "no header: expected comment lines from '# /// script' to '# ///' with a table [tool.nova-bench]"
        )
        yield Finding("header", "fail", said, page)
        return
    if missing := [key for key in REQUIRED_KEYS if key not in header]:
        lines = "; ".join(f"# {key} = {_EXAMPLES[key]}" for key in missing)
        yield Finding("header", "fail", f"the header lacks {', '.join(missing)}", f"add to it: {lines}")
    else:
        yield Finding("header", "pass", f"has {', '.join(REQUIRED_KEYS)}; all {len(header)} keys are known")
    faults = list(_card_faults(header, where, options))
    for said, remedy in faults:
        yield Finding("card", "fail", said, remedy)
    if not faults:
        boxes = header.get("boxes", "xyxy/1000 (the default)")
        yield Finding("card", "pass", f"boxes {boxes}, sends {header.get('sends', 'local')}")


_EXAMPLES = {
    "name": '"Acme MedVLM 8B"',
    "license": '"apache-2.0" (of the model)',
    "weights": '"open" (or closed, varies, none)',
    "outputs": '["text"]',
    "boxes": '"xyxy/1000" (as the model writes boxes)',
    "sends": '"local" (or "vendor": where images and texts go)',
}


def _card_faults(
    header: Mapping[str, Any], where: str, options: Mapping[str, StaticOption] | None
) -> Iterator[tuple[str, str]]:
    """Yield (what is wrong, what to do) for each value of a header."""
    try:
        card = read_card(header, printable(where))
    except NovaBenchError as error:
        yield printable(str(error), 500), "correct the value in the header"
        return
    for key in ("name", "license", "url", "parameters", "supervision"):
        text = str(header.get(key, ""))
        if key in header and (not text.strip() or printable(text) != text):
            yield (
                f"{key} is empty, longer than {_MAX_TEXT} characters, or not one line of visible text: {printable(text, 60)!r}",
                f"write {key} as one short line",
            )
    if "weights" in header and card.weights not in WEIGHTS:
        yield f"weights is {printable(card.weights, 60)!r}", f"write one of {', '.join(WEIGHTS)}"
    if unknown := [output for output in card.outputs if output not in OUTPUTS]:
        yield f"outputs has {printable(', '.join(unknown), 60)!r}", f"write some of {', '.join(OUTPUTS)}"
    if "outputs" in header and not card.outputs:
        yield "outputs is empty", 'write what the model answers with: ["text"]'
    if card.url and not card.url.startswith(("https://", "http://")):
        yield f"url is {printable(card.url, 60)!r}", "write an address that begins with https://"
    if options is None or any(option.collects == "**" for option in options.values()):
        return
    for name in card.transport:
        if name not in options:
            yield (
                f"transport names {printable(name, 60)!r}, which is no option of load",
                "transport lists options that cannot change an answer; write the option's name, or leave it out",
            )


def _load_findings(
    tree: ast.Module,
    function: ast.FunctionDef | ast.AsyncFunctionDef | None,
    options: Mapping[str, StaticOption] | None,
    entry: str,
) -> Iterator[Finding]:
    example = f'def {entry}(*, model: str = "") -> nb.Adapter:'
    if function is None or options is None:
        if _is_named(tree, entry):
            said = f"{entry} is not written as a function in this file; its options are known once it runs"
            yield Finding("load", "not checked", said, f"write it here: {example}")
        else:
            yield Finding("load", "fail", f"the file has no function {entry}", f"write {example}")
        return
    if isinstance(function, ast.AsyncFunctionDef):
        yield Finding("load", "fail", f"{entry} is an async function; expected a plain one", "remove async")
    else:
        yield Finding("load", "pass", f"{entry} is there, with {len(options)} options")
    faults = list(_option_faults(options, entry))
    for said, remedy in faults:
        yield Finding("options", "fail", said, remedy)
    if not faults:
        yield Finding("options", "pass", "each has a default and a type")


def _option_faults(options: Mapping[str, StaticOption], entry: str) -> Iterator[tuple[str, str]]:
    for name, option in options.items():
        shown = printable(name, 60)
        if option.collects == "*":
            yield f"{entry} takes *{shown}, which no option can reach", f"remove *{shown}"
        elif option.collects == "**":
            continue
        elif not option.has_default:
            said = f"option {shown} has no default; options are {entry}'s keywords and their defaults"
            yield (
                said,
                f"write {shown}: {option.annotation or 'str'} = ..., an empty text if the user has to give it",
            )
        elif name in ENGINE_OPTIONS:
            yield (
                f"option {shown} is taken: every adapter has -o {shown}=, and the engine uses it",
                "give it another name",
            )
        elif option.type not in _OPTION_TYPES:
            if not option.is_literal and not option.annotation:
                yield f"option {shown} has no type that can be read", f"annotate it, as {shown}: str = ..."
            else:
                yield (
                    f"option {shown} is of type {printable(option.type, 60) or 'None'}, which -o {shown}=... cannot give",
                    f"use one of {', '.join(_OPTION_TYPES)}, or take a text and read it in {entry}",
                )


def _imports(tree: ast.Module) -> Finding:
    """Look for packages at the top of the file that are slow to import, or that people may not have."""
    for node in _statements(tree.body):
        names = (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
        for name in names:
            package = name.partition(".")[0]
            if package in _HEAVY and (package != "google" or name.startswith("google.genai")):
                return Finding(
                    "imports",
                    "fail",
                    f"line {node.lineno} imports {package} when the file is loaded, before anything was asked",
                    f"move the import into load, where a missing {package} is said with its install command",
                )
    return Finding("imports", "pass", "no heavy package is imported outside of functions")


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run when a file is loaded; ``if TYPE_CHECKING`` does not, nor does the body of a function."""
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            yield from _statements(node.orelse)
            continue
        yield node
        if isinstance(node, (ast.If, ast.Try, ast.With, ast.For, ast.While)):
            for part in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(node, part, []))
            for handler in getattr(node, "handlers", []):
                yield from _statements(handler.body)


def _function(tree: ast.Module, entry: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """Return the function that `entry` names at the end of the file; ``load = other`` is followed once."""
    functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef | None] = {}
    for node in _statements(tree.body):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            # A decorator may change the signature: what it then is, only running can tell.
            functions[node.name] = None if node.decorator_list else node
        elif isinstance(node, ast.Assign):
            same = functions.get(node.value.id) if isinstance(node.value, ast.Name) else None
            functions |= {target.id: same for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            functions |= {alias.asname or alias.name: None for alias in node.names}
    return functions.get(entry)


def _is_named(tree: ast.Module, entry: str) -> bool:
    """Return whether something in the file could give it the name `entry`, a star import included."""
    for node in _statements(tree.body):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name == entry:
            return True
        if isinstance(node, (ast.Import, ast.ImportFrom)) and any(
            (alias.asname or alias.name) in (entry, "*") for alias in node.names
        ):
            return True
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(name, ast.Name) and name.id == entry for name in targets):
                return True
    return False


def _options(function: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, StaticOption]:
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
