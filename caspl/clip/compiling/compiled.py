"""A function of a tower, compiled for the shapes that come again, and captured in a CUDA graph if that is asked for.

PyTorch 2.14 lets a compiled way back write into an activation of which the way forward has kept a view as well (AOTAutograd's
donated buffers). So are the attention weights of a class whose tail alone has its length, and gradients were wrong by as much
as they are. So nothing is donated in a process that compiles towers; ProGrad, which goes back twice, could not have it anyway.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch._functorch.config as autograd_config
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException

from ...ground.errors import first_line
from .checking import difference, mapped

log = logging.getLogger(__name__)

BACKEND = "inductor"
CHOICES = ("off", "towers", "graphs")

_most = ContextVar("most", default=CHOICES[-1])


class Compiled:
    """`function(module, tensors, *rest)`, where `tensors` are nested lists of tensors, in place of `function`.

    Every shape is compiled when it comes first; but of batches without gradients only one that is larger than all before: the
    last one of a test is smaller, and computed as it is. So is a shape for which compiling fails, or gives something else than
    `function` does: that is said once for each reason. `told` are the reasons that were given, which several functions may
    share. What is compiled never depends on how often something was called: a run that goes on has the numbers of one that
    was not stopped.

    Nothing is wrapped and nothing is its own but what PyTorch has compiled: copies, pickles and state dicts know nothing of it.
    """

    def __init__(self, function: Callable[..., Tensor], *, graphs: bool = False, told: set[str] | None = None):
        self.function, self.graphs, self.told = function, graphs, set() if told is None else told
        self._forget()

    def _forget(self) -> None:
        self._compiled: dict[bool, Callable[..., Tensor]] = {}  # by whether it is captured
        self._largest = 0  # batch without gradients
        self._right: dict[tuple, bool] = {}  # kinds of calls that were tried
        self._kept: list[Any] = []  # what such kinds know by its id

    def __getstate__(self) -> dict[str, Any]:
        return {"function": self.function, "graphs": self.graphs, "told": self.told}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def __call__(self, module: nn.Module, tensors: Any, *rest: Any) -> Tensor:
        graphs = self.graphs and _most.get() == "graphs"
        kind = graphs, torch.is_grad_enabled(), _shapes(tensors), *map(id, rest)
        if _most.get() != "off" and self._is_due(kind, tensors):
            try:
                if kind not in self._right:
                    self._kept += rest
                    self._right[kind] = self._is_right(graphs, module, tensors, rest)
                if self._right[kind]:
                    return self._run(graphs, module, tensors, rest)
            except TorchDynamoException as error:
                self._right[kind] = False
                cause = getattr(error, "inner_exception", None) or error.__cause__ or error
                self._tell(f"{type(cause).__name__}, {first_line(cause)}")
        return self.function(module, tensors, *rest)

    def _is_due(self, kind: tuple, tensors: Any) -> bool:
        if torch.is_grad_enabled():
            return True
        size = _batch(tensors)
        self._largest = max(self._largest, size)
        return size == self._largest or kind in self._right

    def _is_right(self, graphs: bool, module: nn.Module, tensors: Any, rest: Sequence[Any]) -> bool:
        def compiled(module: nn.Module, tensors: Any, *rest: Any) -> Tensor:
            return self._run(graphs, module, tensors, rest)

        log.info("Compiling %s for a new shape, for minutes; PyTorch keeps it for later runs", self.function.__name__)
        with torch.random.fork_rng():  # what PyTorch tries while it compiles
            found = difference(compiled, self.function, module, tensors, rest)
        if found:
            self._tell(f"of {self.function.__name__} {found} than uncompiled")
        return not found

    def _run(self, graphs: bool, module: nn.Module, tensors: Any, rest: Sequence[Any]) -> Tensor:
        if graphs not in self._compiled:
            self._compiled[graphs] = _compile(self.function, graphs)
        out = self._compiled[graphs](module, mapped(tensors, _apart if graphs else _view), *rest)
        return out.clone() if graphs else out  # the next replay writes over it

    def _tell(self, reason: str) -> None:
        if reason not in self.told:
            self.told.add(reason)
            log.warning("What torch.compile fails at is computed uncompiled: %s", reason)


@contextmanager
def at_most(name: str) -> Iterator[None]:
    """Inside, and in what it decorates, towers are compiled no further than to this one of CHOICES.

    "off" is for what is kept for others, who have to find the same bits; "towers" for what is called again on the way back,
    amid other graphs.
    """
    token = _most.set(min(name, _most.get(), key=CHOICES.index))
    try:
        yield
    finally:
        _most.reset(token)


class Apart(torch.autograd.Function):
    """The same tensor, whose gradient is a copy: the next replay of a graph writes over the one that it gave."""

    @staticmethod
    def forward(tensor: Tensor) -> Tensor:
        return tensor.view_as(tensor)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None: ...

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.clone()


def _compile(function: Callable[..., Tensor], graphs: bool) -> Callable[..., Tensor]:
    """Compiled for fixed shapes. Raises TorchDynamoException where there is no torch.compile, as for a too recent Python."""
    if hasattr(autograd_config, "donated_buffer"):
        autograd_config.donated_buffer = False  # of the process, since PyTorch asks for it on the way back, too
    options = {"dynamic": False, "backend": BACKEND}
    if graphs:
        options["options"] = {"triton.cudagraphs": True}
    if "isolate_recompiles" in inspect.signature(torch.compile).parameters:  # else all of a process share one bound
        options["isolate_recompiles"] = True
    try:
        return torch.compile(function, **options)
    except RuntimeError as error:
        raise TorchDynamoException(first_line(error)) from error


def _apart(tensor: Tensor) -> Tensor:
    return Apart.apply(tensor) if tensor.requires_grad else tensor


def _view(tensor: Tensor) -> Tensor:
    """A parameter and what is computed from one, as one kind of input."""
    return tensor.view_as(tensor) if tensor.requires_grad else tensor


def _shapes(tensors: Any) -> tuple:
    if isinstance(tensors, Tensor):
        return *tensors.shape, tensors.dtype, tensors.requires_grad
    return tuple(map(_shapes, tensors))


def _batch(tensors: Any) -> int:
    """The length of the first of all tensors."""
    return len(tensors) if isinstance(tensors, Tensor) else _batch(tensors[0])
