import errno
import io
import random
import tarfile
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from dassl.config import get_cfg_default
from dassl.data import DataManager, DatasetWrapper, build_data_loader
from dassl.data.datasets import DATASET_REGISTRY, DatasetBase, Datum, build_dataset
from dassl.data.datasets.base_dataset import Datum as Datum2
from dassl.data.datasets.build import DATASET_REGISTRY as REGISTRY2
from dassl.data.loader import Loader, item_or_mistake
from dassl.data.samplers import build_sampler
from dassl.data.transforms import AVAI_CHOICES, INTERPOLATION_MODES, build_transform
from dassl.data.transforms.transforms import build_transform as build_transform2
from dassl.utils import InputError, set_random_seed
from PIL import Image
from torch.utils.data import IterableDataset
from torchvision import transforms as v1

SIZES = [(40, 30), (30, 40), (32, 24), (24, 24), (25, 60), (16, 16)]  # width, height


def test_upstreams_module_names():
    assert Datum2 is Datum and REGISTRY2 is DATASET_REGISTRY and build_transform2 is build_transform


# ---------------------------------------------------------------- transforms
def reference(cfg, choices, is_train):
    """The transform as Dassl 0.6.3 composes it from torchvision's first classes."""
    node, mode = cfg.INPUT, INTERPOLATION_MODES[cfg.INPUT.INTERPOLATION]
    steps = []
    if is_train:
        if "random_crop" not in choices and "random_resized_crop" not in choices:
            steps.append(v1.Resize(node.SIZE, interpolation=mode))
        if "random_crop" in choices:
            steps.append(v1.RandomCrop(node.SIZE, padding=node.CROP_PADDING))
        if "random_resized_crop" in choices:
            steps.append(v1.RandomResizedCrop(node.SIZE, scale=node.RRCROP_SCALE, interpolation=mode))
        if "random_flip" in choices:
            steps.append(v1.RandomHorizontalFlip())
        if "colorjitter" in choices:
            steps.append(v1.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1))
        if "randomgrayscale" in choices:
            steps.append(v1.RandomGrayscale(p=node.RGS_P))
        if "gaussian_blur" in choices:
            steps.append(v1.RandomApply([v1.GaussianBlur(node.GB_K)], p=node.GB_P))
    else:
        steps += [v1.Resize(max(node.SIZE), interpolation=mode), v1.CenterCrop(node.SIZE)]
    steps.append(v1.ToTensor())
    if "normalize" in choices:
        steps.append(v1.Normalize(mean=node.PIXEL_MEAN, std=node.PIXEL_STD))
    return v1.Compose(steps)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize(
    "choices",
    [
        (),
        ("random_resized_crop", "random_flip", "normalize"),
        ("normalize", "random_flip", "random_crop"),
        ("random_flip", "colorjitter", "randomgrayscale", "gaussian_blur", "center_crop"),
    ],
)
def test_transforms_equal_v1(choices, interpolation):
    cfg = get_cfg_default()
    cfg.INPUT.SIZE, cfg.INPUT.INTERPOLATION, cfg.INPUT.TRANSFORMS = (24, 24), interpolation, choices
    cfg.INPUT.GB_K = 5
    generator = np.random.default_rng(0)
    for is_train in (True, False):
        ours, theirs = build_transform(cfg, is_train=is_train), reference(cfg, choices, is_train)
        for seed, (width, height) in enumerate(SIZES * 4):
            image = Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))
            results = []
            for transform in (ours, theirs):
                torch.manual_seed(seed)
                results.append((transform(image), torch.get_rng_state()))
            (a, state_a), (b, state_b) = results
            assert type(a) is torch.Tensor and a.dtype == torch.float32 and a.shape == (3, 24, 24)
            assert torch.equal(a, b) and torch.equal(state_a, state_b)


