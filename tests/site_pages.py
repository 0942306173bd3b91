"""Pages in a real Chromium: a browser, a page that tells what it said, and what axe finds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LAPTOP, PHONE = (1280, 800), (390, 844)
_SWITCHES = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


@contextmanager
def launched() -> Iterator[Browser]:
    """Launch a Chromium; skip where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on PATH: apt-get install chromium")
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=found, args=list(_SWITCHES))
        yield browser
        browser.close()


@contextmanager
def opened(
    browser: Browser, path: Path, place: str = "", *, size: tuple[int, int] = LAPTOP, scheme: Any = "light"
) -> Iterator[tuple[Page, list[str]]]:
    """Open a page, and give it with the list of all that it said: console, errors, dialogs and addresses outside its folder.

    Args:
        browser: The browser.
        path: The page.
        place: What is behind # in its address.
        size: Of the window, px.
        scheme: ``light`` or ``dark``: what the system prefers.
    """
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on(
        "request", lambda made: None if made.url.startswith(("file:", "data:")) else said.append(made.url)
    )
    page.set_default_timeout(15_000)
    page.goto(f"{path.as_uri()}#{place}" if place else path.as_uri())
    yield page, said
    context.close()


def faults(page: Page) -> list[str]:
    """Return the serious and critical faults that axe finds, each with the first places where."""
    import axe_playwright_python

    page.evaluate((Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")
    return [
        f"{one['id']}: {[node['html'][:120] for node in one['nodes'][:3]]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


def too_wide(page: Page) -> bool:
    """Return whether the page itself scrolls sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))


def data_of(page: Page, key: str) -> Any:
    """Return a data file as the page reads it; as text, for objects on their way from the browser lose what is called ``__proto__``."""
    return json.loads(page.evaluate("async key => JSON.stringify(await load(key))", key))
