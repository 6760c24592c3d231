"""Every key that `dassl/` reads, with Dassl 0.6.3's default. Trainers and datasets declare their own beside their code."""

from __future__ import annotations

import re

from yacs.config import CfgNode as CN

from caspl.ground.keys import Key, Rule, add_keys

# Beyond these, a value is a slip of the finger, and what it leads to is a machine that hangs or is full
MOST_EPOCHS, MOST_IMAGES, MOST_PIXELS, MOST_RATE = 1_000_000, 65_536, 4_096, 1_000

LOGGERS = ("", "trackio", "wandb", "trackio,wandb", "wandb,trackio")  # dassl/engine/trackers.py

RUN = [
    Key("VERSION", 1, "Version of this set of keys", least=1, most=1_000, unread=True),
    Key(
        "OUTPUT_DIR",
        "./output",
        "Folder for everything a run writes: log.txt, models, resume.pth.tar, tensorboard/",
        check=bool,
        rule="not empty",
    ),
    Key("RESUME", "", "Folder of an earlier run to continue from; empty: look in OUTPUT_DIR"),
    Key("SEED", -1, "Seed of all random generators; -1: a different run every time", least=-1, most=2**32 - 1),
    Key("USE_CUDA", True, "False: stay on the CPU even where an accelerator is available"),
    Key(
        "LOGGER",
        "",
        "Experiment trackers beside TensorBoard: trackio, wandb or both (trackio,wandb), offline unless their own environment "
        "variables say otherwise; empty: none",
        check=lambda text: re.sub(r"\s", "", text or "").lower() in LOGGERS,
        rule=f"one of {', '.join(LOGGERS[1:])}, or an empty one",
    ),
    Key("VERBOSE", True, "Whether to log which trainer, dataset and evaluator are loaded, and the dataset's sizes"),
]

TRANSFORMS = (
    "random_flip",
    "random_resized_crop",
    "normalize",
    "instance_norm",
    "random_crop",
    "random_translation",
    "center_crop",  # always part of the test transform; naming it has no effect
    "cutout",
    "gaussian_noise",
    "colorjitter",
    "randomgrayscale",
    "gaussian_blur",
)


def transform_key(name: str, default: object, about: str, transform: str, **more: object) -> Key:
    """A key of one of the transforms, whose name takes the place of {} in `about`."""
    read_with = ("INPUT.TRANSFORMS", (transform,))
    return Key(f"INPUT.{name}", default, about.format(f'"{transform}"'), read_with=read_with, **more)


