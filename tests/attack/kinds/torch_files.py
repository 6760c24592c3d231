"""Files of PyTorch that are damaged, wrong or would run code: resuming, testing, converting, boosting, starting."""

from __future__ import annotations

import io
import pickle
import shutil
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ..cases import Case
from ..damage import bytewise
from ..sound import Sound

NAN, INF = float("nan"), float("inf")
CANARY = "canary"
MODEL = "prompt_learner/model.pth.tar-1"


class Touch:
    """Unpickled, it makes the file `CANARY`."""

    def __reduce__(self) -> tuple:
        return (open, (CANARY, "w"))


class Start:
    """Unpickled, it starts a program."""

    def __reduce__(self) -> tuple:
        import os

        return (os.system, (f"touch {CANARY}",))


class Evaluate:
    def __reduce__(self) -> tuple:
        return (eval, (f"open({CANARY!r}, 'w')",))


def _set(*path: Any, value: Any) -> Callable[[dict], Any]:
    """A change of a checkpoint: the entry at `path` becomes `value`, or what it makes of it."""

    def change(state: dict) -> dict:
        node = state
        for key in path[:-1]:
            node = node[_key(node, key)]
        last = _key(node, path[-1])
        node[last] = value(node[last]) if callable(value) else value
        return state

    return change


def _key(node: Any, key: Any) -> Any:
    """`FIRST` stands for whatever key comes first."""
    return next(iter(node)) if key is FIRST else key


def _without(*path: Any) -> Callable[[dict], Any]:
    def change(state: dict) -> dict:
        node = state
        for key in path[:-1]:
            node = node[_key(node, key)]
        del node[_key(node, path[-1])]
        return state

    return change


def _filled(value: float) -> Callable[[Any], Any]:
    return lambda tensor: tensor * 0 + value if abs(value) < INF else tensor.clone().fill_(value)


FIRST = object()
EPOCHS = (-5, -1, 999, "x", None, 1.5, NAN, [], True, 10**30)
RESUME: tuple[tuple[str, Callable[[dict], Any]], ...] = (
    *((f"epoch {str(epoch)[:20]!r}", _set("epoch", value=epoch)) for epoch in EPOCHS),
    *((f"format {value!r}", _set("format", value=value)) for value in (99, "1", None)),
    *(
        (f"no {name}", _without(name))
        for name in ("epoch", "models", "optimizers", "random", "config", "best_result", "extra")
    ),
    *((f"{name} a text", _set(name, value="x")) for name in ("models", "optimizers", "schedulers", "random", "extra")),
    *((f"best result {value!r}", _set("best_result", value=value)) for value in (NAN, INF, "x", None, 1e30, -7.0)),
    *(
        (f"config {str(value)[:20]!r}", _set("config", value=value))
        for value in ("", "[1]", "{", "x", 17, None, "a: &a [*a]", "[" * 5000)
    ),
    ("config with a tag", _set("config", value=f"!!python/object/apply:os.system ['touch {CANARY}']")),
    ("prompts not a number", _set("models", FIRST, FIRST, value=_filled(NAN))),
    ("prompts infinite", _set("models", FIRST, FIRST, value=_filled(INF))),
    ("prompts of an absurd magnitude", _set("models", FIRST, FIRST, value=_filled(1e30))),
    ("prompts of another shape", _set("models", FIRST, FIRST, value=lambda tensor: tensor[:1])),
    ("prompts whole numbers", _set("models", FIRST, FIRST, value=lambda tensor: tensor.long())),
    ("prompts in double precision", _set("models", FIRST, FIRST, value=lambda tensor: tensor.double())),
    ("prompts a text", _set("models", FIRST, FIRST, value="x")),
    ("no model", _set("models", value={})),
    ("a model of another name", _set("models", value=lambda models: {"other": next(iter(models.values()))})),
    ("momentum not a number", _set("optimizers", FIRST, "state", FIRST, "momentum_buffer", value=_filled(NAN))),
    (
        "momentum of another shape",
        _set("optimizers", FIRST, "state", FIRST, "momentum_buffer", value=lambda tensor: tensor[:1]),
    ),
    ("momentum a text", _set("optimizers", FIRST, "state", FIRST, "momentum_buffer", value="x")),
    ("no group of parameters", _set("optimizers", FIRST, "param_groups", value=[])),
    ("a rate not a number", _set("optimizers", FIRST, "param_groups", 0, "lr", value=NAN)),
    ("a rate that is a text", _set("optimizers", FIRST, "param_groups", 0, "lr", value="x")),
    ("a schedule at epoch -5", _set("schedulers", FIRST, "last_epoch", value=-5)),
    ("random numbers of Python a text", _set("random", "python", value="x")),
    ("random numbers of Python cut", _set("random", "python", value=(3, (1, 2), None))),
    ("random numbers of NumPy cut", _set("random", "numpy", value=("MT19937", 1))),
    ("random numbers of PyTorch cut", _set("random", "torch", value=lambda tensor: tensor[:7])),
    ("random numbers of PyTorch a float", _set("random", "torch", value=lambda tensor: tensor.float())),
    ("a list", lambda state: [state]),
    ("a text", lambda state: "x"),
    ("nothing", lambda state: None),
    ("a tensor", lambda state: next(iter(next(iter(state["models"].values())).values()))),
)
STATES: tuple[tuple[str, Callable[[dict], Any]], ...] = (
    ("no state_dict", _without("state_dict")),
    ("state_dict a text", _set("state_dict", value="x")),
    ("state_dict a list", _set("state_dict", value=[1])),
    ("state_dict empty", _set("state_dict", value={})),
    ("a tensor a text", _set("state_dict", FIRST, value="x")),
    ("a tensor None", _set("state_dict", FIRST, value=None)),
    ("a name that is a number", _set("state_dict", value=lambda state: {17: next(iter(state.values()))})),
    ("another name", _set("state_dict", value=lambda state: {"other": next(iter(state.values()))})),
    ("not a number", _set("state_dict", FIRST, value=_filled(NAN))),
    ("infinite", _set("state_dict", FIRST, value=_filled(-INF))),
    ("of an absurd magnitude", _set("state_dict", FIRST, value=_filled(1e30))),
    ("whole numbers", _set("state_dict", FIRST, value=lambda tensor: tensor.long())),
    ("complex numbers", _set("state_dict", FIRST, value=lambda tensor: tensor + 1j)),
    ("sparse", _set("state_dict", FIRST, value=lambda tensor: tensor.to_sparse())),
    ("without dimensions", _set("state_dict", FIRST, value=lambda tensor: tensor.sum())),
    ("of another shape", _set("state_dict", FIRST, value=lambda tensor: tensor[:1, :1])),
    ("empty tensors", _set("state_dict", FIRST, value=lambda tensor: tensor[:0])),
    *((f"epoch {str(epoch)[:20]!r}", _set("epoch", value=epoch)) for epoch in (-5, 999, "x")),
    ("a list", lambda state: [1, 2]),
    ("a text", lambda state: "x"),
    ("a number", lambda state: 17),
    ("empty", lambda state: {}),
)
NO_EFFECT = "a bit between the values of the archive is changed: what is learned is the same to the byte"
CODE = (("that makes a file", Touch), ("that starts a program", Start), ("that evaluates", Evaluate))


