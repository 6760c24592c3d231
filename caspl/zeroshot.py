"""Zero-shot CLIP: class features from a hand-written template."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .backbones import Backbone


@torch.no_grad()
def zeroshot_features(backbone: Backbone, classnames: Sequence[str], template: str) -> Tensor:
    """Normalised text features [C, E] of `template` filled with each class name, underscores read as spaces.

    Works with any open_clip model; too long a text is cut by its tokenizer, as open_clip does.
    """
    texts = [template.format(name.replace("_", " ")) for name in classnames]
    device = next(backbone.model.parameters()).device
    batches = [backbone.tokenizer(texts[i : i + 256]).to(device) for i in range(0, len(texts), 256)]
    return torch.cat([F.normalize(backbone.model.encode_text(batch), dim=-1) for batch in batches])
