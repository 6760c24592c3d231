"""How much memory the text tower may take in training: what does not fit goes in parts (caspl/prompting/model.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from yacs.config import CfgNode

from caspl.clip.backbones import Backbone
from caspl.ground.keys import Key, value_of
from caspl.prompting.model import PromptedCLIP


def memory_key(name: str, gigabytes: float, about: str) -> Key:
    """A bound for activations."""
    return Key(name, gigabytes, f"GB for the text tower's activations; {about}", above=0, most=100_000)


KEYS = [memory_key("TRAIN.MEMORY", 2.0, "class names that need more go in parts (CoCoOp has a key of its own)")]


class WithinMemory:
    """Mixin in front of a trainer that declares its keys."""

    memory_key = KEYS[0].name
    cfg: CfgNode
    backbone: Backbone

    @classmethod
    def declared(cls) -> list[Key]:
        return [*super().declared(), *(key for key in KEYS if key.name == cls.memory_key)]

    def prompted(self, classnames: Sequence[str], **computed: Any) -> PromptedCLIP:
        """The backbone with these classes, waiting for prompts; `computed` as PromptedCLIP takes it."""
        return PromptedCLIP(self.backbone, classnames, memory=value_of(self.cfg, self.memory_key) * 1e9, **computed)
