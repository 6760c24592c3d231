"""Boosting prompts in a host's CLIP, against the plain reference in float64."""

import copy

import open_clip
import pytest
import torch
import torch.nn.functional as F

import host_clip
import reference
from boosting_files import make_boosting, write_boosting
from caspl.checkpoints.boosting import OtherStudent
from caspl.clip.backbones import Backbone, load_backbone
from caspl.ground.errors import InputError
from caspl.host.graft import HostCLIP, boost, graft, is_grafted
from caspl.prompting.groups import PromptGroup
from caspl.prompting.layout import ClassTokens
from caspl.prompting.learners import Prompts
from caspl.prompting.model import PromptedCLIP

NAMES = ["zero", "one", "a rather long name of two", "three (3)"]
POSITIONS = 48


@pytest.fixture(scope="module")
def student():
    return load_backbone("demo/student")


@pytest.fixture(scope="module")
def exact():
    """The student in float64."""
    backbone = load_backbone("demo/student")
    backbone.model.double()
    return backbone


def in_double(boosting):
    return PromptGroup(*(tuple(t.detach().double() for t in tower) for tower in (boosting.text, boosting.vision)))


def make_images(count=3, dtype=torch.double):
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=dtype)


def close(a, b):
    assert a.shape == b.shape
    assert (a - b).abs().max() < 1e-9


def same_gradients(ours, plain):
    for a, b in zip(ours, plain, strict=True):
        assert b.abs().max() > 0
        assert (a - b).abs().max() / b.abs().max() < 1e-8


SHAPES = {
    "deep": ((3, 2), (2, 3)),
    "shallow": ((3, 1), (2, 1)),
    "as deep as the towers": ((4, 3), (3, 4)),
    "text only": ((3, 2), (0, 0)),
    "images only": ((0, 0), (2, 2)),
    "one token": ((1, 3), (1, 4)),
}


# ---------------------------------------------------------------------------------------------------------------------
# Numbers
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("shape", SHAPES)
def test_a_host_with_context_tokens_is_exact(exact, shape):
    boosting, images = make_boosting(*SHAPES[shape]), make_images()
    torch.manual_seed(0)
    model = host_clip.CustomCLIP(NAMES, graft(host_clip.make_clip(), boosting).double())
    ctx = model.prompt_learner.ctx.detach().clone().requires_grad_()
    groups, tokens = [in_double(boosting), PromptGroup(text=(ctx,))], ClassTokens(NAMES, exact.tokenizer)
    plain_text = F.normalize(reference.text_features(exact.model, tokens, groups), dim=-1)
    plain_images = F.normalize(reference.image_features(exact.model.visual, images, groups), dim=-1)
    close(model.class_features(), plain_text)
    close(model.image_features(images), plain_images)

    plain = exact.model.logit_scale.exp() * plain_images @ plain_text.T
    logits, labels = model(images), torch.tensor([0, 2, 3])
    close(logits, plain)
    F.cross_entropy(logits, labels).backward()
    F.cross_entropy(plain, labels).backward()
    same_gradients([model.prompt_learner.ctx.grad], [ctx.grad])


