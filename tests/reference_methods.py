"""The methods in their plain form: prompts put together from the parameters, losses written out, one image at a time.

Everything is computed from the parameters of a trainer's learner, not from what its forward gives.
"""

import torch
import torch.nn.functional as F

import reference
from caspl.prompting.groups import PromptGroup

SIXTY = None  # filled on first use


def adapting(trainer, learner, image_feature=None):
    """The adapting prompt group of a method for one image, from the parameters."""
    name = trainer.method
    words = embed(trainer, "a photo of a")
    if name in ("CoOp", "KgCoOp", "ProGrad"):
        text = learner.ctx
        if trainer.cfg.TRAINER.COOP.CTX_INIT == "template":  # "a photo of the digit": nothing is left over
            words = words[:0]
        return PromptGroup(text=(text,), after_name=learner.after_name)
    if name == "CoCoOp":
        hidden = torch.relu(learner.meta_net.linear1.weight @ image_feature + learner.meta_net.linear1.bias)
        shift = learner.meta_net.linear2.weight @ hidden + learner.meta_net.linear2.bias
        return PromptGroup(text=(torch.stack([token + shift for token in learner.ctx]),))
    if name == "MaPLe":
        text = [learner.ctx, *learner.compound_prompts_text]
        maps = [learner.proj, *learner.compound_prompt_projections]
        vision = tuple(t @ m.weight.T + m.bias for t, m in zip(text, maps, strict=True))
    else:  # VPT, IVLP, PromptSRC
        text, vision = list(learner.text), tuple(learner.vision)
    learned = len(text[0]) if text else 0
    if learned <= 4:  # what the initial phrase has beyond the learned tokens stays, in front of the boosting tokens
        rest = words[learned:].to(next(learner.parameters()).dtype)
        text = [torch.cat([text[0], rest]) if text else rest, *text[1:]]
    return PromptGroup(text=tuple(text), vision=vision)


def embed(trainer, phrase):
    clip, tokenizer = trainer.backbone.model, trainer.backbone.tokenizer
    return clip.token_embedding(torch.tensor(tokenizer.encode(phrase)))


def groups_of(trainer, image_feature=None):
    learner = trainer.model.learner
    if hasattr(learner, "boosting"):
        boosting = PromptGroup(text=tuple(learner.boosting.text), vision=tuple(learner.boosting.vision))
        return [adapting(trainer, learner.adapting, image_feature), boosting]
    return [adapting(trainer, learner, image_feature)]


def unit(features):
    return features / features.norm(dim=-1, keepdim=True)


def features(trainer, images):
    """Image features [B, E] and class features [B, C, E] of the prompted model, normalised, image by image."""
    clip, tokens = trainer.backbone.model, trainer.model.prompted.tower.tokens
    conditional = trainer.method == "CoCoOp"
    start = groups_of(trainer, torch.zeros(clip.text_projection.shape[1], dtype=images.dtype) if conditional else None)
    image = unit(reference.image_features(clip.visual, images, start))
    if not conditional:
        text = unit(reference.text_features(clip, tokens, start))
        return image, text.expand(len(image), -1, -1)
    return image, torch.stack([unit(reference.text_features(clip, tokens, groups_of(trainer, f))) for f in image])


def plain_text(trainer, template):
    """Text features of plain CLIP [C, E], not normalised, one class after the other."""
    clip, tokenizer = trainer.backbone.model, trainer.backbone.tokenizer
    texts = [template.replace("{}", name.replace("_", " ")) for name in trainer.dm.dataset.classnames]
    with torch.no_grad():
        return torch.cat([clip.encode_text(tokenizer([text])) for text in texts])


def plain_image(trainer, images):
    with torch.no_grad():
        return unit(torch.cat([trainer.backbone.model.encode_image(image[None]) for image in images]))


def log_softmax(logits):
    return logits - logits.exp().sum(-1, keepdim=True).log()


def terms(trainer, images, labels):
    """Logits [B, C] and the loss terms of a method by name; "ce" is in all."""
    scale = trainer.backbone.model.logit_scale.exp()
    image, text = features(trainer, images)
    logits = torch.stack([scale * t @ f for f, t in zip(image, text, strict=True)])
    found = {"ce": -log_softmax(logits)[torch.arange(len(labels)), labels].sum() / len(labels)}
    classes = logits.shape[1]
    if trainer.method == "KgCoOp":
        old = unit(plain_text(trainer, "a photo of the digit {}."))
        found["kg"] = 8.0 * (1 - sum((a * b).sum() for a, b in zip(text[0], old, strict=True)) / classes)
    if trainer.method == "PromptSRC":
        old = unit(sum(plain_text(trainer, template) for template in sixty()) / 60)
        plain = plain_image(trainer, images)
        found["text"] = 25 * (text[0] - old).abs().sum() / old.numel()
        found["image"] = 10 * (image - plain).abs().sum() / plain.numel()
        q = log_softmax(scale * plain @ old.T)
        found["kl"] = (q.exp() * (q - log_softmax(logits))).sum() / (len(images) * classes)
    if trainer.method == "ProGrad":
        q = log_softmax(scale * plain_image(trainer, images) @ unit(plain_text(trainer, "a photo of the digit {}.")).T)
        found["general"] = -(q.exp() * log_softmax(logits)).sum(1).mean()
    return logits, found


def sixty():
    """PromptSRC's templates, from the paper's repository by way of the project's facts: OpenAI's first sixty."""
    global SIXTY
    if SIXTY is None:
        from open_clip import OPENAI_IMAGENET_TEMPLATES

        SIXTY = [fill("{}") for fill in OPENAI_IMAGENET_TEMPLATES[:60]]
    return SIXTY


def gradients(trainer, found, parameters):
    """What a method puts into each parameter's gradient."""
    if trainer.method != "ProGrad":
        return torch.autograd.grad(sum(found.values()), parameters, allow_unused=True)
    own = torch.autograd.grad(found["ce"], parameters, retain_graph=True)
    general = torch.autograd.grad(found["general"], parameters)
    result = []
    for g, k in zip(own, general, strict=True):
        dot = (g * k).sum()
        result.append(g - dot / (k * k).sum() * k if dot < 0 else g)
    return result


def loss(trainer, found):
    """The loss that a method reports."""
    return sum(value for name, value in found.items() if name != "general")


__all__ = ["F", "features", "gradients", "loss", "terms"]
