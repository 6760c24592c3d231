"""Collecting the demo's results from logs."""

import csv

import pytest

from caspl.errors import InputError
from caspl.results import harmonic_mean, main, read_accuracy

LOG = """  SUBSAMPLE_CLASSES: {subset}
Evaluate on the *test* set
=> result
* total: 1,000
* correct: {correct}
* accuracy: {percent:.1f}%
"""


def write(root, method, seed, **correct):
    for subset, hits in correct.items():
        folder = root / method / f"seed{seed}" / subset
        folder.mkdir(parents=True)
        (folder / "log.txt").write_text(LOG.format(subset=subset, correct=hits, percent=hits / 10))


def test_csv_table_and_figure(tmp_path, capsys):
    write(tmp_path, "clip_student", 1, base=500, new=250, all=300)
    write(tmp_path, "coop", 1, base=800, new=200, all=400)
    write(tmp_path, "coop", 2, base=900, new=300, all=500)
    assert main([str(tmp_path)]) == 0
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["method", "seed", "base", "new", "hm", "all"]
    assert rows[1] == ["CLIP student", "1", "50.00", "25.00", "33.33", "30.00"]
    assert rows[3] == ["CoOp", "2", "90.00", "30.00", "45.00", "50.00"]
    assert (tmp_path / "results.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "| CoOp         |       2 | 85.0 ± 5.0 | 25.0 ± 5.0 | 38.5 ± 6.5 | 45.0 ± 5.0 |" in printed


def test_the_newest_log_and_its_last_block_count(tmp_path):
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "log.txt").write_text(LOG.format(subset="base", correct=1, percent=0.1))
    import os

    os.utime(folder / "log.txt", (1, 1))
    (folder / "log.txt-2026-01-01-00-00-00").write_text(
        LOG.format(subset="base", correct=2, percent=0.2) + LOG.format(subset="base", correct="1,000", percent=100)
    )
    assert read_accuracy(folder, "base") == 100.0


def test_what_is_missing_is_named(tmp_path, capsys):
    assert main([str(tmp_path / "nowhere")]) == 2
    assert "no folder" in capsys.readouterr().err
    write(tmp_path, "coop", 1, base=1, new=2, all=3)
    (tmp_path / "coop" / "seed1" / "new" / "log.txt").write_text("SUBSAMPLE_CLASSES: new\nepoch 1\n")
    with pytest.raises(InputError, match="ends without a result"):
        read_accuracy(tmp_path / "coop" / "seed1" / "new", "new")
    with pytest.raises(InputError, match="tested base classes, but the folder is for all"):
        (tmp_path / "coop" / "seed1" / "all" / "log.txt").write_text(LOG.format(subset="base", correct=1, percent=1))
        text = (tmp_path / "coop" / "seed1" / "all" / "log.txt").read_text()
        assert "SUBSAMPLE" in text
        read_accuracy(tmp_path / "coop" / "seed1" / "all", "all")
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_harmonic_mean():
    assert harmonic_mean(82.69, 63.22) == pytest.approx(71.66, abs=0.01)
    assert harmonic_mean(0, 0) == 0
