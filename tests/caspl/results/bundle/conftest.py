from contextlib import contextmanager

import pytest

from bundles_made import sweep
from caspl.results.report.__main__ import main


@contextmanager
def lightly():
    """The figures of a page have tests of their own, and take a second each time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("caspl.results.report.contents.picture_of", lambda *_: None)
        patch.setattr("caspl.results.report.contents.artefacts", lambda *_: ())
        yield


@pytest.fixture(autouse=True)
def light():
    """Never for longer than a test: other packages' tests are run by the same process."""
    with lightly():
        yield


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """The bundle of `sweep`, which nobody writes to."""
    place = tmp_path_factory.mktemp("whole")
    sweep(place / "output")
    with lightly():
        assert main([str(place / "output"), "--bundle", str(place / "whole.zip")]) == 0
    return place / "whole.zip"


@pytest.fixture
def bundle(whole, tmp_path):
    """One to be altered."""
    (tmp_path / "folder").mkdir()
    copy = tmp_path / "folder" / "bundle.zip"
    copy.write_bytes(whole.read_bytes())
    return copy
