"""KgCoOp: the context stays near hand-written prompts. Knowledge-guided Context Optimization, arXiv 2303.13283."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from caspl.clip.backbones import Backbone
from caspl.clip.templates import template_for
from caspl.ground.keys import Key
from caspl.prompting.zeroshot.features import zeroshot_features

from .coop import CoOp, context_rule, initial_phrase
from .keys import MOST_WEIGHT, TEMPLATE
from .registration import register

# Where the reference's hand-written template is another than CLIP's.
KGCOOP_TEMPLATES = {"DescribableTextures": "a photo of a {}, a type of texture."}
FIRST_WORDS = "a photo of a"  # which TRAINER.COOP.CTX_INIT True starts the context from in its code, for every dataset


KEYS = [  # in TRAINER.COOP as in the reference
    Key(
        "TRAINER.COOP.ALPHA", 1.0, "Kept for upstream's files: nothing reads it", least=0, most=MOST_WEIGHT, unread=True
    ),
    Key(
        "TRAINER.COOP.W",
        8.0,
        "KgCoOp: weight of the distance between learned and hand-written class features",
        least=0,
        most=MOST_WEIGHT,
    ),
]


@register
class KgCoOp(CoOp):
    """Cross-entropy + W (1 - mean cosine between the class features and those of the hand-written template).

    TRAINER.COOP.CTX_INIT "template", or True, starts the context from "a photo of a", whatever the dataset's template is.
    """

    method, own_keys = "KgCoOp", (*CoOp.own_keys, *KEYS)
    rules = (context_rule("TRAINER.COOP", FIRST_WORDS), *CoOp.rules[1:])

    def context_of_words(self, backbone: Backbone) -> tuple[Tensor, Tensor]:
        return initial_phrase(backbone, FIRST_WORDS if self.keys.CTX_INIT == TEMPLATE else self.keys.CTX_INIT)

    def prepare(self) -> None:
        template = template_for(self.cfg.DATASET.NAME, own=KGCOOP_TEMPLATES)
        self.plain_classes = zeroshot_features(
            self.backbone, self.dm.dataset.classnames, template, store=self.text_store
        )

    def loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        image, text = self.model.encode(images)
        logits = self.model.prompted.logits(image, text)
        distance = 1 - F.cosine_similarity(text, self.plain_classes.to(text.dtype), dim=-1).mean()
        return F.cross_entropy(logits, labels) + self.keys.W * distance, logits
