import logging
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from caspl.ground import door
from caspl.ground.errors import InputError


def raising(error):
    def body():
        raise error

    return body


@pytest.mark.parametrize("given, status", [(None, 0), (0, 0), (1, 1)])
def test_a_body_gives_its_own_status(given, status, capsys):
    assert door.run(lambda: given) == status
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "error, status, sentence",
    [
        (InputError("the file\n  x is empty;\nfill it"), 2, "error: the file x is empty; fill it"),
        (
            FileNotFoundError(2, "No such file or directory", "x.pt"),
            2,
            "error: x.pt cannot be written or read .No such",
        ),
        (
            OSError(28, "No space left on device", "out"),
            2,
            "error: out cannot be .*No space left on device.; make room",
        ),
        (OSError(28, "No space left on device"), 2, "error: the output cannot be written .*make room"),
        (OSError(36, "File name too long", "n" * 300), 2, "error: n{300} cannot .*; choose a shorter name"),
        (IsADirectoryError(21, "Is a directory", b"photos"), 2, "error: photos cannot .*; name a file"),
        (FileNotFoundError("there is no model at x"), 2, "error: there is no model at x"),
        (OSError(12, "Cannot allocate memory"), 1, "error: not enough memory .*Cannot allocate memory.; use smaller"),
        (OSError(24, "Too many open files"), 2, "error: the output cannot .*; raise the limit of open files"),
        (PermissionError(13, "Permission denied", "x"), 2, "error: x cannot be .*; correct the permissions, or choose"),
        (OSError(40, "Too many levels of symbolic links", "x"), 2, "error: x cannot be .*; correct the links"),
        # what other libraries make of it
        (
            OSError("Caught OSError in worker\nTraceback (most recent call last):\n  x\nOSError: odd"),
            2,
            "^error: OSError: odd$",
        ),
        (
            RuntimeError("I/O error: No space left on device (os error 28)"),
            2,
            "error: I/O error: No space .*; make room",
        ),
        (RuntimeError("unable to open </torch_1>: Too many open files (24)"), 2, "error: unable .*; raise the limit"),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."),
            1,
            "error: a process that reads images",
        ),
        (ValueError("embedded null byte"), 2, "error: a path or name has a null character"),
        (
            UnicodeEncodeError("utf-8", "a\udcff", 1, 2, "surrogates not allowed"),
            2,
            r"error: 'a\\udcff' cannot be written",
        ),
        (KeyboardInterrupt(), 130, "interrupted"),
        (FloatingPointError("Loss is infinite or NaN in epoch 1"), 1, "error: Loss is infinite or NaN in epoch 1"),
        (MemoryError(), 1, "error: not enough memory; use smaller"),
        (
            ValueError("first\n\nmiddle\n  last"),
            1,
            r"error: unexpected ValueError: first ... last \(.*test_door.py, line \d+\); set CASPL_TRACE=1 .* report it",
        ),
        (ZeroDivisionError(), 1, "error: unexpected ZeroDivisionError: no message "),
        (
            ModuleNotFoundError("No module", name="yacs.config"),
            2,
            f"error: {sys.executable} has no package yacs.config; act",
        ),
        (ModuleNotFoundError("No module", name="caspl.x"), 1, "error: unexpected ModuleNotFoundError: No module "),
    ],
)
def test_every_exception_is_one_line(error, status, sentence, capsys):
    assert door.run(raising(error)) == status
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert re.search(sentence, err), err


def test_the_sentence_of_an_interruption_is_the_commands(capsys):
    assert door.run(raising(KeyboardInterrupt()), interrupted="the same command goes on") == 130
    assert capsys.readouterr().err == "the same command goes on\n"


@pytest.mark.parametrize("code, status", [(None, 0), (0, 0), (2, 2)])
def test_argparse_has_said_why(code, status, capsys):
    assert door.run(raising(SystemExit(code))) == status
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("value, shown", [("1", True), ("0", False), ("", False)])
def test_the_trace_is_shown_where_it_is_asked_for(value, shown, monkeypatch, capsys):
    monkeypatch.setenv("CASPL_TRACE", value)
    assert door.run(raising(ValueError("odd"))) == 1
    err = capsys.readouterr().err
    assert ("Traceback" in err) is shown and err.splitlines()[-1].startswith("error: unexpected ValueError: odd")


def test_the_trace_reaches_the_traces_logger_and_no_other(capsys):
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    door.TRACES.addHandler(handler)
    try:
        door.run(raising(ValueError("odd")))
        door.run(raising(InputError("a mistake")))
    finally:
        door.TRACES.removeHandler(handler)
    assert [record.exc_info[0] for record in records] == [ValueError] and not door.TRACES.propagate


# ---------------------------------------------------------------------------------------------------------------------
# In a process of its own
# ---------------------------------------------------------------------------------------------------------------------
ROOT = Path(__file__).parents[3]


def started(text, **streams):
    """A process that runs a program whose body is `body`, given in `text`, and says when it is ready."""
    program = f"import os, signal, sys, time\nfrom caspl.ground import door\n{text}"
    env = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT, "env": env} | streams
    return subprocess.Popen([sys.executable, "-c", program], **options)


RUN = "sys.exit(door.run(body, interrupted='the same command goes on'))\n"
PRINTING = f"def body(): print('x')\n{RUN}"


