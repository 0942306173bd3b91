"""The comparison page in a real browser: differences and words are those of `compare`, other protocols are not compared, names stay text."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from many_entries import HOSTILE_NAMES, many_entries
from site_pages import LAPTOP, PHONE, faults, launched, opened, too_wide

from nova_bench import compare_words, fairness_words
from nova_bench.board import layout
from nova_bench.board.site import build_leaderboard

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.real("playwright with Chromium")]
TASK, TWIN = "fmbench_vqa", "vllm:acme/twin-of-12"
CLAIMS = re.compile(r"no difference in|equally|as good|just as|the same as|significant", re.IGNORECASE)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board of 16 models on four tasks, ten of them with hostile names; one more has the very answers of another and fewer tasks."""
    board = tmp_path_factory.mktemp("compare") / "board"
    names = many_entries(board, models=16, tasks=4, hostile=True)
    path = board / layout.entry_path(names[12], TASK, is_synthetic=True)
    made = board / layout.entry_path(TWIN, TASK, is_synthetic=True)
    made.parent.mkdir()
    made.write_text(path.read_text().replace(names[12], TWIN))
    built = build_leaderboard(board, out=board / "site")
    assert built["boards"][0]["left_out"] == []
    return board


@pytest.fixture
def compare(board: Path) -> Path:
    return board / "site" / "synthetic" / "compare.html"


def ready(page: Page) -> None:
    page.wait_for_function(
        "() => !document.querySelector('[aria-busy]') && document.querySelector('#shown').children.length"
    )


def read(page: Page, key: str) -> Any:
    return json.loads(page.evaluate("key => load(key).then(JSON.stringify)", key))


def place(a: str, b: str, **more: str) -> str:
    return urlencode({"a": a, "b": b, **more})


def comparable(page: Page) -> tuple[str, str, dict[str, Any]]:
    """Return two models that differ on the task, and the difference of the second to the first as it is stored."""
    for slug in read(page, "board")["models"]:
        if TASK not in read(page, "board")["models"][slug]["tasks"]:
            continue
        stored = read(page, f"pairs/{TASK}/{slug}")
        for at, other in enumerate(stored["models"]):
            rejected = any(
                (read(page, f"entries/{one}/{TASK}")["verification"] or {}).get("status") == "rejected"
                for one in (slug, other)
            )
            if stored["difference"][at] and stored["p"][at] < 0.05 and not rejected:
                keys = ("difference", "low", "high", "p", "differing", "clusters")
                return slug, other, {key: stored[key][at] for key in keys}
    raise AssertionError("no two models differ")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [LAPTOP, PHONE])
def test_page_opens_with_two_models_that_compare(
    chromium: Browser, compare: Path, size: tuple[int, int], scheme: Any
) -> None:
    with opened(chromium, compare, size=size, scheme=scheme) as (page, said):
        ready(page)
        assert page.locator(".overview tbody tr").count() == 4
        assert page.locator(".overview .badge.warn").count() == 0
        assert page.locator(".cells .bar").count() > 4
        assert not too_wide(page)
        assert faults(page) == []
        assert said == []


def test_sentence_and_table_have_the_stored_difference(chromium: Browser, compare: Path) -> None:
    with opened(chromium, compare) as (page, said):
        ready(page)
        a, b, pair = comparable(page)
        models = read(page, "board")["models"]
        for first, second, sign in ((a, b, 1), (b, a, -1)):
            page.evaluate("place => { location.hash = place; }", place(first, second, task=TASK))
            page.wait_for_function(
                "title => document.querySelector('p.said .name.b')?.textContent === title",
                arg=models[second]["title"][:60],
            )
            low, high = sorted((sign * pair["low"], sign * pair["high"]))
            sentence = page.inner_text("p.said").replace("\u00a0", " ")
            amount = compare_words.between(low, high, "higher", "lower", places=2)
            assert sentence.startswith(
                f"token_f1 of {models[second]['title']} is {amount} than that of {models[first]['title']}, p "
            )
            assert (
                f"{pair['clusters']} cases, of which {pair['differing']} scored differently"
                in page.inner_text("#shown")
            )
            line = page.locator(".overview tr.current").inner_text().split("\t")
            shown = f"{sign * pair['difference']:.3f} [{low:.3f}, {high:.3f}]".replace("-", "−")
            assert shown in [cell.strip() for cell in line]
            assert line[-1].strip() == ("B better" if sign * pair["difference"] > 0 else "A better")
        assert said == []


