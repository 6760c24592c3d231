"""Sharing boosting prompts: the folder, its card, the cache, a little Hub of our own, and training from `hub:org/name`."""

import argparse
import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard, constants

from boosting_files import NAMES, make_header
from caspl.checkpoints.boosting import load_boosting, read_boosting, save_boosting, shape_facts
from caspl.checkpoints.record import write_record
from caspl.checkpoints.sources import fetch
from caspl.clip.backbones import load_backbone
from caspl.ground.errors import InputError
from caspl.prompting.groups import random_entries
from caspl.prompting.learners import Prompts
from caspl.use import hub, model_card
from little_hub import COMMIT, of_its_own, serving

ROOT = Path(__file__).resolve().parents[3]
NAME = "pets-lab/boost"

RESULTS = """## Base to new

| dataset   | method   |   seeds |         base |   HM |
|:----------|:---------|--------:|-------------:|-----:|
| Digits    | CoOp     |       3 | 84.99 ± 3.05 | 64.9 |

- ± is the population standard deviation over seeds.
"""


@pytest.fixture(scope="module")
def student():
    return load_backbone("demo/student")


@pytest.fixture(scope="module")
def saved(student, tmp_path_factory):
    """A boosting checkpoint of digits, and its header."""
    torch.manual_seed(0)
    prompts = Prompts(random_entries(4, 3, 64), random_entries(2, 4, 64))
    header = make_header(
        prompts,
        student,
        teacher_fingerprint="89abcdef01234567",
        template="a glyph of {} | bright",
        temperature=2.5,
        epochs=7,
        seed=3,
    )
    path = tmp_path_factory.mktemp("boost") / "boosting.safetensors"
    save_boosting(path, prompts, header)
    return path, header


def variant(saved, path, **fields):
    """The checkpoint with other fields in its header."""
    tensors, header = read_boosting(saved[0])
    write_record(path, dataclasses.replace(header, **fields), tensors)
    return path


# ------------------------------------------------------------ a Hub, and a machine that has its own home
@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    return of_its_own(tmp_path / "home", monkeypatch)


def fill_cache(home, content, name=NAME, commit=COMMIT, ref="main"):
    """What a download leaves behind."""
    folder = home / "hub" / f"models--{name.replace('/', '--')}"
    blob = folder / "blobs" / hashlib.sha256(content).hexdigest()
    pointer = folder / "snapshots" / commit / "boosting.safetensors"
    for path in (blob, pointer, folder / "refs" / ref):
        path.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(content)
    pointer.symlink_to(os.path.relpath(blob, pointer.parent))
    (folder / "refs" / ref).write_text(commit)
    return pointer


@pytest.fixture
def server(monkeypatch):
    with serving(monkeypatch) as server:
        yield server


# ------------------------------------------------------------ the folder and its card
def facts(card):
    """The rows of the card's table of facts."""
    section = card.split("## Facts\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| (.*) \|$", section, re.MULTILINE)
    return {name: value.replace("\\", "") for name, value in rows}


def test_a_folder_holds_the_checkpoint_its_header_and_a_card(saved, tmp_path):
    path, header = saved
    folder = hub.save_pretrained(path.parent, tmp_path / "new" / "folder")
    assert sorted(file.name for file in folder.iterdir()) == ["README.md", "boosting.safetensors", "config.json"]
    assert (folder / "boosting.safetensors").read_bytes() == path.read_bytes()
    assert json.loads((folder / "config.json").read_text()) == dataclasses.asdict(header)


