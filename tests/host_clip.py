"""Somebody else's checkout in small: a CLIP of OpenAI's layout and three trainers of CoOp's pattern, none of which know CasPL.

Weights and shapes are those of the demo models, whose text has 48 positions.
"""

import functools
from collections import OrderedDict

import open_clip
import torch
import torch.nn.functional as F
from torch import nn


# ---------------------------------------------------------------------------------------------------------------------
# CLIP: parts and names of OpenAI's class, tokens as [n, batch, width] inside
# ---------------------------------------------------------------------------------------------------------------------
class LayerNorm(nn.LayerNorm):
    """Computes in its weights' format and gives back the input's."""

    def forward(self, x):
        return super().forward(x.to(self.weight.dtype)).to(x.dtype)


class QuickGELU(nn.Module):
    def forward(self, x):
        return x * (1.702 * x).sigmoid()


class Block(nn.Module):
    def __init__(self, width, heads, mask=None):
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads)
        self.ln_1, self.ln_2 = LayerNorm(width), LayerNorm(width)
        layers = [("c_fc", nn.Linear(width, 4 * width)), ("gelu", QuickGELU()), ("c_proj", nn.Linear(4 * width, width))]
        self.mlp = nn.Sequential(OrderedDict(layers))
        self.mask = mask  # no buffer, as in OpenAI's class

    def forward(self, x):
        h = self.ln_1(x)
        mask = None if self.mask is None else self.mask.to(h)
        x = x + self.attn(h, h, h, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x))


class DeepPromptBlock(Block):
    """A patched block that puts a parameter of its own in the place of some tokens (MaPLe's repository, IVLP)."""

    def __init__(self, width, heads, mask=None, length=2):
        super().__init__(width, heads, mask)
        self.VPT_shallow = nn.Parameter(torch.zeros(length, width))

    def forward(self, x):
        own = self.VPT_shallow[:, None].expand(-1, x.shape[1], -1).to(x.dtype)
        n = len(own)
        x = torch.cat([x[:-n], own]) if self.mask is None else torch.cat([x[:1], own, x[1 + n :]])
        return super().forward(x)


class ListBlock(Block):
    """A patched block that hands its prompts on with the tokens (MaPLe)."""

    def forward(self, inputs):
        x, prompts, counter = inputs
        return [super().forward(x), prompts, counter]


class EitherBlock(Block):
    """A patched block that also takes tokens alone (TCP)."""

    def forward(self, inputs):
        if isinstance(inputs, torch.Tensor):
            return super().forward(inputs)
        return [super().forward(inputs[0]), *inputs[1:]]


class GrowingBlock(Block):
    def forward(self, x):
        return super().forward(torch.cat([x, x[:1]]))


class Transformer(nn.Module):
    def __init__(self, width, layers, heads, mask=None, block=Block):
        super().__init__()
        self.width, self.layers = width, layers
        self.resblocks = nn.Sequential(*[block(width, heads, mask) for _ in range(layers)])

    def forward(self, x):
        return self.resblocks(x)


