"""A real Ray with several workers on this machine, whose GPUs are only counted."""

import os
import tempfile
from pathlib import Path

import pytest

from caspl.sweeps.engines.options import EngineOptions
from caspl.sweeps.engines.ray import cluster, pool_for
from caspl.sweeps.jobs import Plan

NODE = {"num_cpus": 2, "num_gpus": 1, "object_store_memory": 80 * 2**20}
for name, value in (cluster.QUIET | {"RAY_AUTH_MODE": "disabled"}).items():
    os.environ.setdefault(name, value)  # before anybody imports Ray, which reads them then


class RealRay:
    """A head that runs nothing, and nodes."""

    def __init__(self, folder):
        from ray.cluster_utils import Cluster

        head = NODE | {"num_cpus": 0, "num_gpus": 0, "include_dashboard": False, "temp_dir": folder}
        # Ray would write the address where that of a user's own is, and fail where there has never been one
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ray._private.utils.write_ray_address", lambda address: None)
            self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes = [self.add() for _ in range(2)]

    def add(self, **variables):
        return self.cluster.add_node(**NODE, env_vars=variables, wait=False)

    def sweep(self, trial, listed, **options):
        """The exit status of a sweep on this cluster, its lines, and what it says on stderr about Ray and about jobs."""
        said = []
        options = EngineOptions("ray", address=self.cluster.address, **options)
        status, screen = trial.carry_out(listed, pool_for(Plan(tuple(listed)), options, said.append))
        return status, screen, said


@pytest.fixture(scope="session")
def real_ray():
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'caspl[sweep]'")
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:  # its agents end later
        real = RealRay(folder)
        yield real
        real.cluster.shutdown()


@pytest.fixture
def counting(trial):
    """Runs whose numbers depend on all of their epochs."""
    trial.program = (*trial.program[:-1], str(Path(__file__).parent / "counting_run.py"))
    return trial
