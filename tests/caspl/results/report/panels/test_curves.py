"""Courses of trainings from logs of this project and of the family's, resumed, repeated, cut and odd ones."""

import pytest

from caspl.results.report.panels.curves import Epoch, curves_of, epochs_of
from logs_made import put

OURS = "epoch [{}/3] batch [{}/2] time 0.1 (0.1) data 0.0 (0.0) loss {:.4f} ({:.4f}) acc 71.8 (71.8) lr {:.4e} eta 0:00:17\n"
DASSL_2021 = "epoch [{}/3][{}/2]\ttime 0.10 (0.10)\teta 0:00:10\tloss {:.4f} ({:.4f})\tacc 50.0 (50.0)\tlr {:.6e}\n"
LOGGER = "[2024-01-02 03:04:05,678][root][INFO] - " + OURS


def log(form=OURS, first=1, last=3, start=2.0):
    lines = [
        form.format(epoch, batch, 9.0, start - epoch / 10 - batch / 100, 0.002 / epoch)
        for epoch in range(first, last + 1)
        for batch in (1, 2)
    ]
    return "** Config **\n" + "".join(lines)


EXPECTED = [Epoch(1, 1.88, 0.002), Epoch(2, 1.78, 0.001), Epoch(3, 1.68, pytest.approx(0.002 / 3, rel=1e-4))]


@pytest.mark.parametrize("form", [OURS, DASSL_2021, LOGGER])
def test_the_last_mean_of_each_epoch_counts(tmp_path, form):
    put(tmp_path, "run", log(form))
    assert epochs_of(tmp_path / "run") == EXPECTED


def test_a_resumed_run_goes_on_where_it_was(tmp_path):
    put(tmp_path, "run", log(last=2))
    put(tmp_path, "run", log(first=3), "log.txt-2026-01-02-03-04-05")
    assert epochs_of(tmp_path / "run") == EXPECTED


def test_an_epoch_that_is_done_again_counts_as_it_was_done_last(tmp_path):
    put(tmp_path, "run", log(last=2, start=5.0) + log(first=2))
    assert [epoch.loss for epoch in epochs_of(tmp_path / "run")] == [4.88, 1.78, 1.68]


def test_a_run_that_begins_again_takes_the_place_of_the_first(tmp_path):
    put(tmp_path, "run", log(start=5.0))
    put(tmp_path, "run", log(), "log.txt-2026-01-02-03-04-05")
    assert epochs_of(tmp_path / "run") == EXPECTED


def test_of_several_losses_the_sum_counts(tmp_path):
    line = "epoch [1/9] batch [1/1] loss_kl 1.0 (3.0) loss 2.0 (4.0) lr 1e-3\n"
    put(tmp_path, "run", line + line.replace("[1/9]", "[2/9]").replace(" loss ", " xe_loss "))
    assert [epoch.loss for epoch in epochs_of(tmp_path / "run")] == [4.0, 3.0]


def test_what_is_no_number_is_no_point(tmp_path):
    put(tmp_path, "run", log().replace("1.7800", "nan"))
    assert [epoch.number for epoch in epochs_of(tmp_path / "run")] == [1, 2, 3]  # the batch before counts
    put(tmp_path, "other", log().replace("loss", "accuracy"))
    assert not epochs_of(tmp_path / "other") and not epochs_of(tmp_path / "nowhere")


def test_one_epoch_is_no_curve(tmp_path):
    put(tmp_path, "run", log(last=1))
    assert curves_of([("seed 1", tmp_path / "run")]) is None


def test_the_curves_fill_their_frame(tmp_path):
    put(tmp_path, "one", log())
    put(tmp_path, "two", log(last=2, start=3.0))
    curves = curves_of([("seed 1", tmp_path / "one"), ("seed 2", tmp_path / "two")])
    assert [trace.label for trace in curves.losses] == ["seed 1", "seed 2"]
    assert curves.losses[0].path.endswith("L100.0,100.0") and curves.losses[1].path == "M0.0,0.0L50.0,8.3"
    assert (curves.most, curves.least, curves.rate, curves.epochs) == ("2.88", "1.68", "0.002", 3)
    assert curves.rates == "M0.0,0.0L50.0,50.0L100.0,66.7"


def test_a_long_course_is_thinned_out(tmp_path):
    lines = "".join(f"epoch [{n}/5000] batch [1/1] loss 1.0 ({5000 / n:.4f}) lr 1e-3\n" for n in range(1, 5001))
    put(tmp_path, "run", lines)
    curves = curves_of([("one run", tmp_path / "run")])
    assert curves.losses[0].path.count("L") <= 121 and curves.losses[0].path.endswith("L100.0,100.0")
