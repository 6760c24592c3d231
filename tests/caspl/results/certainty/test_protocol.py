"""The protocol of each row, as records say it."""

from dataclasses import replace

import pytest

from caspl.results.certainty.protocol import COLUMNS, MARKS, PROBE, WITHOUT_RECORDS, protocol_table
from caspl.results.certainty.scores import scores_of
from caspl.results.records import Protocol
from caspl.results.render import latex, markdown
from caspl.results.tables import build_tables
from records_made import of_a_test, record
from runs_of_methods import runs_of

PLAIN = {"result": None, "predictions": None}


def table_of(runs):
    return protocol_table("protocol", scores_of("base_to_new", build_tables(runs)["base_to_new"]))


def recorded(trainer="CoOp", seeds=(1,), **changes):
    """A training on base classes and its test on new ones, for each seed."""
    found = []
    for run in runs_of(trainer, dict.fromkeys(seeds, (80, 60))):
        make = record if run.classes == "base" else of_a_test
        seconds = 30.0 if run.classes == "base" else 0.0
        found.append(replace(run, record=make(**{**PLAIN, "cost.training_seconds": seconds, **changes})))
    return found


def row(runs, method="CoOp ‡"):
    (found,) = [row for row in table_of(runs).rows if row.method == method]
    return dict(zip(COLUMNS, found.cells, strict=True))


def test_a_row_says_what_its_method_knew():
    assert row(recorded()) == {
        "labels": "16 images",
        "unlabelled images": "none",
        "names, phase 1": "-",
        "names, phase 2": "base only",
        "told": "base or new",
        "epoch chosen by": "last step",
        "parameters": "1,024",
        "training": "30 s on cpu",
    }
    boosted = Protocol("shots", "Digits", "all", "base", "base", "last_step")
    found = row(recorded("CasPL_CoOp", protocol=boosted), "CoOp + CasPL ‡")
    assert (found["unlabelled images"], found["names, phase 1"]) == ("its own", "all")
    elsewhere = row(recorded("CasPL_CoOp", protocol=replace(boosted, unlabelled="ImageNet")), "CoOp + CasPL ‡")
    assert elsewhere["unlabelled images"] == "ImageNet"


def test_an_epoch_chosen_on_test_images_is_marked():
    runs = recorded(protocol=Protocol("shots", "", "", "base", "base", "test"))
    table = table_of(runs)
    assert [row.method for row in table.rows] == ["CoOp †‡"]
    assert table.notes[-2:] == [f"{mark} {meaning}" for mark, meaning in MARKS.items()]
    assert row(runs, "CoOp †‡")["epoch chosen by"] == "test images"


def test_where_runs_differ_all_of_it_is_said():
    runs = recorded() + recorded(seeds=(2,), **{"model.parameters": 2_048, "protocol.chosen_by": "val"})
    found = row(runs)
    assert found["parameters"] == "1,024 to 2,048" and found["epoch chosen by"] == "last step, validation images"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"machine.device": "cuda", "cost.training_seconds": 90.0}, "1.5 min on cuda"),
        ({"cost.training_seconds": 0.0}, "elsewhere"),
        ({"cost.training_seconds": 0.0, "model.training": None}, "none"),
    ],
)
def test_training_time(changes, expected):
    assert row(recorded(**changes))["training"] == expected


def test_without_records_it_is_unknown_but_for_the_tested_classes():
    table = table_of(runs_of("CoOp", {1: (80, 60)}))
    (only,) = table.rows
    assert only.method == "CoOp ‡" and WITHOUT_RECORDS in table.notes
    known = dict(zip(COLUMNS, only.cells, strict=True))
    assert known.pop("told") == "base or new" and set(known.values()) == {"unknown"}
    assert WITHOUT_RECORDS not in table_of(recorded()).notes


def test_what_a_record_says_is_no_markup():
    odd = {"protocol.unlabelled": "a|b<i>\x1b[2J", "machine.device": "x|y\u202e"}
    table = table_of(recorded(**odd, **{"cost.training_seconds": 60.0}))
    (line,) = [line for line in markdown([table]).splitlines() if line.startswith("| CoOp")]
    assert not {"\x1b", "\u202e"} & set(line) and r"a\|b\<i" in line and r"x\|y" in line
    assert not {"\x1b", "\u202e"} & set(latex([table]))


def test_the_linear_probes_use_of_validation_labels_is_said():
    assert PROBE.format("Linear probe CLIP") in table_of(runs_of("LinearProbe", {1: (80, 60)})).notes
    assert not [note for note in table_of(recorded()).notes if "validation" in note]
