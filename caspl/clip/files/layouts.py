"""How the tensors of a CLIP are called in a file, for each of their names in a model of open_clip.

open_clip's own class has OpenAI's names. Its `CustomTextCLIP` has the text tower under "text."; a file of the one fills a model
of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

TEXT = ("transformer.", "token_embedding.", "ln_final.")
TEXT_ALONE = ("positional_embedding", "text_projection")  # in the text tower, and no modules
INSIDE = "text."


def _first(name: str, tensors: Sequence[Tensor]) -> Tensor:
    return tensors[0]


@dataclass(frozen=True)
class Layout:
    """`sources` gives the names in a file of what a tensor of the model is made of, none where a file can't have it, and `join`
    makes it of them, given its name in the model.
    """

    title: str
    sources: Callable[[str], tuple[str, ...]]
    join: Callable[[str, Sequence[Tensor]], Tensor] = _first

    def blocks(self, tower: str) -> str:
        """What the names of all blocks of a tower, "visual." or "", begin with."""
        name, *_ = self.sources(f"{tower}transformer.resblocks.0.ln_1.weight")
        return name.partition("0.")[0]


def _with_text_inside(name: str) -> tuple[str, ...]:
    return (f"{INSIDE}{name}" if name.startswith(TEXT) or name in TEXT_ALONE else name,)


PLAIN = Layout("OpenAI's layout", lambda name: (name,))
TEXT_INSIDE = Layout("open_clip's layout with text.", _with_text_inside)
TEXT_OUTSIDE = Layout("OpenAI's layout", lambda name: (name.removeprefix(INSIDE),))
