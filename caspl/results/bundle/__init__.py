"""Evidence: one zip file with all that the tables of a folder rest on, and the check that they follow from it.

    caspl report FOLDER --bundle FILE.zip
    caspl report FILE.zip --verify

docs/results.md says what is in it and what a check proves. In the order of the work: `manifest` (what a bundle says of itself),
`archive` (a zip file from outside, of which nothing is believed), `links` (which run a run rests on), `reading` (the runs in
one), `taking` (which files go in), `writing`, and `verifying` by `numbers` (results from predictions) and `comparing` (tables).
"""
