"""The tables as text: GitHub's markdown, LaTeX, CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from tabulate import LATEX_ESCAPE_RULES, tabulate

from ..ground.texts import in_csv, in_markdown
from .certainty.deviations import BEYOND, NOTE, beyond
from .certainty.intervals import wilson
from .methods import MARK
from .names import method_name
from .reading.run import Run
from .tables import Cell, Row, Table

MISSING = "-"
DEVIATION = "± is the population standard deviation over seeds."
HARMONIC = (
    "Published HMs are of mean accuracies; ours of one dataset are means of the seeds' HMs, which are never higher."
)
COLUMNS = ("setting", "dataset", "trainer", "method", "config", "shots", "seed", "classes", "accuracy", "path")
MEASURED = ("total", "correct", "macro_f1", "ece", "low95", "high95")  # behind them, empty where not known

# Large and landscape, so that the widest table, eleven datasets and an average, fits.
LATEX_HEAD = r"""\documentclass{article}
\usepackage[a3paper,landscape,margin=1cm]{geometry}
\usepackage{booktabs}
\setlength{\parindent}{0pt}
\setlength{\tabcolsep}{3pt}
\begin{document}
\scriptsize
"""
LATEX_FOOT = "\\end{document}\n"


def markdown(tables: Iterable[Table]) -> str:
    """GitHub's markdown: a heading, a table and its notes for each."""
    parts = []
    for table in tables:
        below = [f"- {note}\n" for note in notes(table, lambda note: in_markdown(note).replace(r"(\*)", "(*)"))]
        parts.append(f"## {table.title}\n\n{_tabulate(table, table.rows, labels(table), 'github')}\n")
        parts += ["\n", *below] if below else []
        parts.append("\n")
    return "".join(parts[:-1])


def latex(tables: Iterable[Table]) -> str:
    """A document with one booktabs tabular for each dataset of each table, to be compiled or to be copied from."""
    parts = [LATEX_HEAD]
    for table in tables:
        parts.append(f"\\section*{{{_escape(table.title)}}}\n")
        for dataset, rows in groupby(table.rows, key=lambda row: row.dataset):
            heading = f"\\textbf{{{_escape(dataset)}}}\\nopagebreak\n\n" if dataset else ""
            parts.append(heading + _symbols(_tabulate(table, list(rows), ["method"], "latex_booktabs")))
            parts.append("\n\\medskip\n")
        parts += [_symbols(_escape(note)) + "\n" for note in notes(table)]
    return "\n".join([*parts, LATEX_FOOT])


def runs_csv(runs: Iterable[Run]) -> str:
    """One line for each run; numbers in percent, seed empty where the layout has none, names as `in_csv` gives them."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*COLUMNS, *MEASURED])
    for run in runs:
        method = method_name(run.trainer) + (MARK if run.inductive else "")
        values = vars(run) | {"method": method, "accuracy": f"{run.accuracy:.4f}"}
        cells = (values[column] for column in COLUMNS)
        writer.writerow([*(in_csv(cell) if isinstance(cell, str) else cell for cell in cells), *_measured(run)])
    return file.getvalue()


def _measured(run: Run) -> list[str | int]:
    """Of a run, in the order of MEASURED; the counts of one without a record are those of its log."""
    result = run.record.result if run.record is not None else None
    if result is not None:
        ece = "" if result.ece is None else f"{result.ece:.4f}"
        counts = [result.total, result.correct, f"{result.macro_f1:.4f}", ece]
    elif run.images is not None:
        counts = [run.images, round(run.images * run.accuracy / 100), "", ""]
    else:
        return [""] * len(MEASURED)
    return [*counts, *(f"{end:.4f}" for end in wilson(run.accuracy, counts[0]))]


@dataclass(frozen=True)
class Line:
    """A line of a table as text, by its cells."""

    row: Row
    cells: list[str]
    published: bool = False  # the published numbers of the line above


def labels(table: Table) -> list[str]:
    """What stands in front of the numbers of each line."""
    return ["dataset", "method"] if table.by_dataset else ["method"]


def grid(
    table: Table, rows: Sequence[Row], labels: Sequence[str], shown: Callable[[str], str] = str
) -> tuple[list[str], list[Line]]:
    """The headers and the lines of some of a table's rows, with the same columns for all; `shown` is for names and texts."""
    columns = range(len(table.columns))
    compared = [i for i in columns if table.beside and any(_published(row.cells[i]) for row in table.rows)]
    sources = _sources(table)
    names = [*map(shown, table.columns)]
    headers = [*labels, "seeds", *names, *(f"published {names[i]}" for i in compared)]
    lines = []
    for row in rows:
        head = [shown(getattr(row, label)) for label in labels]
        beside = [_compare(row.cells[i], sources) for i in compared]
        cells = [shown(cell) if isinstance(cell, str) else _text(cell) for cell in row.cells]
        lines.append(Line(row, [*head, row.seeds, *cells, *beside]))
        if not table.beside and any(map(_published, row.cells)):
            head[-1] += ", published"
            lines.append(Line(row, [*head, "", *(_compare(cell, sources) for cell in row.cells)], published=True))
    return headers, lines


