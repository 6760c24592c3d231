"""Finding and loading CLIP, frozen, in evaluation mode, with the right activation.

A backbone is named in one of these ways:

    demo/student, demo/teacher     the tiny CLIPs that the project carries
    ViT-B/16, RN50, ...            OpenAI's names: read from ~/.cache/clip if the family's code left them there, else
                                   fetched by open_clip; QuickGELU, as they were trained
    ViT-B-16:laion2b_s34b_b88k     an open_clip model and pretraining tag
    hf-hub:org/name                a model folder on the Hugging Face Hub, as open_clip reads it
    /path/to/file                  weights in OpenAI's layout (archive, state dict, safetensors); shapes decide the model
    ViT-B-16:/path/to/file         weights of that open_clip model
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
from open_clip.model import build_model_from_openai_state_dict
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from ..ground.errors import InputError, QuantityError, first_line, listed, nearest
from ..ground.quiet import quiet
from ..ground.shapes import differences, shapes_of
from . import demo
from .blocks import check_blocks
from .fingerprint import fingerprint_of
from .precision import Precision
from .weights import read_weights

OPENAI_NAMES = ("RN50", "RN101", "RN50x4", "RN50x16", "RN50x64", "ViT-B/32", "ViT-B/16", "ViT-L/14", "ViT-L/14@336px")
log = logging.getLogger(__name__)

CLIP_CACHE = Path("~/.cache/clip")  # where OpenAI's code, and so every CoOp checkout, keeps its archives


@dataclass
class Backbone:
    """A frozen CLIP with what is needed to feed it. `model` is in evaluation mode and needs no gradients."""

    name: str
    model: nn.Module
    tokenizer: Callable[[Sequence[str]], Tensor]
    image_size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        self.model.eval().requires_grad_(False)

    @cached_property
    def fingerprint(self) -> str:
        """What says whether prompts fit: see caspl/clip/fingerprint.py."""
        return fingerprint_of(self.model, self.image_size)

    def encode_images(self, images: Tensor) -> Tensor:
        """Features [B, E], not normalised, of images [B, 3, H, W] in the normalisation of `mean` and `std`; no prompts."""
        stem = next(p for p in self.model.visual.parameters() if p.dim() == 4)  # embeddings may be kept in float32
        return self.model.encode_image(images.to(stem.dtype))

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

    @property
    def has_vit(self) -> bool:
        """Whether the image tower is a ViT that prompts can be put into."""
        return isinstance(self.model.visual, VisionTransformer)

    @property
    def text_width(self) -> int:
        return self.model.positional_embedding.shape[1]

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
        if self.has_vit:
            check_blocks(self.model.visual.transformer, "image", self.name)

    def place(self, device: torch.device, precision: Precision) -> Backbone:
        """Move to `device` in `precision`, in place. The fingerprint is taken before anything is rounded."""
        if precision.weights != torch.float32:
            _ = self.fingerprint
        precision.cast(self.model).to(device)
        return self


def load_backbone(name: str) -> Backbone:
    """The CLIP called `name` in float32 on the CPU; see the top of this file for the names.

    The random streams are left as they were: what a run draws does not depend on where its weights came from.
    Raises InputError for a name nobody knows, with the nearest one, and for weights that can't be read or don't fit.
    """
    with torch.random.fork_rng(devices=[]):
        return _load(name)


def _load(name: str) -> Backbone:
    if name.startswith("demo/"):
        model, architecture = _load_demo(name), "ViT-B-16"
    elif name in OPENAI_NAMES:
        architecture = _quickgelu_architecture(name)
        model = _load_openai(name, architecture)
    elif name.startswith("hf-hub:"):
        model, architecture = _create(name, None, name), name
    elif ":" in name and "/" not in name.split(":", 1)[0]:
        architecture, source = name.split(":", 1)
        model = _load_open_clip(architecture, source, name)
    elif Path(name).expanduser().is_file():
        model, architecture = _from_openai_layout(Path(name).expanduser()), "ViT-B-16"
    else:
        raise QuantityError(("backbone", _unknown(name)))
    settings = open_clip.get_model_preprocess_cfg(model)
    size = settings["size"]
    return Backbone(
        name=name,
        model=model,
        tokenizer=_tokenizer(architecture, model),
        image_size=(size, size) if isinstance(size, int) else tuple(size),
        mean=tuple(settings.get("mean", open_clip.OPENAI_DATASET_MEAN)),
        std=tuple(settings.get("std", open_clip.OPENAI_DATASET_STD)),
    )


def _tokenizer(architecture: str, model: nn.Module) -> Callable:
    with _fetching(f"the tokenizer of {architecture}"):
        text = (open_clip.get_model_config(architecture) or {}).get("text_cfg", {})
        if isinstance(model, open_clip.CLIP) and not text.get("hf_tokenizer_name"):  # CLIPA, for one, has BERT's
            return clip_tokenizer(model.context_length)
        return open_clip.get_tokenizer(architecture)


@cache
def clip_tokenizer(context_length: int) -> open_clip.SimpleTokenizer:
    """CLIP's tokenizer, built once for each length: reading its vocabulary takes longer than loading a small CLIP."""
    return open_clip.SimpleTokenizer(context_length=context_length)


