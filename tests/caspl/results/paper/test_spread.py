"""Figure 5: distances against a plain computation, t-SNE that repeats, and what of the features can't be read."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from caspl.results.paper.spread import distances, fig5, placed, sampled
from caspl.results.reading.runs import find_runs
from caspl.results.records import features
from paper_runs import base_to_new, zero_shot
from records_made import BASE, NEW, record


def cloud(classes=4, images=9, width=16, seed=0, spread=0.3):
    drawn = np.random.default_rng(seed)
    middles = drawn.normal(size=(classes, width))
    labels = np.arange(classes * images) % classes
    points = middles[labels] + spread * drawn.normal(size=(len(labels), width))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points.astype(np.float16), labels


def plain_distances(points, labels):
    """As the note of the table defines them, number by number."""

    def unit(vector):
        length = math.sqrt(sum(value * value for value in vector))
        return [value / length for value in vector]

    def distance(a, b):
        return 1 - sum(x * y for x, y in zip(a, b, strict=True))

    own = {}
    for vector, label in zip(points.tolist(), labels.tolist(), strict=True):
        own.setdefault(label, []).append(unit(vector))
    means = {label: unit([sum(column) for column in zip(*vectors, strict=True)]) for label, vectors in own.items()}
    within = [distance(vector, means[label]) for label, vectors in own.items() for vector in vectors]
    between = [distance(a, b) for a, b in itertools.combinations(means.values(), 2)]
    within, between = 100 * sum(within) / len(within), 100 * sum(between) / len(between)
    return within, between, 100 * within / between


@pytest.mark.parametrize("seed", [0, 1])
def test_distances_are_those_of_the_definition(seed):
    points, labels = cloud(seed=seed)
    labels = labels + 3 * (labels == 2)  # with a gap, and as the last class
    assert distances(points, labels) == pytest.approx(plain_distances(points, labels), rel=1e-12)


def test_distances_say_how_far_classes_are_apart():
    near, far = (distances(*cloud(spread=spread)) for spread in (0.9, 0.1))
    assert far.within < near.within and far.ratio < near.ratio
    assert distances(np.eye(4, dtype=np.float16)[[0, 0, 1, 1]], np.array([0, 0, 1, 1])) == (0, 100, 0)
    assert math.isnan(distances(*cloud(classes=1)).between)


def test_tsne_repeats_and_keeps_classes_together():
    points, labels = cloud(images=12)
    first = placed(points)
    assert first.shape == (48, 2) and np.array_equal(first, placed(points))
    gaps = np.linalg.norm(first[:, None] - first[None], axis=2) + 1e9 * np.eye(48)
    assert (labels[gaps.argmin(1)] == labels).mean() > 0.9  # the nearest in the plane is of the same class


@pytest.mark.parametrize("images", [1, 3, 4, 5])
def test_a_few_images_are_placed(images):
    assert np.isfinite(placed(cloud(1, images)[0])).all()


def test_a_large_set_is_sampled():
    assert sampled(5).tolist() == [0, 1, 2, 3, 4]
    some = sampled(10_000)
    assert len(set(some.tolist())) == 300 and some.tolist() == sorted(some.tolist()) == sampled(10_000).tolist()


# ---------------------------------------------------------------------------------------------------------------------
# The artefact
# ---------------------------------------------------------------------------------------------------------------------
TRAINERS = ("ZeroshotCLIP", "CasPLBoost", "PromptSRC", "CasPL_PromptSRC")


@pytest.fixture
def runs(tmp_path):
    """Runs of each phase with features, which lie closer together from one to the next."""
    for trainer in TRAINERS:
        make = base_to_new if trainer.endswith("PromptSRC") else zero_shot
        for seed in (1,) if trainer == "ZeroshotCLIP" else (1, 2):
            make(tmp_path, trainer, 80, 70, seed=seed)
    found = find_runs(tmp_path).runs
    return [kept(run, tmp_path) for run in found]


def kept(run, top):
    spread = 0.8 - 0.2 * TRAINERS.index(run.trainer)
    points, labels = cloud(5, 6, seed=run.seed, spread=spread)
    said = features.write((top / run.path).parent, features.Table(points, labels))
    classes = BASE if run.classes == "base" else NEW
    return replace(run, record=record(features=said, **{"dataset.classes": list(classes)}))


def test_the_table_has_the_distances_of_each_run(runs, tmp_path):
    artefact = fig5(runs, tmp_path)
    (table,) = artefact.tables
    assert [(row.dataset, row.method) for row in table.rows] == [
        ("digits", name) for name in ("CLIP", "CLIP + boosting", "PromptSRC", "PromptSRC + CasPL")
    ]
    assert table.columns[:3] == ["base: within", "base: between", "base: ratio"]
    both = [plain_distances(*cloud(5, 6, seed=seed, spread=0.8 - 0.2 * 3)) for seed in (1, 2)]
    for classes in (0, 3):
        cells = table.rows[3].cells[classes : classes + 3]
        assert [cell.mean for cell in cells] == pytest.approx(np.mean(both, axis=0), rel=1e-12)
        assert [cell.deviation for cell in cells] == pytest.approx(np.std(both, axis=0), rel=1e-9)
        assert [len(cell.runs) for cell in cells] == [2, 2, 2]
    assert [row.seeds for row in table.rows] == ["1", "2", "2", "2"]
    assert artefact.missing == [
        "CLIP + boosting, and PromptSRC without and with CasPL on digits, seed 3",
        "no run on DTD",
    ]


def test_two_configurations_are_not_mixed(runs, tmp_path):
    """Else the numbers of one would silently take the place of the other's."""
    base_to_new(tmp_path, "PromptSRC", 80, 70, seed=2, config="other")
    more = [kept(run, tmp_path) for run in find_runs(tmp_path).runs if run.config == "other"]
    artefact = fig5([*runs, *more], tmp_path)
    assert [table.rows for table in artefact.tables] == [table.rows for table in fig5(runs, tmp_path).tables]
    left = [phrase for phrase in artefact.missing if phrase.startswith("left out: ")]
    assert len(left) == 2 and all("/other/" in each and "of another configuration than cfg" in each for each in left)


