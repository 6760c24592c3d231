"""`python -m caspl.configs show FILE`: a configuration with all that its `_BASE_` files say, as one file to copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ..ground.errors import InputError
from ..ground.texts import tell
from ..ground.yaml_files import lineage, merged
from . import find_base, find_file, shown


def main(argv: list[str]) -> None:
    """Print the one file that is named. Raises InputError."""
    if len(argv) != 1:
        raise InputError(f"show takes one FILE, found {len(argv)}; python -m caspl.configs lists CasPL's own")
    tell(flat(argv[0]).removesuffix("\n"))


def flat(path: str | Path) -> str:
    """The text of a YAML file without `_BASE_` that sets what `path` sets; comments say how it is launched and what it is from.

    Raises:
        InputError: there is no such file, or as `caspl.ground.yaml_files.read_yaml`.
    """
    path = find_file(path)
    files = lineage(path, find_base)
    *bases, own = (shown(file) for file, _ in files)
    source = [
        f"# All settings of {own}" + ("; those of its bases, later ones over earlier ones, come from" if bases else "")
    ]
    source += [f"#     {base}" for base in dict.fromkeys(bases)]
    settings = yaml.dump(merged(files), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return "\n".join([*_first_comments(path), *source, settings])


def _first_comments(path: Path) -> list[str]:
    """The comment lines that a file begins with: its launch command."""
    lines = path.read_text(encoding="utf-8").splitlines()
    end = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return lines[:end]


class Dumper(yaml.SafeDumper):
    """Writes lists in one line, as in the configuration files."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


Dumper.add_representer(
    list, lambda dumper, values: dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=True)
)
