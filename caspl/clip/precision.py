"""The one place that decides what number format a run computes in."""

from __future__ import annotations

import logging
import platform
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import open_clip
import torch
from open_clip.hf_model import HFTextEncoder
from open_clip.timm_model import TimmModel
from open_clip.transformer import LayerNorm, LayerNormFp32
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..ground.errors import QuantityError

log = logging.getLogger(__name__)

CHOICES = ("fp32", "fp16", "bf16", "amp")
EXACTNESS = ("float32", "float16", "bfloat16")  # formats that are computed in, the most exact first


def computed_in(name: str) -> str:
    """Which of EXACTNESS the precision `name` computes in on a GPU; the least exact for a name that there is not."""
    return {"fp32": "float32", "fp16": "float16", "amp": "float16"}.get(name, "bfloat16")


def at_least_float32(values: torch.Tensor) -> torch.Tensor:
    """`values` in float32, or as they are where that is wider: for softmax and losses."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


@dataclass(frozen=True)
class Precision:
    """How the frozen towers are stored and computed. Prompts are always kept in float32.

    fp32: everything in float32. fp16 and bf16: OpenAI's split, weights of linear and convolution layers in half precision,
    LayerNorm and embeddings in float32; towers of timm and Hugging Face, which only teachers have, in half precision but for
    batch normalisation. amp: float32 weights under autocast.
    """

    name: str
    weights: torch.dtype
    device_type: str
    autocast_dtype: torch.dtype | None = None

    @property
    def computes_in(self) -> str:
        """Which of EXACTNESS products are rounded to."""
        return str(self.autocast_dtype or self.weights).removeprefix("torch.")

    def autocast(self) -> AbstractContextManager:
        """The context to run forward passes in."""
        if self.autocast_dtype is None:
            return nullcontext()
        return torch.autocast(self.device_type, dtype=self.autocast_dtype)

    def scaler(self) -> torch.amp.GradScaler:
        """A loss scaler, which is switched on only where amp computes in float16 on a CUDA device, as the family does."""
        enabled = self.device_type == "cuda" and self.name == "amp"
        if not hasattr(torch.amp, "GradScaler"):  # PyTorch before 2.3
            return torch.cuda.amp.GradScaler(enabled=enabled)
        return torch.amp.GradScaler(self.device_type, enabled=enabled)

    def cast(self, model: nn.Module) -> nn.Module:
        """Put a float32 CLIP into this format, in place."""
        if self.weights == torch.float32:
            return model.float()
        for parent in list(model.modules()):
            for name, child in parent.named_children():
                if type(child) is LayerNorm:  # its weights stay float32, so it has to compute there
                    norm = LayerNormFp32(child.normalized_shape, eps=child.eps)
                    norm.weight, norm.bias = child.weight, child.bias
                    setattr(parent, name, norm)
        for part in model.modules():
            if isinstance(part, (TimmModel, HFTextEncoder)):
                _round(part, self.weights)
        open_clip.model.convert_weights_to_lp(model, dtype=self.weights)
        return model


def _round(tower: nn.Module, dtype: torch.dtype) -> None:
    """Put a tower of another library, whose layers expect one format throughout, into `dtype`, except batch statistics."""
    for module in tower.modules():
        if not isinstance(module, _BatchNorm):
            for values in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
                values.data = values.data.to(dtype) if values.is_floating_point() else values.data


def _multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for it; PyTorch tells it of x86, others are taken to have them."""
    asked = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return platform.machine().lower() not in ("x86_64", "amd64") or asked is None or asked()


def resolve_precision(name: str, device: torch.device) -> Precision:
    """The format for `name` on `device`; what the device can't do well is replaced, with a warning that says by what.

    Raises QuantityError ("precision") for an unknown name.
    """
    if name not in CHOICES:
        raise QuantityError(("precision", f'is "{name}", expected one of {", ".join(CHOICES)}'))
    kind = device.type
    if name == "fp16" and kind == "cpu":
        log.warning("precision fp16 is computed in fp32: CPUs multiply half precision hundreds of times slower")
        name = "fp32"
    if name == "bf16" and kind == "cuda" and not torch.cuda.is_bf16_supported():
        log.warning("precision bf16 is computed in fp16: this GPU has no bfloat16")
        name = "fp16"
    if name in ("bf16", "amp") and kind == "cpu" and not _multiplies_bfloat16():
        log.warning(
            "precision %s is slower than fp32 on this processor, which has no instructions for bfloat16 (avx512_bf16)",
            name,
        )
    if name == "amp":
        return Precision(name, torch.float32, kind, torch.bfloat16 if kind == "cpu" else torch.float16)
    weights = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[name]
    return Precision(name, weights, kind)
