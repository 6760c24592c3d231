"""One thread for each process: the tests run side by side, and a number that a test compares must not depend on the machine."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is loaded, here and in the processes that tests start
