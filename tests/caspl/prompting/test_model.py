"""When class features are encoded again."""

from types import SimpleNamespace

import torch

from caspl.prompting.groups import PromptGroup
from caspl.prompting.model import CachedClassFeatures


class CountingModel:
    """Stands for a PromptedCLIP: its features are how often they were encoded."""

    def __init__(self):
        self.clip = SimpleNamespace(positional_embedding=torch.zeros(77, 8))
        self.encoded = 0

    def class_features(self, groups):
        self.encoded += 1
        return torch.full((1,), float(self.encoded))


def test_what_decides_class_features_and_nothing_else_encodes_them_again():
    model = CountingModel()
    cached, entries = CachedClassFeatures(model), (torch.zeros(4, 8), torch.zeros(4, 8))
    group = PromptGroup(text=entries)
    assert cached([group]) == cached([PromptGroup(text=entries)]) == 1
    assert cached([PromptGroup(text=entries, vision=(torch.ones(2, 8),))]) == 1  # the text tower does not see them
    assert cached([PromptGroup(text=entries, after_name=2)]) == 2
    assert cached([PromptGroup(text=entries[:1]), PromptGroup(text=entries[1:])]) == 3
    assert cached([group]) == 4
    entries[1][0, 0] = 1.0  # as an optimiser does it, in place
    assert cached([group]) == 5
    model.clip.positional_embedding = torch.zeros(77, 8).half()
    assert cached([group]) == 6


def test_prompts_that_learn_are_never_cached():
    cached, entry = CachedClassFeatures(CountingModel()), torch.zeros(4, 8, requires_grad=True)
    assert cached([PromptGroup(text=(entry,))]) == 1
    assert cached([PromptGroup(text=(entry,))]) == 2
    with torch.no_grad():
        assert cached([PromptGroup(text=(entry,))]) == cached([PromptGroup(text=(entry,))]) == 3
