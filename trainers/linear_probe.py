"""Linear probe: logistic regression on frozen image features, CLIP's few-shot baseline. arXiv 2103.00020, appendix A.3."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from dassl.data.data_manager import build_data_loader
from dassl.data.transforms import build_transform
from dassl.engine import TrainerX
from torch import Tensor, nn
from yacs.config import CfgNode

from caspl.checkpoints.family import read_checkpoint
from caspl.clip.backbones import load_backbone
from caspl.clip.precision import resolve_precision
from caspl.ground.devices.transfers import onto
from caspl.ground.errors import InputError, naming
from caspl.ground.keys import Key
from caspl.ground.processes import together
from caspl.ground.tensors.finite import NotFiniteError

from .encoding import Encoding
from .keys import Declaring, completed, precision_key
from .prompt_trainer import check_images
from .recorded import Recording, Use, model_file
from .registration import register

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

log = logging.getLogger(__name__)

STRENGTHS = (1e6, 1e4, 1e2, 1.0, 1e-2, 1e-4, 1e-6)  # C, the inverse of the regularisation, that the search starts with
STEPS = 8  # bisections of log C around the best of them


KEYS = [
    precision_key("TRAINER.LINEARPROBE"),
    Key("TRAINER.LINEARPROBE.MAX_ITER", 1000, "Most iterations of the solver", least=1, most=1_000_000),
]


def search(accuracy, strengths: Sequence[float] = STRENGTHS, steps: int = STEPS) -> float:
    """The C that CoOp's protocol ends at, where `accuracy(C)` is the validation accuracy.

    From a tenth to ten times the best of `strengths`, the half of log C next to the better end is kept, `steps` times; where
    both ends are equal, the left one.
    """
    peak = max(strengths, key=accuracy)  # the first of several
    left, right = np.log10(peak) - 1, np.log10(peak) + 1
    best = left
    for _ in range(steps):
        middle = (left + right) / 2
        if accuracy(10.0**left) < accuracy(10.0**right):
            best, left = right, middle
        else:
            best, right = left, middle
    return float(10.0**best)


@register
class LinearProbe(Recording, Declaring, Encoding, TrainerX):
    """L2-regularised logistic regression (lbfgs) on features that are not normalised, of images as in testing.

    C is searched on the validation images of the few-shot sample, min(shots, 4) for each class. A run is one random draw:
    the published numbers are means over draws, that is over seeds.
    """

    node, own_keys = "LINEARPROBE", KEYS
    passes_over = ("MODEL.INIT_WEIGHTS", "DATALOADER.CACHE", "OPTIM.ACCUMULATE", "RESUME")
    checkpoint_name = "linear_probe"

    def __init__(self, cfg: CfgNode) -> None:
        super().__init__(completed(cfg, self.declared()))

    @naming({"backbone": "MODEL.BACKBONE.NAME"})
    def build_model(self) -> None:
        cfg = self.cfg
        self.backbone = load_backbone(cfg.MODEL.BACKBONE.NAME)
        check_images(cfg, self.backbone)
        self.precision = resolve_precision(cfg.TRAINER.LINEARPROBE.PREC, self.device)
        self.backbone.place(self.device, self.precision)
        self.classifier = nn.Linear(self.backbone.embedding_width, self.num_classes).to(self.device)
        self.classifier.requires_grad_(False)
        self.register_model(self.checkpoint_name, self.classifier)
        self.max_epoch = 1  # it is fitted once

    def learned(self) -> nn.Module:
        return self.classifier

    def class_specific(self, state: Mapping[str, Tensor]) -> bool:
        return True

    def load_model(self, directory: str, epoch: int | None = None) -> None:
        """As Dassl's. Raises InputError where the file is of another network than this command asks for."""
        if directory:
            path = model_file(Path(directory) / self.checkpoint_name, epoch)
            entries = read_checkpoint(path)
            self.compare(entries, entries["state_dict"], path, Use.TEST, self.classifier)
        super().load_model(directory, epoch)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        with self.precision.autocast():
            return self.backbone.encode_images(images).float()

    def features(self, items: Sequence) -> tuple[np.ndarray, np.ndarray]:
        """Features [N, E] and labels [N] of a list of the dataset's items. Raises NotFiniteError where one is not finite."""
        cfg = self.cfg
        loader = build_data_loader(
            cfg,
            sampler_type="SequentialSampler",
            data_source=items,
            batch_size=cfg.DATALOADER.TEST.BATCH_SIZE,
            tfm=build_transform(cfg, is_train=False),
            is_train=False,
        )
        batches = [(self.encode(*onto(self.device, batch["img"])), batch["label"]) for batch in loader]
        features, labels = (torch.cat(parts).cpu() for parts in zip(*batches, strict=True))
        if bad := int((~torch.isfinite(features).all(dim=1)).sum()):
            raise NotFiniteError(
                f"the features of {bad} of {len(features)} images are not finite; set TRAINER.LINEARPROBE.PREC fp32, or take "
                f"another backbone"
            )
        return features.numpy(), labels.numpy()

    def train(self) -> None:
        """Fit, keep the classifier as `linear_probe/model.pth.tar-1`, and test. Of several processes the first one fits."""
        self.classifier.load_state_dict(together.once(self.fitted))
        self.save_model(0, self.output_dir)
        self.test()

    def fitted(self) -> dict[str, Tensor]:
        """The state of the classifier, fitted."""
        from sklearn.exceptions import ConvergenceWarning  # slow to import, and needed here only
        from sklearn.linear_model import LogisticRegression

        dataset = self.dm.dataset
        if not dataset.val:
            raise InputError(
                f"{self.cfg.DATASET.NAME} has no validation images, but LinearProbe searches its regularisation on them; "
                f"choose a dataset with a validation split"
            )
        train, labels = self.features(dataset.train_x)
        val, val_labels = self.features(dataset.val)
        fitted: dict[float, LogisticRegression] = {}

        def accuracy(strength: float) -> float:
            if strength not in fitted:
                model = LogisticRegression(C=strength, max_iter=self.cfg.TRAINER.LINEARPROBE.MAX_ITER)
                with warnings.catch_warnings():  # an unregularised fit need not converge, and loses the search then
                    warnings.simplefilter("ignore", ConvergenceWarning)
                    fitted[strength] = model.fit(train, labels)
                log.info("C %.3g: validation accuracy %.2f", strength, 100 * model.score(val, val_labels))
            return float(fitted[strength].score(val, val_labels))

        best = search(accuracy)
        log.info("Chosen: C %.4g", best)
        self.set_weights(fitted[best])
        return dict(self.classifier.state_dict())

    def set_weights(self, model: LogisticRegression) -> None:
        weight, bias = torch.from_numpy(model.coef_), torch.from_numpy(model.intercept_)
        if len(weight) == 1:  # for two classes scikit-learn keeps the second one's score only
            weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
        self.classifier.weight.copy_(weight)
        self.classifier.bias.copy_(bias)

    def model_inference(self, input: Tensor) -> Tensor:
        features = self.encode(input)
        self.keep(F.normalize(features, dim=-1))
        return self.checked(self.classifier(features))
