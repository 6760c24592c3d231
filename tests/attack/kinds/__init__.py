"""Tables of mistakes, a module for each kind."""

from __future__ import annotations

from ..cases import Case
from ..sound import Sound
from . import (
    backbones,
    bundles,
    ends,
    flags,
    images,
    keys,
    logs,
    own_images,
    places,
    processes,
    records,
    splits,
    stores,
    torch_files,
    yaml_texts,
)

KINDS = (
    keys,
    flags,
    processes,
    yaml_texts,
    records,
    torch_files,
    backbones,
    images,
    splits,
    own_images,
    logs,
    bundles,
    places,
    stores,
    ends,
)


def every(sound: Sound, seed: int = 0) -> list[Case]:
    """All cases; `seed` decides what is flipped and cut."""
    return [case for kind in KINDS for case in kind.cases(sound, seed)]
