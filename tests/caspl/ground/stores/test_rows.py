"""Rows on disk: kept, found by whoever asks next, and never wrong."""

import errno
import logging
import multiprocessing
import os
import resource
import signal
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest

from caspl.ground import stores
from caspl.ground.stores import rows as module
from caspl.ground.stores.facts import Facts
from caspl.ground.stores.rows import Rows
from waiting import wait_for

from .conftest import FACTS, names, values


def fill(rows, *numbers):
    rows.add(names(*numbers), values(*numbers))
    rows.publish()


def has(rows, *numbers):
    """Which of these are there; their values are those that were kept."""
    found, there = rows.get(names(*numbers))
    expected = values(*numbers).astype(rows.shape.dtype)
    assert np.array_equal(found[there], expected[there]) and not found[~there].any()
    return [number for number, is_there in zip(numbers, there, strict=True) if is_there]


@pytest.fixture
def at_once(monkeypatch):
    """What others publish is seen at the next question."""
    monkeypatch.setattr(module, "LOOK_SECONDS", -1)


@pytest.mark.parametrize("format", ["float32", "float16"])
def test_rows_are_there_at_once_and_for_others_once_published(format, open_rows, files, at_once):
    one, other = open_rows(format=format), open_rows(format=format)
    one.add(names(*range(10)), values(*range(10)))
    assert has(one, 3, 99, 5, 5) == [3, 5, 5] and has(other, 3) == [] and not files()
    one.publish()
    assert has(one, 3, 99, 5) == has(other, 3, 99, 5) == has(open_rows(format=format), 3, 99, 5) == [3, 5]
    assert (one.asked, one.found) == (7, 5)
    one.publish()  # nothing new
    assert len(files()) == 1


def test_other_facts_formats_and_widths_are_other_stores(open_rows):
    fill(open_rows(), 1)
    assert has(open_rows(Facts("teacher", {"network": "b"}, {})), 1) == []
    assert has(open_rows(Facts("other", FACTS.facts, {})), 1) == []
    assert has(open_rows(replace(FACTS, about={"name": "called otherwise"})), 1) == [1]


def test_what_waits_long_or_is_much_is_published(open_rows, files, monkeypatch):
    rows = open_rows()
    monkeypatch.setattr(module, "PUBLISH_BYTES", 3 * rows.shape.record_bytes)
    rows.add(names(1, 2), values(1, 2))
    assert not files()
    rows.add(names(3), values(3))
    assert len(files()) == 1
    monkeypatch.setattr(module, "PUBLISH_SECONDS", 0)
    rows.add(names(4), values(4))
    assert len(files()) == 2


def test_rows_that_are_not_finite_are_not_kept(open_rows):
    rows, broken = open_rows(), values(1, 2)
    broken[1, 3] = np.nan
    rows.add(names(1, 2), broken)
    rows.publish()
    assert has(open_rows(), 1, 2) == [1]


def test_many_small_files_are_joined_and_readers_go_on(open_rows, files, monkeypatch, at_once):
    monkeypatch.setattr(module, "JOINED", 4)
    reader, writer = open_rows(), open_rows()
    for number in range(3):
        fill(writer, number, 90)
    assert len(files()) == 3 and has(reader, 0, 1, 2) == [0, 1, 2]
    fill(writer, 3)
    assert len(files()) == 1
    monkeypatch.setattr(module, "LOOK_SECONDS", 1e9)  # what the reader has open it can read, though its name is gone
    assert has(reader, 0, 1, 2, 90) == [0, 1, 2, 90]
    monkeypatch.setattr(module, "LOOK_SECONDS", -1)
    assert has(reader, *range(5)) == has(writer, *range(5)) == has(open_rows(), *range(5)) == [0, 1, 2, 3]
    assert [segment.header.rows for segment in reader._segments] == [5]  # 90 once


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="nothing says which files are open")
def test_few_files_are_open_however_many_there_are(open_rows, monkeypatch):
    monkeypatch.setattr(module, "OPEN", 3)
    for number in range(9):
        fill(open_rows(), number)
    rows, before = open_rows(), len(os.listdir("/proc/self/fd"))
    assert has(rows, *range(9), *range(9)) == [*range(9), *range(9)]
    assert len(os.listdir("/proc/self/fd")) == before + 3
    for number in (0, 4, 8, 0):
        assert has(rows, number) == [number]
    assert len(os.listdir("/proc/self/fd")) == before + 3


