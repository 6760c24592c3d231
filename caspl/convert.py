"""`python -m caspl.convert`: the public name of `caspl.checkpoints.convert`."""

import sys

from .checkpoints.convert import main

if __name__ == "__main__":
    sys.exit(main())
