"""Does every number of a page follow from results.csv?

    python tests/caspl/results/report/every_number.py FOLDER      # in which `caspl results` and `caspl report` have written

Reads the page as a browser does, and recomputes each number of each table, of each run and of the sentences at its top from the
lines of results.csv alone, with nothing of caspl. Prints how many numbers were compared and each that differs; exit status 1
where one does, or where a table has numbers that nobody here can recompute.
"""

from __future__ import annotations

import csv
import math
import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from pages import Node, parsed, rows  # noqa: E402

HALF = 0.0051  # of the last digit that is shown, and what results.csv rounds
Z = statistics.NormalDist().inv_cdf(0.975)
SETTINGS = {
    "Base to new": "base_to_new",
    "Few-shot": "few_shot",
    "Cross-dataset": "cross_dataset",
    "Domain generalisation": "domain_generalization",
}
NUMBER = r"[-+]?\d[\d,]*\.?\d*"
Numbers = list[float]


@dataclass(frozen=True)
class Line:
    """One run, as results.csv has it."""

    values: dict[str, str]

    def __getattr__(self, name: str) -> str:
        return self.values[name]

    @property
    def percent(self) -> float:
        """To the last digit where the images are counted."""
        return 100 * int(self.correct) / int(self.total) if self.values.get("total") else float(self.accuracy)


@dataclass
class Checked:
    numbers: int = 0
    wrong: list[str] = field(default_factory=list)
    by_hand: list[str] = field(default_factory=list)  # titles of tables that hold no number of results.csv

    def compare(self, place: str, shown: str, expected: Sequence[float] | None, half: float = HALF) -> None:
        """`expected`: the numbers of a text in their order; None: nothing."""
        found = [float(number.replace(",", "")) for number in re.findall(NUMBER, shown)]
        expected = list(expected or [])
        if not expected and shown in ("", "-"):
            return
        self.numbers += len(expected)
        if len(found) != len(expected) or any(abs(a - b) > half for a, b in zip(found, expected, strict=True)):
            self.wrong.append(
                f"{place}: {shown}, expected {', '.join(f'{value:.3f}' for value in expected) or 'nothing'}"
            )


def hm(base: float, new: float) -> float:
    return 2 * base * new / (base + new) if base + new else 0.0


class Runs:
    """The lines of results.csv."""

    def __init__(self, path: Path) -> None:
        with path.open(encoding="utf-8", newline="") as file:
            self.lines = [Line(line) for line in csv.DictReader(file)]
        self.known: dict[tuple, list[Line]] = {}
        self.led_to: dict[str, set[str]] = defaultdict(set)  # paths of a method's runs, as the page has them
        self.of_one_phase_1: set[str] = set()  # methods, as the page says

    def of(self, method: str, **values: str) -> list[Line]:
        """Of a method as tables call it, with its marks and what tells it from the method's other rows."""
        key = (method, *sorted(values.items()))
        if key not in self.known:
            self.known[key] = self._of(method, values)
        return self.known[key]

    def _of(self, method: str, values: dict[str, str]) -> list[Line]:
        name = method.rstrip(" †‡").removesuffix(", published")
        marked = " (inductive)" if name.endswith(" (inductive)") else ""
        plain = name.removesuffix(marked)
        known = {line.method.removesuffix(marked) for line in self.lines if line.method.endswith(marked)}
        known = {each for each in known if plain == each or plain.startswith(f"{each} (")}
        if not known:
            return []
        base = max(known, key=len)
        parts = [part for part in plain.removeprefix(base).strip(" ()").split(", ") if part]
        own = [line for line in self.lines if line.method == base + marked]
        own = [line for line in own if all(getattr(line, key) == value for key, value in values.items())]
        for part in parts:
            said = [line for line in own if part in (line.config, f"{line.shots} shots", Path(line.path).parts[0])]
            own = said or [line for line in own if line.path in self.led_to.get(name, ())]  # a backbone, say
        ordinary = [line for line in own if not re.search(r"-[a-z_]\w*=", line.config)]  # ablations have their tables
        return ordinary or own

    def seeds(self, method: str, **values: str) -> dict[str, float]:
        return {line.seed: line.percent for line in self.of(method, **values)}


