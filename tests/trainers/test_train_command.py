"""train.py as a user meets it: mistakes answered in one sentence, interruptions that lose nothing."""

import json
import os
import random
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from caspl.checkpoints.boosting import read_boosting
from caspl.clip.backbones import load_backbone
from caspl.clip.files.hugging_face import to_hugging_face
from caspl.ground.locks import locked

ROOT = Path(__file__).resolve().parents[2]


def last_accuracy(folder):
    logs = sorted(folder.glob("log.txt*"), key=lambda path: path.stat().st_mtime)
    return re.findall(r"^\* correct: (\d+)$", logs[-1].read_text(), re.MULTILINE)[-1]


MISTAKES = {
    "trainer": (("--trainer", "CoPo"), r"CoPo.*CoOp"),
    "backbone": (
        ("--backbone", "ViT-B/61"),
        r'MODEL.BACKBONE.NAME is "ViT-B/61", but no CLIP is called "ViT-B/61".*do you mean ViT-B/16',
    ),
    "key": (("TRAINER.COOP.NCTX", "4"), r"TRAINER.COOP.NCTX.*TRAINER.COOP.N_CTX"),
    "type": (("TRAINER.COOP.N_CTX", "many"), r"TRAINER.COOP.N_CTX.*many"),
    "config": (("--config-file", "configs/trainers/CoOp/digit.yaml"), r"digit.yaml.*digits.yaml"),
    "dataset": (("DATASET.NAME", "Digit"), r"Digit\b.*Digits"),
    "position": (("TRAINER.COOP.CLASS_TOKEN_POSITION", "back"), r'CLASS_TOKEN_POSITION is "back", expected one of end'),
    "precision": (("TRAINER.COOP.PREC", "fp8"), r'TRAINER.COOP.PREC is "fp8", expected one of fp32'),
    "image size": (("INPUT.SIZE", "(224, 224)"), r"INPUT.SIZE is \(224, 224\), but demo/student takes"),
    "no context": (("TRAINER.COOP.N_CTX", "0"), r"N_CTX is 0, expected 1 to 75"),
    "too many tokens": (("TRAINER.COOP.N_CTX", "60"), r'class name ".*" takes .* 60 prompt tokens.*48 positions'),
    "model folder": (("--eval-only", "--model-dir", "nowhere", "--load-epoch", "3"), r"nowhere"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_sentence(mistake, run, capsys):
    arguments, message = MISTAKES[mistake]
    flags = [a for a in arguments if arguments[0].startswith("--")]
    assert run("CoOp", "base", "out", *(flags or ["--seed", "1", *arguments])) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and re.search(message, lines[0]), lines


def test_a_backbone_of_other_pixel_values(run, capsys, tmp_path):
    """Trained with OpenAI's normalisation it would learn what fits no image; the advised setting is taken."""
    student = load_backbone("demo/student")
    config, preprocessor, tensors = to_hugging_face(student.model, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), "x")
    for name, content in {"config": config, "preprocessor_config": preprocessor}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    settings = ("OPTIM.MAX_EPOCH", "1", "DATASET.NUM_SHOTS", "1", "MODEL.BACKBONE.NAME", str(tmp_path))
    assert run("CoOp", "base", "out", "--seed", "1", *settings) == 2
    advised = re.search(r'set (INPUT.PIXEL_MEAN) "(.*)" (INPUT.PIXEL_STD) "(.*)"\n', capsys.readouterr().err)
    assert run("CoOp", "base", "out", "--seed", "1", *settings, *advised.groups()) == 0


def test_a_bare_command_says_what_is_missing(capsys):
    import train

    assert train.main([]) == 2
    said = "missing: --trainer and --dataset-config-file; python train.py --help shows a whole command"
    assert capsys.readouterr().err == f"error: {said}\n"


def test_every_mistake_is_said_at_once_before_anything_is_loaded(command, tmp_path):
    """In both files, in the options and in the values; nothing has been built or written by then."""
    import train
    from caspl.ground.errors import InputError

    (tmp_path / "data.yaml").write_text("DATASET:\n  NAME: Digits\n  NUM_SHOT: 4\nINPUT:\n  SIZE: [32, 0]\n")
    (tmp_path / "own.yaml").write_text("OPTIM:\n  LR: fast\n  MAX_EPOCH: 0\n")
    files = ["--dataset-config-file", str(tmp_path / "data.yaml"), "--config-file", str(tmp_path / "own.yaml")]
    options = ["OPTIM.NAME", "sdg", "TRAINER.COOP.CSC", "perhaps", "TRAINER.CASPL.TEMPERATURE", "nan"]
    with pytest.raises(InputError) as caught:
        train.setup_cfg(train.parse_args(["--trainer", "CoOp", *files, *options, "DATASET.SUBSAMPLE_CLASSES", "old"]))
    for said in (
        "data.yaml: unknown key DATASET.NUM_SHOT",
        "INPUT.SIZE is (32, 0), expected a list of 2 whole numbers, 1 to 4096",
        "own.yaml: OPTIM.LR must be a number",
        "OPTIM.MAX_EPOCH is 0, expected 1 to 1000000",
        'OPTIM.NAME is "sdg"',
        "TRAINER.COOP.CSC must be True or False",
        'DATASET.SUBSAMPLE_CLASSES is "old", expected one of all, base, new',
    ):
        assert said in str(caught.value)
    assert "\n" not in str(caught.value)


PHASE_MISTAKES = {
    "no boosting": ("CasPL_CoOp", (), r"TRAINER.CASPL.BOOSTING is empty"),
    "missing boosting": (
        "CasPL_CoOp",
        ("TRAINER.CASPL.BOOSTING", "nowhere"),
        r"there is no file or folder nowhere; expected a boosting.safetensors",
    ),
    "training zero-shot": ("ZeroshotCLIP", (), r"nothing to train; add --eval-only"),
    "too deep": (
        "CasPLBoost",
        ("TRAINER.CASPL.DEPTH_TEXT", "12", "TRAINER.CASPL.DEPTH_VISION", "0"),
        r"DEPTH_TEXT is 12, expected 1 to 3.*DEPTH_VISION is 0, expected 1 to 4",
    ),
    "temperature": ("CasPLBoost", ("TRAINER.CASPL.TEMPERATURE", "0.0"), r"TEMPERATURE is 0.0, expected"),
    "template": (
        "CasPLBoost",
        ("TRAINER.CASPL.TEMPLATE", "a photo"),
        r'TEMPLATE is "a photo", expected text, empty or with one \{\}',
    ),
    "teacher": ("CasPLBoost", ("TRAINER.CASPL.TEACHER", "demo/professor"), r"no demo model is called demo/professor"),
}


@pytest.mark.parametrize("mistake", PHASE_MISTAKES)
def test_mistakes_of_the_two_phases(mistake, run, capsys):
    trainer, keys, message = PHASE_MISTAKES[mistake]
    assert run(trainer, "base", "out", "--seed", "1", *keys) == 2
    assert re.search(message, capsys.readouterr().err.strip().splitlines()[-1])


def test_a_checkpoint_of_another_kind_is_refused(run, tmp_path, capsys):
    short = ("--seed", "1", "DATASET.NUM_SHOTS", "1", "OPTIM.MAX_EPOCH", "1")
    assert run("CoOp", "base", "coop", *short, "TRAINER.COOP.N_CTX", "4") == 0
    load = ("--eval-only", "--model-dir", str(tmp_path / "coop"), "--load-epoch", "1")
    assert run("CoOp", "base", "longer", *load) == 2
    assert "TRAINER.COOP.N_CTX was 4 and is 8; write TRAINER.COOP.N_CTX 4" in capsys.readouterr().err
    assert run("CasPL_CoOp", "base", "cascaded", *load) == 2
    assert "TRAINER.NAME was CoOp and is CasPL_CoOp; TRAINER.COOP.N_CTX was 4 and is 8" in capsys.readouterr().err
    assert run("CoOp", "base", "epoch", *load[:-1], "7") == 2
    assert "model.pth.tar-7" in capsys.readouterr().err


@pytest.mark.slow
def test_a_broken_image_is_named(run, data, capsys):
    assert run("ZeroshotCLIP", "base", "fine", "--eval-only") == 0
    image = next((data / "digits" / "images" / "zero").iterdir())
    content = image.read_bytes()
    try:
        image.write_bytes(content[:20])
        assert run("CoOp", "all", "broken", "--seed", "1", "OPTIM.MAX_EPOCH", "1") == 2
        capsys.readouterr()
        assert run("CoOp", "all", "workers", "--seed", "1", "OPTIM.MAX_EPOCH", "1", "DATALOADER.NUM_WORKERS", "1") == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert image.name in line and "Traceback" not in line
    finally:
        image.write_bytes(content)


@pytest.mark.slow
def test_other_settings_do_not_continue_a_run(run, capsys):
    short = ("--seed", "1", "DATASET.NUM_SHOTS", "1", "OPTIM.MAX_EPOCH", "1")
    assert run("CoOp", "base", "out", *short) == 0
    assert run("CoOp", "base", "out", *short, "OPTIM.LR", "0.1") == 2
    assert "OPTIM.LR" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["CoOp", "CasPLBoost"])
