"""The viewer in a real browser: the picture and its boxes, keys, filters, themes, what hostile texts come to, and what axe finds."""

from __future__ import annotations

import importlib.resources
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import viewed
from running import SIZE, make_set

import nova_bench as nb
from nova_bench.run import Run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.real("playwright with Chromium")]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def data(home: Path) -> Path:
    return make_set(home / "set", [1, 2] * 20)


@pytest.fixture(scope="module")
def pair(home: Path, data: Path) -> Path:
    near = viewed.run(home, data, "nova_localization", viewed.boxes_of(data, 3, but=4), "near")
    far = viewed.run(home, data, "nova_localization", viewed.boxes_of(data, 12), "far")
    nb.view(near, far, out=home / "pair")
    return home / "pair"


@pytest.fixture(scope="module")
def hostile(home: Path) -> Path:
    data = viewed.hostile_set(home / "hostile")
    made = viewed.run(home, data, "nova_caption", viewed.hostile_answer, "words")
    nb.view(Run(made.folder, made.plan, viewed.HOSTILE[0]), out=home / "hostile view")
    return home / "hostile view"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on PATH: apt-get install chromium")
    switches = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=found, args=switches)
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Open a viewer; what it says on the console, and what it asks of other places than its folder and the set, fails the test."""
    said: list[str] = []
    contexts = []

    def open_page(
        folder: Path,
        chosen: str = "",
        size: tuple[int, int] = (1280, 800),
        scheme: Any = "light",
        allowed: str = "\0",
    ) -> Page:
        context = chromium.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text) if allowed not in message.text else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on(
            "request",
            lambda made: said.append(made.url) if not made.url.startswith(("file:", "data:")) else None,
        )
        page.goto((folder / "index.html").as_uri() + chosen)
        page.wait_for_selector("body[data-ready]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


def until(page: Page, expression: str) -> None:
    """Wait until an expression is true; Playwright's own way of waiting needs what the page's policy refuses."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never came true: {expression}")


def soon(page: Page, is_there: Callable[[], bool]) -> bool:
    """Return whether something comes to hold: pictures move at the next frame, and details come from scripts of their own."""
    for _ in range(200):
        if is_there():
            return True
        page.wait_for_timeout(50)
    return False


def ids(page: Page) -> list[str]:
    found: list[str] = page.evaluate("view.shown.map((line) => view.index.lines.id[line])")
    return found


def looked_at(page: Page) -> str:
    return page.locator("#title").inner_text()


# The look


