"""A CLIP, frozen, in evaluation mode, with the right activation, and what is needed to feed it. For names see models.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property

import open_clip
import torch
import torch.nn.functional as F
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from ..ground.errors import InputError
from .blocks import can_be_taken_apart, check_blocks, plain_features
from .compiling.choice import Compilation
from .fingerprint import fingerprint_of
from .models import fetching, load_model, reading
from .precision import Precision

LARGEST_IMAGE = 16_384  # pixels on a side


@dataclass
class Backbone:
    """A frozen CLIP with what is needed to feed it. `model` is in evaluation mode and needs no gradients."""

    name: str
    model: nn.Module
    tokenizer: Callable[[Sequence[str]], Tensor]
    image_size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    assumed: frozenset[str] = frozenset()  # what nothing in its files tells, as in `models.Loaded`
    compilation: Compilation = field(
        default_factory=Compilation
    )  # of its towers, and of prompted CLIPs that it is put in

    def __post_init__(self) -> None:
        self.model.eval().requires_grad_(False)

    @cached_property
    def fingerprint(self) -> str:
        """What says whether prompts fit: see caspl/clip/fingerprint.py."""
        return fingerprint_of(self.model, self.image_size)

    def encode_images(self, images: Tensor) -> Tensor:
        """Features [B, E], not normalised, of images [B, 3, H, W] in the normalisation of `mean` and `std`; no prompts."""
        stem = next(p for p in self.model.visual.parameters() if p.dim() == 4)  # embeddings may be kept in float32
        return self._encode_plain(self.model, images.to(stem.dtype))

    @cached_property
    def _encode_plain(self) -> Callable[[nn.Module, Tensor], Tensor]:
        return self.compilation.of(encode_plain)

    def image_features(self, images: Tensor) -> Tensor:
        """`encode_images`, normalised."""
        return F.normalize(self.encode_images(images), dim=-1)

    @property
    def embedding_width(self) -> int:
        """E, the width of the space that images and texts share; for any open_clip model."""
        device = next(self.model.parameters()).device
        with torch.no_grad():
            return self.model.encode_text(self.tokenizer(["a"]).to(device)).shape[-1]

    def embed(self, phrase: str) -> Tensor:
        """Token embeddings [N, D] in float32 of a phrase, underscores read as spaces, without [SOS] and [EOS]."""
        ids = torch.tensor(self.tokenizer.encode(phrase.replace("_", " ")), dtype=torch.long)
        weight = self.model.token_embedding.weight
        return weight[ids.to(weight.device)].detach().float()

    def spelled(self, embeddings: Tensor) -> str:
        """The phrase whose token embeddings [N, D] these are, as `embed` gives them."""
        weight = self.model.token_embedding.weight.detach().float()
        ids = torch.cdist(embeddings.to(weight), weight).argmin(dim=1)
        return self.tokenizer.decode(ids.tolist()).strip()

    @property
    def has_vit(self) -> bool:
        """Whether the image tower is a ViT that prompts can be put into."""
        return isinstance(self.model.visual, VisionTransformer)

    @property
    def text_width(self) -> int:
        return self.model.positional_embedding.shape[1]

    @property
    def text_head_width(self) -> int:
        return self.text_width // self.model.transformer.resblocks[0].attn.num_heads

    @property
    def text_blocks(self) -> int:
        return len(self.model.transformer.resblocks)

    @property
    def vision_width(self) -> int:
        return self.model.visual.conv1.weight.shape[0] if self.has_vit else 0

    @property
    def vision_blocks(self) -> int | None:
        return len(self.model.visual.transformer.resblocks) if self.has_vit else None

    def check_student(self) -> None:
        """Raise InputError unless prompts can be put into this model's towers (at least into the text tower)."""
        self.check_text_tower()
        if self.has_vit:
            check_blocks(self.model.visual.transformer, "image", self.name)

    def check_text_tower(self) -> None:
        """Raise InputError unless prompts can be put into the text tower: a causal one, for CLIP's own tokens."""
        if not isinstance(self.model, open_clip.CLIP):
            raise InputError(
                f"{self.name} is a {type(self.model).__name__}; a student must be of open_clip's native CLIP "
                f"class, such as ViT-B/16 (as a teacher any open_clip model will do)"
            )
        if self.model.attn_mask is None or self.model.text_pool_type not in ("argmax", "eos"):
            raise InputError(
                f"the text tower of {self.name} is not causal with its feature at [EOS]; prompts in front of "
                f"the class name could not be shared, choose another student"
            )
        if not isinstance(self.tokenizer, open_clip.SimpleTokenizer):
            raise InputError(
                f"{self.name} has another tokenizer than CLIP's ({type(self.tokenizer).__name__}), which prompts need; such a "
                f"model can be a teacher, not a student"
            )
        check_blocks(self.model.transformer, "text", self.name)

    def place(self, device: torch.device, precision: Precision, *, image_tower: bool = True) -> Backbone:
        """Move to `device` in `precision`, in place; without `image_tower` that stays behind until `place_image_tower`.

        The fingerprint is taken before anything is rounded.
        """
        if precision.weights != torch.float32:
            _ = self.fingerprint
        model, tower = precision.cast(self.model), self.model.visual
        try:
            model.visual = tower if image_tower else None
            model.to(device)
        finally:
            model.visual = tower
        return self

    def place_image_tower(self, device: torch.device) -> None:
        """Move what `place` has left behind."""
        self.model.visual.to(device)


