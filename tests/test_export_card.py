"""A model card's metadata: huggingface_hub reads back what was written, and what a page must not show is refused."""

from __future__ import annotations

import json
import resource
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import EvalResult, ModelCard, ModelCardData, parse_eval_result_entries
from running import make_set, nova, settings

import nova_bench as nb
from nova_bench.errors import DataError, NovaBenchError, UsageError


class Fixed:
    """Answers always alike, or fails once."""

    def __init__(self, fails: int = 0) -> None:
        self.fails = fails

    def generate(self, requests: Iterable[nb.Request]) -> Iterator[nb.Response]:
        for i, request in enumerate(requests):
            if i < self.fails:
                yield nb.Response(request.id, finish="error", error="down")
            else:
                yield nb.Response(request.id, 'ANSWER: [{"box": [100, 100, 500, 500], "score": 0.5}]')


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> nb.Run:
    home = tmp_path_factory.mktemp("real")
    folder = make_set(home / "set", [1, 2] * 12)
    return nb.evaluate(
        "nova_localization", Fixed(), data=str(folder), out=home / "run", settings=settings(home)
    )


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> nb.Run:
    home = tmp_path_factory.mktemp("mini")
    return nb.evaluate(
        "nova_localization", "symmetry", data="mini", out=home / "run", settings=settings(home)
    )


def test_the_hub_reads_back_every_number_with_interval_and_signature(real: nb.Run, tmp_path: Path) -> None:
    nb.export_run(real, "model-card", out=tmp_path / "card")
    card = ModelCard.load(tmp_path / "card" / "README.md")
    cells = {
        cell["metric"]: cell
        for cell in real.report()["cells"]
        if cell["slice"] == "all" and cell["value"] is not None
    }
    results = card.data.eval_results
    assert results is not None
    assert {result.metric_type for result in results} == set(cells)
    assert results[0].metric_type == "ap50"
    for result in results:
        cell = cells[result.metric_type]
        assert result.metric_value == cell["value"]
        assert result.metric_args is not None
        assert result.metric_args["signature"] == cell["signature"]["id"]
        assert (result.metric_args.get("low"), result.metric_args.get("high")) == (cell["low"], cell["high"])
        assert (result.dataset_type, result.dataset_name, result.dataset_split) == (
            "c-i-ber/Nova",
            "NOVA",
            "test",
        )
        assert result.dataset_args == {"digest": real.plan.data.digest}
        assert result.verified is None
    assert card.data.model_name == real.model


