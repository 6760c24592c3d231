"""Every key is declared once; what is written about keys comes from there."""

from pathlib import Path

import pytest
from dassl.config import get_cfg_default, merge_file

import caspl.datasets
import caspl.trainers
from caspl.configs import find_base, key_names, keys, names
from caspl.configs.__main__ import main
from caspl.ground.keys import problems

ROOT = Path(__file__).resolve().parents[2]
KEYS = keys.declared()
REGENERATE = "regenerate it: python -m caspl.configs keys --update"


def full_configuration():
    cfg = get_cfg_default()
    caspl.trainers.extend_cfg(cfg)
    caspl.datasets.extend_cfg(cfg)
    return cfg


def settings(node, prefix=""):
    for name, value in node.items():
        yield from settings(value, f"{prefix}{name}.") if isinstance(value, dict) else [prefix + name]


def test_every_setting_is_declared_once_and_its_default_can_be():
    declared = [key.name for key in KEYS]
    assert sorted(declared) == sorted(settings(full_configuration()))
    assert problems(full_configuration(), KEYS) == []
    assert not [key.name for key in KEYS if not key.about or key.about.endswith(".") or set("|<>") & set(key.about)]


def test_every_file_of_ours_passes():
    for name in names():
        cfg = full_configuration()
        merge_file(cfg, str(ROOT / name), find_base)
        assert problems(cfg, KEYS) == [], name


def test_the_page_of_keys_is_current():
    assert (ROOT / "docs" / "keys.md").read_text(encoding="utf-8") == keys.page(KEYS), REGENERATE


def test_the_list_of_names_is_current():
    assert key_names() == tuple(keys.names_of(KEYS)), REGENERATE


def test_the_table_in_the_readme_is_current():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert keys.BEGIN in text and "| `TRAINER.CASPL.BOOSTING` |" in keys.with_table(text, KEYS)
    assert text == keys.with_table(text, KEYS), REGENERATE


def test_the_command_prints_keys_with_a_word(capsys):
    assert main(["keys", "cocoop.memory"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "TRAINER.COCOOP.MEMORY = 4.0  (a number above 0 and 100000 or less)" and second.startswith(
        "    GB for"
    )
    assert main(["keys", "OPTIM.LR"]) == 0
    assert capsys.readouterr().out.startswith(
        "OPTIM.LR = 0.0003  (a number above 0 and 1000 or less)\n    Learning rate"
    )


@pytest.mark.parametrize(
    "words, said", [(["xyzzy"], '"xyzzy" is in no key'), (["a", "b"], "one WORD or none, found 2")]
)
def test_mistakes_of_the_command(words, said, capsys):
    assert main(["keys", *words]) == 2
    assert said in capsys.readouterr().err


def test_tables_are_written_into_a_checkout_only(tmp_path):
    with pytest.raises(keys.InputError, match="README.md is not there"):
        keys.update(tmp_path)
    (tmp_path / "README.md").write_text(f"a\n{keys.BEGIN}OUTDATED\n{keys.END}z\n", encoding="utf-8")
    keys.update(tmp_path)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert text.startswith("a\n") and text.endswith("z\n") and "OUTDATED" not in text and "`TEST.FEATURE_STORE`" in text
    assert (tmp_path / "docs" / "keys.md").read_text(encoding="utf-8") == keys.page(KEYS)