def test_the_card_says_what_the_header_says(saved, tmp_path):
    path, header = saved
    card = ModelCard.load(hub.save_pretrained(path, tmp_path) / "README.md")
    assert card.data.library_name == "caspl" and card.data.base_model is None
    assert {"caspl", "clip", "prompt-learning", "vision-language"} <= set(card.data.tags)
    assert facts(card.text) == {
        "student": f"demo/student, fingerprint {header.student_fingerprint}",
        "teacher": "demo/teacher, fingerprint 89abcdef01234567",
        "teacher's text": "a glyph of {} | bright",
        "student's text": "the class name alone, behind the prompts",
        "images": "Digits, labels unread",
        "names in the softmax": "10 classes",
        "loss": "kl, temperature 2.5",
        "epochs": "7",
        "seed": "3",
        "text tower": "tokens 4, blocks 3, width 64",
        "image tower": "tokens 2, blocks 4, width 64",
        "parameters": "1,280",  # 4 * 3 * 64 + 2 * 4 * 64
        "file": f"{path.stat().st_size:,} bytes",
    }
    assert f"10: {', '.join(NAMES)}\n" in card.text
    assert "| a glyph of {} \\| bright |" not in card.text.replace("teacher's text | a", "")  # the bar is in one cell
    assert "## Results" not in card.text


def test_the_card_of_other_headers(saved, tmp_path):
    def card(**fields):
        path = variant(saved, tmp_path / "other.safetensors", **fields)
        return ModelCard.load(hub.save_pretrained(path, tmp_path / "folder") / "README.md")

    many = card(classnames=[f"kind {i}" for i in range(1234)], names="base", student="ViT-B/16")
    assert many.data.base_model == "openai/clip-vit-base-patch16"
    assert many.data.to_dict()["base_model_relation"] == "adapter"
    assert facts(many.text)["names in the softmax"] == "1,234 classes, the base classes only"
    assert (
        "1,234: kind 0, kind 1, " in many.text and "kind 99 and 1,134 more" in many.text and "kind 100" not in many.text
    )
    odd = card(classnames=["a|b", "<i>c", "d*e*", "yellow_lady"], teacher="x\ny")
    assert r"4: a\|b, \<i\>c, d\*e\*, yellow_lady" in odd.text and "x y, fingerprint" in odd.text
    unknown = card(classnames=[])
    assert "The names are not known." in unknown.text and facts(unknown.text)["names in the softmax"] == "all classes"
    student = 'C:\\clip "old".pt'
    (line,) = re.findall(r"load_backbone\((.*)\)\)", card(student=student).text)
    assert json.loads(line) == student


def test_a_tower_without_prompts(saved, student, tmp_path):
    prompts = Prompts(random_entries(4, 3, 64))
    header = dataclasses.replace(saved[1], **shape_facts(prompts, student))
    save_boosting(tmp_path / "text.safetensors", prompts, header)
    card = ModelCard.load(hub.save_pretrained(tmp_path / "text.safetensors", tmp_path / "f") / "README.md")
    assert facts(card.text)["image tower"] == "no prompts" and facts(card.text)["parameters"] == "768"


@pytest.mark.parametrize(
    "student, name",
    [
        ("ViT-L/14@336px", "openai/clip-vit-large-patch14-336"),
        ("ViT-B-16:laion2b_s34b_b88k", "laion/CLIP-ViT-B-16-laion2B-s34B-b88K"),
        ("ViTamin-S:datacomp1b", "jienengchen/ViTamin-S"),
        ("hf-hub:org/clip", "org/clip"),
        ("hf:org/clip", "org/clip"),
        ("hf:org/clip@v1", "org/clip"),
        ("RN50", None),
        ("demo/student", None),
        ("/data/ViT-B-16.pt", None),
        ("ViT-B-16:/data/own.pt", None),
    ],
)
def test_base_model_is_named_where_it_is_certain(student, name):
    assert model_card.base_model(student) == name


def test_the_card_shows_how_to_use_it(saved, tmp_path, server, monkeypatch):
    """The lines of the card are run."""
    folder = hub.save_pretrained(saved[0], tmp_path / "folder", repo_id=NAME)
    server.add(NAME, {file.name: file.read_bytes() for file in folder.iterdir()})
    card = (folder / "README.md").read_text()
    assert f"TRAINER.CASPL.BOOSTING hub:{NAME}\n```" in card
    names = {}
    exec("\n".join(re.findall(r"^(?:from|prompts).+$", card, re.MULTILINE)), names)
    assert names["header"] == saved[1]
    assert 'caspl.load("hub:pets-lab/boost").predict("photo.jpg")' in card
    assert "hub:ORG/NAME" in (hub.save_pretrained(saved[0], tmp_path / "unnamed") / "README.md").read_text()


