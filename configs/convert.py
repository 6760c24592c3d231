"""Configuration files and commands of the published CasPL code in the words of this program.

    caspl convert config configs/trainers/CasPL/vit_b16_c2_ep20_batch4_4+4ctx_l12.yaml --output mine.yaml
    caspl convert config "python train.py --trainer CasPL --config-file theirs.yaml ... KD.FIRST_TRAIN True"
    caspl convert config theirs.yaml -- KD.TEMPERATURE 2

A .sh file with such a command will do, too. Printed is our configuration file; the first lines have the command and what could
not be carried over. By the table in published.py.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..ground import door
from ..ground.errors import InputError
from ..ground.files import check_writable, read_lines, replacing
from ..ground.keys import flat
from ..ground.texts import tell, visible
from ..ground.yaml_files import SUFFIXES, read_yaml
from . import find, flags, keys
from .published import BOOSTING, KEYS, PHASE_1, PHASE_1_FOLDER, TRAINERS, Published
from .show import Dumper

NODES = {"COOP": "CasPL_CoOp", "COCOOP": "CasPL_CoCoOp", "MAPLE": "CasPL_MaPLe", "PROMPTSRC": "CasPL_PromptSRC"}
IN_TRAINERS = re.compile(r"configs/trainers/([^/]+)/")
ASSIGNMENT = re.compile(
    r"""(?:^|;)[ \t]*(?:(?:export|readonly)[ \t]+)?(\w+)=("[^"\n]*"|'[^'\n]*'|[^\s;]*)""", re.MULTILINE
)
VARIABLE = re.compile(r"\$(?:\{(\w+)\}|([A-Za-z_]\w*))")
REDIRECTION = re.compile(r"(?<=\s)[\d&]?(?:>>?|<)[ \t]*&?[^\s;|&]+")
COMMENT = re.compile(r"^\s*#.*", re.MULTILINE)
OPERATORS = set("();<>|&")  # between the commands of a shell
MOST_CHARACTERS = 2**20  # of a script, with its variables put in
ALL_BY_DEFAULT = "TRAINER.CASPL.DEPTH_OF_ADAPTING"  # of CasPL_PromptSRC: the published code knows no other


@dataclass
class Conversion:
    """What a file and a command have become.

    Attributes:
        settings: of the configuration file, {full path: value}; None where there was none to read.
        args: flags and pairs of the command.
        notes: what was not carried over, or was taken for granted: a line each.
    """

    settings: dict[str, Any] | None
    args: argparse.Namespace
    notes: list[str] = field(default_factory=list)

    @property
    def command(self) -> str:
        words = ["python", "train.py", *flags.words_of(self.args)]
        return " ".join(f'"{word}"' if "$" in word else shlex.quote(word) for word in words)

    def text(self, source: str) -> str:
        """The configuration file, with all else in its first lines; without one, these lines."""
        lines = [f"Converted from {source} of the published code", self.command]
        lines += ["Not as it was:"] if self.notes else []
        head = "".join(f"# {visible(line)}\n" for line in [*lines, *(f"  {note}" for note in self.notes)])
        if self.settings is None:
            return head
        return head + yaml.dump(nested(self.settings), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1000)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trainer", help="the trainer, where neither a command nor the file's folder names it")
    parser.add_argument("--output", help="where the configuration file goes (default: it is printed)")
    parser.add_argument(
        "words", nargs=argparse.REMAINDER, help="FILE.yaml [-- KEY VALUE ...], or a command, or FILE.sh with one"
    )


def run(args: argparse.Namespace) -> None:
    """Print or write the conversion. Raises InputError."""
    file, given = parsed(args.words)
    output, trainer = given.output or args.output, given.trainer or args.trainer
    if not file and not flags.words_of(given):
        raise InputError("there is nothing to convert; give a configuration file or a command of the published code")
    if output is not None:
        check_writable(output, "--output")
    result = convert(file, given, trainer, output)
    text = result.text(file or given.config_file or "a command")
    if output is None or result.settings is None:
        tell(text.rstrip("\n"))
        return
    with replacing(Path(output)) as temporary:
        temporary.write_text(text, encoding="utf-8")
    tell("\n".join([f"written: {output}", result.command, *result.notes]))


