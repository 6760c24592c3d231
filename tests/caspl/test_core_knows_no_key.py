"""The rooms below the trainers name quantities; configuration keys are put in at the doors (`caspl.ground.errors.naming`)."""

import re
from pathlib import Path

import pytest

import caspl

FOLDER = Path(caspl.__file__).parent
ROOMS = ("ground", "clip", "prompting", "checkpoints", "use")
KEY = re.compile(r"\b(TRAINER|DATASET|INPUT|MODEL|OPTIM|DATALOADER|TRAIN|TEST)\.[A-Z]\w*")
EXCEPTIONS = {
    "ground/keys.py": {"OPTIM.LR"},  # the example in a docstring
    "use/model_card.py": {"TRAINER.CASPL"},  # a document for users of train.py
}


@pytest.mark.parametrize("room", ROOMS)
def test_no_module_names_a_configuration_key(room):
    files = sorted((FOLDER / room).rglob("*.py"))
    assert files
    for path in files:
        found = {match.group() for match in KEY.finditer(path.read_text(encoding="utf-8"))}
        assert found <= EXCEPTIONS.get(path.relative_to(FOLDER).as_posix(), set()), path
