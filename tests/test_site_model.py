"""The page of a model in a real browser: its cells, its signatures, what checked it, and cards that are there to break it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from many_entries import many_entries
from site_pages import LAPTOP, PHONE, data_of, faults, launched, opened, too_wide

from nova_bench.board.site import build_leaderboard

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.real("playwright with Chromium")]
TASK = "nova_diagnosis"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board of 13 models on four tasks, ten of them with hostile names; its pages lie in it."""
    board = tmp_path_factory.mktemp("models") / "board"
    many_entries(board, models=13, tasks=4, hostile=True)
    build_leaderboard(board, out=board / "site")
    return board


@pytest.fixture
def model(board: Path) -> Path:
    return board / "site" / "synthetic" / "model.html"


def slug_of(page: Page, name: str) -> str:
    """Return the slug of a model by its name."""
    return next(slug for slug, card in data_of(page, "board")["models"].items() if card["name"] == name)


@pytest.mark.parametrize(("size", "scheme"), [(LAPTOP, "light"), (PHONE, "dark")])
def test_every_hostile_model_opens(
    chromium: Browser, model: Path, size: tuple[int, int], scheme: str
) -> None:
    with opened(chromium, model, size=size, scheme=scheme) as (page, said):
        page.wait_for_selector("#model tbody tr")
        assert faults(page) == []
        slugs = list(data_of(page, "board")["models"])
        assert len(slugs) == 13
        for slug in slugs[:11]:
            page.evaluate("slug => { location.hash = new URLSearchParams({model: slug}) }", slug)
            page.wait_for_selector("#card")
            page.wait_for_function(
                "slug => document.querySelector('.standing [aria-current]').href.includes(encodeURIComponent(slug).slice(0, 20))",
                arg=slug,
            )
            assert not too_wide(page), slug
            assert page.locator("#model :is(img, script, iframe, b)").count() == 0
            assert page.locator("#model a[href^=javascript]").count() == 0
            assert len(page.inner_text("#model")) < 30_000
            assert "\u202e" not in page.content()
        assert faults(page) == []
        assert said == []


def test_list_leads_to_a_model_and_back(chromium: Browser, model: Path) -> None:
    with opened(chromium, model) as (page, said):
        page.wait_for_selector("#model tbody tr")
        page.fill("#search", "medvlm-001")
        assert page.locator("#model tbody tr").count() == 1
        assert page.inner_text("#live") == "1 of 13 models shown"
        page.locator("#model tbody a").click()
        page.wait_for_selector("#card")
        data = data_of(page, f"entries/{slug_of(page, 'acme:medvlm-001')}/{TASK}")
        assert page.inner_text("h1") == data["entry"]["model"]["card"]["name"]
        assert page.locator(".standing tbody tr").count() == 4
        page.locator(".standing tbody a", has_text=TASK).first.click()
        page.wait_for_function("task => document.querySelector('#task').textContent === task", arg=TASK)
        page.go_back()
        page.go_back()
        page.wait_for_selector("#search")
        assert page.input_value("#search") == "medvlm-001"
        assert said == []


def test_all_cells_can_be_reached(chromium: Browser, model: Path) -> None:
    with opened(chromium, model) as (page, said):
        page.wait_for_selector("#model tbody tr")
        slug = slug_of(page, "acme:medvlm-001")
        page.evaluate(
            "slug => { location.hash = new URLSearchParams({model: slug, task: 'nova_diagnosis'}) }", slug
        )
        page.wait_for_selector("#entry tbody tr")
        data = data_of(page, f"entries/{slug}/{TASK}")
        cells = data["cells"]
        shown = page.locator("#entry .shown")
        assert shown.inner_text() == f"{len(data['metrics'])} of {len(cells)} cells"
        page.select_option("#metric", data["metrics"][0])
        mine = [cell for cell in cells if cell[0] == 0]
        assert shown.inner_text() == f"{len(mine)} of {len(cells)} cells"
        slice_ = data["slices"][mine[-1][1]]
        page.fill("#find", slice_)
        row = page.locator("#entry tbody tr", has_text=slice_).last
        value = mine[-1][2]
        assert f"{count(mine[-1][5])}" in row.inner_text()
        assert value is None or f"{value:.3f}" in row.inner_text()
        row.locator("button.toggle").click()
        signature = data["signatures"][mine[-1][11]]
        assert (
            f"{signature['id']} {signature['text']}" in page.locator("#entry .opened pre").first.inner_text()
        )
        page.reload()
        page.wait_for_selector("#entry tbody tr")
        assert page.input_value("#metric") == data["metrics"][0]
        assert page.input_value("#find") == slice_
        page.fill("#find", "")
        page.select_option("#metric", "")
        page.get_by_label("Slice", exact=True).select_option("every")
        assert shown.inner_text() == f"{len(cells)} of {len(cells)} cells"
        assert said == []


def count(n: int) -> str:
    return f"{n:,}"


def test_entry_says_how_it_was_made_and_checked(chromium: Browser, model: Path) -> None:
    with opened(chromium, model) as (page, said):
        page.wait_for_selector("#model tbody tr")
        slugs = list(data_of(page, "board")["models"])
        for slug in slugs:
            data = data_of(page, f"entries/{slug}/{TASK}")
            page.evaluate(
                "slug => { location.hash = new URLSearchParams({model: slug, task: 'nova_diagnosis'}) }", slug
            )
            page.wait_for_function(
                "file => document.querySelector('#entry')?.textContent.includes(file)",
                arg=data["entry"]["bundle"]["sha256"],
            )
            status = data["verification"]["status"] if data["verification"] else None
            words = {
                "verified": "does not mean that the model gave these answers",
                "consistent": "The rows are the submitter's own",
                "rejected": "its numbers do not follow",
                None: "Nobody has looked at this entry's bundle",
            }[status]
            assert words in page.inner_text(".checked")
            command = page.locator("#entry .copy pre").first.inner_text()
            assert command[:60] == data["entry"]["reproduce"][:60]
        assert said == []


def test_bundle_is_linked_only_where_it_lies(
    chromium: Browser, board: Path, model: Path, tmp_path: Path
) -> None:
    with opened(chromium, model) as (page, _):
        page.wait_for_selector("#model tbody tr")
        slug = slug_of(page, "acme:medvlm-001")
    place = f"model={slug}&task={TASK}"
    with opened(chromium, model, place) as (page, _):
        page.wait_for_selector("#card")
        link = page.get_by_role("link", name=f"{TASK}.zip")
        target = page.evaluate("link => link.href", link.element_handle())
        assert target == (board / "synthetic" / slug / f"{TASK}.zip").as_uri()
    shutil.copytree(board / "synthetic" / slug, tmp_path / "board" / "synthetic" / slug)
    build_leaderboard(tmp_path / "board", out=tmp_path / "elsewhere")
    with opened(chromium, tmp_path / "elsewhere" / "synthetic" / "model.html", place) as (page, _):
        page.wait_for_selector("#card")
        assert f"{TASK}.zip" in page.inner_text("#entry")
        assert page.get_by_role("link", name=f"{TASK}.zip").count() == 0


def test_model_that_is_not_there_is_said(chromium: Browser, model: Path) -> None:
    with opened(chromium, model, "model=toString") as (page, said):
        page.wait_for_selector("#model tbody tr")
        assert "There is no model toString on this board." in page.inner_text("#model")
        assert said == []