def cases(sound: Sound, seed: int) -> Iterator[Case]:
    resumed = sound.digits("CoOp", "--output-dir", "run", "OPTIM.MAX_EPOCH", "1")
    resume = sound.coop / "resume.pth.tar"
    doors = list(loading(sound))

    def resuming(what: str, make: Callable[[Path], None], **more: Any) -> Case:
        prepare = partial(into_run, sound=sound, make=make)
        return Case("file to resume from", "train", what, resumed, ("resume.pth.tar",), prepare, **more)

    for what, change in RESUME:
        yield resuming(what, partial(changed, source=resume, change=change))
    for what, content in bytewise(resume, seed, flips=20):
        same = ("run/prompts.safetensors", sound.coop / "prompts.safetensors")
        yield resuming(what, partial(written, content=content), same=same, why=NO_EFFECT)
    for what, make in hostile():
        yield resuming(what, make)

    for number, (what, change) in enumerate(STATES):
        for door in (
            doors
            if what in ("not a number", "of an absurd magnitude", "no state_dict")
            else [doors[(number + seed) % len(doors)]]
        ):
            if what.startswith("epoch") and door[0] != "train, tested":
                continue
            yield loaded(door, what, partial(changed, source=door[2], change=change))
    for what, content in bytewise(sound.coop / MODEL, seed):
        same = ("out/prompts.safetensors", sound.coop / "prompts.safetensors")
        yield loaded(doors[0], what, partial(written, content=content), same=same, why=NO_EFFECT)
    for number, (what, make) in enumerate(hostile()):
        for door in doors if "program" in what else [doors[(number + seed) % len(doors)]]:
            yield loaded(door, what, make)


