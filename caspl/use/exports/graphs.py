"""Image tower, prompts and class features as one program: ONNX, and an archive of torch.export."""

from __future__ import annotations

import io
import json
from pathlib import Path

import torch

from ...ground.errors import InputError
from ...ground.files import replacing
from ...ground.quiet import quiet
from ..predictor import Predictor
from .checked import facts, prepare, verify

OPSET = 18
EXPORTERS = ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")  # their warnings are about what no user can change
MOST_IMAGES = 2**16  # in a batch; without a bound, PyTorch 2.5 and 2.6 refuse a size that may vary


def export_onnx(predictor: Predictor, path: str | Path) -> float:
    """Write one ONNX file, with any batch size, and give its largest difference from the model's logits.

    Raises:
        InputError: the method has no static class features (CoCoOp), PyTorch is older than 2.7, `onnx`, `onnxscript` or
            `onnxruntime` is not installed, or onnxruntime's answers differ; nothing is written then.
    """
    needs("2.7", "onnx", "onnxscript", "onnxruntime")
    import onnx
    import onnxruntime

    classifier, images = prepare(predictor)
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
        return verify(predictor, lambda x: torch.from_numpy(session.run(None, {"images": x.numpy()})[0]), path)


def export_program(predictor: Predictor, path: str | Path) -> float:
    """Write a `torch.export` archive (.pt2), with any batch size, and give its largest difference from the model's logits.

    Its extra file `facts.json` holds what `facts` says. Raises InputError as `export_onnx`.
    """
    needs("2.4")
    classifier, images = prepare(predictor)
    with replacing(path) as temporary, quiet(*EXPORTERS):
        program = torch.export.export(classifier, (images,), dynamic_shapes=_any_batch())
        content = io.BytesIO()
        torch.export.save(program, content, extra_files={"facts.json": json.dumps(facts(predictor))})
        temporary.write_bytes(content.getbuffer())  # a full disk then says so, which torch.export.save does not
        with temporary.open("rb") as file:
            again = torch.export.load(file).module()
        return verify(predictor, again, path)


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
