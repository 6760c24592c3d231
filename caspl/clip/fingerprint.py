"""The fingerprint of a CLIP: what two networks must share for prompts and features of the one to fit the other.

    5f0c3a91d2b47e68/quickgelu/8+12/224x224

The hash of the weights; the activation of the blocks; the attention heads of the text and of the image tower; the image size.
The same weights compute other features with another activation or number of heads, so the hash alone is not enough. Files
written before these were added hold the hash alone, which is compared with the hash alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from torch import Tensor, nn

ACTIVATION = re.compile(r"elu|silu|swish|mish", re.IGNORECASE)  # in the name of a class: GELU, QuickGELU, ReLU ...


def fingerprint_of(model: nn.Module, image_size: tuple[int, int], weights: Mapping[str, Tensor] | None = None) -> str:
    """The fingerprint of a CLIP that takes images of `image_size` (height, width) in pixels.

    `model` has OpenAI's layout or is any model of open_clip. `weights` are its own named weights, where a patched class has
    others beside them. The same in half and in single precision, on whatever device.
    """
    towers = getattr(model, "text", model), model.visual
    activations, heads = zip(*(_tower_facts(tower) for tower in towers), strict=True)
    digest = _digest(model.state_dict() if weights is None else weights)
    return f"{digest}/{'+'.join(dict.fromkeys(activations))}/{'+'.join(heads)}/{'x'.join(map(str, image_size))}"


def same_network(a: str, b: str) -> bool:
    """Whether two fingerprints agree, in everything that both of them hold."""
    if "/" in a and "/" in b:
        return a == b
    return a.partition("/")[0] == b.partition("/")[0]


def _digest(weights: Mapping[str, Tensor]) -> str:
    """Sixteen hexadecimal digits of SHA-256 over names, shapes and values, these in half precision."""
    digest = hashlib.sha256()
    for key, value in sorted(weights.items()):
        digest.update(f"{key} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().half().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _tower_facts(tower: nn.Module) -> tuple[str, str]:
    """The activations and the numbers of heads of a tower; in OpenAI's layout those of its blocks, not what a patch adds to it.

    Several, as a Swin transformer has, are joined by commas; "none" where there are none (a ConvNeXt has no heads).
    """
    blocks = getattr(getattr(tower, "transformer", None), "resblocks", None)
    mlps = [block.mlp for block in blocks] if blocks is not None else [tower]
    attentions = [block.attn for block in blocks] if blocks is not None else [tower]
    names = {_activation(leaf) for part in mlps for leaf in part.modules() if ACTIVATION.search(type(leaf).__name__)}
    heads = {_heads(part) for attention in attentions for part in attention.modules()}
    return ",".join(sorted(names - {""})) or "none", ",".join(map(str, sorted(heads - {0}))) or "none"


def _activation(module: nn.Module) -> str:
    if any(module.children()):
        return ""
    tanh = getattr(module, "approximate", "none") == "tanh"  # nn.GELU
    return type(module).__name__.lower().removesuffix("activation") + ("tanh" if tanh else "")


def _heads(module: nn.Module) -> int:
    found = getattr(module, "num_heads", getattr(module, "num_attention_heads", 0))  # Hugging Face has the second
    return found if isinstance(found, int) else 0
