"""Boxes in the many ways in which models write them, and the status of each answer."""

from __future__ import annotations

import pytest

from nova_bench.errors import DataError
from nova_bench.parse import parse_boxes
from nova_bench.types import Context, Finish, Frame, Prediction, Response

SIZE = (1000, 500)
A, B = (100.0, 50.0, 200.0, 100.0), (300.0, 150.0, 400.0, 200.0)
"""What [100, 100, 200, 200] and [300, 300, 400, 400] in thousandths are on an image of 1000 x 500 px."""


Size = tuple[int, int]


def read(
    text: str | None, frame: str = "xyxy/1000", *, finish: Finish = "stop", sent: Size | None = None
) -> Prediction:
    context = Context(Frame(frame), ("<think>", "</think>"), (SIZE,), (sent or SIZE,))
    return parse_boxes(Response("a", text, finish), context)


def corners(prediction: Prediction) -> list[tuple[float, ...]]:
    return [(box.x0, box.y0, box.x1, box.y1) for box in prediction.value]


ONE = [
    '{"boxes": [[100, 100, 200, 200]]}',
    '{"found": true, "boxes": [[100, 100, 200, 200]]}',
    '{"found": true, "boxes": [[100, 100, 200, 200]],}',
    '```json\n{"boxes": [[100, 100, 200, 200]]}\n```',
    '```\n{"boxes": [[100, 100, 200, 200]]}\n```\nThe lesion at [1, 2, 3, 4] is **bright** (see [1]).',
    'Of course! Here it is:\n```json\n{"boxes": [[100, 100, 200, 200]]}\n```\n**Explanation:** "a" {b} [c',
    'I looked twice. {"boxes": [[100, 100, 200, 200]]} That is all.',
    '{"boxes": [\n  [100, 100, 200, 200] // possible mass, left\n]}',
    '{"boxes": [\n  [100, 100, 200, 200], # the only one\n]}',
    '{"boxes": [[100, 100, 200, 200] /* the "only" one] */ ]}',
    '{"boxes": [[100, 100, 200, 200] - left frontal]}',
    "{'found': True, 'boxes': [(100, 100, 200, 200)], 'note': None}",
    "{boxes: [[100, 100, 200, 200]]}",
    "{\u201cboxes\u201d: [[100, 100, 200, 200]]}",
    '{"boxes": [100, 100, 200, 200]}',
    '{"boxes": ["100", "100", "200", "200"]}',
    '{"boxes": ["[100, 100, 200, 200]"]}',
    '{"bbox_2d": [100, 100, 200, 200], "label": "the patient\'s left"}',
    "{'bbox_2d': [100, 100, 200, 200], 'label': 'the patient's left'}",
    '[{"bbox_2d": [100, 100, 200, 200], "label": "mass"}]',
    '[{"box_2d": [100, 100, 200, 200], "label": "mass"}]',
    '{"bbox": [100.0, 1e2, 200, 200]}',
    '{"box": [100, 100, 200, 200]}',
    '{"bounding_box": [100, 100, 200, 200]}',
    '{"Bounding Boxes": [[100, 100, 200, 200]]}',
    '{"bboxes": [[100, 100, 200, 200]]}',
    '{"detections": [{"label": "mass", "box": [100, 100, 200, 200]}]}',
    '{"detections": [{"label": "mass", "region": [100, 100, 200, 200]}]}',
    '{"coordinates": [100, 100, 200, 200]}',
    '{"findings": [{"name": "mass", "where": {"bbox": [100, 100, 200, 200]}}], "image_size": [480, 480, 1, 1]}',
    '{"result": {"abnormalities": [{"bbox": [100, 100, 200, 200]}]}}',
    '{"image_shape": [480, 480, 3, 1], "box": [[100, 100], [200, 200]]}',
    '{"mass": [100, 100, 200, 200]}',
    '{"boxes": {"mass": [100, 100, 200, 200]}}',
    '{"x_min": 100, "y_min": 100, "x_max": 200, "y_max": 200}',
    '{"bbox": {"xmin": 100, "ymin": 100, "xmax": 200, "ymax": 200}}',
    '{"bbox": {"ymin": 100, "xmin": 100, "ymax": 200, "xmax": 200}, "label": "x"}',
    '{"boxes": [{"x1": 100, "y1": 100, "x2": 200, "y2": 200}]}',
    '{"boxes": [{"x0": 100, "y0": 100, "x1": 200, "y1": 200}]}',
    '{"boxes": [{"x": 100, "y": 100, "width": 100, "height": 100}]}',
    '{"boxes": [{"cx": 150, "cy": 150, "w": 100, "h": 100}]}',
    '{"left": 100, "top": 100, "right": 200, "bottom": 200}',
    '{"left": 100, "top": 100, "width": 100, "height": 100}',
    "[[100, 100, 200, 200]]",
    "[100, 100, 200, 200]",
    "[mass]: [100, 100, 200, 200]",
    "- [left frontal mass]: [100, 100, 200, 200]",
    "mass: [100, 100, 200, 200]",
    "1. **Mass:** [100, 100, 200, 200].",
    "Box = [100, 100, 200, 200]",
    "There is a mass at [100, 100, 200, 200] in the frontal lobe.",
    "<box>(100,100),(200,200)</box>",
    "<ref>mass</ref><box>[[100, 100, 200, 200]]</box>",
    "<|object_ref_start|>mass<|object_ref_end|><|box_start|>(100,100),(200,200)<|box_end|>",
    "mass<loc_100><loc_100><loc_200><loc_200>",
    "<loc0100><loc0100><loc0200><loc0200> mass",
    "<loc0100><loc0100><loc0200><loc0200><seg012><seg123> mass",
    "mass(100,100),(200,200)",
    "(100, 100), (200, 200)",
    "The mass is at (100,100),(200,200) of 1000, near (0,0).",
    "<|ref|>The mass<|/ref|><|det|>[[100, 100, 200, 200]]<|/det|>",
    "It is at <|begin_of_box|>[[100,100,200,200]]<|end_of_box|>.",
    "mass[[100, 100, 200, 200]]",
    "<think>{\"boxes\": [[1, 2, 3, 4]]}? No.</think>{'boxes': [[100, 100, 200, 200]]}",
    '[[1, 2, 3, 4]] perhaps, or</think>\n\n{"boxes": [[100, 100, 200, 200]]}',
    '{"boxes": [[100, 100, 200, 200]\n\nThe box holds a mass.',
    '```json\n{"boxes": [[100, 100, 200, 200]]\n```',
    '{"boxes": [[100, 100, 200, 200]}',
    '\\boxed{[100, 100, 200, 200]}',
]  # fmt: skip


