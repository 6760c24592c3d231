"""One training step of the text tower: the plain path of the family's code against ours, in one run.

    python bench/text_tower.py --classes 50
    python bench/text_tower.py --classes 1000 --plain-chunk 125

Both paths get the same random weights, the same ImageNet class names and the same prompts: `--ctx` adapting tokens at the
input and `--boosting` tokens in `--depth` blocks. A step is the class features, a scalar of them, and its gradients for all
prompts. Each path runs in a process of its own, one after the other; time is the median of `--repeats` steps after one that
is not counted, memory the peak above what the process held with the weights loaded. Values and gradients of the two are
compared. Where the plain path does not fit the memory, `--plain-chunk` runs it over so many classes at a time and adds the
gradients up: the same work, but its peak is then that of one chunk.
"""

from __future__ import annotations

import argparse
import sys

import open_clip
import torch
from torch import Tensor

import plain
from caspl.ground import door
from caspl.prompting.groups import PromptGroup
from caspl.prompting.layout import ClassTokens
from caspl.prompting.text_tower import TextTower


def measure(args: argparse.Namespace) -> dict:
    model = plain.build_clip(args.backbone, args.device)
    tokens = ClassTokens(plain.class_names(args.classes), open_clip.SimpleTokenizer())
    generator, width = torch.Generator().manual_seed(1), model.positional_embedding.shape[1]
    depth = min(args.depth, len(model.transformer.resblocks))
    entries = [plain.prompts(generator, args.ctx, width, 1, args.device)]
    entries.append(plain.prompts(generator, args.boosting, width, depth, args.device))
    groups = [PromptGroup(text=text) for text in entries if text]
    prompts = [entry for text in entries for entry in text]
    weights = torch.randn(args.classes, model.text_projection.shape[1], generator=generator).to(args.device)
    tower, chunk = TextTower(model, tokens), args.plain_chunk or args.classes

    def ours() -> tuple[Tensor, list[Tensor]]:
        features = tower(groups)[0]
        return features.detach(), list(torch.autograd.grad((features * weights).sum(), prompts))

    def plainly() -> tuple[Tensor, list[Tensor]]:
        parts, sums = [], [torch.zeros_like(p) for p in prompts]
        for first in range(0, args.classes, chunk):
            part = slice(first, first + chunk)
            features = plain.text_features(model, tokens, groups, part)
            grads = torch.autograd.grad((features * weights[part]).sum(), prompts)
            parts.append(features.detach())
            sums = [total + grad for total, grad in zip(sums, grads, strict=True)]
            del features, grads
        return torch.cat(parts), sums

    return plain.step_measured(ours if args.path == "ours" else plainly, args)


def main() -> None:
    parser = plain.common_arguments(__doc__)
    parser.add_argument("--classes", type=int, default=50, help="classes, spread over ImageNet's list")
    parser.add_argument("--ctx", type=int, default=8, help="adapting tokens (shallow)")
    parser.add_argument("--boosting", type=int, default=8, help="boosting tokens")
    parser.add_argument("--depth", type=int, default=12, help="blocks that the boosting tokens enter")
    parser.add_argument("--plain-chunk", type=int, default=0, help="classes at a time in the plain path, 0 for all")
    args = parser.parse_args()
    plain.publish(args, plain.steps_compared(plain.each_path(args, ("plain", "ours"), measure)))


if __name__ == "__main__":
    sys.exit(door.run(main))
