"""The device that is not there refuses what a device refuses, gives a CPU's gradients, and sees who waits for it."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from caspl.prompting import image_tower
from caspl.prompting.attention import grouped
from fake_devices import Pretended, on_fake


@pytest.fixture(params=["cuda", "mps"])
def device(request):
    with on_fake(request.param) as there:
        yield there


@pytest.fixture
def cuda():
    with on_fake("cuda") as there:
        yield there


# ---------------------------------------------------------------------------------------------------------------------
# What goes wrong on a device
# ---------------------------------------------------------------------------------------------------------------------
def test_a_tensor_left_on_the_cpu_is_refused(device):
    there = torch.ones(3, 4).to(device.at)
    with pytest.raises(RuntimeError, match="same device"):
        there + torch.ones(3, 4)
    assert (there + torch.tensor(1.0)).device == device.at  # one number of the CPU may go along
    with pytest.raises(RuntimeError, match="numpy"):
        there.numpy()


def test_formats_that_do_not_go_together_are_refused(device):
    layer = nn.Linear(4, 2).to(device.at)
    with pytest.raises(RuntimeError, match="dtype"):
        layer(torch.ones(3, 4, device=device.at, dtype=torch.float16))
    assert layer.half()(torch.ones(3, 4, device=device.at, dtype=torch.float16)).dtype == torch.float16


def test_float64_is_refused_on_mps_only():
    for name, allowed in (("cuda", True), ("mps", False)):
        with on_fake(name) as there:
            ones = torch.ones(2, device=there.at)
            if allowed:
                assert ones.double().dtype == torch.float64
                continue
            for wide in (ones.double, lambda: torch.ones(2, dtype=torch.float64).to(there.at)):  # noqa: B023
                with pytest.raises(TypeError, match="float64"):
                    wide()


def test_an_operation_that_a_device_has_no_kernel_for_is_refused():
    with on_fake("mps") as there, pytest.raises(NotImplementedError, match="no kernel for mps"):
        torch.linalg.eigvals(torch.eye(2).to(there.at))
    with on_fake("cuda") as there:
        assert torch.linalg.eigvals(torch.eye(2).to(there.at)).device == there.at


def test_autocast_is_the_device_s(device):
    left, right = (torch.ones(2, 2, device=device.at) for _ in range(2))
    with torch.autocast(device.at.type, dtype=torch.float16):
        product = left @ right
        assert product.dtype == torch.float16 and product.softmax(-1).dtype == torch.float32


def test_what_is_broken_in_the_towers_is_found(monkeypatch):
    """The mask of attention on the CPU, and prompts that keep their format in front of half precision."""
    from caspl.clip.backbones import load_backbone
    from caspl.clip.precision import resolve_precision
    from caspl.prompting.groups import PromptGroup
    from caspl.prompting.model import PromptedCLIP

    with on_fake("cuda") as there:
        backbone = load_backbone("demo/student").place(there.at, resolve_precision("fp16", there.at))
        clip = PromptedCLIP(backbone, ["one", "forty two"])
        text, vision = (
            torch.zeros(2, width, device=there.at) for width in (backbone.text_width, backbone.vision_width)
        )
        groups, images = (
            [PromptGroup((text,), (vision, vision))],
            torch.zeros(1, 3, *backbone.image_size, device=there.at),
        )
        assert clip(images, groups).shape == (1, 2)
        arange = torch.arange
        with monkeypatch.context() as broken:
            broken.setattr(grouped.torch, "arange", lambda count, device: arange(count))
            with pytest.raises(RuntimeError, match="cuda:0 and cpu"):
                clip.class_features(groups)
        with monkeypatch.context() as broken:
            broken.setattr(image_tower, "_new_prompts", lambda visual, prompts, block, dtype: ([], [prompts[0][0]]))
            with pytest.raises(RuntimeError, match="same dtype, but got Float and Half"):
                clip.image_features(images, groups)


# ---------------------------------------------------------------------------------------------------------------------
# Gradients
# ---------------------------------------------------------------------------------------------------------------------
class Cube(torch.autograd.Function):
    """x^3, and beside it the unused x^2."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3, x**2

    @staticmethod
    def backward(ctx, cube, square):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * cube + 2 * x * square


class Lost(torch.autograd.Function):
    """Its gradient comes from the CPU."""

    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return torch.ones(gradient.shape)


def network():
    torch.manual_seed(0)
    return nn.ModuleDict(
        {"norm": nn.LayerNorm(8), "first": nn.Linear(8, 8), "second": nn.Linear(8, 3), "attention": nn.Linear(8, 24)}
    )


def loss_of(layers, x):
    """Shared parameters, views, a checkpointed part, an attention, a custom function."""
    x = layers["norm"](x)
    q, k, v = layers["attention"](x)[:, None].chunk(3, dim=-1)
    x = x + F.scaled_dot_product_attention(q, k, v)[:, 0]
    x = checkpoint(lambda x: layers["first"](layers["first"](x).relu()).relu(), x, use_reentrant=False)
    x = Cube.apply(x)[0] + x.flip(0)
    return F.cross_entropy(layers["second"](x), torch.tensor([0, 2, 1, 1], device=x.device))


