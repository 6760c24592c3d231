"""What gets installed, and that the plug-in works from everywhere and in other people's Dassl."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))


def python(code, *paths, cwd):
    """Run code with only `paths` in front of the installed packages, without the checkout; gives what it prints."""
    hide = "import sys; sys.meta_path[:] = [f for f in sys.meta_path if '__editable__' not in repr(f)]\n"
    # Nothing but the checkout itself is dropped: packages may be installed below it, in .venv.
    setup = f"sys.path[:] = {[str(p) for p in paths]!r} + [p for p in sys.path if p != {str(ROOT)!r}]\n"
    body = hide + setup + code
    done = subprocess.run([sys.executable, "-c", body], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_wheel_holds_nothing_but_caspl(wheel):
    _, names = wheel
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"caspl"}
    wanted = {
        "caspl/trainers/coop.py",
        "caspl/datasets/digits.py",
        "caspl/clip/demo/student.safetensors",
        "caspl/datasets/splits/fewshot.py",
        "caspl/results/published.csv",
        "caspl/results/report/page.css",
        "caspl/results/report/page.html",
        "caspl/results/report/page.js",
        "caspl/results/report/page.macros.html",
        "caspl/_bundled/dassl/data/transforms/operations.py",
        "caspl/configs/trainers/CoOp/digits.yaml",
        "caspl/configs/datasets/digits.yaml",
        "caspl/configs/bases/digits.yaml",
        "caspl/configs/keys.txt",
        "caspl/completion/table.json",
        *(f"caspl/completion/scripts/caspl.{shell}" for shell in ("bash", "zsh", "fish")),
    }
    assert wanted <= set(names)
    assert len([n for n in names if n.endswith(".yaml")]) == len(CONFIGS)


def test_the_wheel_names_its_license(wheel):
    site, names = wheel
    (license_file,) = (name for name in names if Path(name).name == "LICENSE")
    assert (site / license_file).read_text() == (ROOT / "LICENSE").read_text()
    (metadata,) = site.glob("*.dist-info/METADATA")
    assert re.search(r"^License(-Expression)?: MIT$", metadata.read_text(), re.MULTILINE)


REGISTERED = (
    "import caspl.trainers, caspl.datasets; from dassl.engine import TRAINER_REGISTRY as T; "
    "from dassl.data.datasets import DATASET_REGISTRY as D; import caspl; "
    "print('CasPL_CoOp' in T.registered_names(), 'Digits' in D.registered_names(), caspl.__file__)"
)


def test_the_wheel_registers_into_the_dassl_that_is_there(wheel, tmp_path):
    """And leaves the host's own trainer alone."""
    (tmp_path / "dassl").symlink_to(ROOT / "dassl")
    own = "from dassl.engine import TRAINER_REGISTRY as T, TrainerX\n@T.register()\nclass CoOp(TrainerX): pass\n"
    printed = python(f"{own}{REGISTERED}; print(T.get('CoOp') is CoOp)", tmp_path, wheel[0], cwd=tmp_path)
    assert printed == f"True True {wheel[0] / 'caspl' / '__init__.py'}\nTrue"


def test_a_bare_checkout_imports(tmp_path):
    assert python(REGISTERED, ROOT, cwd=tmp_path).startswith("True True")


def test_the_core_knows_neither_dassl_nor_the_trainers(tmp_path):
    code = (
        "import caspl.prompting.model, caspl.checkpoints.boosting, caspl.prompting.distillation, caspl.results\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('dassl', 'trainers', 'datasets') or "
        "m.startswith(('caspl.trainers', 'caspl.datasets'))])"
    )
    assert python(code, ROOT, cwd=tmp_path) == "[]"
