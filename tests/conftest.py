"""One thread for each process: the tests run side by side, and a number that a test compares must not depend on the machine.

What a run keeps for the next one lies in a folder of the tests' own, and not in anybody's home.
"""

import atexit
import os
import shutil
import tempfile

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is loaded, here and in the processes that tests start
if "PYTEST_XDIST_WORKER" not in os.environ:  # which has that of the process that has started it
    os.environ["CASPL_CACHE"] = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, os.environ["CASPL_CACHE"], ignore_errors=True)