@pytest.mark.parametrize("text", ONE)
def test_one_box_is_read_in_every_style(text: str) -> None:
    prediction = read(text)
    assert corners(prediction) == [A]
    assert prediction.status == "ok"
    assert not prediction.warnings


TWO = [
    '{"boxes": [[100, 100, 200, 200], [300, 300, 400, 400]]}',
    '{"boxes": [\n[100, 100, 200, 200], // Right lung, "upper" [lobe]\n[300, 300, 400, 400] // Left\n]}',
    '{"boxes": [[100, 100, 200, 200]\n[300, 300, 400, 400]]}',
    '{"boxes": [[100, 100, 200, 200] - right, [300, 300, 400, 400] - left]}',
    "[[100, 100, 200, 200], [300, 300, 400, 400]]",
    "[100, 100, 200, 200, 300, 300, 400, 400]",
    '{"boxes": [100, 100, 200, 200, 300, 300, 400, 400]}',
    "[100, 100, 200, 200], [300, 300, 400, 400]",
    "[mass]: [100, 100, 200, 200]\n[cyst]: [300, 300, 400, 400]",
    "mass: [100, 100, 200, 200], [300, 300, 400, 400]",
    "Findings:\n* mass: [100, 100, 200, 200]\n* cyst: [[300, 300, 400, 400]]",
    '{"bbox_2d": [100, 100, 200, 200], "label": "a"}\n{"bbox_2d": [300, 300, 400, 400], "label": "b"}',
    '{"bbox_2d": [100, 100, 200, 200]}, {"bbox_2d": [300, 300, 400, 400]}',
    '{"bbox": [100, 100, 200, 200], "bbox": [300, 300, 400, 400]}',
    '1. A mass: {"bbox": [100, 100, 200, 200]}\n2. A cyst: {"bbox": [300, 300, 400, 400]}',
    'A mass:\n```json\n{"bbox": [100, 100, 200, 200]}\n```\nand a cyst:\n```json\n{"bbox": [300, 300, 400, 400]}\n```',
    'A {"label": "mass", "boxes": [[100, 100, 200, 200]]} and a {"label": "cyst", "boxes": [[300, 300, 400, 400]]}.',
    '[{"label": "mass", "boxes": [[100, 100, 200, 200], [300, 300, 400, 400]]}]',
    '{"mass": [100, 100, 200, 200], "cyst": [300, 300, 400, 400]}',
    "<box>(100,100),(200,200)</box> and <box>(300,300),(400,400)</box>",
    "mass<loc_100><loc_100><loc_200><loc_200>cyst<loc_300><loc_300><loc_400><loc_400>",
    "<loc_100><loc_100><loc_200><loc_200><loc_300><loc_300><loc_400><loc_400>",
    "<loc0100><loc0100><loc0200><loc0200> mass ; <loc0300><loc0300><loc0400><loc0400> cyst",
    "mass(100,100),(200,200)cyst(300,300),(400,400)",
    "(100,100),(200,200)(300,300),(400,400)",
    "It is at [100, 100, 200, 200], the other one within [300, 300, 400, 400] in the frontal lobe.",
]


