"""The leaderboard's table in a real browser: sorting, filters, columns, protocols, rows that open, and names that are there to break it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of 20 models on four tasks, ten of them with hostile names."""
    home = tmp_path_factory.mktemp("table")
    many_entries(home / "board", models=20, tasks=4, hostile=True)
    build_leaderboard(home / "board", out=home / "site")
    return home / "site"


@pytest.fixture
def index(site: Path) -> Path:
    return site / "synthetic" / "index.html"


def rows(page: Page) -> list[str]:
    """Return the first line of each model's cell, as it stands in the table."""
    return page.locator("#table tbody .title").all_inner_texts()


def table(page: Page, key: str = f"tasks/{TASK}") -> Any:
    """Return a data file as the page reads it."""
    return data_of(page, key)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [LAPTOP, PHONE])
def test_table_of_hostile_models_opens(
    chromium: Browser, index: Path, size: tuple[int, int], scheme: Any
) -> None:
    with opened(chromium, index, f"task={TASK}", size=size, scheme=scheme) as (page, said):
        page.wait_for_selector("#table tbody tr")
        for panel in ("#open-filters", "#open-columns"):
            page.click(panel)
        page.locator("#table button.toggle").first.click()
        shown = page.inner_text("#table")
        assert "<script>alert(1)</script>" in shown or "<img src=x onerror=alert(1)>" in shown
        assert "\u202e" not in page.content()
        assert page.locator("img, iframe, #table script").count() == 0
        assert not too_wide(page)
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
        assert dark is (scheme == "dark")
        assert faults(page) == []
        assert said == []


def test_phone_keeps_the_model_beside_its_numbers(chromium: Browser, index: Path) -> None:
    with opened(chromium, index, f"task={TASK}", size=PHONE) as (page, _):
        page.wait_for_selector("#table tbody tr")
        assert (
            page.evaluate(
                "(box => { box.scrollLeft = 600; return box.scrollLeft })(document.querySelector('#table'))"
            )
            > 100
        )
        box = page.locator("#table tbody th.model").first.bounding_box()
        assert box is not None
        assert box["x"] == pytest.approx(16, abs=2)
        assert box["width"] < 260


def test_sorting_by_keyboard(chromium: Browser, index: Path) -> None:
    with opened(chromium, index, f"task={TASK}") as (page, said):
        page.wait_for_selector("#table tbody tr")
        data = table(page)
        headline = data["task"]["headline"]
        header = page.locator("th.main")
        assert header.get_attribute("aria-sort") == "descending"
        page.locator("th.main .dt-column-order").focus()
        page.keyboard.press("Enter")
        assert header.get_attribute("aria-sort") == "ascending"
        assert page.locator("th[aria-sort]").count() == 1
        shown = [float(text.replace("−", "-")) for text in page.locator("td.main .value").all_inner_texts()]
        known = [
            text
            for text in page.locator("#table tbody tr").all()
            if "rejected" not in (text.get_attribute("class") or "")
        ]
        assert shown[: len(known)] == sorted(shown[: len(known)])
        assert len(set(shown)) > 5
        assert "sort=value%21asc" in page.url
        page.reload()
        page.wait_for_selector("#table tbody tr")
        assert page.locator("th.main").get_attribute("aria-sort") == "ascending"
        assert headline in page.locator("th.main").inner_text()
        assert said == []


def test_protocols_are_never_in_one_table(chromium: Browser, index: Path) -> None:
    with opened(chromium, index, f"task={TASK}") as (page, said):
        page.wait_for_selector("#table tbody tr")
        data = table(page)
        headline = data["task"]["headline"]
        ids = [one["id"] for one in data["protocols"] if one["metric"] == headline]
        assert len(ids) == 2
        for id_ in ids:
            page.select_option("#which-protocol", id_)
            mine = [row for row in data["rows"] if row["cells"][headline]["id"] == id_]
            page.wait_for_function(
                "n => document.querySelectorAll('#table tbody tr').length === n", arg=len(mine)
            )
            ranks = {
                row["rank"]["low"]
                if row["rank"]["low"] == row["rank"]["high"]
                else f"{row['rank']['low']}–{row['rank']['high']}"
                for row in mine
                if row["rank"]
            }
            assert {text for text in page.locator("td.rank").all_inner_texts() if text != "–"} == {
                str(one) for one in ranks
            }
        assert "limit" in page.inner_text("#protocol")
        page.go_back()
        page.wait_for_function("id => document.querySelector('#which-protocol').value === id", arg=ids[0])
        assert said == []


