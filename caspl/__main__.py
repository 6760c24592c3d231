"""Every command of CasPL, in the order in which one needs them.

{verbs}

    caspl train --root DATA --trainer CoOp --dataset-config-file configs/datasets/digits.yaml \\
        --config-file configs/trainers/CoOp/digits.yaml --seed 1 --output-dir output/coop DATASET.NUM_SHOTS 16
    caspl results output
    caspl predict output/coop photos/ --top-k 3

caspl COMMAND --help says more of one; documents: {documents}.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from . import __version__
from .ground import door
from .ground.errors import InputError
from .ground.texts import log_to_stderr


@dataclass(frozen=True)
class Command:
    """A command: the module here that carries it out, imported when it is called, since PyTorch takes seconds.

    The module has `main(argv)`, which gives the exit status, or `add_arguments(parser)` and `run(args)`.
    """

    module: str
    summary: str

    def load(self) -> ModuleType:
        return import_module(f".{self.module}", __package__)


COMMANDS = {
    "train": Command("train", "train a prompt learner on a dataset, and test it; python train.py is the same"),
    "sweep": Command("sweeps.__main__", "all runs of an experiment, on GPUs or cores, a Ray cluster or SLURM"),
    "results": Command("results.__main__", "tables of the runs below a folder, beside the published numbers"),
    "report": Command("results.report.__main__", "one HTML page of the runs below a folder, with the record of each"),
    "datasets": Command("datasets.__main__", "the datasets on this disk: list, check, prepare, few-shot lists"),
    "store": Command("ground.stores.__main__", "what is kept so that it is not computed again: list, prune, check"),
    "configs": Command("configs.__main__", "the configuration files in the package, and every key"),
    "convert": Command("convert", "configuration files and boosting prompts of the published CasPL code, as ours"),
    "predict": Command("use.predict", "classify images and folders"),
    "words": Command("use.words", "the words nearest to learned context"),
    "export": Command("use.export", "one file for deployment: ONNX, torch.export, or CLIP's own layout"),
    "share": Command("use.hub", "a folder for the Hugging Face Hub, of boosting prompts, and its upload"),
    "completion": Command("completion.__main__", "completion of all this in bash, zsh and fish"),
}
EXPERIMENTS = (
    "phase1",
    "base2new",
    "few_shot",
    "cross_dataset",
    "domain_generalization",
    "ablations",
    "reproduce",
    "demo",
)
MEANT = {name: f"sweep {name}" for name in EXPERIMENTS} | {  # what others call it
    "test": "train --eval-only",
    "eval": "train --eval-only",
    "run": "train",
    "evaluate": "train --eval-only",
    "protocols": "sweep protocols",
    "keys": "configs keys",
    "show": "configs show",
    "tables": "results",
    "cache": "store",
    "stores": "store",
    "prune": "store prune",
    "upload": "share",
    "push": "share",
}


def main(argv: list[str] | None = None) -> int:
    """Exit status: that of the command; 2 a mistake in what was given (one sentence on stderr); see `door.run`."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == ["help"] and len(words) > 1:  # caspl help train
        words = [*words[1:], "--help"]
    if words[:1] and words[0] in COMMANDS:
        return _command(words[0], words[1:])
    return door.run(lambda: _without_command(words))


def _command(verb: str, words: list[str]) -> int:
    with door.called(f"caspl {verb}"):
        try:
            module = COMMANDS[verb].load()
        except Exception as error:
            return door.run(partial(_raise, error))
        return module.main(words) if hasattr(module, "main") else door.run(lambda: _carry_out(module, words))


def _raise(error: Exception) -> NoReturn:
    raise error


def _carry_out(module: ModuleType, words: list[str]) -> int | None:
    parser = door.Parser(door.prog(), description=module.__doc__.splitlines()[0])
    module.add_arguments(parser)
    args = parser.parse_args(words)
    log_to_stderr()
    logging.getLogger(__package__).setLevel(logging.INFO)
    return module.run(args)


def _without_command(words: list[str]) -> None:
    """`--help` and `--version`. Raises InputError for everything else."""
    if words[:1] in (["--help"], ["-h"], ["help"]):
        print(about(), end="")
    elif words[:1] == ["--version"]:
        print(f"caspl {__version__}")
    elif not words:
        raise InputError("a command is missing; caspl --help shows what there is")
    else:
        raise InputError(_unknown(words[0]))


def about() -> str:
    """What `caspl --help` prints."""
    verbs = "\n".join(f"    {verb:<12}{command.summary}" for verb, command in COMMANDS.items())
    documents = Path(__file__).resolve().parents[1] / "docs"
    place = f"README.md and docs/ {f'in {documents.parent}' if documents.is_dir() else 'of the repository'}"
    return f"usage: caspl [--help] [--version] COMMAND ...\n\n{__doc__.format(verbs=verbs, documents=place)}"


def _unknown(word: str) -> str:
    if word.startswith("-"):
        return f"{word} stands before the command, which comes first; caspl --help shows what there is"
    near = MEANT.get(word.lower()) or "".join(get_close_matches(word.lower(), COMMANDS, 1))
    return (
        f"there is no command {word!r}; {f'do you mean caspl {near}?' if near else 'caspl --help shows what there is'}"
    )


if __name__ == "__main__":
    sys.exit(main())
