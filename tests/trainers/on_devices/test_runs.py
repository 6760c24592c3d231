"""Every trainer on a GPU that is not there, in every precision: training, evaluation, resuming, prediction, export.

What `on_fake` refuses is a tensor left on the CPU, formats that don't go together, float64 on Apple's GPUs, a call that the
device does not have. The numbers are the CPU's, and so have to be those of a run there.
"""

import json
from itertools import product

import pytest
import torch
from safetensors.torch import load_file

import caspl
from caspl.ground.errors import InputError
from caspl.use.exports.graphs import export_program
from fake_devices import on_fake
from registered import METHODS, PROMPT_LEARNERS, keys_of, tiers

PRECISIONS = ("fp32", "fp16", "bf16", "amp")
PHASE_1 = "CasPLBoost"
TRAINED = (*PROMPT_LEARNERS, PHASE_1)
# Two batches of four of the ten images, in each of two epochs
SHORT = (
    *("--seed", "1", "DATASET.NUM_SHOTS", "2", "OPTIM.MAX_EPOCH", "2"),
    *("DATALOADER.TRAIN_X.BATCH_SIZE", "4", "DATALOADER.TEST.BATCH_SIZE", "16"),
)
LARGE = {"fp32": 1e-4, "fp16": 2e-2, "bf16": 8e-2}  # differences from the CPU's prompts, of a norm of about 1


# All but two, which are left for the whole suite
OTHERS = [
    pytest.param(device, precision, marks=pytest.mark.slow)
    for device, precision in product(("cuda", "mps"), PRECISIONS)
    if (device, precision) not in (("cuda", "fp16"), ("mps", "amp"))
]


def learned(folder):
    """Everything that a run has learned, in one vector."""
    (path,) = [*folder.glob("prompts.safetensors"), *folder.glob("boosting.safetensors")]
    return torch.cat([value.flatten() for _, value in sorted(load_file(path).items())])


@pytest.fixture(scope="session")
def on_cpu():
    """What a trainer learns on the CPU in fp32, by its name: made once."""
    return {}


def cases():
    """Methods in all precisions, on mps under autocast; their twins in one; one twin and phase 1 in all. In a hurry a few."""
    found = []
    for name, device, precision in product(TRAINED, ("cuda", "mps"), PRECISIONS):
        twin, whole = name.startswith("CasPL_"), name in ("CasPL_CoCoOp", "CasPLBoost")
        method = [*METHODS, PHASE_1].index(name.removeprefix("CasPL_"))
        own = (("fp16", "amp")[method % 2 == 0],) if twin else PRECISIONS
        if not whole and precision not in {"cuda": own, "mps": ("amp",)}[device]:
            continue
        if device == "mps" and twin and not whole:
            continue
        quick = (
            device == "cuda" and twin == method % 2 and precision == (PRECISIONS[method % 4] if not twin else "fp16")
        )
        quick |= (name, device, precision) in (("CasPL_CoCoOp", "mps", "fp16"), ("CasPLBoost", "mps", "amp"))
        found.append(pytest.param(device, name, precision, marks=() if quick else pytest.mark.slow))
    return found


@pytest.mark.parametrize(("device", "name", "precision"), cases())
def test_a_whole_run(device, name, precision, run, boosting, on_cpu, tmp_path):
    """Training, its test, a test of its checkpoint on new classes, and the use of its prompts."""
    keys, folder = (*SHORT, *keys_of(name, precision, boosting)), tmp_path / "there"
    with on_fake(device) as there:
        assert run(name, "base", "there", *keys) == 0
        record = json.loads((folder / "run.json").read_text())
        assert record["machine"]["device"] == device and record["result"]["total"] == 24
        new = ("--eval-only", "--model-dir", str(folder), "--load-epoch", "2")
        assert run(name, "new", "new", *keys, *new) == 0
        used = caspl.load(folder, device=device, precision=precision)
        answers = used.predict(torch.zeros(3, 3, *used.preprocessing.size), top_k=2)
        assert [len(answer) for answer in answers] == [2, 2, 2]
        assert there.launches > 1_000
    if precision in LARGE:  # a scaler leaves out the first steps
        if name not in on_cpu:
            assert run(name, "base", "here", *SHORT, *keys_of(name, "fp32", boosting), "TEST.NO_TEST", "True") == 0
            on_cpu[name] = learned(tmp_path / "here")
        assert (learned(folder) - on_cpu[name]).norm() / on_cpu[name].norm() < LARGE[precision]


@pytest.mark.parametrize(("device", "precision"), [("cuda", "fp16"), ("mps", "amp"), *OTHERS])
@pytest.mark.parametrize("name", ["ZeroshotCLIP", "ZeroshotCLIP2", "LinearProbe"])
def test_what_learns_no_prompts(device, name, precision, run, tmp_path):
    """LinearProbe is fitted on the CPU, to features of the device."""
    keys = (*SHORT, *keys_of(name, precision, None))
    with on_fake(device):
        assert run(name, "base", "there", *keys, *(() if name == "LinearProbe" else ("--eval-only",))) == 0
    record = json.loads((tmp_path / "there" / "run.json").read_text())
    assert record["machine"]["device"] == device and record["result"]["accuracy"] > 40


def node(*keys):
    """Keys and values of TRAINER."""
    return [word if number % 2 else f"TRAINER.{word}" for number, word in enumerate(keys)]


