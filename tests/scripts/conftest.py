"""A checkout of scripts, configurations and the package, with a train.py that only pretends, to run the sweeps in."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TABLE = "def main(words):\n    print('THE TABLE')\n\n\nif __name__ == '__main__':\n    main(())\n"  # of caspl.results


@dataclass
class Sweeps:
    """The scripts in `checkout`, as a user in `folder` calls them."""

    checkout: Path
    folder: Path
    binaries: Path

    @property
    def record(self):
        return self.folder / "record"

    def environment(self, **variables):
        path = f"{self.binaries}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "RECORD": str(self.record), "CUDA_VISIBLE_DEVICES": "", **variables}

    def command(self, script, *arguments):
        folders = ("--root", self.folder, "--output", self.folder / "out")
        arguments = arguments if script == "demo" else (*folders, *arguments)
        return ["bash", str(self.checkout / "scripts" / f"{script}.sh"), *map(str, arguments)]

    def __call__(self, script, *arguments, cwd=None, **variables):
        """Run `script` in the checkout, with output to `folder`, unless the arguments say otherwise."""
        return subprocess.run(
            self.command(script, *arguments),
            cwd=cwd or self.checkout,
            env=self.environment(**variables),
            capture_output=True,
            text=True,
            timeout=60,
        )

    def start(self, script, *arguments, **variables):
        """The same without waiting, in a session of its own, where Ctrl-C is not ignored."""
        return subprocess.Popen(
            self.command(script, *arguments),
            cwd=self.checkout,
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def events(self, kind="start"):
        """What the fake train.py noted: arguments at the start or the end of each run, or the number of a process."""
        if not self.record.exists():
            return []
        notes = map(json.loads, self.record.read_text().splitlines())
        return [what for event, what in notes if event == kind]

    def started(self):
        """Folders of the runs that were started, below the output folder."""
        folders = [words[words.index("--output-dir") + 1] for words in self.events()]
        return [folder.removeprefix(f"{self.folder}/out/") for folder in folders]


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """A copy, whose path has a space."""
    folder = tmp_path_factory.mktemp("sweeps") / "a checkout"
    left_out = shutil.ignore_patterns("__pycache__", "*.safetensors")
    for name in ("scripts", "configs", "caspl"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=left_out)
    shutil.copyfile(HERE / "fake_train.py", folder / "train.py")
    (folder / "caspl" / "results" / "__main__.py").write_text(TABLE)
    return folder


@pytest.fixture(scope="session")
def binaries(tmp_path_factory):
    """A folder for PATH, whose `python` is the one that runs the tests."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (folder / "python").chmod(0o755)
    return folder


@pytest.fixture
def sweeps(checkout, binaries, tmp_path):
    folder = tmp_path / "some where"
    folder.mkdir()
    return Sweeps(checkout, folder, binaries)