@pytest.mark.parametrize("text", TWO)
def test_two_boxes_are_read_in_every_style(text: str) -> None:
    prediction = read(text)
    assert corners(prediction) == [A, B]
    assert prediction.status == "ok"


NONE = [
    "[]",
    '{"boxes": []}',
    '{"found": false, "boxes": []}',
    '```json\n{"found": false, "boxes": []}\n```\nThis image appears normal.',
    '{"found": false}',
    '{"bbox_2d": null}',
    '{"boxes": "none"}',
    '{"boxes": [null]}',
    '{"boxes": [{"label": "no target"}]}',
    '{"boxes": [], "comment": "nothing seen"}',
    '{"answer": "no target"}',
    "no target",
    "No target.",
    "**no target**",
    "None",
    "[no target]",
    "I do not see any abnormal area in this image.",
    "The brain MRI is unremarkable.",
    "<think>Is it [1, 2, 3, 4]?</think>no abnormality",
    "No lesion is seen, see the references [12, 13, 14, 15] on normal anatomy.",
]


@pytest.mark.parametrize("text", NONE)
def test_an_answer_without_boxes_is_ok(text: str) -> None:
    prediction = read(text)
    assert (prediction.status, prediction.value) == ("ok", ())


@pytest.mark.parametrize(
    ("text", "finish", "status", "n"),
    [
        ('{"boxes": [[100, 100, 200, 200]]}', "filter", "refused", 0),
        (None, "filter", "refused", 0),
        (None, "rejected", "rejected", 0),
        (None, "error", "failed", 0),
        ('{"boxes": [[100, 100, 200, 200]]}', "length", "truncated", 1),
        ('{"boxes": [[100, 100, 200, 200], [300, 3', "length", "truncated", 1),
        ("[mass]: [100, 100, 200, 200]\n[cyst]: [300, 3", "length", "truncated", 1),
        ("no target", "length", "truncated", 0),
        (None, "length", "truncated", 0),
        ("", "stop", "unparsed", 0),
        (None, "stop", "unparsed", 0),
        ("  \n ", "stop", "unparsed", 0),
        ("<think>a</think>", "stop", "unparsed", 0),
        ("<think>it is at [100, 100, 200, 200]", "stop", "truncated", 0),
        ('{"boxes": [[100, 100, 200, 200]]}<think>or', "stop", "truncated", 1),
        ('{"boxes": [[100, 100, 200, 200], [300, 300, 400', "stop", "truncated", 1),
        ('{"boxes": [[100, 100, 200, 200], [300, 300, 400, 40', "stop", "truncated", 1),
        ('```json\n{"boxes": [[100, 100, 200, 200], [300', "stop", "truncated", 1),
        ('[{"bbox_2d": [100, 100, 200, 200], "label": "le', "stop", "truncated", 1),
        ('{"boxes": [100, 100, 200, 200, 300, 3', "stop", "truncated", 1),
        ('[{"x_min": 100, "y_min": 100, "x_max": 200, "y_max": 200}, {"x_min": 3', "stop", "truncated", 1),
        ('{"x_min": 100, "y_min": 100, "x_max": 200, "y_max": 20', "stop", "truncated", 0),
        ('{"boxes": [', "stop", "truncated", 0),
        ("{", "stop", "truncated", 0),
        ('{"found": tr', "stop", "truncated", 0),
        ("<box>(100,100),(200,200)</box><box>(300,", "stop", "truncated", 1),
        ("<box>(100,", "stop", "truncated", 0),
        ("<loc_100><loc_100><loc_200><loc_200><loc_300>", "stop", "truncated", 1),
        ("I'm sorry, but I can't assist with that.", "stop", "refused", 0),
        ('{"error": "I cannot provide a medical diagnosis."}', "stop", "refused", 0),
        ("I'm sorry, but I can't diagnose. {'boxes': [[100, 100, 200, 200]]}", "stop", "ok", 1),
        ("There is a mass in the left frontal lobe.", "stop", "unparsed", 0),
        ("{}", "stop", "unparsed", 0),
        ("- [x] mass\n- [ ] cyst", "stop", "unparsed", 0),
        ('{"label": "mass"}', "stop", "unparsed", 0),
        ("[ymin, xmin, ymax, xmax]", "stop", "unparsed", 0),
        ("The lesion is bright [1], see [2, 3] and [[4]].", "stop", "unparsed", 0),
        ("References: [12, 13, 14, 15]", "stop", "ok", 1),
        ('{"boxes": [[1, 2, 3]]}', "stop", "unparsed", 0),
        ("a mass (see [the", "stop", "unparsed", 0),
    ],
)
def test_status_follows_the_rules(text: str | None, finish: Finish, status: str, n: int) -> None:
    prediction = read(text, finish=finish)
    assert (prediction.status, len(prediction.value)) == (status, n)


