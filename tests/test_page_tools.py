"""What all pages share, in a real browser: texts that show as they read, numbers that align, what is copied."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from site_pages import launched, opened

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.real("playwright with Chromium")]
PAGE_JS = Path(__file__).parents[1] / "nova_bench" / "templates" / "assets" / "page.js"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page with nothing but what all pages share."""
    home = tmp_path_factory.mktemp("tools")
    shutil.copyfile(PAGE_JS, home / "page.js")
    (home / "index.html").write_text(
        "<!doctype html><meta charset=utf-8><title>tools</title><script src=page.js></script><body>",
        encoding="utf-8",
    )
    with launched() as browser, opened(browser, home / "index.html") as (page, said):
        yield page
        assert said == []


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        ("text('a\\u202eb\\x1b[0m')", "a⟨U+202E⟩b⟨U+001B⟩[0m"),
        ("text('abcdefgh', 5)", "ab…gh"),
        ("text('\\ud83e\\ude7b'.repeat(4), 5)", "🩻…🩻"),
        ("text(null)", ""),
        ("text('e' + '\\u0301'.repeat(40))", "e" + "\u0301" * 4 + "…"),
        ("number(-0.1234)", "−0.123"),
        ("number(0.0004)", "0.0004"),
        ("number(null)", "–"),
        ("interval([0.5, -0.25, 0.75], 2)", "[−0.25, 0.75]"),
        ("pValue(0.0004987)", "0.0005"),
        ("count(1234567)", "1,234,567"),
        ("share(1, 5000)", "< 0.1%"),
        ("brief(1234567)", "1.23 M"),
        ("dollars(1234.5)", "$1,234.50"),
        ("outside('javascript:alert(1)').tagName", "BDI"),
        ("outside('https://example.org/a').rel", "noreferrer noopener nofollow"),
    ],
)
def test_texts_and_numbers_show_as_they_are(page: Page, call: str, shown: str) -> None:
    assert page.evaluate(call) == shown


def test_what_is_copied_is_what_is_shown(page: Page) -> None:
    page.evaluate(
        "document.body.append(h('div', {id: 'copied'}, copyPanel('A command', 'nova-bench run a\\nrm -r b\\u202e', {lines: false})))"
    )
    assert page.inner_text("#copied pre") == "nova-bench run a⟨U+000A⟩rm -r b⟨U+202E⟩"
    page.evaluate(
        "Object.defineProperty(navigator, 'clipboard', {value: {writeText: async (text) => { window.copied = text }}})"
    )
    page.click("#copied button")
    page.wait_for_function("window.copied")
    assert page.evaluate("window.copied") == page.inner_text("#copied pre")


def test_a_megabyte_is_shown_in_pieces(page: Page) -> None:
    page.evaluate("document.body.append(h('div', {id: 'long'}, prose('x'.repeat(1e6))))")
    assert len(page.inner_text("#long")) < 400
    page.click("#long button")
    assert 20_000 < len(page.inner_text("#long")) < 21_000
