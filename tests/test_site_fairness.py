"""The fairness page in a real browser: its numbers are the entries', groups and protocols are kept apart, and every part works by keyboard."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode

import pytest
from many_entries import HOSTILE_NAMES, many_entries
from site_pages import LAPTOP, PHONE, faults, launched, opened, too_wide

from nova_bench.board import layout
from nova_bench.board.site import build_leaderboard

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.real("playwright with Chromium")]
TASK, METRIC = "fmbench_vqa", "token_f1"
CLAIMS = re.compile(r"\bfair(er|ly)?\b|no gap|equally|as good|unbiased", re.IGNORECASE)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board of 24 models on two tasks with demographics, ten of them with hostile names, one group in one entry with a name of that kind."""
    board = tmp_path_factory.mktemp("fairness") / "board"
    names = many_entries(board, models=24, tasks=2, hostile=True)
    path = board / layout.entry_path(names[12], TASK, is_synthetic=True)
    entry = json.loads(path.read_text())
    for compared in entry["fairness"]["comparisons"]:
        group = compared["groups"].pop(compared["worst_group"] or next(iter(compared["groups"])))
        compared["groups"]["\u202e<b>group</b>\u0007"] = group
        compared["groups"]["constructor"] = {
            **group,
            "included": False,
            "patients": 3,
            "note": "fewer than 20 patients",
        }
    path.write_text(json.dumps(entry))
    build_leaderboard(board, out=board / "site")
    return board


@pytest.fixture
def fairness(board: Path) -> Path:
    return board / "site" / "synthetic" / "fairness.html"


def ready(page: Page) -> None:
    page.wait_for_function(
        "() => !document.querySelector('[aria-busy]') && document.querySelector('#shown').children.length"
    )


def read(page: Page, key: str) -> Any:
    return json.loads(page.evaluate("key => load(key).then(JSON.stringify)", key))


def place(**chosen: str) -> str:
    return urlencode({"task": TASK, "metric": METRIC, "by": "race", **chosen})


def rows_of(page: Page, attribute: str = "race") -> list[dict[str, Any]]:
    return [row for row in read(page, f"fairness/{TASK}/{METRIC}")["rows"] if row["attribute"] == attribute]


def main_id(rows: list[dict[str, Any]]) -> str:
    ids = [row["id"] for row in rows if not row["rejected"]]
    return max(set(ids), key=ids.count)


def counted(page: Page, attribute: str = "race") -> list[dict[str, Any]]:
    """Return the rows that are compared: those of the protocol of the most models, without rejected ones."""
    rows = rows_of(page, attribute)
    return [row for row in rows if row["id"] == main_id(rows) and not row["rejected"]]


def choose(page: Page, *models: str, by: str = "race") -> None:
    page.evaluate("place => { location.hash = place; }", place(by=by, models=" ".join(models)))
    page.wait_for_function("n => document.querySelectorAll('.chip').length === n", arg=len(models))
    ready(page)


def chips(page: Page) -> list[str]:
    return [chip.removesuffix("\n×").strip() for chip in page.locator(".chip").all_inner_texts()]


def models_in_address(page: Page) -> list[str]:
    return parse_qs(page.evaluate("location.hash.slice(1)"))["models"][0].split()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [LAPTOP, PHONE])
def test_page_opens(chromium: Browser, fairness: Path, size: tuple[int, int], scheme: Any) -> None:
    with opened(chromium, fairness, place(), size=size, scheme=scheme) as (page, said):
        ready(page)
        page.locator("details:has(table), #shown details").first.evaluate("one => { one.open = true; }")
        assert (
            page.get_by_role("img").count() == 2
        )  # the forest and the gaps; the scatter is a list of options
        assert not too_wide(page)
        inks = page.evaluate(
            "[...document.querySelectorAll('.plot text')].map(one => getComputedStyle(one).fill)"
        )
        assert len(inks) > 20
        assert all((sum(map(float, re.findall(r"\d+", ink)[:3])) > 384) is (scheme == "dark") for ink in inks)
        assert faults(page) == []
        assert said == []


