"""`import caspl.plugin` in somebody else's checkout, with the wheel in an environment of its own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from boosting_files import make_boosting, write_boosting
from caspl.checkpoints.boosting import read_boosting
from caspl.checkpoints.run import read_run
from caspl.prompting.cascade import Deployed
from caspl.prompting.learners import Prompts
from registered import METHODS

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow
MANY = "import json, sys; sys.path.insert(0, ''); import train; [train.main(a) for a in json.loads(sys.argv[1])]"


def process(python, *arguments, cwd, status=0):
    """What Python has printed, on stdout and on stderr."""
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([str(python), *map(str, arguments)], cwd=cwd, capture_output=True, text=True, env=variables)
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


def call(python, *arguments, cwd, status=0):
    """What Python has printed, on stderr where it is to fail."""
    return process(python, *arguments, cwd=cwd, status=status)[bool(status)]


def train_all(python, commands, cwd, status=0):
    """Several commands of train.py in one process, the last of which may be one that fails."""
    words = json.dumps([list(map(str, command)) for command in commands])
    return process(python, "-c", MANY, words, cwd=cwd, status=status)


def command(trainer, output, *more, config="", flags=()):
    """Arguments of train.py: four images of each base class of digits, one epoch."""
    arguments = [
        "--root",
        output.parent / "data",
        "--seed",
        "1",
        "--trainer",
        trainer,
        "--output-dir",
        output / trainer,
    ]
    arguments += ["--dataset-config-file", "configs/datasets/digits.yaml"]
    arguments += ["--config-file", config or f"configs/trainers/{trainer}/digits.yaml", *flags]
    return [*arguments, "OPTIM.MAX_EPOCH", "1", "DATASET.NUM_SHOTS", "4", "DATASET.SUBSAMPLE_CLASSES", "base", *more]


def accuracies(printed):
    return re.findall(r"\* accuracy: ([\d.]+)%", printed)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}


def boosting_file(path, length):
    return write_boosting(path, make_boosting((length, 2), (length, 2)) if length else Prompts())


# ---------------------------------------------------------------------------------------------------------------------
# CasPL's trainers in a host
# ---------------------------------------------------------------------------------------------------------------------
def test_every_trainer_gives_the_same_numbers_in_a_host(environment, make_host, tmp_path):
    host = make_host()
    before = contents(host)

    def run(python, cwd, output):
        boosting = output / "CasPLBoost" / "boosting.safetensors"
        commands = [command("CasPLBoost", output, "DATASET.SUBSAMPLE_CLASSES", "all")]
        commands += [command(f"CasPL_{name}", output, "TRAINER.CASPL.BOOSTING", boosting) for name in METHODS]
        return accuracies(train_all(python, commands, cwd)[0])

    there = run(environment / "python", host, tmp_path / "there" / "output")
    here = run(sys.executable, ROOT, tmp_path / "here" / "output")
    assert len(here) == 1 + len(METHODS) and there == here

    def same(name, file, read):
        paths = [tmp_path / side / "output" / name / file for side in ("there", "here")]
        (found, their_header), (expected, our_header) = map(read, paths)
        assert their_header == our_header and found.keys() == expected.keys()
        assert all(torch.equal(found[key], value) for key, value in expected.items())

    def read_trained(path):
        learners, header = read_run(path)
        return Deployed(learners).state_dict(), header

    same("CasPLBoost", "boosting.safetensors", read_boosting)
    for method in METHODS:
        same(f"CasPL_{method}", "prompts.safetensors", read_trained)
    assert contents(host) == before  # not a file of the host was made or changed


LOOK = """
import json, sys
sys.path.insert(0, "")
import train  # the host's
import caspl, clip, datasets, dassl, trainers
from dassl.engine import TRAINER_REGISTRY as T
from dassl.data.datasets import DATASET_REGISTRY as D
cfg = train.get_cfg_default()
train.extend_cfg(cfg)
cfg.merge_from_list(["TRAINER.COOP.N_CTX", 3, "TRAINER.CASPL.BOOSTING", "x"])
print(json.dumps(dict(
    files=[module.__file__ for module in (clip, datasets, dassl, trainers)],
    caspl=caspl.__file__,
    trainers={name: T.get(name).__module__ for name in T.registered_names()},
    datasets={name: D.get(name).__module__ for name in D.registered_names()},
    coop=dict(cfg.TRAINER.COOP),
    same=[dict(train.get_cfg_default().TRAINER.COOP), T.get("CasPL_MetaPrompts").__mro__[2] is T.get("MetaPrompts")],
)))
"""


def test_what_is_the_hosts_stays_the_hosts(environment, make_host):
    host = make_host()
    found = json.loads(call(environment / "python", "-c", LOOK, cwd=host).splitlines()[-1])
    assert all(Path(file).is_relative_to(host) for file in found["files"])
    assert Path(found["caspl"]).is_relative_to(environment.parent)
    assert found["trainers"]["CoOp"] == "trainers.coop" and found["trainers"]["MaPLe"] == "caspl.trainers.maple"
    assert found["trainers"]["CasPL_CoOp"] == "caspl.trainers.caspl"
    assert found["trainers"]["CasPL_PlainPrompts"] == "trainers.prompts"
    assert not any(name.startswith("CasPL_CasPL") or name == "CasPL_LinearProbe" for name in found["trainers"])
    assert (
        found["datasets"]["OxfordPets"] == "datasets.shapes" and found["datasets"]["Digits"] == "caspl.datasets.digits"
    )
    # The host's defaults and what the user set, and CasPL's for the rest
    assert found["coop"] == {
        "N_CTX": 3,
        "CTX_INIT": "",
        "PREC": "fp32",
        "CSC": False,
        "CLASS_TOKEN_POSITION": "end",
        "W": 8.0,
        "ALPHA": 1.0,
        "CROP_POOL": 0,
    }
    assert found["same"] == [found["same"][0] | {"N_CTX": 16}, True]


REGISTER = """
from dassl.engine import TRAINER_REGISTRY as T
import sys, types
loader = types.ModuleType("early")
loader.load_clip_to_cpu = lambda cfg: None
sys.modules["early"] = loader
def new(name):
    return type(name, (), {"__module__": "early"})