@pytest.mark.parametrize(
    ("frame", "numbers"),
    [
        ("xyxy/px", [100, 50, 200, 100]),
        ("yxyx/px", [50, 100, 100, 200]),
        ("xywh/px", [100, 50, 100, 50]),
        ("cxcywh/px", [150, 75, 100, 50]),
        ("xyxy/1", [0.1, 0.1, 0.2, 0.2]),
        ("yxyx/1", [0.1, 0.1, 0.2, 0.2]),
        ("xywh/1", [0.1, 0.1, 0.1, 0.1]),
        ("cxcywh/1", [0.15, 0.15, 0.1, 0.1]),
        ("xyxy/1000", [100, 100, 200, 200]),
        ("yxyx/1000", [100, 100, 200, 200]),
        ("xywh/1000", [100, 100, 100, 100]),
        ("cxcywh/1000", [150, 150, 100, 100]),
        ("xyxy/1024", [102.4, 102.4, 204.8, 204.8]),
        ("yxyx/1024", [102.4, 102.4, 204.8, 204.8]),
        ("xywh/1024", [102.4, 102.4, 102.4, 102.4]),
        ("cxcywh/1024", [153.6, 153.6, 102.4, 102.4]),
        ("loc/1000", [100, 100, 200, 200]),
    ],
)
@pytest.mark.parametrize("form", ['{{"bbox_2d": {}}}', '{{"box_2d": {}}}', "mass: {}"])
def test_numbers_are_read_in_the_declared_frame_whatever_the_key(
    frame: str, numbers: list[float], form: str
) -> None:
    (box,) = corners(read(form.format(numbers), frame))
    assert box == pytest.approx(A)


