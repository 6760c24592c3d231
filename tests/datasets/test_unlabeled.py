"""UnlabeledImages: folders, shards and both as one stream; training on them; what is said about damage."""

from __future__ import annotations

import io
import json
import os
import random
import sys
import tarfile
import zlib
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from dassl.config import get_cfg_default
from dassl.data import DataManager
from dassl.data.datasets import DATASET_REGISTRY
from dassl.utils import reset_logger
from PIL import Image

from caspl.checkpoints.boosting import read_boosting
from caspl.datasets.files import shards
from caspl.datasets.unlabeled import UnlabeledImages
from caspl.ground.errors import InputError

CHECKOUT = Path(__file__).parents[2]
NAMES = ["cat", "sea lion", "Käfer"]


def picture(number: int, kind: str = "PNG") -> bytes:
    """An image file whose colour tells its number."""
    file = io.BytesIO()
    Image.new("RGB", (12, 10), (number % 256, number // 256, 7)).save(file, kind)
    return file.getvalue()


def write_shard(path: Path, numbers) -> None:
    """A WebDataset shard: for each number an image and a text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for number in numbers:
            for name, content in ((f"{number:06d}.png", picture(number)), (f"{number:06d}.txt", b"a caption")):
                member = tarfile.TarInfo(f"part/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def root(tmp_path) -> Path:
    """Loose images 0 to 24 in folders, 100 to 159 in shards of 20, class names."""
    for number in range(25):
        path = tmp_path / "loose" / ("a", "b/c", "ü x")[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    (tmp_path / "loose" / "readme.txt").touch()
    for number in range(3):
        write_shard(tmp_path / "web" / f"s-{number:03d}.tar", range(100 + 20 * number, 120 + 20 * number))
    (tmp_path / "names.txt").write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def cfg(root):
    """A function that makes a configuration for the loaders."""

    def make(*paths: str, workers: int = 0, batch: int = 8, **more):
        cfg = get_cfg_default()
        cfg.DATASET.PATHS, cfg.DATASET.CLASSNAMES, cfg.DATASET.SUBSAMPLE_CLASSES = paths, "names.txt", "all"
        cfg.DATASET.ROOT, cfg.DATASET.NAME, cfg.VERBOSE = str(root), "UnlabeledImages", False
        cfg.INPUT.SIZE, cfg.INPUT.TRANSFORMS = (8, 8), ("random_resized_crop", "random_flip")
        cfg.DATALOADER.NUM_WORKERS, cfg.DATALOADER.TRAIN_X.BATCH_SIZE = workers, batch
        for key, value in more.items():
            cfg.DATASET[key] = value
        return cfg

    return make


def numbers(batches) -> list[list[int]]:
    return [[int(path.rsplit("/", 1)[1].split(".")[0]) for path in batch["impath"]] for batch in batches]


# --- what is read ----------------------------------------------------------------------------------------------------
def test_a_folder_is_a_list(root, cfg):
    data = UnlabeledImages(cfg("loose"))
    assert data.classnames == NAMES and data.lab2cname == dict(enumerate(NAMES)) and data.num_classes == 3
    assert (len(data.train_x), data.val, data.test) == (25, None, None)
    assert {item.label for item in data.train_x} == {-1} and not data.facts.labelled
    assert data.facts.origin == "UnlabeledImages: loose"
    assert len(UnlabeledImages(cfg(str(root / "loose"))).train_x) == 25
    manager = DataManager(cfg("loose"))
    assert manager.test_loader is None and len(manager.train_loader_x) == 3


@pytest.mark.parametrize(
    "paths", [("web",), ("web/*.tar",), ("web/s-{000..002}.tar",), ("web/s-000.tar", "web/s-00[12].tar")]
)
def test_ways_to_name_shards(root, cfg, paths):
    data = UnlabeledImages(cfg(*paths))
    assert isinstance(data.train_x, torch.utils.data.IterableDataset) and len(data.train_x) == 60
    items = list(data.train_x)
    assert sorted(item.impath for item in items)[0] == f"{root}/web/s-000.tar/part/000100.png"
    assert {item.domain for item in items} == set(range(len(paths)))
    assert items[0].content == picture(int(items[0].impath[-10:-4]))


def test_without_paths_the_root_is_read(root, cfg):
    data = UnlabeledImages(cfg())
    assert len(data.train_x) == 85 and data.facts.origin == f"UnlabeledImages: {root.name}"


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize(
    ("workers", "batch"), [(0, 1), (0, 7), (0, 85), (0, 100), (1, 7), (1, 100), (2, 7), (3, 7), (3, 85)]
)
def test_a_pass_has_the_same_number_of_batches_with_any_workers(root, cfg, workers, batch):
    """Full batches, each image at most once, and all but a rest that changes."""
    torch.manual_seed(0)
    loader = DataManager(cfg("loose", "web", workers=workers, batch=batch)).train_loader_x
    passes = [numbers(loader) for _ in range(1 if workers > 1 else 2)]
    for found in passes:
        assert len(found) == len(loader) == max(85 // batch, 1)
        seen = [number for numbers in found for number in numbers]
        assert len(set(seen)) == len(seen) == len(found) * min(batch, 85)
        assert {len(numbers) for numbers in found} == {min(batch, 85)}
    assert len(passes) == 1 or passes[0] != passes[1]


@pytest.mark.parametrize("batch", [8, 7, 100])
@pytest.mark.parametrize("workers", [0, 2])
def test_shares_of_a_stream_are_the_stream(workers, batch, root, cfg):
    """Batch by batch, as processes of a job load them."""
    loader = DataManager(cfg("loose", "web", workers=workers, batch=batch)).train_loader_x
    found = []
    for each in (loader, *(loader.share(3, number) for number in range(3))):
        torch.manual_seed(1)
        found.append([part["impath"] for part in each])
        assert len(found[-1]) == len(each) == len(loader)
    whole, *shares = found
    assert whole == [[path for part in parts for path in part] for parts in zip(*shares, strict=True)]


def test_a_run_repeats_itself(root, cfg):
    """Same seed: the same images, crops and order, with workers, too; other epochs and seeds: others."""
    for workers in (0, 2):
        loader = DataManager(cfg("loose", "web", workers=workers)).train_loader_x
        runs = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            batches = [batch for _ in range(2) for batch in loader]
            runs.append([(batch["impath"], batch["img"], batch["domain"], batch["label"]) for batch in batches])
        for first, again in zip(runs[0], runs[1], strict=True):
            assert first[0] == again[0] and torch.equal(first[1], again[1])
        order = [[path for batch in run for path in batch[0]] for run in runs]
        half = len(order[0]) // 2
        assert order[0] == order[1] != order[2] and order[0][:half] != order[0][half:]
        assert all(set(batch[3].tolist()) == {-1} for batch in runs[0])
        assert {int(domain) for batch in runs[0] for domain in batch[2]} == {0, 1}


def test_the_order_is_well_mixed(monkeypatch):
    """Neighbours come from different parts, also where a part is far larger than the buffer."""
    monkeypatch.setattr(shards, "BUFFER", 50)
    parts = [shards.Loose(tuple(f"{part}/{n}" for n in range(1000)), part) for part in range(8)]
    monkeypatch.setattr(shards.Loose, "read", lambda self, a, b: iter(self.paths[a:b]))
    order = list(shards.ImageStream(parts).read(0, 8000, seed=3))
    assert len(set(order)) == 8000
    same = sum(a.split("/")[0] == b.split("/")[0] for a, b in zip(order, order[1:], strict=False))
    assert same < 8000 / 2
    beginnings = {tuple(shards.ImageStream(parts).read(0, 10, seed=seed)) for seed in range(5)}
    assert len(beginnings) == 5


def test_stretches_cover_everything_once(monkeypatch):
    monkeypatch.setattr(shards.Loose, "read", lambda self, a, b: iter(self.paths[a:b]))
    dice = random.Random(0)
    parts = [shards.Loose(tuple(f"{part}/{n}" for n in range(dice.randrange(1, 40))), 0) for part in range(9)]
    stream = shards.ImageStream(parts)
    cuts = [0, *sorted(dice.sample(range(1, len(stream)), 4)), len(stream)]
    found = [item for a, b in zip(cuts, cuts[1:], strict=False) for item in stream.read(a, b, seed=7)]
    assert Counter(found) == Counter(path for part in parts for path in part.paths)


def test_counts_are_kept_and_renewed(root, cfg, monkeypatch):
    UnlabeledImages(cfg("web"))
    kept = json.loads((root / "web" / shards.COUNTS).read_text())
    assert {name: value[2] for name, value in kept.items()} == {f"s-00{n}.tar": 20 for n in range(3)}
    calls = []
    count = shards._count
    monkeypatch.setattr(shards, "_count", lambda path: calls.append(path) or count(path))
    assert len(UnlabeledImages(cfg("web")).train_x) == 60 and not calls
    write_shard(root / "web" / "s-001.tar", range(5))
    assert len(UnlabeledImages(cfg("web")).train_x) == 45 and calls == [f"{root}/web/s-001.tar"]
    (root / "web" / shards.COUNTS).write_text('{"s-000.tar": "x", "s-001.tar": [1, 2]')
    assert len(UnlabeledImages(cfg("web")).train_x) == 45
    (root / "web" / shards.COUNTS).write_text("[]")
    assert len(UnlabeledImages(cfg("web")).train_x) == 45

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    (root / "web" / shards.COUNTS).unlink()
    monkeypatch.setattr("caspl.datasets.files.storage.replacing", refuse)
    assert len(UnlabeledImages(cfg("web")).train_x) == 45


def test_memory_does_not_hold_a_shard(tmp_path, monkeypatch):
    """Of a shard with 3,000 images no more than the buffer is held: neither images nor tarfile's list of members."""
    monkeypatch.setattr(shards, "BUFFER", 20)
    write_shard(tmp_path / "s.tar", range(3000))
    sizes = []
    seen = shards.images_of

    def watched(archive):
        for member in seen(archive):
            sizes.append(len(archive.members))
            yield member

    monkeypatch.setattr(shards, "images_of", watched)
    assert sum(1 for _ in shards.ImageStream([shards.Shard(str(tmp_path / "s.tar"), 0, 3000)])) == 3000
    assert max(sizes) <= 1


# --- mistakes --------------------------------------------------------------------------------------------------------
def test_mistakes(root, cfg):
    (root / "empty").mkdir()
    (root / "gap").mkdir()
    (root / "web" / "s-000.tar").rename(root / "gap" / "s-000.tar")
    (root / "names2.txt").write_text("\n")
    for make, message in (
        (lambda: cfg("nowhere"), r"there is no .*/nowhere \(DATASET\.PATHS\), expected a folder or tar files"),
        (lambda: cfg("web/*.jpg"), r"there is no .*/web/\*\.jpg"),
        (lambda: cfg("web/s-{000..002}.tar"), r"there is no .*/web/s-000\.tar"),
        (lambda: cfg("web/s-{002..000}.tar"), r"range in .*/web/s-\{002\.\.000\}\.tar .* ends before it begins"),
        (lambda: cfg("names.txt"), r"names\.txt \(DATASET\.PATHS\) is no folder and no \.tar file"),
        (lambda: cfg("empty"), r"empty \(DATASET\.PATHS\) holds no images and no \.tar files in 0 files"),
        (
            lambda: cfg("loose", CLASSNAMES=""),
            r"DATASET\.CLASSNAMES is empty, expected a text file with the class names",
        ),
        (lambda: cfg("loose", CLASSNAMES="none.txt"), r"none\.txt cannot be read"),
        (lambda: cfg("loose", CLASSNAMES="names2.txt"), r"names2\.txt is empty"),
        (lambda: cfg("loose", NUM_SHOTS=16), r"DATASET\.NUM_SHOTS is 16 and .* leave them at -1 and all"),
        (lambda: cfg("loose", SUBSAMPLE_CLASSES="base"), r"SUBSAMPLE_CLASSES is 'base', but images without labels"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            UnlabeledImages(make())
        assert "\n" not in str(caught.value)


def test_a_shard_made_on_a_mac(root, cfg, caplog):
    """What stands beside the images is none: 20 are counted, also where an earlier version has counted more."""
    path = root / "web" / "s-000.tar"
    with tarfile.open(path, "a") as archive:
        for name in ("part/._000100.png", "__MACOSX/part/000101.png", "./part/.hidden/1.png", "@eaDir/2.png"):
            (member := tarfile.TarInfo(name)).size = 4
            archive.addfile(member, io.BytesIO(b"\0\5\x16\7"))
        (member := tarfile.TarInfo("./part/one.more.png")).size = len(picture(7))
        archive.addfile(member, io.BytesIO(picture(7)))
    status = path.stat()
    numbers = [status.st_size, status.st_mtime_ns, 25]
    entry = [*numbers, zlib.crc32(f"s-000.tar {numbers}".encode())]  # as earlier versions sealed it
    (root / "web" / shards.COUNTS).write_text(json.dumps({"s-000.tar": entry}))
    data = UnlabeledImages(cfg("web/s-000.tar"))
    assert len(data.train_x) == len(list(data.train_x)) == 21
    assert "1 counts that are damaged or of an earlier version, which are made anew" in caplog.text


@pytest.mark.parametrize("names", ["a x\nb y\nü x z\n", "a\tx\nb\ty\nü x\tz\n", "0 x\n1 y\n2 z\n"])
def test_names_beside_folders(root, cfg, names):
    (root / "names.txt").write_text(names, encoding="utf-8")
    assert UnlabeledImages(cfg("loose")).classnames == ["x", "y", "z"]


def test_parts_below_a_path_are_told(root, cfg, caplog):
    for part in ("Train", "Test"):
        (root / "divided" / part).mkdir(parents=True)
        (root / "divided" / part / "0.png").write_bytes(picture(1))
    assert len(UnlabeledImages(cfg("divided")).train_x) == 2
    assert "divided holds Test/, Train/, whose images are taken all; to keep test images unseen, name" in caplog.text
    caplog.clear()
    assert len(UnlabeledImages(cfg("divided/Train")).train_x) == 1 and not caplog.text


def test_one_class_is_refused(root, cfg):
    (root / "names.txt").write_text("cat\n")
    with pytest.raises(InputError, match="names.txt has the one name 'cat', expected two or more"):
        UnlabeledImages(cfg("loose"))


def test_a_class_named_twice_is_told(root, cfg, caplog):
    (root / "twice.txt").write_text("one\ntwo\none\n")
    assert UnlabeledImages(cfg("loose", CLASSNAMES="twice.txt")).num_classes == 3
    assert "twice.txt names one more than once; such classes share their probability" in caplog.text


def test_damaged_shards(root, cfg):
    path = root / "web" / "s-001.tar"
    whole = path.read_bytes()
    for content, message in (
        (b"", r"s-001\.tar cannot be read \(empty file\), expected an uncompressed tar file"),
        (b"<html>" * 200, r"s-001\.tar cannot be read"),
        (whole[:5000], r"s-001\.tar cannot be read \(unexpected end of data\)"),
        (whole[:8192] + b"x" * 512 + whole[8704:], r"s-001\.tar is damaged after 4 images, at byte 8192"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            UnlabeledImages(cfg("web"))
    write_shard(path, [])
    with pytest.raises(InputError, match=r"s-001\.tar holds no images, expected files with endings such as \.jpg"):
        UnlabeledImages(cfg("web"))
    import gzip

    path.write_bytes(gzip.compress(whole))
    with pytest.raises(InputError, match="expected an uncompressed tar file; copy it again or decompress it"):
        UnlabeledImages(cfg("web"))


def header(**changes):
    """The first block of a tar archive with one image."""
    member = tarfile.TarInfo("0.jpg")
    for name, value in changes.items():
        setattr(member, name, value)
    return member.tobuf(tarfile.GNU_FORMAT)


def test_hostile_shards(root, cfg):
    path = root / "web" / "s-001.tar"
    for content, message in (
        (header(size=-1024) + bytes(2048), "s-001.tar cannot be read .*0.jpg has an impossible size"),
        (
            header(size=2**40) + bytes(2048),
            "s-001.tar cannot be read .*0.jpg has 1,099,511,627,776 bytes, expected at most",
        ),
        (header(type=b"L", size=2**40) + bytes(1024), "s-001.tar cannot be read"),
        (header(type=b"x", size=2**40) + bytes(1024), "s-001.tar cannot be read"),
        (header(type=b"L", size=0) * 3000 + bytes(1024), "s-001.tar cannot be read"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            UnlabeledImages(cfg("web"))
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InputError, match=r"s-001\.tar cannot be read \(it is a named pipe, expected a file\)"):
        UnlabeledImages(cfg("web"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:50],
        lambda text: text.replace("20", "21"),
        lambda text: "[" * 100_000,
        lambda text: "[]",
        lambda text: '{"s-000.tar": 3}',
    ],
)
def test_damaged_counts_are_made_anew(root, cfg, damage, caplog):
    UnlabeledImages(cfg("web"))
    kept = root / "web" / shards.COUNTS
    whole = kept.read_text()
    kept.write_text(damage(whole))
    assert len(UnlabeledImages(cfg("web")).train_x) == len(UnlabeledImages(cfg("web")).train_x)
    assert json.loads(kept.read_text()) == json.loads(whole)
    assert len(caplog.messages) == 1 and "made anew" in caplog.messages[0]


def test_a_shard_that_changes_while_training(root, cfg):
    data = UnlabeledImages(cfg("web"))
    write_shard(root / "web" / "s-002.tar", range(3))
    with pytest.raises(InputError, match=r"s-002\.tar ends after 3 images, expected 20: it has changed; start again"):
        list(data.train_x)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_image_in_a_shard_is_named(root, cfg, workers):
    with tarfile.open(root / "bad.tar", "w") as archive:
        member = tarfile.TarInfo("x/7.jpg")
        content = picture(7, "JPEG")[:200]
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    with pytest.raises(InputError, match=r"^\S*bad\.tar/x/7\.jpg cannot be read \(.*\); replace or remove it$"):
        list(DataManager(cfg("bad.tar", workers=workers)).train_loader_x)


def test_a_loose_image_of_a_stream_that_vanishes(root, cfg):
    data = UnlabeledImages(cfg("loose", "web"))
    (root / "loose" / "a" / "0.png").unlink()
    with pytest.raises(InputError, match=r"loose/a/0\.png cannot be read \(No such file or directory\)"):
        list(data.train_x)


def test_no_member_of_a_union(cfg):
    with pytest.raises(InputError, match="UnlabeledImages is none of them"):
        DATASET_REGISTRY.get("Union")(SimpleNamespace(DATASET=SimpleNamespace(MEMBERS=("UnlabeledImages",))))


# --- training --------------------------------------------------------------------------------------------------------
@pytest.fixture
def run(root):
    """Run train.py in this process on the demo models; gives its exit status."""
    if str(CHECKOUT) not in sys.path:
        sys.path.insert(0, str(CHECKOUT))
    import train

    def call(trainer: str, folder: str, dataset: str, *keys: str) -> int:
        arguments = ["--root", str(root), "--seed", "1", "--trainer", trainer, "--output-dir", str(root / folder)]
        arguments += ["--dataset-config-file", str(CHECKOUT / "configs" / "datasets" / f"{dataset}.yaml")]
        arguments += ["--config-file", str(CHECKOUT / "configs" / "trainers" / trainer / "digits.yaml")]
        if dataset == "unlabeled":
            keys = ("DATASET.CLASSNAMES", "names.txt", *keys)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # beside loader workers, more of them get into each other's way
        try:
            return train.main([*arguments, *keys])
        finally:
            torch.set_num_threads(threads)
            reset_logger()

    return call


WEB = ("DATASET.PATHS", "['loose', 'web/s-{000..002}.tar']", "DATALOADER.NUM_WORKERS", "2")


def test_boosting_on_a_stream_and_its_header(root, run):
    assert run("CasPLBoost", "out", "unlabeled", *WEB, "OPTIM.MAX_EPOCH", "1", "TRAIN.PRINT_FREQ", "1") == 0
    log = next((root / "out").glob("log.txt")).read_text()
    assert "UnlabeledImages has no test images: there is no final test" in log and "Evaluate on" not in log
    assert "batch [5/5]" in log and " acc " not in log and "# train_x  85" in log
    tensors, header = read_boosting(root / "out")
    assert header.dataset == "UnlabeledImages: loose, web/s-{000..002}.tar"
    assert (header.classnames, header.names, header.template) == (NAMES, "all", "a photo of a {}.")
    assert tensors


@pytest.mark.slow
def test_a_run_that_is_cut_off_ends_as_if_it_had_not(root, run, monkeypatch):
    """Interrupted in its second epoch and continued, on a stream read by two workers."""
    from caspl.trainers.caspl_boost import CasPLBoost

    keys = (*WEB, "OPTIM.MAX_EPOCH", "2")
    assert run("CasPLBoost", "whole", "unlabeled", *keys) == 0
    step = CasPLBoost.forward_backward

    def cut(self, batch):
        if self.epoch == 1 and self.batch_idx == 2:
            raise KeyboardInterrupt
        return step(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(CasPLBoost, "forward_backward", cut)
        assert run("CasPLBoost", "cut", "unlabeled", *keys) == 130
    assert run("CasPLBoost", "cut", "unlabeled", *keys) == 0
    (whole, header), (again, header_again) = read_boosting(root / "whole"), read_boosting(root / "cut")
    assert header == header_again and all(torch.equal(whole[key], again[key]) for key in whole)


def test_in_a_dassl_that_has_to_have_test_images(root, cfg, run, monkeypatch):
    monkeypatch.delattr(DataManager, "takes_training_only")
    data = UnlabeledImages(cfg("loose"))
    assert data.test == data.train_x[:1] and len(data.train_x) == 25
    with pytest.raises(InputError, match="tar files among loose, web .* loads no streams; unpack them"):
        UnlabeledImages(cfg("loose", "web"))
    assert run("CasPLBoost", "out", "unlabeled", "DATASET.PATHS", "['loose']", "OPTIM.MAX_EPOCH", "1") == 0
    assert "Evaluate on" not in (root / "out" / "log.txt").read_text()
    assert read_boosting(root / "out")[1].dataset == "UnlabeledImages: loose"


def test_what_needs_labels_says_so(root, run, capsys):
    assert run("CoOp", "out", "unlabeled", *WEB) == 2
    assert (
        "UnlabeledImages (DATASET.NAME) has no labels, and CoOp needs them; train CasPLBoost" in capsys.readouterr().err
    )
    assert run("CasPLBoost", "out", "unlabeled", "TEST.FINAL_MODEL", "best_val", "OPTIM.MAX_EPOCH", "1", *WEB[:2]) == 2
    assert "UnlabeledImages has no test images to evaluate on" in capsys.readouterr().err


@pytest.mark.slow
def test_the_whole_method_on_ones_own_images(root, run):
    """Boosting on a pile, then CasPL_CoOp with few shots of one's own class folders, base and new."""
    for label, name in enumerate(("red", "green", "blue")):
        for number in range(8):
            path = root / "mine" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            colour = [20 * number] * 3
            colour[label] = 255
            Image.new("RGB", (40, 30), tuple(colour)).save(path)
    boost = ("DATASET.CLASSNAMES", "names.txt", "DATASET.PATHS", "['mine']", "OPTIM.MAX_EPOCH", "1")
    assert run("CasPLBoost", "boost", "unlabeled", *boost) == 0
    keys = (
        "DATASET.PATHS",
        "['mine']",
        "DATASET.NUM_SHOTS",
        "2",
        "OPTIM.MAX_EPOCH",
        "1",
        "DATALOADER.NUM_WORKERS",
        "0",
        "TRAINER.CASPL.BOOSTING",
        str(root / "boost"),
        "DATASET.SUBSAMPLE_CLASSES",
        "base",
    )
    assert run("CasPL_CoOp", "coop", "image_folder", *keys) == 0
    log = (root / "coop" / "log.txt").read_text()
    assert "taught by demo/teacher on UnlabeledImages: mine" in log and "* total: 4" in log
    assert run("CasPL_CoOp", "coop", "image_folder", *keys) == 0  # finished: nothing but the evaluation
    assert "1 of 1 epochs are finished" in "".join(path.read_text() for path in (root / "coop").glob("log.txt-*"))
