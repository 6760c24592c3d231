"""Processes forked from the one that tests, as a loader's workers are: nothing is imported anew."""

import multiprocessing
from collections.abc import Callable

_fork = multiprocessing.get_context("fork")


def exit_status(work: Callable, *arguments) -> int:
    """How a process ends that does `work`: the number of a signal is negative."""
    process = _fork.Process(target=work, args=arguments)
    process.start()
    process.join(60)
    return process.exitcode


def at_once(work: Callable, *arguments) -> list:
    """What two processes give, not much each, that do the same work at the same time."""
    start, answers = _fork.Barrier(2), _fork.SimpleQueue()

    def run():
        start.wait(60)
        answers.put(work(*arguments))

    processes = [_fork.Process(target=run) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    return [answers.get() for _ in processes]
