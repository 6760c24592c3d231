"""The family's way to encode: every class in full context length, every token in every block, all in one batch.

With it, models and class names that both paths of a benchmark share, and the harness that runs each path in a process of
its own, one after the other.
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
from collections.abc import Callable, Sequence
from pathlib import Path

import open_clip
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from caspl.ground import door  # noqa: E402
from caspl.ground.files import replacing  # noqa: E402
from caspl.prompting.groups import PromptGroup  # noqa: E402
from caspl.prompting.layout import ClassTokens  # noqa: E402


def build_clip(backbone: str, device: str) -> nn.Module:
    """An open_clip architecture with random weights, frozen."""
    torch.manual_seed(0)
    model = open_clip.create_model(backbone, pretrained=None, load_weights=False).eval().requires_grad_(False)
    return model.to(device)


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


# ----------------------------------------------------------------------------------------------------------- harness
def common_arguments(doc: str) -> argparse.ArgumentParser:
    parser = door.Parser(description=doc.split("\n")[0])
    parser.add_argument(
        "--backbone", default="ViT-B-16-quickgelu", help="an open_clip architecture; weights are random"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads, 0 for torch's default")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the result here")
    parser.add_argument("--path", help=argparse.SUPPRESS)
    parser.add_argument("--result", help=argparse.SUPPRESS)
    return parser


def each_path(
    args: argparse.Namespace, paths: Sequence[str], measure: Callable[[argparse.Namespace], dict]
) -> dict[str, dict]:
    """What `measure` gives for each path, each in a process of its own. In such a process it does not return."""
    if args.path:
        if args.threads:
            torch.set_num_threads(args.threads)
        torch.save(measure(args), args.result)
        sys.exit()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            result = str(Path(folder) / path)
            done = subprocess.run([sys.executable, *sys.argv, "--path", path, "--result", result], check=False)
            if done.returncode:
                sys.exit(done.returncode)  # it has said why
            found[path] = torch.load(result)
    return found


def timed(step: Callable[[], object], args: argparse.Namespace) -> tuple[float, float, object]:
    """Median seconds over args.repeats calls after one that is not counted, peak bytes above those held, last result."""
    before, times, result = _held(args.device), [], None
    for _ in range(args.repeats + 1):
        result = None  # of the call before: its memory must not count
        begin = time.perf_counter()
        result = step()
        if args.device.startswith("cuda"):
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return statistics.median(times[1:]), _peak(args.device) - before, result


def difference(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    """The largest difference between two lists of tensors, relative to the largest entry of each tensor of the first."""
    return max(((x - y).abs().max() / x.abs().max()).item() for x, y in zip(a, b, strict=True))


def steps_compared(found: dict[str, dict]) -> dict:
    """Report of two paths, "plain" and "ours", whose results hold seconds, bytes, values and grads (lists of tensors)."""
    theirs, ours = found["plain"], found["ours"]
    return {
        "plain_seconds": theirs["seconds"],
        "ours_seconds": ours["seconds"],
        "time_ratio": theirs["seconds"] / ours["seconds"],
        "plain_peak_bytes": theirs["bytes"],
        "ours_peak_bytes": ours["bytes"],
        "memory_ratio": theirs["bytes"] / ours["bytes"],
        "value_difference": difference(theirs["values"], ours["values"]),
        "gradient_difference": difference(theirs["grads"], ours["grads"]),
    }


def step_measured(step: Callable[[], tuple[Tensor, list[Tensor]]], args: argparse.Namespace) -> dict:
    """What `steps_compared` needs, of a step that gives values and gradients."""
    seconds, peak, (values, grads) = timed(step, args)
    return {"seconds": seconds, "bytes": peak, "values": [values.cpu()], "grads": [g.cpu() for g in grads]}


def publish(args: argparse.Namespace, report: dict) -> None:
    """Print the report, with the settings that it was measured at, and write it where --json says."""
    hidden = ("json", "path", "result")
    settings = {key: value for key, value in vars(args).items() if key not in hidden}
    text = json.dumps({**settings, **report}, indent=2)
    print(text)
    if args.json:
        with replacing(args.json) as temporary:
            temporary.write_text(text + "\n")


def _peak(device: str) -> float:
    """Bytes, the most held so far."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _held(device: str) -> float:
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
