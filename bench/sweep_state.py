"""How long it takes to see that 2,000 runs are finished, as those of bench/planning.py's table, by records and by logs.

python bench/sweep_state.py [--log-kilobytes 100]
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import planning  # noqa: E402

from caspl.ground import door  # noqa: E402
from caspl.results.records import NAME, write  # noqa: E402
from caspl.sweeps.jobs import Job, Kind, Plan  # noqa: E402
from caspl.sweeps.state import listing  # noqa: E402
from tests.records_made import record  # noqa: E402

RUNS = 2_000
RESULT = "Evaluate on the *test* set\n=> result\n* total: 250\n* correct: 196\n* accuracy: 78.4%\n"


def moved(job: Job, top: str) -> Job:
    """A job whose outputs lie below another folder."""
    return replace(job, folder=f"{top}/{job.folder}", needs=job.needs and f"{top}/{job.needs}")


def finish(job: Job, log: str) -> None:
    """What a finished run leaves."""
    folder = Path(job.folder)
    (folder / "prompt_learner").mkdir(parents=True)
    if job.epoch is not None:
        (folder / "prompt_learner" / f"model.pth.tar-{job.epoch}").touch()
    if job.kind is Kind.BOOSTING:
        (folder / "boosting.safetensors").touch()
    (folder / "settings.txt").write_text(f"{job.settings}\n")
    (folder / "log.txt").write_text(log)
    write(folder, record())


def measure(plan: Plan, what: str) -> None:
    start = time.perf_counter()
    skipped = [is_skipped for _, is_skipped in listing(plan)]
    print(f"{sum(skipped)} of {len(plan)} jobs finished, seen in {time.perf_counter() - start:.2f} s, {what}")


def main() -> None:
    parser = door.Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--log-kilobytes", type=int, default=100)
    log = "epoch [1/50] batch [1/20] loss 1.0\n" * (parser.parse_args().log_kilobytes * 1024 // 35) + RESULT
    with tempfile.TemporaryDirectory() as top:
        jobs = [moved(job, f"{top}/{copy}") for copy in "ab" for job in planning.table()]
        plan = Plan(tuple(jobs[:RUNS]))
        for job in plan:
            finish(job, log)
        measure(plan, "by their records")
        for job in plan:
            Path(job.folder, NAME).unlink()
        measure(plan, "by their logs")


if __name__ == "__main__":
    sys.exit(door.run(main))
