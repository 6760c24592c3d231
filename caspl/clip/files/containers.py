"""The tensors of weight files by dotted names, without running anything that is in the files.

What a file wraps its tensors in is a part of their names: {"state_dict": {"module.visual.proj": ...}} holds
"state_dict.module.visual.proj", but for WRAPPERS. A scripted module holds its parameters under the names of its attributes,
and so does a module that was saved whole. A tensor is read when it is asked for: of a training checkpoint, the optimizer's
never are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ...ground.errors import InputError, cause, first_line
from ...ground.files import regular
from ...ground.tensors.archives import TensorNote, Unknown, UnreadableError, opened
from ...ground.tensors.sealed import check_table

MOST_NAMES = (
    2**15
)  # of all tensors in a file; a checkpoint of the largest CLIP has some 6,000, its optimizer's among them
DEEPEST = 64  # dictionaries and modules within one another
# What PyTorch puts between the names of a module and of what is in it: torch.compile, FSDP and checkpointed activations
WRAPPERS = re.compile(r"\b(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
PARTS_OF_A_MODULE = ("_parameters", "_buffers", "_modules")  # the attributes of torch.nn.Module that hold its tensors
PART = re.compile(r"-\d{5}-of-(\d{5})\.\w+$")  # of the name of a file, in which a part of a model is

Weights = Mapping[str, Callable[[], Tensor]]


@contextmanager
def opened_weights(paths: Sequence[Path]) -> Iterator[Weights]:
    """What reads each tensor, by the tensor's dotted name, of files that hold one model together.

    Raises InputError, naming the file, where none can be read or two files hold the same name.
    """
    with ExitStack() as stack:
        weights: dict[str, Callable[[], Tensor]] = {}
        for path in paths:
            found = stack.enter_context(_opened(path))
            if twice := sorted(weights.keys() & found.keys()):
                raise InputError(
                    f"{path} holds {twice[0]}, which another file of the same model holds, too; remove one"
                )
            weights |= found
        plain = {WRAPPERS.sub("", name): read for name, read in weights.items()}
        yield plain if len(plain) == len(weights) else weights


@contextmanager
def _opened(path: Path) -> Iterator[Weights]:
    if not path.is_file():
        part = PART.search(path.name)
        said = f", one of {int(part[1])} in which the model lies; fetch it" if part else "; correct the path"
        raise InputError(f"no weight file at {path}{said}")
    try:
        with _safetensors(path) if is_safetensors(path) else _pickled(path) as weights:
            if not weights:
                raise InputError(
                    f"{path} holds no tensors that can be read without running code; expected the state dict of a CLIP"
                )
            yield weights
    except OSError as error:
        raise InputError(f"{path} cannot be read ({cause(error)}); correct the path") from error
    except (SafetensorError, UnreadableError) as error:
        raise InputError(
            f"{path} is not a weight file that can be read without running code ({first_line(error)}); expected an OpenAI "
            f"archive, a state dict, a checkpoint or safetensors, not cut short"
        ) from error


def is_safetensors(path: Path) -> bool:
    """By what is in a file, since the Hub's cache knows no endings of names: behind eight bytes begins a table in JSON."""
    with regular(path).open("rb") as file:
        return file.read(9)[8:] == b"{"


@contextmanager
def _safetensors(path: Path) -> Iterator[Weights]:
    try:
        check_table(path)
    except ValueError as error:
        raise UnreadableError(str(error)) from error
    with safe_open(path, framework="pt") as file:
        yield {name: partial(file.get_tensor, name) for name in list(file.keys())}


@contextmanager
def _pickled(path: Path) -> Iterator[Weights]:
    with opened(path) as content:
        yield {name: partial(content.tensor, note) for name, note in _named(content.root)}


def _named(root: object) -> Iterator[tuple[str, TensorNote]]:
    """All tensors in nested dictionaries, lists and modules by their dotted names; what is no such thing is not looked at."""
    steps = 0
    left = [("", root, 0)]
    while left:
        prefix, node, depth = left.pop()
        for key, value in _entries(node):
            steps += 1
            if steps > 8 * MOST_NAMES or depth > DEEPEST:
                raise UnreadableError("its dictionaries hold more than any checkpoint does")
            if isinstance(value, TensorNote):
                yield f"{prefix}{key}", value
            elif isinstance(value, dict | list | tuple | Unknown):
                left.append((prefix if key in PARTS_OF_A_MODULE else f"{prefix}{key}.", value, depth + 1))


def _entries(node: object) -> Iterator[tuple[str, object]]:
    if isinstance(node, Unknown):
        content = node.entries | node.state if isinstance(node.state, dict) else node.entries
    else:
        content = node if isinstance(node, dict) else dict(enumerate(node)) if isinstance(node, list | tuple) else {}
    yield from ((str(key)[:200], value) for key, value in content.items())
