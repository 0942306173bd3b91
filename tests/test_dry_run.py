"""A dry run sends nothing and writes nothing, counts what a run would ask, and shows no secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fmbench_set import make_built
from loopback import Plan as ServerPlan
from loopback import serve
from running import make_set, nova, settings

import nova_bench as nb
from nova_bench.dry_run import MEASURED, image_tokens, input_tokens
from nova_bench.errors import IdentityError

N = 12
PRICES = '[models."openai:tiny"]\ninput = 2\noutput = 8\ndate = 2026-01-31\n'
KEY = "sk-planted-0123456789abcdefghijklmnop"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("dry") / "set", [2] * (N // 2))


def words(data: Path, url: str, out: Path, *more: str | Path) -> list[str | Path]:
    pytest.importorskip("openai")
    return [
        *("run", "nova_localization", "--data", data, "--model", "openai:tiny", "-o", f"base_url={url}"),
        *("--out", out, *more),
    ]


def files(folder: Path) -> dict[str, bytes]:
    """Return what is in a folder, without the index of digests, which is the user's and no run's."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "digests.sqlite" not in path.name
    }


def found(home: Path, *command: str | Path, **env: str) -> dict[str, Any]:
    done = nova(home, *command, "--dry-run", "--json", env=env)
    assert done.returncode == 0, done.stderr
    (made,) = json.loads(done.stdout)["dry_run"]
    return made


def test_nothing_is_sent_or_written_and_what_is_left_is_counted(tmp_path: Path, data: Path) -> None:
    out, cache = tmp_path / "out", tmp_path / "kept"
    with serve() as (url, server):
        fresh = found(tmp_path, *words(data, url, out, "--cache", cache))
        assert server.stats.calls == 0
        assert files(tmp_path) == {}
        assert fresh["requests"] == {"total": N, "answered": 0, "in_cache": 0, "unusable": 0, "left": N}

        nova(tmp_path, *words(data, url, out, "--cache", cache, "--limit", "2"))
        before, calls = files(tmp_path), server.stats.calls
        assert calls == 4
        rest = found(tmp_path, *words(data, url, out, "--cache", cache))
        assert rest["requests"] == {"total": N, "answered": 4, "in_cache": 0, "unusable": 0, "left": N - 4}
        other = found(tmp_path, *words(data, url, tmp_path / "other", "--cache", cache))
        assert other["requests"] == {"total": N, "answered": 0, "in_cache": 4, "unusable": 0, "left": N - 4}
        assert files(tmp_path) == before
        assert server.stats.calls == calls

        done = nova(tmp_path, *words(data, url, out, "--cache", cache))  # what was counted is what is asked
        assert done.returncode == 0, done.stderr
        assert server.stats.calls - calls == rest["requests"]["left"]
        assert found(tmp_path, *words(data, url, out))["first_request"] is None


def test_first_request_is_the_one_that_is_sent_first(tmp_path: Path, data: Path) -> None:
    with serve() as (url, server):
        shown = found(tmp_path, *words(data, url, tmp_path / "out"))["first_request"]
        nova(tmp_path, *words(data, url, tmp_path / "out", "--concurrency", "1"))
        sent = json.loads(server.stats.bodies[0])
    texts = [part["text"] for part in sent["messages"][-1]["content"] if part["type"] == "text"]
    assert [part["text"] for part in shown["parts"] if "text" in part] == texts
    (picture,) = (part["image"] for part in shown["parts"] if "image" in part)
    assert (picture["width"], picture["height"], picture["media_type"]) == (48, 48, "image/png")
    stored = data / "images" / shown["id"]
    assert picture["bytes"] == stored.stat().st_size
    assert picture["sha256"] == nb.Image(stored).digest


