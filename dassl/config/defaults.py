"""Every key that `dassl/` reads, with Dassl 0.6.3's default. Trainers and datasets declare their own beside their code."""

from __future__ import annotations

from yacs.config import CfgNode as CN

from caspl.ground.keys import Key, add_keys

RUN = [
    Key("VERSION", 1, "Version of this set of keys"),
    Key("OUTPUT_DIR", "./output", "Folder for everything a run writes: log.txt, models, resume.pth.tar, tensorboard/"),
    Key("RESUME", "", "Folder of an earlier run to continue from; empty: look in OUTPUT_DIR"),
    Key("SEED", -1, "Seed of all random generators; negative: a different run every time", most=2**32 - 1),
    Key("USE_CUDA", True, "False: stay on the CPU even where an accelerator is available"),
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
INPUT = [
    Key("INPUT.SIZE", (224, 224), "Height and width in pixels after the transforms", length=2, least=1),
    Key(
        "INPUT.INTERPOLATION",
        "bilinear",
        "How resized pixels are computed",
        choices=("bilinear", "bicubic", "nearest"),
    ),
    Key("INPUT.TRANSFORMS", (), "The transforms in use; their order has no effect", items=str, choices=TRANSFORMS),
    Key("INPUT.NO_TRANSFORM", False, "True: hand PIL images over untouched"),
    Key(
        "INPUT.PIXEL_MEAN",
        [0.485, 0.456, 0.406],
        'Mean per RGB channel, of pixels in [0, 1], for "normalize" (default: ImageNet\'s)',
        length=3,
    ),
    Key(
        "INPUT.PIXEL_STD",
        [0.229, 0.224, 0.225],
        'Standard deviation per RGB channel, for "normalize" (default: ImageNet\'s)',
        length=3,
        above=0,
    ),
    Key("INPUT.CROP_PADDING", 4, 'Pixels added on each side before "random_crop"', least=0),
    Key(
        "INPUT.RRCROP_SCALE",
        (0.08, 1.0),
        'Smallest and largest share of the image\'s area kept by "random_resized_crop"',
        length=2,
        above=0,
        most=1,
        check=lambda scale: scale[0] <= scale[1],
        rule="the smaller first",
    ),
    Key("INPUT.CUTOUT_N", 1, 'Number of squares that "cutout" blanks', least=0),
    Key("INPUT.CUTOUT_LEN", 16, "Their side in pixels", least=1),
    Key("INPUT.GN_MEAN", 0.0, 'Mean of "gaussian_noise", in units of the normalised image'),
    Key("INPUT.GN_STD", 0.15, "Its standard deviation", least=0),
    Key("INPUT.RANDAUGMENT_N", 2, "Kept for upstream's files: no transform here reads it", least=0),
    Key("INPUT.RANDAUGMENT_M", 10, "Kept for upstream's files: no transform here reads it", least=0),
    Key("INPUT.COLORJITTER_B", 0.4, 'Largest relative change of brightness by "colorjitter"', least=0),
    Key("INPUT.COLORJITTER_C", 0.4, "The same of contrast", least=0),
    Key("INPUT.COLORJITTER_S", 0.4, "The same of saturation", least=0),
    Key("INPUT.COLORJITTER_H", 0.1, "Largest shift of hue, in turns of the colour circle", least=0, most=0.5),
    Key("INPUT.RGS_P", 0.2, 'Probability of "randomgrayscale"', least=0, most=1),
    Key("INPUT.GB_P", 0.5, 'Probability of "gaussian_blur"', least=0, most=1),
    Key("INPUT.GB_K", 21, "Its kernel size in pixels", least=1, check=lambda size: size % 2 == 1, rule="odd"),
]

DATASET = [
    Key("DATASET.ROOT", "", "Folder that holds the folders of all datasets"),
    Key("DATASET.NAME", "", "Name of a registered dataset class"),
    Key("DATASET.SOURCE_DOMAINS", (), "Domains to train on; unused by datasets with a fixed split", items=str),
    Key("DATASET.TARGET_DOMAINS", (), "Domains to test on; unused by datasets with a fixed split", items=str),
    Key("DATASET.NUM_LABELED", -1, "Number of labelled images in all (semi-supervised datasets); negative: all"),
    Key("DATASET.NUM_SHOTS", -1, "Training images per class; below 1: all"),
    Key(
        "DATASET.VAL_PERCENT",
        0.1,
        "Share of the training images set aside for validation (semi-supervised datasets)",
        least=0,
        most=1,
    ),
    Key("DATASET.STL10_FOLD", -1, "Fold of STL-10; negative: none", most=9),
    Key("DATASET.CIFAR_C_TYPE", "", "Corruption in CIFAR-10/100-C"),
    Key("DATASET.CIFAR_C_LEVEL", 1, "Its level", least=1, most=5),
    Key(
        "DATASET.ALL_AS_UNLABELED",
        False,
        "Whether the labelled images also count as unlabelled ones (semi-supervised datasets)",
    ),
]

SAMPLERS = ("RandomSampler", "SequentialSampler", "RandomClassSampler")


def loader_keys(node: str, which: str) -> list[Key]:
    """The keys of a training loader."""
    return [
        Key(f"DATALOADER.{node}.SAMPLER", "RandomSampler", f"Order of the {which} images", choices=SAMPLERS),
        Key(f"DATALOADER.{node}.BATCH_SIZE", 32, f"{which.capitalize()} images per batch", least=1),
        Key(f"DATALOADER.{node}.N_DOMAIN", 0, "Kept for upstream's files: no sampler here reads it", least=0),
        Key(f"DATALOADER.{node}.N_INS", 16, "Images per class in a batch, for RandomClassSampler", least=1),
    ]


DATALOADER = [
    Key("DATALOADER.NUM_WORKERS", 4, "Processes that read images; 0: read in the main process", least=0),
    Key("DATALOADER.K_TRANSFORMS", 1, "How many augmented versions of each training image a batch holds", least=1),
    Key("DATALOADER.RETURN_IMG0", False, 'Whether batches also hold "img0", the image resized but not augmented'),
    *loader_keys("TRAIN_X", "training"),
    Key("DATALOADER.TRAIN_U.SAME_AS_X", True, "True: the unlabelled loader takes TRAIN_X's values"),
    *loader_keys("TRAIN_U", "unlabelled"),
    Key("DATALOADER.TEST.SAMPLER", "SequentialSampler", "Order of validation and test images", choices=SAMPLERS),
    Key("DATALOADER.TEST.BATCH_SIZE", 32, "Validation and test images per batch", least=1),
]

MODEL = [
    Key("MODEL.INIT_WEIGHTS", "", "File of weights to start from; empty: none"),
    Key("MODEL.BACKBONE.NAME", "", "Name of the backbone; its meaning is the trainer's"),
    Key("MODEL.BACKBONE.PRETRAINED", True, "Whether the backbone starts from pretrained weights"),
    Key("MODEL.HEAD.NAME", "", "Name of the layers between backbone and classifier; empty: none"),
    Key("MODEL.HEAD.HIDDEN_LAYERS", (), "Widths of its hidden layers, for example (512, 512)", items=int, least=1),
    Key("MODEL.HEAD.ACTIVATION", "relu", "Name of its activation"),
    Key("MODEL.HEAD.BN", True, "Whether it normalises over the batch"),
    Key("MODEL.HEAD.DROPOUT", 0.0, "Probability of dropping a hidden unit", least=0, most=1),
]

OPTIM = [
    Key("OPTIM.NAME", "adam", "Optimiser", choices=("adam", "amsgrad", "sgd", "rmsprop", "radam", "adamw")),
    Key("OPTIM.LR", 0.0003, "Learning rate before the schedule", above=0),
    Key("OPTIM.WEIGHT_DECAY", 5e-4, "Weight decay: added to the gradient (decoupled for adamw)", least=0),
    Key("OPTIM.MOMENTUM", 0.9, "Momentum of sgd and rmsprop", least=0, below=1),
    Key("OPTIM.SGD_DAMPNING", 0.0, "Dampening of sgd's momentum", least=0, most=1),
    Key("OPTIM.SGD_NESTEROV", False, "Whether sgd's momentum is Nesterov's"),
    Key("OPTIM.RMSPROP_ALPHA", 0.99, "Smoothing constant of rmsprop", least=0, below=1),
    Key("OPTIM.ADAM_BETA1", 0.9, "First beta of adam, amsgrad, radam and adamw", least=0, below=1),
    Key("OPTIM.ADAM_BETA2", 0.999, "Second beta of adam, amsgrad, radam and adamw", least=0, below=1),
    Key(
        "OPTIM.STAGED_LR",
        False,
        "True: the child modules named in NEW_LAYERS learn at LR, all others at LR times BASE_LR_MULT",
    ),
    Key("OPTIM.NEW_LAYERS", (), "Names of child modules, for STAGED_LR", items=str),
    Key("OPTIM.BASE_LR_MULT", 0.1, "Factor of the other layers' rate, for STAGED_LR", least=0),
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
        check=lambda epochs: len(epochs) > 0,
        rule="one or more",
    ),
    Key("OPTIM.GAMMA", 0.1, "Factor of the rate at STEPSIZE", above=0),
    Key("OPTIM.MAX_EPOCH", 10, "Number of epochs", least=1),
    Key("OPTIM.WARMUP_EPOCH", -1, "Epochs of warm-up before the schedule; below 1: none"),
    Key("OPTIM.WARMUP_TYPE", "linear", "How the rate begins", choices=("linear", "constant")),
    Key("OPTIM.WARMUP_CONS_LR", 1e-5, "Rate during constant warm-up", least=0),
    Key("OPTIM.WARMUP_MIN_LR", 1e-5, "Rate in the first epoch of linear warm-up", least=0),
    Key(
        "OPTIM.WARMUP_RECOUNT",
        True,
        "True: the schedule counts its epochs from the end of the warm-up, False: from the start of training",
    ),
]

