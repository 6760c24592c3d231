"""The numbers that papers and repositories print, in published.csv: setting/dataset, method, metric, value, source.

The four settings of the tables have the names of `caspl.results.reading.run` and a dataset, or what `average_of` gives; their
metrics are base, new and hm, 1shot, 2shot ..., acc. Ablations of the CasPL paper have settings of their own, are of PromptSRC,
and say what differs behind the method's name:

    base_to_new/avg11     hm             CLIP + boosting (also by dataset)                              Table 7
    base_to_new/avg11     hm             CLIP (ViT-L/14), PromptSRC (ViT-L/14)                          Table 8
    few_shot/avg10        16shot         PromptSRC+CasPL (boosting on ImageNet)                         Table 3
    ablation_depth/avg10  hm             PromptSRC+CasPL (boosting depth 12, adapting depth 9)          Table 5
    ablation_tokens/avg10 base, new, hm  PromptSRC (8 adapting), PromptSRC+CasPL (4 boosting + 4 adapting)  Table 6
    ablation_images/DTD   hm             PromptSRC+CasPL (phase 1 on 4 images of each class)            supplement

avg10 is without ImageNet.
"""

from __future__ import annotations

import csv
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib import resources

from .methods import Method
from .names import BEHIND_BOOSTING, BENCHMARK, PUBLISHED_BACKBONES, TRAINERS, VARIANTS

SHOTS = 16  # of every published number but the few-shot ones, and those of methods that see no labels

# Methods that are published for one configuration and under a name that says so.
CONFIGURATIONS = {
    ("VPT", "vit_b16_c2_ep5_batch4_4"): "VPT (8 tokens, depth 12, 5 epochs)",
    ("IVLP", "vit_b16_c2_ep5_batch4_4ctx_language_only"): "Deep language prompting (4 tokens, depth 12, 5 epochs)",
    ("IVLP", "vit_b16_c2_ep5_batch4_2+2ctx"): "IVLP (2+2, depth 12, 5 epochs)",
    ("IVLP", "vit_b16_c2_ep20_batch4_4+4ctx"): "IVLP (4+4, depth 9, 20 epochs)",
}


@dataclass(frozen=True)
class Value:
    """A published accuracy in percent, and where it stands."""

    percent: float
    source: str
    rounding: float = 0.005  # half a unit of the last digit that is printed


@cache
def _values() -> dict[tuple[str, str, str], Value]:
    text = (resources.files(__package__) / "published.csv").read_text(encoding="utf-8")
    values: dict[tuple[str, str, str], Value] = {}
    for row in csv.DictReader(text.splitlines()):
        # Of several sources the first counts: in the file a method's own tables stand in front of reprints.
        key = (row["setting"], row["method"], row["metric"])
        decimals = len(row["value"].partition(".")[2])
        values.setdefault(key, Value(float(row["value"]), row["source"], 0.5 / 10**decimals))
    return values


def find(method: Method, setting: str, dataset: str, metric: str) -> Value | None:
    """The published counterpart of one of our numbers; None where there is none.

    Args:
        setting: base_to_new, few_shot, cross_dataset or domain_generalization.
        dataset: the papers' name, or what `average_of` gives.
        metric: base, new or hm; 1shot, 2shot ...; acc.
    """
    name = _published_name(method)
    if name is None or (setting != "few_shot" and any(run.shots not in (0, SHOTS) for run in method.runs)):
        return None
    return value(f"{setting}/{dataset}", name, metric)


def value(setting: str, method: str, metric: str) -> Value | None:
    """A published number by what the file calls it, for example value("base_to_new/DTD", "CLIP + boosting", "hm")."""
    return _values().get((setting, method, metric))


def average_of(datasets: Collection[str]) -> str:
    """What the file calls the average over exactly these datasets; "" if it has none."""
    known = {
        frozenset(BENCHMARK): "avg11",
        frozenset(BENCHMARK[1:]): "avg10",  # without the source, ImageNet
        frozenset(BENCHMARK) - {"ImageNet", "SUN397", "Food101"}: "avg8(without ImageNet,SUN397,Food101)",
        frozenset(VARIANTS): "avg4_targets",
        frozenset(VARIANTS) - {"ImageNetA"}: "avg3_targets(V2,Sketch,R)",
    }
    return known.get(frozenset(datasets), "")


def _published_name(method: Method) -> str | None:
    """None where nothing is published that would be comparable: another backbone, the inductive protocol."""
    if method.inductive or any(run.backbone not in (None, *PUBLISHED_BACKBONES) for run in method.runs):
        return None
    if len(method.configs) == 1 and (method.trainer, method.configs[0]) in CONFIGURATIONS:
        return CONFIGURATIONS[method.trainer, method.configs[0]]
    plain = method.trainer.removeprefix(BEHIND_BOOSTING)
    return TRAINERS.get(plain, plain) + ("+CasPL" if plain != method.trainer else "")