def test_order_of_the_frame_decides_and_not_the_key() -> None:
    """`box_2d` is Gemini's key and y comes first there; here the frame says otherwise."""
    text = '{"box_2d": [100, 200, 300, 400]}'
    assert corners(read(text, "xyxy/1000")) == [(100, 100, 300, 200)]
    assert corners(read(text, "yxyx/1000")) == [(200, 50, 400, 150)]


@pytest.mark.parametrize("frame", ["yxyx/1000", "xywh/1000", "cxcywh/1000"])
@pytest.mark.parametrize(
    "named",
    [
        '{"ymin": 100, "xmin": 300, "ymax": 200, "xmax": 400}',
        '{"x": 300, "y": 100, "width": 100, "height": 100}',
        '{"x_center": 350, "y_center": 150, "width": 100, "height": 100}',
    ],
)
def test_names_of_single_numbers_state_their_own_order_in_the_unit_of_the_frame(
    frame: str, named: str
) -> None:
    assert corners(read(f'{{"bbox": {named}}}', frame)) == [(300, 50, 400, 100)]


def test_pixels_are_those_of_the_image_as_sent() -> None:
    text = '{"boxes": [[50, 50, 100, 100]]}'
    assert corners(read(text, "xyxy/px", sent=(500, 500))) == [(100, 50, 200, 100)]
    assert corners(read(text, "xyxy/px")) == [(50, 50, 100, 100)]


@pytest.mark.parametrize("frame", ["xyxy/1000", "loc/1000"])
def test_relative_frames_do_not_depend_on_the_size_sent(frame: str) -> None:
    assert corners(read("[[100, 100, 200, 200]]", frame, sent=(77, 33))) == [A]


def test_where_no_image_was_sent_its_own_size_counts() -> None:
    context = Context(Frame("xyxy/px"), None, (SIZE,), ())
    assert corners(parse_boxes(Response("a", "[[10, 10, 20, 20]]"), context)) == [(10, 10, 20, 20)]


@pytest.mark.parametrize(("stored", "sent"), [((), ()), (((0, 5),), ()), (((5, 5),), ((0, 0),))])
def test_boxes_without_an_image_are_a_mistake_of_the_task(
    stored: tuple[Size, ...], sent: tuple[Size, ...]
) -> None:
    with pytest.raises(DataError, match="image"):
        parse_boxes(Response("a", "[[1, 2, 3, 4]]"), Context(Frame("xyxy/1"), None, stored, sent))


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        ('{"boxes": [[200, 100, 100, 200], [100, 100, 200, 200]]}', {"inverted": 1}),
        ('{"boxes": [[100, 200, 200, 100], [100, 100, 200, 200]]}', {"inverted": 1}),
        ('{"boxes": [[100, 100, 100, 200], [100, 100, 200, 200]]}', {"inverted": 1}),
        ('{"boxes": [[NaN, 1, 2, 3], [100, 100, 200, 200], [1, 1, Infinity, 3]]}', {"non_finite": 2}),
        ('{"boxes": [[1, 1, -inf, 1e999], [100, 100, 200, 200]]}', {"non_finite": 1}),
        ('{"boxes": [[1, 2, 3], [100, 100, 200, 200], [1, 2, 3, 4, 5]]}', {"not_four": 2}),
        ('{"boxes": [[100, 100, 200, 200, 0.9], [100, 100, 200, 200]]}', {"not_four": 1}),
        ('{"boxes": [[1, 2, 3, null], [100, 100, 200, 200]]}', {"not_four": 1}),
        ('{"boxes": [[10%, 20%, 30%, 40%], [100, 100, 200, 200]]}', {}),
        ('{"boxes": [{"xmin": 1, "ymin": 2, "xmax": 3}, [100, 100, 200, 200]]}', {"not_four": 1}),
        ('{"boxes": [{"x1": 1, "y1": "?", "x2": 3, "y2": 4}, [100, 100, 200, 200]]}', {"not_four": 1}),
        ("<box>(1,2),(3)</box><box>(100,100),(200,200)</box>", {"not_four": 1}),
        ("<loc_1><loc_2> and <loc_100><loc_100><loc_200><loc_200>", {"not_four": 1}),
    ],
)
def test_what_is_no_box_is_dropped_and_counted(text: str, warnings: dict[str, int]) -> None:
    prediction = read(text)
    assert corners(prediction) == [A]
    assert dict(prediction.warnings) == warnings
    assert prediction.status == "ok"


