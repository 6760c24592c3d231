"""Loading CLIP from every kind of source. Weights are random, in the true layout and, once, of the true ViT-B/16 shape."""

import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU
from safetensors.torch import save_file

from caspl.clip import backbones, models
from caspl.clip.backbones import load_backbone
from caspl.clip.precision import resolve_precision
from caspl.ground.errors import InputError
from caspl.prompting.groups import PromptShape
from caspl.prompting.image_tower import encode_images
from caspl.prompting.learners import Prompts
from caspl.prompting.model import PromptedCLIP
from weight_files import read_weights, save_archive

CPU = torch.device("cpu")


def small_openai_model():
    """A CLIP whose shapes follow OpenAI's rule of 64 channels a head, small otherwise."""
    torch.manual_seed(0)
    return open_clip.CLIP(
        embed_dim=32,
        vision_cfg=dict(image_size=32, patch_size=16, width=128, layers=2),
        text_cfg=dict(width=64, heads=1, layers=2, vocab_size=49408),
        quick_gelu=True,
    ).eval()


@pytest.fixture(scope="module")
def model():
    return small_openai_model()


@pytest.fixture(scope="module")
def batch(model):
    torch.manual_seed(1)
    return torch.randn(2, 3, 32, 32), open_clip.SimpleTokenizer()(["a cat.", "two dogs."])


def assert_same_outputs(loaded, model, batch):
    stored = model.state_dict()
    assert all(torch.equal(value, stored[key]) for key, value in loaded.state_dict().items())
    with torch.no_grad():  # attention of frozen and of trainable weights runs through other kernels
        assert torch.allclose(loaded.encode_image(batch[0]), model.encode_image(batch[0]), atol=1e-5)
        assert torch.allclose(loaded.encode_text(batch[1]), model.encode_text(batch[1]), atol=1e-5)


def assert_frozen_and_right(backbone):
    assert not backbone.model.training
    assert not any(p.requires_grad for p in backbone.model.parameters())
    assert isinstance(backbone.model.visual.transformer.resblocks[0].mlp.gelu, QuickGELU)
    assert isinstance(backbone.model.transformer.resblocks[0].mlp.gelu, QuickGELU)


@pytest.mark.parametrize("kind", ["state dict", "under state_dict with module.", "safetensors"])
def test_local_weights_in_openai_layout(kind, model, batch, tmp_path):
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    path = tmp_path / ("clip.safetensors" if kind == "safetensors" else "clip.pt")
    if kind == "safetensors":
        save_file(state, path)
    elif kind == "state dict":
        torch.save(state, path)
    else:
        torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3}, path)
    backbone = load_backbone(str(path))
    assert_frozen_and_right(backbone)
    assert_same_outputs(backbone.model, model, batch)
    assert (backbone.image_size, backbone.text_width, backbone.vision_width) == ((32, 32), 64, 128)
    assert (backbone.text_blocks, backbone.vision_blocks) == (2, 2)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_openai_archive_from_the_familys_cache(batch, tmp_path, monkeypatch):
    model = small_openai_model()
    save_archive(model, tmp_path / "ViT-B-16.pt")
    model.float()  # what is stored was rounded to half precision
    monkeypatch.setattr(models, "CLIP_CACHE", tmp_path)
    backbone = load_backbone("ViT-B/16")
    assert_frozen_and_right(backbone)
    assert_same_outputs(backbone.model, model, batch)
    weights = read_weights(tmp_path / "ViT-B-16.pt")
    assert weights["input_resolution"] == 32
    assert weights["transformer.resblocks.0.mlp.c_fc.weight"].dtype == torch.float16


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", ["state dict", "archive"])
def test_true_vit_b16_shape_gives_open_clips_outputs(kind, tmp_path):
    torch.manual_seed(0)
    model = (
        open_clip.create_model("ViT-B-16-quickgelu", pretrained=None, load_weights=False).eval().requires_grad_(False)
    )
    if kind == "archive":
        save_archive(model, tmp_path / "clip.pt")
        model.float()
    else:
        torch.save(model.state_dict(), tmp_path / "clip.pt")
    backbone = load_backbone(str(tmp_path / "clip.pt"))
    images, texts = torch.randn(1, 3, 224, 224), open_clip.SimpleTokenizer()(["a photo of a cat."])
    assert_same_outputs(backbone.model, model, (images, texts))
    with torch.no_grad():
        assert (encode_images(backbone.model.visual, images) - model.encode_image(images)).abs().max() < 1e-5