class Tables:
    """What each kind of table should hold. A rule gives the numbers of a cell, by method, dataset and column."""

    def __init__(self, runs: Runs) -> None:
        self.runs = runs

    # ------------------------------------------------------------ scores of one method on one dataset, by seed
    def scores(self, setting: str, method: str, dataset: str, column: str) -> dict[str, float]:
        if dataset.endswith(" (source)"):  # tested where the models were trained, which is few-shot
            setting, dataset = "few_shot", dataset.removesuffix(" (source)")
        own = {"setting": setting, "dataset": dataset}
        if column == "HM":
            base, new = (self.runs.seeds(method, classes=classes, **own) for classes in ("base", "new"))
            return {seed: hm(base[seed], new[seed]) for seed in base if seed in new}
        if setting == "base_to_new":
            return self.runs.seeds(method, classes=column, **own)
        if column.isdecimal():
            return self.runs.seeds(method, shots=column, **own)
        return self.runs.seeds(method, **own)

    def datasets(self, setting: str, method: str) -> list[str]:
        """That an average is over: those with base and new, or every number of shots that the method has."""
        own = self.runs.of(method, setting=setting)
        known = dict.fromkeys(line.dataset for line in own)
        if setting == "base_to_new":
            return [name for name in known if self.scores(setting, method, name, "HM")]
        if setting == "few_shot":
            every = {line.shots for line in own}
            return [name for name in known if {line.shots for line in own if line.dataset == name} == every]
        return list(known)

    def mean(self, setting: str, method: str, dataset: str, column: str) -> float | None:
        """The average over datasets too: of HM that of the averages."""
        if not dataset.startswith("average"):
            own = self.scores(setting, method, dataset, column)
            return statistics.mean(own.values()) if own else None
        if column == "HM":
            return hm(*(self.mean(setting, method, dataset, part) for part in ("base", "new")))
        means = [self.mean(setting, method, name, column) for name in self.datasets(setting, method)]
        return None if None in means or not means else statistics.mean(means)

    # ------------------------------------------------------------ the cells of each kind of table
    def plain(self, setting: str, method: str, dataset: str, column: str) -> Numbers | None:
        """80.44, or 80.44 ± 0.50 of several seeds."""
        mean = self.mean(setting, method, dataset, column)
        if mean is None:
            return None
        own = [] if dataset.startswith("average") else [*self.scores(setting, method, dataset, column).values()]
        return [mean, statistics.pstdev(own)] if len(own) > 1 else [mean]

    def calibration(self, setting: str, method: str, dataset: str, column: str) -> Numbers | None:
        if not column.startswith("ECE") and setting == "base_to_new":
            return self.plain(setting, method, dataset, column)
        more = {"classes": column.removeprefix("ECE ")} if setting == "base_to_new" else {}
        more |= {"shots": column} if setting == "few_shot" else {}
        names = self.datasets(setting, method) if dataset.startswith("average") else [dataset]
        errors = [[line.ece for line in self.runs.of(method, setting=setting, dataset=name, **more)] for name in names]
        if not all(errors) or "" in sum(errors, []):
            return None
        errors = [[*map(float, own)] for own in errors]
        deviation = [statistics.pstdev(errors[0])] if len(errors) == 1 and len(errors[0]) > 1 else []
        return [statistics.mean(map(statistics.mean, errors)), *deviation]

    def over_images(self, setting: str, method: str, dataset: str, column: str) -> Numbers | None:
        if dataset.startswith("average") and len(names := self.datasets(setting, method)) == 1:
            (dataset,) = names
        if dataset.startswith("average") or not self.scores(setting, method, dataset, column):
            return None
        mean = self.mean(setting, method, dataset, column)
        parts = ("base", "new") if column == "HM" else (column,)
        key = {"base_to_new": "classes", "few_shot": "shots"}.get(setting)
        more = [{key: part} if key else {} for part in parts]
        if dataset.endswith(" (source)"):
            setting, dataset = "few_shot", dataset.removesuffix(" (source)")
        own = [self.runs.of(method, setting=setting, dataset=dataset, **each) for each in more]
        if column == "HM":
            both = set.intersection(*({line.seed for line in lines} for lines in own))
            own = [[line for line in lines if line.seed in both] for lines in own]
        counts = [[line.total for line in lines] for lines in own]
        if any("" in totals for totals in counts):
            return None
        images = [min(map(int, totals)) for totals in counts]
        if column == "HM":
            errors = [0.0, 0.0]  # of base and new images, which shift all seeds alike
            pairs = [[line.percent for line in sorted(lines, key=lambda line: line.seed)] for lines in own]
            for base, new in zip(*pairs, strict=True):
                errors[0] += 2 * new**2 / (base + new) ** 2 * math.sqrt(base * (100 - base) / images[0])
                errors[1] += 2 * base**2 / (base + new) ** 2 * math.sqrt(new * (100 - new) / images[1])
            half = Z * math.sqrt(errors[0] ** 2 + errors[1] ** 2) / len(pairs[0])
            return [mean, max(0.0, mean - half), min(100.0, mean + half)]
        n, p = images[0], mean / 100
        middle = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
        half = Z / (1 + Z * Z / n) * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
        return [mean, 100 * (middle - half), 100 * (middle + half)]

    def over_seeds(self, setting: str, method: str, dataset: str, column: str) -> Numbers | None:
        from scipy.stats import t

        own = [*self.by_seed(setting, method, dataset, column).values()]
        if len(own) < 2:
            return None
        half = t.ppf(0.975, len(own) - 1) * statistics.stdev(own) / math.sqrt(len(own))
        middle = statistics.mean(own)
        return [self.mean(setting, method, dataset, column), middle - half, middle + half]

    def by_seed(self, setting: str, method: str, dataset: str, column: str) -> dict[str, float]:
        """Of an average: of each seed that all datasets have."""
        if not dataset.startswith("average"):
            return self.scores(setting, method, dataset, column)
        if column == "HM":
            base, new = (self.by_seed(setting, method, dataset, part) for part in ("base", "new"))
            return {seed: hm(base[seed], new[seed]) for seed in base if seed in new}
        each = [self.scores(setting, method, name, column) for name in self.datasets(setting, method)]
        seeds = [seed for seed in each[0] if all(seed in own for own in each)]
        return {seed: statistics.mean(own[seed] for own in each) for seed in seeds}

    def differences(self, setting: str, own: str, other: str, dataset: str, column: str) -> list[float]:
        """By seed; what is not drawn has one run, with which all seeds are compared, as with boosting alone of one phase 1."""
        mine, theirs = (self.scores(setting, method, dataset, column) for method in (own, other))
        if other.startswith("CLIP + boosting") and own.rstrip(" †‡") in self.runs.of_one_phase_1 and "1" in theirs:
            theirs = {"1": theirs["1"]}  # whose prompts sweeps give to all seeds
        single = (
            next(iter(theirs.values()), None) if len(set(theirs.values())) == 1 and other.startswith("CLIP") else None
        )
        return [
            value - theirs.get(seed, single) for seed, value in mine.items() if theirs.get(seed, single) is not None
        ]

    def paired(self, setting: str, method: str, dataset: str, column: str) -> Numbers | None:
        own, other = method.split(" against ")
        names = self.datasets(setting, own.rstrip(" †‡")) if dataset.startswith("over ") else [dataset]
        each = [self.differences(setting, own, other, name, column) for name in names]
        found = [statistics.mean(values) for values in each if values] if dataset.startswith("over ") else each[0]
        if not found:
            return None
        if len(found) < 6:
            return [statistics.mean(found)]
        return [statistics.mean(found), signed_ranks(found), sign_flip(found)]


