"""A checkout with scripts and configurations, and a `python` that only pretends, to run the sweeps in."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Of the whole benchmark, whatever the checkout has by now
BENCHMARK = (
    "imagenet caltech101 oxford_pets stanford_cars oxford_flowers food101 fgvc_aircraft sun397 dtd eurosat ucf101"
)
DATASETS = f"{BENCHMARK} imagenetv2 imagenet_sketch imagenet_a imagenet_r digits union".split(" ")


@dataclass
class Run:
    """One command of train.py."""

    words: list[str]

    @classmethod
    def of_line(cls, line):
        words = shlex.split(line)
        assert words[:2] == ["python", "train.py"]
        return cls(words[2:])

    def __getitem__(self, word):
        """What stands behind a flag or a key; the last time counts, as in train.py."""
        return self.words[len(self.words) - self.words[::-1].index(word)]

    def __contains__(self, word):
        return word in self.words

    @property
    def folder(self):
        return self["--output-dir"]

    @property
    def config(self):
        return Path(self["--config-file"]).stem


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
        return {**os.environ, "PATH": path, "RECORD": str(self.record), **variables}

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

    def plan(self, script, *arguments):
        """The runs of a dry run, by folder below the output folder."""
        done = self(script, *arguments, "--dry-run") if "--" not in arguments else self.before_pairs(script, arguments)
        assert done.returncode == 0, done.stderr
        assert not self.record.exists()
        lines = [line for line in done.stdout.splitlines() if line.startswith("python train.py ")]
        runs = [Run.of_line(line.replace(f"{self.folder}/out/", "")) for line in lines]
        return {run.folder: run for run in runs}

    def before_pairs(self, script, arguments):
        place = arguments.index("--")
        return self(script, *arguments[:place], "--dry-run", *arguments[place:])

    def events(self, kind="start"):
        """What the fake python noted: arguments at the start or the end of each run, or the number of a process."""
        if not self.record.exists():
            return []
        notes = map(json.loads, self.record.read_text().splitlines())
        return [Run(what[1:]) if kind != "pid" else what for event, what in notes if event == kind and wanted(what)]

    def started(self):
        """Folders of the runs that were started, below the output folder."""
        return [run.folder.removeprefix(f"{self.folder}/out/") for run in self.events()]


def wanted(what):
    return not isinstance(what, list) or what[0] == "train.py"


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """A copy, whose path has a space, with all datasets of the benchmark."""
    folder = tmp_path_factory.mktemp("sweeps") / "a checkout"
    for name in ("scripts", "configs"):
        shutil.copytree(ROOT / name, folder / name)
    for name in DATASETS:
        path = folder / "configs" / "datasets" / f"{name}.yaml"
        if not path.exists():
            path.write_text(f'DATASET:\n  NAME: "{name}"\n')
    return folder


@pytest.fixture(scope="session")
def binaries(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bin")
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "{Path(__file__).parent}/fake_python.py" "$@"\n')
    python.chmod(0o755)
    return folder


@pytest.fixture
def sweeps(checkout, binaries, tmp_path):
    folder = tmp_path / "some where"
    folder.mkdir()
    return Sweeps(checkout, folder, binaries)
