"""Which attention a device gets, and what is said where it can't be the one that was asked for."""

import pytest
import torch

from caspl.clip.precision import Precision
from caspl.ground.errors import QuantityError
from caspl.prompting.attention import choice, varlen
from caspl.prompting.attention.choice import resolve_attention
from caspl.prompting.attention.flex import flex_attended
from caspl.prompting.attention.grouped import grouped_attention
from caspl.prompting.attention.varlen import varlen_attended

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
FP32, FP16 = (Precision(name, dtype, "cuda") for name, dtype in (("fp32", torch.float32), ("fp16", torch.float16)))
AMP = Precision("amp", torch.float32, "cuda", torch.float16)


@pytest.fixture(autouse=True)
def recent_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (9, 0))


@pytest.mark.parametrize(
    ("name", "device", "precision", "expected"),
    [
        ("grouped", CPU, FP32, grouped_attention),
        ("grouped", CUDA, FP16, grouped_attention),
        ("flex", CUDA, FP32, flex_attended),
        ("flex", CUDA, AMP, flex_attended),
        ("varlen", CUDA, FP16, varlen_attended),
        ("varlen", CUDA, AMP, varlen_attended),
    ],
)
def test_what_a_device_can_do_it_does(caplog, name, device, precision, expected):
    assert resolve_attention(name, device, precision, 64) is expected
    assert not caplog.records


@pytest.mark.parametrize(
    ("name", "device", "precision", "width", "why"),
    [
        ("flex", CPU, FP32, 64, "FlexAttention has no gradients on cpu"),
        ("flex", CUDA, FP32, 8, "FlexAttention needs heads of 16 numbers or more, these have 8"),
        ("varlen", CPU, FP16, 64, "FlashAttention has no kernel for cpu"),
        ("varlen", CUDA, FP32, 64, "FlashAttention computes in half precision only, and this run in float32"),
        ("varlen", CUDA, FP16, 20, "FlashAttention needs heads of 8, 16, 24 ... numbers, these have 20"),
    ],
)
def test_what_it_can_not_is_grouped_and_said(caplog, name, device, precision, width, why):
    assert resolve_attention(name, device, precision, width) is grouped_attention
    assert caplog.messages == [f"attention {name} is computed as grouped: {why}"]


def test_an_old_gpu_or_an_old_pytorch_is_named(caplog, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (7, 5))
    assert resolve_attention("varlen", CUDA, FP16, 64) is grouped_attention
    monkeypatch.setattr(varlen, "varlen_attn", lambda query, key, value, *, is_causal=False: None)
    assert resolve_attention("varlen", CUDA, FP16, 64) is grouped_attention
    monkeypatch.setattr(choice.flex, "flex_attention", None)
    assert resolve_attention("flex", CUDA, FP16, 64) is grouped_attention
    for said, why in zip(
        caplog.messages,
        ("compute capability 8.0", "has no varlen_attn with windows", "has no FlexAttention"),
        strict=True,
    ):
        assert why in said


def test_another_name_is_refused():
    with pytest.raises(QuantityError, match='is "flash", expected one of grouped, flex, varlen'):
        resolve_attention("flash", CPU, FP32, 64)
