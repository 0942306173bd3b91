"""Libraries that come with the pages are what their authors ship, named with version, licence and checksum; our own scripts make no HTML."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

TEMPLATES = Path(__file__).parents[1] / "nova_bench" / "templates"
NOTICE = "LICENSES.txt"


def notices() -> dict[str, dict[str, str]]:
    """Return what is said of each library: its file, name with version, licence, checksum and the licence's text."""
    text = (TEMPLATES / "vendor" / NOTICE).read_text(encoding="utf-8")
    found = {}
    for part in re.split(r"^(?=file: )", text, flags=re.MULTILINE)[1:]:
        keys = dict(re.findall(r"^(file|library|licence|sha256): (.+)$", part, flags=re.MULTILINE))
        found[keys["file"]] = {**keys, "text": part}
    return found


def test_every_library_is_named_with_version_licence_and_checksum() -> None:
    said = notices()
    there = {path.name for path in (TEMPLATES / "vendor").iterdir()} - {NOTICE}
    assert set(said) == there
    assert len(there) >= 3
    for name, notice in said.items():
        digest = hashlib.sha256((TEMPLATES / "vendor" / name).read_bytes()).hexdigest()
        assert notice["sha256"] == digest, name
        assert re.search(r" \d+\.\d+\.\d+ ", notice["library"]), name
        assert re.match(r"MIT|ISC|BSD", notice["licence"]), name
        assert len(notice["text"]) > 1000, f"{name}: the licence's own text is missing"


def test_our_scripts_make_no_html_and_run_no_strings() -> None:
    made = re.compile(
        r"\b(?:innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|DOMParser|createContextualFragment|srcdoc)\b|new Function"
    )
    scripts = sorted(path for path in TEMPLATES.rglob("*.js") if path.parent.name != "vendor")
    assert len(scripts) > 5
    for path in scripts:
        text = path.read_text(encoding="utf-8")
        assert not made.search(text), path.name
        assert len(text.splitlines()) < 400, path.name
