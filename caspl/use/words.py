"""The words of CLIP's vocabulary that lie nearest to learned context, with their Euclidean distances.

    caspl words output/coop --top-k 3
    caspl words prompt_learner/model.pth.tar-50 --backbone ViT-B/16 --output words.csv

Words are what the tokens are that enter the first block. A `</w>` ends a word; an entry without it is the beginning or the
middle of one. Kaiyang Zhou et al., Learning to Prompt for Vision-Language Models, arXiv 2109.01134, section 4.5.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import torch
from tabulate import tabulate
from torch import Tensor

from ..checkpoints.boosting import load_boosting, read_boosting
from ..checkpoints.convert import published_file
from ..checkpoints.family import read_checkpoint, released_prompts
from ..checkpoints.headers import BoostingHeader, RunHeader, read_header
from ..checkpoints.run import read_run
from ..checkpoints.sources import resolve
from ..clip.backbones import Backbone, load_backbone
from ..ground.errors import InputError
from ..ground.files import check_writable
from ..ground.tensors.values import LARGEST_PROMPT, impossible
from ..ground.texts import in_csv, visible
from ..prompting.groups import PromptGroup
from .predict import output_to
from .predictor import clip_of_boosting, clip_of_run

log = logging.getLogger(__name__)

MOST = 49_408  # words, as many as CLIP has
AT_ONCE = 128  # tokens that are compared with the whole vocabulary together
FIRST = re.compile(r"(adapting\.|boosting\.|)(ctx|text\.0)")  # a checkpoint's names of what enters the first block
DEEPER = re.compile(r"(adapting\.|boosting\.|)(compound_prompts_text|text\.[1-9])")  # and of what enters a later one


@dataclass(frozen=True)
class Context:
    """Text tokens of one group that enter the first block: [N, D] or, class-specific, [C, N, D]."""

    name: str
    tokens: Tensor


@dataclass(frozen=True)
class Learned:
    """What is interpreted, and the CLIP that it was learned with. `deeper`: later blocks have text tokens of their own."""

    source: str
    clip: Backbone | None  # None where there are no contexts
    contexts: list[Context]
    deeper: bool = False
    conditional: bool = False
    classnames: Sequence[str] = ()


@dataclass(frozen=True)
class Nearest:
    """A token's nearest words. `class_` is a name, or a number where there are none; empty: the token is all classes'."""

    group: str
    class_: str
    token: int  # from 1
    words: list[tuple[str, float]]  # with their distances, the nearest first


# ---------------------------------------------------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------------------------------------------------
def read_learned(source: str, backbone: str = "") -> Learned:
    """The context of a run, of boosting prompts (`hub:org/name` too) or of a model file, which needs the name of its CLIP.

    Raises InputError as `caspl.load` does, for a model file without `backbone`, and where no text tokens were learned.
    """
    if path := published_file(source):
        learned = _of_checkpoint(path, backbone)
    else:
        path = resolve(source, RunHeader, BoostingHeader)
        header = read_header(path, RunHeader, BoostingHeader)
        learned = (_of_run if header.kind == RunHeader.kind else _of_boosting)(path, backbone)
    if not learned.contexts:
        raise InputError(
            f"{path} has no learned tokens in the text tower, so there are no words near them; name the prompts of a method "
            f"that learns text tokens"
        )
    learned.clip.check_student()
    for context in learned.contexts:
        _check_width(context, learned.clip, path)
    return learned


def _of_run(path: Path, backbone: str) -> Learned:
    learners, header = read_run(path)
    groups = [group for learner in learners for group in learner()]
    names = ("adapting", "boosting") if header.trainer.startswith("CasPL_") else ("context",) * len(groups)
    return Learned(
        str(path),
        clip_of_run(path, header, backbone),
        _contexts(names, groups),
        deeper=any(len(group.text) > 1 for group in groups),
        conditional=any(learner.conditional for learner in learners),
        classnames=header.classnames,
    )


def _of_boosting(path: Path, backbone: str) -> Learned:
    _, header = read_boosting(path)  # refused before weights are fetched
    clip = clip_of_boosting(path, header, backbone)
    [group] = load_boosting(path, clip)[0]()
    return Learned(str(path), clip, _contexts(["boosting"], [group]), deeper=len(group.text) > 1)


def _contexts(names: Sequence[str], groups: Sequence[PromptGroup]) -> list[Context]:
    return [
        Context(name, group.text[0].detach()) for name, group in zip(names, groups, strict=False) if len(group.text)
    ]


def _of_checkpoint(path: Path, backbone: str) -> Learned:
    state = released_prompts(
        read_checkpoint(path)["state_dict"], method="CoOp"
    )  # the context's name is that of all methods
    first = {found[1].rstrip("."): value for name, value in state.items() if (found := FIRST.fullmatch(name))}
    if problems := _problems(first):
        raise InputError(f"{path} can't be interpreted: {'; '.join(problems)}; take an unaltered file")
    contexts = [Context(name or "context", value) for name, value in first.items()]
    if contexts and not backbone:
        raise InputError(
            f"{path} is a model file, which does not name its CLIP; give that with --backbone, for example --backbone ViT-B/16"
        )
    clip = load_backbone(backbone) if contexts else None
    deeper = any(DEEPER.match(name) for name in state)
    return Learned(str(path), clip, contexts, deeper, conditional=any("meta_net." in name for name in state))


def _problems(first: dict[str, Tensor]) -> list[str]:
    odd = [tuple(value.shape) for value in first.values() if value.dim() not in (2, 3) or not value.numel()]
    shapes = [
        f"its context has the shape {shape}, expected [tokens, width] or [classes, tokens, width]" for shape in odd
    ]
    return shapes or impossible({f"{name}context".strip(): value for name, value in first.items()}, LARGEST_PROMPT)


def _check_width(context: Context, clip: Backbone, path: Path) -> None:
    found, expected = context.tokens.shape[-1], clip.text_width
    if found != expected:
        raise InputError(
            f"the tokens of {path} have {found} numbers each, and {clip.name} embeds words in {expected}; name the CLIP that "
            f"they were trained with (--backbone)"
        )


# ---------------------------------------------------------------------------------------------------------------------
# Words
# ---------------------------------------------------------------------------------------------------------------------
def nearest(tokens: Tensor, table: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(rows of `table` [V, D], Euclidean distances), both [M, count], that lie nearest to each of `tokens` [M, D].

    Computed in float64, so that a token that is a word has a distance of 0 (below 1e-6); of equally near rows the first one
    comes first.
    """
    table = table.double()
    found = []
    for part in tokens.double().split(AT_ONCE):
        squares = part.square().sum(1, keepdim=True) + table.square().sum(1) - 2 * part @ table.T
        nearest_first, rows = squares.sort(dim=1, stable=True)
        found.append((rows[:, :count], nearest_first[:, :count].clamp(min=0).sqrt()))
    rows, distances = map(torch.cat, zip(*found, strict=True))
    return rows, distances


