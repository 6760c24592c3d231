"""Several processes: what they compute together, and how one's end is everyone's, in one sentence."""

import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
import torch
from in_processes import free_port, in_processes

from caspl.ground import door
from caspl.ground.errors import InputError
from caspl.ground.processes import together
from caspl.ground.processes.place import VARIABLES, Place
from caspl.ground.tensors.finite import DivergedError, NotFiniteError


def job(body):
    """The life of a process of a command whose `body` is run by all of them."""

    def work():
        with together.joined():
            return body(together.number())

    return work


def ends(count, body):
    """Exit statuses, and all that was printed."""
    answers = in_processes(count, lambda: os._exit(door.run(job(body), interrupted="interrupted; go on")))
    return [answer.status for answer in answers], "".join(answer.said for answer in answers)


def test_what_is_computed_together():
    def body(number):
        calls = []
        value = together.once(
            lambda: calls.append(1) or {"of": number, "values": torch.arange(3).half(), "more": [(1, None)]}
        )
        sums = [
            torch.full((2, 2), number + 1.0),
            torch.tensor(float(number)).half(),
            torch.tensor(number / 3, dtype=torch.float64),
        ]
        together.sum_up(sums)
        return len(calls), value, together.gathered(lambda: ["x"] * number), sums

    for number, answer in enumerate(in_processes(3, job(body))):
        assert answer.status == 0, answer.said
        calls, value, gathered, sums = answer.value
        assert calls == (number == 0) and gathered == [[], ["x"], ["x", "x"]]
        assert value["of"] == 0 and value["values"].dtype == torch.float16 and value["more"] == [(1, None)]
        assert (
            sums[0].tolist() == [[6.0] * 2] * 2
            and float(sums[1]) == 3.0
            and float(sums[2]) == pytest.approx(1, abs=1e-15)
        )
        assert [each.dtype for each in sums] == [torch.float32, torch.float16, torch.float64]