def test_amounts_and_p_values_are_worded_as_by_the_command(chromium: Browser, compare: Path) -> None:
    rng = random.Random(0)
    spans = [
        sorted((rng.choice((1, -1)) * rng.random() * 10 ** -rng.randint(0, 4), rng.uniform(-0.3, 0.3)))
        for _ in range(400)
    ]
    spans += [
        [0.0, 0.0],
        [0.0, 0.05],
        [-0.05, 0.0],
        [0.01, 0.01],
        [1e-7, 2e-7],
        [-1e-7, 1e-7],
        [0.0149, 0.0151],
    ]
    chances = [
        0.05,
        0.0496,
        0.0503,
        0.04999999,
        0.0812,
        0.0002,
        0.001,
        1.0,
        0.5,
        *(rng.random() for _ in range(100)),
    ]
    with opened(chromium, compare) as (page, _):
        ready(page)
        worded = page.evaluate("spans => spans.map(([low, high]) => compareWords.between(low, high))", spans)
        expected = [compare_words.between(low, high, "higher", "lower", places=2) for low, high in spans]
        # Python rounds an exact half to even, JavaScript away from 0; none of these numbers is one.
        assert worded == expected
        said = page.evaluate("all => all.map((p) => compareWords.pWords(p))", chances)
        figures = [fairness_words.p_figure(p) for p in chances]
        assert [
            one.replace("\u00a0", " ").removeprefix("p ").removeprefix("= ").replace(" ", "") for one in said
        ] == figures


# (difference, low, high, p, differing), whether higher is better, what it comes to, in words
SAID: tuple[tuple[Any, bool, str, str], ...] = (
    (
        (0.1, 0.06, 0.3, 0.009, 12),
        True,
        "better",
        "ap of B is 0.06 to 0.30 higher than that of A, p = 0.009.",
    ),
    (
        (0.1, 0.06, 0.3, 0.009, 12),
        False,
        "worse",
        "ap of B is 0.06 to 0.30 higher than that of A, worse, as lower is better, p = 0.009.",
    ),
    (
        (-0.1, -0.3, -0.06, 0.009, 12),
        False,
        "better",
        "ap of B is 0.06 to 0.30 lower than that of A, better, as lower is better, p = 0.009.",
    ),
    (
        (0.03, -0.02, 0.08, 0.3, 12),
        True,
        "not told",
        "No difference can be told: ap of B is 0.02 lower to 0.08 higher than that of A, p = 0.3. "
        "That is no finding that the two are alike.",
    ),
    (
        (0.0, -0.1, 0.1, 1.0, 0),
        True,
        "identical",
        "No difference between A and B: every answer that both gave scored the same, ap.",
    ),
    (
        (0.0, None, None, None, 3),
        True,
        "undefined",
        "ap of A and B does not differ here, and what that shows cannot be said.",
    ),
    (
        (0.2, None, None, None, 3),
        True,
        "undefined",
        "ap of B is 0.20 higher than that of A, and whether this is chance cannot be said.",
    ),
    (
        (None, None, None, None, None),
        True,
        "undefined",
        "ap of A and B cannot be compared pairwise here.",
    ),
    (None, True, "undefined", "ap of A and B cannot be compared pairwise here."),
)


def test_what_a_difference_comes_to(chromium: Browser, compare: Path) -> None:
    keys = ("difference", "low", "high", "p", "differing")
    script = """([pair, higher]) => [compareWords.outcome(pair, higher),
        h("p", {}, compareWords.sentence(pair, "ap", higher, () => bdi("A"), () => bdi("B"))).textContent]"""
    with opened(chromium, compare) as (page, _):
        ready(page)
        for pair, higher, outcome, says in SAID:
            named = None if pair is None else dict(zip(keys, pair, strict=True))
            told = page.evaluate(script, [named, higher])
            assert told == [outcome, says.replace("p = ", "p\u00a0=\u00a0")]


