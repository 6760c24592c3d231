"""CasPL: cascade prompt learning for vision-language models (ECCV 2024, arXiv 2409.17805).

Rooms, each of which imports only from those before it: `ground`, `clip`, `prompting`, `checkpoints`, `use` and `results`, then
`trainers`, `datasets` and `configs`, and `host` on top. docs/architecture.md shows them. In a checkout `trainers/`, `datasets/`
and `configs/` are folders at the top, as in every repository of the family; here they are links to those, so that each module
has one name, `caspl.trainers.coop` say.
"""

__version__ = "0.1.0"


def load(source, **options):
    """What a run has learned, ready to classify images: `caspl.load("output/coop").predict("photo.jpg")`.

    See `caspl.use.predictor.load` for the arguments; gives a `caspl.use.predictor.Predictor`.
    """
    from .use.predictor import load

    return load(source, **options)
