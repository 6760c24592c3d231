"""Differences on the same images against the formula for paired shares and against resampled images."""

from dataclasses import replace

import numpy as np
import pytest

from caspl.ground.errors import InputError
from caspl.results.certainty.images import Answers
from runs_of_methods import a_run, predicting

DRAW = np.random.default_rng(5)
HARD = DRAW.uniform(size=400)  # the same images are hard for every model


def model(top, trainer, seed, skill, classes="base", images=400):
    right = HARD[:images] + DRAW.normal(0, 0.1, images) < skill
    return predicting(top, a_run(trainer=trainer, seed=seed, classes=classes), right), right


def test_accuracies_of_one_seed_are_paired_shares(tmp_path):
    (own, a), (other, b) = model(tmp_path, "CoOp", 1, 0.8), model(tmp_path, "MaPLe", 1, 0.7)
    low, high = Answers(tmp_path).difference([own], [other])
    only_a, only_b, n = (a & ~b).sum(), (b & ~a).sum(), len(a)
    difference = (only_a - only_b) / n
    half = 1.959964 * np.sqrt(((only_a + only_b) / n - difference**2) / (n - 1))
    assert (low, high) == pytest.approx((100 * (difference - half), 100 * (difference + half)), abs=1e-4)
    alone = 1.959964 * np.sqrt(0.8 * 0.2 / n + 0.7 * 0.3 / n)
    assert half < 0.7 * alone  # than if the images were others


def test_harmonic_means_deviate_as_on_resampled_images(tmp_path):
    made = {
        (trainer, classes, seed): model(tmp_path, trainer, seed, skill, classes, images)
        for trainer, skills in (("CoOp", (0.85, 0.55)), ("MaPLe", (0.75, 0.6)))
        for classes, skill, images in zip(("base", "new"), skills, (400, 100), strict=True)
        for seed in (1, 2, 3)
    }
    own, other = ([run for (name, *_), (run, _) in made.items() if name == trainer] for trainer in ("CoOp", "MaPLe"))
    low, high = Answers(tmp_path).difference(own, other)

    def harmonic(trainer, places):
        base, new = (
            np.array([made[trainer, classes, seed][1][places[classes]].mean() for seed in (1, 2, 3)])
            for classes in ("base", "new")
        )
        return 100 * np.mean(2 * base * new / (base + new))

    whole = {"base": np.arange(400), "new": np.arange(100)}
    assert (low + high) / 2 == pytest.approx(harmonic("CoOp", whole) - harmonic("MaPLe", whole))
    resampled = []
    for _ in range(4_000):
        places = {"base": DRAW.integers(0, 400, 400), "new": DRAW.integers(0, 100, 100)}
        resampled.append(harmonic("CoOp", places) - harmonic("MaPLe", places))
    assert (low, high) == pytest.approx(np.percentile(resampled, [2.5, 97.5]), abs=0.25)


def test_without_predictions_or_on_other_images_nothing_is_said(tmp_path):
    own, _ = model(tmp_path, "CoOp", 1, 0.8)
    assert Answers(tmp_path).difference([own], [a_run(trainer="MaPLe")]) is None
    elsewhere = predicting(tmp_path, a_run(trainer="VPT"), [True] * 400, names="elsewhere")
    assert Answers(tmp_path).difference([own], [elsewhere]) is None
    fewer, _ = model(tmp_path, "KgCoOp", 1, 0.7, images=300)
    assert Answers(tmp_path).difference([own], [fewer]) is None
    none_right = [predicting(tmp_path, a_run(trainer="A", classes=each), [False] * 9) for each in ("base", "new")]
    some_right = [predicting(tmp_path, a_run(trainer="B", classes=each), [True] * 9) for each in ("base", "new")]
    assert Answers(tmp_path).difference(some_right, none_right) is None


def test_a_changed_file_is_refused(tmp_path):
    (own, _), (other, _) = model(tmp_path, "CoOp", 1, 0.8), model(tmp_path, "MaPLe", 1, 0.7)
    altered = replace(own.record.predictions, sha256="0" * 64)
    with pytest.raises(InputError, match="predictions.csv.gz"):
        Answers(tmp_path).difference([replace(own, record=replace(own.record, predictions=altered))], [other])
