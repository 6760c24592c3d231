"""How the sweeps carry out their runs: skip, resume, failures, several at a time, Ctrl-C; with a train.py that pretends."""

import os
import re
import shutil
import signal
import time

import pytest

from waiting import alive, wait_for

pytestmark = pytest.mark.slow

BASE2NEW = ["--datasets", "digits", "--seeds", "1"]
COOP, CASPL = (f"digits/shots_16/{trainer}/digits/seed1" for trainer in ("CoOp", "CasPL_CoOp"))
RUNS = [
    f"base2new/train_base/{COOP}",
    f"base2new/test_new/{COOP}",
    "boost/digits/digits/seed1",
    f"base2new/train_base/{CASPL}",
    f"base2new/test_new/{CASPL}",
]


def told(done):
    """What the sweep says about its runs: (what happened, folder below out/)."""
    lines = re.findall(r"^\[ *\d+/\d+\] (\w+) +(\S+)  .*/out/(.*)$", done.stdout, re.MULTILINE)
    return [(word, folder) for word, _, folder in lines]


def test_runs_and_then_the_table(sweeps):
    done = sweeps("base2new", *BASE2NEW)
    assert done.returncode == 0 and not done.stderr
    assert sweeps.started() == RUNS
    lines = done.stdout.splitlines()
    assert lines[0] == f"[1/5] run     75.0%  {sweeps.folder}/out/{RUNS[0]}"
    assert told(done) == [("run", folder) for folder in RUNS]
    assert lines[5:] == ["", "THE TABLE"]
    assert "terminal" not in done.stdout  # train.py's own output is in log.txt
    assert "THE TABLE" not in sweeps("base2new", *BASE2NEW, "--no-table").stdout


def test_what_is_finished_is_skipped(sweeps):
    sweeps("base2new", *BASE2NEW, "--trainers", "CoOp")
    done = sweeps("base2new", *BASE2NEW)
    assert told(done) == [("skip", folder) for folder in RUNS[:2]] + [("run", folder) for folder in RUNS[2:]]
    assert "[1/5] skip    75.0%" in done.stdout
    assert len(sweeps.started()) == len(RUNS)
    dry = sweeps("base2new", *BASE2NEW, "--dry-run")
    assert dry.stdout.startswith("python -m caspl.results") and dry.stderr.count("skip ") == 4


def test_what_was_run_by_hand_is_skipped_too(sweeps):
    sweeps("base2new", *BASE2NEW)
    for file in (sweeps.folder / "out").rglob("settings.txt"):
        file.unlink()
    assert {word for word, _ in told(sweeps("base2new", *BASE2NEW))} == {"skip"}


def test_phase1_is_not_repeated_for_finished_models(sweeps):
    sweeps("base2new", *BASE2NEW)
    (sweeps.folder / "out" / RUNS[2] / "boosting.safetensors").unlink()
    assert RUNS[2] not in dict.fromkeys(folder for _, folder in told(sweeps("base2new", *BASE2NEW)))
    done = sweeps("base2new", *BASE2NEW[:-1], "1 2")  # a new seed needs it
    assert ("resume", RUNS[2]) in told(done)


def test_boosting_prompts_are_enough_of_phase1(sweeps):
    folder = sweeps.folder / "out" / RUNS[2]
    folder.mkdir(parents=True)
    (folder / "boosting.safetensors").touch()
    assert ("skip", RUNS[2]) in told(sweeps("base2new", *BASE2NEW))
    done = sweeps("base2new", *BASE2NEW, "--trainers", "CasPLBoost")
    assert ("run", RUNS[2]) in told(done)  # its tests need the model


@pytest.mark.parametrize("what", ["checkpoint", "result"])
def test_what_has_crashed_is_resumed(sweeps, what):
    sweeps("base2new", *BASE2NEW, "--trainers", "CoOp")
    training = sweeps.folder / "out" / RUNS[0]
    if what == "checkpoint":  # another one than that of the last epoch
        (training / "learner" / "model.pth.tar-50").rename(training / "learner" / "model.pth.tar-10")
    else:  # a second start that was killed
        (training / "log.txt-1999-12-31-00-00-00").write_text("some work\n")
    words = dict(map(reversed, told(sweeps("base2new", *BASE2NEW, "--trainers", "CoOp"))))
    # the test is repeated where its model was written anew
    assert words == {RUNS[0]: "resume", RUNS[1]: "run"}
    assert sweeps.started()[2:] == RUNS[:2]


def test_validation_results_are_none(sweeps):
    sweeps("base2new", *BASE2NEW, "--trainers", "CoOp")
    log = sweeps.folder / "out" / RUNS[0] / "log.txt"
    log.write_text(log.read_text().replace("*test*", "*val*"))
    assert told(sweeps("base2new", *BASE2NEW, "--trainers", "CoOp"))[0] == ("resume", RUNS[0])


def test_other_settings_are_not_taken_for_finished(sweeps):
    choice = [*BASE2NEW, "--trainers", "CoOp"]
    sweeps("base2new", *choice)
    words = [word for word, _ in told(sweeps("base2new", *choice, "--", "OPTIM.LR", "0.1"))]
    assert words == ["resume", "run"]  # train.py refuses to go on with another configuration
    moved = sweeps.folder / "moved"
    (sweeps.folder / "out").rename(moved)  # where it lies is no setting
    done = sweeps("base2new", *choice, "--output", moved, "--root", sweeps.checkout, "--", "OPTIM.LR", "0.1")
    assert done.stdout.count("skip ") == 2


