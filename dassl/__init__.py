"""Dassl's programming interface (version 0.6.3) on current PyTorch.

Only what classification trainers of the CoOp family use is here: configuration, registries, data loading, transforms,
optimisers and schedules, the evaluator and the training loop. A trainer or dataset file written for Dassl runs
unchanged; what differs is that runs resume exactly, files are written atomically and mistakes are answered with one
sentence. Of this project it uses `caspl.ground` only: errors, files, images, shapes.

Reference: https://github.com/KaiyangZhou/Dassl.pytorch
"""

__version__ = "0.6.3"

if __name__ != "dassl":  # a wheel carries this folder inside caspl, see caspl/border/own_dassl.py
    raise ImportError(f"{__name__} is Dassl under another name, expected one name for each module; import it as dassl")
