"""The scripts are doors to `caspl sweep` of their checkout, and print what it prints."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT

SCRIPTS = sorted((ROOT / "scripts").glob("*.sh"))
ONE = ["--datasets", "digits", "--seeds", "1", "--trainers", "CoOp", "--dry-run"]
MOST_LINES = 120  # of all of them


def test_the_scripts_stay_doors():
    lines = [line for path in SCRIPTS for line in path.read_text().splitlines()]
    assert len(SCRIPTS) == 9 and len(lines) < MOST_LINES


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="needs shellcheck")
@pytest.mark.slow
def test_shellcheck_has_nothing_to_say():
    done = subprocess.run(["shellcheck", *SCRIPTS], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("script", ["phase1", "base2new", "few_shot", "cross_dataset", "domain_generalization", "demo"])
def test_a_script_is_its_experiment(sweeps, script):
    done = sweeps(script, "--help")
    assert done.returncode == 0 and f"bash scripts/{script}.sh" in done.stdout and not done.stderr


@pytest.mark.slow
def test_another_shell_will_do(sweeps):
    """`sh scripts/demo.sh`, which is dash on Debian."""
    bash, script, *options = sweeps.command("base2new", *ONE)
    done = subprocess.run(["sh", script, *options], capture_output=True, text=True, env=sweeps.environment())
    assert done.stdout == subprocess.run([bash, script, *options], capture_output=True, text=True).stdout != ""
    assert not done.stderr


@pytest.mark.slow
def test_paths_and_the_code_are_those_of_whoever_calls(sweeps, tmp_path, monkeypatch):
    """Relative paths begin where a script is called; the code is that of its checkout, whatever lies there."""
    (tmp_path / "caspl").mkdir()
    (tmp_path / "caspl" / "__init__.py").write_text("raise SystemExit('another caspl')")
    (tmp_path / "scripts").mkdir()
    script = os.path.relpath(sweeps.checkout / "scripts" / "base2new.sh", tmp_path)
    command = ["bash", script, *ONE, "--root", "a/", "--output", "b c"]
    environment = sweeps.environment(CDPATH=str(tmp_path))  # which `cd scripts/..` would go by
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    first, train, *_ = done.stdout.splitlines()
    assert first == f"cd '{sweeps.checkout}'" and not done.stderr
    assert f"--root {tmp_path}/a " in train and f"--output-dir '{tmp_path}/b c/base2new/train_base/" in train
    inside = subprocess.run(
        ["bash", "scripts/base2new.sh", *ONE], cwd=sweeps.checkout, env=environment, capture_output=True
    )
    assert inside.stdout.startswith(b"python train.py --root data --seed 1 ")


@pytest.mark.slow
def test_without_python_there_is_a_sentence(sweeps, tmp_path):
    (tmp_path / "bash").symlink_to(shutil.which("bash"))
    (tmp_path / "dirname").symlink_to(shutil.which("dirname"))
    done = subprocess.run(
        sweeps.command("base2new", *ONE),
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        cwd=sweeps.checkout,
    )
    assert done.returncode == 2 and done.stderr.startswith(
        "error: there is no command python; activate the environment"
    )
    assert not done.stdout


@pytest.mark.slow
def test_without_a_checkout_runs_are_those_of_the_package(tmp_path):
    """As in a wheel: configs/ lies in the package, there is no train.py."""
    package = tmp_path / "lib" / "caspl"
    left_out = shutil.ignore_patterns("__pycache__", "*.safetensors", "trainers", "datasets")
    shutil.copytree(ROOT / "caspl", package, symlinks=True, ignore=left_out)
    (package / "configs").unlink()
    shutil.copytree(ROOT / "configs", package / "configs")
    (package / "train.py").write_text("")
    empty = tmp_path / "empty"
    empty.mkdir()
    command = [sys.executable, "-m", "caspl", "sweep", "base2new", *ONE, "--output", "out/"]
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    train, *_ = done.stdout.splitlines()
    assert train.startswith(
        "python -m caspl train --root data --seed 1 --trainer CoOp --dataset-config-file configs/datasets/"
    )
    assert "--output-dir out/base2new/" in train and not list(Path(empty).iterdir())
