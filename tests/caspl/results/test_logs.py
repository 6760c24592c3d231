"""Logs and folders that nobody trained: what is impossible is named and left out, and names do nothing where they are shown."""

import csv
import os

import pytest

from caspl.ground.texts import in_markdown
from caspl.results.__main__ import main
from caspl.results.reading import text
from caspl.results.reading.logs import read_logs

PLACE = "{dataset}/{trainer}/{config}_16shots/seed{seed}"


def result(total="1,000", correct="900", accuracy="90.0", end="* error: 10.0%\n"):
    counts = "" if total is None else f"* total: {total}\n* correct: {correct}\n"
    return f"Evaluate on the *test* set\n=> result\n{counts}* accuracy: {accuracy}%\n{end}"


def write(top, text, dataset="dtd", trainer="CoOp", config="vit", seed=1, name="log.txt"):
    folder = top / PLACE.format(dataset=dataset, trainer=trainer, config=config, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    content = text if isinstance(text, bytes) else text.encode()
    (folder / name).write_bytes(content)
    return folder / name


@pytest.fixture
def run(tmp_path, capsys):
    """Status, output, and what is left out."""

    def run(*options):
        status = main([str(tmp_path), *options])
        shown = capsys.readouterr()
        return status, shown, [line for line in shown.err.splitlines() if line.startswith("left out: ")]

    return run


IMPOSSIBLE = {
    "no images": (result("0", "0", "0.0"), "it counts 0 correct images of 0, which is impossible"),
    "more than all": (result("900", "1,000", "90.0"), "it counts 1,000 correct images of 900, which is impossible"),
    "below zero": (result("1,000", "-3", "-0.3"), "its accuracy is -0.3%, expected 0 to 100"),
    "above a hundred": (result(None, accuracy="120"), "its accuracy is 120%, expected 0 to 100"),
    "no number": (result(None, accuracy="nan"), "its accuracy is nan%, expected 0 to 100"),
    "two points": (result(None, accuracy="1.2.3"), "its accuracy is 1.2.3%"),
    "exponent": (result(None, accuracy="1e1"), "its accuracy is 1e1%"),
    "400 digits": (result("9" * 400, "1", "0.0"), f"it counts 1 correct images of {'9' * 40}, expected numbers"),
    "thousands of digits": (result("1", "9" * 5000, "90.0"), "expected numbers"),
    "digits of accuracy": (result(None, accuracy="9" * 5000), f"its accuracy is {'9' * 40}%"),
    "two accuracies": (result("1,000", "900", "80.0"), "it counts 900 correct images of 1,000 and prints an accuracy of 80.0%"),
    "other digits": (result("١٠", "٩", "90.0"), "expected numbers"),
}  # fmt: skip


@pytest.mark.parametrize("content, said", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_impossible_logs_are_named_and_left_out(tmp_path, run, content, said):
    path = write(tmp_path, content, seed=2)
    write(tmp_path, result())
    status, shown, (warning,) = run("--format", "csv")
    assert status == 0 and warning.startswith(f"left out: {path}: ") and said in warning
    assert [row["seed"] for row in csv.DictReader(shown.out.splitlines())] == ["1"] and "unfinished" not in shown.err


def test_an_older_possible_log_counts(tmp_path, run):
    write(tmp_path, result())
    write(tmp_path, result("0", "0"), name="log.txt-2024-01-01-00-00-00")
    status, shown, (warning,) = run("--format", "csv")
    assert "90.0000" in shown.out and "log.txt-2024" in warning


def test_what_is_no_file_or_may_not_be_read(tmp_path, run):
    pipe = write(tmp_path, "", seed=2)
    pipe.unlink()
    os.mkfifo(pipe)
    write(tmp_path, os.urandom(100_000), seed=3)
    write(tmp_path, b"\xff\xfe" + result().encode("utf-16-le"), seed=4)
    write(tmp_path, result())
    status, shown, left_out = run("--format", "csv")
    assert status == 0 and left_out == [f"left out: {pipe}: it is a named pipe, expected a file"]
    assert shown.err.count("unfinished: ") == 1 and shown.out.count("\n") == 3


def test_no_possible_log_is_a_mistake(tmp_path, run):
    write(tmp_path, result("0", "0"))
    status, shown, left_out = run()
    assert status == 2 and len(left_out) == 1 and "no results below" in shown.err


def test_of_a_long_log_the_two_ends_are_read(tmp_path, monkeypatch):
    path = write(tmp_path, "DATASET:\n  SUBSAMPLE_CLASSES: base\n" + "loss 1.0\n" * 10_000 + result())
    (whole,) = read_logs(path)
    monkeypatch.setattr(text, "PART_BYTES", 1000)
    assert read_logs(path) == [whole] and (whole.accuracy(), whole.classes) == (90, "base")


def test_lines_without_end_take_no_time(tmp_path):
    """An expression that goes back over what it has read would take hours here."""
    path = write(tmp_path, "MODEL:\n  BACKBONE:\n   " + " " * 300_000 + "x" + result().replace("\n", " "))
    (log,) = read_logs(path)
    assert log.accuracy() is None


HOSTILE = r"a|b`c`<b>[d](e)$\frac&%#_{~^" + "\x1b[2J\u202e\r"


def test_names_do_nothing_where_they_are_shown(tmp_path, run):
    write(tmp_path, result(), dataset=HOSTILE, config="=1+1")
    write(tmp_path, result(), dataset="@SUM(1)")
    write(tmp_path, result(None, accuracy="nan"), dataset="@SUM(1)", config="x\x1b[2J")
    (tmp_path / "else\x1b[2J").mkdir()
    (tmp_path / "else\x1b[2J" / "log.txt").write_text(result())
    status, shown, _ = run()
    assert status == 0 and (shown.out + shown.err).replace("\n", "").isprintable()
    markdown, latex = ((tmp_path / f"results.{kind}").read_text() for kind in ("md", "tex"))
    assert in_markdown(HOSTILE) in markdown and "|b" not in markdown.replace("\\|", "")
    assert (markdown + latex).replace("\n", "").isprintable()
    assert r"a|b`c`\ensuremath{<}b\ensuremath{>}[d](e)\$\textbackslash{}frac\&\%\#\_\{\textasciitilde{}" in latex
    rows = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
    assert [(row["dataset"][:2], row["config"]) for row in rows] == [("'@", "vit"), ("a|", "'=1+1")]
    assert (tmp_path / "few_shot.png").stat().st_size > 1000


def test_numbers_of_folders_are_bounded(tmp_path, run):
    write(tmp_path, result())
    write(tmp_path, result(), seed="9" * 200)
    status, shown, _ = run("--format", "csv")
    assert status == 0 and "not read, in no known layout" in shown.err and shown.out.count("\n") == 2
