"""Tensors of a device that is not there: PyTorch's fake tensors say what it would make of them, the CPU computes them."""

from __future__ import annotations

import sys
import warnings
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode

from .kernels import has_kernel, on_cpu

aten = torch.ops.aten
HERE, ROOT = Path(__file__).parent, Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
WIDE = (torch.float64, torch.complex128)
# What is decided by numbers, so that the program waits until the device has computed them
BY_VALUE = {
    aten._local_scalar_dense.default,
    aten.equal.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten.unique_dim.default,
    aten._unique2.default,
    aten.unique_consecutive.default,
    aten.bincount.default,
    aten.repeat_interleave.Tensor,
}
COPIES = {aten._to_copy.default, aten.copy_.default, aten.copy.default}
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}


class Pretended(Tensor):
    """A tensor of a pretended device; `numbers`, a tensor of the CPU, has its values."""

    numbers: Tensor
    on: Device
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, numbers: Tensor, device: Device) -> Pretended:
        own = torch.Tensor._make_wrapper_subclass(
            cls,
            numbers.shape,
            strides=numbers.stride(),
            storage_offset=numbers.storage_offset(),
            dtype=numbers.dtype,
            layout=numbers.layout,
            device=device.at,
        )
        own.numbers, own.on = numbers, device
        return own

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"Pretended({self.numbers!r}, device={self.device})"

    def tolist(self) -> Any:
        return self.cpu().tolist()  # PyTorch's own does so only for its own kinds of tensors

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        device = next(value.on for value in leaves((args, kwargs)) if isinstance(value, Pretended))
        return device.call(func, args, kwargs or {})


@dataclass(frozen=True)
class Wait:
    """A place where the program waited for the device, and why."""

    where: str
    why: str


