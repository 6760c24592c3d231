"""Files of prompts whose header or tensors are not what they say, at every door that reads one."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

from ..cases import Case
from ..damage import bytewise
from ..sound import Sound

MISSING = object()
INF, NAN = float("inf"), float("nan")
# For each type that a field has, what it can't be
WRONG: dict[type, tuple[Any, ...]] = {
    int: (MISSING, None, "8", 1.5, True, [], -(10**30), 30_000_000, 10**400),
    float: (MISSING, None, "1.0", NAN, INF, -INF, 1e300, [], True),
    str: (MISSING, None, 17, ["a"], {"a": 1}),
    list: (MISSING, None, "a", 17, {"a": 1}, [None], [[[[1]]]], [1e400], [10**400]),
}
# What only this field can't be
ALSO: dict[str, tuple[Any, ...]] = {
    "student": (
        "hf-hub:org/name",
        "hf-hub:../../etc/passwd",
        "nowhere/weights.pt",
        "/dev/zero",
        "hub:org/name",
        "\x1b[2J",
        "n" * 5000,
    ),
    "backbone": ("hf-hub:org/name", "hf-hub:a", "nowhere/weights.pt", "/dev/zero", "hub:org/name", "a\0b", ""),
    "student_fingerprint": ("0" * 16,),
    "backbone_fingerprint": ("0" * 16,),
    "text_length": (-1, 0, 7),
    "vision_length": (-1, 7),
    "text_depth": (-1, 7),
    "vision_depth": (-1, 7),
    "text_width": (-1, 63, 2**40),
    "vision_width": (-1, 65),
    "temperature": (0, -1),
    "epochs": (-5,),
    "seed": (-(2**70),),
    "names": ("some",),
    "size": ([32], [0, 32], [-1, -1], [10**9, 10**9], [32, 32, 32], [2.5, 2.5], ["32", "32"]),
    "interpolation": ("cubist",),
    "mean": ([0.5], [NAN, 0, 0], [1e300, 0, 0], ["0", "0", "0"]),
    "std": ([0.5], [0, 0, 0], [-1, 1, 1], [INF, 1, 1]),
    "classnames": ([], ["a", 1], ["a" * 100_000] * 10),
    "groups": ([], [{}], [{"kind": "prompts"}], [{"kind": "other"}], [None] * 100),
    "template": ("no name", "{0.__class__}", "{:>999999999}"),
}

USED = ("student", "student_fingerprint")  # by predict, which loads the CLIP that they name


def cases(sound: Sound, seed: int) -> Iterator[Case]:
    sources = (
        (sound.coop / "prompts.safetensors", run_doors(sound)),
        (sound.boosting / "boosting.safetensors", boosting_doors(sound)),
        (sound.cocoop / "prompts.safetensors", run_doors(sound)[:1]),
    )
    for source, doors in sources:
        door = cycle(doors[seed % len(doors) :] + doors[: seed % len(doors)])
        names = ("case.safetensors", "--backbone")
        header = json.loads(parts(source)[0]["__metadata__"]["header"])
        if "cocoop" not in str(source):
            for field, value in header.items():
                for wrong in (*WRONG[type(value)], *ALSO.get(field, ())):
                    what = f"{field} is {'missing' if wrong is MISSING else short(wrong)}"
                    if harmless(field, wrong):
                        continue
                    name, argv = next(door)
                    if field in USED and isinstance(wrong, str):  # the others compare fingerprints, or only pass it on
                        name, argv = run_doors(sound)[0]
                    prepare = partial(write_header, source=source, field=field, value=wrong)
                    yield Case("record's header", name, what, argv, (*names, field), prepare)
        groups = header.get("groups", ())
        for field, value in (groups[0] if groups else {}).items():
            for wrong in WRONG[type(value)]:
                if harmless(field, wrong) or field == "kind" and isinstance(wrong, str):
                    continue
                changed = dict(groups[0])
                changed.pop(field) if wrong is MISSING else changed.update({field: wrong})
                name, argv = next(door)
                prepare = partial(write_header, source=source, field="groups", value=[changed])
                what = f"{field} of a group is {'missing' if wrong is MISSING else short(wrong)}"
                yield Case("record's header", name, what, argv, names, prepare)
        for what, change in (*METADATA, *TENSORS):
            name, argv = next(door)
            prepare = partial(write_changed, source=source, change=change)
            yield Case("record's tensors", name, what, argv, names, prepare)
        for what, content in bytewise(source, seed):
            name, argv = next(door)
            yield Case("record's bytes", name, what, argv, names, partial(write, content=content))


def run_doors(sound: Sound) -> list[tuple[str, tuple[str, ...]]]:
    return [
        ("predict", ("case.safetensors", str(sound.photo))),
        ("export", ("case.safetensors", "--state-dict", "out.safetensors")),
        ("words", ("case.safetensors",)),
    ]


def boosting_doors(sound: Sound) -> list[tuple[str, tuple[str, ...]]]:
    return [
        ("share", ("case.safetensors", "--folder", "out")),
        ("train", sound.digits("CasPL_CoOp", "TRAINER.CASPL.BOOSTING", "case.safetensors")),
        ("predict", ("case.safetensors", str(sound.photo))),
        ("words", ("case.safetensors",)),
    ]


def short(value: Any) -> str:
    text = json.dumps(value) if not (isinstance(value, int) and abs(value) > 10**100) else "10**400"
    return text if len(text) < 50 else f"{text[:40]} ..."


def harmless(field: str, value: Any) -> bool:
    """What the field may be all the same."""
    if field in ("after_name", "words", "text_depth", "vision_depth") and value == 0:
        return True
    if field in ("epochs", "seed", "shots") and value == 30_000_000:
        return True
    return field in ("meta_net", "vision", "text", "classnames", "groups") and value == [] and field != "groups"


# ---------------------------------------------------------------------------------------------------------------------
# Changing a safetensors file without the library that checks
# ---------------------------------------------------------------------------------------------------------------------
def parts(path: Path) -> tuple[dict[str, Any], bytes]:
    """What stands before the tensors, and their bytes."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def joined(front: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(front).encode()
    return struct.pack("<Q", len(text)) + text + data