def loading(sound: Sound) -> Iterator[tuple[str, str, Path, str, tuple[str, ...]]]:
    """What reads a model file: label, door, a sound file, where the bad one goes, arguments."""
    model, boosting = sound.coop / MODEL, sound.boosting / "CasPL" / "model.pth.tar-1"
    tested = ("--eval-only", "--model-dir", "run", "--load-epoch", "1")
    yield "train, tested", "train", model, f"run/{MODEL}", sound.digits("CoOp", *tested)
    flags = ("case.pth", "--output", "out", "--student", "demo/student", "--dataset", "Digits")
    yield "convert", "convert", boosting, "case.pth", flags
    yield "words", "words", model, "case.pth", ("case.pth", "--backbone", "demo/student")
    yield "boosting", "train", boosting, "case.pth", sound.digits("CasPL_CoOp", "TRAINER.CASPL.BOOSTING", "case.pth")
    yield "start", "train", model, "case.pth", sound.digits("CoOp", "MODEL.INIT_WEIGHTS", "case.pth")
    yield "backbone", "train", model, "case.pth", sound.digits("CoOp", "--backbone", "case.pth")


def loaded(door: tuple, what: str, make: Callable[[Path], None], **more: Any) -> Case:
    label, name, _, place, argv = door
    return Case(
        f"model file, {label}", name, what, argv, (Path(place).name,), partial(at, place=place, make=make), **more
    )


def at(folder: Path, place: str, make: Callable[[Path], None]) -> None:
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path)


def into_run(folder: Path, sound: Sound, make: Callable[[Path], None]) -> None:
    """A run's folder as it was left, but for the file to resume from."""
    shutil.copytree(sound.coop, folder / "run")
    (folder / "run" / "resume.pth.tar").unlink()
    make(folder / "run" / "resume.pth.tar")


def written(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def changed(path: Path, source: Path, change: Callable[[dict], Any]) -> None:
    import torch

    state = torch.load(source, map_location="cpu", weights_only=True)
    torch.save(change(state), path)


# ---------------------------------------------------------------------------------------------------------------------
# Files that would do harm
# ---------------------------------------------------------------------------------------------------------------------
def hostile() -> Iterator[tuple[str, Callable[[Path], None]]]:
    for what, kind in CODE:
        yield f"a pickle {what}", partial(_pickled, value=kind)
        yield f"an archive with a pickle {what}", partial(_archived, value=kind)
    yield "a bomb of zeros", partial(_bomb, size=3 * 2**30)
    yield "a tensor larger than its storage", _overrun
    yield "names that lead out of the archive", _leading_out
    yield (
        "an archive of TorchScript",
        partial(
            _zip, entries={"a/constants.pkl": b"\x80\x02).", "a/code/__torch__.py": b"x", "a/data.pkl": b"\x80\x02}."}
        ),
    )
    yield "an empty archive", partial(_zip, entries={})
    yield "an archive without data", partial(_zip, entries={"a/version": b"3\n"})
    yield (
        "a pickle of 100,000 lists in each other",
        partial(_raw, content=b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."),
    )
    yield "a pickle of a huge length", partial(_raw, content=b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f" + b"x.")
    yield "a tar", partial(_raw, content=b"a.txt".ljust(257, b"\0") + b"ustar\0" + bytes(1024))


def _pickled(path: Path, value: type) -> None:
    path.write_bytes(pickle.dumps({"state_dict": value(), "epoch": 1}, protocol=2))


def _archived(path: Path, value: type) -> None:
    _zip(
        path,
        {"archive/data.pkl": pickle.dumps({"state_dict": value(), "epoch": 1}, protocol=2), "archive/version": b"3\n"},
    )


def _zip(path: Path, entries: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def _bomb(path: Path, size: int) -> None:
    """A small file that says it holds gigabytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("archive/version", b"3\n")
        with archive.open("archive/data.pkl", "w", force_zip64=True) as file:
            block = bytes(2**24)
            for _ in range(size // len(block) // 12):
                file.write(block)


def _overrun(path: Path) -> None:
    """A tensor of 2**40 numbers whose storage holds four."""
    import torch

    content = io.BytesIO()
    torch.save({"state_dict": {"ctx": torch.zeros(4)}, "epoch": 1}, content)
    archive = zipfile.ZipFile(content)
    entries = {name: archive.read(name) for name in archive.namelist()}
    (data,) = (name for name in entries if name.endswith("data.pkl"))
    entries[data] = entries[data].replace(b"K\x04\x85", b"\x8a\x06" + (2**40).to_bytes(6, "little") + b"\x85")
    _zip(path, entries)


def _leading_out(path: Path) -> None:
    _zip(path, {"../../canary": b"x", "archive/data.pkl": b"\x80\x02}.", "archive/version": b"3\n"})


def _raw(path: Path, content: bytes) -> None:
    path.write_bytes(content)
