"""Experiment trackers beside TensorBoard, by the key LOGGER: they get a run's scalars, its configuration and its results.

None of them reaches a network unless its own environment variables say so: wandb writes below the run's folder
(`wandb sync` uploads), trackio into its folder of databases (`trackio show` draws). A tracker that fails is left out from there
on, with one warning: no training ends of it.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import logging
import os
import random
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from caspl.ground.errors import first_line
from caspl.ground.files import replacing
from caspl.ground.quiet import without_the_hub

log = logging.getLogger(__name__)

DEFAULTS = {  # of environment variables: what wandb is to do where its user has said nothing
    "WANDB_MODE": "offline",
    "WANDB_ERROR_REPORTING": "false",  # offline alone does not keep it from looking for its server
}
FILE = "loggers.json"  # in the folder of the run: under which names and ids it is tracked
PARTS = {"project": re.compile(r"[^/\\#?%:\s]+"), "name": re.compile(r"[^\n]+"), "id": re.compile(r"[0-9a-f]{8}")}
LONGEST = 128  # characters of a name, in wandb


class Tracker(Protocol):
    """One tracker's run."""

    where: str  # where it is seen, for people

    def scalars(self, values: Mapping[str, float], group: str, step: int | None) -> None:
        """Take values of one step: batches for the group "train", epochs for "val" and "test"."""

    def close(self, failed: bool) -> None:
        """End the run; what is pending is written before."""


