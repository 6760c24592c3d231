"""Images in tar archives (WebDataset's shards), read one after another without unpacking, in an order drawn from a seed."""

from __future__ import annotations

import glob
import json
import logging
import os
import random
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from torch.utils.data import IterableDataset
from tqdm import tqdm

from caspl.ground.errors import InputError, cause
from caspl.ground.files import TEXT_BYTES, load_json, regular
from caspl.ground.images import MOST_BYTES, in_clutter, is_image

from .storage import store

T = TypeVar("T")
logger = logging.getLogger(__name__)

COUNTS = ".caspl-counts.json"  # file beside shards: {name: [bytes, time of change in ns, images, checksum of these]}
COUNTED = "without clutter"  # what counts as an image; other words make kept counts worthless
RANGE = re.compile(r"\{(\d{1,9})\.\.(\d{1,9})\}")
BUFFER = 1000  # images that a worker holds to shuffle
OPEN = 4  # parts that it reads from at a time
CHUNK = 1000  # loose image files in a part


class StreamedImage(NamedTuple):
    """An image file that has been read: where it was, its bytes, and the number of its domain. It has no label."""

    impath: str
    content: bytes
    domain: int
    label: int = -1


class Shard(NamedTuple):
    """A tar archive and the number of images in it."""

    path: str
    domain: int
    count: int

    def read(self, first: int, last: int) -> Iterator[StreamedImage]:
        """The images from number `first` to before `last`."""
        number = 0
        try:
            with tarfile.open(regular(self.path), "r:") as archive:
                for member in images_of(archive):
                    if number >= last:
                        return
                    if number >= first:
                        content = archive.extractfile(member).read()
                        yield StreamedImage(f"{self.path}/{member.name}", content, self.domain)
                    number += 1
        except InputError:
            raise
        except Exception as error:  # bytes that are no valid archive can raise anything
            raise InputError(
                f"the shard {self.path} cannot be read after {number} images ({cause(error)}); copy it again"
            ) from None
        if number < last:
            raise InputError(
                f"the shard {self.path} ends after {number} images, expected {self.count}: it has changed; start again"
            )


class Loose(NamedTuple):
    """Some image files of a folder."""

    paths: tuple[str, ...]
    domain: int

    @property
    def count(self) -> int:
        return len(self.paths)

    def read(self, first: int, last: int) -> Iterator[StreamedImage]:
        for path in self.paths[first:last]:
            try:
                with regular(path, MOST_BYTES).open("rb") as file:
                    yield StreamedImage(path, file.read(), self.domain)
            except OSError as error:
                raise InputError(f"the image {path} cannot be read ({error.strerror}); restore or remove it") from None


class ImageStream(IterableDataset):
    """The images of several parts (shards and loose files) as one stream.

    The order of the parts is drawn from a seed. Of that order everybody reads a stretch: from some parts at a time, through
    a buffer out of which images are drawn. Memory holds the buffer, whatever the size of the shards.
    """

    def __init__(self, parts: Iterable[Shard | Loose]) -> None:
        self.parts = list(parts)

    def __len__(self) -> int:
        return sum(part.count for part in self.parts)

    def __iter__(self) -> Iterator[StreamedImage]:
        """All images, in the order of seed 0."""
        return self.read(0, len(self), 0)

    def read(self, first: int, last: int, seed: int) -> Iterator[StreamedImage]:
        """The images from position `first` to before `last` of the order, shuffled."""
        order = random.Random(seed).sample(self.parts, len(self.parts))
        stretches, begin = [], 0
        for part in order:
            inside = max(first - begin, 0), min(last - begin, part.count)
            if inside[0] < inside[1]:
                stretches.append(part.read(*inside))
            begin += part.count
        rng = random.Random(f"{seed} {first}")
        return drawn(interleaved(stretches, rng), rng)


def interleaved(streams: list[Iterator[T]], rng: random.Random) -> Iterator[T]:
    """What the streams give, each time from one drawn out of the first few that have not ended."""
    running, waiting = streams[:OPEN], streams[OPEN:][::-1]
    while running:
        place = rng.randrange(len(running))
        try:
            yield next(running[place])
        except StopIteration:
            running[place : place + 1] = [waiting.pop()] if waiting else []


def drawn(stream: Iterator[T], rng: random.Random) -> Iterator[T]:
    """What the stream gives, each time one drawn out of the next few."""
    buffer: list[T] = []
    for item in stream:
        if len(buffer) < BUFFER:
            buffer.append(item)
            continue
        place = rng.randrange(BUFFER)
        buffer[place], item = item, buffer[place]
        yield item
    rng.shuffle(buffer)
    while buffer:
        yield buffer.pop()  # and forget it