def test_identical_answers_are_no_claim(chromium: Browser, compare: Path) -> None:
    with opened(chromium, compare) as (page, said):
        ready(page)
        models = read(page, "board")["models"]
        twin = next(slug for slug, model in models.items() if model["name"] == TWIN)
        stored = read(page, f"pairs/{TASK}/{twin}")
        other = stored["models"][stored["differing"].index(0)]
        page.evaluate("place => { location.hash = place; }", place(other, twin))
        page.wait_for_function("() => document.querySelectorAll('.overview tbody tr').length === 1")
        assert "every answer that both gave scored the same" in page.inner_text("p.said")
        assert page.locator(".overview tr.current td").last.inner_text() == "identical"
        assert not CLAIMS.search(page.inner_text("main"))
        assert said == []


def test_other_protocols_are_not_compared(chromium: Browser, compare: Path) -> None:
    with opened(chromium, compare) as (page, said):
        ready(page)
        rows = read(page, f"tasks/{TASK}")["rows"]
        ids = {row["model"]: row["cells"]["token_f1"]["id"] for row in rows}
        a, b = next((x, y) for x in ids for y in ids if ids[x] != ids[y])
        page.evaluate("place => { location.hash = place; }", place(a, b, task=TASK))
        page.wait_for_function(
            "() => document.querySelector('p.said').textContent.includes('different protocols')"
        )
        assert "limit: " in page.inner_text("#shown .differs >> nth=0")
        assert "n=20,seed=0 in " in page.inner_text("#shown .differs >> nth=0")
        lines = page.locator(".cells tbody tr")
        assert lines.count() == page.locator(".cells tbody tr.grey .badge.warn").count() > 3
        assert page.locator(".cells .bar").count() == 0
        assert page.locator(".overview tr.current").inner_text().strip().endswith("not comparable")
        page.locator(".cells summary").first.press("Enter")
        assert page.locator(".cells details[open] .differs").is_visible()
        assert faults(page) == []
        assert said == []


def test_cells_are_those_of_both_entries(chromium: Browser, board: Path, compare: Path) -> None:
    with opened(chromium, compare) as (page, said):
        ready(page)
        a, b, _ = comparable(page)
        page.evaluate("place => { location.hash = place; }", place(a, b, task=TASK, metric="token_f1"))
        page.wait_for_function(
            "() => document.querySelector('.cells caption').textContent === 'token_f1 by slice'"
        )
        stored = []
        for slug in (a, b):
            entry = json.loads((board / "synthetic" / slug / f"{TASK}.json").read_text())
            stored.append({cell["slice"]: cell for cell in entry["cells"] if cell["metric"] == "token_f1"})
        shown = {
            line.locator("th").inner_text(): line.locator("td").all_inner_texts()
            for line in page.locator(".cells tbody tr").all()
        }
        assert set(shown) == set(stored[0]) | set(stored[1])
        assert len(shown) > 4
        for name, cells in shown.items():
            for cell, said_of in zip((stored[0][name], stored[1][name]), cells, strict=False):
                value = "–" if cell["value"] is None else f"{cell['value']:.3f}"
                span = "" if cell["low"] is None else f" [{cell['low']:.3f}, {cell['high']:.3f}]"
                assert said_of.strip() == value + span
        page.fill("input[type=search]", "=english")
        assert (
            page.locator(".cells tbody tr").count() == len([name for name in shown if "=english" in name]) > 0
        )
        assert "find=%3Denglish" in page.evaluate("location.hash")
        page.fill("input[type=search]", "nothing like it")
        assert "Nothing has this in its name." in page.inner_text("#cells")
        page.select_option("#metric", "")
        page.wait_for_function(
            "() => document.querySelector('.cells caption')?.textContent.startsWith('Every metric')"
        )
        assert "nova-bench compare" in page.inner_text("#cells")
        assert "no test" in page.inner_text("#cells")
        assert said == []