# ---------------------------------------------------------------------------------------------------------------------
# What was given
# ---------------------------------------------------------------------------------------------------------------------
def parsed(words: Sequence[str]) -> tuple[str, argparse.Namespace]:
    """The configuration file that stands first, "" where there is none, and the flags and pairs of train.py behind it."""
    words = list(words)
    if len(words) == 1 and (" " in words[0] or "\n" in words[0]):
        words = command_words(words[0])
    elif words and words[0].endswith(".sh"):
        words = [*script_words(Path(words[0])), *words[1:]]
    file = words.pop(0) if words and words[0].endswith(SUFFIXES) else ""
    if "train.py" in (names := [word.rpartition("/")[2] for word in words]):
        words = words[names.index("train.py") + 1 :]
    parser = flags.add_arguments(door.Parser(prog="caspl convert config", add_help=False, allow_abbrev=False), str)
    parser.add_argument("--output")
    args = flags.parse(parser, words)
    if len(args.opts) % 2:
        raise InputError(f"what stands behind the flags must come in pairs KEY VALUE; {args.opts[-1]} is left over")
    return file, args


def command_words(text: str) -> list[str]:
    """The words of one command as a shell has them, without what stands around it: variables, redirections, other commands.

    Raises InputError where there are several of train.py, or a word that only a shell can tell.
    """
    lexer = shlex.shlex(REDIRECTION.sub(" ", _joined(text)), posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        words = list(lexer)
    except ValueError as error:
        raise InputError(f"the command cannot be read ({error}); give it as a shell takes it") from None
    if unread := [word for word in words if "`" in word or "(" in word and set(word) <= OPERATORS]:
        raise InputError(f"the command has {unread[0]}, what only a shell can carry out; put in what comes of it")
    commands: list[list[str]] = [[]]
    for word in words:
        if set(word) <= OPERATORS and word:
            commands.append([])
        else:
            commands[-1].append(word)
    return _only([command for command in commands if command and _runs(command)] or commands, "the text")


def script_words(path: Path) -> list[str]:
    """The one command of train.py in a shell script, with those of its variables put in that it sets itself, to one value."""
    text = COMMENT.sub("", _joined("\n".join(read_lines(path, "the script"))))
    found: dict[str, set[str]] = {}
    for name, value in ASSIGNMENT.findall(text):
        found.setdefault(name, set()).add(value.strip("\"'"))
    values = {
        name: min(each)
        for name, each in found.items()
        if len(each) == 1 and not re.search(r"\$\{?\d|\$\(|`", min(each))
    }
    lines = "\n".join(line for line in text.splitlines() if "train.py" in line)
    for _ in range(1 + len(values)):  # one may stand in another
        lines = VARIABLE.sub(lambda name: values.get(name[1] or name[2], f"${{{name[1] or name[2]}}}"), lines)
        if len(lines) > MOST_CHARACTERS:
            raise InputError(f"the variables of {path} multiply each other without end; give the command as text")
    return _only([words for line in lines.splitlines() if _runs(words := command_words(line))], str(path))


def _joined(text: str) -> str:
    return re.sub(r"\\\s*\n", " ", text)


def _runs(words: Sequence[str]) -> bool:
    return any(word.rpartition("/")[2] == "train.py" for word in words)


def _only(commands: Sequence[Sequence[str]], where: str) -> list[str]:
    """The one command, of which there may be copies that begin otherwise, as with other variables of the environment."""
    names = [[word.rpartition("/")[2] for word in command] for command in commands]
    behind = {
        tuple(command[name.index("train.py") + 1 if "train.py" in name else 0 :]): list(command)
        for command, name in zip(commands, names, strict=True)
    }
    if len(behind) != 1:
        raise InputError(f"{where} has {len(behind)} different commands of train.py; give one of them as text")
    return behind.popitem()[1]


# ---------------------------------------------------------------------------------------------------------------------
# What becomes of it
# ---------------------------------------------------------------------------------------------------------------------
def convert(file: str, args: argparse.Namespace, trainer: str | None = None, output: str | None = None) -> Conversion:
    """The conversion of a configuration file and a command, either of which may be missing.

    Args:
        file: the configuration file; empty: the command's --config-file, where that is to be found.
        args: flags and pairs as `parsed` gives them.
        trainer: the published trainer; None: what the command, the folder or the keys tell.
        output: the name of our file in the command.
    """
    pairs = dict(zip(args.opts[::2], args.opts[1::2], strict=True))
    named = args.config_file or ""
    file = file or (named if find(named).is_file() else "")
    settings = flat(read_yaml(file)) if file else {}
    trainer = trainer or trainer_of(file or named, {**settings, **pairs})
    ours = TRAINERS.get(trainer, trainer)
    notes: list[str] = []
    from_file, from_pairs = (translated(values, ours, notes) for values in (settings, pairs))
    if ours == PHASE_1:
        defaults = {key.phase_1: key.default for name, key in KEYS.items() if key.phase_1 and not key.negated}
        from_file |= {name: default for name, default in defaults.items() if name not in from_file}
        notes += _words_that_stay({**from_file, **from_pairs})
    elif ours == "CasPL_PromptSRC":
        (from_file if file else from_pairs)[ALL_BY_DEFAULT] = True
    _drop_unread_tokens(from_file, from_pairs, notes)
    args = argparse.Namespace(**vars(args) | {"trainer": ours})
    if file:
        args.config_file = output or "FILE"
    elif named:
        args.config_file = IN_TRAINERS.sub(f"configs/trainers/{ours}/", named)
        notes.append(f"{named} is not here, convert it by itself")
    notes += _phase_1_of(args, ours, from_pairs)
    args.opts = [str(word) for pair in from_pairs.items() for word in pair]
    return Conversion(from_file if file else None, args, notes)


def trainer_of(file: str, values: dict[str, Any]) -> str:
    """The published trainer, from the folder of its file or from the keys. Raises InputError where neither tells."""
    folder = IN_TRAINERS.search(Path(file).as_posix())
    if folder and (folder[1] in TRAINERS or folder[1] in (*NODES.values(), PHASE_1)):
        return folder[1]
    if str(values.get("KD.FIRST_TRAIN")) == "True":
        return "CasPL"
    nodes = {name.split(".")[1] for name in values if name.startswith("TRAINER.")}
    found = {NODES.get(node, "CasPL" if node == "IVLP" else "") for node in nodes} - {""}
    if len(found) != 1:
        raise InputError(
            "nothing here tells which trainer is meant; name it with --trainer, such as CasPL or CasPL_CoOp"
        )
    return found.pop()


def translated(values: dict[str, Any], trainer: str, notes: list[str]) -> dict[str, Any]:
    """Keys and values of the published code as ours; what has no counterpart becomes a note."""
    known, result = {key.name for key in keys.declared()}, {}
    for name, value in values.items():
        key = KEYS.get(name) if name.startswith("KD.") or trainer == PHASE_1 else None
        if key is None:
            if name in known:
                result[name] = value
            else:
                notes.append(f"{name} {value}: neither the published code nor this program has such a key")
        elif ours := key.phase_1 if trainer == PHASE_1 else key.phase_2:
            result[ours] = _turned(key, value)
        else:
            notes.append(f"{name} {value}: {key.words or 'phase 1 reads it, and this is phase 2'}")
    return result


def _turned(key: Published, value: Any) -> Any:
    if not key.negated:
        return value
    turned = {"True": False, "False": True}
    return turned.get(str(value), value)


def _words_that_stay(settings: dict[str, Any]) -> list[str]:
    tokens, words = str(settings["TRAINER.CASPL.N_CTX_TEXT"]), str(settings["TRAINER.CASPL.CTX_INIT"]).split()
    if not tokens.isdigit() or not 0 < int(tokens) < min(len(words), 5):
        return []
    rest = " ".join(words[int(tokens) :])
    return [f'the words "{rest}", which the published code keeps behind the tokens, are not there here']


def _drop_unread_tokens(from_file: dict[str, Any], from_pairs: dict[str, Any], notes: list[str]) -> None:
    """Leave out a number of context tokens that is not that of the words which they start from."""
    together = {**from_file, **from_pairs}
    for key in (key for key in keys.declared() if key.meant_by_true):
        name, text = f"{key.section}.N_CTX", key.taken(together.get(key.name, ""))
        words = [] if text == key.meant_by_true else str(text).split()
        if words and name in together and str(together[name]) != str(len(words)):
            notes.append(f"{name} {together[name]}: there are as many tokens as CTX_INIT has words, {len(words)}")
            for values in (from_file, from_pairs):
                values.pop(name, None)


def _phase_1_of(args: argparse.Namespace, trainer: str, pairs: dict[str, Any]) -> list[str]:
    """Put the file that the published phase 2 names with --model-dir into `pairs`, in place of the flags."""
    if not trainer.startswith("CasPL_") or args.eval_only:
        return []
    if not args.model_dir:
        return [] if BOOSTING in pairs else [f"{BOOSTING} is to be set: the command names no phase 1 (--model-dir)"]
    file = "model-best.pth.tar" if args.load_epoch is None else f"model.pth.tar-{args.load_epoch}"
    pairs[BOOSTING] = f"{args.model_dir.rstrip('/')}/{PHASE_1_FOLDER}/{file}"
    args.model_dir = args.load_epoch = None
    return []


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """The sections of full paths, the reverse of `flat`."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        *sections, last = name.split(".")
        node = result
        for section in sections:
            node = node.setdefault(section, {})
        node[last] = value
    return result
