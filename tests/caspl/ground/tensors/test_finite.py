"""Numbers that are out of bounds: found, named, and nothing else."""

import math

import pytest
import torch

from caspl.ground.tensors import finite

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("tensors", "expected"),
    [
        ([], 0.0),
        ([torch.zeros(0, 4)], 0.0),
        ([torch.tensor([4.0, -3.0]), torch.tensor([[2.0]])], 5.0),
        ([torch.full((64,), 3e38)], INF),  # overflows
        ([torch.tensor([6e4, 6e4], dtype=torch.float16), torch.ones(2)], 84852.8),
        ([torch.tensor([1.0, -INF]), torch.tensor([2.0])], INF),
        ([torch.tensor([9.0]), torch.tensor([1.0, NAN])], NAN),
        ([torch.tensor([1.0, NAN, INF])], NAN),
        ([torch.sparse_coo_tensor([[0, 0]], [2.0, 3.0], (4,), check_invariants=True), torch.ones(1)], 5.0),
    ],
)
def test_the_largest_norm(tensors, expected):
    found = finite.largest_norm(iter(tensors)).item()
    assert found == pytest.approx(expected, rel=1e-3, nan_ok=True)


def test_values_are_read_as_they_are():
    loss = torch.rand(1, dtype=torch.float64)
    assert finite.read(loss=loss, half=torch.tensor(0.1, dtype=torch.float16), acc=torch.tensor([25.0])) == {
        "loss": loss.item(),
        "half": torch.tensor(0.1, dtype=torch.float16).item(),
        "acc": 25.0,
    }


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"loss": 1e38, "parameters": 10.0}, ""),
        ({"loss": 1.0, "gradients": NAN}, "gradients nan"),
        ({"loss": -INF}, "loss -inf"),
        ({"loss": 1.0, "parameters": 123456.0}, "parameters of norm 1.23e+05, expected at most 10000"),
        ({"loss": NAN, "parameters": INF}, "loss nan"),
    ],
)
def test_what_is_wrong(numbers, said):
    assert finite.wrong(numbers, {"parameters": 1e4}) == said


def test_spoiled_tensors_at_any_depth():
    content = {
        "a": torch.ones(2),
        "state": {0: {"buffer": torch.tensor([INF]), "step": torch.tensor(3)}, 1: [torch.tensor([NAN]), "text", None]},
        "mask": torch.full((2, 2), -INF),
        "best": -INF,  # a number of its own may be anything
    }
    assert finite.spoiled(content) == ["state.0.buffer", "state.1.0", "mask"]
    assert finite.spoiled(content, infinite=False) == ["state.1.0"]


@pytest.mark.parametrize(
    ("rows", "bad"),
    [
        ([[1.0, 2.0], [-INF, 0.0]], 0),  # a class that is masked out
        ([[1.0, NAN], [0.0, 0.0]], 1),
        ([[INF, 1.0], [-INF, -INF], [1.0, 1.0]], 2),
    ],
)
def test_scores(rows, bad):
    scores = torch.tensor(rows)
    if not bad:
        assert finite.checked_scores(scores) is scores
    else:
        with pytest.raises(FloatingPointError, match=f"scores of {bad} of {len(rows)} images are not finite"):
            finite.checked_scores(scores)
