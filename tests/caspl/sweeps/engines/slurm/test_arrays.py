"""Which runs stand in one array, and which task waits for which."""

from collections import Counter

import pytest

from caspl.sweeps.engines.slurm.arrays import Array, arrays
from caspl.sweeps.jobs import Job, Kind


def job(name, needs="", kind=Kind.TRAINING):
    return Job(name, (name,), kind, needs)


def boosted(datasets, seeds, tests=("new", "base")):
    """Phase 1 of each dataset, trainings with it, tests of each."""
    jobs = [job(f"boost-{d}", kind=Kind.BOOSTING) for d in range(datasets)]
    jobs += [job(f"train-{d}-{s}", f"boost-{d}") for d in range(datasets) for s in range(seeds)]
    needs = [f"train-{d}-{s}" for d in range(datasets) for s in range(seeds)]
    return jobs + [job(f"{test}-{need}", need, Kind.TEST) for need in needs for test in tests]


def waits(found, queued=None):
    """Folder of each job -> folders of the jobs whose tasks it waits for, or what was queued before."""
    by_name = {array.name: array for array in found}
    return {
        one.folder: [other.folder for other in by_name[array.after].tasks[index if array.only is None else array.only]]
        if array.after in by_name
        else [array.after] * bool(array.after)
        for array in found
        for index, task in array.tasks.items()
        for one in task
    }


@pytest.mark.parametrize(("datasets", "seeds"), [(2, 3), (3, 2), (1, 1), (11, 27), (40, 2)])
@pytest.mark.parametrize("longest", [1000, 7])
def test_each_job_waits_for_exactly_the_one_it_needs(datasets, seeds, longest):
    jobs = boosted(datasets, seeds)
    found = arrays(jobs, longest=longest)
    assert waits(found) == {one.folder: [one.needs] * bool(one.needs) for one in jobs}
    assert (
        Counter(one.folder for array in found for task in array.tasks.values() for one in task).most_common(1)[0][1]
        == 1
    )
    assert all(max(array.tasks) < longest for array in found)
    assert len({array.name for array in found}) == len(found)
    names = [array.name for array in found]
    assert all(names.index(array.after) < names.index(array.name) for array in found if array.after)


def test_arrays_are_few():
    found = arrays(boosted(11, 27))
    assert [array.name for array in found[:3]] == ["phase1", "training", "training-2"]
    assert Counter(array.name.partition("-")[0] for array in found) == {"phase1": 1, "training": 11, "test": 22}
    few = arrays(boosted(11, 3))
    assert len(few) == 1 + 3 + 6 and all(array.only is None for array in few)


def test_packs():
    jobs = boosted(2, 5)
    found = arrays(jobs, pack=2)
    assert max(len(task) for array in found for task in array.tasks.values()) == 2
    waited = waits(found)
    assert sorted(waited) == sorted(one.folder for one in jobs)
    assert all(one.needs in waited[one.folder] for one in jobs if one.needs)


def test_what_was_submitted_before_is_waited_for():
    jobs = [one for one in boosted(2, 2) if one.folder not in ("boost-0", "train-1-1")]
    found = arrays(jobs, queued={"boost-0": "12_3", "train-1-1": "14_0", "other": "15_1"})
    waited = waits(found)
    assert waited["train-0-0"] == ["12_3"] and waited["train-1-0"] == ["boost-1"]
    assert waited["new-train-1-1"] == ["14_0"] and waited["new-train-1-0"] == ["train-1-0"]
    assert sorted(waited) == sorted(one.folder for one in jobs)


def test_what_is_finished_is_not_waited_for():
    assert waits(arrays([job("test", "finished", Kind.TEST)])) == {"test": []}


def test_numbers_with_gaps():
    assert Array("a", {index: () for index in (0, 1, 2, 5, 7, 8)}).indices() == "0-2,5,7-8"
    jobs = [job("a"), job("b"), job("c"), job("of-a", "a", Kind.TEST), job("of-c", "c", Kind.TEST)]
    assert [array.indices() for array in arrays(jobs)] == ["0-2", "0,2"]
