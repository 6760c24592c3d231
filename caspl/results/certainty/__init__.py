"""How certain the numbers of the tables are: intervals, tests, calibration, and the protocol behind each row.

    certainty_tables(runs)   # tables that stand behind those of `caspl.results.tables`
    verdicts(runs, folder)   # which method is best, by how much, and whether that is certain

In the order of the work: `intervals` (of one number), `paired` (tests of differences), `scores` (the numbers of a table by
method, and which methods are compared), `protocol` (what a row knew), `compared` (the table of tests), `images` (differences on
the same images), `tables` and `verdict`. `deviations` judges differences from published numbers, in today's tables, too.
docs/results.md has the formulas.
"""
