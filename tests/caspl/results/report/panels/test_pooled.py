"""What a method got wrong: worst classes, confusions, reliability, examples, each against counting by hand."""

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from caspl.results.reading.runs import find_runs
from caspl.results.records import read, write
from caspl.results.report.panels import confusion
from caspl.results.report.panels.classes import worst_of
from caspl.results.report.panels.confusion import confusion_of
from caspl.results.report.panels.pictures import Finder
from caspl.results.report.panels.pooled import Reader, pooled_by_classes
from caspl.results.report.panels.reliability import reliability_of
from runs_made import image, predicted

NAMES = ["cat", "dog", "cow"]
LABELS = [0, 0, 0, 0, 1, 1, 2, 2, 2, 2]
GUESSES = [0, 1, 1, 2, 1, 1, 2, 2, 2, 0]
SURE = [0.9, 0.6, 0.8, 0.7, 0.99, 0.5, 0.9, 0.9, 0.9, 0.95]


def only(top: Path, tests: int = 1):
    """The test that lies below, its images, and what finds their files."""
    runs = sorted(find_runs(top).runs, key=lambda run: run.seed)
    (test,) = pooled_by_classes(runs)
    return test, Reader(top, [test]).read(test), Finder(top, tests)


def test_the_worst_classes_come_first(tmp_path):
    predicted(tmp_path, LABELS, GUESSES, SURE, names=NAMES)
    worst = worst_of(*only(tmp_path))
    assert [(c.name, c.correct, c.total, c.percent) for c in worst.classes] == [
        ("cat", 1, 4, "25.0"),
        ("cow", 3, 4, "75.0"),
        ("dog", 2, 2, "100.0"),
    ]
    assert worst.classes[0].taken_for == ["dog (2)", "cow (1)"] and not worst.classes[2].taken_for
    assert worst.of == 3


def test_seeds_are_pooled(tmp_path):
    predicted(tmp_path, LABELS, GUESSES, SURE, names=NAMES)
    predicted(tmp_path, LABELS, LABELS, SURE, names=NAMES, seed=2)
    test, images, finder = only(tmp_path)
    worst = worst_of(test, images, finder)
    assert [(c.name, c.correct, c.total) for c in worst.classes] == [("cat", 5, 8), ("cow", 7, 8), ("dog", 4, 4)]
    assert images.runs == 2 and confusion_of(test, images).images == 20


def test_small_confusions_are_squares(tmp_path):
    predicted(tmp_path, LABELS, GUESSES, SURE, names=NAMES)
    test, images, _ = only(tmp_path)
    matrix = confusion_of(test, images)
    counts = {(square.row, square.column): square.count for square in matrix.squares}
    assert counts == {(0, 0): 1, (0, 1): 2, (0, 2): 1, (1, 1): 2, (2, 2): 3, (2, 0): 1}
    assert matrix.names == NAMES and not matrix.picture and not matrix.pairs


def test_large_confusions_are_a_picture_and_words(tmp_path, monkeypatch):
    monkeypatch.setattr(confusion, "MOST_SHOWN", 2)
    predicted(tmp_path, LABELS, GUESSES, SURE, names=NAMES)
    test, images, _ = only(tmp_path)
    matrix = confusion_of(test, images)
    assert not matrix.squares and [(p.true, p.predicted, p.count, p.total) for p in matrix.pairs] == [
        ("cat", "dog", 2, 4),
        ("cat", "cow", 1, 4),
        ("cow", "cat", 1, 4),
    ]
    alpha = np.asarray(_image(matrix.picture).convert("RGBA"))[..., 3]
    assert alpha.shape == (3, 3)
    np.testing.assert_allclose(alpha, 255 * np.sqrt([[0.25, 0.5, 0.25], [0, 1, 0], [0.25, 0, 0.75]]), atol=8)


def test_the_matrix_of_a_thousand_classes_is_small(tmp_path):
    labels = np.arange(2_000) % 1_000
    names = [f"class {n}" for n in range(1_000)]
    predicted(tmp_path, labels, (labels + (np.arange(2_000) < 1_000)) % 1_000, np.full(2_000, 0.9), names=names)
    test, images, _ = only(tmp_path)
    matrix = confusion_of(test, images)
    width, height = _image(matrix.picture).size
    assert width == height <= 160 and len(matrix.picture) < 20_000 and len(matrix.pairs) == 10


def test_the_bins_are_those_of_the_records(tmp_path):
    predicted(tmp_path, LABELS, GUESSES, SURE, names=NAMES)
    predicted(tmp_path, LABELS, LABELS, SURE, names=NAMES, seed=2)
    test, images, _ = only(tmp_path)
    reliability = reliability_of(test)
    places = np.ceil(images.confidence.astype(float) * 15).astype(int) - 1
    right = images.labels == images.predicted
    for bar, place in zip(reliability.bars, sorted(set(places.tolist())), strict=True):
        own = places == place
        assert bar.images == own.sum() and bar.left == f"{place * 100 / 15:.1f}"
        assert bar.right == f"{100 * right[own].mean():.1f}"
        assert bar.confidence == f"{100 * images.confidence[own].mean():.1f}"
    errors = [result.ece for result in test.results]
    assert f"ECE {sum(errors) / 2:.2f} % (15 bins, the mean of 2 runs)" in reliability.words
    assert "81.4 % and 80.0 % are right: it is too sure" in reliability.words


