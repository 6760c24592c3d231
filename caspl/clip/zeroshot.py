"""Zero-shot CLIP: class features from hand-written templates."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ground.errors import QuantityError
from .backbones import Backbone


@torch.no_grad()
def zeroshot_features(
    backbone: Backbone, classnames: Sequence[str], *templates: str, normalize_each: bool = True
) -> Tensor:
    """Normalised text features [C, E]: the mean over `templates` filled with each class name, underscores read as spaces.

    A template's own features are normalised before the mean, unless `normalize_each` is False. Works with any open_clip
    model; too long a text is cut by its tokenizer, as open_clip does.
    Raises QuantityError ("template") where the cut leaves nothing of the class names.
    """
    total = 0.0
    for template in templates:
        texts = [template.format(name.replace("_", " ")) for name in classnames]
        _check_names_are_read(backbone, texts[:2])
        features = _text_features(backbone, texts)
        total = total + (F.normalize(features, dim=-1) if normalize_each else features)
    return F.normalize(total, dim=-1)


def _check_names_are_read(backbone: Backbone, texts: Sequence[str]) -> None:
    """Raise QuantityError where different texts are the same to a model, cut at its last position."""
    tokens = backbone.tokenizer(texts)
    if len(set(texts)) > 1 and bool((tokens[0] == tokens[1]).all() and tokens[0].all()):  # a shorter text ends in zeros
        wrong = (
            f'makes "{texts[0][:60]} ...", which the text tower cuts off before the class name; choose a shorter one'
        )
        raise QuantityError(("template", wrong))


def _text_features(backbone: Backbone, texts: Sequence[str]) -> Tensor:
    """[T, E], not normalised, in float32 at least."""
    device = next(backbone.model.parameters()).device
    batches = [backbone.tokenizer(texts[i : i + 256]).to(device) for i in range(0, len(texts), 256)]
    features = torch.cat([backbone.model.encode_text(batch) for batch in batches])
    return features.to(torch.promote_types(features.dtype, torch.float32))