def test_gradients_are_those_of_pytorch_s_engine(device):
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(1))
    here, there = network(), network().to(device.at)
    loss_of(here, x).backward()
    loss = loss_of(there, x.to(device.at))
    wanted = [there["second"].weight, there["norm"].bias]
    asked = torch.autograd.grad(loss, wanted, retain_graph=True)
    loss.backward()
    loss.backward()
    for (name, own), expected in zip(there.named_parameters(), here.parameters(), strict=True):
        assert isinstance(own, Pretended) and own.grad.device == own.device, name
        torch.testing.assert_close(own.grad.cpu(), 2 * expected.grad, msg=name)
    for parameter, gradient in zip(wanted, asked, strict=True):
        torch.testing.assert_close(gradient.cpu(), parameter.grad.cpu() / 2)


def test_a_gradient_of_another_device_is_refused(cuda):
    x = torch.ones(3, device=cuda.at, requires_grad=True)
    with pytest.raises(RuntimeError, match="a gradient on cpu, expected one on cuda:0"):
        Lost.apply(x).sum().backward()


def test_what_has_no_part_in_a_loss_has_no_gradient(cuda):
    x, y = (torch.ones(3, device=cuda.at, requires_grad=True) for _ in range(2))
    with pytest.raises(RuntimeError, match="not have been used"):
        torch.autograd.grad((2 * x).sum(), [x, y])
    assert torch.autograd.grad((2 * x).sum(), [x, y], allow_unused=True)[1] is None


def test_a_parameter_stays_the_same_object_when_its_module_moves(cuda):
    layer = nn.Linear(2, 2)
    weight, optimizer = layer.weight, torch.optim.SGD(layer.parameters(), lr=1.0)
    layer.to(cuda.at)
    assert layer.weight is weight and weight.device == cuda.at
    layer(torch.ones(1, 2, device=cuda.at)).sum().backward()
    before = weight.detach().clone()
    optimizer.step()
    assert torch.equal(weight.cpu(), before.cpu() - 1)


# ---------------------------------------------------------------------------------------------------------------------
# Waiting
# ---------------------------------------------------------------------------------------------------------------------
WAITING = {
    "a number": lambda x: x.sum().item(),
    "a condition": lambda x: bool(x[0] > 0),
    "a list": lambda x: x.tolist(),
    "a comparison": lambda x: torch.equal(x, x),
    "a copy": lambda x: x.cpu(),
    "a mask": lambda x: x[x > 0],
    "places": lambda x: x.nonzero(),
    "an index of the CPU": lambda x: x[torch.tensor([0, 1])],
    "a list of numbers": lambda x: torch.tensor([1.0, 2.0], device=x.device),
    "memory that is not pinned": lambda x: torch.ones(3).to(x.device, non_blocking=True),
    "everything": lambda x: torch.cuda.synchronize(),
}
PASSING = {
    "arithmetic": lambda x: (x * 2 + 1).softmax(0).masked_fill(x > 0, 0.0),
    "made there": lambda x: torch.arange(3, device=x.device) + torch.full((), 2, device=x.device),
    "pinned memory": lambda x: torch.ones(3).pin_memory().to(x.device, non_blocking=True),
    "into pinned memory": lambda x: torch.empty(3, pin_memory=True).copy_(x, non_blocking=True),
    "a choice": lambda x: torch.where(x.sum() > 0, x, -x),
}


@pytest.mark.parametrize("what", [*WAITING, *PASSING])
def test_a_wait_is_seen(what, cuda):
    x = torch.ones(3, device=cuda.at)
    assert not cuda.waits
    {**WAITING, **PASSING}[what](x)
    assert len(cuda.waits) == (what in WAITING), cuda.waits
    assert all(wait.where.startswith("tests/test_fake_devices.py") for wait in cuda.waits)


def test_a_copy_under_way_is_no_number_until_it_is_waited_for(cuda):
    x = torch.arange(3.0, device=cuda.at)
    copy, event = x.to("cpu", non_blocking=True), torch.cuda.Event()
    event.record()
    x += 1
    assert copy.isnan().all() and not event.query()
    event.synchronize()
    assert copy.tolist() == [0, 1, 2] and event.query()
    assert cuda.behind == [1] and not cuda.waits
    later = x.to("cpu", non_blocking=True)
    torch.cuda.synchronize()
    assert later.tolist() == [1, 2, 3] and len(cuda.waits) == 1


def test_behind_it_all_is_as_before():
    backward, gradients, swaps = torch.autograd.backward, torch.autograd.grad, torch.__future__
    for name in ("cuda", "mps"):
        with on_fake(name):
            assert torch.accelerator.is_available()
        assert not torch.cuda.is_available() and not torch.backends.mps.is_available()
        assert (torch.autograd.backward, torch.autograd.grad) == (backward, gradients)
        assert not swaps.get_swap_module_params_on_conversion()
        x = torch.ones(2, requires_grad=True)
        (3 * x).sum().backward()
        assert x.grad.tolist() == [3, 3]