# Settings that take a way of their own: keys, {} for a folder
VARIANTS = {
    "class-specific context": ("CoOp", node("COOP.CSC", "True", "COOP.CLASS_TOKEN_POSITION", "middle")),
    "words": ("CasPL_CoOp", node("COOP.CTX_INIT", "a photo of a", "COOP.N_CTX", "4")),
    "a batch in parts by memory": ("CasPL_CoCoOp", node("COCOOP.MEMORY", "0.001")),
    "a batch in parts": ("ProGrad", ["OPTIM.ACCUMULATE", "2"]),
    "averaged frozen weights": ("CasPL_PromptSRC", node("PROMPTSRC.GPA_FROZEN", "True", "PROMPTSRC.GPA_MEAN", "1")),
    "features of tests": ("CoOp", ["TEST.FEATURE_STORE", "{}", "TEST.FEATURES", "True"]),
    "features of crops": ("ProGrad", node("COOP.CROP_POOL", "2", "CASPL.CROPS", "seeded")),
    "features of a teacher": ("CasPLBoost", node("CASPL.TEACHER_STORE", "{}", "CASPL.TEACHER_FORMAT", "fp16")),
    "features matched": ("CasPLBoost", node("CASPL.LOSS", "feature", "CASPL.CLASSES", "base")),
    "one phase": (
        "CasPL_MaPLe",
        node("CASPL.ONE_PHASE", "True", "CASPL.BOOSTING", "", "CASPL.DEPTH_TEXT", "2", "CASPL.DEPTH_VISION", "2"),
    ),
    "boosting prompts learn": ("CasPL_VPT", node("CASPL.FREEZE", "False")),
    "boosting prompts as deep": ("CasPL_IVLP", node("CASPL.DEPTH_OF_ADAPTING", "True")),
    "the family's random stream": ("PromptSRC", ["SEED_STREAM", "upstream"]),
    "the best epoch": ("KgCoOp", ["TEST.FINAL_MODEL", "best_val"]),
    "texts in parts by memory": ("KgCoOp", ["TRAIN.MEMORY", "0.0001"]),
    "texts kept": ("PromptSRC", ["MODEL.TEXT_STORE", "{}"]),
    "images kept": ("CoOp", ["DATALOADER.CACHE", "1", "TEST.IMAGE_STORE", "{}"]),
    "adam": ("IVLP", ["OPTIM.NAME", "adam"]),
}


QUICK = (
    "class-specific context",
    "a batch in parts by memory",
    "features of tests",
    "features of crops",
    "features of a teacher",
)


@pytest.mark.parametrize("case", tiers(VARIANTS, *QUICK))
def test_settings_with_a_way_of_their_own(case, run, boosting, tmp_path):
    """In half precision or under autocast, by turns."""
    name, more = VARIANTS[case]
    precision = ("fp16", "amp")[[*VARIANTS].index(case) % 2]
    more = [word.format(tmp_path / "store") for word in more]
    keys = keys_of(name, precision, boosting)
    with on_fake("cuda"):
        assert run(name, "base" if name != "CasPLBoost" else "all", "there", *SHORT, *keys, *more) == 0


@pytest.mark.parametrize("name", ["CasPL_PromptSRC", pytest.param("CasPLBoost", marks=pytest.mark.slow)])
def test_a_run_goes_on_as_if_it_had_not_ended(name, build, boosting, tmp_path):
    """Prompts, momentum, the scaler, the average over epochs and the random state of the device, through resume.pth.tar."""
    keys = (*SHORT, *keys_of(name, "amp", boosting), "TEST.NO_TEST", "True")

    def trained(folder, ends=False):
        with on_fake("cuda") as there:
            trainer = build(name, "base", folder, *keys)
            if ends:
                trainer.save_resume_state = lambda finished, save=trainer.save_resume_state: (
                    save(finished) or end(finished)
                )
            trainer.train()
            return trainer.scaler.get_scale(), there.random.tolist()

    def end(finished):
        raise KeyboardInterrupt

    whole = trained("whole")
    with pytest.raises(KeyboardInterrupt):
        trained("parts", ends=True)
    assert trained("parts") == whole
    assert torch.equal(learned(tmp_path / "parts"), learned(tmp_path / "whole"))


def test_an_export_is_made_on_the_cpu(run, tmp_path):
    """Whatever the run was made on; a predictor that lies elsewhere is told so."""
    with on_fake("cuda") as there:
        assert run("VPT", "base", "there", *SHORT, *keys_of("VPT", "fp16", "")) == 0
        used = caspl.load(tmp_path / "there", device="cuda", precision="fp16")
        with pytest.raises(InputError, match="exports are made on the CPU in fp32"):
            export_program(used, tmp_path / "vpt.pt2")
        assert used.classifier.device == there.at
    assert export_program(caspl.load(tmp_path / "there"), tmp_path / "vpt.pt2") < 1e-4


def test_files_of_a_gpu_are_read_without_one(run, tmp_path):
    """By torch.load alone, too, as the family's code does it."""
    with on_fake("cuda"):
        assert run("CoOp", "base", "there", *SHORT, *keys_of("CoOp", "amp", "")) == 0
    for path in (tmp_path / "there").rglob("*.pth.tar*"):
        content = torch.load(path, weights_only=True)
        assert content.get("state_dict", content.get("models"))
