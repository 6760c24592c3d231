"""The benchmark for a machine with a GPU, on one that is not there."""

import warnings

import pytest
import torch

from bench.devices import on_gpu
from fake_devices import on_fake

WORDS = ["--repeats", "1", "--warm-up", "0", "--threads", "1", "--precisions", "fp32"]


def test_where_there_is_no_gpu_it_says_so_and_ends_with_1(capsys):
    assert not torch.cuda.is_available() and on_gpu.BENCH.main(WORDS) == 1
    shown = capsys.readouterr()
    assert "no GPU here: nothing was run" in shown.err and "at least 1: MISSED" in shown.out


@pytest.mark.slow
def test_runs_end_well_and_a_step_waits_for_nothing(capsys):
    with on_fake("cuda"):
        assert on_gpu.BENCH.main([*WORDS, "--trainers", "CoOp"]) == 0
    shown = capsys.readouterr()
    assert "MISSED" not in shown.out and "a step waits" not in shown.err
    assert [line.split(":")[1].split()[0] for line in shown.out.splitlines() if line.startswith("CoOp fp32:")] == [
        *("ended", "from", "behind", "waits", "step", "read")
    ]


@pytest.mark.slow
def test_what_goes_wrong_is_said_and_the_rest_goes_on(monkeypatch, capsys):
    def broken(*_):
        warnings.warn("called a synchronizing operation", stacklevel=1)
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(on_gpu, "predicted", broken)
    with on_fake("cuda"):
        assert on_gpu.BENCH.main([*WORDS, "--trainers", "VPT"]) == 1
    shown = capsys.readouterr()
    assert "VPT fp32, prediction:" in shown.err and "no kernel image is available" in shown.err
    assert "at least 6: MISSED" in shown.out and "VPT fp32: step" in shown.out
