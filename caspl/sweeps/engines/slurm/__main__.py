"""What the scripts of a sweep call.

    python -m caspl.sweeps.engines.slurm FOLDER ARRAY TASK    the runs of a task
    python -m caspl.sweeps.engines.slurm FOLDER               the table, and what has failed

FOLDER is that of the sweep, in which the scripts lie.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ....ground import door
from .end import show
from .node import run_task


def main(argv: list[str] | None = None) -> int:
    """The exit status."""
    parser = door.Parser(prog="python -m caspl.sweeps.engines.slurm", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the sweep, in which its scripts lie")
    parser.add_argument("array", nargs="?", help="whose task it is; without: show the table")
    parser.add_argument("task", nargs="?", type=int, help="its number in the array")
    args = parser.parse_args(argv)
    if args.array is None:
        return show(args.folder)
    if args.task is None:
        parser.error("the number of the task is missing")
    return run_task(args.folder, args.array, args.task)


if __name__ == "__main__":
    sys.exit(door.run(main))