def _unknown(name: str) -> str:
    models = open_clip.list_models()
    known = [*(f"demo/{n}" for n in demo.ARCHITECTURES), *OPENAI_NAMES]
    if name in models:
        tags = [tag for model, tag in open_clip.list_pretrained() if model == name]
        return (
            f'is "{name}", an open_clip model without weights; add a tag, as in {name}:{tags[0]}'
            if tags
            else f'is "{name}", for which open_clip has no weights; give a file, as in {name}:/path/to/weights'
        )
    return (
        f'is "{name}", but no CLIP is called "{name}" and no file is there; choose one of {", ".join(known)}, an open_clip '
        f"model with its tag (MODEL:TAG), or the path of a weight file (do you mean {nearest(name, [*known, *models])}?)"
    )


def _load_demo(name: str) -> nn.Module:
    short = name.removeprefix("demo/")
    if short not in demo.ARCHITECTURES:
        raise InputError(
            f"no demo model is called {name}; there are {', '.join(f'demo/{n}' for n in demo.ARCHITECTURES)}"
        )
    return demo.load_demo_model(short)


def _quickgelu_architecture(openai_name: str) -> str:
    """OpenAI's weights were trained with QuickGELU, which open_clip builds only under the name that says so."""
    return openai_name.replace("@336px", "-336").replace("/", "-") + "-quickgelu"


def _load_openai(name: str, architecture: str) -> nn.Module:
    cached = CLIP_CACHE.expanduser() / (name.replace("/", "-") + ".pt")
    if cached.is_file():
        return _from_openai_layout(cached)
    return _create(architecture, "openai", name, hint=f", or put OpenAI's archive at {cached}")


def _load_open_clip(architecture: str, source: str, name: str) -> nn.Module:
    if architecture not in open_clip.list_models():
        close = nearest(architecture, open_clip.list_models())
        raise InputError(f'open_clip has no model {architecture} (from "{name}"), do you mean {close}?')
    tags = [tag for model, tag in open_clip.list_pretrained() if model == architecture]
    if source in tags:
        return _create(architecture, source, name)
    path = Path(source).expanduser()
    if not path.is_file():
        raise InputError(
            f'"{source}" (from "{name}") is neither a file nor a tag of {architecture}; its tags are '
            f"{', '.join(tags) or 'none'}"
        )
    model = open_clip.create_model(architecture, pretrained=None, load_weights=False)
    return _fill(model, read_weights(path), path)


def _create(architecture: str, tag: str | None, name: str, hint: str = "") -> nn.Module:
    log.info("Weights of %s: from the Hub's cache, or fetched", name)
    with _fetching(f"the weights of {name}", hint):
        return open_clip.create_model(architecture, pretrained=tag)


@contextmanager
def _fetching(what: str, hint: str = "") -> Iterator[None]:
    """Inside, open_clip may read from the Hub; what goes wrong there becomes an InputError."""
    try:
        with quiet("", "huggingface_hub"):  # open_clip logs by the root; each of their many attempts would be a line
            yield
    except ImportError as error:
        raise InputError(
            f"{what} can't be read without a package that is not installed ({error}); install it"
        ) from error
    except (RuntimeError, OSError, ValueError) as error:
        raise InputError(
            f"{what} could not be fetched ({first_line(error)}); check the network, or set HF_HOME to a cache with what is "
            f"missing{hint}"
        ) from error


def _fill(model: nn.Module, weights: dict[str, Tensor], path: Path) -> nn.Module:
    expected = model.state_dict()
    found = {key: value for key, value in weights.items() if key in expected}
    if problems := differences(shapes_of(found), shapes_of(expected)):
        raise InputError(f"{path} does not fit the model: {listed(problems)}")
    model.load_state_dict({key: weights[key].to(value.dtype) for key, value in expected.items()})
    return model


def _from_openai_layout(path: Path) -> nn.Module:
    """A model from weights under OpenAI's key names; widths, depths and image size follow from the shapes."""
    weights = read_weights(path)
    needed = ("text_projection", "positional_embedding", "token_embedding.weight", "ln_final.weight", "logit_scale")
    missing = [key for key in needed if key not in weights]
    if missing or not ({"visual.proj", "visual.attnpool.positional_embedding"} & weights.keys()):
        raise InputError(
            f"{path} is no CLIP in OpenAI's layout: it lacks {', '.join(missing) or 'visual.proj'}; for the "
            f"weights of an open_clip model write MODEL:{path}"
        )
    # The builder rounds every weight to half precision, so the weights themselves are put in afterwards.
    model = _fill(build_model_from_openai_state_dict(dict(weights), cast_dtype=torch.float32).float(), weights, path)
    model.visual.image_mean, model.visual.image_std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    return model
