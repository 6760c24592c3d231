"""`caspl`: its table of commands, what it says of itself, and that it loads what is called only."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import train
from caspl import __version__
from caspl.__main__ import COMMANDS, EXPERIMENTS, main
from caspl.completion.answers import Table
from caspl.sweeps.command import options as sweeps

ROOT = Path(__file__).resolve().parents[2]
ORDER = ["train", "sweep", "results", "report", "datasets", "configs", "convert", "predict", "export", "share"]


def test_help_lists_every_command_in_the_order_in_which_one_needs_them(capsys):
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    listed = re.findall(r"^    (\w+)  +\w", said, re.MULTILINE)
    assert listed == [*COMMANDS] and [verb for verb in listed if verb in ORDER] == ORDER
    assert "docs/" in said and "caspl train --root DATA --trainer CoOp" in said
    assert all(len(line) <= 120 for line in said.splitlines())


@pytest.mark.parametrize("verb", COMMANDS)
@pytest.mark.parametrize("form", ["{} --help", "{} -h", "help {}"])
def test_each_command_has_help_that_names_it_as_it_was_called(verb, form, capsys):
    assert main(form.format(verb).split()) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"usage: caspl {verb} ") and not said.err
    assert "python -m caspl" not in said.out and "train.py" not in said.out.replace("`train.py` of a checkout", "")


def commands(node, *before):
    """The words of all commands below a node of the table of completion: caspl configs show."""
    for word, child in node["words"].items():
        yield " ".join([*before, word])
        yield from commands(child, *before, word)


@pytest.mark.parametrize("line", [line for line in commands(Table().content["caspl"]) if " " in line])
def test_each_command_of_a_command_has_help(line, capsys):
    assert main([*line.split(), "--help"]) == 0
    said = capsys.readouterr()
    assert f"caspl {line}" in said.out and not said.err


def test_the_same_command_is_not_said_to_be_two(capsys):
    assert main(["train", "--help"]) == 0
    assert "`train.py` of a checkout and `caspl train` are the same" in " ".join(capsys.readouterr().out.split())


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"caspl {__version__}\n"


UNKNOWN = {
    "trian": "there is no command 'trian'; do you mean caspl train?",
    "Train": "there is no command 'Train'; do you mean caspl train?",
    "result": "there is no command 'result'; do you mean caspl results?",
    "dataset": "there is no command 'dataset'; do you mean caspl datasets?",
    "eval": "there is no command 'eval'; do you mean caspl train --eval-only?",
    "base2new": "there is no command 'base2new'; do you mean caspl sweep base2new?",
    "protocols": "there is no command 'protocols'; do you mean caspl sweep protocols?",
    "xyzzy": "there is no command 'xyzzy'; caspl --help shows what there is",
    "a\x1b[2Jb": "there is no command 'a\\x1b[2Jb'; caspl --help shows what there is",
    "--trainer": "--trainer stands before the command, which comes first; caspl --help shows what there is",
    "": "there is no command ''; caspl --help shows what there is",
}


@pytest.mark.parametrize("word", UNKNOWN)
def test_a_command_that_there_is_not(word, capsys):
    assert main([word, "--root", "x"]) == 2
    assert capsys.readouterr().err == f"error: {UNKNOWN[word]}\n"


def test_advice_names_what_the_user_has(tmp_path, capsys, monkeypatch):
    """Where caspl was called there may be no train.py."""
    monkeypatch.chdir(tmp_path)
    words = ["--root", "x", "--trainer", "CasPL_CoOp", "--dataset-config-file", "configs/datasets/digits.yaml"]
    for command, named in (
        (lambda: main(["train", *words]), "caspl train"),
        (lambda: train.main(words), "python train.py"),
    ):
        assert command() == 2
        assert f"the boosting.safetensors that {named} --trainer CasPLBoost ... writes" in capsys.readouterr().err
    assert main(["train"]) == 2
    assert capsys.readouterr().err.endswith("; caspl train --help shows a whole command\n")
    assert main(["export", str(tmp_path), "--onnx", "x.onnx"]) == 2
    assert "phase 1 (caspl train --trainer CasPLBoost ...)" in capsys.readouterr().err


def test_experiments_that_are_meant_are_those_of_sweeps():
    assert sweeps.EXPERIMENTS.keys() == set(EXPERIMENTS)


def test_no_command(capsys):
    assert main([]) == 2
    assert capsys.readouterr().err == "error: a command is missing; caspl --help shows what there is\n"


@pytest.mark.parametrize("verb", [verb for verb in COMMANDS if verb not in ("configs", "sweep", "completion")])
def test_a_mistake_names_the_command_as_it_was_called(verb, capsys):
    words = ["boosting"] if verb == "convert" else ["list"] if verb == "datasets" else []
    assert main([verb, *words, "--nothing-like-it"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"; {' '.join(['caspl', verb, *words])} --help shows what there is\n" in said


LIGHT = {
    "--help": "",
    "--version": "",
    "sweep --help": "",
    "sweep base2new --datasets digits --trainers CoOp --dry-run": "python train.py",
    "results --help": "",
    "results nothing": "",
    "report nothing": "",
    "configs CoOp": "configs/trainers/CoOp/digits.yaml",
    "configs show configs/trainers/CoOp/digits.yaml": "TRAINER:",
    "completion bash": "complete",
    "nothing": "",
}


@pytest.mark.slow
@pytest.mark.parametrize("line", LIGHT)
def test_what_needs_no_pytorch_loads_none(line):
    code = f"import sys; from caspl.__main__ import main; main({line.split()!r}); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.endswith("False\n") and LIGHT[line] in done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("module", ["train", "results"])
def test_python_m_names_itself(module):
    done = subprocess.run([sys.executable, "-m", f"caspl.{module}", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith(f"usage: python -m caspl.{module} "), done.stderr
