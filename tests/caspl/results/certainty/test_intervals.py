"""Intervals and the calibration error against statsmodels, torchmetrics and simulation."""

import numpy as np
import pytest
import torch
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW
from torchmetrics.classification import MulticlassCalibrationError

from caspl.results.certainty.intervals import harmonic_gradient, harmonic_over_images, over_seeds, wilson
from caspl.results.records.measures import measured
from caspl.results.tables import harmonic_mean


@pytest.mark.parametrize("images", [1, 7, 271, 50_000])
def test_wilson_is_that_of_statsmodels(images):
    for correct in {0, 1, images // 3, images - 1, images}:
        expected = proportion_confint(correct, images, alpha=0.05, method="wilson")
        assert wilson(100 * correct / images, images) == pytest.approx([100 * end for end in expected], abs=1e-9)


def test_the_interval_over_seeds_is_that_of_statsmodels():
    numbers = np.random.default_rng(1).normal(80, 3, 9)
    for count in range(2, 10):
        expected = DescrStatsW(numbers[:count]).tconfint_mean(0.05)
        assert over_seeds(numbers[:count].tolist()) == pytest.approx(expected, abs=1e-9)
    assert over_seeds([80.0]) is None and over_seeds([]) is None
    assert over_seeds([80.0, 80.0, 80.0]) == (80, 80)


def test_the_harmonic_mean_deviates_over_images_as_drawn_ones_do():
    draw = np.random.default_rng(1)
    base, new = draw.binomial(271, 0.84, 200_000) / 2.71, draw.binomial(900, 0.57, 200_000) / 9
    drawn = 2 * base * new / (base + new)
    low, high = harmonic_over_images([(84, 57)], 271, 900)
    assert (low, high) == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.15)
    assert (low + high) / 2 == pytest.approx(harmonic_mean(84, 57))
    assert harmonic_over_images([(84, 57)] * 3, 271, 900) == pytest.approx((low, high))  # seeds alike are one run
    assert harmonic_over_images([(50, 50), (0, 0)], 10, 10) is None


def test_of_seeds_that_differ_the_interval_lies_around_their_mean():
    pairs = [(90, 20), (80, 70)]
    low, high = harmonic_over_images(pairs, 300, 400)
    own = [harmonic_over_images([pair], 300, 400) for pair in pairs]
    assert (low + high) / 2 == pytest.approx((harmonic_mean(*pairs[0]) + harmonic_mean(*pairs[1])) / 2)
    assert high - low <= sum(high - low for low, high in own) / 2


def test_the_gradient_of_the_harmonic_mean():
    step = 1e-6
    numeric = [(harmonic_mean(*up) - harmonic_mean(60, 80)) / step for up in ((60 + step, 80), (60, 80 + step))]
    assert harmonic_gradient(60, 80) == pytest.approx(numeric, abs=1e-5)


@pytest.mark.parametrize("classes", [5, 50])
def test_the_calibration_error_is_that_of_torchmetrics(classes):
    draw = torch.Generator().manual_seed(classes)
    scores = 3 * torch.randn(2_000, classes, generator=draw)
    labels = torch.multinomial((0.7 * scores).softmax(1), 1, generator=draw)[:, 0]
    shares, top = scores.softmax(1).topk(5)
    own = measured(labels.numpy(), top.numpy(), shares.numpy(), classes=classes, split="test", told=True)
    other = MulticlassCalibrationError(num_classes=classes, n_bins=15, norm="l1")(scores.softmax(1), labels)
    assert own.ece == pytest.approx(100 * float(other), abs=1e-4) and own.ece > 5
