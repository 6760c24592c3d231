"""`caspl sweep protocols [WORD]`: the table of protocols, or its rows with a word; `--update` writes docs/protocols.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tabulate import tabulate

from ...ground import door
from ...ground.errors import InputError
from ...ground.files import replacing
from .rows import Fits, Keys, Protocol, Published
from .table import KEYS, PROTOCOLS

UPDATE = "--update"
USAGE = """usage: {called} [WORD | --update]

Which configuration and which keys a sweep gives a trainer in an experiment, and where that is published: all rows, or those
with WORD in them, such as MaPLe or few_shot. --update writes docs/protocols.md, in a checkout. docs/sweeps.md says more.
"""
PAGE = Path("docs") / "protocols.md"
HEAD = f"""# Protocols

Which configuration and which keys `caspl sweep` gives a trainer in an experiment, and where that is published. The first row
that fits a run holds; an empty field is for all. `transfer` is cross-dataset and domain generalisation; the dataset is the one
that is trained on, in phase 1 the one whose images are seen (`+imagenet`: ImageNet, alone or in a union). `--as-published`
follows the source where a row deviates from it. This page is written by `caspl sweep protocols {UPDATE}`, from
`caspl/sweeps/protocols/table.py`.
"""
BESIDE = """
## Keys beside the configurations

Whichever row or person chose the configuration; of the rows about one thing, the first that fits holds.
"""
COLUMNS = ("experiment", "trainer", "dataset", "shots", "configuration", "also", "source", "deviation")
COLUMNS_OF_KEYS = ("experiment", "trainer", "dataset", "shots", "configuration with", "keys", "what", "source")


def main(words: Sequence[str], checkout: Path | None) -> int:
    """Print the rows, or write the page of a `checkout`. Raises InputError where there are none, or for too many words."""
    if list(words[:1]) in (["-h"], ["--help"]):
        print(USAGE.format(called=f"{door.prog('caspl sweep')} protocols"), end="")
        return 0
    if list(words) == [UPDATE]:
        return _update(checkout)
    if len(words) > 1:
        raise InputError(f"protocols takes one WORD or none, found {len(words)}; give one")
    word = "".join(words)
    rows = [row for row in map(_cells, PROTOCOLS) if word in " ".join(row)]
    keys = [row for row in map(_cells_of_keys, KEYS) if word in " ".join(row)]
    if not rows and not keys:
        raise InputError(f'"{word}" is in no protocol; without a word all are printed')
    parts = [_grid(COLUMNS, rows)] * bool(rows) + [_grid(COLUMNS_OF_KEYS, keys)] * bool(keys)
    print("\n\n".join(parts))
    return 0


def page() -> str:
    """The text of docs/protocols.md."""
    protocols, keys = map(_cells, PROTOCOLS), map(_cells_of_keys, KEYS)
    return f"{HEAD}\n{_markdown(COLUMNS, protocols)}{BESIDE}\n{_markdown(COLUMNS_OF_KEYS, keys)}"


def _update(checkout: Path | None) -> int:
    if checkout is None:
        raise InputError(f"{UPDATE} writes {PAGE} of a checkout of CasPL, which this is not; leave it out")
    with replacing(checkout / PAGE) as temporary:
        temporary.write_text(page(), encoding="utf-8")
    return 0


# ---------------------------------------------------------------------------------------------------------------------
# Cells
# ---------------------------------------------------------------------------------------------------------------------
def _cells(row: Protocol) -> list[str]:
    return [*_whom(row.fits), row.config, _also(row), row.source, _deviation(row)]


def _cells_of_keys(row: Keys) -> list[str]:
    return [*_whom(row.fits), row.config, _pairs(row.keys), row.what, row.source]


def _whom(fits: Fits) -> list[str]:
    trainers = f"{fits.trainers} for {fits.learners}" if fits.learners else fits.trainers
    return [fits.settings, trainers, fits.datasets or fits.images, fits.shots]


def _also(row: Protocol | Published) -> str:
    return "; ".join(filter(None, [_numbers("shots", row.shots), _numbers("seeds", row.seeds), _pairs(row.keys)]))


def _numbers(name: str, numbers: Sequence[int] | None) -> str:
    return f"{name} {' '.join(map(str, numbers))}" if numbers else ""


def _pairs(words: Sequence[str]) -> str:
    return ", ".join(
        f"{key} {value!r}" if not value else f"{key} {value}"
        for key, value in zip(words[::2], words[1::2], strict=True)
    )


def _deviation(row: Protocol) -> str:
    theirs = "; ".join(filter(None, [row.published.config, _also(row.published)]))
    return ". Published: ".join(filter(None, [row.deviation, theirs]))


def _markdown(columns: Sequence[str], rows: Iterable[list[str]]) -> str:
    names = columns.index(next(name for name in columns if name.startswith("configuration")))
    cells = [[f"`{cell}`" if cell and place == names else cell for place, cell in enumerate(row)] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in [columns, ["---"] * len(columns), *cells])


def _grid(columns: Sequence[str], rows: list[list[str]]) -> str:
    return tabulate(rows, columns, disable_numparse=True)
