"""The fairness page and its plots: what stands in the files, and what a real browser makes of them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import fairness_documents
import pytest
from test_render_fairness import CLAIMS

from nova_bench import fairness_plots, fairness_view
from nova_bench.errors import UsageError
from nova_bench.fairness_page import slug, write

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SVG = "{http://www.w3.org/2000/svg}"


class Reader(HTMLParser):
    """Collects the elements, attributes and visible text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    write(fairness_documents.document(), folder)
    return folder


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    write(fairness_documents.document(hostile=True, runs=3), folder)
    return folder


def part_of(**options: Any) -> fairness_view.Part:
    (part,) = fairness_view.parts(fairness_documents.document(**options))
    return part


# Files


def test_writes_page_numbers_and_plots(tmp_path: Path) -> None:
    document = fairness_documents.document()
    written = write(document, tmp_path / "new" / "out")
    names = [str(path.relative_to(tmp_path / "new" / "out")) for path in written]
    stems = ["gap-fmbench_vqa-token_f1", "fap-fmbench_vqa-token_f1"]
    stems += [f"forest-fmbench_vqa-token_f1-{attribute}" for attribute in fairness_documents.GROUPS]
    assert names[:2] == ["index.html", "fairness.json"]
    assert sorted(names[2:]) == sorted(f"plots/{stem}.{kind}" for stem in stems for kind in ("svg", "png"))
    assert all(path.stat().st_size > 1000 for path in written)
    assert json.loads((tmp_path / "new/out/fairness.json").read_text()) == document


def test_one_model_has_no_picture_of_models_against_each_other(tmp_path: Path) -> None:
    assert not [
        path for path in write(fairness_documents.document(runs=1), tmp_path) if path.name.startswith("fap")
    ]


def test_old_plots_go_and_other_files_stay(tmp_path: Path) -> None:
    write(fairness_documents.document(), tmp_path)
    (tmp_path / "plots" / "mine.png").write_bytes(b"mine")
    document = fairness_documents.document(runs=1)
    document["comparisons"] = [entry for entry in document["comparisons"] if entry["attribute"] == "race"]
    written = write(document, tmp_path)
    left = {path.name for path in (tmp_path / "plots").iterdir()}
    assert left == {path.name for path in written if path.parent.name == "plots"} | {"mine.png"}
    assert "forest-fmbench_vqa-token_f1-race.png" in left


def test_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        write(fairness_documents.document(), tmp_path / "file")


def test_document_without_comparisons_is_a_page_that_says_so(tmp_path: Path) -> None:
    written = write({**fairness_documents.document(), "comparisons": [], "counterfactual": []}, tmp_path)
    assert [path.name for path in written] == ["index.html", "fairness.json"]
    assert "Nothing to compare" in written[0].read_text()


