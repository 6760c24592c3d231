"""The engine for clusters of machines that share a disk, and for one machine, by Ray.

    run -> pool (the jobs as Ray tasks) -> cluster (what Ray is asked for) -> on a node: node.py, which starts a worker

Ray finds the places, gives each run its GPU, and tells of lost workers and nodes; the rest is as on every engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ....ground.errors import InputError
from ...jobs import Plan
from .. import course, gpus, progress
from ..options import EngineOptions
from . import addresses, cluster
from .pool import RayPool
from .token import Token


def run(plan: Plan, program: Sequence[str], options: EngineOptions, table: Callable[[], bool]) -> int:
    """Carry a plan out and give the exit status of the sweep, `course.carry_out`'s.

    Raises InputError where Ray is missing, the cluster does not answer, or GPUs are named that are not there.
    """
    screen = progress.screen()
    pool = pool_for(plan, options, screen.say)
    return course.carry_out(course.Course(plan, pool, screen, program), table)


def pool_for(plan: Plan, options: EngineOptions, say: Callable[[str], object]) -> RayPool:
    """The pool for what was asked for; `say` gets to know what the user should. Raises InputError as `run`."""
    joining = _joining(options, say)
    numbers = {"jobs": options.jobs, "jobs_per_gpu": options.jobs_per_gpu, "retries": options.retries}
    return RayPool(joining, Token(plan), say, **numbers)


def _joining(options: EngineOptions, say: Callable[[str], object]) -> Callable[[], cluster.Cluster]:
    """What joins the cluster that was asked for, or starts one of this machine. Raises InputError as `run`."""
    ray = cluster.library(alone=not options.address)
    if options.address:
        if options.gpus is not None:
            raise InputError(
                "--gpus is for the GPUs of this machine, and --address is a cluster, whose nodes say which they give "
                "(ray start --num-gpus); leave one of them out"
            )
        gpus.check_jobs_per_gpu(options.jobs_per_gpu)
        address = addresses.found(options.address)
        return partial(cluster.connect, ray, address, say, options.jobs_per_gpu)
    chosen = gpus.places(options.gpus, options.jobs_per_gpu, say)
    places = len(chosen) * options.jobs_per_gpu or options.jobs or 1
    variables = chosen[0].environment() if chosen else {}
    if chosen or options.gpus == ():
        variables[gpus.VISIBLE] = ",".join(gpu.id for gpu in chosen)
    return partial(cluster.start, ray, cpus=min(places, options.jobs or places), gpus=len(chosen), variables=variables)