def test_numbers_are_those_of_the_entries(chromium: Browser, board: Path, fairness: Path) -> None:
    with opened(chromium, fairness, place(by="gender")) as (page, _):
        ready(page)
        row = counted(page, "gender")[0]
        choose(page, row["model"], by="gender")
        entry = json.loads((board / "synthetic" / row["model"] / f"{TASK}.json").read_text())
        (compared,) = (
            one
            for one in entry["fairness"]["comparisons"]
            if (one["metric"], one["attribute"]) == (METRIC, "gender")
        )
        shown = [line.inner_text().split("\t") for line in page.locator(".groups tbody tr").all()]
        expected = [
            *compared["groups"].items(),
            *([("unknown", compared["unknown"])] if compared["unknown"] else []),
            ("all", compared["overall"]),
        ]
        assert len(shown) == len(expected)
        for cells, (name, group) in zip(shown, expected, strict=True):
            number = "–" if group["value"] is None else f"{group['value']:.3f}"
            span = "" if group["low"] is None else f" [{group['low']:.3f}, {group['high']:.3f}]"
            assert cells[0].removesuffix(" left out") == name
            assert cells[1:3] == [str(group["patients"]), str(group["n"])]
            assert cells[-1] == number + span
        line = page.locator(".composites tbody tr").first.inner_text().split("\t")
        gap = compared["gap"]
        assert line[2] == compared["worst_group"]
        assert line[4] == f"{gap['value']:.3f} [{gap['low']:.3f}, {gap['high']:.3f}]"
        assert line[5:7] == [f"{gap['floor']:.3f}", f"{gap['corrected']:.3f}"]
        assert float(line[7]) == pytest.approx(compared["p_holm"], rel=0.1)
        assert line[8] == f"{compared['detectable']:.3f}"
        assert compared["sentence"][:60] in page.inner_text(".said")


def test_points_of_the_forest_lie_at_their_values(chromium: Browser, fairness: Path) -> None:
    with opened(chromium, fairness, place(by="gender")) as (page, _):
        ready(page)
        row = counted(page, "gender")[0]
        choose(page, row["model"], by="gender")
        cells = [*row["groups"].values(), *([row["unknown"]] if row["unknown"] else []), row["overall"]]
        values = [cell["v"][0] for cell in cells if cell["v"][0] is not None]
        places = page.locator("figure.forest path[transform^=translate]").evaluate_all(
            "all => all.map(one => { const box = one.getBoundingClientRect(); return (box.left + box.right) / 2; })"
        )
        assert len(places) == len(values) > 2
        scale = (max(places) - min(places)) / (max(values) - min(values))
        assert scale > 0
        expected = [min(places) + scale * (value - min(values)) for value in values]
        assert sorted(places) == pytest.approx(sorted(expected), abs=1.0)
        lines = page.locator("figure.forest line[x1]").evaluate_all(
            "all => all.map(one => one.getBoundingClientRect()).filter(box => box.height < 1).map(box => [box.left, box.right])"
        )
        spans = [cell["v"][1:] for cell in cells if cell["v"][1] is not None]
        for low, high in spans:
            wanted = [min(places) + scale * (limit - min(values)) for limit in (low, high)]
            assert any(line == pytest.approx(wanted, abs=1.5) for line in lines)


def test_groups_under_the_minimum_are_grey_and_named(chromium: Browser, fairness: Path) -> None:
    with opened(chromium, fairness, place(by="language")) as (page, _):
        ready(page)
        row = next(
            one for one in rows_of(page, "language") if one["id"] == main_id(rows_of(page, "language"))
        )
        small = {name for name, group in row["groups"].items() if not group["included"]}
        assert small
        grey = page.locator(".groups tr.grey th").all_inner_texts()
        assert {name.removesuffix(" left out") for name in grey} >= small
        caption = page.inner_text("figure.forest figcaption")
        for name in small:
            assert f"{name} ({row['groups'][name]['patients']} patients, fewer than 20)" in caption


def test_choices_stand_in_the_address_and_back_undoes_them(chromium: Browser, fairness: Path) -> None:
    with opened(chromium, fairness) as (page, said):
        ready(page)
        before = page.inner_text("#shown h2 >> nth=0")
        page.select_option("#task", TASK)
        page.wait_for_function("() => location.hash.includes('fmbench_vqa')")
        page.focus("#by")
        page.select_option("#by", "gender")
        page.wait_for_function("() => document.querySelector('#shown h2').textContent.endsWith('by gender')")
        assert page.evaluate("document.activeElement.id") == "by"
        page.go_back()
        page.go_back()
        page.wait_for_function("text => document.querySelector('#shown h2').textContent === text", arg=before)
        assert said == []


