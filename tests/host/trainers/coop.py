"""How the host loads CLIP, and a trainer under a name that CasPL has, too."""

from pathlib import Path

import torch
from clip.model import build_clip
from dassl.engine import TRAINER_REGISTRY, TrainerX


def load_clip_to_cpu(cfg):
    return build_clip(torch.load(Path(__file__).parents[1] / "clip" / "student.pt", weights_only=True))


@TRAINER_REGISTRY.register()
class CoOp(TrainerX):
    """The host's own."""