INPUT = [
    Key(
        "INPUT.SIZE", (224, 224), "Height and width in pixels after the transforms", length=2, least=1, most=MOST_PIXELS
    ),
    Key(
        "INPUT.INTERPOLATION",
        "bilinear",
        "How resized pixels are computed",
        choices=("bilinear", "bicubic", "nearest"),
    ),
    Key("INPUT.TRANSFORMS", (), "The transforms in use; their order has no effect", items=str, choices=TRANSFORMS),
    Key(
        "INPUT.NO_TRANSFORM",
        False,
        "True: hand PIL images over untouched, which no trainer here takes",
        choices=(False,),
    ),
    Key(
        "INPUT.PIXEL_MEAN",
        [0.485, 0.456, 0.406],
        'Mean per RGB channel, of pixels in [0, 1], for "normalize" (default: ImageNet\'s)',
        length=3,
        least=-10,
        most=10,
    ),
    Key(
        "INPUT.PIXEL_STD",
        [0.229, 0.224, 0.225],
        'Standard deviation per RGB channel, for "normalize" (default: ImageNet\'s)',
        length=3,
        least=0.001,
        most=10,
    ),
    transform_key("CROP_PADDING", 4, "Pixels added on each side before {}", "random_crop", least=0, most=512),
    transform_key(
        "RRCROP_SCALE",
        (0.08, 1.0),
        "Smallest and largest share of the image's area kept by {}",
        "random_resized_crop",
        length=2,
        above=0,
        most=1,
        check=lambda scale: scale[0] <= scale[1],
        rule="the smaller first",
    ),
    transform_key("CUTOUT_N", 1, "Number of squares that {} blanks", "cutout", least=0, most=1_000),
    transform_key("CUTOUT_LEN", 16, "Side in pixels of the squares of {}", "cutout", least=1, most=MOST_PIXELS),
    transform_key(
        "GN_MEAN", 0.0, "Mean of {}, in units of the normalised image", "gaussian_noise", least=-100, most=100
    ),
    transform_key("GN_STD", 0.15, "Standard deviation of {}", "gaussian_noise", least=0, most=100),
    Key(
        "INPUT.RANDAUGMENT_N",
        2,
        "Kept for upstream's files: no transform here reads it",
        least=0,
        most=100,
        unread=True,
    ),
    Key(
        "INPUT.RANDAUGMENT_M",
        10,
        "Kept for upstream's files: no transform here reads it",
        least=0,
        most=100,
        unread=True,
    ),
    transform_key(
        "COLORJITTER_B", 0.4, "Largest relative change of brightness by {}", "colorjitter", least=0, most=100
    ),
    transform_key("COLORJITTER_C", 0.4, "Largest relative change of contrast by {}", "colorjitter", least=0, most=100),
    transform_key(
        "COLORJITTER_S", 0.4, "Largest relative change of saturation by {}", "colorjitter", least=0, most=100
    ),
    transform_key(
        "COLORJITTER_H",
        0.1,
        "Largest shift of hue by {}, in turns of the colour circle",
        "colorjitter",
        least=0,
        most=0.5,
    ),
    transform_key("RGS_P", 0.2, "Probability of {}", "randomgrayscale", least=0, most=1),
    transform_key("GB_P", 0.5, "Probability of {}", "gaussian_blur", least=0, most=1),
    transform_key(
        "GB_K",
        21,
        "Kernel size of {} in pixels",
        "gaussian_blur",
        least=1,
        most=1_023,
        check=lambda size: size % 2 == 1,
        rule="odd",
    ),
]

DATASET = [
    Key("DATASET.ROOT", "", "Folder that holds the folders of all datasets"),
    Key("DATASET.NAME", "", "Name of a registered dataset class"),
    Key("DATASET.SOURCE_DOMAINS", (), "Domains to train on; no dataset here has any", items=str, unread=True),
    Key("DATASET.TARGET_DOMAINS", (), "Domains to test on; no dataset here has any", items=str, unread=True),
    Key(
        "DATASET.NUM_LABELED",
        -1,
        "Number of labelled images in all (semi-supervised datasets); negative: all",
        least=-1,
        most=10**9,
        unread=True,
    ),
    Key(
        "DATASET.NUM_SHOTS",
        -1,
        "Training images per class; -1: all",
        least=-1,
        most=1_000_000,
        check=lambda shots: shots != 0,
        rule="not 0",
    ),
    Key(
        "DATASET.VAL_PERCENT",
        0.1,
        "Share of the training images set aside for validation (semi-supervised datasets)",
        least=0,
        most=1,
        unread=True,
    ),
    Key("DATASET.STL10_FOLD", -1, "Fold of STL-10; -1: none", least=-1, most=9, unread=True),
    Key("DATASET.CIFAR_C_TYPE", "", "Corruption in CIFAR-10/100-C", unread=True),
    Key("DATASET.CIFAR_C_LEVEL", 1, "Its level", least=1, most=5, unread=True),
    Key(
        "DATASET.ALL_AS_UNLABELED",
        False,
        "Whether the labelled images also count as unlabelled ones (semi-supervised datasets)",
        unread=True,
    ),
]

SAMPLERS = ("RandomSampler", "SequentialSampler", "RandomClassSampler")


def loader_keys(node: str, which: str, **more: bool) -> list[Key]:
    """The keys of a training loader."""
    by_class = (f"DATALOADER.{node}.SAMPLER", ("RandomClassSampler",))
    return [
        Key(f"DATALOADER.{node}.SAMPLER", "RandomSampler", f"Order of the {which} images", choices=SAMPLERS, **more),
        Key(
            f"DATALOADER.{node}.BATCH_SIZE",
            32,
            f"{which.capitalize()} images per batch",
            least=1,
            most=MOST_IMAGES,
            **more,
        ),
        Key(
            f"DATALOADER.{node}.N_DOMAIN",
            0,
            "Kept for upstream's files: no sampler here reads it",
            least=0,
            most=MOST_IMAGES,
            unread=True,
        ),
        Key(
            f"DATALOADER.{node}.N_INS",
            16,
            "Images per class in a batch, for RandomClassSampler",
            least=1,
            most=MOST_IMAGES,
            read_with=by_class,
            **more,
        ),
    ]


