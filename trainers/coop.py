"""CoOp: context optimisation. Learning to Prompt for Vision-Language Models, arXiv 2109.01134."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from caspl.clip.backbones import Backbone
from caspl.clip.templates import template_for
from caspl.ground.errors import InputError
from caspl.ground.keys import Key, Rule
from caspl.prompting.groups import INIT_STD
from caspl.prompting.learners import Context

from .crop_pool import CropPool, pool_key, pool_rule
from .keys import TEMPLATE, context_words_key, precision_key, tokens_key
from .prompt_trainer import PromptTrainer
from .registration import register

log = logging.getLogger(__name__)

POSITIONS = ("end", "middle", "front")
TOKENS = 16  # of the context, where neither their number nor words are given
# Where the template that a context starts from is another than CLIP's, in the code of ProGrad and KgCoOp: the words that CLIP
# has behind the class name stand before it
LEADING_TEMPLATES = {
    "DescribableTextures": "a texture of {}.",
    "FGVCAircraft": "a type of aircraft, a photo of a {}.",
    "Food101": "a type of food, a photo of {}.",
    "OxfordFlowers": "a type of flower, a photo of a {}.",
    "OxfordPets": "a type of pet, a photo of a {}.",
}


KEYS = [
    tokens_key(
        "TRAINER.COOP.N_CTX", TOKENS, "Context tokens; where CTX_INIT is given, as many as it has words", least=1
    ),
    Key("TRAINER.COOP.CSC", False, "True: one context for each class in place of one for all", recorded=True),
    context_words_key("TRAINER.COOP.CTX_INIT"),
    precision_key("TRAINER.COOP"),
    Key(
        "TRAINER.COOP.CLASS_TOKEN_POSITION",
        "end",
        "Where the class name stands",
        choices=POSITIONS,
        recorded=True,
    ),
    pool_key("TRAINER.COOP"),
]


def context_rule(node: str, template: str = "") -> Rule:
    """Where there are words they decide how many tokens there are; another number is a mistake.

    `template` is what TEMPLATE stands for; empty: as many tokens as N_CTX says, if they are enough.
    """

    def holds(tokens: int, words: str) -> bool:
        words = template if words == TEMPLATE else words
        return not words or tokens in (TOKENS, len(words.replace("_", " ").split(" ")))

    return Rule(
        (f"{node}.N_CTX", f"{node}.CTX_INIT"),
        holds,
        "as many tokens as words where there are words (leave one of the two out)",
    )


def initial_phrase(backbone: Backbone, phrase: str) -> tuple[Tensor, Tensor]:
    """The context that a phrase starts, [N, D], and the tokens [R, D] that stay fixed behind it.

    As in the reference there are as many context tokens as the phrase has words; what it has beyond them, where
    punctuation makes tokens of its own, is not learned.
    """
    tokens, count = backbone.embed(phrase), len(phrase.replace("_", " ").split(" "))
    log.info('Initial context: "%s" (%d tokens)', phrase.replace("_", " "), count)
    return tokens[:count].clone(), tokens[count:]


def template_context(backbone: Backbone, dataset: str, length: int, node: str) -> tuple[Tensor, Tensor]:
    """The context [length, D] whose last tokens are the words of the dataset's template, the others 0, and what stays fixed.

    As in the code of ProGrad and KgCoOp, whose CoOp and CoCoOp start like this, too, where CTX_INIT is True.
    Raises InputError where the words are more than the tokens.
    """
    template = template_for(dataset, own=LEADING_TEMPLATES)
    words, rest = initial_phrase(backbone, template.split("{}")[0].strip())
    if length < len(words):
        raise InputError(
            f'{node}.N_CTX is {length}, but the template "{template}" has {len(words)} words in front of the class name; '
            f"set it to {len(words)} or more"
        )
    return torch.cat([torch.zeros(length - len(words), words.shape[-1]), words]), rest


def random_context(length: int, width: int, classes: int = 0) -> Tensor:
    """[length, width], or [classes, length, width], from N(0, 0.02^2)."""
    log.info("Initial context: %s, %d random tokens", "class-specific" if classes else "generic", length)
    return torch.randn(*([classes] if classes else []), length, width) * INIT_STD


def tokens_after_name(length: int, position: str) -> int:
    """How many of `length` context tokens stand behind the class name, for a position out of POSITIONS.

    In the middle, the first half (rounded down) stands before the name, as in the reference.
    """
    return {"end": 0, "middle": length - length // 2, "front": length}[position]


@register
class CoOp(CropPool, PromptTrainer):
    """Cross-entropy on few labelled images, one learned context in front of the class names."""

    method, node, own_keys = "CoOp", "COOP", KEYS
    rules = (context_rule("TRAINER.COOP"), pool_rule("TRAINER.COOP"))

    def build_learner(self, backbone: Backbone, classnames: Sequence[str]) -> Context:
        ctx, words = self.initial_context(backbone, len(classnames))
        return Context(ctx, words, after_name=tokens_after_name(ctx.shape[-2], self.keys.CLASS_TOKEN_POSITION))

    def initial_context(self, backbone: Backbone, classes: int) -> tuple[Tensor, Tensor | None]:
        """The context at the start, [N, D] or [C, N, D], and the words [R, D] that stay fixed behind it."""
        keys = self.keys
        if not keys.CTX_INIT:
            return random_context(keys.N_CTX, backbone.text_width, classes if keys.CSC else 0), None
        context, rest = self.context_of_words(backbone)
        if len(rest) and keys.CLASS_TOKEN_POSITION != "end":
            raise InputError(
                f'TRAINER.COOP.CTX_INIT is "{keys.CTX_INIT}", which has more tokens than words; with '
                f"TRAINER.COOP.CLASS_TOKEN_POSITION {keys.CLASS_TOKEN_POSITION} use a phrase without punctuation"
            )
        return context, rest

    def context_of_words(self, backbone: Backbone) -> tuple[Tensor, Tensor]:
        """The same two where CTX_INIT has words."""
        keys = self.keys
        if keys.CTX_INIT == TEMPLATE:
            return template_context(backbone, self.cfg.DATASET.NAME, keys.N_CTX, "TRAINER.COOP")
        return initial_phrase(backbone, keys.CTX_INIT)
