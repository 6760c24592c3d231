"""What is said of the best method: by how much it leads, and whether that is certain."""

from dataclasses import replace

import numpy as np
import pytest

from caspl.results.certainty.scores import ALONE, WITHOUT
from caspl.results.certainty.tables import every_table
from caspl.results.certainty.verdict import SECOND, WITH, verdicts
from caspl.results.names import BENCHMARK
from caspl.results.reading.run import CROSS_DATASET, FEW_SHOT
from caspl.results.tables import ablation_tables
from records_made import boosting, of_a_test, record
from runs_of_methods import a_run, predicting, runs_of

SEEDS = range(1, 7)


def field(seeds, datasets=("digits",), trainers=("CoOp", "MaPLe", "CasPL_MaPLe"), gap=2.0, noise=0.1):
    """Each trainer is `gap` points above the one before, beside what differs between seeds and datasets."""
    draw = np.random.default_rng(1)
    return [
        run
        for dataset in datasets
        for place, trainer in enumerate(trainers)
        for run in runs_of(
            trainer, {seed: 60 + gap * place + draw.normal(0, noise, 2) for seed in seeds}, dataset=dataset
        )
    ]


def test_three_seeds_make_nothing_certain():
    (verdict,) = verdicts(field([1, 2, 3]))
    assert (verdict.dataset, verdict.metric, verdict.method) == ("digits", "HM", "MaPLe + CasPL")
    assert not verdict.certain and verdict.cell.mean == pytest.approx(64, abs=0.2)
    points = f"{verdict.margins[0].points:.2f}"
    assert verdict.sentence == (
        f"MaPLe + CasPL is the best of 3 methods on digits: HM {verdict.cell.mean:.2f}, "
        f"{points} points above the second, MaPLe. "
        "That is not certain: with 3 seeds an exact test can't give p below 0.25 (6 are needed)."
    )
    (margin,) = verdict.margins  # the second is the same without CasPL: said once
    assert (margin.kind, margin.method, margin.certain, margin.images) == (SECOND, "MaPLe", False, None)
    assert margin.sentence == (
        f"+{points} points against MaPLe, the second: not certain, "
        "with 3 seeds an exact test can't give p below 0.25 (6 are needed)."
    )


def test_six_seeds_can():
    (verdict,) = verdicts(field(SEEDS))
    assert verdict.certain and verdict.margins[0].certain
    assert verdict.sentence.endswith(
        "That is certain: against each of the others the sign-flip test over 6 seeds gives p 0.031 or less."
    )


def test_a_lead_within_the_spread_of_seeds_is_not_certain():
    (verdict,) = verdicts(field(SEEDS, gap=0.1, noise=3.0))
    assert not verdict.certain and "That is not certain: against " in verdict.sentence
    assert "the sign-flip test over 6 seeds gives p 0." in verdict.sentence


def test_the_best_has_to_beat_every_other_one():
    """The third is as good in half of the seeds, although the second is not."""
    runs = runs_of("MaPLe", dict.fromkeys(SEEDS, (70, 70))) + runs_of("CoOp", dict.fromkeys(SEEDS, (69, 69)))
    runs += runs_of("VPT", {seed: (70.5, 70.5) if seed % 2 else (60, 60) for seed in SEEDS})
    (verdict,) = verdicts(runs)
    assert verdict.method == "MaPLe" and verdict.margins[0].certain and not verdict.certain
    assert "against VPT, the sign-flip test over 6 seeds gives p 0.250" in verdict.sentence


def test_datasets_are_tested_as_a_whole_and_each_has_its_own_verdict():
    whole, *single = verdicts(field([1, 2, 3], BENCHMARK))
    assert whole.dataset == "average of 11" and whole.certain
    assert "on average over 11 datasets: HM 6" in whole.sentence and "over 11 datasets gives p 0.001" in whole.sentence
    assert [verdict.dataset for verdict in single] == list(BENCHMARK) and not any(each.certain for each in single)


def test_few_datasets_are_tested_by_their_seeds():
    whole, *_ = verdicts(field(SEEDS, ("DTD", "EuroSAT")))
    assert whole.certain and "over 6 seeds gives p 0.031" in whole.sentence


