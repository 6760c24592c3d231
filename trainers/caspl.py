"""CasPL, phase 2: any prompt learner with one more, frozen group of prompts. arXiv 2409.17805, section 3.4."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from caspl.backbones import Backbone
from caspl.boosting import load_boosting
from caspl.errors import InputError
from caspl.prompts import Cascade, Prompts

from .coop import CoOp
from .registration import register

log = logging.getLogger(__name__)


class Cascaded:
    """Mixin in front of a PromptTrainer: `class CasPL_X(Cascaded, X)` is X with boosting prompts in both towers.

    Lengths and depths come from the checkpoint TRAINER.CASPL.BOOSTING. For evaluation it may be left out: checkpoints of
    phase 2 carry the boosting prompts too.
    """

    def build_learner(self, backbone: Backbone, classnames: Sequence[str]) -> Cascade:
        keys = self.cfg.TRAINER.CASPL
        boosting = Prompts(trainable=not keys.FREEZE)
        if keys.BOOSTING:
            boosting, header = load_boosting(
                keys.BOOSTING, backbone, dataset=self.cfg.DATASET.NAME, classnames=classnames, trainable=not keys.FREEZE
            )
            log.info(
                "Boosting prompts from %s: %d text tokens in %d blocks, %d vision tokens in %d blocks, taught by %s on %s",
                keys.BOOSTING,
                header.text_length,
                header.text_depth,
                header.vision_length,
                header.vision_depth,
                header.teacher,
                header.dataset,
            )
        return Cascade(super().build_learner(backbone, classnames), boosting)

    def train(self) -> None:
        if not self.cfg.TRAINER.CASPL.BOOSTING:
            raise InputError(
                f"TRAINER.CASPL.BOOSTING is empty; {type(self).__name__} needs the boosting.safetensors that "
                f"python train.py --trainer CasPLBoost ... writes"
            )
        super().train()

    def load_learner(self, learner: Cascade, state: dict[str, Tensor], path: Path) -> None:
        stored = {
            tower: [
                state[key]
                for key in sorted(
                    (k for k in state if k.startswith(f"boosting.{tower}.")), key=lambda k: int(k.rsplit(".", 1)[1])
                )
            ]
            for tower in ("text", "vision")
        }
        frozen, given = self.cfg.TRAINER.CASPL.FREEZE, self.cfg.TRAINER.CASPL.BOOSTING
        if not given:
            learner.boosting = Prompts(stored["text"], stored["vision"], trainable=not frozen).to(self.device)
        elif frozen and not _equal(learner.boosting, stored):
            raise InputError(
                f"{path} was trained on other boosting prompts than {given}; leave TRAINER.CASPL.BOOSTING out, the "
                f"checkpoint carries its own"
            )
        super().load_learner(learner, state, path)


def _equal(boosting: Prompts, stored: dict[str, list[Tensor]]) -> bool:
    own = {"text": list(boosting.text), "vision": list(boosting.vision)}
    return all(
        len(own[tower]) == len(stored[tower])
        and all(
            a.shape == b.shape and a.detach().cpu().equal(b.cpu())
            for a, b in zip(own[tower], stored[tower], strict=True)
        )
        for tower in own
    )


@register
class CasPL_CoOp(Cascaded, CoOp):  # noqa: N801, the family's spelling
    """CoOp behind frozen boosting prompts."""
