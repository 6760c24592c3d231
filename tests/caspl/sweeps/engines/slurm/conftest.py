"""A real SLURM of one node, of this user, in a folder: munged, slurmctld and slurmd with ports, keys and logs of their own."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "sinfo")
SECONDS = 20  # that it has to start
CONFIGURATION = """
ClusterName=trial
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge,cred_expire=5
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
ReturnToService=2
KillWait=12
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""


def program(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")


def free_ports(number):
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="session")
def slurm():
    """The variables with which sbatch finds the controller. Skips where there is none."""
    if missing := [name for name in PROGRAMS if program(name) is None]:
        pytest.skip(f"not installed (Debian has them in slurm-wlm and munge): {', '.join(missing)}")
    with tempfile.TemporaryDirectory(prefix="slurm") as folder:  # whose name is short enough for a socket
        try:
            with running(Path(folder)) as variables:
                yield variables
        except OSError as error:
            pytest.skip(f"SLURM does not start here: {error}")


@contextmanager
def running(folder: Path):
    """Yields the variables with which sbatch and the others find it. Raises OSError if it does not start."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "key").write_bytes(os.urandom(64))
    (folder / "key").chmod(0o600)
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    host = socket.gethostname().partition(".")[0]
    values = {"folder": folder, "user": user, "host": host, "cpus": os.cpu_count(), "ports": free_ports(2)}
    (folder / "slurm.conf").write_text(CONFIGURATION.format(**values))
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    files = {name: f"{folder}/munged.{name}" for name in ("pid", "log", "seed")}
    munge = [f"--key-file={folder}/key", f"--socket={folder}/munge", f"--pid-file={files['pid']}"]
    munge += [f"--log-file={files['log']}", f"--seed-file={files['seed']}"]
    commands = (["munged", "--foreground", "--force", *munge], ["slurmctld", "-D", "-c"], ["slurmd", "-D"])
    daemons = []
    try:
        for command in commands:
            daemons.append(start(command, folder, environment))
            time.sleep(0.3)
        wait_until_idle(folder, environment, daemons)
        yield {"SLURM_CONF": environment["SLURM_CONF"]}
    finally:
        subprocess.run(["scancel", f"--user={user}"], env=environment, capture_output=True)
        for daemon in reversed(daemons):
            daemon.terminate()
            with suppress(subprocess.TimeoutExpired):
                daemon.wait(10)
            daemon.kill()


def start(command, folder, environment):
    with open(folder / "output", "a") as output:
        return subprocess.Popen(
            [program(command[0]), *command[1:]], env=environment, stdout=output, stderr=output, start_new_session=True
        )


def wait_until_idle(folder, environment, daemons):
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and all(daemon.poll() is None for daemon in daemons):
        asked = subprocess.run(["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, text=True)
        if "idle" in asked.stdout:
            return
        time.sleep(0.1)
    raise OSError(" / ".join((folder / "output").read_text().splitlines()[-3:]))
