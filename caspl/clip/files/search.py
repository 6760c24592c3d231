"""The one complete CLIP among the tensors of a file, under whatever prefix, by whatever layout.

Complete is what has every tensor of the model. Which prefixes may stand before its names (`state_dict.`, `module.`, `model.`)
is nowhere listed.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import open_clip
import torch
from torch import Tensor

from ...ground.errors import InputError, listed
from ...ground.texts import sentence
from .building import MOST_BLOCKS, MOST_TENSORS, blocks_of, is_resnet
from .containers import PART, Weights
from .hugging_face import LAYOUT
from .layouts import PLAIN, TEXT_INSIDE, TEXT_OUTSIDE, Layout

log = logging.getLogger(__name__)

LAYOUTS = (PLAIN, TEXT_INSIDE, TEXT_OUTSIDE, LAYOUT)
MOST_PREFIXES = 32  # that are tried: those behind which most names of a CLIP stand
LONGEST = 4  # parts of a name that is no block's
# In the towers of some versions of their libraries, and no weights
NO_WEIGHTS = ("position_ids", "attn_mask", "relative_position_index", "num_batches_tracked")

Expected = Callable[[Layout, Collection[str]], Sequence[str]]


@dataclass(frozen=True)
class Found:
    """A complete CLIP: where it stands in a file, its tensors' names in the model, and what else the file holds."""

    prefix: str
    layout: Layout
    names: Sequence[str]
    further: Sequence[str]

    def read(self, weights: Weights) -> dict[str, Tensor]:
        """The tensors by their names in the model."""
        return {
            name: self.layout.join(name, [weights[self.prefix + source]() for source in self.layout.sources(name)])
            for name in self.names
        }


def find(weights: Weights, path: object, expected: Expected, hint: str) -> Found:
    """The one CLIP in a file, which errors call `path`. What stands beside it is logged in one line.

    `expected` gives the names of the model's tensors, for a layout and the names in the file that stand under one prefix.

    Raises InputError where there is none, with what the nearest to one lacks and `hint`; where there are several; and where
    tensors stand in its towers that the model does not have, so that it is another network.
    """
    complete: list[Found] = []
    nearest = (1.0, f"none of its tensors is named as those of a CLIP; {_instead(weights)}")
    for prefix, inside in _prefixes(weights, expected):
        tried = set()
        for layout in LAYOUTS:
            names = expected(layout, inside)
            wanted = tuple(source for name in names for source in layout.sources(name) or (name,))
            if wanted in tried:
                continue
            tried.add(wanted)
            if missing := [source for source in wanted if source not in inside]:
                where = f'under "{prefix}" it' if prefix else "it"
                share = len(missing) / len(wanted)
                said = f"in {layout.title} {where} lacks {listed(missing)}; {_advice(path, layout, hint)}"
                nearest = min(nearest, (share, said))
            else:
                complete.append(Found(prefix, layout, names, _further(weights, prefix, wanted)))
                _check_towers(inside, wanted, path)
    if not complete:
        raise InputError(f"{path} is no complete CLIP: {nearest[1]}")
    if len(complete) > 1 and not _equal(weights, complete):
        places = " and ".join(f'"{found.prefix}"' for found in complete)
        raise InputError(
            f"{path} holds {len(complete)} complete CLIPs, under {places}; save the one that you mean to a file of its own"
        )
    if further := complete[0].further:
        log.info("%s: ignored beside the CLIP: %s", path, sentence(listed(further, most=6)))
    return complete[0]


def _advice(path: object, layout: Layout, hint: str) -> str:
    """What to do with a file that holds less than a CLIP."""
    if part := PART.search(str(path)):
        return f"it is one of {int(part[1])} in which a model lies: name their folder"
    return hint if layout is not LAYOUT else "name a model with both towers and their projections"


