"""Configuration files that are no configuration: damaged, hostile, or of something else."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ..cases import Case
from ..sound import Sound

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
CANARY = "canary"
# What, the bytes, and what else than the file may be named
TEXTS: tuple[tuple[str, bytes, tuple[str, ...]], ...] = (
    ("a key twice", b"OPTIM:\n  LR: 0.1\n  LR: 0.2\n", ("LR",)),
    ("a section twice", b"OPTIM:\n  LR: 0.1\nOPTIM:\n  MAX_EPOCH: 3\n", ("OPTIM",)),
    ("nested 20,000 lists", b"OPTIM: " + b"[" * 20_000, ()),
    ("nested 20,000 mappings", b"{a: " * 20_000, ()),
    ("nested 3,000 lists, closed", b"OPTIM:\n  LR: " + b"[" * 3_000 + b"]" * 3_000, ("OPTIM.LR",)),
    ("nested 3,000 blocks", b"".join(b" " * n + b"a:\n" for n in range(3_000)), ("a.a",)),
    ("itself as a list", b"OPTIM: &a [*a]\n", ("OPTIM",)),
    ("itself as a mapping", b"OPTIM: &a {LR: *a}\n", ("OPTIM.LR",)),
    ("itself as the whole", b"&a {OPTIM: *a}\n", ("OPTIM",)),
    ("a billion laughs", LAUGHS.encode(), ("a0",)),
    ("a billion laughs at a key", LAUGHS.encode() + b"OPTIM: {LR: *a9}\n", ("a0", "OPTIM.LR")),
    ("binary", bytes(range(256)) * 8, ()),
    ("zero bytes", bytes(1024), ()),
    ("a NUL inside", b"OPTIM:\n  LR: 0.\x001\n", ()),
    ("UTF-16", "OPTIM:\n  LR: often\n".encode("utf-16"), ("OPTIM.LR",)),
    ("UTF-32", "OPTIM:\n  LR: often\n".encode("utf-32"), ()),
    ("Latin-1", "TRAINER:\n  NAME: h\xe9\n".encode("latin-1"), ()),
    ("a tab", b"OPTIM:\n\tLR: 0.1\n", ()),
    ("a list at the top", b"- OPTIM\n- LR\n", ()),
    ("a text at the top", b"OPTIM\n", ()),
    ("a number at the top", b"17\n", ()),
    ("two documents", b"OPTIM: {LR: 0.1}\n---\nOPTIM: {LR: 0.2}\n", ()),
    ("an unclosed quote", b'TRAINER: {NAME: "CoOp}\n', ()),
    ("an unknown alias", b"OPTIM: *nowhere\n", ()),
    ("a merge of a text", b"<<: text\n", ()),
    ("a number of 100,000 digits", b"TRAIN:\n  PRINT_FREQ: " + b"9" * 100_000 + b"\n", ("PRINT_FREQ",)),
    ("a hexadecimal of 100,000 digits", b"TRAIN:\n  PRINT_FREQ: 0x" + b"f" * 100_000 + b"\n", ("PRINT_FREQ",)),
    ("an impossible date", b"OPTIM:\n  LR: 2020-13-45\n", ("OPTIM.LR",)),
    ("a date", b"OPTIM:\n  LR: 2020-01-01\n", ("OPTIM.LR",)),
    ("sexagesimal digits", b"TRAIN:\n  PRINT_FREQ: " + b"9:" * 5_000 + b"59\n", ("PRINT_FREQ",)),
    ("a set", b"OPTIM: !!set {LR}\n", ("OPTIM",)),
    ("bytes", b"OPTIM:\n  LR: !!binary aGVsbG8=\n", ("OPTIM.LR",)),
    ("broken bytes", b"OPTIM:\n  LR: !!binary '****'\n", ("OPTIM.LR",)),
    ("a tag that calls", f"OPTIM: !!python/object/apply:os.system ['touch {CANARY}']\n".encode(), ()),
    ("a tag that makes", b"OPTIM: !!python/object/new:subprocess.Popen [[touch, canary]]\n", ()),
    ("a tag that names", b"OPTIM: !!python/name:os.system\n", ()),
    ("a tag that imports", b"OPTIM: !!python/module:antigravity\n", ()),
    ("a tuple", b"OPTIM:\n  LR: !!python/tuple [1, 2]\n", ("OPTIM.LR",)),
    ("a tag of nobody", b"OPTIM: !mine {LR: 1}\n", ()),
    ("a wrong int", b"TRAIN:\n  PRINT_FREQ: !!int often\n", ("PRINT_FREQ",)),
    ("an unknown key", b"OPTIM:\n  LEARNING_RATE: 0.1\n", ("OPTIM.LEARNING_RATE",)),
    ("an unknown section", b"OPTIMISER:\n  LR: 0.1\n", ("OPTIMISER",)),
    ("a number as a key", b"17: {LR: 0.1}\n", ("17",)),
    ("null as a key", b"OPTIM: {~: 0.1}\n", ("OPTIM",)),
    ("a list as a key", b"? [a, b]\n: 1\n", ()),
    ("a key with escapes", b'"\\e[2JOPTIM": {LR: 0.1}\n', ("OPTIM",)),
    ("a section as a value", b"OPTIM: 0.1\n", ("OPTIM",)),
    ("a value as a section", b"SEED: {LR: 0.1}\n", ("SEED",)),
    ("a base that is not there", b"_BASE_: nowhere.yaml\n", ("nowhere.yaml",)),
    ("itself as its base", b"_BASE_: case.yaml\n", ()),
    ("a base that is a number", b"_BASE_: 17\n", ("_BASE_",)),
    ("a base that is null", b"_BASE_: [~]\n", ("_BASE_",)),
    ("a base that is a mapping", b"_BASE_: {a: b}\n", ("_BASE_",)),
    ("a base that is a folder", b"_BASE_: tmp\n", ("tmp",)),
    ("a base that is a device", b"_BASE_: /dev/zero\n", ("/dev/zero",)),
    ("a base with NUL", b'_BASE_: "a\\0b"\n', ("_BASE_", "a\\x00b")),
    ("a base with a long name", b"_BASE_: " + b"n" * 5_000 + b"\n", ("nnn",)),
    ("a web page", b"<!DOCTYPE html>\n<html><body>404: not found</body></html>\n", ()),
    ("JSON cut short", b'{"OPTIM": {"LR": ', ()),
)
FILES = ("nowhere.yaml", "tmp", "/dev/zero", "n" * 300 + ".yaml", "loop.yaml", "fifo.yaml", "socket.yaml")


def cases(sound: Sound, seed: int) -> Iterator[Case]:
    for number, (what, content, names) in enumerate(TEXTS):
        prepare = partial(write, content=content)
        flag = "--dataset-config-file" if number % 3 == 1 else "--config-file"
        yield Case("YAML", "train", what, sound.digits("CoOp", flag, "case.yaml"), ("case.yaml", *names), prepare)
    broken = [text for text in TEXTS if text[0] not in SHOWN]
    for what, content, names in broken[seed % 2 :: 2]:
        argv = ("show", "case.yaml")
        yield Case("YAML", "configs", what, argv, ("case.yaml", *names), partial(write, content=content))
    for what, content, names in broken[1 - seed % 2 :: 2]:
        argv, prepare = ("config", "case.yaml", "--trainer", "CasPLBoost"), partial(write, content=content)
        yield Case("YAML", "caspl convert", what, argv, ("case.yaml", *names), prepare)
    for file in FILES:
        yield Case("YAML", "caspl convert", f"the file {file[:20]}", ("config", file), (file,), odd)
        yield Case("YAML", "train", f"the file {file[:20]}", sound.digits("CoOp", "--config-file", file), (file,), odd)
        yield Case("YAML", "configs", f"the file {file[:20]}", ("show", file), (file,), odd)


# What is sound as a YAML file, and a mistake only as a configuration
SHOWN = {
    what
    for what, _, _ in TEXTS
    if what.startswith(("an unknown", "a section as", "a value as", "a number as", "a date"))
} | {
    "UTF-16",
    "a set",
    "bytes",
    "broken bytes",
    "a key with escapes",
    "nested 3,000 lists, closed",
    "an unknown key",
    "null as a key",
}


def write(folder: Path, content: bytes) -> None:
    (folder / "case.yaml").write_bytes(content)


def odd(folder: Path) -> None:
    import os
    import socket

    (folder / "loop.yaml").symlink_to("loop.yaml")
    os.mkfifo(folder / "fifo.yaml")
    server = socket.socket(socket.AF_UNIX)
    server.bind("socket.yaml")
    server.close()
