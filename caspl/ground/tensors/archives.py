"""Reading weights without running anything that is in their files.

What torch.save and TorchScript write is a pickle with raw storages beside it, and a pickle is a program. Here it can build
plain containers, and notes of which tensor lies where; all else that it names becomes an inert `Unknown`. Whatever it
calls or fills is a class of this file or an immutable one of PyTorch, and no opcode ever meets a tensor: tensors are made
from the notes when the pickle has ended.

Files that are read: torch.save's zip archives and its older format of bare pickles (before PyTorch 1.6), TorchScript
archives (OpenAI's `ViT-B-16.pt` in `~/.cache/clip`).

A small file stays small: what a pickle may be, and a directory of a zip archive, has a bound that is compared before it is
read; storages lie in the file as they are, never compressed; and a tensor has no more numbers than its storage.
"""

from __future__ import annotations

import math
import os
import pickle
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from ..errors import InputError, first_line
from ..files import regular
from .kinds import LONGEST_MARK, other_kind
from .zips import check_directory

# What the older format starts with: torch.serialization.MAGIC_NUMBER and PROTOCOL_VERSION.
LEGACY_MARKS = (0x1950A86A20F9469CFC6C, 1001)
LARGEST_PICKLE = LARGEST_DIRECTORY = 2**22  # bytes: some 20,000 tensors, where a whole CLIP has some hundreds
MOST_SHARED = 16  # times that a byte of a file counts in tensors; the family's class buffers are views of one tensor


class UnreadableError(Exception):
    """A file is damaged, cut short, or of a kind that is not read here. The message says what was stumbled over."""


class UnknownObjectError(Exception):
    """A value holds an object of a class that is not known here."""


class Unknown:
    """Stands for any class or function that is not known, and for what it would have made. It does nothing.

    `state` is what the pickle gave the object to restore itself from: the attributes, for most classes. `entries` are those of
    a dictionary of an unknown class, under texts alone.
    """

    __slots__ = ("entries", "state")

    def __new__(cls, *_: object, **__: object) -> Unknown:
        self = super().__new__(cls)
        self.state = None
        self.entries: dict[str, object] = {}
        return self

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __call__(self, *_: object, **__: object) -> Unknown:
        return Unknown()

    def __setitem__(self, key: object, value: object) -> None:
        """Unknown dictionaries are filled with this, unknown lists and sets with what follows."""
        if isinstance(key, str):
            self.entries[key] = value

    def append(self, item: object) -> None: ...

    def extend(self, items: object) -> None: ...

    def add(self, item: object) -> None: ...


class _Mapping(dict):
    """An OrderedDict whose attributes (a module's state dict has `_metadata`) are let go."""

    def __setstate__(self, state: object) -> None: ...


class _Counter(_Mapping):
    """A Counter: MultiStepLR keeps its milestones in one."""


class _First:
    """Calling it gives its first argument: a parameter is its tensor, a typed list of TorchScript is the list."""

    def __new__(cls, first: object, *_: object) -> object:
        return first

    def __setstate__(self, state: object) -> None: ...


class _StorageNote:
    """Where a tensor's numbers lie, and of what type they are."""

    __slots__ = ("dtype", "key")

    def __init__(self, dtype: torch.dtype, key: str):
        self.dtype, self.key = dtype, key

    def __setstate__(self, state: object) -> None: ...


class TensorNote:
    """A tensor that is still in the file; `TensorFile.tensor` reads it. The arguments are those of _rebuild_tensor_v2."""

    __slots__ = ("storage", "offset", "size", "stride")

    def __init__(self, storage: object, offset: object, size: object, stride: object, *_: object):
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride

    def __setstate__(self, state: object) -> None: ...


_STORAGES = {
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "ShortStorage": torch.int16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
}
DTYPES = frozenset(_STORAGES.values())  # of all tensors that can be read
# All that a pickle can name. Pickles may set attributes of what they hold (opcode BUILD), so everything in here either has
# a __setstate__ that does nothing or can't be changed.
_KNOWN: dict[tuple[str, str], object] = {
    ("collections", "OrderedDict"): _Mapping,
    ("collections", "Counter"): _Counter,
    ("torch", "Size"): torch.Size,
    ("torch", "device"): torch.device,
    ("torch._utils", "_rebuild_tensor"): TensorNote,
    ("torch._utils", "_rebuild_tensor_v2"): TensorNote,
    ("torch._utils", "_rebuild_parameter"): _First,
    ("torch._utils", "_rebuild_parameter_with_state"): _First,
    **{(module, name): dtype for name, dtype in _STORAGES.items() for module in ("torch", "torch.cuda")},
    **{("torch", str(dtype).removeprefix("torch.")): dtype for dtype in _STORAGES.values()},
}


