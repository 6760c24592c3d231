"""What all prompt learners share: loading CLIP, freezing it, precision, the optimisation step, checkpoints.

A method says how its adapting group comes about (`build_learner`), if it is not cross-entropy, what its loss is (`loss`),
and what else it needs before training (`prepare`). Adding CasPL to it is the mixin of cascaded.py.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
from dassl.engine import TrainerX
from dassl.optim import build_lr_scheduler, build_optimizer
from dassl.utils import count_num_param
from torch import Tensor, nn
from yacs.config import CfgNode

from caspl.border.dataset_facts import DatasetFacts
from caspl.checkpoints.family import read_checkpoint, released_prompts
from caspl.checkpoints.headers import RunHeader
from caspl.checkpoints.run import save_run
from caspl.clip.backbones import Backbone, load_backbone
from caspl.clip.compiling.compiled import at_most
from caspl.clip.fingerprint import mismatch
from caspl.clip.precision import resolve_precision
from caspl.ground.devices.transfers import onto
from caspl.ground.errors import InputError, listed, naming
from caspl.ground.files import check_writable
from caspl.ground.keys import Key
from caspl.ground.processes import together
from caspl.ground.tensors import finite
from caspl.ground.tensors.shapes import differences, shapes_of
from caspl.ground.tensors.values import LARGEST_PROMPT, impossible
from caspl.prompting.groups import PromptGroup
from caspl.prompting.learners import Learner
from caspl.prompting.model import CachedClassFeatures, PromptedCLIP, Unchanged

from .course import Course
from .crops import KEYS as CROPS
from .crops import Cropping
from .encoding import Encoding
from .keys import Declaring, completed
from .memory import WithinMemory
from .recorded import Recording, Use, model_file
from .references import KEYS as REFERENCES
from .references import References
from .running import KEYS as RUNNING
from .running import Running
from .schedules import reconnect, renewed_schedule
from .seed_stream import KEYS as SEED_STREAM
from .seed_stream import METHODS, UPSTREAM, start_as_upstream
from .stepping import Stepping
from .stored_features import KEYS as FEATURE_STORE
from .stored_features import FromStore

log = logging.getLogger(__name__)

# With a tensor of a larger norm, unusual in trained runs, an epoch's last prompts are tried before they are saved: up to here
# no product of two overflows in half precision
SUSPECT = 100
OPENAI = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD  # mean and standard deviation of images


class PromptModel(nn.Module):
    """A prompted CLIP and the learner of its prompts. Where images go in, their normalised features [B, E] may, too."""

    def __init__(self, prompted: PromptedCLIP, learner: Learner):
        super().__init__()
        self.prompted, self.learner = prompted, learner
        self.class_features = CachedClassFeatures(prompted)
        self._groups, self._unchanged = None, Unchanged()

    def groups(self) -> list[PromptGroup]:
        """The learner's groups; on a GPU an evaluation has the same ones in all batches, by which class features are found."""
        tensors = [*self.learner.parameters(), *self.learner.buffers()]
        if torch.is_grad_enabled() or all(tensor.is_cpu for tensor in tensors):
            return self.learner()
        if not self._unchanged(tensors):
            self._groups = self.learner()
        return self._groups

    def encode_images(self, images: Tensor) -> Tensor:
        """Normalised features [B, E] of images [B, 3, H, W]."""
        return self._features(images, self.groups())

    def classify(self, image_features: Tensor) -> Tensor:
        """Logits [B, C] of images whose normalised features [B, E] are known."""
        return self.prompted.logits(image_features, self.class_features(self.groups()))

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised features of images [B, 3, H, W] and of the classes: [B, E], [C, E]."""
        groups = self.groups()
        return self._features(images, groups), self.class_features(groups)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] -> logits [B, C]."""
        return self.prompted.logits(*self.encode(images))

    def _features(self, images: Tensor, groups: Sequence[PromptGroup]) -> Tensor:
        return images if images.dim() == 2 else self.prompted.image_features(images, groups)


