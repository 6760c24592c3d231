"""Pixels equal the family's: reading of all kinds of image files, the two transforms at full size, seeds of loader workers."""

import io
import random
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from dassl.config import get_cfg_default
from dassl.data import build_data_loader
from dassl.data.transforms import build_transform
from dassl.data.transforms.transforms import AVAI_CHOICES
from dassl.utils import InputError, read_image
from PIL import Image
from torchvision import transforms as v1
from torchvision.transforms import InterpolationMode

MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
SIZES = [(500, 375), (375, 500), (224, 224), (223, 400), (31, 300), (640, 225)]  # width, height


@pytest.fixture(scope="module")
def cfg():
    """The INPUT block that all trainer configurations of the family share."""
    cfg = get_cfg_default()
    cfg.INPUT.SIZE, cfg.INPUT.INTERPOLATION = (224, 224), "bicubic"
    cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD = MEAN, STD
    cfg.INPUT.TRANSFORMS = ("random_resized_crop", "random_flip", "normalize")
    cfg.USE_CUDA = False
    return cfg


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """JPEG files with edges, gradients and noise."""
    folder, generator, paths = tmp_path_factory.mktemp("photos"), np.random.default_rng(0), []
    for number, size in enumerate(SIZES):
        coarse = Image.fromarray(generator.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize(size, Image.BILINEAR)
        noisy = np.asarray(coarse).astype(int) + generator.integers(-30, 31, (size[1], size[0], 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.jpg", quality=90)
        paths.append(folder / f"{number}.jpg")
    return paths


def reference(path, transform):
    """As the family reads an image: PIL, convert, torchvision's first classes."""
    with open(path, "rb") as file:
        return transform(Image.open(file).convert("RGB"))


def test_test_images_are_pixel_identical(cfg, photos):
    theirs = v1.Compose(
        [
            v1.Resize(224, interpolation=InterpolationMode.BICUBIC),
            v1.CenterCrop((224, 224)),
            v1.ToTensor(),
            v1.Normalize(MEAN, STD),
        ]
    )
    ours = build_transform(cfg, is_train=False)
    for path in photos:
        assert torch.equal(ours(read_image(path)), reference(path, theirs))


def test_training_crops_are_the_same_draws(cfg, photos):
    """Not only the same distribution: the same seed gives the same crop, flip and pixels, and leaves the same state."""
    theirs = v1.Compose(
        [
            v1.RandomResizedCrop((224, 224), scale=(0.08, 1.0), interpolation=InterpolationMode.BICUBIC),
            v1.RandomHorizontalFlip(),
            v1.ToTensor(),
            v1.Normalize(MEAN, STD),
        ]
    )
    ours = build_transform(cfg)
    for seed in range(4):
        for path in photos:
            torch.manual_seed(seed)
            a, state = ours(read_image(path)), torch.get_rng_state()
            torch.manual_seed(seed)
            assert torch.equal(a, reference(path, theirs)) and torch.equal(state, torch.get_rng_state())
            assert a.is_contiguous() and a.dtype == torch.float32


def test_a_transform_prints_what_it_does(cfg):
    """The feature store names its files by such a text, so it is the same in every process and for the same values alone."""

    def text(**values):
        changed = cfg.clone()
        changed.INPUT.TRANSFORMS = AVAI_CHOICES
        changed.INPUT.update(values)
        return f"{build_transform(changed, is_train=True)}\n{build_transform(changed, is_train=False)}"

    for part in (
        "PILToFloat()",
        "Cutout(n_holes=1, length=16)",
        "GaussianNoise(mean=0.0, std=0.15, p=0.5)",
        "InstanceNormalization(eps=1e-08)",
        "Random2DTranslation(height=224, width=224, p=0.5, interpolation=InterpolationMode.BILINEAR)",
    ):
        assert part in text()
    assert " at 0x" not in text()
    assert text() == text() != text(CUTOUT_LEN=8)


def test_resizing_a_box_is_no_substitute_for_cropping(photos):
    """Pillow's resize(box=...) looks beyond the box at its edges, so it is not used although it is a little faster."""
    image, box = read_image(photos[0]), (13, 20, 313, 290)
    boxed = np.asarray(image.resize((224, 224), Image.BICUBIC, box=box))
    assert (boxed != np.asarray(image.crop(box).resize((224, 224), Image.BICUBIC))).any()


# --- kinds of files --------------------------------------------------------------------------------------------------
def converted(path):
    with Image.open(path) as image, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(image.convert("RGB"))


@pytest.fixture
def pattern():
    return np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def saved(folder, pattern):
    """Files of many kinds with the same pattern."""
    image = Image.fromarray(pattern)
    palette = image.quantize(16)
    for name, picture, more in (
        ("rgb.png", image, {}),
        ("rgb.jpg", image, {}),
        ("rgb.webp", image, {}),
        ("rgb.bmp", image, {}),
        ("lossless.tiff", image, {}),
        ("gray.png", image.convert("L"), {}),
        ("gray.jpg", image.convert("L"), {}),
        ("bilevel.png", image.convert("1"), {}),
        ("gray_alpha.png", image.convert("LA"), {}),
        ("rgba.png", image.convert("RGBA"), {}),
        ("cmyk.jpg", image.convert("CMYK"), {}),
        ("cmyk.tiff", image.convert("CMYK"), {}),
        ("ycbcr.tiff", image.convert("YCbCr"), {}),
        ("palette.png", palette, {}),
        ("palette_index.png", palette, {"transparency": 3}),
        ("palette_bytes.png", palette, {"transparency": bytes(range(16))}),
        ("rgb_key.png", image, {"transparency": (1, 2, 3)}),
        ("palette.gif", palette, {}),
        ("animated.gif", palette, {"save_all": True, "append_images": [palette.rotate(180)]}),
    ):
        picture.save(folder / name, **more)
    return sorted(folder.iterdir())


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
def test_every_kind_is_read_as_the_family_reads_it(tmp_path, pattern):
    paths = saved(tmp_path, pattern)
    assert len(paths) == 19
    for path in paths:
        image = read_image(path)
        assert (image.mode, image.size) == ("RGB", (30, 20)), path
        np.testing.assert_array_equal(np.asarray(image), converted(path), err_msg=path.name)
        np.testing.assert_array_equal(np.asarray(image), np.asarray(read_image("x", path.read_bytes())))


def test_exif_orientation_is_not_applied(tmp_path, pattern):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to show it
    Image.fromarray(pattern).save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").size == (30, 20)
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "turned.jpg")), converted(tmp_path / "turned.jpg"))


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bit_grayscale_keeps_its_upper_bits(tmp_path, suffix):
    """The family's conversion would turn nearly all of such an image white."""
    values = np.linspace(0, 65535, 600).astype(np.uint16).reshape(20, 30)
    path = tmp_path / f"deep.{suffix}"
    Image.fromarray(values).save(path)
    np.testing.assert_array_equal(np.asarray(read_image(path))[..., 1], values >> 8)
    assert converted(path).mean() > 250


