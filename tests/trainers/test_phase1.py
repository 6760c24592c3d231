"""Phase 1 beyond the paper's setting: other losses, base names only, other domains, unions of domains."""

import pytest
import torch
from PIL import Image

from caspl.checkpoints.boosting import read_boosting
from caspl.checkpoints.headers import RunHeader, read_header
from caspl.datasets.digits import NAMES
from caspl.prompting.distillation import LOSSES, distillation_loss, feature_loss
from registered import tiers

from .test_trainers import accuracy, batch_of

SHORT = ("--seed", "1", "OPTIM.MAX_EPOCH", "1")
NO_TEST = ("TEST.NO_TEST", "True")
ONE_SHOT = ("--seed", "1", "DATASET.NUM_SHOTS", "1", "OPTIM.MAX_EPOCH", "1")


def log_of(folder):
    return "".join(path.read_text() for path in folder.glob("log.txt*"))


@pytest.mark.parametrize("loss", tiers((*LOSSES, "feature"), "kl", "feature"))
def test_every_loss_trains_and_is_named_in_the_header(loss, run, build, tmp_path):
    keys = ("TRAINER.CASPL.LOSS", loss)
    assert run("CasPLBoost", "all", "boost", *ONE_SHOT, *keys, *NO_TEST) == 0
    tensors, header = read_boosting(tmp_path / "boost")
    assert header.loss == loss and set(tensors) == {
        *(f"text.{i}" for i in range(3)),
        *(f"vision.{i}" for i in range(4)),
    }

    trainer = build("CasPLBoost", "all", "out", *ONE_SHOT, *keys)
    trainer.prepare()
    batch = batch_of(trainer)
    value, logits = trainer.loss(batch["img"], batch["label"])
    teacher = trainer.teacher(batch["img"], trainer.model.prompted.scale)
    if loss == "feature":
        image, text = trainer.model.encode(batch["img"])
        weight = trainer.model.learner.projection.weight
        expected = feature_loss(image @ weight.T, trainer.teacher.image_features(batch["img"]))
        expected = expected + feature_loss(text @ weight.T, trainer.teacher.classes)
    else:
        expected = distillation_loss(logits, teacher, 1.0, loss)
    assert torch.allclose(value, expected, rtol=1e-5)
    value.backward()
    assert all(p.grad.abs().max() > 0 for p in trainer.model.learner.parameters())


@pytest.mark.parametrize("tokens, status", [(4, 2), (5, 0)])
def test_words_that_no_token_starts_from_refuse_no_run_of_before(tokens, status, run, capsys):
    """Phase 1 was begun without words in earlier versions; up to four tokens start from them, and no more."""
    shape = ("TRAINER.CASPL.N_CTX_TEXT", str(tokens), *NO_TEST)
    assert run("CasPLBoost", "all", "boost", *ONE_SHOT, *shape, "TRAINER.CASPL.CTX_INIT", "") == 0
    assert run("CasPLBoost", "all", "boost", *ONE_SHOT, *shape, "TRAINER.CASPL.CTX_INIT", "a photo of a") == status
    assert ('TRAINER.CASPL.CTX_INIT was "" and is now "a photo of a"' in capsys.readouterr().err) == (status == 2)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["kl", "feature"])  # without and with a projection beside the prompts
def test_what_phase_1_has_learned_is_evaluated_again(loss, run, tmp_path):
    keys = ("TRAINER.CASPL.LOSS", loss)
    assert run("CasPLBoost", "all", "boost", *ONE_SHOT, *keys) == 0
    load = ("--eval-only", "--model-dir", str(tmp_path / "boost"), "--load-epoch", "1")
    assert run("CasPLBoost", "all", "again", *load, *keys) == 0
    assert accuracy(tmp_path / "again") == accuracy(tmp_path / "boost")


def test_base_names_only_is_the_inductive_protocol(run, build, tmp_path):
    """The softmax knows the base classes alone; evaluation knows all; phase 2 may go on to the new ones, and says so."""
    keys = ("TRAINER.CASPL.CLASSES", "base")
    trainer = build("CasPLBoost", "all", "out", *ONE_SHOT, *keys)
    trainer.prepare()
    batch = batch_of(trainer)
    loss, logits = trainer.loss(batch["img"], batch["label"])
    assert logits.shape[1] == 5 and trainer.teacher.classes.shape[0] == 5
    whole = trainer.model(batch["img"])
    assert whole.shape[1] == 10 and torch.allclose(whole[:, :5], logits, atol=1e-4)
    target = trainer.teacher(batch["img"], trainer.model.prompted.scale)
    assert torch.allclose(loss, distillation_loss(whole[:, :5], target), rtol=1e-4)

    assert run("CasPLBoost", "all", "boost", *ONE_SHOT, *keys, *NO_TEST) == 0
    _, header = read_boosting(tmp_path / "boost")
    assert (header.names, header.classnames) == ("base", list(NAMES[:5]))
    boosting = ("TRAINER.CASPL.BOOSTING", str(tmp_path / "boost"))
    assert run("CasPL_CoOp", "all", "phase2", *ONE_SHOT, *boosting) == 0
    (line,) = [line for line in log_of(tmp_path / "phase2").splitlines() if line.startswith("Boosting prompts from")]
    assert line.endswith("(names of base classes only)")
    load = ("--eval-only", "--model-dir", str(tmp_path / "phase2"), "--load-epoch", "1")
    assert run("CasPL_CoOp", "new", "test", *load, *ONE_SHOT) == 0  # without TRAINER.CASPL.BOOSTING
    for folder in ("phase2", "test"):
        assert read_header(tmp_path / folder / "prompts.safetensors", RunHeader).names == "base"