def test_two_processes_do_not_join_at_once(open_rows, files, monkeypatch):
    monkeypatch.setattr(module, "JOINED", 2)
    rows = open_rows()
    fill(rows, 1)
    with module.locked(rows.folder / ".joining"):
        fill(rows, 2)
        assert len(files()) == 2 and has(rows, 1, 2) == [1, 2]


def _keep(place, first):
    rows = Rows(place, FACTS, width=5)
    for number in range(first, 200, 2):
        if not has(rows, number):
            fill(rows, number, 1000 + number)


@pytest.mark.slow
def test_several_processes_write_at_once(tmp_path, open_rows, files):
    """Each 100 files; joined on the way. Two write the same rows."""
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_keep, args=(tmp_path / "stores", first)) for first in (0, 1, 1)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert has(open_rows(), *range(200)) == [*range(200)] and len(files()) < 100
    assert not [path for path in files()[0].parent.iterdir() if path.suffix not in (".rows", ".json")]


def _keep_forever(place):
    rows, number = Rows(place, FACTS, width=5), 0
    while True:
        fill(rows, number)
        number += 1


@pytest.mark.slow
def test_of_a_killed_writer_what_it_published_stays(tmp_path, open_rows, files, monkeypatch):
    for _ in range(5):
        writer = multiprocessing.get_context("fork").Process(target=_keep_forever, args=(tmp_path / "stores",))
        before = len(files())
        writer.start()
        wait_for(lambda before=before: len(files()) != before)
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        rows = open_rows()
        whole = has(rows, *range(2000))
        assert whole == [*range(len(whole))] and whole
    monkeypatch.setattr(module, "JOINED", 1)
    fill(rows, 5000)  # joining clears away what killed writers have left
    assert {path.suffix for path in files()[0].parent.iterdir()} == {".rows", ".json"}


@pytest.mark.parametrize("place, lost", [(64 + 2 * 40 + 25, [2]), (-20, []), (35, [])], ids=["row", "index", "header"])
def test_a_changed_bit_is_told_and_what_it_spoils_is_computed_again(place, lost, open_rows, files, caplog):
    fill(open_rows(), *range(5))
    (path,) = files()
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)
    rows = open_rows()
    kept = has(rows, *range(5))
    assert kept == [number for number in range(5) if number not in lost]
    (told,) = caplog.records
    assert str(path) in told.message and "is damaged" in told.message
    fill(rows, *lost, 7)
    assert has(open_rows(), *range(5)) == [*range(5)] and path not in files() and len(caplog.records) == 1


def test_what_can_not_be_read_at_all_is_removed_and_what_is_foreign_stays(open_rows, files, caplog):
    fill(open_rows(), 1)
    (path,) = files()
    other = path.with_name("other.rows")
    other.write_bytes(b"somebody's")
    path.write_bytes(path.read_bytes()[:-1])
    rows = open_rows()
    assert has(rows, 1) == [] and files() == [other]
    assert sorted(record.message.partition(" is not used")[0] for record in caplog.records) == sorted(
        map(str, [path, other])
    )
    fill(rows, 1)
    assert has(open_rows(), 1) == [1]


def test_a_file_of_another_store_gives_no_row(open_rows, files, caplog):
    fill(open_rows(Facts("teacher", {"network": "b"}, {})), 1)
    (path,) = files()
    rows = open_rows()
    rows.folder.mkdir()
    path.rename(rows.folder / path.name)
    assert has(open_rows(), 1) == [] and "is of another store" in caplog.text and len(files()) == 1


