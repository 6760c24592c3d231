"""The tables that stand behind today's, as a user sees them."""

import re
from dataclasses import replace

import pytest
from statsmodels.stats.proportion import proportion_confint

from caspl.results.certainty.tables import certainty_tables
from caspl.results.names import BENCHMARK
from caspl.results.reading.run import CROSS_DATASET, FEW_SHOT
from caspl.results.render import latex, markdown
from records_made import boosting, record, result
from runs_of_methods import a_run, runs_of


def titled(runs, part):
    (found,) = [table for table in certainty_tables(runs) if part in table.title]
    return found


def shown(table):
    """The cells of each line, by dataset and method."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in markdown([table]).splitlines() if "|" in line]
    names = 2 if table.by_dataset else 1
    return {tuple(line[:names]): line[names:] for line in lines[2:]}


def with_ece(runs, errors):
    """Runs whose records have these calibration errors, in their order; None: no record."""
    known = [None if ece is None else record(result=result(ece=ece), predictions=None) for ece in errors]
    return [replace(run, record=found) for run, found in zip(runs, known, strict=True)]


def test_all_classes_have_a_column_tested_or_not():
    runs = runs_of("CoOp", {1: (80, 60, 55), 2: (70, 50, 45)}) + runs_of("ZeroshotCLIP", {1: (70, 60)}, shots=0)
    table = titled(runs, "all classes")
    assert table.columns == ["all", "ECE base", "ECE new", "ECE all"]
    assert shown(table) == {
        ("digits", "CLIP ‡"): ["1", "-", "-", "-", "-"],
        ("digits", "CoOp ‡"): ["2", "50.00 ± 5.00", "-", "-", "-"],
    }
    assert sum("caspl sweep base2new --all" in note for note in table.notes) == 1


def test_calibration_errors_are_means_over_seeds_and_of_averages_over_datasets():
    runs = [
        run
        for dataset, errors in (("DTD", [4, 10, 6, 20]), ("EuroSAT", [1, 2, 3, 4]))
        for run in with_ece(runs_of("CoOp", {1: (80, 60), 2: (80, 60)}, dataset=dataset), errors)
    ]
    cells = shown(titled(runs, "all classes"))
    assert cells["DTD", "CoOp ‡"] == ["2", "-", "5.00 ± 1.00", "15.00 ± 5.00", "-"]
    assert cells["average of 2", "CoOp ‡"] == ["", "-", "3.50", "9.00", "-"]
    runs[0] = replace(runs[0], record=None)
    assert shown(titled(runs, "all classes"))["DTD", "CoOp ‡"] == ["2", "-", "-", "15.00 ± 5.00", "-"]


def test_intervals_over_images_are_of_one_run_with_the_mean_accuracy():
    runs = runs_of("CoOp", {1: (80, 60), 2: (70, 50)}, images=500)
    base, new, hm = shown(titled(runs, "over test images"))["digits", "CoOp ‡"][1:]
    for cell, percent in ((base, 75), (new, 55)):
        low, high = proportion_confint(5 * percent, 500, method="wilson")
        assert cell == f"{percent:.2f} ({100 * low:.2f} to {100 * high:.2f})"
    assert hm == "63.45 (60.26 to 66.64)"
    counted = with_ece(runs, [1.0] * 4)  # a record counts 267 images
    low, high = proportion_confint(0.75 * 267, 267, method="wilson")
    assert f"({100 * low:.2f} to {100 * high:.2f})" in shown(titled(counted, "over test images"))["digits", "CoOp ‡"][1]
    assert not [
        table for table in certainty_tables(runs_of("CoOp", {1: (80, 60)}, images=None)) if "images" in table.title
    ]


def test_intervals_over_seeds_are_students_and_of_an_average_over_its_seeds():
    runs = [
        run
        for dataset, more in (("DTD", 0), ("EuroSAT", 10))
        for run in runs_of("CoOp", {1: (80 - more, 60), 2: (82 + more, 60)}, dataset=dataset)
    ]
    cells = shown(titled(runs, "over seeds"))
    assert cells["DTD", "CoOp ‡"][1:3] == ["81.00 (68.29 to 93.71)", "60.00 (60.00 to 60.00)"]
    # the seeds' averages are 75 and 87, their HMs 66.67 and 71.02; the HM of the averages 81 and 60 is 68.94
    assert cells["average of 2", "CoOp ‡"][1:] == [
        "81.00 (4.76 to 157.24)",
        "60.00 (60.00 to 60.00)",
        "68.94 (41.18 to 96.50)",
    ]
    more = runs_of("CoOp", {3: (50, 50)}, dataset="DTD")
    assert ("average of 2", "CoOp ‡") not in shown(titled(runs + more, "over seeds"))  # whose seeds differ
    assert not [table for table in certainty_tables(runs_of("CoOp", {1: (80, 60)})) if "over seeds" in table.title]


def pairs_on(datasets, gain, seeds=(1, 2, 3)):
    """CoOp and CasPL_CoOp, which is `gain` above it on each dataset in turn."""
    return [
        run
        for number, dataset in enumerate(datasets)
        for trainer, more in (("CoOp", 0), ("CasPL_CoOp", gain[number]))
        for run in runs_of(trainer, {seed: (50 + seed + more, 60) for seed in seeds}, dataset=dataset)
    ]


def test_few_seeds_and_datasets_show_nothing_and_say_so():
    table = titled(pairs_on(["DTD", "EuroSAT"], [2, 4]), "paired")
    assert shown(table) == {
        ("over 2 datasets", "CoOp + CasPL ‡ against CoOp ‡"): ["", "+3.00", "0.00", "+1.67"],
        ("DTD", "CoOp + CasPL ‡ against CoOp ‡"): ["3", "+2.00", "0.00", "+1.13"],
        ("EuroSAT", "CoOp + CasPL ‡ against CoOp ‡"): ["3", "+4.00", "0.00", "+2.22"],
    }
    notes = " ".join(table.notes)
    assert "Of 3 seeds the smallest possible p is 0.25: seeds alone can't show a difference; 6 are needed." in notes
    assert "Of 2 datasets the smallest possible p is 0.5: datasets alone can't show a difference" in notes
    assert "Holm" not in notes


def test_eleven_datasets_are_tested_and_corrected():
    table = titled(pairs_on(BENCHMARK, range(1, 12)), "paired")
    ((place, _), cells), *others = shown(table).items()
    assert place == "over 11 datasets" and not others  # three seeds of one dataset show nothing beside that
    assert cells[1:] == ["+6.00 (0.001, 0.001)*", "0.00 (1.000, 1.000)", "+3.23 (0.001, 0.001)*"]
    notes = " ".join(table.notes)
    assert "Holm's correction for all 3 tests" in notes and "Wilcoxon's test leaves out differences of 0" in notes


def test_seeds_that_share_boosting_prompts_are_named():
    boosted = record(boosting=boosting(), result=None, predictions=None)
    own = [replace(run, record=boosted) for run in runs_of("CasPL_CoOp", {1: (80, 60), 2: (82, 60)})]
    said = "The seeds of CoOp + CasPL share their boosting prompts: phase 1 was not repeated."
    runs = own + runs_of("CoOp", {1: (80, 60), 2: (82, 60)})
    assert all(said in titled(runs, part).notes for part in ("over seeds", "paired"))
    other = replace(own[0], record=replace(boosted, boosting=boosting(sha256="a" * 64)))
    apart = [other, replace(own[1], record=other.record), *own[2:], *runs[4:]]
    assert not any("share" in note for table in certainty_tables(apart) for note in table.notes)


def test_six_seeds_of_one_dataset_are_tested():
    runs = pairs_on(["digits"], [5], seeds=range(1, 7))
    assert shown(titled(runs, "paired"))["digits", "CoOp + CasPL ‡ against CoOp ‡"][:2] == ["6", "+5.00 (0.031, 0.031)"]


def test_other_settings_have_the_same_tables():
    few = {"setting": FEW_SHOT, "classes": "all", "is_test": False}
    transfer = {"setting": CROSS_DATASET, "classes": "all"}
    runs = [
        a_run(60 + seed + more, trainer, seed, shots=shots, **few)
        for trainer, more in (("CoOp", 0), ("CasPL_CoOp", 5))
        for seed in (1, 2)
        for shots in (1, 16)
    ]
    runs += [
        a_run(50 + seed, trainer, seed, dataset=dataset, root="x", **transfer)
        for trainer in ("CoOp", "CasPL_CoOp")
        for seed in (1, 2)
        for dataset in ("ImageNet", "DTD", "EuroSAT")
    ]
    kinds = ["95 % intervals over test images", "95 % intervals over seeds", "paired tests", "protocol"]
    titles = [table.title for table in certainty_tables(runs)]
    assert [title for title in titles if "ECE" not in title] == [
        f"{name}: {kind}" for name in ("Few-shot", "Cross-dataset") for kind in kinds
    ]
    assert shown(titled(runs, "Few-shot: paired"))["digits", "CoOp + CasPL against CoOp"] == ["2", "+5.00", "+5.00"]
    assert shown(titled(runs, "Cross-dataset: paired"))["DTD", "CoOp + CasPL against CoOp"] == ["2", "0.00"]
    interval = shown(titled(runs, "Cross-dataset: 95 % intervals over seeds"))[("CoOp",)]
    assert interval[2] == "51.50 (45.15 to 57.85)"


def test_numbers_lead_to_their_runs():
    runs = pairs_on(["DTD"], [2])
    for table in certainty_tables(runs):
        for row in table.rows:
            assert all(cell.runs for cell in row.cells if cell is not None and not isinstance(cell, str))
    (row,) = titled(runs, "paired").rows
    assert {run.trainer for run in row.cells[0].runs} == {"CoOp", "CasPL_CoOp"} and len(row.cells[0].runs) == 6


def test_latex_has_signs_as_commands():
    text = re.sub(" +", " ", latex(certainty_tables(pairs_on(["DTD"], [-2]))))
    assert not set("‡†±") & set(text) and r"CoOp $\ddagger$" in text and "& $-$2.00" in text


@pytest.mark.parametrize("title", ["all classes", "over test images", "over seeds", "paired", "protocol"])
def test_marks_are_explained_in_every_table(title):
    table = titled(pairs_on(["DTD"], [2]), title)
    assert all("‡" in row.method for row in table.rows) and sum(note.startswith("‡ ") for note in table.notes) == 1