class Wandb:
    """Weights & Biases: offline, unless WANDB_MODE says otherwise."""

    def __init__(self, folder: Path, identity: Mapping[str, str], config: Mapping[str, Any], resumed: bool) -> None:
        wandb = import_module("wandb")
        mode = os.environ["WANDB_MODE"]
        self._groups: set[str] = set()
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or identity["project"],
            name=identity["name"],
            id=identity["id"],
            dir=os.environ.get("WANDB_DIR") or str(folder),
            config=dict(config),
            resume="allow"
            if resumed and mode == "online"
            else None,  # runs of one id that were offline are joined later
            settings=wandb.Settings(console="off", silent=True, save_code=False),
        )
        self.where = f"wandb sync {self._run.settings.sync_dir}" if mode == "offline" else f"{self._run.url or mode}"

    def scalars(self, values: Mapping[str, float], group: str, step: int | None) -> None:
        axis = f"{group}/step"
        if group not in self._groups:
            self._groups.add(group)
            self._run.define_metric(axis, hidden=True)
            self._run.define_metric(f"{group}/*", step_metric=axis)
        self._run.log({**values, **({} if step is None else {axis: step})})

    def close(self, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


class Trackio:
    """Trackio: on this disk, unless TRACKIO_SPACE_ID or TRACKIO_SERVER_URL says otherwise."""

    def __init__(self, folder: Path, identity: Mapping[str, str], config: Mapping[str, Any], resumed: bool) -> None:
        self._library = trackio = import_module("trackio")
        own_machine = not (os.environ.get("TRACKIO_SPACE_ID") or os.environ.get("TRACKIO_SERVER_URL"))
        options = {"auto_log_gpu": False, "auto_log_cpu": False, "embed": False, "config": dict(config)}
        known = inspect.signature(trackio.init).parameters  # its first versions have fewer
        with without_the_hub() if own_machine else contextlib.nullcontext():  # else it asks there for the user's name
            self._run = trackio.init(
                project=identity["project"],
                name=identity["name"],
                resume="allow" if resumed else "never",
                **{name: value for name, value in options.items() if name in known},
            )
        self.where = f"trackio show --project {identity['project']}"

    def scalars(self, values: Mapping[str, float], group: str, step: int | None) -> None:
        self._run.log(dict(values), step=step)

    def close(self, failed: bool) -> None:
        self._library.finish()  # and not only the run: else it is ended once more at the end of the process


MAKERS: dict[str, Callable[..., Tracker]] = {"trackio": Trackio, "wandb": Wandb}


def named(text: str) -> list[str]:
    """The trackers that a value of LOGGER names, "trackio,wandb" say, in lower case."""
    return [name for word in (text or "").split(",") if (name := word.strip().lower())]


def missing(text: str) -> list[str]:
    """A clause for each tracker of LOGGER whose package cannot be imported.

    None for a value that the key itself refuses: nobody is to install whatever bears a mistyped name.
    """
    names, wrong = named(text), []
    if not MAKERS.keys() >= set(names) or len(set(names)) < len(names):
        return []
    for name in names:
        try:
            _quietly(import_module, name).init  # noqa: B018, a folder wandb/ that a run has left can be imported, too
        except (ImportError, AttributeError) as error:
            wrong.append(
                f"LOGGER is {text}, but the package {name} cannot be imported ({first_line(error)}); pip install "
                f"'caspl[{name}]' (or pip install {name}), or leave LOGGER empty"
            )
    return wrong


class Trackers:
    """All that LOGGER names; values of the same step are handed on together."""

    def __init__(self, opened: Mapping[str, Tracker] | None = None) -> None:
        self._open = dict(opened or {})
        self._pending: dict[str, float] = {}
        self._key: tuple[str, int | None] = ("", None)

    def add(self, tag: str, value: float, step: int | None) -> None:
        """Take a scalar; "train/loss" is of the group "train"."""
        if not self._open:
            return
        key = (tag.partition("/")[0], step)
        if key != self._key:
            self.flush()
        self._key = key
        self._pending[tag] = float(value)

    def flush(self) -> None:
        """Hand on what is pending."""
        if pending := self._pending:
            self._pending = {}
            self._ask(lambda tracker: tracker.scalars(pending, *self._key))

    def close(self, failed: bool = False) -> None:
        """End the tracked runs; a second call does nothing."""
        self.flush()
        self._ask(lambda tracker: tracker.close(failed))
        self._open = {}

    def _ask(self, work: Callable[[Tracker], None]) -> None:
        for name, tracker in [*self._open.items()]:
            try:
                _quietly(work, tracker)
            except Exception as error:
                del self._open[name]
                _tell_failure(name, error)


def begin(
    names: list[str], folder: str | os.PathLike[str], config: Mapping[str, Any], *, resumed: bool = False
) -> Trackers:
    """Start tracking a run with a flat `config`; `resumed`: go on with what is tracked already, where the folder says so."""
    opened = {}
    for name in names:
        try:
            identity, goes_on = _identity(Path(folder), name, resumed)
            with _same_random_numbers():
                opened[name] = _quietly(MAKERS[name], Path(folder), identity, config, goes_on)
        except Exception as error:
            _tell_failure(name, error)
        else:
            log.info("%s: %s / %s (%s)", name, identity["project"], identity["name"], opened[name].where)
    return Trackers(opened)


def _tell_failure(name: str, error: Exception) -> None:
    log.warning("%s fails and is left out from here on (%s); the run itself goes on", name, first_line(error))


def _identity(folder: Path, name: str, resumed: bool) -> tuple[dict[str, str], bool]:
    """Project, name and id under which `folder` is tracked, and whether it has been before."""
    path = folder / FILE
    known = _known(path)
    try:
        identity = {key: PARTS[key].fullmatch(known[name][key])[0] for key in PARTS} if resumed else {}
    except (LookupError, TypeError):  # damaged, or this tracker is new: nothing is lost but the connection
        identity = {}
    if identity:
        return identity, True
    project, run = names_of(folder)
    identity = {"project": project, "name": run, "id": secrets.token_hex(4)}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({**known, name: identity}, indent=1) + "\n", encoding="utf-8")
    return identity, False


def _known(path: Path) -> dict[str, Any]:
    """What the file holds, by tracker; {}: nothing that can be read."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def names_of(folder: Path) -> tuple[str, str]:
    """Project and name of a run: "output" and "coop/seed1" for output/coop/seed1 below the present folder.

    Of a folder elsewhere the whole path is the name, and the project "caspl". Characters that wandb refuses become "-"; of a
    name that is too long the end is kept.
    """
    path, here = Path(os.path.abspath(folder)), Path.cwd()
    parts = path.relative_to(here).parts if path.is_relative_to(here) else ("caspl", *path.parts[1:])
    project, *rest = parts or (here.name, here.name)
    return re.sub(r"[/\\#?%:\s]", "-", project)[-LONGEST:] or "caspl", "/".join(rest or [project])[-LONGEST:]


def _quietly(work: Callable[..., Any], *arguments: Any) -> Any:
    """What `work` gives; what it prints is left out, since a run's log holds its own lines, and DEFAULTS hold inside."""
    absent = [name for name in DEFAULTS if not os.environ.get(name)]
    os.environ.update({name: DEFAULTS[name] for name in absent})
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return work(*arguments)
    finally:
        for name in absent:
            os.environ.pop(name, None)


@contextlib.contextmanager
def _same_random_numbers() -> Iterator[None]:
    """Inside, random numbers may be drawn, as for names; afterwards come those that would have come."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
