"""Which differences from published numbers are marked."""

import math
import statistics

import pytest
from scipy import stats

from caspl.results.certainty.deviations import FORMATS, NOTE, beyond, tolerance
from caspl.results.published import Value, value
from caspl.results.render import markdown
from caspl.results.tables import Cell, build_tables
from runs_of_methods import a_run, runs_of


def cell(numbers, published, trainer="CoOp", rounding=0.005):
    runs = tuple(a_run(number, trainer, seed) for seed, number in enumerate(numbers, 1))
    by_seed = dict(enumerate(numbers, 1))
    return Cell(statistics.mean(numbers), published=Value(published, "a paper", rounding), runs=runs, by_seed=by_seed)


def test_what_is_not_trained_has_to_agree_but_for_rounding_and_number_formats():
    assert not beyond(cell([71.80], 71.70, "ZeroshotCLIP")) and beyond(cell([71.82], 71.70, "ZeroshotCLIP"))
    assert beyond(cell([71.58], 71.70, "ZeroshotCLIP2"))
    assert not beyond(cell([71.84], 71.7, "ZeroshotCLIP", rounding=0.05))  # printed with one decimal


def test_what_is_trained_may_differ_as_three_other_seeds_do():
    numbers = [80.0, 82.0, 83.5]
    spread = stats.t.ppf(0.975, 2) * statistics.stdev(numbers) * math.sqrt(1 / 3 + 1 / 3)
    assert tolerance(cell(numbers, 80)) == pytest.approx(0.005 + FORMATS + spread)
    mean = statistics.mean(numbers)
    allowed = spread + FORMATS
    assert not beyond(cell(numbers, mean + allowed)) and beyond(cell(numbers, mean + allowed + 0.02))
    assert tolerance(cell([80.0] * 3, 80)) == pytest.approx(0.005 + FORMATS)


def test_one_seed_of_something_trained_is_not_judged():
    assert tolerance(cell([50.0], 80)) is None and not beyond(cell([50.0], 80))
    assert tolerance(cell([50.0], 80, "CasPLBoost")) is None
    assert not beyond(Cell(50.0, published=Value(80, "a paper")))  # nor is a number of no runs


def test_rounding_is_read_off_the_published_number():
    assert value("base_to_new/avg11", "CoOp", "hm").rounding == pytest.approx(0.005)
    assert value("training_time", "CoOp", "ms_per_image").rounding == pytest.approx(0.5)


def test_marks_and_what_they_mean_stand_in_the_tables():
    runs = runs_of("ZeroshotCLIP", {1: (69.5, 60)}, dataset="ImageNet", shots=0)
    runs += runs_of("CoOp", {1: (76.4, 67.8), 2: (76.5, 67.9), 3: (76.6, 68)}, dataset="ImageNet")
    table = build_tables(runs)["base_to_new"]
    text = markdown([table])
    clip, coop = (line for line in text.splitlines() if line.startswith("| ImageNet"))
    assert "72.43 (-2.93)! |" in clip and "68.14 (-8.14)! |" in clip
    assert "76.47 (+0.03) |" in coop and "67.88 (+0.02) |" in coop
    assert f"\n- {NOTE}\n" in text
