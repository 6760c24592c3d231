"""What lies below an output folder, and which of it may stand in a table.

In the order of the work: `text` (a log as plain lines), `logs` (the runs in it), `told` (what is told about one run), `places`
(what a folder's name says), `agreement` (whether both say the same), `run` (what a table needs), `models` (which test belongs
to which training) and `runs`, which does all of it.
"""
