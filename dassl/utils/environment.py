"""Random seeds and a description of the machine."""

from __future__ import annotations

import platform
import random
import sys

import numpy as np
import PIL
import torch
import torchvision


def set_random_seed(seed: int) -> None:
    """Seed Python's, NumPy's and PyTorch's generators, on the CPU and on all CUDA devices; `seed` is 0 to 2**32 - 1."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.cuda.manual_seed_all(seed)


def collect_env_info() -> str:
    """Return the versions and devices that can change results, one per line.

    Unlike Dassl 0.6.3, which calls PyTorch's own report, this starts no other program.
    """
    lines = [
        f"Python: {sys.version.split()[0]}",
        f"Platform: {platform.system()} {platform.release()} {platform.machine()}",
        f"PyTorch: {torch.__version__}",
        f"torchvision: {torchvision.__version__}",
        f"CUDA of PyTorch: {torch.version.cuda or 'none'}",
    ]
    if torch.cuda.is_available():
        lines.append(f"cuDNN: {torch.backends.cudnn.version()}")
        lines += [f"GPU {index}: {torch.cuda.get_device_name(index)}" for index in range(torch.cuda.device_count())]
    else:
        lines.append("GPU: none available through CUDA")
    lines += [
        f"CPU threads: {torch.get_num_threads()}",
        f"NumPy: {np.__version__}",
        f"Pillow: {PIL.__version__}",
    ]
    return "\n".join(lines)
