"""Exact tests against the enumeration of all flips of signs, and corrections against statsmodels."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import rankdata
from statsmodels.stats.multitest import multipletests

from caspl.results.certainty.paired import ENOUGH, exact_test, holm, least_p


def enumerated(numbers):
    """Two-sided p of the sum of numbers whose signs are coins."""
    sizes = np.abs(numbers)
    sums = np.array([np.dot(signs, sizes) for signs in product((-1, 1), repeat=len(sizes))])
    observed = np.sum(numbers)
    return min(1.0, 2 * min(np.mean(sums >= observed - 1e-9), np.mean(sums <= observed + 1e-9)))


def ranked(differences):
    """Wilcoxon's signed ranks, without differences of 0."""
    kept = np.array([each for each in differences if each])
    return np.sign(kept) * rankdata(np.abs(kept))


@pytest.mark.parametrize("count", [6, 7, 11])
@pytest.mark.parametrize("kind", ["all different", "ties", "zeros and ties"])
def test_both_tests_count_all_flips(count, kind):
    draw = np.random.default_rng(count)
    for shift in (0, 1, 3):
        differences = draw.normal(shift, 2, count)
        if kind != "all different":
            differences = np.round(differences) + (0 if kind == "zeros and ties" else 0.5)
            differences[0] = 0 if kind == "zeros and ties" else differences[1]
        test = exact_test("seed", differences.tolist())
        assert test.sign_flip == pytest.approx(enumerated(differences))
        assert test.wilcoxon == pytest.approx(enumerated(ranked(differences)))
        assert test.mean == pytest.approx(differences.mean())


def test_no_p_is_below_the_smallest():
    assert [least_p(count) for count in (1, 3, 5, 6)] == [1, 0.25, 0.0625, 0.03125]
    test = exact_test("seed", [1, 2, 3, 4, 5, 6])
    assert test.wilcoxon == test.sign_flip == least_p(6)


def test_too_few_differences_give_no_p():
    for count in range(1, ENOUGH):
        test = exact_test("dataset", [1.0] * count)
        assert (test.wilcoxon, test.sign_flip, test.mean, test.unit) == (None, None, 1.0, "dataset")


def test_equal_numbers_and_roundings_of_equal_numbers_are_no_difference():
    for differences in ([0.0] * 6, [1e-14, -1e-13, 0, 0, 2e-12, 0]):
        test = exact_test("seed", differences)
        assert (test.wilcoxon, test.sign_flip, test.mean) == (1, 1, 0)
    with_noise = exact_test("seed", [0.3, 0.1 + 0.2, 0.3, 0.3, 0.3, -0.3])
    assert with_noise == exact_test("seed", [0.3, 0.3, 0.3, 0.3, 0.3, -0.3])


@pytest.mark.parametrize("differences", [[], [1.0, float("nan")], [float("inf")] * 6])
def test_what_is_no_number_is_refused(differences):
    with pytest.raises(ValueError, match="finite"):
        exact_test("seed", differences)


def test_of_many_differences_flips_are_drawn_alike_each_time():
    differences = np.random.default_rng(3).normal(0.7, 2, 15)
    test = exact_test("seed", differences.tolist())
    assert test == exact_test("seed", differences.tolist())
    assert test.sign_flip == pytest.approx(enumerated(differences), abs=0.02)
    assert test.wilcoxon == pytest.approx(enumerated(ranked(differences)))


def test_holm_is_that_of_statsmodels():
    ps = np.random.default_rng(1).uniform(0, 0.2, 12).round(2).tolist()
    assert holm(ps) == pytest.approx(multipletests(ps, method="holm")[1])
    assert holm([]) == []
