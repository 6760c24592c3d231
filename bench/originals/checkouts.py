"""Where the repositories of the family lie: in a folder of the user's, under the names that they have on GitHub."""

from __future__ import annotations

from pathlib import Path

from caspl.ground.errors import InputError

ORIGINALS = (
    "a folder with checkouts of CoOp, multimodal-prompt-learning, PromptSRC and Dassl.pytorch, as they come from GitHub"
)
DASSL = "Dassl.pytorch"
FOLDERS = {  # that a method's code is in
    "CoOp": "CoOp",
    "CoCoOp": "CoOp",
    "VPT": "multimodal-prompt-learning",
    "IVLP": "multimodal-prompt-learning",
    "MaPLe": "multimodal-prompt-learning",
    "PromptSRC": "PromptSRC",
}
PARTS = {
    "CoOp": "trainers/coop.py",
    "multimodal-prompt-learning": "trainers/maple.py",
    "PromptSRC": "trainers/promptsrc.py",
}
PARTS[DASSL] = "dassl/engine/trainer.py"


def checked(folder: Path, name: str, flag: str) -> Path:
    """A checkout that was given by `flag`. Raises InputError where it is not that of `name`."""
    if not (folder / PARTS[name]).is_file():
        raise InputError(f"{flag} {folder} has no {PARTS[name]}, expected a checkout of {name} from GitHub; give one")
    return folder.resolve()
