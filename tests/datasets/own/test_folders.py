"""What folders of own images are read as, by their shape; and the sentence where they can be read in two ways."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from caspl.datasets.own.folders import read_folder
from caspl.datasets.own.parts import letters, named
from caspl.ground.errors import InputError


def make(root: Path, *places: str) -> Path:
    """Files with some content; a name with a bar gives several: "a|b/1.png" are a/1.png and b/1.png."""
    for place in places:
        ways = [""]
        for part in place.split("/"):
            ways = [f"{way}/{one}" for way in ways for one in part.split("|")]
        for number, way in enumerate(ways):
            path = root / way[1:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{place} {number}")
    return root


def read(root: Path, **more) -> list[tuple[str, str, str]]:
    return [(row.impath, row.key, row.part) for row in read_folder(str(root), **more)]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *((name, "train") for name in ("train", "Train", "TRAIN", "training", "Training_Set", "trainset", "TrainData")),
        *(
            (name, "train")
            for name in ("train2017", "01_train", "train-images", "imagesTrain", "trainval", "train_val")
        ),
        *((name, "val") for name in ("val", "valid", "VALIDATION", "dev", "val2017", "validation_images", "dev-set")),
        *((name, "test") for name in ("test", "Testing", "test_data", "testset", "holdout", "TestImages")),
        *((name, "eval") for name in ("eval", "Evaluation")),
        *(
            (name, None)
            for name in ("cat", "trains", "retrain", "images", "validity", "devil", "testament", "contest", "1")
        ),
        *((name, None) for name in ("train_or_test", "val_test", "データ", "")),
    ],
)
def test_what_a_name_says(name, part):
    found = named(name)
    assert (found and found.part) == part and not (found and found.rest)


def test_what_a_name_says_beside():
    assert named("seg_train") == ("train", "seg") and named("BirdsTest") == ("test", "birds")
    assert named("train station").rest != named("test tube").rest
    assert letters("Great_Dane s") == letters("great danes") == letters("great-dane") and letters("s") == "s"


DIVIDED = {  # folders -> the parts that they are
    "train|test": "train test",
    "Train|Test": "train test",
    "TRAIN|VAL|TEST": "train val test",
    "training|testing": "train test",
    "train|dev": "train val",
    "Training|Validation|Test": "train val test",
    "train|valid|eval": "train val test",
    "train|eval|test": "train val test",
    "train|eval": "train test",
    "train_images|test_images": "train test",
    "train2017|val2017": "train val",
    "trainset|testset": "train test",
    "seg_train|seg_test": "train test",
    "training_set|test_set": "train test",
    "trainval|test": "train test",
    "flowers_train|flowers_valid|flowers_test": "train val test",
    "1-train|2-val": "train val",
}


@pytest.mark.parametrize("folders", DIVIDED)
def test_parts_by_shape(tmp_path, folders):
    make(tmp_path, f"{folders}/cat|dog/1.png")
    expected = [
        (f"{top}/{name}/1.png", name, part)
        for top, part in zip(folders.split("|"), DIVIDED[folders].split(), strict=True)
        for name in ("cat", "dog")
    ]
    assert sorted(read(tmp_path)) == sorted(expected)
    # and each class by itself
    make(tmp_path / "other", f"cat|dog/{folders}/1.png")
    assert sorted(read(tmp_path / "other")) == sorted(
        ("/".join([name, path.split("/")[0], "1.png"]), name, part) for path, name, part in expected
    )


UNDERSTOOD = {  # what is there, the keys and parts that it is read as, and what is told
    "Kaggle's test without labels": (
        ["train/cat|dog/1.png", "test/9.png", "sample_submission.csv"],
        {("cat", ""), ("dog", "")},
        "test holds 1 images and no class folders like those of train/: they have no labels and are not used",
    ),
    "the same in a folder of its own": (
        ["train|val/cat|dog/1.png", "test/unknown/9.png"],
        {("cat", "train"), ("dog", "train"), ("cat", "val"), ("dog", "val")},
        "test holds 1 images and no class folders",
    ),
    "folders in folders of the same name": (
        ["seg_train/seg_train/cat|dog/1.png", "seg_test/seg_test/cat|dog/1.png", "seg_pred/seg_pred/7.png"],
        {("cat", "train"), ("dog", "train"), ("cat", "test"), ("dog", "test")},
        "seg_pred holds 1 images and is no part: they are not used",
    ),
    "classes below images/": (
        ["train|test/images/cat|dog/1.png"],
        {("cat", "train"), ("dog", "train"), ("cat", "test"), ("dog", "test")},
        "",
    ),
    "clutter": (
        ["cat|dog/1.png", "__MACOSX/._cat|dog/._1.png", "cat/._1.png", "dog/Thumbs.db", "@eaDir|lost+found|.git/1.png"]
        + ["$RECYCLE.BIN|.ipynb_checkpoints/1.png", "cat/.ipynb_checkpoints|__MACOSX/1.png", "desktop.ini|.DS_Store"],
        {("cat", ""), ("dog", "")},
        "",
    ),
    "images beside the classes": (
        ["cat|dog/1.png", "sample.png", "other.jpg"],
        {("cat", ""), ("dog", "")},
        "holds 2 images beside the folders, such as other.jpg: they are of no class and not used",
    ),
    "images beside the parts": (
        ["train|test/cat|dog/1.png", "sample.png", "train/loose.png"],
        {("cat", "train"), ("dog", "train"), ("cat", "test"), ("dog", "test")},
        "train holds 1 images beside the folders, such as loose.png",
    ),
    "nested folders": (["ant|bee/1.png", "cat/sub/1.png"], {("ant", ""), ("bee", ""), ("cat", "")}, ""),
    "nested folders of other names": (
        ["birds/crow|owl/1.png", "dogs/pug|terrier/1.png"],
        {("birds", ""), ("dogs", "")},
        "",
    ),
    "one folder each, of the same name": (["birds|dogs/images/1.png"], {("birds", ""), ("dogs", "")}, ""),
    "nested folders beside images": (
        ["birds|dogs/cropped|whole/1.png", "birds|dogs/1.png"],
        {("birds", ""), ("dogs", "")},
        "",
    ),
    "classes whose names say parts": (["bus|train/1.png"], {("bus", ""), ("train", "")}, ""),
    "names that end in numbers": (
        ["Apple 1|Apple 2|Partridge 1/1.png"],
        {(name, "") for name in ("Apple 1", "Apple 2", "Partridge 1")},
        "",
    ),
    "names that say more": (["train station|test tube/1.png"], {("train station", ""), ("test tube", "")}, ""),
    "a missing class": (
        ["train/cat|dog/1.png", "test/cat/1.png"],
        {("cat", "train"), ("dog", "train"), ("cat", "test")},
        "",
    ),
}


@pytest.mark.parametrize("case", UNDERSTOOD)
def test_understood(tmp_path, caplog, case):
    places, expected, told = UNDERSTOOD[case]
    make(tmp_path, *places)
    assert {row[1:] for row in read(tmp_path)} == expected
    assert told in caplog.text
    if not told:
        assert not [record for record in caplog.records if record.levelname == "WARNING"]


REFUSED = {
    "both readings": (
        ["fold1|fold2/cat|dog/1.png"],
        r"holds fold1/, fold2/, with folders of the same names in them \(cat/, dog/\), which can be read in two ways: if cat/, "
        r"dog/ are the classes, rename the folders above them to train, val and test, put them together, or pass one "
        "of these; if they are classes, name them in a file",
    ),
    "nearly the same names": (["A/cat|Dogs/1.png", "B/Cat|dog/1.png", "C/cat/1.png"], "can be read in two ways"),
    "domains": (
        ["amazon|dslr|webcam/images/bike|bottle/1.png"],
        r"in them \(bike/, bottle/\), which can be read in two ways",
    ),
    "train beside what is no part": (["train|unseen/cat|dog/1.png"], "can be read in two ways"),
    "one part twice": (
        ["train|Training|test/cat|dog/1.png"],
        "holds Training/ and train/, which both mean train, expected one",
    ),
    "one part twice, of classes": (
        ["cat|dog/train|train_2|test/1.png"],
        "holds train/ and train_2/, which both mean",
    ),
    "both twice": (["train|Training/cat|dog/1.png"], "holds Training/, train/, with folders of the same names in them"),
    "eval beside val and test": (["train|val|test|eval/cat|dog/1.png"], "holds eval/ and test/, which both mean test"),
    "parts without classes": (
        ["train|test/cat.1.png"],
        r"train has no class folders, expected one for each class; move the images to train/<class>/, or write a table",
    ),
    "class and part in one name": (
        ["cat|dog/1.png", "a_train|a_test|b_train|b_test/1.png"],
        "a_train/, and also b_test/",
    ),
    "a part of an unknown name": (
        ["train|test|extra/cat|dog/1.png"],
        "extra holds class folders as train/ beside it does, and its name is that of no part",
    ),
    "parts of several collections": (
        ["site1|site2/train|test/cat|dog/1.png"],
        r"holds site1/, site2/, each divided into test/, train/, with folders of the same names in them \(cat/, dog/\), .* "
        r"pass one of site1/, site2/, or put them together",
    ),
    "not all classes divided": (
        ["cat/train|test/1.png", "dog/1.png"],
        "is divided into test/, train/, and dog/",
    ),
    "too high": (
        ["archive/cat|dog/1.png"],
        "has the one class folder archive/, .* one level too high; pass .*/archive$",
    ),
    "far too high": (
        ["archive/data set/data set/train|test/cat|dog/1.png", "__MACOSX/archive/._x.png"],
        "is 3 levels too high; pass .*/archive/data set/data set$",
    ),
    "an empty test": (
        ["train/cat|dog/1.png", "test/readme.txt"],
        "test holds no images, expected those of test",
    ),
    "an empty class": (["cat|dog/1.png", "emu/readme.txt"], "class folder .*/emu holds no images, expected some"),
    "too low": (
        ["1.png"],
        "it holds images itself: pass the folder above, or, where all images lie in this one, write",
    ),
    "not unpacked": (["train.zip", "readme.txt"], "expected one for each class; it holds train.zip: unpack it"),
    "a copy beside the classes": (
        ["cells/no|yes/1.png", "no|yes/1.png"],
        r"cells holds folders of the same names as those beside it \(no/, yes/\), expected each class once; remove it",
    ),
    "a copy in two folders": (["cells/cells/no|yes/1.png", "no|yes|perhaps/1.png"], "expected each class once"),
    "pieces of a collection": (
        ["HAM10000_images_part_1|ham10000_images_part_2/1.png"],
        "HAM10000_images_part_1/, ham10000_images_part_2/, whose names tell no classes, expected a folder for each class",
    ),
    "pieces of a download": (
        ["Photos-2023-001/Cats/1.png", "Photos-2023-002/Dogs/1.png", "more/1.png"],
        "holds Photos-2023-001/, Photos-2023-002/, whose names tell no classes, .* move what is in them into one folder",
    ),
    "parts in a part": (
        ["Train-Val/Training|Validation/no|yes/1.png", "Test/1.png"],
        "Train-Val holds Training/, Validation/, which are parts themselves, expected classes; pass it",
    ),
    "nothing": (
        ["readme.txt"],
        "has no class folders, expected one for each class; put the images of each class into one",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path, case):
    places, message = REFUSED[case]
    make(tmp_path, *places)
    with pytest.raises(InputError, match=message):
        read(tmp_path)


@pytest.mark.parametrize(
    "places", ["train|test/cat|dog/1.png", "a|b/cat|dog/1.png", "cat|dog/train|test/1.png", "train|test/1.png"]
)
def test_who_says_that_they_are_classes_is_believed(tmp_path, places):
    make(tmp_path, places)
    rows = read(tmp_path, are_classes=lambda names: True)
    assert {key for _, key, _ in rows} == {path.name for path in tmp_path.iterdir()} and {
        part for *_, part in rows
    } == {""}


def test_names_of_a_mac_are_those_of_others(tmp_path):
    composed, apart = "caf\u00e9", "cafe\u0301"
    for root, spell in ((tmp_path / "a", composed), (tmp_path / "b", apart)):
        make(root, f"train/{spell}|zoo/{spell}|g.png", f"test/{composed}|zoo/1.png")
    found = [
        [(unicodedata.normalize("NFC", path), key, part) for path, key, part in read(tmp_path / root)] for root in "ab"
    ]
    assert found[0] == found[1] and {key for _, key, _ in found[0]} == {composed, "zoo"}
    assert all((tmp_path / "b" / path).is_file() for path, *_ in read(tmp_path / "b"))
