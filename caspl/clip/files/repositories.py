"""Files out of repositories of the Hugging Face Hub, and a `CLIPModel` there: `hf:org/name[@revision]`.

huggingface_hub is imported where it is needed, since a local file does not need it.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from ...ground.errors import InputError, first_line
from ...ground.quiet import asking_the_hub, quiet
from .folders import HUGGING_FACE, INDEX, OPEN_CLIP, PREPROCESSORS, read_json, shards
from .hugging_face import facts_of

HUB = "hf:"
LOG_IN = "hf auth login, or set HF_TOKEN"


class NotCachedError(InputError):
    """A file is not in the cache, and the Hub can't be reached."""


def fetched(reference: str) -> Path:
    """The folder in the Hub's cache with configuration and weights of the `CLIPModel` `hf:org/name[@revision]`.

    Files in the cache are used when the Hub can't be reached. HF_HOME, HF_TOKEN and HF_HUB_OFFLINE are honoured.

    Raises:
        InputError: the name is none, the repository holds no `CLIPModel`, it may not be read, or the Hub can't be reached and
            the cache has no copy.
    """
    name, revision = parse(reference, HUB)
    config = download(name, HUGGING_FACE.config, revision, reference)
    if config is None:
        raise InputError(
            f"{name} has no {HUGGING_FACE.config}, expected a CLIPModel of transformers; a repository with {OPEN_CLIP.config} "
            f"is written hf-hub:{name}"
        )
    facts_of(read_json(config), None, f"{HUGGING_FACE.config} of {name}")  # before long downloads
    folder = config.parent
    commit = folder.name
    for optional in PREPROCESSORS:
        with suppress(NotCachedError):
            download(name, optional, commit, reference)
    weights = _weights(name, commit, reference)
    if weights.name.endswith(INDEX):
        for shard in shards(weights):
            if download(name, shard, commit, reference) is None:
                raise InputError(f"{name} has no {shard}, which its {weights.name} names; name another repository")
    return folder


def _weights(name: str, commit: str, reference: str) -> Path:
    missing = InputError(
        f"{name} has no weights, expected {' or '.join(HUGGING_FACE.weights)}, whole or in shards; name another"
    )
    for file in HUGGING_FACE.files:
        try:
            if path := download(name, file, commit, reference):
                return path
        except NotCachedError as error:
            missing = error
    raise missing


def download(name: str, file: str, revision: str | None, reference: str) -> Path | None:
    """A file of a repository in the Hub's cache; None where the repository has none of this name.

    Raises InputError, which calls it `reference`, where there is no such repository or revision, it may not be read or the file
    can't be fetched; NotCachedError where the cache has no copy, and the Hub can't be reached.
    """
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HTTPError,  # of the HTTP library, which is another one in other versions
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        with quiet("huggingface_hub") if is_cached(name, file, revision) else asking_the_hub():
            return Path(hf_hub_download(name, file, revision=revision))
    except GatedRepoError as error:
        raise InputError(
            f"{name} is gated, and you are not logged in as one who may read it; ask for access on its page of the Hub, then "
            f"{LOG_IN}"
        ) from error
    except RepositoryNotFoundError as error:
        raise InputError(
            f"the Hub has no repository {name}, or it is private and you are not logged in as one who may read it; correct "
            f"the name, or {LOG_IN}"
        ) from error
    except RevisionNotFoundError as error:
        raise InputError(
            f'{name} has no revision "{revision}"; give one of its branches, tags or commits, or leave out @{revision}'
        ) from error
    except LocalEntryNotFoundError as error:
        raise NotCachedError(
            f"{reference} is not in the cache {constants.HF_HUB_CACHE}, and the Hub can't be reached; "
            f"{'unset HF_HUB_OFFLINE' if constants.HF_HUB_OFFLINE else 'go online'}, or set HF_HOME to where a cache has it"
        ) from error
    except EntryNotFoundError:
        return None
    except (HTTPError, OSError) as error:
        raise InputError(
            f"{reference} could not be fetched ({reason(error)}); try again, and if the Hub refuses you, {LOG_IN}"
        ) from error


def is_cached(name: str, file: str, revision: str | None) -> bool:
    return cached(name, revision, file) is not None


def cached(name: str, revision: str | None, file: str) -> Path | None:
    """A file of a repository in the Hub's cache, which alone is asked; None where it has none."""
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(name, file, revision=revision)
    return Path(path) if isinstance(path, str) else None


def parse(reference: str, scheme: str) -> tuple[str, str | None]:
    """Repository and revision of `<scheme>org/name[@revision]`. Raises InputError where it names no repository."""
    found = re.fullmatch(rf"{scheme}([^@]*)(?:@(.+))?", reference)
    name, revision = found.groups() if found else ("", None)
    check_repository(name, reference, f"{scheme}org/name or {scheme}org/name@revision")
    return name, revision


def check_repository(name: str, given: str, expected: str = "org/name") -> None:
    """Raise InputError unless `name`, from what was `given`, can name a repository of the Hub with its owner."""
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    with suppress(HFValidationError):
        validate_repo_id(name)
        if "/" in name:
            return
    raise InputError(
        f'"{given}" names no repository of the Hub; expected {expected}, with letters, digits and single ., - or _ in the names'
    )


def reason(error: Exception) -> str:
    """What the Hub says about an error, else the error's own first line."""
    return first_line(getattr(error, "server_message", None) or error, most=200)
