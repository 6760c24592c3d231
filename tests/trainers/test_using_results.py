"""What every trainer leaves behind answers as the trainer itself does: loaded, on the command line, and exported."""

import csv
import itertools

import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

import caspl
from caspl.__main__ import main
from caspl.ground.images import read_image
from caspl.use.export import export_onnx, export_program, export_state_dict
from caspl.use.exports.checked import Classifier
from registered import CASCADED, PROMPT_LEARNERS, tiers

DEPTHS = ("TRAINER.CASPL.DEPTH_TEXT", "2", "TRAINER.CASPL.DEPTH_VISION", "3")
VARIANTS = {
    "CoOp-middle": ("CoOp", "TRAINER.COOP.CLASS_TOKEN_POSITION", "middle"),
    "CoOp-specific": ("CasPL_CoOp", "TRAINER.COOP.CSC", "True"),
    "CoCoOp-words": ("CasPL_CoCoOp", "TRAINER.COCOOP.CTX_INIT", "a nice photo", "TRAINER.COCOOP.N_CTX", "3"),
    "IVLP-words": ("IVLP", "TRAINER.IVLP.CTX_INIT", "a photo of a", "TRAINER.IVLP.N_CTX_TEXT", "2"),
    "one-phase": ("CasPL_MaPLe", "TRAINER.CASPL.ONE_PHASE", "True", *DEPTHS),
}
EXPORTED = ("CoOp", "PromptSRC", "CasPL_MaPLe")  # text alone, both towers, with boosting prompts


@pytest.fixture
def trained(build, boosting):
    """A trainer after one step, which makes its prompts those of no initial phrase, and its saved result."""

    def make(name, *options):
        boosts = name.startswith("CasPL_") and "TRAINER.CASPL.ONE_PHASE" not in options
        more = ("TRAINER.CASPL.BOOSTING", str(boosting)) if boosts else ()
        small = ("DATASET.NUM_SHOTS", "2", "DATALOADER.TEST.BATCH_SIZE", "100")
        trainer = build(name, "base", "out", "--seed", "1", *small, *more, *options)
        trainer.before_train()
        trainer.epoch, trainer.num_batches = 0, len(trainer.train_loader_x)
        for number, batch in enumerate(itertools.islice(trainer.train_loader_x, 2)):
            trainer.batch_idx = number
            trainer.forward_backward(batch)
        trainer.close_writer()
        trainer.set_model_mode("eval")
        trainer.save_prompts()
        return trainer

    return make


def digits(trainer, count=200):
    return [item.impath for item in trainer.dm.dataset.test[:count]]


@pytest.mark.parametrize("case", tiers([*PROMPT_LEARNERS, *VARIANTS], *CASCADED, "CoOp-middle", "one-phase"))
def test_loaded_results_answer_as_the_trainer(case, trained, tmp_path):
    trainer = trained(*VARIANTS.get(case, (case,)))
    predictor = caspl.load(tmp_path / "out")
    batch = next(iter(trainer.test_loader))
    with torch.no_grad():
        expected = trainer.model_inference(batch["img"])
    assert torch.allclose(predictor.logits(batch["impath"]), expected, rtol=1e-5, atol=1e-4)
    assert predictor.classnames == trainer.dm.dataset.classnames and predictor.method == type(trainer).__name__


def test_boosting_prompts_answer_by_themselves(build, boosting):
    shape = ("TRAINER.CASPL.N_CTX_VISION", "4", "TRAINER.CASPL.DEPTH_TEXT", "2")
    trainer = build("CasPLBoost", "all", "out", "--seed", "1", *shape)
    trainer.model.learner.load_state_dict(load_file(boosting))
    predictor = caspl.load(boosting.parent)
    images = digits(trainer, 20)
    pixels = torch.stack([predictor.prepare(path) for path in images])
    with torch.no_grad():
        assert torch.allclose(predictor.logits(images), trainer.model_inference(pixels), rtol=1e-5, atol=1e-4)
    assert predictor.method == "CasPLBoost" and len(predictor.classnames) == 10


@pytest.mark.slow
def test_a_run_and_an_evaluation_write_their_results(run, tmp_path):
    short = ("DATASET.NUM_SHOTS", "1", "OPTIM.MAX_EPOCH", "1")
    assert run("CoOp", "base", "base", "--seed", "1", *short) == 0
    first = (tmp_path / "base/prompts.safetensors").read_bytes()
    evaluation = ("--seed", "1", "--eval-only", "--model-dir", str(tmp_path / "base"), "--load-epoch", "1")
    assert run("CoOp", "new", "new", *evaluation, *short) == 0
    base, new = caspl.load(tmp_path / "base"), caspl.load(tmp_path / "new")
    assert base.classnames == ["zero", "one", "two", "three", "four"] and new.classnames[0] == "five"
    assert torch.equal(base.prompts()[0].text[0], new.prompts()[0].text[0])
    assert torch.allclose(base.with_classes(new.classnames).classifier, new.classifier)
    assert run("CoOp", "base", "new", *evaluation, *short) == 0  # another test, into the same folder
    assert caspl.load(tmp_path / "new").classnames == base.classnames
    assert run("CoOp", "new", "base", *evaluation, *short) == 0  # a test in the run's own folder leaves its file alone
    assert (tmp_path / "base/prompts.safetensors").read_bytes() == first


