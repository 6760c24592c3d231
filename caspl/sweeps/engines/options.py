"""What an engine is told. Its module has

    def run(plan: Plan, program: Sequence[str], options: EngineOptions, table: Callable[[], bool]) -> int

which carries a plan out, then shows the table, which says whether it could be, and gives the exit status of the sweep.
`program` stands before the arguments of a job: python, train.py. The working directory is that of the runs.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EngineOptions:
    """What the engines are told.

    Attributes:
        engine: local, ray or slurm.
        jobs: the most runs at a time; None: one, or as many as the GPUs have room for.
        gpus: those to use, as CUDA_VISIBLE_DEVICES names them; (): none; None: all that are seen.
        jobs_per_gpu: how many runs share one.
        address: of a Ray cluster; "": one is started.
        retries: how often a run is begun again whose node was lost.
        submit: give the scripts to sbatch.
        sbatch: options for every script, as a shell reads them.
        setup: file whose lines every script runs first; "": none.
        output: the folder below which all runs lie.
        ending: the commands that show the table and what else the sweep ends with, for engines that have ended by then.
    """

    engine: str = "local"
    jobs: int | None = None
    gpus: tuple[str, ...] | None = None
    jobs_per_gpu: int = 1
    address: str = ""
    retries: int = 3
    submit: bool = False
    sbatch: str = ""
    setup: str = ""
    output: str = ""
    ending: tuple[tuple[str, ...], ...] = ()
