"""What the tests of the scripts put in the place of train.py: it notes its arguments and leaves what that would.

Environment: RECORD, the file for the arguments; FAIL, MISTAKE, DIVERGE and HANG, parts of the folders whose runs fail, refuse
what they were given, diverge, or never end; SLOW, seconds.
"""

import json
import os
import re
import sys
import time
from pathlib import Path

RESULT = "Evaluate on the *test* set\n=> result\n* total: 100\n* correct: 75\n* accuracy: 75.0%\n* error: 25.0%\n"


def note(event, words):
    with open(os.environ["RECORD"], "a") as file:
        file.write(json.dumps([event, words]) + "\n")


def log_file(folder):
    """As train.py: log.txt, then log.txt-<time>."""
    first = folder / "log.txt"
    stamp = f"{time.strftime('%Y-%m-%d-%H-%M-%S')}-{time.time_ns() % 10**9:09d}"
    return folder / f"log.txt-{stamp}" if first.exists() else first


def epochs(words, given):
    if "OPTIM.MAX_EPOCH" in words:
        return words[words.index("OPTIM.MAX_EPOCH") + 1]
    return re.search(r"MAX_EPOCH: (\d+)", Path(given["--config-file"]).read_text())[1]


def hits(variable, folder):
    return os.environ.get(variable, "nothing") in str(folder)


def main(words):
    note("start", words)
    note("devices", os.environ.get("CUDA_VISIBLE_DEVICES"))
    given = dict(zip(words[:-1], words[1:], strict=True))
    folder, trains = Path(given["--output-dir"]), "--eval-only" not in words
    folder.mkdir(parents=True, exist_ok=True)
    with open(log_file(folder), "x") as log:
        print("on the terminal of train.py")
        print("some work", file=log, flush=True)
        if trains:
            (folder / "resume.pth.tar").touch()
        if hits("FAIL", folder):
            print("the last words", file=sys.stderr)
            return 1
        if hits("MISTAKE", folder):
            print("error: resume.pth.tar is damaged; delete it", file=sys.stderr)
            return 2
        if hits("DIVERGE", folder):
            print("error: training has diverged in epoch 2 of 50: loss nan; try a lower OPTIM.LR", file=sys.stderr)
            return 1
        if hits("HANG", folder):
            note("pid", os.getpid())
            time.sleep(60)
        time.sleep(float(os.environ.get("SLOW", "0")))
        if trains:
            (folder / "learner").mkdir(exist_ok=True)
            (folder / "learner" / f"model.pth.tar-{epochs(words, given)}").touch()
        if given["--trainer"] == "CasPLBoost" and trains:
            (folder / "boosting.safetensors").touch()
        log.write(RESULT)
    note("end", words)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
