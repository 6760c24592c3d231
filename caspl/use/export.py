"""Write the boosted and adapted image tower, with the class features, as one file that needs no CasPL to run.

    caspl export output/coop --onnx coop.onnx --program coop.pt2 --state-dict clip.safetensors

ONNX files and torch.export archives take `images`, float32 [B, 3, H, W], RGB in [0, 1], resized and cut to the size of the
tower but not normalised, and give `logits` [B, C]. Every file is read again, and what it computes is compared with what the
predictor does, before it is kept.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save
from torch import Tensor, nn

from ..ground.errors import InputError
from ..ground.files import check_writable, replacing
from ..ground.images import Preprocessing
from ..ground.quiet import quiet
from ..ground.tensors.sealed import in_order
from ..ground.texts import tell
from ..prompting.cascade import Deployed
from ..prompting.image_tower import encode_images
from ..prompting.learners import Prompts
from .predict import add_result_arguments, load_result
from .predictor import Predictor

TOLERANCE = 1e-4  # largest difference of logits, relative to the largest logit, that a runtime may show
OPSET = 18
EXPORTERS = ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")  # their warnings are about what no user can change
MOST_IMAGES = 2**16  # in a batch; without a bound, PyTorch 2.5 and 2.6 refuse a size that may vary


class Classifier(nn.Module):
    """Images [B, 3, H, W] in [0, 1] -> logits [B, C]: normalisation, image tower with its prompts, class features."""

    def __init__(self, predictor: Predictor):
        super().__init__()
        self.visual, self.has_vit = predictor.backbone.model.visual, predictor.backbone.has_vit
        self.prompts = Deployed(Prompts(vision=group.vision, trainable=False) for group in predictor.prompts())
        self.preprocessing = predictor.preprocessing
        self.register_buffer("classifier", predictor.classifier.clone())
        self.register_buffer("scale", torch.tensor(predictor.scale))

    def forward(self, images: Tensor) -> Tensor:
        pixels = self.preprocessing.normalize(images)
        features = encode_images(self.visual, pixels, self.prompts()) if self.has_vit else self.visual(pixels)
        return self.scale * F.normalize(features, dim=-1) @ self.classifier.T


def facts(predictor: Predictor) -> dict[str, str]:
    """What a reader of an ONNX file or archive must know: class names (JSON), how images are prepared, where all comes from."""
    preprocessing: Preprocessing = predictor.preprocessing
    return {
        "classnames": json.dumps(predictor.classnames),
        "height": str(preprocessing.size[0]),
        "width": str(preprocessing.size[1]),
        "interpolation": preprocessing.interpolation,
        "method": predictor.method,
        "backbone": predictor.backbone.name,
        "input": "float32 [B, 3, height, width], RGB in [0, 1]: smaller edge resized, centre cut, not normalised",
        "output": "logits [B, C]; their softmax are the classes' probabilities",
    }


def plain_facts(predictor: Predictor, features: Path) -> dict[str, str]:
    """The same for a state dict, whose class features lie in the file `features`."""
    preprocessing: Preprocessing = predictor.preprocessing
    return facts(predictor) | {
        "mean": json.dumps(preprocessing.mean),
        "std": json.dumps(preprocessing.std),
        "input": "float32 [B, 3, height, width]: smaller edge resized, centre cut, RGB in [0, 1] minus mean, over std",
        "output": "exp(logit_scale) * image features [B, E], normalised, @ classifier.T are the logits [B, C]",
        "classifier": f"a matrix [C, E] in {features.name}",
    }


def export_onnx(predictor: Predictor, path: str | Path) -> float:
    """Write one ONNX file, with any batch size, and give its largest difference from the model's logits.

    Raises:
        InputError: the method has no static class features (CoCoOp), PyTorch is older than 2.7, `onnx`, `onnxscript` or
            `onnxruntime` is not installed, or onnxruntime's answers differ; nothing is written then.
    """
    needs("2.7", "onnx", "onnxscript", "onnxruntime")
    import onnx
    import onnxruntime

    classifier, images = _prepare(predictor)
    with replacing(path) as temporary, quiet(*EXPORTERS):
        program = torch.onnx.export(
            classifier,
            (images,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=_any_batch(),
            verbose=False,
        )
        program.save(temporary)
        model = onnx.load(temporary)
        onnx.helper.set_model_props(model, facts(predictor))
        onnx.save(model, temporary)
        session = onnxruntime.InferenceSession(temporary, providers=["CPUExecutionProvider"])
        return _verify(predictor, lambda x: torch.from_numpy(session.run(None, {"images": x.numpy()})[0]), path)


def export_program(predictor: Predictor, path: str | Path) -> float:
    """Write a `torch.export` archive (.pt2), with any batch size, and give its largest difference from the model's logits.

    Its extra file `facts.json` holds what `facts` says. Raises InputError as `export_onnx`.
    """
    needs("2.4")
    classifier, images = _prepare(predictor)
    with replacing(path) as temporary, quiet(*EXPORTERS):
        program = torch.export.export(classifier, (images,), dynamic_shapes=_any_batch())
        content = io.BytesIO()
        torch.export.save(program, content, extra_files={"facts.json": json.dumps(facts(predictor))})
        temporary.write_bytes(content.getbuffer())  # a full disk then says so, which torch.export.save does not
        with temporary.open("rb") as file:
            again = torch.export.load(file).module()
        return _verify(predictor, again, path)


def export_state_dict(predictor: Predictor, path: str | Path) -> float:
    """Write a CLIP in OpenAI's layout (safetensors) whose plain `encode_image` is the trained one, where that is possible.

    The class features [C, E], which hold all that text prompts have learned, are `classifier` in the file
    `<name>.classifier.safetensors` beside it, so that this one fits a CLIP exactly. Gives the largest difference of logits.

    Raises:
        InputError: there are prompts in the image tower, which have no place in CLIP's layout, or as `export_onnx`.
    """
    _check_plain(predictor, path)
    classifier, images = _prepare(predictor)
    path = Path(path).expanduser()
    features = path.with_name(f"{path.stem}.classifier.safetensors")
    weights = {key: value.contiguous() for key, value in predictor.backbone.model.state_dict().items()}
    about = plain_facts(predictor, features)
    with replacing(path) as temporary:
        temporary.write_bytes(in_order(save(weights, metadata=about)))
        with replacing(features) as beside:
            beside.write_bytes(in_order(save({"classifier": classifier.classifier.contiguous()}, metadata=about)))
            plain = replace(
                predictor.backbone, model=_second_model(predictor.backbone.model, load_file(temporary), path)
            )
            matrix = load_file(beside)["classifier"]

            def again(images: Tensor) -> Tensor:
                image_features = plain.image_features(predictor.preprocessing.normalize(images))
                return plain.model.logit_scale.exp() * image_features @ matrix.T

            return _verify(predictor, again, path)


def _second_model(model: nn.Module, written: Mapping[str, Tensor], path: Path) -> nn.Module:
    """A copy of `model` with nothing in it but the tensors `written`; all of them, as images don't pass the text tower.

    Raises InputError, naming `path`, where a tensor is not that of `model`.
    """
    second, expected = copy.deepcopy(model), model.state_dict()
    wrong = [
        name
        for name in expected.keys() | written.keys()
        if name not in expected or name not in written or not torch.equal(expected[name], written[name])
    ]
    if wrong:
        raise InputError(
            f"{path} was not written: {min(wrong)} in it is not the model's; write it again, to another disk if need be"
        )
    for value in second.state_dict().values():
        value.fill_(float("nan") if value.is_floating_point() else -1)
    second.load_state_dict(written)
    return second


def _check_plain(predictor: Predictor, path: str | Path) -> None:
    """Raise InputError where `export_state_dict` can't do what it is asked for."""
    if Path(path).suffix != ".safetensors":
        raise InputError(f"a state dict is written as safetensors, but {path} has another ending; name it .safetensors")
    if any(group.vision_length for group in predictor.prompts()):
        raise InputError(
            f"{predictor.source} has prompts in the image tower, which have no place in a plain CLIP's state dict; use --onnx "
            f"or --program"
        )


