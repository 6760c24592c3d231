"""A test, a start and a resumption compare the command with what the model file says of its run."""

import json
import re
import shlex
import shutil

import pytest
import torch
from dassl.engine import TRAINER_REGISTRY, TrainerBase, build_trainer
from dassl.utils import load_checkpoint, reset_logger, save_checkpoint, set_random_seed
from PIL import Image

import train
from caspl.ground.errors import InputError

from .conftest import ROOT

SHORT = ("OPTIM.MAX_EPOCH", "1", "DATASET.NUM_SHOTS", "1", "TEST.NO_TEST", "True", "DATALOADER.NUM_WORKERS", "0")
BASE, NEW = (("DATASET.SUBSAMPLE_CLASSES", name) for name in ("base", "new"))
RUNS = {  # name: trainer, settings
    "plain": ("CoOp", ("TRAINER.COOP.N_CTX", "4", "TRAINER.COOP.PREC", "amp")),
    "specific": ("CoOp", ("TRAINER.COOP.N_CTX", "4", "TRAINER.COOP.CSC", "True")),
    "middle": ("KgCoOp", ("TRAINER.COOP.N_CTX", "4", "TRAINER.COOP.CLASS_TOKEN_POSITION", "middle")),
    "conditional": ("CoCoOp", ("TRAINER.COCOOP.CTX_INIT", "a picture of a")),
    "words": ("VPT", ()),
    "rest": ("MaPLe", ()),
    "averaged": ("PromptSRC", ("TRAINER.PROMPTSRC.GPA_FROZEN", "True", "TRAINER.PROMPTSRC.GPA_MEAN", "1")),
    "sources": ("PromptSRC", ()),
    "cascade": ("CasPL_IVLP", ()),
    "template": ("ProGrad", ("TRAINER.COOP.N_CTX", "6", "TRAINER.COOP.CTX_INIT", "template")),
    "phase 1": ("CasPLBoost", ()),
}


def arguments(data, trainer, folder, *more):
    files = [ROOT / "configs/datasets/digits.yaml", ROOT / f"configs/trainers/{trainer}/digits.yaml"]
    flags = ("--root", data, "--trainer", trainer, "--output-dir", folder, "--seed", "1")
    return [*map(str, (*flags, "--dataset-config-file", files[0], "--config-file", files[1])), *map(str, more)]


@pytest.fixture(scope="module")
def made(data, boosting, tmp_path_factory):
    """`made("plain")` -> the folder of a run, made once, of one epoch on base classes."""
    folder, found = tmp_path_factory.mktemp("runs"), {}

    def make(name):
        if name not in found:
            trainer, settings = RUNS[name]
            more = ("TRAINER.CASPL.BOOSTING", boosting) if trainer.startswith("CasPL_") else ()
            more = (*SHORT, *BASE, *settings, *more)
            try:
                assert train.main(arguments(data, trainer, folder / name, *more)) == 0
            finally:
                reset_logger()
            found[name] = folder / name
        return found[name]

    return make


@pytest.fixture
def load(data, made, tmp_path):
    """`load("plain", "KEY", "VALUE")`: load the run's model as --eval-only does; its own settings but for those given."""

    def call(name, *more, trainer="", folder=None, epoch=1):
        words = arguments(data, trainer or RUNS[name][0], tmp_path, *SHORT, *BASE, *RUNS[name][1], *more)
        cfg = train.setup_cfg(train.parse_args(words))
        set_random_seed(1)
        built = build_trainer(cfg)
        built.load_model(str(folder or made(name)), epoch=epoch)
        return built

    return call


def model_file(folder):
    (path,) = folder.glob("*/model.pth.tar-1")
    return path


def without_entry(folder, copy, *beside):
    """The run as the program left it before files said of what they are, with only some of the files beside."""
    path = model_file(folder)
    target = copy / path.parent.name
    target.mkdir(parents=True)
    content = load_checkpoint(path)
    del content["run"]
    save_checkpoint(content, str(target))
    for name in beside:
        shutil.copy(folder / name, copy / name)
    return copy


