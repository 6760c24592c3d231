"""The tensors of a CLIP, by their names in open_clip, -> open_clip's own class. Sizes follow from the tensors' shapes.

What shapes do not tell is a `Facts`; what nobody tells is taken to be as in OpenAI's models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import open_clip
import torch
from open_clip.transformer import QuickGELU
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ...ground.errors import InputError, first_line, listed
from ...ground.tensors.shapes import differences, shapes_of
from ..fingerprint import EPSILON

EOT = 49407  # [EOS] in CLIP's vocabulary, and its last token
HEAD_WIDTH = 64  # of OpenAI's models
MOST_TENSORS = 4_096  # of a CLIP and of what stands under the same prefix; the largest has some 1,500
MOST_BLOCKS = MOST_TENSORS // 12
MOST_POSITIONS = 4_096  # of a text, a mask of whose square is built; the longest that is known has 248
# By the names that Hugging Face has for them (transformers.activations); of several names for one the first is written
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "quick_gelu": QuickGELU,
    "gelu": nn.GELU,
    "gelu_pytorch_tanh": partial(nn.GELU, approximate="tanh"),
    "gelu_new": partial(nn.GELU, approximate="tanh"),
    "gelu_fast": partial(nn.GELU, approximate="tanh"),
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "swish": nn.SiLU,
}
OPENAI_ACTIVATION = "quick_gelu"


@dataclass(frozen=True)
class TowerFacts:
    """Of one tower: heads in each block, a name among ACTIVATIONS, and what its layer normalisations add to the variance."""

    heads: int | None = None
    activation: str | None = None
    eps: float = EPSILON


@dataclass(frozen=True)
class Facts:
    """What is known of a CLIP besides its tensors; None where nothing says it. `sizes` are compared with the tensors' own."""

    text: TowerFacts = TowerFacts()
    vision: TowerFacts = TowerFacts()
    image_size: int | None = None  # pixels
    mean: tuple[float, ...] = open_clip.OPENAI_DATASET_MEAN
    std: tuple[float, ...] = open_clip.OPENAI_DATASET_STD
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def assumed(self) -> frozenset[str]:
        """What is taken to be as in OpenAI's models, since nothing says it: of "activation" and "heads"."""
        return frozenset(
            what for what in ("activation", "heads") if None in (getattr(self.text, what), getattr(self.vision, what))
        )


def build(tensors: Mapping[str, Tensor], facts: Facts, path: object) -> open_clip.CLIP:
    """The CLIP in float32 that has these tensors, in evaluation mode. Errors call it `path`.

    Raises InputError where the shapes belong to no CLIP, or contradict `facts`.
    """
    try:
        sizes = _sizes(tensors)
    except Exception as error:  # of shapes that belong to no model, anything
        raise InputError(
            f"{path} is no CLIP in OpenAI's layout ({type(error).__name__}: {first_line(error)}); for the weights of an "
            f"open_clip model write MODEL:{path}"
        ) from error
    if tensors["logit_scale"].numel() == 1:  # in a list or not
        tensors = {**tensors, "logit_scale": tensors["logit_scale"].reshape(())}
    if wrong := [
        f"{key} is {sizes[key]}, expected {value}" for key, value in facts.sizes.items() if sizes[key] != value
    ]:
        raise InputError(f"{path} does not fit its configuration: {listed(wrong)}; take both from one place")
    make = partial(_make, sizes, facts, path)
    model = filled(make, lambda empty: check_fit(tensors, empty.state_dict(), path) or tensors, path)
    model.visual.image_mean, model.visual.image_std = facts.mean, facts.std
    return model.eval()


def filled(
    make: Callable[[], open_clip.CLIP], tensors_for: Callable[[nn.Module], Mapping[str, Tensor]], path: object
) -> open_clip.CLIP:
    """The model that `make` builds, with the tensors that `tensors_for` has for it; before they fit no memory is taken."""
    with torch.device("meta"):
        empty = make()
    if empty.context_length > MOST_POSITIONS:
        raise InputError(
            f"{path} is of texts of {empty.context_length:,} tokens, expected at most {MOST_POSITIONS:,}; name another"
        )
    tensors = tensors_for(empty)
    with unfilled():
        model = make()
    fill(model, tensors)
    return model


class unfilled(TorchFunctionMode):  # noqa: N801, a context
    """Inside, networks are made without random weights, to be filled by others at once: drawing them takes longer."""

    drawing = (
        *(Tensor.normal_, Tensor.uniform_, nn.init.normal_, nn.init.uniform_),
        *(nn.init.kaiming_uniform_, nn.init.xavier_uniform_, nn.init.trunc_normal_),
    )

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        return [*args, *kwargs.values()][0] if func in self.drawing else func(*args, **kwargs)


def check_fit(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: object) -> None:
    """Raise InputError unless `tensors` have the shapes of `expected`, and numbers where it has numbers."""
    if problems := differences(shapes_of(tensors), shapes_of(expected)):
        raise InputError(f"{path} does not fit the model: {listed(problems)}")
    if whole := [key for key in expected if expected[key].is_floating_point() > tensors[key].is_floating_point()]:
        raise InputError(
            f"{path} does not fit the model: {whole[0]} is {tensors[whole[0]].dtype}, expected floating-point numbers"
        )