def _any_batch() -> dict:
    return {"images": {0: torch.export.Dim("batch", max=MOST_IMAGES)}}


def needs(pytorch: str, *packages: str) -> None:
    """Raise InputError where PyTorch is older than `pytorch`, or a package of the extra `export` is not installed."""
    from importlib.util import find_spec

    if tuple(map(int, torch.__version__.split(".")[:2])) < tuple(map(int, pytorch.split("."))):
        raise InputError(f"this export needs PyTorch {pytorch} or later, {torch.__version__} is installed; update it")
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise InputError(f"{' and '.join(missing)} must be installed to write ONNX; pip install {' '.join(missing)}")


def _prepare(predictor: Predictor) -> tuple[Classifier, Tensor]:
    """The module to export, on the CPU in float32, and two images to trace it with."""
    if predictor.conditional:
        raise InputError(
            f"{predictor.source} is {predictor.method}'s, which encodes its classes anew for each image, so there is no static "
            f"class matrix to export; use caspl predict or caspl.load"
        )
    if predictor.device.type != "cpu" or predictor.precision.name != "fp32":
        raise InputError("exports are made on the CPU in fp32; load the result with device cpu and precision fp32")
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, *predictor.preprocessing.size, generator=generator)
    return Classifier(predictor).eval().requires_grad_(False), images


