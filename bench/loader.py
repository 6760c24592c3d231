"""Reading training images: the family's recipe against ours, in one run.

    python bench/loader.py --images 64 --repeats 10

JPEG files of `--size` are generated once. Both paths read them from memory, decode them and apply the training transform
(random resized crop of 224 pixels, bicubic; flip; tensor; normalise) with the same draws, one core each. The family's path is
Pillow and torchvision's first transforms, as Dassl composes them; ours is what a run's loader calls. They alternate pass by
pass, so that a busy machine slows both; the rate of a path is that of its fastest pass. Pixels are compared, and the steps of
ours are timed on their own.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

import plain  # puts the checkout on the path, so before dassl
from caspl.ground import door

# isort: split
import numpy as np
import torch
from dassl.config import get_cfg_default
from dassl.data.transforms import build_transform
from PIL import Image
from torch import Tensor
from torchvision import transforms as v1
from torchvision.transforms import InterpolationMode

from caspl.ground.images import read_image

STEPS = ("crop and resize", "flip", "to tensor", "normalise")


def photos(count: int, width: int, height: int) -> list[bytes]:
    """JPEG files with structure and noise, as large as photographs of that size are (about 65 kB at 500x375)."""
    generator, files = np.random.default_rng(0), []
    for _ in range(count):
        coarse = Image.fromarray(generator.integers(0, 256, (24, 32, 3), dtype=np.uint8)).resize(
            (width, height), Image.BICUBIC
        )
        noisy = np.asarray(coarse).astype(int) + generator.integers(-12, 13, (height, width, 3))
        file = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    return files


def settings():
    """The INPUT block of the family's trainer configurations."""
    cfg = get_cfg_default()
    cfg.INPUT.SIZE, cfg.INPUT.INTERPOLATION = (224, 224), "bicubic"
    cfg.INPUT.PIXEL_MEAN = [0.48145466, 0.4578275, 0.40821073]
    cfg.INPUT.PIXEL_STD = [0.26862954, 0.26130258, 0.27577711]
    cfg.INPUT.TRANSFORMS = ("random_resized_crop", "random_flip", "normalize")
    return cfg


def family(cfg) -> Callable[[bytes], Tensor]:
    node = cfg.INPUT
    transform = v1.Compose(
        [
            v1.RandomResizedCrop(node.SIZE, scale=node.RRCROP_SCALE, interpolation=InterpolationMode.BICUBIC),
            v1.RandomHorizontalFlip(),
            v1.ToTensor(),
            v1.Normalize(mean=node.PIXEL_MEAN, std=node.PIXEL_STD),
        ]
    )
    return lambda file: transform(Image.open(io.BytesIO(file)).convert("RGB"))


def one_pass(read: Callable[[bytes], Tensor], files: list[bytes], seed: int) -> tuple[float, list[Tensor]]:
    """Seconds for an image, and the images."""
    torch.manual_seed(seed)
    begin = time.perf_counter()
    images = [read(file) for file in files]
    return (time.perf_counter() - begin) / len(files), images


def step_times(transform, files: list[bytes], repeats: int) -> dict[str, float]:
    """Milliseconds for an image in each step of ours, in the fastest pass."""
    functions = [lambda file: read_image("", file), *transform.transforms]
    times: list[list[float]] = [[] for _ in functions]
    for seed in range(repeats):
        torch.manual_seed(seed)
        images: list = files
        for function, passes in zip(functions, times, strict=True):
            begin = time.perf_counter()
            images = [function(image) for image in images]
            passes.append((time.perf_counter() - begin) / len(files) * 1000)
    return dict(zip(("decode", *STEPS), map(min, times), strict=True))


def main() -> None:
    parser = door.Parser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--size", type=int, nargs=2, default=[500, 375], metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", type=Path, help="also write the result here")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cfg, files = settings(), photos(args.images, *args.size)
    transform = build_transform(cfg)
    paths = {"family": family(cfg), "ours": lambda file: transform(read_image("", file))}
    seconds: dict[str, list[float]] = {name: [] for name in paths}
    equal = True
    for seed in range(args.repeats + 1):
        images = {}
        for name in list(paths)[:: 1 if seed % 2 else -1]:
            spent, images[name] = one_pass(paths[name], files, seed)
            seconds[name] += [spent] if seed else []  # the first pass warms up
        equal = equal and all(map(torch.equal, images["family"], images["ours"]))
    rates = {name: 1 / min(passes) for name, passes in seconds.items()}
    plain.publish(
        args,
        {
            "bytes_per_image": round(sum(map(len, files)) / len(files)),
            "family_images_per_second_per_core": round(rates["family"], 1),
            "ours_images_per_second_per_core": round(rates["ours"], 1),
            "ratio": round(rates["ours"] / rates["family"], 3),
            "pixels_equal": equal,
            "ours_milliseconds": {
                name: round(value, 3) for name, value in step_times(transform, files, args.repeats).items()
            },
        },
    )


if __name__ == "__main__":
    sys.exit(door.run(main))
