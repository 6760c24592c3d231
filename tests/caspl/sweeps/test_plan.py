"""Planning is pure and quick; protocols and what --as-published changes; words of the command line."""

import subprocess
import sys
from pathlib import Path

import pytest

from caspl.sweeps import jobs, place
from caspl.sweeps.__main__ import main
from caspl.sweeps.command import line
from caspl.sweeps.command.options import ENGINES, OPTIONS, options_of
from caspl.sweeps.jobs import Kind
from caspl.sweeps.plan import FREE, Planner, each
from caspl.sweeps.protocols import page, table
from caspl.sweeps.protocols.rows import Fits, Keys, Protocol, Published, Run, keys_for
from caspl.sweeps.requests import Mistakes, MistakesError, Request

from .conftest import ROOT

ALL = tuple(name for name in place.trainers() if name != "LinearProbe")

IMAGES = "TEST.IMAGE_STORE"


def planner(setting="base2new", **asked):
    return Planner(Request(setting, **asked), Mistakes(print))


def base2new(trainers, datasets, **asked):
    made = planner(trainers=trainers, datasets=datasets, all_classes=True, **asked)
    each(made, lambda *words: made.base2new("top", *words))
    return made.plan()


def test_what_a_run_may_go_on_with_leaves_finished_ones_finished():
    from dassl.engine.resume import _FREE_KEYS

    decided_otherwise = {"OUTPUT_DIR", "RESUME", "DATASET.ROOT"}  # by options of the sweep
    assert set(FREE) >= _FREE_KEYS - decided_otherwise - {"TRAIN.CHECKPOINT_FREQ"}  # of which files are asked for
    free = [word for key in sorted(_FREE_KEYS & set(FREE)) for word in (key, "1")]
    plans = [base2new(("CoOp",), ("digits",), pairs=tuple(pairs)) for pairs in ((), free)]
    assert [job.settings for job in plans[0].jobs] == [job.settings for job in plans[1].jobs]


# ------------------------------------------------------------ time, by what takes it
def test_a_whole_table_reads_each_configuration_once(monkeypatch):
    """Hundreds of runs cost no more reading than one of each kind: what takes time is counted, not the seconds."""
    read, looked = [], []
    read_yaml, find = place.read_yaml, place.configs.find
    monkeypatch.setattr(place, "read_yaml", lambda path, *more: read.append(path) or read_yaml(path, *more))
    monkeypatch.setattr(place.configs, "find", lambda path: looked.append(path) or find(path))
    place._settings.cache_clear()
    plan = base2new(ALL, table.BENCHMARK)
    assert len(plan) > 1700 and len({job.folder for job in plan}) == len(plan)
    assert len(read) == len(set(read)) <= 2 * len(ALL)
    assert len(looked) <= 4 * len(ALL) * len(table.BENCHMARK)  # and not for each run
    few = len(looked)
    base2new(ALL, table.BENCHMARK, seeds=tuple(map(str, range(1, 21))))
    assert len(looked) == 2 * few


@pytest.mark.slow
def test_a_dry_run_imports_no_torch():
    code = "import sys; from caspl.__main__ import main; main(['sweep', 'base2new', '--datasets', 'digits', '--dry-run']); "
    code += "print([name for name in ('torch', 'matplotlib', 'numpy', 'ray') if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == "[]\n" and done.returncode == 0


# ------------------------------------------------------------ jobs
def test_a_phase1_that_is_tested_itself_is_of_another_kind():
    kinds = [job.kind for job in base2new(("CasPL_CoOp", "CasPLBoost"), ("digits",), seeds=("1",))][:2]
    assert kinds == [Kind.PHASE1, Kind.TRAINING]
    assert base2new(("CasPL_CoOp",), ("digits",), seeds=("1",)).jobs[0].kind is Kind.BOOSTING


def test_settings_are_the_command_without_places():
    job = base2new(("CoOp",), ("digits",), seeds=("1",), root="data here", output="some where").jobs[0]
    assert job.arguments[:2] == ("--root", "data here") and "some where" not in job.settings
    assert job.settings.startswith(
        "--seed 1 --trainer CoOp --dataset-config-file configs/datasets/digits.yaml --config-file "
    )
    assert " --output-dir top/train_base/digits/shots_16/CoOp/digits/seed1 DATASET.NUM_SHOTS 16 " in job.settings


def test_another_store_makes_no_run_anew():
    pairs = ("TRAINER.CASPL.TEACHER_STORE", "x", "TRAINER.CASPL.TEACHER_STORE_GB", "3")
    plain, stored = (base2new(("CasPLBoost",), ("digits",), seeds=("1",), pairs=more) for more in ((), pairs))
    assert [job.settings for job in plain] == [job.settings for job in stored]