def test_results_stand_in_the_card(saved, tmp_path):
    (tmp_path / "results.md").write_text(RESULTS)
    folder = hub.save_pretrained(saved[0], tmp_path / "folder", results=tmp_path / "results.md")
    text = ModelCard.load(folder / "README.md").text
    section = text.split("## Results\n")[1]
    assert "\n### Base to new\n" in section and "| Digits    | CoOp     |       3 | 84.99 ± 3.05 | 64.9 |" in section


def test_what_caspl_results_writes_is_taken(saved, tmp_path, capsys):
    from caspl.results.__main__ import main

    for part, classes, percent in (("train_base", "base", 81), ("test_new", "new", 64)):
        run = tmp_path / "output/base2new" / part / "digits/shots_16/CoOp/vit/seed1"
        run.mkdir(parents=True)
        (run / "log.txt").write_text(
            f"** Config **\nDATASET:\n  NAME: Digits\n  SUBSAMPLE_CLASSES: {classes}\nEvaluate on the *test* set\n=> result\n"
            f"* total: 100\n* correct: {percent}\n* accuracy: {percent}.0%\n* error: {100 - percent}.0%\n"
            f"* macro_f1: {percent}.0%\n"
        )
    assert main([str(tmp_path / "output")]) == 0
    assert "### Base to new" in model_card.read_results(tmp_path / "output" / "results.md")
    assert "81.00" in model_card.read_results(tmp_path / "output" / "results.md")
    with pytest.raises(InputError, match=r"results.csv holds no table.*expected the results.md"):
        model_card.read_results(tmp_path / "output" / "results.csv")