def test_the_same_document_gives_the_same_bytes_in_another_process(plain: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import pathlib, fairness_documents\n"
        "from nova_bench.fairness_page import write\n"
        "write(fairness_documents.document(), pathlib.Path(sys.argv[2]))\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)],
        check=True,
        timeout=120,
        env={**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
    )
    assert digests(tmp_path) == digests(plain)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(
    "words",
    [
        [("forest", "a-b", "c"), ("forest", "a", "b-c")],
        [("forest", "Race"), ("forest", "race")],
        [("gap", "עברית"), ("gap", "中文")],
        [("gap", "long" * 20), ("gap", "long" * 21)],
    ],
)
def test_names_of_files_stay_apart(words: list[tuple[str, ...]]) -> None:
    names = [slug(*word) for word in words]
    assert len({name.lower() for name in names}) == len(words)
    assert all(re.fullmatch(r"[a-z0-9_-]{1,130}", name) for name in names)


# The page as text


def test_page_is_complete_in_itself(plain: Path) -> None:
    read = Reader((plain / "index.html").read_text())
    tags = {tag for tag, _ in read.elements}
    assert not tags & {"script", "img", "link", "iframe", "object", "embed", "form"}
    assert not [
        attrs for _, attrs in read.elements if "style" in attrs or any(k.startswith("on") for k in attrs)
    ]
    links = [
        attrs[key] or ""
        for tag, attrs in read.elements
        for key in ("href", "xlink:href", "src")
        if key in attrs
    ]
    assert links
    for link in links:
        assert link.startswith("#") or (plain / link).is_file()
    policy = next(attrs["content"] for tag, attrs in read.elements if attrs.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")


def test_ids_are_unique_and_links_lead_somewhere(plain: Path, hostile: Path, tmp_path: Path) -> None:
    twice = fairness_documents.document()
    twice["comparisons"] += [{**entry, "task": "fmbench_report"} for entry in twice["comparisons"]]
    write(twice, tmp_path)
    for folder in (plain, hostile, tmp_path):
        read = Reader((folder / "index.html").read_text())
        ids = [attrs["id"] for _, attrs in read.elements if "id" in attrs]
        assert len(ids) == len(set(ids))
        regions = [attrs["aria-label"] for _, attrs in read.elements if attrs.get("role") == "region"]
        assert len(regions) == len(set(regions))
        named = [
            (attrs.get("href") or "")[1:]
            for tag, attrs in read.elements
            if (attrs.get("href") or "").startswith("#")
        ]
        named += [word for _, attrs in read.elements for word in (attrs.get("aria-labelledby") or "").split()]
        assert named
        assert set(named) <= set(ids)


def test_tables_have_captions_and_scopes(plain: Path) -> None:
    tags = Reader((plain / "index.html").read_text()).elements
    count = [tag for tag, _ in tags].count
    assert count("table") == count("caption") > 10
    assert all("scope" in attrs for tag, attrs in tags if tag == "th")


def test_page_has_sentences_reasons_cautions_and_signatures(plain: Path) -> None:
    document = fairness_documents.document()
    text = " ".join(Reader((plain / "index.html").read_text()).text.split())
    for entry in document["comparisons"]:
        assert " ".join(entry["sentence"].split()) in text
        assert (
            f"{entry['signature']['id']} | {entry['run']} | {entry['metric']} by {entry['attribute']}" in text
        )
    assert text.count("FMBench-mini is synthetic") == 1
    assert "undefined 1 group of at least 20 patients; two are needed" in text
    assert "asian (17 patients, under the minimum of 20)" in text
    assert "lambda=1.0 deviation=wstd" in text
    assert not CLAIMS.findall(text)


def test_numbers_on_the_page_are_the_documents(plain: Path) -> None:
    document = fairness_documents.document()
    tables = re.findall(r"<table.*?</table>", (plain / "index.html").read_text(), re.DOTALL)
    overview = next(table for table in tables if "over all attributes" in table)
    rows = [cells(row) for row in re.findall(r"<tr>.*?</tr>", overview, re.DOTALL)][1:]
    entries = [entry for entry in document["comparisons"] if entry["metric"] == "token_f1"]
    entries.sort(
        key=lambda entry: list(fairness_documents.GROUPS).index(entry["attribute"])
    )  # stable: runs stay in order
    assert len(rows) == len(entries)
    for row, entry in zip(rows, entries, strict=True):
        if entry["gap"]["value"] is None:
            assert row[-1].startswith("undefined")
            continue
        three = [f"{entry['gap'][key]:.3f}" for key in ("floor", "corrected")]
        expected = [
            entry["run"],
            entry["worst_group"],
            *(both(entry[name]) for name in ("worst", "gap")),
            *three,
        ]
        expected += [
            row[-5],
            f"{entry['detectable']:.3f}",
            *(both(entry[name]) for name in ("ratio", "fap", "es")),
        ]
        assert row[-11:] == expected
        assert float(row[-5]) == pytest.approx(entry["p_holm"], rel=0.05)
    groups = next(table for table in tables if "95% interval" in table)
    first = cells(re.findall(r"<tr>.*?</tr>", groups, re.DOTALL)[1])
    group = next(e for e in entries if e["attribute"] == "race")["groups"]["white"]
    assert first[:5] == ["white", f"{group['value']:.3f}", both(group).split(" ", 1)[1], "152", "456"]


def cells(row: str) -> list[str]:
    found = re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)
    return [" ".join(Reader(cell).text.split()) for cell in found]


def both(entry: dict[str, Any]) -> str:
    return f"{entry['value']:.3f} [{entry['low']:.3f}, {entry['high']:.3f}]"


def test_hostile_names_stay_text(hostile: Path) -> None:
    html = (hostile / "index.html").read_text()
    read = Reader(html)
    assert not {tag for tag, _ in read.elements} & {"script", "img", "b"}
    assert "<script>alert(1)</script>" in read.text
    assert "{{ 7*7 }}" in read.text
    assert "עברית" in read.text
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", html)
    assert len(html) < 2_000_000
    for path in (hostile / "plots").iterdir():
        assert re.fullmatch(r"[a-z0-9_-]+\.(svg|png)", path.name)


# Plots


def test_svg_files_parse_and_say_what_they_show(plain: Path, hostile: Path) -> None:
    for path in [*plain.glob("plots/*.svg"), *hostile.glob("plots/*.svg")]:
        root = ElementTree.parse(path).getroot()
        assert root.get("role") == "img"
        named = {
            child.get("id"): child.text or "" for child in root if child.tag in (f"{SVG}title", f"{SVG}desc")
        }
        assert all(named[name].strip() for name in (root.get("aria-labelledby") or "").split())
        assert {element.tag for element in root.iter()} <= {
            f"{SVG}{tag}"
            for tag in (
                "svg",
                "title",
                "desc",
                "g",
                "path",
                "text",
                "defs",
                "use",
                "clipPath",
                "rect",
                "tspan",
            )
        }


def test_forest_draws_the_documents_numbers() -> None:
    part = part_of()
    picture = fairness_plots.forest(part, "token_f1", "language")
    assert picture is not None
    (axes,) = picture.figure.axes
    lines = [tuple(map(float, line.get_xdata())) for line in axes.lines]
    drawn = sorted(line for line in lines if len(line) == 2 and line[0] != line[1] and line != (0, 1))
    dots = sorted(line[0] for line in lines if len(line) == 1)
    entries = part.of("token_f1", "language")
    shown = [group for e in entries for group in (*e["groups"].values(), e["unknown"], e["overall"])]
    assert drawn == sorted((group["low"], group["high"]) for group in shown)
    assert dots == sorted(group["value"] for group in shown)
    for group in shown:
        assert (
            f"{group['value']:.3f} [{group['low']:.3f}, {group['high']:.3f}] with {group['patients']} patients"
            in picture.alt
        )
    texts = [text.get_text() for text in axes.texts]
    assert {"english", "spanish", "other", "unknown", "all", "149", "31", "9", "11", "200"} <= set(texts)


def test_gaps_are_drawn_with_floor_and_corrected_value() -> None:
    part = part_of(runs=1)
    picture = fairness_plots.gaps(part, "token_f1")
    assert picture is not None
    (axes,) = picture.figure.axes
    dots = sorted(float(line.get_xdata()[0]) for line in axes.lines if len(line.get_xdata()) == 1)
    gaps = [
        e["gap"] for a in part.attributes for e in part.of("token_f1", a) if e["gap"]["value"] is not None
    ]
    assert dots == sorted(gap[key] for gap in gaps for key in ("value", "floor", "corrected"))
    assert [text.get_text() for text in axes.texts].count("undefined") == 1
    assert "ethnicity: undefined" in picture.alt


def test_fap_stands_against_the_overall_score() -> None:
    part = part_of()
    picture = fairness_plots.against_overall(part, "token_f1")
    assert picture is not None
    drawn = sorted(
        (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
        for axes in picture.figure.axes
        for line in axes.lines
        if len(line.get_xdata()) == 1
    )
    entries = [e for a in part.attributes for e in part.of("token_f1", a) if e["fap"]["value"] is not None]
    assert drawn == sorted((e["overall"]["value"], e["fap"]["value"]) for e in entries)


def test_nothing_to_draw_is_no_picture() -> None:
    part = part_of(runs=1)
    assert fairness_plots.against_overall(part, "token_f1") is None
    assert fairness_plots.forest(part, "token_f1", "no such attribute") is None
    for entry in part.entries.values():
        entry["gap"]["value"] = None
    assert fairness_plots.gaps(part, "token_f1") is None


def test_groups_without_values_are_written_not_drawn() -> None:
    picture = fairness_plots.forest(part_of(runs=1), "exact_match", "race")
    assert picture is not None
    assert "undefined" in [text.get_text() for text in picture.figure.axes[0].texts]


def test_own_settings_of_matplotlib_change_nothing_and_are_left_alone(plain: Path) -> None:
    import matplotlib

    before = {**matplotlib.rcParams}
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.facecolor": "red"}):
        picture = fairness_plots.gaps(part_of(), "token_f1")
        assert picture is not None
        assert picture.svg() == (plain / "plots" / "gap-fmbench_vqa-token_f1.svg").read_bytes()
        assert matplotlib.rcParams["font.size"] == 30
    assert {**matplotlib.rcParams} == before


# A browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on PATH: apt-get install chromium")
    switches = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
    ]
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=found, args=[*switches, "--disable-component-update", "--disable-sync"]
        )
        yield browser
        browser.close()


