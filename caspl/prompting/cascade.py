"""The cascade: prompt groups of several learners, one behind the other (paper, section 3.4)."""

from __future__ import annotations

from torch import Tensor

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
