"""A gallery of broken adapters: each fails `check` with a sentence of its own.

Every file of ``broken_adapters/`` states what has to be found in it::

    # fails: STEP, ...          the steps that fail, and no others; the first one says the words. A last "..." stands for what follows
                                from it: a model that raises at every request has no step that passes
    # not checked: loads        instead: nothing fails, and nothing could be tried
    # words: ...                a piece of the sentence, which is in no other file's
    # timeout: SECONDS          what check is given
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from running import nova

from nova_bench.conformance import check

GALLERY = Path(__file__).parent / "broken_adapters"
KEY = "sk-acme-0123456789abcdef"
FILES = sorted(GALLERY.glob("*.py"))


def stated(path: Path) -> Mapping[str, str]:
    """Return what a file says has to be found in it."""
    lines = re.findall(
        r"(?m)^# (fails|not checked|words|timeout): (.+)$",
        path.read_text(encoding="utf-8").split("# ///\n")[-1],
    )
    return dict(lines)


WORDS = {path.stem: stated(path)["words"] for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_broken_adapter_is_told_what_is_wrong(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BROKEN_API_KEY", KEY)
    monkeypatch.delenv("ACME_BRAIN_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    expected = stated(path)
    state = "fail" if "fails" in expected else "not checked"
    steps = expected["fails" if state == "fail" else "not checked"].split(", ")

    verdict = check(str(path), timeout=float(expected.get("timeout", 60)))

    assert not verdict.passed
    said = [finding for finding in verdict.findings if (finding.step, finding.state) == (steps[0], state)]
    assert [finding.what for finding in said if expected["words"] in finding.what], verdict.findings
    failed = [finding.step for finding in verdict.findings if finding.state == "fail"]
    if steps[-1] == "...":
        assert set(steps[:-1]) <= set(failed), verdict.findings
    else:
        assert sorted(failed) == sorted(steps if state == "fail" else []), verdict.findings
    for finding in said:
        assert finding.remedy
        others = [name for name, words in WORDS.items() if name != path.stem and words in finding.what]
        assert others == []
    assert KEY not in json.dumps(verdict.to_json())
    if state == "not checked":
        assert "pass" not in {finding.state for finding in verdict.findings if finding.step == "answers"}


def test_broken_adapter_ends_the_command_with_one(tmp_path: Path) -> None:
    done = nova(tmp_path, "check", GALLERY / "prints.py", env={"BROKEN_API_KEY": KEY})
    assert done.returncode == 1
    assert "FAIL         standard output: printed to standard output: asked" in done.stdout
    assert "-> remove print()" in done.stdout
    assert "not fit yet" in done.stdout
    assert done.stderr.startswith(f"nova-bench: runs code of {GALLERY / 'prints.py'}, with your rights")


def test_check_looks_for_modules_where_a_run_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shadow = "raise ImportError('this is the file of the folder, not the package')"
    (tmp_path / "colorsys.py").write_text(shadow, encoding="utf-8")
    sound = (GALLERY / "lacks_a_package.py").read_text(encoding="utf-8")
    sound = sound.replace("import a_package_of_acme", "import colorsys")
    sound = sound.replace(
        "return a_package_of_acme.Model()", "return nb.each(lambda request: colorsys.__name__)"
    )
    (tmp_path / "sound.py").write_text(sound, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    verdict = check("./sound.py")
    assert verdict.passed, verdict.findings
