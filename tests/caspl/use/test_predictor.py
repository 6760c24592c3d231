"""Using a result: every trainer's prompts.safetensors answers as the trainer does, with any class names, without Dassl."""

import csv
import io
import json
import os
import pickle
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import caspl
from boosting_files import make_boosting, make_header
from caspl.__main__ import main
from caspl.checkpoints.headers import RunHeader
from caspl.checkpoints.record import write_record
from caspl.checkpoints.run import read_run, save_run
from caspl.clip.backbones import load_backbone
from caspl.ground.errors import InputError
from caspl.ground.images import read_image
from caspl.prompting.cascade import Deployed
from caspl.prompting.learners import ConditionalContext, Prompts
from caspl.use import predict

NAMES = ["zero", "one", "two", "three"]
STUDENT = "demo/student"
FILE_NAME = RunHeader.file_name


@pytest.fixture(scope="module")
def student():
    return load_backbone(STUDENT)


def about(student, **facts):
    return dict(
        trainer="CoOp", backbone=STUDENT, backbone_fingerprint=student.fingerprint, dataset="Digits", classnames=NAMES, 
        names="", shots=4, seed=1, epochs=2, size=list(student.image_size), interpolation="bicubic", mean=list(student.mean),
        std=list(student.std),
    ) | facts  # fmt: skip


def some_prompts(kind="plain", seed=0):
    random = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=random) * 0.1

    text, vision = (draw(3, 64), draw(2, 64)), (draw(2, 64), draw(2, 64))
    boosting = Prompts((draw(2, 64),), (draw(2, 64),))
    if kind == "specific":
        return Deployed([Prompts((draw(len(NAMES), 3, 64),)), boosting])
    if kind == "conditional":
        torch.manual_seed(seed)
        return Deployed([ConditionalContext.new(draw(3, 64), draw(2, 64), 64), boosting])
    if kind == "text":
        return Deployed([Prompts(text, after_name=1)])
    return Deployed([Prompts(text, vision), boosting])


def result(folder, student, kind="plain", **facts):
    prompts = some_prompts(kind)
    save_run(folder / FILE_NAME, prompts.deployed(), **about(student, **facts))
    return prompts


