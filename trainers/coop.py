"""CoOp: context optimisation. Learning to Prompt for Vision-Language Models, arXiv 2109.01134."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor
from yacs.config import CfgNode as CN

from caspl.clip.backbones import Backbone
from caspl.ground.errors import InputError
from caspl.prompting.groups import INIT_STD
from caspl.prompting.learners import Context

from .prompt_trainer import PromptTrainer
from .registration import register

log = logging.getLogger(__name__)

POSITIONS = ("end", "middle", "front")


def extend_cfg(cfg: CN) -> None:
    """Add TRAINER.COOP, with the family's defaults."""
    cfg.TRAINER.COOP = CN()
    cfg.TRAINER.COOP.N_CTX = 16  # context tokens; not read where CTX_INIT is given
    cfg.TRAINER.COOP.CSC = False  # one context per class instead of one for all
    cfg.TRAINER.COOP.CTX_INIT = ""  # words that the context starts from; empty: N(0, 0.02^2)
    cfg.TRAINER.COOP.PREC = "fp16"  # fp32, fp16, bf16 or amp
    cfg.TRAINER.COOP.CLASS_TOKEN_POSITION = "end"  # end, middle or front


def initial_phrase(backbone: Backbone, phrase: str) -> tuple[Tensor, Tensor]:
    """The context that a phrase starts, [N, D], and the tokens [R, D] that stay fixed behind it.

    As in the reference there are as many context tokens as the phrase has words; what it has beyond them, where
    punctuation makes tokens of its own, is not learned.
    """
    tokens, count = backbone.embed(phrase), len(phrase.replace("_", " ").split(" "))
    log.info('Initial context: "%s" (%d tokens)', phrase.replace("_", " "), count)
    return tokens[:count].clone(), tokens[count:]


def random_context(length: int, key: str, width: int, classes: int = 0) -> Tensor:
    """[length, width], or [classes, length, width], from N(0, 0.02^2). Raises InputError, naming `key`, without tokens."""
    if length < 1:
        raise InputError(f"{key} is {length}, expected 1 or more")
    log.info("Initial context: %s, %d random tokens", "class-specific" if classes else "generic", length)
    return torch.randn(*([classes] if classes else []), length, width) * INIT_STD


def tokens_after_name(length: int, position: str) -> int:
    """How many of `length` context tokens stand behind the class name. Raises InputError for a position that is none.

    In the middle, the first half (rounded down) stands before the name, as in the reference.
    """
    if position not in POSITIONS:
        raise InputError(f'TRAINER.COOP.CLASS_TOKEN_POSITION is "{position}", expected one of {", ".join(POSITIONS)}')
    return {"end": 0, "middle": length - length // 2, "front": length}[position]


@register
class CoOp(PromptTrainer):
    """Cross-entropy on few labelled images, one learned context in front of the class names."""

    method, node = "CoOp", "COOP"

    def build_learner(self, backbone: Backbone, classnames: Sequence[str]) -> Context:
        ctx, words = self.initial_context(backbone, len(classnames))
        return Context(ctx, words, after_name=tokens_after_name(ctx.shape[-2], self.keys.CLASS_TOKEN_POSITION))

    def initial_context(self, backbone: Backbone, classes: int) -> tuple[Tensor, Tensor | None]:
        """The context at the start, [N, D] or [C, N, D], and the words [R, D] that stay fixed behind it."""
        keys = self.keys
        if not keys.CTX_INIT:
            key, specific = "TRAINER.COOP.N_CTX", classes if keys.CSC else 0
            return random_context(keys.N_CTX, key, backbone.text_width, specific), None
        context, rest = initial_phrase(backbone, keys.CTX_INIT)
        if len(rest) and keys.CLASS_TOKEN_POSITION != "end":
            raise InputError(
                f'TRAINER.COOP.CTX_INIT is "{keys.CTX_INIT}", which has more tokens than words; with '
                f"TRAINER.COOP.CLASS_TOKEN_POSITION {keys.CLASS_TOKEN_POSITION} use a phrase without punctuation"
            )
        return context, rest
