"""What the tests of Ray run in the place of train.py: a training whose numbers depend on all of its epochs, and its test.

Arguments: FOLDER and words: `trains=3` (epochs of 0.05 s; after each it leaves where it is), `needs=FOLDER` (the training that
is tested), `kill=1` (after that epoch, unless it was resumed, the Ray worker is killed that it runs for; kill=always: it is
killed in any case), `hang=1` (after that epoch, unless it was resumed, it hangs until there is a file "go on"). The file NOTES
gets lines: start, folder, whether an earlier run there is still alive; end, folder, from when to when, the variables SEEN.
"""

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

SEEN = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "MINE", "RAY_MINE", "TMPDIR")
RESULT = "Evaluate on the *test* set\n=> result\n* accuracy: {}%\n"


def ray_worker(process):
    """The number of the worker of Ray that a process runs for."""
    while not Path(f"/proc/{process}/cmdline").read_bytes().startswith(b"ray::"):
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return process


def step(state):
    return hashlib.sha256(state.encode()).hexdigest()


def train(folder, options):
    kept = folder / "resume.pth.tar"
    epoch, state = json.loads(kept.read_text()) if kept.exists() else (0, folder.name)
    resumed = epoch > 0
    while epoch < int(options["trains"]):
        time.sleep(0.05)
        epoch, state = epoch + 1, step(state)
        kept.write_text(json.dumps([epoch, state]))
        if options.get("kill") == "always" or options.get("kill") == str(epoch) and not resumed:
            os.kill(ray_worker(os.getpid()), signal.SIGKILL)
            time.sleep(60)
        if str(epoch) == options.get("hang") and not resumed:
            (folder / "hangs").write_text(f"{os.getpid()}\n")
            while not (folder / "go on").exists():
                time.sleep(0.05)
    (folder / "learner").mkdir(exist_ok=True)
    (folder / "learner" / f"model.pth.tar-{epoch}").write_text(state)
    return state


def evaluate(options):
    (model,) = Path(options["needs"]).glob("learner/model.pth.tar-*")
    return step(model.read_text())


def before(folder):
    """Whether an earlier run in this folder is still alive."""
    number = folder / "process"
    alive = number.exists() and Path(f"/proc/{number.read_text()}/cmdline").exists()
    number.write_text(str(os.getpid()))
    return alive


def note(*facts):
    with open(os.environ["NOTES"], "a") as file:
        file.write(json.dumps(facts) + "\n")


def main(name, *words):
    options, begun = dict(word.partition("=")[::2] for word in words), time.monotonic()
    folder = Path(name)
    note("start", folder.name, before(folder))
    log = folder / ("log.txt" if not (folder / "log.txt").exists() else f"log.txt-{time.time_ns()}")
    state = train(folder, options) if "trains" in options else evaluate(options)
    log.write_text(RESULT.format(int(state, 16) % 1000 / 10))
    note("end", folder.name, begun, time.monotonic(), {name: os.environ.get(name) for name in SEEN})


if __name__ == "__main__":
    main(*sys.argv[1:])