def test_own_operations():
    """Values of Dassl 0.6.3 on the same image, restated: translation, cutout, noise, instance normalisation."""
    cfg = get_cfg_default()
    cfg.INPUT.SIZE = (16, 24)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8))

    translate = build_transform(cfg, choices=["random_translation"])
    kinds = set()
    for seed in range(8):
        random.seed(seed)
        result = translate(image)
        random.seed(seed)
        resized = image.resize((24, 16), Image.BILINEAR)
        if random.uniform(0, 1) > 0.5:
            expected = resized
        else:
            x, y = (int(round(random.uniform(0, space))) for space in (3, 2))
            expected = resized.resize((27, 18), Image.BILINEAR).crop((x, y, x + 24, y + 16))
        kinds.add(expected is resized)
        assert torch.equal(result, v1.ToTensor()(expected))
    assert kinds == {True, False}

    set_random_seed(0)
    cut = build_transform(cfg, choices=["cutout"])(image)
    set_random_seed(0)
    y, x = np.random.randint(16), np.random.randint(24)
    expected = v1.ToTensor()(image.resize((24, 16), Image.BILINEAR))
    expected[:, max(y - 8, 0) : y + 8, max(x - 8, 0) : x + 8] = 0
    assert torch.equal(cut, expected)

    noisy = build_transform(cfg, choices=["gaussian_noise"])
    random.seed(1)  # first draw 0.13: noise
    torch.manual_seed(0)
    result = noisy(image)
    torch.manual_seed(0)
    plain = v1.ToTensor()(image.resize((24, 16), Image.BILINEAR))
    assert torch.equal(result, plain + (torch.randn(3, 16, 24) * 0.15 + 0.0))

    normal = build_transform(cfg, is_train=False, choices=["instance_norm"])(image)
    assert torch.allclose(normal.mean((1, 2)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(normal.flatten(1).std(1), torch.ones(3), atol=1e-5)


def test_transform_lines(caplog):
    cfg = get_cfg_default()
    cfg.INPUT.TRANSFORMS = ("random_flip", "random_resized_crop", "normalize")
    build_transform(cfg)
    build_transform(cfg, is_train=False)
    assert caplog.messages == [
        "Building transform_train",
        "+ random resized crop (size=(224, 224), scale=(0.08, 1.0))",
        "+ random flip",
        "+ to torch tensor of range [0, 1]",
        "+ normalization (mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])",
        "Building transform_test",
        "+ resize the smaller edge to 224",
        "+ 224x224 center crop",
        "+ to torch tensor of range [0, 1]",
        "+ normalization (mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])",
    ]


def test_transform_mistakes():
    cfg = get_cfg_default()
    with pytest.raises(InputError, match=r'transform in INPUT.TRANSFORMS "random_flop" \(do you mean "random_flip"'):
        build_transform(cfg, choices=["random_flop"])
    with pytest.raises(InputError, match=r"available: .*gaussian_blur"):
        build_transform(cfg, choices=["randaugment"])
    cfg.INPUT.INTERPOLATION = "cubic"
    with pytest.raises(InputError, match=r'INPUT.INTERPOLATION "cubic" \(do you mean "bicubic"'):
        build_transform(cfg)
    cfg.INPUT.NO_TRANSFORM = True
    assert build_transform(cfg) is None
    assert len(AVAI_CHOICES) == 12


# ---------------------------------------------------------------- samplers
def items(*labels):
    return [SimpleNamespace(label=label) for label in labels]


def test_samplers():
    data = items(*range(5))
    assert list(build_sampler("SequentialSampler", data_source=data)) == [0, 1, 2, 3, 4]
    torch.manual_seed(0)
    seed = int(torch.empty((), dtype=torch.int64).random_().item())
    expected = torch.randperm(5, generator=torch.Generator().manual_seed(seed)).tolist()
    torch.manual_seed(0)
    assert list(build_sampler("RandomSampler", data_source=data)) == expected
    with pytest.raises(InputError, match="available: RandomSampler, SequentialSampler, RandomClassSampler"):
        build_sampler("RandomDomainSampler", data_source=data)


def test_random_class_sampler():
    """The order was drawn by Dassl 0.6.3's sampler with the same seeds (10 + 5 + 2 images of 3 classes)."""
    data = items(*[0] * 10, *[1] * 5, *[2] * 2)
    set_random_seed(1)
    sampler = build_sampler("RandomClassSampler", data_source=data, batch_size=6, n_ins=3)
    order = list(sampler)
    assert order == [15, 16, 16, 2, 9, 8, 11, 14, 12, 4, 7, 6]
    for start in range(0, len(order), 3):
        assert len({data[index].label for index in order[start : start + 3]}) == 1
    with pytest.raises(InputError, match="batch size, 2, must be at least N_INS"):
        build_sampler("RandomClassSampler", data_source=data, batch_size=2, n_ins=3)
    with pytest.raises(InputError, match="needs 4 classes, but the data has 3"):
        build_sampler("RandomClassSampler", data_source=data, batch_size=12, n_ins=3)


# ---------------------------------------------------------------- datasets
@pytest.fixture
def toy(tmp_path):
    """Ten training items of labels 2, 0, 1 in this order, named <label>_<n>."""

    def make(prefix, count):
        data = []
        for label in (2, 0, 1):
            for index in range(count):
                path = tmp_path / f"{prefix}{label}_{index}"
                path.touch()
                data.append(Datum(str(path), label, 0, f"class{label}"))
        return data

    return make("", 10), make("v", 5)


def names(data):
    return " ".join(item.impath.rsplit("/", 1)[-1] for item in data)


@pytest.mark.parametrize(
    "seed, train, val",
    [
        (1, "2_2 2_1 0_4 0_1 1_7 1_9", "v2_3 v2_4 v0_1 v0_0 v1_3 v1_0"),
        (2, "2_0 2_1 0_1 0_5 1_2 1_4", "v2_2 v2_1 v0_4 v0_0 v1_4 v1_1"),
        (3, "2_3 2_8 0_2 0_5 1_9 1_7", "v2_4 v2_0 v0_4 v0_0 v1_3 v1_2"),
    ],
)
def test_fewshot_draws_are_dassls(toy, seed, train, val):
    """Values drawn by Dassl 0.6.3."""
    base = DatasetBase(train_x=toy[0], test=toy[0])
    random.seed(seed)
    assert names(base.generate_fewshot_dataset(toy[0], num_shots=2)) == train
    assert names(base.generate_fewshot_dataset(toy[1], num_shots=2)) == val


def test_fewshot_other_cases(toy):
    base = DatasetBase(train_x=toy[0], test=toy[0])
    assert base.generate_fewshot_dataset(toy[0], num_shots=-1) is toy[0]
    assert base.generate_fewshot_dataset(*toy) == toy
    state = random.getstate()
    assert base.generate_fewshot_dataset(toy[0], num_shots=16) == toy[0]
    assert random.getstate() == state
    train, val = base.generate_fewshot_dataset(*toy, num_shots=8, repeat=True)
    assert len(train) == len(val) == 24


def test_dataset_attributes(toy):
    base = DatasetBase(train_x=toy[0], val=toy[1], test=toy[1])
    assert base.num_classes == 3 and base.classnames == ["class0", "class1", "class2"]
    assert base.lab2cname == {0: "class0", 1: "class1", 2: "class2"}
    assert base.train_u is None and base.val is toy[1] and base.test is toy[1]
    assert list(base.split_dataset_by_label(toy[0])) == [2, 0, 1]
    assert {k: len(v) for k, v in base.split_dataset_by_domain(toy[0]).items()} == {0: 30}
    base.domains = ["art", "photo"]
    base.check_input_domains(["art"], ["photo"])
    with pytest.raises(InputError, match=r'Unknown domain "fotos?" \(do you mean "photo"'):
        base.check_input_domains(["art"], ["foto"])
    with pytest.raises(InputError, match="TARGET_DOMAINS is empty"):
        base.check_input_domains(["art"], [])


def test_label_gap(toy):
    with pytest.raises(InputError, match=r"Labels go up to 2, but 1 of them have no training image: 1;"):
        DatasetBase(train_x=[item for item in toy[0] if item.label != 1], test=toy[0])
    with pytest.raises(InputError, match="train_x is empty"):
        DatasetBase(train_x=[], test=toy[0])
    with pytest.raises(InputError, match=r'no image file "none.jpg" \(class 3, ant\)'):
        Datum("none.jpg", 3, 0, "ant")


@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="this Python cannot unpack tar files safely")
def test_download_data(tmp_path, toy, monkeypatch):
    base = DatasetBase(train_x=toy[0], test=toy[0])
    source = tmp_path / "source.tar.gz"
    with tarfile.open(source, "w:gz") as archive:
        member = tarfile.TarInfo("a/b.txt")
        member.size = 2
        archive.addfile(member, io.BytesIO(b"hi"))
    base.download_data(source.as_uri(), str(tmp_path / "new" / "x.tar.gz"), from_gdrive=False)
    assert (tmp_path / "new" / "a" / "b.txt").read_text() == "hi"
    source = tmp_path / "source.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("../outside.txt", "zip")
    base.download_data(source.as_uri(), str(tmp_path / "new" / "x.zip"), from_gdrive=False)
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("../outside.txt"))
    with pytest.raises(tarfile.OutsideDestinationError):
        base.download_data((tmp_path / "bad.tar").as_uri(), str(tmp_path / "new" / "x.tar"), from_gdrive=False)
    assert not (tmp_path / "outside.txt").exists()
    monkeypatch.setitem(__import__("sys").modules, "gdown", None)
    with pytest.raises(InputError, match="pip install gdown"):
        base.download_data("https://drive.google.com/x", str(tmp_path / "x.zip"))
    with pytest.raises(InputError, match=r"must end in \.zip"):
        base.download_data("x", str(tmp_path / "x.rar"))