def test_filters_say_how_many_are_left_and_stand_in_the_address(chromium: Browser, index: Path) -> None:
    with opened(chromium, index, f"task={TASK}") as (page, said):
        page.wait_for_selector("#table tbody tr")
        board, data = table(page, "board"), table(page)
        headline = data["task"]["headline"]
        main = next(one["id"] for one in data["protocols"] if one["metric"] == headline)
        known = [row for row in data["rows"] if row["cells"][headline]["id"] == main]
        page.click("#open-filters")
        for key, value, fits in (
            ("weights", "open", lambda row: board["models"][row["model"]]["weights"] == "open"),
            ("exposed", "yes", lambda row: row["exposed"] is True),
            ("exposed", "unknown", lambda row: row["exposed"] is None),
        ):
            page.select_option(f"#filter-{key}", value)
            left = sum(map(fits, known))
            assert page.inner_text("#shown") == f"{left} of {len(known)} models"
            assert page.inner_text("#live") == f"{left} of {len(known)} models shown"
            assert len(rows(page)) == left
            page.select_option(f"#filter-{key}", "")
        page.fill("#filter-from", "7")
        page.fill("#filter-to", "72")
        sizes = [board["models"][row["model"]]["size_b"] for row in known]
        assert page.inner_text("#shown").startswith(
            f"{sum(size is not None and 7 <= size <= 72 for size in sizes)} of"
        )
        page.check("#filter-verified")
        fit = [
            row
            for row, size in zip(known, sizes, strict=True)
            if size and 7 <= size <= 72 and row["status"] == "verified"
        ]
        assert page.inner_text("#shown").startswith(f"{len(fit)} of")
        assert page.inner_text("#open-filters") == "Filters · 3"
        page.reload()
        page.wait_for_selector("#table tbody tr")
        assert page.inner_text("#shown").startswith(f"{len(fit)} of")
        page.click("#reset")
        page.wait_for_function(
            "n => document.querySelector('#shown').textContent === `${n} models`", arg=len(known)
        )
        page.fill("#search", "ACME 01")
        assert rows(page)
        assert all("Acme" in name for name in rows(page))
        page.fill("#search", "(?:no regular expression")
        assert page.locator("#table tbody").inner_text() == "No model passes the filters."
        assert said == []


def test_columns_can_be_chosen(chromium: Browser, index: Path) -> None:
    with opened(chromium, index, f"task={TASK}") as (page, said):
        page.wait_for_selector("#table tbody tr")
        page.click("#open-columns")
        heads = page.locator("#table thead th").all_inner_texts()
        assert "time" not in heads
        page.get_by_label("time", exact=True).check()
        assert "time" in page.locator("#table thead th").all_inner_texts()
        page.get_by_label("date", exact=True).uncheck()
        assert "date" not in page.locator("#table thead th").all_inner_texts()
        page.reload()
        page.wait_for_selector("#table tbody tr")
        assert "time" in page.locator("#table thead th").all_inner_texts()
        assert "date" not in page.locator("#table thead th").all_inner_texts()
        assert said == []


def test_another_protocol_in_a_side_column_is_marked(chromium: Browser, site: Path, tmp_path: Path) -> None:
    shutil.copytree(site, tmp_path / "site")
    page_file = tmp_path / "site" / "synthetic" / "index.html"
    with opened(chromium, page_file) as (page, _):
        data = table(page)
    metric = data["metrics"][1]["name"]
    data["rows"][0]["cells"][metric]["id"] = "0" * 12
    write(tmp_path / "site" / "synthetic" / "data" / "tasks" / f"{TASK}.js", data)
    with opened(chromium, page_file, f"task={TASK}&columns=m%3A{metric}&sort=m%3A{metric}%21desc") as (
        page,
        said,
    ):
        page.wait_for_selector("#table tbody tr")
        signs = page.locator("#table .sign", has_text="≠")
        assert signs.count() == 1
        assert "another protocol" in (signs.get_attribute("title") or "")
        place = page.evaluate(
            "[...document.querySelectorAll('#table tbody tr')].findIndex(row => row.textContent.includes('≠'))"
        )
        after = page.locator("#table tbody tr").all()[place + 1 :]
        assert all(
            re.search("rejected", row.get_attribute("class") or "") or "–" in row.inner_text()
            for row in after
        )
        assert said == []


def write(path: Path, data: Any) -> None:
    """Write a task's table as its file has it: each cell a short list, in the order of the metrics."""
    keys = ("n", "clusters", "id", "n_failed", "unjudged", "note")
    for row in data["rows"]:
        cells = [row["cells"].get(metric["name"]) for metric in data["metrics"]]
        row["cells"] = [cell and [*cell["v"], *(cell[key] for key in keys)] for cell in cells]
    key = f"tasks/{data['task']['slug']}"
    path.write_text(f"nova({json.dumps(key)},{json.dumps(json.dumps(data))})", encoding="utf-8")


