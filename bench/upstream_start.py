"""The start of a run in a repository of the family, for seed_stream.py, which starts this with another working folder and path.

Arguments: the method, a file of weights in OpenAI's names, the file to write, and the words for the repository's train.py. The
repository's code runs as it is; around it, weights come from that file, nothing goes to a GPU, and what newer PyTorch no longer
takes from Dassl's schedules is taken. Writes what the trainer's models have drawn, and the images of two epochs.
"""

import inspect
import sys
import types

import torch
from torch.optim import lr_scheduler

method, weights, output, *words = sys.argv[1:]
for name in ("gdown", "dassl.data.datasets.dg.wilds"):  # of which nothing is used
    module = sys.modules.setdefault(name, types.ModuleType(name))
    module.__getattr__, module.__all__ = lambda wanted: None, []

plain = lr_scheduler.LRScheduler.__init__
if "verbose" not in inspect.signature(plain).parameters:

    def quiet(self, optimizer, last_epoch=-1, verbose=False):
        plain(self, optimizer, last_epoch)

    lr_scheduler.LRScheduler.__init__ = quiet


def refuse(*_, **__):
    raise RuntimeError("no JIT archive")


torch.jit.load = refuse
torch.Tensor.cuda = torch.nn.Module.cuda = lambda self, *_, **__: self

sys.path.insert(0, ".")
from clip import clip  # noqa: E402

clip._download = lambda *_, **__: weights

from dassl.engine import build_trainer  # noqa: E402
from dassl.utils import set_random_seed  # noqa: E402

import train  # noqa: E402


class Taken(types.SimpleNamespace):
    """What train.py's setup_cfg reads."""

    def __getattr__(self, name):
        return ""


behind = next(place for place in range(0, len(words), 2) if not words[place].startswith("--"))
flags = {flag[2:].replace("-", "_"): value for flag, value in zip(words[:behind:2], words[1:behind:2], strict=True)}
flags["seed"] = int(flags["seed"])
cfg = train.setup_cfg(Taken(**flags, opts=words[behind:]))
set_random_seed(cfg.SEED)
trainer = build_trainer(cfg)
(model,) = trainer._models.values()
state = {k: v for k, v in model.state_dict().items() if "ctx" in k or "VPT" in k or "prompt" in k or "meta_net" in k}
state = {k: v for k, v in state.items() if "ZS_image" not in k and "token_" not in k}
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
