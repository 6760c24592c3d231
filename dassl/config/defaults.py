"""Every key that `dassl/` reads, with Dassl 0.6.3's default. Trainers add their own nodes under `TRAINER`."""

from yacs.config import CfgNode as CN

_C = CN()

# Version of this set of keys
_C.VERSION = 1
# Folder for everything a run writes: log.txt, models, resume.pth.tar, tensorboard/
_C.OUTPUT_DIR = "./output"
# Folder of an earlier run to continue from; "" = look in OUTPUT_DIR
_C.RESUME = ""
# Seed of all random generators; negative = a different run every time
_C.SEED = -1
# False = stay on the CPU even where an accelerator is available
_C.USE_CUDA = True
# Whether to log which trainer, dataset and evaluator are loaded, and the dataset's sizes
_C.VERBOSE = True

# ---------------------------------------------------------------- images
_C.INPUT = CN()
# Height and width in pixels after the transforms
_C.INPUT.SIZE = (224, 224)
# How resized pixels are computed: bilinear, bicubic or nearest
_C.INPUT.INTERPOLATION = "bilinear"
# Names of the transforms in use, see AVAI_CHOICES in dassl/data/transforms/transforms.py; their order has no effect
_C.INPUT.TRANSFORMS = ()
# True = hand PIL images over untouched
_C.INPUT.NO_TRANSFORM = False
# Mean and standard deviation per RGB channel, of pixels in [0, 1], for "normalize" (ImageNet's values)
_C.INPUT.PIXEL_MEAN = [0.485, 0.456, 0.406]
_C.INPUT.PIXEL_STD = [0.229, 0.224, 0.225]
# Pixels added on each side before "random_crop"
_C.INPUT.CROP_PADDING = 4
# Smallest and largest share of the image's area kept by "random_resized_crop"
_C.INPUT.RRCROP_SCALE = (0.08, 1.0)
# Number of squares that "cutout" blanks, and their side in pixels
_C.INPUT.CUTOUT_N = 1
_C.INPUT.CUTOUT_LEN = 16
# Mean and standard deviation of "gaussian_noise", in units of the normalised image
_C.INPUT.GN_MEAN = 0.0
_C.INPUT.GN_STD = 0.15
# Number and strength of RandAugment's operations; kept for upstream's files, no transform here reads them
_C.INPUT.RANDAUGMENT_N = 2
_C.INPUT.RANDAUGMENT_M = 10
# Largest relative change by "colorjitter": brightness, contrast, saturation, hue (hue at most 0.5)
_C.INPUT.COLORJITTER_B = 0.4
_C.INPUT.COLORJITTER_C = 0.4
_C.INPUT.COLORJITTER_S = 0.4
_C.INPUT.COLORJITTER_H = 0.1
# Probability of "randomgrayscale"
_C.INPUT.RGS_P = 0.2
# Probability of "gaussian_blur", and its kernel size in pixels (odd)
_C.INPUT.GB_P = 0.5
_C.INPUT.GB_K = 21

# ---------------------------------------------------------------- dataset
_C.DATASET = CN()
# Folder that holds the folders of all datasets
_C.DATASET.ROOT = ""
# Name of a registered dataset class
_C.DATASET.NAME = ""
# Names of the domains to train on and to test on; unused by datasets with a fixed split
_C.DATASET.SOURCE_DOMAINS = ()
_C.DATASET.TARGET_DOMAINS = ()
# Number of labelled images in all (semi-supervised datasets); negative = all
_C.DATASET.NUM_LABELED = -1
# Training images per class; below 1 = all
_C.DATASET.NUM_SHOTS = -1
# Share of the training images set aside for validation (semi-supervised datasets), 0 to 1
_C.DATASET.VAL_PERCENT = 0.1
# Fold of STL-10, 0 to 9; negative = none
_C.DATASET.STL10_FOLD = -1
# Corruption and its level, 1 to 5, in CIFAR-10/100-C
_C.DATASET.CIFAR_C_TYPE = ""
_C.DATASET.CIFAR_C_LEVEL = 1
# Whether the labelled images also count as unlabelled ones (semi-supervised datasets)
_C.DATASET.ALL_AS_UNLABELED = False

# ---------------------------------------------------------------- data loaders
_C.DATALOADER = CN()
# Processes that read images beside the main one; 0 = read in the main process
_C.DATALOADER.NUM_WORKERS = 4
# How many augmented versions of each training image a batch holds
_C.DATALOADER.K_TRANSFORMS = 1
# Whether batches also hold "img0", the image resized but not augmented
_C.DATALOADER.RETURN_IMG0 = False
_C.DATALOADER.TRAIN_X = CN()
# RandomSampler, SequentialSampler or RandomClassSampler
_C.DATALOADER.TRAIN_X.SAMPLER = "RandomSampler"
# Images per batch
_C.DATALOADER.TRAIN_X.BATCH_SIZE = 32
# Domains per batch; kept for upstream's files, no sampler here reads it
_C.DATALOADER.TRAIN_X.N_DOMAIN = 0
# Images per class in a batch, for RandomClassSampler
_C.DATALOADER.TRAIN_X.N_INS = 16
# The unlabelled loader; it takes TRAIN_X's values while SAME_AS_X is True
_C.DATALOADER.TRAIN_U = CN()
_C.DATALOADER.TRAIN_U.SAME_AS_X = True
_C.DATALOADER.TRAIN_U.SAMPLER = "RandomSampler"
_C.DATALOADER.TRAIN_U.BATCH_SIZE = 32
_C.DATALOADER.TRAIN_U.N_DOMAIN = 0
_C.DATALOADER.TRAIN_U.N_INS = 16
# The loaders of the validation and the test images
_C.DATALOADER.TEST = CN()
_C.DATALOADER.TEST.SAMPLER = "SequentialSampler"
_C.DATALOADER.TEST.BATCH_SIZE = 32

