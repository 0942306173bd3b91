"""list, show and errors over adapters and tasks of strangers: nothing of them runs, and nothing of what they say is obeyed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from running import nova

HOSTILE = "Acme\\u001b]0;owned\\u0007\\u001b[2J [red]x[/red] [/] :smile: \\u202egnp.exe\\r\\nadapters:\\u0085\\u2028"
"""A name as TOML writes it: terminal title and clearing, rich markup, a right-to-left override, lines of its own."""
HEADER = f"""\
# /// script
# [tool.nova-bench]
# name = "{HOSTILE}"
# license = "{HOSTILE}"
# url = "{HOSTILE}"
# supervision = "{"x" * 15_000}"
# ///
"""
ADAPTER = """
def load(*, size: int = 300, [name]: str = "\\x1b[31m[red]", **more: str): ...
""".replace("[name]", "place")
TASK = "import nova_bench as nb\nTASK = nb.Task(name='theirs', version=7, about='\\x1b[2J of [red]theirs', prompt=prompt)\n"


def install(folder: Path, mark: Path) -> dict[str, str]:
    """Lay down a package with an adapter and a task that leave a mark when they run; return the environment that has it."""
    runs = f"open({str(mark)!r}, 'w').write(__name__)\n"
    docstring = "'''A stranger\\x1b[2J says [red]hello[/]\u202e.'''\n"
    package = folder / "acme"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(runs)
    (package / "model.py").write_text(HEADER + docstring + runs + ADAPTER, encoding="utf-8")
    (package / "broken.py").write_text("# /// script\n# [tool.nova-bench]\n# \x1b[2J = 1\n# ///\n" + runs)
    (package / "binary.py").write_bytes(b"\xff\xfe\x00")
    (package / "large.py").write_text(HEADER + f"'''{'x' * 2_000_000}'''\n" + runs)
    (package / "theirs.py").write_text(docstring + runs + TASK, encoding="utf-8")
    record = folder / "acme-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    names = ("model", "broken", "binary", "large")
    (record / "entry_points.txt").write_text(
        "[nova_bench.adapters]\n"
        + "".join(f"acme_{name} = acme.{name}\n" for name in names)
        + "acme_unseen = elsewhere.model\n[nova_bench.tasks]\ntheirs = acme.theirs\n"
    )
    files = "".join(f"acme/{path.name},,\n" for path in package.iterdir())
    (record / "RECORD").write_text(files + "acme-1.0.dist-info/METADATA,,\n")
    return {"PYTHONPATH": str(folder)}


def check_harmless(done: subprocess.CompletedProcess[str]) -> None:
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert not set(said) & set("\x1b\x07\r\x85\u2028\u202e")
    assert len(said) < 40_000


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list"], "acme_model"),
        (["list", "adapters"], "acme_large"),
        (["list", "tasks"], "A stranger"),
        (["list", "metrics"], "ap50"),
        (["show", "acme_model"], "[red]x[/red] [/] :smile:"),
        (["show", "acme_model"], "'\\x1b[31m[red]'"),
        (["show", "acme_model"], "acme 1.0 (acme.model)"),
        (["show", "theirs"], "of [red]theirs"),
        (["show", "theirs"], "acme 1.0 (acme.theirs)"),
        (["show", "acme_unseen"], "known only once its code runs"),
        (["show", "ap50"], "what it is"),
        (["show", "no_such_name"], "not found"),
        (["show", "acme_broken"], "nova-bench:"),
        (["show", "acme_binary"], "not UTF-8"),
        (["show", "acme_large"], "at most"),
        (["doctor"], "Python"),
    ],
)
def test_stranger_is_shown_and_neither_run_nor_obeyed(home: Path, words: list[str], said: str) -> None:
    mark = home / "ran"
    done = nova(home, *words, env={**install(home / "site", mark), "COLUMNS": "200"})
    check_harmless(done)
    assert said in done.stdout + done.stderr
    assert not mark.exists()


def test_json_of_a_stranger_is_one_document(home: Path) -> None:
    done = nova(home, "list", "--json", env=install(home / "site", home / "ran"))
    listed = {entry["name"]: entry for entry in json.loads(done.stdout)["adapters"]}
    assert listed["acme_model"]["from"] == "entry point"
    assert listed["acme_model"]["about"].startswith("Acme ]0;owned [2J [red]x[/red]")
    check_harmless(done)


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (HEADER + '"""A model."""\n' + ADAPTER, 0, "size"),
        ('"""A task."""\n' + TASK, 0, "read, not run"),
        ("def load(: ...", 1, "does not parse"),
        ("x = " + "(" * 300 + ")" * 300, 1, "does not parse"),
    ],
)
def test_path_is_shown_and_not_run(home: Path, text: str, code: int, said: str) -> None:
    mark = home / "ran"
    path = home / "a\x1b[2J.py"
    path.write_text(text + f"\nopen({str(mark)!r}, 'w')\n")
    done = nova(home, "show", f"./{path.name}", env={"COLUMNS": "200"})
    check_harmless(done)
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr
    assert not mark.exists()


def test_error_of_a_run_is_harmless(home: Path) -> None:
    path = home / "mine.py"
    path.write_text(HEADER.replace("# url", "# \\u001b") + "def load(): raise ValueError('\\x1b[2J\\x07')\n")
    assert nova(home, "run", "mini", "--model", "./mine.py").returncode == 1
    path.write_text("def load(): raise ValueError('\\x1b[2J\\x07')\n")
    done = nova(home, "run", "mini", "--model", "./mine.py")
    assert "ValueError:  [2J" in done.stderr
    check_harmless(done)


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, str]]:
    return {finding["what"]: finding for finding in json.loads(done.stdout)["findings"]}


def test_doctor_never_says_a_key_and_always_a_remedy(home: Path) -> None:
    keys = {
        "OPENAI_API_KEY": "sk-secret-1",
        "GEMINI_API_KEY": " ",
        "ANTHROPIC_API_KEY": "sk-secret-2\n",
        "HF_TOKEN": "hf_secret",
    }
    done = nova(home, "doctor", "--json", env=keys)
    assert "secret" not in done.stdout + done.stderr
    found = findings(done)
    assert [found[key]["state"] for key in keys if key != "HF_TOKEN"] == ["ok", "lacks", "fault"]
    assert found["GOOGLE_API_KEY"]["state"] == "lacks"
    assert found["hub login"]["state"] == "ok"
    assert found["disk"]["state"] in ("ok", "fault")
    assert all(finding["remedy"] for finding in found.values() if finding["state"] != "ok")
    assert done.returncode == 1


def test_doctor_knows_accepted_licenses(home: Path) -> None:
    lacking = findings(nova(home, "doctor", "--json"))
    what = "licence of NOVA"
    assert lacking[what]["state"] == "lacks"
    path = Path(lacking["configuration folder"]["detail"]) / "licenses.toml"
    path.write_text('"c-i-ber/Nova" = "CC-BY-NC-SA-4.0 2026-01-02"\n')
    assert findings(nova(home, "doctor", "--json"))[what]["detail"] == "accepted: CC-BY-NC-SA-4.0 2026-01-02"
    path.write_text('"c-i-ber/Nova" = "another\\u001b one"\n')
    assert "accepted before: another one" in findings(nova(home, "doctor", "--json"))[what]["detail"]
    path.write_text("no TOML\x1b[2J")
    done = nova(home, "doctor", "--json")
    assert done.returncode == 1
    assert findings(done)["licences"]["state"] == "fault"


def test_doctor_names_a_package_that_is_too_old_or_missing(home: Path) -> None:
    record = home / "site" / "numpy-1.0.dist-info"
    record.mkdir(parents=True)
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 1.0\n")
    (home / "site" / "nltk.py").write_text("raise ImportError('no nltk here')\n")
    done = nova(home, "doctor", "--json", env={"PYTHONPATH": str(home / "site")})
    assert done.returncode == 1
    found = findings(done)
    assert found["numpy"]["detail"] == "numpy is 1.0, expected >=2"
    assert found["numpy"]["remedy"] == 'pip install "numpy>=2"'
    assert found["WordNet"]["state"] == "fault"