def test_a_python_that_cannot_unpack_safely_says_so(tmp_path, toy, monkeypatch):
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    source = tmp_path / "source.tar"
    tarfile.open(source, "w").close()
    with pytest.raises(InputError, match="cannot unpack tar files safely, expected 3.10.12"):
        DatasetBase(train_x=toy[0], test=toy[0]).download_data(
            source.as_uri(), str(tmp_path / "x.tar"), from_gdrive=False
        )


# ---------------------------------------------------------------- loaders
def test_data_manager(make_cfg, caplog):
    manager = DataManager(make_cfg(DATALOADER__RETURN_IMG0=True))
    assert (len(manager.train_loader_x), len(manager.val_loader), len(manager.test_loader)) == (3, 2, 3)
    assert manager.train_loader_u is None and manager.num_classes == 3 and manager.num_source_domains == 0
    batch = next(iter(manager.train_loader_x))
    assert set(batch) == {"img", "img0", "label", "domain", "impath", "index"}
    assert batch["img"].shape == batch["img0"].shape == (4, 3, 8, 8) and batch["label"].dtype == torch.int64
    assert [b["label"].tolist() for b in manager.val_loader] == [[0, 0, 1, 1], [2, 2]]
    table = next(message for message in caplog.messages if message.startswith("---"))
    assert "# train_x  15" in table and "# classes  3" in table and "# test     9" in table and "# val      6" in table
    assert "Loading dataset: StubPNGs" in caplog.messages


