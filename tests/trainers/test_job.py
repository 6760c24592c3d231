"""A job of two processes from its command on: what stops it, what it goes on from, what is refused."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from dassl.data import DataManager
from in_processes import forks, in_processes

from caspl.ground.locks import locked
from caspl.ground.processes import together
from caspl.ground.processes.place import VARIABLES
from caspl.results.records import read
from waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
SHORT = ("--seed", "1", "DATASET.NUM_SHOTS", "2", "DATALOADER.TRAIN_X.BATCH_SIZE", "4", "DATALOADER.NUM_WORKERS", "0")
QUIET = (*SHORT, "TEST.NO_TEST", "True")
SEEDED = ("TRAINER.CASPL.CROPS", "seeded")


@pytest.fixture
def two(run):
    """Run train.py in two processes; gives the exit statuses, and what they print to stderr."""

    def call(*arguments, count=2, before=None):
        def work():
            if before:
                before(int(os.environ["RANK"]))
            os._exit(run(*arguments))

        answers = in_processes(count, work)
        return [answer.status for answer in answers], "".join(answer.said for answer in answers)

    return call


@pytest.fixture
def made(build):
    """The digits are there: whoever makes their split has drawn random numbers for it."""
    build("CoOp", "base", "made", *SHORT)


def prompts(folder, name="prompt_learner", epoch=3):
    return torch.load(folder / name / f"model.pth.tar-{epoch}", weights_only=True)["state_dict"]


def same(one, other):
    return all(torch.allclose(one[name], other[name], rtol=1e-4, atol=1e-6) for name in one)


# ------------------------------------------------------------------------------------------------------------- stopped
def torchrun(arguments, log):
    """The command of a job of two, in a session of its own."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "train.py"]
    return subprocess.Popen(
        [*command, *arguments], cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
    )


@forks
@pytest.mark.slow
def test_a_job_that_is_told_to_stop_goes_on(command, two, made, tmp_path):
    """Phase 1 by torchrun, stopped by SIGTERM in an epoch: to the bit as one that is not stopped."""
    keys = (*QUIET, *SEEDED, "OPTIM.MAX_EPOCH", "20", "TRAIN.CHECKPOINT_FREQ", "20")
    log = tmp_path / "said"
    with log.open("w") as file:
        job = torchrun(command("CasPLBoost", "base", "job", *keys), file)
        try:
            wait_for(lambda: "epoch [3/20]" in log.read_text() or job.poll() is not None, 120)
            job.send_signal(signal.SIGTERM)
            job.wait(60)
        finally:
            if job.poll() is None:
                os.killpg(job.pid, signal.SIGKILL)
    said = log.read_text()
    assert said.count("interrupted; the same command resumes after the last finished epoch\n") == 1, said
    assert len(re.findall(r"^Interrupted in epoch \d+; the same command resumes from", said, re.MULTILINE)) == 1
    assert read(tmp_path / "job").status == "interrupted"
    assert 1 <= torch.load(tmp_path / "job" / "resume.pth.tar", weights_only=True)["epoch"] < 20
    assert two("CasPLBoost", "base", "job", *keys) == two("CasPLBoost", "base", "whole", *keys) == ([0, 0], "")
    stopped, whole = (prompts(tmp_path / folder, "CasPL", 20) for folder in ("job", "whole"))
    assert all(torch.equal(stopped[name], whole[name]) for name in whole)


@forks
@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_job_that_was_killed_goes_on(killed, two, run, made, tmp_path, monkeypatch):
    """One process of two; those that go on are three."""
    keys = (*SHORT, "OPTIM.MAX_EPOCH", "3", "TEST.FINAL_MODEL", "best_val")

    def kill(number):
        from caspl.trainers.coop import CoOp

        own = CoOp.run_epoch

        def run_epoch(trainer):
            if trainer.epoch == 2 and number == killed:
                os.kill(os.getpid(), signal.SIGKILL)
            own(trainer)

        CoOp.run_epoch = run_epoch

    statuses, _ = two("CoOp", "base", "job", *keys, before=kill)
    assert statuses[killed] == -signal.SIGKILL and statuses[1 - killed] == 1
    assert torch.load(tmp_path / "job" / "resume.pth.tar", weights_only=True)["epoch"] == 2
    assert two("CoOp", "base", "job", *keys, count=3) == ([0, 0, 0], "")
    assert run("CoOp", "base", "one", *keys) == 0
    best = [prompts(tmp_path / each, epoch=3) for each in ("job", "one")]
    assert same(*best)
    assert read(tmp_path / "job").result.correct == read(tmp_path / "one").result.correct
    assert "Resume from" in "".join(path.read_text() for path in (tmp_path / "job").glob("log.txt*"))


