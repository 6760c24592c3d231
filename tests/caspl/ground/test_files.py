import errno
import os
import re
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from caspl.ground import files
from caspl.ground.errors import InputError
from caspl.ground.files import check_writable, load_json, read_lines, regular, replacing, replacing_folder

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


@pytest.mark.parametrize("before", [None, (), ("old.txt", "more.txt")])
@pytest.mark.parametrize("through", ["folder", "link"])
def test_a_folder_appears_when_it_is_whole(before, through, tmp_path):
    folder, path = tmp_path / "new" / "folder", tmp_path / "new" / "folder"
    if before is not None:
        folder.mkdir(parents=True)
        for name in before:
            (folder / name).write_text(name)
    if through == "link":
        (path := tmp_path / "link").symlink_to(folder)
    with pytest.raises(ValueError, match="^mine$"), replacing_folder(path) as temporary:
        (temporary / "a.txt").write_text("half")
        raise ValueError("mine")
    assert sorted(os.listdir(folder)) == sorted(before) if before is not None else not folder.exists()
    with replacing_folder(path) as temporary:
        (temporary / "a.txt").write_text("whole")
    assert os.listdir(folder) == ["a.txt"] and os.listdir(folder.parent) == ["folder"] and path.resolve() == folder


@pytest.mark.slow
def test_leftovers_of_a_killed_writer_of_a_folder_are_removed(tmp_path):
    child = "import os, sys\nfrom caspl.ground.files import replacing_folder\n"
    child += "with replacing_folder(sys.argv[1]) as t:\n    (t / 'a').write_text('half'); os.kill(os.getpid(), 9)\n"
    subprocess.run([sys.executable, "-c", child, str(tmp_path / "clip")], cwd=ROOT, check=False)
    (leftover,) = os.listdir(tmp_path)
    assert leftover.startswith(".clip.") and leftover.endswith(".tmp")
    with replacing_folder(tmp_path / "clip") as temporary:
        (temporary / "a").write_text("whole")
    assert os.listdir(tmp_path) == ["clip"]


def test_a_disk_that_refuses_a_folder_is_named(tmp_path):
    with pytest.raises(OSError) as caught, replacing_folder(tmp_path / "clip") as temporary:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(temporary / "a"))
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "clip"))
    assert not os.listdir(tmp_path)


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


@pytest.mark.parametrize(
    "words, number",
    [
        ("Error while serializing: I/O error: No space left on device (os error 28)", errno.ENOSPC),
        ("File too large", errno.EFBIG),
        ("it is something else", None),
    ],
)
def test_what_other_libraries_say_of_the_disk_is_an_oserror(tmp_path, words, number):
    with pytest.raises(OSError if number else RuntimeError) as caught, replacing(tmp_path / "a.txt"):
        raise RuntimeError(words)
    assert number is None or (caught.value.errno, caught.value.filename) == (number, str(tmp_path / "a.txt"))
    assert not os.listdir(tmp_path)


