"""Which numbers weights and prompts can have."""

import re

import pytest
import torch

from caspl.ground.tensors.values import LARGEST_PROMPT, impossible


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (torch.tensor([1.0, float("nan")]), "x has nan, expected finite numbers of at most 10000 in size"),
        (torch.tensor([1.0, float("inf")]), "x has inf, expected finite"),
        (torch.tensor([1.0, -float("inf")]), "x has inf, expected finite"),
        (torch.tensor([-2e4, 1.0]), r"x has 2e\+04, expected finite"),
        (torch.tensor([1e300]).double(), "x has (inf|1e.300), expected finite"),
        (torch.tensor([60_000.0]).half(), r"x has 6e\+04, expected finite"),
        (torch.tensor([1]), "x is int64, expected floating-point numbers"),
        (torch.tensor([True]), "x is bool, expected floating-point numbers"),
        (torch.tensor([1j]), "x is complex64, expected floating-point numbers"),
    ],
)
def test_what_no_prompt_has(value, problem):
    (found,) = impossible({"good": torch.ones(2), "x": value}, LARGEST_PROMPT)
    assert re.match(problem, found)


def test_what_prompts_have():
    good = {"half": torch.ones(2).half(), "large": torch.tensor([[-1e4, 1e4]]), "empty": torch.ones(0, 3)}
    assert impossible(good, LARGEST_PROMPT) == []
