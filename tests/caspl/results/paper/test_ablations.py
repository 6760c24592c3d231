"""Tables 5 and 6 and Figure 4: maps of two lengths or depths."""

import math
import shutil

import pytest

from caspl.results.tables import harmonic_mean
from paper_runs import BENCHMARK, made_of, numbers, of_grid

DEPTHS = (1, 2, 3)


def crossed(top, dataset="digits", seeds=(1, 2, 3), depths=DEPTHS):
    for boosting in depths:
        for adapting in depths:
            for seed in seeds:
                of_grid(
                    top,
                    "depth",
                    f"boosting_{boosting}+adapting_{adapting}",
                    80 + boosting,
                    70 + adapting + seed,
                    dataset,
                    seed,
                )


def on_map(picture, place=0):
    """The numbers of a map as they are written, by column and row."""
    plot = picture.drawing().axes[place]
    return {(round(x), round(y)): text.get_text() for text in plot.texts for x, y in [text.get_position()]}


def test_the_map_of_depths_has_the_numbers_of_the_table(tmp_path):
    crossed(tmp_path)
    artefact = made_of(tmp_path)["table5"]
    (table,), (picture,) = artefact.tables, artefact.pictures
    assert table.columns == ["1 adapting", "2 adapting", "3 adapting"]
    expected = sum(harmonic_mean(83, 71 + seed) for seed in (1, 2, 3)) / 3  # a mean of the seeds' harmonic means
    assert table.rows[2].cells[0].mean == pytest.approx(expected) and len(table.rows[2].cells[0].runs) == 6
    shown = on_map(picture)
    assert shown == {(x, y): f"{cell.mean:.2f}" for y, row in enumerate(table.rows) for x, cell in enumerate(row.cells)}
    plot = picture.drawing().axes[0]
    (frame,) = plot.patches
    assert (round(frame.get_x() + 0.48), round(frame.get_y() + 0.48)) == (
        2,
        2,
    )  # the best is in the last row and column
    assert [text.get_text() for text in plot.get_yticklabels()] == ["1", "2", "3"] and plot.get_title() == "digits"
    assert artefact.missing == ["no run on any of the paper's 10 datasets"]


def test_published_depths_stand_beside_the_same_ten_datasets_only(tmp_path):
    for dataset in BENCHMARK:
        crossed(tmp_path, dataset, seeds=(1,), depths=(1, 12))
    artefact = made_of(tmp_path)["table5"]
    published = [[cell.published.percent for cell in row.cells] for row in artefact.tables[0].rows]
    assert published == [[79.95, 81.60], [82.30, 83.51]]
    assert artefact.missing == [
        "boosting 1 with adapting 1, boosting 1 with adapting 12, boosting 12 with adapting 1 and boosting 12 with adapting 12 "
        "on all 10 datasets, seeds 2 and 3",
        "21 of 25 pairs of depths on all 10 datasets",
    ]
    shutil.rmtree(tmp_path / "ablations/depth/base2new/test_new/dtd")
    table = made_of(tmp_path)["table5"].tables[0]
    assert table.title.endswith("average of 9 datasets") and table.rows[0].cells[0].published is None


def test_depths_of_one_phase_are_listed(tmp_path):
    for value in ("boosting_12", "boosting_3", "adapting_1", "boosting_text_1"):
        of_grid(tmp_path, "depth", value, 80, 70)
    artefact = made_of(tmp_path)["table5"]
    (table,) = artefact.tables
    assert [row.method for row in table.rows] == ["adapting 1", "boosting 3", "boosting 12", "boosting text 1"]
    assert not artefact.pictures


def test_figure_4_has_a_map_for_frozen_and_for_learnable_prompts(tmp_path):
    for value, new in {"4+8": 70, "8+8": 75, "8+8_learnable": 65}.items():
        of_grid(tmp_path, "length", value, 80, new)
    artefact = made_of(tmp_path)["fig4"]
    frozen, learnable = artefact.tables
    assert frozen.columns == ["4 adapting", "8 adapting"] and [row.method for row in frozen.rows] == ["8 boosting"]
    assert numbers(frozen)["", "8 boosting"] == [round(harmonic_mean(80, new), 2) for new in (70, 75)]
    assert numbers(learnable)["", "8 boosting"] == [None, round(harmonic_mean(80, 65), 2)]
    (picture,) = artefact.pictures
    assert on_map(picture, 0) == {(0, 0): "74.67", (1, 0): "77.42"} and on_map(picture, 1) == {
        (0, 0): "-",
        (1, 0): "71.72",
    }
    titles = [plot.get_title() for plot in picture.drawing().axes[:2]]
    assert titles == ["boosting prompts frozen, digits", "boosting prompts learnable, digits"]
    assert artefact.missing[0] == "15 of 18 pairs of lengths on digits"


def test_values_compare_on_the_datasets_that_all_have(tmp_path):
    """A pair that has one dataset of two is compared on this one; an unfinished one has no cell."""
    for dataset in ("dtd", "sun397"):
        of_grid(tmp_path, "length", "8+8", 80 if dataset == "dtd" else 50, 70, dataset)
    of_grid(tmp_path, "length", "4+8", 82, 70, "dtd")
    of_grid(tmp_path, "length", "16+8", None, 70, "dtd")
    (table,) = made_of(tmp_path)["fig4"].tables
    assert table.title.endswith("frozen, DTD")
    assert numbers(table) == {("", "8 boosting"): [round(harmonic_mean(82, 70), 2), round(harmonic_mean(80, 70), 2)]}


def test_the_same_number_of_tokens(tmp_path):
    for dataset in BENCHMARK:
        of_grid(tmp_path, "length", "8", 80, 60, dataset, trainer="PromptSRC")
        of_grid(tmp_path, "length", "4+4", 80, 70, dataset)
        of_grid(tmp_path, "length", "8+16", 1, 1, dataset)  # 24 in all, which nothing is compared with
    artefact = made_of(tmp_path)["table6"]
    (table,) = artefact.tables
    assert [row.method for row in table.rows] == [
        "PromptSRC (8 adapting)",
        "PromptSRC + CasPL (4 boosting + 4 adapting)",
    ]
    assert numbers(table)["", "PromptSRC (8 adapting)"] == [80, 60, 68.57]
    assert [cell.published.percent for cell in table.rows[1].cells] == [86.69, 79.86, 83.14]
    assert artefact.missing == [
        "PromptSRC with 8 adapting and PromptSRC + CasPL with 4 boosting + 4 adapting on all 10 datasets, seeds 2 and 3",
        "PromptSRC with 16 adapting and PromptSRC + CasPL with 8 boosting + 8 adapting on all 10 datasets",
    ]


def test_a_map_of_one_number_can_be_drawn(tmp_path):
    of_grid(tmp_path, "length", "8+8", 80, 70)
    (picture,) = made_of(tmp_path)["fig4"].pictures
    assert picture.svg("dark")[0].startswith(b"<?xml") and not math.isnan(picture.svg("dark")[1])