def test_a_host_whose_context_depends_on_the_image_is_exact(exact):
    boosting, images = make_boosting(), make_images()
    torch.manual_seed(0)
    clip_model = graft(host_clip.make_clip().double(), boosting)  # the other order: the prompts are still in float32
    model = host_clip.ConditionalCLIP(NAMES, clip_model)
    model.prompt_learner.meta_net.double()
    learner, tokens = model.prompt_learner, ClassTokens(NAMES, exact.tokenizer)
    parameters = list(learner.parameters())

    group = in_double(boosting)
    features = F.normalize(reference.image_features(exact.model.visual, images, [group]), dim=-1)
    rows = []
    for feature in features:
        own = PromptGroup(text=(learner.ctx + learner.meta_net(feature),))
        classes = F.normalize(reference.text_features(exact.model, tokens, [group, own]), dim=-1)
        rows.append(exact.model.logit_scale.exp() * feature @ classes.T)
    ours, plain = model(images), torch.stack(rows)
    close(ours, plain)
    weights = torch.randn(plain.shape, generator=torch.Generator().manual_seed(2), dtype=torch.double)
    same_gradients(
        torch.autograd.grad((ours * weights).sum(), parameters),
        torch.autograd.grad((plain * weights).sum(), parameters),
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_zero_shot_is_the_boosted_clip(exact, shape):
    boosting, images = make_boosting(*SHAPES[shape]), make_images()
    clip_model = graft(host_clip.make_clip(), boosting).double()
    with torch.no_grad():
        features = F.normalize(clip_model.encode_image(images), dim=-1)
        classes = F.normalize(clip_model.encode_text(host_clip.tokenize([f"{name}." for name in NAMES])), dim=-1)
        logits = clip_model.logit_scale.exp() * features @ classes.T
        close(logits, PromptedCLIP(exact, NAMES)(images, [in_double(boosting)]))


def test_a_host_with_its_own_tokens_at_the_input_of_the_image_tower_is_exact(exact):
    boosting, images = make_boosting(), make_images()
    clip_model = graft(host_clip.make_clip(vision=host_clip.ShallowPromptVision), boosting).double()
    ours, own = clip_model.encode_image(images), clip_model.visual.VPT
    plain = reference.image_features(exact.model.visual, images, [in_double(boosting), PromptGroup(vision=(own,))])
    close(ours, plain)
    same_gradients(torch.autograd.grad(ours.sum(), [own]), torch.autograd.grad(plain.sum(), [own]))


def test_a_host_that_runs_the_blocks_itself_is_boosted_too():
    clip_model = graft(host_clip.make_clip(), make_boosting()).double()
    x = torch.randn(POSITIONS, 2, 64, dtype=torch.double)
    together = one_by_one = x
    together = clip_model.transformer(together)
    for block in clip_model.transformer.resblocks:
        one_by_one = block(one_by_one)
    assert torch.equal(together.nan_to_num(), one_by_one.nan_to_num())


def test_shorter_prompts_than_the_mask_allows(exact):
    """A host that cuts the padding off, and its masks with it."""
    boosting = make_boosting()
    clip_model = graft(host_clip.make_clip(), boosting).double()
    ids = host_clip.tokenize(["two.", "one."])
    full, n = clip_model.encode_text(ids), 10
    for block in clip_model.transformer.resblocks:
        block.mask = block.mask[:n, :n]
    x = clip_model.token_embedding(ids[:, :n]) + clip_model.positional_embedding[:n]
    x = clip_model.ln_final(clip_model.transformer(x.transpose(0, 1)).transpose(0, 1))
    close(x[torch.arange(2), ids.argmax(-1)] @ clip_model.text_projection, full)
    with pytest.raises(InputError, match=r"given 4 positions, too few for \[SOS\], 3 boosting tokens .* length of 48"):
        clip_model.transformer(torch.zeros(4, 2, 64, dtype=torch.double))


@pytest.mark.parametrize("train", [False, True])
def test_an_empty_group_leaves_every_bit(train):
    plain, grafted = host_clip.make_clip(), graft(host_clip.make_clip(), Prompts())
    ids, images = host_clip.tokenize([f"{name}." for name in NAMES]), make_images(dtype=torch.float)
    assert not is_grafted(grafted)
    models = []
    for clip_model in (plain.train(train), grafted.train(train)):
        torch.manual_seed(0)
        models.append(host_clip.ConditionalCLIP(NAMES, clip_model))
    assert torch.equal(models[0](images), models[1](images))
    assert torch.equal(plain.encode_text(ids), grafted.encode_text(ids))


def test_an_empty_tower_keeps_every_bit():
    plain, images = host_clip.make_clip(), make_images(dtype=torch.float)
    ids = host_clip.tokenize([f"{name}." for name in NAMES])
    text_only = graft(host_clip.make_clip(), make_boosting(vision=(0, 0)))
    vision_only = graft(host_clip.make_clip(), make_boosting(text=(0, 0)))
    assert torch.equal(text_only.encode_image(images), plain.encode_image(images))
    assert torch.equal(vision_only.encode_text(ids), plain.encode_text(ids))
    assert not torch.allclose(text_only.encode_text(ids), plain.encode_text(ids))
    assert not torch.allclose(vision_only.encode_image(images), plain.encode_image(images))


# ---------------------------------------------------------------------------------------------------------------------
# Room at the end of the text
# ---------------------------------------------------------------------------------------------------------------------
def test_positions_that_were_cut_are_nan_and_no_others():
    clip_model = graft(host_clip.make_clip(), make_boosting())
    x = clip_model.transformer(torch.randn(POSITIONS, 2, 64))
    assert x.shape == (POSITIONS, 2, 64)
    assert x[-3:].isnan().all()
    assert not x[:-3].isnan().any()


def test_room_for_the_end_of_the_prompt(exact):
    boosting = make_boosting()
    clip_model = graft(host_clip.make_clip(), boosting).double()
    words = " ".join(["very"] * 41)  # [SOS], 43 words with the name and the point, [EOS]: 45 of 48 positions
    features = F.normalize(clip_model.encode_text(host_clip.tokenize([f"{words} far."])), dim=-1)
    tokens = ClassTokens([f"{words} far"], exact.tokenizer)
    close(features, F.normalize(reference.text_features(exact.model, tokens, [in_double(boosting)]), dim=-1))

    sentence = (
        r'the prompt "very very .* far \." takes 46 tokens .* 3 boosting tokens makes 49, .* 48 positions; shorten'
    )
    with pytest.raises(InputError, match=sentence):
        clip_model.encode_text(host_clip.tokenize(["one.", f"very {words} far.", "two."]))
    with pytest.raises(InputError, match=sentence):
        clip_model.token_embedding(host_clip.tokenize(f"very {words} far.")[0])
    clip_model.token_embedding(torch.tensor([49407]))  # single words are no prompts
    clip_model.token_embedding(torch.tensor(5))


def test_images_alone_take_no_room_from_the_text():
    clip_model = graft(host_clip.make_clip(), make_boosting(text=(0, 0)))
    assert clip_model.encode_text(host_clip.tokenize(" ".join(["very"] * 46))).isfinite().all()


# ---------------------------------------------------------------------------------------------------------------------
# Formats, copies, saving
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", [torch.half, torch.bfloat16])
@pytest.mark.parametrize("norms_too", [False, True])
def test_half_precision(dtype, norms_too):
    """The whole model cast after grafting, or OpenAI's split: LayerNorms and embeddings stay in float32."""
    ids, images = host_clip.tokenize([f"{name}." for name in NAMES]), make_images(dtype=torch.float)
    single = graft(host_clip.make_clip(), make_boosting())
    if norms_too:
        model = graft(host_clip.make_clip(), make_boosting()).to(dtype)
    else:
        model = host_clip.make_clip()
        for module in model.modules():
            if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d, torch.nn.MultiheadAttention)):
                module.to(dtype)
        model.text_projection.data, model.visual.proj.data = (
            p.data.to(dtype) for p in (model.text_projection, model.visual.proj)
        )
        model = graft(model, make_boosting())
    with torch.no_grad():
        for ours, plain in (
            (model.encode_text(ids), single.encode_text(ids)),
            (model.encode_image(images), single.encode_image(images)),
        ):
            assert ours.dtype == dtype
            assert F.cosine_similarity(ours.float(), plain).min() > (0.999 if dtype == torch.half else 0.99)
    if not norms_too:  # the prompts have kept their precision
        model.float()
        boosting = make_boosting()
        assert torch.equal(model.transformer.boosting.entry(1), boosting.text[1])
        assert torch.equal(model.visual.transformer.boosting.entry(0), boosting.vision[0])


