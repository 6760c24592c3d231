"""The scripts of a sweep: what each task of an array runs, what shows the table, and what submits it all by sbatch."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from ....ground.texts import counted
from .arrays import Array
from .heads import table_head, task_head

MODULE = "caspl.sweeps.engines.slurm"
TASK, TABLE, SUBMIT, SUBMITTED, LOGS = "task.sh", "table.sh", "submit.sh", "submitted.txt", "logs"

ADD = r"""
ended='' # the exit status that a signal asks for
trap 'ended=130' INT
trap 'ended=143' TERM HUP

add() { # NAME OPTIONS AND SCRIPT...: puts them into the queue; sets id, the number of the array
    name=$1
    shift
    answer=$(sbatch --parsable --job-name="caspl-$name" --chdir="$directory" "$@" 2>&1)
    status=$?
    id=$(printf '%s\n' "$answer" | sed -n 's/^\(Submitted batch job \)\{0,1\}\([0-9][0-9]*\)\(;.*\)\{0,1\}$/\2/p' | tail -n 1)
    if [ "$status" -eq 0 ] && [ -n "$id" ]; then
        queued="$queued $id"
        echo "$id $name" >>"$folder/submitted.txt"
    elif [ -z "$ended" ]; then
        answer=$(printf '%s\n' "$answer" | tr '\n' ' ' | sed 's/ *$//')
        echo "error: sbatch has not taken $name (${answer:-exit status $status}); correct what it says, and give the" \
            "same command again" >&2
        ended=2
    fi
    [ -n "$ended" ] || return 0
    [ "$ended" -eq 2 ] || echo "interrupted" >&2
    [ -z "$queued" ] || echo "in the queue are$queued, which scancel$queued takes out again" >&2
    exit "$ended"
}
"""


def task_script(
    folder: Path, directory: str, python: str, given: list[list[str]], *, gpu: bool, setup: str = ""
) -> str:
    """For bash: run the task of an array, whose name is the argument; the runs start in `directory`."""
    call = [python, "-m", MODULE, str(folder)]
    last = f'exec {shlex.join(call)} "$1" "$SLURM_ARRAY_TASK_ID"'
    return _script(task_head(given, gpu), setup, directory, last)


def table_script(folder: Path, directory: str, python: str, given: list[list[str]], *, setup: str = "") -> str:
    """For bash: print the table, and the runs that failed."""
    return _script(table_head(given), setup, directory, f"exec {shlex.join([python, '-m', MODULE, str(folder)])}")


def _script(head: Sequence[str], setup: str, directory: str, last: str) -> str:
    own = [setup.rstrip("\n"), f"cd {shlex.quote(directory)} || exit"] if setup else []  # wherever the set-up has gone
    return "\n".join(["#!/bin/bash", *head, *own, last, ""])


def submit_script(folder: Path, directory: str, arrays: Sequence[Array], *, at_once: int | None = None) -> str:
    """For any shell: submit the arrays in their order, and the table behind all of them.

    Args:
        folder: where the scripts lie.
        directory: where the runs start.
        at_once: tasks of an array that run at a time; None: as many as the site allows.
    """
    runs = sum(len(task) for array in arrays for task in array.tasks.values())
    lines = [
        "#!/bin/sh",
        f"# Puts {counted(runs, 'run')} into the queue of SLURM, as {counted(len(arrays), 'array')}, and a table behind them.",
        f"folder={shlex.quote(str(folder))}",
        f"directory={shlex.quote(directory)}",
        f"logs={shlex.quote(_plain(str(folder / LOGS)))}",
        f"table={shlex.quote(_plain(str(folder)))}",
        "queued=",
        ADD.rstrip("\n"),
        "",
        "if ! command -v sbatch >/dev/null; then",
        '    echo "error: there is no command sbatch here; run this on a machine of the cluster that has it" >&2',
        "    exit 2",
        "fi",
    ]
    numbers = {array.name: f"array{number}" for number, array in enumerate(arrays, 1)}
    for array in arrays:
        lines += _submission(array, numbers, at_once)
    behind = ":".join(f"${number}" for number in numbers.values())
    lines += [
        f'add table --output="$table/table-%j.txt" --dependency="afterany:{behind}" "$folder/{TABLE}"',
        f'echo "{counted(runs, "run")} in the queue:$queued; $folder/table-$id.txt will hold the table and what has failed"',
        "",
    ]
    return "\n".join(lines)


def _submission(array: Array, numbers: dict[str, str], at_once: int | None) -> list[str]:
    if array.after not in numbers:
        waits = f"--dependency=afterok:{array.after} " if array.after else ""
    elif array.only is None:
        waits = f'--dependency="aftercorr:${numbers[array.after]}" '
    else:
        waits = f'--dependency="afterok:${{{numbers[array.after]}}}_{array.only}" '
    most = f"%{at_once}" if at_once else ""
    return [
        f'add {array.name} --array={array.indices()}{most} {waits}--output="$logs/%x-%A_%a.txt" "$folder/{TASK}" {array.name}',
        f"{numbers[array.name]}=$id",
    ]


def _plain(path: str) -> str:
    """A path in which sbatch puts nothing in the place of %a."""
    return path.replace("%", "%%")
