"""The fingerprint of a CLIP: what two networks must share for prompts and features of the one to fit the other.

    5f0c3a91d2b47e68/quickgelu/8+12/224x224
    5f0c3a91d2b47e68/quickgelu/8+12/224x224/eps1e-06+1e-06

The hash of the weights; the activation of the blocks; the attention heads of the text and of the image tower; the image size;
what their layer normalisations add to the variance, where it is not 1e-5 in both, as in OpenAI's models. The same weights
compute other features with another of these, so the hash alone is not enough. Files written before they were added hold the
hash alone, which is compared with the hash alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .names.known import named_for, split

FACTS = ("activation", "text heads", "image heads", "image size", "text epsilon", "image epsilon")
EPSILON = 1e-5  # of OpenAI's models
PIECE = 2**20  # numbers that are rounded at a time
ACTIVATION = re.compile(r"elu|silu|swish|mish", re.IGNORECASE)  # in the name of a class: GELU, QuickGELU, ReLU ...


def fingerprint_of(model: nn.Module, image_size: tuple[int, int], weights: Mapping[str, Tensor] | None = None) -> str:
    """The fingerprint of a CLIP that takes images of `image_size` (height, width) in pixels.

    `model` has OpenAI's layout or is any model of open_clip. `weights` are its own named weights, where a patched class has
    others beside them. The same in half and in single precision, on whatever device.
    """
    towers = getattr(model, "text", model), model.visual
    activations, heads = zip(*(tower_facts(tower) for tower in towers), strict=True)
    digest = _digest(model.state_dict() if weights is None else weights)
    epsilons = [epsilon_of(tower) for tower in towers]
    more = "" if set(epsilons) == {EPSILON} else f"/eps{'+'.join(map(str, epsilons))}"
    return f"{digest}/{'+'.join(dict.fromkeys(activations))}/{'+'.join(heads)}/{'x'.join(map(str, image_size))}{more}"


def same_network(a: str, b: str) -> bool:
    """Whether two fingerprints agree, in everything that both of them hold."""
    if "/" in a and "/" in b:
        return a == b
    return a.partition("/")[0] == b.partition("/")[0]


@dataclass(frozen=True)
class Mismatch:
    """How the CLIP here is another than the one that something was made with, in words for whoever says so.

    Attributes:
        said: "network A (fingerprint) there and B (fingerprint) here", or what is other where the weights are the same.
        name: what to call the CLIP instead; "" where that can't be told.
        remedy: what to do.
    """

    said: str
    name: str
    remedy: str


def mismatch(name_there: str, there: str, name_here: str, here: str) -> Mismatch | None:
    """What is other in the CLIP here, by the names and fingerprints of both; None for the same network."""
    if same_network(there, here):
        return None
    old, new = map(facts_of_fingerprint, (there, here))
    if not old or not new or there.partition("/")[0] != here.partition("/")[0]:
        said = f"network {name_there} ({there}) there and {name_here} ({here}) here"
        if name_there == name_here:  # a file that was replaced
            return Mismatch(said, "", f"bring back what was {name_here} then")
        return Mismatch(said, name_there, f"choose {name_there}")
    other = [f"{what} {a} there and {b} here" for what, a, b in zip(FACTS, old, new, strict=True) if a != b]
    file = split(name_here)[1]
    name = named_for(name_there, file) or (name_there if name_there != name_here else "")
    remedy = f"write {name}" if name else f"write MODEL:{file} with the name of the model that has these"
    return Mismatch(f"the same weights computed otherwise, {', '.join(other)}", name, remedy)


def facts_of_fingerprint(fingerprint: str) -> tuple[str, ...]:
    """What stands behind the hash, in the order of FACTS; () where nothing does."""
    whole = re.fullmatch(r"\w+/([^/]+)/([^/+]+)\+([^/+]+)/([^/]+)(?:/eps([\d.e-]+)\+([\d.e-]+))?", fingerprint)
    return whole.groups(str(EPSILON)) if whole else ()


def _digest(weights: Mapping[str, Tensor]) -> str:
    """Sixteen hexadecimal digits of SHA-256 over names, shapes and values, these in half precision."""
    digest, half = hashlib.sha256(), torch.empty(PIECE, dtype=torch.half)
    for key, value in sorted(weights.items()):
        digest.update(f"{key} {tuple(value.shape)}".encode())
        for piece in value.detach().reshape(-1).split(PIECE):  # a copy of all of them would take longer than the hash
            digest.update(half[: len(piece)].copy_(piece).numpy())
    return digest.hexdigest()[:16]


def tower_facts(tower: nn.Module) -> tuple[str, str]:
    """The activations and the numbers of heads of a tower; in OpenAI's layout those of its blocks, not what a patch adds to it.

    Several, as a Swin transformer has, are joined by commas; "none" where there are none (a ConvNeXt has no heads).
    """
    blocks = getattr(getattr(tower, "transformer", None), "resblocks", None)
    mlps = [block.mlp for block in blocks] if blocks is not None else [tower]
    attentions = [block.attn for block in blocks] if blocks is not None else [tower]
    names = {
        activation_name(leaf) for part in mlps for leaf in part.modules() if ACTIVATION.search(type(leaf).__name__)
    }
    heads = {_heads(part) for attention in attentions for part in attention.modules()}
    return ",".join(sorted(names - {""})) or "none", ",".join(map(str, sorted(heads - {0}))) or "none"


def epsilon_of(tower: nn.Module) -> float:
    """What the layer normalisations of a tower in OpenAI's layout add to the variance; EPSILON for towers of other kinds."""
    blocks = getattr(getattr(tower, "transformer", None), "resblocks", None) or [None]
    return getattr(getattr(blocks[0], "ln_1", None), "eps", EPSILON)


def activation_name(module: nn.Module) -> str:
    """What a fingerprint calls an activation; "" for a module with others in it."""
    if any(module.children()):
        return ""
    tanh = getattr(module, "approximate", "none") == "tanh"  # nn.GELU
    return type(module).__name__.lower().removesuffix("activation") + ("tanh" if tanh else "")


def _heads(module: nn.Module) -> int:
    found = getattr(module, "num_heads", getattr(module, "num_attention_heads", 0))  # Hugging Face has the second
    return found if isinstance(found, int) else 0
