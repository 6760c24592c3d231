"""Using what was trained: a CLIP with its prompts, class names, and answers. Needs neither Dassl nor the trainers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..checkpoints.boosting import load_boosting, read_boosting
from ..checkpoints.headers import BoostingHeader, RunHeader, read_header
from ..checkpoints.run import read_run
from ..checkpoints.sources import resolve
from ..clip.backbones import Backbone, load_backbone
from ..clip.fingerprint import mismatch
from ..clip.models import is_known
from ..clip.precision import resolve_precision
from ..clip.preprocessing import Preprocessing
from ..ground.errors import InputError, first_line
from ..ground.images import read_image, to_rgb
from ..prompting.cascade import Deployed
from ..prompting.learners import Learner
from ..prompting.model import PromptedCLIP

OneImage = Tensor | Image.Image | str | Path
Images = OneImage | Sequence[OneImage]
BATCH = 64  # images that go through the image tower together


class Predictor:
    """A boosted or adapted CLIP that classifies images. `caspl.load` makes it.

    Attributes:
        classnames: the C class names; `with_classes` gives a predictor with others.
        prompts: the learners, as `Learner.deployed` gives them, in one; its call gives the prompt groups.
        preprocessing: from an RGB image to what `encode_image` takes.
        source: the file that was loaded.
        method: the trainer's name, "CasPLBoost" for boosting prompts alone.
    """

    def __init__(
        self,
        backbone: Backbone,
        learners: Iterable[Learner],
        classnames: Sequence[str],
        preprocessing: Preprocessing,
        *,
        source: str = "",
        method: str = "",
        device: str | torch.device = "cpu",
        precision: str = "fp32",
    ):
        self.device = usable_device(device)
        self.precision = resolve_precision(precision, self.device)
        self.backbone = backbone.place(self.device, self.precision)
        self.prompts = Deployed(learners).to(self.device)
        self.preprocessing, self.source, self.method = preprocessing, source, method
        self._set_classes(classnames)

    def _set_classes(self, classnames: Sequence[str]) -> None:
        own = self.prompts.class_specific
        if own and own != len(classnames):
            raise InputError(
                f"{self.source} has a context of its own for each of its {own} classes, so it has none for "
                f"{len(classnames)} others; use its own class names, or train a context that classes share"
            )
        self.classnames = list(classnames)
        self.model = PromptedCLIP(self.backbone, self.classnames).to(self.device)
        self.model.tower.check(self.prompts())
        self._classifier: Tensor | None = None

    def with_classes(self, classnames: Sequence[str]) -> Predictor:
        """The same prompts with other class names; nothing is trained, the backbone is shared.

        Raises:
            InputError: no names, a name too long for the text tower, or a context that belongs to classes (CoOp's CSC).
        """
        classnames = _several(classnames)
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._set_classes(classnames)
        return other

    @property
    def conditional(self) -> bool:
        """Whether class features depend on the image (CoCoOp), so that there is no classifier."""
        return self.prompts.conditional

    @property
    def scale(self) -> float:
        """exp(logit scale), what cosines are multiplied by before the softmax."""
        return float(self.model.scale)

    @property
    @torch.no_grad()
    def classifier(self) -> Tensor:
        """The static class features [C, E], normalised: logits are scale * encode_image(images) @ classifier.T.

        Raises:
            InputError: the method makes other class features for each image (CoCoOp).
        """
        if self.conditional:
            raise InputError(
                f"{self.method} makes its class features anew for each image, so it has no static classifier; use "
                f"logits or predict"
            )
        if self._classifier is None:
            with self.precision.autocast():
                self._classifier = self._finite(self.model.class_features(self.prompts()), "class features")
        return self._classifier

    @torch.no_grad()
    def encode_image(self, images: Images) -> Tensor:
        """Normalised features [B, E] of images: paths, PIL images, or tensors of `prepare`, [3, H, W] each or [B, 3, H, W].

        Raises:
            InputError: an image cannot be read, is no image, or a tensor is not of the kind and size that `prepare` gives.
        """
        with self.precision.autocast():
            parts = [
                self.model.image_features(batch.to(self.device), self.prompts()) for batch in self._batches(images)
            ]
        parts = [self._finite(part, "image features") for part in parts]
        return torch.cat(parts) if parts else torch.zeros(0, self.backbone.embedding_width, device=self.device)

    @torch.no_grad()
    def logits(self, images: Images) -> Tensor:
        """Logits [B, C], float32, of images as in `encode_image`."""
        features = self.encode_image(images)
        with self.precision.autocast():
            if self.conditional:
                logits = self.model.conditional_logits(features, self.prompts)
            else:
                logits = self.model.logits(features, self.classifier)
        return self._finite(logits.float(), "logits")

    def _finite(self, values: Tensor, what: str) -> Tensor:
        """`values`, which no answer would show to be wrong. Raises InputError where one of them is not finite."""
        if torch.isfinite(values).all():
            return values
        narrow = self.precision.name != "fp32"
        remedy = "use precision fp32 (--precision fp32)" if narrow else "take unaltered prompts and weights"
        raise InputError(
            f"the {what} that {self.source or 'these prompts'} and {self.backbone.name} give in {self.precision.name} are not "
            f"finite numbers; {remedy}"
        )

    def predict(self, images: Images, top_k: int = 1) -> list[list[tuple[str, float]]]:
        """For each image its `top_k` most probable classes (all, if there are fewer): (class name, probability), best first."""
        if top_k < 1:
            raise InputError(f"top_k is {top_k}, expected 1 or more")
        best = self.logits(images).softmax(dim=-1).topk(min(top_k, len(self.classnames)))
        return [
            [(self.classnames[c], p) for c, p in zip(classes, probabilities, strict=True)]
            for classes, probabilities in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]

    def _batches(self, images: Images) -> Iterator[Tensor]:
        if isinstance(images, Tensor) and images.dim() == 4:
            self._check_prepared(images)
            yield from images.split(BATCH)
            return
        several = [images] if isinstance(images, (Tensor, Image.Image, str, Path)) else list(images)
        for first in range(0, len(several), BATCH):
            yield torch.stack([self.prepare(image) for image in several[first : first + BATCH]])

    def prepare(self, image: OneImage) -> Tensor:
        """A path or a PIL image as a tensor [3, H, W] for `encode_image`; such a tensor stays as it is.

        Raises InputError for what cannot be read or is no image.
        """
        if isinstance(image, Tensor):
            self._check_prepared(image[None])
            return image
        if isinstance(image, Image.Image):
            return self.preprocessing(to_rgb(image))
        if isinstance(image, (str, Path)):
            return self.preprocessing(read_image(image))
        raise InputError(f"an image is a {type(image).__name__}, expected a path, a PIL image or a tensor of prepare()")

    def _check_prepared(self, images: Tensor) -> None:
        wanted = (3, *self.preprocessing.size)
        if tuple(images.shape[1:]) != wanted or not images.is_floating_point():
            raise InputError(
                f"a tensor of images has the shape {tuple(images.shape)} and the type {images.dtype}, expected "
                f"{('B', *wanted)} and normalised pixels; prepare() makes such tensors of PIL images and paths"
            )
        if not torch.isfinite(images).all():
            raise InputError("a tensor of images has pixels that are not finite numbers; expected those of prepare()")


def usable_device(name: str | torch.device) -> torch.device:
    """The device of that name. Raises InputError where PyTorch knows none, or has none here."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()
    except Exception as error:  # of whatever kind the device's package answers with
        raise InputError(
            f'the device "{name}" cannot be used ({first_line(error)}); expected one that is here, such as cpu'
        ) from None
    return device


def load(
    source: str | Path,
    *,
    classnames: Iterable[str] | None = None,
    backbone: str = "",
    device: str | torch.device = "cpu",
    precision: str = "fp32",
) -> Predictor:
    """What a run has learned, ready to classify.

    Args:
        source: the folder of a run, its `prompts.safetensors` (any prompt learner) or `boosting.safetensors` (phase 1), or
            `hub:org/name` with boosting prompts.
        classnames: in place of those of the run.
        backbone: where the CLIP is found, if not under the name in the file: a path, for example. A name in a file is followed
            if it is a demo model, one of OpenAI's, open_clip's own with its tag, or a file here; all else is fetched only
            when it is given here.
        device: as PyTorch names it.
        precision: fp32, fp16, bf16 or amp.

    Raises:
        InputError: there is no such file, it is damaged or of another kind, the CLIP can't be loaded or is another than
            the prompts were trained with, or no class names are known.
    """
    path = resolve(source, RunHeader, BoostingHeader)
    header = read_header(path, RunHeader, BoostingHeader)
    answer = _load_run if header.kind == RunHeader.kind else _load_boosting
    return answer(path, classnames, backbone, device=device, precision=precision)


def _load_run(path: Path, classnames: Iterable[str] | None, name: str, **placed: Any) -> Predictor:
    learners, header = read_run(path)
    clip = clip_of_run(path, header, name)
    preprocessing = Preprocessing(tuple(header.size), tuple(header.mean), tuple(header.std), header.interpolation)
    names = _names(classnames, header.classnames, path)
    return Predictor(clip, learners, names, preprocessing, source=str(path), method=header.trainer, **placed)


def clip_of_run(path: Path, header: RunHeader, name: str = "") -> Backbone:
    """The CLIP of the run at `path`, found under `name` or the file's own. Raises InputError where it is another one."""
    clip = load_backbone(name or _known(header.backbone, path))
    if other := mismatch(header.backbone, header.backbone_fingerprint, clip.name, clip.fingerprint):
        raise InputError(
            f"{path} was trained with {header.backbone}, but {clip.name} is another network: {other.said}; {other.remedy}"
        )
    return clip


def _load_boosting(path: Path, classnames: Iterable[str] | None, name: str, **placed: Any) -> Predictor:
    _, header = read_boosting(path)  # refused before weights are fetched
    clip = clip_of_boosting(path, header, name)
    prompts, header = load_boosting(path, clip)
    preprocessing = Preprocessing(clip.image_size, clip.mean, clip.std)
    names = _names(classnames, header.classnames, path)
    return Predictor(clip, [prompts], names, preprocessing, source=str(path), method="CasPLBoost", **placed)


def clip_of_boosting(path: Path, header: BoostingHeader, name: str = "") -> Backbone:
    """The CLIP under `name` or the file's own; `load_boosting` says whether it is the boosted one."""
    return load_backbone(name or _known(header.student, path))


def _known(name: str, path: Path) -> str:
    """The backbone that a file names. Raises InputError where that would let the file choose what is fetched."""
    if is_known(name):
        return name
    raise InputError(
        f"{path} names the CLIP \"{name[:200]}\", which is neither a demo model, OpenAI's or open_clip's own, nor a file "
        f"here, and what a file names is not fetched unasked; if you trust it, allow it with --backbone (backbone=) and this "
        f"name"
    )


def _several(names: Iterable[str]) -> list[str]:
    """Raises InputError for a single name, which would be taken letter by letter."""
    if isinstance(names, str):
        raise InputError(f'the class names are "{names}", expected a list of names, such as ["{names}"]')
    return list(names)


def _names(given: Iterable[str] | None, own: Sequence[str], path: Path) -> list[str]:
    names = list(own) if given is None else _several(given)
    if not names:
        raise InputError(f"{path} does not know its class names; give them (classnames, --classes)")
    return names
