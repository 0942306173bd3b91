"""Any part of a bundle replaced by anything, checksums made anew: `verify` says something of it, and never falls over."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from forged import parts_of, write
from running import make_set, settings
from submissions import run, submitted, write_adapter
from test_verify import Sound

import nova_bench as nb

STRANGE = (
    None,
    True,
    -1,
    0,
    1 << 60,
    0.5,
    -1e300,
    "",
    "x",
    "../x",
    "a\x1b[2J",
    "1",
    [],
    [[]],
    {},
    {"a": None},
    [None] * 3,
    "all",
    "race=x",
)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """A home, its data set, and the parts of a bundle with answers and verdicts."""
    home = tmp_path_factory.mktemp("fuzz")
    data = make_set(home / "set", [1, 2] * 3)
    made = run(home, write_adapter(home), "nova_diagnosis", data=str(data), judges=[Sound()])
    return home, data, parts_of(Path(submitted(home, made)["submitted"][0]["bundle"]))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a document, inner ones too."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


def damage(parts: dict[str, Any], dice: random.Random) -> str:
    """Replace, remove or add one value somewhere, and return where."""
    name = dice.choice(sorted(parts))
    path = dice.choice(list(places(parts[name])))
    inner = parts[name]
    for key in path[:-1]:
        inner = inner[key]
    what = dice.choice(("replace", "replace", "replace", "remove", "add"))
    if what == "remove":
        del inner[path[-1]]
    elif what == "add" and isinstance(inner, dict):
        inner["strange"] = dice.choice(STRANGE)
    else:
        inner[path[-1]] = dice.choice(STRANGE)
    return f"{what} {name} {path}"


@pytest.mark.parametrize("seed", range(4))
def test_no_damage_makes_it_fall_over(
    honest: tuple[Path, Path, dict[str, Any]], tmp_path: Path, seed: int
) -> None:
    home, data, parts = honest
    dice = random.Random(seed)
    for i in range(15):
        changed = copy.deepcopy(parts)
        where = damage(changed, dice)
        bundle = write(changed, tmp_path / f"{i}.zip")
        (result,) = nb.verify(bundle, data=str(data), settings=settings(home))["results"]
        assert result["status"] in ("verified", "rejected"), (where, result)
        assert (result["status"] == "rejected") == bool(result["reasons"]), where


@pytest.mark.parametrize(
    "place",
    [("model", "repeats"), ("judges", 0, "repeats"), ("resampling", "resamples"), ("resampling", "seed")],
)
def test_number_that_loops_are_made_of_is_refused_at_once(
    honest: tuple[Path, Path, dict[str, Any]], tmp_path: Path, place: tuple[Any, ...]
) -> None:
    home, _, parts = honest
    changed = copy.deepcopy(parts)
    inner = changed["bundle.json"]
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = 999_999
    (result,) = nb.verify(write(changed, tmp_path / "x.zip"), settings=settings(home))["results"]
    (reason,) = result["reasons"]
    assert reason.startswith(("repeats is 999999", "resampling is"))


def test_groups_without_number_are_refused_before_a_cell_is_computed(
    honest: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    home, _, parts = honest
    changed = copy.deepcopy(parts)
    header, *lines = changed["rows.jsonl"]
    lines = [
        {**lines[0], "id": f"s{i:05d}", "groups": [f"g{i}"] * len(header["groups"])} for i in range(1500)
    ]
    changed["rows.jsonl"] = [{**header, "lines": len(lines)}, *lines]
    (result,) = nb.verify(write(changed, tmp_path / "x.zip"), settings=settings(home))["results"]
    assert any("cells, and its task and rows give" in reason for reason in result["reasons"]), result[
        "reasons"
    ]
