"""`LOGGER trackio,wandb` with the real libraries, as far as they are installed: offline, and asking nobody."""

import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHORT = ("--seed", "1", "DATASET.NUM_SHOTS", "1", "OPTIM.MAX_EPOCH", "2")
CLOSED = {"http_proxy", "https_proxy", "all_proxy"}


@contextmanager
def no_network():
    """Gives environment variables that send all requests to this process, and the first bytes of each that came."""
    came = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    came.append(connection.recv(200))

        threading.Thread(target=listen, daemon=True).start()
        proxy = f"http://127.0.0.1:{server.getsockname()[1]}"
        names = [*CLOSED, *map(str.upper, CLOSED)]
        yield dict.fromkeys(names, proxy) | {"no_proxy": "", "NO_PROXY": "", "HF_TOKEN": "hf_" + "x" * 34}, came


def need(library):
    if find_spec(library) is None or find_spec(library).origin is None:
        pytest.skip(f"{library} is not installed; pip install {library}")


def carry_out(words, folder, variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "TRACKIO_", "HF_"))}
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *words],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**kept, **variables, "HF_HOME": str(folder / "hf")},
    )
    assert done.returncode == 0, done.stderr
    return done


def accuracy(folder):
    return re.findall(r"^\* accuracy: .*$", (folder / "log.txt").read_text(), re.MULTILINE)


@pytest.mark.slow
def test_trackio_keeps_scalars_configuration_and_results(command, tmp_path):
    need("trackio")
    with no_network() as (variables, came):
        variables["TRACKIO_DIR"] = str(tmp_path / "tracked")
        done = carry_out([*command("CoOp", "base", "out", *SHORT), "LOGGER", "trackio"], tmp_path, variables)
        test = ("--eval-only", "--model-dir", str(tmp_path / "out"), "--load-epoch", "2", *SHORT)
        carry_out([*command("CoOp", "new", "tests/new", *test), "LOGGER", "trackio"], tmp_path, variables)
    assert came == [] and "\ntrackio: out / out (trackio show --project out)\n" in done.stdout and not done.stderr
    with sqlite3.connect(tmp_path / "tracked" / "out.db") as base:
        told = [
            (step, json.loads(values)) for step, values in base.execute("select step, metrics from metrics order by id")
        ]
        ((config,),) = base.execute("select config from configs")
    assert [step for step, _ in told] == [0, 1, 1] and told[0][1].keys() >= {"train/loss", "train/lr"}
    assert f"* accuracy: {told[-1][1]['test/accuracy']:.1f}%" in accuracy(tmp_path / "out")
    assert json.loads(config)["OPTIM.MAX_EPOCH"] == 2
    with sqlite3.connect(tmp_path / "tracked" / "tests.db") as base:
        ((name, values),) = base.execute("select run_name, metrics from metrics")
    assert name == "new" and f"* accuracy: {json.loads(values)['test/accuracy']:.1f}%" in accuracy(
        tmp_path / "tests/new"
    )


@pytest.mark.slow
def test_wandb_keeps_scalars_configuration_and_results(command, tmp_path):
    """In the run's folder; a run that goes on has the same id."""
    need("wandb")
    words = [*command("CoOp", "base", "out", *SHORT), "LOGGER", "wandb"]
    with no_network() as (variables, came):
        done = carry_out(words, tmp_path, variables)
        carry_out([*words, "TEST.NO_TEST", "False"], tmp_path, variables)
    assert came == [] and "\nwandb: out / out (wandb sync " in done.stdout and not done.stderr
    first, again = sorted((tmp_path / "out" / "wandb").glob("offline-run-*/*.wandb"))
    assert (
        first.name
        == again.name
        == f"run-{json.loads((tmp_path / 'out/loggers.json').read_text())['wandb']['id']}.wandb"
    )
    content = first.read_bytes()
    for word in (b"train/loss", b"test/accuracy", b"OPTIM.MAX_EPOCH", b"train/step"):
        assert word in content
    assert not (tmp_path / "wandb").exists()


@pytest.mark.parametrize(
    "given", ["tensorboard", "wandb,wandb", "wandb trackio", "[wandb]", "3", "wandb,mlflow", "wandbb"]
)
def test_what_is_no_tracker(given, run, capsys, monkeypatch):
    for name in ("trackio", "wandb"):
        monkeypatch.setitem(sys.modules, name, None)  # nothing is said of what is missing
    assert run("CoOp", "base", "out", *SHORT, "LOGGER", given) == 2
    said = capsys.readouterr().err
    assert (
        said.startswith("error: LOGGER is ")
        and "expected text, one of trackio, wandb" in said
        and said.count("\n") == 1
        and "pip install" not in said
    )


def test_a_missing_package_is_told_before_anything_is_loaded(run, capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert run("CoOp", "base", "out", *SHORT, "LOGGER", "wandb") == 2
    said = capsys.readouterr()
    assert re.fullmatch(r"error: LOGGER is wandb, but the package wandb .*pip install 'caspl\[wandb\]'.*\n", said.err)
    assert not said.out and not (tmp_path / "out").exists()