def pictures(folder, count=3):
    """Gray squares of different sizes, with a digit-like stroke."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        image = Image.new("RGB", (40 + 9 * number, 33), (10, 20, 30))
        image.paste((250, 240, 200), (10 + 5 * number, 5, 16 + 6 * number, 28))
        paths.append(folder / f"{number}.png")
        image.save(paths[-1])
    return paths


# --- the file --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["plain", "specific", "conditional", "text"])
def test_what_is_saved_is_read(tmp_path, student, kind):
    prompts = result(tmp_path, student, kind)
    learners, facts = read_run(tmp_path / FILE_NAME)
    found = Deployed(learners)
    assert facts.classnames == NAMES and facts.trainer == "CoOp"
    features = torch.randn(2, 64, generator=torch.Generator().manual_seed(3))
    for a, b in zip(prompts(features), found(features), strict=True):
        assert a.after_name == b.after_name and len(a.text) == len(b.text) and len(a.vision) == len(b.vision)
        assert all(torch.equal(x, y) for x, y in zip(a.text + a.vision, b.text + b.vision, strict=True))


# --- the predictor ---------------------------------------------------------------------------------------------------
def test_predictions_are_those_of_the_prompted_clip(tmp_path, student):
    prompts, paths = result(tmp_path, student), pictures(tmp_path / "images")
    predictor = caspl.load(tmp_path)
    pixels = torch.stack([predictor.prepare(path) for path in paths])
    with torch.no_grad():
        logits = predictor.model(pixels, prompts())
    assert torch.allclose(predictor.logits(paths), logits, rtol=1e-5, atol=1e-5)
    assert torch.allclose(
        predictor.scale * predictor.encode_image(pixels) @ predictor.classifier.T, logits, rtol=1e-5, atol=1e-5
    )
    assert predictor.classifier.shape == (4, 64) and predictor.encode_image(paths[0]).shape == (1, 64)
    best = predictor.predict([Image.open(path) for path in paths], top_k=9)
    assert [answer[0][0] for answer in best] == [NAMES[i] for i in logits.argmax(-1)]
    assert all(abs(sum(p for _, p in answer) - 1) < 1e-5 and len(answer) == 4 for answer in best)


def test_new_names_need_no_training(tmp_path, student):
    result(tmp_path, student)
    predictor = caspl.load(tmp_path)
    other = predictor.with_classes(["seven", "one"])
    assert other.classnames == ["seven", "one"] and predictor.classnames == NAMES
    assert torch.allclose(other.classifier[1], predictor.classifier[1], atol=1e-6)
    assert not torch.allclose(other.classifier[0], predictor.classifier[0], atol=1e-3)
    assert torch.allclose(caspl.load(tmp_path, classnames=["seven", "one"]).classifier, other.classifier)
    assert other.backbone is predictor.backbone


def test_images_decide_the_classes_of_cocoop(tmp_path, student):
    result(tmp_path, student, "conditional", trainer="CoCoOp")
    predictor, paths = caspl.load(tmp_path), pictures(tmp_path / "images")
    together = predictor.logits(paths)
    alone = torch.cat([predictor.logits(path) for path in paths])
    assert torch.allclose(together, alone, rtol=1e-4, atol=1e-4) and together.std(0).max() > 1e-3
    with pytest.raises(InputError, match="CoCoOp makes its class features anew for each image"):
        predictor.classifier  # noqa: B018


def test_what_may_be_an_image(tmp_path, student):
    """Every form of the same picture has the same features; what is none is refused with a sentence."""
    result(tmp_path, student)
    predictor = caspl.load(tmp_path)
    (path,) = pictures(tmp_path / "images", 1)
    deep = tmp_path / "deep.png"
    Image.fromarray(np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)).save(deep)
    for picture in (path, deep):
        tensor, opened = predictor.prepare(picture), Image.open(picture)
        features = predictor.encode_image(picture)
        for form in (str(picture), opened, tensor, tensor[None], [tensor]):
            assert torch.equal(predictor.encode_image(form), features)
    assert predictor.predict([]) == [] and predictor.predict(torch.zeros(0, 3, 32, 32)) == []
    assert predictor.encode_image([]).shape == features[:0].shape
    cut = tmp_path / "cut.png"
    cut.write_bytes(deep.read_bytes()[:-30])
    wrong = {
        "a tensor of images has the shape .1, 3, 16, 16.": torch.zeros(3, 16, 16),
        "a tensor of images has the shape .2, 1, 32, 32.": torch.zeros(2, 1, 32, 32),
        "the type torch.uint8, expected": torch.zeros(2, 3, 32, 32, dtype=torch.uint8),
        "an image is a ndarray, expected a path, a PIL image": [np.zeros((32, 32, 3))],
        "32-bit pixels .F., whose range is not known": Image.new("F", (8, 8)),
        "the image cannot be read": Image.open(cut),
    }
    for message, images in wrong.items():
        with pytest.raises(InputError, match=message):
            predictor.encode_image(images)


def test_many_paths_go_through_in_parts(tmp_path, student, monkeypatch):
    result(tmp_path, student)
    predictor, paths = caspl.load(tmp_path), pictures(tmp_path / "images", 5)
    whole = predictor.logits(paths)
    monkeypatch.setattr("caspl.use.predictor.BATCH", 2)
    assert torch.allclose(predictor.logits(paths), whole, rtol=1e-5, atol=1e-5)


def test_a_run_that_knows_the_hash_of_the_weights_alone(tmp_path, student):
    """As those that were written before the activation, the heads and the image size were part of the fingerprint."""
    result(tmp_path, student, backbone_fingerprint=student.fingerprint.split("/")[0])
    assert caspl.load(tmp_path).classnames == NAMES
    with pytest.raises(InputError, match="but demo/teacher is another network"):
        caspl.load(tmp_path, backbone="demo/teacher")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            dict(backbone="demo/teacher"),
            r"trained with demo/teacher, but demo/teacher is another network: .* here; bring back what was demo/teacher then",
        ),
        (dict(backbone="ViT-Z/9"), 'names the CLIP "ViT-Z/9", which is neither .*--backbone'),
        (dict(classnames=[]), "does not know its class names; give them"),
    ],
)
def test_headers_that_do_not_fit(tmp_path, student, damage, message):
    result(tmp_path, student, **damage)
    with pytest.raises(InputError, match=message):
        caspl.load(tmp_path)


CHOSEN = [
    "hf-hub:org/name",
    "hf-hub:timm/x",
    "ViT-B-16:/dev/zero",
    "ViT-B-16:nowhere",
    "gone.pt",
    "ViT-B-16:gone.pt",
    "local-dir:/",
    "",
]


@pytest.mark.parametrize("name", CHOSEN)
@pytest.mark.parametrize("command", ["predict", "export"])
def test_a_header_does_not_choose_what_is_opened(name, command, tmp_path, student, monkeypatch, capsys):
    """But the user may, by --backbone."""
    monkeypatch.setattr("caspl.use.predictor.load_backbone", lambda name: pytest.fail(f"{name} was loaded"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.jpg").touch()
    result(tmp_path, student, backbone=name)
    arguments = {"predict": [str(tmp_path), "one.jpg"], "export": [str(tmp_path), "--onnx", "x.onnx"]}
    assert main([command, *arguments[command]]) == 2
    error = capsys.readouterr().err
    assert f'names the CLIP "{name}", which is neither a demo model' in error and "allow it with --backbone" in error
    assert error.count("\n") == 1


def test_a_run_finds_the_file_that_it_was_trained_with(tmp_path, student):
    """A file of this machine is neither fetched nor run, and what it holds is compared by its fingerprint."""
    weights = tmp_path / "clip.pt"
    weights.touch()
    result(tmp_path, student, backbone=str(weights))
    with pytest.raises(InputError, match="clip.pt is not a weight file that can be read"):
        caspl.load(tmp_path)


def test_boosting_prompts_do_not_choose_either(tmp_path, monkeypatch):
    monkeypatch.setattr("caspl.use.predictor.load_backbone", lambda name: pytest.fail(f"{name} was loaded"))
    prompts = make_boosting()
    header = replace(make_header(prompts), student="hf-hub:org/name")
    write_record(tmp_path / "boosting.safetensors", header, dict(prompts.named_parameters()))
    with pytest.raises(InputError, match='boosting.safetensors names the CLIP "hf-hub:org/name", which is neither'):
        caspl.load(tmp_path)


def test_the_user_may_choose(tmp_path, student):
    result(tmp_path, student, backbone="hf-hub:org/name")
    assert caspl.load(tmp_path, backbone=STUDENT).classnames == NAMES


@pytest.mark.parametrize("kind", ["plain", "conditional"])
@pytest.mark.parametrize("place", ["text", "image"])
def test_no_answer_is_nan(kind, place, tmp_path, student, capsys):
    """Weights that overflow, as half precision does, or are damaged in memory."""
    result(tmp_path, student, kind)
    predictor = caspl.load(tmp_path)
    images = predictor.preprocessing.normalize(torch.rand(2, 3, 32, 32))
    model = predictor.backbone.model
    broken = model.text_projection if place == "text" else model.visual.proj
    broken.data.fill_(float("inf"))
    for ask in (predictor.logits, predictor.predict):
        with pytest.raises(
            InputError, match="prompts.safetensors and demo/student give in fp32 are not finite numbers; take"
        ):
            ask(images)
    with pytest.raises(InputError, match="a tensor of images has pixels that are not finite"):
        predictor.logits(images * torch.nan)


def test_mistakes(tmp_path, student):
    result(tmp_path / "specific", student, "specific")
    (tmp_path / "empty").mkdir()
    (tmp_path / "old/prompt_learner").mkdir(parents=True)
    (tmp_path / "old/prompt_learner/model.pth.tar-2").write_bytes(b"x")
    (tmp_path / "specific/prompt_learner").mkdir()
    (tmp_path / "specific/prompt_learner/model.pth.tar-2").write_bytes(b"x")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "specific" / FILE_NAME).read_bytes()[:900])
    cases = {
        "nowhere": "there is no file or folder",
        "empty": "holds no prompts.safetensors and no boosting.safetensors",
        "old": "holds checkpoints, but no prompts.safetensors, which python train.py --eval-only .* write",
        "specific/prompt_learner": "holds a run's checkpoints; name the run, .*specific$",
        "old/prompt_learner/model.pth.tar-2": "is a checkpoint, which does not say what it belongs to",
        "cut.safetensors": "no safetensors file or is cut short",
    }
    for name, message in cases.items():
        with pytest.raises(InputError, match=message) as error:
            caspl.load(tmp_path / name)
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="a context of its own for each of its 4 classes"):
        caspl.load(tmp_path / "specific", classnames=["a"])
    with pytest.raises(InputError, match='the device "warp" cannot be used'):
        caspl.load(tmp_path / "specific", device="warp")
    for names in ("cat", "otter"):
        with pytest.raises(InputError, match=f'the class names are "{names}", expected a list of names'):
            caspl.load(tmp_path / "specific", classnames=names)
        with pytest.raises(InputError, match=f'the class names are "{names}", expected a list of names'):
            caspl.load(tmp_path / "specific").with_classes(names)
    (tmp_path / "runs").mkdir()
    (tmp_path / "specific").rename(tmp_path / "runs" / "specific")
    with pytest.raises(InputError, match="is no run, but holds some; name one of .*runs.specific$"):
        caspl.load(tmp_path / "runs")
    (tmp_path / "runs" / "specific").rename(tmp_path / "specific")
    with pytest.raises(InputError, match="top_k is 0"):
        caspl.load(tmp_path / "specific").predict(pictures(tmp_path / "images"), top_k=0)


# --- the command -----------------------------------------------------------------------------------------------------
def test_a_folder_with_a_broken_file(tmp_path, student, capsys):
    result(tmp_path, student)
    pictures(tmp_path / "images/deep down")
    (tmp_path / "images/broken.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    (tmp_path / "images/notes.txt").write_text("no image")
    output = tmp_path / "answers.csv"
    assert main(["predict", str(tmp_path), str(tmp_path / "images"), "--top-k", "2", "--output", str(output)]) == 1
    printed = capsys.readouterr()
    assert (
        "left out: " in printed.err and "broken.jpg" in printed.err and "1 of 4 images could not be read" in printed.err
    )
    rows = list(csv.DictReader(output.open(encoding="utf-8")))
    assert [row["rank"] for row in rows] == ["1", "2"] * 3 and {row["class"] for row in rows} <= set(NAMES)
    expected = caspl.load(tmp_path).predict(tmp_path / "images/deep down/1.png", 2)[0]
    assert [row["class"] for row in rows[2:4]] == [name for name, _ in expected]
    assert [float(row["probability"]) for row in rows[2:4]] == pytest.approx([p for _, p in expected], abs=1e-5)


def test_json_and_new_names_on_stdout(tmp_path, student, capsys):
    result(tmp_path, student)
    paths = pictures(tmp_path / "images")
    (tmp_path / "names.txt").write_text("five\n\n  größe\n", encoding="utf-8-sig")
    command = ["predict", str(tmp_path), *map(str, paths), "--classes", str(tmp_path / "names.txt"), "--format", "json"]
    assert main([*command, "--batch-size", "2", "--workers", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [entry["image"] for entry in found] == [str(path) for path in paths]
    assert {entry["classes"][0]["class"] for entry in found} <= {"five", "größe"}


def test_names_that_are_odd(tmp_path, student, capsys, caplog):
    """A class twice, as in ImageNet's list; a file whose name is no Unicode."""
    result(tmp_path, student)
    (picture,) = pictures(tmp_path / "images", 1)
    picture.rename(os.fsdecode(os.fsencode(picture.parent) + b"/\xff.png"))
    (tmp_path / "names.txt").write_text("missile\nmissile\nship\n")
    command = [
        "predict",
        str(tmp_path),
        str(tmp_path / "images"),
        "--classes",
        str(tmp_path / "names.txt"),
        "--top-k",
        "3",
    ]
    for name in ("a.csv", "a.json"):
        assert main([*command, "--output", str(tmp_path / name)]) == 0
    assert "names missile more than once" in caplog.text
    assert "udcff.png,1," in (tmp_path / "a.csv").read_text()
    (entry,) = json.loads((tmp_path / "a.json").read_text())
    assert entry["image"].endswith("\udcff.png") and len(entry["classes"]) == 3


