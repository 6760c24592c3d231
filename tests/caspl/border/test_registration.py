"""Entering classes in a host's registry, and the same file under two module names."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from dassl.utils import Registry

from caspl.border.registration import enter
from caspl.ground.errors import InputError

ROOT = Path(__file__).resolve().parents[3]


def test_a_name_that_the_host_has_stays_the_hosts():
    registry = Registry("TRAINER")
    theirs, ours = (type("CoOp", (), {"__module__": module}) for module in ("trainers.coop", "caspl.trainers.coop"))
    registry.register(theirs)
    enter(registry, ours)
    assert registry.get("CoOp") is theirs


def test_a_module_loaded_anew_is_no_mistake():
    registry = Registry("TRAINER")
    first, again = (type("CoOp", (), {"__module__": __name__}) for _ in range(2))
    enter(registry, first)
    enter(registry, again)
    assert registry.get("CoOp") is first


ALONE_THEN_BOTH = """
from importlib import import_module
for folder in ("trainers", "datasets"):
    import_module(folder)
    try:
        import_module("caspl." + folder)
    except ValueError as error:
        print(error)
"""


@pytest.mark.slow
def test_the_checkouts_folders_alone_are_fine_and_beside_the_package_a_mistake():
    done = subprocess.run([sys.executable, "-c", ALONE_THEN_BOTH], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for said, folder in zip(done.stdout.splitlines(), ("trainers", "datasets"), strict=True):
        assert f".py is imported as both {folder}." in said
        assert f" and caspl.{folder}." in said and f"for each module; import it as caspl.{folder}." in said


@pytest.mark.parametrize("folder", ["trainers", "datasets"])
def test_the_checkouts_folders_after_the_package_are_a_mistake(folder):
    import_module(f"caspl.{folder}")
    before = set(sys.modules)
    expected = rf"is imported as both caspl\.{folder}\.\w+.* and {folder}\..*import it as caspl\.{folder}"
    try:
        with pytest.raises(InputError, match=expected):
            import_module(folder)
    finally:
        for name in set(sys.modules) - before:
            del sys.modules[name]
