"""caspl sweep EXPERIMENT: every run of an experiment, on the hardware that there is. docs/sweeps.md says more."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from ..ground import door
from ..ground.errors import InputError, cause
from .command import reproduce
from .command.carrying_out import Ending, carry_out, ending_of, show
from .command.line import Caller, Sweep, read, take_apart, tell_mistake
from .command.options import EXPERIMENTS, overview, usage
from .place import Place
from .protocols import page
from .requests import Mistakes, MistakesError, check_used

CALLED_IN = "CASPL_CALLED_IN"  # set by scripts/*.sh, which change to the checkout: the folder in which they were called
PROTOCOLS = "protocols"
HELP = (["--help"], ["-h"], ["help"], [])


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done; 1 runs have failed; 2 mistakes in what was given (a sentence for each); see `door.run`."""
    words = sys.argv[1:] if argv is None else list(argv)
    start = os.environ.pop(CALLED_IN, "")  # no run is to inherit it
    return door.run(lambda: sweep(words, start))


def sweep(words: Sequence[str], start: str = "") -> int:
    """Carry a command out, called by a script in the folder `start`; the working directory becomes that of the runs."""
    caller = Caller(Path(start) if start else _working_directory(), script=bool(start))
    place = Place.of_package(caller.start)
    if list(words[:1]) in HELP:
        words = [*(word for word in words[1:2] if word[:1] != "-"), "--help"]  # --help EXPERIMENT, too
    if words == ["--help"]:
        print(overview(_called(caller, "")), end="")
        return 0
    experiment, *rest = words
    if experiment == PROTOCOLS:
        return page.main(rest, place.folder if place.is_checkout else None)
    if experiment not in EXPERIMENTS:
        raise InputError(_unknown(experiment, _called(caller, "")))
    os.chdir(place.folder)
    try:
        return demo(rest, caller, place) if experiment == "demo" else _one(experiment, rest, caller, place)
    except MistakesError:  # which are told
        return 2


def _one(experiment: str, words: Sequence[str], caller: Caller, place: Place) -> int:
    mistakes = Mistakes(tell_mistake)
    apart = take_apart(experiment, words, caller, mistakes)
    if apart.help:
        print(usage(experiment, _called(caller, experiment)), end="")
        return 0
    if experiment == reproduce.NAME:
        asked = reproduce.read(apart, place, caller, mistakes)
    else:
        asked = read(experiment, apart, place, caller, mistakes)
    check_used(mistakes, asked.request)
    mistakes.stop()
    ending = ending_of(asked)
    if asked.dry_run:
        show(asked.plan, place, elsewhere=caller.start.resolve() != place.folder.resolve())
        ending.print_commands()
        return 0
    return carry_out(asked, place, ending)


# ---------------------------------------------------------------------------------------------------------------------
# The demo
# ---------------------------------------------------------------------------------------------------------------------
DEMO = ["--datasets", "digits", "--output", "output/demo", "--all", "--jobs", "2"]
DEMO_STEPS = (  # options of base2new, and pairs behind --
    # Zero-shot: the large CLIP, in place of the small one that the configuration names
    (["--trainers", "ZeroshotCLIP", "--name", "digits_teacher"], ["MODEL.BACKBONE.NAME", "demo/teacher"]),
    # The small one; boosted by the large one on training images whose labels are not read; and with 16 labelled images for
    # each base class, without and with the frozen boosting prompts of seed 1
    (["--trainers", "ZeroshotCLIP CasPLBoost CoOp CasPL_CoOp"], []),
    # Each method with the settings that were best for it on validation images (docs/demo_models.md)
    (["--trainers", "PromptSRC CasPL_PromptSRC", "--config", "demo"], []),
)


def demo(words: Sequence[str], caller: Caller, place: Place) -> int:
    """Sweeps of base-to-new, a table of all of them, and the page."""
    caller = Caller(place.folder, caller.script)  # its outputs lie in the checkout, wherever it is called
    for own, pairs in DEMO_STEPS:
        mistakes = Mistakes(tell_mistake)
        apart = take_apart("demo", [*DEMO, *own, *words], caller, mistakes)
        if apart.help:
            print(usage("demo", _called(caller, "demo")), end="")
            return 0
        apart.pairs += pairs
        if apart.values["--trainers"] != own[1] or len(apart.configs) != own.count("--config"):
            mistakes.add("the demo has its own --trainers and --config; leave them out, or choose base2new")
        if apart.values.get("--engine") == "slurm":
            mistakes.add(
                "the demo waits for its runs, which --engine slurm does not; choose base2new, or another engine"
            )
        asked = read("base2new", apart, place, caller, mistakes)
        if asked.dry_run:
            show(asked.plan, place, elsewhere=False)
        elif status := carry_out(asked, place, Ending()):
            return status
    return _results(asked) if asked.tables and not asked.dry_run else 0


def _results(asked: Sweep) -> int:
    """The table, then the page, each in a process of its own; gives the exit status of the first that fails."""
    for module in ("caspl.results", "caspl.results.report"):
        print(flush=True)
        if status := subprocess.run([sys.executable, "-m", module, asked.request.output]).returncode:
            return status
    return 0


# ---------------------------------------------------------------------------------------------------------------------
# How it was called
# ---------------------------------------------------------------------------------------------------------------------
def _called(caller: Caller, experiment: str) -> str:
    if caller.script and experiment:
        return f"bash scripts/{experiment}.sh"
    return f"{door.prog('caspl sweep')} {experiment}".rstrip()


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise InputError(f"the working directory is not there any more ({cause(error)}); change to another") from None


def _unknown(word: str, called: str) -> str:
    if word.startswith("-"):
        return f"{word} stands before the experiment, which comes first; {called} --help shows what there is"
    near = get_close_matches(word.replace("-", "_"), [*EXPERIMENTS, PROTOCOLS], 1)
    hint = f"do you mean {near[0]}?" if near else f"there are {', '.join(EXPERIMENTS)}"
    return f'no experiment is called "{word}"; {hint}'


if __name__ == "__main__":
    sys.exit(main())