class VisionTransformer(nn.Module):
    def __init__(self, resolution, patch, width, layers, heads, output_dim, block=Block):
        super().__init__()
        self.input_resolution, self.output_dim = resolution, output_dim
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positional_embedding = nn.Parameter(torch.zeros((resolution // patch) ** 2 + 1, width))
        self.ln_pre, self.ln_post = LayerNorm(width), LayerNorm(width)
        self.transformer = Transformer(width, layers, heads, block=block)
        self.proj = nn.Parameter(torch.zeros(width, output_dim))

    def forward(self, x):
        x = self.conv1(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.to(x.dtype).expand(len(x), 1, -1), x], dim=1)
        x = self.ln_pre(self.with_prompts(x + self.positional_embedding.to(x.dtype)))
        x = self.transformer(x.transpose(0, 1)).transpose(0, 1)
        return self.ln_post(x[:, 0]) @ self.proj

    def with_prompts(self, x):
        return x


class ShallowPromptVision(VisionTransformer):
    """A patched image tower with learned tokens at its input only (PromptSRC's repository, vision depth 1)."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.VPT = nn.Parameter(torch.randn(3, self.transformer.width))

    def with_prompts(self, x):
        return torch.cat([x, self.VPT.to(x.dtype).expand(len(x), -1, -1)], dim=1)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3)


class CLIP(nn.Module):
    def __init__(self, visual, embed_dim, width, layers, heads, block=Block, positions=48, vocabulary=49408):
        super().__init__()
        self.visual = visual
        mask = torch.full((positions, positions), float("-inf")).triu(1)
        self.transformer = Transformer(width, layers, heads, mask, block)
        self.token_embedding = nn.Embedding(vocabulary, width)
        self.positional_embedding = nn.Parameter(torch.zeros(positions, width))
        self.ln_final = LayerNorm(width)
        self.text_projection = nn.Parameter(torch.zeros(width, embed_dim))
        self.logit_scale = nn.Parameter(torch.ones([]))

    @property
    def dtype(self):
        return self.visual.conv1.weight.dtype

    def encode_image(self, image):
        return self.visual(image.type(self.dtype))

    def encode_text(self, ids):
        return TextEncoder(self)(self.token_embedding(ids).type(self.dtype), ids)


@functools.cache
def demo_weights(name):
    from caspl.clip.backbones import load_backbone  # a test's shortcut: hosts have weights of their own

    return load_backbone(f"demo/{name}").model.state_dict()


def make_clip(name="student", text_block=Block, vision_block=Block, vision=VisionTransformer) -> CLIP:
    """A demo model's weights in this class; parameters that a patch adds keep their initial values."""
    return build_clip(demo_weights(name), text_block, vision_block, vision)


def build_clip(state, text_block=Block, vision_block=Block, vision=VisionTransformer) -> CLIP:
    """The model that a state dict's shapes tell, as OpenAI's function of this name."""
    width, embed_dim = state["text_projection"].shape
    vision_width, _, patch, _ = state["visual.conv1.weight"].shape
    layers = {
        tower: 1 + max(int(key[len(tower) :].split(".")[0]) for key in state if key.startswith(tower))
        for tower in ("transformer.resblocks.", "visual.transformer.resblocks.")
    }
    text_layers, vision_layers = layers.values()
    visual = vision(32, patch, vision_width, vision_layers, vision_width // 32, embed_dim, vision_block)
    clip = CLIP(visual, embed_dim, width, text_layers, width // 32, text_block)
    clip.load_state_dict(state, strict=False)
    return clip.eval()


def tokenize(texts) -> torch.Tensor:
    """Token ids [C, 48]; raises for a text that is too long, as OpenAI's does."""
    tokenizer = open_clip.SimpleTokenizer()
    texts = [texts] if isinstance(texts, str) else texts
    if any(len(tokenizer.encode(text)) > 46 for text in texts):
        raise RuntimeError("too long")
    return tokenizer(texts, context_length=48)


def load_clip_to_cpu(cfg, name="student"):
    return make_clip(name)


# ---------------------------------------------------------------------------------------------------------------------
# Trainers
# ---------------------------------------------------------------------------------------------------------------------
class TextEncoder(nn.Module):
    def __init__(self, clip_model):
        super().__init__()
        self.transformer = clip_model.transformer
        self.positional_embedding = clip_model.positional_embedding
        self.ln_final = clip_model.ln_final
        self.text_projection = clip_model.text_projection
        self.dtype = clip_model.dtype

    def forward(self, prompts, tokenized_prompts):
        x = prompts + self.positional_embedding.type(self.dtype)
        x = self.transformer(x.transpose(0, 1)).transpose(0, 1)
        x = self.ln_final(x).type(self.dtype)
        return x[torch.arange(len(x)), tokenized_prompts.argmax(dim=-1)] @ self.text_projection


class PromptLearner(nn.Module):
    def __init__(self, classnames, clip_model, n_ctx=4):
        super().__init__()
        width = clip_model.ln_final.weight.shape[0]
        self.ctx = nn.Parameter(0.02 * torch.randn(n_ctx, width, dtype=clip_model.dtype))
        prompts = [f"{' '.join(['X'] * n_ctx)} {name}." for name in classnames]
        self.tokenized_prompts = tokenize(prompts)
        with torch.no_grad():
            embedding = clip_model.token_embedding(self.tokenized_prompts).type(clip_model.dtype)
        self.register_buffer("token_prefix", embedding[:, :1])
        self.register_buffer("token_suffix", embedding[:, 1 + n_ctx :])

    def forward(self, shift=0.0):
        ctx = (self.ctx + shift).expand(len(self.token_prefix), -1, -1)
        return torch.cat([self.token_prefix, ctx, self.token_suffix], dim=1)


class CustomCLIP(nn.Module):
    def __init__(self, classnames, clip_model):
        super().__init__()
        self.prompt_learner = PromptLearner(classnames, clip_model)
        self.image_encoder = clip_model.visual
        self.text_encoder = TextEncoder(clip_model)
        self.logit_scale = clip_model.logit_scale
        self.dtype = clip_model.dtype

    def class_features(self, shift=0.0):
        features = self.text_encoder(self.prompt_learner(shift), self.prompt_learner.tokenized_prompts)
        return F.normalize(features, dim=-1)

    def image_features(self, image):
        return F.normalize(self.image_encoder(image.type(self.dtype)), dim=-1)

    def forward(self, image):
        return self.logit_scale.exp() * self.image_features(image) @ self.class_features().T


class ConditionalCLIP(CustomCLIP):
    """The context is shifted by what a small network makes of each image."""

    def __init__(self, classnames, clip_model):
        super().__init__(classnames, clip_model)
        embedding, width = clip_model.text_projection.shape[::-1]
        self.prompt_learner.meta_net = nn.Sequential(nn.Linear(embedding, 4), nn.ReLU(), nn.Linear(4, width))

    def forward(self, image):
        images = self.image_features(image)
        shifts = self.prompt_learner.meta_net(images)
        cosines = [image @ self.class_features(shift).T for image, shift in zip(images, shifts, strict=True)]
        return self.logit_scale.exp() * torch.stack(cosines)


class Trainer:
    """What a Dassl trainer is to this test: cfg, dm and build_model, and a step."""

    def __init__(self, cfg, dm):
        self.cfg, self.dm = cfg, dm
        self.build_model()

    def step(self, image, label):
        loss = self.loss(image, label)
        self.optim.zero_grad()
        loss.backward()
        self.optim.step()
        return loss.item()

    def loss(self, image, label):
        return F.cross_entropy(self.model(image), label)


class CoOp(Trainer):
    """The family's first."""

    network = CustomCLIP

    def build_model(self):
        clip_model = load_clip_to_cpu(self.cfg)
        clip_model.float()
        self.model = self.network(self.dm.dataset.classnames, clip_model)
        for name, param in self.model.named_parameters():
            param.requires_grad_("prompt_learner" in name)
        self.optim = torch.optim.SGD(self.model.prompt_learner.parameters(), lr=0.02)


class CoCoOp(CoOp):
    network = ConditionalCLIP


class KgCoOp(CoOp):
    def build_model(self):
        super().build_model()
        reference = load_clip_to_cpu(self.cfg)
        with torch.no_grad():
            features = reference.encode_text(tokenize([f"a photo of a {name}." for name in self.dm.dataset.classnames]))
        self.reference = F.normalize(features, dim=-1)

    def loss(self, image, label):
        distance = 1 - (self.model.class_features() * self.reference).sum(-1).mean()
        return super().loss(image, label) + distance


class WithTeacher(CoOp):
    """Loads two CLIPs by the same function, of which one is larger."""

    def build_model(self):
        super().build_model()
        self.teacher = load_clip_to_cpu(self.cfg, "teacher")


class NotOfTheFamily(Trainer):
    """Builds its model from a CLIP of its own."""

    def build_model(self):
        self.model = make_clip()
