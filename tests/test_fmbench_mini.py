"""FMBench-mini: its schema, its groups, its size, that texts say what pictures show, and that its script still builds what is committed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from scipy import stats

from nova_bench.demographic_terms import blind

FOLDER = Path(__file__).resolve().parent.parent / "tasks" / "data" / "fmbench_mini"
SIZE = (320, 256)
WHO = ["gender", "race", "ethnicity", "language", "age"]
COLUMNS = {
    "vqa": ["id", "patient_id", "image_path", "category", "question", "answer", *WHO],
    "report": ["id", "patient_id", "image_path", "report", *WHO],
}
CATEGORIES = {"diagnosis", "testing or treatment", "medical condition"}


def read(folder: Path, name: str) -> list[dict[str, Any]]:
    """Read a table, in the file's order."""
    return pq.read_table(folder / f"{name}.parquet").to_pylist()


def pixels(path: Path) -> np.ndarray:
    """Decode a picture."""
    with Image.open(path) as image:
        assert (image.size, image.mode, image.format) == (SIZE, "L", "JPEG")
        return np.asarray(image)


@pytest.fixture(scope="module")
def questions() -> list[dict[str, Any]]:
    return read(FOLDER, "vqa")


@pytest.fixture(scope="module")
def reports() -> list[dict[str, Any]]:
    return read(FOLDER, "report")


@pytest.fixture(scope="module")
def scripts() -> Iterator[dict[str, Any]]:
    """The modules that build the set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        patch.setattr(sys, "dont_write_bytecode", True)
        import fundus
        import patients

        yield {"patients": patients, "fundus": fundus}
        for name in ("patients", "fundus"):
            sys.modules.pop(name)


@pytest.fixture(scope="module")
def findings(scripts: dict[str, Any]) -> dict[str, Any]:
    """What each patient's eye shows, by patient id."""
    return {patient.id: patient.findings for patient in scripts["patients"].draw()}


@pytest.mark.parametrize("name", ["vqa", "report"])
def test_schema(name: str) -> None:
    schema = pq.read_schema(FOLDER / f"{name}.parquet")
    assert schema.names == COLUMNS[name]
    assert {str(field.type) for field in schema if field.name != "age"} == {"string"}
    assert str(schema.field("age").type) == "int64"


def test_ids_are_unique_and_tell_the_patient(
    questions: list[dict[str, Any]], reports: list[dict[str, Any]]
) -> None:
    assert sorted(row["id"] for row in reports) == [f"p{i + 1:04d}" for i in range(240)]
    assert len({row["id"] for row in questions}) == len(questions)
    by_patient = defaultdict(list)
    for row in questions:
        patient, number = row["id"].split("-q")
        assert patient == row["patient_id"]
        by_patient[patient].append((int(number), row["category"]))
    assert set(by_patient) == {row["id"] for row in reports}
    for asked in by_patient.values():
        assert sorted(number for number, _ in asked) == list(range(1, len(asked) + 1))
        assert len(asked) in (3, 4, 5)
        assert {category for _, category in asked} == CATEGORIES


def test_no_patient_is_asked_the_same_twice(questions: list[dict[str, Any]]) -> None:
    assert len({(row["patient_id"], row["question"]) for row in questions}) == len(questions)


def test_row_order_is_a_trap(questions: list[dict[str, Any]]) -> None:
    ids = [row["id"] for row in questions]
    assert sum(a == b for a, b in zip(ids, sorted(ids), strict=True)) < len(ids) / 20


def test_groups_are_as_uneven_as_in_life(reports: list[dict[str, Any]]) -> None:
    counts = {name: Counter(row[name] for row in reports) for name in WHO[:-1]}
    assert counts["race"] == {"white": 184, "black": 36, "asian": 20}
    assert counts["gender"] == {"female": 137, "male": 103}
    assert counts["ethnicity"] == {"non-hispanic": 221, "hispanic": 10, None: 9}
    assert counts["language"] == {"english": 219, "other": 12, "spanish": 5, None: 4}
    ages = [row["age"] for row in reports if row["age"] is not None]
    assert len(reports) - len(ages) == 3
    assert min(ages) >= 18
    assert max(ages) <= 95
    assert np.mean(ages) == pytest.approx(64, abs=2)


def test_both_tables_agree_on_the_patients(
    questions: list[dict[str, Any]], reports: list[dict[str, Any]]
) -> None:
    known = {row["patient_id"]: row for row in reports}
    for row in questions:
        assert all(row[name] == known[row["patient_id"]][name] for name in ("image_path", *WHO))


def test_images_are_those_of_the_tables(reports: list[dict[str, Any]]) -> None:
    on_disk = {f"images/{path.name}" for path in (FOLDER / "images").iterdir()}
    assert on_disk == {row["image_path"] for row in reports}
    seen = set()
    for row in reports:
        image = pixels(FOLDER / row["image_path"])
        assert image.std() > 8
        seen.add(image.tobytes())
    assert len(seen) == len(reports)


