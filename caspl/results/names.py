"""Names of datasets and methods as the papers print them, and the order in which they print them."""

from __future__ import annotations

from ..ground.texts import letters

# Configuration file or registry name, in lower case without punctuation -> name in the papers, in their order.
DATASETS = {
    "imagenet": "ImageNet",
    "caltech101": "Caltech101",
    "oxfordpets": "OxfordPets",
    "stanfordcars": "StanfordCars",
    "oxfordflowers": "Flowers102",
    "flowers102": "Flowers102",
    "food101": "Food101",
    "fgvcaircraft": "FGVCAircraft",
    "sun397": "SUN397",
    "dtd": "DTD",
    "describabletextures": "DTD",
    "eurosat": "EuroSAT",
    "ucf101": "UCF101",
    "imagenetv2": "ImageNetV2",
    "imagenetsketch": "ImageNetSketch",
    "imageneta": "ImageNetA",
    "imagenetr": "ImageNetR",
}
UNPUBLISHED = {"digits": "digits"}  # known, too: what a folder of this name holds
ANY_DATASET = ("ImageFolder", "Union", "UnlabeledImages")  # say how the user's images are read and not which they are
SOURCE = "ImageNet"
VARIANTS = ("ImageNetV2", "ImageNetSketch", "ImageNetA", "ImageNetR")
BENCHMARK = tuple(name for name in dict.fromkeys(DATASETS.values()) if name not in VARIANTS)  # the 11 datasets

# Trainers that are not called by their method's name. What is behind boosting prompts is named by `method_name`.
TRAINERS = {
    "ZeroshotCLIP": "CLIP",
    "ZeroshotCLIP2": "CLIP ensemble",
    "CasPLBoost": "CLIP + boosting",
    "LinearProbe": "Linear probe CLIP",
}
ORDER = (*TRAINERS, "CoOp", "CoCoOp", "VPT", "IVLP", "MaPLe", "PromptSRC", "KgCoOp", "ProGrad")
UNTRAINED = ("ZeroshotCLIP", "ZeroshotCLIP2")  # in which nothing is drawn: every seed gives the same
BOOSTING = "CasPLBoost"
BEHIND_BOOSTING = "CasPL_"
PHASE_1 = ("CasPLBoost", "CasPL")  # here, and in the published code
# Of the family's repositories, under the names that their scripts give them; with ORDER, what a folder of such a name is for
OTHER_TRAINERS = ("DePT", "MMA", "MultiModalAdapter", "MMRL", "MMRLpp", "ProDA", "PromptKD", "RPO", "TCP")

# CLIP ViT-B/16 as OpenAI's package and open_clip call it: the backbone of all published numbers.
PUBLISHED_BACKBONES = ("ViT-B/16", "ViT-B-16:openai", "ViT-B-16-quickgelu:openai")


def known_dataset(name: str) -> str | None:
    """The name in the tables of what a folder or a registry calls `name`; None where that is no dataset known here."""
    plain = letters(name)
    return DATASETS.get(plain) or UNPUBLISHED.get(plain)


def dataset_name(folder: str) -> str:
    """The papers' name of a dataset, or the folder's own name where the papers have none."""
    return known_dataset(folder) or folder


def dataset_order(name: str) -> tuple[int, str]:
    """Sorting key: the papers' datasets first."""
    known = list(dict.fromkeys(DATASETS.values()))
    return (known.index(name) if name in known else len(known), name)


def known_trainer(name: str) -> bool:
    """Whether a folder of this name is for a trainer known here, behind boosting prompts or not."""
    plain = name.removeprefix(BEHIND_BOOSTING).lower()
    return any(plain == trainer.lower() for trainer in (*ORDER, *OTHER_TRAINERS))


def backbone_name(name: str) -> str:
    """One name for what is the same CLIP under several."""
    return PUBLISHED_BACKBONES[0] if name in PUBLISHED_BACKBONES else name


def method_name(trainer: str) -> str:
    """CasPL_CoOp -> CoOp + CasPL, ZeroshotCLIP -> CLIP, and so on."""
    plain = trainer.removeprefix(BEHIND_BOOSTING)
    name = TRAINERS.get(plain, plain)
    return name if plain == trainer else f"{name} + CasPL"


def method_order(trainer: str) -> tuple[int, str, bool]:
    """Sorting key: what is not trained, then each method followed by the same behind boosting prompts."""
    plain = trainer.removeprefix(BEHIND_BOOSTING)
    return (ORDER.index(plain) if plain in ORDER else len(ORDER), plain, plain != trainer)