def test_fingerprint_sees_weights_not_containers(model, tmp_path):
    torch.save(model.state_dict(), tmp_path / "a.pt")
    torch.save({k: v.half() for k, v in model.state_dict().items()}, tmp_path / "b.pt")
    changed = dict(model.state_dict())
    changed["text_projection"] = changed["text_projection"] + 0.1
    torch.save(changed, tmp_path / "c.pt")
    a, b, c = (load_backbone(str(tmp_path / f"{n}.pt")).fingerprint for n in "abc")
    assert a == b != c


def test_loading_draws_nothing_from_the_random_stream():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_backbone("demo/student")
    assert torch.equal(torch.rand(3), expected)


def test_what_is_here_asks_nobody(model, tmp_path, monkeypatch):
    def asked(address):
        raise AssertionError(f"{address} was asked")

    monkeypatch.setattr("caspl.ground.quiet._answers", asked)
    torch.save(model.state_dict(), tmp_path / "clip.pt")
    for name in ("demo/student", str(tmp_path / "clip.pt")):
        assert load_backbone(name).name == name


def test_open_clip_architecture_with_a_file(tmp_path):
    model = open_clip.create_model("ViT-S-16-alt", pretrained=None, load_weights=False)
    torch.save(model.state_dict(), tmp_path / "w.pt")
    backbone = load_backbone(f"ViT-S-16-alt:{tmp_path / 'w.pt'}")
    assert (backbone.text_width, backbone.vision_width) == (256, 384)
    assert backbone.fingerprint == backbones.Backbone("x", model, None, (224, 224), (), ()).fingerprint


def test_the_tokenizer_is_built_once_for_each_length():
    first, second = load_backbone("demo/student"), load_backbone("demo/teacher")
    assert first.tokenizer is second.tokenizer
    assert first.tokenizer.context_length == 48
    assert backbones.clip_tokenizer(77).context_length == 77


class OtherTokenizer:
    """Stands for a tokenizer of the Hugging Face Hub."""


def test_a_model_of_clips_class_with_another_tokenizer(model, monkeypatch):
    monkeypatch.setattr(open_clip, "get_tokenizer", lambda name: OtherTokenizer())
    tokenizer = backbones._tokenizer("ViT-H-14-worldwide", model, "x")
    assert isinstance(tokenizer, OtherTokenizer)
    backbone = backbones.Backbone("worldwide", model, tokenizer, (32, 32), (), ())
    with pytest.raises(InputError, match="worldwide has another tokenizer than CLIP's .OtherTokenizer.* not a student"):
        backbone.check_student()


def test_a_tokenizer_that_cannot_be_fetched_is_one_sentence(model, monkeypatch):
    def unreachable(name):
        raise OSError("we couldn't connect\nto the Hub")

    monkeypatch.setattr(open_clip, "get_tokenizer", unreachable)
    with pytest.raises(
        InputError, match="tokenizer of ViT-H-14-CLIPA could not be fetched .we couldn't connect.; check"
    ):
        backbones._tokenizer("ViT-H-14-CLIPA", model, "x")


def test_resnet_students_take_text_prompts_only():
    torch.manual_seed(0)
    model = open_clip.CLIP(
        embed_dim=32,
        vision_cfg=dict(image_size=64, layers=[1, 1, 1, 1], width=16),
        text_cfg=dict(width=64, heads=1, layers=1),
    )
    backbone = backbones.Backbone("RN-tiny", model, open_clip.SimpleTokenizer(), (64, 64), (0.5,) * 3, (0.5,) * 3)
    prompted, images = PromptedCLIP(backbone, ["cat", "dog"]), torch.randn(2, 3, 64, 64)
    assert prompted(images, Prompts([torch.randn(4, 64)])()).shape == (2, 2)
    with pytest.raises(InputError, match="image tower of RN-tiny is not a ViT and takes text prompts only"):
        prompted(images, Prompts([], [torch.randn(4, 64)])())
    shape = PromptShape(text_length=4, vision_length=4)
    with pytest.raises(InputError, match="^vision length is 4, but the image tower of RN-tiny .* set it to 0"):
        shape.check(text_blocks=1, vision_blocks=backbone.vision_blocks, backbone="RN-tiny")


@pytest.mark.parametrize(
    "name, message",
    [
        ("ViT-B/61", r"no CLIP is called \"ViT-B/61\".*do you mean ViT-B/16"),
        ("demo/pupil", "no demo model is called demo/pupil; there are demo/student, demo/teacher"),
        ("ViT-B-16", "add a tag, as in ViT-B-16:"),
        ("ViT-B-16:nowhere", "neither a file nor a tag of ViT-B-16; its tags are .*laion"),
        ("ViT-B-61:openai", "open_clip has no model ViT-B-61.*do you mean"),
    ],
)
def test_unknown_names_say_what_there_is(name, message):
    with pytest.raises(InputError, match=message):
        load_backbone(name)