@pytest.mark.slow
def test_images_and_names_of_base_classes_only(run, tmp_path):
    assert run("CasPLBoost", "base", "boost", *ONE_SHOT) == 0
    _, header = read_boosting(tmp_path / "boost")
    assert (header.names, header.classnames) == ("base", list(NAMES[:5]))
    assert run("CasPL_CoOp", "new", "new", *ONE_SHOT, "TRAINER.CASPL.BOOSTING", str(tmp_path / "boost")) == 0


@pytest.fixture
def pets(data):
    """A miniature of Oxford Pets beside the digits."""
    folder = data / "oxford_pets"
    if not folder.exists():
        (folder / "images").mkdir(parents=True)
        (folder / "annotations").mkdir()
        for part, first, count in (("trainval", 1, 10), ("test", 11, 3)):
            lines = []
            for label, breed in enumerate(("Abyssinian", "beagle", "yorkshire_terrier"), 1):
                for n in range(first, first + count):
                    Image.new("RGB", (40, 36), (60 * label, 10 * n, 0)).save(folder / "images" / f"{breed}_{n}.jpg")
                    lines.append(f"{breed}_{n} {label} 1 1")
            (folder / "annotations" / f"{part}.txt").write_text("\n".join(lines) + "\n")


UNION = ("DATASET.NAME", "Union", "DATASET.MEMBERS", "('OxfordPets', 'Digits')")


@pytest.mark.slow
def test_boosting_on_a_union_of_domains(run, build, pets, tmp_path):
    trainer = build("CasPLBoost", "all", "out", *SHORT, *UNION)
    dataset = trainer.dm.dataset
    assert dataset.classnames == ["abyssinian", "beagle", "yorkshire_terrier", *NAMES]
    assert dataset.facts.class_datasets == ("OxfordPets",) * 3 + ("Digits",) * 10
    for datum in (*dataset.train_x[:3], *dataset.train_x[-3:], *dataset.test[-3:]):
        assert datum.classname == dataset.classnames[datum.label]
        assert (datum.domain == 0) == (datum.label < 3) == ("oxford_pets" in datum.impath)
    trainer.prepare()
    texts = [f"a photo of a {name.replace('_', ' ')}, a type of pet." for name in dataset.classnames[:3]]
    texts += [f"a photo of the digit {name}." for name in NAMES]
    clip = trainer.teacher.backbone
    expected = torch.nn.functional.normalize(clip.model.encode_text(clip.tokenizer(texts)), dim=-1)
    assert torch.allclose(trainer.teacher.classes, expected, atol=1e-5)  # each domain in its own words

    assert run("CasPLBoost", "all", "boost", *SHORT, "DATASET.NUM_SHOTS", "4", *UNION) == 0
    _, header = read_boosting(tmp_path / "boost")
    assert header.dataset == "OxfordPets+Digits" and len(header.classnames) == 13
    assert header.template == "a photo of a {}, a type of pet.; a photo of the digit {}."
    assert run("CasPL_CoOp", "base", "digits", *ONE_SHOT, "TRAINER.CASPL.BOOSTING", str(tmp_path / "boost")) == 0


@pytest.mark.slow
def test_boosting_on_another_domain(run, pets, tmp_path):
    assert run("CasPLBoost", "all", "boost", *SHORT, "DATASET.NAME", "OxfordPets") == 0
    assert run("CasPL_MaPLe", "base", "out", *ONE_SHOT, "TRAINER.CASPL.BOOSTING", str(tmp_path / "boost")) == 0
    assert "taught by demo/teacher on OxfordPets" in log_of(tmp_path / "out")


def test_mistakes(run, capsys):
    for keys, message in (
        (("DATASET.NAME", "Union"), "DATASET.MEMBERS is (), expected the names of datasets to join"),
        ((*UNION[:3], "('Digits', 'Didgets')"), "Didgets is none of them"),
        ((*UNION[:3], "('Digits', 'Digits')"), "DATASET.MEMBERS names Digits more than once"),
        (("TRAINER.CASPL.TEMPLATE", "a " * 100 + "{}"), 'TRAINER.CASPL.TEMPLATE makes "a a a'),
        (("TRAINER.CASPL.LOSS", "huber"), 'TRAINER.CASPL.LOSS is "huber", expected one of kl, reverse_kl'),
        (("TRAINER.CASPL.CLASSES", "new"), 'TRAINER.CASPL.CLASSES is "new", expected one of all, base'),
    ):
        assert run("CasPLBoost", "all", "out", *SHORT, *keys) == 2
        assert message in capsys.readouterr().err
