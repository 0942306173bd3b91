"""docs/adapters.md: its commands run, and what it says of adapters, options and keys is what they say themselves."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from loopback import serve
from running import final_ids, nova

from nova_bench.catalog import load_model
from nova_bench.errors import UsageError

PAGE = Path(__file__).parent.parent / "docs" / "adapters.md"
TEXT = PAGE.read_text(encoding="utf-8")
ADDRESS = "http://localhost:8000/v1"
HOSTED = ("openai", "gemini", "anthropic")


def section(title: str) -> str:
    """Return the text below a heading, down to the next one of its level or above."""
    level = len(title) - len(title.lstrip("#"))
    (_, after) = TEXT.split(f"\n{title}\n")
    return re.split(rf"\n#{{1,{level}}} ", after)[0]


def rows(text: str) -> list[list[str]]:
    """Return the cells of a section's tables, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    tables = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]
    return [
        row
        for i, row in enumerate(tables)
        if not set(row[0]) <= set("-") and not (i + 1 < len(tables) and set(tables[i + 1][0]) == {"-"})
    ]


def test_commands_of_the_page_run_one_after_the_other(tmp_path: Path) -> None:
    (prices,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "prices.toml").write_text(prices)
    commands = re.findall(r"```console\n\$ nova-bench (.*?)\n```", TEXT)
    assert len(commands) == 4
    kept: list[int] = []
    calls: list[int] = []
    folder = tmp_path / "runs" / "openai-my-model" / "nova_localization"
    with serve() as (url, server):
        for line in commands:
            assert ADDRESS in line
            done = nova(tmp_path, *shlex.split(line.replace(ADDRESS, url)))
            assert done.returncode == 0, done.stderr
            kept.append(len(final_ids(folder)))
            calls.append(server.stats.calls)
    assert kept[0] == calls[0] == 0  # the dry run
    assert 0 < kept[1] < kept[2] == kept[3]
    assert kept == calls  # nothing is asked twice
    account = json.loads((folder / "usage.json").read_text())["usage"]["model"]
    assert account["cost_usd"] == pytest.approx((11 * 2.0 + 7 * 8.0) * kept[3] / 1e6)


@pytest.mark.parametrize("adapter", HOSTED)
def test_page_names_every_option_and_its_default(adapter: str) -> None:
    source = (PAGE.parent.parent / "adapters" / f"{adapter}.py").read_text(encoding="utf-8")
    (signature,) = re.findall(r"def load\(\n    \*,\n(.*?)\) ->", source, re.DOTALL)
    found = dict(re.findall(r"^    (\w+): \w+ = (.*),$", signature, re.MULTILINE))
    common = {row[0]: row[1] for row in rows(section("## Options").split("### openai")[0])}
    own = {row[0]: row[1] for row in rows(section(f"### {adapter}"))}
    assert set(found) == set(common) | set(own)
    for name, default in (
        own | {key: common[key] for key in ("deadline", "attempt_timeout", "concurrency")}
    ).items():
        said = found[name].strip('"').removesuffix(".0")
        assert default == (said.lower() if said in ("True", "False") else said), name
    (transport,) = re.findall(r"^# transport = (\[.*\])$", source, re.MULTILINE)
    sentence = TEXT[TEXT.index("Options that say where and how to ask") :].split(")")[0]
    assert set(json.loads(transport)) == set(re.findall(r"`(\w+)`", sentence))


@pytest.mark.parametrize("adapter", HOSTED)
def test_page_names_extra_key_and_frame(adapter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (row,) = (row for row in rows(section("## Which adapter")) if row[0] == adapter)
    _, _, install, key, frame = row
    assert install == f'pip install "nova-bench[{adapter}]"'
    for variable in ("OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(UsageError) as raised:
        load_model(f"{adapter}:m", {})
    assert f"set the environment variable {key.replace('`', '')}," in str(raised.value)
    assert load_model(f"{adapter}:m", {"base_url": "http://localhost:1"}).card.frame.name == frame


def test_options_of_the_command_line_exist(tmp_path: Path) -> None:
    offered = set(re.findall(r"--[a-z][a-z-]+", nova(tmp_path, "run", "--help").stdout))
    named = set(re.findall(r"--[a-z][a-z-]+", TEXT))
    assert named <= offered
    assert named >= {
        "--dry-run",
        "--max-cost",
        "--max-total-tokens",
        "--max-hours",
        "--prices",
        "--cache",
        "--allow-hosted",
    }


def test_states_are_those_of_the_engine() -> None:
    from nova_bench.types import STATUSES

    assert [row[0] for row in rows(section("## What becomes of an answer"))] == list(STATUSES)


def test_statuses_that_are_asked_again_are_those_of_the_scheduler() -> None:
    from nova_bench.backends.retry import TRANSIENT_STATUSES

    (row,) = (row for row in rows(section("## While it runs")) if row[0].startswith("408"))
    first, last = re.findall(r"(\d+) to (\d+)", row[0])[0]
    assert (
        set(map(int, re.findall(r"\d{3}", row[0]))) | set(range(int(first), int(last))) == TRANSIENT_STATUSES
    )
