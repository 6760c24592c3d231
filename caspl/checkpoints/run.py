"""What a run of a prompt learner has learned, as one small file that needs neither the trainer nor Dassl.

`boosting.safetensors` is phase 1's and is trained on; `prompts.safetensors` is the end of a run of any method, ready for use
(`caspl.load`). It holds the deployed learners, one for each prompt group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..ground.errors import InputError
from ..prompting.learners import ConditionalContext, Learner, MetaNet, Prompts
from .headers import UNALTERED, GroupHeader, RunHeader
from .record import read_record, write_record


def save_run(path: str | Path, learners: Sequence[Learner], **facts: Any) -> RunHeader:
    """Write deployed learners under the header that `facts`, its fields without `groups`, and they make; gives the header."""
    header = RunHeader(groups=[describe(learner) for learner in learners], **facts)
    tensors = [_state(learner) for learner in learners]
    write_record(
        path, header, {f"groups.{i}.{name}": value for i, own in enumerate(tensors) for name, value in own.items()}
    )
    return header


def read_run(path: str | Path) -> tuple[list[Learner], RunHeader]:
    """The learners and the header of a file. Raises InputError as `record.read_record`, and for groups that make no sense."""
    header, tensors = read_record(path, RunHeader)
    learners = []
    for number, group in enumerate(header.groups):
        prefix = f"groups.{number}."
        own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        learner = RESTORED[group.kind](group, own)
        try:
            learner()
        except InputError as error:
            raise InputError(f"groups[{number}] of {path} is no prompt group: {error}; {UNALTERED}") from None
        learners.append(learner)
    return learners, header


def describe(learner: Learner) -> GroupHeader:
    """What a file says of a deployed learner. Raises TypeError for a learner of a kind that a file can't hold."""
    if type(learner) is ConditionalContext:
        words = 0 if learner.words is None else len(learner.words)
        first = learner.meta_net.linear1
        return GroupHeader(
            "conditional", [list(learner.ctx.shape)], [], 0, words, [first.in_features, first.out_features]
        )
    if type(learner) is not Prompts:
        raise TypeError(
            f"no file holds a {type(learner).__name__}; deployed() has to give Prompts or ConditionalContext"
        )
    text, vision = ([list(entry.shape) for entry in entries] for entries in (learner.text, learner.vision))
    return GroupHeader("prompts", text, vision, learner.after_name, 0, [])


def _state(learner: Learner) -> dict[str, Tensor]:
    """What a deployed learner consists of: its parameters, and the embedded words that training checkpoints leave out."""
    named = chain(learner.named_parameters(), learner.named_buffers())
    return {name: value for name, value in named if value.numel()}


def _prompts(group: GroupHeader, tensors: Mapping[str, Tensor]) -> Prompts:
    text, vision = ([tensors[f"{t}.{i}"] for i in range(len(getattr(group, t)))] for t in ("text", "vision"))
    return Prompts(text, vision, after_name=group.after_name, trainable=False)


def _conditional(group: GroupHeader, tensors: Mapping[str, Tensor]) -> ConditionalContext:
    with torch.device("meta"):  # no memory is taken and no random number drawn
        net = MetaNet(*group.meta_net, group.text[0][-1])
    prefix = "meta_net."
    state = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    net.load_state_dict(state, assign=True)
    return ConditionalContext(tensors["ctx"], tensors.get("words"), net).requires_grad_(False)


RESTORED = {"prompts": _prompts, "conditional": _conditional}
