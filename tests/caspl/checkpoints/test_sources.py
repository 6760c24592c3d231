"""Finding a record: files, folders, and what else a user may name; tests/caspl/use/test_hub.py has the Hub."""

import pytest

from boosting_files import make_boosting, write_boosting
from caspl.checkpoints import sources
from caspl.checkpoints.headers import BoostingHeader, RunHeader
from caspl.checkpoints.sources import resolve
from caspl.ground.errors import InputError

BOTH = (RunHeader, BoostingHeader)


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_files_and_folders(tmp_path, monkeypatch):
    run, boosting = put(tmp_path / "run/prompts.safetensors"), put(tmp_path / "boost/boosting.safetensors")
    assert resolve(tmp_path / "run", *BOTH) == resolve(str(run), *BOTH) == run
    assert resolve(tmp_path / "boost", *BOTH) == resolve(boosting, BoostingHeader) == boosting
    both = put(tmp_path / "run/boosting.safetensors")  # as in a host's run behind boosting prompts
    assert resolve(tmp_path / "run", *BOTH) == run and resolve(tmp_path / "run", BoostingHeader) == both
    other = put(tmp_path / "renamed.bin")
    assert resolve(other, BoostingHeader) == other  # what it is, its header says
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("~/boost", BoostingHeader) == boosting


def test_the_hub(monkeypatch):
    monkeypatch.setattr(sources, "fetch", lambda reference: ("fetched", reference))
    for kinds in (BOTH, (BoostingHeader,)):
        assert resolve("hub:org/name@v1", *kinds) == ("fetched", "hub:org/name@v1")


MISTAKES = [
    ("nowhere", BOTH, "there is no file or folder .*nowhere; expected a prompts.safetensors or boosting.safetensors"),
    ("nowhere", (BoostingHeader,), r"expected a boosting.safetensors, .*python train.py --trainer CasPLBoost"),
    ("empty", BOTH, "holds no prompts.safetensors and no boosting.safetensors; expected the folder that a run"),
    ("empty", (BoostingHeader,), "holds no boosting.safetensors; .*CasPLBoost"),
    (
        "run",
        (BoostingHeader,),
        "holds a prompts.safetensors, expected a boosting.safetensors, which phase 1 .*CasPLBoost",
    ),
    (
        "boost",
        (RunHeader,),
        "holds a boosting.safetensors, expected a prompts.safetensors, which a run of a prompt learner leaves",
    ),
    ("runs", BOTH, "is no run, but holds some; name one of .*runs.a, .*runs.b, .*runs.c and 1 more$"),
    ("run/prompt_learner", BOTH, "holds a run's checkpoints; name the run, .*run$"),
    ("old", BOTH, "holds checkpoints, but no prompts.safetensors, which python train.py --eval-only"),
    ("old/prompt_learner/model.pth.tar-2", BOTH, "is a checkpoint, which does not say what it belongs to"),
]


@pytest.mark.parametrize(("name", "kinds", "message"), MISTAKES)
def test_mistakes_say_what_was_looked_for(name, kinds, message, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in ("run", *(f"runs/{letter}" for letter in "abcd")):
        put(tmp_path / folder / "prompts.safetensors")
    put(tmp_path / "boost/boosting.safetensors")
    put(tmp_path / "run/prompt_learner/model.pth.tar-2")
    put(tmp_path / "old/prompt_learner/model.pth.tar-2")
    with pytest.raises(InputError, match=message) as error:
        resolve(tmp_path / name, *kinds)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["HUB:a/b", "hf-hub:a/b", "https://huggingface.co/a/b"])
def test_a_repository_of_the_hub_in_another_spelling(name):
    with pytest.raises(
        InputError, match=f"there is no file or folder {name}; .*; a repository .* is written hub:ORG/NAME"
    ):
        resolve(name, *BOTH)


def test_one_way_for_all_doors(tmp_path):
    """Training, host trainers, sharing and use find the same file."""
    import caspl
    from caspl.checkpoints.boosting import read_boosting
    from caspl.use.hub import save_pretrained

    write_boosting(tmp_path / "boost/boosting.safetensors", make_boosting())
    assert read_boosting(tmp_path / "boost")[1].student == "demo/student"
    assert caspl.load(tmp_path / "boost").source == str(tmp_path / "boost/boosting.safetensors")
    shared = save_pretrained(tmp_path / "boost", tmp_path / "shared")
    assert (shared / "boosting.safetensors").read_bytes() == (tmp_path / "boost/boosting.safetensors").read_bytes()
