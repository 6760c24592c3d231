"""The same log, whatever system, terminal or logger it passed through."""

import codecs

import pytest

from caspl.results.reading.runs import find_runs
from logs_made import made, put, result

FOLDER = "base2new/train_base/oxford_pets/shots_16/CoOp/vit_b16/seed1"
PLAIN = made(83.5, classes="base")
BAR = " 42%|████▏     | 8/19 [00:01<00:01,  7.2it/s]"


def stamped(stamp):
    return "".join(f"{stamp}{line}\n" for line in PLAIN.splitlines())


def messages(stamp):
    """Only the first line of what is logged at once has a stamp: results and the configuration are one message each."""
    return PLAIN.replace("** Config **", f"{stamp}** Config **").replace("=> result", f"{stamp}=> result").replace(
        "Evaluate on", f"{stamp}Evaluate on").replace("Finish training", f"{stamp}Finish training")  # fmt: skip


STAMPS = {
    "hydra": "[2026-01-02 03:04:05,678][__main__][INFO] - ",
    "logging": "2026-01-02 03:04:05,678 - root - INFO - ",
    "logging, short": "2026-01-02 03:04:05 INFO ",
    "basicConfig": "INFO:root:",
    "detectron2": "[01/02 03:04:05 dassl.engine]: ",
    "loguru": "2026-01-02 03:04:05.678 | INFO     | dassl.engine:test:45 - ",
    "time": "03:04:05 ",
    "brackets": "[2026-01-02T03:04:05Z] ",
}
FORMATS = {
    "as it is": PLAIN,
    "Windows": PLAIN.replace("\n", "\r\n"),
    "PowerShell": codecs.BOM_UTF16_LE + PLAIN.replace("\n", "\r\n").encode("utf-16-le"),
    "a mark of bytes": codecs.BOM_UTF8 + PLAIN.encode(),
    "Latin-1": PLAIN.replace("Ubuntu", "Übuntu").encode("latin-1"),
    "colours": "".join(f"\x1b[32m{line}\x1b[0m\n" for line in PLAIN.splitlines()),
    "a bar": PLAIN.replace("=> result", f"\r  0%|          | 0/19 [00:00<?, ?it/s]\r{BAR}\n=> result"),
    "a bar on the same line": PLAIN.replace("=> result", f"{BAR}=> result"),
    "blanks behind": PLAIN.replace("\n", "  \n"),
    "two decimals": made(83.5, classes="base", end="Do evaluation on test set\n=> result\n"
        "* total: 1,000\n* correct: 835\n* accuracy: 83.50%\n* error: 16.50%\n"),
    "no counts": made(83.5, classes="base", end="Evaluate on the *test* set\n=> result\n* accuracy: 83.50%\n"),
    "no asterisk": made(83.5, classes="base", end="Evaluate on the *test* set\naccuracy: 83.50%\n"),
    "results of classes behind": made(83.5, classes="base", end=result(83.5)
        + "=> per-class result\n* class: 0 (cat)\ttotal: 10\tcorrect: 1\tacc: 10.0%\n* average: 10.0%\n"),
} | {f"each line: {name}": stamped(stamp) for name, stamp in STAMPS.items()} | {
    f"each message: {name}": messages(stamp) for name, stamp in STAMPS.items()
}  # fmt: skip


@pytest.mark.parametrize("content", FORMATS.values(), ids=FORMATS)
def test_one_log_in_many_forms(tmp_path, content):
    put(tmp_path, FOLDER, content)
    (run,) = find_runs(tmp_path).runs
    assert (run.accuracy, run.classes, run.shots, run.seed, run.backbone) == (83.5, "base", 16, 1, "ViT-B/16")


@pytest.mark.parametrize("content", FORMATS.values(), ids=FORMATS)
def test_a_contradiction_is_seen_in_all_of_them(tmp_path, content):
    put(tmp_path, FOLDER.replace("seed1", "seed2"), content)
    found = find_runs(tmp_path)
    assert not found.runs and "SEED 1 where its folder says seed 2" in found.left_out[0][1]


NOT_RESULTS = {
    "accuracy of a batch": "epoch [1/50] batch [5/19] accuracy: 50.0%\n",
    "accuracy elsewhere": "best so far\n* accuracy: 50.0%\n",
    "per class": "=> per-class result\n* accuracy: 50.0%\n",
}


@pytest.mark.parametrize("text", NOT_RESULTS.values(), ids=NOT_RESULTS)
def test_what_is_no_result(tmp_path, text):
    put(tmp_path, FOLDER, made(80, classes="base", end=text))
    assert not find_runs(tmp_path).runs


ENDLESS = {
    "runs": "** Config **\n" * 20_000,
    "bars": " 5%|x|[a]" * 200_000,
    "brackets": "[INFO" * 300_000,
    "colours": "\x1b[32m%|[2026-" * 100_000,
    "configuration": "A:\n A:\n  A:\n" * 50_000,
    "loggers": "12:00:00 - INFO - INFO - a - a " * 30_000,
}


@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS)
def test_no_log_takes_long(tmp_path, text):
    """An expression that goes back over what it has read would take hours here."""
    put(tmp_path, FOLDER, text)
    assert not find_runs(tmp_path).runs
