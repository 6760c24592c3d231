"""What an attention is, in types; the package's docstring says what it has to compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from ..layout import Layout

Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]  # q [G, L, H, d], k and v [G, M, H, d] -> out [G, L, H, d]
Attention = Callable[[Layout, int], Sequence[Kernel]]
