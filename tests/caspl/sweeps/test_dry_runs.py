"""What --dry-run prints is to the letter what the lists in dry_runs/ have."""

import pytest

from caspl.sweeps import __main__ as door

from . import dry_runs

CALLS = {
    f"{path.stem} {number}": answered
    for path in dry_runs.lists()
    for number, answered in enumerate(dry_runs.read(path), start=1)
}


@pytest.fixture
def dry_run(monkeypatch, capsys, tmp_path):
    """The answer to a call, in this process."""

    def answer(call):
        monkeypatch.chdir(dry_runs.CHECKOUT)
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        for variable, value in call.variables.items():
            monkeypatch.setenv(variable, value)
        monkeypatch.setenv(door.CALLED_IN, str(tmp_path if call.elsewhere else dry_runs.CHECKOUT))
        status = door.main([call.script, *call.arguments])
        said = capsys.readouterr()
        return dry_runs.Answer(said.out, said.err, status).text(str(dry_runs.CHECKOUT), str(tmp_path))

    return answer


@pytest.mark.parametrize("name", CALLS)
def test_dry_run(name, dry_run):
    call, text = CALLS[name]
    assert dry_run(call) == text
