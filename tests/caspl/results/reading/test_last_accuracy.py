"""The last accuracy of a log, which is read from its end."""

import pytest

from caspl.results.reading import logs

RESULT = "Evaluate on the *test* set\n=> result\n* total: 100\n* accuracy: 75.0%\n"


@pytest.mark.parametrize(
    "log, accuracy",
    [
        (RESULT, "75.0%"),
        ("", None),
        ("some work\n", None),
        ("* accuracy: 12.5%\n", "12.5%"),
        (RESULT.replace("test", "val"), None),
        (RESULT + RESULT.replace("75", "80") + "Elapsed: 0:00:01\n", "80.0%"),
        (RESULT + RESULT.replace("test", "val").replace("75", "80"), "75.0%"),
        (RESULT.replace("test", "val") + RESULT.replace("75", "80"), "80.0%"),
        ("Do evaluation on val set\n=> result\n* accuracy: 80.0%\n", None),
        ("Evaluate on the *test* set\n* macro_f1: 80.0%\n", None),
        (" * accuracy: 75.0%\n", None),
        (RESULT.rstrip("\n"), "75.0%"),
    ],
)
def test_accuracy_is_the_last_one_on_test_images(tmp_path, log, accuracy):
    path = tmp_path / "log.txt"
    path.write_text(log)
    assert logs.last_accuracy(path) == accuracy


@pytest.mark.parametrize("block", [1, 2, 7, 30, 64])
def test_lines_may_lie_across_blocks(tmp_path, monkeypatch, block):
    monkeypatch.setattr(logs, "BLOCK", block)
    path = tmp_path / "log.txt"
    path.write_text(
        RESULT + "x" * 500 + "* accuracy: 99.0%\n" + RESULT.replace("test", "val").replace("75", "80") + "y" * 90
    )
    assert logs.last_accuracy(path) == "75.0%"


def test_of_a_long_log_the_end_is_read(tmp_path):
    path = tmp_path / "log.txt"
    with path.open("w") as file:
        file.truncate(2**36)  # a hole: nobody reads all of it
        file.seek(2**36)
        file.write("\n" + RESULT + "some more\n" * 10_000)
    assert logs.last_accuracy(path) == "75.0%"
