"""From a plan to the queue, with an sbatch that only pretends: what is printed, submitted, carried out, and refused."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from caspl.ground.errors import InputError
from caspl.sweeps.engines.options import EngineOptions
from caspl.sweeps.engines.slurm import run
from caspl.sweeps.engines.slurm.__main__ import main
from caspl.sweeps.jobs import Kind, Plan
from waiting import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(tmp_path_factory, monkeypatch):
    """A folder of commands with the sbatch, and what it was given."""
    folder = tmp_path_factory.mktemp("cluster")
    stand_in = Path(__file__).parent / "pretended_sbatch.py"
    (folder / "sbatch").write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "{stand_in}" "$@"\n')
    (folder / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SUBMITTED", str(folder / "notes"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    return folder


def submitted(cluster):
    notes = cluster / "notes"
    return [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []


def squeue(cluster, *tasks):
    """From now on the queue holds these tasks."""
    (cluster / "squeue").write_text("#!/bin/sh\nprintf '%s\\n' " + " ".join(["1_0", *tasks]) + "\n")
    (cluster / "squeue").chmod(0o755)


def plan(trial, **words):
    """Two phases 1 and what needs them; `words` go to the job of the name."""
    jobs = []
    for data in "ab":
        boost, train = f"boost-{data}", f"train-{data}"
        jobs.append(trial.job(boost, "boosts", *words.get(boost.replace("-", "_"), ()), kind=Kind.BOOSTING))
        jobs.append(trial.job(train, needs=boost))
        jobs.append(trial.test(f"new-{data}", needs=train))
        jobs.append(trial.test(f"base-{data}", needs=train))
    return Plan((*jobs, trial.job("plain"), trial.test("plain-new", needs="plain")))


def go(trial, whole=None, **options):
    options = {"output": str(trial.folder), "submit": True, "ending": (("echo", "THE TABLE"),), **options}
    return run(whole or plan(trial), trial.program, EngineOptions("slurm", **options), shows_the_table)


def shows_the_table():
    print("THE TABLE")
    return True


def folder_of(trial):
    return next((trial.folder / "sweep-slurm").iterdir())


def test_without_submit_all_is_printed_and_can_be_run(trial, cluster, capfd):
    assert go(trial, submit=False, sbatch="--partition=gpu --time=8:00:00") == 0
    told = capfd.readouterr()
    assert not submitted(cluster) and not trial.notes()
    assert "#SBATCH --partition=gpu\n#SBATCH --time=8:00:00\n" in told.out and "--array=0-1 " in told.out
    command = re.search("give `(.*?)`", told.err)[1]
    assert f"10 runs as {len(re.findall('^add .*--array', told.out, re.MULTILINE))} arrays" in told.err
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True, cwd="/")
    calls = submitted(cluster)
    assert done.stdout.startswith("10 runs in the queue: 101 102 ") and len(calls) == 7
    assert all({"#SBATCH --partition=gpu", "#SBATCH --time=8:00:00"} <= set(call["head"]) for call in calls)
    assert all(call["given"]["chdir"] == os.getcwd() for call in calls)
    assert go(trial, submit=False, sbatch="--partition=gpu --time=8:00:00") == 0
    assert len(list((trial.folder / "sweep-slurm").iterdir())) == 1  # the same sweep again


def test_dependencies_name_arrays_in_the_queue(trial, cluster):
    assert go(trial) == 0
    calls = {call["given"]["job-name"].removeprefix("caspl-"): call for call in submitted(cluster)}
    number = {name: call["number"] for name, call in calls.items()}
    waits = {name: call["given"].get("dependency") for name, call in calls.items()}
    assert waits["phase1"] is None and waits["training"] is None  # training: the plain one
    assert waits["training-2"] == f"aftercorr:{number['phase1']}"
    assert waits["test"] in (f"aftercorr:{number['training']}", f"aftercorr:{number['training-2']}")
    assert waits["table"] == "afterany:" + ":".join(str(number[name]) for name in list(number)[:-1])
    assert "#SBATCH --kill-on-invalid-dep=yes" in calls["training-2"]["head"]
    assert "#SBATCH --requeue" in calls["phase1"]["head"] and "#SBATCH --gres=gpu:1" in calls["phase1"]["head"]
    assert "#SBATCH --gres=gpu:1" not in calls["table"]["head"]


@pytest.mark.parametrize(("jobs", "pack", "ends"), [(None, 2, ""), (3, 1, "%3"), (4, 2, "%2"), (1, 2, "%1")])
def test_the_most_at_a_time(trial, capfd, jobs, pack, ends):
    go(trial, submit=False, jobs=jobs, jobs_per_gpu=pack)
    assert all(end == ends for end in re.findall(r"--array=[\d,-]+(\S*)", capfd.readouterr().out))
    tasks = json.loads((folder_of(trial) / "order.json").read_text())["arrays"].values()
    assert max(len(runs) for array in tasks for runs in array.values()) == min(pack, jobs or pack)


def test_a_failure_stops_what_needs_it_and_nothing_else(trial, cluster, monkeypatch):
    monkeypatch.setenv("EXECUTE", "1")
    assert go(trial, plan(trial, boost_a=["fail=2", "says=error: no"])) == 0
    assert sorted(trial.started()) == ["base-b", "boost-a", "boost-b", "new-b", "plain", "plain-new", "train-b"]
    table = next(folder_of(trial).glob("table-*.txt")).read_text()
    assert submitted(cluster)[-1]["states"] == {"": "FAILED"}
    here = trial.folder
    for line in (
        "THE TABLE",
        f"{here}/boost-a failed: exit status 2",
        f"{here}/new-a failed: it needs {here}/train-a, which failed",
        "4 of 10 runs failed; the same command tries them again, those marked * in vain until what they say is corrected:",
        f"    {here}/boost-a *",
        f"    {here}/train-a",
    ):
        assert line in table.splitlines()
    log = (folder_of(trial) / "logs" / "caspl-phase1-101_0.txt").read_text()
    assert log.splitlines() == [
        f"failed      -  {here}/boost-a",
        f"{here}/boost-a failed: exit status 2",
        "    error: no",
    ]


def test_all_goes_well_then_all_is_finished(trial, cluster, monkeypatch, capfd):
    monkeypatch.setenv("EXECUTE", "1")
    go(trial)
    assert submitted(cluster)[-1]["states"] == {"": "COMPLETED"}
    assert next(folder_of(trial).glob("table-*.txt")).read_text() == "THE TABLE\n"
    assert len(trial.started()) == 10 and (trial.folder / "train-a" / "settings.txt").exists()
    capfd.readouterr()
    assert go(trial) == 0
    assert capfd.readouterr() == (
        "THE TABLE\n",
        "8 runs finished already, left out\n",
    )  # and phases 1, which nobody needs
    (trial.folder / "new-a" / "log.txt").unlink()
    assert go(trial) == 0 and trial.started()[10:] == ["new-a"]


def test_runs_side_by_side_share_a_task(trial, cluster, monkeypatch):
    monkeypatch.setenv("EXECUTE", "1")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert go(trial, plan(trial, boost_a=["fail=1", "sleep=0.3"], boost_b=["sleep=0.3"]), jobs_per_gpu=2) == 0
    assert "train-b" in trial.started() and "train-a" not in trial.started()  # of one task, after phases 1 of one task
    (first, second) = [note.at for note in trial.notes("start") if note.folder.startswith("boost")]
    assert abs(first - second) < 0.3
    assert f"{trial.folder}/train-a failed: it needs" in next(folder_of(trial).glob("table-*.txt")).read_text()


def test_what_is_in_the_queue_is_not_submitted_again(trial, cluster, capfd):
    go(trial)
    numbers = {call["given"]["job-name"]: call["number"] for call in submitted(cluster)}
    phase1, training = numbers["caspl-phase1"], numbers["caspl-training-2"]
    squeue(cluster, f"{phase1}_0", f"{phase1}_1", f"{training}_1", "table")
    capfd.readouterr()
    assert go(trial) == 0
    assert "3 runs in the queue already, left out" in capfd.readouterr().err
    again = {call["given"]["job-name"].removeprefix("caspl-"): call["given"] for call in submitted(cluster)[7:]}
    assert "phase1" not in again
    assert f"afterok:{phase1}_0" in [given.get("dependency") for given in again.values()]  # train-a
    assert f"afterok:{training}_1" in [given.get("dependency") for given in again.values()]  # the tests of train-b


def test_sbatch_is_missing(trial, monkeypatch, tmp_path_factory, capfd):
    tools = tmp_path_factory.mktemp("tools")
    for name in ("sh", "sed", "tail", "tr"):
        (tools / name).symlink_to(next(Path(p, name) for p in os.environ["PATH"].split(":") if Path(p, name).exists()))
    monkeypatch.setenv("PATH", str(tools))
    assert go(trial) == 2
    told = "error: there is no command sbatch here; run this on a machine of the cluster that has it\n"
    assert capfd.readouterr() == ("", told)


@pytest.mark.parametrize("old", [True, False])
def test_sbatch_refuses(trial, cluster, monkeypatch, capfd, old):
    if old:
        monkeypatch.setenv("OLD", "1")
    monkeypatch.setenv("REFUSE", "test")
    assert go(trial) == 2
    queued = " ".join(str(call["number"]) for call in submitted(cluster))
    said = "(sbatch: error: Batch job submission failed: Requested time limit is invalid); correct what it says"
    first, second = capfd.readouterr().err.splitlines()
    assert first == f"error: sbatch has not taken test {said}, and give the same command again"
    assert second == f"in the queue are {queued}, which scancel {queued} takes out again"
    monkeypatch.setenv("REFUSE", "phase1")
    assert go(trial) == 2
    assert capfd.readouterr().err == f"error: sbatch has not taken phase1 {said}, and give the same command again\n"


def test_ctrl_c_says_what_is_in_the_queue(trial, cluster):
    """Of the script, which --submit runs."""
    go(trial, submit=False)
    sbatch = cluster / "sbatch"
    sbatch.write_text(
        f"#!/bin/sh\n[ ! -f {cluster}/notes ] || {{ touch {cluster}/waits; sleep 1; }}\n{sbatch.read_text()}"
    )
    script = subprocess.Popen(["sh", str(folder_of(trial) / "submit.sh")], stderr=subprocess.PIPE, text=True)
    wait_for((cluster / "waits").exists)
    script.send_signal(signal.SIGTERM)
    told = "interrupted\nin the queue are 101 102, which scancel 101 102 takes out again\n"
    assert script.communicate(timeout=20)[1] == told and script.returncode == 143


def test_set_up_and_odd_places(trial, cluster, monkeypatch):
    monkeypatch.setenv("EXECUTE", "1")
    odd = trial.folder / "100% %a 'it'"
    (trial.folder / "setup").write_text("export SAID='by the set-up'\necho $SAID\ncd /")  # the runs start where they do
    jobs = Plan((trial.job("one"),))
    assert go(trial, jobs, output=str(odd), setup=str(trial.folder / "setup")) == 0
    (log,) = odd.glob("sweep-slurm/*/logs/*")
    assert log.read_text() == f"by the set-up\nrun     75.0%  {trial.folder}/one\n"


def test_an_edited_script_is_not_lost(trial, capfd):
    """It holds for its submit.sh; the command writes its own, and says so."""
    for edit in ("", "# mine\n"):
        go(trial, submit=False)
        script = folder_of(trial) / "task.sh"
        written = script.read_text()
        script.write_text(edit + written)
    assert "warning" not in capfd.readouterr().err
    go(trial, submit=False)
    assert f"warning: {script} was edited" in capfd.readouterr().err
    assert script.read_text() == written and script.with_name("task.sh.old").read_text() == f"# mine\n{written}"


def test_places_that_are_wrong(trial):
    (trial.folder / "file").touch()
    wrong = (
        ("output", "file/x", "cannot be written"),
        ("setup", "none", "cannot be read"),
        ("output", "back\\slash", "has a backslash in its path"),
    )
    for option, name, said in wrong:
        with pytest.raises(InputError, match=f"--{option} .* {said}"):
            go(trial, **{option: str(trial.folder / name)})


def test_a_task_that_is_not_there(trial, cluster):
    go(trial)
    folder = folder_of(trial)
    with pytest.raises(InputError, match="has no task 7 in an array phase1"):
        main([str(folder), "phase1", "7"])
    (folder / "order.json").write_text("{}")
    with pytest.raises(InputError, match="is not the order of a sweep"):
        main([str(folder), "phase1", "0"])
