"""Boosting prompts in a host's CLIP: against the plain reference in float64, through trainers that know nothing of them."""

import copy
import logging
import sys
from types import ModuleType, SimpleNamespace

import host_clip
import open_clip
import pytest
import torch
import torch.nn.functional as F
from yacs.config import CfgNode

import reference
from caspl.backbones import load_backbone
from caspl.boosting import BoostingHeader, save_boosting
from caspl.errors import InputError
from caspl.graft import HostCLIP, graft, graftable, grafted_trainer, is_grafted
from caspl.model import PromptedCLIP
from caspl.prompts import PromptGroup, Prompts
from caspl.text_tower import ClassTokens

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


def make_boosting(text=(3, 2), vision=(2, 3), width=64):
    """Prompts of (length, depth) in each tower; the demo student has 3 text and 4 image blocks."""
    torch.manual_seed(7)
    return Prompts(*([0.5 * torch.randn(length, width) for _ in range(depth)] for length, depth in (text, vision)))


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
    backbone = SimpleNamespace(model=model)
    fingerprint = type(load_backbone("demo/student")).fingerprint.func(backbone)
    assert HostCLIP.of(model, "x") == HostCLIP("x", fingerprint, 16, 0)


# ---------------------------------------------------------------------------------------------------------------------
# Trainers
# ---------------------------------------------------------------------------------------------------------------------
@pytest.fixture
def save(student, tmp_path):
    """`save(prompts)` -> a boosting checkpoint of the student."""

    def write(prompts, **changes):
        values = dict(
            student="demo/student",
            student_fingerprint=student.fingerprint,
            dataset="Digits",
            classnames=NAMES,
            names="all",
            teacher="demo/teacher",
            teacher_fingerprint="0" * 16,
            template="{}",
            temperature=1.0,
            loss="kl",
            epochs=1,
            seed=1,
            **BoostingHeader.shapes(prompts, student),
        )
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}" / "boosting.safetensors"
        path.parent.mkdir()
        save_boosting(path, prompts, BoostingHeader(**values | changes))
        return str(path)

    return write


def make_cfg(path, **keys):
    caspl = dict(BOOSTING=path, FREEZE=True, ONE_PHASE=False, DEPTH_OF_ADAPTING=False) | keys
    return CfgNode(
        {"TRAINER": {"CASPL": caspl}, "DATASET": {"NAME": "Digits"}, "MODEL": {"BACKBONE": {"NAME": "ViT-tiny"}}}
    )


def data(names=NAMES):
    return SimpleNamespace(dataset=SimpleNamespace(classnames=names))


HOSTS = [host_clip.CoOp, host_clip.CoCoOp, host_clip.KgCoOp]


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.__name__)
def test_hosts_train_on_a_boosted_clip(host, save, caplog):
    caplog.set_level(logging.INFO, logger="caspl")
    boosting = make_boosting()
    path = save(boosting)
    twin = grafted_trainer(host)
    assert (twin.__name__, twin.__module__) == (f"CasPL_{host.__name__}", "host_clip")
    assert issubclass(twin, host) and twin.__doc__ and "CasPL" not in (host.__doc__ or "")

    torch.manual_seed(0)
    trainer = twin(make_cfg(path), data())
    assert (
        f"Boosting prompts from {path}: 3 text tokens in 2 blocks, 2 vision tokens in 3 blocks, taught by demo/teacher on "
        f"Digits"
    ) in caplog.messages
    assert len([message for message in caplog.messages if message.startswith("Boosting prompts")]) == 1

    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    buffers = {name: value.clone() for name, value in trainer.model.named_buffers()}
    assert torch.equal(buffers["image_encoder.transformer.boosting.block1"], boosting.vision[1])
    images, labels = make_images(8, torch.float), torch.arange(8) % 4
    losses = [trainer.step(images, labels) for _ in range(15)]
    assert losses[-1] < 0.9 * losses[0]
    changed = {name for name, value in trainer.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name, p in trainer.model.named_parameters() if name.startswith("prompt_learner")}
    assert all(torch.equal(value, buffers[name]) for name, value in trainer.model.named_buffers())


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.__name__)
def test_with_no_boosting_tokens_a_twin_is_its_host(host, save):
    images, labels = make_images(4, torch.float), torch.arange(4)
    results = []
    for trainer_class in (host, grafted_trainer(host)):
        torch.manual_seed(0)
        trainer = trainer_class(make_cfg(save(Prompts())), data())
        losses = [trainer.step(images, labels) for _ in range(3)]
        results.append([torch.tensor(losses), trainer.model(images)])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_a_hosts_reference_is_of_the_boosted_clip(save):
    boosting = make_boosting()
    trainer = grafted_trainer(host_clip.KgCoOp)(make_cfg(save(boosting)), data())
    ids = host_clip.tokenize([f"a photo of a {name}." for name in NAMES])
    boosted = graft(host_clip.make_clip(), boosting).encode_text(ids)
    assert torch.equal(trainer.reference, F.normalize(boosted, dim=-1))


def test_a_teacher_is_left_alone(save, caplog):
    caplog.set_level(logging.INFO, logger="caspl")
    trainer = grafted_trainer(host_clip.WithTeacher)(make_cfg(save(make_boosting())), data())
    assert is_grafted(trainer.model)
    assert not is_grafted(trainer.teacher)
    teacher = load_backbone("demo/teacher").fingerprint
    assert (
        f"A CLIP with other weights ({teacher}) than the boosting prompts' student is left as it is" in caplog.messages
    )


def host_module(monkeypatch, name, **members):
    module = ModuleType(name)
    vars(module).update(members)
    monkeypatch.setitem(sys.modules, name, module)
    return module


