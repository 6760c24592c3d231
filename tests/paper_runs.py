"""Logs of the runs that the paper's tables and figures are made of, for the tests of caspl.results.paper."""

from caspl.results.paper import artefacts
from caspl.results.reading.runs import find_runs
from logs_made import NAMES, made, put

PAIRS = ("CoOp", "CoCoOp", "MaPLe", "PromptSRC")


def base_to_new(top, trainer, base, new, dataset="digits", seed=1, config="cfg"):
    for part, percent in (("train_base", base), ("test_new", new)):
        end = f"{dataset}/shots_16/{trainer}/{config}/seed{seed}"
        model = "" if part == "train_base" else f"base2new/train_base/{end}"
        put(
            top,
            f"base2new/{part}/{end}",
            made(
                percent,
                dataset,
                trainer,
                seed=seed,
                classes=part.partition("_")[2],
                model=model,
                output=f"base2new/{part}/{end}",
                file=config,
            ),
        )


def zero_shot(top, trainer, base, new, dataset="digits", seed=1):
    for part, percent in (("base", base), ("new", new)):
        end = f"base2new/test_{part}/{dataset}/shots_0/{trainer}/cfg/seed{seed}"
        model = "" if trainer == "ZeroshotCLIP" else f"boost/{dataset}/seed{seed}"
        text = made(percent, dataset, trainer, shots=-1, seed=seed, classes=part, output=end, model=model, file="cfg")
        put(top, end, text)


def shots(top, trainer, numbers, dataset="dtd", seed=1):
    for k, percent in numbers.items():
        put(
            top,
            f"{dataset}/{trainer}/cfg_{k}shots/seed{seed}",
            made(percent, dataset, trainer, shots=k, seed=seed, file="cfg"),
        )


def made_of(top):
    return {artefact.name: artefact for artefact in artefacts(find_runs(top).runs, top)}


def numbers(table):
    """Means by method (and dataset) and column, rounded."""
    return {
        (row.dataset, row.method): [None if cell is None else round(cell.mean, 2) for cell in row.cells]
        for row in table.rows
    }


BENCHMARK = {  # configuration -> registry, without ImageNet
    "caltech101": "Caltech101",
    "oxford_pets": "OxfordPets",
    "stanford_cars": "StanfordCars",
    "oxford_flowers": "OxfordFlowers",
    "food101": "Food101",
    "fgvc_aircraft": "FGVCAircraft",
    "sun397": "SUN397",
    "dtd": "DescribableTextures",
    "eurosat": "EuroSAT",
    "ucf101": "UCF101",
}
NAMES |= BENCHMARK


def of_grid(top, grid, value, base, new, dataset="digits", seed=1, trainer="CasPL_PromptSRC"):
    """A training and its test in the folders of an ablation."""
    for part, percent in (("train_base", base), ("test_new", new)):
        end = f"{dataset}/shots_16/{trainer}/cfg-{grid}={value}/seed{seed}"
        folder, model = f"ablations/{grid}/base2new/{part}/{end}", f"ablations/{grid}/base2new/train_base/{end}"
        more = {"model": "" if part == "train_base" else model, "classes": part.partition("_")[2], "output": folder}
        put(top, folder, made(percent, dataset, trainer, seed=seed, file="cfg", **more))