def _instead(weights: Weights) -> str:
    """What to do with a file in which nothing is named as in a CLIP."""
    parts = {part for name in weights for part in name.split(".")}
    if parts & {"ctx", "prompt_learner"}:
        return "it holds learned prompts, which a run takes by --model-dir; name the CLIP that they were learned on"
    if parts & {"lora_A", "lora_B"}:
        return (
            "it holds an adapter, not what it adapts; merge it into its CLIP (merge_and_unload of peft), and name that"
        )
    return "name the weights of a CLIP"


def _equal(weights: Weights, complete: Sequence[Found]) -> bool:
    """Whether the CLIPs of a file are one, which it holds several times."""
    first, *others = (found.read(weights) for found in complete)
    return all(first.keys() == other.keys() and all(torch.equal(first[k], other[k]) for k in first) for other in others)


def any_clip(layout: Layout, inside: Collection[str]) -> Sequence[str]:
    """The names of the tensors of a CLIP that has as many blocks as a file's names speak of."""
    text = blocks_of(inside, layout.blocks(""))
    if layout is not LAYOUT and is_resnet(inside):
        return names_of(tuple(_bounded(blocks_of(inside, f"visual.layer{i}.")) for i in (1, 2, 3, 4)), _bounded(text))
    return names_of(_bounded(blocks_of(inside, layout.blocks("visual."))), _bounded(text))


def _bounded(blocks: int) -> int:
    return min(max(blocks, 1), MOST_BLOCKS)


@lru_cache(maxsize=16)
def names_of(vision_layers: int | tuple[int, ...], text_layers: int) -> Sequence[str]:
    """The names of the tensors of open_clip's CLIP with so many blocks."""
    with torch.device("meta"):
        vision = dict(layers=vision_layers, width=64, image_size=32, patch_size=32)
        model = open_clip.CLIP(64, vision, dict(layers=text_layers, width=64, heads=1, context_length=1, vocab_size=1))
    return tuple(model.state_dict())


def _prefixes(weights: Weights, expected: Expected) -> Iterator[tuple[str, set[str]]]:
    """The prefixes behind which names of a CLIP stand, those with most first, each with the names that have it."""
    typical = {
        source
        for layout in LAYOUTS
        for name in expected(layout, ())
        if not any(part.isdecimal() for part in name.split("."))
        for source in layout.sources(name)
    }
    counts: Counter[str] = Counter()
    for name in weights:
        parts = name.rsplit(".", LONGEST)
        for start in range(len(parts)):
            if ".".join(parts[start:]) in typical:
                counts["".join(f"{part}." for part in parts[:start])] += 1
    for prefix, _ in counts.most_common(MOST_PREFIXES):
        yield prefix, {name[len(prefix) :] for name in weights if name.startswith(prefix)}


def _check_towers(inside: Collection[str], wanted: Sequence[str], path: object) -> None:
    """Raise InputError where the modules of a CLIP have tensors that the model does not have."""
    if len(inside) > MOST_TENSORS:
        raise InputError(f"{path} holds {len(inside):,} tensors, a CLIP has at most {MOST_TENSORS:,} and few beside it")
    modules = {name.partition(".")[0] for name in wanted if "." in name}
    more = sorted(
        name
        for name in set(inside).difference(wanted)
        if name.partition(".")[0] in modules and name.rpartition(".")[2] not in NO_WEIGHTS
    )
    if more:
        raise InputError(
            f"{path} is of another network than a plain CLIP: its towers have {listed(more)}; name weights without these"
        )


def _further(weights: Weights, prefix: str, wanted: Sequence[str]) -> Sequence[str]:
    """What a file holds beside a CLIP, in at most two parts of a name behind what it shares with the prefix."""
    own = {prefix + name for name in wanted}
    above = prefix.split(".")[:-1]
    found = {}
    for name in weights:
        if name not in own and name.rpartition(".")[2] not in NO_WEIGHTS[:1]:
            parts = name.split(".")
            shared = next((i for i, part in enumerate(above) if parts[i : i + 1] != [part]), len(above))
            found[".".join(parts[: shared + 2])] = True
    return sorted(found)
