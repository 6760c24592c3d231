"""Installs `caspl` and nothing else: trainers/, datasets/ and configs/ become caspl.trainers, caspl.datasets, caspl.configs.

train.py stays in the checkout; `caspl train` is the same. In somebody else's checkout the plug-in registers into the Dassl
that is there; where none is, a copy of dassl/ inside the package stands in (caspl/border/own_dassl.py), which can't be
imported under any name but dassl.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "caspl" / "__init__.py").read_text(encoding="utf-8")).group(1)

# The folders at the top that become packages in `caspl`. In a checkout links in caspl/ say the same of the first three, to
# Python and to editors; what is built does not depend on them, since not every system has links.
MAPPED = {
    "caspl.trainers": "trainers",
    "caspl.datasets": "datasets",
    "caspl.configs": "configs",
    "caspl._bundled.dassl": "dassl",
}
ROOMS = [name for name in find_packages(include=["caspl", "caspl.*"]) if ".".join(name.split(".")[:2]) not in MAPPED]
OUTSIDE = [f"{name}.{inner}" for name, folder in MAPPED.items() for inner in find_packages(folder)]

setup(
    name="caspl",
    version=VERSION,
    description="Cascade prompt learning for vision-language models, as a plug-in for the CoOp family",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    packages=[*ROOMS, *MAPPED, *OUTSIDE],
    package_dir={"caspl": "caspl", **MAPPED},
    package_data={
        "caspl.clip.demo": ["*.safetensors"],
        "caspl.results": ["*.csv"],
        "caspl.results.report": ["page.*"],
        "caspl.configs": ["**/*.yaml", "keys.txt"],
        "caspl.completion": ["table.json", "scripts/*"],
    },
    install_requires=[
        "torch>=2.1",
        "torchvision>=0.16",
        "open_clip_torch>=3.0",
        "safetensors",
        "huggingface_hub>=0.25",
        "yacs",
        "pyyaml",
        "jinja2",  # which PyTorch needs, too
        "tabulate",
        "scikit-learn",
        "scipy>=1.9",
        "tqdm",
        "tensorboard",
        "matplotlib",
    ],
    extras_require={
        "export": ["onnx", "onnxscript", "onnxruntime"],
        "trackio": ["trackio"],
        "wandb": ["wandb"],
        "sweep": ["ray>=2.49"],
        # torchmetrics and statsmodels compute the tables' statistics a second time
        "test": [
            "caspl[export,sweep]",
            "pytest>=8",
            "pytest-xdist>=3.5",
            "ruff",
            "transformers>=4.40",
            "torchmetrics",
            "statsmodels",
        ],
    },
    entry_points={"console_scripts": ["caspl = caspl.__main__:main"]},
)