def test_it_is_compared_with_itself_without_caspl_and_with_boosting_alone():
    runs = field([1, 2], trainers=("CasPLBoost", "MaPLe", "CoOp", "CasPL_MaPLe"))
    assert [(m.kind, m.method) for m in verdicts(runs)[0].margins] == [
        (SECOND, "CoOp"),
        (WITHOUT, "MaPLe"),
        (ALONE, "CLIP + boosting"),
    ]
    (verdict,) = verdicts(field([1, 2], trainers=("CasPL_CoOp", "MaPLe", "CoOp")))
    assert [(m.kind, m.method) for m in verdict.margins] == [(SECOND, "MaPLe"), (WITH, "CoOp + CasPL")]


def test_boosting_alone_is_that_of_its_prompts(tmp_path):
    """Three phases 1, and all seeds of CoOp + CasPL behind the first of them."""
    alone = [
        predicting(tmp_path, a_run(trainer="CasPLBoost", seed=seed, shots=0, classes=classes), np.arange(100) < right)
        for seed, right in ((1, 80), (2, 60), (3, 61))
        for classes in ("base", "new")
    ]
    own = drawn(tmp_path, "CasPL_CoOp", 0.86, (1, 2), 100)
    runs = [*own, *alone, *drawn(tmp_path, "MaPLe", 0.84, (1, 2), 100)]
    runs = [
        replace(run, record=replace(run.record, boosting=boosting(sha256=f"{seed}" * 64)))
        for run in runs
        for seed in [run.seed if run.trainer == "CasPLBoost" else 1]
    ]
    (verdict,) = verdicts(runs, tmp_path)
    margin = verdict.margins[-1]
    assert margin.kind == ALONE and margin.points == pytest.approx(verdict.cell.mean - 80)
    assert sum(margin.images) / 2 == pytest.approx(margin.points)


def drawn(top, trainer, skill, seeds, images):
    """Runs of a method whose seeds have the same images right, and one in a hundred otherwise."""
    hard = np.random.default_rng(0).uniform(size=images)
    return [
        predicting(top, a_run(trainer=trainer, seed=seed, classes=classes), hard < skill + 0.001 * seed)
        for seed in seeds
        for classes in ("base", "new")
    ]


def test_a_lead_that_other_images_would_hardly_reverse(tmp_path):
    runs = drawn(tmp_path, "CoOp", 0.60, SEEDS, 300) + drawn(tmp_path, "MaPLe", 0.61, SEEDS, 300)
    (verdict,) = verdicts(runs)
    assert verdict.certain
    (verdict,) = verdicts(runs, tmp_path)
    low, high = verdict.margins[0].images
    assert low > 0 and verdict.certain and "Other test images would hardly reverse it" in verdict.margins[0].sentence
    assert f"the 95 % interval is +{low:.2f} to +{high:.2f}." in verdict.margins[0].sentence


def test_a_lead_of_one_image_is_not_certain(tmp_path):
    right = np.arange(300) < 200
    one_more = np.arange(300) < 201
    runs = [
        predicting(tmp_path, a_run(trainer=trainer, seed=seed, classes=classes), found)
        for trainer, found in (("CoOp", right), ("MaPLe", one_more))
        for seed in SEEDS
        for classes in ("base", "new")
    ]
    assert verdicts(runs)[0].certain
    (verdict,) = verdicts(runs, tmp_path)
    assert not verdict.certain and not verdict.margins[0].certain
    assert "Other test images may reverse it" in verdict.margins[0].sentence
    assert verdict.sentence.endswith("gives p 0.031, but on other images the lead over the second may vanish.")


def test_predictions_that_are_damaged_are_told(tmp_path):
    runs = drawn(tmp_path, "CoOp", 0.6, [1], 50) + drawn(tmp_path, "MaPLe", 0.7, [1], 50)
    (tmp_path / runs[0].path).with_name("predictions.csv.gz").write_bytes(b"other")
    (verdict,) = verdicts(runs, tmp_path)
    assert verdict.margins[0].images is None
    assert "What other images would change is not known: " in verdict.margins[0].sentence


def test_methods_without_a_common_seed():
    (verdict,) = verdicts(runs_of("CoOp", {1: (60, 60)}) + runs_of("MaPLe", {2: (70, 70)}))
    assert "not certain: they have no seed in common, and 6 are needed for a test." in verdict.sentence