@pytest.mark.parametrize(
    ("which", "size", "scheme"),
    [
        ("pair", (1280, 800), "light"),
        ("hostile", (1280, 800), "dark"),
        ("pair", (390, 844), "dark"),
        ("hostile", (390, 844), "light"),
        ("pair", (900, 700), "light"),
    ],
)
def test_page_fits_and_axe_finds_no_serious_fault(
    opened: Callable[..., Page],
    request: pytest.FixtureRequest,
    which: str,
    size: tuple[int, int],
    scheme: str,
) -> None:
    page = opened(request.getfixturevalue(which), size=size, scheme=scheme)
    page.evaluate("document.querySelectorAll('#detail details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    picture = page.locator("#stage img").bounding_box()
    assert picture is not None
    assert picture["width"] > 0.3 * min(size)
    assert picture["y"] + picture["height"] <= size[1]
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    assert dark is (scheme == "dark")
    page.evaluate(importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text())
    found = page.evaluate("axe.run({preload: false})")["violations"]
    assert [
        (one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")
    ] == []


def test_boxes_lie_on_the_picture_where_they_are_true(opened: Callable[..., Page], pair: Path) -> None:
    page = opened(pair)
    detail = viewed.details_of(pair)[0]
    for zoomed in (False, True):
        if zoomed:
            page.keyboard.press("+")
            page.keyboard.press("+")
            page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        picture = page.locator("#stage img").bounding_box()
        assert picture is not None
        scale = picture["width"] / SIZE
        for name, boxes in (
            ("truth", detail["truth"]),
            *((f"run{i}", one["prediction"]) for i, one in enumerate(detail["runs"])),
        ):
            drawn = page.locator(f'#stage [data-set="{name}"] .line')
            assert drawn.count() == len(boxes.get("boxes", ()))
            for place, box in enumerate(boxes.get("boxes", ())):
                x, y, right, bottom = drawn.nth(place).evaluate(
                    "(one) => { const m = one.getScreenCTM(); const b = one.getBBox();"
                    " return [m.a * b.x + m.e, m.d * b.y + m.f, m.a * (b.x + b.width) + m.e, m.d * (b.y + b.height) + m.f]; }"
                )
                shown = [picture["x"] + scale * box[0], picture["y"] + scale * box[1]]
                shown += [picture["x"] + scale * box[2], picture["y"] + scale * box[3]]
                assert [x, y, right, bottom] == pytest.approx(shown, abs=1)
    width = page.locator("#stage .truth .line").first.evaluate(
        "(one) => parseFloat(getComputedStyle(one).strokeWidth)"
    )
    assert width * scale == pytest.approx(2, abs=0.1)  # as thin as before


# Keys, and what stands in the address


def test_keys_go_through_the_samples_and_the_address_follows(opened: Callable[..., Page], pair: Path) -> None:
    page = opened(pair)
    order = viewed.index_of(pair)["lines"]["id"]
    for key in ("j", "ArrowRight", "j", "k", "ArrowLeft", "j"):
        page.keyboard.press(key)
    assert soon(page, lambda: looked_at(page) == order[2])
    assert parse_qs(urlsplit(page.url).fragment) == {"sample": [order[2]]}
    page.locator("#rows").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    assert soon(page, lambda: looked_at(page) == order[-1])
    assert page.locator("#next").is_disabled()
    chosen = page.locator('#rows [aria-selected="true"]')
    assert chosen.get_attribute("id") == page.locator("#rows").get_attribute("aria-activedescendant")
    assert (chosen.get_attribute("aria-posinset"), chosen.get_attribute("aria-setsize")) == ("60", "60")
    page.keyboard.press("/")
    page.keyboard.type("jt")  # typed, not heard as keys
    assert page.locator("#search").input_value() == "jt"
    again = opened(pair, f"#sample={order[7]}")
    assert soon(again, lambda: looked_at(again) == order[7])
    again.evaluate(f"location.hash = 'sample={order[3]}'")
    until(again, f"document.querySelector('#title').textContent === '{order[3]}'")
    again.go_back()
    until(again, f"document.querySelector('#title').textContent === '{order[7]}'")


def test_each_set_of_boxes_goes_on_and_off(opened: Callable[..., Page], pair: Path) -> None:
    page = opened(pair, "#by=0&order=down")

    def visible() -> list[str]:
        return [
            name
            for name in ("truth", "run0", "run1")
            if page.locator(f'#stage g[data-set="{name}"] .line').first.is_visible()
        ]

    assert soon(page, lambda: visible() == ["truth", "run0", "run1"])
    for key, left in (
        ("t", ["run0", "run1"]),
        ("1", ["run1"]),
        ("p", []),
        ("p", ["run0", "run1"]),
        ("2", ["run0"]),
        ("t", ["truth", "run0"]),
    ):
        page.keyboard.press(key)
        assert soon(page, lambda left=left: visible() == left)  # type: ignore[misc]
    button = page.get_by_role("button", name="far")
    assert button.get_attribute("aria-pressed") == "false"
    page.keyboard.press("j")
    assert soon(page, lambda: visible() == ["truth", "run0"])  # kept from sample to sample
    button.click()
    assert soon(page, lambda: visible() == ["truth", "run0", "run1"])


def test_zoom_goes_in_moves_and_fits_again(opened: Callable[..., Page], pair: Path) -> None:
    page = opened(pair)

    def box() -> dict[str, float]:
        found = page.locator("#stage img").bounding_box()
        assert found is not None
        return dict(found)

    whole = box()
    page.keyboard.press("+")
    assert soon(page, lambda: box()["width"] > 1.2 * whole["width"])
    nearer = box()
    page.keyboard.press("Shift+ArrowRight")
    assert soon(page, lambda: box()["x"] < nearer["x"] - 10)
    page.keyboard.press("0")
    assert soon(page, lambda: box() == whole)
    page.mouse.move(whole["x"] + 20, whole["y"] + 20)
    page.mouse.wheel(0, -300)
    assert soon(page, lambda: box()["width"] > whole["width"])
    assert box()["x"] + 20 == pytest.approx(
        whole["x"] + 20, abs=20
    )  # the place under the pointer stays there
    page.keyboard.press("j")
    assert soon(page, lambda: box() == whole)  # the next picture is whole again


# Filters and orders


def test_filters_and_orders_agree_with_the_numbers(opened: Callable[..., Page], pair: Path) -> None:
    page = opened(pair)
    index = viewed.index_of(pair)
    names, lines = index["lines"]["id"], index["lines"]
    place = next(i for i, one in enumerate(index["numbers"]) if one["name"] == "best_iou")
    near, far = viewed.read(pair / "data" / "numbers" / f"{place}.js")
    page.select_option("#state", "unparsed")
    until(page, "view.shown.length === 4")
    assert ids(page) == [
        name for i, name in enumerate(names) if 1 in (lines["states"][0][i], lines["states"][1][i])
    ]
    assert page.locator("#shown").inner_text() == "4 of 60 samples"
    page.get_by_role("button", name="Clear").click()
    until(page, "view.shown.length === 60")
    page.select_option("#by", str(place))
    until(page, "view.chosen.by")
    known = [i for i in range(60) if near[i] is not None]
    expected = sorted(known, key=lambda i: near[i]) + [i for i in range(60) if near[i] is None]
    until(page, f"view.index.lines.id[view.shown[0]] === '{names[expected[0]]}'")
    assert ids(page) == [names[i] for i in expected]
    page.select_option("#order", "1down")
    expected = sorted(range(60), key=lambda i: -far[i])
    until(page, f"view.index.lines.id[view.shown[0]] === '{names[expected[0]]}'")
    assert ids(page) == [names[i] for i in expected]
    page.select_option("#other", "first")
    expected = [i for i in expected if near[i] is not None and near[i] > far[i]]
    until(page, f"view.shown.length === {len(expected)}")
    assert ids(page) == [names[i] for i in expected]
    link = page.url
    assert soon(page, lambda: looked_at(page) == names[expected[0]])
    other = opened(pair, "#" + urlsplit(link).fragment)
    assert ids(other) == [names[i] for i in expected]


def test_on_a_phone_the_list_lies_over_the_sample_until_one_is_chosen(
    opened: Callable[..., Page], pair: Path
) -> None:
    page = opened(pair, size=(390, 844))
    assert not page.locator("#rows").is_visible()
    page.get_by_role("button", name="Samples").click()
    assert page.locator("#close-list").evaluate("(one) => one === document.activeElement")
    row = page.locator("#rows").get_by_role("option").nth(5)
    name = row.locator(".name").inner_text()
    row.click()
    assert soon(page, lambda: looked_at(page) == name)
    assert not page.locator("#rows").is_visible()
    assert page.locator("#open-list").evaluate("(one) => one === document.activeElement")


def test_groups_and_words_are_found(opened: Callable[..., Page], pair: Path) -> None:
    page = opened(pair)
    index = viewed.index_of(pair)
    group = next(one for one in index["groups"] if one["name"] == "flair")
    page.select_option("#slice", "flair=true")
    code = group["values"].index("true")
    expected = [name for name, one in zip(index["lines"]["id"], group["codes"], strict=True) if one == code]
    until(page, f"view.shown.length === {len(expected)}")
    assert ids(page) == expected
    page.fill("#search", expected[3])
    until(page, "view.shown.length === 1")
    assert soon(page, lambda: looked_at(page) == expected[3])
    page.fill("#search", "no such words")
    until(page, "view.shown.length === 0")
    assert page.locator("#nothing").is_visible()


def test_an_address_of_another_page_chooses_nothing(opened: Callable[..., Page], hostile: Path) -> None:
    page = opened(
        hostile, "#sample=none&by=constructor&order=apart&slice=__proto__&state=x&other=state&repeat=z"
    )
    assert len(ids(page)) == 12
    assert page.evaluate("Object.keys(view.chosen)") == []


# Texts of strangers, and pictures that are not there


def test_hostile_names_and_answers_stay_text(opened: Callable[..., Page], hostile: Path) -> None:
    page = opened(hostile)
    title = page.title()
    own = page.locator("script").count()
    for _ in range(12):
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert (
            page.locator(
                "#detail script, #detail img, #detail svg, #detail b, #list img, #stage script"
            ).count()
            == 0
        )
        assert soon(page, lambda: page.locator("#stage img").count() == 1)
        shown = page.inner_text("body")
        assert not set(shown) & set("\u202e\u2066\x1b\x07\x00")
        page.keyboard.press("j")
    assert page.title() == title
    assert page.locator("script").count() == own
    assert "<script>document.title" in page.inner_text("#who")
    page.fill("#search", "onerror")
    until(page, "view.chosen.q")
    assert len(ids(page)) > 0


def test_a_million_characters_are_shown_a_piece_at_a_time(opened: Callable[..., Page], hostile: Path) -> None:
    page = opened(hostile, "#sample=__proto__")
    assert soon(page, lambda: looked_at(page) == "__proto__")
    before = len(page.inner_text("#detail"))
    assert before < 20_000
    page.get_by_role("button", name="more characters").first.click()
    assert before + 19_000 < len(page.inner_text("#detail")) < before + 21_000


def test_a_picture_that_has_gone_says_where_it_was(opened: Callable[..., Page], home: Path) -> None:
    data = make_set(home / "gone", [1, 1])
    made = viewed.run(home, data, "nova_localization", viewed.boxes_of(data, 0), "left")
    nb.view(made, out=home / "gone view")
    for path in (data / "images").iterdir():
        path.unlink()
    shown = opened(home / "gone view", allowed="ERR_FILE_NOT_FOUND")
    shown.wait_for_selector("#stage .missing")
    assert "It is expected at" in shown.locator("#stage .missing").inner_text()
    assert str(data) in shown.locator("#stage .missing").inner_text()
    assert shown.locator("#stage .truth .line").count() == 1


def test_gated_data_say_that_the_folder_is_private(opened: Callable[..., Page], home: Path) -> None:
    import fmbench_set

    data = fmbench_set.make_built(home / "clinic", 3)
    made = viewed.run(home, data, "fmbench_vqa", lambda request: "ANSWER: glaucoma", "reader")
    nb.view(made, out=home / "clinic view")
    page = opened(home / "clinic view")
    assert "This folder is for you alone" in page.inner_text("#notices")
    assert page.locator("#stage img").evaluate("(one) => one.naturalWidth") == 24
    assert page.get_by_role("heading", name="Question").is_visible()
