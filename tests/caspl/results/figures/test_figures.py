"""What the kinds of figures have in common, and what each does with numbers that are missing, many classes, odd names."""

import math
import re

import numpy as np
import pytest

from caspl.results.figures import INKS, heat, lines, scatter, style
from caspl.results.figures.bars import side_by_side
from caspl.results.tables import Cell, Row, Table

ODD = "<b>$x^2$</b>\x1b[2J"


def curves():
    rows = [
        Row(name, "1", [Cell(10.0 + place), None, Cell(20.0 + place)], dataset=ODD)
        for place, name in enumerate(("CLIP", "CoOp", "CoOp + CasPL", ODD))
    ]
    return Table("Few-shot", ["0", "1", "2"], rows, by_dataset=True)


def phases():
    return Table("", ["without", "with"], [Row(ODD, "1", [Cell(50.0, 1.0), None]), Row("b", "1", [None, Cell(60.0)])])


def points(classes=3):
    labels = np.arange(4 * classes) % classes
    panel = scatter.Panel(np.stack([labels, np.arange(len(labels))], 1), labels, "within 1")
    return [scatter.Line("base", [ODD, *map(str, range(1, classes))], [panel, None])]


def grid():
    return [heat.Heat(ODD, [[1.0, math.nan], [2.0, 3.0]])]


DRAWINGS = {
    "bars": lambda: side_by_side(phases(), ODD),
    "lines": lambda: lines.panels(curves()),
    "heat": lambda: heat.maps(grid(), ["4", "8"], ["1", "2"], "boosting", "adapting", "%"),
    "scatter": lambda: scatter.clouds(points(), [ODD, "b"]),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_is_the_same_each_time_and_has_the_ink_of_its_page(name):
    drawn = {theme: style.svg(DRAWINGS[name], theme, name) for theme in INKS}
    for theme, (content, width) in drawn.items():
        assert (content, width) == style.svg(DRAWINGS[name], theme, name) and 300 < width < 1_300
        other = INKS["dark" if theme == "light" else "light"].encode()
        # letters on a bright field of a heat map are dark on any page
        assert INKS[theme].encode() in content and (other not in content or (name == "heat" and theme == "dark"))
        assert not re.search(rb"<script|<image[^>]+href=\"(?!data:)|[\x00-\x08\x1b]", content)
    assert drawn["light"][0] != drawn["dark"][0]


def test_a_file_is_a_png(tmp_path):
    style.save(DRAWINGS["heat"], tmp_path / "heat.png")
    assert (tmp_path / "heat.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["heat.png"]


def test_letters_on_a_map_can_be_read():
    """Their contrast with the field that they stand on, by WCAG 2; 3 is the least for graphics and large letters."""
    numbers = [[float(value) for value in range(40)]]
    plot = heat.maps([heat.Heat("", numbers)], ["1"], [*map(str, range(40))], "", "", "").axes[0]
    (image,) = plot.images
    for text in plot.texts:
        field = heat._luminance(image.to_rgba(float(text.get_text())))
        letters = 1.0 if text.get_color() == "white" else heat._luminance([0x1D / 255, 0x24 / 255, 0x30 / 255])
        bright, dark = max(field, letters), min(field, letters)
        assert (bright + 0.05) / (dark + 0.05) > 3.5


def test_a_method_and_its_twin_share_a_colour():
    shown = {
        line.get_label(): line.lines[0] for line in lines.panels(curves()).axes[0].containers if hasattr(line, "lines")
    }
    plain, twin = shown["CoOp"], shown["CoOp + CasPL"]
    assert plain.get_color() == twin.get_color() and (plain.get_linestyle(), twin.get_linestyle()) == ("--", "-")


def test_many_classes_have_no_legend():
    assert scatter.clouds(points(12), ["a", "b"]).axes[1].get_legend() is not None
    figure = scatter.clouds(points(13), ["a", "b"])
    assert figure.axes[1].get_legend() is None
    looks = {
        (tuple(dots.get_facecolor()[0]), dots.get_paths()[0].vertices.tobytes()) for dots in figure.axes[0].collections
    }
    assert len(looks) == 13  # each class has a colour and shape of its own