def test_models_are_searched_added_and_removed_by_keyboard(chromium: Browser, fairness: Path) -> None:
    with opened(chromium, fairness, place()) as (page, said):
        ready(page)
        assert len(chips(page)) == 4
        field = page.get_by_role("combobox", name="Models side by side")
        field.fill("no such model")
        assert page.locator(".pop .more").inner_text() == "No model of this name has results here."
        page.keyboard.press("Enter")
        page.keyboard.press("Escape")
        assert page.locator(".pop").is_hidden()
        assert field.get_attribute("aria-expanded") == "false"
        page.keyboard.type("medvlm 01")
        options = page.get_by_role("option", name=re.compile("Acme MedVLM 01"))
        assert options.count() > 2
        assert all("01" in name for name in page.locator(".options .option").all_inner_texts())
        page.keyboard.press("ArrowDown")
        active = field.get_attribute("aria-activedescendant")
        wanted = page.locator(f"#{active}").inner_text()
        assert page.locator(".option.on").inner_text() == wanted
        page.keyboard.press("Enter")
        page.wait_for_function(
            "name => document.querySelector('.chips').textContent.includes(name)", arg=wanted.split("\n")[0]
        )
        assert page.evaluate("document.activeElement.getAttribute('role')") == "combobox"
        for _ in range(6):
            if page.evaluate("document.querySelector('#models input').disabled"):
                break
            page.keyboard.press("ArrowDown")
            page.keyboard.press("ArrowUp")
            while page.locator(".option.on").get_attribute("aria-selected") == "true":
                page.keyboard.press("ArrowUp")
            page.keyboard.press("Enter")
        assert len(chips(page)) == 6
        assert field.is_disabled()
        first = chips(page)[0]
        page.locator(".chip .remove").first.press("Enter")
        page.wait_for_function("() => document.querySelectorAll('.chip').length === 5")
        assert first not in chips(page)
        assert len(models_in_address(page)) == 5
        assert said == []


def test_scatter_has_every_comparable_model_and_keys_go_through_it(chromium: Browser, fairness: Path) -> None:
    with opened(chromium, fairness, place()) as (page, said):
        ready(page)
        rows = rows_of(page)
        drawn = [one for one in counted(page) if one["fap"]["v"][0] is not None]
        options = page.locator(".spots [role=option]")
        assert options.count() == len(drawn) < len(rows)
        page.locator(".spots").focus()
        seen = []
        page.keyboard.press("Home")
        for _ in drawn:
            active = page.locator(".spots").get_attribute("aria-activedescendant")
            said_of = page.locator(f"#{active}").get_attribute("aria-label") or ""
            seen.append(float(re.search(r"overall ([\d.]+)", said_of)[1]))  # type: ignore[index]
            assert page.locator(".tip strong").inner_text()[:8] == said_of[:8]
            page.keyboard.press("ArrowRight")
        assert seen == sorted(round(one["overall"]["v"][0], 3) for one in drawn)
        page.keyboard.press("Home")
        top = page.locator(".scatter").evaluate("one => one.getBoundingClientRect().top")
        page.keyboard.press("Enter")
        page.wait_for_function("() => document.querySelectorAll('.chip').length === 5")
        assert page.evaluate("document.activeElement.className") == "spots"
        assert page.locator(".spots [aria-selected=true]").count() == 5
        assert page.locator(".scatter").evaluate("one => one.getBoundingClientRect().top") == pytest.approx(
            top, abs=2
        )
        assert said == []


def test_pointing_says_which_model_it_is(chromium: Browser, fairness: Path) -> None:
    with opened(chromium, fairness, place()) as (page, _):
        ready(page)
        scatter = page.locator(".scatter")
        scatter.scroll_into_view_if_needed()
        spot = page.locator(".spots [role=option]").first
        left, top = spot.evaluate("one => [parseFloat(one.style.left), parseFloat(one.style.top)]")
        scatter.hover(position={"x": left + 2, "y": top - 2})
        name = (spot.get_attribute("aria-label") or "").split(",")[0]
        assert page.locator(".tip").is_visible()
        assert page.locator(".tip strong").inner_text()[:8] == name[:8]


def test_table_stands_for_the_scatter(chromium: Browser, fairness: Path) -> None:
    with opened(chromium, fairness, place()) as (page, _):
        ready(page)
        rows = counted(page)
        page.get_by_text(f"All {len(rows)} models as a table").click()
        table = page.get_by_role("table", name=re.compile("All models, by name"))
        assert table.locator("tbody tr").count() == len(rows)
        shown = sorted(
            float(cell.split(" ")[0]) for cell in table.locator("tbody tr td:nth-child(2)").all_inner_texts()
        )
        assert shown == sorted(round(one["overall"]["v"][0], 3) for one in rows)


