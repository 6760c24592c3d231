"""`caspl sweep reproduce TARGET`: which runs each table and figure takes, and what they share."""

from collections import Counter
from dataclasses import replace
from functools import cache

import pytest

from caspl.results.records import features
from caspl.sweeps import targets
from caspl.sweeps.command import carrying_out, line, reproduce
from caspl.sweeps.jobs import Kind
from caspl.sweeps.place import Place
from caspl.sweeps.plan import FEATURES
from caspl.sweeps.protocols.table import BENCHMARK
from caspl.sweeps.requests import Mistakes, MistakesError
from caspl.sweeps.targets import TARGETS, WITHOUT_IMAGENET

from .conftest import ROOT

PLACE = Place(ROOT, ("train.py",))
# target -> trainings of phase 2, phases 1, tests, as they are planned for the datasets of the paper
COUNTS = {
    "table1": (11 * 8 * 3, 11, 11 * (3 + 8 * 3 * 2)),  # eight methods, three seeds; zero-shot on three sets of classes
    "table2": (8 * 3, 2, 4 + 8 * 3 * 3),  # one training for four datasets; CoCoOp's boosting prompts are others
    "table3": (10 * 3 * 3, 11, 0),
    "table5": (10 * 25 * 3, 10 * 5, 10 * 25 * 3),
    "table6": (10 * 4 * 3, 10 * 2, 10 * 4 * 3),
    "table7": (11 * 2 * 3, 11 * 3, 11 * (3 + 3 * 3 + 2 * 3 * 2)),
    "fig3": (11 * 6 * 5 * 3, 11, 0),
    "fig4": (10 * 18 * 3, 10 * 3, 10 * 18 * 3),
    "fig5": (2 * 3, 3, 2 + 2 * 3 + 2 * 3),
}


@cache
def asked(*words):
    """The sweep that the words ask for, and what was told besides."""
    told = []
    mistakes = Mistakes(told.append)
    caller = line.Caller(ROOT)
    return reproduce.read(line.take_apart("reproduce", words, caller, mistakes), PLACE, caller, mistakes), told


def folders(*words):
    return {job.folder: job for job in asked(*words)[0].plan}


@pytest.mark.parametrize("target", COUNTS)
def test_runs(target):
    jobs = asked(target)[0].plan
    kinds = Counter(job.kind for job in jobs)
    phases_1 = kinds[Kind.BOOSTING] + kinds[Kind.PHASE1]
    assert (kinds[Kind.TRAINING], phases_1, kinds[Kind.TEST]) == COUNTS[target]


def test_figure_1c_is_made_of_the_runs_of_table_1():
    assert asked("fig1c")[0].plan == asked("table1")[0].plan


def test_everything_is_one_plan_and_what_targets_share_is_there_once():
    whole = folders("all")
    for target in COUNTS:
        for folder, job in folders(target).items():
            there = whole[folder]
            kind = (
                there.kind if job.kind is Kind.BOOSTING else job.kind
            )  # a phase 1 may be wanted for its own sake, too
            assert replace(job, kind=kind, arguments=(), leaves=()) == replace(there, arguments=(), leaves=())
    assert len(whole) < sum(len(folders(target)) for target in COUNTS)


def test_the_runs_are_those_of_the_other_sweeps(sweeps):
    mine = sweeps.plan("reproduce", "table7", "--datasets", "dtd", "--seeds", 1)
    trainers = "ZeroshotCLIP CasPLBoost PromptSRC CasPL_PromptSRC"
    assert mine == sweeps.plan("base2new", "--datasets", "dtd", "--seeds", 1, "--all", "--trainers", trainers)
    mine = sweeps.plan("reproduce", "table6", "--datasets", "dtd", "--seeds", 1)
    grid = ["ablations", "--grid", "length", "--datasets", "dtd", "--seeds", 1, "--trainers"]
    theirs = sweeps.plan(*grid, "PromptSRC", "--values", "8 16")
    assert mine == theirs | sweeps.plan(*grid, "CasPL_PromptSRC", "--values", "4+4 8+8")
    mine = sweeps.plan("reproduce", "table2", "--datasets", "imagenet_r", "--seeds", 1)
    names = " ".join(targets.WITH_AND_WITHOUT)
    theirs = sweeps.plan("domain_generalization", "--datasets", "imagenet_r", "--seeds", 1, "--trainers", names)
    assert mine == theirs


