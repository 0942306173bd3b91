"""One or two runs as a folder of pages on which every sample can be looked at; no network, no server, and nothing of gated data leaves it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nova_bench import __version__
from nova_bench.errors import UsageError
from nova_bench.fairness_view import safe
from nova_bench.prepare import Settings
from nova_bench.run import Run, open_run
from nova_bench.viewer.files import PAGE, Chunks, beside, check_place, put_in_place
from nova_bench.viewer.index import Gathered, labels_of, write_index
from nova_bench.viewer.lines import lines_of
from nova_bench.viewer.numbers import numbers_of, shared, value_at
from nova_bench.viewer.pictures import FOLDER, NOTICE, Pictures, notice_of, why_not_copied

TEMPLATES = Path(__file__).parent.parent / "templates"
ASSETS = (
    *("assets/page.css", "assets/page.js", "vendor/panzoom.min.js", "view/view.css"),
    *("view/view.js", "view/view_list.js", "view/view_stage.js", "view/view_detail.js"),
)


def view(
    run: Run | Path | str,
    other: Run | Path | str | None = None,
    *,
    out: Path | str | None = None,
    embed_images: bool = False,
    data: str | None = None,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Write pages on which every sample of a run can be looked at, alone or beside another run's answers.

    Pictures are shown from where they are: the page refers to the user's own copy. Copies are made of synthetic data, and on request where the
    data set's licence allows it. What an earlier call wrote to the folder is replaced.

    Args:
        run: A run, or its folder.
        other: Another of the same task and data set.
        out: The folder; ``view`` in the run's own by default.
        embed_images: Copy the pictures too, so that the folder can be moved and passed on.
        data: Where the data set is now, for runs that are given as folders.
        settings: Cache and configuration folders, for runs that are given as folders.

    Returns:
        ``page``, ``samples``, ``runs``, ``private`` and how many pictures were ``copied``, ``referenced`` and ``not_shown``.

    Raises:
        UsageError: The runs do not go together, the folder holds other files, or pictures may not be copied.
        NovaBenchError: A run cannot be opened.
    """
    given = [run] if other is None else [run, other]
    runs = [one if isinstance(one, Run) else open_run(one, data=data, settings=settings) for one in given]
    _check_together(runs)
    opened = runs[0].plan.data
    reason = why_not_copied(opened)
    if embed_images and reason is not None:
        raise UsageError(
            f"--embed-images: {reason}. Leave it out: the page then shows them from where they are"
        )
    out = Path(out) if out is not None else runs[0].folder / "view"
    check_place(out)
    made = beside(out)
    try:
        pictures = Pictures(made, copies=embed_images or opened.is_synthetic)
        gathered, chunks = Gathered(runs), Chunks(made)
        numbers = shared([numbers_of(one) for one in runs])
        for line in lines_of(runs, pictures):
            gathered.add(line)
            for place, (row, answer) in enumerate(zip(line.rows, line.detail["runs"], strict=True)):
                if answer is not None:
                    answer["scores"] = [value_at(found[place], row) for _, found in numbers]
            chunks.add(line.detail)
        chunks.flush()
        counts = pictures.counts()
        if counts["copied"]:
            (made / FOLDER / NOTICE).write_text(notice_of(opened), encoding="utf-8")
        write_index(made, runs, gathered, numbers, starts=chunks.starts, pictures=counts)
        _write_page(made, runs)
        put_in_place(made, out, is_private=opened.is_gated)
    except OSError as error:
        raise UsageError(f"the pages cannot be written to {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return {
        "schema_version": 1,
        "page": str(out / PAGE),
        "task": runs[0].plan.spelling,
        "runs": [
            {"label": label, "folder": str(one.folder)}
            for label, one in zip(labels_of(runs), runs, strict=True)
        ],
        "samples": len(gathered.ids),
        "private": opened.is_gated,
        "pictures": counts,
    }


def _check_together(runs: Sequence[Run]) -> None:
    """Refuse two runs that were not asked about the same samples."""
    first = runs[0]
    for run in runs[1:]:
        if run.folder.resolve() == first.folder.resolve():
            raise UsageError(f"{run.folder} is given twice; give two runs, or one")
        if run.plan.task.name != first.plan.task.name:
            raise UsageError(
                f"{first.folder} is a run of {first.plan.task.name} and {run.folder} one of {run.plan.task.name}; give two runs of one task"
            )
        if run.plan.data.digest != first.plan.data.digest:
            raise UsageError(
                f"{first.folder} and {run.folder} were run on different data ({first.plan.data.digest[:12]} and {run.plan.data.digest[:12]}); "
                "give two runs on the same data set"
            )


def _write_page(folder: Path, runs: Sequence[Run]) -> None:
    """Write the page itself, and copy what it loads."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    labels = [safe(label, 60) for label in labels_of(runs)]
    html = environment.get_template("view/view.html").render(
        task=safe(runs[0].plan.spelling, 80), labels=labels, version=__version__
    )
    (folder / PAGE).write_text(html, encoding="utf-8", errors="replace")
    for name in ASSETS:
        kind = "vendor" if name.startswith("vendor/") else "assets"
        (folder / kind).mkdir(exist_ok=True)
        shutil.copyfile(TEMPLATES / name, folder / kind / Path(name).name)
