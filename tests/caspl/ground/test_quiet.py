"""The Hub is asked where it answers, and nobody waits where it does not."""

import pytest

from caspl.ground.quiet import asking_the_hub


class Response:
    status_code = 404


@pytest.mark.parametrize("answer, offline", [(Response(), False), (OSError("no route"), True)])
def test_the_hub_is_asked_only_where_it_answers(answer, offline, monkeypatch):
    """Its client would try for half a minute for each file."""
    constants = pytest.importorskip("huggingface_hub").constants

    class Session:
        def head(self, address, timeout):
            assert address == constants.ENDPOINT and timeout <= 10
            if isinstance(answer, Exception):
                raise answer
            return answer

    monkeypatch.setattr("huggingface_hub.utils.get_session", Session)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(KeyError), asking_the_hub():
        assert offline == constants.HF_HUB_OFFLINE
        raise KeyError
    assert constants.HF_HUB_OFFLINE is False


def test_nobody_is_asked_offline(monkeypatch):
    constants = pytest.importorskip("huggingface_hub").constants
    monkeypatch.setattr("huggingface_hub.utils.get_session", lambda: pytest.fail("asked"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with asking_the_hub():
        assert constants.HF_HUB_OFFLINE
