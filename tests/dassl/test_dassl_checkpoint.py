import collections
import pickle
import resource
import zipfile

import numpy as np
import pytest
import torch
from dassl.utils import (
    InputError,
    load_checkpoint,
    load_pretrained_weights,
    resume_from_checkpoint,
    save_checkpoint,
)


def state(**more):
    return {"state_dict": {"module.w": torch.ones(2)}, "epoch": 3, "optimizer": None, "scheduler": None} | more


def test_save_and_load(tmp_path):
    folder = str(tmp_path / "linear")
    original = state(val_result=np.float64(50.0))
    save_checkpoint(original, folder, is_best=True)
    assert "module.w" in original["state_dict"]
    names = sorted(p.name for p in (tmp_path / "linear").iterdir())
    assert names == ["checkpoint", "model-best.pth.tar", "model.pth.tar-3"]
    assert (tmp_path / "linear" / "checkpoint").read_text() == "model.pth.tar-3\n"
    loaded = torch.load(tmp_path / "linear" / "model.pth.tar-3", weights_only=True)
    assert set(loaded) == {"state_dict", "epoch", "optimizer", "scheduler", "val_result", "checksum"}
    assert list(loaded["state_dict"]) == ["w"] and type(loaded["val_result"]) is float
    assert load_checkpoint(tmp_path / "linear" / "model-best.pth.tar")["epoch"] == 3


def test_save_refuses_objects(tmp_path):
    with pytest.raises(TypeError, match=r"state\['scheduler'\]\['next'\] is a builtins\.object"):
        save_checkpoint(state(scheduler={"next": object()}), str(tmp_path / "m"))
    assert not (tmp_path / "m").exists()


def test_counter_can_be_saved(tmp_path):
    """MultiStepLR keeps its milestones in a Counter."""
    save_checkpoint(state(scheduler={"milestones": collections.Counter([2, 2, 5])}), str(tmp_path))
    assert load_checkpoint(tmp_path / "model.pth.tar-3")["scheduler"]["milestones"] == {2: 2, 5: 1}


def test_load_missing(tmp_path):
    save_checkpoint(state(), str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"no file .*tar-4; .* holds model\.pth\.tar-3\.$") as caught:
        load_checkpoint(str(tmp_path / "model.pth.tar-4"))
    assert isinstance(caught.value, InputError)
    with pytest.raises(FileNotFoundError, match="nor a folder"):
        load_checkpoint(str(tmp_path / "none" / "m"))
    with pytest.raises(InputError, match="is a folder"):
        load_checkpoint(str(tmp_path))
    with pytest.raises(ValueError, match="None"):
        load_checkpoint(None)


def test_load_damaged(tmp_path):
    save_checkpoint(state(), str(tmp_path))
    whole = (tmp_path / "model.pth.tar-3").read_bytes()
    html, archive = b"<!DOCTYPE html><html>", tmp_path / "zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.txt", "text")
    contents = [whole[: len(whole) // 2], whole[:100], b"", html, b"cposix\nsystem\n", archive.read_bytes()]
    for index, content in enumerate(contents):
        path = tmp_path / f"broken{index}"
        path.write_bytes(content)
        with pytest.raises(
            InputError, match=rf"broken{index} is cut short, damaged or no file of torch.save"
        ) as caught:
            load_checkpoint(path)
        assert "\n" not in str(caught.value)


class Evil:
    ran = False

    def __reduce__(self):
        return (setattr, (Evil, "ran", True))


@pytest.mark.parametrize("zipped", [True, False])
def test_load_executes_nothing(tmp_path, zipped):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    upstream = {"state_dict": {}, "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3)}
    for name, content in (("upstream", upstream), ("evil", {"x": Evil()})):
        torch.save(content, tmp_path / name, _use_new_zipfile_serialization=zipped)
        with pytest.raises(InputError, match=rf"{name} contains pickled objects \(.+\)"):
            load_checkpoint(tmp_path / name)
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(InputError):
        load_checkpoint(tmp_path / "plain.pkl")
    assert not Evil.ran


def test_a_full_disk_is_named(tmp_path):
    """And the old file stays. A limit on the size of files stands for the full disk."""
    path = tmp_path / "model.pth.tar-3"
    save_checkpoint(state(), str(tmp_path))
    before, limit = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            save_checkpoint(state(state_dict={"w": torch.ones(10_000)}), str(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == before and sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint", path.name]


@pytest.mark.parametrize("text", [None, "", "\n"])
def test_resume_from_unusable_folder(tmp_path, text):
    (tmp_path / "model.pth.tar-3").touch()
    if text is not None:
        (tmp_path / "checkpoint").write_text(text)
    with pytest.raises(InputError, match=r"missing or empty; .* holds model\.pth\.tar-3; .*train from scratch"):
        resume_from_checkpoint(str(tmp_path), torch.nn.Linear(1, 1))


def test_resume_with_other_shapes(tmp_path):
    model = torch.nn.Linear(2, 3)
    save_checkpoint(state(state_dict=model.state_dict()), str(tmp_path))
    assert resume_from_checkpoint(str(tmp_path), torch.nn.Linear(2, 3)) == 3
    with pytest.raises(
        InputError, match=r"tar-3 does not fit the model: weight is \(3, 2\), expected \(4, 2\); bias is"
    ):
        resume_from_checkpoint(str(tmp_path), torch.nn.Linear(2, 4))


def test_load_pretrained_weights(tmp_path, caplog):
    model = torch.nn.Linear(2, 3)
    torch.save({"state_dict": {"module.weight": torch.ones(3, 2), "bias": torch.ones(4)}}, tmp_path / "w")
    load_pretrained_weights(model, str(tmp_path / "w"))
    assert torch.equal(model.weight, torch.ones(3, 2)) and model.bias.shape == (3,)
    assert "['bias']" in caplog.text
    torch.save({"other": torch.ones(1)}, tmp_path / "w")
    with pytest.warns(UserWarning, match="Nothing in .* fits"):
        load_pretrained_weights(model, str(tmp_path / "w"))
