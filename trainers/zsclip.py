"""Zero-shot CLIP: hand-written templates, nothing trained. arXiv 2103.00020."""

from __future__ import annotations

from dassl.engine import TrainerX
from torch import Tensor
from yacs.config import CfgNode

from caspl.clip.backbones import load_backbone
from caspl.clip.precision import resolve_precision
from caspl.clip.templates import ENSEMBLE, template_for
from caspl.ground.errors import InputError, naming
from caspl.ground.keys import Key
from caspl.prompting.zeroshot.features import zeroshot_features

from .encoding import Encoding
from .keys import Declaring, completed, precision_key, template_key
from .prompt_trainer import check_images
from .references import KEYS as REFERENCES
from .references import References
from .registration import register

KEYS = [
    precision_key("TRAINER.ZSCLIP"),
    template_key("TRAINER.ZSCLIP.TEMPLATE", "Text of the classes; empty: the dataset's hand-written one"),
]


@register
class ZeroshotCLIP(Declaring, References, Encoding, TrainerX):
    """Any CLIP that open_clip can load, student or teacher; used with --eval-only."""

    learns, own_keys = False, KEYS
    passes_over = ("MODEL.INIT_WEIGHTS", "DATALOADER.CACHE", "OPTIM.ACCUMULATE", "RESUME")

    def __init__(self, cfg: CfgNode) -> None:
        super().__init__(completed(cfg, self.declared()))

    @classmethod
    def declared(cls) -> list[Key]:
        return [*super().declared(), *REFERENCES]

    @naming({"backbone": "MODEL.BACKBONE.NAME", "template": "TRAINER.ZSCLIP.TEMPLATE"})
    def build_model(self) -> None:
        keys = self.cfg.TRAINER.ZSCLIP
        self.backbone = load_backbone(self.cfg.MODEL.BACKBONE.NAME)
        check_images(self.cfg, self.backbone)
        self.precision = resolve_precision(keys.PREC, self.device)
        self.backbone.place(self.device, self.precision)
        template = template_for(self.cfg.DATASET.NAME, keys.TEMPLATE)
        classnames, templates = self.dm.dataset.classnames, self.templates(template)
        self.class_features = zeroshot_features(self.backbone, classnames, *templates, store=self.text_store)

    def templates(self, template: str) -> tuple[str, ...]:
        """The templates whose features are averaged, given the dataset's own."""
        return (template,)

    def model_inference(self, input: Tensor) -> Tensor:
        with self.precision.autocast():
            features = self.backbone.image_features(input)
            self.keep(features)
            scores = self.backbone.model.logit_scale.exp() * features @ self.class_features.to(features.dtype).T
        return self.checked(scores)

    def train(self) -> None:
        raise InputError(self.obstacle(self.cfg))


@register
class ZeroshotCLIP2(ZeroshotCLIP):
    """An ensemble: CoOp's seven general templates and, except on ImageNet, the dataset's own."""

    def templates(self, template: str) -> tuple[str, ...]:
        return ENSEMBLE if self.cfg.DATASET.NAME == "ImageNet" else (*ENSEMBLE, template)
