"""SEED_STREAM upstream, compared with a CLIP that is really built, layer by layer, as OpenAI's code builds one.

`python -m bench seed_stream` compares it with the repositories themselves.
"""

from types import SimpleNamespace

import open_clip
import pytest
import torch
from dassl.engine import build_trainer
from dassl.utils import set_random_seed
from torch import nn

import train
from caspl.clip.backbones import Backbone, load_backbone
from caspl.ground.errors import InputError
from caspl.trainers.seed_stream import METHODS, Deep, Stream, start_as_upstream

from .conftest import ROOT

SEED = 3


# ---------------------------------------------------------------------------------------------------------------------
# A CLIP that is built
# ---------------------------------------------------------------------------------------------------------------------
class Block(nn.Module):
    def __init__(self, width, heads, tokens):
        super().__init__()
        self.attn, self.ln_1 = nn.MultiheadAttention(width, heads), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.ln_2 = nn.LayerNorm(width)
        self.prompt = nn.init.normal_(torch.empty(tokens, width), std=0.02) if tokens else None


class Built(nn.Module):
    """With prompts (tokens, blocks) of its own in its towers; shapes are those of `like`, a CLIP of open_clip's."""

    def __init__(self, like, vision=(0, 0), text=(0, 0)):
        super().__init__()
        visual, width = like.visual, like.positional_embedding.shape[1]
        resnet = hasattr(visual, "attnpool")
        self.first = None
        self.visual = self.resnet(visual) if resnet else self.vit(visual, *vision)
        layers = len(like.transformer.resblocks)
        self.text = [Block(width, 4, text[0] if 0 < i < text[1] else 0) for i in range(layers)]
        self.token_embedding = nn.Embedding(*like.token_embedding.weight.shape)
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(torch.empty(like.positional_embedding.shape), std=0.01)
        for layer in self.visual[-4:] if resnet else []:
            nn.init.normal_(layer.weight, std=0.1)
        for block in self.text:
            for weight in (
                block.attn.in_proj_weight,
                block.attn.out_proj.weight,
                block.mlp[0].weight,
                block.mlp[2].weight,
            ):
                nn.init.normal_(weight, std=0.1)
        nn.init.normal_(torch.empty(like.text_projection.shape), std=0.1)

    def vit(self, visual, tokens, depth):
        width, patch = visual.conv1.weight.shape[0], visual.conv1.weight.shape[-1]
        parts = [nn.Conv2d(3, width, patch, stride=patch, bias=False)]
        self.first = nn.init.normal_(torch.empty(tokens, width), std=0.02) if depth else None
        torch.randn(width), torch.randn(visual.positional_embedding.shape)
        parts += [Block(width, 4, tokens if 0 < i < depth else 0) for i in range(len(visual.transformer.resblocks))]
        torch.randn(width, visual.proj.shape[1])
        return parts

    def resnet(self, visual):
        width = visual.conv3.weight.shape[0]
        parts = [
            nn.Conv2d(*sizes, 3, bias=False)
            for sizes in ((3, width // 2), (width // 2, width // 2), (width // 2, width))
        ]
        inputs = width
        for number, layer in enumerate((visual.layer1, visual.layer2, visual.layer3, visual.layer4)):
            planes = width * 2**number
            for place in range(len(layer)):
                parts += [nn.Conv2d(inputs, planes, 1, bias=False), nn.BatchNorm2d(planes)]
                parts += [nn.Conv2d(planes, planes, 3, bias=False), nn.Conv2d(planes, 4 * planes, 1, bias=False)]
                if place == 0:  # a larger stride, or another width
                    parts += [nn.Conv2d(inputs, 4 * planes, 1, bias=False)]
                inputs = 4 * planes
        wide, places = 32 * width, visual.attnpool.positional_embedding.shape[0]
        torch.randn(places, wide)
        return [*parts, *(nn.Linear(wide, rows) for rows in (wide, wide, wide, visual.attnpool.c_proj.weight.shape[0]))]


@pytest.fixture(scope="module")
def student():
    return load_backbone("demo/student")


@pytest.fixture(scope="module")
def resnet():
    vision = {"layers": [1, 2, 1, 1], "width": 8, "image_size": 32}
    text = {"context_length": 77, "vocab_size": 50, "width": 16, "heads": 2, "layers": 2}
    model = open_clip.CLIP(embed_dim=12, vision_cfg=vision, text_cfg=text)
    return Backbone("resnet", model, open_clip.tokenize, (32, 32), (0.5,) * 3, (0.5,) * 3)


def drawn(make):
    """What is made from SEED on, and the state of the stream behind it."""
    torch.manual_seed(SEED)
    made = make()
    return made, torch.get_rng_state()


@pytest.mark.parametrize("vision, text", [((0, 0), (0, 0)), ((3, 3), (0, 0)), ((2, 1), (4, 2)), ((0, 0), (5, 3))])
def test_a_clip_is_drawn_as_it_is_built(student, vision, text):
    stream = Stream(student, SimpleNamespace(), classes=5, half=False)
    _, state = drawn(lambda: stream.build_clip(Deep(*vision), Deep(*text)))
    built, expected = drawn(lambda: Built(student.model, vision, text))
    assert torch.equal(state, expected)
    blocks = [("vision", n, block) for n, block in enumerate(built.visual[1:])]
    blocks += [("text", n, block) for n, block in enumerate(built.text)]
    prompts = {f"{tower}.{n}": block.prompt for tower, n, block in blocks if block.prompt is not None}
    prompts |= {"vision.0": built.first} if vision[1] else {}
    assert stream.drawn.keys() == prompts.keys()
    assert all(torch.equal(stream.drawn[name], prompts[name]) for name in prompts)


def test_so_is_one_with_a_resnet(resnet):
    stream = Stream(resnet, SimpleNamespace(), classes=5, half=False)
    _, state = drawn(stream.build_clip)
    assert torch.equal(state, drawn(lambda: Built(resnet.model))[1]) and not stream.drawn


# ---------------------------------------------------------------------------------------------------------------------
# Runs
# ---------------------------------------------------------------------------------------------------------------------
def started(method, root, output, *pairs):
    """A trainer as train.py builds it, and the stream's state behind that."""
    words = ["--root", str(root), "--seed", str(SEED), "--trainer", method, "--output-dir", str(output)]
    words += ["--dataset-config-file", str(ROOT / "configs/datasets/digits.yaml")]
    words += ["--config-file", str(ROOT / f"configs/trainers/{method}/digits.yaml"), "DATASET.NUM_SHOTS", "1"]
    cfg = train.setup_cfg(train.parse_args([*words, *pairs]))
    set_random_seed(cfg.SEED)
    trainer = build_trainer(cfg)
    return trainer, torch.get_rng_state()


def test_a_run_starts_as_there(data, tmp_path, student):
    trainer, state = started("CoOp", data, tmp_path, "SEED_STREAM", "upstream")

    def there():
        Built(student.model)
        return nn.init.normal_(torch.empty(trainer.keys.N_CTX, student.text_width), std=0.02)

    context, expected = drawn(there)
    assert torch.equal(trainer.learned().ctx, context) and torch.equal(state, expected)


def test_context_is_drawn_in_the_format_of_the_weights(data, tmp_path, student):
    """PREC fp16: there the context is a half-precision parameter, drawn as one."""
    trainer, _ = started("CoOp", data, tmp_path, "SEED_STREAM", "upstream", "TRAINER.COOP.PREC", "fp16")

    def there():
        Built(student.model)
        return nn.init.normal_(torch.empty(trainer.keys.N_CTX, student.text_width, dtype=torch.float16), std=0.02)

    assert torch.equal(trainer.learned().ctx, drawn(there)[0].float())


@pytest.mark.parametrize("method", METHODS)
def test_by_default_nothing_changes(data, tmp_path, method):
    """Prompts start as without the key, and otherwise with it, wherever they are random."""
    pairs = {
        "KgCoOp": ("TRAINER.COOP.N_CTX", "6", "TRAINER.COOP.CTX_INIT", ""),
        "ProGrad": ("TRAINER.COOP.CTX_INIT", ""),
    }
    plain, state = started(method, data, tmp_path / "a", *pairs.get(method, ()))
    same, again = started(method, data, tmp_path / "b", *pairs.get(method, ()), "SEED_STREAM", "ours")
    other, moved = started(method, data, tmp_path / "c", *pairs.get(method, ()), "SEED_STREAM", "upstream")
    states = [trainer.learned().state_dict() for trainer in (plain, same, other)]
    assert states[0].keys() == states[1].keys() == states[2].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0]) and torch.equal(state, again)
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0]) and not torch.equal(
        state, moved
    )


def test_what_is_not_there_is_refused(data, tmp_path, student):
    for method in ("CasPL_CoOp", "CasPLBoost", "ZeroshotCLIP"):
        with pytest.raises(InputError, match=f"SEED_STREAM is .*{method} does not read it"):
            started(method, data, tmp_path, "SEED_STREAM", "upstream")
    with pytest.raises(InputError, match="PREC bf16, which the family's code does not have"):
        started("CoOp", data, tmp_path, "SEED_STREAM", "upstream", "TRAINER.COOP.PREC", "bf16")
    with pytest.raises(InputError, match="not for CasPL_CoOp"):
        start_as_upstream(nn.Module(), "CasPL_CoOp", student, SimpleNamespace(PREC="fp32"), 5)
