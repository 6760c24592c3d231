"""CasPL in another checkout of the CoOp family. The one line that its train.py needs:

    import caspl.plugin

Trainers and datasets register into the Dassl that is importable there, and their keys join its default configuration. What
the host has stays the host's: a trainer or dataset whose name it registers, before or after, and every key that it sets.
Each trainer of the host that `caspl.host.twins` can put behind boosting prompts gets a twin, CasPL_<Name>. A configuration file
configs/... that the host lacks is read from `caspl.configs`. docs/PLUGIN.md shows hosts.
"""

from __future__ import annotations

from functools import cache

from . import messages
from .changes import Changes
from .check import check_host


@cache
def install() -> Changes:
    """Do all that; a second call does nothing more.

    Returns:
        What was changed in the host, whose `undo` puts it back; CasPL's own trainers and datasets stay registered.

    Raises:
        HostError: there is no Dassl, or none that works with the installed PyTorch.
        InputError: the host's configuration has a value where CasPL has keys.
    """
    changes = Changes()
    messages.end_in_sentences(changes)
    check_host()
    from . import configuration, registries  # they import the host's Dassl, which works, and register ours into it

    registries.open_to_the_host(changes)
    configuration.complete_defaults(changes)
    messages.log_as_the_host(changes)
    changes.callback(install.cache_clear)
    return changes
