import copy
import io
import math

import pytest
import torch
from dassl.config import get_cfg_default
from dassl.optim import build_lr_scheduler, build_optimizer
from dassl.utils import InputError
from torch import nn


def optim_cfg(**values):
    node = get_cfg_default().OPTIM
    node.merge_from_list([part for item in values.items() for part in item])
    return node


def schedule(node):
    optimizer = build_optimizer([nn.Parameter(torch.ones(1))], node)
    return optimizer, build_lr_scheduler(optimizer, node)


def rates(node, epochs):
    optimizer, scheduler = schedule(node)
    result = []
    for _ in range(epochs):
        result.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return result


COMMON = dict(NAME="sgd", LR_SCHEDULER="cosine", WARMUP_EPOCH=1, WARMUP_TYPE="constant")

# Learning rates of Dassl 0.6.3's own scheduler, to eight digits
LR_0025_E20 = [
    1e-05, .0025, .0024846104, .0024388206, .0023637582, .0022612712, .0021338835, .0019847316, .0018174881,
    .0016362712, .0014455431, .00125, .0010544569, .00086372876, .00068251188, .00051526843, .00036611652,
    .00023872876, .00013624184, .000061179355,
]  # fmt: skip
LR_002_E50 = [
    1e-05, .002, .0019980267, .0019921147, .0019822873, .0019685832, .0019510565, .0019297765, .0019048271, .0018763067,
    .0018443279, .001809017, .0017705132, .0017289686, .0016845471, .001637424, .0015877853, .0015358268, .0014817537,
    .0014257793, .0013681246, .001309017, .0012486899, .0011873813, .0011253332, .0010627905, .001, .00093720948,
    .00087466677, .00081261869, .00075131011, .00069098301, .00063187545, .00057422071, .00051824633, .00046417321,
    .00041221475, .00036257601, .00031545289, .00027103137, .00022948676, .00019098301, .00015567207, .00012369332,
    .000095172948, .000070223514, .000048943484, .000031416839, .000017712749, .0000078852987,
]  # fmt: skip
LR_002_E10 = [
    1e-05, .002, .0019510565, .001809017, .0015877853, .001309017, .001, .00069098301, .00041221475, .00019098301,
]  # fmt: skip
LR_0035_E5 = [1e-05, .0035, .0031657797, .0022907797, .0012092203]  # fmt: skip


def scaled(values, factor):
    return values[:1] + [factor * value for value in values[1:]]


@pytest.mark.parametrize(
    "lr, epochs, expected",
    [
        (0.0025, 20, LR_0025_E20),
        (0.002, 50, LR_002_E50),
        (0.0035, 5, LR_0035_E5),
        (0.0026, 2, [1e-05, 0.0026]),
        (0.002, 10, LR_002_E10),
        (0.0035, 10, scaled(LR_002_E10, 1.75)),
        (0.0025, 50, scaled(LR_002_E50, 1.25)),
        (0.005, 20, scaled(LR_0025_E20, 2)),
    ],
)
@pytest.mark.parametrize("warmup", ["constant", "linear"])
def test_cosine_rates(lr, epochs, expected, warmup):
    """With one epoch of warm-up both kinds are the same."""
    got = rates(optim_cfg(**COMMON | dict(LR=lr, MAX_EPOCH=epochs, WARMUP_TYPE=warmup)), epochs)
    assert got == pytest.approx(expected, rel=5.1e-8)  # the lists are rounded
    closed = [0.5 * lr * (1 + math.cos(math.pi * (e - 2) / epochs)) for e in range(2, epochs + 1)]
    assert got[1:] == pytest.approx(closed, abs=5e-18)


def test_cosine_without_recount():
    got = rates(optim_cfg(**COMMON, LR=0.0025, MAX_EPOCH=20, WARMUP_RECOUNT=False), 20)
    assert got[:5] == pytest.approx([1e-5, 0.0025, 0.00245393, 0.0023784, 0.00227528], rel=2e-6)
    assert got[-1] == pytest.approx(0.0000154849, rel=1e-5)


def test_linear_warmup():
    got = rates(optim_cfg(**COMMON | dict(LR=0.1, MAX_EPOCH=10, WARMUP_EPOCH=4, WARMUP_TYPE="linear")), 6)
    tail = [0.1, 0.05 * (1 + math.cos(math.pi / 10))]
    assert got == pytest.approx([1e-5, 0.025, 0.05, 0.075, *tail])