DATALOADER = [
    Key("DATALOADER.NUM_WORKERS", 4, "Processes that read images; 0: read in the main process", least=0, most=256),
    Key(
        "DATALOADER.CACHE",
        1.0,
        "GB of memory for decoded training images, so that a file is not decoded again in each epoch; 0: none (not in Dassl)",
        least=0,
        most=100_000,
    ),
    Key(
        "DATALOADER.K_TRANSFORMS",
        1,
        "How many augmented versions of each training image a batch holds; trainers here take one",
        least=1,
        most=1,
    ),
    Key(
        "DATALOADER.RETURN_IMG0",
        False,
        'Whether batches also hold "img0", the image resized but not augmented; no trainer here reads it',
        unread=True,
    ),
    *loader_keys("TRAIN_X", "training"),
    # No dataset here has a second set of training images, so that there is no such loader
    Key("DATALOADER.TRAIN_U.SAME_AS_X", True, "True: the unlabelled loader takes TRAIN_X's values", unread=True),
    *loader_keys("TRAIN_U", "unlabelled", unread=True),
    # RandomClassSampler leaves images out and takes others twice
    Key("DATALOADER.TEST.SAMPLER", "SequentialSampler", "Order of validation and test images", choices=SAMPLERS[:2]),
    Key("DATALOADER.TEST.BATCH_SIZE", 32, "Validation and test images per batch", least=1, most=MOST_IMAGES),
]

MODEL = [
    Key("MODEL.INIT_WEIGHTS", "", "File of weights to start from; empty: none"),
    Key("MODEL.BACKBONE.NAME", "", "Name of the backbone; its meaning is the trainer's"),
    Key("MODEL.BACKBONE.PRETRAINED", True, "Whether the backbone starts from pretrained weights", unread=True),
    Key("MODEL.HEAD.NAME", "", "Name of the layers between backbone and classifier", unread=True),
    Key("MODEL.HEAD.HIDDEN_LAYERS", (), "Widths of its hidden layers, for example (512, 512)", items=int, unread=True),
    Key("MODEL.HEAD.ACTIVATION", "relu", "Name of its activation", unread=True),
    Key("MODEL.HEAD.BN", True, "Whether it normalises over the batch", unread=True),
    Key("MODEL.HEAD.DROPOUT", 0.0, "Probability of dropping a hidden unit", least=0, most=1, unread=True),
]


def optimiser_key(name: str, default: object, about: str, *optimisers: str, **more: object) -> Key:
    """A key of some of the optimisers."""
    return Key(f"OPTIM.{name}", default, about, read_with=("OPTIM.NAME", optimisers), **more)


