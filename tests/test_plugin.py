"""A package of somebody else with an adapter and a task: built, installed beside nova-bench, listed, shown, checked, run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from running import SECRETS, cell

ROOT = Path(__file__).parent.parent
PLUGIN = Path(__file__).parent / "plugin_package"
PLANES = ("axial", "coronal", "sagittal")


class Installation:
    """A virtual environment into which both wheels were installed; their dependencies are those of this interpreter."""

    def __init__(self, folder: Path) -> None:
        wheels = folder / "wheels"
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        build = [*pip, "wheel", "--no-deps", "--wheel-dir", str(wheels), str(ROOT), str(PLUGIN)]
        subprocess.run(build, check=True, capture_output=True, timeout=300)
        self.folder = folder / "venv"
        venv.create(self.folder, with_pip=False)
        python = self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        install = [*pip, "--python", str(python), "install", "--no-deps", "--no-index"]
        subprocess.run(
            [*install, *map(str, wheels.glob("*.whl"))], check=True, capture_output=True, timeout=300
        )
        self.command = python.parent / "nova-bench"
        (purelib,) = {
            sysconfig.get_path(kind, "venv", {"base": str(self.folder), "platbase": str(self.folder)})
            for kind in ("purelib", "platlib")
        }
        # Behind what was installed; a checkout that is installed editable is not seen, because .pth files count in site folders only.
        lent = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
        (Path(purelib) / "lent.pth").write_text("\n".join(lent) + "\n", encoding="utf-8")

    def nova(self, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
        """Run nova-bench as a user does who never saw the checkout."""
        kept = {key: value for key, value in os.environ.items() if key not in (*SECRETS, "PYTHONPATH")}
        folders = {"XDG_CACHE_HOME": str(home / "cache"), "XDG_CONFIG_HOME": str(home / "config")}
        mark = {"ACME_MARK": str(home / "imported"), "COLUMNS": "160", "HF_HUB_OFFLINE": "1"}
        return subprocess.run(
            [str(self.command), *words],
            cwd=home,
            env={**kept, **folders, **mark},
            capture_output=True,
            text=True,
            timeout=300,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation(tmp_path_factory.mktemp("plugin"))


WHOSE = "runs code of acme-medvlm 1.2.3 (acme_medvlm.{})"


def test_plugin_is_listed_and_shown_without_being_run(installed: Installation, tmp_path: Path) -> None:
    listed = installed.nova(tmp_path, "list", "--json")
    assert listed.returncode == 0, listed.stderr
    document = json.loads(listed.stdout)
    adapters = {entry["name"]: entry for entry in document["adapters"] if entry["from"] == "entry point"}
    assert {name: entry["about"] for name, entry in adapters.items()} == {
        "acme_medvlm": "Acme MedVLM",
        "acme_medvlm_brief": "Acme MedVLM",
    }
    assert [entry for entry in document["tasks"] if entry["from"] == "entry point"] == [
        {
            "name": "acme_plane",
            "about": "Name the plane of a slice: axial, coronal or sagittal (Acme).",
            "from": "entry point",
        }
    ]
    shown = installed.nova(tmp_path, "show", "acme_medvlm_brief")
    assert shown.returncode == 0, shown.stderr
    for words in ("names the same plane", "apache-2.0", "capital", "False", "'axial'"):
        assert words in shown.stdout
    task = installed.nova(tmp_path, "show", "acme_plane")
    assert task.returncode == 0, task.stderr
    assert "plane of a slice" in task.stdout
    assert not (tmp_path / "imported").exists()


def test_plugin_is_checked_and_told_whose_code_it_is(installed: Installation, tmp_path: Path) -> None:
    read = installed.nova(
        tmp_path, "check", "--no-run", str(next(installed.folder.rglob("acme_medvlm/adapter.py")))
    )
    assert read.returncode == 0, read.stdout
    assert not (tmp_path / "imported").exists()
    done = installed.nova(tmp_path, "check", "acme_medvlm_brief", "-o", "capital=true", "--json")
    assert done.returncode == 0, done.stdout
    verdict = json.loads(done.stdout)
    assert verdict["passed"]
    assert {"header", "options", "answers", "close", "exit"} <= {
        finding["step"] for finding in verdict["findings"]
    }
    assert done.stderr.startswith(f"nova-bench: {WHOSE.format('adapter:load_brief')}")
    assert (tmp_path / "imported").exists()


def test_plugin_runs_its_own_task_with_its_own_model(installed: Installation, tmp_path: Path) -> None:
    words = ("run", "acme_plane", "--data", "mini", "--model", "acme_medvlm", "-o", "plane=coronal", "--json")
    done = installed.nova(tmp_path, *words)
    assert done.returncode in (0, 1), done.stderr
    before = done.stderr.split("acme_plane:")[0]
    assert WHOSE.format("adapter") in before
    assert WHOSE.format("plane") in before
    (folder,) = {path.parent for path in tmp_path.rglob("report.json")}
    table = pq.read_table(ROOT / "tasks" / "data" / "nova_mini" / "data" / "nova-v1.parquet").to_pylist()
    named = [[plane for plane in PLANES if plane in (row["caption_text"] or "").lower()] for row in table]
    one = [planes[0] for planes in named if len(planes) == 1]
    accuracy = cell(json.loads(done.stdout), "accuracy")
    assert accuracy["value"] == pytest.approx(one.count("coronal") / len(one))
    assert accuracy["n_failed"] == 0 or accuracy["n"] == len(table)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["identity"]["task"] == "acme_plane"
    assert manifest["identity"]["model"]["name"] == "acme_medvlm"
    assert manifest["identity"]["model"]["options"] == {"plane": "coronal"}


def test_plugin_runs_with_what_ships(installed: Installation, tmp_path: Path) -> None:
    plugin_model = installed.nova(
        tmp_path, "run", "nova_caption", "--data", "mini", "--limit", "2", "--model", "acme_medvlm"
    )
    assert plugin_model.returncode == 0, plugin_model.stderr
    assert WHOSE.format("adapter") in plugin_model.stderr
    assert "acme_medvlm.plane" not in plugin_model.stderr
    plugin_task = installed.nova(
        tmp_path, "run", "acme_plane", "--data", "mini", "--limit", "2", "--model", "prior"
    )
    assert WHOSE.format("plane") in plugin_task.stderr
    assert "acme_medvlm.adapter" not in plugin_task.stderr


def test_installation_is_not_the_checkout(installed: Installation, tmp_path: Path) -> None:
    python = installed.command.parent / "python"
    where = subprocess.run(
        [
            str(python),
            "-c",
            "import acme_medvlm, nova_bench; print(nova_bench.__file__); print(acme_medvlm.__file__)",
        ],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert all(Path(path).is_relative_to(installed.folder) for path in where)
