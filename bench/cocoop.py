"""One training step of CoCoOp: the family's loop over images against all images of a batch together, in one run.

    python bench/cocoop.py --classes 50 --batch 1
    python bench/cocoop.py --classes 50 --batch 8

A step is the image features of a batch, the meta-net, the class features of every image, cross-entropy, and the gradients of
context and meta-net; with `--boosting` tokens it is CasPL_CoCoOp. Both paths get the same random weights, images and names;
each runs in a process of its own, one after the other. The family's code keeps the activations of all images until it goes
back; here the plain path goes back after each image and adds the gradients up: the same work, in the memory of one image.
"""

from __future__ import annotations

import argparse
import sys

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import plain
from caspl.clip.backbones import Backbone
from caspl.ground import door
from caspl.prompting.cascade import Cascade
from caspl.prompting.groups import random_entries
from caspl.prompting.learners import ConditionalContext, Learner, Prompts
from caspl.prompting.model import PromptedCLIP
from caspl.trainers.cocoop import ConditionalPromptModel


def build(args: argparse.Namespace) -> tuple[PromptedCLIP, nn.Module]:
    """A prompted CLIP and its learner."""
    import open_clip

    model = plain.build_clip(args.backbone, args.device)
    size = model.visual.image_size
    backbone = Backbone(args.backbone, model, open_clip.SimpleTokenizer(), size, (0.5,) * 3, (0.5,) * 3)
    torch.manual_seed(1)
    learner: Learner = ConditionalContext.new(
        torch.randn(args.ctx, backbone.text_width) * 0.02, None, model.text_projection.shape[1]
    )
    text = random_entries(args.boosting, args.depth, backbone.text_width)
    vision = random_entries(args.boosting, args.depth, backbone.vision_width)
    learner = Cascade(learner, Prompts(text, vision, trainable=False)).to(args.device)
    return PromptedCLIP(backbone, plain.class_names(args.classes)), learner


def measure(args: argparse.Namespace) -> dict:
    prompted, learner = build(args)
    clip, tokens = prompted.clip, prompted.tower.tokens
    generator = torch.Generator().manual_seed(2)
    images = torch.randn(args.batch, 3, *clip.visual.image_size, generator=generator).to(args.device)
    labels = torch.randint(0, args.classes, (args.batch,), generator=generator).to(args.device)
    trained = [p for p in learner.parameters() if p.requires_grad]
    ours_model = ConditionalPromptModel(prompted, learner, args.memory * 1e9)

    def ours() -> tuple[Tensor, list[Tensor]]:
        logits = ours_model(images)
        return logits.detach(), list(torch.autograd.grad(F.cross_entropy(logits, labels), trained))

    def plainly() -> tuple[Tensor, list[Tensor]]:
        with torch.no_grad():
            features = F.normalize(plain.image_features(clip.visual, images, learner()), dim=-1)
        rows, sums = [], [torch.zeros_like(p) for p in trained]
        for feature, label in zip(features, labels, strict=True):
            adapting, *others = learner(feature[None])
            groups = [type(adapting)(text=tuple(entry[0, 0] for entry in adapting.text)), *others]
            text = F.normalize(plain.text_features(clip, tokens, groups), dim=-1)
            logits = prompted.scale * feature @ text.T
            grads = torch.autograd.grad(F.cross_entropy(logits, label) / len(images), trained)
            sums = [total + grad for total, grad in zip(sums, grads, strict=True)]
            rows.append(logits.detach())
            del text, logits, grads
        return torch.stack(rows), sums

    return plain.step_measured(ours if args.path == "ours" else plainly, args)


def main() -> None:
    parser = plain.common_arguments(__doc__)
    parser.add_argument("--classes", type=int, default=50, help="classes, spread over ImageNet's list")
    parser.add_argument("--batch", type=int, default=1, help="images")
    parser.add_argument("--ctx", type=int, default=4, help="context tokens")
    parser.add_argument("--boosting", type=int, default=0, help="boosting tokens in each tower")
    parser.add_argument("--depth", type=int, default=12, help="blocks that the boosting tokens enter")
    parser.add_argument("--memory", type=float, default=4.0, help="GB, as TRAINER.COCOOP.MEMORY")
    args = parser.parse_args()
    plain.publish(args, plain.steps_compared(plain.each_path(args, ("plain", "ours"), measure)))


if __name__ == "__main__":
    sys.exit(door.run(main))
