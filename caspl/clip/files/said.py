"""What is known of a CLIP beside its tensors' shapes: its file says something of itself, or its weights are well known."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from ...ground.tensors.archives import Unknown, opened
from .. import demo
from ..fingerprint import activation_name, epsilon_of, facts_of_fingerprint, tower_facts
from ..names.known import is_model
from .building import ACTIVATIONS, Facts, TowerFacts
from .containers import is_safetensors

FINGERPRINT = "fingerprint"  # in the header of a state dict of `caspl export`
TOKEN_IDS = "token_ids"  # whose rows of CLIP's token embedding a demo model's own file has
# Where training programs keep the name of the model: open_clip in the name that it makes up for a run, Lightning and others
# among their settings
MODEL_KEYS = ("name", "model", "model_name", "arch", "backbone", "backbone_name")
SETTINGS = ("hyper_parameters", "hparams", "args", "config")
RUN_OF_OPEN_CLIP = re.compile(r".*\bmodel_(.+?)-lr_.*")


def facts_in(files: Sequence[Path]) -> Facts | None:
    """Activations, heads and epsilons, where a file's header tells the fingerprint of its network; None where none does."""
    for path in files:
        if is_safetensors(path):
            with safe_open(path, framework="pt") as file:
                told = facts_of_fingerprint((file.metadata() or {}).get(FINGERPRINT, ""))
            if told:
                return _facts(*told)
    return None


def _facts(activations: str, text_heads: str, image_heads: str, _: str, *epsilons: str) -> Facts | None:
    """The facts in a fingerprint, as far as they are such as one CLIP has."""
    names = {activation_name(make()): name for name, make in reversed(ACTIVATIONS.items())}
    text, *rest = activations.split("+")
    image = rest[0] if rest else text
    if not text_heads.isdecimal() or not image_heads.isdecimal() or text not in names:
        return None
    try:
        text_eps, image_eps = map(float, epsilons)
    except ValueError:
        return None
    if not 0 < text_eps < 1 or not 0 < image_eps < 1:
        return None
    return Facts(
        TowerFacts(int(text_heads), names[text], text_eps), TowerFacts(int(image_heads), names.get(image), image_eps)
    )


def facts_of_weights(tensors: Mapping[str, Tensor]) -> Facts | None:
    """Activation and heads of weights that are a demo model's, in whatever precision; None for all others."""
    for name, shape in demo.ARCHITECTURES.items():
        projection = tensors.get("text_projection")  # towers of other classes have none
        if projection is None or tuple(projection.shape) != (shape.text_width, shape.embed_dim):
            continue
        own = demo.load_demo_model(name).state_dict()
        if own.keys() == tensors.keys() and all(
            value.shape == tensors[key].shape and torch.equal(value.half(), tensors[key].half())
            for key, value in own.items()
        ):
            heads = [width // shape.head_width for width in (shape.text_width, shape.vision_width)]
            return Facts(*(TowerFacts(number, "quick_gelu") for number in heads))
    return None


def with_all_tokens(tensors: Mapping[str, Tensor], ids: Tensor) -> Mapping[str, Tensor]:
    """The tensors of a demo model's own file, which has rows of the token embedding for the tokens `ids` alone, made whole."""
    rows = tensors.get("token_embedding.weight")
    whole = rows is not None and len(rows) > 0 and ids.shape == rows.shape[:1] and not ids.is_floating_point()
    if not whole or int(ids.min()) < 0 or int(ids.max()) >= demo.VOCABULARY:
        return tensors
    return demo.with_all_tokens({**tensors, TOKEN_IDS: ids})


def contradictions(facts: Facts, model: nn.Module) -> Iterator[str]:
    """What of `facts` is other in a model of open_clip, a phrase each."""
    towers = {"text": (facts.text, getattr(model, "text", model)), "image": (facts.vision, model.visual)}
    for name, (said, tower) in towers.items():
        activation, heads = tower_facts(tower)
        if said.activation and (own := activation_name(ACTIVATIONS[said.activation]())) != activation:
            yield f"activation {own} where the model has {activation}"
        if said.heads and str(said.heads) != heads:
            yield f"{said.heads} {name} heads where the model has {heads}"
        if said.eps != epsilon_of(tower):
            yield f"{name} epsilon {said.eps} where the model has {epsilon_of(tower)}"


def model_named_in(path: Path) -> str:
    """The name of the model that a training program has left in its checkpoint; "" where there is none that is known here."""
    if is_safetensors(path):
        return ""
    with opened(path) as content:
        named = [name for name in _names(content.root) if is_model(name)]
    return named[0] if named else ""


def _names(root: Any) -> Iterator[str]:
    holders = [root, *(_entries(root).get(key) for key in SETTINGS)]
    for entries in map(_entries, holders):
        for value in (entries.get(key) for key in MODEL_KEYS):
            if isinstance(value, str):
                run = RUN_OF_OPEN_CLIP.fullmatch(value[:1000])
                yield run[1] if run else value


def _entries(holder: Any) -> Mapping[Any, Any]:
    """What is in a dictionary, or an object's attributes: argparse's are such."""
    content = holder.state if isinstance(holder, Unknown) else holder
    return content if isinstance(content, dict) else {}
