"""The figures, as files and as parts of a page: a module for each kind of drawing, and what all of them share in `style`.

`bars`, `lines`, `heat` and `scatter` draw; `of_tables` says which figure belongs to the table of which setting.
"""

from .of_tables import DRAWN, FILES, draw, save, svg
from .style import INKS

__all__ = ["DRAWN", "FILES", "INKS", "draw", "save", "svg"]