# ---------------------------------------------------------------------------------------------------------------------
# Finding and counting
# ---------------------------------------------------------------------------------------------------------------------
def expand(pattern: str) -> list[str]:
    """The file of that name, or those that a pattern with *, ? or a range such as {000..099} names.

    Raises:
        InputError: one of a range is missing, the range is empty, or nothing matches.
    """
    if os.path.isfile(pattern):
        return [pattern]
    if match := RANGE.search(pattern):
        begin, end = match.groups()
        numbers = range(int(begin), int(end) + 1)
        if not numbers:
            raise InputError(
                f"the range in {pattern} (DATASET.PATHS) ends before it begins; write the lower number first"
            )
        return [
            path
            for number in numbers
            for path in expand(f"{pattern[: match.start()]}{number:0{len(begin)}d}{pattern[match.end() :]}")
        ]
    paths = sorted(glob.glob(pattern))
    if not paths:
        raise InputError(
            f"there is no {pattern} (DATASET.PATHS), expected a folder or tar files; correct it, it is relative "
            f"to the root"
        )
    return paths


def images_of(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The image files of an open archive, in its order; without clutter.

    Raises:
        tarfile.ReadError: a member claims a size below 0, which would lead back to it, or one is too large for an image.
    """
    before = -1
    while (member := archive.next()) is not None:
        archive.members = []  # tarfile keeps all it has met
        if archive.offset <= before:
            raise tarfile.ReadError(f"{member.name} has an impossible size")
        before = archive.offset
        if member.isfile() and is_image(member.name) and not in_clutter(member.name):
            if member.size > MOST_BYTES:
                raise tarfile.ReadError(f"{member.name} has {member.size:,} bytes, expected at most {MOST_BYTES:,}")
            yield member


def count_images(paths: list[str]) -> list[int]:
    """The number of images in each shard. Counts are kept beside the shards and hold while size and time stay.

    Raises:
        InputError: a file is no tar archive, is compressed or damaged, or holds no image.
    """
    counts = []
    kept: dict[str, dict] = {}
    new: set[str] = set()
    for path in tqdm(paths, desc="counting images in shards", unit="shard", leave=False, disable=None):
        folder, name = os.path.split(path)
        if folder not in kept:
            kept[folder] = _read_counts(folder)
        status = _opened(path).stat()
        state = [status.st_size, status.st_mtime_ns]
        if kept[folder].get(name, [])[:2] != state:
            kept[folder][name] = _sealed(name, [*state, _count(path)])
            new.add(folder)
        counts.append(kept[folder][name][2])
    for folder in new:
        store(os.path.join(folder, COUNTS), json.dumps(kept[folder], indent=0).encode(), folder)
    return counts


def _count(path: str) -> int:
    try:
        with tarfile.open(_opened(path), "r:") as archive:
            count = sum(1 for _ in images_of(archive))
            # tarfile takes a damaged header for the end, which is a block of zeros
            archive.fileobj.seek(archive.offset)
            damaged = archive.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0")
    except InputError:
        raise
    except Exception as error:  # bytes that are no valid archive can raise anything
        raise InputError(
            f"the shard {path} cannot be read ({cause(error)}), expected an uncompressed tar file; copy it again or "
            f"decompress it"
        ) from None
    if damaged:
        raise InputError(f"the shard {path} is damaged after {count} images, at byte {archive.offset}; copy it again")
    if not count:
        raise InputError(f"the shard {path} holds no images, expected files with endings such as .jpg; remove it")
    return count


def _opened(path: str) -> Path:
    try:
        return regular(path)
    except OSError as error:
        raise InputError(f"the shard {path} cannot be read ({error.strerror}); correct DATASET.PATHS") from None


def _sealed(name: str, numbers: list[int]) -> list[int]:
    return [*numbers, zlib.crc32(f"{COUNTED} {name} {numbers}".encode(errors="surrogateescape"))]


def _read_counts(folder: str) -> dict[str, list[int]]:
    """The entries of a folder's file of counts that are whole; the others are counted anew, with a warning."""
    path = os.path.join(folder, COUNTS)
    try:
        kept = load_json(regular(path, TEXT_BYTES).read_bytes())
        whole = {name: entry for name, entry in kept.items() if entry == _sealed(name, entry[:3])}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        logger.warning("%s is damaged and made anew (%s)", path, cause(error))
        return {}
    if len(whole) < len(kept):
        logger.warning(
            "%s has %d counts that are damaged or of an earlier version, which are made anew",
            path,
            len(kept) - len(whole),
        )
    return whole
