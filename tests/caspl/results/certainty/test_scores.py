"""Which methods are compared with which, and on which seeds."""

from dataclasses import replace

import pytest

from caspl.results.certainty.scores import ALONE, WITHOUT, Comparison, comparisons, differences, scores_of
from caspl.results.reading.run import BASE_TO_NEW, CROSS_DATASET, FEW_SHOT
from caspl.results.tables import build_tables
from records_made import boosting, record, sha
from runs_of_methods import a_run, runs_of


def scores(runs, setting=BASE_TO_NEW):
    return scores_of(setting, build_tables(runs)[setting])


def pairs(runs, setting=BASE_TO_NEW):
    found, unpaired = comparisons(scores(runs, setting))
    return [(pair.method.method, pair.against.method, pair.kind) for pair in found], unpaired


def test_each_method_is_compared_with_itself_without_caspl_then_with_boosting_alone():
    runs = [
        run for trainer in ("CasPL_MaPLe", "CoOp", "CasPL_CoOp", "MaPLe") for run in runs_of(trainer, {1: (60, 70)})
    ]
    runs += runs_of("CasPLBoost", {1: (50, 50)}, shots=0)
    assert pairs(runs) == (
        [
            ("CoOp + CasPL", "CoOp", WITHOUT),
            ("MaPLe + CasPL", "MaPLe", WITHOUT),
            ("CoOp + CasPL", "CLIP + boosting", ALONE),
            ("MaPLe + CasPL", "CLIP + boosting", ALONE),
        ],
        [],
    )


def test_of_several_rows_the_one_of_the_same_kind_is_meant():
    runs = [
        run for shots in (4, 16) for name in ("CoOp", "CasPL_CoOp") for run in runs_of(name, {1: (6, 7)}, shots=shots)
    ]
    assert pairs(runs)[0] == [
        ("CoOp + CasPL (4 shots)", "CoOp (4 shots)", WITHOUT),
        ("CoOp + CasPL (16 shots)", "CoOp (16 shots)", WITHOUT),
    ]
    runs = [
        run
        for config in ("a", "b")
        for name in ("CoOp", "CasPL_CoOp")
        for run in runs_of(name, {1: (6, 7)}, config=config)
    ]
    assert [pair[:2] for pair in pairs(runs)[0]] == [("CoOp + CasPL (a)", "CoOp (a)"), ("CoOp + CasPL (b)", "CoOp (b)")]


def test_where_nothing_says_which_row_is_meant_none_is_taken():
    runs = runs_of("CasPL_CoOp", {1: (60, 70)}, config="8+8")
    runs += [run for config in ("a", "b") for run in runs_of("CoOp", {1: (60, 70)}, config=config)]
    assert pairs(runs) == ([], ["CoOp + CasPL: not compared, since several rows would do (CoOp (a), CoOp (b))."])
    assert pairs(runs_of("CasPL_CoOp", {1: (60, 70)}) + runs_of("CoOp", {1: (60, 70)}, backbone="RN50")) == ([], [])


def of_pair(runs, metric="HM", kind=WITHOUT, setting=BASE_TO_NEW, dataset="digits"):
    (pair,) = [pair for pair in comparisons(scores(runs, setting))[0] if pair.kind == kind]
    return differences(pair, dataset, metric)


def test_differences_are_of_common_seeds_and_each_seed_has_its_hm():
    runs = runs_of("CasPL_CoOp", {1: (80, 20, 40), 2: (60, 60, 50), 4: (99, 99)})
    runs += runs_of("CoOp", {1: (60, 60, 30), 2: (80, 20), 3: (1, 1)})
    assert of_pair(runs, "base") == {1: 20, 2: -20}
    assert of_pair(runs) == pytest.approx({1: -28, 2: 28})
    assert of_pair(runs, "all") == {1: 10}


def prompted(run, prompts):
    known = boosting(sha256=sha(prompts)) if prompts else None
    return replace(run, record=record(boosting=known, result=None, predictions=None))


def test_boosting_alone_is_compared_by_its_prompts():
    own = [prompted(run, "ab"[run.seed - 1]) for run in runs_of("CasPL_CoOp", {1: (80, 80), 2: (70, 70)})]
    alone = [prompted(run, "ba"[run.seed - 1]) for run in runs_of("CasPLBoost", {1: (10, 10), 2: (20, 20)}, shots=0)]
    assert of_pair(own + alone, kind=ALONE) == {1: 60, 2: 60}  # the other seed's run has these prompts
    one = [prompted(run, "a") for run in runs_of("CasPLBoost", {1: (10, 10)}, shots=0)]
    assert of_pair(own + one, kind=ALONE) == {1: 70}
    unknown = [prompted(run, "") for run in runs_of("CasPLBoost", {1: (10, 10), 2: (20, 20)}, shots=0)]
    assert of_pair(own + unknown, kind=ALONE) == {1: 70, 2: 50}
    shared = [prompted(run, "a") for run in runs_of("CasPL_CoOp", {1: (80, 80), 2: (70, 70)})]
    assert of_pair(shared + one, kind=ALONE) == {1: 70, 2: 60}


def test_what_draws_nothing_stands_beside_every_seed():
    found = scores(runs_of("CoOp", {1: (80, 80), 2: (70, 70)}) + runs_of("ZeroshotCLIP", {1: (60, 60)}, shots=0))
    pair = Comparison(found["CoOp"], found["CLIP"], "second")
    assert differences(pair, "digits", "HM") == {1: 20, 2: 10}


def test_zero_shot_counts_at_every_number_of_shots():
    few = {"setting": FEW_SHOT, "classes": "all", "is_test": False}
    runs = [a_run(50 + shots, "CasPL_CoOp", shots=shots, **few) for shots in (1, 16)]
    runs.append(a_run(40, "CasPLBoost", shots=0, **few))
    assert of_pair(runs, "16", ALONE, FEW_SHOT) == {1: 26} and of_pair(runs, "1", ALONE, FEW_SHOT) == {1: 11}


def test_targets_of_transfer_are_datasets_and_the_source_is_none():
    runs = [
        a_run(number, trainer, dataset=dataset, setting=CROSS_DATASET, classes="all")
        for trainer, number in (("CoOp", 50), ("CasPL_CoOp", 60))
        for dataset in ("ImageNet", "DTD", "EuroSAT")
    ]
    found = scores(runs, CROSS_DATASET)
    assert found["CoOp"].datasets == ["DTD", "EuroSAT"]
    assert of_pair(runs, "accuracy", setting=CROSS_DATASET, dataset="DTD") == {1: 10}