def test_a_full_disk_ends_the_adding_only(open_rows, files, caplog):
    fill(open_rows(), 1)
    rows = open_rows()
    before, limit = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        fill(rows, 2)
        fill(rows, 3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, limit)
    assert has(rows, 1, 2, 3) == [1] and len(files()) == 1
    (told,) = caplog.records
    assert f"Nothing more is kept in {rows.place}" in told.message and os.strerror(errno.EFBIG) in told.message
    assert {path.suffix for path in rows.folder.iterdir()} == {".rows", ".json"}


def test_the_last_gigabyte_of_a_disk_is_left_alone(open_rows, files, monkeypatch, caplog):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(stores.shutil, "disk_usage", lambda _: usage(0, 0, stores.SPARED_BYTES))
    fill(open_rows(), 1)
    assert not files() and "has 1.1 GB left" in caplog.text


def test_joining_leaves_it_alone_too_and_takes_a_few_at_a_time(open_rows, files, monkeypatch):
    for number in range(6):
        fill(open_rows(), number)
    monkeypatch.setattr(module, "JOINED", 3)
    rows = open_rows()
    usage, free = namedtuple("usage", "total used free"), stores.SPARED_BYTES + 2 * rows.shape.record_bytes
    with monkeypatch.context() as full:
        full.setattr(stores.shutil, "disk_usage", lambda _: usage(0, 0, free))
        fill(rows, 6)
        assert len(files()) == 7  # there was room for a row, and none for three files more
    fill(rows, 7)
    assert len(files()) == 8 - 3 + 1 and has(open_rows(), *range(9)) == [*range(8)]


def test_a_limit_counts_all_stores_of_the_place(open_rows, files, caplog):
    fill(open_rows(Facts("teacher", {"network": "b"}, {})), *range(20))
    held = sum(path.stat().st_size for path in files())
    rows = open_rows(most=(held + 50) / 1e9)
    fill(rows, 1)
    assert len(files()) == 2  # less than the limit
    fill(rows, 2)
    fill(rows, 3)
    assert len(files()) == 2 and len(caplog.records) == 1 and "its limit is" in caplog.text
    assert has(rows, 1, 2) == [1]
    none = open_rows(most=0)
    fill(none, 9)
    assert has(none, 1, 9) == [1]


@pytest.mark.skipif(os.geteuid() == 0, reason="who may do everything is refused nothing")
def test_a_store_that_can_not_be_written_is_read(open_rows, files, caplog):
    fill(open_rows(), 1)
    os.chmod(files()[0].parent, 0o500)
    rows = open_rows()
    fill(rows, 2)
    os.chmod(rows.folder, 0o700)
    assert has(rows, 1, 2) == [1] and "Permission denied" in caplog.text


def test_facts_lie_beside_the_rows_and_are_written_anew_when_damaged(open_rows):
    rows = open_rows()
    fill(rows, 1)
    content = (rows.folder / "facts.json").read_text()
    (rows.folder / "facts.json").write_text(content.replace('"a"', '"b"'))
    fill(rows, 2)
    assert (rows.folder / "facts.json").read_text() == content


def test_use_is_noted_once(open_rows, files):
    fill(open_rows(), 1)
    os.utime(files()[0], (1, 1))
    rows = open_rows()
    has(rows, 99)
    assert files()[0].stat().st_mtime == 1
    has(rows, 1)
    assert files()[0].stat().st_mtime > 1
    os.utime(files()[0], (1, 1))
    has(rows, 1)
    assert files()[0].stat().st_mtime == 1


def test_nothing_is_logged_when_all_is_well(open_rows, caplog):
    with caplog.at_level(logging.INFO):
        fill(open_rows(), 1, 2)
        has(open_rows(), 1, 2)
    assert not caplog.records