def test_step_schedules():
    node = optim_cfg(NAME="sgd", LR=1.0, MAX_EPOCH=4, STEPSIZE=(2,))
    assert rates(node, 5) == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    node.STEPSIZE = (-1,)
    assert rates(node, 5) == pytest.approx([1, 1, 1, 1, 0.1])
    node.LR_SCHEDULER, node.STEPSIZE = "multi_step", (1, 3)
    assert rates(node, 5) == pytest.approx([1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize("recount", [True, False])
@pytest.mark.parametrize("name", ["cosine", "single_step", "multi_step"])
@pytest.mark.parametrize("warmup", [0, 3])
def test_schedule_continues_from_its_state(name, recount, warmup):
    values = dict(LR=0.1, MAX_EPOCH=9, LR_SCHEDULER=name, STEPSIZE=(2, 4), WARMUP_EPOCH=warmup, WARMUP_RECOUNT=recount)
    node = optim_cfg(**COMMON | values)
    expected = rates(node, 9)
    for stop in range(9):
        optimizer, scheduler = schedule(node)
        for _ in range(stop):
            optimizer.step()
            scheduler.step()
        file = io.BytesIO()
        torch.save((optimizer.state_dict(), scheduler.state_dict()), file)
        file.seek(0)
        states = torch.load(file, weights_only=True)
        kept = copy.deepcopy(states[1])
        optimizer, scheduler = schedule(node)
        optimizer.load_state_dict(states[0])
        scheduler.load_state_dict(states[1])
        assert states[1] == kept
        continued = []
        for _ in range(stop, 9):
            continued.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        assert continued == expected[stop:]


def test_sgd_formula_and_frozen_parameters():
    """v <- 0.9 v + g + 5e-4 p; p <- p - lr v. A parameter without gradient does not decay."""
    weight, frozen = nn.Parameter(torch.tensor([2.0])), nn.Parameter(torch.tensor([2.0]), requires_grad=False)
    optimizer = build_optimizer([weight, frozen], optim_cfg(NAME="sgd", LR=0.1))
    p, v = 2.0, 0.0
    for _ in range(3):
        optimizer.zero_grad()
        (3 * weight).sum().backward()
        optimizer.step()
        v = 0.9 * v + 3.0 + 5e-4 * p
        p -= 0.1 * v
    assert weight.item() == pytest.approx(p, rel=1e-6) and frozen.item() == 2.0


@pytest.mark.parametrize(
    "name, kind, amsgrad",
    [
        ("adam", torch.optim.Adam, False),
        ("amsgrad", torch.optim.Adam, True),
        ("sgd", torch.optim.SGD, None),
        ("rmsprop", torch.optim.RMSprop, None),
        ("radam", torch.optim.RAdam, None),
        ("adamw", torch.optim.AdamW, False),
    ],
)
def test_optimizers(name, kind, amsgrad):
    model = nn.Linear(2, 1)
    optimizer = build_optimizer(model, optim_cfg(NAME=name, LR=0.02))
    assert type(optimizer) is kind
    group = optimizer.param_groups[0]
    assert group["lr"] == 0.02 and group["weight_decay"] == 5e-4 and group.get("amsgrad") == amsgrad
    assert group.get("betas", (0.9, 0.999)) == (0.9, 0.999)
    assert group.get("alpha", 0.99) == 0.99 and group.get("momentum", 0.9) == 0.9
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()


def test_parameter_groups():
    model = nn.Sequential()
    model.base, model.head = nn.Linear(2, 2), nn.Linear(2, 1)
    node = optim_cfg(NAME="sgd", LR=1.0, STAGED_LR=True, NEW_LAYERS=("head",))
    groups = build_optimizer(model, node).param_groups
    assert [group["lr"] for group in groups] == [0.1, 1.0] and groups[1]["params"][0] is model.head.weight
    node.NEW_LAYERS = ("haed",)
    with pytest.raises(InputError, match=r"names haed, .* layers base, head \(do you mean head\?\)"):
        build_optimizer(model, node)
    with pytest.raises(TypeError, match="needs a module"):
        build_optimizer(model.parameters(), node)
    with pytest.warns(UserWarning, match="STAGED_LR has no effect"):
        given = build_optimizer(model, node, param_groups=[{"params": model.base.parameters(), "lr": 3.0}])
    assert [group["lr"] for group in given.param_groups] == [3.0]


@pytest.mark.parametrize(
    "values, message",
    [
        (dict(NAME="sdg"), r'OPTIM.NAME "sdg" \(do you mean "sgd"\?\); available: adam, amsgrad, sgd, rmsprop'),
        (dict(LR_SCHEDULER="cosin"), r'LR_SCHEDULER "cosin" \(do you mean "cosine"'),
        (dict(WARMUP_EPOCH=1, WARMUP_TYPE="const"), r'WARMUP_TYPE "const" \(do you mean "constant"'),
        (dict(STEPSIZE=("a",)), r"must end in a whole number"),
    ],
)
def test_mistakes(values, message):
    with pytest.raises(InputError, match=message):
        schedule(optim_cfg(**values))