def test_all_runs_share_a_store_of_test_images():
    """Those of the embedded digits have nothing of it, a value behind -- wins, and runs of before stay finished."""

    def stores(jobs):
        return {job.arguments[job.arguments.index(IMAGES) + 1] if IMAGES in job.arguments else "" for job in jobs}

    runs = base2new(("CasPL_CoOp", "ZeroshotCLIP"), ("dtd",), seeds=("1",), output="some where")
    assert stores(runs) == {"some where/stores/images"}
    assert not any(IMAGES in job.settings or "stores" in job.settings for job in runs)
    assert stores(base2new(("CoOp",), ("digits",), seeds=("1",))) == {""}
    for given in ("elsewhere", "none"):
        other = base2new(("CoOp",), ("dtd",), seeds=("1",), pairs=(IMAGES, given, f"{IMAGES}_GB", "3"))
        assert stores(other) == {given} and all(job.arguments.count(IMAGES) == 1 for job in other)
        plain = base2new(("CoOp",), ("dtd",), seeds=("1",))
        assert [job.settings for job in other] == [job.settings for job in plain]


def test_another_logger_makes_no_run_anew():
    plain, logged = (base2new(("CoOp",), ("digits",), seeds=("1",), pairs=pairs) for pairs in ((), ("LOGGER", "wandb")))
    assert [job.settings for job in plain] == [job.settings for job in logged]
    assert all(job.arguments[-2:] == ("LOGGER", "wandb") for job in logged)


# ------------------------------------------------------------ protocols
@pytest.mark.parametrize("shots, fits", [("", {0, 1, 16}), ("1", {1}), ("2-4", {2, 3, 4}), ("8-", {8, 16})])
def test_spans_of_shots(shots, fits):
    row = Fits(shots=shots)
    assert {n for n in (0, 1, 2, 3, 4, 5, 7, 8, 16) if row.run(Run("few_shot", "CoOp", "dtd", n))} >= fits
    assert row.run(Run("few_shot", "CoOp", "dtd"))
    if shots:
        assert not row.run(Run("few_shot", "CoOp", "dtd", 5))


def test_images_of_unions():
    row = Fits(images="+imagenet")
    fits = {name for name in ("imagenet", "dtd+imagenet", "imagenetv2", "dtd") if row.run(Run("", "CasPLBoost", name))}
    assert fits == {"imagenet", "dtd+imagenet"}
    assert row.run(Run("", "CasPLBoost", "dtd", images="self+imagenet"))


def test_of_keys_about_one_thing_the_first_row_holds():
    rows = [
        Keys(Fits(datasets="dtd"), "a", ("A", "1"), "x"),
        Keys(Fits(), "a", ("A", "2"), "x"),
        Keys(Fits(), "b", ("B", "3"), "x", config="few"),
    ]
    assert keys_for(rows, Run("", "CoOp", "dtd"), "few_shot") == ("A", "1", "B", "3")
    assert keys_for(rows, Run("", "CoOp", "ucf101"), "ep50") == ("A", "2")


DEVIATING = Protocol(
    Fits("base2new", "CoOp"),
    "vit_b16_ctxv1",
    "somewhere",
    keys=("OPTIM.LR", "0.5"),
    seeds=(1, 2),
    deviation="for a reason",
    published=Published("rn50_ep100_ctxv1", keys=("TRAINER.COOP.N_CTX", "4"), shots=(4,), seeds=(7,)),
)


@pytest.mark.parametrize("as_published", [False, True])
def test_as_published_follows_the_source(monkeypatch, as_published):
    monkeypatch.setattr(table, "PROTOCOLS", (DEVIATING, *table.PROTOCOLS))
    training, *rest = base2new(("CoOp",), ("dtd",), as_published=as_published)
    own = "OPTIM.LR 0.5 TRAINER.COOP.N_CTX 4" if as_published else "OPTIM.LR 0.5"
    assert training.settings.endswith(f"DATASET.SUBSAMPLE_CLASSES base {own}")
    end = "shots_4/CoOp/rn50_ep100_ctxv1/seed7" if as_published else "shots_16/CoOp/vit_b16_ctxv1/seed1"
    assert training.folder == f"top/train_base/dtd/{end}" and training.epoch == (100 if as_published else 200)
    assert len(rest) == (2 if as_published else 5)
    chosen = base2new(("CoOp",), ("dtd",), as_published=as_published, seeds=("3",), shots=("1",))
    assert chosen.jobs[0].folder.endswith("/seed3") and "/shots_1/" in chosen.jobs[0].folder


def test_a_configuration_that_was_asked_for_comes_without_the_keys_of_the_other(monkeypatch):
    monkeypatch.setattr(table, "PROTOCOLS", (DEVIATING, *table.PROTOCOLS))
    training = base2new(("CoOp",), ("dtd",), configs={"CoOp": "vit_b16"}).jobs[0]
    assert "OPTIM.LR" not in training.settings


def test_every_protocol_names_a_configuration_and_a_source():
    for row in table.PROTOCOLS:
        for trainer in row.fits.trainers.split() or ["CoOp"]:
            for config in filter(None, [row.config, row.published.config]):
                assert config in place.configurations(trainer), (trainer, config)
        assert row.source and set(row.fits.settings.split()) <= {"base2new", "few_shot", "transfer", "phase1"}
        assert bool(row.deviation) == (row.published != Published()) or row.deviation


