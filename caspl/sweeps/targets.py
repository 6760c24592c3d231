"""The tables and figures of the paper (arXiv 2409.17805), each as the runs that it takes: `caspl sweep reproduce TARGET`."""

from __future__ import annotations

from dataclasses import dataclass

from .grids import DEPTHS, DEPTHS_ON_DIGITS, crossed_depths
from .protocols.rows import Pairs
from .protocols.table import BENCHMARK

DIGITS = "digits"  # stands in for any dataset, where there is none to be had
WITHOUT_IMAGENET = tuple(name for name in BENCHMARK if name != "imagenet")
SHIFTED = ("imagenet", "imagenetv2", "imagenet_sketch", "imagenet_r")  # the source, and the variants of Table 2
LENGTHS = (4, 8, 16)
CASCADE = ("ZeroshotCLIP", "CasPLBoost", "PromptSRC", "CasPL_PromptSRC")  # neither phase, either, both
METHODS = ("CoOp", "CoCoOp", "MaPLe", "PromptSRC")
WITH_AND_WITHOUT = ("ZeroshotCLIP", *(name for method in METHODS for name in (method, f"CasPL_{method}")))


@dataclass(frozen=True)
class Part:
    """Some runs of a target: an experiment with its trainers on each of its datasets.

    Attributes:
        about: what they are, in a few words.
        experiment: base2new, few_shot or domain_generalization.
        trainers, datasets, shots: what is run for each combination; of domain_generalization the first dataset is the source.
        all_classes: whether base-to-new is tested on all classes, too.
        grid, values: of an ablation of the experiment; "": none.
        on_digits: the values on the embedded digits; (): the same.
        not_on_digits: why digits can't stand in for the datasets; "": they can.
        keys: pairs KEY VALUE for every run whose trainer reads the key.
    """

    about: str
    experiment: str
    trainers: tuple[str, ...]
    datasets: tuple[str, ...] = BENCHMARK
    shots: tuple[str, ...] = ("16",)
    all_classes: bool = False
    grid: str = ""
    values: tuple[str, ...] = ()
    on_digits: tuple[str, ...] = ()
    not_on_digits: str = ""
    keys: Pairs = ()


@dataclass(frozen=True)
class Target:
    """A table or figure: where it stands in the paper and what it shows, and its runs. The seeds are 1 to 3."""

    about: str
    parts: tuple[Part, ...]


_BASE_TO_NOVEL = (Part("base-to-new", "base2new", WITH_AND_WITHOUT, all_classes=True),)

TARGETS = {
    "table1": Target("Table 1: base-to-new on 11 datasets, four methods without and with CasPL", _BASE_TO_NOVEL),
    "fig1c": Target("Figure 1c: the harmonic means of Table 1; the same runs", _BASE_TO_NOVEL),
    "table2": Target(
        "Table 2: from ImageNet to V2, Sketch and R, the methods of Table 1",
        (
            Part(
                "domain generalisation",
                "domain_generalization",
                WITH_AND_WITHOUT,
                SHIFTED,
                not_on_digits="its models are tested on variants of ImageNet, and digits has no variants",
            ),
        ),
    ),
    "table3": Target(
        "Table 3: 16 shots on 10 datasets, PromptSRC alone and boosted in-domain or on ImageNet",
        (
            Part("16 shots", "few_shot", ("PromptSRC", "CasPL_PromptSRC"), WITHOUT_IMAGENET),
            Part(
                "16 shots, boosted on ImageNet",
                "few_shot",
                ("CasPL_PromptSRC",),
                WITHOUT_IMAGENET,
                grid="domain",
                values=("imagenet",),
                not_on_digits="it takes the images of ImageNet",
            ),
        ),
    ),
    "table5": Target(
        "Table 5: depths 1, 3, 6, 9 and 12 of both phases, crossed, on 10 datasets",
        (
            Part(
                "depths of both phases",
                "base2new",
                ("CasPL_PromptSRC",),
                WITHOUT_IMAGENET,
                grid="depth",
                values=crossed_depths(DEPTHS),
                on_digits=crossed_depths(DEPTHS_ON_DIGITS),
            ),
        ),
    ),
    "table6": Target(
        "Table 6: 8 and 16 tokens in all, without and with CasPL, on 10 datasets",
        (
            Part("one phase", "base2new", ("PromptSRC",), WITHOUT_IMAGENET, grid="length", values=("8", "16")),
            Part(
                "two phases", "base2new", ("CasPL_PromptSRC",), WITHOUT_IMAGENET, grid="length", values=("4+4", "8+8")
            ),
        ),
    ),
    "table7": Target(
        "Table 7: neither phase, either, both (PromptSRC) on 11 datasets",
        (Part("base-to-new", "base2new", CASCADE, all_classes=True),),
    ),
    "fig3": Target(
        "Figure 3: 1, 2, 4, 8 and 16 shots on 11 datasets",
        (
            Part(
                "few-shot",
                "few_shot",
                ("LinearProbe", *METHODS, "CasPL_PromptSRC"),
                shots=("1", "2", "4", "8", "16"),
            ),
        ),
    ),
    # The numbers on its axes are not known here, but that 8+8 is the best: these are those of the published configurations
    "fig4": Target(
        "Figure 4: 4, 8 and 16 tokens of both phases, crossed, boosting prompts frozen and learnable",
        (
            Part(
                "lengths of both phases",
                "base2new",
                ("CasPL_PromptSRC",),
                WITHOUT_IMAGENET,
                grid="length",
                values=tuple(
                    f"{adapting}+{boosting}{end}"
                    for end in ("", "_learnable")
                    for adapting in LENGTHS
                    for boosting in LENGTHS
                ),
            ),
        ),
    ),
    "fig5": Target(
        "Figure 5: image features on DTD, neither phase, either, both (PromptSRC)",
        (Part("image features", "base2new", CASCADE, ("dtd",), keys=("TEST.FEATURES", "True")),),
    ),
}
TARGETS["all"] = Target(
    "all of these, in one plan",
    tuple(dict.fromkeys(part for target in TARGETS.values() for part in target.parts)),
)