@pytest.mark.slow
def test_a_file_that_outgrows_the_limit_is_named_and_not_kept(tmp_path):
    child = "import resource, sys\nfrom caspl.ground import door\nfrom caspl.ground.files import replacing\n"
    child += "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\ndef body():\n"
    child += "  with replacing(sys.argv[1]) as t: t.write_bytes(bytes(1000))\nsys.exit(door.run(body))\n"
    command = [sys.executable, "-c", child, str(tmp_path / "a.txt")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and not os.listdir(tmp_path)
    assert done.stderr.startswith(
        f"error: {tmp_path}/a.txt cannot be written or read (File too large); raise the limit"
    )


def test_a_private_file_that_a_library_puts_in_place_gets_the_mode_of_the_umask(tmp_path):
    before = os.umask(0o022)
    try:
        with replacing(tmp_path / "a.txt") as temporary:
            temporary.unlink()
            os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o644


def test_links_stay_and_what_they_lead_to_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link.txt").symlink_to("real/a.txt")
    for text in ("made", "replaced"):
        with replacing(tmp_path / "link.txt") as temporary:
            temporary.write_text(text)
        assert (tmp_path / "link.txt").is_symlink() and (tmp_path / "real" / "a.txt").read_text() == text
    assert os.listdir(tmp_path / "real") == ["a.txt"]


# Names below a folder that holds a file `file`, a folder `folder`, a pipe `pipe` and a link `loop` to itself
PLACES = [
    ("new", None, None),
    ("new/folder/new", None, None),
    ("file", None, "Not a directory"),
    ("folder", "Is a directory", None),
    ("file/new", "Not a directory", "Not a directory"),
    ("loop", "Too many levels of symbolic links", "Too many levels of symbolic links"),
    ("loop/new", "Too many levels of symbolic links", "Too many levels of symbolic links"),
    ("new/" + "n" * 256, "File name too long", "File name too long"),
    ("new/" * 2000, "File name too long", "File name too long"),
    ("nu\0ll", "a path has no null characters", "a path has no null characters"),
]


@pytest.fixture
def places(tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


@pytest.mark.parametrize("name, as_file, as_folder", PLACES, ids=[name[:20].replace("\0", "0") for name, *_ in PLACES])
def test_places_are_checked_before_anything_is_done(name, as_file, as_folder, places):
    before = sorted(os.listdir(places))
    for folder, reason in ((False, as_file), (True, as_folder)):
        if reason is None:
            check_writable(places / name, "--output", folder=folder)
            continue
        with pytest.raises(InputError) as caught:
            check_writable(places / name, "--output", folder=folder)
        assert str(caught.value).startswith(f"--output {places}/") and f" cannot be written ({reason}); " in str(
            caught.value
        )
    assert sorted(os.listdir(places)) == before and (places / "file").read_text() == "old"


def test_devices_and_pipes_are_not_replaced(places):
    for path in (places / "pipe", Path(os.devnull)):
        for check in (lambda path: check_writable(path, "--output"), lambda path: replacing(path).__enter__()):
            with pytest.raises((InputError, OSError), match="it is a (named pipe|device), expected a file"):
                check(path)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else")
def test_a_folder_of_somebody_else(places):
    places.chmod(0o755)
    child = "import os, sys\nfrom caspl.ground import door\nfrom caspl.ground.files import check_writable\nos.setuid(65534)\n"
    child += "sys.exit(door.run(lambda: check_writable(sys.argv[1], '--output')))\n"
    command = [sys.executable, "-c", child, os.path.relpath(places / "a.csv", places)]
    done = subprocess.run(
        command, cwd=places, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        "error: --output a.csv cannot be written (Permission denied); correct the permissions, or choose another place\n"
    )


def test_workers_need_open_files(monkeypatch):
    limits, told = [[100, 300]], []
    monkeypatch.setattr(files.resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(files.resource, "setrlimit", lambda _, new: told.append(new))
    files.allow_open_files(0, "--workers")
    files.allow_open_files(2, "--workers")
    assert not told
    files.allow_open_files(8, "--workers")
    assert told == [(116, 300)]
    with pytest.raises(
        InputError, match=r"--workers is 30, but this process may open 300 files only, expected 380 or more"
    ):
        files.allow_open_files(30, "--workers")


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


# ---------------------------------------------------------------------------------------------------------------------
# What is a file
# ---------------------------------------------------------------------------------------------------------------------
@pytest.fixture
def odd(tmp_path):
    """Paths by name, of things that are no regular file."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "large").write_bytes(b"x" * 11)
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(tmp_path)  # the names of sockets are short
        try:
            server.bind("socket")
        finally:
            os.chdir(here)
    return {name: tmp_path / name for name in ("pipe", "link", "circle", "large", "socket", "none")} | {
        "folder": tmp_path,
        "device": Path("/dev/zero"),
        "null": "a\0b",
    }


NO_FILE = {
    "pipe": "it is a named pipe, expected a file",
    "link": "it is a named pipe, expected a file",
    "socket": "it is a socket, expected a file",
    "device": "it is a device, expected a file",
    "folder": "Is a directory",
    "null": "a path has no null characters",
    "circle": "Too many levels of symbolic links",
    "none": "No such file or directory",
    "large": "it has 11 bytes, expected at most 10",
}


@pytest.mark.parametrize("name, said", NO_FILE.items(), ids=NO_FILE)
def test_only_files_are_opened(odd, name, said):
    with pytest.raises(OSError) as caught:
        regular(odd[name], most=10)
    assert (caught.value.strerror, str(caught.value.filename)) == (said, str(odd[name]))
    if name != "large":
        with pytest.raises(InputError, match=rf"the names .* cannot be read \({re.escape(said)}\)"):
            read_lines(odd[name], "the names")


def test_a_file_and_a_link_to_one_may_be_opened(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 10)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert regular(str(tmp_path / "b"), most=10) == tmp_path / "b"


@pytest.mark.parametrize(
    "text, said",
    [
        ("[" * 100_000, "it is not JSON (maximum recursion depth exceeded"),
        ('{"a":' * 100_000, "it is not JSON (maximum recursion depth exceeded"),
        ("9" * 100_000, "it is not JSON (Exceeds the limit"),
        (b"\xff\xfe\xff", "it is not JSON ("),
        ("", "it is not JSON (Expecting value"),
        ('{"b": {"a": 1, "a": 2}}', 'it is not JSON ("a" stands there twice'),
    ],
    ids=["lists", "objects", "digits", "bytes", "empty", "twice"],
)
def test_json_that_is_none(text, said):
    with pytest.raises(ValueError) as caught:
        load_json(text)
    assert str(caught.value).startswith(said) and len(str(caught.value)) < 120