def test_boxes_out_of_the_frame_are_kept_as_given_and_counted() -> None:
    prediction = read('{"boxes": [[100, 100, 1200, 200], [-10, 100, 200, 200], [100, 100, 200, 200]]}')
    assert corners(prediction) == [(100, 50, 1200, 100), (-10, 50, 200, 100), A]
    assert prediction.warnings == {"out_of_frame": 2}


def test_thousandths_in_a_frame_of_fractions_are_not_reinterpreted() -> None:
    prediction = read('{"boxes": [[100, 100, 200, 200]]}', "xyxy/1")
    assert corners(prediction) == [(100_000, 50_000, 200_000, 100_000)]
    assert prediction.warnings == {"out_of_frame": 1}


@pytest.mark.parametrize(
    "text",
    [
        '{"boxes": [[100, 100, 200, 200], [100, 100, 200, 200]]}',
        '{"bbox": [100, 100, 200, 200]}\n{"bbox": [100, 100, 200, 200]}',
        "mass: [100, 100, 200, 200]\nmass: [100, 100, 200, 200]",
    ],
)
def test_exact_duplicates_are_kept(text: str) -> None:
    assert corners(read(text)) == [A, A]


@pytest.mark.parametrize(
    "text",
    [
        'First: {"boxes": [[1, 2, 3, 4]]}. On reflection: {"boxes": [[100, 100, 200, 200]]}',
        '```json\n{"boxes": [[1, 2, 3, 4]]}\n```\nNo, rather\n```json\n{"boxes": [[100, 100, 200, 200]]}\n```',
        '```json\n{"boxes": []}\n```\nNo, rather\n```json\n[{"bbox_2d": [100, 100, 200, 200]}]\n```',
        '```\n[[1, 2, 3, 4]]\n```\nNo:\n```\n[[100, 100, 200, 200]]\n```\nThe second is final, with {"a": 1} [1, 2, 3, 4].',
        '```json\n{"boxes": [[1, 2, 3, 4]]}\n```\n```json\n{"boxes": [[100, 100, 200, 200]]}\n```\n```python\nprint([1])\n```',
    ],
)
def test_the_last_whole_answer_counts_and_the_earlier_are_reported(text: str) -> None:
    prediction = read(text)
    assert corners(prediction) == [A]
    assert prediction.warnings == {"superseded": 1}


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"boxes": [[100, 100, 200, 200]]}\n```\nIn short: {"boxes": [[1, 2, 3, 4]]}',
        '{"boxes": [[100, 100, 200, 200]]}\nmass: [1, 2, 3, 4]',
        "mass: [100, 100, 200, 200]\nIt is close to [1, 2, 3, 4] in the atlas.",
        '{"boxes": [[100, 100, 200, 200]]}\nNo abnormality elsewhere.',
        "<box>(100,100),(200,200)</box> {'boxes': [[1, 2, 3, 4]]}",
    ],
)
def test_the_more_explicit_form_counts(text: str) -> None:
    assert corners(read(text)) == [A]


def test_a_draft_that_found_something_is_replaced_by_a_final_nothing() -> None:
    prediction = read('Maybe {"boxes": [[1, 2, 3, 4]]}. But it is an artefact: {"found": false, "boxes": []}')
    assert (prediction.status, prediction.value) == ("ok", ())


@pytest.mark.parametrize(
    ("written", "score", "warnings"),
    [
        ('"score": 0.25', 0.25, {}),
        ('"confidence": "87%"', 0.87, {}),
        ('"confidence": 87%', 0.87, {}),
        ('"probability": "0.5"', 0.5, {}),
        ('"conf": 1', 1.0, {}),
        ('"conf": 0', 0.0, {}),
        ('"label": "x"', 1.0, {}),
        ('"score": null', 1.0, {}),
        ('"score": "high"', 1.0, {"bad_score": 1}),
        ('"score": true', 1.0, {"bad_score": 1}),
        ('"score": NaN', 1.0, {"bad_score": 1}),
        ('"score": "inf"', 1.0, {"bad_score": 1}),
        ('"score": [1]', 1.0, {"bad_score": 1}),
        ('"score": {"a": 1}', 1.0, {"bad_score": 1}),
    ],
)
def test_score_is_read_or_one(written: str, score: float, warnings: dict[str, int]) -> None:
    prediction = read(f'{{"bbox": [100, 100, 200, 200], {written}}}')
    assert [box.score for box in prediction.value] == [pytest.approx(score)]
    assert prediction.warnings == warnings


def test_scores_and_labels_beside_a_list_of_boxes_belong_to_it_one_to_one() -> None:
    prediction = read(
        '{"boxes": [[100, 100, 200, 200], [300, 300, 400, 400]], "scores": [0.2, 0.7], "labels": ["a", "b"]}'
    )
    assert [(box.score, box.label) for box in prediction.value] == [(0.2, "a"), (0.7, "b")]


@pytest.mark.parametrize(
    "text",
    [
        '{"bbox": [100, 100, 200, 200], "label": "left mass"}',
        '{"bbox": [100, 100, 200, 200], "name": "left mass"}',
        '{"class": "left mass", "boxes": [[100, 100, 200, 200]]}',
        '{"finding": "left mass", "where": {"bbox": [100, 100, 200, 200]}}',
        '{"left mass": [100, 100, 200, 200]}',
        '["left mass", 100, 100, 200, 200]',
        "[left mass]: [100, 100, 200, 200]",
        "left mass: [100, 100, 200, 200]",
        "2. **left mass**: [100, 100, 200, 200]",
        "left mass<loc_100><loc_100><loc_200><loc_200>",
        "<loc0100><loc0100><loc0200><loc0200> left mass",
        "<loc0100><loc0100><loc0200><loc0200><seg001> left mass\n",
        "left mass(100,100),(200,200)",
        "<ref>left mass</ref><box>(100,100),(200,200)</box>",
    ],
)
def test_label_is_read(text: str) -> None:
    (box,) = read(text).value
    assert box.label == "left mass"


def test_paligemma_names_an_object_behind_its_box() -> None:
    text = "<loc0100><loc0100><loc0200><loc0200> mass ; <loc0300><loc0300><loc0400><loc0400> cyst"
    assert [box.label for box in read(text).value] == ["mass", "cyst"]


@pytest.mark.parametrize(
    "text",
    [
        '<point x="63.5" y="44.5" alt="mass">mass</point>',
        '<points x1="10.5" y1="20.5" x2="30.5" y2="40.5" alt="masses">masses</points>',
        "(100,100),(200,200),(100,200)",
        "Click(100, 200)",
        "from (100,100) to (200,200)",
        "<phrase>a mass</phrase><object><patch_index_0044><patch_index_0863></object>",
    ],
)
def test_points_and_outlines_are_no_boxes(text: str) -> None:
    prediction = read(text)
    assert not prediction.value
    assert prediction.status == "unparsed"


def test_brackets_go_before_a_pair_of_points() -> None:
    assert corners(read("The mass [100, 100, 200, 200] spans (1,1),(9,9).")) == [A]
    assert read("No target. The image spans (0,0),(1000,1000).").value == ()


def test_repeated_brackets_end_the_reading_and_not_the_program() -> None:
    for text in ("[" * 10_000_000, '{"boxes": ' * 110_000):
        assert read(text).status == "truncated"
