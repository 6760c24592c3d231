"""Bad inputs for every command, each of which has to end in one sentence.

    python tests/attack                                 all of them, each in a fork of one warm process
    python tests/attack --kind record --door predict    some
    python tests/attack --processes 40                  some 40, drawn from all, as a shell starts them

A refusal is exit status 2 and exactly one line with `error:`, which names the file, key or flag, within 20 seconds; no trace,
no program started, no host asked, nothing written but the log. What is accepted rightly is listed, with what was said.
Exit status 1 where anything is against this.
"""

from __future__ import annotations

import argparse
import random
import shlex
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]  # the first: tests/ has a folder caspl, too

from tabulate import tabulate  # noqa: E402

from attack import attempts, doors, sound  # noqa: E402
from attack.cases import REFUSED, Case  # noqa: E402
from attack.kinds import every  # noqa: E402
from attack.verdict import faults  # noqa: E402


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "attack", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", default="", help="those whose kind contains this")
    parser.add_argument("--door", default="", help="those of this command")
    parser.add_argument("--what", default="", help="those whose mistake contains this")
    parser.add_argument("--sample", type=int, default=0, help="that many, drawn")
    parser.add_argument("--processes", type=int, default=0, metavar="N", help="N of them, started as a shell does")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=attempts.SECONDS, help="for each (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="at a time (default: %(default)s)")
    parser.add_argument("--verbose", action="store_true", help="print every sentence")
    parser.add_argument("--sound", type=Path, help="folder that keeps what bad inputs are made from, for the next time")
    return parser.parse_args(argv)


def chosen(args: argparse.Namespace, material: sound.Sound) -> list[Case]:
    """The cases that were asked for."""
    cases = [
        case
        for case in every(material, args.seed)
        if args.kind in case.kind and args.door in ("", case.door) and args.what in case.what
    ]
    count = args.processes or args.sample
    return mixed(cases, random.Random(args.seed))[:count] if count else cases


def mixed(cases: list[Case], draw: random.Random) -> list[Case]:
    """The cases in an order in which all kinds and doors come up early."""
    taken: Counter[tuple[str, str]] = Counter()
    places = []
    for case in draw.sample(cases, len(cases)):
        taken[case.kind, case.door] += 1
        places.append((taken[case.kind, case.door], draw.random(), case))
    return [case for *_, case in sorted(places, key=lambda place: place[:2])]


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0, or 1 where a case is against the rule."""
    args, start = parse_args(argv), time.monotonic()
    doors.warm()
    with tempfile.TemporaryDirectory(prefix="attack-sound-") as temporary:
        place = args.sound or Path(temporary)
        material = sound.Sound(place) if args.sound and place.exists() else sound.make(place)
        before = attempts.listing(place)
        outcomes = []
        for outcome in attempts.run(
            chosen(args, material), processes=bool(args.processes), side_by_side=args.jobs, seconds=args.seconds
        ):
            outcomes.append((outcome, faults(outcome)))
            show(outcome, outcomes[-1][1], args.verbose)
        after = attempts.listing(place)
    changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    report(outcomes)
    if changed:
        print(f"what was sound has been changed: {', '.join(changed[:5])}")
    failures = sum(bool(found) for _, found in outcomes)
    print(f"{len(outcomes)} cases, {failures} failures, {time.monotonic() - start:.0f} s")
    return int(bool(failures or changed))


def last_line(outcome: attempts.Outcome) -> str:
    lines = [line for line in (outcome.err or outcome.out).splitlines() if line.strip()]
    return ascii(lines[-1].split("\r")[-1])[1:-1][:400] if lines else ""


def show(outcome: attempts.Outcome, found: list[str], verbose: bool) -> None:
    case = f"{outcome.case} ({outcome.seconds:.1f} s)"
    status, argv, why = outcome.expected, outcome.case.argv, outcome.case.why
    if found:
        print(f"FAILED {case}: {'; '.join(found)}\n    {ascii(shlex.join(argv))}\n    {last_line(outcome)}", flush=True)
    elif status != REFUSED or outcome.case.leaves:
        print(f"status {status} {case}: {why}\n    {last_line(outcome)}", flush=True)
    elif verbose:
        print(f"{case}\n    {last_line(outcome)}", flush=True)


def report(outcomes: list[tuple[attempts.Outcome, list[str]]]) -> None:
    """A table by kind and door."""
    groups = defaultdict(list)
    for outcome, found in outcomes:
        groups[outcome.case.kind, outcome.case.door].append((outcome, found))
    rows = []
    for (kind, door), group in [*sorted(groups.items()), (("all", ""), outcomes)]:
        good = [outcome.expected for outcome, found in group if not found]
        slowest = max((outcome.seconds for outcome, _ in group), default=0)
        refused = good.count(REFUSED)
        rows.append(
            [
                kind,
                door,
                len(group),
                refused,
                good.count(0),
                len(good) - refused - good.count(0),
                len(group) - len(good),
            ]
        )
        rows[-1].append(f"{slowest:.1f}")
    heads = ["kind", "door", "cases", "refused", "accepted rightly", "other status", "failures", "slowest, s"]
    print(tabulate(rows, heads))


if __name__ == "__main__":
    sys.exit(main())
