"""A small sweep on digits, really trained and tested: once for all tests of a process."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
EPOCHS = ("OPTIM.MAX_EPOCH", "2")


@pytest.fixture(scope="session")
def sweep(tmp_path_factory):
    """The output folder of CLIP, CoOp and CasPL_CoOp, with two seeds each; also results.csv and report.html in it."""
    from dassl.utils import reset_logger

    import train
    from caspl.results.__main__ import main as results
    from caspl.results.report.__main__ import main as report

    top = tmp_path_factory.mktemp("sweep")
    out = top / "output"

    def run(trainer, folder, *more):
        files = (ROOT / "configs/datasets/digits.yaml", ROOT / "configs/trainers" / trainer / "digits.yaml")
        words = [
            "--root",
            top / "data",
            "--trainer",
            trainer,
            "--dataset-config-file",
            files[0],
            "--config-file",
            files[1],
        ]
        status = train.main([str(word) for word in (*words, "--output-dir", out / folder, *more)])
        reset_logger()
        assert status == 0

    run("CasPLBoost", "boost/digits/digits/seed1", "--seed", 1, *EPOCHS, "DATASET.NUM_SHOTS", 4, "TEST.NO_TEST", True)
    for classes in ("base", "new"):
        folder = f"base2new/test_{classes}/digits/shots_0/ZeroshotCLIP/digits/seed1"
        run("ZeroshotCLIP", folder, "--seed", 1, "--eval-only", "DATASET.SUBSAMPLE_CLASSES", classes)
    for trainer, more in (("CoOp", ()), ("CasPL_CoOp", ("TRAINER.CASPL.BOOSTING", out / "boost/digits/digits/seed1"))):
        for seed in (1, 2):
            training = f"base2new/train_base/digits/shots_16/{trainer}/digits/seed{seed}"
            own = ("--seed", seed, *EPOCHS, *more, "DATASET.NUM_SHOTS", 16, "DATASET.SUBSAMPLE_CLASSES")
            run(trainer, training, *own, "base")
            test = training.replace("train_base", "test_new")
            run(trainer, test, "--model-dir", out / training, "--load-epoch", 2, "--eval-only", *own, "new")
    assert results([str(out)]) == 0 and report([str(out)]) == 0
    return out
