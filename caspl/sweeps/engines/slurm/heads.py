"""What stands at the top of a script for sbatch: our options and those of --sbatch."""

from __future__ import annotations

import re
import shlex

from ....ground.errors import InputError
from ....ground.texts import shown

GPU_OPTIONS = ("--gres", "--gpus", "--gpus-per-task", "--gpus-per-node", "--gpus-per-socket", "-G")
CPU_GPU_TIES = ("--cpus-per-gpu", "--mem-per-gpu", "--gpu-bind", "--gpu-freq")  # refused without a GPU
OURS = {
    "--array": "the runs make the arrays",
    "-a": "the runs make the arrays",
    "--dependency": "each run waits for the one that it needs",
    "-d": "each run waits for the one that it needs",
    "--job-name": "each array is named after its runs",
    "-J": "each array is named after its runs",
    "--output": "what the tasks say lies in the logs/ of the sweep",
    "-o": "what the tasks say lies in the logs/ of the sweep",
    "--chdir": "the runs start in the folder of this project",
    "-D": "the runs start in the folder of this project",
    "--wrap": "the script is written here",
    "--test-only": "nothing would run",
    "--wait": "the arrays would be submitted one after the other has ended",
    "-W": "the arrays would be submitted one after the other has ended",
    "--parsable": "it is set anyway",
    "--help": "it is no option of a job",
    "-h": "it is no option of a job",
    "--version": "it is no option of a job",
    "-V": "it is no option of a job",
}
TASK = (
    "--nodes=1",
    "--ntasks=1",
    "--requeue",
    "--open-mode=append",
    "--kill-on-invalid-dep=yes",
    "--signal=B:USR1@60",  # a minute before the time is over, to the process that the script becomes
)
TABLE = ("--nodes=1", "--ntasks=1", "--requeue", "--open-mode=append")


def options(text: str) -> list[list[str]]:
    """The options of --sbatch, each with its value: "-p gpu --time=8:00:00" is [["-p", "gpu"], ["--time=8:00:00"]].

    Raises InputError, with all that is wrong: quotation marks that are not closed, words that are no options, options that
    are set here, what can't stand on a line.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise InputError(
            f"--sbatch {shown(text)} can't be read as a shell would ({str(error).lower()}); close what is opened"
        ) from None
    found: list[list[str]] = []
    for word in words:
        if word.startswith("-") and word.strip("-"):
            found.append([word])
        elif found and len(found[-1]) == 1 and "=" not in found[-1][0]:
            found[-1].append(word)
        else:
            raise InputError(
                f"--sbatch has {shown(word)} where an option such as --time=8:00:00 is expected; correct it"
            )
    wrong = [
        f"--sbatch has {_name(option)}, but {OURS[name]}; leave it out" for option in found if (name := _ours(option))
    ]
    wrong += [
        f"--sbatch has a line break or another hidden character in {shown(word)}; take it out"
        for word in words
        if not word.isprintable()
    ]
    if wrong:
        raise InputError("; ".join(wrong))
    return found


def task_head(given: list[list[str]], gpu: bool) -> list[str]:
    """The lines of a script whose task takes a GPU, unless the options given say which, or `gpu` is False."""
    gres = [] if not gpu or any(_name(option) in GPU_OPTIONS for option in given) else [["--gres=gpu:1"]]
    return _lines([[option] for option in TASK] + gres + given)


def table_head(given: list[list[str]]) -> list[str]:
    """The lines of the script that shows the table, which needs no GPU."""
    return _lines([[option] for option in TABLE] + [o for o in given if _name(o) not in (*GPU_OPTIONS, *CPU_GPU_TIES)])


def _name(option: list[str]) -> str:
    """Its name without the value: --time of --time=8:00:00, -p of -pgpu."""
    word = option[0].partition("=")[0]
    return word if word.startswith("--") else word[:2]


def _ours(option: list[str]) -> str:
    """The one of OURS that it is, which sbatch knows by its beginning, too: --dep; "": none."""
    name = _name(option)
    if name in OURS or not name.startswith("--"):
        return name if name in OURS else ""
    return next((ours for ours in OURS if ours.startswith(name)), "")


def _lines(options: list[list[str]]) -> list[str]:
    return [f"#SBATCH {' '.join(_quoted(word) for word in option)}" for option in options]


def _quoted(word: str) -> str:
    """As sbatch reads it in a script, where `#` begins a comment."""
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word) else '"' + re.sub(r'(["\\])', r"\\\1", word) + '"'
