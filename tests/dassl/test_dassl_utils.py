import errno
import io
import json
import logging
import os
import random
import sys
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from dassl.utils import (
    AverageMeter,
    InputError,
    MetricMeter,
    Registry,
    check_availability,
    check_isfile,
    collect_env_info,
    count_num_param,
    get_most_similar_str_to_a_from_b,
    listdir_nohidden,
    logger,
    mkdir_if_missing,
    open_all_layers,
    open_specified_layers,
    read_json,
    reset_logger,
    set_random_seed,
    setup_logger,
    tolist_if_not,
    write_json,
)

from caspl.ground import door


def test_registry():
    registry = Registry("THING")

    @registry.register()
    class Apple:
        pass

    class Pear:
        pass

    registry.register(Pear)
    assert registry.get("Apple") is Apple and registry.registered_names() == ["Apple", "Pear"]
    with pytest.raises(KeyError, match="already registered in the THING registry"):
        registry.register(Pear)
    registry.register(Pear, force=True)
    with pytest.raises(InputError) as caught:
        registry.get("Appel")
    assert isinstance(caught.value, KeyError)
    assert str(caught.value) == (
        'Unknown name in the THING registry "Appel" (do you mean "Apple"?); available: Apple, Pear.'
    )


def test_check_availability():
    check_availability("a", ["a", "b"])
    with pytest.raises(InputError, match=r'^Unknown name "CoOpp" \(do you mean "CoOp"\?\); available: CoOp, MaPLe\.$'):
        check_availability("CoOpp", ["CoOp", "MaPLe"])
    with pytest.raises(ValueError, match="none is available"):
        check_availability("x", [])


def test_small_tools(tmp_path):
    assert get_most_similar_str_to_a_from_b("abc", ["xyz", "abd"]) == "abd"
    assert tolist_if_not(3) == [3] and tolist_if_not([3]) == [3]
    mkdir_if_missing(tmp_path / "a" / "b")
    mkdir_if_missing("")
    (tmp_path / ".hidden").touch()
    (tmp_path / "Z").touch()
    assert listdir_nohidden(tmp_path, sort=True) == ["Z", "a"]
    assert check_isfile(tmp_path / "Z")
    with pytest.warns(UserWarning, match="No file found"):
        assert not check_isfile(tmp_path / "none")


def test_meters():
    meter = AverageMeter()
    meter.update(1.0)
    meter.update(torch.tensor(4.0), n=2)
    assert (meter.val, meter.avg, meter.sum, meter.count) == (4.0, 3.0, 9.0, 3)
    ema = AverageMeter(ema=True)
    ema.update(1.0)
    assert ema.avg == pytest.approx(0.1)
    metrics = MetricMeter()
    metrics.update({"loss": 1.0, "acc": torch.tensor(50.0)})
    metrics.update({"loss": 2.0})
    metrics.update(None)
    assert str(metrics) == "loss 2.0000 (1.5000) acc 50.0000 (50.0000)"
    with pytest.raises(TypeError, match="not list"):
        metrics.update([1])


def test_layers():
    model = torch.nn.Sequential()
    model.a, model.b = torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)
    assert count_num_param(model) == 13
    assert count_num_param(params=model.parameters()) == 13
    assert count_num_param(params=[{"params": list(model.a.parameters())}, {"params": model.b.weight}]) == 12
    with pytest.raises(ValueError):
        count_num_param()
    open_specified_layers(model, "b")
    assert not model.a.weight.requires_grad and model.b.weight.requires_grad
    assert not model.a.training and model.b.training
    open_all_layers(model)
    assert model.a.weight.requires_grad and model.a.training
    with pytest.raises(InputError, match="no layer c; its layers are a, b"):
        open_specified_layers(model, "c")


def test_seed_and_environment():
    def draw():
        return random.random(), np.random.rand(), torch.rand(1).item()

    set_random_seed(3)
    first = draw()
    set_random_seed(3)
    assert draw() == first
    info = collect_env_info()
    assert f"PyTorch: {torch.__version__}" in info and "Pillow" in info and "CPU threads" in info


def test_json(tmp_path):
    path = tmp_path / "new" / "a.json"
    value = {"a": [1, {"b": None}], "é": "x"}
    write_json(value, path)
    assert read_json(path) == value
    assert path.read_text() == json.dumps(value, indent=4, separators=(",", ": "))
    assert os.listdir(path.parent) == ["a.json"]
    path.write_text('{"a": 1,\n oops}')
    with pytest.raises(InputError, match=r"a\.json: it is not JSON .* line 2"):
        read_json(path)
    with pytest.raises(TypeError):
        write_json({"a": object()}, path)
    assert path.read_text() == '{"a": 1,\n oops}' and os.listdir(path.parent) == ["a.json"]


