"""`caspl` from the wheel: in an empty folder, and where a host's own code lies."""

import os
import re
import subprocess

import pytest

pytestmark = pytest.mark.slow
FILES = ("--dataset-config-file", "configs/datasets/digits.yaml", "--config-file", "configs/trainers/CoOp/digits.yaml")
RUN = ("--root", "data", "--trainer", "CoOp", *FILES, "--seed", "1", "--output-dir", "out")
SHORT = ("OPTIM.MAX_EPOCH", "1", "DATASET.NUM_SHOTS", "1")


def carried_out(folder, *words):
    """What a command prints that is started in a folder."""
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([*map(str, words)], cwd=folder, capture_output=True, text=True, env=variables)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_in_an_empty_folder(environment, tmp_path):
    """With the package's Dassl and configuration files; `--eval-only` finds what the training has left."""
    trained = carried_out(tmp_path, environment / "caspl", "train", *RUN, *SHORT)
    assert (tmp_path / "out" / "prompts.safetensors").is_file() and "is not used" not in trained
    model = ("--eval-only", "--model-dir", "out", "--load-epoch", "1")
    tested = carried_out(tmp_path, environment / "caspl", "train", *RUN[:-1], "again", *model, *SHORT)
    accuracy = re.compile(r"^\* accuracy: .*$", re.MULTILINE)
    assert accuracy.findall(trained) and accuracy.findall(trained) == accuracy.findall(tested)


def test_in_a_hosts_checkout_nothing_of_the_hosts_is_run(environment, make_host):
    """Not even where `python -m` puts its folder before all others; a line says so."""
    host = make_host()
    for package in ("dassl", "trainers", "datasets", "clip"):
        (host / package / "__init__.py").write_text("raise SystemExit('code of the host')\n")
    printed = carried_out(host, environment / "python", "-m", "caspl", "train", *RUN, *SHORT)
    assert f"{host / 'dassl'} is not used: this command has a Dassl, trainers and datasets of its own" in printed
    assert (host / "out" / "prompts.safetensors").is_file()


def test_a_sweep_in_an_empty_folder(environment, tmp_path):
    """Its runs are `caspl train`, with the package's configuration files and outputs where it is called."""
    choice = ("sweep", "few_shot", "--datasets", "digits", "--trainers", "ZeroshotCLIP", "--output", "out/")
    printed = carried_out(tmp_path, environment / "caspl", *choice, "--dry-run").splitlines()
    assert len(printed) == 2 and not any(tmp_path.iterdir())
    assert printed[0].startswith("python -m caspl train --root data --seed 1 --trainer ZeroshotCLIP ")
    done = carried_out(tmp_path, environment / "caspl", *choice, "--no-table").splitlines()
    assert [line.split("%  ")[1] for line in done] == ["out/digits/ZeroshotCLIP/digits_0shots/seed1"]
    assert done[0].split()[1] == "run"


COMMANDS = {  # and what they print
    "--help": "of the repository.",
    "configs CasPL_VPT": "configs/trainers/CasPL_VPT/digits.yaml",
    "completion fish": "complete -c caspl",
    "completion answer -- train --trainer CasPL_M": "CasPL_MaPLe",
    "words --help": "usage: caspl words",
    "report --help": "usage: caspl report",
}


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_of_the_wheel(line, environment, tmp_path):
    assert COMMANDS[line] in carried_out(tmp_path, environment / "caspl", *line.split())
