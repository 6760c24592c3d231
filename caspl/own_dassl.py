"""The project's own `dassl/`, under that name, where no Dassl can be imported.

Trainers and datasets register into the Dassl that is importable: the host's in a host, the folder `dassl/` in a checkout.
Elsewhere, `python -m caspl.datasets list` in any folder say, the project's own stands in. It is the checkout's folder, or in a
wheel a copy inside this package, since only the name `caspl` may appear in site-packages.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
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
