"""Print the script that completes `caspl` in a shell: commands, options, trainers, datasets, configuration files and keys.

    eval "$(caspl completion bash)"             in ~/.bashrc
    eval "$(caspl completion zsh)"              in ~/.zshrc, behind compinit
    caspl completion fish | source              in ~/.config/fish/config.fish

`caspl completion answer -- WORD ...` is what the scripts ask: what may take the place of the last word.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..ground import door
from .answers import answers

SCRIPTS = {shell: Path(__file__).with_name("scripts") / f"caspl.{shell}" for shell in ("bash", "zsh", "fish")}
ANSWER = "answer"


def parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    made = door.Parser(prog=door.prog("python -m caspl.completion"), description=__doc__, formatter_class=form)
    made.add_argument("shell", choices=[*SCRIPTS], help="whose script to print")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 a mistake in what was given (one sentence on stderr); see `door.run`."""
    words = sys.argv[1:] if argv is None else list(argv)
    return door.run(lambda: _answer(words[2:]) if words[:2] == [ANSWER, "--"] else _print_script(words))


def _print_script(words: Sequence[str]) -> None:
    print(SCRIPTS[parser().parse_args(words).shell].read_text(encoding="utf-8"), end="")


def _answer(words: Sequence[str]) -> None:
    for word, about in answers(words):
        print(f"{word}\t{about}" if about else word)


if __name__ == "__main__":
    sys.exit(main())