def test_one_failure_among_several(sweeps):
    done = sweeps("base2new", *BASE2NEW, "--trainers", "ZeroshotCLIP CoOp CasPL_CoOp", FAIL="boost/")
    assert done.returncode == 1
    assert told(done)[-5:] == [
        ("run", RUNS[0]),
        ("run", RUNS[1]),
        ("failed", RUNS[2]),
        ("failed", RUNS[3]),
        ("failed", RUNS[4]),
    ]
    folder = f"{sweeps.folder}/out"
    assert f"{folder}/{RUNS[2]} failed: exit status 1\n    the last words\n" in done.stderr
    assert f"{folder}/{RUNS[3]} failed: it needs {folder}/{RUNS[2]}, which failed\n" in done.stderr
    end = done.stderr[done.stderr.index("3 of 7 runs failed; the same command tries them again:") :]
    assert end.splitlines()[1:] == [f"    {folder}/{name}" for name in RUNS[2:]]
    assert "THE TABLE" in done.stdout  # of what there is
    assert told(sweeps("base2new", *BASE2NEW))[2] == ("resume", RUNS[2])


def test_trying_a_mistake_again_is_not_promised_to_help(sweeps):
    done = sweeps("base2new", *BASE2NEW, MISTAKE="train_base", FAIL="boost/")
    folder = f"{sweeps.folder}/out"
    assert done.returncode == 1
    assert f"{folder}/{RUNS[0]} failed: exit status 2\n    error: resume.pth.tar is damaged; delete it\n" in done.stderr
    end = done.stderr[done.stderr.index("5 of 5 runs failed") :].splitlines()
    assert end == [
        "5 of 5 runs failed; the same command tries them again, those marked * in vain until what they say is corrected:",
        f"    {folder}/{RUNS[0]} *",
        *(f"    {folder}/{name}" for name in RUNS[1:]),
    ]


def test_a_training_that_diverges_fails_and_would_again(sweeps):
    done = sweeps("base2new", *BASE2NEW, DIVERGE="train_base")
    assert done.returncode == 1 and "error: training has diverged in epoch 2 of 50: loss nan" in done.stderr
    assert f"    {sweeps.folder}/out/{RUNS[0]} *" in done.stderr.splitlines()
    assert told(sweeps("base2new", *BASE2NEW))[0][0] in ("run", "resume")


def test_several_at_a_time(sweeps):
    choice = ["--datasets", "digits", "--trainers", "CoOp", "--seeds", "1 2 3 4", "--jobs", "4"]
    start = time.time()
    done = sweeps("base2new", *choice, SLOW="0.8")
    assert done.returncode == 0 and len(sweeps.events("end")) == 8
    assert time.time() - start < 5  # and not 6.4
    by_time = sweeps.started()
    for seed in "1234":  # no test before its training
        own = [folder for folder in by_time if folder.endswith(seed)]
        assert [folder.split("/")[1] for folder in own] == ["train_base", "test_new"]


def test_each_run_gets_a_gpu(sweeps, tmp_path):
    slots = {"CASPL_SLOTS": str(tmp_path / "slots"), "CUDA_VISIBLE_DEVICES": "4,GPU-5a"}
    choice = ["--datasets", "digits", "--trainers", "CoOp", "--seeds", "1 2", "--gpus"]
    done = sweeps("base2new", *choice, "0 1", SLOW="0.5", **slots)
    assert done.returncode == 0 and len(told(done)) == 4 and set(sweeps.events("devices")) == {"4", "GPU-5a"}
    done = sweeps("base2new", *choice, "1 2", **slots)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith(
        "error: --gpus has 2, but CUDA_VISIBLE_"
    )
    assert len(done.stderr.splitlines()) == 1


def test_two_sweeps_share_the_work(sweeps):
    processes = [sweeps.start("base2new", *BASE2NEW, SLOW="0.2") for _ in range(2)]
    outputs = [process.communicate(timeout=30) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert sorted(sweeps.started()) == sorted(RUNS)  # each once


@pytest.mark.parametrize("whom", ["everybody", "the script"])
def test_ctrl_c(sweeps, whom):
    process = sweeps.start("base2new", *BASE2NEW, "--trainers", "CoOp,KgCoOp", "--jobs", "2", HANG="train_base")
    wait_for(lambda: len(sweeps.events("pid")) == 2)
    (os.killpg if whom == "everybody" else os.kill)(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors == "interrupted; the same command skips what is finished and resumes what was under way\n"
    assert not output
    wait_for(lambda: not any(map(alive, sweeps.events("pid"))))
    assert len(sweeps.started()) == 2  # nothing was started after it
    assert told(sweeps("base2new", *BASE2NEW))[0] == ("resume", RUNS[0])


def test_ctrl_c_in_the_demo(sweeps, tmp_path):
    sweeps.checkout = shutil.copytree(sweeps.checkout, tmp_path / "checkout", symlinks=True)
    process = sweeps.start("demo", HANG="digits_teacher")
    wait_for(lambda: len(sweeps.events("pid")) == 2)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130 and len(sweeps.started()) == 2
