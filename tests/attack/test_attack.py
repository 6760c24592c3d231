"""The attack sees what it is for, and a sample of it finds nothing."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from attack import attempts, doors, verdict
from attack.cases import Case

HERE = Path(__file__).resolve().parent


def good():
    print("error: case.yaml is wrong; correct it", file=sys.stderr)
    return 2


def trace():
    raise ZeroDivisionError("odd")


def hang():
    time.sleep(60)


def leave_a_file():
    Path("out").mkdir()
    Path("out", "log.txt").write_text("a log may stay")
    Path("left.txt").write_text("this may not")
    return good()


def leave_a_temporary_file():
    Path(os.environ["TMPDIR"], "x").write_text("")
    return good()


def change_a_file():
    Path("case.yaml").write_text("other")
    return good()


def start_a_program():
    try:
        subprocess.run(["true"], check=False)
    except OSError:
        return good()


def accept():
    return 0


def say_it_twice():
    good()
    return good()


def name_nothing():
    print("error: something is wrong", file=sys.stderr)
    return 2


def clear_the_terminal():
    print("error: case.yaml\x1b[2J is wrong", file=sys.stderr)
    return 2


def outgrow_the_memory():
    try:
        bytearray(2 * attempts.MEMORY)
    except MemoryError:
        return good()


def log_only():
    Path("out").mkdir()
    Path("out", "log.txt").write_text("")
    return good()


@pytest.mark.parametrize(
    "behaviour, seen",
    [
        (good, None),
        (log_only, None),
        (outgrow_the_memory, None),
        (trace, "Traceback"),
        (hang, "still running"),
        (leave_a_file, "left left.txt (new)"),
        (leave_a_temporary_file, "left tmp/x (new)"),
        (change_a_file, "left case.yaml (changed)"),
        (start_a_program, "turned to subprocess.Popen"),
        (accept, "exit status 0, expected 2; 0 error lines"),
        (say_it_twice, "2 error lines"),
        (name_nothing, "the sentence has none of case.yaml"),
        (clear_the_terminal, "control character"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_against_the_rule_is_seen(behaviour, seen, monkeypatch):
    fake = SimpleNamespace(module="fake", call=lambda argv: behaviour())
    monkeypatch.setitem(doors.DOORS, "fake", fake)
    case = Case("kind", "fake", "what", (), ("case.yaml",), lambda folder: (folder / "case.yaml").write_text("x"))
    (outcome,) = attempts.run([case], seconds=1 if behaviour is hang else 20)
    found = "; ".join(verdict.faults(outcome))
    assert (seen in found) if seen else not found


def test_a_case_that_cannot_be_prepared_is_no_refusal(monkeypatch):
    monkeypatch.setitem(doors.DOORS, "fake", SimpleNamespace(module="fake", call=lambda argv: good()))

    def fail(folder):
        raise ValueError("a mistake in the table")

    (outcome,) = attempts.run([Case("kind", "fake", "what", (), prepare=fail)])
    assert "could not be prepared" in verdict.faults(outcome)[0]


@pytest.mark.slow
def test_a_sample_finds_nothing():
    done = subprocess.run(
        [sys.executable, str(HERE), "--sample", "60", "--seed", "7", "--seconds", "120"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
