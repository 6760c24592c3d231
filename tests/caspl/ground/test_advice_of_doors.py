"""Advice that the other commands print is followed as printed, and leads on; for train.py: tests/configs/test_advice.py."""

import re

import pytest

import train
from caspl.__main__ import main as caspl
from caspl.clip.models import is_known, load_model
from caspl.configs.__main__ import main as configs
from caspl.datasets.__main__ import main as datasets
from caspl.ground.errors import InputError
from caspl.results.__main__ import main as results

NEARLY = "configs/trainers/CoOp/vit_b16_ep5.yaml"
# Command, words, what is advised, the words that come of it ({} is the advice), and whether nothing is wrong then
ADVICE = [
    (configs, ["show", NEARLY], r"the nearest of CasPL's own is (\S+)", ["show", "{}"], True),
    (configs, ["keys", "nothinglike"], r"without a word (all) are printed", ["keys"], True),
    (configs, ["keys", "memory", "size"], r"keys takes one (WORD)", ["keys", "memory"], True),
    (configs, ["a", "b"], r"(WORD) or none; give one", ["CoOp"], True),
    (configs, ["show"], r"python -m caspl\.configs (lists)", [], True),
    (train.main, ["--frob", "1"], r"train\.py (--help) shows|(--help) shows what there is", ["--help"], True),
    (train.main, ["--sed", "1"], r"do you mean (--seed)\?", ["{}", "1", "--help"], True),
    (train.main, ["OPTIM.LR", "--seed", "1"], r"(give the pair) KEY VALUE", ["OPTIM.LR", "1", "--seed", "1"], False),
    (train.main, ["SEED", "2", "--seed", "1"], r"(leave out one) of the two", ["--seed", "1"], False),
    (datasets, ["check", "Digits", "--frob", "x"], r"caspl\.datasets check (--help) shows", ["check", "{}"], True),
    (datasets, ["chek", "Digits"], r"'(check)'", ["{}", "Digits", "--root", "$"], False),
    (caspl, ["export", "$"], r"nothing to write; give (--onnx)", ["export", "$", "{}", "$/coop.onnx"], False),
    (caspl, ["share", "$"], r"there is nothing to do; give (--folder) FOLDER", ["share", "$", "{}", "$/out"], False),
    (
        caspl,
        ["share", "$", "--private"],
        r"give (--push) ORG/NAME, too",
        ["share", "$", "--private", "{}", "a/b"],
        False,
    ),
    (caspl, ["convert", "config"], r"give a (configuration file)", ["convert", "config", "$/theirs.yaml"], False),
    (
        caspl,
        ["convert", "config", "$/theirs.yaml"],
        r"name it with (--trainer), such as",
        ["convert", "config", "--trainer", "CasPL", "$/theirs.yaml"],
        True,
    ),
    (results, ["$/none"], r"(give an output folder)", ["$"], False),
]


@pytest.mark.parametrize("command, words, pattern, after, ends_well", ADVICE, ids=lambda v: None)
def test_what_is_advised_leads_on(command, words, pattern, after, ends_well, tmp_path, capsys):
    (tmp_path / "theirs.yaml").write_text("OPTIM:\n  LR: 0.1\n")

    def said(words, advice=""):
        status = 0
        try:
            status = command([word.replace("{}", advice).replace("$", str(tmp_path)) for word in words])
        except SystemExit as end:  # --help
            status = end.code
        text = capsys.readouterr().err
        assert "unexpected" not in text and "Traceback" not in text
        return status or 0, text

    status, text = said(words)
    found = re.search(pattern, text)
    assert status == 2 and found, text
    status, later = said(after, found[1] or found[0])
    assert found[0] not in later
    assert status == 0 or not ends_well, later


@pytest.mark.parametrize(
    "name",
    [
        "ViT-B-16",
        "ViT-B-16:",
        "ViT-B-16:laion",
        "ViT-B/17",
        "vit-b/16",
        "ViT_B_16",
        "RN-50",
        "openai/clip-vit-base-patch16",
        "https://huggingface.co/openai/clip-vit-base-patch16",
        "hub:a/b",
    ],
)
def test_names_of_clips_that_are_advised_are_names(name, tmp_path):
    """What is named is known, or one of the Hub's, which nobody is asked for here."""
    with pytest.raises(InputError) as caught:
        load_model(name)
    advised = re.findall(r"(?:do you mean|as in|write|or) ((?:hf|ViT|RN)[^\s?;)]+)", str(caught.value))
    assert advised, str(caught.value)
    (tmp_path / "weights").touch()
    for given in advised:
        given = given.replace("/path/to/weights", str(tmp_path / "weights"))
        assert is_known(given) or given.startswith(("hf:", "hf-hub:")), given
