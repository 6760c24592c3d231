"""The wheel, an environment of its own with it, and somebody else's checkout."""

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _no_sources(folder, names):
    """What a copy of the checkout leaves out; at the top also the folders of users, which may be large."""
    patterns = [
        ".git",
        "build",
        "*.egg-info",
        "__pycache__",
        ".venv",
        *(["output", "data"] if Path(folder) == ROOT else []),
    ]
    return shutil.ignore_patterns(*patterns)(folder, names)


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    """The built wheel; made from a copy so that no build folder is left behind."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "source", ignore=_no_sources)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), "."],
        cwd=folder / "source",
        check=True,
    )
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def wheel(archive):
    """The folder of the unpacked wheel, and the names of its files."""
    with zipfile.ZipFile(archive) as file:
        file.extractall(archive.parent / "site")
        return archive.parent / "site", file.namelist()


@pytest.fixture(scope="session")
def environment(archive, tmp_path_factory):
    """An environment in which pip has installed the wheel; gives its folder of commands.

    The packages that the wheel needs are those of the tests, from a path that is looked through last.
    """
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    commands = folder / ("Scripts" if sys.platform == "win32" else "bin")
    pip = [sys.executable, "-m", "pip", "--python", commands / "python", "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*pip, archive], check=True)
    (site,) = folder.rglob("site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))  # whose own .pth files are not read then
    return commands


@pytest.fixture
def make_host(tmp_path):
    """`make_host("name")` -> a checkout with its own trainers, datasets, clip and dassl, as tests/host has it."""

    def make(name="host"):
        import torch

        from caspl.clip.backbones import load_backbone

        folder = tmp_path / name
        shutil.copytree(ROOT / "tests" / "host", folder, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "dassl", folder / "dassl", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "clip").mkdir()
        (folder / "clip" / "__init__.py").touch()
        shutil.copy(ROOT / "tests" / "host_clip.py", folder / "clip" / "model.py")
        torch.save(load_backbone("demo/student").model.state_dict(), folder / "clip" / "student.pt")
        return folder

    return make
