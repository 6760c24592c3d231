"""CasPL, phase 1: boosting prompts, distilled from a large CLIP on unlabelled images. arXiv 2409.17805, section 3.3."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor
from yacs.config import CfgNode as CN

from caspl.backbones import Backbone, load_backbone
from caspl.boosting import FILE_NAME, BoostingHeader, save_boosting
from caspl.distillation import Teacher, distillation_loss
from caspl.errors import InputError
from caspl.prompts import Prompts, PromptShape, random_entries
from caspl.templates import template_for

from .coop import embed_words
from .prompt_trainer import PromptTrainer
from .registration import register

log = logging.getLogger(__name__)

SHAPE_KEYS = {
    "text_length": "TRAINER.CASPL.N_CTX_TEXT",
    "vision_length": "TRAINER.CASPL.N_CTX_VISION",
    "text_depth": "TRAINER.CASPL.DEPTH_TEXT",
    "vision_depth": "TRAINER.CASPL.DEPTH_VISION",
}


def extend_cfg(cfg: CN) -> None:
    """Add TRAINER.CASPL: phase 1, and where phase 2 finds its result."""
    cfg.TRAINER.CASPL = CN()
    # Phase 1
    cfg.TRAINER.CASPL.N_CTX_TEXT = 8  # boosting tokens in the text tower
    cfg.TRAINER.CASPL.N_CTX_VISION = 8  # boosting tokens in the image tower
    cfg.TRAINER.CASPL.DEPTH_TEXT = 12  # text blocks that they enter; 1 is shallow
    cfg.TRAINER.CASPL.DEPTH_VISION = 12  # image blocks that they enter
    cfg.TRAINER.CASPL.CTX_INIT = ""  # words that the first text tokens start from (up to 4 tokens); empty: N(0, 0.02^2)
    cfg.TRAINER.CASPL.PREC = "fp16"  # fp32, fp16, bf16 or amp
    cfg.TRAINER.CASPL.TEACHER = "ViT-L/14"  # a backbone name, see caspl/backbones.py
    cfg.TRAINER.CASPL.TEMPLATE = ""  # the teacher's text, with {} for the class name; empty: the dataset's own
    cfg.TRAINER.CASPL.TEMPERATURE = 1.0  # of the distillation loss, above 0
    # Phase 2: lengths and depths come from the checkpoint
    cfg.TRAINER.CASPL.BOOSTING = ""  # boosting.safetensors of phase 1, or the folder that holds it
    cfg.TRAINER.CASPL.FREEZE = True  # False also trains the boosting prompts (an ablation of the paper)


@register
class CasPLBoost(PromptTrainer):
    """The student's prompts imitate the teacher's class probabilities; labels are never read.

    Writes OUTPUT_DIR/boosting.safetensors when training has ended.
    """

    method = "CASPL"
    checkpoint_name = "CasPL"

    def build_learner(self, backbone: Backbone, classnames: Sequence[str]) -> Prompts:
        keys = self.cfg.TRAINER.CASPL
        shape = PromptShape(keys.N_CTX_TEXT, keys.N_CTX_VISION, keys.DEPTH_TEXT, keys.DEPTH_VISION, SHAPE_KEYS)
        shape.check(text_blocks=backbone.text_blocks, vision_blocks=backbone.vision_blocks, backbone=backbone.name)
        text = random_entries(shape.text_length, shape.text_depth, backbone.text_width)
        if keys.CTX_INIT and 0 < shape.text_length <= 4:
            words = embed_words(backbone, keys.CTX_INIT)[: shape.text_length]
            text[0][: len(words)] = words
        return Prompts(text, random_entries(shape.vision_length, shape.vision_depth, backbone.vision_width))

    def build_model(self) -> None:
        super().build_model()
        keys = self.cfg.TRAINER.CASPL
        if keys.TEMPERATURE <= 0:
            raise InputError(f"TRAINER.CASPL.TEMPERATURE is {keys.TEMPERATURE}, expected a number above 0")
        self.template = template_for(self.cfg.DATASET.NAME, keys.TEMPLATE, "TRAINER.CASPL.TEMPLATE")
        self.teacher = None  # loaded when training begins: evaluation does not need it

    def before_train(self) -> None:
        super().before_train()
        cfg = self.cfg
        log.info("Loading the teacher (%s)", cfg.TRAINER.CASPL.TEACHER)
        teacher = load_backbone(cfg.TRAINER.CASPL.TEACHER)
        self.teacher_fingerprint = teacher.fingerprint
        teacher.place(self.device, self.precision)
        self.teacher = Teacher(
            teacher, self.dm.dataset.classnames, self.template, mean=cfg.INPUT.PIXEL_MEAN, std=cfg.INPUT.PIXEL_STD
        )

    def loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.model(images)
        target = self.teacher(images, self.model.prompted.scale)
        return distillation_loss(logits, target, self.cfg.TRAINER.CASPL.TEMPERATURE), logits

    def after_train(self) -> None:
        path = Path(self.output_dir) / FILE_NAME
        save_boosting(path, self.model.learner, self.header())
        log.info("Boosting prompts saved to %s (%d bytes)", path, path.stat().st_size)
        super().after_train()

    def header(self) -> BoostingHeader:
        """What the checkpoint says about this run."""
        cfg = self.cfg
        return BoostingHeader(
            student=self.backbone.name,
            student_fingerprint=self.backbone.fingerprint,
            dataset=cfg.DATASET.NAME,
            classnames=list(self.dm.dataset.classnames),
            teacher=cfg.TRAINER.CASPL.TEACHER,
            teacher_fingerprint=self.teacher_fingerprint,
            template=self.template,
            temperature=float(cfg.TRAINER.CASPL.TEMPERATURE),
            epochs=int(self.max_epoch),
            seed=int(cfg.SEED),
            **BoostingHeader.shapes(self.model.learner, self.backbone),
        )
