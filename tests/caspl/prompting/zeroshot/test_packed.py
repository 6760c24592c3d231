"""Many plain texts at once: the packed tower against `encode_text`, in float64, and how many go together."""

import open_clip
import pytest
import torch

from caspl.clip.backbones import Backbone, clip_tokenizer
from caspl.clip.templates import DIVERSE
from caspl.prompting.zeroshot import packed

NAMES = [
    "cat",
    "a very long name of some dog",
    "x",
    "great white shark",
    "cat (wild)",
    "Übergrößenträger",
    "犬と猫",
    "🦊",
]


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    model = open_clip.CLIP(
        embed_dim=24,
        vision_cfg=dict(image_size=32, patch_size=8, width=48, layers=1, head_width=16),
        text_cfg=dict(width=32, heads=4, layers=3),
        quick_gelu=True,
    )
    return Backbone("tiny", model.double(), clip_tokenizer(77), (32, 32), (0.5,) * 3, (0.5,) * 3)


def plain(backbone, texts):
    with torch.no_grad():
        return backbone.model.encode_text(backbone.tokenizer(texts))


@pytest.mark.parametrize("template", DIVERSE)
def test_every_template_is_exact(backbone, template):
    texts = [template.format(name) for name in NAMES]
    assert (packed.packed_features(backbone, texts) - plain(backbone, texts)).abs().max() < 1e-9


TEXTS = {
    "nothing in common": ["cat.", "a dog", "the bird and the bee"],
    "one": ["a photo of a cat."],
    "the same": ["a photo of a cat."] * 3,
    "one begins as the other": ["a photo of a cat", "a photo of a cat and a dog", "a photo"],
    "no words": ["", "cat", "   "],
    "cut": [
        "a photo of " + "very " * 90 + "old cat",
        "a photo of a cat",
        "very " * 80 + "old cat",
        "cat " * 74,
        "cat " * 75,
    ],
    "all cut alike": ["very " * 90 + "old cat", "very " * 90 + "old dog"],
    "the end within": ["a cat <end_of_text> and a dog", "a cat <start_of_text> and a dog", "<end_of_text>"],
    "broken letters": ["a &amp; b", "ﬁne\u00a0cat", "a\ttab\nline", "cafe\u0301"],
}


@pytest.mark.parametrize("case", TEXTS)
@pytest.mark.parametrize("pooled", ["argmax", "eos"])
def test_every_kind_of_text_is_exact(backbone, case, pooled, monkeypatch):
    monkeypatch.setattr(backbone.model, "text_pool_type", pooled)
    monkeypatch.setattr(backbone.model, "text_eos_id", backbone.tokenizer.eot_token_id)
    texts = TEXTS[case]
    assert (packed.packed_features(backbone, texts) - plain(backbone, texts)).abs().max() < 1e-9


def test_parts_stay_below_a_bound_of_memory(backbone, monkeypatch):
    texts = [DIVERSE[0].format(name) for name in NAMES * 5]
    expected, sizes, tower = plain(backbone, texts), [], packed.TextTower

    def watched(clip, tails):
        sizes.append(sum(map(len, tails.ids)))
        return tower(clip, tails)

    monkeypatch.setattr(packed, "TextTower", watched)
    done = []
    assert (packed.packed_features(backbone, texts, done.append) - expected).abs().max() < 1e-9
    assert len(sizes) == 1 and done == [40]
    whole, token = sizes.pop(), packed.bytes_of_a_token(backbone.model, 20)
    for room in (60, 1):  # tokens
        done.clear(), sizes.clear()
        monkeypatch.setattr(packed, "EVALUATION_PART", room * token)
        assert (packed.packed_features(backbone, texts, done.append) - expected).abs().max() < 1e-9
        assert sum(done) == 40 and len(done) == len(sizes) and sum(sizes) == whole
        assert max(sizes) <= room or done == [1] * 40
        assert len(sizes) > 3
