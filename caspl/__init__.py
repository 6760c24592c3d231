"""CasPL: cascade prompt learning for vision-language models (ECCV 2024, arXiv 2409.17805).

`caspl` holds the method: backbones, prompt groups and their cascade, the two prompted towers, boosting checkpoints and
distillation. It knows no trainer, no dataset and no Dassl. `caspl.trainers`, `caspl.datasets` and `caspl.configs` are the
plug-in around it; in a checkout they are the folders `trainers/`, `datasets/` and `configs/` beside this one.
"""

from pathlib import Path

__version__ = "0.1.0"

# Run from a checkout without an editable install, the three plug-in folders are siblings of this package.
_root = Path(__file__).resolve().parents[1]
if (_root / "trainers" / "__init__.py").exists() and not (Path(__file__).resolve().parent / "trainers").exists():
    __path__.append(str(_root))


def load(source, **options):
    """What a run has learned, ready to classify images: `caspl.load("output/coop").predict("photo.jpg")`.

    See `caspl.predictor.load` for the arguments; gives a `caspl.predictor.Predictor`.
    """
    from .predictor import load

    return load(source, **options)