def test_short_training_set_is_one_batch(make_cfg):
    cfg = make_cfg(DATALOADER__TRAIN_X__BATCH_SIZE=64)
    assert [len(batch["label"]) for batch in DataManager(cfg).train_loader_x] == [15]


def test_several_transforms(make_cfg):
    cfg = make_cfg(DATALOADER__K_TRANSFORMS=2)
    data = build_dataset(cfg).train_x
    plain = build_transform(cfg, is_train=False)
    item = DatasetWrapper(cfg, data, transform=[plain, plain], is_train=True)[0]
    assert len(item["img"]) == 2 and torch.equal(item["img"][0], item["img2"][1])
    assert torch.is_tensor(DatasetWrapper(cfg, data, transform=plain)[0]["img"])
    assert isinstance(DatasetWrapper(cfg, data)[0]["img"], Image.Image)
    with pytest.raises(InputError, match="K_TRANSFORMS is 2, but there is no transform"):
        DatasetWrapper(cfg, data, is_train=True)


def test_empty_splits(make_cfg, stub, monkeypatch):
    monkeypatch.setattr(stub.StubPNGs, "test", [])
    with pytest.raises(InputError, match="The split test of StubPNGs is empty"):
        DataManager(make_cfg())
    with pytest.raises(InputError, match="no evaluation images"):
        build_data_loader(make_cfg(), data_source=[], is_train=False)


