"""Three trainers of the host's own invention, in the style of the family. None knows CasPL."""

import torch
import torch.nn.functional as F
from clip.model import ConditionalCLIP, CustomCLIP, tokenize
from dassl.engine import TRAINER_REGISTRY, TrainerX
from dassl.optim import build_lr_scheduler, build_optimizer

from .coop import load_clip_to_cpu


@TRAINER_REGISTRY.register()
class PlainPrompts(TrainerX):
    """Context tokens and cross-entropy, as CoOp."""

    network = CustomCLIP

    def build_model(self):
        cfg, classnames = self.cfg, self.dm.dataset.classnames
        clip_model = load_clip_to_cpu(cfg).float()
        self.model = self.network([name.replace("_", " ") for name in classnames], clip_model)
        for name, param in self.model.named_parameters():
            param.requires_grad_("prompt_learner" in name)
        self.model.to(self.device)
        self.optim = build_optimizer(self.model.prompt_learner, cfg.OPTIM)
        self.sched = build_lr_scheduler(self.optim, cfg.OPTIM)
        self.register_model("prompt_learner", self.model.prompt_learner, self.optim, self.sched)

    def loss(self, image, label):
        return F.cross_entropy(self.model(image), label)

    def forward_backward(self, batch):
        image, label = self.parse_batch_train(batch)
        loss = self.loss(image, label)
        self.model_backward_and_update(loss)
        if self.batch_idx + 1 == self.num_batches:
            self.update_lr()
        return {"loss": loss.item()}

    def parse_batch_train(self, batch):
        return batch["img"].to(self.device), batch["label"].to(self.device)


@TRAINER_REGISTRY.register()
class MetaPrompts(PlainPrompts):
    """A small network moves the context by each image, as CoCoOp."""

    network = ConditionalCLIP


@TRAINER_REGISTRY.register()
class RegularPrompts(PlainPrompts):
    """Class features are held near those of a template, as KgCoOp."""

    def build_model(self):
        super().build_model()
        names = self.dm.dataset.classnames
        with torch.no_grad():
            features = load_clip_to_cpu(self.cfg).encode_text(tokenize([f"a photo of a {name}." for name in names]))
        self.reference = F.normalize(features, dim=-1)

    def loss(self, image, label):
        distance = 1 - (self.model.class_features() * self.reference).sum(-1).mean()
        return super().loss(image, label) + distance
