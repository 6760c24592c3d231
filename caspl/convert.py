"""What the published CasPL code leaves, as ours: its configuration files, and the boosting prompts of its phase 1.

    caspl convert config configs/trainers/CasPL/vit_b16_c2_ep20_batch4_4+4ctx_l12.yaml --output mine.yaml
    caspl convert boosting CasPL/model.pth.tar-20 --output output/boost/pets --student ViT-B/16 --dataset OxfordPets

`python -m caspl.convert` is the second of them.
"""

from __future__ import annotations

import argparse
import sys

from .checkpoints import convert as boosting
from .configs import convert as config

COMMANDS = {
    "config": (config, "a configuration file or a command"),
    "boosting": (boosting, "boosting prompts; phase 2 takes the published file as it is, too"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    for name, (module, summary) in COMMANDS.items():
        form = argparse.RawDescriptionHelpFormatter
        module.add_arguments(commands.add_parser(name, help=summary, description=module.__doc__, formatter_class=form))


def run(args: argparse.Namespace) -> None:
    """Raises InputError."""
    COMMANDS[args.what][0].run(args)


if __name__ == "__main__":
    sys.exit(boosting.main())