def test_bars_lie_where_the_numbers_are(chromium: Browser, compare: Path) -> None:
    with opened(chromium, compare) as (page, _):
        ready(page)
        line = page.locator(".cells tbody tr").first
        value = float(line.locator("td").first.inner_text().split(" ")[0])
        low, high = (float(one) for one in page.evaluate(
            "document.querySelector('.cells tbody tr .from').textContent.split(' – ').map(one => one.replace('−', '-'))"
        ))  # fmt: skip
        dot = line.locator(".bar.first .dot").evaluate("one => parseFloat(one.style.left)")
        assert dot == pytest.approx(100 * (value - low) / (high - low), abs=0.1)


def test_models_are_chosen_and_swapped_by_keyboard(chromium: Browser, compare: Path) -> None:
    with opened(chromium, compare) as (page, said):
        ready(page)
        field = page.get_by_role("combobox", name="Model B")
        field.focus()
        page.keyboard.type("medvlm 015")
        assert page.locator("[role=option].on").count() == 1
        page.keyboard.press("Enter")
        page.wait_for_function(
            "() => document.querySelectorAll('#controls input')[1].value === 'Acme MedVLM 015'"
        )
        assert page.evaluate("document.activeElement === document.querySelectorAll('#controls input')[1]")
        before = page.locator("#controls input").evaluate_all("all => all.map(one => one.value)")
        page.get_by_role("button", name="Swap A and B").press("Enter")
        page.wait_for_function(
            "first => document.querySelector('#controls input').value === first", arg=before[1]
        )
        assert (
            page.locator("#controls input").evaluate_all("all => all.map(one => one.value)") == before[::-1]
        )
        link = page.locator(".overview tbody a").nth(2)
        task = link.inner_text()
        link.press("Enter")
        page.wait_for_function("task => document.querySelector('#shown h2').textContent === task", arg=task)
        assert page.evaluate("document.activeElement.textContent") == task
        page.go_back()
        page.wait_for_function("task => document.querySelector('#shown h2').textContent !== task", arg=task)
        assert said == []


def test_model_with_nothing_in_common_is_not_offered(chromium: Browser, compare: Path) -> None:
    with opened(chromium, compare) as (page, _):
        ready(page)
        twin = next(slug for slug, model in read(page, "board")["models"].items() if model["name"] == TWIN)
        others = [slug for slug in read(page, "board")["models"] if slug != twin]
        page.evaluate("place => { location.hash = place; }", place(twin, "no-such-model"))
        page.wait_for_function(
            "() => document.querySelector('#controls input').value.length && document.querySelectorAll('.overview tbody tr').length === 1"
        )
        page.get_by_role("combobox", name="Model B").click()
        assert page.get_by_role("listbox", name="Model B").get_by_role("option").count() == len(others)


def test_hostile_names_stay_text(chromium: Browser, compare: Path) -> None:
    with opened(chromium, compare) as (page, said):
        ready(page)
        slugs = [slug for slug in map(layout.slug, HOSTILE_NAMES) if slug in read(page, "board")["models"]]
        assert len(slugs) == len(HOSTILE_NAMES)
        for a, b in zip(slugs, [*slugs[1:], slugs[0]], strict=True):
            page.evaluate("place => { location.hash = place; }", place(a, b, task=TASK))
            page.wait_for_function(
                "slug => document.querySelector('.name.b')?.href.includes('model=' + new URLSearchParams({x: slug}).toString().slice(2))",
                arg=b,
            )
            assert page.locator("main :is(img, script, iframe, b)").count() == 0
            assert "\u202e" not in page.inner_text("main")
            assert not too_wide(page)
        page.get_by_role("combobox", name="Model A").click()
        assert page.get_by_role("listbox", name="Model A").locator(":is(img, script, b)").count() == 0
        assert "<script>alert(1)</script>" in page.get_by_role("listbox", name="Model A").inner_text()
        assert said == []
