"""Whatever happens behind a command's door, its user sees one sentence."""

import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# Module, arguments, the name of what does the work there, and arguments with a mistake
DOORS = {
    "train": ("caspl.train", ["--trainer", "CoOp"], "setup_cfg", ["--config-file", "nothing.yaml"]),
    "caspl train": (
        "caspl.train",
        ["train", "--trainer", "CoOp"],
        "setup_cfg",
        ["train", "--config-file", "nothing.yaml"],
    ),
    "caspl datasets": (
        "caspl.datasets.__main__",
        ["datasets", "list", "--root", "."],
        "compare",
        ["datasets", "check", "Nothing", "--root", "."],
    ),
    "caspl predict": (
        "caspl.use.predict",
        ["predict", "run", "x.png"],
        "find_images",
        ["predict", "run", "nothing.png"],
    ),
    "caspl export": ("caspl.use.export", ["export", "run", "--onnx", "x"], "run", ["export", "nothing", "--onnx", "x"]),
    "caspl words": ("caspl.use.words", ["words", "x"], "run", ["words", "nothing"]),
    "caspl share": ("caspl.use.hub", ["share", "x", "--folder", "y"], "run", ["share", "nothing", "--folder", "y"]),
    "caspl sweep": (
        "caspl.sweeps.__main__",
        ["sweep", "phase1", "--datasets", "digits", "--dry-run"],
        "read",
        ["sweep", "phase1", "--datasets", "nothing"],
    ),
    "caspl store": ("caspl.ground.stores.__main__", ["store", "list", "."], "kept", ["store", "list", "nothing"]),
    "results": ("caspl.results.__main__", ["output"], "found_below", ["nothing"]),
    "report": ("caspl.results.report.__main__", ["output"], "found_below", ["nothing"]),
    "datasets": ("caspl.datasets.__main__", ["list", "--root", "."], "compare", ["check", "Nothing", "--root", "."]),
    "configs": ("caspl.configs.__main__", [], "names", None),
    "convert": (
        "caspl.checkpoints.convert",
        ["x", "--output", "y", "--student", "demo/student", "--dataset", "Digits"],
        "read_checkpoint",
        ["nothing", "--output", "y", "--student", "demo/student", "--dataset", "Digits"],
    ),
}


def enter(door, arguments, monkeypatch):
    """The exit status of a command in this process."""
    if door.startswith("caspl "):
        return importlib.import_module("caspl.__main__").main(arguments)
    monkeypatch.setattr(sys, "argv", ["command", *arguments])
    return importlib.import_module(DOORS[door][0]).main()


@pytest.fixture(autouse=True)
def away(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "error, status, start",
    [
        (ZeroDivisionError("odd"), 1, "error: unexpected ZeroDivisionError: odd ("),
        (
            OSError(30, "Read-only file system", "here"),
            2,
            "error: here cannot be written or read (Read-only file system)",
        ),
        (KeyboardInterrupt(), 130, "interrupted"),
        (
            BrokenPipeError(32, "Broken pipe"),
            1,
            "error: a process that reads images has ended ([Errno 32] Broken pipe)",
        ),
    ],
)
def test_what_nobody_expects_is_one_sentence(door, error, status, start, monkeypatch, capsys):
    module, arguments, name, _ = DOORS[door]

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(importlib.import_module(module), name, fail)
    assert enter(door, arguments, monkeypatch) == status
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith(start)


@pytest.mark.parametrize("door", [door for door, (*_, mistake) in DOORS.items() if mistake])
def test_a_mistake_is_one_sentence(door, monkeypatch, capsys):
    assert enter(door, DOORS[door][3], monkeypatch) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and "othing" in err and err.count("\n") == 1
    assert "unexpected" not in err


@pytest.mark.parametrize(
    "script", [*ROOT.glob("bench/**/*.py"), *ROOT.glob("scripts/*.py")], ids=lambda path: path.name
)
def test_scripts_go_through_the_door(script):
    text = script.read_text(encoding="utf-8")
    assert "__main__" not in text or text.endswith('if __name__ == "__main__":\n    sys.exit(door.run(main))\n')


@pytest.mark.parametrize("door", sorted(DOORS.keys() - {"configs"}))
def test_a_flag_that_there_is_not(door, monkeypatch, capsys):
    words = door.split()[1:]
    assert enter(door, [*words, "--nothing-like-it"], monkeypatch) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ") and said.err.count("\n") == 1 and "--help shows what there is" in said.err
