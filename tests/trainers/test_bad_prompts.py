"""Prompts that can't be used are refused at every door that reads them, in one sentence and before anything is computed."""

import re
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from boosting_files import make_boosting, write_boosting
from caspl.__main__ import main
from caspl.checkpoints.convert import main as convert

SMALL = ["OPTIM.MAX_EPOCH", "1", "DATASET.NUM_SHOTS", "1", "TEST.NO_TEST", "True"]


def put(value):
    def change(tensor):
        tensor = tensor.clone()
        tensor.view(-1)[0] = value
        return tensor

    return change


BAD = {
    "nan": (put(float("nan")), "has nan, expected finite numbers of at most 10000 in size"),
    "inf": (put(float("-inf")), "has inf, expected finite numbers"),
    "absurd": (put(2e4), r"has 2e\+04, expected finite numbers"),
    "whole numbers": (lambda tensor: tensor.long(), "int64|I64"),
    "half precision": (lambda tensor: tensor.half(), "F16, expected F32"),
    "empty": (lambda tensor: tensor[:0], r"\(0, 64\), expected \(3, 64\)"),
}
IN_CHECKPOINTS = [
    name for name in BAD if name != "half precision"
]  # of which the family has some, and which are float32 then


@pytest.fixture
def bad_boosting(tmp_path):
    """A function that spoils a boosting.safetensors and gives its folder."""

    def make(kind):
        path = tmp_path / "bad" / "boosting.safetensors"
        path.parent.mkdir()
        write_boosting(path, make_boosting())
        with safe_open(path, framework="pt") as file:
            metadata = {name: value for name, value in file.metadata().items() if name != "sha256"}
        tensors = load_file(path)
        save_file(tensors | {"text.0": BAD[kind][0](tensors["text.0"])}, path, metadata=metadata)
        return path.parent

    return make


@pytest.mark.parametrize("kind", BAD)
def test_boosting_prompts(kind, bad_boosting, tmp_path, run, capsys):
    folder = bad_boosting(kind)
    (tmp_path / "one.png").touch()
    doors = {
        "train": lambda: run("CasPL_CoOp", "base", "out", "TRAINER.CASPL.BOOSTING", str(folder), *SMALL),
        "predict": lambda: main(["predict", str(folder), str(tmp_path / "one.png")]),
        "export": lambda: main(["export", str(folder), "--program", str(tmp_path / "x.pt2")]),
        "share": lambda: main(["share", str(folder), "--folder", str(tmp_path / "shared")]),
    }
    for door, call in doors.items():
        capsys.readouterr()
        assert call() == 2, door
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert "boosting.safetensors" in line
        assert re.search(BAD[kind][1], line), (door, line)
    assert not (tmp_path / "shared").exists() and not (tmp_path / "x.pt2").exists()


def learner_file(folder, change=lambda tensor: tensor, **more):
    """A model file of CoOp with two tokens, as the family writes them."""
    torch.manual_seed(0)
    (folder / "prompt_learner").mkdir(parents=True)
    path = folder / "prompt_learner" / "model.pth.tar-1"
    torch.save({"state_dict": {"ctx": change(torch.randn(3, 64) * 0.1)}, "epoch": 1} | more, path)
    return path


@pytest.mark.parametrize("kind", IN_CHECKPOINTS)
@pytest.mark.parametrize("door", ["--model-dir", "MODEL.INIT_WEIGHTS"])
def test_model_files(kind, door, tmp_path, run, capsys):
    path = learner_file(tmp_path / "model", BAD[kind][0])
    given = ["--eval-only", "--load-epoch", "1", "--model-dir", str(tmp_path / "model")]
    given = given if door == "--model-dir" else ["MODEL.INIT_WEIGHTS", str(path), *SMALL]
    assert run("CoOp", "base", "out", *given, "TRAINER.COOP.N_CTX", "3", "TRAINER.COOP.CTX_INIT", "") == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert str(path) in line and re.search(BAD[kind][1], line)


@pytest.mark.parametrize("epoch", [-5, "x", True, 2.5, 10**20])
def test_epochs_of_model_files(epoch, tmp_path, run, capsys):
    learner_file(tmp_path / "model", epoch=epoch)
    assert run("CoOp", "base", "out", "--eval-only", "--load-epoch", "1", "--model-dir", str(tmp_path / "model")) == 2
    assert "model.pth.tar-1: epoch is " in capsys.readouterr().err


@pytest.mark.parametrize("kind", IN_CHECKPOINTS[:4])
def test_boosting_prompts_of_the_published_code(kind, tmp_path, capsys):
    state = {"prompt_learner_teacher.ctx": BAD[kind][0](torch.randn(2, 64))}
    torch.save({"state_dict": state, "epoch": 1}, tmp_path / "model.pth.tar-1")
    flags = ["--output", str(tmp_path / "out"), "--student", "demo/student", "--dataset", "OxfordPets"]
    assert convert([str(tmp_path / "model.pth.tar-1"), *flags]) == 2
    error = capsys.readouterr().err
    assert "holds no prompts that can be used: text.0 " in error and re.search(BAD[kind][1], error)
    assert not (tmp_path / "out").exists()


def test_a_damaged_resume_file_says_what_follows_from_deleting_it(tmp_path, run, capsys):
    assert run("CoOp", "base", "out", *SMALL) == 0
    path = tmp_path / "out" / "resume.pth.tar"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert run("CoOp", "base", "out", *SMALL) == 2
    assert "resume.pth.tar is cut short, damaged" in (error := capsys.readouterr().err)
    assert (
        f"delete it, and training goes on from the newest model file in {tmp_path / 'out' / 'prompt_learner'}" in error
    )
    shutil.rmtree(tmp_path / "out" / "prompt_learner")
    assert run("CoOp", "base", "out", *SMALL) == 2
    assert "delete it, and training starts from scratch" in capsys.readouterr().err
    path.unlink()
    assert run("CoOp", "base", "out", *SMALL) == 0