def test_names_do_nothing_where_they_are_shown(tmp_path, student, capsys, monkeypatch):
    result(tmp_path, student)
    (picture,) = pictures(tmp_path / "images", 1)
    (tmp_path / "names.txt").write_text("=cmd|'/c calc'!A1\n-1\n@home\n")
    monkeypatch.chdir(tmp_path / "images")
    names = ["=1+1.png", "a\x1b[2J.png", "b\n,=2.png", "c\u202egpj.png"]
    for name in names:
        Path(name).write_bytes(picture.read_bytes())
    Path("broken\x1b]0;x\x07.png").write_bytes(b"")
    os.mkfifo("pipe.png")
    command = ["predict", str(tmp_path), *names, "broken\x1b]0;x\x07.png", "pipe.png", "--top-k", "3"]
    assert main([*command, "--classes", str(tmp_path / "names.txt")]) == 1
    printed = capsys.readouterr()
    assert (printed.out + printed.err).replace("\n", "").isprintable()
    assert r"left out: broken\x1b]0;x\x07.png is empty" in printed.err
    assert "left out: pipe.png cannot be read (it is a named pipe, expected a file)" in printed.err
    rows = list(csv.DictReader(printed.out.splitlines()))
    assert [row["image"] for row in rows[::3]] == ["'=1+1.png", r"a\x1b[2J.png", r"b\n,=2.png", r"c\u202egpj.png"]
    assert {row["class"] for row in rows} == {"'=cmd|'/c calc'!A1", "'-1", "'@home"}
    main([*command, "--classes", str(tmp_path / "names.txt"), "--format", "json"])
    found = json.loads(capsys.readouterr().out)
    assert [entry["image"] for entry in found] == names and found[0]["classes"][0]["class"][0] in "=-@"


