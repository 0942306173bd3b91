"""What holds for every answer: nothing raises, nothing is invented, and the work grows with the length."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from nova_bench.loose_json import MAX_CONTAINERS, MAX_DEPTH, Keyed, Listed, scan
from nova_bench.parse import Diagnosis, parse_boxes, parse_diagnosis, parse_text
from nova_bench.types import STATUSES, Box, Context, Frame, Prediction, Response
from nova_bench.written_boxes import find_boxes

CONTEXT = Context(Frame("xyxy/1000"), ("<think>", "</think>"), ((480, 320),), ((480, 320),))
PIECES = [
    *"[]{}():,;\"'`\\/#*<>|-.\n\t 019eE%",
    *(
        "```",
        "```json",
        "//",
        "/*",
        "*/",
        "<think>",
        "</think>",
        "<box>",
        "</box>",
        "<|box_start|>",
        "<loc_5>",
        "<loc0005>",
        "(1,2),(3,4)",
        "<answer>",
    ),
    *(
        "boxes",
        '"boxes": ',
        "bbox_2d",
        "x_min",
        "score",
        "label",
        "found",
        "false",
        "null",
        "NaN",
        "-inf",
        "1e999",
        "[1, 2, 3, 4]",
    ),
    *(
        "most_likely_diagnosis",
        '"diagnosis": "a"',
        "differential",
        "1. a",
        "Most likely diagnosis:",
        "ANSWER:",
        "no target",
    ),
    *("I'm sorry, I can't help.", "\ud83d", "\u201c", "\0", "\u00e9", "\u0661"),
]
VALID = [
    '{"found": true, "boxes": [[1, 2, 3, 4], [5, 6, 7, 8]]}',
    '```json\n[{"bbox_2d": [1, 2, 3, 4], "label": "mass", "score": 0.5}]\n```\nIt is bright.',
    "[mass]: [1, 2, 3, 4]\n[cyst]: [5, 6, 7, 8]",
    '{"most_likely_diagnosis": "Glioma", "other_possible_diagnoses": ["Abscess", "Lymphoma", "Cyst", "Stroke"]}',
    "Most likely diagnosis: Glioma\n1. Abscess\n2. Lymphoma",
    "<think>hm</think>ANSWER: Axial T2.",
    "<|box_start|>(1,2),(3,4)<|box_end|><loc_1><loc_2><loc_3><loc_4>",
    "<loc0001><loc0002><loc0003><loc0004> mass ; <loc0005><loc0006><loc0007><loc0008> cyst",
    "mass(1,2),(3,4)cyst(5,6),(7,8)",
]
garbage = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
anything = st.text(alphabet=st.characters(), max_size=60)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        gone = draw(st.integers(0, 3))
        text = text[:at] + draw(st.sampled_from(["", *PIECES])) + text[at + gone :]
    return text[: draw(st.integers(0, len(text)))] if draw(st.booleans()) else text


def check_value(parse: Callable[[Response, Context], Prediction], prediction: Prediction) -> None:
    assert prediction.status in STATUSES
    assert all(count > 0 for count in prediction.warnings.values())
    value = prediction.value
    if parse is parse_boxes:
        assert isinstance(value, tuple)
        for box in value:
            assert all(math.isfinite(number) for number in (box.x0, box.y0, box.x1, box.y1, box.score))
            assert box.x1 > box.x0
            assert box.y1 > box.y0
            box.label.encode()
    elif parse is parse_diagnosis:
        assert value is None or (value.candidates[0] == value.most_likely and 1 <= len(value.candidates) <= 5)
    else:
        assert value is None or value.strip() == value != ""
    if prediction.status == "ok" and parse is not parse_boxes:
        assert value is not None
    if prediction.status in ("unparsed", "refused"):
        assert not value


@pytest.mark.parametrize("parse", [parse_boxes, parse_diagnosis, parse_text])
@settings(max_examples=150, deadline=None)
@given(
    text=garbage | anything | mutated(),
    cut=st.booleans(),
    frame=st.sampled_from(["xyxy/1000", "cxcywh/px", "loc/1000"]),
)
@example(text='{"a": [1, 2', cut=True, frame="loc/1000")
@example(text="Differential:", cut=False, frame="loc/1000")
def test_no_answer_raises(
    parse: Callable[[Response, Context], Prediction], text: str, cut: bool, frame: str
) -> None:
    context = Context(Frame(frame), CONTEXT.think, CONTEXT.stored_sizes, ((77, 33),))
    prediction = parse(Response("a", text, "length" if cut else "stop"), context)
    check_value(parse, prediction)
    again = parse(Response("a", text, "length" if cut else "stop"), context)
    assert (again.status, again.value, again.warnings) == (
        prediction.status,
        prediction.value,
        prediction.warnings,
    )


numbers = st.integers(-50, 1100) | st.floats(-50, 1100).map(lambda number: round(number, 2))
boxes = st.lists(st.tuples(numbers, numbers, numbers, numbers), max_size=6)


@settings(max_examples=150)
@given(
    boxes=boxes,
    indent=st.sampled_from([None, 2]),
    before=st.sampled_from(["", "Sure:\n", "</think>"]),
    fenced=st.booleans(),
)
def test_strict_json_is_read_as_a_strict_parser_reads_it(
    boxes: list[Any], indent: int | None, before: str, fenced: bool
) -> None:
    text = json.dumps({"found": bool(boxes), "boxes": boxes}, indent=indent)
    text = before + (f"```json\n{text}\n```\nDone." if fenced else text)
    prediction = parse_boxes(Response("a", text), CONTEXT)
    expected = [box for box in boxes if box[2] > box[0] and box[3] > box[1]]
    got = [(box.x0, box.y0, box.x1, box.y1) for box in prediction.value]
    assert got == [pytest.approx((a * 0.48, b * 0.32, c * 0.48, d * 0.32)) for a, b, c, d in expected]
    assert prediction.warnings.get("inverted", 0) == len(boxes) - len(expected)
    out = sum(not all(0 <= number <= 1000 for number in box) for box in expected)
    assert prediction.warnings.get("out_of_frame", 0) == out
    assert prediction.status == "ok"


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=5), children, max_size=4)
    ),
    max_leaves=12,
)


def plain_value(value: Any) -> Any:
    if isinstance(value, Listed):
        return [plain_value(item) for item in value.items]
    if isinstance(value, Keyed):
        return {key: plain_value(child) for key, child in value.items}
    return value


@settings(max_examples=150)
@given(value=json_values.filter(lambda value: isinstance(value, (list, dict))), escaped=st.booleans())
def test_scan_reads_valid_json_as_it_is(value: Any, escaped: bool) -> None:
    text = json.dumps(value, ensure_ascii=escaped)
    # One difference is meant: a quote before a letter closes nothing, which valid JSON never has outside of strings.
    (root,) = scan(text).roots
    assert plain_value(root.value) == value
    assert (root.start, root.end, root.cut) == (0, len(text), False)


@settings(max_examples=100)
@given(boxes=st.lists(st.tuples(*[st.integers(0, 99)] * 4), min_size=1, max_size=5), data=st.data())
def test_a_cut_answer_keeps_exactly_the_complete_boxes(
    boxes: list[tuple[int, ...]], data: st.DataObject
) -> None:
    text = json.dumps({"boxes": boxes})
    end = data.draw(st.integers(len('{"boxes": ['), len(text) - 1))
    found = find_boxes(text[:end])
    complete = text[len('{"boxes": [') : end].count("]")
    assert [box.numbers for box in found.boxes] == boxes[:complete]
    assert found.cut


NAMES = st.from_regex(r"[A-Z][a-z]{3,8} [a-z]{3,8}", fullmatch=True)


@settings(max_examples=60)
@given(names=st.lists(NAMES, min_size=5, max_size=5, unique_by=str.casefold), data=st.data())
def test_a_cut_diagnosis_keeps_exactly_the_complete_names(names: list[str], data: st.DataObject) -> None:
    text = json.dumps({"most_likely_diagnosis": names[0], "other_possible_diagnoses": names[1:]})
    complete = data.draw(st.integers(1, 5))
    end = text.index(f'"{names[complete - 1]}"') + len(names[complete - 1]) + 2
    prediction = parse_diagnosis(Response("a", text[: data.draw(st.integers(end, end + 4))]), CONTEXT)
    assume(prediction.status != "ok")  # the whole text, where the last name and four more characters end it
    assert prediction.value == Diagnosis(names[0], tuple(names[:complete]))


@given(st.lists(st.tuples(*[st.integers(0, 99)] * 2, *[st.integers(100, 999)] * 2), max_size=4))
def test_boxes_survive_a_change_of_style(boxes: list[tuple[int, ...]]) -> None:
    assume(boxes)
    styles = [
        json.dumps({"boxes": boxes}),
        json.dumps([{"bbox_2d": box, "label": "x"} for box in boxes]),
        "\n".join(json.dumps({"bbox": box}) for box in boxes),
        "\n".join(f"[x]: {list(box)}" for box in boxes),
        repr({"boxes": boxes}),
        "".join(f"<box>({box[0]},{box[1]}),({box[2]},{box[3]})</box>" for box in boxes),
        "".join(f"<loc_{number}>" for box in boxes for number in box),
    ]
    values = [parse_boxes(Response("a", text), CONTEXT).value for text in styles]
    edges = [[(box.x0, box.y0, box.x1, box.y1) for box in value] for value in values]
    assert edges == [edges[0]] * len(styles)
    assert len(edges[0]) == len(boxes)
    assert all(isinstance(box, Box) for value in values for box in value)


FAMILIES = [
    *(
        '["a',
        "['a",
        '{"a',
        '["\\"',
        "[\u201ca",
        "[a:",
        "{a",
        "(1",
        "[(1",
        "[1 a",
        "[1\na",
        "[1/*",
        '{"a" [',
        "[1}",
        "{1]",
    ),
    *(
        "[",
        "{",
        "[[",
        "[{",
        '{"a":',
        '{"boxes":[',
        '{"boxes":[{"box":',
        "```json",
        "```",
        "<think>",
        "</think>",
        "box: [",
        '"',
        "\\",
    ),
    *(
        '\\"',
        "//",
        "/*",
        "#",
        '["',
        '{"',
        "'",
        "['",
        "[1",
        "[1,",
        "[1,2,3,4]",
        "a: [1,2,3,4]\n",
        "[a]: [1,2,3,4]\n",
        "[/*",
        "[//",
    ),
    *(
        '{"bbox":[1,2,3,4]}',
        "<box>",
        "<box>(1,2),(3,4)</box>",
        "<loc_1>",
        "<loc0001>",
        "(1,2),(3,4)",
        "(1,2),",
        "1. a ",
        "- a\n",
        "Diagnosis:\n",
        "Differential: a, ",
    ),
    *(
        "ANSWER:\n",
        " ",
        "\n",
        "*",
        ",",
        "(",
        "a (",
        "</s>",
        "9",
        '{"a":[(a',
        "[(a)",
        "[a ",
        "[a\n",
        "{a:b ",
        "{a:b\n",
        '"a"b',
        "(ab) ",
    ),
]


@pytest.mark.parametrize("family", FAMILIES)
def test_scanning_steps_grow_linearly(family: str) -> None:
    steps = []
    for n in (3_000, 6_000, 12_000):
        text = family * (n // len(family))
        steps.append((scan(text).steps, find_boxes(text).steps))
    for small, large in pairwise(steps):
        assert large[0] <= 2.1 * small[0] + 100
        assert large[1] <= 2.1 * small[1] + 100
    assert steps[-1][1] <= 5 * 12_000


def count_calls(work: Callable[[], object]) -> int:
    """Return how many calls of Python and C functions some work makes: a step count that no code has to keep."""
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    previous = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(previous)
    return calls


@pytest.mark.parametrize("parse", [parse_boxes, parse_diagnosis, parse_text])
@pytest.mark.parametrize("family", FAMILIES)
def test_calls_grow_linearly(parse: Callable[[Response, Context], Prediction], family: str) -> None:
    def calls(n: int) -> int:
        response = Response("a", family * (n // len(family)))
        return count_calls(lambda: parse(response, CONTEXT))

    calls(100)  # fills the caches of compiled patterns
    small, middle, large = calls(1_000), calls(2_000), calls(4_000)
    assert middle <= 2.2 * small + 200
    assert large <= 2.2 * middle + 200


def test_nesting_deeper_than_the_limit_ends_what_is_open() -> None:
    for depth in (MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 10 * MAX_DEPTH):
        text = "[" * depth + "1, 2, 3, 4" + "]" * depth + ' {"boxes": [[5, 6, 7, 8]]}'
        assert find_boxes(text).boxes[-1].numbers == (5, 6, 7, 8)


def test_reading_stops_after_the_limit_of_containers() -> None:
    scanned = scan("[]" * (MAX_CONTAINERS + 5))
    assert scanned.exhausted
    assert len(scanned.roots) == MAX_CONTAINERS
    assert not scan("[]" * MAX_CONTAINERS).exhausted
