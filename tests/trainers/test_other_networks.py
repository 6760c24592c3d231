"""A run does not go on with another CLIP, be it under the same name: a file that was replaced, or is understood otherwise."""

import pytest
from safetensors.torch import save_file

from caspl.clip.backbones import load_backbone

SHORT = ["DATASET.NUM_SHOTS", "1", "TEST.NO_TEST", "True", "OPTIM.MAX_EPOCH", "1"]


def write(path, by=0.0, **said):
    weights = load_backbone("demo/student").model.state_dict()
    save_file({name: value.contiguous() + by for name, value in weights.items()}, path, metadata=said)


@pytest.mark.parametrize(
    ("trainer", "role"), [("CoOp", "--backbone"), ("CasPLBoost", "--backbone"), ("CasPLBoost", "TRAINER.CASPL.TEACHER")]
)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (dict(by=0.01), "network {0} ({1}) there and {0} ({2}) here; bring back what was {0} then, or choose"),
        (
            dict(fingerprint="0/gelu/2+1/32x32"),
            "the same weights computed otherwise, activation quickgelu there and gelu here, image heads 2 there and 1 here; "
            "write MODEL:{0} with the name of the model that has these, or choose another --output-dir",
        ),
        ({}, ""),
    ],
    ids=["other weights", "read otherwise", "the same"],
)
def test_a_run_goes_on_with_its_own_network_only(trainer, role, change, said, run, tmp_path, capsys):
    path = tmp_path / "clip.safetensors"
    write(path)
    before = load_backbone(str(path)).fingerprint
    flags = ["--seed", "1", *([role, str(path)] if role.startswith("--") else [])]
    keys = [*SHORT, *([] if role.startswith("--") else [role, str(path)])]
    assert run(trainer, "all", "out", *flags, *keys) == 0
    left = {entry.name: entry.read_bytes() for entry in (tmp_path / "out").glob("*.safetensors")}
    write(path, **change)
    status = run(trainer, "all", "out", *flags, *keys)
    error = capsys.readouterr().err
    if not said:
        assert status == 0
        return
    assert status == 2 and f"the run in {tmp_path / 'out'} cannot go on with another {path}: " in error
    assert said.format(path, before, load_backbone(str(path)).fingerprint) in error
    assert left == {entry.name: entry.read_bytes() for entry in (tmp_path / "out").glob("*.safetensors")}