def test_size() -> None:
    files = [f for f in FOLDER.rglob("*") if f.is_file() and "__pycache__" not in f.parts]
    assert sum(f.stat().st_size for f in files) <= 3_000_000


def expected(question: str, f: Any) -> set[str]:
    """Return the answers that the findings allow, worked out anew from what was drawn."""
    upper, lower = (rim < 0.1 for rim in f.rims)
    ratio = f"{1 - f.rims[0] - f.rims[1]:.1f}"
    has = "yes" if upper or lower else "suspect" if f.haemorrhage or ratio >= "0.6" else "no"
    many, poor = f.drusen == "many", f.quality == "poor"
    yes_no = {True: {"Yes"}, False: {"No"}}
    asked = question.lower()
    if "degeneration" in asked:
        return yes_no[many]
    if "where is the disc haemorrhage" in asked or "at which place" in asked:
        assert f.haemorrhage
        return {f"At the {f.haemorrhage} disc margin."}
    if "haemorrhage" in asked or "bleed" in asked:
        return yes_no[f.haemorrhage is not None]
    if "atrophy" in asked:
        return yes_no[f.atrophy]
    if "drusen" in asked:
        return yes_no[f.drusen != "none"]
    if "repeated" in asked:
        return yes_no[poor]
    if "cup" in asked:
        return {ratio}
    if "rim" in asked:
        how = {(True, True): "thinned superiorly and inferiorly", (True, False): "thinned superiorly"}
        how |= {(False, True): "thinned inferiorly", (False, False): "intact"}
        return {f"The rim is {how[upper, lower]}."}
    if "quality" in asked:
        limits = {"eyelash shadow": "eyelash shadows", "blink band": "a blink"}
        why = "" if f.limit is None else f", limited by {limits.get(f.limit, f.limit)}"
        return {f.quality.capitalize() + why}
    if "which eye" in asked or "left" in asked:
        return {f.eye.capitalize()}
    if "macula" in asked:
        return {
            {
                "none": "The macula is normal without drusen.",
                "few": "The macula shows a few drusen.",
                "many": "The macula shows many drusen.",
            }[f.drusen]
        }
    if "seen again" in asked or "visit" in asked:
        return {{"yes": "3 months", "suspect": "6 months", "no": "12 months"}[has]}
    if "treat" in asked:
        start = {"yes": "Eye drops", "suspect": "No treatment for now", "no": "No treatment is needed"}[has]
        return {answer for answer in ANSWERS if answer.startswith(start)}
    if "test" in asked or "examined" in asked:
        if poor:
            return {"The picture should be repeated because its quality is poor."}
        start = {"yes": "Visual field", "suspect": "OCT of the nerve fibre layer and", "no": "No further"}[
            has
        ]
        start = "OCT of the macula" if has == "no" and many else start
        return {answer for answer in ANSWERS if answer.startswith(start)}
    if "diagnos" in asked:
        nerve = {"yes": "Glaucoma", "suspect": "Glaucoma suspect", "no": ""}[has]
        both = f"{nerve} and early dry macular degeneration" if nerve else "Early dry macular degeneration"
        return {both if many else nerve or "No eye disease"}
    assert "glaucoma" in asked
    return {{"yes": "Yes", "suspect": "Suspected", "no": "No"}[has]}


ANSWERS = (
    "Eye drops that lower the eye pressure are recommended.",
    "No treatment for now, only monitoring.",
    "No treatment is needed.",
    "Visual field testing and OCT of the nerve fibre layer are recommended.",
    "OCT of the nerve fibre layer and a measurement of the eye pressure are recommended.",
    "OCT of the macula is recommended.",
    "No further test is needed.",
)


def test_answers_follow_from_the_findings(questions: list[dict[str, Any]], findings: dict[str, Any]) -> None:
    wrong = [
        row["id"]
        for row in questions
        if {row["answer"]} != expected(row["question"], findings[row["patient_id"]])
    ]
    assert wrong == []


def test_yes_and_no_are_both_common(questions: list[dict[str, Any]]) -> None:
    closed = Counter(row["answer"] for row in questions if row["answer"] in ("Yes", "No"))
    assert min(closed.values()) > 0.35 * sum(closed.values())


def test_notes_follow_from_the_findings(reports: list[dict[str, Any]], findings: dict[str, Any]) -> None:
    for row in reports:
        text, f = row["report"], findings[row["id"]]
        assert 2 <= len(re.findall(r"\.(?=\s|$)", text)) <= 5
        assert re.findall(r"\d\.\d", text) == [f"{1 - sum(f.rims):.1f}"]
        assert ("haemorrhage" in text) == (f.haemorrhage is not None)
        assert f.haemorrhage is None or f.haemorrhage in text
        assert ("drusen" in text) == (f.drusen != "none")
        assert ("atrophy" in text) == f.atrophy
        assert ("Image quality" in text) == (f.quality != "good")
        assert f"{f.eye} eye" in text.lower()
        assert ("thinned" in text) == bool(f.thin)
        assert {"yes": "3 months", "suspect": "6 months", "no": "12 months"}[f.glaucoma] in text


