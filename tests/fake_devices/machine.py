"""A machine that has the device: what programs ask PyTorch about it, answered."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any
from unittest import mock

import torch
from torch.optim import optimizer as optimizers

from . import engine
from .apple import guarded
from .tensors import Device, Pretended


class Event:
    """A torch.cuda.Event: a place among what was launched. Nothing before it has been computed until somebody waits for it."""

    def __init__(self, device: Device) -> None:
        self.device, self.launch = device, 0

    def record(self, stream: Any = None) -> None:
        self.launch = self.device.launches

    def query(self) -> bool:
        return self.device.has_reached(self.launch)

    def synchronize(self) -> None:
        """Waiting for what is some launches ago lets the device compute on: that is no wait but `behind`."""
        self.device.behind.append(self.device.launches - self.launch)
        self.device.reach(self.launch)


class Stream:
    """The one stream there is."""

    def __init__(self, device: Device) -> None:
        self.device, self.cuda_stream = device, 0

    def synchronize(self) -> None:
        self.device.wait("the stream is waited for")

    def wait_stream(self, other: Any) -> None: ...

    def wait_event(self, event: Any) -> None: ...


def having(device: Device, *, bf16: bool) -> ExitStack:
    """Inside, PyTorch says that `device` is there, and computes with it."""
    stack, name = ExitStack(), device.at.type
    here = name == "cuda"

    def put(owner: Any, **values: Any) -> None:
        for key, value in values.items():
            stack.enter_context(mock.patch.object(owner, key, value, create=True))

    if here:
        torch._C._ensureCUDADeviceGuardSet()  # as FakeTensorMode: without a driver there is nothing to ask
    lifts = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device=...) then makes one of the CPU, and copies it
    stack.callback(torch._C._set_only_lift_cpu_tensors, lifts)
    put(
        torch.cuda,
        is_available=lambda: here,
        device_count=lambda: int(here),
        current_device=lambda: 0,
        is_bf16_supported=lambda including_emulation=True: here and bf16,
        is_initialized=lambda: here,
        _lazy_init=lambda: None,
        init=lambda: None,
        get_device_name=lambda device=None: "a GPU that is not there",
        get_device_capability=lambda device=None: (9, 0) if bf16 else (7, 0),
        manual_seed=lambda seed: device.seed(seed),
        manual_seed_all=lambda seed: device.seed(seed),
        get_rng_state_all=lambda: [device.random.clone()],
        get_rng_state=lambda index=None: device.random.clone(),
        set_rng_state=lambda state, index=None: device.random.copy_(state),
        max_memory_allocated=lambda device=None: 0,
        is_current_stream_capturing=lambda: False,
        set_sync_debug_mode=lambda mode: setattr(device, "warns", mode == "warn"),
        synchronize=lambda index=None: device.wait("the device is waited for"),
        current_stream=lambda index=None: Stream(device),
        Event=lambda *_, **__: Event(device),
        Stream=lambda *_, **__: Stream(device),
    )
    put(torch.backends.mps, is_available=lambda: not here, is_macos_or_newer=lambda *_: True)
    put(
        torch.mps,
        get_rng_state=lambda: device.random.clone(),
        set_rng_state=lambda state: device.random.copy_(state),
        synchronize=lambda: device.wait("the device is waited for"),
        manual_seed=lambda seed: device.seed(seed),
    )
    put(torch.accelerator, is_available=lambda: True, current_accelerator=lambda check_available=False: device.at)
    put(torch.autograd, backward=engine.backward, grad=engine.grad)
    put(torch._C, _current_graph_task_id=engine.number_of_pass)
    put(optimizers, _foreach_supported_types=[*optimizers._foreach_supported_types, Pretended])
    swaps = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(
        True
    )  # that module.to keeps parameters, as between real devices
    stack.callback(torch.__future__.set_swap_module_params_on_conversion, swaps)
    if not here:
        stack.enter_context(guarded())
    stack.enter_context(device)
    return stack