def vocabulary(clip: Backbone) -> tuple[list[str], Tensor]:
    """CLIP's words and their embeddings [V, D]; tokens that a file has no numbers for (all zeros) are left out."""
    table = clip.model.token_embedding.weight.detach().float()
    known = table.ne(0).any(dim=1).nonzero()[:, 0]
    return [_word(clip.tokenizer, number) for number in known.tolist()], table[known]


def _word(tokenizer, number: int) -> str:
    """An entry of the vocabulary, its bytes read as text where they are one."""
    entry = tokenizer.decoder.get(number, f"<{number}>")
    body = entry.removesuffix("</w>")
    try:
        return bytes(tokenizer.byte_decoder[character] for character in body).decode() + entry[len(body) :]
    except (KeyError, UnicodeDecodeError):
        return entry  # a part of a character


def interpret(learned: Learned, count: int) -> Iterator[Nearest]:
    """The `count` nearest words of every token: group by group, class by class."""
    words, table = vocabulary(learned.clip)
    for context in learned.contexts:
        tokens = context.tokens.to(table.device)
        rows, distances = nearest(tokens.flatten(0, -2), table, count)
        length = tokens.shape[-2]
        for number, (own, far) in enumerate(zip(rows.tolist(), distances.tolist(), strict=True)):
            class_, token = divmod(number, length)
            name = _class_name(learned, class_) if tokens.dim() == 3 else ""
            yield Nearest(context.name, name, token + 1, [(words[w], d) for w, d in zip(own, far, strict=True)])


