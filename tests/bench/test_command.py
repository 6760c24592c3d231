"""python -m bench: every module declares itself, `all` skips and goes on, the documents say what was measured."""

import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import bench.__main__ as command
from bench.frame import results, running, sides, tables
from bench.frame.benchmark import Benchmark, Table
from bench.frame.figures import Figure
from caspl.ground.errors import InputError
from measured import record

ROOT = Path(__file__).resolve().parents[2]
MODULES_IN_A_FOLDER = 9  # as tests/test_rooms.py has it; __init__ is not counted
BENCHMARKS = command.every()
RUNS = [pytest.param(one, label, id=f"{one.name} {label}") for one in BENCHMARKS.values() for label in one.runs]


def test_rooms_have_a_few_modules_each_and_none_lies_outside():
    folders = [folder for folder in (ROOT / "bench").iterdir() if folder.is_dir() and folder.name != "__pycache__"]
    assert {path.name for path in (ROOT / "bench").glob("*.py")} == {"__init__.py", "__main__.py"}
    assert not [folder for folder in folders if len([*folder.glob("*.py")]) - 1 > MODULES_IN_A_FOLDER]


def test_every_module_declares_itself_or_is_a_part_of_others():
    sources = {path: path.read_text() for path in (ROOT / "bench").rglob("*.py")}
    for name, module in command.find().items():
        if name in BENCHMARKS:
            assert BENCHMARKS[name].name == name and BENCHMARKS[name].about
            continue
        users = [path for path, text in sources.items() if name in text and path.stem != name]
        assert users, f"bench/{module} declares no BENCH, and nothing imports it"


@pytest.mark.parametrize("benchmark, label", RUNS)
def test_the_options_of_every_run_are_its_own(benchmark, label):
    words = [*shlex.split(benchmark.runs[label]), *benchmark.smallest]
    benchmark.parser().parse_args(words)
    for word in words:
        assert not word.startswith("{") or word.strip("{}") in benchmark.needs


def test_the_documents_say_what_results_json_says():
    known = tables.tables_of(BENCHMARKS)
    assert not tables.outdated(known, results.read()), "python -m bench tables --update"
    marked = {found[1] for path in tables.documents() for found in tables.MARKED.finditer(path.read_text())}
    assert marked == known.keys()


def test_a_record_is_of_a_run_that_there_is():
    commands = {one.command(label) for one in BENCHMARKS.values() for label in one.runs}
    assert results.read().keys() <= commands, "a run was renamed: measure it, or take the record out"


# ---------------------------------------------------------------------------------------------------------------------
# A benchmark made here
# ---------------------------------------------------------------------------------------------------------------------
def made(name="some", **changes) -> Benchmark:
    table = Table(head="classes", columns={"how much": "faster", "no such": "slower"})
    whole = Benchmark(
        f"bench.{name}",
        "What it measures.\n\n    python -m bench some\n",
        lambda args: [Figure(name="faster", value=3.0, unit="x")],
        runs={"50": "--repeats 5", "own": "{place} --repeats 1"},
        needs={"place": "a folder"},
        tables={f"{name}_table": table},
    )
    return replace(whole, **changes)


DOCUMENT = "Before.\n\n<!-- bench: some_table -->\nas it was\n<!-- end of some_table -->\n\nBehind.\n"


def test_a_table_stands_as_it_is_until_all_of_it_is_measured():
    known = tables.tables_of({"some": made()})
    records = {"python -m bench some --repeats 5": record()}
    assert tables.filled(DOCUMENT, "README.md", known, records) == DOCUMENT
    records["python -m bench some {place} --repeats 1"] = record()
    new = tables.filled(DOCUMENT, "README.md", known, records)
    assert "| 50 | 2.50x (2.40 to 2.75) | - |\n| own |" in new and "as it was" not in new
    assert "    python -m bench some PLACE --repeats 1\n" in new and "2 CPU threads, a processor, PyTorch 2.6.0" in new
    assert new.startswith("Before.\n\n<!--") and new.endswith("-->\n\nBehind.\n")
    assert tables.filled(new, "README.md", known, records) == new


def test_a_table_that_nothing_declares_and_one_that_two_declare():
    with pytest.raises(
        InputError, match="README.md has a table some_table, which no benchmark declares; declared are other"
    ):
        tables.filled(DOCUMENT, "README.md", tables.tables_of({"some": made("other")}), {})
    with pytest.raises(InputError, match="both declare a table some_table; rename one"):
        tables.tables_of({"some": made(), "other": made("other", tables=made().tables)})


@pytest.fixture
def two(monkeypatch):
    """`all` of two benchmarks, of which one fails; each run is done here, not in a process."""

    def one(run, given, head, expected, trial):
        if run.benchmark.name == "bad":
            return None, "error: it was bad"
        return record(run.benchmark.command(run.label)), ""

    monkeypatch.setattr(running, "_one", one)
    known = {"bad": made("bad", needs={}, runs={"": ""}), "some": made()}
    monkeypatch.setattr(command, "every", lambda: known)


