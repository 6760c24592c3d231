"""Running train.py's main in this process, on the demo models and the embedded digits."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """The root folder of the datasets; digits are written there on first use."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def command(data, tmp_path):
    """`command("CoOp", "base", "coop", "--seed", "1", "KEY", "VALUE")` -> arguments of train.py for digits."""

    def arguments(trainer, classes, folder, *more):
        configs = ROOT / "configs"
        return [
            "--root",
            str(data),
            "--trainer",
            trainer,
            "--output-dir",
            str(tmp_path / folder),
            "--dataset-config-file",
            str(configs / "datasets" / "digits.yaml"),
            "--config-file",
            str(configs / "trainers" / trainer / "digits.yaml"),
            *more,
            "DATASET.SUBSAMPLE_CLASSES",
            classes,
        ]

    return arguments


@pytest.fixture
def run(command):
    """Run train.py; gives its exit status. Loggers are put back afterwards."""
    from dassl.utils import reset_logger

    import train

    def call(*arguments):
        try:
            return train.main(command(*arguments))
        finally:
            reset_logger()

    return call


@pytest.fixture
def build(command):
    """Build a trainer without running it."""
    from dassl.engine import build_trainer
    from dassl.utils import set_random_seed

    import train

    def make(*arguments):
        cfg = train.setup_cfg(train.parse_args(command(*arguments)))
        set_random_seed(max(cfg.SEED, 0))
        return build_trainer(cfg)

    return make


@pytest.fixture(scope="session")
def boosting(tmp_path_factory):
    """A boosting checkpoint of two epochs, of a few digits."""
    from dassl.utils import reset_logger

    import train

    folder = tmp_path_factory.mktemp("boost")
    status = train.main(
        [
            "--root",
            str(folder / "data"),
            "--trainer",
            "CasPLBoost",
            "--output-dir",
            str(folder),
            "--seed",
            "1",
            "--dataset-config-file",
            str(ROOT / "configs/datasets/digits.yaml"),
            "--config-file",
            str(ROOT / "configs/trainers/CasPLBoost/digits.yaml"),
            *("OPTIM.MAX_EPOCH", "2", "DATASET.NUM_SHOTS", "4", "TEST.NO_TEST", "True"),
            "TRAINER.CASPL.N_CTX_VISION",
            "4",
            "TRAINER.CASPL.DEPTH_TEXT",
            "2",
        ]
    )
    reset_logger()
    assert status == 0
    return folder / "boosting.safetensors"
