"""Write the boosted and adapted image tower, with the class features, as files that need no CasPL to run.

    caspl export output/coop --onnx coop.onnx --program coop.pt2 --state-dict clip.safetensors --transformers clip-folder

ONNX files and torch.export archives take `images`, float32 [B, 3, H, W], RGB in [0, 1], resized and cut to the size of the
tower but not normalised, and give `logits` [B, C]. Every file is read again, and what it computes is compared with what the
predictor does, before it is kept.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ..ground.errors import InputError
from ..ground.files import check_writable
from ..ground.texts import tell
from .exports.clip_model import check_folder, check_transformers, export_transformers
from .exports.graphs import export_onnx, export_program
from .exports.plain import check_plain, export_state_dict
from .predict import add_result_arguments, load_result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_result_arguments(parser)
    parser.add_argument("--onnx", type=Path, help="write an ONNX file")
    parser.add_argument("--program", type=Path, help="write a torch.export archive (.pt2)")
    parser.add_argument(
        "--state-dict", type=Path, help="write CLIP's own layout; for methods that learn text prompts only"
    )
    parser.add_argument(
        "--transformers",
        type=Path,
        metavar="FOLDER",
        help="write a CLIPModel folder of transformers, class features beside it; for methods that learn text prompts only",
    )


EXPORTS = {
    "onnx": export_onnx,
    "program": export_program,
    "state_dict": export_state_dict,
    "transformers": export_transformers,
}
CHECKS = {"state_dict": check_plain, "transformers": check_transformers}  # said before the others have been written


def run(args: argparse.Namespace) -> int:
    """Exit status 0. Raises InputError."""
    wanted = {name: getattr(args, name) for name in EXPORTS if getattr(args, name)}
    if not wanted:
        raise InputError(
            "nothing to write; give --onnx, --program or --state-dict with a file, or --transformers with a folder"
        )
    if len({os.path.realpath(path.expanduser()) for path in wanted.values()}) < len(wanted):
        raise InputError(
            f"the same file is named for two kinds ({', '.join(map(str, wanted.values()))}); give each its own"
        )
    for name, path in wanted.items():
        folder = name == "transformers"
        if folder:
            check_folder(path)
        check_writable(path.expanduser().parent if folder else path, f"--{name.replace('_', '-')}", folder=folder)
    predictor = load_result(args)
    for name in CHECKS.keys() & wanted.keys():
        CHECKS[name](predictor, wanted[name])
    for name, path in wanted.items():
        path = path.expanduser()
        difference = EXPORTS[name](predictor, path)
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        size = sum(file.stat().st_size for file in files)
        tell(f"{path}: {size:,} bytes, {len(predictor.classnames):,} classes, logits within {difference:.1g}")
    return 0