def test_lengths_of_both_phases():
    jobs = folders("fig4", "--datasets", "dtd", "--seeds", "1")
    top = "output/ablations/length"
    config = "vit_b16_c2_ep20_batch4_8+8ctx_l12"
    learnable = jobs[f"{top}/base2new/train_base/dtd/shots_16/CasPL_PromptSRC/{config}-length=4+16_learnable/seed1"]
    frozen = jobs[f"{top}/base2new/train_base/dtd/shots_16/CasPL_PromptSRC/{config}-length=4+16/seed1"]
    assert learnable.needs == frozen.needs and learnable.needs.endswith("-length=16/seed1")  # one phase 1 for both
    same = learnable.settings.replace("_learnable", "")
    assert same == f"{frozen.settings} TRAINER.CASPL.FREEZE False"
    assert "TRAINER.PROMPTSRC.N_CTX_VISION 4" in frozen.settings
    assert "TRAINER.CASPL.N_CTX_TEXT 16" in jobs[frozen.needs].settings


def test_depths_of_both_phases(sweeps):
    jobs = folders("table5", "--datasets", "dtd", "--seeds", "1")
    ends = {folder.split("=")[-1] for folder in jobs if "train_base" in folder}
    assert ends == {f"boosting_{b}+adapting_{a}/seed1" for b in (1, 3, 6, 9, 12) for a in (1, 3, 6, 9, 12)}
    (job,) = [jobs[folder] for folder in jobs if "train_base" in folder and "=boosting_6+adapting_3/" in folder]
    assert "TRAINER.PROMPTSRC.PROMPT_DEPTH_TEXT 3 TRAINER.PROMPTSRC.PROMPT_DEPTH_VISION 3" in job.settings
    assert job.needs.endswith("-depth=boosting_6/seed1")
    assert "TRAINER.CASPL.DEPTH_TEXT 6 TRAINER.CASPL.DEPTH_VISION 6" in jobs[job.needs].settings
    choice = ["--grid", "depth", "--datasets", "dtd", "--seeds", 1, "--trainers", "CasPL_PromptSRC"]
    assert job.needs in {f"output/{folder}" for folder in sweeps.plan("ablations", *choice, "--values", "boosting_6")}
    assert len([folder for folder in folders("table5", "--datasets", "digits") if "train_base" in folder]) == 9 * 3


def test_boosting_on_imagenet():
    jobs = folders("table3", "--datasets", "dtd", "--seeds", "1")
    config = "vit_b16_c2_ep50_batch4_8+8ctx_few_shot_l12"
    there = jobs[f"output/ablations/domain/dtd/CasPL_PromptSRC/{config}-domain=imagenet_16shots/seed1"]
    assert there.needs.startswith("output/boost/imagenet/")
    assert jobs[f"output/dtd/CasPL_PromptSRC/{config}_16shots/seed1"].needs.startswith("output/boost/dtd/")
    assert there.needs in folders("table1", "--datasets", "imagenet", "--seeds", "1")  # is run once for both


def test_features_are_asked_for_once_whoever_else_has_the_run():
    """A run that lacks them is not finished for Figure 5, and is the same run for everybody else."""
    own, without = folders("fig5", "--seeds", "1"), folders("table7", "--datasets", "dtd", "--seeds", "1")
    whole = folders("all", "--datasets", "dtd", "--seeds", "1")
    shared = [folder for folder, job in own.items() if job.kind in (Kind.TRAINING, Kind.TEST)]
    assert len(shared) == 8
    for folder in shared:
        assert own[folder].leaves == whole[folder].leaves == (features.NAME,) and without[folder].leaves == ()
        assert own[folder].arguments[-2:] == whole[folder].arguments[-2:] == (FEATURES, "True")
        assert own[folder].settings == without[folder].settings
    assert not any(job.leaves for folder, job in whole.items() if folder not in shared)
    asked_not = folders("fig5", "--seeds", "1", "--", FEATURES, "False")
    assert not any(job.leaves for job in asked_not.values())