def test_all_goes_on_behind_what_fails_and_says_what_it_skips(two, tmp_path, capsys):
    path = tmp_path / "results.json"
    results.write(path, {"kept": record("kept")})
    assert command.main(["all", "--results", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("[1/3] bad: FAILED, error: it was bad")
    assert lines[1].startswith("[2/3] some 50: faster 2.50x (2.40 to 2.75) (")
    assert lines[2] == "[3/3] some own: skipped, needs a folder: --given place=..."
    assert lines[3] == "1 done, 1 failed, 1 skipped"
    assert results.read(path).keys() == {"kept", "python -m bench some --repeats 5"}


def test_some_with_what_only_the_user_has(two, tmp_path, capsys):
    path = tmp_path / "results.json"
    assert command.main(["all", "--only", "some", "--results", str(path), "--given", f"place={tmp_path}"]) == 0
    assert "python -m bench some {place} --repeats 1" in results.read(path)  # no place of this machine
    assert command.main(["all", "--skip", "some,bad", "--results", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "nothing to do"


def test_what_was_stopped_keeps_what_it_has(two, tmp_path, monkeypatch):
    def one(run, *_):
        if run.label == "own":
            raise KeyboardInterrupt
        return record(run.benchmark.command(run.label)), ""

    monkeypatch.setattr(running, "_one", one)
    path, words = tmp_path / "results.json", ["--only", "some", "--given", f"place={tmp_path}"]
    with pytest.raises(KeyboardInterrupt):
        command.main(["all", *words, "--results", str(path)])
    assert results.read(path).keys() == {"python -m bench some --repeats 5"}


def test_a_missed_target_is_said_and_kept(two, tmp_path, monkeypatch, capsys):
    slow = (Figure(name="faster", value=1.0, unit="x", least=2.0),)
    monkeypatch.setattr(running, "_one", lambda run, *_: (record(figures=slow), ""))
    assert command.main(["all", "--only", "bad", "--results", str(tmp_path / "results.json")]) == 1
    said = capsys.readouterr().out
    assert "faster 1.00x (at least 2.00x: MISSED)" in said and "1 missed a target" in said
    assert command.main(["all", "--only", "bad", "--trial", "--results", str(tmp_path / "none.json")]) == 0
    assert not (tmp_path / "none.json").exists()


@pytest.mark.parametrize(
    "words, said",
    [
        (["som"], "no benchmark som; do you mean some?"),
        (["all", "--only", "som"], "no benchmark som; do you mean some?"),
        (["all", "--given", "palce=."], "--given palce=.: expected NAME=PLACE with one of the names place"),
        (["all", "--given", "place=/no/such"], "--given place: /no/such is not there; give a folder"),
    ],
)
def test_a_mistake_is_one_sentence(two, monkeypatch, words, said):
    monkeypatch.setattr(command, "find", lambda: {"some": "bench.some"})
    with pytest.raises(InputError) as error:
        command.main(words)
    assert str(error.value) == said


def test_one_alone(tmp_path, capsys):
    path = tmp_path / "record.json"
    assert made().main(["--repeats", "1", "--json", str(path)]) == 0
    assert "faster" in capsys.readouterr().out
    (kept,) = results.read(path).values()
    assert kept.command == "python -m bench some --repeats 1" and kept.figures[0].value == 3.0 and kept.threads == 2
    missed = made(measure=lambda args: [Figure(name="faster", value=3.0, unit="x", least=4.0)])
    assert missed.main([]) == 1
    with pytest.raises(InputError, match="expected a whole number above 0, found 0"):
        made().main(["--repeats", "0"])


# ---------------------------------------------------------------------------------------------------------------------
# Sides
# ---------------------------------------------------------------------------------------------------------------------
SIDE = """
import sys, torch
from bench.frame.sides import serve
print("what others print is no answer")
def step(): return {"values": [torch.ones(2)]}
def fail(): raise ValueError("no such thing")
serve(lambda: {"step": step, "fail": fail}, sys.argv[-1])
"""


@pytest.mark.slow
def test_a_side_waits_steps_and_says_why_it_ends():
    with sides.start({"theirs": ([sys.executable, "-c", SIDE], ROOT, {"PYTHONPATH": str(ROOT)})}) as found:
        side = found["theirs"]
        assert 0 <= side() < 60
        assert side.shown()["values"][0].tolist() == [1, 1] and side.shown()["bytes"] >= 0
        with pytest.raises(sides.ChildError, match="theirs ended with status 1: ValueError: no such thing"):
            side.doing("fail")()


@pytest.mark.slow
def test_the_command_itself():
    done = subprocess.run([sys.executable, "-m", "bench", "evaluatoin"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "error: no benchmark evaluatoin; do you mean evaluation?\n")