def test_logger_mirrors_print_and_logging(tmp_path, capsys):
    console = sys.stdout
    setup_logger(str(tmp_path))
    print("from print")
    logging.getLogger("trainers.x").info("from %s", "logging")
    logging.getLogger("x").debug("hidden")
    sys.stdout.writelines(["one", "two\n"])
    assert sys.stdout.encoding == console.encoding and sys.stdout.isatty() == console.isatty()
    sys.stdout.flush()
    expected = "from print\nfrom logging\nonetwo\n"
    assert (tmp_path / "log.txt").read_text() == expected
    assert capsys.readouterr().out == expected
    mirror = sys.stdout
    reset_logger()
    assert sys.stdout is console and not console.closed
    mirror.write("late\n")  # kept references still reach the console
    assert capsys.readouterr().out == "late\n" and (tmp_path / "log.txt").read_text() == expected


def test_logger_twice(tmp_path, capsys):
    handlers = list(logging.getLogger().handlers)
    for _ in range(3):
        setup_logger(str(tmp_path))
        print("once")
    assert capsys.readouterr().out == "once\n" * 3
    files = sorted(tmp_path.iterdir())
    assert len(files) == 3 and all(file.read_text() == "once\n" for file in files)
    assert files[0].name == "log.txt" and all(file.name.startswith("log.txt-20") for file in files[1:])
    assert len(logging.getLogger().handlers) == len(handlers) + 1
    reset_logger()
    assert logging.getLogger().handlers == handlers


def test_logger_without_file_and_with_file_name(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    setup_logger("")
    logging.getLogger("x").info("shown")
    assert capsys.readouterr().out == "shown\n" and not list(tmp_path.iterdir())
    setup_logger("my.log")
    print("written")
    assert (tmp_path / "my.log").read_text() == "written\n"


def test_the_trace_of_an_unexpected_error_is_in_the_log_file_alone(tmp_path, capsys):
    setup_logger(str(tmp_path))
    assert door.run(lambda: 1 / 0) == 1
    reset_logger()
    assert door.run(lambda: 1 / 0) == 1
    out, err = capsys.readouterr()
    assert not out and "Traceback" not in err and len(err.splitlines()) == 2
    text = (tmp_path / "log.txt").read_text()
    assert text.count("Traceback") == 1 and text.endswith("ZeroDivisionError: division by zero\n")


def test_the_log_file_goes_on_without_a_terminal(tmp_path, monkeypatch):
    class Gone(io.StringIO):
        def write(self, *_):
            raise BrokenPipeError(32, "Broken pipe")

        flush = write

    monkeypatch.setattr(sys, "stdout", Gone())
    setup_logger(str(tmp_path))
    print("printed", flush=True)
    logging.getLogger("x").info("logged")
    reset_logger()
    assert (tmp_path / "log.txt").read_text() == "printed\nlogged\n"


@pytest.mark.parametrize("number, told", [(errno.EPIPE, False), (errno.EIO, False), (errno.ENOSPC, True)])
def test_a_console_that_nobody_reads_is_no_error_and_a_full_one_is(number, told, tmp_path, monkeypatch):
    class Console(io.StringIO):
        def write(self, *_):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(sys, "stdout", Console())
    setup_logger(str(tmp_path))
    for say in (print, logging.getLogger("x").info):
        with pytest.raises(OSError) if told else nullcontext():
            say("said")
    reset_logger()
    assert (tmp_path / "log.txt").read_text() == ("" if told else "said\nsaid\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_log_that_cannot_be_written_ends_in_a_sentence(tmp_path, capsys):
    setup_logger(str(tmp_path / "log.txt"))
    file = logger._Setup.mirror.file
    os.dup2(os.open("/dev/full", os.O_WRONLY), file.fileno())
    assert door.run(lambda: logging.getLogger("x").info("lost")) == 2
    err = capsys.readouterr().err
    assert (
        err.startswith(f"error: {tmp_path}/log.txt cannot be written or read (No space left") and err.count("\n") == 1
    )
    print("the console goes on")
    assert capsys.readouterr().out == "the console goes on\n"


@pytest.mark.parametrize("say", [print, logging.getLogger("x").info])
def test_a_log_that_was_deleted_ends_in_a_sentence(say, tmp_path, capsys):
    setup_logger(str(tmp_path))
    say("kept")
    (tmp_path / "log.txt").unlink()
    assert door.run(lambda: say("lost")) == 2
    assert f"error: {tmp_path}/log.txt cannot be written or read (No such file" in capsys.readouterr().err


def test_a_log_takes_names_that_are_no_text(tmp_path, capsys, monkeypatch):
    setup_logger(str(tmp_path))
    root = logging.getLogger()  # without pytest's handlers: no report with such a name could be sent between processes
    monkeypatch.setattr(root, "handlers", [h for h in root.handlers if "pytest" not in type(h).__module__])
    logging.getLogger("x").info(os.fsdecode(b"a\xff"))
    assert (tmp_path / "log.txt").read_text() == "a\\udcff\n"
