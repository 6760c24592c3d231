import multiprocessing
import os
import signal
import subprocess
import time

import pytest

from caspl.ground import locks
from caspl.ground.locks import HeldError, lock_folder, locked


def test_a_lock_is_held_by_one_and_removed_at_the_end(tmp_path):
    path = tmp_path / ".lock"
    with locked(path) as alone:
        assert alone and path.read_text().startswith(f"process {os.getpid()} on ")
        with pytest.raises(HeldError, match=f"lock is held by process {os.getpid()} on .* since .*; wait") as caught:
            locked(path).__enter__()
        assert caught.value.holder == path.read_text()
    assert not os.listdir(tmp_path)
    path.write_text("process 1 on elsewhere")  # left by one that was killed
    with locked(path) as alone:
        assert alone and str(os.getpid()) in path.read_text()
    assert not os.listdir(tmp_path)


def test_where_there_are_no_locks_one_goes_on_without(tmp_path, monkeypatch):
    with locked(tmp_path / "nothing" / ".lock") as alone:
        assert alone is False
    monkeypatch.setattr(locks, "fcntl", None)
    with locked(tmp_path / ".lock") as alone:
        assert alone is False
    assert not os.listdir(tmp_path)


def _hold(path, ready, seconds):
    with locked(path):
        ready.send(os.getpid())
        time.sleep(seconds)


def _hold_with_a_worker(path, ready):
    with locked(path):
        worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        worker.start()
        ready.send(worker.pid)
        time.sleep(60)


@pytest.mark.slow
def test_a_killed_process_holds_nothing_though_its_workers_live_on(tmp_path):
    path, fork = tmp_path / ".lock", multiprocessing.get_context("fork")
    here, there = fork.Pipe()
    process = fork.Process(target=_hold_with_a_worker, args=(path, there))
    process.start()
    worker = here.recv()
    try:
        with pytest.raises(HeldError, match=f"process {process.pid} on "):
            locked(path).__enter__()
        process.kill()
        process.join()
        os.kill(worker, 0)
        with locked(path) as alone:
            assert alone
    finally:
        os.kill(worker, signal.SIGKILL)


@pytest.mark.slow
def test_it_waits_as_long_as_it_is_told(tmp_path):
    path, fork = tmp_path / ".lock", multiprocessing.get_context("fork")
    here, there = fork.Pipe()
    process = fork.Process(target=_hold, args=(path, there, 0.3))
    process.start()
    here.recv()
    with locked(path, patience=60) as alone:
        assert alone and str(os.getpid()) in path.read_text()
    process.join()


# ------------------------------------------------------------ folders
@pytest.fixture(params=["a disk that locks folders", "NFS, which does not"])
def disk(request, monkeypatch):
    if request.param.startswith("NFS"):
        hold = locks.hold

        def on_nfs(descriptor, *, shared=False):
            return None if os.path.isdir(f"/dev/fd/{descriptor}") else hold(descriptor, shared=shared)

        monkeypatch.setattr(locks, "hold", on_nfs)


def test_a_folder_is_one_ones(tmp_path, disk):
    lock = lock_folder(tmp_path)
    assert lock.descriptors
    assert lock_folder(tmp_path) is None and lock_folder(tmp_path, shared=True) is None
    lock.release()
    lock.release()
    assert not list(tmp_path.iterdir())  # nothing is left of it
    asking = [lock_folder(tmp_path, shared=True) for _ in range(2)]
    assert all(asking)
    for asked in asking:
        asked.release()
    assert lock_folder(tmp_path)


@pytest.mark.slow
def test_a_folder_is_a_childs_that_was_given_the_lock(tmp_path, disk):
    lock = lock_folder(tmp_path)
    child = subprocess.Popen(["sleep", "60"], pass_fds=lock.descriptors)
    for descriptor in lock.descriptors:  # as if this process had been killed
        os.close(descriptor)
    assert lock_folder(tmp_path) is None
    child.kill()
    child.wait()
    assert lock_folder(tmp_path)


def test_where_there_are_no_locks_everybody_gets_one(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    assert lock_folder(tmp_path).descriptors == [] == lock_folder(tmp_path).descriptors
    assert lock_folder(tmp_path / "nowhere").descriptors == []