TRAIN = [
    Key("TRAIN.CHECKPOINT_FREQ", 0, "Epochs between writes of model.pth.tar-EPOCH; below 1: only after the last epoch"),
    Key("TRAIN.PRINT_FREQ", 10, "Batches between lines of training information; 0: none", least=0),
    Key(
        "TRAIN.COUNT_ITER",
        "train_x",
        "Which loader's length is an epoch when there are two",
        choices=("train_x", "train_u", "smaller_one"),
    ),
    Key(
        "TRAIN.RESUME_FREQ",
        1,
        "Epochs between writes of resume.pth.tar, from which an interrupted run continues exactly; 0: never (not in Dassl)",
        least=0,
    ),
]

TEST = [
    Key("TEST.EVALUATOR", "Classification", "Name of a registered evaluator"),
    Key("TEST.PER_CLASS_RESULT", False, "Whether to log the accuracy of each class"),
    Key("TEST.COMPUTE_CMAT", False, "Whether to write the confusion matrix to OUTPUT_DIR/cmat.pt"),
    Key("TEST.NO_TEST", False, "True: train only"),
    Key("TEST.SPLIT", "test", "Images of the final evaluation", choices=("test", "val")),
    Key(
        "TEST.FINAL_MODEL",
        "last_step",
        "Model of the final evaluation; best_val is evaluated on val, or on test where there is none, every epoch",
        choices=("last_step", "best_val"),
    ),
]

TRAINER = [Key("TRAINER.NAME", "", "Name of a registered trainer")]

KEYS = [*RUN, *INPUT, *DATASET, *DATALOADER, *MODEL, *OPTIM, *TRAIN, *TEST, *TRAINER]

_C = CN()
add_keys(_C, KEYS)


def choices_of(name: str) -> list:
    """All values that the key `name` can have, for the code that acts on them."""
    (key,) = (key for key in KEYS if key.name == name)
    return list(key.choices)