def test_the_surest_mistakes_are_shown(tmp_path):
    root = tmp_path / "data"
    paths = [f"{NAMES[label]}/{number}.png" for number, label in enumerate(LABELS)]
    for number, path in enumerate(paths):
        image(root / "Digits" / "images" / path, (10 * number, 0, 0))
    predicted(tmp_path / "out", LABELS, GUESSES, SURE, names=NAMES, root=str(root))
    test, images, finder = only(tmp_path / "out")
    cat, cow, dog = worst_of(test, images, finder).classes
    assert [(e.path, e.predicted, e.confidence) for e in cat.examples] == [
        ("cat/2.png", "dog", "80 %"),
        ("cat/3.png", "cow", "70 %"),
        ("cat/1.png", "dog", "60 %"),
    ]
    assert [e.path for e in cow.examples] == ["cow/9.png"] and not dog.examples and not finder.missing
    assert _image(cat.examples[0].address).getpixel((0, 0)) == (20, 0, 0)


def test_a_page_of_many_tests_shares_its_pictures(tmp_path):
    for number, label in enumerate(LABELS):
        image(tmp_path / "data" / "digits" / NAMES[label] / f"{number}.png")
    predicted(tmp_path / "out", LABELS, GUESSES, SURE, names=NAMES, root=str(tmp_path / "data"))
    test, images, finder = only(tmp_path / "out", tests=1_200)
    examples = [len(c.examples) for c in worst_of(test, images, finder).classes]
    assert finder.each == 2 and examples == [1, 1, 0]  # the worst classes first


def test_images_that_are_gone_are_said_once(tmp_path):
    predicted(tmp_path, LABELS, GUESSES, SURE, names=NAMES, root=str(tmp_path / "nowhere"))
    test, images, finder = only(tmp_path)
    assert not any(c.examples for c in worst_of(test, images, finder).classes)
    assert [*finder.missing] == [("digits", str(tmp_path / "nowhere"))]


def two(top: Path, images: list[str]) -> None:
    """A run that tested two images of a dataset below data/."""
    predicted(top / "out", [0, 1], [1, 0], [0.9, 0.8], names=["a", "b"], images=images, root=str(top / "data"))


@pytest.mark.parametrize("name", ["../secret.png", "/etc/secret.png", "a/../../secret.png", "..\\secret.png", ""])
def test_nothing_outside_of_the_dataset_is_shown(tmp_path, name):
    image(tmp_path / "secret.png")
    image(tmp_path / "data" / "digits" / "a" / "0.png")
    two(tmp_path, ["a/0.png", "b/1.png"])
    test, _, finder = only(tmp_path / "out")
    assert finder.picture(test.runs[0], "a/0.png") is not None
    assert finder.picture(test.runs[0], name) is None


def test_what_is_no_image_is_not_shown_and_images_are_drawn_anew(tmp_path):
    folder = tmp_path / "data" / "digits"
    image(folder / "big.jpg", size=(640, 480), comment=b"<script>alert(1)</script>", quality=95)
    (folder / "no.png").write_bytes(b"\x89PNG\r\n\x1a\n<svg onload=alert(1)>")
    two(tmp_path, ["big.jpg", "no.png"])
    test, _, finder = only(tmp_path / "out")
    picture = finder.picture(test.runs[0], "big.jpg")
    assert finder.picture(test.runs[0], "no.png") is None
    assert picture.size == 64 and _image(picture.address).size == (64, 48)
    assert b"script" not in base64.b64decode(picture.address.partition(",")[2])


def test_a_root_may_be_relative_to_where_the_run_was_started(tmp_path, monkeypatch):
    image(tmp_path / "home" / "data" / "digits" / "0.png")
    out = predicted(
        tmp_path / "home" / "output", [0, 1], [1, 0], [0.9, 0.8], names=["a", "b"], images=["0.png", "1.png"]
    )
    known = read(out)
    settings = known.configuration.settings | {"OUTPUT_DIR": str(out.relative_to(tmp_path / "home"))}
    write(out, replace(known, configuration=replace(known.configuration, settings=settings)))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    test, _, finder = only(tmp_path / "home" / "output")
    assert finder.picture(test.runs[0], "0.png") is not None


def test_the_first_seed_of_every_test_is_read_before_the_second_of_any(tmp_path):
    for trainer in ("CoOp", "KgCoOp"):
        for seed in (1, 2):
            predicted(tmp_path, LABELS, GUESSES, SURE, names=NAMES, trainer=trainer, seed=seed)
    runs = find_runs(tmp_path).runs
    tests = [
        test for name in ("CoOp", "KgCoOp") for test in pooled_by_classes(run for run in runs if run.trainer == name)
    ]
    reader = Reader(tmp_path, tests, most=30)
    assert [reader.read(test).runs for test in tests] == [2, 1] and reader.left == 1


def test_predictions_that_do_not_fit_are_named(tmp_path):
    place = predicted(tmp_path, LABELS, GUESSES, SURE, names=NAMES)
    (place / "predictions.csv.gz").write_bytes(b"x")
    (test,) = pooled_by_classes(find_runs(tmp_path).runs)
    reader = Reader(tmp_path, [test])
    assert reader.read(test) is None
    assert "is not the file of its run" in reader.unread[test.runs[0].path]


def _image(address: str) -> Image.Image:
    kind, _, content = address.partition(";base64,")
    assert kind in ("data:image/png", "data:image/jpeg")
    return Image.open(io.BytesIO(base64.b64decode(content)))