def check_images(cfg, backbone: Backbone) -> None:
    """Raise InputError unless images are prepared as the backbone takes them.

    Its normalisation may be another than OpenAI's, which all configurations of the family have; any other in a configuration is
    chosen for a file that does not say its own.
    """
    if tuple(cfg.INPUT.SIZE) != backbone.image_size:
        raise InputError(
            f"INPUT.SIZE is {tuple(cfg.INPUT.SIZE)}, but {backbone.name} takes images of "
            f'{backbone.image_size}; set INPUT.SIZE "{backbone.image_size}"'
        )
    here, own = (cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD), (backbone.mean, backbone.std)
    if _rounded(here) == _rounded(OPENAI) != _rounded(own):
        mean, std = ([float(value) for value in part] for part in own)
        raise InputError(
            f"INPUT.PIXEL_MEAN and INPUT.PIXEL_STD are those of OpenAI's CLIP, but {backbone.name} takes images less {mean}, "
            f'over {std}; set INPUT.PIXEL_MEAN "{mean}" INPUT.PIXEL_STD "{std}"'
        )


def _rounded(normalisation: Sequence[Sequence[float]]) -> list[float]:
    """Mean and standard deviation in as many digits as anybody writes of them."""
    return [round(float(value), 4) for part in normalisation for value in part]


def check_prompts(state: Mapping[str, Tensor], source: str | Path) -> None:
    """Raise InputError, naming `source`, where the state of a learner has numbers that no prompts have."""
    if problems := impossible(state, LARGEST_PROMPT):
        raise InputError(f"{source} holds no prompts that can be used: {listed(problems)}; take another file")


