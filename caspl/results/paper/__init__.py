"""The tables and figures of the paper (arXiv 2409.17805), from whatever runs there are.

    for artefact in artefacts(runs, folder):
        artefact.tables, artefact.pictures, artefact.missing, artefact.command

`artefact` says what one is, `needs` what is missing for it in words, `selection` which runs count. The others make them:
`cascade` Tables 1 and 7 and Figure 1c, `domains` Table 2, `shots` Table 3 and Figure 3, `ablations` Tables 5 and 6 and
Figure 4, `spread` Figure 5; `making` all of them.
"""

from .artefact import Artefact, Picture
from .making import artefacts

__all__ = ["Artefact", "Picture", "artefacts"]
