"""Prompt learners: modules that hold what a method trains, and whose call gives its prompt groups.

Their parameters have the names of the family's checkpoints. What is embedded, drawn at random or counted comes from outside:
a trainer builds a learner, and a file restores it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor, nn

from .groups import PromptGroup, with_words


class Learner(nn.Module):
    """State in, groups out. It knows neither CLIP nor class names.

    `conditional` says that the groups are different for every image; its class features can't be computed beforehand then.
    """

    conditional = False

    def forward(self, image_features: Tensor | None = None) -> list[PromptGroup]:
        """The prompt groups, in text order.

        `image_features` [B, E], normalised, make B prompt sets of a conditional learner; the others do not look at them.
        """
        raise NotImplementedError

    def deployed(self) -> list[Learner]:
        """One frozen learner for each group, on the CPU in float32, that gives the same group without what training needs."""
        return [Prompts.of(group) for group in self()]


class Prompts(Learner):
    """A prompt group as parameters, the same for every image: what boosting learns, and IVLP and VPT too.

    Parameters are named `text.<block>`, [N, D] or, class-specific, [C, N, D], and `vision.<block>` [N, V]. `words` [R, D] are
    embeddings of fixed words behind the learned text tokens: the rest of an initial phrase, or all of it. `after_name` is that
    of PromptGroup.
    """

    def __init__(
        self,
        text: Sequence[Tensor] = (),
        vision: Sequence[Tensor] = (),
        *,
        words: Tensor | None = None,
        after_name: int = 0,
        trainable: bool = True,
    ):
        super().__init__()
        self.after_name = after_name
        self.register_buffer("words", words, persistent=False)
        self.text = nn.ParameterList(nn.Parameter(t.detach().clone().float(), requires_grad=trainable) for t in text)
        self.vision = nn.ParameterList(
            nn.Parameter(v.detach().clone().float(), requires_grad=trainable) for v in vision
        )

    @classmethod
    def of(cls, group: PromptGroup) -> Prompts:
        """The values of a group, frozen, on the CPU in float32."""
        return cls(group.text, group.vision, after_name=group.after_name, trainable=False).cpu()

    def forward(self, image_features: Tensor | None = None) -> list[PromptGroup]:
        return [PromptGroup(with_words(tuple(self.text), self.words), tuple(self.vision), self.after_name)]


class Context(Learner):
    """CoOp's context: one parameter `ctx`, [N, D] or, class-specific, [C, N, D], and fixed words [R, D] behind it."""

    def __init__(self, ctx: Tensor, words: Tensor | None = None, *, after_name: int = 0):
        super().__init__()
        self.ctx = nn.Parameter(ctx)
        self.register_buffer("words", words, persistent=False)
        self.after_name = after_name

    def forward(self, image_features: Tensor | None = None) -> list[PromptGroup]:
        return [PromptGroup(text=with_words((self.ctx,), self.words), after_name=self.after_name)]


class MetaNet(nn.Sequential):
    """CoCoOp's map from a normalised image feature [B, E] to a shift of the context [B, D], with a bottleneck between."""

    def __init__(self, embedding: int, hidden: int, width: int):
        super().__init__()
        self.linear1, self.relu = nn.Linear(embedding, hidden), nn.ReLU()
        self.linear2 = nn.Linear(hidden, width)


class ConditionalContext(Learner):
    """CoCoOp's context `ctx` [N, D], all of whose tokens each image shifts by meta_net(its normalised feature) [D].

    The fixed words [R, D] behind it stay. Without image features the context is not shifted.
    """

    conditional = True

    def __init__(self, ctx: Tensor, words: Tensor | None, meta_net: MetaNet):
        super().__init__()
        self.ctx = nn.Parameter(ctx)
        self.register_buffer("words", words, persistent=False)
        self.meta_net = meta_net

    @classmethod
    def new(cls, ctx: Tensor, words: Tensor | None, embedding: int) -> ConditionalContext:
        """With an untrained meta-net for image features of width E, the embedding; its bottleneck is E / 16."""
        return cls(ctx, words, MetaNet(embedding, embedding // 16, ctx.shape[-1]))

    def forward(self, image_features: Tensor | None = None) -> list[PromptGroup]:
        ctx = self.ctx
        if image_features is not None:
            shift = self.meta_net(image_features.to(ctx.dtype))  # [B, D]
            ctx = (ctx + shift[:, None])[:, None]  # [B, 1, N, D]
        return [PromptGroup(text=with_words((ctx,), self.words))]

    def deployed(self) -> list[Learner]:
        return [copy.deepcopy(self).cpu().float().requires_grad_(False)]


class CoupledPrompts(Learner):
    """MaPLe's text prompts `ctx` and `compound_prompts_text.<i>` [N, D], and a linear map D -> V for each block.

    Names are the reference's; there too the maps of the deeper blocks start as copies of one.
    """

    def __init__(self, text: Sequence[Tensor], words: Tensor, vision_width: int):
        super().__init__()
        width = text[0].shape[-1]
        self.register_buffer("words", words, persistent=False)
        self.ctx = nn.Parameter(text[0])
        self.proj = nn.Linear(width, vision_width)
        self.compound_prompts_text = nn.ParameterList(nn.Parameter(entry) for entry in text[1:])
        single = nn.Linear(width, vision_width)
        self.compound_prompt_projections = nn.ModuleList(copy.deepcopy(single) for _ in text[1:])

    def forward(self, image_features: Tensor | None = None) -> list[PromptGroup]:
        text = (self.ctx, *self.compound_prompts_text)
        maps = (self.proj, *self.compound_prompt_projections)
        vision = tuple(project(entry) for project, entry in zip(maps, text, strict=True))
        return [PromptGroup(text=with_words(text, self.words), vision=vision)]
