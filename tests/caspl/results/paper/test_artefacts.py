"""Each table and figure of the paper from runs that are there, and what it says is missing."""

import pytest

from caspl.results.paper import artefacts
from caspl.results.reading.runs import find_runs
from caspl.results.tables import build_tables, harmonic_mean
from logs_made import made, put
from paper_runs import PAIRS, base_to_new, made_of, numbers, shots, zero_shot
from runs_of_methods import runs_of


def test_nothing_is_drawn_without_runs(tmp_path):
    put(tmp_path, "evaluation/CoOp/cfg_16shots/oxford_pets/seed1", made(88, shots=-1, model="o/imagenet/seed1"))
    for artefact in made_of(tmp_path).values():
        assert not artefact.made
        assert artefact.missing == ["no run of it is there"], artefact.name
        assert artefact.command.startswith(f"caspl sweep reproduce {artefact.name}")


def test_table1_has_the_numbers_of_the_ordinary_table(tmp_path):
    zero_shot(tmp_path, "ZeroshotCLIP", 60, 50)
    for trainer in PAIRS:
        for seed in (1, 2, 3):
            base_to_new(tmp_path, trainer, 80 + seed, 50, seed=seed)
            base_to_new(tmp_path, f"CasPL_{trainer}", 82, 70 + seed, seed=seed)
    base_to_new(tmp_path, "VPT", 70, 50)  # not in the paper's table
    artefact = made_of(tmp_path)["table1"]
    (table,), whole = artefact.tables, build_tables(find_runs(tmp_path).runs)["base_to_new"]
    assert numbers(table) == {key: value for key, value in numbers(whole).items() if key[1] != "VPT"}
    assert len(table.rows) == 9 and artefact.missing == ["no run on any of the paper's 11 datasets"]


def test_an_ablation_another_number_of_shots_and_the_inductive_protocol_are_not_of_the_paper(tmp_path):
    base_to_new(tmp_path, "PromptSRC", 80, 60)
    base_to_new(tmp_path, "PromptSRC", 10, 20, config="cfg-length=8+16")
    (table,) = made_of(tmp_path)["table1"].tables
    assert numbers(table) == {("digits", "PromptSRC"): [80, 60, 68.57]}


def test_table7_has_a_row_for_each_phase(tmp_path):
    for dataset, more in (("dtd", 0), ("oxford_pets", 10)):
        zero_shot(tmp_path, "ZeroshotCLIP", 50 + more, 50 + more, dataset)
        zero_shot(tmp_path, "CasPLBoost", 60 + more, 60 + more, dataset)
        base_to_new(tmp_path, "PromptSRC", 70 + more, 70 + more, dataset)
    base_to_new(tmp_path, "CasPL_PromptSRC", 80, 80, "dtd")
    base_to_new(tmp_path, "CoOp", 1, 1, "dtd")  # without its twin
    artefact = made_of(tmp_path)["table7"]
    (table,) = artefact.tables
    assert table.columns == ["OxfordPets", "DTD", "average"]
    assert {method: value for (_, method), value in numbers(table).items()} == {
        "CLIP": [60, 50, 55],
        "CLIP + boosting": [70, 60, 65],
        "PromptSRC": [80, 70, 75],
        "PromptSRC + CasPL": [None, 80, None],  # no average over other datasets than the rows above
    }
    assert table.rows[0].cells[1].published.percent == 56.37  # CLIP on DTD, Table 7
    assert "PromptSRC + CasPL on OxfordPets" in artefact.missing and not any(
        "CoOp" in said for said in artefact.missing
    )


def test_figure1c_is_over_the_datasets_that_all_have(tmp_path):
    for trainer in PAIRS[:2]:
        for dataset in ("dtd", "oxford_pets"):
            base_to_new(tmp_path, trainer, 60, 50, dataset)
            base_to_new(tmp_path, f"CasPL_{trainer}", 80, 60, dataset)
    base_to_new(tmp_path, "CoOp", 1, 1, "sun397")
    artefact = made_of(tmp_path)["fig1c"]
    (table,), (picture,) = artefact.tables, artefact.pictures
    low, high = harmonic_mean(60, 50), harmonic_mean(80, 60)
    assert [[cell.mean for cell in row.cells] for row in table.rows] == [pytest.approx([low, high, high - low])] * 2
    (plot,) = picture.drawing().axes
    assert [bar.get_height() for bar in plot.patches] == pytest.approx([low, low, high, high])
    assert [text.get_text() for text in plot.get_xticklabels()] == ["CoOp", "CoCoOp"]
    assert plot.get_title(loc="right") == "average of 2 datasets"
    assert artefact.missing[-1] == "no run on 8 of the paper's 11 datasets (all but OxfordPets, SUN397 and DTD)"
    assert "MaPLe and PromptSRC, each without and with CasPL on OxfordPets, SUN397 and DTD" in artefact.missing[-2]


