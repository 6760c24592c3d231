"""CoOp: context optimisation. Learning to Prompt for Vision-Language Models, arXiv 2109.01134."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import nn
from yacs.config import CfgNode as CN

from caspl.backbones import Backbone
from caspl.errors import InputError
from caspl.prompts import INIT_STD, PromptGroup

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


def embed_words(backbone: Backbone, words: str) -> torch.Tensor:
    """Token embeddings [N, D] of a phrase, underscores read as spaces."""
    ids = torch.tensor(backbone.tokenizer.encode(words.replace("_", " ")))
    return backbone.model.token_embedding(ids).detach().float()


class CoOpLearner(nn.Module):
    """The context: one parameter `ctx`, [N, D] or, class-specific, [C, N, D]."""

    def __init__(self, ctx: torch.Tensor, position: str = "end"):
        super().__init__()
        if position not in POSITIONS:
            raise InputError(
                f'TRAINER.COOP.CLASS_TOKEN_POSITION is "{position}", expected one of {", ".join(POSITIONS)}'
            )
        self.ctx = nn.Parameter(ctx)
        length = ctx.shape[-2]
        # In the middle, the first half (rounded down) stands before the name, as in the reference.
        self.after_name = {"end": 0, "middle": length - length // 2, "front": length}[position]

    def forward(self) -> list[PromptGroup]:
        return [PromptGroup(text=(self.ctx,), after_name=self.after_name)]


@register
class CoOp(PromptTrainer):
    """Cross-entropy on few labelled images, one learned context in front of the class names."""

    method = "COOP"

    def build_learner(self, backbone: Backbone, classnames: Sequence[str]) -> CoOpLearner:
        keys = self.cfg.TRAINER.COOP
        if keys.CTX_INIT:
            ctx = embed_words(backbone, keys.CTX_INIT)
            log.info('Initial context: "%s" (%d tokens)', keys.CTX_INIT.replace("_", " "), len(ctx))
        else:
            if keys.N_CTX < 1:
                raise InputError(f"TRAINER.COOP.N_CTX is {keys.N_CTX}, expected 1 or more")
            classes = (len(classnames),) if keys.CSC else ()
            ctx = torch.randn(*classes, keys.N_CTX, backbone.text_width) * INIT_STD
            log.info("Initial context: %s, %d random tokens", "class-specific" if keys.CSC else "generic", keys.N_CTX)
        return CoOpLearner(ctx, keys.CLASS_TOKEN_POSITION)
