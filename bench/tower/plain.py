"""The family's way to encode: every class in full context length, every token in every block, all in one batch.

With it, models and class names that both paths of a benchmark share.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import open_clip
import torch
from torch import Tensor, nn

from bench.frame.figures import Figure, faster, median, ratio
from bench.frame.sides import Side, difference
from bench.frame.timing import alternating
from caspl.clip.backbones import Backbone
from caspl.ground.quiet import quiet
from caspl.prompting.groups import PromptGroup
from caspl.prompting.layout import ClassTokens

VIT_B16 = "ViT-B-16-quickgelu"


def backbone_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backbone", default=VIT_B16, help="an open_clip architecture; weights are random")


def build_clip(architecture: str, device: str = "cpu") -> nn.Module:
    """An open_clip architecture with random weights, frozen."""
    torch.manual_seed(0)
    with quiet(""):  # it warns that weights are random
        model = open_clip.create_model(architecture, pretrained=None, load_weights=False)
    return model.eval().requires_grad_(False).to(device)


def build_backbone(architecture: str, device: str = "cpu", name: str | None = None) -> Backbone:
    """The same, as the trainers know a CLIP; `name`: as which, if not the architecture's."""
    model, tokenizer = build_clip(architecture, device), open_clip.SimpleTokenizer()
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    return Backbone(name or architecture, model, tokenizer, model.visual.image_size, mean, std)


def class_names(count: int) -> list[str]:
    """`count` names, spread over ImageNet's list."""
    names = open_clip.IMAGENET_CLASSNAMES
    return [names[i] for i in torch.linspace(0, len(names) - 1, count).long().tolist()]


def prompts(generator: torch.Generator, length: int, width: int, depth: int, device: str) -> tuple[Tensor, ...]:
    """`depth` matrices [length, width] that want gradients."""
    values = [torch.randn(length, width, generator=generator) * 0.02 for _ in range(depth if length else 0)]
    return tuple(value.to(device).requires_grad_() for value in values)


def text_features(
    model: nn.Module, tokens: ClassTokens, groups: Sequence[PromptGroup], part: slice | None = None
) -> Tensor:
    """Class features [C, E], prompts spliced in, deep ones by concatenation per block."""
    ids = tokens.ids[part] if part else tokens.ids
    classes, length = len(ids), model.positional_embedding.shape[0]
    device, groups = model.positional_embedding.device, [group for group in groups if group.text]
    count = sum(group.text_length for group in groups)
    suffix = torch.zeros(classes, length - 1 - count, dtype=torch.long, device=device)
    for c, row in enumerate(ids):
        suffix[c, : len(row)] = torch.tensor(row, device=device)
    begin = model.token_embedding(torch.full((classes, 1), tokens.start, device=device))
    spliced = [group.text[0].expand(classes, -1, -1) for group in groups]
    x = torch.cat([begin, *spliced, model.token_embedding(suffix)], dim=1) + model.positional_embedding
    for i, block in enumerate(model.transformer.resblocks):
        place = 1
        for group in groups:
            if 0 < i < len(group.text):
                deep = group.text[i].expand(classes, -1, -1)
                x = torch.cat([x[:, :place], deep, x[:, place + group.text_length :]], dim=1)
            place += group.text_length
        x = block(x, attn_mask=model.attn_mask)
    ends = torch.tensor([count + len(row) for row in ids], device=device)
    return model.ln_final(x)[torch.arange(classes, device=device), ends] @ model.text_projection


def image_features(visual: nn.Module, images: Tensor, groups: Sequence[PromptGroup] = ()) -> Tensor:
    """Image features [B, E], prompts behind the patches, deep ones by concatenation per block."""
    x = visual.conv1(images).flatten(2).transpose(1, 2)
    x = torch.cat([visual.class_embedding.expand(len(x), 1, -1), x], dim=1) + visual.positional_embedding
    patches, groups = x.shape[1], [group for group in reversed(groups) if group.vision]
    x = visual.ln_pre(torch.cat([x, *(group.vision[0].expand(len(x), -1, -1) for group in groups)], dim=1))
    for i, block in enumerate(visual.transformer.resblocks):
        place = patches
        for group in groups:
            if 0 < i < len(group.vision):
                deep = group.vision[i].expand(len(x), -1, -1)
                x = torch.cat([x[:, :place], deep, x[:, place + group.vision_length :]], dim=1)
            place += group.vision_length
        x = block(x)
    return visual.ln_post(x[:, 0]) @ visual.proj


def steps_compared(sides: dict[str, Side], args: argparse.Namespace) -> list[Figure]:
    """Figures of a step of two sides, "plain" and "ours", which give `values` and `grads`, lists of tensors."""
    times = alternating(sides, args.repeats, warm_up=args.warm_up)
    plain, ours = (sides[name].shown() for name in ("plain", "ours"))
    return [
        faster(times, "plain", "ours"),
        median("plain", times["plain"]),
        median("ours", times["ours"]),
        Figure(name="memory of plain", value=plain["bytes"] / 1e9, unit="GB"),
        Figure(name="memory of ours", value=ours["bytes"] / 1e9, unit="GB"),
        ratio("less memory", [plain["bytes"]], [ours["bytes"]]),
        Figure(name="values differ", value=difference(plain["values"], ours["values"]), unit="relative", most=1e-4),
        Figure(name="gradients differ", value=difference(plain["grads"], ours["grads"]), unit="relative", most=1e-4),
    ]
