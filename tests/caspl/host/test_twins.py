"""Trainers that know nothing of CasPL, behind boosting prompts."""

import logging
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from yacs.config import CfgNode

import host_clip
from boosting_files import make_boosting, write_boosting
from caspl.clip.backbones import load_backbone
from caspl.ground.errors import InputError
from caspl.host import graft as host_graft
from caspl.host.graft import graft, is_grafted
from caspl.host.twins import graftable, grafted_trainer
from caspl.prompting.learners import Prompts

NAMES = ["zero", "one", "a rather long name of two", "three (3)"]


def make_images(count):
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def save(tmp_path):
    """`save(prompts)` -> a boosting checkpoint of the student, its header changed by keywords."""

    def write(prompts, **changes):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}" / "boosting.safetensors"
        return write_boosting(path, prompts, **{"classnames": NAMES, **changes})

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
    images, labels = make_images(8), torch.arange(8) % 4
    losses = [trainer.step(images, labels) for _ in range(15)]
    assert losses[-1] < 0.9 * losses[0]
    changed = {name for name, value in trainer.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name, p in trainer.model.named_parameters() if name.startswith("prompt_learner")}
    assert all(torch.equal(value, buffers[name]) for name, value in trainer.model.named_buffers())


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.__name__)
def test_with_no_boosting_tokens_a_twin_is_its_host(host, save, monkeypatch):
    """No file holds prompts without tokens, so they take the place of those in one."""
    path, read = save(make_boosting()), host_graft.load_boosting
    monkeypatch.setattr(host_graft, "load_boosting", lambda *a, **k: (Prompts(), read(*a, **k)[1]))
    images, labels = make_images(4), torch.arange(4)
    results = []
    for trainer_class in (host, grafted_trainer(host)):
        torch.manual_seed(0)
        trainer = trainer_class(make_cfg(path), data())
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
    assert "A CLIP that is not the boosting prompts' student is left as it is" in caplog.messages


def host_module(monkeypatch, name, **members):
    module = ModuleType(name)
    vars(module).update(members)
    monkeypatch.setitem(sys.modules, name, module)
    return module


def host_class(module, base, **members):
    return type("Host", (base,), {"__module__": module.__name__, **members})


def test_a_student_is_never_left_unboosted(save):
    path = save(make_boosting(), student_fingerprint="0123456789abcdef", student="ViT-B/16")
    weights = load_backbone("demo/student").fingerprint
    with pytest.raises(InputError) as error:
        grafted_trainer(host_clip.CoOp)(make_cfg(path), data())
    for part in (path, "ViT-B/16 (0123456789abcdef)", f"ViT-tiny ({weights})", "another student"):
        assert part in str(error.value)
    with pytest.raises(InputError, match="CasPL_NotOfTheFamily has built its model without a call of load_clip_to_cpu"):
        grafted_trainer(host_clip.NotOfTheFamily)(make_cfg(save(make_boosting())), data())


def test_what_is_wrong_with_the_checkpoint_is_said(save, tmp_path):
    twin = grafted_trainer(host_clip.CoOp)
    with pytest.raises(InputError, match='class list of Digits does not match.*"nine"'):
        twin(make_cfg(save(make_boosting())), data(["zero", "nine"]))
    with pytest.raises(
        InputError, match="there is no file or folder .*as phase 1 .python train.py --trainer CasPLBoost"
    ):
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
