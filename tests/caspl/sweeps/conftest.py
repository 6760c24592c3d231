"""`caspl sweep` in this process, as a user in a folder of her own calls it."""

import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from caspl.sweeps import __main__ as door

ROOT = Path(__file__).resolve().parents[3]


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
class Done:
    """What a command has left."""

    returncode: int
    stdout: str
    stderr: str


@dataclass
class Sweeps:
    """Sweeps of this checkout, called in `folder`, as scripts/*.sh call them."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture

    def __call__(self, experiment, *arguments, cwd=None):
        """Data and outputs lie in `folder`, unless the arguments say otherwise."""
        folders = ("--root", self.folder, "--output", self.folder / "out")
        words = [experiment, *map(str, arguments if experiment == "demo" else (*folders, *arguments))]
        with self.monkeypatch.context() as patch:
            patch.chdir(ROOT)
            patch.setenv(door.CALLED_IN, str(cwd or ROOT))
            status = door.main(words)
        return Done(status, *self.capsys.readouterr())

    def plan(self, experiment, *arguments):
        """The runs of a dry run, by folder below the output folder."""
        place = arguments.index("--") if "--" in arguments else len(arguments)
        done = self(experiment, *arguments[:place], "--dry-run", *arguments[place:])
        assert done.returncode == 0, done.stderr
        lines = [line for line in done.stdout.splitlines() if line.startswith("python train.py ")]
        runs = [Run.of_line(line.replace(f"{self.folder}/out/", "")) for line in lines]
        return {run.folder: run for run in runs}


@pytest.fixture
def sweeps(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    folder = tmp_path / "some where"
    folder.mkdir()
    return Sweeps(folder, monkeypatch, capsys)
