"""bench/training/steps.py under its old name, for scripts here that are no benchmarks yet."""

import plain  # noqa: F401, puts the checkout on the path

# isort: split
from bench.training.steps import *  # noqa: F403
