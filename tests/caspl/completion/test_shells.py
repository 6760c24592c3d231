"""Completion in the shells themselves, as far as they are installed: at a terminal, and as their own test commands tell it."""

import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.slow
SETUP = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(caspl completion bash)"'),
    "zsh": (["zsh", "-f", "-i"], 'autoload -U compinit; compinit -u -D; eval "$(caspl completion zsh)"'),
}


@pytest.fixture
def variables(tmp_path):
    """An environment with a command caspl, which is this checkout's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "caspl").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m caspl "$@"\n')
    (folder / "caspl").chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "PS1": "> ", "TERM": "dumb", "HOME": str(tmp_path)}


def need(shell):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")


class Terminal:
    """A shell at a terminal of its own."""

    def __init__(self, command, folder, variables):
        self.end, other = pty.openpty()
        streams = dict(stdin=other, stdout=other, stderr=other)
        self.process = subprocess.Popen(command, **streams, cwd=folder, env=variables, start_new_session=True)
        os.close(other)

    def type(self, keys):
        os.write(self.end, keys.encode())

    def read_until(self, mark, seconds=30):
        """What is shown until `mark` is, that too."""
        shown, last = "", time.monotonic() + seconds
        while mark not in shown and time.monotonic() < last:
            if select.select([self.end], [], [], 0.1)[0]:
                shown += os.read(self.end, 4096).decode(errors="replace")
        assert mark in shown, shown
        return shown

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.end)


TYPED = {
    "caspl sw": "caspl sweep",
    "caspl train --trainer CasPL_M": "caspl train --trainer CasPL_MaPLe",
    "caspl train --dataset-config-file configs/datasets/dt": "caspl train --dataset-config-file configs/datasets/dtd.yaml",
    "caspl train OPTIM.NAME=ams": "caspl train OPTIM.NAME=amsgrad",
    "caspl predict phot": "caspl predict photo.png",
}


@pytest.mark.parametrize("shell", SETUP)
def test_a_tab_completes(shell, variables, tmp_path):
    need(shell)
    command, setup = SETUP[shell]
    (tmp_path / "photo.png").touch()
    terminal = Terminal(command, tmp_path, variables)
    try:
        terminal.type(f"{setup}; echo rea''dy\n")
        terminal.read_until("ready\r\n")
        for keys, expected in TYPED.items():
            terminal.type(f"{keys}\t")
            terminal.read_until(expected.removeprefix(keys))
            terminal.type("\x01echo 'line: \x05'; echo do''ne\n")  # to the beginning and to the end of the line
            shown = terminal.read_until("done\r\n").replace("\r", "\n")
            assert f"line: {expected}" in [line.rstrip() for line in shown.splitlines()]
    finally:
        terminal.close()


def test_bash_as_it_asks_a_function(variables, tmp_path):
    need("bash")
    script = """
        eval "$(caspl completion bash)"
        COMP_WORDS=(caspl train TRAINER.CASPL.LOSS '') COMP_CWORD=3
        _caspl caspl
        printf '%s\\n' "${COMPREPLY[@]}"
        complete -p caspl
    """
    done = subprocess.run(["bash", "-euc", script], cwd=tmp_path, env=variables, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        *("kl", "reverse_kl", "l1", "mse", "feature"),
        "complete -o bashdefault -o default -F _caspl caspl",
    ]


def test_fish(variables, tmp_path):
    need("fish")
    (tmp_path / "photo.png").touch()
    lines = "\n".join(f"complete -C {shlex.quote(keys)}" for keys in TYPED if "=" not in keys)
    script = f"caspl completion fish | source\n{lines}\n"
    done = subprocess.run(["fish", "-c", script], cwd=tmp_path, env=variables, capture_output=True, text=True)
    found = [line.partition("\t")[0] for line in done.stdout.splitlines()]
    assert found == [expected.split(" ")[-1] for keys, expected in TYPED.items() if "=" not in keys], done.stderr


def test_the_script_for_bash_is_one_that_shellcheck_takes():
    need("shellcheck")
    script = ROOT / "caspl" / "completion" / "scripts" / "caspl.bash"
    done = subprocess.run(["shellcheck", "--shell=bash", str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
