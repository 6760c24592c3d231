"""The benchmarks in miniature: trees in the layout of the official archives, with and without split file, and an epoch."""

import hashlib
import io
import json
import os
import random
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from dassl.data.datasets import DATASET_REGISTRY
from PIL import Image
from scipy.io import savemat

import caspl.datasets  # noqa: F401, registration
from boosting_files import write_boosting
from caspl.ground.errors import InputError
from forked import at_once
from registered import tiers

ROOT = Path(__file__).resolve().parents[2]


def jpeg():
    stream = io.BytesIO()
    Image.new("RGB", (12, 10), (120, 80, 40)).save(stream, "jpeg")
    return stream.getvalue()


PICTURE = jpeg()


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PICTURE)


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def folders(top, names, count=6, ending=".jpg"):
    for name in names:
        for number in range(count):
            put(top / name / f"{name.rpartition('/')[2]}_{number:04d}{ending}")


def caltech101(root):
    names = ["Faces", "Leopards", "Motorbikes", "airplanes", *(f"thing_{n:02d}" for n in range(96))]
    folders(root / "caltech-101/101_ObjectCategories", [*names, "BACKGROUND_Google", "Faces_easy"])
    return ["face", "leopard", "motorbike", "airplane", "thing_00"]


def oxford_pets(root):
    for part, first, count in (("trainval", 1, 10), ("test", 11, 3)):
        lines = []
        for label, breed in enumerate(("Abyssinian", "great_pyrenees"), 1):
            for number in range(first, first + count):
                put(root / f"oxford_pets/images/{breed}_{number}.jpg")
                lines.append(f"{breed}_{number} {label} 1 1")
        write(root / f"oxford_pets/annotations/{part}.txt", *lines)
    return ["abyssinian", "great_pyrenees"]