def test_a_test_that_fails_says_more_than_one_that_cannot_be():
    """The second has six seeds and is level, another has five: the second is the reason."""
    runs = field(SEEDS, trainers=("MaPLe", "CoOp"), gap=0.1, noise=3.0) + runs_of(
        "VPT", dict.fromkeys(range(1, 6), (50, 50))
    )
    (verdict,) = verdicts(runs)
    assert verdict.margins[0].method in ("CoOp", "MaPLe") and "over 6 seeds gives p" in verdict.sentence


def test_a_lead_that_common_seeds_do_not_show():
    runs = runs_of("CoOp", {seed: (60, 60) if seed in SEEDS else (90, 90) for seed in range(1, 13)})
    (verdict,) = verdicts(runs + runs_of("MaPLe", dict.fromkeys(SEEDS, (70, 70))))
    assert verdict.method == "CoOp" and not verdict.certain and not verdict.margins[0].certain
    assert (
        "That is not certain: against MaPLe, over the 6 seeds that both have it is 10.00 points behind."
        in verdict.sentence
    )


def test_another_backbone_is_no_rival():
    runs = [
        run for trainer, own in (("CoOp", 60), ("MaPLe", 70), ("VPT", 50)) for run in runs_of(trainer, {1: (own, own)})
    ]
    teacher = runs_of("ZeroshotCLIP", {1: (90, 90)}, shots=0, backbone="ViT-L/14")
    (verdict,) = verdicts(runs + teacher)
    assert verdict.sentence.startswith(
        "MaPLe is the best of 3 methods with ViT-B/16 on digits: HM 70.00, 10.00 points above"
    )
    both = verdicts(runs + teacher + runs_of("CoOp", {1: (95, 95)}, backbone="ViT-L/14"))
    assert [each.method for each in both] == ["MaPLe", "CoOp (ViT-L/14)"]


def test_that_phase_1_was_not_repeated_is_told():
    boosted = record(boosting=boosting(), result=None, predictions=None)
    runs = [replace(run, record=boosted) for run in runs_of("CasPL_CoOp", {1: (80, 80), 2: (81, 81)})]
    (verdict,) = verdicts(runs)
    assert verdict.sentence.endswith(
        "Its seeds share their boosting prompts, so that what another phase 1 would change is not known."
    )


def test_the_only_method_leads_nothing():
    (verdict,) = verdicts(runs_of("CoOp", {1: (80, 80)}))
    assert verdict.sentence == "CoOp is the only method on digits: HM 80.00." and not verdict.certain
    assert verdict.margins == () and verdicts([]) == []


def test_an_epoch_chosen_on_test_images_is_told():
    runs = runs_of("CoOp", {1: (80, 80)})
    known = record(result=None, predictions=None, **{"protocol.chosen_by": "test"})
    (verdict,) = verdicts([replace(run, record=known) for run in runs])
    assert verdict.sentence.endswith("Its epoch was chosen on test images, which makes its numbers too high.")


def test_the_commands_of_its_first_seed_train_and_test():
    runs = runs_of("CoOp", {1: (80, 80), 2: (80, 80)})
    made = {"base": record(result=None, predictions=None), "new": of_a_test(result=None, predictions=None)}
    runs = [replace(run, record=replace(made[run.classes], command=[run.classes, f"{run.seed} ;"])) for run in runs]
    (verdict,) = verdicts(runs)
    assert verdict.commands == ("caspl train base '1 ;'", "caspl train new '1 ;'")


def test_few_shot_is_decided_at_the_largest_number_of_shots_that_there_is():
    few = {"setting": FEW_SHOT, "classes": "all", "is_test": False}
    runs = [
        a_run(number, trainer, shots=shots, **few) for trainer, shots, number in (("CoOp", 1, 60), ("CoOp", 16, 70))
    ]
    runs += [a_run(65, "MaPLe", shots=1, **few), a_run(50, "ZeroshotCLIP", shots=0, **few)]
    runs += [a_run(55, "CoOp", shots=1, dataset="DTD", **few)]
    whole, digits, dtd = sorted(verdicts(runs), key=lambda each: ["average of 2", "digits", "DTD"].index(each.dataset))
    assert (digits.metric, digits.method) == ("16", "CoOp") and "16-shot accuracy 70.00" in digits.sentence
    assert digits.margins[0].method == "CLIP" and (dtd.metric, whole.metric) == ("1", "1")