early = new("CasPL_IVLP")
T.register(early)
T.register(new("Mine"))
import caspl.plugin
taken = new("CasPL_Mine")
T.register(taken)                     # the host has a twin of its own making
T.register()(new("Later"))
first, second = new("Again"), new("Again")
T.register(first)
T.register(second, force=True)        # as a notebook does
T.register(lambda cfg: None)          # not a class
late = new("MaPLe")
T.register(late)
try:
    T.register(new("Mine"))
    print("twice")
except Exception as error:
    print(type(error).__name__)
print(T.get("CasPL_IVLP") is early, T.get("CasPL_Mine") is taken, T.get("CasPL_Later").__bases__[1].__name__,
      T.get("MaPLe") is late, T.get("CasPL_MaPLe").__module__, T.get("CasPL_Again").__bases__[1] is second)
"""


def test_a_name_that_the_host_takes_is_the_hosts(environment, make_host):
    printed = call(environment / "python", "-c", REGISTER, cwd=make_host()).splitlines()
    assert printed == ["RegistryError", "True True Later True caspl.trainers.caspl True"]


def test_configuration_files_are_the_hosts_or_the_packages(environment, make_host, tmp_path):
    host = make_host()
    own = host / "configs" / "trainers" / "CasPL_CoOp" / "digits.yaml"
    own.parent.mkdir()
    own.write_text("OPTIM:\n  MAX_EPOCH: 77\n  MAX_EPOCH: 77\n")  # as read by yacs, for which the last one counts
    own.with_name("mine.yaml").write_text("_BASE_: configs/trainers/CasPL_CoOp/vit_b16_ep50.yaml\nSEED: 4\n")
    own.with_name("copied.yaml").write_text((ROOT / "configs/trainers/CasPL_MaPLe/digits.yaml").read_text())
    code = (
        "import caspl.plugin; from dassl.config import get_cfg_default; cfg = get_cfg_default().clone()\n"
        "for name in ('CoOp', 'KgCoOp'): cfg.merge_from_file(cfg_filename=f'./configs/trainers/CasPL_{name}/digits.yaml'); "
        "print(cfg.OPTIM.MAX_EPOCH)\n"
        "cfg.merge_from_list(cfg_list=['SEED', 3]); assert cfg.SEED == 3\n"
        "cfg.merge_from_file('configs/trainers/CasPL_CoOp/mine.yaml')\n"  # a file of the host's on one of ours
        "assert (cfg.SEED, cfg.INPUT.SIZE, cfg.OPTIM.WARMUP_CONS_LR, cfg.OPTIM.LR) == (4, (224, 224), 1e-5, 0.002)\n"
        "cfg.merge_from_file('configs/trainers/CasPL_CoOp/copied.yaml')\n"
        "assert (cfg.INPUT.SIZE, cfg.TRAINER.MAPLE.PROMPT_DEPTH, cfg.DATALOADER.NUM_WORKERS) == ((32, 32), 3, 0)\n"
        "try: cfg.merge_from_file('configs/trainers/CasPL_CoOp/none.yaml')\n"
        "except ValueError as error: print(error)"
    )
    first, told, second, missing = call(environment / "python", "-c", code, cwd=host).splitlines()
    assert (first, second) == ("77", "50")
    assert told.startswith("./configs/trainers/CasPL_KgCoOp/digits.yaml is not here, CasPL's own is read (")
    assert missing == (
        "there is no configuration file configs/trainers/CasPL_CoOp/none.yaml; correct the path; the nearest of CasPL's own is "
        "configs/trainers/CasPL_CoOp/digits.yaml"
    )
    listed = call(environment / "python", "-m", "caspl.configs", "CasPL_KgCoOp", cwd=host).splitlines()
    assert "configs/trainers/CasPL_KgCoOp/digits.yaml" in listed and all("CasPL_KgCoOp" in name for name in listed)


def test_dropped_keys_are_missed(environment, make_host, tmp_path):
    code = (
        "import caspl.plugin; from dassl.config import get_cfg_default, clean_cfg; from dassl.engine import build_trainer\n"
        "cfg = get_cfg_default(); cfg.TRAINER.NAME = 'CasPL_CoOp'; clean_cfg(cfg, 'CasPL_CoOp'); build_trainer(cfg)"
    )
    said = call(environment / "python", "-c", code, cwd=make_host(), status=1).splitlines()[-1]
    assert re.search("^error: the configuration has no TRAINER.*COOP.*leave out Dassl's clean_cfg", said)


# ---------------------------------------------------------------------------------------------------------------------
# The host's own trainers
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("trainer", ["PlainPrompts", "MetaPrompts", "RegularPrompts"])
def test_a_trainer_that_knows_nothing_of_caspl(environment, make_host, tmp_path, trainer):
    host, output = make_host(), tmp_path / "output"
    key, config = "TRAINER.CASPL.BOOSTING", "configs/trainers/PlainPrompts/digits.yaml"
    boosted = boosting_file(tmp_path / "boosted.safetensors", 2)
    other = boosting_file(tmp_path / "other.safetensors", 1)
    evaluate = ["--eval-only", "--model-dir", output / "boosted" / f"CasPL_{trainer}", "--load-epoch", "1"]
    printed, said = train_all(
        environment / "python",
        [
            command(trainer, output / "plain", config=config),
            command(f"CasPL_{trainer}", output / "boosted", key, boosted, config=config),
            command(f"CasPL_{trainer}", output / "tested", key, boosted, config=config, flags=evaluate),
            command(f"CasPL_{trainer}", output / "other", key, other, config=config, flags=evaluate),
        ],
        host,
        status=1,
    )
    assert f"Boosting prompts from {boosted}: 2 text tokens in 2 blocks, 2 vision tokens in 2 blocks" in printed
    _, boosted_one, tested = accuracies(printed)
    assert boosted_one == tested
    losses = re.findall(r"loss ([\d.]+) \(", printed)
    steps = len(losses) // 2
    assert steps and losses[:steps] != losses[steps:]

    def learned(folder, name):
        path = output / folder / name / "prompt_learner" / "model.pth.tar-1"
        return torch.load(path, weights_only=True)["state_dict"]

    states = learned("plain", trainer), learned("boosted", f"CasPL_{trainer}")
    assert states[0].keys() == states[1].keys()  # no boosting prompts in the host's checkpoints
    assert not torch.equal(states[0]["ctx"], states[1]["ctx"])

    refused = "boosted.CasPL_.* was trained on other boosting prompts than .*other.safetensors"
    assert re.search(refused, said.splitlines()[-1])


def test_mistakes_end_in_a_sentence(environment, make_host, tmp_path):
    host, output = make_host(), tmp_path / "output"
    arguments = command("CasPL_PlainPrompts", output, config="configs/trainers/PlainPrompts/digits.yaml")
    said = call(environment / "python", "train.py", *arguments, cwd=host, status=1).splitlines()[-1]
    assert said.startswith("error: TRAINER.CASPL.BOOSTING is empty; CasPL_PlainPrompts needs")
    said = call(environment / "python", "-c", "import caspl.plugin; 1 / 0", cwd=host, status=1)
    assert said.startswith("Traceback") and "ZeroDivisionError" in said  # a programmer's mistake is shown as ever


# ---------------------------------------------------------------------------------------------------------------------
# Hosts that do not work
# ---------------------------------------------------------------------------------------------------------------------
OLD_SCHEDULE = """import torch