def sign_flip(differences: Sequence[float]) -> float:
    """Two-sided and exact, by counting all signs."""
    flips = product((1, -1), repeat=len(differences))
    sums = [abs(sum(s * d for s, d in zip(signs, differences, strict=True))) for signs in flips]
    return sum(each >= abs(sum(differences)) - 1e-7 for each in sums) / len(sums)


def signed_ranks(differences: Sequence[float]) -> float:
    """Wilcoxon's, with ranks of what is not 0, likewise."""
    from scipy.stats import rankdata

    there = [round(each, 6) for each in differences if abs(each) > 1e-6]
    ranks = rankdata([abs(each) for each in there]) if there else []
    return sign_flip([rank * math.copysign(1, each) for rank, each in zip(ranks, there, strict=True)]) if there else 1.0


OF_ONE_BACKBONE = ("From base to new classes", "Harmonic means by phase")  # the paper's Tables 1 and 7
RULES: dict[str, Callable[[Tables], Callable[..., Numbers | None]]] = {
    "": lambda tables: tables.plain,
    "all classes and calibration error": lambda tables: tables.calibration,
    "calibration error (ECE)": lambda tables: tables.calibration,
    "95 % intervals over test images": lambda tables: tables.over_images,
    "95 % intervals over seeds": lambda tables: tables.over_seeds,
    "paired tests": lambda tables: tables.paired,
}


