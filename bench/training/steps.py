"""The training step of any trainer at the shape of a real CLIP: random weights and images, no data set, nothing written.

`timed(name, classes=50)` is the trainer that train.py builds from the configuration of its base-to-new runs; each
`step(trainer, batch)` is one training step of it, with its checks and its optimiser. Class names are spread over ImageNet's.
Boosting prompts, and references that a method computes once (PromptSRC's texts, say), are random: a step costs the same.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import torch
import torch.nn.functional as F

from bench.tower import plain
from caspl.clip.backbones import Backbone
from caspl.prompting.groups import random_entries
from caspl.prompting.learners import Prompts
from caspl.train import TRAINER_REGISTRY, parse_args, setup_cfg

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
FILES = {  # what base-to-new runs of each trainer take
    "CoOp": "vit_b16_ep50",
    "CoCoOp": "vit_b16_c4_ep10_batch1_ctxv1",
    "MaPLe": "vit_b16_c2_ep5_batch4_2ctx",
    "PromptSRC": "vit_b16_c2_ep20_batch4_4+4ctx",
    "KgCoOp": "vit_b16_ep100_ctxv1",
    "ProGrad": "vit_b16_ep100",
    "IVLP": "vit_b16_c2_ep20_batch4_4+4ctx",
    "VPT": "vit_b16_c2_ep5_batch4_4",
    "CasPLBoost": "vit_b16_c2_ep20_batch4_8+8ctx_l12",
    "CasPL_CoOp": "vit_b16_ep50",
    "CasPL_CoCoOp": "vit_b16_c4_ep10_batch1_ctxv1",
    "CasPL_MaPLe": "vit_b16_c8_ep5_batch4_8ctx",
    "CasPL_PromptSRC": "vit_b16_c2_ep20_batch4_8+8ctx_l9",
    "CasPL_KgCoOp": "vit_b16_ep100_ctxv1",
    "CasPL_ProGrad": "vit_b16_ep100",
    "CasPL_IVLP": "vit_b16_c2_ep20_batch4_8+8ctx_l12",
    "CasPL_VPT": "vit_b16_c2_ep5_batch4_8_l12",
}
TEACHER = "ViT-L-14-quickgelu"
BOOSTING = 8  # boosting tokens in every block of both towers, in front of which a CasPL_X adapts


def timed(name: str, *, classes: int, backbone: str = plain.VIT_B16, options: Sequence[str] = ()):
    """The trainer `name` in front of `backbone` (an open_clip architecture), ready for `step`.

    On the CPU in fp32, unless `options`, KEY and VALUE in turn, say otherwise.
    """
    method = TRAINER_REGISTRY.get(name)
    files = CONFIGS / "datasets" / "imagenet.yaml", CONFIGS / "trainers" / name / f"{FILES[name]}.yaml"
    command = ["--root", "-", "--output-dir", "-", "--seed", "1", "--trainer", name]
    command += ["--dataset-config-file", str(files[0]), "--config-file", str(files[1])]
    command += [
        "USE_CUDA",
        "False",
        "DATASET.NUM_SHOTS",
        "16",
        "MODEL.TEXT_STORE",
        "",
        f"TRAINER.{method.node}.PREC",
        "fp32",
        *options,
    ]
    cfg = setup_cfg(parse_args(command))

    class Timed(method):
        epoch = batch_idx = 0
        num_batches = 1_000_000_000  # no step is the last of its epoch

        def build_data_loader(self) -> None:
            names = plain.class_names(classes)
            self.dm = SimpleNamespace(dataset=SimpleNamespace(classnames=names))
            self.num_classes, self.lab2cname, self.labelled = classes, dict(enumerate(names)), True
            self.train_loader_x = self.train_loader_u = self.val_loader = self.test_loader = None

        def loaded_boosting(self, backbone: Backbone, classnames: Sequence[str]) -> Prompts:
            self.phase1_names = "all"
            text = random_entries(BOOSTING, backbone.text_blocks, backbone.text_width)
            vision = random_entries(BOOSTING, backbone.vision_blocks, backbone.vision_width)
            return Prompts(text, vision, trainable=False)

        def prepare(self) -> None:
            if name == "CasPLBoost":
                super().prepare()
            else:
                self.plain_classes = F.normalize(torch.randn(classes, self.backbone.embedding_width), dim=-1)

    def random_weights(of: str) -> Backbone:
        architecture = backbone if of == cfg.MODEL.BACKBONE.NAME else TEACHER
        return plain.build_backbone(architecture, name=of)

    logging.disable(logging.WARNING)
    places = [f"caspl.trainers.{module}.load_backbone" for module in ("prompt_trainer", "caspl_boost")]
    with mock.patch(places[0], random_weights), mock.patch(places[1], random_weights):
        trainer = Timed(cfg)
        with torch.no_grad():
            trainer.prepare()
    trainer.set_model_mode("train")
    return trainer


def random_batch(trainer, images: int) -> dict[str, torch.Tensor]:
    """A batch of so many images, [B, 3, H, W] of N(0, 1), with random labels."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(images, 3, *trainer.backbone.image_size, generator=generator)
    return {"img": pixels, "label": torch.randint(trainer.num_classes, (images,), generator=generator)}


def step(trainer, batch: dict[str, torch.Tensor]) -> None:
    """One training step."""
    trainer.forward_backward(batch)


def pooled(trainer, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What a pool of crops (CROP_POOL) gives in place of a batch's images: their features."""
    with torch.no_grad():
        encoders = trainer.encoders().items()
        return {name: trainer.model.prompted.image_features(batch["img"], groups) for name, groups in encoders}
