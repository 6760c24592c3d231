"""Finding and loading a CLIP by its name.

A backbone is named in one of these ways:

    demo/student, demo/teacher     the tiny CLIPs that the project carries
    ViT-B/16, RN50, ...            OpenAI's names: read from ~/.cache/clip if the family's code left them there, else
                                   fetched by open_clip; QuickGELU, as they were trained
    ViT-B-16:laion2b_s34b_b88k     an open_clip model and pretraining tag
    hf-hub:org/name                a model folder on the Hugging Face Hub, as open_clip reads it
    /path/to/file                  weights in OpenAI's layout (archive, state dict, safetensors); shapes decide the model
    ViT-B-16:/path/to/file         weights of that open_clip model

Only a user chooses what is fetched from a repository: a header that names one is not followed (`is_known`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import open_clip
import torch
from open_clip.model import build_model_from_openai_state_dict
from torch import Tensor, nn

from ..ground.errors import InputError, QuantityError, first_line, listed, nearest
from ..ground.files import regular
from ..ground.quiet import asking_the_hub
from ..ground.tensors.shapes import differences, shapes_of
from ..ground.tensors.values import LARGEST_WEIGHT, impossible
from . import demo
from .weights import read_weights

OPENAI_NAMES = ("RN50", "RN101", "RN50x4", "RN50x16", "RN50x64", "ViT-B/32", "ViT-B/16", "ViT-L/14", "ViT-L/14@336px")
CLIP_CACHE = Path("~/.cache/clip")  # where OpenAI's code, and so every CoOp checkout, keeps its archives
MOST_TENSORS = 4_096  # of a file in OpenAI's layout; the largest has some 1,500
SCALES = (0.01, 1e4)  # of exp(logit scale); CLIP starts at 14 and stops at 100
log = logging.getLogger(__name__)


def is_known(name: str) -> bool:
    """Whether a name stands for weights of one origin (a demo model, OpenAI's, or one of open_clip's own with its tag) or for a
    file of this machine, whose reading fetches and runs nothing.
    """
    demos = [f"demo/{short}" for short in demo.ARCHITECTURES]
    if name in demos or name in OPENAI_NAMES or name in map(":".join, open_clip.list_pretrained()):
        return True
    architecture, colon, source = name.partition(":")
    file = Path(source if colon and architecture in open_clip.list_models() else name).expanduser()
    with suppress(OSError):
        return regular(file).is_file()
    return False


def load_model(name: str) -> tuple[nn.Module, str]:
    """The model called `name` in float32 on the CPU, and the name of its architecture in open_clip.

    Raises InputError for a name nobody knows, with the nearest one, and for weights that can't be read, don't fit or have
    numbers that no weights have.
    """
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
    _check_numbers(model, name)
    return model, architecture


def _check_numbers(model: nn.Module, name: str) -> None:
    """Raise QuantityError where the weights of a model, or the statistics of its batches, are not such as networks have."""
    statistics = {key: value for key, value in model.named_buffers() if key.endswith(("running_mean", "running_var"))}
    weights = {**dict(model.named_parameters()), **statistics}
    problems = [f"{key} is empty" for key, value in weights.items() if not value.numel()]
    problems = problems or impossible(weights, LARGEST_WEIGHT)
    if not problems and isinstance(getattr(model, "logit_scale", None), Tensor):
        scale = float(model.logit_scale.detach().double().exp().max())
        if not SCALES[0] <= scale <= SCALES[1]:
            problems = [f"exp(logit_scale) is {scale:.3g}, expected {SCALES[0]:g} to {SCALES[1]:g}"]
    if problems:
        raise QuantityError(
            ("backbone", f"is {name}, whose weights can't be used: {listed(problems)}; take an unaltered file")
        )


def _load_demo(name: str) -> nn.Module:
    short = name.removeprefix("demo/")
    if short not in demo.ARCHITECTURES:
        known = ", ".join(f"demo/{n}" for n in demo.ARCHITECTURES)
        raise QuantityError(("backbone", f'is "{name}", but no demo model is called {name}; there are {known}'))
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
        raise QuantityError(
            ("backbone", f'is "{name}", but open_clip has no model {architecture}, do you mean {close}?')
        )
    tags = [tag for model, tag in open_clip.list_pretrained() if model == architecture]
    if source in tags:
        return _create(architecture, source, name)
    path = Path(source).expanduser()
    if not path.is_file():
        known = ", ".join(tags) or "none"
        wrong = f'is "{name}", but "{source}" is neither a file nor a tag of {architecture}; its tags are {known}'
        raise QuantityError(("backbone", wrong))
    model = open_clip.create_model(architecture, pretrained=None, load_weights=False)
    return _fill(model, read_weights(path), path)


def _create(architecture: str, tag: str | None, name: str, hint: str = "") -> nn.Module:
    log.info("Weights of %s: from the Hub's cache, or fetched", name)
    with fetching(f"the weights of {name}", hint):
        return open_clip.create_model(architecture, pretrained=tag)


@contextmanager
def fetching(what: str, hint: str = "") -> Iterator[None]:
    """Inside, open_clip may read from the Hub, which is asked first whether it answers; errors as in `reading`."""
    with reading(what, hint), asking_the_hub(""):  # open_clip logs by the root
        yield


@contextmanager
def reading(what: str, hint: str = "") -> Iterator[None]:
    """Inside, open_clip reads what it has; what goes wrong there, in whatever way, becomes an InputError."""
    try:
        yield
    except InputError:
        raise
    except ImportError as error:
        raise InputError(
            f"{what} can't be read without a package that is not installed ({error}); install it"
        ) from error
    except (RuntimeError, OSError, ValueError) as error:
        raise InputError(
            f"{what} could not be fetched ({first_line(error)}); check the network, or set HF_HOME to a cache with what is "
            f"missing{hint}"
        ) from error
    except Exception as error:  # of a repository that is not as open_clip expects it, anything
        raise InputError(
            f"{what} can't be read ({type(error).__name__}: {first_line(error)}); expected what open_clip has made, name "
            f"another{hint}"
        ) from error


def _fill(model: nn.Module, weights: dict[str, Tensor], path: Path) -> nn.Module:
    expected = model.state_dict()
    found = {key: value for key, value in weights.items() if key in expected}
    if problems := differences(shapes_of(found), shapes_of(expected)):
        raise InputError(f"{path} does not fit the model: {listed(problems)}")
    if whole := [key for key, value in found.items() if expected[key].is_floating_point() > value.is_floating_point()]:
        raise InputError(
            f"{path} does not fit the model: {whole[0]} is {weights[whole[0]].dtype}, expected floating-point numbers"
        )
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
    if len(weights) > MOST_TENSORS:
        raise InputError(
            f"{path} holds {len(weights):,} tensors, a CLIP in OpenAI's layout has at most {MOST_TENSORS:,}"
        )
    _build(
        {key: value.to("meta") for key, value in weights.items()}, path, "meta"
    )  # no memory is taken for what won't fit
    # The builder rounds every weight to half precision, so the weights themselves are put in afterwards.
    model = _fill(_build(weights, path, "cpu").float(), weights, path)
    model.visual.image_mean, model.visual.image_std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    return model


def _build(weights: Mapping[str, Tensor], path: Path, device: str) -> nn.Module:
    try:
        with torch.device(device):
            return build_model_from_openai_state_dict(dict(weights), cast_dtype=torch.float32)
    except Exception as error:  # of shapes that belong to no model, anything
        raise InputError(
            f"{path} is no CLIP in OpenAI's layout ({type(error).__name__}: {first_line(error)}); for the weights of an "
            f"open_clip model write MODEL:{path}"
        ) from error


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
