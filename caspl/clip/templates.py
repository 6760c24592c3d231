"""The hand-written template of each dataset, for zero-shot CLIP and for the teacher of phase 1 (CoOp's list).

And the ensembles: CoOp's seven (`ENSEMBLE`), and the first sixty of OpenAI's for ImageNet, PromptSRC's textual diversity.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType

from open_clip import OPENAI_IMAGENET_TEMPLATES

from ..ground.errors import QuantityError
from ..ground.texts import has_one_place

log = logging.getLogger(__name__)

GENERIC = "a photo of a {}."
TEMPLATES = {
    "Caltech101": GENERIC,
    "DescribableTextures": "{} texture.",
    "Digits": "a photo of the digit {}.",
    "EuroSAT": "a centered satellite photo of {}.",
    "FGVCAircraft": "a photo of a {}, a type of aircraft.",
    "Food101": "a photo of {}, a type of food.",
    "ImageNet": GENERIC,
    "ImageNetA": GENERIC,
    "ImageNetR": GENERIC,
    "ImageNetSketch": GENERIC,
    "ImageNetV2": GENERIC,
    "OxfordFlowers": "a photo of a {}, a type of flower.",
    "OxfordPets": "a photo of a {}, a type of pet.",
    "StanfordCars": GENERIC,
    "SUN397": GENERIC,
    "UCF101": "a photo of a person doing {}.",
}
ENSEMBLE = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)
DIVERSE = tuple(fill("{}") for fill in OPENAI_IMAGENET_TEMPLATES[:60])


def template_for(dataset: str, override: str = "", *, own: Mapping[str, str] = MappingProxyType({})) -> str:
    """The template of `dataset`, or `override` if it is given.

    `own` holds a method's templates, where they are other than CLIP's.
    Raises QuantityError ("template") for one that does not have one place for the class name.
    """
    if override and not has_one_place(override):
        needed = f'{{}} once, where the class name goes, and no other brace, as in "{GENERIC}"'
        raise QuantityError(("template", f'is "{override}", but it needs {needed}'))
    known = {**TEMPLATES, **own}
    if not override and dataset not in known:
        log.info('No template is known for %s, using "%s"', dataset, GENERIC)
    return override or known.get(dataset, GENERIC)