def test_entries_of_the_hubs_leaderboards_are_read_back(real: nb.Run, tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    nb.export_run(real, "model-card", out=tmp_path)
    written = yaml.safe_load((tmp_path / ".eval_results" / "nova_bench.yaml").read_text())
    (entry,) = parse_eval_result_entries(written)
    (cell,) = (cell for cell in real.report()["cells"] if (cell["metric"], cell["slice"]) == ("ap50", "all"))
    assert (entry.dataset_id, entry.task_id, entry.value) == (
        "c-i-ber/Nova",
        "nova_localization",
        cell["value"],
    )
    assert entry.notes is not None
    assert cell["signature"]["id"] in entry.notes
    assert entry.date == json.loads((real.folder / "manifest.json").read_text())["starts"][-1]["time"]


def test_synthetic_data_says_so_in_its_name_and_has_no_entry(mini: nb.Run, tmp_path: Path) -> None:
    document = nb.export_run(mini, "model-card", out=tmp_path / "card")
    results = ModelCard.load(tmp_path / "card" / "README.md").data.eval_results
    assert results
    assert all("synthetic" in result.dataset_name for result in results)
    assert all(result.dataset_type == "nova-mini-synthetic" for result in results)
    assert not (tmp_path / "card" / ".eval_results").exists()
    assert any("its data are synthetic" in note for note in document["notes"])
    assert "no measure of clinical skill" in ModelCard.load(tmp_path / "card" / "README.md").text


def test_tasks_on_one_data_set_stay_apart(mini: nb.Run, tmp_path: Path) -> None:
    caption = nb.evaluate(
        "nova_caption", "symmetry", data="mini", out=tmp_path / "cap", settings=settings(tmp_path)
    )
    nb.export_run([mini, caption], "model-card", out=tmp_path / "card")
    results = ModelCard.load(tmp_path / "card" / "README.md").data.eval_results
    assert results
    names = {(result.task_name, result.dataset_config) for result in results}
    assert names == {("nova_localization", "nova_localization"), ("nova_caption", "nova_caption")}


def test_a_card_that_is_there_keeps_its_text_and_the_results_of_others(real: nb.Run, tmp_path: Path) -> None:
    other = EvalResult("image-text-to-text", "owner/other", "Other", "accuracy", 0.5)
    stale = EvalResult(
        "image-text-to-text",
        "c-i-ber/Nova",
        "NOVA",
        "ap50",
        0.99,
        dataset_config="nova_localization",
        dataset_split="test",
    )
    data = ModelCardData(license="mit", tags=["medical"], model_name="Acme 8B", eval_results=[other, stale])
    (tmp_path / "README.md").write_text(f"---\n{data.to_yaml()}\n---\n# Acme\n\nBy hand.\n")
    for _ in range(2):  # the second time replaces what the first wrote
        nb.export_run(real, "model-card", out=tmp_path / "README.md")
        card = ModelCard.load(tmp_path / "README.md")
        assert (card.data.license, card.data.tags, card.data.model_name) == ("mit", ["medical"], "Acme 8B")
        assert card.text.strip() == "# Acme\n\nBy hand."
        results = card.data.eval_results
        assert results is not None
        values = [
            r.metric_value for r in results if (r.dataset_type, r.metric_type) == ("c-i-ber/Nova", "ap50")
        ]
        assert values == [next(c["value"] for c in real.report()["cells"] if c["metric"] == "ap50")]
        assert [r.metric_value for r in results if r.dataset_type == "owner/other"] == [0.5]
    assert not (tmp_path / ".eval_results").exists()  # a file was asked for


def test_a_damaged_card_is_not_overwritten(real: nb.Run, tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    for text in ("---\n- a list\n---\n", "---\nmodel-index: [{}]\n---\n", "---\na: [\n---\n"):
        path.write_text(text)
        with pytest.raises(DataError, match=r"README\.md"):
            nb.export_run(real, "model-card", out=tmp_path)
        assert path.read_text() == text


def test_a_write_that_fails_leaves_the_card_that_was_there(real: nb.Run, tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("# Acme\n")
    real.report()  # is written to the run's folder, which is not what fails here
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        with pytest.raises(NovaBenchError, match="cannot be written"):
            nb.export_run(real, "model-card", out=path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert path.read_text() == "# Acme\n"
    assert [each.name for each in tmp_path.iterdir()] == ["README.md"]


def test_incomplete_runs_and_several_models_are_refused(real: nb.Run, tmp_path: Path) -> None:
    folder = make_set(tmp_path / "set", [1, 2])
    run = nb.evaluate(
        "nova_localization",
        Fixed(fails=1),
        data=str(folder),
        out=tmp_path / "run",
        settings=settings(tmp_path),
    )
    with pytest.raises(NovaBenchError, match="incomplete"):
        nb.export_run(run, "model-card", out=tmp_path / "card")
    other = nb.evaluate(
        "nova_localization",
        lambda request: "ANSWER: []",
        data=str(folder),
        out=tmp_path / "other",
        settings=settings(tmp_path),
    )
    with pytest.raises(UsageError, match="one model"):
        nb.export_run([real, other], "model-card", out=tmp_path / "card")
    assert not (tmp_path / "card").exists()


def test_a_part_of_a_data_set_says_so(tmp_path: Path) -> None:
    folder = make_set(tmp_path / "set", [1, 2, 1, 2])
    run = nb.evaluate(
        "nova_localization",
        Fixed(),
        data=str(folder),
        limit=2,
        out=tmp_path / "run",
        settings=settings(tmp_path),
    )
    document = nb.export_run(run, "model-card", out=tmp_path / "card")
    results = ModelCard.load(tmp_path / "card" / "README.md").data.eval_results
    assert results
    assert {result.dataset_name for result in results} == {"NOVA, only 2 cases of it"}
    assert any("only 2 cases" in note for note in document["notes"])
    assert not (tmp_path / "card" / ".eval_results").exists()


def test_printed_card_is_the_metadata_alone_and_can_be_pasted(mini: nb.Run, tmp_path: Path) -> None:
    done = nova(tmp_path, "export", mini.folder, "--format", "model-card")
    assert done.returncode == 0, done.stderr
    card = ModelCard(done.stdout)
    assert card.data.eval_results
    assert card.data.model_name == "symmetry"