ADAMS = ("adam", "amsgrad", "radam", "adamw")
STAGED = ("OPTIM.STAGED_LR", (True,))
IN_STEPS = ("OPTIM.LR_SCHEDULER", ("single_step", "multi_step"))
OPTIM = [
    Key("OPTIM.NAME", "adam", "Optimiser", choices=("adam", "amsgrad", "sgd", "rmsprop", "radam", "adamw")),
    Key("OPTIM.LR", 0.0003, "Learning rate before the schedule", above=0, most=MOST_RATE),
    Key(
        "OPTIM.WEIGHT_DECAY",
        5e-4,
        "Weight decay: added to the gradient (decoupled for adamw)",
        least=0,
        most=MOST_RATE,
    ),
    optimiser_key("MOMENTUM", 0.9, "Momentum of sgd and rmsprop", "sgd", "rmsprop", least=0, below=1),
    optimiser_key("SGD_DAMPNING", 0.0, "Dampening of sgd's momentum", "sgd", least=0, most=1),
    optimiser_key("SGD_NESTEROV", False, "Whether sgd's momentum is Nesterov's", "sgd"),
    optimiser_key("RMSPROP_ALPHA", 0.99, "Smoothing constant of rmsprop", "rmsprop", least=0, below=1),
    optimiser_key("ADAM_BETA1", 0.9, "First beta of adam, amsgrad, radam and adamw", *ADAMS, least=0, below=1),
    optimiser_key("ADAM_BETA2", 0.999, "Second beta of adam, amsgrad, radam and adamw", *ADAMS, least=0, below=1),
    Key(
        "OPTIM.STAGED_LR",
        False,
        "True: the child modules named in NEW_LAYERS learn at LR, all others at LR times BASE_LR_MULT",
    ),
    Key("OPTIM.NEW_LAYERS", (), "Names of child modules, for STAGED_LR", items=str, read_with=STAGED),
    Key(
        "OPTIM.BASE_LR_MULT",
        0.1,
        "Factor of the other layers' rate, for STAGED_LR",
        least=0,
        most=MOST_RATE,
        read_with=STAGED,
    ),
    Key(
        "OPTIM.LR_SCHEDULER",
        "single_step",
        "Schedule of the learning rate; it steps once an epoch",
        choices=("single_step", "multi_step", "cosine"),
    ),
    Key(
        "OPTIM.STEPSIZE",
        (-1,),
        "Epochs at which the rate is multiplied by GAMMA: the period for single_step (last entry; below 1: MAX_EPOCH), "
        "the milestones for multi_step",
        least=-1,
        most=MOST_EPOCHS,
        check=lambda epochs: 0 < len(epochs) <= 1_000,
        rule="one or more",
        read_with=IN_STEPS,
    ),
    Key("OPTIM.GAMMA", 0.1, "Factor of the rate at STEPSIZE", above=0, most=MOST_RATE, read_with=IN_STEPS),
    Key(
        "OPTIM.ACCUMULATE",
        1,
        "Parts in which a batch goes through the model, one after another, its gradients summed: the same step up to rounding, "
        "with the activations of one part in memory (not in Dassl)",
        least=1,
        most=MOST_IMAGES,
    ),
    Key("OPTIM.MAX_EPOCH", 10, "Number of epochs", least=1, most=MOST_EPOCHS),
    Key(
        "OPTIM.WARMUP_EPOCH",
        -1,
        "Epochs of warm-up before the schedule; below 1: none",
        least=-1,
        most=MOST_EPOCHS,
    ),
    Key("OPTIM.WARMUP_TYPE", "linear", "How the rate begins", choices=("linear", "constant")),
    Key(
        "OPTIM.WARMUP_CONS_LR",
        1e-5,
        "Rate during constant warm-up",
        least=0,
        most=MOST_RATE,
        read_with=("OPTIM.WARMUP_TYPE", ("constant",)),
    ),
    Key(
        "OPTIM.WARMUP_MIN_LR",
        1e-5,
        "Rate in the first epoch of linear warm-up",
        least=0,
        most=MOST_RATE,
        read_with=("OPTIM.WARMUP_TYPE", ("linear",)),
    ),
    Key(
        "OPTIM.WARMUP_RECOUNT",
        True,
        "True: the schedule counts its epochs from the end of the warm-up, False: from the start of training",
    ),
]

TRAIN = [
    Key(
        "TRAIN.CHECKPOINT_FREQ",
        0,
        "Epochs between writes of model.pth.tar-EPOCH; below 1: only after the last epoch",
        least=-1,
        most=MOST_EPOCHS,
    ),
    Key("TRAIN.PRINT_FREQ", 10, "Batches between lines of training information; 0: none", least=0, most=10**9),
    Key(
        "TRAIN.COUNT_ITER",
        "train_x",
        "Which loader's length is an epoch when there are two",
        choices=("train_x", "train_u", "smaller_one"),
        unread=True,
    ),
    Key(
        "TRAIN.RESUME_FREQ",
        1,
        "Epochs between writes of resume.pth.tar, from which an interrupted run continues exactly; 0: never (not in Dassl)",
        least=0,
        most=MOST_EPOCHS,
    ),
]

