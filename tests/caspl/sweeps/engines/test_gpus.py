"""Which GPUs a sweep may use, by what CUDA_VISIBLE_DEVICES and nvidia-smi say."""

import pytest

from caspl.ground.errors import InputError
from caspl.sweeps.engines import gpus
from caspl.sweeps.engines.gpus import Gpu, choose

A, B, C = "GPU-aaaa1111-0000", "GPU-bbbb1111-0000", "GPU-bbbb2222-0000"
PARTS = ["MIG-11aa-1", "MIG-22bb-2"]
THREE = f"GPU 0: NVIDIA A100 (UUID: {A})\nGPU 1: NVIDIA (R) (UUID: {B})\nGPU 2: NVIDIA (UUID: {C})\n"
SPLIT = f"GPU 0: A100 (UUID: {A})\n" + "".join(f"  MIG 1g.5gb Device {i}: (UUID: {PARTS[i]})\n" for i in (0, 1))


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """Gives a machine without GPUs another nvidia-smi, and the variables that a user may have set."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for variable in (gpus.VISIBLE, gpus.ORDER):
        monkeypatch.delenv(variable, raising=False)

    def install(text=None, status=0, visible=None, script=None):
        if text is not None or script:
            told = script or f"printf %s '{text}'\nexit {status}"
            (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{told}\n")
            (tmp_path / "nvidia-smi").chmod(0o755)
        if visible is not None:
            monkeypatch.setenv(gpus.VISIBLE, visible)

    return install


def ids(asked=None):
    return [gpu.id for gpu in choose(asked)[0]]


def test_a_machine_without(machine):
    assert choose(None) == ([], "")
    assert ids(["0", "7", "GPU-aa", "MIG-1"]) == ["0", "7", "GPU-aa", "MIG-1"]  # nobody can tell


@pytest.mark.parametrize(
    "text, visible, expected",
    [
        (THREE, None, ["0", "1", "2"]),
        (SPLIT, None, PARTS),
        (SPLIT + f"GPU 1: NVIDIA A100 (UUID: {B})\n", None, [*PARTS, "1"]),
        (THREE, "2,0", ["2", "0"]),
        (THREE, "", []),
        (THREE, "-1", []),
        (THREE, "NoDevFiles", []),
        (THREE, "1,-1,2", ["1"]),  # as CUDA reads it
        (THREE, " 1 , 2", ["1", "2"]),
        (None, "4,5", ["4", "5"]),
        (None, f"{A},{PARTS[0]}", [A, PARTS[0]]),
        ("No devices found\n", None, []),
    ],
)
def test_all_that_can_be_seen(machine, text, visible, expected):
    machine(text, visible=visible)
    assert ids() == expected


@pytest.mark.parametrize(
    "text, visible, asked, expected",
    [
        (THREE, None, "0,2", ["0", "2"]),
        (THREE, None, "00", ["0"]),
        (THREE, None, "GPU-bbbb2", ["GPU-bbbb2"]),
        (SPLIT, None, "MIG-22bb-2", ["MIG-22bb-2"]),
        (THREE, "2,1", "0", ["2"]),  # counted as CUDA does, inside what is seen
        (None, f"{A},{B}", "1", [B]),
        (THREE, "1", B, [B]),
        (THREE, B, "GPU-bbbb1", ["GPU-bbbb1"]),
        (None, "1", B, [B]),  # may be
    ],
)
def test_those_that_are_asked_for(machine, text, visible, asked, expected):
    machine(text, visible=visible)
    assert ids(asked.split(",")) == expected


@pytest.mark.parametrize(
    "text, visible, asked, sentence",
    [
        (None, None, [], "--gpus is empty, expected numbers such as 0,1"),
        (None, None, ["a", "-1", "0.5", "٣", "GPU-", ""], '--gpus has "a"; "-1"; "0.5" and 3 more, expected numbers'),
        (None, None, ["0", "\x1b[2J"], r'--gpus has "\x1b[2J", expected numbers'),
        (None, None, ["1", "0", "1"], "--gpus has 1 twice; name each GPU once"),
        (None, None, ["1", "01"], "--gpus has 1 twice"),
        (THREE, None, ["1", B], f"--gpus has {B} twice"),
        (THREE, None, ["1", "3", "9"], "--gpus has 3, but this machine has the GPUs 0 to 2; --gpus has 9, but"),
        (THREE, None, ["GPU-cccc"], "--gpus has GPU-cccc, but nvidia-smi -L shows none of that name"),
        (THREE, None, ["GPU-bbbb"], "--gpus has GPU-bbbb, but nvidia-smi -L shows more than one of that name"),
        (THREE, "1,2", ["2"], "--gpus has 2, but CUDA_VISIBLE_DEVICES=1,2 shows the GPUs 0 to 1"),
        (THREE, "2", ["1"], "--gpus has 1, but CUDA_VISIBLE_DEVICES=2 shows the GPU 0 only"),
        (THREE, "", ["0"], "--gpus has 0, but CUDA_VISIBLE_DEVICES= shows no GPU; leave --gpus out"),
        (THREE, "1", [A], f"--gpus has {A}, which CUDA_VISIBLE_DEVICES does not show"),
    ],
)
def test_mistakes(machine, text, visible, asked, sentence):
    machine(text, visible=visible)
    with pytest.raises(InputError) as error:
        choose(asked)
    assert str(error.value).startswith(sentence) and "\n" not in str(error.value)


@pytest.mark.slow
def test_a_driver_in_trouble(machine, monkeypatch):
    machine("Failed to initialize NVML: Driver/library version mismatch\n", status=18)
    assert choose(None) == ([], "nvidia-smi failed (Failed to initialize NVML: Driver/library version mismatch)")
    assert ids(["3"]) == ["3"]
    machine(visible="3")
    assert choose(None) == ([Gpu("3", "3")], "")
    monkeypatch.delenv(gpus.VISIBLE)
    monkeypatch.setattr(gpus, "SMI_SECONDS", 0.1)
    machine(script="exec /bin/sleep 10")
    assert choose(None) == ([], "nvidia-smi has not answered in 0 seconds")


def test_one_name_however_it_is_called(machine):
    """Two sweeps that call a GPU by number and by name share it."""
    machine(THREE)
    assert [gpu.name for gpu in choose(["1"])[0]] == [gpu.name for gpu in choose(["GPU-bbbb1"])[0]] == [B]
    machine(visible="2,1")
    assert choose(["1"])[0][0].name == B


def test_what_a_run_is_told(machine, monkeypatch):
    assert Gpu("1", A).environment() == {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert Gpu(A, A).environment() == {"CUDA_VISIBLE_DEVICES": A}
    monkeypatch.setenv(gpus.ORDER, "FASTEST_FIRST")
    assert Gpu("1", A).environment() == {"CUDA_VISIBLE_DEVICES": "1"}
    monkeypatch.delenv(gpus.ORDER)
    machine(visible="0,1")  # in whatever order its user has in mind
    assert Gpu("1", A).environment() == {"CUDA_VISIBLE_DEVICES": "1"}
