"""Prompt groups of several learners, one behind the other: the cascade (paper, section 3.4), and what remains of it."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from .groups import PromptGroup
from .learners import Learner, Prompts


class Cascade(Learner):
    """Adapting prompts followed by boosting prompts.

    `adapting` is any learner. The list is in text order, the adapting group right behind [SOS] and the boosting group before
    the class name; the image tower puts them the other way round, as the reference does.
    """

    def __init__(self, adapting: Learner, boosting: Prompts):
        super().__init__()
        self.adapting = adapting
        self.boosting = boosting

    @property
    def conditional(self) -> bool:
        return self.adapting.conditional

    def forward(self, image_features: Tensor | None = None) -> list[PromptGroup]:
        return [*self.adapting(image_features), *self.boosting()]

    def deployed(self) -> list[Learner]:
        return [*self.adapting.deployed(), *self.boosting.deployed()]


class Deployed(Learner):
    """The frozen learners of `Learner.deployed`, or of a file, as one learner: all that a run has learned, in text order."""

    def __init__(self, parts: Iterable[Learner]):
        super().__init__()
        self.parts = nn.ModuleList(parts).requires_grad_(False)

    @property
    def conditional(self) -> bool:
        return any(part.conditional for part in self.parts)

    @property
    def class_specific(self) -> int:
        """The number of classes that have text tokens of their own; 0 where all classes share them."""
        return max((entry.shape[0] for group in self() for entry in group.text if entry.dim() == 3), default=0)

    def forward(self, image_features: Tensor | None = None) -> list[PromptGroup]:
        return [group for part in self.parts for group in part(image_features)]

    def deployed(self) -> list[Learner]:
        return list(self.parts)
