"""Names in files and commands of the CoOp family that are not known here, and what is said of them.

Most are of methods that this program has not: the file is sound, and meant for other code. Read from the public repositories'
`extend_cfg` and trainers; a section of a method that is not in the table is told by its place below TRAINER.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from ..ground.keys import in_any_case
from .published import ANSWERS, trainer_answer

ALIKE = 0.75  # of two names, by difflib, for one to be taken for a slip of the other
DOMAINS = "Dassl's methods for several domains or images without labels"
# Sections below TRAINER, and keys, of methods that are not here
KEYS = {
    "TRAINER.ANCHOROPT": "AnchorOPT",
    "TRAINER.ATPROMPT": "ATPrompt",
    "TRAINER.FILM": "DePT",
    "TRAINER.LINEAR_PROBE": "DePT",
    "TRAINER.NAMES_TO_UPDATE": "DePT",
    "TRAINER.MMADAPTER": "MMA (Multi-Modal Adapter)",
    "TRAINER.MMRL": "MMRL",
    "TRAINER.MMRLPP": "MMRL++",
    "TRAINER.MODAL": "PromptKD",
    "TRAINER.PROMPTKD": "PromptKD",
    "TASK": "DePT and MMRL",
    **dict.fromkeys(
        [
            f"TRAINER.{name}"
            for name in ("CDAC", "CROSSGRAD", "DAEL", "DAELDG", "DDAIG", "DOMAINMIX", "ENTMIN", "FIXMATCH")
        ]
        + [f"TRAINER.{name}" for name in ("M3SDA", "MCD", "MEANTEACHER", "MIXMATCH", "MME", "SE")]
        + ["OPTIM.RAMPUP_ITRS"],
        DOMAINS,
    ),
}
TRAINERS = {
    "MMRL": "MMRL",
    "MMRLpp": "MMRL++",
    "MultiModalAdapter": "MMA (Multi-Modal Adapter)",
    "PromptKD": "PromptKD",
    "TCP": "TCP (Textual-based Class-aware Prompt tuning)",
    "AttributeCompute": "ATPrompt",
    "CoOp_Pretrain_Anchor": "AnchorOPT",
    "DePT": "DePT",
    **{f"ExtrasLinearProbe{name}": "DePT" for name in ("CoOp", "CoCoOp", "KgCoOp", "MaPLe", "CoOpStats")},
    **{f"{name}_ATP": "ATPrompt" for name in ("CoOp", "CoCoOp", "MaPLe", "DePT")},
    **{f"{name}_AnchorOPT": "AnchorOPT" for name in ("CoOp", "CoCoOp", "MaPLe", "DePT")},
    **dict.fromkeys(
        (
            "ADDA",
            "AdaBN",
            "CDAC",
            "CrossGrad",
            "DAEL",
            "DAELDG",
            "DANN",
            "DDAIG",
            "DomainMix",
            "EntMin",
            "FixMatch",
            "M3SDA",
        )
        + ("MCD", "MME", "MeanTeacher", "MixMatch", "SE", "SourceOnly", "SupBaseline", "Vanilla"),
        DOMAINS,
    ),
}


def answers(sections: Mapping[str, Any]) -> Callable[[str], str | None]:
    """What to say of a key that is not known, as the rest of a sentence that begins with the key and "is".

    Args:
        sections: what there is below TRAINER; a name like one of theirs, or of their keys, is a slip of the finger, None.
    """
    names, inside = list(sections), {key for node in sections.values() if isinstance(node, Mapping) for key in node}

    def answer(key: str) -> str | None:
        if key in ANSWERS:
            return ANSWERS[key]
        for length, word in enumerate(key.split("."), 1):
            method = KEYS.get(".".join(key.upper().split(".")[:length]))
            if method:
                return f"a key of {method}, which no method here reads; leave it out"
            if length == 2 and key.startswith("TRAINER.") and not get_close_matches(word.upper(), names, 1, ALIKE):
                return (
                    None
                    if word in names or word.upper() in inside
                    else f"a key of the method {word}, which is not here; leave it out"
                )
        return None

    return answer


def unknown_trainer(name: str, known: Iterable[str]) -> str:
    """What to say to the name of a trainer that other code of the family has; "" for a name that is in none of it."""
    if told := trainer_answer(name):
        return told
    method = TRAINERS.get(in_any_case(name, TRAINERS))
    return f'trainer "{name}" is not here, it belongs to {method}; available: {", ".join(known)}' if method else ""