def stanford_cars(root):
    cars = ["Audi TTS Coupe 2012", "Acura RL Sedan 2012", "Ram C/V Cargo Van Minivan 2012"]
    folder = root / "stanford_cars"
    for part, count, path in (
        ("cars_train", 10, folder / "devkit/cars_train_annos.mat"),
        ("cars_test", 4, folder / "cars_test_annos_withlabels.mat"),
    ):
        rows = [(f"{label * count + n + 1:05d}.jpg", label + 1) for label in range(3) for n in range(count)]
        for name, _ in rows:
            put(folder / part / name)
        fields = [(name, object) for name in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")]
        table = np.array([(1, 1, 9, 9, label, name) for name, label in rows], dtype=fields)[None]
        path.parent.mkdir(parents=True, exist_ok=True)
        savemat(path, {"annotations": table})
    savemat(folder / "devkit/cars_meta.mat", {"class_names": np.array([cars], dtype=object)})
    return ["2012 Audi TTS Coupe", "2012 Acura RL Sedan", "2012 Ram C/V Cargo Van Minivan"]


def oxford_flowers(root):
    folder, labels = root / "oxford_flowers", [3] * 10 + [1] * 12 + [2] * 8
    for number in range(1, 31):
        put(folder / f"jpg/image_{number:05d}.jpg")
    savemat(folder / "imagelabels.mat", {"labels": np.array([labels], dtype=np.uint8)})
    names = {"1": "pink primrose", "2": "hard-leaved pocket orchid", "3": "canterbury bells"}
    (folder / "cat_to_name.json").write_text(json.dumps(names))
    return list(names.values())


def food101(root):
    folders(root / "food-101/images", [f"dish_{n:03d}" for n in range(101)])
    return ["dish_000", "dish_001"]


def fgvc_aircraft(root):
    folder, variants = root / "fgvc_aircraft", ["707-320", "F-16A/B", "Cessna 525"]
    write(folder / "variants.txt", *variants)
    for part, name in enumerate(("train", "val", "test")):
        lines = [f"{1000 * part + 10 * v + n:07d} {variant}" for v, variant in enumerate(variants) for n in range(4)]
        write(folder / f"images_variant_{name}.txt", *lines)
        for line in lines:
            put(folder / f"images/{line.split()[0]}.jpg")
    return variants


def sun397(root):
    folder, scenes = root / "sun397", ["a/abbey", "a/apartment_building/outdoor", "a/apse/indoor"]
    write(folder / "ClassName.txt", *(f"/{scene}" for scene in scenes))
    for name, part, count in (("Training_01", "t", 10), ("Testing_01", "e", 5)):
        lines = [f"/{scene}/sun_{part}{n}.jpg" for scene in scenes for n in range(count)]
        write(folder / f"{name}.txt", *lines)
        for line in lines:
            put(folder / f"SUN397{line}")
    return ["abbey", "outdoor apartment_building", "indoor apse"]


def dtd(root):
    names = ["banded", "zigzagged", *(f"m_{n:02d}" for n in range(45))]
    folders(root / "dtd/images", names)
    return ["banded", "m_00"]


LAND = {
    "AnnualCrop": "Annual Crop Land",
    "Forest": "Forest",
    "HerbaceousVegetation": "Herbaceous Vegetation Land",
    "Highway": "Highway or Road",
    "Industrial": "Industrial Buildings",
    "Pasture": "Pasture Land",
    "PermanentCrop": "Permanent Crop Land",
    "Residential": "Residential Buildings",
    "River": "River",
    "SeaLake": "Sea or Lake",
}


def eurosat(root):
    folders(root / "eurosat/2750", LAND)
    return list(LAND.values())


def ucf101(root):
    folder, actions = root / "ucf101", {"ApplyEyeMakeup": "ApplyEyeMakeup", "HandstandPushups": "HandStandPushups"}
    write(folder / "ucfTrainTestlist/classInd.txt", *(f"{n} {action}" for n, action in enumerate(actions, 1)))
    names = {"ApplyEyeMakeup": "Apply_Eye_Makeup", "HandstandPushups": "Handstand_Pushups"}
    for part, groups in (("trainlist01", range(8, 18)), ("testlist01", range(1, 5))):
        lines = []
        for number, (action, spelt) in enumerate(actions.items(), 1):
            for group in groups:
                video = f"v_{spelt}_g{group:02d}_c01"
                put(folder / f"UCF-101-midframes/{names[action]}/{video}.jpg")
                lines.append(f"{action}/{video}.avi" + (f" {number}" if part == "trainlist01" else ""))
        write(folder / f"ucfTrainTestlist/{part}.txt", *lines)
    return list(names.values())


WNIDS = [f"n{n:08d}" for n in range(1440764, 1440764 + 200)]
NAMES = ["tench", "crane bird", "missile", "missile", *(f"kind {n}" for n in range(196))]


def wordnet(folder, count=200):
    write(folder / "classnames.txt", *(f"{wnid} {name}" for wnid, name in zip(WNIDS[:count], NAMES, strict=False)))


def imagenet(root):
    wordnet(root / "imagenet", 5)
    for part in ("train", "val"):
        folders(root / "imagenet/images" / part, WNIDS[:5], ending=".JPEG")
    return NAMES[:5]


def imagenetv2(root):
    wordnet(root / "imagenetv2", 5)
    folders(root / "imagenetv2/imagenetv2-matched-frequency-format-val", map(str, range(5)), ending=".jpeg")
    return NAMES[:5]


def imagenet_sketch(root):
    wordnet(root / "imagenet-sketch", 5)
    folders(root / "imagenet-sketch/images", WNIDS[:5], ending=".JPEG")
    return NAMES[:5]


def imagenet_a(root):
    wordnet(root / "imagenet-adversarial")
    folders(root / "imagenet-adversarial/imagenet-a", WNIDS, 1)
    (root / "imagenet-adversarial/imagenet-a/README.txt").write_text("hello")
    return NAMES


def imagenet_r(root):
    wordnet(root / "imagenet-rendition")
    folders(root / "imagenet-rendition/imagenet-r", WNIDS, 1)
    return NAMES


TREES = {
    function.__name__: function
    for function in (
        *(caltech101, oxford_pets, stanford_cars, oxford_flowers, food101, fgvc_aircraft, sun397, dtd, eurosat, ucf101),
        *(imagenet, imagenetv2, imagenet_sketch, imagenet_a, imagenet_r),
    )
}
SPLIT_FILES = {name for name in TREES if not name.startswith("imagenet")} - {"fgvc_aircraft"}
VARIANTS = {"imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r"}


def registered(name):
    import yaml

    config = yaml.safe_load((ROOT / "configs" / "datasets" / f"{name}.yaml").read_text())
    assert list(config) == ["DATASET"] and list(config["DATASET"]) == ["NAME"]
    return DATASET_REGISTRY.get(config["DATASET"]["NAME"])


def read(name, root, shots=-1, subset="all"):
    random.seed(1)
    dataset = SimpleNamespace(ROOT=str(root), NUM_SHOTS=shots, SUBSAMPLE_CLASSES=subset)
    return registered(name)(SimpleNamespace(SEED=1, DATASET=dataset))


def listed(dataset):
    parts = (dataset.train_x, dataset.val or [], dataset.test)
    return [[(d.impath, d.label, d.classname) for d in part] for part in parts]


@pytest.mark.parametrize("name", TREES)
def test_labels_and_names_with_and_without_a_split_file(name, tmp_path):
    expected = TREES[name](tmp_path)
    first = read(name, tmp_path)
    assert first.classnames[: len(expected)] == expected
    for part in listed(first):
        for path, label, classname in part:
            assert Path(path).is_file() and first.classnames[label] == classname
    folder = Path(first.dataset_dir)
    written = {path.name for path in folder.glob("split_zhou_*.json")}
    assert len(written) == (1 if name in SPLIT_FILES else 0)
    for leftover in (*folder.glob("*.mat"), *folder.glob("*.txt"), folder / "annotations", folder / "devkit"):
        if name in SPLIT_FILES and leftover.exists():  # with the split file none of them is needed
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    assert listed(read(name, tmp_path)) == listed(first)


@pytest.mark.parametrize("name", TREES)
def test_shots_and_halves(name, tmp_path):
    TREES[name](tmp_path)
    whole = read(name, tmp_path)
    classes = len(whole.classnames)
    half = -(-classes // 2)
    few = read(name, tmp_path, shots=1)
    base, new = read(name, tmp_path, shots=1, subset="base"), read(name, tmp_path, shots=1, subset="new")
    if name in VARIANTS:  # for testing only: shots and halves are ignored
        assert listed(few) == listed(base) == listed(whole) and listed(whole)[0] == listed(whole)[2]
        return
    assert len(few.train_x) == classes and len(few.test) == len(whole.test)
    assert base.classnames == whole.classnames[:half] and new.classnames == whole.classnames[half:]
    assert {d.label for d in new.train_x} == set(range(classes - half))
    assert len(base.test) + len(new.test) == len(whole.test)
    if name == "imagenet":
        assert listed(base)[1] == listed(base)[2]  # val is the test set


@pytest.fixture(scope="module")
def boosting(tmp_path_factory):
    from caspl.prompting.groups import random_entries
    from caspl.prompting.learners import Prompts

    torch.manual_seed(0)
    prompts = Prompts(random_entries(2, 2, 64), random_entries(2, 2, 64))
    path = tmp_path_factory.mktemp("boosting") / "boosting.safetensors"
    return write_boosting(path, prompts, dataset="Elsewhere", classnames=[])


@pytest.mark.parametrize("name", tiers(TREES, "oxford_pets"))
def test_an_epoch_of_caspl(name, boosting, tmp_path):
    from dassl.utils import reset_logger

    import train

    TREES[name](tmp_path / "data")
    arguments = ["--root", str(tmp_path / "data"), "--trainer", "CasPL_CoOp", "--seed", "1"]
    arguments += ["--dataset-config-file", str(ROOT / f"configs/datasets/{name}.yaml")]
    arguments += [
        "--config-file",
        str(ROOT / "configs/trainers/CasPL_CoOp/digits.yaml"),
        "--output-dir",
        str(tmp_path / "out"),
    ]
    options = ["DATASET.NUM_SHOTS", "1", "OPTIM.MAX_EPOCH", "1", "TRAINER.CASPL.BOOSTING", str(boosting)]
    try:
        assert train.main([*arguments, *options]) == 0
    finally:
        reset_logger()
    log = (tmp_path / "out" / "log.txt").read_text()
    assert "* accuracy: " in log


def flat_val(root):
    val = root / "imagenet/images/val"
    for folder in list(val.iterdir()):
        for image in folder.iterdir():
            image.rename(val / image.name)
        folder.rmdir()


def replace_by_loop(folder):
    shutil.rmtree(folder)
    folder.symlink_to(folder)


MISTAKES = {
    "no folder": ("dtd", lambda r: shutil.rmtree(r / "dtd"), "the dataset folder .*dtd is missing"),
    "half extracted": ("eurosat", lambda r: shutil.rmtree(r / "eurosat/2750/River"), "9 class folders, expected 10 .River"),
    "empty class": ("dtd", lambda r: [p.unlink() for p in (r / "dtd/images/m_00").iterdir()], "m_00 is empty"),
    "flat val": ("imagenet", flat_val, "30 files such as .* and no class folders; sort the images into a folder per class"),
    "synonyms": (
        "imagenet",
        lambda r: write(r / "imagenet/classnames.txt", *(f"{w} tench, Tinca tinca" for w in WNIDS[:5])),
        "WordNet's names such as 'tench, Tinca tinca', expected CLIP's cleaned ones",
    ),
    "stray": (
        "imagenet_a",
        lambda r: put(r / "imagenet-adversarial/imagenet-a/mine/x.jpg"),
        "the folder mine, which is no class",
    ),
    "web page": (
        "dtd",
        lambda r: (r / "dtd/split_zhou_DescribableTextures.json").write_text("<!DOCTYPE html><html>"),
        "split_zhou_DescribableTextures.json",
    ),
    "other split": (
        "dtd",
        lambda r: (r / "dtd/split_zhou_DescribableTextures.json").write_text(
            json.dumps({part: [["cat/1.jpg", 0, "cat"]] for part in ("train", "val", "test")})
        ),
        "correct the split file if it is that of another dataset",
    ),
    "no image": (
        "oxford_pets",
        lambda r: (r / "oxford_pets/images/Abyssinian_3.jpg").unlink(),
        "1 of the .* missing, .*Abyssinian_3",
    ),
    "zero bytes": (
        "dtd",
        lambda r: (r / "dtd/images/m_00/m_00_0002.jpg").write_bytes(b""),
        r"m_00_0002.jpg is empty \(0 bytes\)",
    ),
    "link in a circle": (
        "dtd",
        lambda r: replace_by_loop(r / "dtd/images/m_00"),
        "m_00 is a symbolic link that leads nowhere or in a circle",
    ),
    "half a mat": (
        "stanford_cars",
        lambda r: cut(r / "stanford_cars/devkit/cars_meta.mat", 200),
        "cars_meta.mat cannot be read as a MATLAB file .*; extract or download it again",
    ),
    "noise for mat": (
        "stanford_cars",
        lambda r: change(r / "stanford_cars/devkit/cars_train_annos.mat", 140),
        "cars_train_annos.mat cannot be read as a MATLAB file",
    ),
    "pipe for mat": (
        "stanford_cars",
        lambda r: replace_by_pipe(r / "stanford_cars/cars_test_annos_withlabels.mat"),
        "neither .* nor .*cars_test_annos_withlabels.mat is there",
    ),
    "label of many digits": (
        "oxford_pets",
        lambda r: (r / "oxford_pets/annotations/test.txt").write_text(f"a_1 {'9' * 10_000} 1 1\n"),
        "line 1 of .*test.txt is .*, expected image name, class id",
    ),
    "label that is no digit": (
        "oxford_pets",
        lambda r: (r / "oxford_pets/annotations/test.txt").write_text("a_1 \u00b2 1 1\n"),
        "line 1 of .*test.txt is .*, expected image name, class id",
    ),
    "page for mat": (
        "stanford_cars",
        lambda r: (r / "stanford_cars/devkit/cars_meta.mat").write_text("<html>"),
        "cars_meta.mat cannot be read as a MATLAB file .a web page was saved in its place",
    ),
}  # fmt: skip


def cut(path, length):
    path.write_bytes(path.read_bytes()[:length])


def change(path, start):
    content = path.read_bytes()
    path.write_bytes(
        content[:start] + bytes(255 - byte for byte in content[start : start + 40]) + content[start + 40 :]
    )


def replace_by_pipe(path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_is_wrong_with_a_tree_is_named(mistake, tmp_path):
    name, damage, message = MISTAKES[mistake]
    TREES[name](tmp_path)
    damage(tmp_path)
    with pytest.raises(InputError, match=message) as error:
        read(name, tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "above"), [("dtd", True), ("dtd", False)])
def test_a_root_one_level_off_is_told(name, above, tmp_path):
    TREES[name](tmp_path / "data")
    with pytest.raises(InputError, match="one level too (high|low)"):
        read(name, tmp_path if above else tmp_path / "data" / name)


def test_odd_names_and_small_classes(tmp_path, caplog):
    """Spaces and letters beyond ASCII in folders and files, and a class with fewer images than shots."""
    dtd(tmp_path)
    (tmp_path / "dtd/images/banded").rename(tmp_path / "dtd/images/bändchen 縞 2")
    folders(tmp_path / "dtd/images", ["bändchen 縞 2"], 9)
    first, again = read("dtd", tmp_path, shots=4), read("dtd", tmp_path, shots=4)
    lists = [[(d.impath, d.label) for d in data.train_x] for data in (first, again)]
    assert lists[0] == lists[1] and first.classnames[0] == "bändchen 縞 2"
    counts = [sum(d.label == label for d in first.train_x) for label in range(len(first.classnames))]
    assert counts == [4] + [3] * 46  # half of the six images of each other class
    assert "46 of 47 classes have fewer than 4 images, the smallest has 3" in caplog.text


def prepare(root):
    """Of every image in its order, with its label, what a run gets."""
    random.seed(1)  # as SEED does at the start of a run
    dataset = DATASET_REGISTRY.get("DescribableTextures")
    data = dataset(
        SimpleNamespace(DATASET=SimpleNamespace(ROOT=str(root), NUM_SHOTS=2, SUBSAMPLE_CLASSES="base"), SEED=1)
    )
    items = [(item.impath, item.label) for items in (data.train_x, data.val, data.test) for item in items]
    return hashlib.sha256(repr(items).encode()).hexdigest()


@pytest.mark.slow
def test_two_runs_make_split_and_shots_at_once_fifty_times(tmp_path):
    dtd(tmp_path)
    folder = tmp_path / "dtd"
    files = [folder / "split_zhou_DescribableTextures.json", folder / "split_fewshot/shot_2-seed_1.json"]
    seen = set()
    for _ in range(50):
        files[0].unlink(missing_ok=True)
        shutil.rmtree(folder / "split_fewshot", ignore_errors=True)
        first, second = at_once(prepare, tmp_path)
        assert first == second
        seen.add((first, *(file.read_bytes() for file in files)))
        left = {entry.name for entry in folder.iterdir()} - {".caspl.lock"}
        assert left == {"images", "split_fewshot", files[0].name}
    assert len(seen) == 1
