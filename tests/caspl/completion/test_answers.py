"""What may stand next on a command line, and that the table of it is what the commands' parsers say."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from caspl.completion.answers import TABLE, answers
from caspl.completion.collect import as_text, collect

ROOT = Path(__file__).resolve().parents[3]


def words(line):
    """The answers for the last word of a line, "_" for an empty one."""
    return [word for word, _ in answers(["" if word == "_" else word for word in line.split(" ")])]


def test_the_table_is_made_of_the_commands_as_they_are():
    assert TABLE.read_text(encoding="utf-8") == as_text(collect()), "run python -m caspl.completion.collect"


def explanations(node):
    """(word, what is said of it) of all that is below a node of the table."""
    for word, child in {**node["words"], **node["options"]}.items():
        yield word, child["about"]
        if "words" in child:
            yield from explanations(child)


def test_what_is_said_of_a_word_says_something():
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    said = [*explanations(table["caspl"]), *((key, about["about"]) for key, about in table["keys"].items())]
    bad = [
        line
        for line in said
        if re.fullmatch(r"|default|True|False|local|ray|slurm|.*{\w+}.*|\(.*", line[1])
        or line[1].count("(") != line[1].count(")")
    ]
    assert [line for line in bad if line[0] not in ("--help", "--version")] == []


ALL = {
    "tr": ["train"],
    "datasets im": ["import-fewshot"],
    "train --trainer CasPL_Co": ["CasPL_CoCoOp", "CasPL_CoOp"],
    "train --trainer=KgC": ["--trainer=KgCoOp"],
    "train --trainer = KgC": ["KgCoOp"],
    "train --dataset-config-file configs/datasets/oxford": [
        "configs/datasets/oxford_flowers.yaml",
        "configs/datasets/oxford_pets.yaml",
    ],
    "train --config-file configs/trainers/ProGrad/dig": ["configs/trainers/ProGrad/digits.yaml"],
    "train --seed 1 --eval": ["--eval-only"],
    "train TRAINER.CASPL.LO": ["TRAINER.CASPL.LOSS"],
    "train --seed 1 TRAINER.CASPL.LOSS re": ["reverse_kl"],
    "train TRAINER.CASPL.LOSS=re": ["TRAINER.CASPL.LOSS=reverse_kl"],
    "train TRAINER.CASPL.LOSS = re": ["reverse_kl"],
    "train TRAINER.CASPL.LOSS = kl USE_": ["USE_CUDA"],
    "train TRAINER.CASPL.LOSS=kl USE_CUDA _": ["True", "False"],
    "train TRAINER.CASPL.LOSS kl --eval": ["--eval-only"],
    "train OPTIM.LR 0.1 --backbone demo/t": ["demo/teacher"],
    "train MODEL.BACKBONE.NAME demo/t": ["demo/teacher"],
    "train TRAINER.NAME IV": ["IVLP"],
    "sweep few": ["few_shot"],
    "sweep base2new --engine _": ["local", "ray", "slurm"],
    "sweep base2new --trainers CoOp,MaP": ["CoOp,MaPLe"],
    "sweep base2new --trainers CoOp,CoO": [],
    "sweep ablations --grid fro": ["frozen"],
    "sweep base2new --datasets oxford_p": ["oxford_pets"],
    "sweep base2new --config rn101_ep1": ["rn101_ep100"],
    "sweep base2new --config CoOp=rn101_ep1": ["CoOp=rn101_ep100"],
    "sweep base2new --config CoOp = rn101_ep1": ["rn101_ep100"],
    "train TRAINER.CASPL.LOSS =": ["kl", "reverse_kl", "l1", "mse", "feature"],
    "sweep base2new --output a=": [],
    "train --output-dir out=": [],
    "train LOGGER tr": ["trackio", "trackio,wandb"],
    "sweep base2new --trainers CoOp -- OPTIM.NA": ["OPTIM.NAME"],
    "sweep base2new -- --eng": [],
    "datasets check Oxf": ["OxfordFlowers", "OxfordPets"],
    "datasets check ImageFolder DATASET.COL": ["DATASET.COLUMNS"],
    "results --trainer CoOp,MaP": ["CoOp,MaPLe"],
    "results --format la": ["latex"],
    "configs sh": ["show"],
    "configs show configs/trainers/CasPL_VPT/d": ["configs/trainers/CasPL_VPT/digits.yaml"],
    "configs keys TRAINER.COCOOP.M": ["TRAINER.COCOOP.MEMORY"],
    "convert boosting x --student ViT-L": ["ViT-L/14", "ViT-L/14@336px"],
    "predict out --format _": ["csv", "json"],
    "completion f": ["fish"],
    "--ver": ["--version"],
    # files, which are the shell's
    "predict _": [],
    "export out --onnx _": [],
    "train --root _": [],
    "nothing _": [],
    "sweep nothing _": [],
}


@pytest.mark.parametrize("line", ALL)
def test_what_may_stand_next(line):
    assert words(line) == ALL[line]


@pytest.mark.parametrize("quote", ["'", '"', ""])
def test_names_in_quotation_marks_are_a_list_too(quote):
    found = answers(["sweep", "base2new", "--trainers", f"{quote}CoOp MaP"])
    assert found == [("CoOp MaPLe", "")]


def test_nothing_is_offered_twice():
    assert "--seed" in words("train --") and "--seed" not in words("train --seed 1 --")
    assert "--dataset" in words("results --dataset pets --")  # may be repeated


def test_an_empty_line_offers_the_commands_in_their_order():
    from caspl.__main__ import COMMANDS

    assert words("_") == [*COMMANDS] and all(about for _, about in answers([""]))


@pytest.mark.parametrize("line", ["train --trainer C", "sweep base2new --d", "train TRAINER.", "configs show configs/"])
def test_an_answer_needs_no_pytorch(line):
    """A shell waits for it at every tab."""
    code = f"import sys; from caspl.__main__ import main; main(['completion', 'answer', '--', *{line.split()!r}])"
    code += "; print([name for name in sys.modules if name in ('torch', 'numpy', 'dassl', 'matplotlib')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and len(done.stdout.splitlines()) > 1 and done.stdout.endswith("\n[]\n"), done