class _Bounded:
    """A file out of which no more than LARGEST_PICKLE bytes are read, whatever length the pickle in it announces."""

    def __init__(self, file: BinaryIO):
        self._file, self._left = file, LARGEST_PICKLE

    def read(self, length: int) -> bytes:
        return self._counted(self._file.read(min(length, self._left + 1)))

    def readline(self) -> bytes:
        return self._counted(self._file.readline(self._left + 1))

    def _counted(self, content: bytes) -> bytes:
        self._left -= len(content)
        if self._left < 0:
            raise UnreadableError(f"its pickle is longer than {LARGEST_PICKLE:,} bytes")
        return content


# Opcodes that nothing written by torch.save has, and that take memory or time beyond the length of the pickle
_REFUSED = (
    *(pickle.BYTEARRAY8, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER),
    *(pickle.EXT1, pickle.EXT2, pickle.EXT4),
    *(pickle.DICT, pickle.ADDITEMS, pickle.FROZENSET),
)


class _Unpickler(pickle._Unpickler):
    """Imports nothing: names lead to the classes above. `dtypes` collects the type of each storage by its key.

    It is the one in Python: the one in C makes room for as many values as a pickle says it will refer to.
    """

    dispatch = {code: step for code, step in pickle._Unpickler.dispatch.items() if code not in {c[0] for c in _REFUSED}}

    def __init__(self, file: BinaryIO):
        super().__init__(_Bounded(file), encoding="utf-8")  # of texts that Python 2 wrote
        self.dtypes: dict[str, torch.dtype] = {}

    def load_setitem(self) -> None:
        self._check_keys(self.stack[-2:-1])
        super().load_setitem()

    def load_setitems(self) -> None:
        self._check_keys(self.stack[::2])
        super().load_setitems()

    def _check_keys(self, keys: list) -> None:
        """Tuples of tuples of ... take a time that doubles with each level to be looked up."""
        if any(isinstance(key, tuple) for key in keys):
            raise UnreadableError("a dictionary whose keys are tuples")

    dispatch[pickle.SETITEM[0]], dispatch[pickle.SETITEMS[0]] = load_setitem, load_setitems

    def find_class(self, module: str, name: str) -> object:
        if module == "torch.jit._pickle":
            return _First
        return _KNOWN.get((module, name), Unknown)

    def persistent_load(self, key: tuple) -> _StorageNote:
        kind, dtype, name, _, _, *view = (
            key  # the device is of no interest; old files may say that it is part of another
        )
        if kind != "storage" or not isinstance(dtype, torch.dtype) or any(view):
            raise pickle.UnpicklingError(f"a storage of unknown kind: {key}")
        self.dtypes[name] = dtype
        return _StorageNote(dtype, name)


