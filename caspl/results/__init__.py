"""Collecting the output folders of the CoOp family: tables, figures and the published numbers beside them.

    python -m caspl.results output

docs/results.md says which folders are read and what the tables mean. One job per module, in the order of the work: `reading`
(which runs there are), `names`, `methods` (which runs make a row), `published`, `tables` (the numbers), `render` (their text)
and `figures`.
"""

from .tables import harmonic_mean

__all__ = ["harmonic_mean"]
