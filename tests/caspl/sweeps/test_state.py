"""What a folder says of its run: finished, begun, made with these settings."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from caspl.results.records import FORMAT, VERSION, write
from caspl.sweeps import state
from caspl.sweeps.jobs import Job, Kind, Plan
from records_made import record

RESULT = "Evaluate on the *test* set\n=> result\n* total: 100\n* accuracy: 75.0%\n"


def job(folder, kind=Kind.TRAINING, needs="", settings="--seed 1"):
    return Job(str(folder), (), kind, str(needs), None if kind is Kind.TEST else 50, settings)


def trained(folder, log=RESULT, epoch=50, settings=None):
    """A folder as a run leaves it."""
    (folder / "learner").mkdir(parents=True)
    (folder / "learner" / f"model.pth.tar-{epoch}").touch()
    (folder / "resume.pth.tar").touch()
    (folder / "log.txt").write_text(log)
    if settings is not None:
        (folder / "settings.txt").write_text(f"{settings}\n")
    return folder


def test_what_is_no_file_is_no_log(tmp_path):
    os.mkfifo(tmp_path / "log.txt")
    assert state.finished(job(tmp_path)) is None
    assert state.finished(job(tmp_path / "nowhere")) is None


def test_a_training_is_finished_with_its_last_epoch_and_a_result(tmp_path):
    assert state.finished(job(trained(tmp_path / "well"))) == "75.0%"
    assert state.finished(job(trained(tmp_path / "no result", log=""))) is None
    assert state.finished(job(trained(tmp_path / "another epoch", epoch=10))) is None
    killed = trained(tmp_path / "killed in its second start")
    (killed / "log.txt-1999-12-31-00-00-00").write_text("some work\n")
    assert state.finished(job(killed)) is None and state.started(job(killed))
    (killed / "log.txt.bak").write_text("of an editor\n")
    (killed / "log.txt-1999-12-31-00-00-00").write_text(RESULT)
    assert state.finished(job(killed)) == "75.0%"


def test_settings_count_for_trainings_and_tests(tmp_path):
    same, other = (trained(tmp_path / name, settings=name) for name in ("same", "other"))
    for kind in Kind:
        (same / "boosting.safetensors").touch()
        (other / "boosting.safetensors").touch()
        assert state.finished(job(same, kind, settings="same")) == "75.0%"
        found = state.finished(job(other, kind, settings="same"))
        assert found == (None if kind in (Kind.TRAINING, Kind.TEST) else "75.0%")


def test_by_hand_nobody_writes_settings(tmp_path):
    assert state.finished(job(trained(tmp_path / "run", settings=""))) == "75.0%"


def test_boosting_prompts_are_enough_of_phase1(tmp_path):
    (tmp_path / "boosting.safetensors").touch()
    assert state.finished(job(tmp_path, Kind.BOOSTING)) == "-"
    assert state.finished(job(tmp_path, Kind.PHASE1)) is None


def test_a_test_is_of_the_model_that_is_there(tmp_path):
    model, test = trained(tmp_path / "model"), trained(tmp_path / "test")
    training, of_it = job(model), job(test, Kind.TEST, model)
    os.utime(test / "log.txt", (100, 100))
    os.utime(model / "learner" / "model.pth.tar-50", (100, 100))
    assert state.finished(of_it, training) == "75.0%"
    os.utime(model / "learner" / "model.pth.tar-50", (101, 101))  # trained again
    assert state.finished(of_it, training) is None
    (model / "learner" / "model.pth.tar-50").unlink()
    assert state.finished(of_it, training) is None
    assert state.finished(job(test, Kind.TEST)) == "75.0%"  # one without a model


def base_to_new(folder):
    boost, first, second = (folder / name for name in ("boost", "seed1", "seed2"))
    jobs = [job(boost, Kind.BOOSTING), job(first, needs=boost), job(second, needs=boost)]
    jobs.append(job(folder / "test1", Kind.TEST, first))
    return Plan(tuple(jobs))


def test_boosting_prompts_are_needed_by_what_is_not_finished(tmp_path):
    plan = base_to_new(tmp_path)
    trained(tmp_path / "seed1")
    assert state.unneeded(plan) == set()
    trained(tmp_path / "seed2")
    assert state.unneeded(plan) == {str(tmp_path / "boost")}


def test_what_a_dry_run_shows(tmp_path):
    plan = base_to_new(tmp_path)
    names = lambda: [(Path(job.folder).name, skipped) for job, skipped in state.listing(plan)]  # noqa: E731
    assert names() == [("boost", False), ("seed1", False), ("seed2", False), ("test1", False)]
    trained(tmp_path / "test1")  # of a model that is trained anew
    trained(tmp_path / "seed2")
    assert names() == [("boost", False), ("seed1", False), ("seed2", True), ("test1", False)]
    os.utime(trained(tmp_path / "seed1") / "learner" / "model.pth.tar-50", (0, 0))
    assert names() == [("seed1", True), ("seed2", True), ("test1", True)]


# ------------------------------------------------------------ records
def recorded(folder, log=RESULT, **changes):
    """A folder of a training with a record, written when it ended; the accuracy is 86.5%."""
    trained(folder, log=log)
    unfinished = {"result": None, "predictions": None} if changes.get("status", "finished") != "finished" else {}
    write(folder, record(**unfinished, **changes))
    return folder


def test_a_record_comes_first(tmp_path):
    assert state.finished(job(recorded(tmp_path / "both"))) == "86.5%"
    (tmp_path / "both" / "log.txt").unlink()
    assert state.finished(job(tmp_path / "both")) == "86.5%"
    assert state.finished(job(recorded(tmp_path / "alone", log=""))) == "86.5%"
    validation = recorded(tmp_path / "validation", **{"result.split": "val"})
    assert state.finished(job(validation)) is None
    for status in ("interrupted", "diverged", "refused", "failed"):  # after its result was printed, as by a full disk
        assert state.finished(job(recorded(tmp_path / status, status=status, reason="why"))) is None


def test_what_a_record_does_not_say_the_log_does(tmp_path):
    assert state.finished(job(recorded(tmp_path / "running", status="running"))) == "75.0%"
    assert state.finished(job(recorded(tmp_path / "killed", status="running", log="work\n"))) is None
    assert state.finished(job(recorded(tmp_path / "untested", result=None, predictions=None))) == "75.0%"
    altered = recorded(tmp_path / "altered")
    (altered / "run.json").write_text(
        (altered / "run.json").read_text().replace('"accuracy": 86.5', '"accuracy": 96.5')
    )
    assert state.finished(job(altered)) == "75.0%"
    for number, text in enumerate(["", "{", "[1]", '{"format": "caspl run", "version": 2}', '{"status": "finished"}']):
        folder = trained(tmp_path / f"damaged{number}")
        (folder / "run.json").write_text(text)
        assert state.finished(job(folder)) == "75.0%"
    for number, values in enumerate(['"x"', '{"split": "test"}', '{"split": "test", "accuracy": "1"}', "null"]):
        folder = trained(tmp_path / f"odd{number}", log="")
        (folder / "run.json").write_text(
            f'{{"format": "caspl run", "version": 1, "status": "finished", "result": {values}}}'
        )
        assert state.finished(job(folder)) is None


def test_a_later_log_is_of_another_run(tmp_path):
    folder = recorded(tmp_path / "run")
    later = folder / "log.txt-2030-01-01-00-00-00"
    later.write_text("some work\n")
    soon, late = (os.stat(folder / "run.json").st_mtime + seconds for seconds in (1, 60))
    os.utime(later, (late, late))
    assert state.finished(job(folder)) is None
    os.utime(later, (soon, soon))  # its own last lines
    assert state.finished(job(folder)) == "86.5%"


def test_a_test_is_as_old_as_its_record(tmp_path):
    model, test = trained(tmp_path / "model"), recorded(tmp_path / "test")
    (test / "log.txt").unlink()
    assert state.finished(job(test, Kind.TEST, model), job(model)) == "86.5%"
    os.utime(model / "learner" / "model.pth.tar-50", (2**32, 2**32))
    assert state.finished(job(test, Kind.TEST, model), job(model)) is None


@pytest.mark.parametrize("cost", [{}, {"started": 5, "ended": 6}, {"started": "soon", "ended": None}, [1]])
def test_seconds_of_a_run_whose_record_is_damaged(tmp_path, cost):
    values = {"format": FORMAT, "version": VERSION, "status": "finished", "cost": cost}
    (tmp_path / "run.json").write_text(json.dumps(values))
    assert state.seconds_of(str(tmp_path)) is None


def test_seconds_of_a_run(tmp_path):
    times = {"cost.started": "2026-01-31T09:30:00Z", "cost.ended": "2026-01-31T10:30:05Z"}
    folder = recorded(tmp_path / "run", **times)
    assert state.seconds_of(str(folder)) == 3605.0
    (folder / "log.txt-2026-01-31-09-30-00").touch()  # it was continued
    assert state.seconds_of(str(folder)) is None
    assert state.seconds_of(str(recorded(tmp_path / "other", status="running", **{"cost.ended": ""}))) is None
    assert state.seconds_of(str(tmp_path)) is None


@pytest.mark.parametrize("kind", [Kind.TRAINING, Kind.TEST])
def test_what_a_run_is_to_leave_besides_has_to_be_there(tmp_path, kind):
    wanted = replace(job(trained(tmp_path / "run"), kind), leaves=("features",))
    assert state.finished(wanted) is None
    (tmp_path / "run" / "features").touch()
    assert state.finished(wanted) == "75.0%"
