"""`python train.py`, the family's command line, in CasPL's checkout: all of it is in caspl/train.py."""

import sys

from caspl.ground import door

if __name__ == "__main__":
    door.watch()  # what follows takes seconds, in which Ctrl-C and SIGTERM are answered, too

from caspl.train import apply_flags, carry_out, default_cfg, main, parse_args, run, setup_cfg, unknown_names

__all__ = ["apply_flags", "carry_out", "default_cfg", "main", "parse_args", "run", "setup_cfg", "unknown_names"]

if __name__ == "__main__":
    sys.exit(main())
