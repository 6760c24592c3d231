"""CasPL: cascade prompt learning for vision-language models (ECCV 2024, arXiv 2409.17805).

Rooms, each of which imports only from those before it: `ground`, `clip`, `prompting`, `checkpoints`, `use` and `results`, then
`trainers`, `datasets` and `configs`, and `host` on top. docs/architecture.md shows them. In a checkout `trainers/`, `datasets/`
and `configs/` are folders at the top, as in every repository of the family; here they are links to those, so that each module
has one name, `caspl.trainers.coop` say.
"""

import os
import sys
from itertools import pairwise

__version__ = "0.1.0"


def _begins_a_command() -> bool:
    """Whether this process is `caspl` or `python -m caspl...`, and its packages are being imported."""
    if sys.argv[:1] == ["-m"]:
        return any(word.split(".")[0] == "caspl" for flag, word in pairwise(sys.orig_argv) if flag == "-m")
    return os.path.basename("".join(sys.argv[:1])) in ("caspl", "caspl.exe")


if _begins_a_command():
    from .ground import door

    door.watch()  # the imports take seconds, in which Ctrl-C and SIGTERM are answered, too


def load(source, **options):
    """What a run has learned, ready to classify images: `caspl.load("output/coop").predict("photo.jpg")`.

    See `caspl.use.predictor.load` for the arguments; gives a `caspl.use.predictor.Predictor`.
    """
    from .use.predictor import load

    return load(source, **options)
