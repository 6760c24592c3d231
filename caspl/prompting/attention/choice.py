"""Which attention the text tower gets: what a device can't compute is replaced, with a warning that says by what."""

from __future__ import annotations

import inspect
import logging
from importlib.util import find_spec

import torch

from ...clip.precision import Precision
from ...ground.errors import QuantityError
from . import flex, varlen
from .contract import Attention
from .grouped import grouped_attention

log = logging.getLogger(__name__)

CHOICES = ("grouped", "flex", "varlen")


def resolve_attention(name: str, device: torch.device, precision: Precision, head_width: int) -> Attention:
    """The attention called `name`, for heads of so many numbers; the grouped one where it can't be had.

    Raises QuantityError ("attention") for an unknown name.
    """
    if name not in CHOICES:
        raise QuantityError(("attention", f'is "{name}", expected one of {", ".join(CHOICES)}'))
    if name == "grouped":
        return grouped_attention
    obstacle = (_flex_obstacle if name == "flex" else _varlen_obstacle)(device, precision, head_width)
    if obstacle:
        log.warning("attention %s is computed as grouped: %s", name, obstacle)
        return grouped_attention
    return flex.flex_attended if name == "flex" else varlen.varlen_attended


def _flex_obstacle(device: torch.device, precision: Precision, head_width: int) -> str:
    if flex.flex_attention is None:
        return f"PyTorch {torch.__version__} has no FlexAttention"
    if device.type != "cuda":
        return f"FlexAttention has no gradients on {device.type}"
    if find_spec("triton") is None:
        return "FlexAttention needs Triton, which is not installed"
    return "" if head_width >= 16 else f"FlexAttention needs heads of 16 numbers or more, these have {head_width}"


def _varlen_obstacle(device: torch.device, precision: Precision, head_width: int) -> str:
    if varlen.varlen_attn is None or "window_size" not in inspect.signature(varlen.varlen_attn).parameters:
        return f"PyTorch {torch.__version__} has no varlen_attn with windows"
    if device.type != "cuda":
        return f"FlashAttention has no kernel for {device.type}"
    if precision.computes_in not in ("float16", "bfloat16"):
        return f"FlashAttention computes in half precision only, and this run in {precision.computes_in}"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return "FlashAttention needs a GPU of compute capability 8.0 or more"
    return (
        "" if head_width % 8 == 0 else f"FlashAttention needs heads of 8, 16, 24 ... numbers, these have {head_width}"
    )