class Device(TorchDispatchMode):
    """A device that is not there, as the mode that catches what goes to it; for a test what it tells is in `on_fake`."""

    _known: dict[tuple, tuple] = {}  # what fake tensors have said, of all devices

    def __init__(self, name: str) -> None:
        super().__init__()
        self.at = torch.device(name, 0)
        self.launches = 0
        self.waits: list[Wait] = []
        self.warns = False  # with torch.cuda.set_sync_debug_mode("warn")
        self.behind: list[int] = []
        self.random = torch.zeros(16, dtype=torch.uint8)  # the state of its generator
        self._fakes = FakeTensorMode()
        self._under_way: list[tuple[int, Tensor, Tensor]] = []  # copies: at which launch they began, to where, what
        self._pinned: set[int] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:  # which would be imported for it
        return False

    # ------------------------------------------------------------ what is called
    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func is aten.is_pinned.default:
            return self.is_pinned(args[0])
        if func is aten._pin_memory.default:
            return self._pin(args[0].clone())
        if kwargs.get("pin_memory"):
            return self._pin(func(*args, **{**kwargs, "pin_memory": False}))
        goal = kwargs.get("device")
        own = Pretended in types or (goal is not None and goal.type == self.at.type)
        return self.call(func, args, kwargs) if own else func(*args, **kwargs)

    def call(self, func: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Let the device compute `func`. Raises RuntimeError or TypeError where it could not."""
        if not has_kernel(func, self.at.type):
            raise NotImplementedError(f"{func} has no kernel for {self.at.type}")
        asynchronous = self._look_at(func, args, kwargs)
        self.launches += 1
        if asynchronous:
            return self._begin_copy(func, args, kwargs)
        result = on_cpu(func)(*mapped(args, _numbers), **mapped(kwargs, _numbers))
        if func in BY_VALUE or _by_mask(func, args):
            return mapped(result, self.take)
        return self._as_fakes_say(func, args, kwargs, result)

    def take(self, value: Any) -> Any:
        """A tensor of the CPU as one of the device; what is no tensor stays."""
        if not isinstance(value, Tensor):
            return value
        if self.at.type == "mps" and value.dtype in WIDE:
            raise TypeError(f"Cannot convert a MPS Tensor to {value.dtype}: the MPS framework doesn't support float64")
        return Pretended(value, self)

    def _as_fakes_say(self, func: Any, args: tuple, kwargs: dict[str, Any], result: Any) -> Any:
        """The result where it lies. Raises RuntimeError where fake tensors do, or see another format or shape."""
        results, mixed = self._said(func, args, kwargs)
        if mixed and func not in COPIES:
            self.wait(f"{func}: a tensor of the CPU among those of the device")
        said = iter(results)
        written = iter(_written(func, args, kwargs))

        def placed(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            device, dtype, shape = next(said)
            if value.shape != shape:
                raise RuntimeError(f"{func} gives {tuple(value.shape)} on the CPU, fake tensors {tuple(shape)}")
            own = next(written, None)
            if own is not None:
                if torch.Tag.inplace_view in func.tags:  # its own shape is to change, too
                    with no_dispatch():
                        func(*args, **kwargs)
                return own
            return value if device.type == "cpu" else self.take(value.to(dtype))

        return mapped(result, placed)

    def _said(self, func: Any, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, bool]:
        """(device, dtype, shape) of what comes out, by PyTorch's fake tensors, and whether a tensor of the CPU goes in.

        They are asked once for each kind of call.
        """
        key = (func, self.at.type, _kind(args), _kind(kwargs), torch.is_inference_mode_enabled())
        if key not in self._known:
            with self._fakes:
                found = func(*mapped(args, self._fake), **mapped(kwargs, self._fake))
            results = tuple((t.device, t.dtype, t.shape) for t in leaves(found) if isinstance(t, Tensor))
            given = [value for value in leaves((args, kwargs)) if isinstance(value, Tensor) and value.dim()]
            self._known[key] = results, any(not isinstance(value, Pretended) for value in given)
        return self._known[key]

    def _fake(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            at = self.at if isinstance(value, Pretended) else CPU
            return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=at)
        return self.at if isinstance(value, torch.device) and value.type == self.at.type else value

    # ------------------------------------------------------------ waiting
    def _look_at(self, func: Any, args: tuple, kwargs: dict[str, Any]) -> bool:
        """Note where the program waits for the device; whether this is a copy from there that it does not wait for."""
        if func in BY_VALUE:
            self.wait(f"{func}: its result decides")
        elif func is aten._to_copy.default:
            unwaited = bool(kwargs.get("non_blocking"))
            return self._look_at_copy(func, args[0], kwargs.get("device") or args[0].device, unwaited, unwaited)
        elif func is aten.copy_.default:
            goal = args[0]
            unwaited = bool(args[2] if len(args) > 2 else kwargs.get("non_blocking"))
            return self._look_at_copy(func, args[1], goal.device, unwaited, self.is_pinned(goal))
        elif _by_mask(func, args):
            self.wait(f"{func}: a mask decides how many there are")
        return False

    def _look_at_copy(self, func: Any, source: Tensor, there: torch.device, unwaited: bool, into_pinned: bool) -> bool:
        onto, off = there.type == self.at.type, isinstance(source, Pretended)
        if onto and not off and not (unwaited and self.is_pinned(source)):
            self.wait(f"{func}: a copy onto the device that is waited for, or from memory that is not pinned")
        if not onto and off:
            if unwaited and into_pinned and self.at.type == "cuda":
                return True
            self.wait(f"{func}: a copy from the device that is waited for, or into memory that is not pinned")
        return False

    def wait(self, why: str) -> None:
        """The program waits until the device has computed everything."""
        self.waits.append(Wait(_where(), why))
        if self.warns:
            warnings.warn(f"called a synchronizing operation ({why})", stacklevel=2)
        self.reach(self.launches)

    def seed(self, seed: int) -> None:
        self.random[:8] = torch.tensor(list(int(seed % 2**64).to_bytes(8, "little")), dtype=torch.uint8)

    def reach(self, launch: int) -> None:
        """The device has come to this launch: copies that began before have arrived."""
        for began, goal, numbers in self._under_way:
            if began <= launch:
                goal.copy_(numbers)
        self._under_way = [entry for entry in self._under_way if entry[0] > launch]

    def has_reached(self, launch: int) -> bool:
        return all(began > launch for began, _, _ in self._under_way)

    def _begin_copy(self, func: Any, args: tuple, kwargs: dict[str, Any]) -> Tensor:
        """A copy into pinned memory that is under way: what is read there before it arrives is no number."""
        if func is aten.copy_.default:
            goal, source = args[0], args[1].numbers
        else:
            source = args[0].numbers
            goal = self._pin(torch.empty_like(source, dtype=kwargs.get("dtype")))
        goal.fill_(float("nan") if goal.is_floating_point() else -1)
        self._under_way.append((self.launches, goal, source.clone()))
        return goal

    # ------------------------------------------------------------ pinned memory
    def _pin(self, value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        self._pinned.add(storage.data_ptr())
        weakref.finalize(storage, self._pinned.discard, storage.data_ptr())
        return value

    def is_pinned(self, value: Tensor) -> bool:
        return not isinstance(value, Pretended) and value.untyped_storage().data_ptr() in self._pinned


# ---------------------------------------------------------------------------------------------------------------------
# Arguments and results, which may be lists and dictionaries of each other
# ---------------------------------------------------------------------------------------------------------------------
def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, (tuple, list)):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, dict):
        yield from leaves(list(value.values()))
    else:
        yield value


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, (tuple, list)):
        return type(value)(mapped(item, change) for item in value)
    if isinstance(value, dict):
        return {key: mapped(item, change) for key, item in value.items()}
    return change(value)


def _numbers(value: Any) -> Any:
    if isinstance(value, Pretended):
        return value.numbers
    return CPU if isinstance(value, torch.device) else value


def _kind(value: Any) -> Any:
    """All of an argument that a result's device, format and shape may follow from, hashable."""
    if isinstance(value, Tensor):
        return isinstance(value, Pretended), value.dtype, value.shape, value.stride(), value.is_sparse
    if isinstance(value, (tuple, list)):
        return tuple(map(_kind, value))
    if isinstance(value, dict):
        return tuple((key, _kind(item)) for key, item in value.items())
    return type(value), value


def _by_mask(func: Any, args: tuple) -> bool:
    return func in INDEXING and any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1])


def _written(func: Any, args: tuple, kwargs: dict[str, Any]) -> list[Any]:
    """The arguments that `func` gives back because it has written into them."""
    schema = func._schema
    if not schema.is_mutable:
        return []
    given = {a.name: value for a, value in zip(schema.arguments, args, strict=False)} | kwargs
    written = [a.name for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write]
    return [value for name in written[: len(schema.returns)] for value in leaves(given[name])]


def _where() -> str:
    """The innermost line of this repository that is not the harness."""
    frame = sys._getframe(1)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if ROOT in path.parents and HERE not in path.parents:
            return f"{path.relative_to(ROOT)}:{frame.f_lineno} ({frame.f_code.co_name})"
        frame = frame.f_back
    return "?"
