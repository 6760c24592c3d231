"""Tables 2 and 3: other images than those of training, and other images than those of phase 1."""

from dataclasses import replace

import pytest

from caspl.results.paper import artefacts
from caspl.results.reading.runs import find_runs
from logs_made import NAMES, made, put
from paper_runs import BENCHMARK, made_of, numbers
from records_made import boosting, record

NAMES |= {"imagenet_sketch": "ImageNetSketch", "imagenet_a": "ImageNetA"}


def domains(top, trainer, source, **targets):
    put(
        top,
        f"imagenet/{trainer}/cfg_16shots/seed1",
        made(source, "imagenet", trainer, file="cfg", output=f"o/{trainer}"),
    )
    for dataset, percent in targets.items():
        text = made(percent, dataset, trainer, shots=-1, model=f"o/{trainer}", file="cfg")
        put(top, f"evaluation/{trainer}/cfg_16shots/{dataset}/seed1", text)


def test_table_2_averages_the_papers_three_variants(tmp_path):
    targets = {"imagenetv2": 60, "imagenet_sketch": 45, "imagenet_r": 75, "imagenet_a": 1}
    domains(tmp_path, "PromptSRC", 71, **targets)
    domains(tmp_path, "KgCoOp", 50, imagenetv2=50)
    artefact = made_of(tmp_path)["table2"]
    (table,) = artefact.tables
    assert table.columns == ["ImageNet (source)", "ImageNetV2", "ImageNetSketch", "ImageNetR", "average"]
    assert numbers(table) == {("", "PromptSRC"): [71, 60, 45, 75, 60]}
    assert [cell.published.percent for cell in table.rows[0].cells] == [71.27, 64.35, 49.55, 77.80, 63.90]
    assert "PromptSRC on ImageNet, ImageNetV2, ImageNetSketch and ImageNetR, seeds 2 and 3" in artefact.missing
    assert "--datasets" not in artefact.command


def few(top, trainer, percent, dataset, config="cfg", below=""):
    put(top, f"{below}{dataset}/{trainer}/{config}_16shots/seed1", made(percent, dataset, trainer, file="cfg"))


def test_table_3_has_a_row_for_each_origin_of_the_boosting_prompts(tmp_path):
    for dataset in BENCHMARK:
        few(tmp_path, "PromptSRC", 80, dataset)
        few(tmp_path, "CasPL_PromptSRC", 84, dataset)
        few(tmp_path, "CasPL_PromptSRC", 82, dataset, "cfg-domain=imagenet", "ablations/domain/")
        few(
            tmp_path, "CasPL_PromptSRC", 83, dataset, "cfg-domain=self+imagenet", "ablations/domain/"
        )  # not in the table
    few(tmp_path, "PromptSRC", 1, "imagenet")
    artefact = made_of(tmp_path)["table3"]
    (table,) = artefact.tables
    assert len(table.columns) == 11 and table.columns[-1] == "average"
    assert {row.method: round(row.cells[-1].mean, 2) for row in table.rows} == {
        "PromptSRC": 80,
        "PromptSRC + CasPL, boosted on ImageNet": 82,
        "PromptSRC + CasPL, boosted on the same dataset": 84,
    }
    assert [row.cells[-1].published.percent for row in table.rows] == [83.84, 84.56, 85.52]
    assert table.rows[1].cells[0].published is None and table.rows[2].cells[0].published is not None
    assert len(artefact.missing) == 1 and artefact.missing[0].endswith("on all 10 datasets, seeds 2 and 3")


@pytest.mark.parametrize(
    ("where", "row"),
    [
        ("ImageNet", "PromptSRC + CasPL, boosted on ImageNet"),
        ("OxfordPets", "PromptSRC + CasPL, boosted on the same dataset"),
        ("DTD", None),
    ],
)
def test_the_record_says_where_boosting_prompts_learned(tmp_path, where, row):
    few(tmp_path, "PromptSRC", 80, "oxford_pets")
    few(tmp_path, "CasPL_PromptSRC", 84, "oxford_pets")
    runs = find_runs(tmp_path).runs
    known = record(boosting=boosting(dataset=where))
    runs = [replace(run, record=known) if run.trainer.startswith("CasPL") else run for run in runs]
    tables = {artefact.name: artefact for artefact in artefacts(runs, tmp_path)}["table3"].tables
    assert [each.method for table in tables for each in table.rows] == (["PromptSRC", row] if row else [])
