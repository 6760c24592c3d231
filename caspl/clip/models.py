"""Finding and loading a CLIP by its name.

A backbone is named in one of these ways:

    demo/student, demo/teacher     the tiny CLIPs that the project carries
    ViT-B/16, RN50, ...            OpenAI's names: read from ~/.cache/clip if the family's code left them there, else
                                   fetched by open_clip; QuickGELU, as they were trained
    ViT-B-16:laion2b_s34b_b88k     an open_clip model and pretraining tag
    hf-hub:org/name                a model folder on the Hugging Face Hub, as open_clip reads it
    hf:org/name[@revision]         a `CLIPModel` of Hugging Face's transformers on the Hub
    /path/to/folder                the same in a folder, or a model folder of open_clip's
    /path/to/file                  weights in OpenAI's, open_clip's or Hugging Face's layout, wrapped in whatever (files/);
                                   where nothing beside them says more, QuickGELU and heads of 64 channels are taken
    ViT-B-16:/path/to/file         weights of that model: open_clip's, else OpenAI's (ViT-B/16), or a demo model;
                                   with -quickgelu behind an open_clip model's name, its activation is QuickGELU

Only a user chooses what is fetched from a repository: a header that names one is not followed (`is_known`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import open_clip
from torch import Tensor, nn

from ..ground.errors import InputError, QuantityError, first_line, listed
from ..ground.files import regular
from ..ground.quiet import asking_the_hub, leaving_out
from ..ground.tensors.values import LARGEST_WEIGHT, impossible
from ..ground.texts import visible
from . import demo
from .files.building import unfilled
from .files.folders import kind_of
from .files.reading import fill_from, read_clip
from .files.repositories import HUB, fetched
from .names.known import (
    DEMO_NAMES,
    OPENAI_NAMES,
    QUICKGELU,
    file_of,
    is_model,
    open_clip_model,
    quickgelu_config,
    split,
    tags_of,
    trained_with_quickgelu,
)
from .names.shapes import of_the_same_shape, otherwise
from .names.suggestions import unknown

CLIP_CACHE = Path("~/.cache/clip")  # where OpenAI's code, and so every CoOp checkout, keeps its archives
CLIPS_OWN = "ViT-B-16"  # an architecture whose tokenizer is CLIP's own
SCALES = (0.01, 1e4)  # of exp(logit scale); CLIP starts at 14 and stops at 100
log = logging.getLogger(__name__)


def is_known(name: str) -> bool:
    """Whether a name stands for weights of one origin (a demo model, OpenAI's, or one of open_clip's own with its tag) or for a
    file of this machine, whose reading fetches and runs nothing.
    """
    if name in DEMO_NAMES or name in OPENAI_NAMES or name in map(":".join, open_clip.list_pretrained()):
        return True
    model, source = split(name)
    file = file_of(source if is_model(model) else name)
    with suppress(OSError, ValueError):
        return bool(file.is_dir() and kind_of(file)) or regular(file).is_file()
    return False


@dataclass(frozen=True)
class Loaded:
    """A model in float32 on the CPU, and the name of its architecture in open_clip.

    `assumed` names what nothing in its files tells, of "activation" and "heads": they are taken to be OpenAI's.
    """

    model: nn.Module
    architecture: str
    assumed: frozenset[str] = frozenset()


def load_model(name: str) -> Loaded:
    """The model called `name`.

    Raises InputError for a name nobody knows, with the nearest one, and for weights that can't be read, don't fit or have
    numbers that no weights have.
    """
    loaded = _load(name)
    _check_numbers(loaded.model, name)
    return loaded


def _load(name: str) -> Loaded:
    architecture, source = split(name)
    if name in DEMO_NAMES:
        return Loaded(demo.load_demo_model(name.removeprefix("demo/")), CLIPS_OWN)
    if name in OPENAI_NAMES:
        return Loaded(_load_openai(name, quickgelu_config(name)), quickgelu_config(name))
    if name.startswith("hf-hub:"):
        hint = f"; a CLIPModel of transformers is written {HUB}{name.removeprefix('hf-hub:')}"
        return Loaded(_create(name, None, name, hint), name)
    if name.startswith(HUB):
        return _read(fetched(name))
    if is_model(architecture) and (source in tags_of(architecture) or file_of(source).is_file()):
        return Loaded(*_load_of(architecture, source, name))
    if file_of(name).is_file() or name and kind_of(file_of(name)):
        return _read(file_of(name))
    raise QuantityError(("backbone", visible(unknown(name))))


def _read(path: Path) -> Loaded:
    found = read_clip(path)
    if found.named and (other := otherwise(found.named)):
        quick = f"{found.named}{QUICKGELU}"
        forced = f", or {quick}:{path} if QuickGELU was forced upon it" if is_model(quick) else ""
        raise InputError(
            f"{path} names {found.named} as its model, which has {other}, but where a file is named alone, QuickGELU and heads "
            f"of 64 channels are taken; write {found.named}:{path}{forced}"
        )
    if found.assumed and not found.named:
        alike = of_the_same_shape(found.model)
        log.info(
            "%s does not say its %s: QuickGELU and heads of 64 channels are taken, as OpenAI's models have; for another model "
            "write MODEL:FILE%s",
            *(path, " and ".join(sorted(found.assumed)), f", such as {alike}:{path}" if alike else ""),
        )
    return Loaded(found.model, CLIPS_OWN, frozenset() if found.named else found.assumed)


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


def _load_openai(name: str, architecture: str) -> nn.Module:
    cached = CLIP_CACHE.expanduser() / (name.replace("/", "-") + ".pt")
    if cached.is_file():
        return read_clip(cached).model
    return _create(architecture, "openai", name, hint=f", or put OpenAI's archive at {cached}")


def _load_of(model: str, source: str, name: str) -> tuple[nn.Module, str]:
    """The model MODEL with the weights of a tag or file, and its architecture in open_clip."""
    if model in DEMO_NAMES:
        built, architecture = demo.build(model.removeprefix("demo/")), CLIPS_OWN
    else:
        known = open_clip_model(model)
        architecture = known.config
        if source in known.tags:
            return _create(architecture, source, name, quickgelu=trained_with_quickgelu(known, source)), architecture
        with unfilled():
            built = build_open_clip(architecture, quickgelu=known.quickgelu)
    return fill_from(built, file_of(source)), architecture


def build_open_clip(architecture: str, *, quickgelu: bool = False) -> nn.Module:
    """open_clip's model of that name, whose weights are filled in next."""
    with leaving_out("No pretrained weights loaded"):  # open_clip logs by the root
        return open_clip.create_model(architecture, pretrained=None, load_weights=False, force_quick_gelu=quickgelu)


def _create(architecture: str, tag: str | None, name: str, hint: str = "", quickgelu: bool = False) -> nn.Module:
    log.info("Weights of %s: from the Hub's cache, or fetched", name)
    with fetching(f"the weights of {name}", hint):
        return open_clip.create_model(architecture, pretrained=tag, force_quick_gelu=quickgelu)


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