def test_the_picture_has_a_panel_for_each_phase_and_half_of_the_classes(runs, tmp_path):
    (picture,) = fig5(runs, tmp_path).pictures
    figure = picture.drawing()
    assert [plot.get_title() for plot in figure.axes[:4]] == [
        "CLIP",
        "CLIP + boosting",
        "PromptSRC",
        "PromptSRC + CasPL",
    ]
    assert [figure.axes[place].get_ylabel() for place in (0, 4)] == ["base classes", "new classes"]
    within, between, _ = plain_distances(*cloud(5, 6, seed=1, spread=0.8))
    assert figure.axes[0].get_xlabel() == f"within {within:.1f}, between {between:.1f}"
    shown = np.concatenate([np.asarray(dots.get_offsets()) for dots in figure.axes[0].collections])
    assert sorted(map(tuple, shown)) == sorted(map(tuple, placed(cloud(5, 6, seed=1, spread=0.8)[0])))
    legends = [[text.get_text() for text in figure.axes[place].get_legend().get_texts()] for place in (3, 7)]
    assert legends == [BASE, NEW]
    assert picture.svg("light") == fig5(runs, tmp_path).pictures[0].svg("light") != picture.svg("dark")


def test_features_that_cannot_be_read_are_named(runs, tmp_path):
    gone = next(run for run in runs if run.trainer == "PromptSRC" and run.classes == "new" and run.seed == 1)
    ((tmp_path / gone.path).parent / features.NAME).unlink()
    artefact = fig5(runs, tmp_path)
    assert (
        artefact.missing[-1].startswith("left out: there is no file ") and str(gone.path)[:-8] in artefact.missing[-1]
    )
    assert "PromptSRC on digits, seed 3; new classes of seed 1" in artefact.missing
    (picture,) = artefact.pictures
    assert [text.get_text() for text in picture.drawing().axes[6].texts] == ["-"]


def test_runs_without_features_are_told_what_they_lack(tmp_path):
    zero_shot(tmp_path, "ZeroshotCLIP", 80, 70)
    artefact = fig5(find_runs(tmp_path).runs, tmp_path)
    assert not artefact.made
    assert artefact.missing == ["image features: none of the 2 runs was made with TEST.FEATURES True"]
