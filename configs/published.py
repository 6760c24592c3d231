"""What the published CasPL code calls what is here: its trainers and keys, and what stands for them.

Read from github.com/megvii-research/CasPL: `extend_cfg` in train.py, the trainers, the scripts. Its phase 1 has its tokens in
TRAINER.IVLP, its phase 2 in the node of the method that adapts; KD holds the rest. `python -m caspl convert config` translates
files and commands by this table, and `train.py` answers by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PHASE_1, BOOSTING = "CasPLBoost", "TRAINER.CASPL.BOOSTING"
TRAINERS = {"CasPL": PHASE_1}  # the others have the same names here
PHASE_1_FOLDER = "CasPL"  # of the checkpoints in the folder of a published phase 1
HINT = "caspl convert config FILE turns a file or a command of the published code into ours"


@dataclass(frozen=True)
class Published:
    """A key of the published code.

    Attributes:
        default: its value there where nobody sets it.
        phase_1, phase_2: the key that stands for it here, in each phase; empty: none does.
        negated: True stands for False here.
        words: what stands for it where no key does.
    """

    default: Any
    phase_1: str = ""
    phase_2: str = ""
    negated: bool = False
    words: str = ""

    @property
    def answer(self) -> str:
        """The rest of a sentence that begins with the key and "is"."""
        if self.words:
            return f"a key of the published code; here {self.words}"
        ours = self.phase_1 or self.phase_2
        return f"a key of the published code; here it is {ours}{', the other way round' if self.negated else ''}"


def _of_boosting(default: Any, name: str) -> Published:
    """A length or depth of the boosting prompts as phase 2 is told it there; in phase 1 the published code has it in IVLP."""
    ours = f"TRAINER.CASPL.{name}"
    return Published(default, words=f"phase 1 has {ours}, and phase 2 takes it from the file at {BOOSTING}")


PREC = "TRAINER.CASPL.PREC in phase 1 and the PREC of the method in phase 2"
TABLES = "results go to --output-dir, and python -m caspl.results makes tables of them"
KEYS = {
    "TRAINER.IVLP.N_CTX_VISION": Published(2, phase_1="TRAINER.CASPL.N_CTX_VISION"),
    "TRAINER.IVLP.N_CTX_TEXT": Published(2, phase_1="TRAINER.CASPL.N_CTX_TEXT"),
    "TRAINER.IVLP.CTX_INIT": Published("a photo of a", phase_1="TRAINER.CASPL.CTX_INIT"),
    "TRAINER.IVLP.PREC": Published("fp16", phase_1="TRAINER.CASPL.PREC"),
    "TRAINER.IVLP.PROMPT_DEPTH_VISION": Published(9, phase_1="TRAINER.CASPL.DEPTH_VISION"),
    "TRAINER.IVLP.PROMPT_DEPTH_TEXT": Published(9, phase_1="TRAINER.CASPL.DEPTH_TEXT"),
    "KD.FIRST_TRAIN": Published(False, words=f"--trainer {PHASE_1} is phase 1"),
    "KD.SECOND_TRAIN": Published(False, words="--trainer CasPL_CoOp, CasPL_CoCoOp, CasPL_MaPLe ... is phase 2"),
    "KD.BACKBONE_NAME": Published("ViT-L/14", phase_1="TRAINER.CASPL.TEACHER"),
    "KD.TEMPERATURE": Published(1, phase_1="TRAINER.CASPL.TEMPERATURE"),
    "KD.IS_TEST": Published(False, phase_1="TEST.NO_TEST", phase_2="TEST.NO_TEST", negated=True),
    "KD.N_CTX_VISION": _of_boosting(8, "N_CTX_VISION"),
    "KD.N_CTX_TEXT": _of_boosting(8, "N_CTX_TEXT"),
    "KD.CTX_INIT": Published(
        "a photo of a", words="phase 1 has TRAINER.CASPL.CTX_INIT; the published code does not read it"
    ),
    "KD.PREC": Published("fp16", words=f"there are {PREC}; the published code does not read it"),
    "KD.PROMPT_DEPTH_VISION": _of_boosting(12, "DEPTH_VISION"),
    "KD.PROMPT_DEPTH_TEXT": _of_boosting(12, "DEPTH_TEXT"),
    "KD.RESULT_PATH": Published("results_path", words=TABLES),
    "KD.DIR_NAME": Published("dirname&1", words=TABLES),
    "KD.SECOND_PARAMETER_USE": Published(False, phase_2="TRAINER.CASPL.FREEZE", negated=True),
    "KD.USE_IVLP": Published(False, words="the trainer CasPL_<method> says how the two groups are joined"),
    "KD.USE_DATASET_LIST": Published(0, words="nobody trains on the test images; leave it out"),
}
ANSWERS = {name: key.answer for name, key in KEYS.items() if name.startswith("KD.")}


def trainer_answer(name: str) -> str:
    """What to say to a trainer's name of the published code; "" for a name that it does not have."""
    return f'trainer "{name}" is phase 1 of the published code; here it is {TRAINERS[name]}' if name in TRAINERS else ""


def hint(trainer: str, wrong: Sequence[str]) -> list[str]:
    """The command to use, where any of the mistakes is one of taking the published code for ours."""
    words = (
        "is a key of the published code",
        "of the published code; here",
        *(["TRAINER.IVLP."] if trainer == PHASE_1 else []),
    )
    return [HINT] if any(word in clause for clause in wrong for word in words) else []


def meant(trainer: str, name: str) -> str:
    """Our key for a key of the published code, in the phase that `trainer` is; "" where there is none."""
    return KEYS[name].phase_1 if trainer == PHASE_1 and name in KEYS else ""
