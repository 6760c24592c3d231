"""A dataset, a trainer and a program as people write them for upstream Dassl: `print`, TrainerX, small overrides.

The tests import the classes; run as a program it trains: `python stub_run.py DATA OUTPUT [KEY VALUE ...]`.
"""

import os
import os.path as osp
import sys
import time

import torch
import torch.nn as nn
from dassl.config import get_cfg_default
from dassl.data.datasets import DATASET_REGISTRY, DatasetBase, Datum
from dassl.engine import TRAINER_REGISTRY, TrainerX, TrainerXU, build_trainer
from dassl.metrics import compute_accuracy
from dassl.optim import build_lr_scheduler, build_optimizer
from dassl.utils import count_num_param, listdir_nohidden, load_checkpoint, set_random_seed, setup_logger
from torch.nn import functional as F

CLASSNAMES = ["ant", "bee", "cat"]


@DATASET_REGISTRY.register()
class StubPNGs(DatasetBase):
    dataset_dir = "stub"

    def __init__(self, cfg):
        root = osp.abspath(osp.expanduser(cfg.DATASET.ROOT))
        self.dataset_dir = osp.join(root, self.dataset_dir)
        train = self.read_split("train")
        train = self.generate_fewshot_dataset(train, num_shots=cfg.DATASET.NUM_SHOTS)
        super().__init__(train_x=train, val=self.read_split("val"), test=self.read_split("test"))

    def read_split(self, split):
        items = []
        for label, classname in enumerate(CLASSNAMES):
            folder = osp.join(self.dataset_dir, split, classname)
            for name in listdir_nohidden(folder, sort=True):
                items.append(Datum(impath=osp.join(folder, name), label=label, classname=classname))
        return items


class LinearNet(nn.Module):
    def __init__(self, num_inputs, num_classes):
        super().__init__()
        self.fc = nn.Linear(num_inputs, num_classes)
        self.frozen = nn.Parameter(torch.ones(2), requires_grad=False)

    def forward(self, x):
        return self.fc(x.flatten(1))


@TRAINER_REGISTRY.register()
class StubTrainer(TrainerX):
    def build_model(self):
        cfg = self.cfg
        print(f"Building a linear model for {self.num_classes} classes")
        self.model = LinearNet(3 * cfg.INPUT.SIZE[0] * cfg.INPUT.SIZE[1], self.num_classes)
        self.model.to(self.device)
        print(f"# params: {count_num_param(self.model):,}")
        self.optim = build_optimizer(self.model, cfg.OPTIM)
        self.sched = build_lr_scheduler(self.optim, cfg.OPTIM)
        self.register_model("linear", self.model, self.optim, self.sched)

    def forward_backward(self, batch):
        image, label = self.parse_batch_train(batch)
        output = self.model(image)
        loss = F.cross_entropy(output, label)
        self.model_backward_and_update(loss)
        time.sleep(float(os.environ.get("STUB_SECONDS_PER_BATCH", "0")))
        loss_summary = {"loss": loss.item(), "acc": compute_accuracy(output, label)[0].item()}
        if (self.batch_idx + 1) == self.num_batches:
            self.update_lr()
        return loss_summary

    def parse_batch_train(self, batch):
        return batch["img"].to(self.device), batch["label"].to(self.device)

    def load_model(self, directory, epoch=None):
        if not directory:
            print("Note that load_model() is skipped as no pretrained model is given")
            return
        model_file = "model-best.pth.tar" if epoch is None else "model.pth.tar-" + str(epoch)
        for name in self.get_model_names():
            model_path = osp.join(directory, name, model_file)
            if not osp.exists(model_path):
                raise FileNotFoundError(f'Model not found at "{model_path}"')
            checkpoint = load_checkpoint(model_path)
            print(f'Loading weights to {name} from "{model_path}" (epoch = {checkpoint["epoch"]})')
            self._models[name].load_state_dict(checkpoint["state_dict"], strict=False)


@TRAINER_REGISTRY.register()
class StubPairTrainer(TrainerXU):
    def build_data_loader(self):
        super().build_data_loader()
        self.train_loader_u = self.val_loader

    def build_model(self):
        self.model = LinearNet(3 * self.cfg.INPUT.SIZE[0] * self.cfg.INPUT.SIZE[1], self.num_classes)
        self.optim = build_optimizer(self.model, self.cfg.OPTIM)
        self.register_model("linear", self.model, self.optim)
        self.pairs = []

    def forward_backward(self, batch_x, batch_u):
        self.pairs.append((batch_x["index"].tolist(), batch_u["index"].tolist()))
        image, label, _ = self.parse_batch_train(batch_x, batch_u)
        loss = F.cross_entropy(self.model(image), label)
        self.model_backward_and_update(loss)
        return {"loss": loss.item()}


def make_cfg(root, output):
    cfg = get_cfg_default()
    cfg.SEED = 1
    cfg.USE_CUDA = False
    cfg.OUTPUT_DIR = str(output)
    cfg.DATASET.ROOT = str(root)
    cfg.DATASET.NAME = "StubPNGs"
    cfg.TRAINER.NAME = "StubTrainer"
    cfg.INPUT.SIZE = (8, 8)
    cfg.INPUT.TRANSFORMS = ("random_resized_crop", "random_flip", "normalize")
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.DATALOADER.TRAIN_X.BATCH_SIZE = 4
    cfg.DATALOADER.TEST.BATCH_SIZE = 4
    cfg.OPTIM.NAME = "sgd"
    cfg.OPTIM.LR = 0.01
    cfg.OPTIM.LR_SCHEDULER = "cosine"
    cfg.OPTIM.MAX_EPOCH = 4
    cfg.OPTIM.WARMUP_EPOCH = 1
    cfg.OPTIM.WARMUP_TYPE = "constant"
    cfg.TRAIN.PRINT_FREQ = 1
    return cfg


def main(root, output, opts):
    cfg = make_cfg(root, output)
    cfg.merge_from_list(opts)
    set_random_seed(cfg.SEED)
    setup_logger(cfg.OUTPUT_DIR)
    build_trainer(cfg).train()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