def test_killed_at_a_random_moment_it_ends_as_if_never_stopped(trainer, command, run, tmp_path):
    """One process, which is killed; what is never stopped and what goes on runs in this one."""
    more = ["--seed", "1", "DATASET.NUM_SHOTS", "4", "OPTIM.MAX_EPOCH", "12"]
    resume = tmp_path / "killed" / "resume.pth.tar"
    killed = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *command(trainer, "all", "killed", *more)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not resume.exists() or not torch.load(resume, weights_only=True)["epoch"]:
        assert killed.poll() is None
        time.sleep(0.01)
    time.sleep(random.Random(trainer).uniform(0, 0.3))
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert torch.load(resume, weights_only=True)["epoch"] > 0
    assert run(trainer, "all", "killed", *more) == 0
    assert run(trainer, "all", "whole", *more) == 0

    name = {"CoOp": "prompt_learner", "CasPLBoost": "CasPL"}[trainer]
    ends = [
        torch.load(tmp_path / f / name / "model.pth.tar-12", weights_only=True)["state_dict"]
        for f in ("whole", "killed")
    ]
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])
    assert last_accuracy(tmp_path / "whole") == last_accuracy(tmp_path / "killed")
    if trainer == "CasPLBoost":
        (whole, header), (again, header_again) = (read_boosting(tmp_path / f) for f in ("whole", "killed"))
        assert header == header_again and all(torch.equal(whole[key], again[key]) for key in whole)


