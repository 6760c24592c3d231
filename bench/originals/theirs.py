"""The side of an original in originals.py: a trainer of a repository of the family, in its checkout, as it stands there.

Started by originals.py with their folders on Python's path. It writes what its trainer begins with to the file --state, so
that ours can begin with the same, and then steps and evaluates when it is told to.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from types import SimpleNamespace

import torch

from bench.frame.sides import Step, serve
from bench.originals import shims
from caspl.ground import door


def build(args: argparse.Namespace, made: dict):
    """Their trainer, without data: `made` has the words for their train.py, and class names."""
    shims.install(args.weights, full_precision=True)
    engine = importlib.import_module("dassl.engine")
    trainer_class = importlib.import_module("dassl.engine.trainer").SimpleTrainer

    def build_data_loader(self) -> None:
        self.dm = SimpleNamespace(dataset=SimpleNamespace(classnames=made["names"]))
        self.num_classes, self.lab2cname = len(made["names"]), dict(enumerate(made["names"]))
        self.train_loader_x = self.train_loader_u = self.val_loader = self.test_loader = None

    trainer_class.build_data_loader = build_data_loader
    cfg = shims.configuration(made["words"])
    if args.templates and "PromptSRC" in made["words"]:
        templates = importlib.import_module("trainers.imagenet_templates")
        del templates.IMAGENET_TEMPLATES[args.templates :]
    torch.manual_seed(1)
    return engine.build_trainer(cfg)


def prepare(args: argparse.Namespace) -> dict[str, Step]:
    made = torch.load(args.made)
    trainer = build(args, made)
    trainer.epoch = trainer.batch_idx = 0
    trainer.num_batches = 1_000_000_000  # no step is the last of its epoch
    (model,) = trainer._models.values()
    references = getattr(getattr(trainer.model, "prompt_learner", None), "fixed_embeddings", None)
    torch.save({"state": shims.prompts_of(model), "references": references}, args.state)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}

    def step() -> dict:
        trainer.set_model_mode("train")
        summary = trainer.forward_backward({"img": made["images"], "label": made["labels"]})
        return {
            "loss": summary["loss"],
            "grads": {name: p.grad.clone() for name, p in trained.items() if p.grad is not None},
        }

    @torch.no_grad()
    def evaluate() -> dict:
        trainer.set_model_mode("eval")
        return {"logits": torch.cat([trainer.model_inference(part) for part in made["tests"].split(args.batch)])}

    return {"step": step, "evaluate": evaluate}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for flag in ("--weights", "--made", "--state", "--result"):
        parser.add_argument(flag, required=True)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--templates", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    serve(lambda: prepare(args), args.result)


if __name__ == "__main__":
    sys.exit(door.run(main))
