"""The place of a process, from the environment variables of torchrun."""

import pytest

from caspl.ground.errors import InputError
from caspl.ground.processes.place import Place, alone, place_in
from caspl.ground.processes.shares import share_of

TWO = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "node0", "MASTER_PORT": "29500"}


def test_as_torchrun_says():
    assert place_in(TWO) == Place(number=3, count=4, local=1, host="node0", port=29500)


@pytest.mark.parametrize("changed", [{"WORLD_SIZE": "1", "RANK": "0"}, {"WORLD_SIZE": ""}])
def test_alone(changed):
    assert place_in(TWO | changed) == place_in({}) == place_in({"RANK": "7"}) == Place()


MISTAKES = {
    "no rank": ({"RANK": ""}, "WORLD_SIZE is 4, but RANK is not set"),
    "no meeting": ({"MASTER_ADDR": "", "MASTER_PORT": ""}, "but MASTER_ADDR and MASTER_PORT are not set"),
    "rank beyond": ({"RANK": "4"}, 'RANK is "4", expected a whole number, 0 to 3'),
    "rank below": ({"RANK": "-1"}, 'RANK is "-1", expected a whole number, 0 to 3'),
    "local beyond": ({"LOCAL_RANK": "9"}, 'LOCAL_RANK is "9", expected a whole number, 0 to 3'),
    "no number": ({"WORLD_SIZE": "two"}, 'WORLD_SIZE is "two", expected a whole number, 1 to 65536'),
    "none": ({"WORLD_SIZE": "0"}, 'WORLD_SIZE is "0", expected'),
    "port": ({"MASTER_PORT": "99999"}, 'MASTER_PORT is "99999", expected a whole number, 1 to 65535'),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_variables_that_contradict_each_other(mistake):
    changed, said = MISTAKES[mistake]
    with pytest.raises(InputError, match=f"{said}.*; torchrun --nproc-per-node N sets them all"):
        place_in(TWO | changed)


def test_a_program_that_is_started_is_no_part_of_the_job():
    assert alone(TWO | {"PATH": "/bin"}) == {"PATH": "/bin"}


@pytest.mark.parametrize(("images", "count"), [(4, 2), (5, 2), (7, 3), (2, 3), (32, 5)])
def test_shares_are_all_of_it(images, count):
    shares = [range(*share_of(images, count, number)) for number in range(count)]
    assert [place for share in shares for place in share] == list(range(images))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
