"""A part of references.py: a run of train.py in a process of its own, up to its first step, whose moment it writes into a file.

    python -m bench.data.first_step WAY FILE [what train.py takes]

WAY "plain" encodes all texts at all positions and keeps none, as every run did.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

from caspl import train
from caspl.ground import door
from caspl.prompting.zeroshot import features
from caspl.trainers.prompt_trainer import PromptTrainer


def main() -> int:
    way, file, *words = sys.argv[1:]

    def first_step(trainer: PromptTrainer, batch: dict) -> None:
        Path(file).write_text(str(time.time()))
        raise SystemExit

    PromptTrainer.forward_backward = first_step
    if way == "plain":
        features.FEW_OPERATIONS = math.inf
    return train.main(words)


if __name__ == "__main__":
    sys.exit(door.run(main))
