"""Boosting prompts as a folder for the Hugging Face Hub, with a model card, so that nobody has to train phase 1 twice.

    caspl share output/boost/pets --folder pets-boosting --results output/results.md --push ORG/NAME

Wherever a boosting checkpoint is expected, `hub:ORG/NAME` or `hub:ORG/NAME@REVISION` stands for such a folder. The functions
import huggingface_hub themselves, since a local file does not need it.
"""

from __future__ import annotations

import argparse
import json
import shutil
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from ..checkpoints.boosting import load_boosting, read_boosting
from ..checkpoints.headers import BoostingHeader
from ..checkpoints.sources import CONFIG, HUB, resolve
from ..clip.backbones import Backbone
from ..clip.files.repositories import LOG_IN, check_repository, reason
from ..ground.errors import InputError
from ..ground.files import check_writable, replacing
from ..ground.texts import tell
from ..prompting.learners import Prompts
from .model_card import SETTING, UNNAMED, model_card, read_results

CARD = "README.md"
FILES = (BoostingHeader.file_name, CONFIG, CARD)


def from_pretrained(name: str | Path, backbone: Backbone) -> tuple[Prompts, BoostingHeader]:
    """The frozen prompts and the header of a folder here or, if there is none, of org/name or org/name@revision on the Hub.

    Raises InputError, as `load_boosting` does.
    """
    if Path(name).expanduser().exists():
        return load_boosting(name, backbone)
    reference = str(name).removeprefix(HUB)
    check_repository(
        reference.partition("@")[0], str(name), "a folder here, or org/name or org/name@revision of the Hub"
    )
    return load_boosting(f"{HUB}{reference}", backbone)


def save_pretrained(
    source: str | Path, folder: str | Path, *, results: str | Path | None = None, repo_id: str = UNNAMED
) -> Path:
    """Write a folder for the Hub: the boosting checkpoint, its header as config.json, and a model card. Gives the folder.

    Other files there stay. None of the three is replaced unless all of them could be written.

    Args:
        source: a boosting checkpoint, or what stands for one.
        results: tables for the card, in a results.md of `python -m caspl.results`.
        repo_id: the repository that the folder is meant for, as the card shows it in its examples.

    Raises:
        InputError: the checkpoint is missing or damaged, or `results` or `repo_id` are not what they should be.
    """
    check_repository(repo_id, repo_id)
    path = resolve(source, BoostingHeader)
    tensors, header = read_boosting(path)
    folder = Path(folder).expanduser()
    if (folder / CARD).exists() and not (folder / BoostingHeader.file_name).exists():
        raise InputError(
            f"{folder} holds a {CARD} of something else, which the model card would replace; name another folder"
        )
    tables = read_results(results) if results else ""
    content = path.read_bytes()
    parameters = sum(value.numel() for value in tensors.values())
    card = model_card(header, parameters=parameters, size=len(content), tables=tables, repo_id=repo_id)
    config = json.dumps(asdict(header), indent=2) + "\n"
    with ExitStack() as stack:  # files take their places when all are written
        for name, text in zip(FILES, (content, config.encode(), card.encode(errors="backslashreplace")), strict=True):
            stack.enter_context(replacing(folder / name)).write_bytes(text)
    return folder


def push_to_hub(
    source: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    token: str | None = None,
    message: str = "Boosting prompts",
) -> str:
    """Upload a folder of `save_pretrained`, made on the way from any other `source`, and give the repository's address.

    Nothing but the three files is uploaded, as they are: a card may have been edited. Only ORG/NAME, which stands in a card
    that was written before its repository had a name, becomes `repo_id`. The repository is made if there is none.

    Args:
        source: the folder, or a boosting checkpoint.
        private: nobody else may see the repository.
        token: default is that of HF_TOKEN or of `hf auth login`.
        message: of the commit.

    Raises:
        InputError: as `save_pretrained`; nobody is logged in, or may not write there; the repository is to be private and
            exists as a public one; the Hub can't be reached.
    """
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    check_repository(repo_id, repo_id)
    resolve(source, BoostingHeader)
    api = HfApi(token=token or get_token())
    if not api.token:
        raise InputError(f"{repo_id} can't be written, as nobody is logged in to the Hub; {LOG_IN}")
    with TemporaryDirectory() as temporary:
        folder = Path(source).expanduser()
        if all((folder / name).is_file() for name in FILES):
            read_boosting(folder)
            for name in FILES:
                shutil.copyfile(folder / name, Path(temporary) / name)
            card = Path(temporary) / CARD
            card.write_text(card.read_text(encoding="utf-8").replace(UNNAMED, repo_id), encoding="utf-8")
        else:
            save_pretrained(source, temporary, repo_id=repo_id)
        try:
            address = api.create_repo(
                repo_id, private=private or None, exist_ok=True
            )  # None: as the organisation has it
            exposed = private and not api.model_info(repo_id).private
            if not exposed:
                api.upload_folder(
                    repo_id=repo_id, folder_path=temporary, allow_patterns=list(FILES), commit_message=message
                )
        except HfHubHTTPError as error:
            if error.response.status_code not in (401, 403, 404):
                raise _not_pushed(repo_id, error) from error
            raise InputError(
                f"{repo_id} can't be written with your token ({reason(error)}); {repo_id.split('/')[0]} must be you or an "
                f"organisation of yours, and the token must have write access: {LOG_IN}"
            ) from error
        except (HTTPError, OSError, ValueError) as error:  # a ValueError says what is wrong with the card
            raise _not_pushed(repo_id, error) from error
    if exposed:
        raise InputError(
            f"{repo_id} exists and is public, so nothing was pushed; make it private on the Hub, or name another"
        )
    return str(address)


def _not_pushed(repo_id: str, error: Exception) -> InputError:
    return InputError(f"{repo_id} was not pushed ({reason(error)}); check the network and {CARD}, and try again")


# ------------------------------------------------------------ caspl share
def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", help=f"a {BoostingHeader.file_name} of phase 1, its folder, or a folder that --folder has written"
    )
    parser.add_argument("--folder", type=Path, help=f"write {', '.join(FILES)} into this folder")
    parser.add_argument("--results", type=Path, help="results.md of caspl results, for the model card")
    parser.add_argument("--push", metavar="ORG/NAME", help="upload the three files to this repository of the Hub")
    parser.add_argument("--private", action="store_true", help="nobody else may see the repository")


def run(args: argparse.Namespace) -> int:
    """Exit status 0. Raises InputError."""
    if args.private and not args.push:
        raise InputError("--private is about the repository of --push, which is missing; give --push ORG/NAME, too")
    if not args.folder and (args.results or not args.push):
        what = "--results is for the card that --folder writes" if args.results else "there is nothing to do"
        raise InputError(f"{what}; give --folder FOLDER{'' if args.results else ', --push ORG/NAME, or both'}")
    folder = args.source
    if args.folder:
        check_writable(args.folder, "--folder", folder=True)
        folder = save_pretrained(args.source, args.folder, results=args.results, repo_id=args.push or UNNAMED)
        tell(f"{folder}: {', '.join(FILES)}\nuse it with {SETTING} {folder}")
    if args.push:
        address = push_to_hub(folder, args.push, private=args.private)
        tell(f"{address}\nuse it with {SETTING} hub:{args.push}")
    return 0
