"""The public name of `caspl.use.hub`."""

from .use.hub import from_pretrained, push_to_hub, save_pretrained

__all__ = ["from_pretrained", "push_to_hub", "save_pretrained"]