def test_published_values_are_marked_and_have_no_rank(chromium: Browser, site: Path, tmp_path: Path) -> None:
    shutil.copytree(site, tmp_path / "site")
    page_file = tmp_path / "site" / "synthetic" / "index.html"
    with opened(chromium, page_file) as (page, _):
        data = table(page)
    best = max(row["cells"][data["task"]["headline"]]["v"][0] for row in data["rows"])
    data["references"] = [
        {"metric": data["task"]["headline"], "label": "<b>Residents</b>", "kind": "people", "v": [best + 0.01, None, None], "n": 9,
         "source": "A paper", "url": "javascript:alert(1)", "note": "Another metric than ours."}
    ]  # fmt: skip
    write(tmp_path / "site" / "synthetic" / "data" / "tasks" / f"{TASK}.js", data)
    with opened(chromium, page_file, f"task={TASK}") as (page, said):
        page.wait_for_selector("#table tbody tr")
        first = page.locator("#table tbody tr").first
        assert "<b>Residents</b>" in first.inner_text()
        assert "people, published" in first.inner_text()
        assert "not measured here" in first.inner_text()
        assert first.locator("td.rank").inner_text() == ""
        assert first.locator("a").count() == 0
        assert "Another metric than ours." in page.inner_text("#notes")
        assert page.locator("#table .bar .mark").count() == page.locator("#table tbody tr").count()
        page.click("#open-filters")
        page.uncheck("#filter-published")
        assert "Residents" not in page.inner_text("#table")
        assert said == []


def test_row_opens_to_signature_and_command(chromium: Browser, index: Path) -> None:
    with opened(chromium, index, f"task={TASK}") as (page, said):
        page.wait_for_selector("#table tbody tr")
        data, board = table(page), table(page, "board")
        toggle = page.locator("#table button.toggle").nth(3)
        toggle.focus()
        page.keyboard.press("Enter")
        assert toggle.get_attribute("aria-expanded") == "true"
        link = page.locator("#table .title a").nth(3).get_attribute("href")
        slug = re.search(r"model=([^&]+)", link or "")
        row = next(
            one
            for one in data["rows"]
            if slug and one["model"] == page.evaluate("decodeURIComponent", slug[1].replace("+", " "))
        )
        assert row["model"] in board["models"]
        cell = row["cells"][data["task"]["headline"]]
        protocol = next(one for one in data["protocols"] if one["id"] == cell["id"])
        panels = page.locator(".opened pre").all_text_contents()
        assert panels[1] == f"{protocol['id']} {protocol['text']}"
        assert panels[0].startswith("nova-bench run")
        page.evaluate(
            "Object.defineProperty(navigator, 'clipboard', {value: undefined}); document.execCommand = () => false"
        )
        page.locator(".opened .copy button").nth(1).click()
        assert page.evaluate("String(getSelection())").replace("\n", "") == panels[1]
        assert "Selected" in page.inner_text("#live")
        toggle.click()
        assert page.locator(".opened").count() == 0
        assert said == []


def test_suite_has_a_column_a_task_and_no_mean(chromium: Browser, index: Path) -> None:
    with opened(chromium, index, "suite=nova") as (page, said):
        page.wait_for_selector("#table tbody tr")
        data = table(page, "suites/nova")
        assert page.locator("#table thead th").count() == 1 + len(data["tasks"])
        page.locator("#table thead th.task").nth(1).click()
        assert page.locator("#table thead th.task").nth(1).get_attribute("aria-sort") in (
            "ascending",
            "descending",
        )
        assert faults(page) == []
        page.select_option("#which", f"task:{TASK}")
        page.wait_for_selector("#by")
        page.go_back()
        page.wait_for_function("document.querySelector('#which').value === 'suite:nova'")
        assert said == []


def test_colours_are_chosen_and_kept(chromium: Browser, index: Path) -> None:
    with opened(chromium, index) as (page, said):
        page.get_by_role("button", name="Dark").click()
        ground = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(ground) == "rgb(20, 23, 26)"
        page.reload()
        assert page.evaluate(ground) == "rgb(20, 23, 26)"
        assert page.get_by_role("button", name="Dark").get_attribute("aria-pressed") == "true"
        page.get_by_role("button", name="Auto").click()
        assert page.evaluate(ground) == "rgb(255, 255, 255)"
        page.keyboard.press("Home")
        page.reload()
        page.wait_for_selector("#table tbody tr")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        assert said == []


def test_board_without_entries_leads_to_the_made_up_one(chromium: Browser, site: Path) -> None:
    with opened(chromium, site / "index.html") as (page, said):
        assert "no entries of real data" in page.inner_text("main")
        assert faults(page) == []
        page.get_by_role("link", name="board of made-up data").click()
        page.wait_for_selector("#table tbody tr")
        assert "All data on this board are made up" in page.inner_text("main")
        assert said == []


def test_missing_data_file_is_said(chromium: Browser, site: Path, tmp_path: Path) -> None:
    shutil.copytree(site, tmp_path / "site")
    (tmp_path / "site" / "synthetic" / "data" / "tasks" / f"{TASK}.js").unlink()
    with opened(chromium, tmp_path / "site" / "synthetic" / "index.html", f"task={TASK}") as (page, _):
        page.wait_for_selector("#table .fault")
        assert f"data/tasks/{TASK}.js could not be read" in page.inner_text("#table")