# --- exports ---------------------------------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTED)
def test_exports_agree_on_digits(name, trained, tmp_path):
    trainer = trained(name)
    predictor = caspl.load(tmp_path / "out")
    paths = digits(trainer)
    expected = predictor.logits(paths)
    images = torch.stack([predictor.preprocessing.crop(read_image(path)) for path in paths])
    export_onnx(predictor, tmp_path / "x.onnx")
    export_program(predictor, tmp_path / "x.pt2")
    session = onnxruntime.InferenceSession(tmp_path / "x.onnx")
    onnx = torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
    with torch.no_grad():
        program = torch.export.load(tmp_path / "x.pt2").module()(images)
    worst = {"onnx": float((onnx - expected).abs().max()), "program": float((program - expected).abs().max())}
    print(name, worst, "of logits up to", float(expected.abs().max()))
    assert max(worst.values()) < 1e-4  # logits are up to 100 times a cosine
    assert torch.equal(onnx.argmax(-1), expected.argmax(-1)) and torch.equal(program.argmax(-1), expected.argmax(-1))


@pytest.mark.slow
def test_onnx_files_tell_what_they_need(trained, tmp_path):
    trained("CoOp")
    predictor = caspl.load(tmp_path / "out")
    export_onnx(predictor, tmp_path / "x.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "x.onnx")
    facts = session.get_modelmeta().custom_metadata_map
    assert facts["classnames"] == '["zero", "one", "two", "three", "four"]' and facts["height"] == "32"
    assert [entry.name for entry in tmp_path.glob("x*")] == ["x.onnx"]  # one file, weights in it
    (images,) = session.get_inputs()
    assert images.name == "images" and images.shape[1:] == [3, 32, 32] and isinstance(images.shape[0], str)


def test_a_plain_clip_where_the_image_tower_is_plain(trained, tmp_path, capsys):
    from caspl.clip.backbones import load_backbone

    trainer = trained("CoOp")
    predictor, target = caspl.load(tmp_path / "out"), tmp_path / "clip.safetensors"
    export_state_dict(predictor, target)
    student = load_backbone("demo/student")
    student.model.load_state_dict(load_file(target))  # strict
    matrix = load_file(tmp_path / "clip.classifier.safetensors")["classifier"]
    paths = digits(trainer, 20)
    pixels = torch.stack([predictor.prepare(path) for path in paths])
    logits = student.model.logit_scale.exp() * student.image_features(pixels) @ matrix.T
    assert torch.allclose(logits, predictor.logits(paths), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["MaPLe", "CoCoOp", "CasPL_CoCoOp"])
def test_what_has_no_place_is_refused(name, trained, tmp_path, capsys):
    trained(name)
    target = tmp_path / "x.safetensors"
    program = str(tmp_path / "x.pt2")  # not written either, though it could be
    assert main(["export", str(tmp_path / "out"), "--program", program, "--state-dict", str(target)]) == 2
    message = capsys.readouterr().err
    assert ("prompts in the image tower" if name != "CoCoOp" else "no static class matrix") in message
    if name != "MaPLe":
        for kind in ("--onnx", "--program"):
            assert main(["export", str(tmp_path / "out"), kind, str(target)]) == 2
            assert "encodes its classes anew for each image" in capsys.readouterr().err
    assert not list(tmp_path.glob("x*")) and not list(tmp_path.glob(".x*"))


@pytest.mark.slow
def test_a_file_that_disagrees_is_not_kept(trained, tmp_path, monkeypatch, capsys):
    trained("CoOp")
    honest = Classifier.forward
    monkeypatch.setattr(Classifier, "forward", lambda self, images: honest(self, images) + 0.1)
    assert main(["export", str(tmp_path / "out"), "--program", str(tmp_path / "x.pt2")]) == 2
    assert "its logits differ from the model's by" in capsys.readouterr().err
    assert not list(tmp_path.glob("*x.pt2*"))


@pytest.mark.slow
def test_the_command_writes_all_and_predicts_new_classes(trained, tmp_path, capsys):
    trainer = trained("CasPL_CoOp")
    (tmp_path / "names.txt").write_text("five\nsix\n")
    result, names = str(tmp_path / "out"), ["--classes", str(tmp_path / "names.txt")]
    assert (
        main(["export", result, *names, "--onnx", str(tmp_path / "a.onnx"), "--program", str(tmp_path / "a.pt2")]) == 0
    )
    assert capsys.readouterr().out.count("2 classes, logits within") == 2
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    assert session.get_outputs()[0].shape[1] == 2
    assert main(["predict", result, *digits(trainer, 5), *names]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert len(rows) == 5 and {row["class"] for row in rows} <= {"five", "six"}


def test_nothing_to_export(trained, tmp_path, capsys, monkeypatch):
    trained("CoOp")
    assert main(["export", str(tmp_path / "out")]) == 2
    assert "nothing to write; give --onnx, --program or --state-dict" in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["export", str(tmp_path / "out"), "--onnx", str(tmp_path / "x.onnx")]) == 2
    assert "must be installed to write ONNX; pip install onnx onnxscript onnxruntime" in capsys.readouterr().err
    monkeypatch.setattr(torch, "__version__", "2.3.1+cu121")
    for kind, least in (("--onnx", "2.7"), ("--program", "2.4")):
        assert main(["export", str(tmp_path / "out"), kind, str(tmp_path / "x")]) == 2
        assert f"needs PyTorch {least} or later, 2.3.1+cu121 is installed" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "out"), "--state-dict", str(tmp_path / "x.pt")]) == 2
    assert "has another ending; name it .safetensors" in capsys.readouterr().err
