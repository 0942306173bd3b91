"""The report of a run in the terminal: names are harmless, and a count stays a count."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console
from running import nova, settings

import nova_bench as nb
from nova_bench.render import report


def test_bounds_of_a_count_are_whole_numbers_and_a_name_turns_no_line_round(tmp_path: Path) -> None:
    run = nb.evaluate(
        "nova_localization", "prior", data="mini", limit=6, out=tmp_path / "run", settings=settings(tmp_path)
    )
    document = run.report()
    for cell in document["cells"]:
        cell["model"] = "evil\u202emodel"
        cell["bounds"] = [30.0, 52.0] if cell["metric"] == "tp30" else [0.25, 0.5]
    written = io.StringIO()
    Console(file=written, width=140).print(report(document))
    assert "(30..52)" in written.getvalue()
    assert "(0.250..0.500)" in written.getvalue()
    assert "\u202e" not in written.getvalue()


def test_a_comparison_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    for model in ("prior", "symmetry"):
        nb.evaluate(
            "nova_localization",
            model,
            data="mini",
            limit=6,
            out=tmp_path / model,
            settings=settings(tmp_path),
        )
    (tmp_path / "file").write_text("")
    told = nova(tmp_path, "compare", "prior", "symmetry", "--by", "none", "--out", "file/below/compared.json")
    assert told.returncode == 2
    assert "Traceback" not in told.stderr
    assert "--out file/below/compared.json: its folder cannot be made" in told.stderr