@pytest.mark.slow
def test_a_reader_that_has_gone_is_no_error():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as gone:
        process = started(PRINTING, stdout=gone)
        assert (process.communicate()[1], process.returncode) == ("", 0)


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    "body", ["print('x')", "print('x', flush=True)", "argparse.ArgumentParser().parse_args(['-h'])"]
)
def test_a_full_disk_is_one_sentence(body):
    with open("/dev/full", "wb") as full:
        process = started(f"import argparse\ndef body(): {body}\n{RUN}", stdout=full)
        errors = process.communicate()[1]
    assert process.returncode == 2
    assert errors.startswith("error: the output cannot be written") and errors.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_closed_stream_takes_nothing_and_no_file_takes_its_number(number):
    text = f"def body():\n    print('x'); print('y', file=sys.stderr); return open('/dev/null').fileno() <= 2\n{RUN}"
    process = started(text, preexec_fn=lambda: os.close(number))
    out, err = process.communicate()
    assert (out, err, process.returncode) == ("" if number == 1 else "x\n", "" if number == 2 else "y\n", 0)


WAIT = "    print('ready', flush=True); time.sleep(60)\n"
MOMENTS = {  # program, what it prints, status less 128 and the signal
    "imports": (f"door.watch()\nif True:\n{WAIT}", "interrupted\n"),
    "work": (f"def body():\n{WAIT}{RUN}", "the same command goes on\n"),
    "tidying, which a second one does not disturb": (
        f"""
def body():
    try:
    {WAIT}
    finally:
        os.kill(os.getpid(), signal.SIGINT); os.kill(os.getpid(), signal.SIGTERM); time.sleep(0.1)
        print('tidy', file=sys.stderr)
{RUN}""",
        "tidy\nthe same command goes on\n",
    ),
    "an error that follows from it": (
        f"""
def body():
    try:
    {WAIT}
    except KeyboardInterrupt:
        raise RuntimeError('a worker was killed')
{RUN}""",
        "the same command goes on\n",
    ),
    "a destructor, where Python drops exceptions": (
        f"""
class Thing:
    def __del__(self):
    {WAIT}
def body():
    Thing()
    time.sleep(60)
{RUN}""",
        "the same command goes on\n",
    ),
    "Python's own end": (
        f"""
import atexit
def late():
    try:
    {WAIT}
    finally:
        print('never')
atexit.register(late)
door.watch()
def body(): return 7
{RUN}""",
        "",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_in_a_sentence(moment, number):
    text, sentence = MOMENTS[moment]
    process = started(text)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (out, err) == ("", sentence)
    assert process.returncode == (7 if "own end" in moment else 128 + number)


@pytest.mark.slow
def test_a_package_that_is_missing_while_imports_are_watched():
    process = started("door.watch()\nimport package_that_nobody_has\n")
    out, err = process.communicate()
    assert (out, process.returncode) == ("", 2)
    assert err.startswith(f"error: {sys.executable} has no package package_that_nobody_has; activate")


@pytest.mark.slow
def test_an_ignored_signal_stays_ignored():
    process = started(
        f"door.watch()\ndef body(): os.kill(os.getpid(), signal.SIGHUP); return 5\n{RUN}",
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    assert (process.communicate()[1], process.returncode) == ("", 5)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_workers_of_a_loader_are_silent_and_leave_with_it(number):
    """The terminal sends Ctrl-C, a scheduler SIGTERM, to all processes of the group."""
    text = f"""
import torch
class Slow(torch.utils.data.Dataset):
    def __len__(self): return 1000
    def __getitem__(self, i): time.sleep(0.01); return i
def body():
    for i, _ in enumerate(torch.utils.data.DataLoader(Slow(), 2, num_workers=2)):
        if i == 5: print('ready', flush=True)
{RUN}"""
    process = started(text, start_new_session=True)
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == ("", "the same command goes on\n", 128 + number)
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["a thread", "a destructor"])
def test_traces_that_python_prints_by_itself_are_not_shown(where):
    text = f"""
import threading
class Thing:
    def __del__(self): 1 / 0
def body():
    {{"a thread": lambda: threading.Thread(target=lambda: 1 / 0).start(), "a destructor": Thing}}[{where!r}]()
    time.sleep(0.1)
{RUN}"""
    process = started(text)
    assert (*process.communicate(), process.returncode) == ("", "", 0)


COMMANDS = {
    "train.py": ["train.py"],
    "caspl": ["{folder}/caspl"],
    "python -m caspl": ["-m", "caspl"],
    **{
        f"caspl.{name}": ["-m", f"caspl.{name}"]
        for name in ("train", "datasets", "results", "results.report", "configs", "convert")
    },
}
WAITING = """
import sys, time
class Finder:
    def find_spec(self, *_):
        door = sys.modules.get("caspl.ground.door")
        if hasattr(door, "watch") and door._Watch.on:
            print("ready", flush=True)
            time.sleep(60)
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_commands_watch_while_they_import(name, tmp_path):
    """Python waits at the first import after the door watches; the test would wait for the words of a door that does not."""
    (tmp_path / "sitecustomize.py").write_text(WAITING)
    (tmp_path / "caspl").write_text("import sys\nfrom caspl.__main__ import main\nsys.exit(main())\n")
    process = subprocess.Popen(
        [sys.executable, *(word.format(folder=tmp_path) for word in COMMANDS[name]), "--help"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert (process.communicate(timeout=30)[1], process.returncode) == ("interrupted\n", 143)


def test_importing_a_command_takes_no_signal():
    assert not door._Watch.on and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
