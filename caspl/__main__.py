"""Using, exporting and sharing what was trained, and taking over what the published code has left.

    caspl predict output/coop photos/ --classes names.txt --top-k 3
    caspl export output/coop --onnx coop.onnx
    caspl share output/boost/pets --folder pets-boosting
    caspl convert config theirs.yaml --output mine.yaml

`caspl COMMAND --help` shows each one's flags; docs/use.md has examples.
"""

from __future__ import annotations

import argparse
import logging
import sys

from . import __version__, convert
from .ground import door
from .ground.texts import log_to_stderr
from .use import export, hub, predict

COMMANDS = {
    "predict": (predict, "classify images and folders"),
    "export": (export, "one file for deployment: ONNX, torch.export, or CLIP's own layout"),
    "convert": (convert, "configuration files and boosting prompts of the published CasPL code, as ours"),
    "share": (hub, "a folder for the Hugging Face Hub, of boosting prompts, and its upload"),
}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = door.Parser("caspl", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"caspl {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, summary) in COMMANDS.items():
        module.add_arguments(commands.add_parser(name, help=summary, description=module.__doc__.splitlines()[0]))
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 done in part, 2 a mistake in what was given (one sentence on stderr); see `door.run`."""
    return door.run(lambda: _carry_out(parse_args(argv)))


def _carry_out(args: argparse.Namespace) -> int:
    log_to_stderr()
    logging.getLogger(__package__).setLevel(logging.INFO)
    return COMMANDS[args.command][0].run(args)


if __name__ == "__main__":
    sys.exit(main())
