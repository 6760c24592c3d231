"""The start of a run in a repository of the family, for seed_stream.py, which starts this with another working folder and path.

Arguments: the method, a file of weights in OpenAI's names, the file to write, and the words for the repository's train.py.
Writes what the trainer's models have drawn, and the images of two epochs.
"""

import importlib
import sys

import torch

from bench.originals import shims
from caspl.ground import door


def main() -> None:
    _, weights, output, *words = sys.argv[1:]
    shims.install(weights)
    engine, utils = importlib.import_module("dassl.engine"), importlib.import_module("dassl.utils")
    cfg = shims.configuration(words)
    utils.set_random_seed(cfg.SEED)
    trainer = engine.build_trainer(cfg)
    (model,) = trainer._models.values()
    state = shims.prompts_of(model)
    trainer.before_train()
    epochs = [list(trainer.train_loader_x) for _ in range(2)]
    torch.save(
        {
            "state": state,
            "images": [[path.rsplit("/", 1)[1] for batch in epoch for path in batch["impath"]] for epoch in epochs],
            "pixels": torch.cat([batch["img"] for batch in epochs[0]]),
        },
        output,
    )


if __name__ == "__main__":
    sys.exit(door.run(main))
