"""Names from outside, as a terminal, a table in Markdown, a spreadsheet or a figure may be given them.

A file name, a class name or a log can hold anything: sequences that a terminal obeys, formulas of a spreadsheet, links. It
stays as it is where it is read and compared, and passes through here where it is shown.
"""

from __future__ import annotations

import logging
import re
import shlex
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Any, TextIO

HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # Unicode's controls, formats (directions), surrogates, separators
JOINERS = "\u200c\u200d"  # formats without which Persian, Hindi and many emoji are spelt wrong
LONGEST = 2_000  # characters of a sentence
LONGEST_NAME = 1_000  # characters of a class name, of which CLIP takes 77 tokens
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # beginnings that spreadsheets take for a formula
WNID = re.compile(r"[nN]\d{8}")  # WordNet's number of a noun, which stands for a name in ImageNet's folders
# What Markdown, as GitHub and the Hub read it, acts upon inside a line; "_" and "@" only where a word begins or ends
MARKUP = re.compile(r"[\\`*<>\[\]|~$&]|(?<![^\W_])_|_(?![^\W_])|(?<!\w)[@#](?=\w)|@(?=[\w-]+\.)|:(?=//)|(?<=www)\.")


def visible(text: str, keep: str = "") -> str:
    r"""`text` with an escape such as \x1b in the place of each character that is not seen, those of `keep` left out."""
    if text.isprintable():
        return text
    return "".join(_escape(c) if c not in keep and _is_hidden(c) else c for c in text)


def _is_hidden(character: str) -> bool:
    return character not in JOINERS and unicodedata.category(character) in HIDDEN


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def quoted(text: str) -> str:
    """`text` in quotation marks that a shell takes as they stand; in double ones, which YAML reads alike, where it can be."""
    return f'"{text}"' if not set(text) & set('"$`\\!') else "'" + text.replace("'", r"'\''") + "'"


def as_typed(words: Iterable[str]) -> str:
    """The line that a shell reads as these words."""
    return " ".join(quoted(word) if "'" in word else shlex.quote(word) for word in words)


def counted(number: int, noun: str) -> str:
    """For example "1 run", "2,000 runs"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def nfc(name: str) -> str:
    """A name as keyboards type it: a letter and its accent are one character, which archives made on a Mac take apart."""
    return unicodedata.normalize("NFC", name)


def letters(name: str) -> str:
    """The letters and digits of a name, by which it is known however it is written: case, blanks, dashes left out."""
    return "".join(c for c in name.casefold() if c.isalnum())


def as_read(name: str) -> str:
    """A class name as CLIP reads it: names that are equal here are one text to it."""
    return " ".join(nfc(name).replace("_", " ").casefold().split())


def without_wnid(name: str) -> str:
    """A name without the WordNet id in front: "Chihuahua" of "n02085620-Chihuahua", as folders are called.

    Where no letter follows, the id is all that is said, and stays.
    """
    return re.sub(rf"^{WNID.pattern}[-_. ,]+(?=.*[^\W\d_])", "", name)


def odd_name(name: str) -> str:
    """What keeps a text from being the name of a class, as a phrase; "" where nothing does."""
    if not name.strip():
        return "is empty"
    if len(name) > LONGEST_NAME:
        return f"has {len(name):,} characters, expected at most {LONGEST_NAME:,}"
    if WNID.fullmatch(name):
        return "is a WordNet id"
    hidden = next((c for c in name if _is_hidden(c)), "") if not name.isprintable() else ""
    return f"holds the hidden character {_escape(hidden)}" if hidden else ""


def shown(value: Any, most: int = 120) -> str:
    """A value as a sentence or a table shows it: texts in quotation marks, cut to `most` characters, safe for a terminal."""
    try:
        text = f'"{value}"' if isinstance(value, str) else str(value)
    except (ValueError, RecursionError):  # numbers of thousands of digits, lists in lists in lists
        return "a value too large to be shown"
    return visible(text) if len(text) <= most else f"{visible(text[:most])}..."


def sentence(text: str, most: int = LONGEST) -> str:
    """`text` on one line that any terminal can show, the middle left out where it is long."""
    line = visible(" ".join(text.split()))
    return line if len(line) <= most else f"{line[: most - 200]} ... {line[-195:]}"


class Visible(logging.Formatter):
    """What a program logs, on as many lines as it has: the bare message, safe for a terminal."""

    def __init__(self) -> None:
        super().__init__("%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record), keep="\n\t")


def log_to_stderr(level: int = logging.WARNING) -> None:
    """Show what is logged from `level` on, unless somebody does so already."""
    handler = logging.StreamHandler()
    handler.setFormatter(Visible())
    logging.basicConfig(level=level, handlers=[handler])


def tell(text: str, file: TextIO | None = None) -> None:
    """Print lines that hold names from outside, to stdout unless `file` is given."""
    print(visible(text, keep="\n\t"), file=file or sys.stdout)


def in_markdown(text: str) -> str:
    """A name as one line that Markdown shows as it is: no cell ends in it, no link, emphasis, formula or HTML begins."""
    return MARKUP.sub(r"\\\g<0>", visible(" ".join(text.split())))


def in_csv(text: str) -> str:
    """A name as a cell of text: an apostrophe stands before what a spreadsheet would run as a formula."""
    shown = visible(text)
    return f"'{shown}" if shown.startswith(FORMULA) else shown


def in_figure(text: str) -> str:
    """A name as matplotlib shows it: its mathematics, between dollar signs, is left alone."""
    return visible(text).replace("$", r"\$")


def places(template: str) -> int:
    """How often {}, the place of the class name, stands in a template; 0 where there are other braces."""
    return 0 if set("{}") & set(template.replace("{}", "")) else template.count("{}")


def has_one_place(template: str) -> bool:
    """Whether `places` are one."""
    return places(template) == 1


def repeated(names: Iterable[str]) -> list[str]:
    """The names that occur more than once, in the order in which they first do."""
    return [name for name, count in Counter(names).items() if count > 1]