def check(page: Path, table: Path) -> Checked:
    """All numbers of a page against the lines of results.csv."""
    root, runs, checked = parsed(page.read_text(encoding="utf-8")), Runs(table), Checked()
    _lead(root, runs)
    for note in root.all("li"):
        if found := re.fullmatch(r"The seeds of (.+) share their boosting prompts: .+", note.text.strip()):
            runs.of_one_phase_1 |= set(found[1].split(", "))
    for region in root.all(kind="wide"):
        if region.attributes.get("role") == "region":
            title = region.attributes["aria-label"].removesuffix(", as a table")
            known = len(checked.wrong)
            if not _table(title, rows(region), Tables(runs), checked):
                _linked(title, region, root, runs, checked)
            elif title in OF_ONE_BACKBONE and checked.wrong[known:]:  # and another has the same name in results.csv
                del checked.wrong[known:]
                _linked(title, region, root, runs, checked)
    for article in root.all("article", "run"):
        _run(article, runs, checked)
    for details in root.called("runs").all("details", "row"):
        _means(details, runs, checked)
    for verdict in root.all(kind="verdict"):
        _verdict(verdict, Tables(runs), checked)
    return checked


def _lead(root: Node, runs: Runs) -> None:
    """Note where the numbers of rows lead to that are told apart by what results.csv does not say, such as a backbone."""
    for row in (row for table in root.all("table", "sortable") for row in table.all("tr")[1:]):
        for link in row.all("a") if not row.all("th")[-1].text.count(" against ") else []:
            lines = _behind(root.called(link.attributes["href"][1:]), root, runs)
            runs.led_to[row.all("th")[-1].text.rstrip(" †‡")] |= {line.path for line in lines}


def _table(title: str, lines: list[list[str]], tables: Tables, checked: Checked) -> bool:
    """False: no rule is known for a table of this title."""
    headers, *body = lines
    name, _, kind = title.partition(": ")
    if kind == "protocol" or title == "Distances of image features":  # which come from features, not from predictions
        checked.by_hand.append(title)
        return True
    setting = next((value for key, value in SETTINGS.items() if name.startswith(key)), "")
    if title in OF_ONE_BACKBONE:
        setting, kind = "base_to_new", ""
    if not setting or kind not in RULES:
        return False
    rule, above = RULES[kind](tables), body[0]
    names = 2 if headers[0] == "dataset" else 1
    for line in body:
        method, place = line[names - 1], f"{title}, {', '.join(line[:names])}"
        if method.endswith(", published"):
            _below(place, line, above, checked)
            continue
        above = line
        for header, shown in zip(headers[names + 1 :], line[names + 1 :], strict=True):
            if header.startswith("published "):
                own = rule(setting, method, line[0], header.removeprefix("published "))
                _published(f"{place}, {header}", shown, own, checked)
                continue
            if names == 2:
                where = (line[0], header)
            elif setting == "base_to_new":
                where = (header, "HM")  # of the paper's Table 7
            else:
                where = (header, "accuracy")
            half = 0.00051 if kind == "paired tests" else HALF
            expected = rule(setting, method, *where)
            if kind == "paired tests" and expected:
                first, rest = re.match(rf"({NUMBER})(.*)", shown).groups()
                checked.compare(f"{place}, {header}", first, expected[:1])
                checked.compare(f"{place}, {header}", rest.replace("<0.001", "0.0000"), expected[1:], half)
            else:
                checked.compare(f"{place}, {header}", shown, expected)
    return True


