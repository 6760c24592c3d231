"""What the tests of the engines run in the place of train.py: it leaves what train.py would, and notes when it ran and where.

Arguments: FOLDER and words such as `trains=5` (epochs), `boosts`, `sleep=0.1`, `fail=1` (exit status), `says=TEXT` (on stderr),
`hang`, `hang=once` (not where it goes on), `silent` (no result), `ignores` (SIGINT), `child` (a process that outlives it).
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

RESULT = "Evaluate on the *test* set\n=> result\n* total: 100\n* correct: 75\n* accuracy: 75.0%\n* error: 25.0%\n"


def note(event, folder):
    """A line in the file NOTES; appended in one step, so that lines of several processes do not mix."""
    facts = [event, str(folder), os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES"), time.monotonic(), os.getcwd()]
    with open(os.environ["NOTES"], "a") as file:
        file.write(json.dumps(facts) + "\n")


def main(name, *words):
    options = dict(word.partition("=")[::2] for word in words)
    folder = Path(name)
    note("start", folder)
    if "ignores" in options:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    hangs = options.get("hang") == "once" and not (folder / "resume.pth.tar").exists() or options.get("hang") == ""
    log = folder / ("log.txt" if not (folder / "log.txt").exists() else f"log.txt-{time.time_ns()}")
    log.write_text("some work\n")
    if "trains" in options:
        (folder / "resume.pth.tar").touch()
    print("on the terminal of train.py")
    if "says" in options:
        print(options["says"].replace("|", "\n"), file=sys.stderr, flush=True)
    if "child" in options:
        code = "import time; print(flush=True); time.sleep(60)"
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        child.stdout.readline()  # before that a signal could be lost in Python's own beginning
        note("child", folder)
    time.sleep(60 if hangs else float(options.get("sleep", "0")))
    if "fail" in options:
        note("end", folder)
        return int(options["fail"])
    if "trains" in options:
        (folder / "learner").mkdir(exist_ok=True)
        (folder / "learner" / f"model.pth.tar-{options['trains']}").touch()
    if "boosts" in options:
        (folder / "boosting.safetensors").touch()
    if "silent" not in options:
        log.write_text("some work\n" + RESULT)
    note("end", folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