def test_transfer_is_decided_by_accuracy_on_the_targets():
    runs = [
        a_run(number, trainer, dataset=dataset, setting=CROSS_DATASET, classes="all")
        for trainer, numbers in (("CoOp", (90, 50, 60)), ("MaPLe", (70, 55, 60)))
        for dataset, number in zip(("ImageNet", "DTD", "EuroSAT"), numbers, strict=True)
    ]
    whole, dtd, eurosat = verdicts(runs)
    assert (whole.method, whole.cell.mean, dtd.method) == ("MaPLe", 57.5, "MaPLe")
    assert "accuracy 57.50, 2.50 points above the second, CoOp." in whole.sentence
    assert (
        eurosat.margins[0].points == 0 and not eurosat.certain and "level with the second, MaPLe." in eurosat.sentence
    )


def test_variations_of_an_ablation_do_not_compete():
    """Of many tried on test images the best always looks good; and published numbers are not of them."""
    varied = runs_of("PromptSRC", {1: (90, 90)}, dataset="DTD", config="cfg-length=4", root="ablations/length")
    runs = runs_of("PromptSRC", {1: (80, 80)}, dataset="DTD") + runs_of("CoOp", {1: (70, 70)}, dataset="DTD")
    (verdict,) = verdicts([*runs, *varied])
    assert verdict.method == "PromptSRC" and "best of 2 methods on DTD: HM 80.00" in verdict.sentence
    assert verdicts(varied) == []
    assert [table.title for table in every_table([*runs, *varied])[:2]] == ["Base to new", "Base to new: ablations"]
    assert every_table([*runs, *varied])[2:] == every_table(runs)[1:]
    (row,) = ablation_tables([*runs, *varied])["base_to_new"].rows
    assert [(cell.mean, cell.published) for cell in row.cells] == [(90, None)] * 3


def test_clip_can_be_certainly_the_best():
    """Nothing in it is drawn: its one run is compared with each seed of the others."""
    runs = runs_of("ZeroshotCLIP", {1: (80, 80)}, shots=0) + runs_of("CoOp", {s: (70 + s / 9, 70) for s in SEEDS})
    (verdict,) = verdicts(runs)
    assert verdict.method == "CLIP" and verdict.certain and "over 6 seeds gives p 0.031" in verdict.sentence


def test_clip_with_fewer_seeds_is_compared_with_all_of_the_others():
    runs = runs_of("ZeroshotCLIP", {1: (60, 60), 2: (60, 60)}, shots=0)
    (verdict,) = verdicts(runs + runs_of("CoOp", {s: (70 + s / 9, 70) for s in SEEDS}))
    assert verdict.certain and "over 6 seeds gives p 0.031" in verdict.sentence


def test_boosting_alone_as_the_best_is_compared_with_all_that_stands_behind_it():
    runs = runs_of("CasPLBoost", {1: (80, 80)}, shots=0) + runs_of("CasPL_CoOp", {s: (70 + s / 9, 70) for s in SEEDS})
    runs = [replace(run, record=record(boosting=boosting(sha256="1" * 64))) for run in runs]
    (verdict,) = verdicts(runs)
    assert verdict.method == "CLIP + boosting" and "over 6 seeds gives p 0.031" in verdict.sentence
    assert "Phase 1 was not repeated" in verdict.sentence


def test_a_lead_that_common_seeds_do_not_show_is_told():
    """One seed of the second alone makes its mean the smaller one."""
    runs = runs_of("MaPLe", dict.fromkeys(SEEDS, (70, 70)))
    runs += runs_of("CoOp", {**dict.fromkeys(SEEDS, (71, 71)), 7: (40, 40)})
    (verdict,) = verdicts(runs)
    assert verdict.method == "MaPLe" and not verdict.certain
    assert "against CoOp, over the 6 seeds that both have it is 1.00 points behind." in verdict.sentence


def test_methods_without_all_datasets_are_named():
    runs = field([1], ("DTD", "EuroSAT"), ("CoOp", "MaPLe")) + field([1], ("DTD",), ("VPT",))
    assert verdicts(runs)[0].sentence.endswith("Not compared, since they lack some of these datasets: VPT.")
    runs = field([1], ("DTD", "EuroSAT"), ("CoOp",)) + field([1], ("DTD",), ("VPT",))
    assert verdicts(runs)[0].sentence.startswith("CoOp is the only method that has them all on average over 2 datasets")