def fill(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put tensors into a model that they fit, in its precision."""
    model.load_state_dict({key: tensors[key].to(value.dtype) for key, value in model.state_dict().items()})


def _sizes(tensors: Mapping[str, Tensor]) -> dict[str, int | tuple[int, ...]]:
    """Widths, depths and the like, by what `_make` calls them."""
    shape = {name: tuple(value.shape) for name, value in tensors.items()}
    sizes: dict[str, int | tuple[int, ...]] = {
        "embed_dim": shape["text_projection"][1],
        "context_length": shape["positional_embedding"][0],
        "vocab_size": shape["token_embedding.weight"][0],
        "text_width": shape["ln_final.weight"][0],
        "text_layers": blocks_of(tensors, "transformer.resblocks."),
        "text_mlp": shape["transformer.resblocks.0.mlp.c_fc.weight"][0],
    }
    if is_resnet(tensors):
        grid = _root(shape["visual.attnpool.positional_embedding"][0] - 1)
        layers = tuple(blocks_of(tensors, f"visual.layer{i}.") for i in (1, 2, 3, 4))
        return sizes | {
            "vision_layers": layers,
            "vision_width": shape["visual.layer1.0.conv1.weight"][0],
            "image_size": grid * 32,
        }
    patch = shape["visual.conv1.weight"][3]
    return sizes | {
        "vision_layers": blocks_of(tensors, "visual.transformer.resblocks."),
        "vision_width": shape["visual.conv1.weight"][0],
        "vision_mlp": shape["visual.transformer.resblocks.0.mlp.c_fc.weight"][0],
        "channels": shape["visual.conv1.weight"][1],
        "patch_size": patch,
        "image_size": patch * _root(shape["visual.positional_embedding"][0] - 1),
    }


def is_resnet(names: Mapping[str, object]) -> bool:
    return "visual.layer1.0.conv1.weight" in names


def blocks_of(names: Mapping[str, object], beginning: str) -> int:
    """How many different blocks the names with this beginning speak of."""
    return len({name[len(beginning) :].partition(".")[0] for name in names if name.startswith(beginning)})


def _root(positions: int) -> int:
    side = round(positions**0.5)
    if side < 1 or side**2 != positions:
        raise ValueError(f"{positions} image patches make no square")
    return side


def _make(sizes: dict, facts: Facts, path: object) -> open_clip.CLIP:
    """A CLIP of these sizes; raises InputError where there is none."""
    resnet = isinstance(sizes["vision_layers"], tuple)
    text_heads = facts.text.heads or _heads(sizes["text_width"], "text", path)
    vision = dict(
        layers=sizes["vision_layers"], width=sizes["vision_width"], image_size=facts.image_size or sizes["image_size"]
    )
    if not resnet:
        heads = facts.vision.heads or _heads(vision["width"], "image", path)
        vision |= dict(
            patch_size=sizes["patch_size"],
            head_width=_head_width(vision["width"], heads, "image", path),
            mlp_ratio=_ratio(sizes["vision_mlp"], vision["width"]),
            norm_kwargs={"eps": facts.vision.eps},
        )
    _head_width(sizes["text_width"], text_heads, "text", path)
    text = dict(
        context_length=sizes["context_length"],
        vocab_size=sizes["vocab_size"],
        width=sizes["text_width"],
        heads=text_heads,
        layers=sizes["text_layers"],
        mlp_ratio=_ratio(sizes["text_mlp"], sizes["text_width"]),
        norm_kwargs={"eps": facts.text.eps},
    )
    try:
        model = open_clip.CLIP(sizes["embed_dim"], vision, text, quick_gelu=True)
    except Exception as error:  # of sizes that belong to no model, anything
        raise InputError(
            f"{path} is no CLIP in OpenAI's layout ({type(error).__name__}: {first_line(error)}); for the weights of an "
            f"open_clip model write MODEL:{path}"
        ) from error
    set_activation(model.transformer, facts.text.activation or OPENAI_ACTIVATION)
    if not resnet:
        set_activation(model.visual.transformer, facts.vision.activation or OPENAI_ACTIVATION)
    return model


def _heads(width: int, tower: str, path: object) -> int:
    if width % HEAD_WIDTH or not width:
        raise InputError(
            f"{path} does not say how many heads its {tower} tower has, and {width} channels are no heads of {HEAD_WIDTH}, as "
            f"OpenAI's models have; give the open_clip model, too, as MODEL:{path}"
        )
    return width // HEAD_WIDTH


def _head_width(width: int, heads: int, tower: str, path: object) -> int:
    if width % heads:
        raise InputError(
            f"{path} can't have {heads} heads in its {tower} tower of {width} channels, expected a divisor of these; take "
            f"an unaltered configuration"
        )
    return width // heads


def _ratio(hidden: int, width: int) -> float:
    """What open_clip multiplies a width by, and rounds down, for a hidden layer of this size."""
    return hidden / width if int(width * (hidden / width)) == hidden else (hidden + 0.5) / width


def set_activation(transformer: nn.Module, name: str) -> None:
    """Give all blocks of a tower the activation called `name` in ACTIVATIONS."""
    for block in transformer.resblocks:
        block.mlp.gelu = ACTIVATIONS[name]()


def activation_of(transformer: nn.Module) -> str | None:
    """The first name in ACTIVATIONS of what all blocks of a tower have; None where they have no such one."""
    return next(
        (
            name
            for name, make in ACTIVATIONS.items()
            if all(repr(block.mlp.gelu) == repr(make()) for block in transformer.resblocks)
        ),
        None,
    )


def is_plain(model: open_clip.CLIP) -> bool:
    """Whether a CLIP with a ViT is OpenAI's in all but sizes: causal mask, features at [EOS] and [CLS]."""
    visual = model.visual
    return (
        model.attn_mask is not None
        and (model.text_pool_type == "argmax" or (model.text_pool_type, model.text_eos_id) == ("eos", EOT))
        and isinstance(model.text_projection, nn.Parameter)
        and visual.attn_pool is None
        and visual.pool_type == "tok"
        and not visual.final_ln_after_pool
        and isinstance(visual.ln_pre, nn.LayerNorm)
        and visual.proj is not None
    )