@pytest.mark.browser
@pytest.mark.real("playwright with Chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
@pytest.mark.parametrize("which", ["plain", "hostile"])
def test_page_opens_in_a_browser(
    chromium: Browser, request: pytest.FixtureRequest, which: str, size: tuple[int, int], scheme: Any
) -> None:
    folder: Path = request.getfixturevalue(which)
    context = chromium.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda made: asked.append(made.url))
    page.goto((folder / "index.html").as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert said == []
    assert asked == [(folder / "index.html").as_uri()]
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= size[0], f"the page is {width} px wide on a screen of {size[0]}"
    ground, ink = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert (brightness(ground) > brightness(ink)) is (scheme == "light")
    bars = page.evaluate(
        "[...document.querySelectorAll('figure svg text')].map(each => getComputedStyle(each).fill)"
    )
    assert all((brightness(fill) > 128) is (scheme == "dark") for fill in bars)
    assert page.locator("script, img, iframe").count() == 0
    context.close()


def brightness(colour: str) -> float:
    return sum(map(float, re.findall(r"\d+", colour)[:3])) / 3


@pytest.mark.browser
@pytest.mark.real("playwright with Chromium")
def test_pictures_and_tables_are_there_for_a_screen_reader(chromium: Browser, plain: Path) -> None:
    page = chromium.new_page()
    page.goto((plain / "index.html").as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert page.locator("figure").count() == page.get_by_role("img").count() > 10
    assert (
        page.get_by_role("img", name="token_f1 by language, fmbench_vqa reader_8b: english 0.5").count() == 1
    )
    assert page.get_by_role("rowheader", name="spanish").count() > 0
    assert page.get_by_role("table", name="token_f1 over all attributes").count() == 1
    scrolled = page.evaluate(
        "[...document.querySelectorAll('.scroll')].every(each => each.tabIndex === 0 && each.ariaLabel)"
    )
    assert scrolled
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the results"
    page.close()


@pytest.mark.browser
@pytest.mark.real("playwright with Chromium")
def test_settings_can_be_copied(chromium: Browser, plain: Path) -> None:
    page = chromium.new_page()
    page.goto((plain / "index.html").as_uri())
    text = page.get_by_role("textbox").input_value()
    assert text.startswith("nova-bench ")
    assert text.count("\n") == 3 + len(fairness_documents.document()["comparisons"])
    page.close()


@pytest.mark.browser
@pytest.mark.real("playwright with Chromium")
def test_plots_open_in_a_browser(chromium: Browser, hostile: Path) -> None:
    page = chromium.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    for path in sorted(hostile.glob("plots/*.svg")):
        page.goto(path.as_uri())
        assert page.locator("parsererror").count() == 0
    assert said == []
    page.close()