def _linked(title: str, region: Node, root: Node, runs: Runs, checked: Checked) -> None:
    """Of other tables each number that leads to runs is one that these runs can give: a mean, a deviation, an HM, a gain."""
    above: list[str] = []
    for row, line in zip(region.all("tr")[1:], rows(region)[1:], strict=True):
        if "published" in row.attributes["class"]:
            _below(f"{title}, {row.text}", line, above, checked)
            continue
        above = line
        for cell in row.all("td"):
            if links := cell.all("a"):
                known = _possible(_behind(root.called(links[0].attributes["href"][1:]), root, runs))
                for number in map(float, re.findall(NUMBER, re.sub(r"\[\d+\]", "", cell.text))):
                    checked.numbers += 1
                    if not any(abs(number - value) <= HALF for value in known):
                        checked.wrong.append(f"{title}, {row.text}: {cell.text} does not follow from its runs")
            elif re.search(r"\d\.\d", cell.text) and title not in checked.by_hand:
                checked.by_hand.append(title)


def _behind(place: Node, root: Node, runs: Runs) -> list[Line]:
    """The runs that a place of the page lists, or has links to."""
    paths = {node.text for node in place.all("p", "path")}
    for link in place.all("a"):
        if link.attributes["href"].startswith("#run-"):
            paths.add(root.called(link.attributes["href"][1:]).one("p", "path").text)
    return [line for line in runs.lines if line.path in paths]


def _possible(lines: list[Line]) -> list[float]:
    """What tables make of runs: by method, of their kinds of classes and of HM, over seeds and then over datasets."""
    by_method: dict[tuple[str, str, str], list[Line]] = defaultdict(list)
    for line in lines:
        by_method[line.method, line.config, line.shots].append(line)
    found = []
    for own in by_method.values():
        each: dict[str, list[list[float]]] = defaultdict(list)  # by metric, of each dataset the seeds' numbers
        for dataset in dict.fromkeys(line.dataset for line in own):
            by_class: dict[str, dict[str, float]] = defaultdict(dict)
            for line in own:
                if line.dataset == dataset:
                    by_class[line.classes][line.seed] = line.percent
            base, new = by_class["base"], by_class["new"]
            by_class["HM"] = {seed: hm(base[seed], new[seed]) for seed in base if seed in new}
            for metric, seeds in by_class.items():
                if seeds:
                    each[metric].append([*seeds.values()])
        means = {metric: [statistics.mean(seeds) for seeds in values] for metric, values in each.items()}
        found += [value for values in means.values() for value in (*values, statistics.mean(values))]
        found += [statistics.pstdev(seeds) for values in each.values() for seeds in values]
        if means.keys() >= {"base", "new"}:
            found.append(hm(statistics.mean(means["base"]), statistics.mean(means["new"])))
    return [*found, *(a - b for a in found for b in found)]


def _below(place: str, line: list[str], above: list[str], checked: Checked) -> None:
    """Published numbers with, in brackets, ours minus them; ours stand in the line above."""
    for shown, ours in zip(line, above, strict=True):
        if found := re.match(rf"({NUMBER}) \(({NUMBER})\)", shown):
            own = float(re.match(NUMBER, ours)[0])
            checked.compare(place, found[2], [own - float(found[1])], 2 * HALF)


def _published(place: str, shown: str, own: Numbers | None, checked: Checked) -> None:
    """The difference is ours minus what is published."""
    if shown and own:
        value, difference = (float(number) for number in re.findall(NUMBER, shown)[:2])
        checked.compare(place, f"{difference}", [own[0] - value], 2 * HALF)


def _run(article: Node, runs: Runs, checked: Checked) -> None:
    (path,) = article.one("p", "path").texts
    found = [line for line in runs.lines if line.path == path]
    if len(found) != 1:
        checked.wrong.append(f"{path}: it is on {len(found)} lines of results.csv, expected 1")
        return
    line = found[0]
    pieces = article.one(kind="line").texts
    checked.compare(path, pieces[1], [line.percent])
    for piece in pieces[2:]:
        if "images" in piece:
            checked.compare(path, piece, [int(line.correct), int(line.total)])
        elif piece.startswith("ECE"):
            checked.compare(path, piece, [float(line.ece)])
    values = dict(
        zip((node.text for node in article.all("dt")), (node.text for node in article.all("dd")), strict=True)
    )
    for name, key in (("accuracy", "accuracy"), ("macro F1", "macro_f1"), ("calibration error (ECE)", "ece")):
        if name in values:
            checked.compare(f"{path}, {name}", values[name], [float(getattr(line, key))])
    if "correct" in values:
        checked.compare(path, values["correct"], [int(line.correct), int(line.total)])