def _tabulate(table: Table, rows: Sequence[Row], labels: Sequence[str], style: str) -> str:
    headers, lines = grid(table, rows, labels, in_markdown if style == "github" else str)
    alignment = ["left"] * len(labels) + ["right"] * (len(headers) - len(labels))
    return tabulate([line.cells for line in lines], headers, style, colalign=alignment, disable_numparse=True)


def _published(cell: Cell | str | None) -> bool:
    return isinstance(cell, Cell) and cell.published is not None


def _sources(table: Table) -> list[str]:
    """The sources of a table's published numbers, in the order of their first use."""
    return list(dict.fromkeys(cell.published.source for row in table.rows for cell in row.cells if _published(cell)))


def _text(cell: Cell | None) -> str:
    if cell is None:
        return MISSING
    if cell.text:
        return cell.text
    if cell.interval is not None:
        return f"{cell.mean:.2f} ({cell.interval.low:.2f} to {cell.interval.high:.2f})"
    return f"{cell.mean:.2f}" if cell.deviation is None else f"{cell.mean:.2f} ± {cell.deviation:.2f}"


def _compare(cell: Cell | str | None, sources: Sequence[str]) -> str:
    """For example 82.69 (+0.31)! [2]: published, ours minus published, whether that is beyond the tolerance, source."""
    if not _published(cell):
        return ""
    value = cell.published
    difference = round(cell.mean - value.percent, 2) + 0.0  # adding 0 makes -0.00 positive
    mark = f" [{sources.index(value.source) + 1}]" if len(sources) > 1 else ""
    return f"{value.percent:.2f} ({difference:+.2f}){BEYOND * beyond(cell)}{mark}"


def notes(table: Table, shown: Callable[[str], str] = str) -> list[str]:
    """What is said below a table; `shown` is for the notes that hold names from outside."""
    said, sources = list(map(shown, table.notes)), _sources(table)
    if any(isinstance(cell, Cell) and cell.deviation is not None for row in table.rows for cell in row.cells):
        said.append(DEVIATION)
    if sources:
        which = sources if len(sources) == 1 else [f"[{i}] {source}" for i, source in enumerate(sources, 1)]
        said.append(f"Published numbers, in brackets ours minus published: {'; '.join(which)}.")
        if "HM" in table.columns:
            said.append(HARMONIC)
        said.append(NOTE)
    return said


def _escape(text: str) -> str:
    return text.translate(str.maketrans(LATEX_ESCAPE_RULES))


def _symbols(text: str) -> str:
    """Signs as commands, since not every LaTeX knows the characters, and minus signs that look like one."""
    text = text.replace("±", r"$\pm$").replace("†", r"$\dagger$").replace("‡", r"$\ddagger$").replace("(-", "($-$")
    return re.sub(r"(?<=& )( *)-(?=\d)", r"\1$-$", text)
