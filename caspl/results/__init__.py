"""Collecting the output folders of the CoOp family: tables, figures and the published numbers beside them.

    python -m caspl.results output

docs/results.md says which folders are read and what the tables mean. One job per module, in the order of the work: `records`
(what a run says of itself), `reading` (which runs there are), `names`, `methods` (which runs make a row), `published`, `tables`
(the numbers), `certainty` (intervals, tests, protocols, and which method is best), `render` (their text), `figures`, `paper`
(its tables and figures), `lacks` (what is in no table) and `report` (all of it as one page).
"""

from .tables import harmonic_mean

__all__ = ["harmonic_mean"]
