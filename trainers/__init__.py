"""The prompt learners. Importing this package registers them in the importable Dassl's TRAINER_REGISTRY.

`KEYS` are the configuration keys of all of them, each declared in the file of its method.
"""

from yacs.config import CfgNode

from caspl.border import own_dassl
from caspl.ground.keys import add_keys

if not own_dassl.importable():
    own_dassl.provide()

from . import (
    cascaded,
    caspl,
    caspl_boost,
    cocoop,
    coop,
    crops,
    ivlp,
    kgcoop,
    linear_probe,
    maple,
    memory,
    prograd,
    promptsrc,
    references,
    running,
    seed_stream,
    stored_features,
    zsclip,
)

DECLARING = (
    zsclip,
    linear_probe,
    coop,
    cocoop,
    ivlp,
    maple,
    promptsrc,
    kgcoop,
    prograd,
    caspl_boost,
    cascaded,
    memory,
    stored_features,
    crops,
    references,
    running,
    seed_stream,
)
KEYS = [key for module in DECLARING for key in module.KEYS]


def extend_cfg(cfg: CfgNode) -> None:
    """Add the keys of every method here, with their defaults, where `cfg` does not have them."""
    add_keys(cfg, KEYS)


__all__ = ["KEYS", "caspl", "extend_cfg"]
