"""Getting a benchmark onto the disk: downloading, checking, unpacking, and moving it into its place in one step."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import urlsplit

from caspl.ground.errors import InputError
from caspl.ground.locks import HeldError, locked

from .catalog import BENCHMARKS, CLASSNAMES_SOURCE, MIRROR, Source
from .download import fetch, unpack
from .registry import dataset_class

logger = logging.getLogger(__name__)

WORK = ".caspl-downloads"  # folder under the root for what is under way; on the same disk, so that moving is one step


def prepare(name: str, root: str, mirror: bool = False) -> None:
    """Download what the folder of a benchmark lacks, from its official sources, or else from the family's mirror.

    Entries that are there stay as they are. What is under way lies in `root`/.caspl-downloads, where an interrupted download
    goes on, and appears in the dataset's folder only when it is complete.

    Args:
        name: the dataset's name.
        root: the folder that holds the datasets; made if it is missing.
        mirror: ask the mirror first.

    Raises:
        InputError: it can't be had; the sentence says why, and what to get from where.
    """
    kind = dataset_class(name)
    if name not in BENCHMARKS:
        raise InputError(
            f"{name} is not for downloading, expected one of {', '.join(BENCHMARKS)}; a run finds its images "
            f"under its root or makes them"
        )
    root = os.path.abspath(os.path.expanduser(root))
    target, work = os.path.join(root, kind.dataset_dir), os.path.join(root, WORK, kind.dataset_dir)
    if not _lacks(target, _needed(name)):
        logger.info("%s has all it needs; to verify it: check %s", target, name)
        return
    try:
        os.makedirs(work, exist_ok=True)
        with locked(os.path.join(work, ".lock")):
            _prepare(name, target, work, mirror)
            shutil.rmtree(work, ignore_errors=True)
        with suppress(OSError):  # others are under way
            os.rmdir(os.path.dirname(work))
    except HeldError as error:
        raise InputError(
            f"another process is preparing {name} in {work} ({error.holder}); wait for it to end"
        ) from None
    except OSError as error:
        raise InputError(
            f"{name} cannot be written to {root} ({error.strerror or error}), expected a folder with enough space "
            f"that can be written to; correct --root"
        ) from None
    logger.info("%s is in place; to verify it: check %s", target, name)


def _needed(name: str) -> list[str]:
    """The entries without which a dataset's folder is not complete: images first."""
    facts, kind = BENCHMARKS[name], dataset_class(name)
    lists = [kind.split_file] if kind.split_file else []
    return [
        facts.entry or kind.image_dir,
        *lists,
        *([CLASSNAMES_SOURCE.entry] if CLASSNAMES_SOURCE in facts.official else []),
    ]


def _lacks(folder: str, entries: Iterable[str]) -> bool:
    return not all(os.path.exists(os.path.join(folder, entry)) for entry in entries)


def _prepare(name: str, target: str, work: str, mirror: bool) -> None:
    facts, needed, failures = BENCHMARKS[name], _needed(name), []
    ways = [_from_official, _from_mirror]
    for way in reversed(ways) if mirror else ways:
        try:
            way(name, target, work)
        except InputError as error:
            failures.append(str(error))
            logger.warning("%s", error)
        if not _lacks(target, needed):
            return
    advice = [facts.manual] if facts.manual else []
    advice += [f"{source.entry} is at {source.urls[0]}" for source in facts.official if _lacks(target, [source.entry])]
    if facts.mirror:
        advice.append(f"the mirror's files are listed at {MIRROR}/tree/main")
    reasons = f" ({'; '.join(failures)})" if failures else ""
    raise InputError(f"{target} cannot be completed by downloading{reasons}; to do by hand: {'; '.join(advice)}")


def _from_official(name: str, target: str, work: str) -> None:
    # Single files first: where a split can't be had the mirror is asked, and no archive was fetched in vain
    for source in sorted(BENCHMARKS[name].official, key=lambda source: not source.is_file):
        if _lacks(target, [source.entry]):
            _get(source, target, work)


def _from_mirror(name: str, target: str, work: str) -> None:
    facts, kind = BENCHMARKS[name], dataset_class(name)
    if facts.mirror:
        url = f"{MIRROR}/resolve/main/{facts.mirror}"
        _get(Source(_needed(name)[0], (url,), hub_digest(url)), target, work, others=kind.other_image_dirs)


def hub_digest(url: str) -> str:
    """The checksum that the Hub knows of a file, "" where it tells none."""
    from huggingface_hub import get_hf_file_metadata  # slow to import

    try:
        tag = get_hf_file_metadata(url).etag or ""
    except Exception as error:  # whatever is wrong, the download will meet and tell
        logger.debug("no checksum of %s: %s", url, error)
        return ""
    return f"sha256:{tag}" if len(tag) == 64 else ""


def _get(source: Source, target: str, work: str, others: tuple[str, ...] | None = None) -> None:
    """Download a source and move what it holds into the dataset's folder `target`.

    With `others` (other names of the entry) the archive is the mirror's: the folder in it is to be found.
    """
    path = _download(source, work)
    if source.is_file:
        os.makedirs(target, exist_ok=True)
        os.replace(path, os.path.join(target, source.entry))
        return
    folder = tempfile.mkdtemp(prefix="unpacked-", dir=work)
    try:
        logger.info("Unpacking %s", path)
        unpack(path, folder)
        if source.nested:
            inner = os.path.join(folder, "nested")
            os.mkdir(inner)
            unpack(os.path.join(folder, source.nested), inner)
            found = inner
        else:
            found = os.path.join(folder, source.inside) if others is None else _find(folder, (source.entry, *others))
        _move(found, target, (source.entry, *(others or ())), path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.unlink(path)  # in its place now, or of no use


def _download(source: Source, work: str) -> str:
    """The path of the downloaded file; InputError, the first place's, if none gives it."""
    failure = None
    for url in source.urls:
        name = os.path.basename(urlsplit(url).path)
        path = os.path.join(work, name if "." in name else source.entry)
        if os.path.exists(path):
            return path
        try:
            logger.info("Downloading %s", url)
            fetch(url, path, source.digest)
            return path
        except InputError as error:
            failure = failure or error
    raise failure


def _find(folder: str, entries: Iterable[str]) -> str:
    """The folder in an unpacked archive that is the dataset's: it holds one of `entries`, at the top or a few folders below."""
    inside = [folder]
    while len(inside) == 1 and all(_lacks(inside[0], [entry]) for entry in entries):
        folder = inside[0]
        inside = [item.path for item in os.scandir(folder) if item.is_dir() and not item.name.startswith(("_", "."))]
    return inside[0] if len(inside) == 1 else folder


def _move(folder: str, target: str, entries: tuple[str, ...], archive: str) -> None:
    """Move what `target` lacks out of `folder`; one of `entries` last, for it tells that nothing is lacking."""
    if all(_lacks(folder, [entry]) for entry in entries):
        found = ", ".join(sorted(os.listdir(folder))[:5]) if os.path.isdir(folder) else ""
        raise InputError(
            f"{os.path.basename(archive)} holds {found or 'nothing'}, expected {entries[0]}; it is another "
            f"archive, get it from elsewhere"
        )
    os.makedirs(target, exist_ok=True)
    for entry in sorted(os.listdir(folder), key=lambda entry: entry in entries):
        place = os.path.join(target, entries[0] if entry in entries else entry)
        if not os.path.exists(place):
            os.rename(os.path.join(folder, entry), place)
