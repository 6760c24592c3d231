"""What a prompt learner has learned, as one small file: all its prompt groups, and a header that says what they belong to.

`boosting.safetensors` is phase 1's and is trained on; `prompts.safetensors` is the end of a run of any method, ready for use
(`caspl.load`). Prompts are values, so the file needs neither the trainer nor Dassl.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..ground.errors import InputError
from ..ground.files import replacing
from ..prompting.groups import PromptGroup
from ..prompting.learners import MetaNet

FILE_NAME = "prompts.safetensors"
FORMAT, VERSION = "caspl-prompts", 1


@dataclass(frozen=True)
class PromptsHeader:
    """Where trained prompts come from and what they fit."""

    trainer: str
    backbone: str  # its name, such as ViT-B/16
    backbone_fingerprint: str  # that of `Backbone.fingerprint`
    dataset: str
    classnames: list[str]  # the run's own
    shots: int  # labelled images of each class, below 1: all
    seed: int
    epochs: int
    size: list[int]  # (height, width) in pixels, and how images are prepared (INPUT.*)
    interpolation: str
    mean: list[float]
    std: list[float]
    after_name: list[int]  # per group, how many of its text tokens stand behind the class name
    shifted: int = 0  # how many tokens of the first group the meta-net shifts by each image; 0: there is no meta-net


class TrainedPrompts(nn.Module):
    """Frozen prompt groups; calling it gives them, as any prompt learner does.

    With a `meta_net` the first `shifted` text tokens of the first group are shifted by each image: `prompts(image_features)`.
    """

    def __init__(self, groups: Sequence[PromptGroup], meta_net: MetaNet | None = None, shifted: int = 0):
        super().__init__()
        self.after_name = [group.after_name for group in groups]
        self.meta_net, self.shifted = copy.deepcopy(meta_net), shifted  # the trainer's own goes on learning
        self.groups = nn.ModuleList(_Entries(group) for group in groups)
        self.requires_grad_(False)

    @property
    def class_specific(self) -> int:
        """The number of classes that have their own text tokens; 0 where all classes share them."""
        return max((entry.shape[0] for g in self() for entry in g.text if entry.dim() == 3), default=0)

    def forward(self, image_features: Tensor | None = None) -> list[PromptGroup]:
        """The groups; image features [B, E], normalised, make B prompt sets of a conditional learner."""
        groups = [
            PromptGroup(tuple(entries.text), tuple(entries.vision), after_name)
            for entries, after_name in zip(self.groups, self.after_name, strict=True)
        ]
        if self.meta_net is None or image_features is None:
            return groups
        tokens = groups[0].text[0]  # [N, D]
        shift = self.meta_net(image_features.to(tokens.dtype))[:, None, None]  # [B, 1, 1, D]
        moved = torch.arange(len(tokens), device=tokens.device) < self.shifted
        tokens = tokens + shift * moved[:, None].to(tokens.dtype)
        return [PromptGroup((tokens, *groups[0].text[1:]), groups[0].vision, groups[0].after_name), *groups[1:]]


class _Entries(nn.Module):
    """The tensors of a group, named `text.<block>` and `vision.<block>`."""

    def __init__(self, group: PromptGroup):
        super().__init__()
        self.text, self.vision = (
            nn.ParameterList(
                nn.Parameter(entry.detach().float().cpu().clone(), requires_grad=False) for entry in entries
            )
            for entries in (group.text, group.vision)
        )


def save_prompts(path: str | Path, prompts: TrainedPrompts, header: PromptsHeader) -> None:
    """Write prompts and header; whoever reads `path` sees the old file or the whole new one."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in prompts.state_dict().items()}
    metadata = {"format": FORMAT, "version": str(VERSION), "header": json.dumps(asdict(header))}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def read_prompts(path: str | Path) -> tuple[TrainedPrompts, PromptsHeader]:
    """The prompts and the header of a `prompts.safetensors`.

    Raises:
        InputError: the file is missing, cut short, of another kind or version, or does not hold what its header announces.
    """
    metadata, tensors = read_safetensors(path)
    if (metadata.get("format"), metadata.get("version")) != (FORMAT, str(VERSION)):
        found = f"{metadata.get('format', 'no format')}, version {metadata.get('version', 'not given')}"
        raise InputError(
            f"{path} is of another kind ({found}), expected {FORMAT}, version {VERSION}: the {FILE_NAME} that a "
            f"run of a prompt learner writes"
        )
    try:
        values = json.loads(metadata["header"])
        if set(values) != {field.name for field in fields(PromptsHeader)}:
            raise ValueError("a field too many or too few")
        header = PromptsHeader(**values)
        return _restore(tensors, header), header
    except (KeyError, ValueError, TypeError, RuntimeError, IndexError) as error:
        reason = str(error).splitlines()[0][:120]
        raise InputError(
            f"{path} does not hold what a {FILE_NAME} holds ({reason}); take an unaltered file, or write it anew "
            f"with train.py --eval-only"
        ) from error


def read_safetensors(path: str | Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The metadata and the tensors of a safetensors file. Raises InputError where it is none or is cut short."""
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118, no mapping
    except FileNotFoundError:
        raise InputError(f"there is no file {path}; check the path") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is no safetensors file or is cut short ({error}); copy it again") from error


def _restore(tensors: Mapping[str, Tensor], header: PromptsHeader) -> TrainedPrompts:
    groups = []
    for number, after_name in enumerate(header.after_name):
        towers = []
        for tower in ("text", "vision"):
            start = f"groups.{number}.{tower}."
            towers.append(
                tuple(tensors[f"{start}{block}"] for block in range(sum(key.startswith(start) for key in tensors)))
            )
        groups.append(PromptGroup(*towers, after_name))
    net = None
    if header.shifted:
        weights = tensors["meta_net.linear1.weight"], tensors["meta_net.linear2.weight"]  # [H, E], [D, H]
        net = MetaNet(weights[0].shape[1], weights[0].shape[0], weights[1].shape[0])
    prompts = TrainedPrompts(groups, net, header.shifted)
    prompts.load_state_dict(dict(tensors))
    return prompts
