"""What is missing, in words."""

import pytest

from caspl.results.paper.needs import Needs, of_trainers

METHODS = of_trainers(["ZeroshotCLIP", "PromptSRC", "CasPL_PromptSRC"])
DATASETS = ("DTD", "EuroSAT", "UCF101")


def classes(parts):
    return f"{parts[0]} classes"


def whole(methods=METHODS, datasets=DATASETS, parts=("base", "new")):
    return {
        (method, dataset, seed or 1, part)
        for method, seeds in methods.items()
        for dataset in datasets
        for seed in seeds
        for part in parts
    }


def missing(there, datasets=DATASETS):
    return Needs(METHODS, datasets, parts=("base", "new"), words=classes).missing(there)


def without(**gone):
    """All but what has these values."""
    names = ("method", "dataset", "seed", "part")
    return {
        piece
        for piece in whole()
        if not all(dict(zip(names, piece, strict=True))[name] in value for name, value in gone.items())
    }


@pytest.mark.parametrize(
    "there, said",
    [
        (whole(), []),
        (set(), ["no run of it is there"]),
        (
            without(method=["PromptSRC"], dataset=["DTD", "EuroSAT"], seed=[2, 3]),
            ["PromptSRC on DTD and EuroSAT, seeds 2 and 3"],
        ),
        (
            without(method=["PromptSRC", "PromptSRC + CasPL"], dataset=["DTD"], part=["new"]),
            ["PromptSRC without and with CasPL on DTD, new classes"],
        ),
        (
            without(method=["PromptSRC + CasPL"], dataset=["UCF101"], part=["base"], seed=[2]),
            ["PromptSRC + CasPL on UCF101, base classes of seed 2"],
        ),
        (without(method=["CLIP"]), ["CLIP on DTD, EuroSAT and UCF101"]),
        (without(dataset=["EuroSAT"]), ["no run on EuroSAT"]),
        (without(seed=[3]), ["PromptSRC without and with CasPL on DTD, EuroSAT and UCF101, seed 3"]),
        (
            {*whole(datasets=["DTD"]), ("PromptSRC", "EuroSAT", 1, "base")},
            [
                "CLIP and PromptSRC + CasPL on EuroSAT",
                "PromptSRC on EuroSAT, seeds 2 and 3; new classes of seed 1",
                "no run on UCF101",
            ],
        ),
    ],
)
def test_what_is_missing(there, said):
    assert missing(there) == said


def test_what_is_not_random_needs_any_one_seed():
    for seed in (None, 1, 7):
        assert missing({*without(method=["CLIP"]), *((*p[:2], seed, p[3]) for p in whole() if p[0] == "CLIP")}) == []


def test_another_dataset_is_to_be_complete_on_it():
    known = whole(datasets=["digits"]) - {("PromptSRC", "digits", 3, "new")}
    said = missing(known, tuple("abcdef"))
    assert said == ["PromptSRC on digits, new classes of seed 3", "no run on any of the paper's 6 datasets"]


def test_many_datasets_are_summarised():
    many = tuple(f"d{n}" for n in range(11))
    assert missing(whole(datasets=many[:2]), many) == ["no run on 9 of the paper's 11 datasets (all but d0 and d1)"]
    there = {piece for piece in whole(datasets=many) if piece[0] != "PromptSRC" or piece[1] == "d4"}
    assert missing(there, many) == ["PromptSRC on all datasets but d4"]
    assert missing({p for p in there if p[0] != "PromptSRC"}, many) == ["PromptSRC on all 11 datasets"]
