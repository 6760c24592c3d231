"""The house by its imports: arrows point downwards, nothing goes in a circle, no import hides in a function.

docs/architecture.md shows the rooms. Every module of caspl/, trainers/, datasets/, configs/ and dassl/ is read, none imported.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {
    "caspl": "caspl",
    "trainers": "caspl.trainers",
    "datasets": "caspl.datasets",
    "configs": "caspl.configs",
    "dassl": "dassl",
}

# From the bottom to the top. A room imports from itself, from those beside it and from all below.
FLOORS = (
    {"ground", "border"},  # and BENEATH
    {"clip", "dassl"},
    {"prompting"},
    {"checkpoints"},
    {"use", "results"},
    {"configs", "datasets", "trainers", "sweeps"},
    {"host"},
    {"doors"},  # the modules of caspl/ itself: the commands, and public names for what is in the rooms
)
CORE = {"ground", "clip", "prompting", "checkpoints", "use"}
BENEATH = {"caspl"}  # at the top of caspl/ and imported from everywhere

# Imports of our own modules inside functions, each with its reason
LAZY = {
    ("caspl", "caspl.use.predictor"): "caspl.load: `import caspl` takes no second, and PyTorch takes several",
    ("caspl.configs.keys", "caspl.datasets"): "takes PyTorch, which the other commands of caspl.configs do without",
    ("caspl.configs.keys", "caspl.trainers"): "takes PyTorch, which the other commands of caspl.configs do without",
    ("caspl.configs.keys", "dassl.config.defaults"): "where no Dassl can be imported the two before provide it",
    ("caspl.host.installation", "caspl.host.configuration"): "imports the host's Dassl, which is checked first",
    ("caspl.host.installation", "caspl.host.registries"): "imports the host's Dassl, which is checked first",
}
MODULES_IN_A_FOLDER = 9  # __init__ is not counted
OPEN_ENDED = {"caspl.trainers", "caspl.datasets"}  # a file for each method and benchmark


@cache
def modules() -> dict[str, Path]:
    """Every module of ours by its one name. Links in caspl/ are not followed: they lead to the other folders."""
    found = {}
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            inside = path.relative_to(ROOT / folder).with_suffix("").parts
            if any(parent.is_symlink() for parent in path.parents) or "__pycache__" in inside:
                continue
            found[".".join([package, *inside]).removesuffix(".__init__")] = path
    return found


def is_ours(name: str) -> bool:
    return name.partition(".")[0] in FOLDERS


def targets(name: str, path: Path, node: ast.stmt) -> Iterator[str]:
    """The modules that an import statement names; `from package import module` names the module."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    base = node.module or ""
    if node.level:
        above = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*above, *([node.module] if node.module else [])])
    for alias in node.names:
        whole = f"{base}.{alias.name}"
        yield whole if whole in modules() else base


@cache
def imports() -> list[tuple[str, str, str]]:
    """(module, what it imports, where), for all imports of all modules; where: "top", "function" or "types only"."""
    found = []
    for name, path in modules().items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        where: dict[int, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                where |= {id(inner): "function" for inner in ast.walk(node)}
            elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                where |= {id(inner): "types only" for inner in ast.walk(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                found += [(name, target, where.get(id(node), "top")) for target in targets(name, path, node)]
    return found


def room(name: str) -> str:
    """`caspl.clip.blocks` -> `clip`."""
    if name.startswith("dassl"):
        return "dassl"
    parts = name.split(".")
    rooms = set().union(*FLOORS)
    return parts[1] if len(parts) > 1 and parts[1] in rooms else "doors"


def floor(name: str) -> int:
    return 0 if name in BENEATH else next(number for number, rooms in enumerate(FLOORS) if room(name) in rooms)


def own_imports(*places: str) -> list[tuple[str, str]]:
    """(module, what it imports), both ours; `places` as in `imports`, none: all of them."""
    return [(name, to) for name, to, where in imports() if is_ours(to) and where in (places or (where,))]


def test_every_module_has_one_name():
    """Ours are imported as caspl.trainers.coop, never as trainers.coop, and all that is imported exists."""
    wrong = [f"{name} imports {target}" for name, target in own_imports() if target not in modules()]
    assert not wrong


def test_arrows_point_downwards():
    wrong = [
        f"{name} imports {target}"
        for name, target in own_imports()
        if floor(target) > floor(name) and (name, target) not in LAZY
    ]
    wrong += [
        f"{name} imports {target}"
        for name, target in own_imports()
        if room(name) == "dassl" and room(target) not in ("dassl", "ground")
    ]
    assert not wrong


def test_nothing_goes_in_a_circle():
    """Importing a.b runs a, too: it counts, unless it contains the module that imports."""
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for name, target in own_imports("top", "function"):
        graph[name].add(target)
        parents = [target.rsplit(".", n)[0] for n in range(1, target.count(".") + 1)]
        graph[name] |= {parent for parent in parents if parent in graph and not f"{name}.".startswith(f"{parent}.")}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_no_import_of_ours_hides_in_a_function():
    hidden = {(name, target) for name, target, where in imports() if where == "function" and is_ours(target)}
    assert hidden == set(LAZY)


def test_the_core_knows_neither_dassl_nor_configurations():
    foreign = {"dassl", "yacs", "trainers", "datasets", "configs"}
    wrong = [
        f"{name} imports {target}"
        for name, target, _ in imports()
        if room(name) in CORE and (target.partition(".")[0] in foreign or room(target) in foreign and is_ours(target))
    ]
    assert not wrong


def test_the_picture_shows_every_room():
    shown = (ROOT / "docs" / "rooms.svg").read_text(encoding="utf-8")
    names = {f"{name}/" if name in FOLDERS else f"caspl/{name}" for rooms in FLOORS for name in rooms - {"doors"}}
    assert not [name for name in names if f">{name}</text>" not in shown]


def test_a_folder_is_a_room_and_no_drawer():
    counts: dict[str, int] = {}
    for name, path in modules().items():
        if name.startswith("caspl") and path.name != "__init__.py":
            package = name.rpartition(".")[0]
            counts[package] = counts.get(package, 0) + 1
    full = {package: count for package, count in counts.items() if count > MODULES_IN_A_FOLDER}
    assert full.keys() <= OPEN_ENDED, full