def test_autocast():
    images = make_images(dtype=torch.float)
    torch.manual_seed(0)
    model = host_clip.CustomCLIP(NAMES, graft(host_clip.make_clip(), make_boosting()))
    plain = model(images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(images)
    F.cross_entropy(logits.float(), torch.tensor([0, 1, 2])).backward()
    assert (logits - plain).abs().max() < 0.1 * plain.abs().max()
    assert model.prompt_learner.ctx.grad.isfinite().all()


def test_the_state_dict_is_the_hosts_own():
    plain = host_clip.make_clip()
    grafted = graft(host_clip.make_clip(), make_boosting())
    assert grafted.state_dict().keys() == plain.state_dict().keys()
    assert [name for name, _ in grafted.named_parameters()] == [name for name, _ in plain.named_parameters()]
    grafted.load_state_dict(plain.state_dict())
    names = [name for name, _ in grafted.named_buffers()]
    assert len(names) == 5
    assert not any("prompt_learner" in name or "VPT" in name for name in names)
    assert grafted.dtype == torch.float
    assert (grafted.transformer.width, grafted.transformer.layers, len(grafted.transformer.resblocks)) == (64, 3, 3)


def test_one_call_boosts_a_clip_from_a_file(tmp_path):
    boosting = make_boosting()
    path = write_boosting(tmp_path / "boosting.safetensors", boosting)
    model = host_clip.make_clip()
    header = boost(model, path)
    ids = host_clip.tokenize(["one."])
    assert header.teacher == "demo/teacher"
    assert torch.equal(model.encode_text(ids), graft(host_clip.make_clip(), boosting).encode_text(ids))
    with pytest.raises(OtherStudent, match="network .* here; choose"):
        boost(host_clip.make_clip("teacher"), path)


def test_a_copy_stands_on_its_own():
    model = graft(host_clip.make_clip(), make_boosting())
    ids, images = host_clip.tokenize([f"{name}." for name in NAMES]), make_images(dtype=torch.float)
    text, features = model.encode_text(ids), model.encode_image(images)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for tensor in [*model.parameters(), *model.buffers()]:
            tensor.zero_()
    assert torch.equal(twin.encode_text(ids), text)
    assert torch.equal(twin.encode_image(images), features)
    with pytest.raises(InputError, match="takes 46 tokens"):
        twin.encode_text(host_clip.tokenize(" ".join(["very"] * 44)))


def test_the_prompts_follow_their_tower_to_its_device():
    model = graft(host_clip.make_clip(), make_boosting()).to("meta")
    assert {buffer.device.type for buffer in model.buffers()} == {"meta"}
    assert model.transformer(torch.zeros(POSITIONS, 2, 64, device="meta")).device.type == "meta"
    assert model.encode_image(torch.zeros(2, 3, 32, 32, device="meta")).device.type == "meta"


def test_grafting_draws_no_random_numbers():
    torch.manual_seed(0)
    expected = torch.rand(1)
    model, boosting = host_clip.make_clip(), make_boosting()
    torch.manual_seed(0)
    graft(model, boosting)
    assert torch.equal(torch.rand(1), expected)


# ---------------------------------------------------------------------------------------------------------------------
# What can't be grafted
# ---------------------------------------------------------------------------------------------------------------------
def resnet():
    model = host_clip.make_clip()
    model.visual = host_clip.ResNet()
    return model


def batch_first():
    model = host_clip.make_clip()
    for block in model.transformer.resblocks:
        block.attn.batch_first = True
    return model


REFUSED = {
    "twice": (
        lambda: graft(host_clip.make_clip(), make_boosting(text=(0, 0))),
        {},
        "boosting prompts inside already; graft them into one fresh",
    ),
    "ResNet": (resnet, {}, "image tower .* is a ResNet and takes no prompts, .* 2 vision tokens; .*N_CTX_VISION 0"),
    "text width": (
        host_clip.make_clip,
        {"width": 32, "vision": (0, 0)},
        "text tower are 32 wide, but the tower is 64 wide; use",
    ),
    "vision width": (host_clip.make_clip, {"width": 32, "text": (0, 0)}, "image tower are 32 wide, .* 64 wide; use"),
    "text blocks": (host_clip.make_clip, {"text": (3, 4)}, "enter 4 blocks of the text tower, but it has 3; use"),
    "vision blocks": (host_clip.make_clip, {"vision": (2, 5)}, "enter 5 blocks of the image tower, .* has 4; use"),
    "deep text prompts": (
        lambda: host_clip.make_clip(text_block=host_clip.DeepPromptBlock),
        {},
        r"block 0 of the text tower \(DeepPromptBlock\) puts prompts of its own in the place of tokens, .* switch them off",
    ),
    "deep vision prompts": (
        lambda: host_clip.make_clip(vision_block=host_clip.DeepPromptBlock),
        {},
        r"block 0 of the image tower \(DeepPromptBlock\) puts prompts of its own .* CasPL_IVLP",
    ),
    "lists": (
        lambda: host_clip.make_clip(text_block=host_clip.ListBlock),
        {},
        "ListBlock. takes more than a tensor of tokens .ValueError when called with one., .* CasPL_MaPLe",
    ),
    "growing": (
        lambda: host_clip.make_clip(vision_block=host_clip.GrowingBlock),
        {},
        "GrowingBlock. gives other things than a tensor with the tokens",
    ),
    "other order": (batch_first, {}, r"block 0 of the text tower \(Block\) takes tokens as \[batch, tokens, width\]"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_a_sentence(case):
    make, shape, sentence = REFUSED[case]
    model = make()
    hooks = sum(len(module._forward_pre_hooks) for module in model.modules())
    with pytest.raises(InputError, match=sentence) as error:
        graft(model, make_boosting(**shape))
    assert "\n" not in str(error.value)
    assert hooks == sum(len(module._forward_pre_hooks) for module in model.modules())  # nothing was half done


def test_a_block_called_with_a_list_is_refused_when_it_is_called():
    model = graft(host_clip.make_clip(text_block=host_clip.EitherBlock), make_boosting())
    plain = graft(host_clip.make_clip(), make_boosting())
    ids = host_clip.tokenize(["one."])
    assert torch.equal(model.encode_text(ids), plain.encode_text(ids))
    with pytest.raises(InputError, match=r"first block \(EitherBlock\) with list in the place of a tensor of tokens"):
        model.transformer.resblocks([torch.zeros(48, 1, 64), "prompts", 0])


def test_towers_without_boosting_tokens_may_be_anything(student):
    boosting = make_boosting(vision=(0, 0))
    graft(resnet(), boosting)
    deep = graft(host_clip.make_clip(vision_block=host_clip.DeepPromptBlock), boosting)
    ids = host_clip.tokenize([f"{name}." for name in NAMES])
    assert torch.equal(deep.encode_text(ids), graft(host_clip.make_clip(), boosting).encode_text(ids))
    assert not is_grafted(student.model)


def test_a_patched_clip_has_the_fingerprint_of_its_weights(student):
    plain = HostCLIP.of(host_clip.make_clip(), "x")
    assert plain == HostCLIP("x", student.fingerprint, student.text_width, student.vision_width)
    patched = host_clip.make_clip(text_block=host_clip.DeepPromptBlock, vision=host_clip.ShallowPromptVision)
    assert HostCLIP.of(patched.half(), "x") == plain
    assert HostCLIP.of(host_clip.make_clip("teacher"), "x").fingerprint == load_backbone("demo/teacher").fingerprint
    assert HostCLIP.of(resnet(), "x").vision_width == 0


def test_a_resnets_weights_all_count():
    model = open_clip.CLIP(
        16, dict(layers=(1, 1, 1, 1), width=8, head_width=16, image_size=32), dict(width=16, heads=1)
    )
    backbone = Backbone("x", model, None, (32, 32), (), ())
    assert HostCLIP.of(model, "x") == HostCLIP("x", backbone.fingerprint, 16, 0)
