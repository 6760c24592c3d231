"""`python train.py`, the family's command line, in CasPL's checkout: all of it is in caspl/train.py."""

import sys

from caspl.ground import door

if __name__ == "__main__":
    door.watch()  # what follows takes seconds, in which Ctrl-C and SIGTERM are answered, too

from caspl.train import (
    LOCK,
    REGISTRIES,
    apply_flags,
    carry_out,
    default_cfg,
    log,
    main,
    parse_args,
    parser,
    run,
    setup_cfg,
    unknown_names,
)

__all__ = [
    "LOCK",
    "REGISTRIES",
    "apply_flags",
    "carry_out",
    "default_cfg",
    "log",
    "main",
    "parse_args",
    "parser",
    "run",
    "setup_cfg",
    "unknown_names",
]

if __name__ == "__main__":
    sys.exit(main())
