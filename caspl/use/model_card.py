"""The model card of shared boosting prompts: what they are, how to use them, and what they have achieved."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import open_clip

from ..checkpoints.headers import BoostingHeader
from ..ground.errors import InputError
from ..ground.files import TEXT_BYTES, regular
from ..ground.texts import in_markdown

SETTING = "TRAINER.CASPL.BOOSTING"  # what users of train.py give boosting prompts by
UNNAMED = "ORG/NAME"  # in a card that was written before its repository had a name
SHOWN_CLASSES = 100  # a card lists as many class names

OPENAI_ON_HUB = {  # those of OpenAI's weights that OpenAI keeps on the Hub
    "ViT-B/32": "openai/clip-vit-base-patch32",
    "ViT-B/16": "openai/clip-vit-base-patch16",
    "ViT-L/14": "openai/clip-vit-large-patch14",
    "ViT-L/14@336px": "openai/clip-vit-large-patch14-336",
}


def model_card(header: BoostingHeader, *, parameters: int, size: int, tables: str = "", repo_id: str = UNNAMED) -> str:
    """The text of README.md: front matter for the Hub, what `header` says, how to use it, and `tables` of results.

    Args:
        parameters: how many numbers the checkpoint holds.
        size: of its file, in bytes.
    """
    from huggingface_hub import ModelCard, ModelCardData

    base = base_model(header.student)
    data = ModelCardData(
        library_name="caspl",
        tags=["caspl", "clip", "prompt-learning", "vision-language"],
        **({"base_model": base, "base_model_relation": "adapter"} if base else {}),
    )
    student, teacher, dataset = map(in_markdown, (header.student, header.teacher, header.dataset))
    body = f"""# Boosting prompts for {student} on {dataset}

Prompts with which the small CLIP {student} imitates {teacher}, learned without labels on images of {dataset}: phase 1 of
[CasPL](https://arxiv.org/abs/2409.17805). They stay frozen while a prompt learner of the CoOp family adapts the boosted CLIP
with few labels, or are used as they are.

## Use

Any prompt learner behind these prompts, here CoOp, with the flags of an ordinary run:

```bash
python train.py --trainer CasPL_CoOp ... {SETTING} hub:{repo_id}
```

In Python:

```python
import caspl
from caspl.backbones import load_backbone
from caspl.hub import from_pretrained

caspl.load("hub:{repo_id}").predict("photo.jpg")  # the boosted CLIP as a classifier
prompts, header = from_pretrained("{repo_id}", load_backbone({json.dumps(header.student)}))  # the prompts alone
```

## Facts

{_table(_facts(header, parameters, size))}

## Classes

{_class_list(header.classnames)}
"""
    if tables:
        body += f"\n## Results\n\nAccuracies in percent on test images.\n\n{tables}"
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}"))


def base_model(student: str) -> str | None:
    """The Hub's name of the model that a backbone's name stands for; None where that is not certain."""
    if found := re.fullmatch("(hf-hub|hf):([^@]*)(@.*)?", student):
        return found[2]
    model, _, tag = student.partition(":")
    address = open_clip.get_pretrained_cfg(model, tag).get("hf_hub", "")  # org/name/ or org/name/file
    return OPENAI_ON_HUB.get(student) or "/".join(address.split("/")[:2]) or None


def _facts(header: BoostingHeader, parameters: int, size: int) -> dict[str, str]:
    known = f"{len(header.classnames):,}" if header.classnames else "all"
    return {
        "student": f"{header.student}, fingerprint {header.student_fingerprint}",
        "teacher": f"{header.teacher}, fingerprint {header.teacher_fingerprint}",
        "teacher's text": header.template,
        "student's text": "the class name alone, behind the prompts",
        "images": f"{header.dataset}, labels unread",
        "names in the softmax": f"{known} classes"
        if header.names == "all"
        else f"{known} classes, the base classes only",
        "loss": f"{header.loss}, temperature {header.temperature}",
        "epochs": f"{header.epochs}",
        "seed": f"{header.seed}",
        "text tower": _tower(header.text_length, header.text_depth, header.text_width),
        "image tower": _tower(header.vision_length, header.vision_depth, header.vision_width),
        "parameters": f"{parameters:,}",
        "file": f"{size:,} bytes",
    }


def _tower(length: int, depth: int, width: int) -> str:
    return f"tokens {length}, blocks {depth}, width {width}" if length and depth else "no prompts"


def _table(facts: dict[str, str]) -> str:
    rows = [f"| {name} | {in_markdown(value)} |" for name, value in facts.items()]
    return "\n".join(["| | |", "|---|---|", *rows])


def _class_list(names: Sequence[str]) -> str:
    if not names:
        return "The names are not known."
    more = (
        f" and {len(names) - SHOWN_CLASSES:,} more (`classnames` in config.json)" if len(names) > SHOWN_CLASSES else ""
    )
    return f"{len(names):,}: {', '.join(map(in_markdown, names[:SHOWN_CLASSES]))}{more}"


def read_results(path: str | Path) -> str:
    """The tables of a results.md that `python -m caspl.results` wrote, their headings one level lower. Raises InputError."""
    try:
        text = regular(Path(path).expanduser(), TEXT_BYTES).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"the results {path} can't be read ({error}); expected the results.md of python -m caspl.results"
        ) from error
    if not re.search(r"^## .+\n\n\|.+\|\n\|[-:|]+\|$", text, re.MULTILINE):
        raise InputError(
            f"{path} holds no table of results; expected the results.md that python -m caspl.results writes"
        )
    return re.sub("^## ", "### ", text, flags=re.MULTILINE)