def test_files_that_are_no_clip_are_refused(model, tmp_path):
    junk, other, cut = tmp_path / "junk.pt", tmp_path / "other.pt", tmp_path / "cut.pt"
    junk.write_text("hello")
    torch.save({"weight": torch.zeros(2)}, other)
    torch.save(model.state_dict(), cut)
    cut.write_bytes(cut.read_bytes()[:-5000])
    with pytest.raises(InputError, match="junk.pt is not a weight file"):
        load_backbone(str(junk))
    with pytest.raises(InputError, match="other.pt is no complete CLIP: none of its tensors"):
        load_backbone(str(other))
    with pytest.raises(InputError, match="cut.pt is not a weight file"):
        load_backbone(str(cut))
    with pytest.raises(InputError, match="other.pt is no complete CLIP: none of its tensors"):
        load_backbone(f"ViT-S-16-alt:{other}")


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code was run')",))


def test_pickled_code_is_not_run(tmp_path):
    torch.save({"state_dict": Bomb()}, tmp_path / "bomb.pt")
    with pytest.raises(InputError, match="without running code"):
        load_backbone(str(tmp_path / "bomb.pt"))


@pytest.mark.parametrize("name, weights", [("fp32", torch.float32), ("bf16", torch.bfloat16), ("amp", torch.float32)])
def test_precisions_of_the_cpu(name, weights):
    precision = resolve_precision(name, CPU)
    backbone = load_backbone("demo/student").place(CPU, precision)
    images = torch.randn(2, 3, 32, 32)
    exact = encode_images(load_backbone("demo/student").model.visual, images)
    with torch.no_grad(), precision.autocast():
        features = encode_images(backbone.model.visual, images)
    assert backbone.model.visual.conv1.weight.dtype == weights
    assert backbone.model.token_embedding.weight.dtype == torch.float32
    assert backbone.fingerprint == load_backbone("demo/student").fingerprint  # taken before rounding
    assert torch.nn.functional.cosine_similarity(features.float(), exact).min() > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("timm_name", ["vit_tiny_patch16_224", "convnext_atto", "resnet18"])
def test_half_precision_of_a_tower_of_timm(timm_name):
    """Such a teacher, as SigLIP's, is in no precision but float32 unless all of its layers are."""
    torch.manual_seed(0)
    vision = dict(timm_model_name=timm_name, timm_pool="avg", timm_proj="linear", image_size=224)
    model = open_clip.CustomTextCLIP(16, vision, dict(width=32, heads=2, layers=1, vocab_size=100))
    backbone = backbones.Backbone("x", model, None, (224, 224), (), ())
    images, texts = torch.randn(2, 3, 224, 224), torch.ones(2, 77, dtype=torch.long)
    exact, text = backbone.image_features(images), model.encode_text(texts, normalize=True)
    backbone.place(CPU, resolve_precision("bf16", CPU))
    features = backbone.image_features(images)
    assert features.dtype == torch.bfloat16
    assert torch.nn.functional.cosine_similarity(features.float(), exact).min() > 0.99
    assert torch.nn.functional.cosine_similarity(model.encode_text(texts).float(), text).min() > 0.99


def test_half_precision_on_a_cpu_is_replaced_aloud(caplog):
    assert resolve_precision("fp16", CPU).weights == torch.float32
    assert "precision fp16 is computed in fp32" in caplog.text
    with pytest.raises(InputError, match='^precision is "fp8", expected one of fp32, fp16, bf16, amp'):
        resolve_precision("fp8", CPU)


@pytest.mark.parametrize("name", ["bf16", "amp"])
def test_a_processor_without_bfloat16_is_told_that_it_is_slow(name, monkeypatch, caplog):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    for has, said in ((True, ""), (False, f"precision {name} is slower than fp32 on this processor")):
        caplog.clear()
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda has=has: has, raising=False)
        assert resolve_precision(name, CPU).computes_in == "bfloat16"
        assert caplog.text.count("slower") == bool(said) and said in caplog.text
    monkeypatch.setattr("platform.machine", lambda: "arm64")  # of which PyTorch does not tell
    caplog.clear()
    resolve_precision(name, CPU)
    assert not caplog.text


def test_the_image_tower_can_be_left_behind():
    backbone = load_backbone("demo/student")
    meta = torch.device("meta")  # stands in for a GPU
    modules = [*backbone.model._modules]
    backbone.place(meta, resolve_precision("fp32", CPU), image_tower=False)
    image = {f"visual.{name}" for name, _ in backbone.model.visual.named_parameters()}
    assert {name for name, p in backbone.model.named_parameters() if p.device == CPU} == image
    assert [*backbone.model._modules] == modules
    backbone.place_image_tower(meta)
    assert {p.device for p in backbone.model.parameters()} == {meta}
