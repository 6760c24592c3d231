"""CoCoOp: the context is shifted by each image. Conditional Prompt Learning for VLMs, arXiv 2203.05557."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from caspl.clip.backbones import Backbone
from caspl.prompting.learners import ConditionalContext, Learner
from caspl.prompting.model import PromptedCLIP

from .coop import TOKENS, context_rule, initial_phrase, random_context, template_context
from .crop_pool import CropPool, pool_key, pool_rule
from .keys import TEMPLATE, context_words_key, precision_key, tokens_key
from .memory import memory_key
from .prompt_trainer import PromptModel, PromptTrainer
from .registration import register

KEYS = [
    tokens_key(
        "TRAINER.COCOOP.N_CTX", TOKENS, "Context tokens; where CTX_INIT is given, as many as it has words", least=1
    ),
    context_words_key("TRAINER.COCOOP.CTX_INIT"),
    precision_key("TRAINER.COCOOP"),
    memory_key("TRAINER.COCOOP.MEMORY", 4.0, "a batch that needs more goes in parts"),
    pool_key("TRAINER.COCOOP"),
]


class ConditionalPromptModel(PromptModel):
    """A prompted CLIP whose text prompts are different for every image, with all images of a batch together."""

    def forward(self, images: Tensor) -> Tensor:
        return self.classify(self.encode_images(images))

    def classify(self, image_features: Tensor) -> Tensor:
        return self.prompted.conditional_logits(image_features, self.learner)


@register
class CoCoOp(CropPool, PromptTrainer):
    """Cross-entropy; a batch of B images makes B classifiers."""

    method, node, own_keys = "CoCoOp", "COCOOP", KEYS
    rules = (context_rule("TRAINER.COCOOP"), pool_rule("TRAINER.COCOOP"))
    memory_key = "TRAINER.COCOOP.MEMORY"

    def build_learner(self, backbone: Backbone, classnames: Sequence[str]) -> ConditionalContext:
        keys = self.keys
        embedding = backbone.model.text_projection.shape[-1]
        if keys.CTX_INIT == TEMPLATE:
            context = template_context(backbone, self.cfg.DATASET.NAME, keys.N_CTX, "TRAINER.COCOOP")
            return ConditionalContext.new(*context, embedding)
        if keys.CTX_INIT:
            return ConditionalContext.new(*initial_phrase(backbone, keys.CTX_INIT), embedding)
        return ConditionalContext.new(random_context(keys.N_CTX, backbone.text_width), None, embedding)

    def build_prompt_model(self, prompted: PromptedCLIP, learner: Learner) -> ConditionalPromptModel:
        return ConditionalPromptModel(prompted, learner)