SHORT = ("--seed", "1", "DATASET.NUM_SHOTS", "1", "OPTIM.MAX_EPOCH", "1")
# Where a run is to write, below a folder that holds a file `file`; and what stands there already
UNWRITABLE = {
    "the output folder is a file": (
        "file",
        (),
        None,
        r"the output folder \(OUTPUT_DIR.*file cannot be written \(Not a dir",
    ),
    "it is below one": ("file/out", (), None, r"the output folder .* cannot be written \(Not a directory\); choose"),
    "its name is too long": (
        "n" * 256,
        (),
        None,
        r"the output folder .* \(File name too long\); choose a shorter name",
    ),
    "feature store": (
        "out",
        ("TEST.FEATURE_STORE", "{folder}/file"),
        None,
        r"TEST.FEATURE_STORE .*file cannot be written",
    ),
    "text store": ("out", ("MODEL.TEXT_STORE", "{folder}/file"), None, r"MODEL.TEXT_STORE .*file cannot be written"),
    "prompts": (
        "out",
        (),
        "prompts.safetensors",
        r"the file of what is learned .*prompts.safetensors .*Is a directory",
    ),
    "confusion matrix": (
        "out",
        ("TEST.COMPUTE_CMAT", "True"),
        "cmat.pt",
        r".*TEST.COMPUTE_CMAT.*cmat.pt .*Is a directory",
    ),
}


@pytest.mark.parametrize("case", UNWRITABLE)
def test_what_cannot_be_written_is_told_before_training(case, run, tmp_path, capsys):
    out, more, there, message = UNWRITABLE[case]
    (tmp_path / "file").touch()
    if there:
        (tmp_path / out / there).mkdir(parents=True)
    assert run("CoOp", "base", out, *SHORT, *(word.format(folder=tmp_path) for word in more)) == 2
    printed = capsys.readouterr()
    assert re.search(f"^error: {message}", printed.err) and printed.err.count("\n") == 1
    assert "epoch [1/1]" not in printed.out and not list(tmp_path.glob("out/**/*.pth.tar*"))


def test_a_second_run_in_a_folder_is_told(run, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    with locked(tmp_path / "out" / ".run.lock"):
        for trainer, more in (("CoOp", ()), ("ZeroshotCLIP", ("--eval-only",))):
            assert run(trainer, "base", "out", *more, *SHORT) == 2
            err = capsys.readouterr().err
            assert err.startswith(f"error: another run is under way in {tmp_path}/out (process {os.getpid()} on ")
            assert err.count("\n") == 1
        assert os.listdir(tmp_path / "out") == [".run.lock"]
    assert run("CoOp", "base", "out", *SHORT) == 0
    assert ".run.lock" not in os.listdir(tmp_path / "out")


@pytest.mark.parametrize("trainer", ["CoOp", "CasPLBoost"])
def test_the_same_run_writes_the_same_bytes(trainer, run, tmp_path):
    written = []
    before = os.umask(0o022)
    try:
        for name in ("first", "second"):
            assert run(trainer, "base", "out", *SHORT) == 0
            (tmp_path / "out").rename(tmp_path / name)
            files = {path.relative_to(tmp_path / name): path for path in (tmp_path / name).rglob("*") if path.is_file()}
            assert {stat.S_IMODE(path.stat().st_mode) for path in files.values()} == {0o644}
            kept = {key: path for key, path in files.items() if key.parts[0] not in ("log.txt", "tensorboard")}
            written.append({key: path.read_bytes() for key, path in kept.items()})
            record = written[-1].pop(Path("run.json")).splitlines()
            written[-1]["record"] = [line for line in record if not line.startswith((b'"cost": ', b'"sha256": '))]
    finally:
        os.umask(before)
    assert written[0] == written[1]
    assert len(written[0]) == 6  # model file, its name, what to resume from, prompts, predictions, the record


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_so_and_goes_on(number, command, run, tmp_path):
    more = ["--seed", "1", "DATASET.NUM_SHOTS", "4", "OPTIM.MAX_EPOCH", "200", "DATALOADER.NUM_WORKERS", "1"]
    resume = tmp_path / "out" / "resume.pth.tar"
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *command("CoOp", "all", "out", *more)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not resume.exists():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.5)
    for _ in range(2):  # the second one is calm
        os.killpg(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert err == "interrupted; the same command resumes after the last finished epoch\n"
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert "Interrupted in epoch" in (tmp_path / "out" / "log.txt").read_text()
    assert "format" in torch.load(resume, weights_only=True)
    assert not [name for name in os.listdir(tmp_path / "out") if name.startswith(".")]