@torch.no_grad()
def _verify(predictor: Predictor, found: Callable[[Tensor], Tensor], path: str | Path) -> float:
    """The largest difference of logits from the predictor's own, on batches of one and five random images.

    Raises InputError where it is more than TOLERANCE, or the logits have another shape.
    """
    generator, worst = torch.Generator().manual_seed(1), 0.0
    preprocessing = predictor.preprocessing
    for batch in (1, 5):
        images = torch.rand(batch, 3, *preprocessing.size, generator=generator)
        logits, again = predictor.logits(preprocessing.normalize(images)), found(images)
        difference = float((again - logits).abs().max()) if again.shape == logits.shape else float("inf")
        worst = max(worst, difference)
        if not difference <= TOLERANCE * float(logits.abs().max()):
            raise InputError(
                f"{path} was not written: its logits differ from the model's by {difference:.3g}, where they should agree to "
                f"rounding; report this with the versions of torch and onnxruntime"
            )
    return worst


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_result_arguments(parser)
    parser.add_argument("--onnx", type=Path, help="write an ONNX file")
    parser.add_argument("--program", type=Path, help="write a torch.export archive (.pt2)")
    parser.add_argument(
        "--state-dict", type=Path, help="write CLIP's own layout; for methods that learn text prompts only"
    )


EXPORTS = {"onnx": export_onnx, "program": export_program, "state_dict": export_state_dict}


def run(args: argparse.Namespace) -> int:
    """Exit status 0. Raises InputError."""
    wanted = {name: getattr(args, name) for name in EXPORTS if getattr(args, name)}
    if not wanted:
        raise InputError("nothing to write; give --onnx, --program or --state-dict with a file")
    if len({os.path.realpath(path.expanduser()) for path in wanted.values()}) < len(wanted):
        raise InputError(
            f"the same file is named for two kinds ({', '.join(map(str, wanted.values()))}); give each its own"
        )
    for name, path in wanted.items():
        check_writable(path, f"--{name.replace('_', '-')}")
    predictor = load_result(args)
    if "state_dict" in wanted:  # said before the others have been written
        _check_plain(predictor, args.state_dict)
    for name, path in wanted.items():
        path = path.expanduser()
        difference = EXPORTS[name](predictor, path)
        tell(
            f"{path}: {path.stat().st_size:,} bytes, {len(predictor.classnames):,} classes, logits within {difference:.1g}"
        )
    return 0
