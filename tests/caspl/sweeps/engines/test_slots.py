"""Slots on GPUs: never two on one, in turn between sweeps, and what others may have done to the folder."""

import os
import stat
import subprocess
import sys

import pytest

from caspl.sweeps.engines import slots
from caspl.sweeps.engines.gpus import Gpu
from caspl.sweeps.engines.slots import Slots

TWO = [Gpu("0", "GPU-a/b"), Gpu("1", "1")]


@pytest.fixture
def sweep(tmp_path):
    """Makes another sweep that shares the machine."""
    return lambda gpus=TWO, share=1: Slots(gpus, share, tmp_path / "slots")


def names(*taken):
    return [slot and (slot.gpu.id, slot.number) for slot in taken]


def test_each_once(sweep):
    one, other = sweep(), sweep()
    assert len(one) == 2
    taken = [one.take(), other.take()]
    assert names(*taken) == [("0", 0), ("1", 0)] and one.take() is None
    taken[0].give_back()
    assert names(one.take()) == [("0", 0)]


def test_shares_are_spread_over_the_gpus(sweep):
    one = sweep(share=2)
    assert names(*[one.take() for _ in range(5)]) == [("0", 0), ("1", 0), ("0", 1), ("1", 1), None]


def test_who_wants_a_gpu_whole_shares_it_with_nobody(sweep):
    whole, halves = sweep(TWO[:1]), sweep(TWO[:1], 2)
    slot = whole.take()
    assert halves.take() is None
    slot.give_back()
    half = halves.take()
    assert names(half) == [("0", 0)] and whole.take() is None
    assert halves.take() is None  # the other one waits for it
    half.give_back()
    assert names(whole.take()) == [("0", 0)]


def test_sweeps_take_turns(sweep):
    """A slot that becomes free is the one's who has waited longest, not the one's who gave it back."""
    first, second, third = (sweep(TWO[:1]) for _ in range(3))
    slot, order = first.take(), []
    assert second.take() is None and third.take() is None
    for _ in range(6):
        slot.give_back()
        got = {name: it.take() for name, it in (("first", first), ("third", third), ("second", second))}
        taken = {name: slot for name, slot in got.items() if slot}
        if not taken:  # the one whose turn it was has been asked first
            taken = {name: slot for name, it in (("first", first), ("third", third)) if (slot := it.take())}
        assert len(taken) == 1
        (name, slot), *_ = taken.items()
        order.append(name)
    assert order == ["second", "third", "first"] * 2


def test_nobody_is_waited_for_who_wants_other_gpus_or_nothing(sweep):
    other, me = sweep(TWO[1:]), sweep()
    held = [me.take(), me.take()]
    assert other.take() is None
    held[0].give_back()
    assert names(me.take()) == [("0", 0)]
    held[1].give_back()
    assert me.take() is None
    other.leave_line()
    assert names(me.take()) == [("1", 0)]


def test_who_does_not_take_his_turn_loses_it(sweep, monkeypatch):
    """As a sweep that was suspended by Ctrl-Z."""
    me, suspended = sweep(TWO[:1]), sweep(TWO[:1])
    slot = me.take()
    assert suspended.take() is None
    slot.give_back()
    assert me.take() is None
    monkeypatch.setattr(slots, "TURN", 0.0)
    assert me.take()


def test_of_a_killed_sweep_nothing_is_left(sweep, tmp_path):
    code = (
        "import sys, pathlib; from caspl.sweeps.engines.slots import Slots; from caspl.sweeps.engines.gpus import Gpu\n"
        f"slots = Slots([Gpu('0', 'GPU-a/b')], 1, pathlib.Path({str(tmp_path / 'slots')!r}))\n"
        "print(bool(slots.take()), slots.take(), flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "True None\n"
    me = sweep(TWO[:1])
    assert me.take() is None and len(list((tmp_path / "slots").glob("wait-*"))) == 2
    other.kill()
    other.communicate()
    assert me.take()
    me.take()
    assert len(list((tmp_path / "slots").glob("wait-*"))) == 1  # mine


def test_slots_are_for_all_users(sweep, tmp_path):
    before = os.umask(0o077)
    try:
        one = sweep(TWO[:1])
        slot, none = one.take(), one.take()
    finally:
        os.umask(before)
    folder = tmp_path / "slots"
    assert none is None and slot
    assert stat.S_IMODE(folder.stat().st_mode) == 0o1777
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o644}
    assert sorted(path.name.split("-")[0] for path in folder.iterdir()) == ["gpu", "wait"]


@pytest.mark.parametrize(
    "fault", ["a file", "a link", "no permission", "a pipe", "a link in it", "no locks", "read-only"]
)
def test_where_slots_cannot_be_shared_a_sweep_keeps_to_its_own(tmp_path, monkeypatch, fault):
    monkeypatch.delenv("CASPL_SLOTS", raising=False)  # a link is followed in a folder that one has named
    folder = tmp_path / "slots"
    if fault == "a file":
        folder.touch()
    elif fault == "a link":
        folder.symlink_to(tmp_path)
    elif fault == "no locks":
        monkeypatch.setattr(slots, "hold", lambda descriptor, shared=False: None)
    elif fault == "read-only":
        folder = tmp_path / "file" / "slots"
        (tmp_path / "file").touch()
    else:
        folder.mkdir()
        path = folder / "gpu-GPU-a_b-1of1"
        {
            "no permission": lambda: monkeypatch.setattr(slots, "_open", _refuse),
            "a pipe": lambda: os.mkfifo(path),
            "a link in it": lambda: path.symlink_to("/etc/passwd"),
        }[fault]()
    one = Slots(TWO, 1, folder)
    busy = []
    for id in "01":
        slot = one.take(busy)
        assert slot.gpu.id == id and one.problem and "\n" not in one.problem
        busy.append((slot.gpu.name, slot.number))
        slot.give_back()
    assert one.take(busy) is None
    one.leave_line()


def _refuse(path):
    raise PermissionError(13, "Permission denied")


def test_what_others_put_there_does_no_harm(sweep, tmp_path):
    folder = tmp_path / "slots"
    one = sweep()
    os.mkfifo(folder / "wait-00000000000000000001-1")
    (folder / "wait-00000000000000000002-2").mkdir()
    (folder / "wait-mine").write_text("somebody's file")
    (folder / "wait-00000000000000000003-3").symlink_to(tmp_path / "nowhere")
    assert one.take() and one.take() and one.take() is None
    assert (folder / "wait-mine").exists()


def test_a_ticket_that_was_tidied_away_is_taken_anew(sweep, tmp_path):
    one = sweep(TWO[:1])
    slot = one.take()
    assert one.take() is None
    for path in (tmp_path / "slots").glob("wait-*"):
        path.unlink()
    assert one.take() is None and len(list((tmp_path / "slots").glob("wait-*"))) == 1
    slot.give_back()
    assert one.take() and not list((tmp_path / "slots").glob("wait-*"))


def test_the_machine_is_in_the_name(monkeypatch):
    monkeypatch.delenv(slots.FOLDER, raising=False)
    monkeypatch.setattr(slots.platform, "node", lambda: "node 3/x")
    assert str(slots.folder()) == "/tmp/caspl-slots-node_3_x"
    monkeypatch.setenv(slots.FOLDER, "/scratch/slots")
    assert str(slots.folder()) == "/scratch/slots"