@forks
def test_a_divergence_is_everybodys(two, made, tmp_path):
    keys = (*QUIET, "OPTIM.MAX_EPOCH", "3", "OPTIM.WARMUP_EPOCH", "1", "OPTIM.LR", "1000", "OPTIM.WEIGHT_DECAY", "1000")
    statuses, said = two("CoOp", "base", "job", *keys)
    assert statuses == [1, 1] and re.fullmatch(r"error: training has diverged in epoch [23] of 3.*\n", said), said
    assert "diverged" in torch.load(tmp_path / "job" / "resume.pth.tar", weights_only=True)
    assert read(tmp_path / "job").status == "diverged"


@forks
@pytest.mark.parametrize("workers", ["0", "1"])
def test_an_image_that_only_one_process_meets(workers, two, made, data, tmp_path):
    """With seeded crops it is loaded by the one whose share it is in."""
    root = tmp_path / "data"
    shutil.copytree(data, root)
    keys = (*QUIET, *SEEDED, "DATALOADER.TRAIN_X.SAMPLER", "SequentialSampler", "DATALOADER.NUM_WORKERS", workers)
    places = {}

    def breaks(number):
        def spoiled(cfg):
            manager = DataManager(cfg)
            places[number] = Path(manager.dataset.train_x[3].impath)  # in the second half of the first four
            places[number].write_bytes(b"no image")
            return manager

        import dassl.engine.trainer

        dassl.engine.trainer.DataManager = spoiled

    statuses, said = two("CoOp", "base", "job", *keys, "DATASET.ROOT", str(root), before=breaks)
    assert statuses == [2, 2] and re.fullmatch(rf"error: {root}/\S+ is no image .*; replace or remove it\n", said), said
    record = read(tmp_path / "job")
    assert record.status == "refused" and "is no image" in record.reason


@forks
def test_another_run_in_the_folder(two, made, tmp_path):
    (tmp_path / "job").mkdir()
    with locked(tmp_path / "job" / ".run.lock"):
        statuses, said = two("CoOp", "base", "job", *QUIET)
    assert statuses == [2, 2] and said.startswith(f"error: another run is under way in {tmp_path}/job (process ")
    assert said.count("\n") == 1


# ------------------------------------------------------------------------------------------------------------- refused
@forks
@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            ("DATALOADER.TRAIN_X.BATCH_SIZE", "1"),
            "2 processes are to share a batch of 1 (DATALOADER.TRAIN_X.BATCH_SIZE 1, ",
        ),
        (("OPTIM.LRR", "1"), "Options: unknown key OPTIM.LRR"),
        (("TRAINER.COOP.N_CTX", "60"), 'class name "'),
    ],
)
def test_a_mistake_is_said_once(keys, said, two, made):
    statuses, printed = two("CoOp", "base", "job", *QUIET, *keys)
    assert statuses == [2, 2] and printed.count("\n") == 1 and printed.startswith(f"error: {said}"), printed


@forks
def test_a_trainer_that_shares_nothing_is_refused(two, made, monkeypatch):
    from caspl.trainers.coop import CoOp

    monkeypatch.setattr(CoOp, "shares_batches", False)
    statuses, said = two("CoOp", "base", "job", *QUIET)
    assert statuses == [2, 2] and said == (
        "error: CoOp trains in one process, and this job has 2 (WORLD_SIZE); start it without torchrun\n"
    )


@forks
def test_other_weights_on_another_machine(two, made, monkeypatch):
    def other(number):
        from caspl.trainers.prompt_trainer import PromptTrainer

        own = PromptTrainer.networks
        PromptTrainer.networks = lambda trainer: own(trainer) | ({"demo/student": "else"} if number else {})

    statuses, said = two("CoOp", "base", "job", *QUIET, before=other)
    assert statuses == [2, 2] and said == (
        "error: process 1 (RANK) does not have the CLIP of process 0; all machines of a job have to read the same files\n"
    )


# -------------------------------------------------------------------------------------------------------------- tested
@forks
@pytest.mark.slow
def test_what_learns_otherwise_or_nothing_is_tested_together(two, run, made, tmp_path):
    small = ("DATALOADER.TEST.BATCH_SIZE", "50", "DATALOADER.NUM_WORKERS", "0")
    cases = {
        "LinearProbe": SHORT[:4],
        "ZeroshotCLIP": ("--eval-only",),
        "CoOp": ("--eval-only", "--model-dir", str(tmp_path / "coop"), "--load-epoch", "2"),
    }
    assert run("CoOp", "base", "coop", *QUIET, "OPTIM.MAX_EPOCH", "2") == 0
    for name, keys in cases.items():
        assert run(name, "base", f"{name} one", *keys, *small) == 0
        assert two(name, "base", f"{name} two", *keys, *small) == ([0, 0], "")
        one, other = (read(tmp_path / f"{name} {each}") for each in ("one", "two"))
        assert one.result == other.result and one.predictions == other.predictions


@forks
def test_without_a_seed_all_draw_the_same(two, made, tmp_path):
    keys = [word for word in QUIET if word not in ("--seed", "1")]
    assert two("CoOp", "base", "job", *keys, "OPTIM.MAX_EPOCH", "1") == ([0, 0], "")


def test_alone_there_is_one():
    assert together.count() == 1
