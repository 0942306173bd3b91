"""What is known of an adapter or task file without running it: its header, its options, its imports, its characters.

The file is read as text and as a syntax tree. Nothing here imports it, so that a file of a stranger can be judged before it is trusted.
What it says of itself may be hostile, and passes through `printable` before a person sees it.
"""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nova_bench.adapter import ENGINE_OPTIONS, read_card, read_header
from nova_bench.errors import AdapterError, NovaBenchError
from nova_bench.source_file import (
    MAX_SOURCE,
    MAX_TEXT,
    StaticOption,
    function_named,
    options_of,
    parse,
    printable,
    read_source,
    statements,
    static_options,
    static_task,
)

__all__ = [
    "MAX_SOURCE",
    "OUTPUTS",
    "REQUIRED_KEYS",
    "WEIGHTS",
    "Finding",
    "StaticOption",
    "file_findings",
    "parse",
    "printable",
    "read_source",
    "static_findings",
    "static_options",
    "task_findings",
]

REQUIRED_KEYS = ("name", "license", "weights", "outputs", "boxes", "sends")
"""The header keys that an adapter has to state: what people decide by, and what would else be a silent default."""

WEIGHTS = ("open", "closed", "varies", "none")
"""Whether the weights can be had; ``varies``: the file serves many models, ``none``: there is no trained model in it."""

OUTPUTS = ("text", "label_probs", "embedding", "anomaly_map", "mask", "image")

_HEAVY = {
    "anthropic": "nova-bench[anthropic]",
    "google": "nova-bench[gemini]",
    "openai": "nova-bench[openai]",
    "torch": "nova-bench[transformers]",
    "transformers": "nova-bench[transformers]",
    "vllm": "nova-bench[vllm]",
    **dict.fromkeys(("accelerate", "jax", "keras", "onnxruntime", "tensorflow", "timm", "torchvision"), ""),
}
_NAME = re.compile(r"[a-z][a-z0-9_]*\.py")
_COMPILE = "run it through Python once: python -m py_compile FILE"
_OPTION_TYPES = ("str", "bool", "int", "float", "Path")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a check: what was looked at, how it came out, and what to do about it."""

    step: str
    state: Literal["pass", "fail", "not checked"]
    what: str
    remedy: str = ""


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
        said = Finding("source", "fail", str(error), _COMPILE)
        return [*findings, said, *_header_findings(source, where, None)]
    findings += [Finding("source", "pass", "is Python"), _docstring(tree)]
    function = function_named(tree, entry)
    options = None if function is None else options_of(function)
    findings += _header_findings(source, where, options)
    findings += _load_findings(tree, function, options, entry)
    findings.append(_imports(tree))
    return findings


def file_findings(path: Path) -> list[Finding]:
    """Return what can be said of a submitted file without running it: an adapter's, or a task's where it states ``TASK``.

    Args:
        path: The file. Below a folder ``tasks`` it is taken for a task, whatever it states.
    """
    name = Finding("name", "pass", f"{printable(path.stem, 60)} can be given to --model or run")
    if not _NAME.fullmatch(path.name):
        said = f"the file is called {printable(path.name, 60)!r}; its name is how it is asked for"
        name = Finding(
            "name", "fail", said, "use small letters, digits and _, beginning with a letter, and .py"
        )
    if path.is_symlink():
        said = "the file is a link to another one"
        return [name, Finding("source", "fail", said, "put the file itself there")]
    try:
        source = read_source(path)
    except AdapterError as error:
        return [name, Finding("source", "fail", str(error), "submit one Python file in UTF-8")]
    try:
        is_task = path.absolute().parent.name == "tasks" or static_task(source) is not None
    except AdapterError:
        is_task = False
    findings = task_findings(source, path.stem) if is_task else static_findings(source, path.stem)
    return [name, *findings]


def task_findings(source: str, name: str) -> list[Finding]:
    """Return what can be said of a task file without running it.

    Args:
        source: The file's text.
        name: The task's name: its file's, without ``.py``.
    """
    findings = [_characters(source)]
    try:
        tree = parse(source, name)
    except AdapterError as error:
        return [*findings, Finding("source", "fail", str(error), _COMPILE)]
    findings += [Finding("source", "pass", "is Python"), _docstring(tree)]
    stated = static_task(source)
    if stated is None:
        said, remedy = (
            "the file has no TASK",
            "write TASK = nb.Task(name=..., ...); CONTRIBUTING.md has an example",
        )
        return [*findings, Finding("task", "fail", said, remedy), _imports(tree)]
    state: Finding = Finding("task", "pass", "TASK is there")
    if "name" in stated and stated["name"] != name:
        said = f"TASK is named {printable(stated['name'], 60)!r} in a file called {printable(name, 60)}"
        state = Finding("task", "fail", said, "a task's name is its file's; write the same")
    return [*findings, state, _imports(tree)]


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
                f"{key} is empty, longer than {MAX_TEXT} characters, or not one line of visible text: {printable(text, 60)!r}",
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
    for node in statements(tree.body):
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


def _is_named(tree: ast.Module, entry: str) -> bool:
    """Return whether something in the file could give it the name `entry`, a star import included."""
    for node in statements(tree.body):
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
