"""Collecting output folders: every layout, log format, number, refusal and file of `python -m caspl.results`."""

import csv
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from matplotlib.container import ErrorbarContainer
from statsmodels.stats.proportion import proportion_confint

from boosting_files import make_header
from caspl.checkpoints.headers import GroupHeader, RunHeader
from caspl.checkpoints.record import write_record
from caspl.ground.errors import InputError
from caspl.prompting.learners import Prompts
from caspl.results import harmonic_mean
from caspl.results.__main__ import main
from caspl.results.figures import draw
from caspl.results.published import _values, average_of, value
from caspl.results.reading.logs import read_logs
from caspl.results.reading.runs import find_runs
from caspl.results.tables import build_tables
from logs_made import main_tables

TARGETS = {  # configuration -> name in the papers
    "caltech101": "Caltech101",
    "oxford_pets": "OxfordPets",
    "stanford_cars": "StanfordCars",
    "oxford_flowers": "Flowers102",
    "food101": "Food101",
    "fgvc_aircraft": "FGVCAircraft",
    "sun397": "SUN397",
    "dtd": "DTD",
    "eurosat": "EuroSAT",
    "ucf101": "UCF101",
}
NAMES = list(TARGETS.values())
TRAINERS = [
    "ZeroshotCLIP",
    "ZeroshotCLIP2",
    "CasPLBoost",
    "LinearProbe",
    "CoOp",
    "CoCoOp",
    "VPT",
    "IVLP",
    "MaPLe",
    "PromptSRC",
]
TRAINERS += ["KgCoOp", "ProGrad", "Mine"]
VARIANTS = ["imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r"]


# ------------------------------------------------------------ logs
def block(percent, total=10_000):
    """The result block of Dassl 0.6.3 and of this project, of exactly `percent`."""
    correct = round(percent * total / 100)
    assert correct * 100 == pytest.approx(percent * total)
    return (
        f"=> result\n* total: {total:,}\n* correct: {correct:,}\n* accuracy: {percent:.1f}%\n* error: {100 - percent:.1f}%\n"
        f"* macro_f1: {percent:.1f}%\n"
    )


def config(classes="all", backbone="ViT-B/16", names="all", caspl=True):
    """What yacs prints of a configuration, shortened; the original repositories have no TRAINER.CASPL.

    What stands in angle brackets `write` takes from the folder.
    """
    node = f"  CASPL:\n    BOOSTING: \n    CLASSES: {names}\n    PREC: fp16\n" if caspl else ""
    subsample = f"  SUBSAMPLE_CLASSES: {classes}\n" if classes else ""
    return (
        f"DATASET:\n  NAME: <dataset>\n  NUM_SHOTS: <shots>\n{subsample}  TARGET_DOMAINS: ()\n"
        f"MODEL:\n  BACKBONE:\n    NAME: {backbone}\n    PRETRAINED: True\n  HEAD:\n    NAME: \n"
        f"SEED: <seed>\nTEST:\n  SPLIT: test\nTRAINER:\n{node}  COOP:\n    CLASS_TOKEN_POSITION: end\n  NAME: <trainer>\n"
    )


def ours(percent, classes="all", extra="", **keys):
    """A log of this project; `percent` None: interrupted."""
    end = (
        f"Evaluate on the *test* set\n{block(percent)}"
        if percent is not None
        else "epoch [1/50] batch [5/19] loss 1.2\n"
    )
    return (
        f"Setting fixed seed: 1\n** Arguments **\nopts: ['DATASET.SUBSAMPLE_CLASSES', '{classes}']\n** Config **\n"
        f"{config(classes, **keys)}** System info **\nPyTorch\n\nLoading trainer: CoOp\n{extra}{end}"
    )


def original(percent, classes="all", **keys):
    """A training log of CoOp's repository: everything is a plain print, a validation comes first."""
    return (
        f"***************\n** Arguments **\n***************\nbackbone: \nopts: []\n************\n** Config **\n************\n"
        f"{config(classes, caspl=False, **keys)}Collecting env info ...\n** System info **\nPyTorch version: 1.7.1\n\n"
        f"Loading dataset: OxfordPets\nSUBSAMPLE {(classes or 'all').upper()} CLASSES!\n----------  ----------\n"
        f"Evaluate on the *val* set\n{block(12.5, 1000)}"
        f"epoch [200/200][1/1]\ttime 0.2 (0.2)\tloss 0.5\n"
        f"Checkpoint saved to output/prompt_learner/model.pth.tar-200\nFinish training\nDeploy the last-epoch model\n"
        f"Evaluate on the *test* set\n{block(percent)}Elapsed: 0:12:34\n"
    )