def host_class(module, base, **members):
    return type("Host", (base,), {"__module__": module.__name__, **members})


def test_a_student_is_never_left_unboosted(save, student):
    path = save(make_boosting(), student_fingerprint="0123456789abcdef", student="ViT-B/16")
    with pytest.raises(InputError) as error:
        grafted_trainer(host_clip.CoOp)(make_cfg(path), data())
    for part in (path, "ViT-B/16 (0123456789abcdef)", f"ViT-tiny ({student.fingerprint})", "another student"):
        assert part in str(error.value)
    with pytest.raises(InputError, match="CasPL_NotOfTheFamily has built its model without a call of load_clip_to_cpu"):
        grafted_trainer(host_clip.NotOfTheFamily)(make_cfg(save(make_boosting())), data())


def test_what_is_wrong_with_the_checkpoint_is_said(save, tmp_path):
    twin = grafted_trainer(host_clip.CoOp)
    with pytest.raises(InputError, match='class list of Digits does not match.*"nine"'):
        twin(make_cfg(save(make_boosting())), data(["zero", "nine"]))
    with pytest.raises(InputError, match="no boosting checkpoint at .*run phase 1 first"):
        twin(make_cfg(str(tmp_path / "nothing")), data())
    with pytest.raises(InputError, match='the prompt "x x x x very .* boosting tokens makes 53'):
        twin(make_cfg(save(make_boosting(text=(6, 1)), dataset="Other")), data(["two", " ".join(["very"] * 40)]))


@pytest.mark.parametrize(
    "keys, sentence",
    [
        ({"BOOSTING": ""}, "TRAINER.CASPL.BOOSTING is empty; CasPL_CoOp needs"),
        (
            {"FREEZE": False, "ONE_PHASE": True},
            "TRAINER.CASPL.FREEZE is False and TRAINER.CASPL.ONE_PHASE is True, but in CasPL_CoOp the boosting",
        ),
        ({"DEPTH_OF_ADAPTING": True}, "TRAINER.CASPL.DEPTH_OF_ADAPTING is True, but in CasPL_CoOp"),
    ],
)
def test_keys_that_need_caspls_own_trainers(keys, sentence):
    with pytest.raises(InputError, match=sentence):
        grafted_trainer(host_clip.CoOp)(make_cfg("x", **keys), data())


def test_a_configuration_without_the_keys():
    cfg = CfgNode({"TRAINER": {"NAME": "CoOp"}})
    with pytest.raises(InputError, match="no TRAINER.CASPL, where CasPL_CoOp finds .*import caspl.plugin before"):
        grafted_trainer(host_clip.CoOp)(cfg, data())


def test_the_hosts_loader_is_put_back(save, monkeypatch):
    loader = host_clip.load_clip_to_cpu
    grafted_trainer(host_clip.CoOp)(make_cfg(save(make_boosting())), data())
    assert host_clip.load_clip_to_cpu is loader
    monkeypatch.setattr(host_clip, "CustomCLIP", None)
    monkeypatch.setattr(host_clip.CoOp, "network", None)
    with pytest.raises(TypeError):
        grafted_trainer(host_clip.CoOp)(make_cfg(save(make_boosting())), data())
    assert host_clip.load_clip_to_cpu is loader
    assert not is_grafted(loader(None))


def test_loaders_that_call_loaders_and_give_tuples(save, monkeypatch):
    """A trainer of one module on the base of another, whose loader it calls by its own, beside other things."""

    def load(cfg):
        return host_clip.load_clip_to_cpu(cfg), "preprocess"

    module = host_module(monkeypatch, "host_other", load_clip_to_cpu=load)

    def build_model(self):
        clip_model, _ = module.load_clip_to_cpu(self.cfg)
        self.model = clip_model

    boosting = make_boosting()
    trainer = grafted_trainer(host_class(module, host_clip.CoOp, build_model=build_model))(
        make_cfg(save(boosting)), data()
    )
    ids = host_clip.tokenize(["one."])
    assert torch.equal(trainer.model.encode_text(ids), graft(host_clip.make_clip(), boosting).encode_text(ids))
    assert module.load_clip_to_cpu is load

    alone = host_module(monkeypatch, "host_third", load_clip_to_cpu=lambda cfg: (host_clip.make_clip(), "preprocess"))

    def build_alone(self):
        self.model, _ = alone.load_clip_to_cpu(self.cfg)

    host = host_class(alone, object, __init__=host_clip.Trainer.__init__, build_model=build_alone)
    assert is_grafted(grafted_trainer(host)(make_cfg(save(boosting)), data()).model)


def test_a_trainer_that_builds_another(save, monkeypatch):
    def build_model(self):
        self.inner = grafted_trainer(host_clip.CoOp)(self.cfg, self.dm)
        host_clip.CoOp.build_model(self)

    outer = grafted_trainer(host_class(host_clip, host_clip.CoOp, build_model=build_model))
    trainer = outer(make_cfg(save(make_boosting())), data())
    assert is_grafted(trainer.model) and is_grafted(trainer.inner.model)
    assert not is_grafted(host_clip.load_clip_to_cpu(None))


def test_which_trainers_are_graftable(monkeypatch):
    assert graftable(host_clip.CoOp)
    assert not graftable(grafted_trainer(host_clip.CoOp))  # no twins of twins
    stranger = host_class(host_module(monkeypatch, "host_stranger"), object)
    assert not graftable(stranger)
    with pytest.raises(
        InputError, match="CasPL_Host can't be made: no module of Host has the function load_clip_to_cpu"
    ):
        grafted_trainer(stranger)
