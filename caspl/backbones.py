"""The public name of `caspl.clip.backbones`, which the model cards of shared prompts use."""

from .clip.backbones import Backbone, load_backbone

__all__ = ["Backbone", "load_backbone"]