def encode_plain(model: nn.Module, images: Tensor) -> Tensor:
    if type(model) is open_clip.CLIP and can_be_taken_apart(model.visual):
        return plain_features(model.visual, images)
    return model.encode_image(images)


def load_backbone(name: str) -> Backbone:
    """The CLIP called `name` in float32 on the CPU; models.py lists the names.

    The random streams are left as they were: what a run draws does not depend on where its weights came from.
    Raises InputError as `models.load_model`, and for a model whose own settings make no sense.
    """
    with torch.random.fork_rng(devices=[]):
        loaded = load_model(name)
        size, mean, std = _settings(loaded.model, name)
        tokenizer = _tokenizer(loaded.architecture, loaded.model, name)
        return Backbone(name, loaded.model, tokenizer, size, mean, std, loaded.assumed)


def _settings(model: nn.Module, name: str) -> tuple[tuple[int, int], tuple[float, ...], tuple[float, ...]]:
    """Size, mean and standard deviation of the images that a model takes, which a repository of the Hub may choose."""
    with reading(f"the settings of {name}"):
        settings = open_clip.get_model_preprocess_cfg(model)
        size = settings["size"]
        height, width = (size, size) if isinstance(size, int) else size
        mean = tuple(settings.get("mean", open_clip.OPENAI_DATASET_MEAN))
        std = tuple(settings.get("std", open_clip.OPENAI_DATASET_STD))
        sound = 1 <= height <= LARGEST_IMAGE and 1 <= width <= LARGEST_IMAGE and len(mean) == len(std) == 3
        if not sound or not all(abs(m) <= 1e3 and 0 < s <= 1e3 for m, s in zip(mean, std, strict=True)):
            raise InputError(
                f"the settings of {name} make no sense (images of {height} x {width}, mean {mean}, std {std}); name another"
            )
    return (height, width), mean, std


def _tokenizer(architecture: str, model: nn.Module, name: str) -> Callable:
    what = f"the tokenizer of {architecture}"
    with fetching(what) if architecture.startswith("hf-hub:") else reading(what):
        text = (open_clip.get_model_config(architecture) or {}).get("text_cfg", {})
    if isinstance(model, open_clip.CLIP) and not text.get("hf_tokenizer_name"):  # CLIPA, for one, has BERT's
        tokenizer = clip_tokenizer(model.context_length)
        if model.vocab_size < tokenizer.vocab_size:
            raise InputError(
                f"{name} knows {model.vocab_size:,} tokens, CLIP's tokenizer has {tokenizer.vocab_size:,}: its texts are those "
                f"of another tokenizer; name another model"
            )
        return tokenizer
    with fetching(what):
        return open_clip.get_tokenizer(architecture)


@cache
def clip_tokenizer(context_length: int) -> open_clip.SimpleTokenizer:
    """CLIP's tokenizer, built once for each length: reading its vocabulary takes longer than loading a small CLIP."""
    return open_clip.SimpleTokenizer(context_length=context_length)
