"""Published numbers on a board: each of the tasks has its place, none is invented, and a file that does not fit says so."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import nova_bench as nb
from nova_bench.board.references import references
from nova_bench.catalog import content_root, shipped_tasks

FILE = content_root() / "tasks" / "published.toml"
PLACE = """
[[place]]
task = "nova_caption"
published = "BLEU-4"
beside = ["bleu4"]
url = "https://example.org"
note = "Theirs."
"""


def test_every_figure_of_a_task_has_a_place_and_stands_beside_a_metric_of_it() -> None:
    spellings = {place["task"] for place in tomllib.loads(FILE.read_text())["place"]}
    stated = {
        task.name: {(one.model, one.metric, one.value) for one in task.references} for task in shipped_tasks()
    }
    assert sum(map(len, stated.values())) == 8
    found = {spelling: references(spelling) for spelling in spellings}
    assert {name for name, figures in stated.items() if figures} == spellings
    for spelling, records in found.items():
        shown = {(one["label"], one["published"], one["v"][0]) for one in records}
        assert shown == stated[spelling]
        names = {metric.name for metric in nb.load_task(spelling).metrics}
        for one in records:
            assert one["metric"] in names
            assert (one["kind"], one["v"][1:], one["n"]) == ("paper", [None, None], None)
            assert one["evidence"] == "second-hand"
            assert "2505.14064" in one["source"]
            assert one["note"] == one["note"].strip()
    assert len(references("nova_localization")) == 6  # three models beside two metrics
    assert "3 of them agree" in references("nova_localization")[0]["source"]


def test_number_of_a_judge_stands_beside_each_judge_and_plain_ones_once() -> None:
    found = references("nova_caption", ["openai:gpt-x", "b"])
    assert list(dict.fromkeys(one["metric"] for one in found)) == [
        "clinical_f1(judge=openai:gpt-x)",
        "clinical_f1(judge=b)",
        "bleu4",
        "bleu4(evaluate)",
    ]
    own = {metric.name for metric in nb.load_task("nova_caption").metrics}
    assert {one["metric"] for one in references("nova_caption")} <= own


@pytest.mark.parametrize(
    "spelling", ["nova_diagnosis@inputs=image", "fmbench_vqa", "./evil.py", "../nova_caption", ""]
)
def test_other_variant_and_foreign_name_have_none(spelling: str) -> None:
    assert references(spelling) == []


def test_people_are_marked(tmp_path: Path) -> None:
    path = tmp_path / "published.toml"
    path.write_text(PLACE + 'people = ["Gemini 2.0 Flash"]\n')
    assert [one["kind"] for one in references("nova_caption", file=path)] == ["people"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[[place]]", "[[place"), "cannot be read: .*expected TOML"),
        (("[[place]]", "[place]"), r"expected \[\[place\]\] tables and nothing else"),
        (("[[place]]", "[[number]]"), "has number; expected"),
        (('note = "Theirs."', 'note = " "'), "place 1: note is ' ', expected a text"),
        (('note = "Theirs."', ""), "place 1: note is None, expected a text"),
        (('"https://example.org"', '"javascript:alert(1)"'), "url is 'javascript.*expected https"),
        (('["bleu4"]', '"bleu4"'), "beside is 'bleu4', expected a list of names"),
        (('["bleu4"]', "[]"), "beside names no metric"),
        (("note =", "value = 1\nnote ="), "unknown key 'value'"),
        (('"BLEU-4"', '"BLEU"'), "'BLEU' of nova_caption is in none of .*'BLEU-4', 'Clinical F1'"),
        (('["bleu4"]', '["bleu5"]'), "beside names 'bleu5', which is no metric of the task"),
        (("note =", 'people = ["Anna"]\nnote ='), "people names 'Anna', whose number it is not"),
    ],
)
def test_file_that_does_not_fit_says_where_and_what_was_expected(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    path = tmp_path / "published.toml"
    text = PLACE.replace(*change)
    assert text != PLACE
    path.write_text(text)
    with pytest.raises(nb.NovaBenchError, match=said):
        references("nova_caption", file=path)
    with pytest.raises(nb.NovaBenchError, match="cannot be read"):
        references("nova_caption", file=tmp_path / "gone.toml")
