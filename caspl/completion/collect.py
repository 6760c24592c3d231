"""`python -m caspl.completion.collect`: make table.json anew, of the commands' own parsers, the keys and the registries.

In a checkout, after a command, an option, a key, a trainer or a dataset has changed; a test says when.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dassl.config.defaults import LOGGERS
from dassl.data.datasets import DATASET_REGISTRY
from dassl.engine import TRAINER_REGISTRY

from .. import __main__ as caspl
from .. import train
from ..clip.names.known import DEMO_NAMES, OPENAI_NAMES
from ..configs import __main__ as configs
from ..configs import keys, names
from ..datasets import __main__ as datasets
from ..ground import door
from ..ground.files import replacing
from ..ground.keys import Key
from ..ground.stores import __main__ as store
from ..results import __main__ as results
from ..results.report import __main__ as report
from ..sweeps import __main__ as sweeps
from ..sweeps.command import options as sweeping
from ..sweeps.grids import GRIDS
from . import __main__ as completion
from .answers import PAIRS, TABLE

SHORTEST, LONGEST = 12, 72  # characters of an explanation
TAKES: dict[str, str | list[str]] = {  # what is no choice of argparse's, by the option or the name of the argument
    "--trainer": "trainers",
    "--trainers": "trainers",
    "--dataset": "dataset files",
    "--datasets": "dataset files",
    "--source": "dataset files",
    "--config-file": "configs/trainers/",
    "--dataset-config-file": "configs/datasets/",
    "--config": "configuration names",
    "--backbone": "clips",
    "--student": "clips",
    "--teacher": "clips",
    "--engine": [*sweeping.ENGINES],
    "--grid": [*GRIDS],
    "name": "datasets",
    "opts": PAIRS,
}
LISTS = {"--datasets", "--trainers", "--dataset", "--trainer"}  # with commas, where they are no single name
PARSERS = {
    "train": train,
    "results": results,
    "report": report,
    "datasets": datasets,
    "store": store,
    "completion": completion,
}
WITH_PAIRS = ("check", "fewshot", "import-fewshot")  # commands of caspl.datasets that take KEY VALUE, too


def short(text: str) -> str:
    """The beginning of an explanation, in whole clauses, or cut off."""
    whole = " ".join(text.split()).rstrip(".")
    text = next((end for end in _clauses(whole) if len(end) >= SHORTEST), whole)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3].rsplit(' ', 1)[0]}..."


def _clauses(text: str) -> Iterator[str]:
    """The first clause, the first two ...: they end where none in brackets has begun."""
    for mark in re.finditer(r"; |(?<!e\.g)\. | \(|: |$", text):
        begun = text[: mark.start()]
        if begun.count("(") == begun.count(")"):
            yield begun.rstrip(".")


def node(about: str = "", words: Mapping[str, Any] | None = None, places: Sequence[Any] = ()) -> dict[str, Any]:
    """A command without options."""
    return {"about": short(about), "words": dict(words or {}), "options": {}, "places": [*places]}


def of_parser(parser: argparse.ArgumentParser, about: str = "") -> dict[str, Any]:
    """The node of an argparse parser, with those of its commands."""
    made = node(about or parser.description or "")
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction):
            continue
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            made["words"] = {word: of_parser(own, helps.get(word, "")) for word, own in action.choices.items()}
        elif action.option_strings:
            made["options"][max(action.option_strings, key=len)] = _option(action, parser)
        else:
            made["places"].append(TAKES.get(action.dest, _choices(action)))
    return made


def _option(action: argparse.Action, parser: argparse.ArgumentParser) -> dict[str, Any]:
    name = max(action.option_strings, key=len)
    about = short(parser._get_formatter()._expand_help(action) if action.help else "")
    made = {"takes": None if action.nargs == 0 else TAKES.get(name, _choices(action)), "about": about}
    if isinstance(action, argparse._AppendAction):
        made |= {"again": True, **({"many": "list"} if name in LISTS else {})}
    return made | ({"many": "words"} if action.nargs in ("+", "*") else {})


def _choices(action: argparse.Action) -> list[str] | str:
    return [str(choice) for choice in action.choices or ()] or ""


def of_train() -> dict[str, Any]:
    made = of_parser(train.parser())
    made["places"] = [PAIRS]
    return made


def of_sweeps() -> dict[str, Any]:
    """The options of sweeps are a table of their own."""
    experiments = {}
    for name, what in sweeping.EXPERIMENTS.items():
        made = node(what.summary)
        for option in sweeping.options_of(name):
            takes = TAKES.get(option.name, "") if option.value else None
            made["options"][option.name] = {"takes": takes, "about": short(sweeping.about(option, what))} | (
                {"many": "list"} if option.name in LISTS else {}
            )
        made[PAIRS] = True
        made["places"] = [[*what.targets], []] if what.targets else []
        experiments[name] = made
    experiments[sweeps.PROTOCOLS] = node("the table of configurations and keys, and where they are published")
    return node(sweeps.__doc__ or "", experiments)


def of_datasets() -> dict[str, Any]:
    made = of_parser(datasets.parser())
    for word in WITH_PAIRS:
        made["words"][word]["places"].append(PAIRS)
    return made


def of_configs() -> dict[str, Any]:
    """Its words are read by hand."""
    places = {"show": "configs/", "keys": "keys"}
    words = {word: node(command.__module__, places=[places[word]]) for word, command in configs.COMMANDS.items()}
    words["show"]["about"], words["keys"]["about"] = (
        "one file with all that its bases say",
        "every key, or those with a word",
    )
    return node(configs.__doc__ or "", words, places=["trainers"])


def of_others(verb: str) -> dict[str, Any]:
    """A command whose module adds its arguments to a parser."""
    parser = door.Parser(f"caspl {verb}")
    caspl.COMMANDS[verb].load().add_arguments(parser)
    return of_parser(parser)


def collect() -> dict[str, Any]:
    """All that table.json holds."""
    own = {"train": of_train, "sweep": of_sweeps, "datasets": of_datasets, "configs": of_configs}
    made_by = {verb: (lambda module=module: of_parser(module.parser())) for verb, module in PARSERS.items()} | own
    verbs = {
        verb: (made_by[verb]() if verb in made_by else of_others(verb)) | {"about": command.summary}
        for verb, command in caspl.COMMANDS.items()
    }
    files = [name.removeprefix("configs/datasets/").removesuffix(".yaml") for name in names() if "/datasets/" in name]
    lists = {
        "trainers": _ours(TRAINER_REGISTRY),
        "datasets": _ours(DATASET_REGISTRY),
        "dataset files": files,
        "clips": [*OPENAI_NAMES, *DEMO_NAMES],
    }
    top = node("", verbs) | {"options": {name: {"takes": None, "about": ""} for name in ("--help", "--version")}}
    return {"caspl": top, "lists": lists, "keys": {key.name: of_key(key) for key in keys.declared()}}


def _ours(registry: Any) -> list[str]:
    """What is registered by this package, whoever else has."""
    return sorted(n for n in registry.registered_names() if registry.get(n).__module__.startswith("caspl."))


VALUES_OF_KEYS: dict[str, str | list[str]] = {
    "LOGGER": [name for name in LOGGERS if name],
    "TRAINER.NAME": "trainers",
    "DATASET.NAME": "datasets",
    "MODEL.BACKBONE.NAME": "clips",
    "TRAINER.CASPL.TEACHER": "clips",
}


def of_key(key: Key) -> dict[str, Any]:
    choices = ["True", "False"] if key.kind is bool else [str(choice) for choice in key.choices if choice != ""]
    values = VALUES_OF_KEYS.get(key.name) or (choices if key.kind is not list else [])
    return {"about": short(key.about)} | ({"values": values} if values else {})


def as_text(table: Mapping[str, Any]) -> str:
    """A line for each option and key, so that two changes to them are two in a version control."""
    return json.dumps(table, indent=0, ensure_ascii=False) + "\n"


def main() -> None:
    with replacing(TABLE) as temporary:
        temporary.write_text(as_text(collect()), encoding="utf-8")


if __name__ == "__main__":
    main()
