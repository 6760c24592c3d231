"""The sentence about a name that stands for no CLIP: what was meant, where that can be told, and nothing far-fetched."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

import open_clip
from open_clip.pretrained import get_pretrained_cfg

from ...ground.texts import letters, shown
from ..files.folders import kind_of
from .known import DEMO_NAMES, DRIVE, OPENAI_NAMES, file_of, is_model, like_a_path, open_clip_model, split, tags_of

CLOSE = 0.8  # of difflib's ratio: "ViT-B/61" is as near to "ViT-B/16" as this allows
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
OURS = re.compile(r"(clip.?)?(vit|rn)|demo", re.IGNORECASE)  # what names of CLIPs begin with
ADDRESS = re.compile(r"[a-z][a-z0-9]+://", re.IGNORECASE)
HUB_ADDRESS = re.compile(
    r"(https?://)?(www\.)?(huggingface\.co|hf\.co)/(models/)?(?P<id>[\w.-]+/[\w.-]+)", re.IGNORECASE
)
OUR_FILES = ("boosting.safetensors", "prompts.safetensors")
EXPECTED_FOLDER = (
    "expected a model folder of transformers (config.json with model.safetensors or pytorch_model.bin), or the path of a "
    "weight file"
)


def unknown(name: str) -> str:
    """What is wrong with a name that `load_model` knows nothing for, as the end of a sentence that begins with its key."""
    model, source = split(name)
    if not name.strip():
        return f'is "{name}", expected the name of a CLIP, such as {OPENAI_NAMES[6]}, or the path of a weight file'
    if name.startswith("demo/") and name not in DEMO_NAMES and not split(name)[0]:
        return f'is "{name}", but no demo model is called {name}; there are {", ".join(DEMO_NAMES)}'
    if open_clip_model(name):
        return _without_source(name)
    if file_of(name).is_dir():
        return f'is "{name}", a folder that holds no CLIP{_found_in(file_of(name))}; {EXPECTED_FOLDER}'
    if model and is_model(model):
        return _unknown_source(name, model, source)
    if address := HUB_ADDRESS.match(name):
        return f'is "{name}", an address; write {_of_the_hub(address["id"])}'
    if scheme := re.match(r"(file|local-dir):(//)?", name, re.IGNORECASE):
        return f'is "{name}", expected a path without "{scheme[0]}"; write {name[scheme.end() :]}'
    if (scheme := re.match(r"(hf|hf-hub):", name, re.IGNORECASE)) and scheme[0] != scheme[0].lower():
        return f'is "{name}", expected small letters before the colon; write {scheme[0].lower()}{name[scheme.end() :]}'
    if re.match(r"hub:", name, re.IGNORECASE):
        return f'is "{name}", but hub: is for boosting prompts; write {_of_the_hub(name[4:].partition("@")[0])}'
    if ADDRESS.match(name):
        return f'is "{name}", an address, from which nothing is fetched; download the file, and give its path'
    if like_a_path(name):
        return _no_file(name, name)
    if os.path.isdir(name.partition("/")[0]):
        return _no_file(name, name)
    if model:
        close = near(model, open_clip.list_models())
        return f'is "{name}", but open_clip has no model {model}{f" (do you mean {close}:{source}?)" if close else ""}'
    close = near(name, [*DEMO_NAMES, *OPENAI_NAMES, *open_clip.list_models()])
    if not close and _of_somebody(name):
        said = f'is "{name}", which is no name of a CLIP and no file here'
        return f"{said}; for a repository of the Hub write {_of_the_hub(name)}"
    if not close and "/" in name and not OURS.match(name):
        return _no_file(name, name)
    hint = f" (do you mean {_with_tag(close)}?)" if close else ""
    return (
        f'is "{name}", but no CLIP is called "{name}" and no file is there{hint}; choose one of '
        f"{', '.join([*DEMO_NAMES, *OPENAI_NAMES])}, an open_clip model with its tag (MODEL:TAG), a model of the Hub "
        f"(hf:ORG/NAME or hf-hub:ORG/NAME), or the path of a weight file"
    )


def near(name: str, known: Iterable[str]) -> str:
    """The one of `known` that `name` means, however it is written, or is close to; "" where there is none."""
    forms: dict[str, str] = {}
    for candidate in known:
        forms.setdefault(_letters(candidate), candidate)
    for written in (_letters(name), _letters(re.sub(r"^openai[/:]", "", name, flags=re.IGNORECASE))):
        if written in forms:
            return forms[written]
    if _of_somebody(name):
        return ""
    written = _plainly(name)
    plain: dict[str, str] = {}
    for form, candidate in forms.items():
        plain.setdefault(_plainly(form), candidate)
    close = get_close_matches(written, plain, n=1, cutoff=CLOSE)
    return plain[close[0]] if close else ""


def _with_tag(name: str) -> str:
    """A name that stands for weights: open_clip's models have none without a tag."""
    tags = [] if name in OPENAI_NAMES else tags_of(name)
    return f"{name}:{tags[0]}" if tags else name


