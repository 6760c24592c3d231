"""CasPL, phase 1: boosting prompts, distilled from a large CLIP on unlabelled images. arXiv 2409.17805, section 3.3."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from torch import Tensor, nn
from yacs.config import CfgNode

from caspl.border.dataset_facts import DatasetFacts
from caspl.checkpoints.boosting import save_boosting, shape_facts
from caspl.checkpoints.headers import BoostingHeader
from caspl.clip.backbones import Backbone, load_backbone
from caspl.clip.templates import template_for
from caspl.ground.errors import naming
from caspl.ground.keys import Key
from caspl.prompting.distillation import LOSSES, Teacher, distillation_loss, feature_loss
from caspl.prompting.groups import MOST_FROM_WORDS, PromptShape, random_entries, text_entries
from caspl.prompting.learners import Prompts

from .keys import MOST_VISION_TOKENS, depth_key, precision_key, some_tokens, template_key, tokens_key, words_key
from .prompt_trainer import PromptModel, PromptTrainer
from .registration import register
from .teacher_store import KEYS as STORED
from .teacher_store import StoredTeacher

log = logging.getLogger(__name__)

QUANTITIES = {
    "text length": "TRAINER.CASPL.N_CTX_TEXT",
    "vision length": "TRAINER.CASPL.N_CTX_VISION",
    "text depth": "TRAINER.CASPL.DEPTH_TEXT",
    "vision depth": "TRAINER.CASPL.DEPTH_VISION",
}


SHAPE = [
    tokens_key("TRAINER.CASPL.N_CTX_TEXT", 8, "Boosting tokens in the text tower (phase 1)"),
    tokens_key(
        "TRAINER.CASPL.N_CTX_VISION", 8, "Boosting tokens in the image tower (phase 1)", most=MOST_VISION_TOKENS
    ),
    depth_key("TRAINER.CASPL.DEPTH_TEXT", 12, "Text blocks that they enter; 1 is shallow (phase 1)"),
    depth_key("TRAINER.CASPL.DEPTH_VISION", 12, "Image blocks that they enter; 1 is shallow (phase 1)"),
    words_key(
        "TRAINER.CASPL.CTX_INIT",
        "",
        "Words that the first text tokens start from (up to 4 tokens); empty: N(0, 0.02^2) (phase 1)",
    ),
]
KEYS = [
    *SHAPE,
    precision_key("TRAINER.CASPL"),
    Key("TRAINER.CASPL.TEACHER", "ViT-L/14", "The CLIP that teaches, named as in MODEL.BACKBONE.NAME (phase 1)"),
    template_key(
        "TRAINER.CASPL.TEMPLATE", "The teacher's text of a class; empty: the dataset's hand-written one (phase 1)"
    ),
    Key("TRAINER.CASPL.TEMPERATURE", 1.0, "Temperature of the distillation loss (phase 1)", least=0.001, most=1_000),
    Key(
        "TRAINER.CASPL.LOSS",
        "kl",
        "Loss of the distillation: kl (the paper's), reverse_kl, l1 or mse of the logits, feature (matching) (phase 1)",
        choices=(*LOSSES, "feature"),
    ),
    Key(
        "TRAINER.CASPL.CLASSES",
        "all",
        "Whose names enter the softmax: all, or base (the strictly inductive protocol) (phase 1)",
        choices=("all", "base"),
    ),
    *STORED,
]


def new_boosting(cfg: CfgNode, backbone: Backbone) -> Prompts:
    """Untrained boosting prompts of the lengths and depths in cfg.TRAINER.CASPL.

    Raises InputError, naming the keys, where the backbone can't take them.
    """
    keys = cfg.TRAINER.CASPL
    shape = PromptShape(keys.N_CTX_TEXT, keys.N_CTX_VISION, keys.DEPTH_TEXT, keys.DEPTH_VISION)
    with naming(QUANTITIES):
        shape.check(text_blocks=backbone.text_blocks, vision_blocks=backbone.vision_blocks, backbone=backbone.name)
    words = backbone.embed(keys.CTX_INIT) if keys.CTX_INIT else None
    text, _ = text_entries(shape.text_length, shape.text_depth, backbone.text_width, words)
    vision = random_entries(shape.vision_length, shape.vision_depth, backbone.vision_width)
    return Prompts(text, vision)


@register
class CasPLBoost(StoredTeacher, PromptTrainer):
    """The student's prompts imitate the teacher's class probabilities; labels are never read.

    Writes OUTPUT_DIR/boosting.safetensors when training has ended.
    """

    method, node, own_keys = "CasPLBoost", "CASPL", KEYS
    rules = (some_tokens("TRAINER.CASPL"),)
    checkpoint_name = "CasPL"
    record = BoostingHeader.file_name
    reads_labels = False

    def idle_keys(self) -> list[str]:
        """The words, where there are more tokens than start from words."""
        return ["TRAINER.CASPL.CTX_INIT"] if self.keys.N_CTX_TEXT > MOST_FROM_WORDS else []

    def build_learner(self, backbone: Backbone, classnames: Sequence[str]) -> Prompts:
        learner = new_boosting(self.cfg, backbone)
        if self.keys.LOSS == "feature":  # maps the student's features to the teacher's width; learned, not kept
            learner.projection = nn.Linear(backbone.embedding_width, self.teacher_backbone.embedding_width, bias=False)
        return learner

    def build_model(self) -> None:
        super().build_model()
        names, facts = self.dm.dataset.classnames, DatasetFacts.of(self.dm.dataset)
        members = facts.class_datasets or [self.cfg.DATASET.NAME] * len(names)
        known = {member: template_for(member, self.keys.TEMPLATE) for member in set(members)}
        self.templates = [known[member] for member in members]
        self.dataset_name = facts.origin or "+".join(dict.fromkeys(members))
        # As in the base-to-new protocol, the base classes are the first half, rounded up.
        self.taught = len(names) if self.keys.CLASSES == "all" or self.subset != "all" else (len(names) + 1) // 2
        self.phase1_names = "all" if self.keys.CLASSES == "all" and self.subset == "all" else "base"

    @property
    def subset(self) -> str:
        return self.cfg.DATASET.SUBSAMPLE_CLASSES

    @cached_property
    def teacher_backbone(self) -> Backbone:
        log.info("Loading the teacher (%s)", self.keys.TEACHER)
        with naming({"backbone": "TRAINER.CASPL.TEACHER"}):
            return load_backbone(self.keys.TEACHER)

    def before_train(self) -> None:
        _ = self.teacher_backbone  # one that cannot be loaded is told before anything is written
        super().before_train()

    def networks(self) -> dict[str, str]:
        return super().networks() | {self.keys.TEACHER: self.teacher_backbone.fingerprint}

    @naming({"template": "TRAINER.CASPL.TEMPLATE"})
    def prepare(self) -> None:
        cfg, names, teacher = self.cfg, self.dm.dataset.classnames[: self.taught], self.teacher_backbone
        self.teacher_fingerprint = teacher.fingerprint
        teacher.compilation = self.backbone.compilation
        teacher.place(self.device, self.precision, image_tower=not self.keys.TEACHER_STORE)
        texts = [t.format(name.replace("_", " ")) for t, name in zip(self.templates, names, strict=False)]
        normalisation = {"mean": cfg.INPUT.PIXEL_MEAN, "std": cfg.INPUT.PIXEL_STD}
        self.teacher = Teacher(teacher, texts, **normalisation, store=self.text_store)
        self.open_store()
        self.student = self.model
        if self.taught < len(self.templates):
            log.info("Only the %d base classes' names enter the softmax", self.taught)
            self.student = PromptModel(self.prompted(names), self.model.learner)

    def loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        image, text = self.student.encode(images)
        logits = self.student.prompted.logits(image, text)
        if self.keys.LOSS == "feature":
            project = self.model.learner.projection
            image, text = project(image.to(project.weight.dtype)), project(text.to(project.weight.dtype))
            loss = feature_loss(image, self.teacher_features(images)) + feature_loss(text, self.teacher.classes)
            return loss, logits
        target = self.teacher.logits(self.teacher_features(images), self.student.prompted.scale)
        return distillation_loss(logits, target, self.keys.TEMPERATURE, self.keys.LOSS), logits

    def after_train(self) -> None:
        path = Path(self.output_dir) / self.record
        save_boosting(path, self.model.learner, self.header())
        log.info("Boosting prompts saved to %s (%d bytes)", path, path.stat().st_size)
        super().after_train()

    def save_prompts(self) -> None:
        """Nothing: boosting.safetensors can be used as it is."""

    def header(self) -> BoostingHeader:
        """What the checkpoint says about this run."""
        cfg, keys = self.cfg, self.keys
        return BoostingHeader(
            student=self.backbone.name,
            student_fingerprint=self.backbone.fingerprint,
            dataset=self.dataset_name,
            classnames=list(self.dm.dataset.classnames[: self.taught]),
            names=self.phase1_names,
            teacher=keys.TEACHER,
            teacher_fingerprint=self.teacher_fingerprint,
            template="; ".join(dict.fromkeys(self.templates)),
            temperature=float(keys.TEMPERATURE),
            loss=keys.LOSS,
            epochs=int(self.max_epoch),
            seed=int(cfg.SEED),
            **shape_facts(self.model.learner, self.backbone),
        )
