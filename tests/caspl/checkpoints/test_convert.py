"""python -m caspl.convert: boosting prompts of the published code become a boosting checkpoint."""

import re

import open_clip
import pytest
import torch

from boosting_files import official_state, save_official
from caspl.checkpoints.boosting import load_boosting, read_boosting
from caspl.checkpoints.convert import main
from caspl.clip.backbones import load_backbone
from caspl.prompting.model import PromptedCLIP

PETS = [f"breed_{i}" for i in range(37)]


@pytest.fixture
def command(tmp_path, capsys):
    """Run the command on the demo student; gives exit status, what it printed, and its error."""
    torch.manual_seed(0)
    student = load_backbone("demo/student")
    depth = min(student.text_blocks, student.vision_blocks)
    state = official_state(student.text_width, student.vision_width, tokens=4, depth=depth)
    source = tmp_path / "model.pth.tar-20"
    (tmp_path / "pets.txt").write_text("\n".join(PETS) + "\n\n", encoding="utf-8")

    def run(*arguments, state=state, student="demo/student", output=tmp_path / "out", dataset="OxfordPets", epoch=20):
        save_official(state, source, epoch)
        flags = ["--output", str(output), "--student", student, "--dataset", dataset]
        status = main([str(source), *flags, *arguments])
        return status, *capsys.readouterr()

    run.state, run.student, run.folder, run.depth = state, student, tmp_path, depth
    return run


def test_a_boosting_checkpoint_that_loads(command):
    status, printed, _ = command("--classnames", str(command.folder / "pets.txt"))
    path = command.folder / "out" / "boosting.safetensors"
    assert status == 0
    assert f"{path}: 4 text tokens in {command.depth} blocks, 4 vision tokens in {command.depth} blocks" in printed
    assert f"{path.stat().st_size} bytes; phase 2 takes it like the file of a phase 1\n" in printed
    prompts, header = load_boosting(path, command.student, dataset="OxfordPets", classnames=PETS[:2])
    assert torch.equal(prompts.text[0], command.state["prompt_learner_teacher.ctx"].float())
    assert torch.equal(prompts.vision[0], command.state["image_encoder.VPT_FIRST"])
    for tower, entries in (("text", prompts.text), ("image", prompts.vision)):
        for block in range(1, command.depth):
            key = f"{tower}_encoder.transformer.resblocks.{block}.VPT_shallow_FIRST"
            assert torch.equal(entries[block], command.state[key])
    assert header.classnames == PETS
    assert (header.teacher, header.teacher_fingerprint, header.names, header.loss) == (
        "ViT-L/14",
        "unknown",
        "all",
        "kl",
    )
    assert (header.epochs, header.seed, header.temperature) == (20, 1, 1.0)
    assert header.template == "a photo of a {}, a type of pet."
    logits = PromptedCLIP(command.student, ["cat", "dog"])(torch.randn(1, 3, *command.student.image_size), prompts())
    assert logits.isfinite().all()


def test_flags_enter_the_header(command):
    path = command.folder / "pets.safetensors"
    flags = ["--teacher", "RN50", "--template", "one {}", "--epochs", "5", "--seed", "3", "--temperature", "2"]
    assert command(*flags, output=path)[0] == 0
    header = read_boosting(path)[1]
    assert (header.teacher, header.template, header.epochs, header.seed) == ("RN50", "one {}", 5, 3)
    assert (header.temperature, header.dataset, header.classnames) == (2.0, "OxfordPets", [])
    load_boosting(path, command.student, dataset="OxfordPets", classnames=["anything"])  # the classes are not known


def test_the_epoch_of_the_file_is_the_default(command):
    assert command(epoch=10)[0] == 0
    assert read_boosting(command.folder / "out")[1].epochs == 10
    assert command(epoch=None)[0] == 2
    assert command("--epochs", "7", epoch=None)[0] == 0


@pytest.mark.parametrize("tower", ["text", "vision"])
def test_prompts_of_one_tower_are_enough(tower, command):
    other = "image_encoder" if tower == "text" else "text_encoder"
    shallow = "image_encoder.VPT_FIRST" if tower == "text" else "prompt_learner_teacher.ctx"
    state = {k: v for k, v in command.state.items() if not (k.startswith(other) and "FIRST" in k) and k != shallow}
    assert command(state=state)[0] == 0
    header = read_boosting(command.folder / "out")[1]
    assert sorted((header.text_depth, header.vision_depth)) == [0, command.depth]


def one_more_block(state, depth):
    key = "text_encoder.transformer.resblocks.{}.VPT_shallow_FIRST".format
    return {**state, key(depth): state[key(depth - 1)]}


def test_mistakes_are_one_sentence(command):
    few = command.folder / "few.txt"
    few.write_text("cat\ndog\n", encoding="utf-8")
    gap = {k: v for k, v in command.state.items() if k != "image_encoder.VPT_FIRST"}
    mistakes = [
        (command("--classnames", str(few)), "few.txt has 2 names, but the checkpoint was trained on 37 classes"),
        (command("--classnames", str(command.folder / "none.txt")), "--classnames. .*none.txt cannot be read"),
        (command("--template", "a pet"), '--template is "a pet", but it needs {} once'),
        (
            command(student="demo/teacher"),
            "--student is demo/teacher, but .* do not fit it: text width 64 there and 96 here",
        ),
        (command(student="demo/pupil"), "no demo model is called demo/pupil"),
        (command(state=gap), "model.pth.tar-20 has vision prompts .* image_encoder.VPT_FIRST is missing"),
        (
            command(state={"ctx": torch.zeros(2, 2)}),
            "is a checkpoint of a prompt learner and holds no boosting prompts",
        ),
        (
            command(state=one_more_block(command.state, command.student.text_blocks)),
            f"do not fit it: text prompts for {command.depth + 1} blocks there and {command.depth} blocks here",
        ),
        (command(epoch=None), "does not say how many epochs it was trained for; give --epochs"),
    ]
    for (status, printed, error), message in mistakes:
        assert (status, printed) == (2, "")
        assert re.search(message, error), error
        assert error.startswith("error: ") and error.count("\n") == 1
    assert not (command.folder / "out").exists()
    assert main([str(command.folder / "none.pth"), "--output", "x", "--student", "x", "--dataset", "x"]) == 2


@pytest.mark.slow
def test_true_vit_b16_shape(tmp_path, capsys):
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-16-quickgelu", pretrained=None, load_weights=False)
    torch.save({key: value.half() for key, value in model.state_dict().items()}, tmp_path / "clip.pt")
    state = official_state(512, 768)
    save_official(state, tmp_path / "model.pth.tar-20")
    flags = ["--output", str(tmp_path / "out"), "--student", str(tmp_path / "clip.pt"), "--dataset", "OxfordPets"]
    assert main([str(tmp_path / "model.pth.tar-20"), *flags]) == 0
    tensors, header = read_boosting(tmp_path / "out")
    assert len(tensors) == 24
    assert sum(value.numel() for value in tensors.values()) == 122_880
    assert (header.text_width, header.vision_width, header.text_depth, header.vision_depth) == (512, 768, 12, 12)
    assert (tmp_path / "out" / "boosting.safetensors").stat().st_size < 1e6
    assert "8 text tokens in 12 blocks, 8 vision tokens in 12 blocks" in capsys.readouterr().out
