"""Which code a program is, as git says it: compared with git itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from caspl.results.records import checkout

ROOT = Path(__file__).resolve().parents[4]
SETTINGS = ("user.name=x", "user.email=x@example.org", "commit.gpgsign=false", "init.defaultBranch=main")


@pytest.fixture
def git(tmp_path):
    """`git("add", ".")` in a repository with one commit of two files; gives what git prints."""
    if not shutil.which("git"):
        pytest.skip("there is no git")

    def call(*words, at=tmp_path / "repository"):
        settings = [word for setting in SETTINGS for word in ("-c", setting)]
        done = subprocess.run(["git", *settings, *words], cwd=at, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    (tmp_path / "repository" / "inner").mkdir(parents=True)
    call("init", "-q")
    for name in ("one.py", "inner/two with a blank.py"):
        (tmp_path / "repository" / name).write_text(f"# {name}\n")
    call("add", ".")
    call("commit", "-qm", "first")
    return call


@pytest.mark.slow
def test_a_revision_is_git_s(git, tmp_path):
    folder = tmp_path / "repository"
    assert checkout.revision(folder) == git("rev-parse", "HEAD") and checkout.modified(folder) is False
    git("pack-refs", "--all")
    assert checkout.revision(folder) == git("rev-parse", "HEAD")
    git("checkout", "-q", "--detach")
    assert checkout.revision(folder) == git("rev-parse", "HEAD")
    git("worktree", "add", "-qb", "other/branch", str(tmp_path / "tree"))
    (tmp_path / "tree" / "one.py").write_text("changed")
    git("commit", "-qam", "second", at=tmp_path / "tree")
    assert checkout.revision(tmp_path / "tree") == git("rev-parse", "HEAD", at=tmp_path / "tree")
    assert checkout.revision(tmp_path / "tree") != checkout.revision(folder)
    assert checkout.modified(tmp_path / "tree") is checkout.modified(folder) is False


@pytest.mark.slow
def test_a_change_shows_and_a_touch_does_not(git, tmp_path):
    folder = tmp_path / "repository"
    file = folder / "inner" / "two with a blank.py"
    content = file.read_text()
    file.write_text(content)  # another time, nothing else
    (folder / "new.py").write_text("git does not know it")
    assert checkout.modified(folder) is False
    file.write_text(content.swapcase())  # of the same size
    assert checkout.modified(folder) is True
    file.unlink()
    assert checkout.modified(folder) is True


def test_what_is_no_checkout(tmp_path):
    assert checkout.revision(tmp_path) == "" and checkout.modified(tmp_path) is None
    for name, content in (("HEAD", "ref: refs/heads/main\n"), ("index", "no index"), ("packed-refs", "\udcff\n")):
        (tmp_path / ".git").mkdir(exist_ok=True)
        (tmp_path / ".git" / name).write_text(content, errors="surrogateescape")
        assert checkout.revision(tmp_path) == "" and checkout.modified(tmp_path) is None
    (tmp_path / ".git" / "HEAD").write_text("ref: HEAD")  # in a circle
    assert checkout.revision(tmp_path) == ""
    (tmp_path / ".git" / "HEAD").write_text("0" * 40)
    assert checkout.revision(tmp_path) == "0" * 40 and checkout.modified(tmp_path) is None


def test_the_sum_of_modules(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder / "package" / "__pycache__").mkdir(parents=True)
        (tmp_path / folder / "package" / "one.py").write_text("1")
    (tmp_path / "b" / "package" / "__pycache__" / "x.py").write_text("x")
    (tmp_path / "b" / "package" / "notes.txt").write_text("x")
    first, second = (checkout.checksum(tmp_path / folder / "package") for folder in ("a", "b"))
    assert first == second
    (tmp_path / "b" / "package" / "one.py").write_text("2")
    assert checkout.checksum(tmp_path / "b" / "package") != first
    assert len(checkout.checksum(ROOT / "caspl", ROOT / "dassl")) == 64
