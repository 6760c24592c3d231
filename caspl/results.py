"""Collecting the results of scripts/demo.sh: a CSV file, a table and a figure.

    python -m caspl.results output/demo

The folder holds `<method>/seed<k>/<base|new|all>/log.txt`, one log for each set of classes that was tested.
"""

from __future__ import annotations

import argparse
import csv
import re
import statistics
import sys
from dataclasses import astuple, dataclass
from pathlib import Path

from tabulate import tabulate

from .errors import InputError
from .files import replacing

# Folder -> name in the table, in the order of the method: what one starts from, what one wants, what one gets.
METHODS = {
    "clip_student": "CLIP student",
    "clip_teacher": "CLIP teacher",
    "boosting": "CLIP student + boosting",
    "coop": "CoOp",
    "caspl_coop": "CoOp + CasPL",
}
COLUMNS = ("method", "seed", "base", "new", "hm", "all")
SUBSETS = ("base", "new", "all")


@dataclass(frozen=True)
class Result:
    """Accuracies in percent on the test images of base classes, of new classes, and over all classes."""

    method: str
    seed: int
    base: float
    new: float
    hm: float  # harmonic mean of base and new
    all: float


def harmonic_mean(base: float, new: float) -> float:
    """2bn / (b + n); 0 where both are 0."""
    return 2 * base * new / (base + new) if base + new else 0.0


def read_accuracy(folder: Path, subset: str) -> float:
    """Accuracy in percent, to the image, of the last result block in the newest log of `folder`.

    Raises InputError where there is no finished result, or where the run was on other classes than `subset`.
    """
    logs = sorted(folder.glob("log.txt*"), key=lambda path: path.stat().st_mtime)
    if not logs:
        raise InputError(f"no log.txt in {folder}; run scripts/demo.sh to its end first")
    text = logs[-1].read_text(encoding="utf-8")
    tested = re.findall(r"^\s*SUBSAMPLE_CLASSES: (\w+)$", text, re.MULTILINE)
    if tested and tested[-1] != subset:
        raise InputError(
            f"{logs[-1]} tested {tested[-1]} classes, but the folder is for {subset}; run scripts/demo.sh anew"
        )
    blocks = re.findall(r"^=> result\n\* total: ([\d,]+)\n\* correct: ([\d,]+)$", text, re.MULTILINE)
    if not blocks:
        raise InputError(
            f"{logs[-1]} ends without a result; run scripts/demo.sh again, it resumes what was interrupted"
        )
    total, correct = (int(number.replace(",", "")) for number in blocks[-1])
    return 100 * correct / total


def collect(root: Path) -> list[Result]:
    """All results below `root`, by method and seed. Raises InputError where there is nothing or something is missing."""
    if not root.is_dir():
        raise InputError(f"no folder {root}; expected the output folder of scripts/demo.sh")
    results = []
    for folder, method in METHODS.items():
        for seed_folder in sorted((root / folder).glob("seed*")):
            accuracy = {subset: read_accuracy(seed_folder / subset, subset) for subset in SUBSETS}
            seed = int(seed_folder.name.removeprefix("seed"))
            hm = harmonic_mean(accuracy["base"], accuracy["new"])
            results.append(Result(method, seed, accuracy["base"], accuracy["new"], hm, accuracy["all"]))
    if not results:
        raise InputError(f"no results in {root}; expected folders {', '.join(METHODS)} with seed1, seed2, ...")
    return results


def write_csv(results: list[Result], path: Path) -> None:
    """One row per method and seed, accuracies in percent with two decimals."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for result in results:
            writer.writerow([f"{v:.2f}" if isinstance(v, float) else v for v in astuple(result)])


def summary(results: list[Result]) -> list[tuple[str, int, dict[str, tuple[float, float]]]]:
    """Per method: name, number of seeds, and mean and population deviation of each accuracy over the seeds."""
    rows = []
    for method in METHODS.values():
        own = [r for r in results if r.method == method]
        if own:
            numbers = {key: [getattr(r, key) for r in own] for key in ("base", "new", "hm", "all")}
            rows.append((method, len(own), {k: (statistics.mean(v), statistics.pstdev(v)) for k, v in numbers.items()}))
    return rows


def table(results: list[Result]) -> str:
    """The means as a table in GitHub's markdown, with deviations where there are several seeds."""
    rows = []
    for method, seeds, numbers in summary(results):
        cells = [f"{mean:.1f} ± {dev:.1f}" if seeds > 1 else f"{mean:.1f}" for mean, dev in numbers.values()]
        rows.append([method, seeds, *cells])
    return tabulate(
        rows,
        headers=["method", "seeds", "base", "new", "HM", "all"],
        tablefmt="github",
        colalign=("left", *["right"] * 5),
        disable_numparse=True,
    )


def draw(results: list[Result], path: Path) -> None:
    """Bars of base, new and HM for each method, means over seeds with their deviations."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = summary(results)
    figure, axes = plt.subplots(figsize=(9, 4.2), layout="constrained")
    for offset, (key, label, color) in enumerate(
        (("base", "base classes", "#4477aa"), ("new", "new classes", "#ee6677"), ("hm", "harmonic mean", "#228833"))
    ):
        places = [i + (offset - 1) * 0.27 for i in range(len(rows))]
        means, deviations = zip(*(numbers[key] for _, _, numbers in rows), strict=True)
        bars = axes.bar(places, means, 0.25, yerr=deviations, label=label, color=color, capsize=3)
        axes.bar_label(bars, fmt="%.0f", fontsize=8, padding=1)
    axes.set_xticks(range(len(rows)), [method for method, _, _ in rows])
    axes.set_ylabel("accuracy on test images (%)")
    axes.set_ylim(0, 112)
    axes.legend(loc="upper left", ncols=3, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
    plt.close(figure)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Collect the results of scripts/demo.sh.")
    parser.add_argument("folder", type=Path, help="its output folder, e.g. output/demo")
    args = parser.parse_args(argv)
    try:
        results = collect(args.folder)
        write_csv(results, args.folder / "results.csv")
        draw(results, args.folder / "results.png")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(table(results))
    print(f"\nwrote {args.folder / 'results.csv'} and {args.folder / 'results.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
