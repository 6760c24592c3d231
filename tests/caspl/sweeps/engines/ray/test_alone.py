"""One machine without further set-up: Ray comes and goes with the sweep, and is neither seen nor heard."""

import os
import signal
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from caspl.sweeps.engines.worker import PACKAGES
from waiting import alive, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'caspl[sweep]'"),
]
SWEEP = """
import sys
from caspl.ground import door
from caspl.sweeps.engines import ray
from caspl.sweeps.engines.options import EngineOptions
from caspl.sweeps.jobs import Job, Kind, Plan

program, *folders = sys.argv[1:]
words = {"hangs": ("hang",), "wrong": ("fail=1", "says=the last words")}
jobs = [Job(f, (f, "trains=2", *words.get(f.split("/")[-1], ())), Kind.TRAINING, epoch=2) for f in folders]
options = EngineOptions("ray", gpus=("GPU-a", "GPU-b"), jobs_per_gpu=2, jobs=2)
sys.exit(door.run(lambda: ray.run(Plan(tuple(jobs)), [sys.executable, "-S", "-E", program], options, lambda: True)))
"""


@pytest.fixture
def machine():
    """Variables of a user; sockets have short paths."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("home", "tmp"):
            Path(folder, name).mkdir()
        tools = f"{os.path.dirname(sys.executable)}:/usr/bin:/bin"
        own = {"HOME": f"{folder}/home", "TMPDIR": f"{folder}/tmp", "PATH": tools, "PYTHONPATH": str(PACKAGES)}
        yield {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | own


def start(trial, machine, *names):
    return subprocess.Popen(
        [sys.executable, "-c", SWEEP, trial.program[-1], *(f"{trial.folder}/{name}" for name in names)],
        env=machine,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def left(machine):
    """Files in the home folder and the temporary one, but for the downloads of others."""
    return [path for name in ("HOME", "TMPDIR") for path in Path(machine[name]).rglob("*")]


def test_a_sweep(trial, machine):
    process = start(trial, machine, "run", "wrong")
    out, err = process.communicate(timeout=100)
    folder = trial.folder
    assert sorted(line[6:] for line in out.splitlines()) == [
        f"failed      -  {folder}/wrong",
        f"run     75.0%  {folder}/run",
    ]
    assert err.splitlines() == [
        f"{folder}/wrong failed: exit status 1",
        "    the last words",
        "",
        "1 of 2 runs failed; the same command tries them again:",
        f"    {folder}/wrong",
    ]
    assert process.returncode == 1 and {note.devices for note in trial.notes()} <= {"GPU-a", "GPU-b"}
    assert not left(machine)


@pytest.mark.parametrize("name, status", [("SIGINT", 130), ("SIGHUP", 143)])
def test_ctrl_c_ends_runs_and_ray(trial, machine, name, status):
    """As a terminal sends it, to the whole group; Ray's processes are in it."""
    process = start(trial, machine, "hangs")
    wait_for(trial.notes, 60)
    os.killpg(process.pid, getattr(signal, name))
    out, err = process.communicate(timeout=100)
    assert process.returncode == status and not out
    assert err == "interrupted; the same command skips what is finished and resumes what was under way\n"
    assert not alive(trial.notes()[0].process) and not left(machine)
    assert "KeyboardInterrupt" in (trial.folder / "hangs" / "stderr.txt").read_text()  # it was not killed
    with pytest.raises(ProcessLookupError):  # nobody of its process group
        os.killpg(process.pid, 0)
