"""JSON of a stranger: what two readers could read differently, or what only costs memory, is refused with its place."""

from __future__ import annotations

import pytest

from nova_bench.board import strict_json
from nova_bench.board.layout import MAX_DEPTH
from nova_bench.board.strict_json import read_json, read_lines
from nova_bench.errors import BundleError


def test_plain_documents_are_read() -> None:
    text = '{"a": [1, -2.5e3, true, null, "\\u00fc[[["], "b": {"c": ""}}'
    assert read_json(text.encode(), "it") == {"a": [1, -2500.0, True, None, "ü[[["], "b": {"c": ""}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"a": 1, "a": 2}', "key 'a' stands twice"),
        (b'{"a": {"b": 1, "b": 1}}', "key 'b' stands twice"),
        (b'{"a": NaN}', "NaN is no number"),
        (b"[Infinity]", "Infinity is no number"),
        (b"[-Infinity]", "Infinity is no number"),
        (b"[1e999]", "no finite number"),
        (b"[" + b"9" * 5000 + b"]", "a number of 5,000 characters"),
        (b"[0." + b"1" * 5000 + b"]", "a number of 5,002 characters"),
        (b"[" * 100_000 + b"]" * 100_000, "nested more than"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested more than"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested more than"),
        (b"\xff\xfe", "no UTF-8"),
        (b"\xef\xbb\xbf{}", "no JSON"),
        (b"{} {}", "no JSON"),
        (b"", "no JSON"),
    ],
)
def test_what_is_ambiguous_or_too_much_is_refused(text: bytes, said: str) -> None:
    with pytest.raises(BundleError, match=said):
        read_json(text, "manifest.json")


def test_brackets_in_texts_are_no_depth() -> None:
    text = b'["' + b"[{" * 100 + b'\\"[[[", {"' + b"]" * 100 + b'": 1}]'
    assert read_json(text, "it")[0].startswith("[{[{")
    assert read_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, "it")


def test_lines_are_read_one_by_one_and_named() -> None:
    assert list(read_lines(b'{"a": 1}\n{"a": 2}\n', "rows.jsonl")) == [{"a": 1}, {"a": 2}]
    with pytest.raises(BundleError, match=r"rows.jsonl line 2 cannot be read: NaN"):
        list(read_lines(b"[1]\n[NaN]\n", "rows.jsonl"))


def test_torn_long_and_many_lines_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BundleError, match="line 2 has no newline"):
        list(read_lines(b"[1]\n[2]", "it"))
    with pytest.raises(BundleError, match="more than 2 lines"):
        list(read_lines(b"[1]\n" * 3, "it", most=2))
    monkeypatch.setattr(strict_json, "MAX_LINE_BYTES", 10)
    with pytest.raises(BundleError, match="line 1 has more than 10 bytes"):
        list(read_lines(b'"' + b"x" * 20 + b'"\n', "it"))