def test_workers_get_no_copy_of_the_model(tmp_path, student):
    result(tmp_path, student)
    prepared = predict._Prepared(["a.png"], caspl.load(tmp_path).preprocessing)
    assert len(pickle.dumps(prepared)) < 1000


def test_nothing_readable(tmp_path, student, capsys):
    result(tmp_path, student)
    (tmp_path / "a.png").write_bytes(b"")
    assert main(["predict", str(tmp_path), str(tmp_path / "a.png"), "--format", "json"]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out) == [] and "a.png is empty (0 bytes)" in printed.err


def test_mistakes_of_the_command(tmp_path, student, capsys):
    result(tmp_path, student)
    (image,) = pictures(tmp_path / "images", 1)
    (tmp_path / "long.txt").write_text("a " * 60)
    (tmp_path / "blank.txt").write_text("\n")
    (tmp_path / "nothing").mkdir()
    good = [str(tmp_path), str(image)]
    cases = [
        (
            [*good, "--classes", str(tmp_path / "no.txt")],
            "class names .--classes. .*no.txt cannot be read .No such file",
        ),
        ([*good, "--classes", str(tmp_path / "blank.txt")], "is empty"),
        ([*good, "--classes", str(image)], "is not text in UTF-8"),
        ([*good, "--backbone", "demo/teacher"], "but demo/teacher is another network"),
        ([*good, "--backbone", str(tmp_path / "weights.pt")], "there is no file at .*weights.pt"),
        ([*good, "--classes", str(tmp_path / "long.txt")], 'class name "a a .* takes .* tokens'),
        ([*good, "--output", str(tmp_path / "nothing")], "--output .*nothing cannot be written .Is a directory"),
        ([*good, "--top-k", "0"], "--top-k is 0, expected 1 to 1,000,000"),
        ([*good, "--batch-size", "0"], "--batch-size is 0"),
        ([str(tmp_path), str(tmp_path / "nothing")], "no image is in"),
        ([str(tmp_path), str(tmp_path / "missing.jpg")], "there is no image or folder"),
        ([str(tmp_path / "nothing"), str(image)], "holds no prompts.safetensors and no boosting"),
        ([*good, "--output", str(image / "out.csv")], "--output .*out.csv cannot be written .Not a directory"),
    ]
    for arguments, message in cases:
        assert main(["predict", *arguments]) == 2
        printed = capsys.readouterr()
        assert printed.err.count("\n") == 1, printed.err
        assert re.search(message, printed.err), printed.err
        assert not printed.out