def test_a_single_process_is_not_touched(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    value, tensor = object(), torch.ones(2)
    with together.joined():
        assert (together.count(), together.number(), together.is_first()) == (1, 0, True)
        assert together.once(lambda: value) is value and together.gathered(lambda: value) == [value]
        together.sum_up([tensor])
        assert tensor.tolist() == [1, 1] and not torch.distributed.is_initialized()
        with together.folder_of_its_own("here", lambda folder: pytest.fail("asked")) as folder:
            assert folder == "here"


def test_what_the_first_leaves_on_the_disk_is_there_for_the_others(tmp_path):
    def body(number):
        def work():
            found = sorted(os.listdir(tmp_path))
            time.sleep(0.2 if number == 0 else 0)
            (tmp_path / str(number)).touch()
            return found

        return together.after_the_first(work)

    first, second = (answer.value for answer in in_processes(2, job(body)))
    assert first == [] and second == ["0"]


def test_only_the_first_has_the_folder(tmp_path):
    """The others write into one of their own, that begins with what is gone on from and goes with them."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "state").write_bytes(b"\0kept")
    (tmp_path / "other").write_text("x")

    def body(number):
        with together.folder_of_its_own(str(tmp_path), lambda folder: [folder / "model" / "state"]) as folder:
            content = Path(folder, "model", "state").read_bytes()
            Path(folder, f"of {number}").touch()
            return folder, content, sorted(os.listdir(folder))

    first, second = (answer.value for answer in in_processes(2, job(body)))
    assert first == (str(tmp_path), b"\0kept", ["model", "of 0", "other"])
    assert second[1:] == (b"\0kept", ["model", "of 1"]) and not os.path.exists(second[0])
    assert not (tmp_path / "of 1").exists()


# Where an error is met, and what the processes are doing then
def in_both(number):
    raise InputError("OPTIM.LR is bad")


def in_the_second(number):
    if number == 1:
        raise InputError("the image a.png is broken")
    together.once(lambda: None)  # never comes to pass


def in_the_first(number):
    together.once(lambda: (_ for _ in ()).throw(InputError("no such file")))


def while_the_first_works(number):
    if number == 1:
        raise InputError("the image b.png is broken")
    time.sleep(1)
    together.gathered(lambda: None)


def by_the_system(number):
    if number == 1:
        Path("/nowhere/file").read_bytes()
    together.gathered(lambda: None)


def out_of_memory(number):
    together.gathered(lambda: bytearray(2**60) if number else 1)


SENTENCES = {
    in_both: (2, "OPTIM.LR is bad"),
    in_the_second: (2, "the image a.png is broken"),
    in_the_first: (2, "no such file"),
    while_the_first_works: (2, "the image b.png is broken"),
    by_the_system: (2, "/nowhere/file cannot be written or read (No such file or directory); check the path"),
    out_of_memory: (1, "not enough memory; use smaller batches or fewer classes"),
}


@pytest.mark.parametrize("body", SENTENCES, ids=lambda body: body.__name__)
def test_an_error_of_one_ends_all_in_one_sentence(body):
    status, sentence = SENTENCES[body]
    begun = time.monotonic()
    assert ends(2, body) == ([status] * 2, f"error: {sentence}\n")
    assert time.monotonic() - begun < 12


@pytest.mark.parametrize("kind", [NotFiniteError, DivergedError, InputError])
def test_all_raise_what_one_raises_where_they_gather(kind):
    """As their own, so that each does what is to be done about it."""

    def body(number):
        try:
            together.gathered(lambda: (_ for _ in ()).throw(kind("scores are nan")) if number == 1 else number)
        except kind as error:
            return type(error) is kind, str(error)

    assert [answer.value for answer in in_processes(3, job(body))] == [(True, "scores are nan")] * 3


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_is_not_waited_for(killed):
    def body(number):
        if number == killed:
            os.kill(os.getpid(), signal.SIGKILL)
        together.gathered(lambda: None)

    begun = time.monotonic()
    statuses, said = ends(2, body)
    assert statuses[killed] == -signal.SIGKILL and statuses[1 - killed] == 1
    if killed:  # the first keeps the store, unless torchrun does: without it nobody knows who is to speak
        assert said.count("error: ") == 1 and "another process of the job has ended without a word" in said
    assert time.monotonic() - begun < 15


def test_whoever_has_met_an_error_says_it_where_the_first_does_not_come_to(monkeypatch):
    monkeypatch.setattr("caspl.ground.processes.ends.PATIENCE", 0.5)

    def body(number):
        if number == 1:
            raise InputError("the image c.png is broken")
        time.sleep(3)
        together.gathered(lambda: None)

    assert ends(2, body) == ([2, 2], "error: the image c.png is broken\n")


def test_an_own_folder_has_the_name_of_the_jobs(tmp_path):
    def body(number):
        with together.folder_of_its_own(str(tmp_path), lambda folder: []) as folder:
            if number == 1:
                raise InputError(f"{folder}/cmat.pt cannot be written")
            together.gathered(lambda: None)

    assert ends(2, body) == ([2, 2], f"error: {tmp_path}/cmat.pt cannot be written\n")


def test_the_others_print_nothing():
    def body(number):
        print("hello", file=sys.stderr, flush=True)

    assert [answer.said for answer in in_processes(2, job(body))] == ["hello\n", ""]


def test_a_port_that_is_in_use():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = Place(number=0, count=2, local=0, host="127.0.0.1", port=taken.getsockname()[1])
        with pytest.raises(
            InputError, match=r"cannot meet at 127.0.0.1:\d+ \(MASTER_ADDR, MASTER_PORT: .*another port"
        ):
            together._meet(place)


def test_a_process_that_does_not_come(monkeypatch):
    monkeypatch.setattr(together, "MEETING", 0.3)
    with pytest.raises(InputError, match=r"of 2 processes \(WORLD_SIZE\) 1 have come; start all of them"):
        together._meet(Place(number=0, count=2, local=0, host="127.0.0.1", port=free_port()))