def test_unreadable_files_are_named(tmp_path, pattern):
    Image.fromarray(pattern).save(tmp_path / "whole.jpg", quality=95)
    Image.fromarray(pattern).save(tmp_path / "whole.png")
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "deep.tiff")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:900])
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:900])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "page.jpg").write_text("<html>not found</html>")
    for name, message in (
        ("cut.jpg", r"\S*cut\.jpg cannot be read \(image file is truncated"),
        ("cut.png", r"\S*cut\.png cannot be read \("),
        ("empty.jpg", r"\S*empty\.jpg is empty \(0 bytes\), expected an image"),
        ("page.jpg", r"\S*page\.jpg is no image of a known kind, expected an image; replace or remove it$"),
        ("deep.tiff", r"\S*deep\.tiff has 32-bit pixels \(F\), whose range is not known; convert it to 8 bits$"),
        ("none.jpg", r"there is no image \S*none\.jpg; check the path$"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            read_image(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"^shard\.tar/a\.jpg is empty"):
        read_image("shard.tar/a.jpg", b"")


# --- loaders ---------------------------------------------------------------------------------------------------------
class Drawing:
    """A transform that shows the draws of all three generators."""

    def __call__(self, _):
        return torch.tensor([random.random(), np.random.random(), torch.rand(()).item()], dtype=torch.float64)


@pytest.mark.parametrize("workers", [0, 2])
def test_loaders_repeat_themselves(cfg, photos, workers):
    """Seeded alike they give the same batches; another pass and another worker draw other numbers."""
    cfg = cfg.clone()
    cfg.DATALOADER.NUM_WORKERS = workers
    items = [SimpleNamespace(impath=str(path), label=n, domain=0) for n, path in enumerate(photos)] * 2
    transforms = [build_transform(cfg), Drawing()]
    loader = build_data_loader(cfg, "RandomSampler", items, batch_size=3, tfm=transforms)
    runs = []
    for seed in (1, 1, 2):
        for generator in (random.seed, np.random.seed, torch.manual_seed):
            generator(seed)
        runs.append([batch for _ in range(2) for batch in loader])
    for first, again in zip(runs[0], runs[1], strict=True):
        assert all(torch.equal(first[key], again[key]) for key in ("img", "img2", "index"))
    draws = [torch.cat([batch["img2"] for batch in run]) for run in runs]
    assert not torch.equal(draws[0], draws[2])
    assert len(draws[0].unique()) == draws[0].numel()  # in both passes and in both workers


def test_content_in_memory(pattern):
    file = io.BytesIO()
    Image.fromarray(pattern).save(file, "PNG")
    np.testing.assert_array_equal(np.asarray(read_image("name only", file.getvalue())), pattern)


def test_a_crop_larger_than_the_image_is_named():
    cfg = get_cfg_default()
    cfg.INPUT.SIZE, cfg.INPUT.TRANSFORMS = (32, 32), ("random_crop",)
    crop = build_transform(cfg)
    assert crop(Image.new("RGB", (24, 24))).shape == (3, 32, 32)  # with 4 pixels on each side
    with pytest.raises(InputError, match=r'too small for "random_crop" .*INPUT\.CROP_PADDING$'):
        crop(Image.new("RGB", (16, 16)))