def test_no_text_tells_who_the_patient_is(
    questions: list[dict[str, Any]], reports: list[dict[str, Any]]
) -> None:
    words = re.compile(
        r"\b(he|she|his|her|him|hers|mr|mrs|ms|men|women|man|woman|males?|females?|gentleman|lady|gender|race|ethnic\w*|white|black"
        r"|asian|african|american|caucasian|hispanic|latin\w*|spanish|english|language|interpret\w*|aged?|years?|old|elderly|young)\b",
        re.IGNORECASE,
    )
    texts = [row["report"] for row in reports]
    texts += [row[name] for row in questions for name in ("question", "answer")]
    for text in set(texts):
        assert words.search(text) is None, text
        assert blind(text) == text


def age_bin(age: int | None) -> str | None:
    return (
        None
        if age is None
        else "<50"
        if age < 50
        else "50-64"
        if age < 65
        else "65-79"
        if age < 80
        else ">=80"
    )


@pytest.mark.parametrize("attribute", WHO)
def test_findings_do_not_depend_on_who_the_patient_is(
    attribute: str,
    questions: list[dict[str, Any]],
    reports: list[dict[str, Any]],
    findings: dict[str, Any],
) -> None:
    asked = Counter(row["patient_id"] for row in questions)
    outcomes = {
        "glaucoma": lambda p: findings[p].glaucoma,
        "haemorrhage": lambda p: findings[p].haemorrhage is not None,
        "drusen": lambda p: findings[p].drusen,
        "atrophy": lambda p: findings[p].atrophy,
        "quality": lambda p: findings[p].quality,
        "eye": lambda p: findings[p].eye,
        "questions": lambda p: asked[p],
    }
    groups = [age_bin(row["age"]) if attribute == "age" else row[attribute] for row in reports]
    known = [i for i, group in enumerate(groups) if group is not None]
    for name, outcome in outcomes.items():
        values = [str(outcome(reports[i]["id"])) for i in known]
        table = stats.contingency.crosstab(np.array([groups[i] for i in known]), np.array(values)).count
        assert stats.chi2_contingency(table, correction=False).pvalue > 0.05, name


@pytest.mark.parametrize("attribute", ["gender", "race"])
def test_pictures_do_not_depend_on_who_the_patient_is(attribute: str, reports: list[dict[str, Any]]) -> None:
    measured: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for row in reports:
        image = pixels(FOLDER / row["image_path"]).astype(float)
        measured[row[attribute]].append(
            (image.mean(), image.std(), float(np.abs(np.diff(image, axis=1)).mean()))
        )
    for column in range(3):
        parts = [[values[column] for values in group] for group in measured.values()]
        assert stats.kruskal(*parts).pvalue > 0.01


def test_drawn_cup_has_the_ratio_that_the_texts_tell(scripts: dict[str, Any]) -> None:
    patients, fundus = scripts["patients"], scripts["fundus"]
    for patient in patients.draw():
        geometry = np.random.default_rng([patients.SEED, 3, int(patient.id[1:])]).spawn(2)[0]
        drawn = fundus.drawn_ratio(patient.findings, geometry)
        assert drawn == pytest.approx(patient.findings.exact_ratio, abs=0.03)
        assert abs(drawn - float(patient.findings.ratio)) < 0.07
        # No rim lies where "thinned" and "intact" could both be meant.
        assert all(rim < 0.095 or rim > 0.105 for rim in patient.findings.rims)


def test_readme_says_what_it_is_not() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "Synthetic" in text
    assert "no measure of" in text


def test_script_builds_what_is_committed(
    tmp_path: Path, questions: list[dict[str, Any]], reports: list[dict[str, Any]]
) -> None:
    """Rebuild the tables and the first pictures twice: the two agree to the byte, and with the committed files to rounding."""
    for name in ("a", "b"):
        command = [sys.executable, str(FOLDER / "build.py"), "--out", str(tmp_path / name), "--patients", "6"]
        subprocess.run(
            command, check=True, capture_output=True, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
        )
    for name, committed in (("vqa", questions), ("report", reports)):
        assert read(tmp_path / "a", name) == committed
        files = [(tmp_path / folder / f"{name}.parquet").read_bytes() for folder in "ab"]
        assert files[0] == files[1]
    made = sorted((tmp_path / "a" / "images").iterdir())
    assert [path.name for path in made] == [f"p{i + 1:04d}.jpg" for i in range(6)]
    for path in made:
        assert path.read_bytes() == (tmp_path / "b" / "images" / path.name).read_bytes()
        # Other versions of NumPy, SciPy and the JPEG library may round otherwise, by a few grey levels here and there.
        difference = pixels(path).astype(int) - pixels(FOLDER / "images" / path.name)
        assert np.mean(difference != 0) < 0.01
        assert np.abs(difference).max() <= 4
