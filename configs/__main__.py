"""What is in the package.

caspl configs [WORD]        the configurations whose names contain a word
caspl configs show FILE     one of them, or of your own, with all that its `_BASE_` files say
caspl configs keys [WORD]   every configuration key, or those with a word: default, what it takes, meaning
"""

import sys

from ..ground import door
from ..ground.errors import InputError
from . import keys, names, show

COMMANDS = {"show": show.main, "keys": keys.main}


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 no such configuration, 2 a mistake in what was given (one sentence on stderr)."""
    return door.run(lambda: _carry_out(sys.argv[1:] if argv is None else argv))


def _carry_out(argv: list[str]) -> int | None:
    if {"-h", "--help"} & {*argv[:2]}:
        print(
            f"usage: {door.prog('python -m caspl.configs')} [--help] [WORD | show FILE | keys [WORD]]\n\n{__doc__}",
            end="",
        )
        return 0
    if argv[:1] and argv[0] in COMMANDS:
        return COMMANDS[argv[0]](argv[1:])
    return list_names(argv)


def list_names(words: list[str]) -> int:
    """Print the names with the word, all where there is none. Raises InputError for several words."""
    if len(words) > 1:
        raise InputError(
            f"{words[0]} is none of {', '.join(COMMANDS)}, and the names contain one WORD or none; give one"
        )
    word = "".join(words)
    found = [name for name in names() if word in name]
    print("\n".join(found) if found else f'no configuration\'s name contains "{word}"; without a word all are listed')
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