def test_a_part_of_the_datasets():
    assert asked("table1", "--datasets", "dtd,digits")[0].request.datasets == ("dtd", "digits")
    assert asked("table1")[0].request.datasets == BENCHMARK
    assert asked("table5")[0].request.datasets == WITHOUT_IMAGENET
    sweep, told = asked("table3", "--datasets", "digits")
    assert told == ["left out: 16 shots, boosted on ImageNet, as it takes the images of ImageNet"]
    assert len(sweep.plan) == 7
    _, told = asked("all", "--datasets", "dtd", "--seeds", "1")
    assert told == [
        "left out: domain generalisation, which is about imagenet imagenetv2 imagenet_sketch imagenet_r",
    ]


@pytest.mark.parametrize(
    "target, tables",
    {
        "table1": ["base2new"],
        "table3": [""],
        "table6": ["ablations/length/base2new"],
        "all": [""],
    }.items(),
)
def test_the_ending(target, tables):
    sweep, _ = asked(target, "--datasets", "digits", "--output", "out")
    commands = carrying_out.ending_of(sweep).commands
    assert [words[2] for words in commands] == [*(f"out/{folder}".rstrip("/") for folder in tables), "out"]
    assert [words[1] for words in commands] == [*["caspl.results"] * len(tables), "caspl.results.report"]
    assert commands[-1][3:] == ("--bundle", f"out/{target}.zip")
    assert carrying_out.ending_of(asked(target, "--datasets", "digits", "--no-table")[0]).commands == ()


MISTAKES = {
    "none": ([], "a target is missing: caspl sweep reproduce TARGET; there are table1, fig1c,"),
    "unknown": (["table8"], 'no target is called "table8"; there are table1, fig1c, table2'),
    "two": (["table1", "table2"], "caspl sweep reproduce takes one target, and table1 and table2 were given; run it"),
    "trainers": (["table1", "--trainers", "CoOp"], "caspl sweep reproduce has no option --trainers"),
    "name": (["table1", "--name", "x"], "caspl sweep reproduce has no option --name"),
    "dataset of others": (
        ["table5", "--datasets", "imagenet"],
        "table5 is not about imagenet; --datasets takes caltech",
    ),
    "dataset": (["fig5", "--datasets", "digit"], 'no dataset is called "digit"; there are caltech101'),
    "digits": (
        ["table2", "--datasets", "digits"],
        "table2 can't be had on digits, as its models are tested on variants of ImageNet, and digits has no variants; "
        "--datasets takes imagenet, imagenetv2, imagenet_sketch, imagenet_r",
    ),
    "key of the grid": (
        ["table6", "--datasets", "digits", "--", "TRAINER.PROMPTSRC.N_CTX_TEXT", "3"],
        "TRAINER.PROMPTSRC.N_CTX_TEXT stands after --, but the grid decides on it; leave the pair out",
    ),
    "key of nobody": (["table7", "--", "TRAINER.COOP.N_CTX", "4"], "TRAINER.COOP.N_CTX stands after --, but none of Z"),
    "seeds": (["table7", "--seeds", "0"], '--seeds has "0", expected'),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_sentence(mistake):
    words, sentence = MISTAKES[mistake]
    with pytest.raises(MistakesError) as caught:
        asked(*words)
    assert len(caught.value.sentences) == 1 and caught.value.sentences[0].startswith(sentence)


def test_every_target_is_listed_where_one_looks(sweeps):
    said = sweeps("reproduce", "--help").stdout
    page = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")
    for name, target in TARGETS.items():
        assert f"\n  {name:<12} {target.about}\n" in said and f"| `{name}` |" in page
        if name[-1].isdigit():  # table5: Table 5
            assert target.about.startswith(f"{'Table' if name.startswith('table') else 'Figure'} {name[-1]}: ")
