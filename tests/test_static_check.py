"""What is known of a file without running it, and that nothing of it runs."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_bench.adapter import HEADER_KEYS, read_card, read_header, read_options
from nova_bench.catalog import find_all, load_function
from nova_bench.errors import AdapterError
from nova_bench.source_file import harmless, static_task
from nova_bench.static_check import (
    MAX_SOURCE,
    REQUIRED_KEYS,
    Finding,
    printable,
    read_source,
    static_findings,
    static_options,
)

HEADER = """\
# /// script
# requires-python = ">=3.11"
# dependencies = []
# [tool.nova-bench]
# name = "Middle box"
# license = "apache-2.0"
# weights = "none"
# outputs = ["text"]
# boxes = "xyxy/1000"
# sends = "local"
# ///
"""
BODY = '''"""Answers with one box in the middle."""

import nova_bench as nb


def load(*, size: int = 300) -> nb.Adapter:
    return nb.each(lambda request: "")
'''


def failed(source: str) -> list[Finding]:
    return [finding for finding in static_findings(source, "my_model") if finding.state == "fail"]


def test_sound_file_passes_every_step() -> None:
    findings = static_findings(HEADER + BODY, "my_model")
    assert {finding.state for finding in findings} == {"pass"}
    assert [finding.step for finding in findings] == [
        "characters",
        "source",
        "docstring",
        "header",
        "card",
        "load",
        "options",
        "imports",
    ]


@pytest.mark.parametrize("found", find_all("adapters"), ids=lambda found: found.name)
def test_shipped_adapter_passes_every_step(found: Any) -> None:
    assert [
        finding for finding in static_findings(found.source(), found.name) if finding.state != "pass"
    ] == []


@pytest.mark.parametrize("found", find_all("adapters"), ids=lambda found: found.name)
def test_options_in_the_syntax_tree_are_those_of_the_function(found: Any) -> None:
    static = static_options(found.source())
    assert static is not None
    run = read_options(load_function(found), {}, found.name)
    assert {key: option.default for key, option in static.items() if not option.collects} == run


@pytest.mark.parametrize(
    ("old", "new", "step", "said"),
    [
        ("# /// script", "# nothing", "header", "no header"),
        ('name = "Middle box"', 'name = "Middle box', "header", "not TOML"),
        ("# ///\n", "", "header", "not closed"),
        ("# ///\n", "# ///\n# /// script\n# ///\n", "header", "expected one block"),
        ("# sends", "# sent", "header", "did you mean 'sends'"),
        ('# license = "apache-2.0"\n', "", "header", "lacks license"),
        ('# weights = "none"\n# outputs = ["text"]\n', "", "header", "lacks weights, outputs"),
        ("[tool.nova-bench]", "[tool]\n# nova-bench = 3\n# [other]", "header", "expected a table"),
        ("[tool.nova-bench]", "[[tool.nova-bench]]", "header", "expected a table"),
        ('"xyxy/1000"', '"xyxy/999"', "card", "not in the grammar"),
        ('"xyxy/1000"', "1000", "card", "not in the grammar"),
        ('sends = "local"', 'sends = "Mars"', "card", "sends is 'local' or 'vendor'"),
        ('sends = "local"', 'sends = "local"\n# think = 3', "card", "think is two tags"),
        ('sends = "local"', 'sends = "local"\n# stream = "no"', "card", "stream is true or false"),
        ('sends = "local"', 'sends = "local"\n# resources = 3', "card", "resources is a table"),
        ('sends = "local"', 'sends = "local"\n# url = "file:///etc"', "card", "url is"),
        ('sends = "local"', 'sends = "local"\n# transport = ["sise"]', "card", "no option of load"),
        ('weights = "none"', 'weights = "mine"', "card", "weights is 'mine'"),
        ('outputs = ["text"]', 'outputs = ["texts"]', "card", "outputs has 'texts'"),
        ('outputs = ["text"]', "outputs = []", "card", "outputs is empty"),
        ('outputs = ["text"]', 'outputs = "text"', "card", "list of texts"),
        ('"Middle box"', '""', "card", "name is empty"),
        ('"Middle box"', '"a\\u001b[2Jb"', "card", "visible text"),
        ("def load(*,", "def laod(*,", "load", "no function load"),
        ("def load(*,", "async def load(*,", "load", "async"),
        ("size: int = 300", "size: int", "options", "no default"),
        ("*, size: int = 300", "*sizes: int", "options", "no option can reach"),
        ("size: int = 300", "boxes: str = ''", "options", "is taken"),
        ("size: int = 300", "size=None", "options", "cannot give"),
        ("size: int = 300", "size: list[int] = [3]", "options", "of type list"),
        ("size: int = 300", "size=3 * 100", "options", "no type that can be read"),
        ("import nova_bench as nb", "import nova_bench as nb, torch.nn", "imports", "imports torch"),
        (
            "import nova_bench as nb",
            "try:\n    from vllm import LLM\nfinally: ...",
            "imports",
            "imports vllm",
        ),
        ('"""Answers with one box in the middle."""', "", "docstring", "no docstring"),
        ("return nb", "return (nb", "source", "does not parse"),
        ("return nb", "\0return nb", "source", "does not parse"),
        ("one box", "one\u202ebox", "characters", "line 12 holds the invisible character U+202E"),
    ],
)
def test_fault_is_found_with_what_to_do(old: str, new: str, step: str, said: str) -> None:
    source = HEADER + BODY
    assert old in source
    findings = failed(source.replace(old, new, 1))
    assert [finding for finding in findings if finding.step == step and said in finding.what], findings
    assert all(finding.remedy for finding in findings)


def test_required_keys_are_keys() -> None:
    assert set(REQUIRED_KEYS) <= set(HEADER_KEYS)


def test_heavy_import_inside_a_function_or_for_types_only_passes() -> None:
    source = BODY.replace("    return", "    import torch\n    return").replace(
        "import nova_bench as nb\n",
        "from typing import TYPE_CHECKING\nimport nova_bench as nb\nif TYPE_CHECKING:\n    import vllm\n",
    )
    assert failed(HEADER + source) == []


@pytest.mark.parametrize(
    "written",
    [
        "from elsewhere import load",
        "from elsewhere import *",
        "load = make()",
        "@wrapped\ndef load(*, size): ...",
        "class load: ...",
    ],
)
def test_load_that_is_no_function_of_the_file_is_not_judged(written: str) -> None:
    source = HEADER + '"""A model."""\n' + written
    assert static_options(source) is None
    assert [finding.state for finding in static_findings(source, "x") if finding.step == "load"] == [
        "not checked"
    ]


def test_last_definition_counts_and_an_alias_is_followed() -> None:
    source = "def load(*, a=1): ...\ndef other(*, b: float | None = None): ...\nload = other\n"
    options = static_options(source)
    assert options is not None
    assert list(options) == ["b"]
    assert options["b"].type == "float"


def test_parsing_runs_and_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mark = tmp_path / "ran"
    source = (
        f'{HEADER}"""\\d is no escape."""\nopen({str(mark)!r}, "w")\nprint("ran")\n'
        f"def load(*, size=open({str(mark)!r}, 'w')): ...\n"
    )
    static_findings(source, "x")
    static_options(source)
    static_task(source)
    assert not mark.exists()
    assert capfd.readouterr() == ("", "")


HOSTILE = {
    "deep brackets": "x = " + "[" * 50_000,
    "deep closed brackets": "x = " + "(" * 3000 + ")" * 3000,
    "deep minus": "x = " + "-" * 100_000 + "1",
    "long sum": "def load(*, a=" + "+".join(["1"] * 20_000) + "): ...",
    "long attribute": "x" + ".a" * 100_000,
    "digits": "def load(*, a=" + "9" * 10_000 + "): ...",
    "too long": "#" * (MAX_SOURCE + 1),
    "many starts": "# /// script\n" * 70_000,
    "blank lines": "# /// script\n" + "\n" * 900_000,
    "long header": HEADER.replace("Middle box", "x" * 900_000),
    "deep header": HEADER.replace('["text"]', "[" * 10_000),
    "digits in header": HEADER.replace('["text"]', "9" * 10_000),
    "surrogate": HEADER.replace("Middle", "\\ud800"),
    "keys": HEADER.replace('name = "Middle box"', ".".join("a" * 4000) + " = 1"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_file_made_to_break_the_reader_is_a_finding(name: str) -> None:
    findings = static_findings(HOSTILE[name] + "\n" + BODY, "x")
    assert any(finding.state == "fail" for finding in findings) or name in ("long sum", "long attribute")
    assert all(len(finding.what) < 1000 and finding.what.isprintable() for finding in findings)


def test_own_error_is_one_of_ours_whatever_the_header() -> None:
    for source in HOSTILE.values():
        with contextlib.suppress(AdapterError):
            read_card(read_header(source, "x"), "x")


@given(st.text(), st.integers(1, 80))
def test_printable_is_one_short_line_that_a_terminal_shows(text: str, most: int) -> None:
    shown = printable(text, most)
    assert len(shown) <= most
    assert "\n" not in shown
    assert all(character == " " or character.isprintable() or character.isspace() for character in shown)
    assert printable(shown, most) == shown


@given(st.text())
def test_harmless_keeps_lines_and_what_is_visible(text: str) -> None:
    shown = harmless(text)
    assert shown.count("\n") == text.count("\n")
    assert len(shown) == len(text)
    assert not set(shown) & set("\x1b\x07\r\x9b\u202e\u2066")


@given(st.text(alphabet="#/ script[]tool.nova-bench=\"'\n\x1b{}1a", max_size=200))
def test_any_text_gives_findings(text: str) -> None:
    assert static_findings("# /// script\n" + text + "\n# ///\n", "x")


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"\xff\xfe", "not UTF-8"), (b"x" * (4 * MAX_SOURCE + 1), "larger than"), (None, "not a file")],
)
def test_file_that_is_no_text_is_said(tmp_path: Path, data: bytes | None, said: str) -> None:
    path = tmp_path / "a\x1b[2J.py"
    path.mkdir() if data is None else path.write_bytes(data)
    with pytest.raises(AdapterError, match=said) as caught:
        read_source(path)
    assert "\x1b" not in str(caught.value)


def test_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"\xef\xbb\xbf" + (HEADER + BODY).replace("\n", "\r\n").encode())
    assert failed(read_source(path)) == []