def write(folder: Path, content: bytes) -> None:
    (folder / "case.safetensors").write_bytes(content)


def write_header(folder: Path, source: Path, field: str, value: Any) -> None:
    front, data = parts(source)
    header = json.loads(front["__metadata__"]["header"])
    if value is MISSING:
        del header[field]
    else:
        header[field] = value
    import sys

    sys.set_int_max_str_digits(0)
    front["__metadata__"]["header"] = json.dumps(header)
    sys.set_int_max_str_digits(4300)
    write(folder, joined(front, data))


def write_changed(folder: Path, source: Path, change: Callable[[dict[str, Any], bytes], bytes]) -> None:
    write(folder, change(*parts(source)))


def _metadata(**changes: Any) -> Callable[[dict[str, Any], bytes], bytes]:
    def change(front: dict[str, Any], data: bytes) -> bytes:
        about = front["__metadata__"]
        for key, value in changes.items():
            about.pop(key, None) if value is MISSING else about.update({key: value})
        return joined(front, data)

    return change


def _first(**changes: Any) -> Callable[[dict[str, Any], bytes], bytes]:
    """The entry of the first tensor, changed."""

    def change(front: dict[str, Any], data: bytes) -> bytes:
        name = min(key for key in front if key != "__metadata__")
        front[name] |= changes
        return joined(front, data)

    return change


def _values(make: Callable[[Any], Any]) -> Callable[[dict[str, Any], bytes], bytes]:
    """All tensors, as a float32 array of numpy, changed."""

    def change(front: dict[str, Any], data: bytes) -> bytes:
        import numpy as np

        return joined(front, make(np.frombuffer(data, "<f4").copy()).tobytes())

    return change


def _put(value: float, index: int | slice) -> Callable[[Any], Any]:
    def change(values: Any) -> Any:
        values[index] = value
        return values

    return change


def _renamed(front: dict[str, Any], data: bytes) -> bytes:
    name = min(key for key in front if key != "__metadata__")
    front["other"] = front.pop(name)
    return joined(front, data)


def _halved(front: dict[str, Any], data: bytes) -> bytes:
    import numpy as np

    for name, entry in front.items():
        if name != "__metadata__":
            entry |= {"dtype": "F16", "data_offsets": [offset // 2 for offset in entry["data_offsets"]]}
    return joined(front, np.frombuffer(data, "<f4").astype("<f2").tobytes())


def _empty(front: dict[str, Any], data: bytes) -> bytes:
    return joined({"__metadata__": front["__metadata__"]}, b"")


def _added(front: dict[str, Any], data: bytes) -> bytes:
    front["other"] = {"dtype": "F32", "shape": [1], "data_offsets": [len(data), len(data) + 4]}
    return joined(front, data + b"\0\0\0\0")


METADATA = (
    ("another format", _metadata(format="other")),
    ("no format", _metadata(format=MISSING)),
    ("another version", _metadata(version="99")),
    ("no version", _metadata(version=MISSING)),
    ("another kind", _metadata(kind="other")),
    ("no kind", _metadata(kind=MISSING)),
    ("a kind with escapes", _metadata(kind="\x1b[2J")),
    ("no header", _metadata(header=MISSING)),
    ("a header that is no JSON", _metadata(header="{")),
    ("a header that is a list", _metadata(header="[]")),
    ("a header that is null", _metadata(header="null")),
    ("a header that is empty", _metadata(header="")),
    ("a header nested 100,000 times", _metadata(header="[" * 100_000)),
    ("a header nested in itself", _metadata(header='{"a":' * 20_000 + "1" + "}" * 20_000)),
    ("a header with a field of nobody", _metadata(header='{"other": 1}')),
    ("a header of 5,000 digits", _metadata(header='{"epochs": ' + "9" * 5000 + "}")),
    ("a header with a field twice", _metadata(header='{"epochs": 1, "epochs": 2}')),
)
TENSORS = (
    ("not a number", _values(_put(NAN, 0))),
    ("not a number at the end", _values(_put(NAN, -1))),
    ("infinite", _values(_put(INF, 3))),
    ("below all numbers", _values(_put(-INF, 3))),
    ("of an absurd magnitude", _values(_put(1e30, slice(None)))),
    ("one of an absurd magnitude", _values(_put(3e38, 5))),
    ("in half precision", _halved),
    ("named otherwise", _renamed),
    ("none", _empty),
    ("one too many", _added),
    ("a dtype of nobody", _first(dtype="F99")),
    ("whole numbers", _first(dtype="I32")),
    ("a huge shape", _first(shape=[2**40, 2**20])),
    ("a negative shape", _first(shape=[-1, 64])),
    ("a shape of another size", _first(shape=[1, 1])),
    ("offsets behind the end", _first(data_offsets=[10**12, 10**12 + 2048])),
    ("offsets turned round", _first(data_offsets=[2048, 0])),
)
