"""CasPL in another checkout of the CoOp family, by one line in its train.py; see `caspl.host`."""

from .host import install  # noqa: F401, what is imported is the installation
