"""Figures, alternating times, and the file that they are kept in. Nothing is timed here."""

import json
import multiprocessing
import re

import pytest

from bench.frame import results
from bench.frame.figures import Figure, faster, median, quartiles, shown
from bench.frame.timing import alternating
from caspl.ground.errors import InputError
from measured import record


def test_paths_take_turns_and_each_goes_first_as_often():
    calls = []

    def path(name):
        return lambda: calls.append(name) or float(len(calls))

    times = alternating({name: path(name) for name in "ab"}, 3)
    assert "".join(calls) == "abbaabba" and times == {"a": [4.0, 5.0, 8.0], "b": [3.0, 6.0, 7.0]}


def test_a_ratio_is_the_median_over_turns():
    """A turn in which the machine was ten times slower changes nothing."""
    figure = faster({"plain": [4.0, 40.0, 4.2], "ours": [2.0, 20.0, 2.0]}, "plain", "ours", least=2.05)
    assert (figure.value, figure.n, figure.high) == (2.0, 3, pytest.approx(2.05))
    assert not figure.met and figure.target == "at least 2.05x: MISSED"
    assert str(figure) == "2.00x (2.00 to 2.05)"


def test_medians_and_quartiles():
    assert quartiles([5.0]) == (5.0, 5.0, 5.0)
    assert quartiles([4.0, 1.0, 3.0, 2.0]) == (1.75, 2.5, 3.25)
    assert median("time", [1.0, 2.0]).value == 1.5
    assert not Figure(name="no number", value=float("nan"), unit="s", most=1.0).met


@pytest.mark.parametrize(
    "value, unit, text",
    [
        (14.52, "x", "14.5x"),
        (0.0312, "s", "0.031 s"),
        (231.4, "s", "231 s"),
        (2.3e-6, "relative", "2e-06"),
        (0.0, "relative", "0"),
        (2000, "jobs", "2,000 jobs"),
    ],
)
def test_a_number_has_as_many_digits_as_it_was_measured_to(value, unit, text):
    assert shown(value, unit) == text


def test_records_come_back_as_they_were(tmp_path):
    path, kept = tmp_path / "results.json", [record("b"), record("a", commit="")]
    results.write(path, {one.command: one for one in kept})
    assert list(results.read(path).values()) == kept[::-1]
    results.add(path, {"b": record("b", threads=1)})
    assert results.read(path)["b"].threads == 1 and results.read(path)["a"] == kept[1]
    assert not [other for other in tmp_path.iterdir() if other != path]


def test_nothing_is_half_written(tmp_path):
    path = tmp_path / "results.json"
    results.write(path, {"a": record("a")})
    before = path.read_bytes()
    broken = record("b", processor=object())
    with pytest.raises(TypeError):
        results.add(path, {"b": broken})
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def put(path, name):
    results.add(path, {name: record(name)})


def test_several_processes_lose_nothing(tmp_path):
    path, names = tmp_path / "results.json", [f"command {number}" for number in range(6)]
    processes = [multiprocessing.get_context("fork").Process(target=put, args=(path, name)) for name in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert sorted(results.read(path)) == names


def damaged(change):
    whole = {"format": 1, "records": [json.loads(json.dumps(record(), default=vars))]}
    whole["records"][0]["figures"] = [vars(figure) for figure in record().figures]
    change(whole)
    return json.dumps(whole)


@pytest.mark.parametrize(
    "text, said",
    [
        ("{", "is no JSON"),
        ("[]", "expected format 1"),
        (damaged(lambda whole: whole.update(format=2)), "expected format 1"),
        (damaged(lambda whole: whole["records"].append(3)), "record 1: expected the fields"),
        (damaged(lambda whole: whole["records"][0].pop("date")), "record 0: expected the fields"),
        (damaged(lambda whole: whole["records"][0].update(threads="2")), "record 0, threads: expected"),
        (damaged(lambda whole: whole["records"][0].update(figures=[])), "record 0, figures: expected"),
        (damaged(lambda whole: whole["records"][0]["figures"][0].update(value=None)), "figure 0, value: expected"),
        (damaged(lambda whole: whole["records"][0]["figures"][0].update(least="2")), "figure 0, least: expected"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, text, said):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(said)) as error:
        results.read(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_damage_as_it_is_tested_is_no_damage_without_a_change(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(damaged(lambda whole: None))
    assert results.read(path) == {record().command: record()}