def test_estimate_is_by_the_rule_that_it_states(tmp_path: Path, data: Path) -> None:
    (tmp_path / "p.toml").write_text(PRICES)
    made = found(
        tmp_path,
        *words(data, "http://localhost:1/v1", tmp_path / "out", "--prices", tmp_path / "p.toml"),
        *("-p", "max_tokens=100"),
    )
    estimate = made["estimate"]
    assert estimate["output_tokens_at_most"] == 100 * N
    characters = sum(len(part.get("text", "")) for part in made["first_request"]["parts"])
    assert estimate["input_tokens"] == N * (-(-characters // 4) + image_tokens(48, 48))
    cost = (2 * estimate["input_tokens"] + 8 * 100 * N) / 1e6
    assert estimate["cost_usd_at_most"] == pytest.approx(cost)
    assert "characters / 4" in estimate["rule"]
    assert "upper bound" in estimate["rule"]


def test_without_price_or_max_tokens_there_is_no_cost_but_a_reason(tmp_path: Path, data: Path) -> None:
    command = words(data, "http://localhost:1/v1", tmp_path / "out")
    assert "no price is known for 'openai:tiny'" in found(tmp_path, *command)["estimate"]["cost_note"]
    (tmp_path / "p.toml").write_text(PRICES)
    open_end = found(tmp_path, *command, "--prices", tmp_path / "p.toml", "-p", "max_tokens=none")["estimate"]
    assert (open_end["output_tokens_at_most"], open_end["cost_usd_at_most"]) == (None, None)
    assert "no max_tokens" in open_end["cost_note"]


def test_schema_and_system_count_and_a_large_image_is_scaled() -> None:
    plain = nb.Request("1", "1", 0, ("a" * 40,))
    assert input_tokens(plain) == 10
    assert input_tokens(nb.Request("1", "1", 0, ("a" * 40,), system="b" * 40)) == 20
    with_schema = nb.Request("1", "1", 0, ("a" * 40,), params=nb.GenParams(json_schema={"type": "object"}))
    assert input_tokens(with_schema) > 10
    assert image_tokens(1568, 1568) == image_tokens(6000, 6000)
    assert image_tokens(1, 1) == 1


def test_more_requests_than_are_measured_are_extrapolated(tmp_path: Path, data: Path) -> None:
    repeats = MEASURED // N + 2
    made = nb.estimate_run(
        "nova_localization",
        lambda request: "[]",
        data=str(data),
        out=tmp_path / "out",
        settings=settings(tmp_path),
        repeats=repeats,
    )
    once = nb.estimate_run(
        "nova_localization",
        lambda request: "[]",
        data=str(data),
        out=tmp_path / "out",
        settings=settings(tmp_path),
    )
    assert made["requests"]["left"] == N * repeats > made["estimate"]["measured"] == MEASURED
    assert made["estimate"]["input_tokens"] == pytest.approx(
        repeats * once["estimate"]["input_tokens"], rel=0.01
    )


def test_gated_texts_are_shown_only_when_asked_for_and_keys_never(tmp_path: Path) -> None:
    built = make_built(tmp_path / "built", 2)
    command = words(built, "http://localhost:1/v1", tmp_path / "out")
    command[1] = "fmbench_vqa"
    hidden = found(tmp_path, *command, OPENAI_API_KEY=KEY)
    assert "of this patient look like" not in json.dumps(hidden)
    assert "--show-text" in hidden["first_request"]["parts"][-1]["text"]
    shown = found(tmp_path, *command, "--show-text", OPENAI_API_KEY=KEY)
    assert "of this patient look like" in json.dumps(shown)
    assert "planted" not in json.dumps([hidden, shown])
    told = nova(tmp_path, *command, "--dry-run", env={"OPENAI_API_KEY": KEY})
    assert "of this patient look like" not in told.stdout
    assert "nothing is sent" in told.stdout
    assert "6 left of 6" in told.stdout


def test_refusal_of_a_vendor_is_said_and_does_not_keep_from_counting(tmp_path: Path) -> None:
    built = make_built(tmp_path / "built", 2)
    command = words(built, "https://vendor.invalid/v1", tmp_path / "out")
    command[1] = "fmbench_vqa"
    made = found(tmp_path, *command, "-o", "key_env=VENDOR_KEY", VENDOR_KEY=KEY)
    assert made["goes_to"] == "vendor"
    assert "--allow-hosted" in made["notes"][0]
    assert made["requests"]["left"] == 6
    allowed = found(tmp_path, *command, "-o", "key_env=VENDOR_KEY", "--allow-hosted", VENDOR_KEY=KEY)
    assert allowed["notes"] == []
    assert "planted" not in json.dumps([made, allowed])


def test_damaged_picture_is_unusable(tmp_path: Path) -> None:
    folder = make_set(tmp_path / "set", [2] * 4)
    (folder / "images" / "case0001_000.png").write_bytes(b"no picture")
    (folder / "images" / "case0002_000.png").unlink()
    made = found(tmp_path, *words(folder, "http://localhost:1/v1", tmp_path / "out"))
    assert made["requests"] == {"total": 8, "answered": 0, "in_cache": 0, "unusable": 2, "left": 6}


def test_folder_of_another_run_is_refused_as_the_run_would_be(tmp_path: Path, data: Path) -> None:
    where = {"data": str(data), "out": tmp_path / "out", "settings": settings(tmp_path)}
    nb.evaluate("nova_localization", lambda request: "[]", limit=1, **where)
    with pytest.raises(IdentityError, match="another run"):
        nb.estimate_run("nova_diagnosis", lambda request: "[]", **where)


def test_suite_is_rehearsed_task_by_task(tmp_path: Path) -> None:
    with serve(ServerPlan()) as (url, server):
        done = nova(
            tmp_path,
            *("run", "nova", "--data", "mini", "--model", "openai:tiny", "-o", f"base_url={url}"),
            *("--out", tmp_path / "out", "--dry-run", "--json"),
        )
        assert server.stats.calls == 0
    made = json.loads(done.stdout)["dry_run"]
    assert len(made) > 1
    assert len({one["folder"] for one in made}) == len(made)
