"""Zero-shot CLIP: class features from hand-written templates."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .backbones import Backbone


@torch.no_grad()
def zeroshot_features(
    backbone: Backbone, classnames: Sequence[str], *templates: str, normalize_each: bool = True
) -> Tensor:
    """Normalised text features [C, E]: the mean over `templates` filled with each class name, underscores read as spaces.

    A template's own features are normalised before the mean, unless `normalize_each` is False. Works with any open_clip
    model; too long a text is cut by its tokenizer, as open_clip does.
    """
    total = 0.0
    for template in templates:
        features = _text_features(backbone, [template.format(name.replace("_", " ")) for name in classnames])
        total = total + (F.normalize(features, dim=-1) if normalize_each else features)
    return F.normalize(total, dim=-1)


def _text_features(backbone: Backbone, texts: Sequence[str]) -> Tensor:
    """[T, E], not normalised, in float32 at least."""
    device = next(backbone.model.parameters()).device
    batches = [backbone.tokenizer(texts[i : i + 256]).to(device) for i in range(0, len(texts), 256)]
    features = torch.cat([backbone.model.encode_text(batch) for batch in batches])
    return features.to(torch.promote_types(features.dtype, torch.float32))
