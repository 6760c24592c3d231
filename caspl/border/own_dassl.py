"""The project's own `dassl/`, under that name, where no Dassl can be imported.

Trainers and datasets register into the Dassl that is importable: the host's in a host, the folder `dassl/` in a checkout.
Elsewhere, `python -m caspl.datasets list` in any folder say, the project's own stands in. It is the checkout's folder, or in a
wheel a copy inside this package, since only the name `caspl` may appear in site-packages.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

from ..ground.errors import InputError

PACKAGE = Path(__file__).resolve().parents[1]
PLACES = (PACKAGE / "_bundled" / "dassl", PACKAGE.parent / "dassl")  # in a wheel (see setup.py), in a checkout


def importable() -> bool:
    """Whether a Dassl can be imported. A folder of that name without code, an empty submodule say, is none."""
    spec = find_spec("dassl")
    return spec is not None and spec.origin is not None


def provide() -> None:
    """Import the project's own package as `dassl`.

    Raises:
        ModuleNotFoundError: it is not where a wheel and a checkout have it.
    """
    found = [place for place in PLACES if (place / "__init__.py").is_file()]
    if not found:
        raise ModuleNotFoundError(
            f"there is neither an importable Dassl nor CasPL's own in {PLACES[0]} or {PLACES[1]}; install CasPL again",
            name="dassl",
        )
    spec = spec_from_file_location("dassl", found[0] / "__init__.py", submodule_search_locations=[str(found[0])])
    module = sys.modules["dassl"] = module_from_spec(spec)
    spec.loader.exec_module(module)


def insist() -> Path | None:
    """Import the project's own package as `dassl` for a program that is ours as a whole, whatever other one there is.

    Processes that this one starts find it, too: they are given `sys.path`.

    Returns:
        Where the other one is, that an `import dassl` would have found; None where there is none.

    Raises:
        InputError: another one has been imported already, with which no module of ours may be mixed.
        ModuleNotFoundError: as `provide`.
    """
    if "dassl" in sys.modules:
        if not _is_own(sys.modules["dassl"].__file__):
            raise InputError(
                f"{sys.modules['dassl'].__file__} has been imported, but this command trains with CasPL's own Dassl; start it "
                f"by itself, or train by the train.py of that Dassl's checkout, with import caspl.plugin in it"
            )
        return None
    other = Path(find_spec("dassl").origin).parent if importable() else None
    if other is not None and _is_own(other / "__init__.py"):
        return None
    provide()
    sys.path.insert(len(sys.path) if other is None else 0, str(Path(sys.modules["dassl"].__file__).parents[1]))
    return other


def _is_own(file: str | Path) -> bool:
    return Path(file).resolve().parent in PLACES
