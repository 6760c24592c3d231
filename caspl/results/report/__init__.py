"""One HTML page of all that lies below an output folder.

    caspl report output

In the order of the work: `facts` (what the record of a run says, as names and values), `contents` (the whole page as typed
values, where all that is computed is computed) and `page` (their HTML, from page.html and page.css, which only show).
"""