def _letters(name: str) -> str:
    return letters(name).removesuffix("px")


def _of_somebody(name: str) -> bool:
    """Whether a name has the form ORG/NAME, and none that names of CLIPs have, too."""
    return bool(HUB_ID.fullmatch(name)) and not OURS.match(name)


def _plainly(name: str) -> str:
    """The letters and digits of a name that tell models apart: "clip_vit_base_patch16_224" is vitb16."""
    short = re.sub(r"^(openai|clip)+", "", _letters(name))
    for long, letter in (("resnet", "rn"), ("base", "b"), ("large", "l"), ("huge", "h"), ("patch", "")):
        short = short.replace(long, letter)
    return re.sub(r"(?<=\d)224$", "", short)


def _without_source(name: str) -> str:
    if not tags_of(name):
        return f'is "{name}", for which open_clip has no weights; give a file, as in {name}:/path/to/weights'
    return f'is "{name}", an open_clip model without weights; add a tag, as in {_with_tag(name)}'


def _unknown_source(name: str, model: str, source: str) -> str:
    if not source:
        return f'is "{name}", with nothing after the colon; give a file, as in {model}:/path/to/weights'
    tags = tags_of(model)
    if like_a_path(source) or file_of(source).exists() or not tags:
        return _no_file(name, source)
    close = _near_tag(source, tags)
    hint = f" (do you mean {model}:{close}?)" if close else ""
    return f'is "{name}", but "{source}" is neither a file nor a tag of {model}{hint}; its tags are {", ".join(tags)}'


def _near_tag(source: str, tags: list[str]) -> str:
    """The tag that begins with `source`, or is close to it, the letters and digits of both being compared."""
    forms = {_letters(tag): tag for tag in reversed(tags)}
    written = _letters(source)
    begun = [tag for form, tag in forms.items() if len(written) > 2 and form.startswith(written)]
    close = get_close_matches(written, forms, n=1, cutoff=CLOSE)
    return begun[-1] if begun else forms[close[0]] if close else ""


def _no_file(name: str, path: str) -> str:
    """The phrase about a path where nothing is: how far it leads, and what lies there under a similar name."""
    place = file_of(path)
    said = f'is "{name}", but there is no file at {place}'
    if DRIVE.match(path) or "\\" in path:
        return f"{said}; correct the path"
    folder = place.parent
    if kind_of(place):
        return f'is "{name}", but {place} is a folder that says itself what model it holds; write {path}'
    if place.exists():
        return f'is "{name}", but {place} is no file; {EXPECTED_FOLDER}'
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    if folder != place.parent:
        return f"{said} (there is no folder {folder / place.relative_to(folder).parts[0]}); correct the path"
    close = get_close_matches(place.name, os.listdir(folder), n=1, cutoff=CLOSE)
    return f"{said}{f' (do you mean {folder / close[0]}?)' if close else ''}; correct the path"


def _found_in(folder: Path) -> str:
    names = sorted(os.listdir(folder))
    if "adapter_config.json" in names:
        return " (an adapter is in it, not what it adapts; merge it with merge_and_unload of peft, and save that)"
    if ours := [name for name in OUR_FILES if name in names]:
        return f" ({ours[0]} in it is what a run has learned, not a CLIP)"
    return (
        f" ({', '.join(shown(name) for name in names[:3])}{' ...' if len(names) > 3 else ''})"
        if names
        else " (it is empty)"
    )


def _of_the_hub(repository: str) -> str:
    """How a repository of the Hub is written: for a CLIPModel of transformers, or as open_clip keeps its models there."""
    if any(
        get_pretrained_cfg(*pair).get("hf_hub", "").strip("/") == repository for pair in open_clip.list_pretrained()
    ):
        return f"hf-hub:{repository}"
    if repository.lower().startswith("openai/"):
        return f"hf:{repository}"
    return f"hf:{repository} (a CLIPModel of transformers) or hf-hub:{repository} (a model of open_clip)"
