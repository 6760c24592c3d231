"""CasPL in another checkout of the CoOp family, by one line in its train.py: `import caspl.plugin`; see `caspl.host`."""

from .host.installation import install

changes = install()  # whose undo() takes everything back
