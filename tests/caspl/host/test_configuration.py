"""Keys in a host's configuration."""

import pytest
from yacs.config import CfgNode

from caspl.ground.errors import InputError
from caspl.host.configuration import merge_from_list


@pytest.mark.parametrize("key", ["LOGGER", "TRAINER.NOPE", "NOPE.NOPE"])
def test_a_key_that_the_host_does_not_have_is_a_sentence(key):
    cfg = CfgNode({"OPTIM": {"LR": 0.1}, "TRAINER": {}, "DATASET": {}, "TEST": {}})
    merge_from_list(cfg, ["OPTIM.LR", 0.2, "TRAINER.CASPL.FREEZE", False])
    assert cfg.OPTIM.LR == 0.2
    with pytest.raises(InputError, match=f'has no key "?{key}'):
        merge_from_list(cfg, [key, "trackio"])


def test_other_mistakes_are_those_of_yacs():
    with pytest.raises(AssertionError, match="Override list has odd length"):
        merge_from_list(CfgNode({"TRAINER": {}, "DATASET": {}, "TEST": {}}), ["LOGGER"])