def _means(details: Node, runs: Runs, checked: Checked) -> None:
    """The line that opens, and the panels behind it: means over its runs, and sums of their images."""
    paths = {node.text for node in details.all("p", "path")}
    own = defaultdict(list)
    for line in runs.lines:
        if line.path in paths:
            own[line.classes].append(line)
    several = any(len(text.split()) > 2 for text in _numbers(details))
    for text in _numbers(details):
        classes = text.split()[0] if several else next(iter(own))
        checked.compare(details.one(kind="method").text, text, [statistics.mean(line.percent for line in own[classes])])
    for section in details.all("section", "panel"):
        if section.one("h5").text == "Reliability":
            said = section.one("p").text
            error = float(re.search(rf"ECE ({NUMBER}) %", said)[1])
            means = [statistics.mean(float(line.ece) for line in lines) for lines in own.values() if lines[0].ece]
            if not any(abs(error - mean) <= HALF for mean in means):
                checked.wrong.append(f"{details.one(kind='method').text}: {said}, expected one of {means}")
            checked.numbers += 1


def _numbers(details: Node) -> Iterator[str]:
    yield from (node.text for node in details.all("summary")[0].all("span", "number"))


def _verdict(verdict: Node, tables: Tables, checked: Checked) -> None:
    """The best method's number, its lead over others, and that nothing is better."""
    setting, dataset, method = (verdict.attributes[f"data-{key}"] for key in ("setting", "dataset", "method"))
    metric = verdict.attributes["data-metric"]
    column = metric if setting in ("base_to_new", "few_shot") else "accuracy"

    def number(name: str) -> float | None:
        """Over all datasets that have this column, whatever else they have."""
        several = dataset.removeprefix("average of ")
        if several == dataset or column == "HM":
            return tables.mean(setting, name, dataset, column)
        each = [tables.mean(setting, name, place, column) for place in places]
        return statistics.mean(each) if len(each) == int(several) and None not in each else None

    places = list(dict.fromkeys(line.dataset for line in tables.runs.lines if line.setting == setting))
    best = number(method)
    checked.compare(f"{dataset}, {method}", verdict.one(kind="best").text.split()[-1], [best])
    sentence = (verdict.all(kind="sure") + verdict.all(kind="unsure"))[0].text
    if found := re.search(
        rf"(?:HM|accuracy) ({NUMBER})(?:, ({NUMBER}) points above the second, (.+?)\.)?(?: |$)", sentence
    ):
        second = [] if found[3] is None else [best - number(found[3])]
        checked.compare(f"{dataset}, {method}", f"{found[1]} {found[2] or ''}", [best, *second])
    for node in verdict.all(kind="margin"):
        found = re.match(rf"({NUMBER}) points against (.+?), (?:the second|the same|its boosting)", node.text)
        others = [number(found[2])]
        if node.text.startswith(f"{found[0]} prompts alone"):  # of the same prompts, which are of one of its seeds
            others += tables.scores(setting, found[2], dataset, column).values()
        known = [best - other for other in others if other is not None]
        nearest = min(known, key=lambda gain, shown=float(found[1]): abs(gain - shown))
        checked.compare(f"{dataset}, {method} against {found[2]}", found[1], [nearest])
    if re.search(r"\d methods with ", sentence):  # on one backbone among several, which results.csv does not name
        checked.by_hand.append(f"{dataset}: which backbone is meant")
        return
    for name in {line.method for line in tables.runs.lines if line.setting == setting}:
        other = number(name)
        if other is not None and other > best + HALF:
            checked.wrong.append(f"{dataset}: {method} ({best:.2f}) is called the best, {name} has {other:.2f}")


def main() -> int:
    folder = Path(sys.argv[1])
    checked = check(folder / "report.html", folder / "results.csv")
    print(
        f"{checked.numbers:,} numbers of {folder / 'report.html'} recomputed from results.csv, {len(checked.wrong)} differ"
    )
    print("\n".join(checked.wrong))
    if checked.by_hand:
        print(f"not of results.csv: {', '.join(checked.by_hand)}")
    return 1 if checked.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
