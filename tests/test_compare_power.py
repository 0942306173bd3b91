"""The short form of benchmarks/compare_power.py: few pairs, with bounds that a wrong error, test or interval breaks."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from nova_bench.stats import estimate, model_difference

PAIRS = 500
"""A rate of .05 is seen outside .02 to .085 in less than 1 of 500 times at this number, one of .8 outside .74 to .86."""


def load_simulation() -> ModuleType:
    path = Path(__file__).parents[1] / "benchmarks" / "compare_power.py"
    spec = importlib.util.spec_from_file_location("compare_power_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


simulation = load_simulation()


@pytest.mark.parametrize(
    ("kind", "mean", "agree", "gain"), [("accuracy", 0.6, 0.0, 0.35), ("pooled F1", 0.6, 0.6, 0.36)]
)
def test_false_alarms_and_power_are_what_is_said(kind: str, mean: float, agree: float, gain: float) -> None:
    setting = simulation.Setting(kind, 50, mean, agree)
    none, some = (simulation.simulate(setting, each, PAIRS) for each in (0.0, gain))
    assert 0.02 <= none.told <= 0.085
    assert none.covered == pytest.approx(1 - none.told)  # the test and the interval are one
    assert some.detectable == pytest.approx(some.truth, rel=0.05)
    assert 0.74 <= some.told <= 0.86
    assert some.covered >= 0.92


def test_the_error_of_two_models_apart_would_not_pass() -> None:
    # What is held against it: two intervals of their own, as if the models had answered about different patients.
    setting, rng = simulation.Setting("accuracy", 50, 0.6, 0.6), np.random.default_rng(0)
    blank, told = simulation.skeleton(rng, setting), []
    for _ in range(PAIRS):
        one, other = (estimate(table, setting.metric) for table in simulation.draw(rng, setting, blank, 0.0))
        told.append(abs(other.value - one.value) > 2.01 * math.hypot(one.s, other.s))
    assert np.mean(told) < 0.02


@pytest.mark.parametrize(("patients", "mean", "gain"), [(20, 0.6, 0.05), (200, 0.9, 0.05)])
def test_coverage_where_few_patients_differ_and_all_one_way(patients: int, mean: float, gain: float) -> None:
    found = simulation.simulate(simulation.Setting("accuracy", patients, mean, 1.0), gain, PAIRS)
    assert found.differing < 4
    assert found.covered >= 0.93
    assert found.covered_t < 0.9  # so bad is +- t s


def test_average_precision_of_few_images() -> None:
    setting = simulation.Setting("AP50", 20, 0.6)
    found = simulation.simulate(setting, 0.0, 200)
    assert found.told <= 0.11  # .05 is above this in 1 of 2,000 times


def test_equally_good_models_share_their_places() -> None:
    setting, rng = simulation.Setting("accuracy", 60, 0.6), np.random.default_rng(1)
    assert simulation.equal_models(setting, 10, 40) <= 0.08
    tables = simulation.draw(rng, setting, simulation.skeleton(rng, setting), 0.0, 3)
    assert model_difference(tables[0], tables[1], setting.metric).n_differing > 10