# ---------------------------------------------------------------------------------------------------------------------
# Tests
# ---------------------------------------------------------------------------------------------------------------------
WRONG = {
    "classes": (
        "specific",
        NEW,
        ('it is class-specific, for 5 classes, and here are 5, without "zero"', 'with "five"'),
    ),
    "fewer classes": ("specific", ("DATASET.SUBSAMPLE_CLASSES", "all"), ('here are 10, with "five"',)),
    "not specific": ("specific", (*NEW, "TRAINER.COOP.CSC", "False"), ("CSC was True and is False", 'with "five"')),
    "position": ("plain", ("TRAINER.COOP.CLASS_TOKEN_POSITION", "middle"), ("POSITION was end and is middle",)),
    "middle": ("middle", ("TRAINER.COOP.CLASS_TOKEN_POSITION", "front"), ("POSITION was middle and is front",)),
    "CLIP": ("plain", ("MODEL.BACKBONE.NAME", "{clip}"), ("clip.pt, but network demo/student (", "clip.pt (")),
    "interpolation": ("plain", ("INPUT.INTERPOLATION", "nearest"), ("INTERPOLATION was bicubic and is nearest",)),
    "mean": ("rest", ("INPUT.PIXEL_MEAN", "[0.5, 0.5, 0.5]"), ("PIXEL_MEAN was '[0.48", "is '[0.5, 0.5, 0.5]'")),
    "no mean": ("words", ("INPUT.TRANSFORMS", "['random_flip']"), ("INPUT.TRANSFORMS was ",)),
    "less exact": ("specific", ("TRAINER.COOP.PREC", "bf16"), ("TRAINER.COOP.PREC was fp32 and is bf16",)),
    "tokens": ("plain", ("TRAINER.COOP.N_CTX", "5"), ("TRAINER.COOP.N_CTX was 4 and is 5",)),
    "depth": ("rest", ("TRAINER.MAPLE.PROMPT_DEPTH", "1"), ("TRAINER.MAPLE.PROMPT_DEPTH was ",)),
    "fixed words": ("words", ("TRAINER.VPT.CTX_INIT", "a blurry photo"), ("CTX_INIT was 'a photo of a' and is 'a bl",)),
    "no words": ("words", ("TRAINER.VPT.CTX_INIT", ""), ("CTX_INIT was 'a photo of a' and is ''",)),
    "rest of the words": ("rest", ("TRAINER.MAPLE.CTX_INIT", "a photo in red"), ("TRAINER.MAPLE.CTX_INIT was ",)),
    "of a cascade": ("cascade", ("TRAINER.IVLP.CTX_INIT", "a photo in red"), ("TRAINER.IVLP.CTX_INIT was ",)),
    "depth of a cascade": (
        "cascade",
        ("TRAINER.CASPL.BOOSTING", "{boosting}", "TRAINER.CASPL.DEPTH_OF_ADAPTING", "True"),
        ("DEPTH_OF_ADAPTING was False and is True",),
    ),
    "frozen average": ("averaged", ("TRAINER.PROMPTSRC.GPA_FROZEN", "False"), ("GPA_FROZEN was True and is False",)),
    "epochs of it": ("averaged", ("OPTIM.MAX_EPOCH", "2"), ("OPTIM.MAX_EPOCH was 1 and is 2",)),
    "several": (
        "plain",
        ("INPUT.INTERPOLATION", "nearest", "TRAINER.COOP.CLASS_TOKEN_POSITION", "front", "TRAINER.COOP.N_CTX", "2"),
        ("N_CTX was 4", "POSITION was end", "INTERPOLATION was bicubic"),
    ),
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Another CLIP of the shapes of demo/student."""
    from caspl.clip.backbones import load_backbone

    model = load_backbone("demo/student").model
    with torch.no_grad():
        model.visual.conv1.weight.mul_(1.5)
    path = tmp_path_factory.mktemp("clip") / "clip.pt"
    torch.save(model.state_dict(), path)
    return path


@pytest.mark.parametrize("case", WRONG)
def test_a_test_of_another_network_is_refused_and_the_advice_leads_on(case, load, clip, boosting):
    name, more, said = WRONG[case]
    more = [word.format(clip=clip, boosting=boosting) if word.startswith("{") else word for word in more]
    with pytest.raises(InputError, match="is of another network than this command asks for") as caught:
        load(name, *more)
    sentence = str(caught.value)
    assert all(part in sentence for part in said), sentence
    advice = shlex.split(sentence.rpartition("; write ")[2])
    assert advice and len(advice) % 2 == 0
    load(name, *more, *advice)


def test_own_classes_are_told_with_the_files_that_say_them(data, tmp_path, capsys):
    images, names, other = (tmp_path / name for name in ("images", "names.txt", "other.txt"))
    for number, name in enumerate(("ant", "bee")):
        (images / name).mkdir(parents=True)
        for image in range(4):
            Image.new("RGB", (32, 32), (60 * image, 200 * number, 9)).save(images / name / f"{image}.png")
    names.write_text("ant wood ant\nbee honey bee\n")
    other.write_text("ant honey bee\nbee wood ant\n")
    own = (*SHORT, "DATASET.NAME", "ImageFolder", "TRAINER.COOP.CSC", "True", "TRAINER.COOP.N_CTX", "4")
    paths = ("DATASET.PATHS", f"['{images}']", "DATASET.CLASSNAMES")

    def call(*more):
        try:
            return train.main(arguments(data, "CoOp", *more))
        finally:
            reset_logger()

    test = (tmp_path / "test", "--eval-only", "--model-dir", tmp_path / "run", "--load-epoch", "1", *own)
    assert call(tmp_path / "run", *own, *paths, names) == 0
    assert call(*test, *paths, other) == 2
    said = capsys.readouterr().err
    assert (
        f"the same in another order; DATASET.CLASSNAMES was {names} and is {other}; write DATASET.CLASSNAMES {names}"
        in said
    )
    assert call(*test, "DATASET.NAME", "Digits", *BASE) == 2
    assert call(*test, *shlex.split(capsys.readouterr().err.rpartition("; write ")[2])) == 0


def test_another_method_is_refused(load):
    with pytest.raises(InputError, match=r"TRAINER.NAME was CoOp and is KgCoOp; write TRAINER.NAME CoOp$"):
        load("plain", trainer="KgCoOp")


MAY_DIFFER = {
    "new classes": ("plain", NEW),
    "all classes": ("conditional", ("DATASET.SUBSAMPLE_CLASSES", "all")),
    "classes of a cascade": ("cascade", NEW),
    "classes of phase 1": ("phase 1", NEW),
    "boosting left out": ("cascade", ()),
    "batches": ("plain", ("DATALOADER.TEST.BATCH_SIZE", "7", "DATALOADER.TRAIN_X.BATCH_SIZE", "3")),
    "seed and shots": ("rest", ("SEED", "5", "DATASET.NUM_SHOTS", "16")),
    "optimisation": ("words", ("OPTIM.LR", "0.5", "OPTIM.MAX_EPOCH", "7", "OPTIM.NAME", "adam")),
    "weight of a loss": ("middle", ("TRAINER.COOP.W", "2.0")),
    "memory": ("conditional", ("TRAINER.COCOOP.MEMORY", "0.5")),
    "augmentation": ("plain", ("INPUT.TRANSFORMS", "['normalize', 'random_resized_crop']")),
    "more exact": ("plain", ("TRAINER.COOP.PREC", "fp32")),
    "the same on a CPU": ("specific", ("TRAINER.COOP.PREC", "fp16")),
    "words that were learned": ("plain", ("TRAINER.COOP.CTX_INIT", "this is a photo")),
    "words that the same are left of": ("rest", ("TRAINER.MAPLE.CTX_INIT", "my picture of a")),
    "number beside words": ("conditional", ("TRAINER.COCOOP.N_CTX", "4")),
    "template": ("template", NEW),
}


@pytest.mark.parametrize("case", MAY_DIFFER)
def test_what_changes_nothing_of_the_network_may_differ(case, load, made):
    name, more = MAY_DIFFER[case]
    trainer = load(name, *more)
    stored = load_checkpoint(model_file(made(name)))["state_dict"]
    learned = trainer.model.learner.state_dict()
    assert learned.keys() == stored.keys() and all(torch.equal(learned[key], stored[key]) for key in stored)


@pytest.mark.slow
def test_a_linear_probe_is_of_its_classes(data, tmp_path, capsys):
    words = ("--root", data, "--trainer", "LinearProbe", "--seed", "1")
    words += ("--dataset-config-file", ROOT / "configs/datasets/digits.yaml")
    words += ("--config-file", ROOT / "configs/trainers/LinearProbe/digits.yaml")
    few = ("DATASET.NUM_SHOTS", "1", "TRAINER.LINEARPROBE.MAX_ITER", "5", "DATALOADER.NUM_WORKERS", "0")

    def call(*flags):
        try:
            return train.main([*map(str, (*words, *flags))])
        finally:
            reset_logger()

    assert call("--output-dir", tmp_path / "run", *few, *BASE) == 0
    test = ("--output-dir", tmp_path / "test", "--eval-only", "--model-dir", tmp_path / "run", "--load-epoch", "1")
    assert call(*test, *few, *BASE) == 0
    assert call(*test, *few, *NEW) == 2
    assert 'for 5 classes, and here are 5, without "zero"' in capsys.readouterr().err


def test_the_best_model_says_it_too(load, made, tmp_path):
    shutil.copytree(made("plain"), tmp_path / "best")
    model_file(tmp_path / "best").rename(tmp_path / "best" / "prompt_learner" / "model-best.pth.tar")
    load("plain", folder=tmp_path / "best", epoch=None)
    with pytest.raises(InputError, match=r"model-best.pth.tar .*INTERPOLATION was bicubic and is nearest"):
        load("plain", "INPUT.INTERPOLATION", "nearest", folder=tmp_path / "best", epoch=None)


# ---------------------------------------------------------------------------------------------------------------------
# Files without the entry
# ---------------------------------------------------------------------------------------------------------------------
BESIDE = {
    "both": (
        ("resume.pth.tar", "prompts.safetensors"),
        (("plain", ("TRAINER.COOP.CLASS_TOKEN_POSITION", "middle")), ("specific", NEW), ("plain", ("{clip}",))),
    ),
    "configuration": (
        ("resume.pth.tar",),
        (
            ("plain", ("TRAINER.COOP.CLASS_TOKEN_POSITION", "middle")),
            ("specific", NEW),
            ("words", ("TRAINER.VPT.CTX_INIT", "one")),
            ("plain", ("INPUT.INTERPOLATION", "nearest")),
            ("specific", ("TRAINER.COOP.PREC", "bf16")),
        ),
    ),
    "prompts": (
        ("prompts.safetensors",),
        (
            ("plain", ("TRAINER.COOP.CLASS_TOKEN_POSITION", "middle")),
            ("specific", NEW),
            ("plain", ("INPUT.INTERPOLATION", "nearest")),
            ("plain", ("{clip}",)),
        ),
    ),
}


OLDER_MAY = {  # what is known of an older run decides, too
    "averaged": ("OPTIM.LR", "0.5"),
    "sources": ("OPTIM.MAX_EPOCH", "9", "TRAINER.PROMPTSRC.GPA_MEAN", "3"),
    "plain": (*NEW, "INPUT.TRANSFORMS", "['normalize', 'random_flip']", "OPTIM.MAX_EPOCH", "9"),
    "rest": (*NEW, "TRAINER.MAPLE.PREC", "fp32"),
}


@pytest.mark.parametrize("name", OLDER_MAY)
def test_what_may_differ_from_an_older_run(name, load, made, tmp_path):
    load(name, *OLDER_MAY[name], folder=without_entry(made(name), tmp_path / "old", "resume.pth.tar"))


@pytest.mark.parametrize("files", BESIDE)
def test_older_runs_are_compared_by_the_files_beside(files, load, made, clip, tmp_path):
    names, cases = BESIDE[files]
    for number, (run, more) in enumerate(cases):
        old = without_entry(made(run), tmp_path / str(number), *names)
        load(run, folder=old)
        more = ("MODEL.BACKBONE.NAME", str(clip)) if more == ("{clip}",) else more
        with pytest.raises(InputError, match=r"is of another network than this command asks for \(by .*"):
            load(run, *more, folder=old)


def test_where_nothing_is_known_one_line_says_so(load, made, caplog, tmp_path):
    with caplog.at_level("INFO"):
        load(
            "plain",
            "TRAINER.COOP.CLASS_TOKEN_POSITION",
            "front",
            folder=without_entry(made("plain"), tmp_path / "bare"),
        )
    assert len([line for line in caplog.messages if "does not say what it was trained as" in line]) == 1


def test_a_damaged_file_beside_is_passed_over_with_a_warning(load, made, caplog, tmp_path):
    old = without_entry(made("plain"), tmp_path / "old", "resume.pth.tar", "prompts.safetensors")
    (old / "resume.pth.tar").write_bytes(b"\0" * 50)
    with pytest.raises(InputError, match="tokens behind the class name"):
        load("plain", "TRAINER.COOP.CLASS_TOKEN_POSITION", "front", folder=old)
    assert "resume.pth.tar is of no use to compare the run with" in caplog.text


BAD_ENTRIES = {
    "no record": (3, "it is 3"),
    "a field too few": ({"fingerprint": "a"}, "it lacks classnames"),
    "another type": ({"classnames": 3}, "classnames has 3, expected a list"),
    "tensors": (torch.ones(3), "Tensor is not JSON"),
    "no names": ({"settings": [["a", "b"]]}, r"settings\[0\] is "),
}


@pytest.mark.parametrize("case", BAD_ENTRIES)
def test_an_entry_that_is_none_is_refused(case, load, made, tmp_path):
    change, said = BAD_ENTRIES[case]
    shutil.copytree(made("plain"), tmp_path / "bad")
    path = model_file(tmp_path / "bad")
    content = load_checkpoint(path)
    content["run"] = {**content["run"], **change} if isinstance(change, dict) and len(change) == 1 else change
    if case == "a field too few":
        content["run"] = change
    save_checkpoint(content, str(path.parent))
    with pytest.raises(InputError, match=f"what .*model.pth.tar-1 says of its run: .*{said}"):
        load("plain", folder=tmp_path / "bad")


def test_in_a_host_whose_dassl_writes_no_entry_it_lies_beside(load, made, monkeypatch, tmp_path):
    own = TrainerBase.save_model

    def of_a_host(self, epoch, directory, *more, **named):
        facts, type(self).run_facts = type(self).run_facts, lambda self: {}
        try:
            own(self, epoch, directory, *more, **named)
        finally:
            type(self).run_facts = facts

    trainer = load("middle")
    with monkeypatch.context() as patch:
        patch.setattr(TrainerBase, "save_model", of_a_host)
        patch.delattr(TrainerBase, "run_facts")
        trainer.save_model(0, str(tmp_path / "run"))
    path = model_file(tmp_path / "run")
    assert "run" not in load_checkpoint(path)
    beside = json.loads((path.parent / "run.json").read_text())
    assert beside == load_checkpoint(model_file(made("middle")))["run"]
    load("middle", *NEW, folder=tmp_path / "run")
    with pytest.raises(InputError, match=r"run.json\): TRAINER.COOP.CLASS_TOKEN_POSITION was middle and is end"):
        load("middle", "TRAINER.COOP.CLASS_TOKEN_POSITION", "end", folder=tmp_path / "run")


# ---------------------------------------------------------------------------------------------------------------------
# What files hold, starting and resuming
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", RUNS)
def test_the_entry_is_all_that_is_new_in_a_file(name, made):
    content = torch.load(model_file(made(name)), weights_only=True)
    assert list(content) == ["state_dict", "epoch", "optimizer", "scheduler", "val_result", "run", "checksum"]
    facts = content["run"]
    assert facts.keys() == {"fingerprint", "classnames", "parts", "settings"}
    settings = {each["name"]: each["value"] for each in facts["settings"]}
    assert settings["TRAINER.NAME"] == RUNS[name][0] and settings["MODEL.BACKBONE.NAME"] == "demo/student"
    assert facts["classnames"] == ["zero", "one", "two", "three", "four"]
    assert TRAINER_REGISTRY.get(RUNS[name][0]).checkpoint_name == model_file(made(name)).parent.name


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("specific", NEW, 'it is class-specific, for 5 classes, and here are 5, without "zero"'),
        ("plain", ("MODEL.BACKBONE.NAME", "{clip}"), "clip.pt, but network demo/student ("),
        ("middle", ("TRAINER.COOP.CLASS_TOKEN_POSITION", "end"), "POSITION was middle and is end"),
        ("words", ("TRAINER.VPT.CTX_INIT", "one"), "CTX_INIT was 'a photo of a' and is one"),
        ("plain", NEW, ""),
        ("plain", ("INPUT.INTERPOLATION", "nearest", "TRAINER.COOP.PREC", "bf16"), ""),
        ("averaged", ("TRAINER.PROMPTSRC.GPA_FROZEN", "False", "OPTIM.MAX_EPOCH", "3"), ""),
    ],
)
def test_a_start_from_prompts_that_mean_something_else_is_refused(name, more, said, data, made, clip, tmp_path):
    more = [word.format(clip=clip) if word.startswith("{") else word for word in more]
    own = (*SHORT, *BASE, *RUNS[name][1], *more, "MODEL.INIT_WEIGHTS", model_file(made(name)))
    cfg = train.setup_cfg(train.parse_args(arguments(data, RUNS[name][0], tmp_path, *own)))
    if not said:
        build_trainer(cfg)
        return
    with pytest.raises(InputError, match=re.escape(said)):
        build_trainer(cfg)


def test_a_test_of_what_a_start_names_is_a_test(data, made, tmp_path):
    """--eval-only with MODEL.INIT_WEIGHTS in place of --model-dir."""
    own = (*SHORT, *BASE, *RUNS["plain"][1], "MODEL.INIT_WEIGHTS", model_file(made("plain")))
    build_trainer(train.setup_cfg(train.parse_args(arguments(data, "CoOp", tmp_path, *own)))).load_model("")
    other = train.setup_cfg(train.parse_args(arguments(data, "CoOp", tmp_path, *own, "INPUT.INTERPOLATION", "nearest")))
    trainer = build_trainer(other)
    with pytest.raises(InputError, match="INPUT.INTERPOLATION was bicubic and is nearest"):
        trainer.load_model("")


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("plain", NEW, 'it is trained on 5 classes, and here are 5, without "zero"'),
        ("plain", ("INPUT.INTERPOLATION", "nearest"), "INTERPOLATION was bicubic and is nearest"),
        ("middle", ("TRAINER.COOP.CLASS_TOKEN_POSITION", "end"), "POSITION was middle and is end"),
        ("plain", ("OPTIM.MAX_EPOCH", "2", "OPTIM.LR", "0.1"), ""),
    ],
)
def test_a_run_does_not_go_on_from_model_files_of_another(name, more, said, data, made, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(made(name), folder)
    (folder / "resume.pth.tar").unlink()
    try:
        status = train.main(arguments(data, RUNS[name][0], folder, *SHORT, *BASE, *RUNS[name][1], *more))
    finally:
        reset_logger()
    assert status == (2 if said else 0)
    assert said in capsys.readouterr().err
