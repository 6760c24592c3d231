"""Files that version 0.1 of this program wrote, in terms of today's records: two formats, one for each kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from typing import TYPE_CHECKING, Any

from .fields import number, parse, several

if TYPE_CHECKING:  # headers are read without PyTorch
    from torch import Tensor

    from .headers import Header, RunHeader

BOOSTING, RUN = "caspl-boosting", "caspl-prompts"
VERSIONS = {BOOSTING: "2", RUN: "1"}
KINDS = {BOOSTING: "boosting", RUN: "run"}


@dataclass(frozen=True)
class OldRun:
    """The fields of a run's header in whose place today's has others."""

    after_name: list[int] = several(16, number(0, 4_096))  # of each group
    shifted: int = number(0, 4_096)  # tokens of the first group that the meta-net shifts; 0: there is none


def header(form: str, values: Any, shapes: Mapping[str, Sequence[int]]) -> Any:
    """The fields of today's header, to be checked as those of any file. Raises ValueError where they can't be found out.

    A boosting header has not changed. A run's did not say the shapes of its tensors, nor whose names phase 1 knew.
    """
    if form != RUN or not isinstance(values, dict):
        return values
    if later := sorted(values.keys() & {"names", "groups"}):
        raise ValueError(f"it has {later[0]}, which files of that version do not have")
    own = {name: values.pop(name) for name in ("after_name", "shifted") if name in values}
    old = parse(OldRun, own)
    groups = [_group(f"groups.{number}.", after_name, shapes) for number, after_name in enumerate(old.after_name)]
    if old.shifted and groups:
        groups[0] = _conditional(groups[0], old.shifted, shapes)
    return values | {"names": "unknown", "groups": groups}


def _group(prefix: str, after_name: int, shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    text, vision = (
        [list(shapes[name]) for name in takewhile(shapes.__contains__, (f"{prefix}{tower}.{i}" for i in count()))]
        for tower in ("text", "vision")
    )
    return dict(kind="prompts", text=text, vision=vision, after_name=after_name, words=0, meta_net=[])


def _conditional(group: dict[str, Any], shifted: int, shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """The group of a meta-net: its shifted tokens are the context, the rest of them fixed words."""
    meta_net = list(shapes.get("meta_net.linear1.weight", ()))[::-1]  # [H, E]
    group = group | dict(kind="conditional", meta_net=meta_net)
    if [len(shape) for shape in group["text"]] != [2]:
        return group
    ((tokens, width),) = group["text"]
    return group | dict(text=[[shifted, width]], words=tokens - shifted)


def tensors(header: Header | RunHeader, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of an old file by today's names; `header` is today's."""
    if header.kind != "run" or not header.groups or header.groups[0].kind != "conditional":
        return dict(found)
    context = header.groups[0].text[0][0]
    renamed = {f"groups.0.{name}" if name.startswith("meta_net.") else name: value for name, value in found.items()}
    tokens = renamed.pop("groups.0.text.0")
    words = {"groups.0.words": tokens[context:]} if len(tokens) > context else {}
    return renamed | {"groups.0.ctx": tokens[:context]} | words