class PromptTrainer(
    Recording, Running, WithinMemory, Declaring, References, Encoding, FromStore, Cropping, Stepping, TrainerX
):
    """Trains the prompts that `build_learner` makes, in front of a frozen CLIP."""

    method = ""  # the method's name in the family, without CasPL; says how its released checkpoints are read
    node = ""  # the node of cfg.TRAINER that holds its keys, PREC among them
    checkpoint_name = "prompt_learner"  # folder of the checkpoints, as in the family's code
    record = RunHeader.file_name  # what training leaves in the output folder at its end
    reads_labels = True  # whether training needs them
    loaded_from: Path | None = None  # the run whose checkpoint was loaded last
    limits = {"parameters": LARGEST_PROMPT}  # norms beyond which a step has diverged
    last_result: float | None = None  # of the last evaluation, in percent
    phase1_names = ""  # whose names phase 1 knew: all, base, unknown; empty: there was none

    def __init__(self, cfg: CfgNode) -> None:
        cfg = completed(cfg, self.declared())
        self.refuse_unread(cfg)
        super().__init__(cfg)

    @classmethod
    def declared(cls) -> list[Key]:
        shared = [*FEATURE_STORE, *CROPS, *REFERENCES, *RUNNING]
        return [*super().declared(), *shared, *(SEED_STREAM if cls.__name__ in METHODS else ())]

    @property
    def keys(self) -> CfgNode:
        """The method's configuration keys."""
        return self.cfg.TRAINER[self.node]

    def learned(self) -> Learner:
        return self.model.learner

    def class_specific(self, state: Mapping[str, Tensor]) -> bool:
        return any(value.dim() == 3 for value in state.values())  # [C, N, D]

    def build_learner(self, backbone: Backbone, classnames: Sequence[str]) -> Learner:
        """The learner of the adapting prompts; its parameters that need gradients are trained."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Compute what only training needs, such as the features of a frozen reference. Called before each training."""

    def loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss (scalar) and logits [B, C] of a batch."""
        logits = self.model(images)
        return F.cross_entropy(logits, labels), logits

    def build_data_loader(self) -> None:
        super().build_data_loader()
        self.labelled = DatasetFacts.of(self.dm.dataset).labelled
        if self.reads_labels and not self.labelled:
            raise InputError(
                f"{self.cfg.DATASET.NAME} (DATASET.NAME) has no labels, and {type(self).__name__} needs them; train "
                f"CasPLBoost on it, or name a dataset with labels"
            )
        if not self.labelled and self.test_loader is not None:  # upstream's Dassl has to have some
            self.test_loader = None
            self.cfg.merge_from_list(["TEST.NO_TEST", True])

    @naming({"backbone": "MODEL.BACKBONE.NAME"})
    def build_model(self) -> None:
        cfg, classnames = self.cfg, self.dm.dataset.classnames
        log.info("Loading CLIP (backbone: %s)", cfg.MODEL.BACKBONE.NAME)
        self.backbone = load_backbone(cfg.MODEL.BACKBONE.NAME)
        check_images(cfg, self.backbone)
        self.precision = resolve_precision(self.keys.PREC, self.device)
        prompted = self.prompted(classnames)
        stream = torch.get_rng_state()
        learner = self.build_learner(self.backbone, classnames)
        if cfg.get("SEED_STREAM") == UPSTREAM:
            torch.set_rng_state(stream)
            start_as_upstream(learner, type(self).__name__, self.backbone, self.keys, len(classnames))
        if cfg.MODEL.INIT_WEIGHTS:
            self.start_from(learner, Path(cfg.MODEL.INIT_WEIGHTS))
        self.backbone.place(self.device, self.precision)
        self.model = self.build_prompt_model(prompted, learner).to(self.device)
        self.trained = [p for p in learner.parameters() if p.requires_grad]
        self.course = Course()
        log.info(
            "Training %s prompt parameters, CLIP's %s stay frozen",
            f"{count_num_param(params=self.trained):,}",
            f"{count_num_param(self.backbone.model):,}",
        )
        self.optim = build_optimizer(learner, cfg.OPTIM)
        self.sched = build_lr_scheduler(self.optim, cfg.OPTIM)
        self.register_model(self.checkpoint_name, learner, self.optim, self.sched)
        self.scaler = self.precision.scaler()
        self.use_feature_store()

    def build_prompt_model(self, prompted: PromptedCLIP, learner: Learner) -> PromptModel:
        return PromptModel(prompted, learner)

    def before_train(self) -> None:
        super().before_train()
        check_writable(Path(self.output_dir) / self.record, "the file of what is learned")
        with torch.no_grad():
            self.prepare()

    def after_epoch(self) -> None:
        """As Dassl's; raises DivergedError, before anything is saved, where the last prompts give no finite scores."""
        if self.epoch + 1 == self.max_epoch or finite.largest_norm(self.trained) > SUSPECT:
            with (
                torch.no_grad(),
                at_most("off"),
            ):  # each process tries its own images, and all of them end where one does
                together.gathered(lambda: finite.checked_scores(self.model_inference(self.last_images))[:0])
        super().after_epoch()

    def after_train(self) -> None:
        super().after_train()
        self.save_prompts()
        if complaint := self.course.complaint(self.num_classes, self.last_result):
            log.warning("Training did not help: %s; try %s", complaint, self.calmer())

    def calmer(self) -> str:
        """The settings under which a training that diverges may not."""
        exact = self.precision.weights == torch.float32 and self.precision.autocast_dtype is None
        return "a lower OPTIM.LR" + ("" if exact else f" or TRAINER.{self.node}.PREC fp32")

    def save_model(self, *args, **kwargs) -> None:
        """As Dassl's, upstream's too. Raises DivergedError, and writes nothing, where something is not finite."""
        self.check_models()
        super().save_model(*args, **kwargs)

    def test(self, split: str | None = None) -> float:
        # A run that only tests a checkpoint leaves its prompts, too. Those at the end of a run stay in its own folder.
        if split in (None, "test") and self.loaded_from:
            folder = Path(self.output_dir)
            if self.loaded_from.resolve() != folder.resolve() or not (folder / RunHeader.file_name).exists():
                self.save_prompts()
        self.last_result = super().test(split)
        return self.last_result

    def save_prompts(self) -> None:
        """Write OUTPUT_DIR/prompts.safetensors: all that was learned, for `caspl.load` and the command `caspl`."""
        cfg, inputs = self.cfg, self.cfg.INPUT
        path = Path(self.output_dir) / RunHeader.file_name
        save_run(
            path,
            self.model.learner.deployed(),
            trainer=type(self).__name__,
            backbone=self.backbone.name,
            backbone_fingerprint=self.backbone.fingerprint,
            dataset=cfg.DATASET.NAME,
            classnames=list(self.dm.dataset.classnames),
            names=self.phase1_names,
            shots=int(cfg.DATASET.NUM_SHOTS),
            seed=int(cfg.SEED),
            epochs=int(self.max_epoch),
            size=list(inputs.SIZE),
            interpolation=inputs.INTERPOLATION,
            mean=list(inputs.PIXEL_MEAN),
            std=list(inputs.PIXEL_STD),
        )
        log.info("Prompts saved to %s (%d bytes)", path, path.stat().st_size)

    def model_inference(self, input: Tensor) -> Tensor:
        with self.precision.autocast():
            if self.keeps and input.dim() != 2:
                input = self.model.encode_images(input)
            if input.dim() == 2:
                self.keep(input)
            return self.checked(self.model.classify(input) if input.dim() == 2 else self.model(input))

    def parse_batch_train(self, batch) -> tuple[Tensor, Tensor]:
        return onto(self.device, batch["img"], batch["label"])

    def extra_state(self) -> dict:
        return {"scaler": self.scaler.state_dict(), "course": self.course.state(), "networks": self.networks()}

    def networks(self) -> dict[str, str]:
        """The fingerprint of each CLIP that training depends on, by its name."""
        return {self.backbone.name: self.backbone.fingerprint}

    def load_extra_state(self, state: dict) -> None:
        """As Dassl's. Raises InputError where a CLIP is another one under the same name, a file that was replaced."""
        here, there = self.networks(), state.get("networks", {})
        for name in here.keys() & there.keys():  # the configuration, and so the names, have been compared
            if other := mismatch(name, there[name], name, here[name]):
                raise InputError(
                    f"the run in {self.output_dir} cannot go on with another {name}: {other.said}; {other.remedy}, or choose "
                    f"another --output-dir"
                )
        self.course = Course.of_state(state.get("course", {}))
        if state.get("scaler"):
            self.scaler.load_state_dict(state["scaler"])

    def resume_model_if_exist(self, directory: str) -> int:
        """As Dassl's, from model files; but the learning rate is that of this configuration, not of the files."""
        asked = [group["initial_lr"] for group in self.optim.param_groups]
        epoch = super().resume_model_if_exist(directory)
        reconnect(self)
        if asked != [group["initial_lr"] for group in self.optim.param_groups]:
            log.info("OPTIM.LR is another than in %s; training goes on at the present one", directory)
            self.sched = self._scheds[self.checkpoint_name] = renewed_schedule(self.optim, asked, self.cfg.OPTIM, epoch)
        return epoch

    def load_model(self, directory: str, epoch: int | None = None) -> None:
        """Load the learner from `directory`: `model.pth.tar-<epoch>`, or the best model where `epoch` is None.

        Files that the family's own code wrote are understood too, see docs/checkpoints.md.
        Raises InputError where there is no such file, naming those that are there, where the file is of another network than
        this command asks for (see recorded.py), and where tensors are missing or misshapen.
        """
        if not directory:
            if path := self.cfg.MODEL.INIT_WEIGHTS:  # then what is tested are its prompts
                self.loaded = [path], self.fill(self.model.learner, Path(path), Use.TEST)
            log.info("Note that load_model() is skipped as no pretrained model is given")
            return
        self.loaded_from, paths = Path(directory), []
        for name, model in self._models.items():
            path = model_file(Path(directory) / name, epoch)
            finished = self.fill(model, path, Use.TEST)
            paths.append(path)
            self.loaded = paths, finished
            log.info('Loading weights to %s from "%s" (epoch = %s)', name, path, finished)

    def start_from(self, learner: Learner, path: Path) -> None:
        """Fill a new learner with the prompts of a model file (MODEL.INIT_WEIGHTS). Raises InputError as `load_model`."""
        self.fill(learner, path, Use.START)
        log.info('Training starts from the prompts in "%s"', path)

    def fill(self, learner: Learner, path: Path, use: Use) -> int | None:
        """Compare a model file with this run and fill `learner` with its prompts; gives its epoch."""
        checkpoint = read_checkpoint(path)
        state = released_prompts(checkpoint["state_dict"], method=self.method)
        self.compare(checkpoint, state, path, use, learner)
        self.load_learner(learner, state, path)
        return checkpoint.get("epoch")

    def starting_point(self, directory: str, finished: int) -> str:
        path = Path(directory) / self.checkpoint_name / f"model.pth.tar-{finished}"
        return str(path) if path.exists() else ""

    def load_learner(self, learner: Learner, state: dict[str, Tensor], path: Path) -> None:
        """Fill `learner` with exactly the tensors of `state`."""
        if problems := differences(shapes_of(state), shapes_of(learner.state_dict())):
            raise InputError(
                f"{path} does not fit this {type(self).__name__} run: {listed(problems)}; check the trainer, the number of "
                f"context tokens and the class list"
            )
        check_prompts(state, path)
        learner.load_state_dict(state)