TEST = [
    Key("TEST.EVALUATOR", "Classification", "Name of a registered evaluator", check=bool, rule="not empty"),
    Key("TEST.PER_CLASS_RESULT", False, "Whether to log the accuracy of each class"),
    Key("TEST.COMPUTE_CMAT", False, "Whether to write the confusion matrix to OUTPUT_DIR/cmat.pt"),
    Key(
        "TEST.PREDICTIONS",
        True,
        "Whether to write the five likeliest classes of each image of the final test to OUTPUT_DIR/predictions.csv.gz (not in "
        "Dassl)",
    ),
    Key(
        "TEST.FEATURES",
        False,
        "Whether to write the features of each image of the final test to OUTPUT_DIR/features.safetensors: float16, of length "
        "1 (not in Dassl)",
        read_with=("TEST.NO_TEST", (False,)),
    ),
    Key(
        "TEST.IMAGE_STORE",
        "",
        "Folder where test images are kept decoded, resized and cropped, and found again; empty: nowhere (not in Dassl)",
    ),
    Key(
        "TEST.IMAGE_STORE_GB",
        25.0,
        "Size of that folder in GB from which on nothing is added (not in Dassl)",
        least=0,
        most=1_000_000,
    ),
    Key("TEST.NO_TEST", False, "True: train only"),
    Key("TEST.SPLIT", "test", "Images of the final evaluation", choices=("test", "val")),
    Key(
        "TEST.FINAL_MODEL",
        "last_step",
        "Model of the final evaluation; best_val is evaluated on val, or on test where there is none, every epoch",
        choices=("last_step", "best_val"),
        read_with=("TEST.NO_TEST", (False,)),
    ),
]

TRAINER = [Key("TRAINER.NAME", "", "Name of a registered trainer")]

KEYS = [*RUN, *INPUT, *DATASET, *DATALOADER, *MODEL, *OPTIM, *TRAIN, *TEST, *TRAINER]

RULES = [
    Rule(
        ("OPTIM.WARMUP_EPOCH", "OPTIM.MAX_EPOCH"),
        lambda warmup, epochs: warmup <= epochs,
        "no more epochs of warm-up than epochs",
    ),
    Rule(
        ("OPTIM.ACCUMULATE", "DATALOADER.TRAIN_X.BATCH_SIZE"),
        lambda parts, images: parts <= images,
        "no more parts than images in a batch",
    ),
    Rule(
        ("OPTIM.NAME", "OPTIM.SGD_NESTEROV", "OPTIM.MOMENTUM", "OPTIM.SGD_DAMPNING"),
        lambda name, nesterov, momentum, dampening: name != "sgd" or not nesterov or momentum > 0 and not dampening,
        "a momentum above 0 and no dampening where it is Nesterov's",
    ),
    Rule(
        ("OPTIM.STAGED_LR", "OPTIM.NEW_LAYERS"),
        lambda staged, layers: not staged or len(layers) > 0,
        "the names of the layers that learn at the whole rate",
    ),
    Rule(
        ("OPTIM.LR_SCHEDULER", "OPTIM.STEPSIZE"),
        lambda schedule, epochs: schedule != "multi_step" or list(epochs) == sorted({*epochs}) and epochs[0] > 0,
        "rising epochs from 1 as milestones",
    ),
    Rule(
        ("INPUT.TRANSFORMS", "INPUT.GB_K", "INPUT.SIZE"),
        lambda transforms, kernel, size: "gaussian_blur" not in transforms or kernel // 2 < min(size),
        "a kernel of less than twice the image's shorter side",
    ),
    Rule(
        ("DATALOADER.TRAIN_X.SAMPLER", "DATALOADER.TRAIN_X.BATCH_SIZE", "DATALOADER.TRAIN_X.N_INS"),
        lambda sampler, batch, each: sampler != "RandomClassSampler" or batch >= each and batch % each == 0,
        "batches that hold N_INS images of each of their classes",
    ),
]

_C = CN()
add_keys(_C, KEYS)


def choices_of(name: str) -> list:
    """All values that the key `name` can have, for the code that acts on them."""
    (key,) = (key for key in KEYS if key.name == name)
    return list(key.choices)