# --- trainers --------------------------------------------------------------------------------------------------------
def test_images_are_read_as_in_training():
    from dassl.utils import read_image as training

    assert read_image is training


def test_preprocessing_is_that_of_tests(tmp_path, student):
    from dassl.config import get_cfg_default
    from dassl.data.transforms import build_transform

    cfg = get_cfg_default()
    cfg.INPUT.SIZE, cfg.INPUT.INTERPOLATION, cfg.INPUT.TRANSFORMS = (24, 24), "bicubic", ("normalize",)
    transform = build_transform(cfg, is_train=False)
    from caspl.clip.preprocessing import Preprocessing

    ours = Preprocessing((24, 24), tuple(cfg.INPUT.PIXEL_MEAN), tuple(cfg.INPUT.PIXEL_STD))
    for path in pictures(tmp_path, 4):
        image = read_image(path)
        assert torch.equal(ours(image), transform(image))


@pytest.mark.slow
def test_no_dassl_is_needed(tmp_path, student):
    result(tmp_path, student)
    (image,) = pictures(tmp_path / "images", 1)
    code = (
        "import sys; sys.modules['dassl'] = None; sys.modules['yacs'] = None\n"
        "from caspl.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "predict", str(tmp_path), str(image)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(caspl.__file__).parents[1])
    assert done.returncode == 0, done.stderr
    assert next(csv.DictReader(io.StringIO(done.stdout)))["class"] in NAMES
