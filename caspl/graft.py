"""The public name of `caspl.host.graft`."""

from .host.graft import boost, graft

__all__ = ["boost", "graft"]
