"""For tests that start processes: waiting for what they do, and whether they are there."""

import os
import subprocess
import time


def wait_for(condition, seconds=10):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"waited for {seconds} seconds"
        time.sleep(0.02)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        if not os.path.isdir("/proc/self"):
            return not subprocess.call(["kill", "-0", str(pid)], stderr=subprocess.DEVNULL)
        return False