def test_unknown_dataset(make_cfg):
    with pytest.raises(InputError, match=r'"StubPNG" \(do you mean "StubPNGs"'):
        build_dataset(make_cfg(DATASET__NAME="StubPNG"))


def test_broken_image_in_a_worker_is_one_sentence(make_cfg, tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG")
    cfg = make_cfg(DATALOADER__NUM_WORKERS=1)
    loader = build_data_loader(cfg, data_source=[Datum(str(path))], tfm=build_transform(cfg))
    with pytest.raises(
        InputError, match=r"^/\S+broken\.png is no image of a known kind, expected an image; replace or remove it$"
    ):
        next(iter(loader))


def test_a_workers_mistake_is_the_same_error(make_cfg, tmp_path):
    """The same type and sentence, at its place in the order; other batches come as ever."""
    good, broken = tmp_path / "good.png", tmp_path / "broken.png"
    Image.new("RGB", (4, 4)).save(good)
    broken.touch()
    items = [Datum(str(path)) for path in (good, good, good, broken, good, good)]
    cfg = make_cfg(DATALOADER__NUM_WORKERS=2)
    loader = build_data_loader(cfg, data_source=items, batch_size=2, tfm=build_transform(cfg), is_train=False)
    batches = iter(loader)
    assert len(batches) == len(loader) == 3 and next(batches)["index"].tolist() == [0, 1]
    with pytest.raises(InputError) as raised:
        next(batches)
    assert (
        type(raised.value) is InputError and str(raised.value).count(str(broken)) == 1 and "\n" not in str(raised.value)
    )
    assert next(batches)["index"].tolist() == [4, 5]
    assert list(batches) == []


class _Stream(IterableDataset):
    """Items with contents; the third can't be read."""

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __iter__(self):
        return self.read(0, self.length, 0)

    def read(self, first, last, seed):
        for index in range(first, last):
            if index == 2:
                raise InputError("the third is damaged")
            file = io.BytesIO()
            Image.new("RGB", (4, 4)).save(file, "PNG")
            yield SimpleNamespace(impath=str(index), label=0, domain=0, content=file.getvalue())


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_streams_mistake_is_no_shorter_pass(make_cfg, workers):
    """Though a batch that is not full is dropped in training."""
    cfg = make_cfg(DATALOADER__NUM_WORKERS=workers)
    loader = build_data_loader(cfg, data_source=_Stream(9), batch_size=4, tfm=build_transform(cfg))
    with pytest.raises(InputError, match="^the third is damaged$"):
        list(loader)


def test_a_pass_begins_when_its_iterator_is_made(make_cfg, tmp_path):
    """The seed of its workers is drawn then: what is drawn in between does not matter."""
    path = tmp_path / "good.png"
    Image.new("RGB", (4, 4)).save(path)
    cfg = make_cfg(DATALOADER__NUM_WORKERS=1)
    loader = build_data_loader(cfg, data_source=[Datum(str(path))], tfm=build_transform(cfg))
    torch.manual_seed(1)
    batches = iter(loader)
    state = torch.get_rng_state()
    next(batches)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(1)
    assert not torch.equal(state, torch.get_rng_state())


@pytest.mark.slow
def test_what_the_disk_refuses_a_worker_arrives_as_it_is(make_cfg):
    class Refused(torch.utils.data.Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return item_or_mistake(self.read)

        def read(self):
            raise OSError(errno.EIO, "Input/output error", "a.png")

    with pytest.raises(OSError) as caught:
        next(iter(Loader(Refused(), num_workers=1)))
    assert (caught.value.errno, caught.value.filename) == (errno.EIO, "a.png")