def test_another_protocol_is_kept_apart_and_says_what_differs(chromium: Browser, fairness: Path) -> None:
    with opened(chromium, fairness, place()) as (page, said):
        ready(page)
        rows = rows_of(page)
        one = counted(page)[0]["model"]
        other = next(row["model"] for row in rows if row["id"] != main_id(rows))
        choose(page, one, other)
        assert (
            page.locator("section:not(.apart) > .scroll .groups thead th").count() == 4
        )  # one model's column
        apart = page.locator("section.apart")
        assert "not to be compared" in apart.inner_text()
        assert apart.locator("figure.forest svg").count() == 1
        apart.get_by_text("What differs").click()
        apart.locator(".differs").wait_for()
        assert "limit: none in" in apart.locator(".differs").inner_text()
        assert "n=20,seed=0" in apart.locator(".differs").inner_text()
        page.select_option("#protocol", next(row["id"] for row in rows if row["model"] == other))
        page.wait_for_function("() => location.hash.includes('protocol=')")
        ready(page)
        assert page.locator(".spots [role=option]").count() == len(
            [row for row in rows if row["id"] != main_id(rows) and not row["rejected"]]
        )
        assert said == []


def test_rejected_entries_are_marked_and_have_no_say(chromium: Browser, fairness: Path) -> None:
    with opened(chromium, fairness, place()) as (page, _):
        ready(page)
        rows = rows_of(page)
        rejected = next(row for row in rows if row["rejected"] and row["id"] == main_id(rows))
        assert rejected["model"] not in page.content().split('id="models"')[0]
        choose(page, rejected["model"])
        assert page.locator(".groups thead .badge.rejected").count() == 1
        assert page.locator(".spots [aria-selected=true]").count() == 0
        assert "whose entry was rejected" in page.inner_text("#shown")


def test_hostile_names_stay_text(chromium: Browser, board: Path, fairness: Path) -> None:
    with opened(chromium, fairness, place()) as (page, said):
        ready(page)
        slugs = [row["model"] for row in rows_of(page)]
        hostile = [slug for slug in map(layout.slug, HOSTILE_NAMES) if slug in slugs]
        assert len(hostile) == len(HOSTILE_NAMES)
        grouped = next(row["model"] for row in rows_of(page) if any("<b>" in name for name in row["groups"]))
        for some in (hostile[:6], [*hostile[6:], grouped]):
            choose(page, *some)
            assert page.locator("main :is(img, script, iframe, b)").count() == 0
            assert "\u202e" not in page.inner_text("main")
            assert not too_wide(page)
        shown = page.inner_text(".groups >> nth=0")
        assert "⟨U+202E⟩<b>group</b>⟨U+0007⟩" in page.inner_text("main")
        assert "constructor" in shown
        page.get_by_role("combobox", name="Models side by side").click(force=True)
        assert faults(page) == []
        assert said == []


def test_nothing_claims_that_a_model_treats_groups_alike(chromium: Browser, fairness: Path) -> None:
    with opened(chromium, fairness, place()) as (page, _):
        ready(page)
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        for attribute in page.locator("#by option").all_inner_texts():
            page.select_option("#by", attribute)
            page.wait_for_function(
                "text => document.querySelector('#shown h2').textContent.endsWith(text)",
                arg=f"by {attribute}",
            )
            assert not CLAIMS.search(page.inner_text("main").replace("if all were equal", ""))


def test_missing_data_are_said(chromium: Browser, board: Path, tmp_path: Path) -> None:
    shutil.copytree(board / "site", tmp_path / "site")
    shutil.rmtree(tmp_path / "site" / "synthetic" / "data" / "fairness")
    with opened(chromium, tmp_path / "site" / "synthetic" / "fairness.html") as (page, _):
        page.locator("#shown .fault").wait_for()
        assert "could not be read" in page.locator("#shown [role=alert]").inner_text()
        assert page.locator("[aria-busy]").count() == 0


def test_board_without_demographics_says_so(chromium: Browser, board: Path, tmp_path: Path) -> None:
    for path in (board / "synthetic").glob(f"*/{TASK}.json"):
        entry = json.loads(path.read_text())
        made = tmp_path / "board" / "synthetic" / path.parent.name / path.name
        made.parent.mkdir(parents=True)
        made.write_text(json.dumps({**entry, "fairness": None}))
    built = build_leaderboard(tmp_path / "board", out=tmp_path / "site")
    assert built["boards"][0]["n_entries"] == 24
    with opened(chromium, tmp_path / "site" / "synthetic" / "fairness.html") as (page, said):
        ready(page)
        assert "No task of this board has demographics" in page.inner_text("#shown")
        assert said == []