class TensorFile:
    """An open file: `root` as the pickle built it, and access to the tensors whose notes it holds."""

    def __init__(self, root: object, read: Callable[[str], bytes]):
        self.root = root
        self._read = read  # the bytes of a storage by its key
        self._stored = self._given = 0  # bytes read so far, and those of the tensors in them
        self._storages: dict[str, Tensor] = {}
        self._done: dict[int, object] = {}

    def tensor(self, note: TensorNote) -> Tensor:
        """The tensor of a note, on the CPU. Tensors that shared a storage share it again."""
        storage = self._storage(note.storage)
        if math.prod(note.size) > storage.numel():
            raise UnreadableError(f"a tensor of shape {tuple(note.size)} in a storage of {storage.numel()} numbers")
        self._given += math.prod(note.size) * storage.element_size()
        if self._given > MOST_SHARED * self._stored + 2**20:
            raise UnreadableError(f"tensors that are more than {MOST_SHARED} times as large as what they are stored in")
        # as_strided checks that the tensor lies within its storage.
        return torch.as_strided(storage, note.size, note.stride, note.offset)

    def _storage(self, note: object) -> Tensor:
        if not isinstance(note, _StorageNote):
            raise pickle.UnpicklingError("a tensor without a storage")
        if note.key not in self._storages:
            data = bytearray(self._read(note.key))
            numbers = torch.frombuffer(data, dtype=torch.uint8) if data else torch.empty(0, dtype=torch.uint8)
            self._storages[note.key] = numbers.view(note.dtype)
            self._stored += len(data)
        return self._storages[note.key]

    def plain(self, value: object) -> object:
        """`value` with tensors in place of notes, in dictionaries, lists and tuples.

        Raises UnknownObjectError where anything else but numbers, texts and PyTorch's types is in it.
        """
        if isinstance(value, TensorNote):
            return self.tensor(value)
        if value is None or isinstance(value, (bool, int, float, str, bytes, torch.Size, torch.dtype, torch.device)):
            return value
        if not isinstance(value, (dict, list, tuple)):
            raise UnknownObjectError(type(value).__name__)
        if id(value) not in self._done:  # what is referred to many times is followed once
            if isinstance(value, dict):
                kind = Counter if isinstance(value, _Counter) else dict
                self._done[id(value)] = kind({self.plain(key): self.plain(item) for key, item in value.items()})
            else:
                self._done[id(value)] = type(value)(self.plain(item) for item in value)
        return self._done[id(value)]


@contextmanager
def opened(path: Path) -> Iterator[TensorFile]:
    """The content of a file of torch.save or TorchScript, readable inside the `with` block.

    Raises UnreadableError, also for what goes wrong inside the block (an InputError stays one), and OSError where it can't
    be opened.
    """
    with regular(path).open("rb") as file:
        try:
            head = file.read(LONGEST_MARK)
            if stranger := other_kind(head):
                raise UnreadableError(stranger)
            if head.startswith(b"PK\x03\x04"):
                check_directory(file, LARGEST_DIRECTORY)
                with zipfile.ZipFile(file) as archive:
                    yield _read_archive(archive)
            else:
                file.seek(0)
                yield _read_legacy(file)
        except (InputError, UnreadableError):
            raise
        except Exception as error:  # bytes that are no valid pickle can raise anything
            raise UnreadableError(str(error) or type(error).__name__) from error


def _read_archive(archive: zipfile.ZipFile) -> TensorFile:
    names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if not names:
        content = ", ".join(sorted(archive.namelist())[:3])
        raise UnreadableError(
            f"a zip archive of other things ({first_line(content)}); unpack it if a model is among them"
        )
    folder = names[0].removesuffix("data.pkl")
    if f"{folder}byteorder" in archive.namelist() and _stored(archive, f"{folder}byteorder") != b"little":
        raise UnreadableError("written on a big-endian machine")
    with archive.open(names[0]) as file:
        root = _Unpickler(file).load()
    return TensorFile(root, lambda key: _stored(archive, f"{folder}data/{key}"))


def _stored(archive: zipfile.ZipFile, name: str) -> bytes:
    """What lies in the archive under `name` as it is; compressed, it could be a thousand times as long as the file."""
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise UnreadableError(f"{name} is compressed")
    return archive.read(name)


def _read_legacy(file: BinaryIO) -> TensorFile:
    """Pickles of the marks, the writer's machine, the content and the storages' keys, then the storages in that order.

    Each storage is its number of elements in eight bytes and its raw elements.
    """
    if tuple(_Unpickler(file).load() for _ in LEGACY_MARKS) != LEGACY_MARKS:
        raise UnreadableError("it does not begin as torch.save's files do")
    if not _Unpickler(file).load()["little_endian"]:
        raise UnreadableError("written on a big-endian machine")
    unpickler = _Unpickler(file)
    root = unpickler.load()
    places: dict[str, tuple[int, int]] = {}
    for key in _Unpickler(file).load():
        length = int.from_bytes(file.read(8), "little") * unpickler.dtypes[key].itemsize
        places[key] = (file.tell(), length)
        if file.seek(length, os.SEEK_CUR) > os.fstat(file.fileno()).st_size:
            raise UnreadableError("cut short")

    def read(key: str) -> bytes:
        start, length = places[key]
        file.seek(start)
        return file.read(length)

    return TensorFile(root, read)
