"""One sweep in earnest: phase 1 and CoOp behind it, one epoch each, on the embedded digits and the demo models."""

import os
import re
import subprocess
import sys

import pytest

from .conftest import ROOT

pytestmark = pytest.mark.slow

PARTS = ("train_base", "test_new")


@pytest.fixture
def sweep(tmp_path):
    """Run it; `python` is the one that runs the tests."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    command = ["bash", str(ROOT / "scripts" / "base2new.sh"), "--datasets", "digits", "--seeds", "1", "--jobs", "2"]
    command += ["--trainers", "CasPL_CoOp", "--root", "data", "--output", "the output", "--", "OPTIM.MAX_EPOCH", "1"]
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"

    def run():
        environment = {**os.environ, "PATH": path}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    return run


def test_base_to_new_on_digits(sweep, tmp_path):
    done = sweep()
    assert done.returncode == 0, done.stderr
    runs = re.findall(r"^\[\d/3\] run +([\d.]+)%  .*/the output/(.*)$", done.stdout, re.MULTILINE)
    assert len(runs) == 3
    output = tmp_path / "the output"
    for accuracy, folder in runs:
        log = (output / folder / "log.txt").read_text()
        assert log.rstrip().splitlines() and f"* accuracy: {accuracy}%" in log
        assert not (output / folder / "stderr.txt").exists()
    assert (output / "boost/digits/digits/seed1/boosting.safetensors").is_file()
    folders = [f"base2new/{part}/digits/shots_16/CasPL_CoOp/digits/seed1" for part in PARTS]
    base, new = (next(float(accuracy) for accuracy, name in runs if name == folder) for folder in folders)
    assert (output / folders[0] / "prompt_learner" / "model.pth.tar-1").is_file()
    row = next(line for line in done.stdout.splitlines() if "CoOp + CasPL " in line)
    numbers = [float(number) for number in re.findall(r"\d+\.\d+", row)]
    assert numbers == pytest.approx([base, new, 2 * base * new / (base + new)], abs=0.1)
    again = sweep()
    assert again.returncode == 0 and again.stdout.count(" skip ") == 2  # all but phase 1, which nothing needs any more
