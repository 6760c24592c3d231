"""Fetching files over HTTP and unpacking archives: resumed, checked, and never written outside their place."""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import stat
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
from typing import IO, Any

from tqdm import tqdm

from caspl.ground.errors import InputError
from caspl.ground.files import regular

logger = logging.getLogger(__name__)

ATTEMPTS = 4  # connections without any progress before giving up
PAUSE = 2.0  # seconds before the next one
TIMEOUT = 60  # seconds without a byte
BLOCK = 1 << 20  # bytes
FILTER = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python before 3.10.12 or 3.11.4 has none
AGENT = {"User-Agent": "Mozilla/5.0 (compatible; caspl)"}  # some servers refuse Python's own


def fetch(url: str, path: str, digest: str = "") -> None:
    """Download `url` to `path`, going on where an earlier attempt stopped.

    What has come lies in `path`.part until it is complete and, where `digest` ("md5:..." or "sha256:...") is given, checked.

    Raises:
        InputError: the server does not have it or cannot be reached, or what came is something else.
    """
    part = f"{path}.part"
    fruitless, most = 0, _size(part)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    while True:
        try:
            if _receive(url, part):
                break
            reason = "the connection was closed early"
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 429:
                raise InputError(
                    f"{url} answers {error.code} ({error.reason}), expected the file; it has moved or is not public"
                ) from None
            reason = f"the server answers {error.code}"
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        fruitless, most = (0, _size(part)) if _size(part) > most else (fruitless + 1, most)
        if fruitless >= ATTEMPTS:
            raise InputError(f"{url} cannot be downloaded ({reason}); the same command goes on where it stopped")
        time.sleep(PAUSE)
    if digest:
        found = file_digest(part, digest.split(":")[0])
        if found != digest:
            _forget(part)
            raise InputError(
                f"what {url} gave has the checksum {found}, expected {digest}; it was deleted: try again or take "
                f"it from elsewhere"
            )
    os.replace(part, path)
    _forget(part)


def _receive(url: str, part: str) -> bool:
    """Append to `part` what it lacks; whether it is complete then."""
    have, marks = _size(part), f"{part}.from"
    source, _, version = _text(marks).partition("\n")
    headers = dict(AGENT)
    if have and version and source == url:
        # The rest, if it is still the same file there; else the server sends all of it
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing lies beyond: complete, or not of this file
            if error.headers.get("Content-Range", "").endswith(f"/{have}"):
                return True
            _forget(part)
            return False
        raise
    with response:
        if response.headers.get_content_type() == "text/html" and not url.endswith((".html", "/")):
            raise InputError(
                f"{url} gives a web page, expected the file; it is not public, or its quota of downloads is used "
                f"up: open the address in a browser"
            )
        if response.status != 206:
            have = 0
        with open(marks, "w", encoding="utf-8") as file:
            file.write(f"{url}\n{response.headers.get('ETag') or response.headers.get('Last-Modified') or ''}")
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=os.path.basename(part)[:-5], disable=None)
        with open(part, "ab" if have else "wb") as file, bar:
            while block := response.read(BLOCK):
                file.write(block)
                bar.update(len(block))
    return total is None or _size(part) >= total


def file_digest(path: str, kind: str) -> str:
    """The checksum of a file, as "md5:..." or "sha256:..."."""
    digest = hashlib.new(kind)
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return f"{kind}:{digest.hexdigest()}"


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0


def _text(path: str) -> str:
    try:
        return regular(path, BLOCK).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _forget(part: str) -> None:
    for path in (part, f"{part}.from"):
        if os.path.exists(path):
            os.unlink(path)


# ---------------------------------------------------------------------------------------------------------------------
# Archives
# ---------------------------------------------------------------------------------------------------------------------
def unpack(archive: str, folder: str) -> None:
    """Unpack a tar (also compressed) or zip file into `folder`, which is new or empty.

    Raises:
        InputError: it is neither, is damaged, or a member has an absolute path, one with "..", or is a link to the outside or
            a device. What came before that member has been written, inside `folder`.
    """
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, folder)
        else:
            _unpack_tar(archive, folder)
    except InputError:
        raise
    except Exception as error:  # bytes that are no valid archive can raise anything
        if isinstance(error, OSError) and error.errno is not None:  # the disk's answer
            raise
        raise InputError(
            f"{archive} cannot be unpacked ({' '.join(str(error).split())}), expected a complete tar or zip file; "
            f"download it again"
        ) from None


def _unpack_tar(archive: str, folder: str) -> None:
    with open(archive, "rb") as raw, _progress(archive, raw) as file, tarfile.open(fileobj=file, mode="r:*") as tar:
        for member in tar:
            _check_inside(archive, member.name)
            if member.issym() or member.islnk():
                _check_inside(archive, member.linkname, f"the link {member.name} leads to ")
            if FILTER:
                tar.extract(member, folder, **FILTER)  # refuses devices and, once more, what leads outside
            elif member.isfile() or member.isdir() or member.issym() or member.islnk():
                member.mode = member.mode & 0o755 | 0o600
                tar.extract(member, folder)
            else:
                raise InputError(f"{archive} is refused: {member.name} is a device, expected files and folders only")


def _unpack_zip(archive: str, folder: str) -> None:
    with zipfile.ZipFile(archive) as file:
        members = file.infolist()
        for member in members:
            _check_inside(archive, member.filename)
            if stat.S_ISLNK(member.external_attr >> 16):
                raise InputError(f"{archive} is refused: {member.filename} is a link, expected files and folders only")
        for member in tqdm(
            members, desc=f"unpacking {os.path.basename(archive)}", unit="file", leave=False, disable=None
        ):
            file.extract(member, folder)


def _check_inside(archive: str, name: str, what: str = "a member is called ") -> None:
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
        raise InputError(
            f"{archive} is refused: {what}{name!r}, expected a path inside the archive; get it from elsewhere"
        )


def _progress(archive: str, file: IO[bytes]) -> Any:
    return tqdm.wrapattr(
        file,
        "read",
        total=os.path.getsize(archive),
        desc=f"unpacking {os.path.basename(archive)}",
        unit="B",
        unit_scale=True,
        leave=False,
        disable=None,
    )
