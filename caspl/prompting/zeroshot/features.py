"""Zero-shot CLIP: class features from hand-written templates."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from ...clip.backbones import Backbone
from ...clip.feature_store import FeatureStore
from ...ground.errors import InputError, QuantityError
from ...ground.processes import together
from ...ground.tensors.checksum import checksum
from .packed import packed_features

log = logging.getLogger(__name__)

# Floating-point operations of the plain way, all texts at all positions, up to which that way is taken and nothing is kept,
# on a CPU and on any other device: a second or two. Only more of them pays for a plan and for hashing the weights.
FEW_OPERATIONS, FEW_ON_A_GPU = 1e11, 1e13
BATCH = 256  # texts, where each takes all positions

Progress = Callable[[int], object]  # told how many more texts are done


@torch.no_grad()
def zeroshot_features(
    backbone: Backbone,
    classnames: Sequence[str],
    *templates: str,
    normalize_each: bool = True,
    store: FeatureStore | None = None,
) -> Tensor:
    """Normalised text features [C, E]: the mean over `templates` filled with each class name, underscores read as spaces.

    A template's own features are normalised before the mean, unless `normalize_each` is False. Works with any open_clip
    model; too long a text is cut by its tokenizer, as open_clip does. To be called outside of autocast.

    Where they are many (FEW_OPERATIONS), texts are packed (packed.py), as far as the tower allows it, and features are looked
    for in `store` and kept there, under the network, its weights as they are, and the whole list of names and templates: what
    is found has the bits that computing it gives, whoever else has used the store. Of the processes of a job the first one does
    all that.

    Raises QuantityError ("template") where the cut leaves nothing of the class names.
    """
    names, device = [name.replace("_", " ") for name in classnames], _device(backbone)
    for template in templates:
        _check_names_are_read(backbone, [template.format(name) for name in names[:2]])
    count = len(names) * len(templates)
    few = _plain_operations(backbone, count) < (FEW_OPERATIONS if device.type == "cpu" else FEW_ON_A_GPU)
    encode = packed_features if not few and _has_packable_tower(backbone) else _plain_features

    def compute() -> Tensor:
        with tqdm(total=count, desc="Encoding texts", unit="text", leave=False, disable=few or None) as bar:
            total = 0.0
            for template in templates:
                features = encode(backbone, [template.format(name) for name in names], bar.update)
                features = features.to(torch.promote_types(features.dtype, torch.float32))
                total = total + (F.normalize(features, dim=-1) if normalize_each else features)
        return F.normalize(total, dim=-1)

    def found() -> Tensor:
        if few:
            return compute()
        if store is None:
            log.info("Encoding %s texts", f"{count:,}")
            return compute()
        facts = {
            "network": backbone.fingerprint,  # for what weights don't say: activation, heads
            "weights": checksum(_text_weights(backbone)),
            "device": device.type,
            "templates": list(templates),
            "normalize each": normalize_each,
        }
        return store.find(facts, names, compute, f"{count:,} texts")

    return together.once(found).to(device)


def _check_names_are_read(backbone: Backbone, texts: Sequence[str]) -> None:
    """Raise QuantityError where different texts are the same to a model, cut at its last position."""
    tokens = backbone.tokenizer(texts)
    if len(set(texts)) > 1 and bool((tokens[0] == tokens[1]).all() and tokens[0].all()):  # a shorter text ends in zeros
        wrong = (
            f'makes "{texts[0][:60]} ...", which the text tower cuts off before the class name; choose a shorter one'
        )
        raise QuantityError(("template", wrong))


def _plain_features(backbone: Backbone, texts: Sequence[str], done: Progress) -> Tensor:
    """[T, E], not normalised."""
    features = []
    for first in range(0, len(texts), BATCH):
        part = texts[first : first + BATCH]
        features.append(backbone.model.encode_text(backbone.tokenizer(part).to(_device(backbone))))
        done(len(part))
    return torch.cat(features)


def _plain_operations(backbone: Backbone, texts: int) -> float:
    """Those of the linear layers: a multiplication and an addition for each parameter, text and position."""
    tower = getattr(backbone.model, "text", backbone.model)
    parameters = sum(p.numel() for p in getattr(tower, "transformer", tower).parameters())
    return 2.0 * texts * backbone.tokenizer(["a"]).shape[-1] * parameters


def _has_packable_tower(backbone: Backbone) -> bool:
    """Whether texts can be packed: causal, and with the feature at [EOS], the highest of CLIP's tokens."""
    try:
        backbone.check_text_tower()
    except InputError:
        return False
    return backbone.model.text_pool_type == "argmax" or backbone.model.text_eos_id == backbone.tokenizer.eot_token_id


def _text_weights(backbone: Backbone) -> dict[str, Tensor]:
    """All that texts may pass through; in the number formats that they are in, which a checksum tells apart."""
    return {name: value for name, value in backbone.model.named_parameters() if not name.startswith("visual.")}


def _device(backbone: Backbone) -> torch.device:
    return next(backbone.model.parameters()).device
