"""What a run says of itself: `run.json` beside its log, and the predictions it refers to. Needs no PyTorch.

    record = read("output/base2new/test_new/.../seed1")   # a Record; InputError where it is none, or damaged
    record = found(folder)                                # None where there is no such file

`schema` says what stands in a record, `files` reads and writes it. `predictions`, `features` and `measures`, which need NumPy
and are not imported from here, read and write predictions and image features, and compute every number of a result.
"""

from .files import FORMAT, LARGEST, NAME, VERSION, digest, found, read, sha256_of, sha256_of_images, write
from .schema import (
    NEUTRAL,
    Bin,
    Boosting,
    Code,
    Configuration,
    Cost,
    Dataset,
    Features,
    Machine,
    Model,
    ModelFile,
    Part,
    Predictions,
    Protocol,
    Record,
    Result,
    Status,
    Training,
)

__all__ = [
    "FORMAT",
    "LARGEST",
    "NAME",
    "NEUTRAL",
    "VERSION",
    "Bin",
    "Boosting",
    "Code",
    "Configuration",
    "Cost",
    "Dataset",
    "Features",
    "Machine",
    "Model",
    "ModelFile",
    "Part",
    "Predictions",
    "Protocol",
    "Record",
    "Result",
    "Status",
    "Training",
    "digest",
    "found",
    "read",
    "sha256_of",
    "sha256_of_images",
    "write",
]
