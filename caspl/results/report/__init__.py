"""One HTML page of all that lies below an output folder.

    caspl report output

In the order of the work: `facts` (what the record of a run says, as names and values), `panels` (what a method got wrong and
how it was trained), `evidence` (the runs of each method on each dataset), `shown` and `artefacts` (tables, with the places of
their numbers' runs), `missing`, `contents` (the whole page as typed values, where all that is computed is computed) and
`page` (their HTML, from page.html, page.macros.html, page.css and page.js, which only show).
"""