def test_only_the_three_files_are_replaced_and_all_or_none(saved, tmp_path, monkeypatch):
    for name in ("README.md", "config.json", "boosting.safetensors", "notes.txt"):
        (tmp_path / name).write_text("old")
    count = iter(range(3))
    real = Path.write_bytes
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", lambda path, data: real(path, data) if next(count) < 2 else fail())
        with pytest.raises(OSError, match="disk full"):
            hub.save_pretrained(saved[0], tmp_path)
    assert {file.name: file.read_text() for file in tmp_path.iterdir() if file.is_file()} == dict.fromkeys(
        ("README.md", "config.json", "boosting.safetensors", "notes.txt"), "old"
    )
    hub.save_pretrained(saved[0], tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "old"
    assert read_boosting(tmp_path)[1] == saved[1]
    assert hub.save_pretrained(tmp_path, tmp_path) == tmp_path and read_boosting(tmp_path)[1] == saved[1]


def fail():
    raise OSError("disk full")


def test_damage_leaves_nothing_behind(saved, tmp_path):
    broken = tmp_path / "boosting.safetensors"
    broken.write_bytes(saved[0].read_bytes()[:-20])
    with pytest.raises(InputError, match="cut short"):
        hub.save_pretrained(broken, tmp_path / "folder")
    with pytest.raises(InputError, match="there is no file or folder .*nowhere"):
        hub.save_pretrained(tmp_path / "nowhere", tmp_path / "folder")
    for content in ("no table", "## Base to new\n\nnothing\n", b"\xff\xfe\x00"):
        (tmp_path / "results.md").write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(InputError, match=r"results.md .*expected the results.md"):
            hub.save_pretrained(saved[0], tmp_path / "folder", results=tmp_path / "results.md")
    with pytest.raises(InputError, match=r"missing.md can't be read.*expected the results.md"):
        hub.save_pretrained(saved[0], tmp_path / "folder", results=tmp_path / "missing.md")
    assert not (tmp_path / "folder").exists()


# ------------------------------------------------------------ reading from the Hub
def test_the_cache_serves_without_a_network(saved, student, home):
    pointer = fill_cache(home, saved[0].read_bytes())
    assert fetch(f"hub:{NAME}") == pointer
    expected, header = load_boosting(saved[0], student)
    for loaded, read in (
        load_boosting(f"hub:{NAME}", student),
        load_boosting(Path(f"hub:{NAME}"), student),
        load_boosting(f"hub:{NAME}@{COMMIT}", student),
        hub.from_pretrained(NAME, student),
        hub.from_pretrained(saved[0].parent, student),
    ):
        assert read == header
        assert all(torch.equal(value, expected.state_dict()[key]) for key, value in loaded.state_dict().items())
        assert loaded.state_dict().keys() == expected.state_dict().keys()


def test_a_revision_is_another_file(saved, home, tmp_path):
    fill_cache(home, saved[0].read_bytes())
    other = variant(saved, tmp_path / "other.safetensors", seed=9)
    fill_cache(home, other.read_bytes(), commit="f" * 40, ref="v2")
    assert [read_boosting(f"hub:{NAME}{end}")[1].seed for end in ("", "@v2", "@" + "f" * 40, "@main")] == [3, 9, 9, 3]


@pytest.mark.slow
def test_the_environment_is_honoured(saved, home):
    """In a process of its own, since huggingface_hub reads HF_HOME and HF_HUB_OFFLINE when it is imported."""
    fill_cache(home, saved[0].read_bytes())
    code = (
        "import sys; from caspl.checkpoints.boosting import read_boosting; from caspl.ground.errors import InputError\n"
        "try: print(read_boosting(sys.argv[1])[1].seed)\n"
        "except InputError as error: print(error)"
    )

    def output(reference):
        environment = {k: v for k, v in os.environ.items() if k != "HF_HUB_CACHE"}
        environment |= {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", code, reference]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    assert output(f"hub:{NAME}") == "3"
    assert output("hub:pets-lab/other").startswith(
        f"hub:pets-lab/other is not in the cache {home}/hub, and the Hub can't"
    )


def test_a_local_file_needs_no_huggingface_hub(saved, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert read_boosting(saved[0])[1] == saved[1]
    with pytest.raises(ImportError):
        read_boosting(f"hub:{NAME}")


@pytest.mark.parametrize(
    "reference", ["boost", "a/b/c", "org/", "/name", "", "org/na me", "org/a--b", "org/name@", "@v1"]
)
def test_a_malformed_name_is_refused(reference, server):
    message = rf'"hub:{reference}" names no repository of the Hub; expected hub:org/name or hub:org/name@revision'
    with pytest.raises(InputError, match=re.escape(message)):
        read_boosting(f"hub:{reference}")
    assert not server.requests


@pytest.fixture
def content(saved):
    return {"boosting.safetensors": saved[0].read_bytes(), "config.json": b"{}"}


def test_downloads_come_once_and_are_counted(server, content, saved):
    server.add(NAME, content)
    assert read_boosting(f"hub:{NAME}@v1")[1] == saved[1]
    assert [path for method, path in server.requests if method == "GET"] == [
        f"/{NAME}/resolve/v1/boosting.safetensors",
        f"/{NAME}/resolve/{COMMIT}/config.json",
    ]
    server.requests.clear()
    assert read_boosting(f"hub:{NAME}@v1")[1] == saved[1]
    assert server.requests == [("HEAD", f"/{NAME}/resolve/v1/boosting.safetensors")]
    server.requests.clear()
    assert read_boosting(f"hub:{NAME}@{COMMIT}")[1] == saved[1] and not server.requests


def test_a_checkpoint_alone_is_enough(server, content, saved):
    server.add(NAME, {"boosting.safetensors": content["boosting.safetensors"]})
    assert read_boosting(f"hub:{NAME}")[1] == saved[1]


def test_a_cached_file_is_used_when_the_hub_is_down(server, content, saved):
    server.add(NAME, content)
    read_boosting(f"hub:{NAME}")
    server.down = True
    assert read_boosting(f"hub:{NAME}")[1] == saved[1]


def test_a_token_opens_a_private_repository(server, content, saved, monkeypatch):
    server.add(NAME, content, private=True)
    with pytest.raises(InputError, match=rf"no repository {NAME}, or it is private.*hf auth login, or set HF_TOKEN"):
        read_boosting(f"hub:{NAME}")
    monkeypatch.setenv("HF_TOKEN", "reader")
    assert read_boosting(f"hub:{NAME}")[1] == saved[1]


@pytest.mark.parametrize(
    "reference, token, message",
    [
        (
            "hub:pets-lab/none",
            "",
            "has no repository pets-lab/none, or it is private.*correct the name, or hf auth login",
        ),
        ("hub:pets-lab/none", "reader", "the Hub has no repository pets-lab/none"),
        ("hub:pets-lab/gated", "", "pets-lab/gated is gated.*ask for access.*hf auth login, or set HF_TOKEN"),
        (
            "hub:pets-lab/empty",
            "",
            "pets-lab/empty has no boosting.safetensors; expected a repository that caspl share",
        ),
        ("hub:pets-lab/gated@v9", "reader", 'pets-lab/gated has no revision "v9"; give one of its.*leave out @v9'),
        ("hub:pets-lab/gated", "old", "could not be fetched .*Invalid credentials.*hf auth login, or set HF_TOKEN"),
    ],
)
def test_refusals_of_the_hub(reference, token, message, server, content, monkeypatch):
    server.add("pets-lab/gated", content, gated=True)
    server.add("pets-lab/empty", {"README.md": b""})
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(InputError, match=message) as error:
        read_boosting(reference)
    assert "\n" not in str(error.value)


def test_no_network_and_nothing_in_the_cache(home, saved, server):
    server.down = True
    message = r"hub:org/name is not in the cache .*hub, and the Hub can't be reached; {}, or set HF_HOME"
    with pytest.raises(InputError, match=message.format("go online")):
        read_boosting("hub:org/name")
    constants.HF_HUB_OFFLINE = True
    with pytest.raises(InputError, match=message.format("unset HF_HUB_OFFLINE")):
        read_boosting("hub:org/name")


def test_a_damaged_file_says_what_to_delete(home, saved):
    pointer = fill_cache(home, saved[0].read_bytes()[:-10])
    with pytest.raises(InputError, match=rf"hub:{NAME} is damaged: .*cut short.*on the Hub is sound, delete") as error:
        read_boosting(f"hub:{NAME}")
    assert pointer.is_relative_to(re.search(r"delete (\S+)", str(error.value)).group(1))


# ------------------------------------------------------------ pushing
def test_a_pushed_folder_comes_back(server, saved, student, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "writer")
    folder = hub.save_pretrained(saved[0], tmp_path / "folder")
    (folder / "secret.txt").write_text("not for everybody")
    (folder / "README.md").write_text((folder / "README.md").read_text() + "\nMy own words.\n")
    assert hub.push_to_hub(folder, NAME) == f"{server.address}/{NAME}"
    repository = server.repositories[NAME]
    assert repository["files"].keys() == {"README.md", "boosting.safetensors", "config.json"}
    assert not repository["private"] and b"My own words." in repository["files"]["README.md"]
    expected, header = load_boosting(saved[0], student)
    loaded, read = hub.from_pretrained(NAME, student)
    assert read == header and all(torch.equal(loaded.state_dict()[k], v) for k, v in expected.state_dict().items())


@pytest.mark.parametrize("source", ["file", "folder", "hub"])
def test_a_checkpoint_is_pushed_with_a_card_of_its_own(source, server, saved, content, monkeypatch):
    server.add("org/source", content)
    before = sorted(saved[0].parent.iterdir())
    given = {"file": saved[0], "folder": saved[0].parent, "hub": "hub:org/source"}[source]
    hub.push_to_hub(given, NAME, token="writer", private=True)
    files = server.repositories[NAME]["files"]
    assert files["boosting.safetensors"] == saved[0].read_bytes()
    assert f"hub:{NAME}" in files["README.md"].decode() and json.loads(files["config.json"])["seed"] == 3
    assert server.repositories[NAME]["private"]
    assert sorted(saved[0].parent.iterdir()) == before


def test_a_second_push_replaces_the_first(server, saved, tmp_path):
    hub.push_to_hub(saved[0], NAME, token="writer")
    hub.push_to_hub(variant(saved, tmp_path / "other.safetensors", seed=9), NAME, token="writer")
    assert json.loads(server.repositories[NAME]["files"]["config.json"])["seed"] == 9


@pytest.mark.parametrize(
    "name, token, message",
    [
        (NAME, None, f"{NAME} can't be written, as nobody is logged in to the Hub; hf auth login, or set HF_TOKEN"),
        (NAME, "old", f"{NAME} can't be written with your token .*Invalid credentials.*hf auth login, or set HF_TOKEN"),
        (NAME, "reader", f"{NAME} can't be written with your token .*pets-lab must be you or an organisation of yours"),
        (
            "others/boost",
            "writer",
            "others/boost can't be written with your token .*the rights to create.*others must be you",
        ),
        (
            "others/theirs",
            "writer",
            "others/theirs can't be written with your token .*have write access.*others must be you",
        ),
        ("boost", "writer", '"boost" names no repository of the Hub; expected org/name'),
        ("hub:org/name", "writer", '"hub:org/name" names no repository of the Hub; expected org/name'),
    ],
)
def test_refusals_of_a_push(name, token, message, server, saved):
    server.add("others/theirs", {})
    with pytest.raises(InputError, match=message) as error:
        hub.push_to_hub(saved[0], name, token=token)
    assert "\n" not in str(error.value)
    assert list(server.repositories) == ["others/theirs"] and not server.repositories["others/theirs"]["files"]


def test_private_never_lands_in_the_open(server, saved):
    server.add(NAME, {})
    with pytest.raises(InputError, match=f"{NAME} exists and is public, so nothing was pushed"):
        hub.push_to_hub(saved[0], NAME, token="writer", private=True)
    assert not server.repositories[NAME]["files"]


def test_nothing_damaged_is_pushed(server, saved, tmp_path):
    folder = hub.save_pretrained(saved[0], tmp_path / "folder")
    (folder / "boosting.safetensors").write_bytes(saved[0].read_bytes()[:-10])
    with pytest.raises(InputError, match="cut short"):
        hub.push_to_hub(folder, NAME, token="writer")
    assert not server.requests


def test_a_push_without_network(server, saved, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=f"{NAME} was not pushed .*offline mode.*check the network"):
        hub.push_to_hub(saved[0], NAME, token="writer")
    server.down, constants.HF_HUB_OFFLINE = True, False
    with pytest.raises(InputError, match=f"{NAME} was not pushed .*418.*check the network"):
        hub.push_to_hub(saved[0], NAME, token="writer")


# ------------------------------------------------------------ the command, and phase 2
def share(*words):
    parser = argparse.ArgumentParser()
    hub.add_arguments(parser)
    return hub.run(parser.parse_args([str(word) for word in words]))


def test_the_command_writes_and_pushes(server, saved, tmp_path, monkeypatch, capsys):
    (tmp_path / "results.md").write_text(RESULTS)
    folder = tmp_path / "folder"
    assert share(saved[0].parent, "--folder", folder, "--results", tmp_path / "results.md") == 0
    assert capsys.readouterr().out.endswith(f"use it with TRAINER.CASPL.BOOSTING {folder}\n")
    assert "### Base to new" in (folder / "README.md").read_text() and not server.requests
    monkeypatch.setenv("HF_TOKEN", "writer")
    assert share(saved[0], "--folder", folder, "--push", NAME, "--private") == 0
    assert capsys.readouterr().out.endswith(f"{server.address}/{NAME}\nuse it with TRAINER.CASPL.BOOSTING hub:{NAME}\n")
    assert server.repositories[NAME]["private"]
    assert server.repositories[NAME]["files"]["README.md"] == (folder / "README.md").read_bytes()
    assert f"hub:{NAME}" in (folder / "README.md").read_text()


def test_an_edited_card_is_pushed_as_it_is(server, saved, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", "writer")
    folder = tmp_path / "folder"
    assert share(saved[0], "--folder", folder) == 0
    card = folder / "README.md"
    card.write_text(card.read_text() + "\nMore words.\n")
    assert share(folder, "--push", NAME) == 0
    pushed = server.repositories[NAME]["files"]["README.md"].decode()
    assert pushed.endswith("More words.\n") and f"hub:{NAME}" in pushed and "ORG/NAME" not in pushed
    assert "hub:ORG/NAME" in card.read_text() and f"TRAINER.CASPL.BOOSTING hub:{NAME}\n" in capsys.readouterr().out


def test_mistakes_of_the_command(server, saved, tmp_path):
    with pytest.raises(InputError, match="there is nothing to do; give --folder FOLDER, --push ORG/NAME, or both"):
        share(saved[0])
    with pytest.raises(InputError, match="--results is for the card that --folder writes; give --folder FOLDER$"):
        share(saved[0], "--push", NAME, "--results", tmp_path / "results.md")

    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "README.md").write_text("my own")
    with pytest.raises(InputError, match="holds a README.md of something else, which the model card would replace"):
        share(saved[0], "--folder", tmp_path / "notes")
    (tmp_path / "coop").mkdir()
    (tmp_path / "coop" / "prompts.safetensors").touch()
    with pytest.raises(InputError, match="holds a prompts.safetensors, expected a boosting.safetensors, which phase 1"):
        share(tmp_path / "coop", "--folder", tmp_path / "folder")
    with pytest.raises(InputError, match="--private is about the repository of --push"):
        share(saved[0], "--folder", tmp_path / "folder", "--private")
    with pytest.raises(InputError, match='"boost" names no repository'):
        share(saved[0], "--folder", tmp_path / "folder", "--push", "boost")
    assert not (tmp_path / "folder").exists()


@pytest.mark.slow
def test_phase_2_trains_from_the_hub(saved, home, tmp_path, capsys):
    """As from the file: the same log line, the same trained prompts; the command goes on where it stopped, and tests."""
    from dassl.utils import reset_logger

    import train

    fill_cache(home, saved[0].read_bytes())

    def run(folder, boosting, *more, flags=()):
        configs = ROOT / "configs"
        arguments = ["--root", str(tmp_path / "data"), "--trainer", "CasPL_CoOp", "--seed", "1"]
        arguments += ["--dataset-config-file", str(configs / "datasets/digits.yaml")]
        arguments += ["--config-file", str(configs / "trainers/CasPL_CoOp/digits.yaml")]
        arguments += [
            "--output-dir",
            str(tmp_path / folder),
            *flags,
            "DATASET.NUM_SHOTS",
            "1",
            "OPTIM.MAX_EPOCH",
            "1",
            *more,
        ]
        try:
            return train.main([*arguments, "TRAINER.CASPL.BOOSTING", boosting])
        finally:
            reset_logger()

    def learned(folder):
        path = tmp_path / folder / "prompt_learner" / "model.pth.tar-1"
        return torch.load(path, weights_only=True)["state_dict"]

    assert run("file", str(saved[0])) == 0
    for folder, reference in (("hub", f"hub:{NAME}"), ("pinned", f"hub:{NAME}@{COMMIT}")):
        assert run(folder, reference) == 0
        assert (
            f"Boosting prompts from {reference}: 4 text tokens in 3 blocks"
            in (tmp_path / folder / "log.txt").read_text()
        )
        expected, found = learned("file"), learned(folder)
        assert expected.keys() == found.keys() and any(key.startswith("boosting.") for key in found)
        assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert run("hub", f"hub:{NAME}") == 0  # finished: the configuration is compared with that of resume.pth.tar
    assert run("hub", str(saved[0])) == 2
    assert f'TRAINER.CASPL.BOOSTING was "hub:{NAME}" and is now' in capsys.readouterr().err
    assert (
        run("test", f"hub:{NAME}", flags=("--eval-only", "--model-dir", str(tmp_path / "hub"), "--load-epoch", "1"))
        == 0
    )
    assert run("none", "hub:pets-lab/none") == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "hub:pets-lab/none is not in the cache" in line