def test_the_page_of_protocols_is_current():
    text = (ROOT / page.PAGE).read_text(encoding="utf-8")
    assert text == page.page(), "write it anew: caspl sweep protocols --update"


def test_protocols_are_printed(capsys):
    assert main(["protocols", "ProGrad"]) == 0
    out = capsys.readouterr().out
    assert "LOSS.LAMBDA 0.8" in out and "CoCoOp" not in out
    assert main(["protocols", "CoPo"]) == 2
    assert capsys.readouterr().err == 'error: "CoPo" is in no protocol; without a word all are printed\n'


# ------------------------------------------------------------ words
def engine_of(*words):
    mistakes = Mistakes(lambda sentence: None)
    found = line.take_apart("base2new", words, line.Caller(Path()), mistakes)
    lists = {option: line.split(value) for option, value in found.values.items()}
    options = line._engine(found, lists, mistakes)
    return list(mistakes.told) or options


def test_engines():
    assert engine_of() == line.EngineOptions("local", None, None, 1)
    given = engine_of("--gpus", "0,2", "--jobs-per-gpu=2", "--jobs", "3")
    assert (given.gpus, given.jobs_per_gpu, given.jobs) == (("0", "2"), 2, 3)
    assert engine_of("--gpus", "none").gpus == ()
    given = engine_of("--engine", "slurm", "--submit", "--sbatch", "--partition=gpu --time=8:00:00")
    assert given.submit and given.sbatch == "--partition=gpu --time=8:00:00"
    given = engine_of("--engine=ray", "--address", "host:6379", "--retries", "5")
    assert (given.engine, given.address, given.retries) == ("ray", "host:6379", 5)
    assert engine_of("--engine=ray", "--retries", "0").retries == 0


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--engine", "dask"], 'there is no engine "dask" (--engine); there are local, ray, slurm'),
        (["--gpus", "0,x"], '--gpus has "x", expected numbers such as 0,1, names of nvidia-smi -L'),
        (["--gpus", "0,none"], "--gpus has none beside others (0,none); give it alone, or leave it out"),
        (["--gpus", "1 1"], "--gpus has 1 twice; name each GPU once (--jobs-per-gpu lets runs share one)"),
        (["--jobs-per-gpu", "0"], '--jobs-per-gpu has "0", expected whole numbers from 1'),
        (["--submit"], "--submit is for --engine slurm; leave it out, or choose that engine"),
        (
            ["--engine", "slurm", "--gpus", "0"],
            "--gpus is for --engine local and ray; leave it out, or",
        ),
        (["--all=yes"], "caspl sweep base2new has no option --all=yes; --help lists those that it has"),
    ],
)
def test_mistakes_about_engines(words, sentence):
    (told,) = engine_of(*words)
    assert told.startswith(sentence)


@pytest.mark.parametrize(
    "text, words",
    [
        ("a b", ("a", "b")),
        (" a,b , c\n d ", ("a", "b", "c", "d")),
        ("a,,b", ("a", "", "b")),
        ("a,", ("a",)),
    ],
)
def test_lists(text, words):
    assert line.split(text) == words


def test_characters_that_are_not_seen_are_refused(sweeps):
    done = sweeps("phase1", "--dry-run", "--output", "a\x1b[31m", "--datasets", "digits")
    assert done.returncode == 2 and not done.stdout
    assert done.stderr == (
        "error: the value of --output has characters that are not seen (a\\x1b[31m); leave them out\n"
    )


def test_threads_are_divided(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(jobs.os, "sched_getaffinity", lambda process: range(8), raising=False)
    monkeypatch.setattr(jobs.os, "cpu_count", lambda: 64)  # of the machine, of which this process has eight
    assert [line._threads(number) for number in (None, 1, 2, 3, 16)] == [None, None, 4, 2, 1]
    monkeypatch.delattr(jobs.os, "sched_getaffinity", raising=False)  # as on macOS
    assert line._threads(2) == 32
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert line._threads(16) == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")  # for nested regions; each run inherits it
    assert line._threads(16) is None


def test_mistakes_are_told_once_and_all():
    told = []
    mistakes = Mistakes(told.append)
    for sentence in ("one", "two", "one"):
        mistakes.add(sentence)
    with pytest.raises(MistakesError, match="one; two"):
        mistakes.stop()
    assert told == ["error: one", "error: two"]


def test_every_experiment_has_the_options_of_all(capsys):
    assert {option.name for option in OPTIONS if not option.of} >= {"--root", "--output", "--dry-run", "--as-published"}
    assert {option.name for option in options_of("phase1")}.isdisjoint({"--trainers", "--all", "--grid", "--source"})
    assert set(ENGINES) == {"local", "ray", "slurm"}
    assert main(["--help"]) == 0 and "domain_generalization" in capsys.readouterr().out
    assert main(["base-to-new"]) == 2 and main(["base2new_"]) == 2
    assert "do you mean base2new?" in capsys.readouterr().err