def _class_name(learned: Learned, number: int) -> str:
    return learned.classnames[number] if number < len(learned.classnames) else str(number)


def remarks(learned: Learned) -> Iterator[str]:
    """What the table does not show."""
    table = learned.clip.model.token_embedding.weight
    known = int(table.ne(0).any(dim=1).sum())
    if known < len(table):
        yield f"{learned.clip.name} has embeddings of {known:,} of CLIP's {len(table):,} words alone; the others are left out"
    if learned.deeper:
        yield "later blocks have text tokens of their own, which no word embedding ever enters; they are left out"
    if learned.conditional:
        yield "each image shifts this context; shown is the part that all images share"


# ---------------------------------------------------------------------------------------------------------------------
# Writing
# ---------------------------------------------------------------------------------------------------------------------
def as_table(found: Sequence[Nearest], file: TextIO) -> None:
    """A row for each token, a column for each rank."""
    shown = {"group": len({each.group for each in found}) > 1, "class": any(each.class_ for each in found)}
    headers = [*(name for name, wanted in shown.items() if wanted), "token", *range(1, len(found[0].words) + 1)]
    rows = []
    for each in found:
        place = {"group": each.group, "class": visible(each.class_)}
        cells = [f"{visible(word)} {distance:.4f}" for word, distance in each.words]
        rows.append([*(place[name] for name, wanted in shown.items() if wanted), each.token, *cells])
    print(tabulate(rows, headers, disable_numparse=True), file=file)


def as_csv(found: Sequence[Nearest], file: TextIO) -> None:
    """A line for each token and word: group, class, token from 1, rank from 1, word, distance."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("group", "class", "token", "rank", "word", "distance"))
    for each in found:
        place = (each.group, in_csv(each.class_), each.token)
        writer.writerows((*place, rank, in_csv(word), f"{d:.6f}") for rank, (word, d) in enumerate(each.words, 1))


def as_json(found: Sequence[Nearest], file: TextIO) -> None:
    """A list of {"group", "class" (null: of all), "token", "words": [{"word", "distance"}, ...]}."""
    entries = [
        {
            "group": each.group,
            "class": each.class_ or None,
            "token": each.token,
            "words": [{"word": word, "distance": round(distance, 6)} for word, distance in each.words],
        }
        for each in found
    ]
    file.write("[\n " + ",\n ".join(map(json.dumps, entries)) + "\n]\n")


WRITERS = {"table": as_table, "csv": as_csv, "json": as_json}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "result",
        help="the output folder of a run, its prompts.safetensors or boosting.safetensors, hub:org/name, or a model.pth.tar-N",
    )
    parser.add_argument("--top-k", type=int, default=5, help="how many words for each token (default: %(default)s)")
    parser.add_argument("--backbone", default="", help="name or file of the CLIP (default: the one named in the file)")
    parser.add_argument(
        "--format", choices=WRITERS, help="of the output (default: that of --output's name, else a table)"
    )
    parser.add_argument("--output", type=Path, help="file for the words (default: print them)")


def run(args: argparse.Namespace) -> int:
    """Exit status 0. Raises InputError."""
    if not 1 <= args.top_k <= MOST:
        raise InputError(f"--top-k is {args.top_k}, expected 1 to {MOST:,}")
    suffix = args.output.suffix.lstrip(".") if args.output else ""
    write = WRITERS[args.format or (suffix if suffix in WRITERS else "table")]
    if args.output:
        check_writable(args.output, "--output")
    learned = read_learned(args.result, args.backbone)
    for remark in remarks(learned):
        log.info("Note: %s", remark)
    with output_to(args.output) as file:
        write(list(interpret(learned, args.top_k)), file)
    return 0