# ---------------------------------------------------------------- model
_C.MODEL = CN()
# File of weights to start from; "" = none
_C.MODEL.INIT_WEIGHTS = ""
_C.MODEL.BACKBONE = CN()
# Name of the backbone; its meaning is the trainer's
_C.MODEL.BACKBONE.NAME = ""
# Whether the backbone starts from pretrained weights
_C.MODEL.BACKBONE.PRETRAINED = True
# Layers between backbone and classifier; the meaning is the trainer's
_C.MODEL.HEAD = CN()
# Name of the head; "" = none
_C.MODEL.HEAD.NAME = ""
# Widths of its hidden layers, for example (512, 512)
_C.MODEL.HEAD.HIDDEN_LAYERS = ()
# Name of its activation
_C.MODEL.HEAD.ACTIVATION = "relu"
# Whether it normalises over the batch
_C.MODEL.HEAD.BN = True
# Probability of dropping a hidden unit
_C.MODEL.HEAD.DROPOUT = 0.0

# ---------------------------------------------------------------- optimiser and schedule
_C.OPTIM = CN()
# adam, amsgrad, sgd, rmsprop, radam or adamw
_C.OPTIM.NAME = "adam"
# Learning rate before the schedule
_C.OPTIM.LR = 0.0003
# Weight decay: added to the gradient (decoupled for adamw)
_C.OPTIM.WEIGHT_DECAY = 5e-4
# Momentum of sgd and rmsprop
_C.OPTIM.MOMENTUM = 0.9
# Dampening of sgd's momentum, and whether it is Nesterov's
_C.OPTIM.SGD_DAMPNING = 0.0
_C.OPTIM.SGD_NESTEROV = False
# Smoothing constant of rmsprop
_C.OPTIM.RMSPROP_ALPHA = 0.99
# Both betas of adam, amsgrad, radam and adamw
_C.OPTIM.ADAM_BETA1 = 0.9
_C.OPTIM.ADAM_BETA2 = 0.999
# True = the child modules named in NEW_LAYERS learn at LR, all others at LR times BASE_LR_MULT
_C.OPTIM.STAGED_LR = False
_C.OPTIM.NEW_LAYERS = ()
_C.OPTIM.BASE_LR_MULT = 0.1
# single_step, multi_step or cosine; it steps once an epoch
_C.OPTIM.LR_SCHEDULER = "single_step"
# Epochs at which the rate is multiplied by GAMMA: the period for single_step (last entry; below 1 = MAX_EPOCH),
# the milestones for multi_step
_C.OPTIM.STEPSIZE = (-1,)
_C.OPTIM.GAMMA = 0.1
# Number of epochs
_C.OPTIM.MAX_EPOCH = 10
# Epochs of warm-up before the schedule; below 1 = none
_C.OPTIM.WARMUP_EPOCH = -1
# linear or constant
_C.OPTIM.WARMUP_TYPE = "linear"
# Rate during constant warm-up
_C.OPTIM.WARMUP_CONS_LR = 1e-5
# Rate in the first epoch of linear warm-up
_C.OPTIM.WARMUP_MIN_LR = 1e-5
# True = the schedule counts its epochs from the end of the warm-up, False = from the start of training
_C.OPTIM.WARMUP_RECOUNT = True

# ---------------------------------------------------------------- training
_C.TRAIN = CN()
# Epochs between writes of model.pth.tar-<epoch>; below 1 = only after the last epoch
_C.TRAIN.CHECKPOINT_FREQ = 0
# Batches between lines of training information
_C.TRAIN.PRINT_FREQ = 10
# Which loader's length is an epoch when there are two: train_x, train_u or smaller_one
_C.TRAIN.COUNT_ITER = "train_x"
# Epochs between writes of resume.pth.tar, from which an interrupted run continues exactly; 0 = never (not in Dassl)
_C.TRAIN.RESUME_FREQ = 1

# ---------------------------------------------------------------- evaluation
_C.TEST = CN()
# Name of a registered evaluator
_C.TEST.EVALUATOR = "Classification"
# Whether to log the accuracy of each class
_C.TEST.PER_CLASS_RESULT = False
# Whether to write the confusion matrix to OUTPUT_DIR/cmat.pt
_C.TEST.COMPUTE_CMAT = False
# True = train only
_C.TEST.NO_TEST = False
# Images of the final evaluation: test or val
_C.TEST.SPLIT = "test"
# Model of the final evaluation: last_step, or best_val (evaluated on val, or on test where there is none, every epoch)
_C.TEST.FINAL_MODEL = "last_step"

# ---------------------------------------------------------------- trainer
_C.TRAINER = CN()
# Name of a registered trainer
_C.TRAINER.NAME = ""
