import logging
import os
import re
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
        (KeyboardInterrupt(), 130, "interrupted"),
        (FloatingPointError("Loss is infinite or NaN in epoch 1"), 1, "error: Loss is infinite or NaN in epoch 1"),
        (MemoryError(), 1, "error: not enough memory; use smaller"),
        (
            ValueError("first\n\nmiddle\n  last"),
            1,
            r"error: unexpected ValueError: first ... last \(.*test_door.py, line \d+\); set CASPL_TRACE=1 .* report it",
        ),
        (ZeroDivisionError(), 1, "error: unexpected ZeroDivisionError: no message "),
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


def test_argparse_leaves_by_itself():
    with pytest.raises(SystemExit):
        door.run(raising(SystemExit(2)))


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


def command(body):
    return [sys.executable, "-c", f"import sys\nfrom caspl.ground import door\nsys.exit(door.run(lambda: {body}))"]


@pytest.mark.slow
def test_a_reader_that_has_gone_is_no_error():
    root = str(Path(__file__).parents[3])
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as gone:
        done = subprocess.run(
            command("print('x')"), cwd=root, stdout=gone, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_one_sentence():
    root = str(Path(__file__).parents[3])
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command("print('x')"), cwd=root, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr.startswith("error: the output cannot be written") and done.stderr.count("\n") == 1
