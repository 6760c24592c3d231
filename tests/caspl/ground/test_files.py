import errno
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from caspl.ground import files
from caspl.ground.errors import InputError
from caspl.ground.files import read_lines, replacing

ROOT = Path(__file__).parents[3]


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists() and temporary.parent == path.parent
    assert path.read_text() == "whole" and os.listdir(path.parent) == ["a.txt"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ValueError, match="^mine$"), replacing(path) as temporary:
        temporary.write_text("half")
        raise ValueError("mine")
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_files_get_the_mode_of_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        with replacing(tmp_path / "a.txt") as temporary:
            temporary.write_text("x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o666 & ~umask


@pytest.mark.slow
def test_leftovers_of_killed_writers_are_removed(tmp_path):
    child = "import os, sys\nfrom caspl.ground.files import replacing\n"
    child += "with replacing(sys.argv[1]) as t:\n    t.write_text('half'); os.kill(os.getpid(), 9)\n"
    path = tmp_path / "a.txt"
    subprocess.run([sys.executable, "-c", child, str(path)], cwd=ROOT, check=False)
    (leftover,) = os.listdir(tmp_path)
    assert leftover.startswith(".a.txt.") and leftover.endswith(".tmp")
    with replacing(tmp_path / "b.txt") as temporary:
        temporary.write_text("other")
    assert leftover in os.listdir(tmp_path)  # it may be another path's
    with replacing(path) as temporary, replacing(path) as second:
        second.write_text("second")  # a live writer's file is left alone
        temporary.write_text("first")
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "b.txt"] and path.read_text() == "first"


def test_leftovers_of_another_machine_are_removed_after_a_day(tmp_path):
    fresh, stale = (tmp_path / f".a.txt.elsewhere.1.{number}.tmp" for number in "12")
    for file in (fresh, stale, tmp_path / ".a.txt.mine.tmp"):
        file.touch()
    long_ago = time.time() - files.STALE_SECONDS - 60
    os.utime(stale, (long_ago, long_ago))
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.touch()
    assert sorted(os.listdir(tmp_path)) == [fresh.name, ".a.txt.mine.tmp", "a.txt"]


def test_errors_name_the_file_that_was_asked_for(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(IsADirectoryError) as caught, replacing(tmp_path):
        pass
    assert caught.value.filename == str(tmp_path)
    with pytest.raises(NotADirectoryError) as caught, replacing(tmp_path / "file" / "a.txt"):
        pass
    assert caught.value.filename == str(tmp_path / "file" / "a.txt")
    with pytest.raises(OSError) as caught, replacing(tmp_path / ("n" * 300)):
        pass
    assert caught.value.errno == errno.ENAMETOOLONG and caught.value.filename == str(tmp_path / ("n" * 300))
    with pytest.raises(OSError) as caught, replacing(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "a.txt")
    with pytest.raises(FileNotFoundError) as caught, replacing(tmp_path / "a.txt"):
        (tmp_path / "another").read_text()
    assert caught.value.filename == str(tmp_path / "another")
    assert os.listdir(tmp_path) == ["file"]


def test_a_name_as_long_as_the_disk_takes_can_be_written(tmp_path):
    path = tmp_path / ("n" * 255)
    with replacing(path) as temporary:
        temporary.write_text("x")
    assert path.read_text() == "x"


def test_lines_of_a_list(tmp_path):
    path = tmp_path / "names.txt"
    path.write_bytes(b"\xef\xbb\xbfcat\r\n\n \ndog  \n")
    assert read_lines(path, "the list") == ["cat", "dog"]
    for content, message in ((b"\n", "is empty"), (b"\xff\xfe", "is not text in UTF-8")):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"^the list .*names.txt {message}"):
            read_lines(path, "the list")
    with pytest.raises(
        InputError, match=r"the list .*none cannot be read \(No such file or directory\); .* below here"
    ):
        read_lines(tmp_path / "none", "the list", " below here")