class Old(torch.optim.lr_scheduler.LRScheduler):
    def __init__(self, optimizer, verbose=False):
        super().__init__(optimizer, -1, verbose)

def build_lr_scheduler(optimizer, cfg):
    return Old(optimizer)
"""
OLD_READER = """
import os, torch

def save_checkpoint(state, save_dir):
    torch.save({**state, "schedule": torch.optim.SGD}, os.path.join(save_dir, "model.pth.tar-0"))

def load_checkpoint(path):
    return torch.load(path)
"""


def test_a_dassl_that_is_too_old_for_this_pytorch(environment, make_host):
    host = make_host()
    optim = host / "dassl" / "optim" / "lr_scheduler.py"
    optim.write_text(OLD_SCHEDULE)
    said = call(environment / "python", "-c", "import caspl.plugin", cwd=host, status=1).splitlines()[-1]
    for part in (
        f"PyTorch {torch.__version__} do not fit",
        f'{optim}, line 5, is "super().__init__(optimizer, -1, verbose)"',
        'install "torch<2.7", or remove the argument verbose from that line',
    ):
        assert part in said


def test_a_dassl_whose_checkpoints_this_pytorch_refuses(environment, make_host):
    host = make_host()
    tools = host / "dassl" / "utils" / "__init__.py"
    tools.write_text(tools.read_text() + OLD_READER)
    code = (
        "import warnings; warnings.simplefilter('error')\ntry: import caspl.plugin\nexcept UserWarning as w: print(w)"
    )
    said = call(environment / "python", "-c", code, cwd=host)
    assert f"do not fit where checkpoints are read: {tools}, line" in said
    assert 'is "return torch.load(path)", which refuses the schedule' in said and "weights_only=False" in said


def test_a_dassl_that_differs_is_given_a_try(environment, make_host):
    """Other arguments, other file names: no reason to stop a host that knows its own Dassl."""
    host = make_host()
    tools = host / "dassl" / "utils" / "__init__.py"
    tools.write_text(f"{tools.read_text()}\n\ndef save_checkpoint(state, where, step):\n    pass\n")
    optim = host / "dassl" / "optim" / "__init__.py"
    optim.write_text(f"{optim.read_text()}\n\ndef build_lr_scheduler(optimizer, cfg, steps):\n    pass\n")
    assert call(environment / "python", "-c", "import caspl.plugin; print('works')", cwd=host) == "works\n"


def test_no_dassl(environment, tmp_path):
    (tmp_path / "dassl").mkdir()  # a submodule that was not fetched
    said = call(environment / "python", "-c", "import caspl.plugin", cwd=tmp_path, status=1).splitlines()[-1]
    assert said.startswith("error: there is no Dassl here")


# ---------------------------------------------------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------------------------------------------------
def test_the_command_comes_with_the_wheel(environment, tmp_path):
    from PIL import Image

    boosting = boosting_file(tmp_path / "boosting.safetensors", 2)
    Image.new("L", (8, 8), 128).save(tmp_path / "gray.png")
    done = subprocess.run(
        [str(environment / "caspl"), "predict", str(boosting), "gray.png"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    header, row = done.stdout.splitlines()
    assert header == "image,rank,class,probability" and row.split(",")[:2] == ["gray.png", "1"]
