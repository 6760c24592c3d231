"""What the table of protocols says of its sources, and what --as-published makes of it."""

import re

import pytest

from caspl.sweeps.command.carrying_out import Ending, table_of
from caspl.sweeps.place import TRAINERS, configurations
from caspl.sweeps.plan import Planner
from caspl.sweeps.protocols.rows import Run
from caspl.sweeps.protocols.table import OURS, PROTOCOLS, protocol
from caspl.sweeps.requests import Mistakes, Request

from .dry_runs import CHECKOUT

DEVIATING = [row for row in PROTOCOLS if row.deviation]


def text(path):
    return re.sub(r"\s+", " ", (CHECKOUT / path).read_text(encoding="utf-8"))


def test_every_row_names_a_source_and_configurations_that_are_there():
    for row in PROTOCOLS:
        assert row.source
        for trainer in row.fits.trainers.split():
            there = configurations(trainer)
            assert row.config in there, f"{TRAINERS}/{trainer}/{row.config}"
            assert not row.published.config or row.published.config in there, (
                f"{TRAINERS}/{trainer}/{row.published.config}"
            )


def test_what_published_changes_is_a_deviation_that_is_told():
    said = text("docs/sweeps.md")
    for row in PROTOCOLS:
        changes = row.as_published() != row
        assert not changes or row.deviation, row
        assert not row.deviation or not row.source.startswith(OURS), row
    assert not [row.deviation for row in DEVIATING if row.deviation not in said]


# setting, trainer, dataset, shots -> configuration, and the shots and seeds of the published run (None: the experiment's)
PUBLISHED = {
    ("base2new", "ProGrad", "dtd", 4): ("rn50_ep100", (4,), None),
    ("base2new", "ProGrad", "imagenet", 4): ("rn50_ep50", (4,), None),
    ("base2new", "CasPL_ProGrad", "dtd", 16): ("vit_b16_ep100", None, None),
    ("base2new", "CoOp", "dtd", 16): ("vit_b16_ctxv1", None, None),
    ("base2new", "MaPLe", "dtd", 16): ("vit_b16_c2_ep5_batch4_2ctx", None, None),
    ("few_shot", "CoOp", "dtd", 1): ("rn50_ep50", None, None),
    ("few_shot", "CoOp", "dtd", 2): ("rn50_ep100", None, None),
    ("few_shot", "CoOp", "dtd", 16): ("rn50", None, None),
    ("few_shot", "CoOp", "imagenet", 16): ("rn50_ep50", None, None),
    ("few_shot", "ProGrad", "dtd", 8): ("rn50", None, None),
    ("few_shot", "LinearProbe", "dtd", 8): ("rn50", None, None),
    ("few_shot", "KgCoOp", "dtd", 4): ("vit_b16_ep100_ctxv1", (4,), None),
    ("transfer", "KgCoOp", "imagenet", 4): ("vit_b16_ep100_ctxv1", (4,), None),
    ("transfer", "ProGrad", "imagenet", 4): ("rn50_ep50", (4,), None),
    ("transfer", "CasPL_PromptSRC", "imagenet", 16): ("vit_b16_c2_ep20_batch4_8+8ctx_cross_datasets_l3", None, (1,)),
    ("transfer", "CasPL_MaPLe", "imagenet", 16): ("vit_b16_c8_ep5_batch4_8ctx_cross_datasets_l12", None, None),
    ("transfer", "ProGrad", "digits", 16): ("digits", None, None),
    ("base2new", "ProGrad", "digits", 16): ("digits", None, None),
}


@pytest.mark.parametrize("setting, trainer, dataset, shots", PUBLISHED)
def test_as_published(setting, trainer, dataset, shots):
    row = protocol(Run(setting, trainer, dataset, shots), as_published=True)
    assert (row.config, row.shots, row.seeds) == PUBLISHED[setting, trainer, dataset, shots]


# ------------------------------------------------------------ what a sweep says below its table
def deviations(setting="base2new", **asked):
    trainers = ("ProGrad", "KgCoOp", "CasPL_ProGrad", "CasPL_CoOp")
    made = Planner(Request(setting, trainers=trainers, **asked), Mistakes(print))
    for trainer in trainers:
        made.few_shot("output", "imagenet" if setting == "transfer" else "dtd", trainer, "1", "16")
    return set(made.deviations)


def test_a_sweep_tells_where_it_deviates():
    assert deviations() == {"ProGrad"}
    assert deviations("transfer") == {"ProGrad", "KgCoOp", "CasPL_CoOp"}
    assert deviations("transfer", as_published=True) == {"CasPL_CoOp"}  # which is not followed
    assert deviations(configs={"ProGrad": "rn50_ep100"}) == set()  # of one that was asked for nothing is known


def test_deviations_stand_below_the_table(tmp_path, capfd):
    ending = Ending((table_of(str(tmp_path), ("dtd",), ("ProGrad",)),), {"ProGrad": "another backbone"})
    assert not ending.show()  # there is nothing to be shown
    assert capfd.readouterr().out.endswith("\nProGrad is not run as published: another backbone.\n")