def write(folder: Path, text: str, name="log.txt", **said):
    """Write a log that says what its folder says, except for what is `said`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.as_posix()
    facts = {
        "dataset": next(
            (part for part in folder.parts if part in [*TARGETS, *VARIANTS, "imagenet", "digits"]), "OxfordPets"
        ),
        "trainer": next((part for part in folder.parts if part.removeprefix("CasPL_") in TRAINERS), "CoOp"),
        "shots": next((a or b for a, b in re.findall(r"shots_(\d+)|_(\d+)shots", path)), "16"),
        "seed": next(iter(re.findall(r"/seed_?(\d+)", path)), "1"),
    }
    for key, fact in (facts | said).items():
        text = text.replace(f"<{key}>", str(fact))
    (folder / name).write_text(text, encoding="utf-8")


def base2new(root, dataset, trainer, cfg, accuracies, *, base="train_base", shots="16", make=ours, **keys):
    """`accuracies`: seed -> (base, new) or (base, new, all); None for what was not run."""
    for seed, numbers in accuracies.items():
        for part, classes, percent in zip(
            (base, "test_new", "test_all"), ("base", "new", "all"), numbers, strict=False
        ):
            if percent is not None:
                folder = root / "base2new" / part / dataset / f"shots_{shots}" / trainer / cfg / f"seed{seed}"
                write(folder, make(percent, classes, **keys))


def run(folder, capsys, *options):
    """Exit status, stdout without the tables of `caspl.results.certainty`, and stderr of the command."""
    status = main([str(folder), *options])
    captured = capsys.readouterr()
    return status, main_tables(captured.out), captured.err


def lines(markdown, *first):
    """The cells behind `first` of every line of a markdown table that starts with them."""
    found = []
    for line in markdown.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[: len(first)] == list(first):
            found.append(cells[len(first) :])
    return found


def line(markdown, *first):
    (found,) = lines(markdown, *first)
    return found


@pytest.mark.parametrize(
    ("text", "percent"),
    [
        (block(96.04), 96.04),  # more digits than the printed 96.0
        ("=> result\n* accuracy: 93.25%\n* error: 6.75%\n", 93.25),
        ("Do evaluation on val set\n" + block(10) + "Do evaluation on test set\n" + block(20), 20),
        ("Do evaluation on test set\n" + block(20) + "Do evaluation on val set\n" + block(10), 20),
        ("Evaluate on the *val* set\n" + block(10) + "Evaluate on the *test* set\n", None),
        ("Evaluate on the *test* set\n" + block(10) + "Evaluate on the *test* set\n" + block(30), 30),
        ("=> result\n* total: 10,000\n* correct: 9,6", None),  # killed in the middle of a line
        ("=> result\n* total: 10,000\n* correct: 9,604\n* accuracy: 96", None),
        ("", None),
    ],
)
def test_the_last_result_on_test_images_counts(tmp_path, text, percent):
    write(tmp_path, text)
    (log,) = read_logs(tmp_path / "log.txt")
    assert log.accuracy() == percent


# ------------------------------------------------------------ base to new
def test_base_to_new_numbers_averages_and_published(tmp_path, capsys):
    base2new(tmp_path, "oxford_pets", "CoOp", "vit_b16", {1: (80, 20), 2: (90, 30)}, make=original)
    base2new(tmp_path, "dtd", "CoOp", "vit_b16", {1: (60, 40), 2: (70, 50)})
    status, out, _ = run(tmp_path, capsys)
    assert status == 0
    # HM of each seed: 32 and 45; mean 38.5, population deviation 6.5
    assert line(out, "OxfordPets", "CoOp") == [
        "2", "85.00 ± 5.00", "25.00 ± 5.00", "38.50 ± 6.50", "93.67 (-8.67)", "95.29 (-70.29)", "94.47 (-55.97)",
    ]  # fmt: skip
    # 48 and 58.333...
    assert line(out, "DTD", "CoOp")[:4] == ["2", "65.00 ± 5.00", "45.00 ± 5.00", "53.17 ± 5.17"]
    # of the means 75 and 35: 47.73; the mean of the HMs would be 45.83
    assert line(out, "average of 2", "CoOp") == ["", "75.00", "35.00", "47.73", "", "", ""]
    assert harmonic_mean(75, 35) == pytest.approx(47.7273, abs=1e-4)
    assert "± is the population standard deviation over seeds" in out
    assert "ours minus published: CasPL repository docs/fig3.jpg (paper Table 1)." in out


def test_average_of_eleven_has_its_published_numbers(tmp_path, capsys):
    for dataset in ["imagenet", *TARGETS]:
        base2new(tmp_path, dataset, "CasPL_PromptSRC", "cfg", {1: (86.5, 79.5)}, shots="16")
    _, out, _ = run(tmp_path, capsys)
    assert line(out, "average of 11", "PromptSRC + CasPL") == [
        "", "86.50", "79.50", "82.85", "86.11 (+0.39)", "79.54 (-0.04)", "82.69 (+0.16)",
    ]  # fmt: skip
    order = [cells.split("|")[1].strip() for cells in out.splitlines() if cells.startswith("| ")][1:]
    assert order == ["ImageNet", *NAMES, "average of 11"]


def test_all_classes_have_a_column_where_they_were_tested(tmp_path, capsys):
    base2new(tmp_path, "digits", "ZeroshotCLIP", "digits", {1: (50, 25, 30)}, base="test_base", shots="0")
    base2new(tmp_path, "digits", "CoOp", "digits", {1: (80, 20, 40), 2: (90, 30, 50)}, backbone="demo/student")
    _, out, _ = run(tmp_path, capsys)
    header = "| dataset   | method   |   seeds |         base |          new |           HM |          all |"
    assert header in out and "published" not in out and "average" not in out
    assert line(out, "digits", "CLIP") == ["1", "50.00", "25.00", "33.33", "30.00"]
    assert line(out, "digits", "CoOp") == ["2", "85.00 ± 5.00", "25.00 ± 5.00", "38.50 ± 6.50", "45.00 ± 5.00"]


def test_methods_are_named_and_ordered(tmp_path, capsys):
    trainers = {
        "ProGrad": "ProGrad",
        "CasPL_CoOp": "CoOp + CasPL",
        "Mine": "Mine",
        "CasPLBoost": "CLIP + boosting",
        "CoOp": "CoOp",
        "CasPL_MaPLe": "MaPLe + CasPL",
        "ZeroshotCLIP2": "CLIP ensemble",
        "ZeroshotCLIP": "CLIP",
        "MaPLe": "MaPLe",
    }
    for trainer in trainers:
        base2new(tmp_path, "digits", trainer, "cfg", {1: (50, 50)}, base="test_base", shots="0")
    _, out, _ = run(tmp_path, capsys)
    expected = [
        "CLIP",
        "CLIP ensemble",
        "CLIP + boosting",
        "CoOp",
        "CoOp + CasPL",
        "MaPLe",
        "MaPLe + CasPL",
        "ProGrad",
        "Mine",
    ]
    assert [cells[0] for cells in lines(out, "digits")] == expected


def test_a_test_of_base_classes_counts_more_than_the_trainings_own(tmp_path, capsys):
    base2new(tmp_path, "digits", "CoOp", "cfg", {1: (50, 50)})
    base2new(tmp_path, "digits", "CoOp", "cfg", {1: (60,)}, base="test_base")
    _, out, _ = run(tmp_path, capsys)
    assert line(out, "digits", "CoOp")[:2] == ["1", "60.00"]


def test_seeds_that_differ_are_marked(tmp_path, capsys):
    base2new(tmp_path, "digits", "CoOp", "cfg", {1: (80, 20), 2: (90, 30), 3: (100, None)})
    base2new(tmp_path, "dtd", "CoOp", "cfg", {1: (80, None)})
    _, out, _ = run(tmp_path, capsys)
    assert line(out, "digits", "CoOp")[:4] == ["2*", "90.00 ± 8.16", "25.00 ± 5.00", "38.50 ± 6.50"]
    assert line(out, "DTD", "CoOp")[:4] == ["1*", "80.00", "-", "-"]
    assert (
        "- digits, CoOp (*): not the same seeds everywhere (base: 1, 2, 3; new: 1, 2); HM is over the common ones.\n"
        in out
    )
    assert "- DTD, CoOp (*): not the same seeds everywhere (base: 1; new: none)" in out
    assert "average" not in "".join(line for line in out.splitlines() if line.startswith("|"))


def test_another_number_of_test_images_is_noted(tmp_path, capsys):
    for seed, total in ((1, 10_000), (2, 1_000), (3, 10_000)):
        folder = tmp_path / "digits" / "CoOp" / "cfg_16shots" / f"seed{seed}"
        write(folder, ours(80).replace(block(80), block(80, total)))
    write(tmp_path / "dtd" / "CoOp" / "cfg_16shots" / "seed1", ours(80))
    _, out, _ = run(tmp_path, capsys)
    seen = "1,000 (digits/CoOp/cfg_16shots/seed2/log.txt), 10,000 (digits/CoOp/cfg_16shots/seed1/log.txt)"
    assert (
        f"- digits, all classes: not tested on the same images everywhere, but on {seen}.\n" in out
        and "DTD, all" not in out
    )


def test_an_average_says_what_it_is_without(tmp_path, capsys):
    for dataset in ("digits", "dtd", "eurosat"):
        base2new(tmp_path, dataset, "CoOp", "cfg", {1: (80, 20)})
    for dataset in ("digits", "dtd"):
        base2new(tmp_path, dataset, "MaPLe", "cfg", {1: (60, 60)})
    _, out, _ = run(tmp_path, capsys)
    assert line(out, "average of 3", "CoOp")[1:4] == ["80.00", "20.00", "32.00"]
    assert line(out, "average of 2", "MaPLe")[1:4] == ["60.00", "60.00", "60.00"]
    assert "- MaPLe: the average is without EuroSAT.\n" in out


def test_configurations_of_one_dataset_are_rows_of_their_own(tmp_path, capsys):
    base2new(tmp_path, "digits", "CoOp", "vit_b16", {1: (80, 20)})
    base2new(tmp_path, "digits", "CoOp", "vit_b16_ctxv1", {1: (60, 60)})
    _, out, _ = run(tmp_path, capsys)
    assert line(out, "digits", "CoOp (vit_b16)")[1] == "80.00"
    assert line(out, "digits", "CoOp (vit_b16_ctxv1)")[1] == "60.00"


def test_a_protocols_configurations_are_one_row(tmp_path, capsys):
    base2new(tmp_path, "imagenet", "CoOp", "vit_b16_ep50_ctxv1", {1: (80, 20)})
    base2new(tmp_path, "dtd", "CoOp", "vit_b16_ctxv1", {1: (60, 60)})
    _, out, _ = run(tmp_path, capsys)
    assert line(out, "average of 2", "CoOp")[1:3] == ["70.00", "40.00"]
    assert "CoOp: one row for configurations that have no dataset in common: vit_b16_ctxv1, vit_b16_ep50_ctxv1." in out


def test_rows_of_several_configurations_are_named_without_epochs(tmp_path, capsys):
    base2new(tmp_path, "imagenet", "CoOp", "vit_b16_ep50/nctx4", {1: (80, 20)})
    base2new(tmp_path, "dtd", "CoOp", "vit_b16_ep200/nctx4", {1: (60, 60)})
    base2new(tmp_path, "dtd", "CoOp", "vit_b16_ep200/nctx16", {1: (50, 50)})
    _, out, _ = run(tmp_path, capsys)
    assert line(out, "average of 2", "CoOp (vit_b16/nctx4)")[1:3] == ["70.00", "40.00"]
    assert line(out, "DTD", "CoOp (vit_b16_ep200/nctx16)")[1] == "50.00"


def test_phase_one_is_no_few_shot_training(tmp_path, capsys):
    base2new(tmp_path, "digits", "CasPLBoost", "cfg", {1: (80, 20)}, base="test_base", shots="0")
    write(tmp_path / "base2new" / "train_base" / "digits" / "shots_0" / "CasPLBoost" / "cfg" / "seed1", ours(40))
    _, out, _ = run(tmp_path, capsys)
    assert line(out, "digits", "CLIP + boosting") == ["1", "80.00", "20.00", "32.00", "40.00"] and "Few-shot" not in out


def test_shots_and_what_follows_them_are_told_apart(tmp_path, capsys):
    base2new(tmp_path, "oxford_pets", "KgCoOp", "cfg", {1: (80, 20)}, shots="16_8.0")
    base2new(tmp_path, "oxford_pets", "KgCoOp", "cfg", {1: (60, 60)}, shots="16_4.0")
    base2new(tmp_path, "oxford_pets", "ProGrad", "cfg", {1: (80, 20)}, shots="4")
    base2new(tmp_path, "dtd", "ProGrad", "cfg", {1: (60, 60)}, shots="16")
    _, out, _ = run(tmp_path, capsys)
    assert line(out, "OxfordPets", "KgCoOp (cfg/8.0)")[1] == "80.00"
    assert line(out, "OxfordPets", "KgCoOp (cfg/4.0)")[1] == "60.00"
    assert line(out, "OxfordPets", "ProGrad (4 shots)")[1] == "80.00"
    assert line(out, "DTD", "ProGrad (16 shots)")[1] == "60.00"


def test_equal_runs_below_two_folders_are_told_apart(tmp_path, capsys):
    base2new(tmp_path / "one", "digits", "CoOp", "cfg", {1: (80, 20)})
    base2new(tmp_path / "two", "digits", "CoOp", "cfg", {1: (60, 60)})
    _, out, _ = run(tmp_path, capsys)
    assert line(out, "digits", "CoOp (one)")[1] == "80.00" and line(out, "digits", "CoOp (two)")[1] == "60.00"


# ------------------------------------------------------------ few-shot
def test_few_shot_table(tmp_path, capsys):
    configs = {1: "vit_b16_ep50", 2: "vit_b16_ep100", 4: "vit_b16_ep100", 8: "vit_b16", 16: "vit_b16"}
    for dataset, offset in (("oxford_pets", 0), ("eurosat", 10)):
        for shots, cfg in configs.items():
            for seed in (1, 2):
                folder = tmp_path / dataset / "CoOp" / f"{cfg}_{shots}shots" / "nctx16_cscFalse_ctpend" / f"seed{seed}"
                write(folder, original(50 + shots + 2 * seed + offset))
            write(tmp_path / dataset / "PromptSRC" / f"src_few_shot_{shots}shots" / "seed1", ours(60 + shots))
        write(tmp_path / "ZeroshotCLIP" / "vit_b16" / dataset, original(40 + offset, classes=None))
    write(tmp_path / "imagenet" / "PromptSRC" / "src_few_shot_16shots" / "seed1", ours(90))
    _, out, _ = run(tmp_path, capsys)
    title = "## Few-shot, by labelled images per class\n"
    assert out.startswith(title) and line(out, "dataset", "method") == ["seeds", "0", "1", "2", "4", "8", "16"]
    assert line(out, "OxfordPets", "CLIP") == ["1", "40.00", "-", "-", "-", "-", "-"]
    assert line(out, "EuroSAT", "CoOp") == ["2", "-", *(f"{63 + k:.2f} ± 1.00" for k in (1, 2, 4, 8, 16))]
    assert line(out, "average of 2", "CLIP")[1] == "45.00"
    assert line(out, "average of 2", "CoOp")[2:] == ["59.00", "60.00", "62.00", "66.00", "74.00"]
    assert line(out, "average of 2", "PromptSRC")[2:] == ["61.00", "62.00", "64.00", "68.00", "76.00"]
    assert "- PromptSRC: the average is without ImageNet.\n" in out
    assert "configurations that have no dataset and number of shots in common: vit_b16/nctx16_cscFalse_ctpend, " in out


def test_few_shot_published_numbers_stand_below_with_their_sources(tmp_path, capsys):
    for dataset in ["imagenet", *TARGETS]:
        for shots in (1, 16):
            write(tmp_path / dataset / "CasPL_PromptSRC" / f"cfg_{shots}shots" / "seed1", ours(80))
    write(tmp_path / "dtd" / "LinearProbe" / "cfg_1shots" / "seed1", ours(80))
    _, out, _ = run(tmp_path, capsys)
    assert line(out, "DTD", "PromptSRC + CasPL, published") == ["", "62.63 (+17.37) [1]", "75.13 (+4.87) [1]"]
    assert line(out, "average of 11", "PromptSRC + CasPL, published") == ["", "75.91 (+4.09) [2]", "84.49 (-4.49) [2]"]
    assert "[1] CasPL paper (arXiv 2409.17805) supplement, few-shot table; [2] CasPL README." in out
    assert line(out, "DTD", "Linear probe CLIP") == ["1", "80.00", "-"]


def test_training_on_all_classes_in_train_base_is_few_shot(tmp_path, capsys):
    """CasPL's and KgCoOp's scripts write it there."""
    folder = tmp_path / "base2new" / "train_base" / "dtd" / "shots_4" / "CasPL_PromptSRC" / "few" / "seed1"
    write(folder, original(70, "all"))
    _, out, _ = run(tmp_path, capsys)
    assert line(out, "dataset", "method") == ["seeds", "4"] and line(out, "DTD", "PromptSRC + CasPL") == ["1", "70.00"]
    write(tmp_path / "base2new" / "test_new" / "dtd" / "shots_4" / "CasPL_PromptSRC" / "few" / "seed1", ours(70, "new"))
    status, out, err = run(tmp_path, capsys)
    assert status == 0 and "trained on all classes" in err and "as if the new ones were unseen" in err
    assert "Base to new" not in out and line(out, "DTD", "PromptSRC + CasPL") == ["1", "70.00"]


# ------------------------------------------------------------ cross-dataset, domain generalisation
def test_cross_dataset_and_domain_tables(tmp_path, capsys):
    for seed in (1, 2):
        write(tmp_path / "imagenet" / "PromptSRC" / "xd_16shots" / f"seed{seed}", ours(70 + seed))
        for i, dataset in enumerate([*TARGETS, *VARIANTS]):
            write(tmp_path / "evaluation" / "PromptSRC" / "xd_16shots" / dataset / f"seed{seed}", ours(50 + i + seed))
    _, out, _ = run(tmp_path, capsys)
    cross, domains = out.split("## ")[2:]
    assert cross.startswith("Cross-dataset\n") and domains.startswith("Domain generalisation\n")
    assert line(cross, "method") == ["seeds", "ImageNet (source)", *NAMES, "average"]
    accuracies = [f"{51.5 + i:.2f} ± 0.50" for i in range(10)]
    assert line(cross, "PromptSRC") == ["2", "71.50 ± 0.50", *accuracies, "56.00"]
    published = line(cross, "PromptSRC, published")
    assert (
        published[1] == "71.27 (+0.23) [1]"
        and published[2] == "93.60 (-42.10)! [2]"
        and published[-1] == "65.81 (-9.81)! [2]"
    )
    assert line(domains, "method")[1:] == [
        "ImageNet (source)", "ImageNetV2", "ImageNetSketch", "ImageNetA", "ImageNetR", "average",
    ]  # fmt: skip
    assert line(domains, "PromptSRC")[-1] == "63.00"
    assert line(domains, "PromptSRC, published")[1:] == [
        "71.27 (+0.23) [1]", "64.35 (-2.85) [1]", "49.55 (+12.95)! [1]", "50.90 (+12.60)! [2]", "77.80 (-13.30)! [1]",
        "60.65 (+2.35) [2]",
    ]  # fmt: skip


def test_coops_own_evaluation_folders_and_another_source(tmp_path, capsys):
    inner = Path("vit_b16_ep50_16shots", "nctx16_cscFalse_ctpend")
    write(tmp_path / "imagenet" / "CoOp" / inner / "seed1", original(71))
    write(tmp_path / "evaluation" / "CoOp" / inner / "imagenetv2" / "seed1", original(64))
    write(tmp_path / "digits" / "MaPLe" / "cfg_16shots" / "seed1", ours(90))
    write(tmp_path / "evaluation" / "MaPLe" / "cfg_16shots" / "imagenetv2" / "seed1", ours(30))
    write(tmp_path / "evaluation" / "MaPLe" / "cfg_4shots" / "imagenetv2" / "seed1", ours(20))
    _, out, _ = run(tmp_path, capsys)
    domains = out.split("## ")[2]
    assert line(domains, "method") == ["seeds", "source", "ImageNetV2", "average"]
    assert line(domains, "CoOp") == ["1", "71.00", "64.00", "64.00"]
    assert line(domains, "MaPLe (16 shots)") == ["1", "90.00", "30.00", "30.00"]
    assert line(domains, "MaPLe (4 shots)") == ["1", "-", "20.00", "20.00"]
    assert "- MaPLe (16 shots): trained on digits.\n" in domains
    assert not lines(domains, "MaPLe (4 shots), published")


def test_the_source_is_no_target(tmp_path, capsys):
    for seed in (1, 2):
        write(tmp_path / "imagenet" / "CoOp" / "cfg_16shots" / f"seed{seed}", ours(70 + seed))
        write(tmp_path / "evaluation" / "CoOp" / "cfg_16shots" / "dtd" / f"seed{seed}", ours(40))
    write(tmp_path / "evaluation" / "CoOp" / "cfg_16shots" / "imagenet" / "seed1", ours(71))
    _, out, _ = run(tmp_path, capsys)
    assert lines(out, "method") == [["seeds", "ImageNet (source)", "DTD", "average"]]
    assert line(out, "CoOp") == ["2", "71.50 ± 0.50", "40.00 ± 0.00", "40.00"]


def test_missing_targets_and_caspls_folder_for_other_datasets(tmp_path, capsys):
    for dataset in VARIANTS:
        write(tmp_path / "evaluation" / "CoOp" / "cfg_16shots" / dataset / "seed1", ours(50))
    write(tmp_path / "evaluation" / "CoOp" / "cfg_16shots" / "imagenet" / "seed1", ours(70))
    train = (
        tmp_path / "save" / "base2new" / "train_base" / "imagenet" / "shots_16" / "CasPL_PromptSRC" / "cfg" / "seed1"
    )
    write(train, original(72))
    for dataset, percent in (("imagenetv2", 60), ("imagenet_sketch", 50), ("imagenet_r", 70)):
        folder = tmp_path / "save" / "base2new" / "test_" / dataset / "shots_16" / "CasPL_PromptSRC" / "cfg" / "seed1"
        write(folder, original(percent))
    _, out, _ = run(tmp_path, capsys)
    domains = out.split("## Domain")[1]
    assert line(domains, "CoOp")[1] == "70.00"
    assert line(domains, "PromptSRC + CasPL") == ["1", "72.00", "60.00", "50.00", "-", "70.00", "60.00"]
    assert line(domains, "PromptSRC + CasPL, published")[-1].startswith("64.44 (-4.44)")
    assert "- PromptSRC + CasPL: the average is without ImageNetA.\n" in domains


# ------------------------------------------------------------ published numbers
def test_of_several_sources_the_first_counts():
    values = _values()
    assert values["base_to_new/avg11", "ProDA", "new"].percent == 75.83  # a later source has 72.30
    assert values["base_to_new/avg11", "CoOp", "hm"].source == "CasPL repository docs/fig3.jpg (paper Table 1)"
    assert values["few_shot/avg11", "PromptSRC+CasPL", "16shot"].percent == 84.49


def test_the_papers_own_tables_count_before_reprints():
    paper = "CasPL paper (arXiv 2409.17805) "
    assert value("domain_generalization/ImageNet", "CoOp+CasPL", "acc").percent == 71.91  # a reprint has 71.9
    assert value("few_shot/DTD", "PromptSRC+CasPL", "16shot").percent == 75.13  # a reprint has 75.1
    assert value("base_to_new/DTD", "CLIP + boosting", "hm").source == f"{paper}Table 7"
    assert value("ablation_depth/avg10", "PromptSRC+CasPL (boosting depth 3, adapting depth 9)", "hm").percent == 82.23
    assert value("ablation_tokens/avg10", "PromptSRC+CasPL (8 boosting + 8 adapting)", "new").percent == 80.44
    assert value("base_to_new/DTD", "nobody's", "hm") is None


def test_the_papers_averages_are_those_of_its_datasets():
    for shots in (1, 2, 4, 8, 16):
        own = [value(f"few_shot/{name}", "PromptSRC+CasPL", f"{shots}shot").percent for name in ["ImageNet", *NAMES]]
        average = value("few_shot/avg11", "PromptSRC+CasPL", f"{shots}shot").percent
        assert sum(own) / 11 == pytest.approx(average, abs=0.0051)
    for method in ("CLIP", "CoOp", "CoOp+CasPL", "MaPLe+CasPL", "PromptSRC", "PromptSRC+CasPL"):
        own = [value(f"domain_generalization/ImageNet{name}", method, "acc").percent for name in ("V2", "Sketch", "R")]
        average = value("domain_generalization/avg3_targets(V2,Sketch,R)", method, "acc").percent
        assert sum(own) / 3 == pytest.approx(average, abs=0.0051)


def test_reruns_are_not_the_methods_own_numbers():
    reruns = {(setting, method) for setting, method, _ in _values() if re.match(r"base_to_new_\d+shot", setting)}
    assert reruns and all("rerun" in method or "DePT" in method for _, method in reruns)


def test_averages_are_known_for_whole_benchmarks_only():
    assert average_of(["ImageNet", *NAMES]) == "avg11"
    assert average_of(NAMES) == "avg10"
    assert average_of([name for name in NAMES if name not in ("SUN397", "Food101")]).startswith("avg8")
    assert average_of(NAMES[1:]) == average_of([]) == ""


@pytest.mark.parametrize(
    ("keys", "shots", "compared"),
    [
        ({}, "16", True),
        ({"backbone": "ViT-B-16:openai"}, "16", True),
        ({"backbone": "RN50"}, "16", False),
        ({}, "4", False),
        ({"names": "base"}, "16", False),
    ],
)
def test_only_what_is_comparable_is_compared(tmp_path, capsys, keys, shots, compared):
    base2new(tmp_path, "oxford_pets", "CasPL_CoOp", "cfg", {1: (80, 80)}, shots=shots, **keys)
    _, out, _ = run(tmp_path, capsys)
    assert ("94.83 (-14.83)" in out) is compared and ("published" in out) is compared


def test_methods_published_for_one_configuration(tmp_path, capsys):
    for dataset in ["imagenet", *TARGETS]:
        base2new(tmp_path, dataset, "IVLP", "vit_b16_c2_ep5_batch4_2+2ctx", {1: (82, 74)})
        base2new(tmp_path, dataset, "IVLP", "other", {1: (82, 74)})
        base2new(tmp_path, dataset, "VPT", "vit_b16_c2_ep5_batch4_4", {1: (80, 73)})
    _, out, _ = run(tmp_path, capsys)
    assert line(out, "average of 11", "IVLP (vit_b16_c2_ep5_batch4_2+2ctx)")[4] == "82.15 (-0.15)"
    assert line(out, "average of 11", "IVLP (other)")[4] == ""
    assert line(out, "average of 11", "VPT")[4] == "80.24 (-0.24)"


# ------------------------------------------------------------ inductive runs
BOOSTED = "Boosting prompts from b: 8 text tokens in 12 blocks, 8 vision tokens in 12 blocks, taught by T on D"


def test_runs_that_knew_base_names_only_are_apart_with_their_tests(tmp_path, capsys):
    def path(top, part, trainer):
        return tmp_path / top / "base2new" / part / "dtd" / "shots_16" / trainer / "cfg" / "seed1"

    write(path("a", "train_base", "CasPL_CoOp"), ours(80, "base", extra=f"{BOOSTED} (names of base classes only)\n"))
    write(path("a", "test_new", "CasPL_CoOp"), ours(20, "new"))  # the test's log does not tell
    write(path("b", "train_base", "CasPL_CoOp"), ours(60, "base", extra=f"{BOOSTED}\n"))
    write(path("b", "test_new", "CasPL_CoOp"), ours(60, "new"))
    write(path("b", "train_base", "CoOp"), ours(50, "base", names="base"))  # a key that CoOp does not read
    write(path("b", "test_new", "CoOp"), ours(50, "new"))
    _, out, _ = run(tmp_path, capsys)
    assert line(out, "DTD", "CoOp + CasPL (inductive)")[:4] == ["1", "80.00", "20.00", "32.00"]
    assert line(out, "DTD", "CoOp + CasPL")[:4] == ["1", "60.00", "60.00", "60.00"]
    assert line(out, "DTD", "CoOp")[1] == "50.00"


def record(folder, names, kind="run"):
    """A file of prompts that says whose names phase 1 knew."""
    group = GroupHeader("prompts", [[1, 2]], [], 0, 0, [])
    header = RunHeader("T", "B", "f", "DTD", [], names, 16, 1, 1, [8, 8], "bicubic", [0.0] * 3, [1.0] * 3, [group])
    tensors = {"groups.0.text.0": torch.zeros(1, 2)}
    if kind == "boosting":
        header = make_header(Prompts([torch.zeros(1, 64)]), names=names)
        tensors = {"text.0": torch.zeros(1, 64)}
    write_record(folder / header.file_name, header, tensors)


@pytest.mark.parametrize("kind", ["run", "boosting"])
def test_the_record_says_which_names_were_known_and_not_the_log(kind, tmp_path, capsys):
    """Host trainers behind boosting prompts leave a copy of them beside the log, other runs their own record."""
    for seed, names, said in ((1, "base", ""), (2, "all", " (names of base classes only)")):
        folder = tmp_path / "base2new/train_base/dtd/shots_16/CasPL_CoOp/cfg" / f"seed{seed}"
        write(folder, ours(80, "base", extra=f"{BOOSTED}{said}\n"))
        record(folder, names, kind)
    found = {run.seed: run.inductive for run in find_runs(tmp_path).runs}
    assert found == {1: True, 2: False}


def test_what_no_record_says_the_log_is_asked_for(tmp_path):
    """Runs of version 0.1, whose record knows no names; a damaged record; no phase 1 at all."""
    said = f"{BOOSTED} (names of base classes only)\n"
    for seed, names in ((1, "unknown"), (2, "base"), (3, "")):
        folder = tmp_path / "base2new/train_base/dtd/shots_16/CasPL_CoOp/cfg" / f"seed{seed}"
        write(folder, ours(80, "base", extra=said if seed < 3 else ""))
        record(folder, names)
    (tmp_path / "base2new/train_base/dtd/shots_16/CasPL_CoOp/cfg/seed2/prompts.safetensors").write_bytes(b"x" * 99)
    assert {run.seed: run.inductive for run in find_runs(tmp_path).runs} == {1: True, 2: True, 3: False}


def test_inductive_models_stay_so_on_other_datasets(tmp_path, capsys):
    write(tmp_path / "imagenet" / "CasPL_CoOp" / "cfg_16shots" / "seed1", ours(70, names="base"))
    write(tmp_path / "imagenet" / "CasPL_CoOp" / "cfg_16shots" / "seed2", ours(60))
    for seed in (1, 2):
        write(tmp_path / "evaluation" / "CasPL_CoOp" / "cfg_16shots" / "dtd" / f"seed{seed}", ours(40 + seed))
    _, out, _ = run(tmp_path, capsys)
    cross = out.split("## Cross-dataset")[1]
    assert line(cross, "CoOp + CasPL (inductive)") == ["1", "70.00", "41.00", "41.00"]
    assert line(cross, "CoOp + CasPL") == ["1", "60.00", "42.00", "42.00"]
    assert ",CoOp + CasPL (inductive),cfg,16,1," in (tmp_path / "results.csv").read_text(encoding="utf-8")


# ------------------------------------------------------------ resumed, unfinished, confused
def test_the_newest_finished_log_counts(tmp_path, capsys):
    folder = tmp_path / "digits" / "CoOp" / "cfg_1shots" / "seed1"
    write(folder, ours(10))
    write(folder, ours(30), "log.txt-2026-01-02-00-00-00")
    write(folder, ours(20), "log.txt-2026-01-01-00-00-00")
    write(folder, "no log", "log.txt.bak")
    _, out, err = run(tmp_path, capsys)
    assert line(out, "digits", "CoOp") == ["1", "30.00"] and "unfinished" not in err
    write(folder, ours(None), "log.txt-2026-01-03-00-00-00")
    _, out, err = run(tmp_path, capsys)
    assert line(out, "digits", "CoOp") == ["1", "30.00"]
    newest, counts = folder / "log.txt-2026-01-03-00-00-00", folder / "log.txt-2026-01-02-00-00-00"
    assert f"unfinished: {newest} (the result of {counts} counts)\n" in err


def test_unfinished_runs_are_listed_and_no_error(tmp_path, capsys):
    base2new(tmp_path, "digits", "CoOp", "cfg", {1: (80, 20)})
    folder = tmp_path / "base2new" / "train_base" / "digits" / "shots_16" / "CoOp" / "cfg" / "seed2"
    write(folder, ours(None, "base") + "Evaluate on the *val* set\n" + block(50))
    status, out, err = run(tmp_path, capsys)
    assert status == 0 and f"unfinished: {folder / 'log.txt'}\n" in err
    assert line(out, "digits", "CoOp")[:2] == ["1", "80.00"]


def test_nothing_but_unfinished_runs(tmp_path, capsys):
    write(tmp_path / "digits" / "CoOp" / "cfg_1shots" / "seed1", ours(None))
    status, out, err = run(tmp_path, capsys)
    assert (status, out) == (0, "") and err.startswith("unfinished: ") and not (tmp_path / "results.md").exists()


@pytest.mark.parametrize(
    ("folder", "found", "expected"),
    [
        ("base2new/test_new/dtd/shots_16/CoOp/cfg/seed1", "base", "new"),
        ("base2new/test_base/dtd/shots_16/CoOp/cfg/seed1", "new", "base"),
        ("base2new/train_base/dtd/shots_16/CoOp/cfg/seed1", "new", "base"),
        ("base2new/test_all/dtd/shots_16/CoOp/cfg/seed1", "new", "all"),
        ("evaluation/CoOp/cfg_16shots/dtd/seed1", "base", "all"),
    ],
)
def test_base_and_new_are_never_confused(tmp_path, capsys, folder, found, expected):
    write(tmp_path / folder, ours(50, found))
    status, out, err = run(tmp_path, capsys)
    assert (status, out) == (2, "") and err.count("\n") == 2
    assert err.startswith(f"left out: {tmp_path / folder / 'log.txt'}: it tested {found} classes (SUBSAMPLE_CLASSES)")
    assert f"is for {expected} classes; move it to where it belongs" in err and "error: no results below" in err


def test_other_logs_are_counted_and_left_alone(tmp_path, capsys):
    write(tmp_path / "boost" / "digits", ours(50))
    write(tmp_path / "zero" / "ZeroshotCLIP" / "vit_b16" / "seed1", block(50))
    status, _, err = run(tmp_path, capsys)
    assert status == 2 and err.count("\n") == 1 and "looked for log.txt in folders base2new/{train_base," in err
    base2new(tmp_path, "digits", "CoOp", "cfg", {1: (80, 20)})
    status, out, err = run(tmp_path, capsys)
    assert status == 0 and f"not read, in no known layout: {tmp_path / 'boost/digits'} and 1 more\n" in err
    assert len(lines(out, "digits")) == 1


@pytest.mark.parametrize(
    ("trainer", "end", "told"),
    [
        ("CasPLBoost", "Finish training\n", False),
        ("CasPL", "Finish training\n", False),  # in the published code
        ("CasPLBoost", "epoch [1/50] batch [5/19] loss 1.2\n", True),  # it has not finished
        ("CoOp", "Finish training\n", True),
    ],
)
def test_a_finished_phase_1_is_no_mystery(tmp_path, capsys, trainer, end, told):
    base2new(tmp_path, "digits", "CoOp", "cfg", {1: (80, 20)})
    write(tmp_path / "boost" / "digits" / "cfg" / "seed1", ours(50, extra=end), trainer=trainer, shots=-1)
    status, _, err = run(tmp_path, capsys)
    assert status == 0 and ("boost/digits/cfg/seed1" in err) == told


# ------------------------------------------------------------ command line and files
@pytest.mark.parametrize("inside", [".", "base2new", "base2new/test_new", "base2new/test_new/digits/shots_16"])
def test_any_folder_of_a_layout_will_do(tmp_path, capsys, monkeypatch, inside):
    base2new(tmp_path, "digits", "CoOp", "cfg", {1: (80, 20)})
    monkeypatch.chdir(tmp_path / inside)
    status, out, _ = run(".", capsys, "--no-write")
    assert status == 0 and line(out, "digits", "CoOp")[2] == "20.00"


def test_what_cannot_be_is_one_sentence(tmp_path, capsys):
    for folder in (tmp_path / "nowhere", tmp_path):
        status, out, err = run(folder, capsys)
        assert (status, out) == (2, "") and err.startswith("error: no ") and err.count("\n") == 1
    with pytest.raises(InputError, match="no folder"):
        find_runs(tmp_path / "nowhere")


def test_filters_print_only_what_matches_and_write_nothing(tmp_path, capsys):
    for dataset in ("digits", "oxford_pets"):
        for trainer in ("CoOp", "CasPL_CoOp", "MaPLe"):
            base2new(tmp_path, dataset, trainer, "cfg", {1: (80, 20)})
    _, out, _ = run(tmp_path, capsys, "--dataset", "digits", "--trainer", "CoOp")
    assert [cells[0] for cells in lines(out, "digits")] == ["CoOp"] and "OxfordPets" not in out
    _, out, _ = run(tmp_path, capsys, "--dataset", "oxford_pets", "--trainer", "CoOp,MaPLe", "--trainer", "CasPL_CoOp")
    assert [cells[0] for cells in lines(out, "OxfordPets")] == ["CoOp", "CoOp + CasPL", "MaPLe"] and "digits" not in out
    assert not (tmp_path / "results.csv").exists()
    status, out, err = run(tmp_path, capsys, "--dataset", "dtd")
    assert (status, out) == (
        2,
        "",
    ) and "there are datasets OxfordPets, digits and trainers CasPL_CoOp, CoOp, MaPLe" in err


def test_no_write_and_the_printed_formats(tmp_path, capsys):
    base2new(tmp_path, "digits", "CoOp", "cfg", {1: (80, 20)})
    _, out, _ = run(tmp_path, capsys, "--no-write", "--format", "latex")
    assert out.startswith("\\documentclass") and out.endswith("\\end{document}\n")
    _, out, err = run(tmp_path, capsys, "--no-write", "--format", "csv")
    assert out.startswith("setting,dataset,") and err == ""
    assert [path.name for path in tmp_path.iterdir()] == ["base2new"]


def test_csv_has_a_row_for_each_finished_run(tmp_path, capsys):
    base2new(tmp_path, "oxford_flowers", "CasPL_CoOp", "cfg", {2: (80.04, 20)}, shots="16_x")
    write(tmp_path / "ZeroshotCLIP" / "vit_b16" / "dtd", original(40))
    write(tmp_path / "evaluation" / "CoOp" / "cfg_16shots" / "imagenet_r" / "seed3", ours(55.5))
    write(tmp_path / "digits" / "CoOp" / "cfg_1shots" / "seed1", ours(None))
    run(tmp_path, capsys)
    with (tmp_path / "results.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert ",".join(header) == (
        "setting,dataset,trainer,method,config,shots,seed,classes,accuracy,path,total,correct,macro_f1,ece,low95,high95"
    )
    boosted = ["Flowers102", "CasPL_CoOp", "CoOp + CasPL", "cfg/x", "16", "2"]
    inner = "oxford_flowers/shots_16_x/CasPL_CoOp/cfg/seed2/log.txt"
    evaluated = "evaluation/CoOp/cfg_16shots/imagenet_r/seed3/log.txt"
    counted = {}  # what logs say, and Wilson's interval; no macro F1 and no calibration error
    for percent in (20, 40, 55.5, 80.04):
        ends = proportion_confint(round(100 * percent), 10_000, method="wilson")
        counted[percent] = ["10000", str(round(100 * percent)), "", "", *(f"{100 * end:.4f}" for end in ends)]
    assert rows == [
        [
            "few_shot",
            "DTD",
            "ZeroshotCLIP",
            "CLIP",
            "vit_b16",
            "0",
            "",
            "all",
            "40.0000",
            "ZeroshotCLIP/vit_b16/dtd/log.txt",
            *counted[40],
        ],
        ["base_to_new", *boosted, "new", "20.0000", f"base2new/test_new/{inner}", *counted[20]],
        ["base_to_new", *boosted, "base", "80.0400", f"base2new/train_base/{inner}", *counted[80.04]],
        [
            "domain_generalization",
            "ImageNetR",
            "CoOp",
            "CoOp",
            "cfg",
            "16",
            "3",
            "all",
            "55.5000",
            evaluated,
            *counted[55.5],
        ],
    ]


def everything(root):
    base2new(root, "oxford_pets", "CoOp", "vit_b16_ctx", {1: (80, 20), 2: (90, 30)})
    base2new(root, "oxford_pets", "CoOp", "100%_&_#$", {1: (80, 20)})
    base2new(root, "dtd", "CoOp", "vit_b16_ctx", {1: (60, 40)})
    write(root / "dtd" / "CoOp" / "cfg_1shots" / "seed1", ours(50))
    write(root / "dtd" / "CoOp" / "cfg_16shots" / "seed1", ours(60))
    write(root / "ZeroshotCLIP" / "vit_b16" / "dtd", original(40))
    for dataset in [*TARGETS, *VARIANTS]:
        for seed in (1, 2):
            write(root / "evaluation" / "CoOp" / "cfg_16shots" / dataset / f"seed{seed}", ours(50 + seed))


def test_files(tmp_path, capsys):
    everything(tmp_path)
    _, out, err = run(tmp_path, capsys)
    assert "wrote results.md, results.tex, results.csv, results.png, few_shot.png in" in err
    written = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert written.startswith(out.removesuffix("\n")) and "\n## Base to new: paired tests\n" not in written
    assert "\n## Base to new: 95 % intervals over test images\n" in written
    for name in ("results.png", "few_shot.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".tmp"]


def test_figures_only_of_what_there_is(tmp_path, capsys):
    write(tmp_path / "evaluation" / "CoOp" / "cfg_16shots" / "dtd" / "seed1", ours(50))
    run(tmp_path, capsys)
    assert sorted(path.name for path in tmp_path.glob("*.*")) == ["results.csv", "results.md", "results.tex"]


def test_bars_are_the_averages(tmp_path):
    base2new(tmp_path, "oxford_pets", "CoOp", "cfg", {1: (80, 20)})
    base2new(tmp_path, "dtd", "CoOp", "cfg", {1: (50, 40), 2: (70, 40)})
    (axes,) = draw("base_to_new", build_tables(find_runs(tmp_path).runs)["base_to_new"]).axes
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([70, 30, 42])
    assert [text.get_text() for text in axes.get_xticklabels()] == ["CoOp"]
    assert not any(isinstance(drawn, ErrorbarContainer) for drawn in axes.containers)  # averages do not deviate
    table = build_tables([run for run in find_runs(tmp_path).runs if run.dataset == "DTD"])["base_to_new"]
    (axes,) = draw("base_to_new", table).axes
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([60, 40, 47.68], abs=0.01)  # HMs 44.44 and 50.91
    assert sum(isinstance(drawn, ErrorbarContainer) for drawn in axes.containers) == 3


def test_latex_is_escaped_and_each_row_has_all_columns(tmp_path, capsys):
    everything(tmp_path)
    _, out, _ = run(tmp_path, capsys, "--no-write", "--format", "latex")
    tabulars = re.findall(
        r"\\begin\{tabular\}\{([lr]+)\}\n\\toprule\n(.*?)\\bottomrule\n\\end\{tabular\}", out, re.DOTALL
    )
    assert len(tabulars) == out.count("\\begin{tabular}") == 6  # Pets, DTD and average; DTD; cross-dataset; domains
    for columns, body in tabulars:
        for row in body.replace("\\midrule\n", "").strip().split("\n"):
            assert len(re.findall(r"(?<!\\)&", row)) == len(columns) - 1 and row.endswith("\\\\")
    assert r"CoOp (vit\_b16\_ctx) & 2 " in re.sub(" +", " ", out) and r"CoOp (100\%\_\&\_\#\$)" in out
    assert r"85.00 $\pm$ 5.00" in out and "±" not in out and "93.67 ($-$8.67)" in out
    assert r"\textbf{OxfordPets}" in out and out.count("{") == out.count("}")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_latex_compiles(tmp_path, capsys):
    everything(tmp_path)
    run(tmp_path, capsys)
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "results.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "Overfull" not in done.stdout, done.stdout[-2000:]


def test_harmonic_mean():
    assert harmonic_mean(82.69, 63.22) == pytest.approx(71.66, abs=0.01)
    assert harmonic_mean(0, 0) == 0


@pytest.mark.parametrize("there", [True, False])
def test_a_bundle_in_the_place_of_a_folder(tmp_path, capsys, there):
    bundle = tmp_path / "table1.zip"
    if there:
        bundle.write_bytes(b"PK")
    assert main([str(bundle)]) == 2
    said = "is a file, expected an output folder; of bundles, caspl report" if there else "or a bundle that is there"
    assert said in capsys.readouterr().err
