"""`python -m caspl.configs keys [WORD]`: every configuration key, or those that a word is in: default, what it takes, meaning.

In a checkout of CasPL, `python -m caspl.configs keys --update` writes the tables of docs/keys.md and README.md anew.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..ground.errors import InputError
from ..ground.files import replacing
from ..ground.keys import Key, as_sections, as_table, as_text, matching
from . import KEY_NAMES

UPDATE = "--update"
# Where CasPL's own keys stand in README.md, and which they are: by the beginnings of their names
BEGIN, END = "<!-- keys: python -m caspl.configs keys --update -->\n", "<!-- end of keys -->\n"
SHOWN = (
    "LOGGER",
    "TRAINER.CASPL.",
    "TRAINER.COCOOP.MEMORY",
    "DATASET.MEMBERS",
    "DATASET.PATHS",
    "DATASET.CLASSNAMES",
    "DATASET.COLUMNS",
    "OPTIM.ACCUMULATE",
    "TRAIN.MEMORY",
    "TRAIN.RESUME_FREQ",
    "MODEL.TEXT_STORE",
    "TRAIN.COMPILE",
    "TRAIN.ATTENTION",
    "TEST.FEATURE_STORE",
    "TEST.PREDICTIONS",
    "TEST.FEATURES",
)


def declared() -> list[Key]:
    """Every key: those of Dassl (none are known in a host with another Dassl), of the trainers and of the datasets."""
    from .. import datasets, trainers  # here, since they take PyTorch and seconds, and other commands need neither

    from dassl.config import defaults  # isort: skip, which the two provide where there is none

    return [*getattr(defaults, "KEYS", ()), *trainers.KEYS, *datasets.KEYS]


def main(argv: list[str]) -> None:
    """Print the keys. Raises InputError where there are none with the word, or more than one word is given."""
    if len(argv) > 1:
        raise InputError(f"keys takes one WORD or none, found {len(argv)}; give one")
    if argv == [UPDATE]:
        return update(Path(__file__).resolve().parents[1])
    found = matching(declared(), argv[0] if argv else "")
    if not found:
        raise InputError(f'"{argv[0]}" is in no key\'s name or meaning; without a word all are printed')
    print(as_text(found))


def update(checkout: Path) -> None:
    """Write the tables and the list of names of a checkout. Raises InputError where it is none, as in an installed package."""
    keys, readme = declared(), checkout / "README.md"
    if not readme.is_file():
        raise InputError(f"{readme} is not there; {UPDATE} is for a checkout of CasPL, leave it out")
    for path, text in (
        (checkout / "docs" / "keys.md", page(keys)),
        (readme, with_table(readme.read_text(encoding="utf-8"), keys)),
        (checkout / "configs" / KEY_NAMES, "".join(f"{name}\n" for name in names_of(keys))),
    ):
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def names_of(keys: list[Key]) -> list[str]:
    """Each once: some are declared in several places."""
    return [*dict.fromkeys(key.name for key in keys)]


def page(keys: list[Key]) -> str:
    """The text of docs/keys.md."""
    sections = [f"## {name}\n\n{as_table(group)}\n" for name, group in sections_in_order(keys)]
    head = f"""# Keys

Every configuration key, as the code declares it: `python -m caspl.configs keys [WORD]` prints the same. A key is set in a
configuration file or behind the flags of `train.py`, as in `OPTIM.LR 0.002`; a value that cannot be is refused before anything
is loaded. This page is written by `python -m caspl.configs keys {UPDATE}`.

"""
    return head + "\n".join(sections)


def sections_in_order(keys: list[Key]) -> list[tuple[str, list[Key]]]:
    """The sections of all keys, those that are declared in several places joined, trainers last."""
    return sorted(as_sections(keys, "Run"), key=lambda section: section[0].startswith("TRAINER."))


def with_table(text: str, keys: list[Key]) -> str:
    """README.md with the table of CasPL's own keys between its two marks."""
    rows = [f"| `{key.name}` | {key.about} |" for key in keys if key.name.startswith(SHOWN)]
    table = "\n".join(["| key | meaning |", "|---|---|", *rows])
    pattern = f"{re.escape(BEGIN)}.*?{re.escape(END)}"
    return re.sub(pattern, lambda _: f"{BEGIN}\n{table}\n\n{END}", text, flags=re.DOTALL)
