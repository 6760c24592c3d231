"""Where no Dassl can be imported the project's own stands in: from a wheel and from a checkout, in any folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow
LIST = "import caspl.trainers; from caspl.datasets.__main__ import main; main(['list', '--root', 'data'])"
IMPORTABLE = "from caspl.border import own_dassl; print(own_dassl.importable())"
PROVIDED = "own_dassl.provide(); import dassl; print(dassl.__file__)"


@pytest.fixture(params=["wheel", "checkout"])
def run(request, tmp_path):
    """Runs Python in an empty folder, with the wheel installed or with the checkout behind the packages it needs."""
    if request.param == "wheel":
        python, path = request.getfixturevalue("environment") / "python", ""
    else:
        python, path = sys.executable, str(tmp_path / "links")
        (tmp_path / "links").mkdir()  # caspl/ alone, as an editable installation has it
        (tmp_path / "links" / "caspl").symlink_to(ROOT / "caspl")
    folder = tmp_path / "empty"
    folder.mkdir()

    def run(*arguments, status=0):
        variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        done = subprocess.run(
            [str(python), *arguments], cwd=folder, capture_output=True, text=True, env=variables | {"PYTHONPATH": path}
        )
        assert done.returncode == status, done.stderr
        return done.stderr if status else done.stdout

    run.folder, run.kind = folder, request.param
    return run


def test_the_datasets_are_listed_in_any_folder(run):
    listed = run("-c", LIST)
    assert "OxfordPets" in listed and "missing" in listed


def test_a_folder_without_code_is_no_dassl(run):
    (run.folder / "dassl" / "configs").mkdir(parents=True)
    importable, file = run("-c", f"{IMPORTABLE}; {PROVIDED}").splitlines()
    assert importable == "False"
    assert Path(file).parent.parent.name == ("_bundled" if run.kind == "wheel" else ROOT.name)


def test_a_dassl_that_is_there_is_enough(run):
    (run.folder / "dassl").symlink_to(ROOT / "dassl")
    assert run("-c", IMPORTABLE) == "True\n"


def test_there_is_no_second_hierarchy(run):
    said = run("-c", "import caspl._bundled.dassl.engine" if run.kind == "wheel" else "import caspl.dassl", status=1)
    expected = "is Dassl under another name" if run.kind == "wheel" else "No module named 'caspl.dassl'"
    assert expected in said.splitlines()[-1]


def test_the_top_of_the_checkout_is_not_in_the_package(run):
    said = run("-c", "import caspl.setup", status=1)
    assert said.splitlines()[-1] == "ModuleNotFoundError: No module named 'caspl.setup'"
