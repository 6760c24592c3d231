"""What bad inputs are made from: runs, prompts, images and splits that are as they should be, made once by the commands."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from .attempts import run
from .cases import Case
from .doors import ROOT

KEY = re.compile(r"[A-Z][A-Z0-9_.]*")  # where the flags of train.py end
CLASSES = ("ant", "bee", "cat")
DIGITS = str(ROOT / "configs" / "datasets" / "digits.yaml")


def recipe(trainer: str) -> str:
    """The path of a trainer's configuration for the digits."""
    return str(ROOT / "configs" / "trainers" / trainer / "digits.yaml")


@dataclass(frozen=True)
class Sound:
    """The paths of what is sound; nothing writes there."""

    place: Path

    @property
    def root(self) -> Path:
        """Of the digits."""
        return self.place / "data"

    @property
    def coop(self) -> Path:
        """The output folder of a run of CoOp: prompts.safetensors, resume.pth.tar, prompt_learner/model.pth.tar-1."""
        return self.place / "coop"

    @property
    def cocoop(self) -> Path:
        return self.place / "cocoop"

    @property
    def boosting(self) -> Path:
        """The output folder of a phase 1: boosting.safetensors."""
        return self.place / "boost"

    @property
    def photo(self) -> Path:
        return self.place / "photos" / "ant" / "0.png"

    @property
    def photos(self) -> Path:
        """A folder of class folders."""
        return self.place / "photos"

    @property
    def textures(self) -> Path:
        """A root with a small DescribableTextures, whose split is textures / "dtd" / SPLIT."""
        return self.place / "textures"

    def digits(self, trainer: str = "CoOp", *more: str, shots: str = "1") -> tuple[str, ...]:
        """Arguments of train.py that would train one epoch on the digits, but for `more`."""
        flags = ("--root", str(self.root), "--seed", "1", "--trainer", trainer, "--dataset-config-file", DIGITS)
        options = ("DATASET.NUM_SHOTS", shots, "OPTIM.MAX_EPOCH", "1")
        cut = next((number for number, word in enumerate(more) if KEY.fullmatch(word)), len(more))
        return (*flags, "--config-file", recipe(trainer), *_output(more[:cut]), *more[:cut], *options, *more[cut:])


def _output(flags: tuple[str, ...]) -> tuple[str, ...]:
    return () if "--output-dir" in flags else ("--output-dir", "out")


SPLIT = "split_zhou_DescribableTextures.json"


def picture(path: Path, number: int, **options) -> None:
    """Write a small picture, another one for each number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)


def split_of(folder: Path, suffix: str = ".jpg") -> dict[str, list]:
    """A split of the images in folder / class: two for training, one to validate, one to test."""
    parts: dict[str, list] = {"train": [], "val": [], "test": []}
    for label, name in enumerate(CLASSES):
        for number, part in enumerate(("train", "train", "val", "test")):
            picture(folder / name / f"{name}_{number}{suffix}", 10 * label + number)
            parts[part].append([f"{name}/{name}_{number}{suffix}", label, name])
    return parts


def make(place: Path) -> Sound:
    """Write everything into an empty folder. Raises RuntimeError, with what was printed, where a command fails."""
    sound = Sound(place)
    for label, name in enumerate(CLASSES):
        for number in range(4):
            picture(sound.photos / name / f"{number}.png", 10 * label + number)
    split = split_of(sound.textures / "dtd" / "images")
    (sound.textures / "dtd" / SPLIT).write_text(json.dumps(split))
    commands = [
        ("train", sound.digits("CoOp", "--output-dir", str(sound.coop))),
        ("train", sound.digits("CoCoOp", "--output-dir", str(sound.cocoop), "TEST.NO_TEST", "True")),
        ("train", sound.digits("CasPLBoost", "--output-dir", str(sound.boosting), "TEST.NO_TEST", "True")),
    ]
    for door, argv in commands:
        case = Case("sound", door, "nothing wrong", argv, status=0)
        for outcome in run([case], seconds=300):
            if outcome.status != 0 or outcome.err.count("error: "):
                raise RuntimeError(f"{door} {' '.join(argv)}\n{outcome.err}{outcome.out[-2000:]}")
    return sound
