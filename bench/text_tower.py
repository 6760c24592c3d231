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
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import open_clip
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from caspl.prompts import PromptGroup  # noqa: E402
from caspl.text_tower import ClassTokens, TextTower  # noqa: E402


def build(args: argparse.Namespace) -> tuple[torch.nn.Module, ClassTokens, list[PromptGroup], Tensor]:
    """Model, class names, prompt groups and the fixed weights [C, E] that make a scalar of the features."""
    torch.manual_seed(0)
    model = open_clip.create_model(args.backbone, pretrained=None, load_weights=False).eval().requires_grad_(False)
    names = open_clip.IMAGENET_CLASSNAMES
    names = [names[i] for i in torch.linspace(0, len(names) - 1, args.classes).long().tolist()]
    tokens = ClassTokens(names, open_clip.SimpleTokenizer())
    generator = torch.Generator().manual_seed(1)
    width = model.positional_embedding.shape[1]

    def prompt(length: int) -> Tensor:
        value = torch.randn(length, width, generator=generator) * 0.02
        return value.to(args.device).requires_grad_()

    depth = min(args.depth, len(model.transformer.resblocks))
    groups = [PromptGroup(text=(prompt(args.ctx),))] if args.ctx else []
    if args.boosting:
        groups.append(PromptGroup(text=tuple(prompt(args.boosting) for _ in range(depth))))
    weights = torch.randn(args.classes, model.text_projection.shape[1], generator=generator).to(args.device)
    return model.to(args.device), tokens, groups, weights


def plain_features(model: torch.nn.Module, ids: list[list[int]], start: int, groups: list[PromptGroup]) -> Tensor:
    """The family's way: every class in full context length, prompts spliced in, deep ones by concatenation per block."""
    classes, length = len(ids), model.positional_embedding.shape[0]
    device = model.positional_embedding.device
    prompts = sum(group.text_length for group in groups)
    suffix = torch.zeros(classes, length - 1 - prompts, dtype=torch.long, device=device)
    for c, row in enumerate(ids):
        suffix[c, : len(row)] = torch.tensor(row, device=device)
    begin = model.token_embedding(torch.full((classes, 1), start, device=device))
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
    ends = torch.tensor([prompts + len(row) for row in ids], device=device)
    return model.ln_final(x)[torch.arange(classes, device=device), ends] @ model.text_projection


def peak(device: str) -> float:
    """Bytes, the most held so far."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def held(device: str) -> float:
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(args: argparse.Namespace) -> None:
    """Run one path in this process and write what was measured to `args.result`."""
    if args.threads:
        torch.set_num_threads(args.threads)
    model, tokens, groups, weights = build(args)
    prompts = [entry for group in groups for entry in group.text]
    tower = TextTower(model, tokens)
    chunk = args.plain_chunk or args.classes

    def step() -> tuple[Tensor, list[Tensor]]:
        if args.path == "ours":
            features = tower(groups)[0]
            return features.detach(), list(torch.autograd.grad((features * weights).sum(), prompts))
        parts, sums = [], [torch.zeros_like(p) for p in prompts]
        for first in range(0, args.classes, chunk):
            features = plain_features(model, tokens.ids[first : first + chunk], tokens.start, groups)
            grads = torch.autograd.grad((features * weights[first : first + chunk]).sum(), prompts)
            parts.append(features.detach())
            sums = [total + grad for total, grad in zip(sums, grads, strict=True)]
            del features, grads
        return torch.cat(parts), sums

    before, times = held(args.device), []
    for _ in range(args.repeats + 1):
        begin = time.perf_counter()
        features, grads = step()
        if args.device.startswith("cuda"):
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    torch.save(
        {
            "seconds": statistics.median(times[1:]),
            "bytes": peak(args.device) - before,
            "features": features.cpu(),
            "grads": [g.cpu() for g in grads],
        },
        args.result,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--classes", type=int, default=50, help="classes, spread over ImageNet's list")
    parser.add_argument("--ctx", type=int, default=8, help="adapting tokens (shallow)")
    parser.add_argument("--boosting", type=int, default=8, help="boosting tokens")
    parser.add_argument("--depth", type=int, default=12, help="blocks that the boosting tokens enter")
    parser.add_argument(
        "--backbone", default="ViT-B-16-quickgelu", help="an open_clip architecture; weights are random"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads, 0 for torch's default")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--plain-chunk", type=int, default=0, help="classes at a time in the plain path, 0 for all")
    parser.add_argument("--json", type=Path, help="also write the result here")
    parser.add_argument("--path", choices=("plain", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("--result", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.path:
        measure(args)
        return

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for path in ("plain", "ours"):
            result = str(Path(folder) / path)
            subprocess.run([sys.executable, *sys.argv, "--path", path, "--result", result], check=True)
            found[path] = torch.load(result)
    plain, ours = found["plain"], found["ours"]
    values = (plain["features"] - ours["features"]).abs().max() / plain["features"].abs().max()
    grads = max(
        ((a - b).abs().max() / a.abs().max()).item() for a, b in zip(plain["grads"], ours["grads"], strict=True)
    )
    report = {
        "classes": args.classes,
        "ctx": args.ctx,
        "boosting": args.boosting,
        "depth": args.depth,
        "backbone": args.backbone,
        "device": args.device,
        "threads": args.threads,
        "plain_chunk": args.plain_chunk,
        "plain_seconds": plain["seconds"],
        "ours_seconds": ours["seconds"],
        "time_ratio": plain["seconds"] / ours["seconds"],
        "plain_peak_bytes": plain["bytes"],
        "ours_peak_bytes": ours["bytes"],
        "memory_ratio": plain["bytes"] / ours["bytes"],
        "value_difference": values.item(),
        "gradient_difference": grads,
    }
    text = json.dumps(report, indent=2)
    print(text)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
