"""Training images in memory, decoded: reading one again costs a copy of its pixels. Not in Dassl.

They are decoded by threads of the main process, before the first pass. The processes of a loader are forks of it, which share
its memory as long as nobody writes there, and so have the images without a copy. Where processes start afresh, as on macOS and
Windows, each would need images of its own, and nothing is kept.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from PIL import Image
from tqdm import tqdm

from caspl.ground.errors import InputError
from caspl.ground.images import read_image

logger = logging.getLogger(__name__)

GB = 1e9
LEAST = 0.1  # the share of the images from which on keeping them is worth the memory
_Pixels = tuple[tuple[int, int], bytes]  # width and height; RGB, 3 bytes a pixel


class DecodedImages:
    """Images by their paths: those that are kept out of memory, all others from their files. `most`: GB of the kept ones."""

    def __init__(self, most: float) -> None:
        self.most = most * GB
        self._kept: dict[str, _Pixels] = {}

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def held(self) -> int:
        """Bytes of the kept ones."""
        return sum(len(pixels) for _, pixels in self._kept.values())

    def __getstate__(self) -> dict:
        return {**vars(self), "_kept": {}}  # a process that starts afresh reads the files

    def read(self, path: str) -> Image.Image:
        """As `caspl.ground.images.read_image`."""
        kept = self._kept.get(path)
        return read_image(path) if kept is None else Image.frombytes("RGB", *kept)

    def keep(self, paths: Sequence[str], processes: int) -> None:
        """Decode images one after another until the memory that there is for them is full.

        One that can't be read is left to whoever needs it, and gets the error. `processes` are those of the loader; as many
        threads decode.
        """
        wanted = [path for path in dict.fromkeys(paths) if path not in self._kept]
        if not wanted or not self.most:
            return
        if processes and (method := multiprocessing.get_context().get_start_method()) != "fork":
            logger.info(
                f"Training images are not kept in memory (DATALOADER.CACHE): the loader's processes start by {method} here, "
                "and share none; with DATALOADER.NUM_WORKERS 0 they are"
            )
            return
        threads = max(processes, 1)
        with (
            ThreadPoolExecutor(threads) as pool,
            tqdm(total=len(wanted), desc="decoding", unit="image", leave=False, disable=None) as bar,
        ):
            for first in range(0, len(wanted), 8 * threads):  # so few are decoded in vain where the memory is full
                part = wanted[first : first + 8 * threads]
                decoded = {path: pixels for path, pixels in zip(part, pool.map(_decoded, part), strict=True) if pixels}
                more = sum(len(pixels) for _, pixels in decoded.values())
                if not first and more * len(wanted) / len(part) > self.most / LEAST or self.held + more > self.most:
                    break
                self._kept |= decoded
                bar.update(len(part))
        logger.info(
            f"{len(self):,} of {len(wanted):,} training images are kept in memory, {self.held / GB:.2f} GB (DATALOADER.CACHE)"
        )


def _decoded(path: str) -> _Pixels | None:
    try:
        image = read_image(path)
    except (InputError, OSError):
        return None
    return image.size, image.tobytes()