def test_figure1c_takes_the_configuration_with_most_datasets_and_says_so(tmp_path):
    for trainer in ("CoOp", "CasPL_CoOp"):
        base_to_new(tmp_path, trainer, 60, 50, "dtd", config="a")
        for dataset in ("dtd", "sun397"):
            base_to_new(tmp_path, trainer, 70, 70, dataset, config="b")
    (table,) = made_of(tmp_path)["fig1c"].tables
    assert table.rows[0].cells[0].mean == 70
    assert table.notes[0] == "CoOp: of 2 configurations CoOp (b) is shown."


def test_figure3_has_a_panel_for_the_average_and_each_dataset(tmp_path):
    for dataset in ("dtd", "oxford_pets"):
        shots(tmp_path, "CoOp", {1: 50, 16: 70}, dataset)
        shots(tmp_path, "CasPL_PromptSRC", {1: 60, 16: 80}, dataset)
        shots(tmp_path, "KgCoOp", {16: 65}, dataset)  # not in the paper's figure
        put(tmp_path, f"ZeroshotCLIP/vit_b16/{dataset}", made(44, dataset, "ZeroshotCLIP", shots=-1))
    artefact = made_of(tmp_path)["fig3"]
    figure = artefact.pictures[0].drawing()
    shown = [plot for plot in figure.axes if plot.get_visible()]
    assert [plot.get_title() for plot in shown] == ["average of 2 datasets", "OxfordPets", "DTD"]
    lines = {line.get_label(): [*line.lines[0].get_ydata()] for line in shown[2].containers}
    assert lines == {"CoOp": [50, 70], "PromptSRC + CasPL": [60, 80], "KgCoOp": [65]}
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["CLIP", "CoOp", "PromptSRC + CasPL", "KgCoOp"]
    assert (
        "CoOp and PromptSRC + CasPL on OxfordPets and DTD, seeds 2 and 3; 2, 4 and 8 shots of seed 1"
        in artefact.missing
    )


def test_one_number_of_shots_is_no_curve(tmp_path):
    shots(tmp_path, "CoOp", {16: 70})
    artefact = made_of(tmp_path)["fig3"]
    assert not artefact.made and len(artefact.missing) == 3


def test_the_same_runs_give_the_same_bytes(tmp_path):
    shots(tmp_path, "CoOp", {1: 50, 16: 70})
    for trainer in ("CoOp", "CasPL_CoOp"):
        base_to_new(tmp_path, trainer, 60, 50)
    pictures = [picture for made in made_of(tmp_path).values() for picture in made.pictures]
    assert {picture.name for picture in pictures} == {"fig1c", "fig3"}
    for picture in pictures:
        for theme in ("light", "dark"):
            assert picture.svg(theme) == picture.svg(theme)
        assert picture.svg("light") != picture.svg("dark")


def test_gains_are_never_between_backbones(tmp_path):
    runs = (
        runs_of("CasPL_CoOp", {1: (80, 80)}) + runs_of("MaPLe", {1: (70, 70)}) + runs_of("CasPL_MaPLe", {1: (75, 75)})
    )
    large = runs_of("CoOp", {1: (60, 60)}, backbone="ViT-L/14")
    other = runs_of("ZeroshotCLIP", {1: (60, 60)}, dataset="DTD", shots=0, backbone="ViT-L/14")  # all that it has
    found = {artefact.name: artefact for artefact in artefacts([*runs, *large, *other], tmp_path)}
    assert [row.method for row in found["fig1c"].tables[0].rows] == ["MaPLe"]
    rows = [(row.dataset, row.method.partition(" (")[0]) for row in found["table1"].tables[0].rows]
    assert ("DTD", "CLIP") in rows and ("digits", "CoOp + CasPL") in rows and ("digits", "CoOp") not in rows
