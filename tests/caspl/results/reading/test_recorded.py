"""Records of runs in the place of logs: the same tables, also of moved folders, and nothing silently wrong."""

from dataclasses import replace
from pathlib import Path

import pytest

from caspl.results.__main__ import main
from caspl.results.reading.logs import logs_of, read_logs
from caspl.results.reading.runs import find_runs
from caspl.results.reading.told import Told
from caspl.results.records import NAME, Record, write
from logs_made import made, main_tables, put, result
from records_made import of_a_test, record
from records_made import result as counted

SHOT = "oxford_pets/CoOp/vit_b16_16shots/seed1"
BASE = "base2new/train_base/oxford_pets/shots_16/CoOp/vit_b16/seed1"
NEW = BASE.replace("train_base", "test_new")
LATER = "log.txt-2026-01-02-03-04-05"


def percent(number: float):
    """A result of that accuracy on the 10,000 images of `made`."""
    right = round(number * 100)
    return counted((5_000, 5_000), (right // 2, right - right // 2))


def told_as_record(told: Told) -> Record:
    """What a run that printed a log would have recorded, as far as the log says it."""
    says = {key: value for key, value in told.config.items() if value not in ("", "-1", "all", "None")}
    make = of_a_test if told.tests_a_model else record
    known = make(
        **{
            "configuration.settings": says,
            "configuration.config_file": told.arguments.get("config_file", ""),
            "dataset.name": told.says("DATASET.NAME"),
            "dataset.subset": told.says("DATASET.SUBSAMPLE_CLASSES") or "all",
            "dataset.shots": told.number_of("DATASET.NUM_SHOTS") or -1,
            "dataset.seed": told.number_of("SEED") if told.number_of("SEED") is not None else -1,
            "dataset.classes": ["a", "b"],
            "model.trainer": told.says("TRAINER.NAME"),
            "model.backbone": told.says("MODEL.BACKBONE.NAME"),
            "model.folder": told.model_dir or "",
            "model.epoch": int(told.arguments.get("load_epoch") or told.says("OPTIM.MAX_EPOCH") or 1),
            "model.training": None,
            "protocol.names_phase1": "unknown",
            "predictions": None,
        }
    )
    if told.final is None:
        return replace(known, status="running", result=None)
    right = int(told.final.correct.replace(",", ""))
    found = counted((5_000, 5_000), (min(right, 5_000), right - min(right, 5_000)), split=told.final.split)
    return replace(known, result=found)


def add_records(top: Path) -> int:
    """Beside every log below `top`, of its last run."""
    folders = {path.parent for path in top.rglob("log.txt*")}
    for folder in folders:
        newest = logs_of(folder, [path.name for path in folder.iterdir()])[-1]
        write(folder, told_as_record(read_logs(newest)[-1]))
    return len(folders)


def a_table_of_everything(top: Path) -> None:
    """All settings, trainings and tests, killed, repeated, validated, contradicting and misplaced runs."""
    for seed in (1, 2):
        for trainer in ("CoOp", "CasPL_CoOp"):
            base, new = (place.replace("CoOp", trainer).replace("seed1", f"seed{seed}") for place in (BASE, NEW))
            put(top, base, made(80 + seed, trainer=trainer, seed=seed, classes="base", output=base))
            put(top, new, made(60, trainer=trainer, seed=seed, classes="new", model=base, output=new))
        put(top, f"imagenet/CoOp/c_16shots/seed{seed}", made(70, "imagenet", seed=seed, output=f"i/c/seed{seed}"))
        for dataset in ("dtd", "imagenet_r"):
            place = f"evaluation/CoOp/c_16shots/{dataset}/seed{seed}"
            put(top, place, made(50 + seed, dataset, seed=seed, shots=-1, model=f"o/i/c/seed{seed}"))
    put(top, "ZeroshotCLIP/vit_b16/dtd", made(44, "dtd", "ZeroshotCLIP", shots=-1))
    put(top, "dtd/CoOp/c_1shots/seed1", made(50, "dtd", shots=1, output="d1"))
    put(top, "dtd/CoOp/c_1shots/seed1/test", made(40, "dtd", shots=1, model="d1", load_epoch=5))
    put(top, "dtd/CoOp/c_2shots/seed1", made(None, "dtd", shots=2))
    put(top, "dtd/CoOp/c_4shots/seed1", made(None, "dtd", shots=4))
    put(top, "dtd/CoOp/c_4shots/seed1", made(54, "dtd", shots=4), LATER)
    put(top, "dtd/CoOp/c_8shots/seed1", made(58, "dtd", shots=8))
    put(top, "dtd/CoOp/c_8shots/seed1", made(None, "dtd", shots=8), LATER)
    put(top, "dtd/KgCoOp/c_1shots/seed1", made(51, "dtd", "KgCoOp", shots=1, lr=0.1))
    put(top, "dtd/KgCoOp/c_1shots/seed1", made(52, "dtd", "KgCoOp", shots=1, lr=0.2), LATER)
    put(top, "dtd/MaPLe/c_1shots/seed1", made(53, "dtd", "MaPLe", shots=1, split="val"))
    put(top, "dtd/MaPLe/c_1shots/seed2", made(53, "dtd", "MaPLe", shots=1, seed=3))
    put(top, "dtd/MaPLe/c_1shots/seed4", made(53, "sun397", "CoOp", shots=1, seed=4))
    put(top, "exp/a/seed1", made(61, "digits", "KgCoOp"))
    put(top, "boost/digits", made(61, "digits", "CasPLBoost", shots=-1))


def everything_said(top: Path, capsys) -> list:
    main([str(top)])
    texts = [(top / name).read_text(encoding="utf-8") for name in ("results.csv", "results.md", "results.tex")]
    out, err = capsys.readouterr()
    return [*map(main_tables, [*texts, out]), (top / "results.png").read_bytes(), err]


def test_records_give_the_same_tables_and_lines_as_logs(tmp_path, capsys):
    a_table_of_everything(tmp_path)
    by_logs = everything_said(tmp_path, capsys)
    assert by_logs[-1].count("left out: ") == 3 and by_logs[-1].count("unfinished: ") == 2
    assert add_records(tmp_path) == 26
    assert everything_said(tmp_path, capsys) == by_logs


def test_logs_are_not_parsed_where_records_say_all(tmp_path, monkeypatch):
    """Whoever reads 2,000 runs waits for this."""
    put(tmp_path, BASE, made(80, classes="base"))
    put(tmp_path, NEW, made(70, classes="new", model="m"))
    add_records(tmp_path)
    monkeypatch.setattr("caspl.results.reading.runs.read_logs", lambda path: pytest.fail(f"{path} is read"))
    assert sorted(run.accuracy for run in find_runs(tmp_path).runs) == [70, 80]


def test_a_run_whose_log_is_gone_counts_by_its_record(tmp_path, capsys):
    (log,) = [put(tmp_path, SHOT, made(80))]
    add_records(tmp_path)
    log.unlink()
    (run,) = find_runs(tmp_path).runs
    assert (run.accuracy, run.path, run.config) == (80, f"{SHOT}/{NAME}", "vit_b16")
    wrong = put(tmp_path, SHOT.replace("seed1", "seed2"), made(80))
    add_records(tmp_path)
    wrong.unlink()
    main([str(tmp_path), "--no-write"])
    assert "seed2/run.json: its record says SEED 1 where its folder says seed 2" in capsys.readouterr().err


NEWER = {
    "killed": (made(None), 80, 1, []),
    "finished": (made(81), 81, 0, []),
    "of another rate": (made(81, lr=0.5), None, 0, ["OPTIM.LR 0.002 and 0.5"]),
}


@pytest.mark.parametrize("log, accuracy, unfinished, said", NEWER.values(), ids=NEWER)
def test_a_newer_log_beside_an_older_record(tmp_path, log, accuracy, unfinished, said):
    """As of an older version's run, which leaves no record."""
    put(tmp_path, SHOT, made(80))
    add_records(tmp_path)
    put(tmp_path, SHOT, log, LATER)
    found = find_runs(tmp_path)
    assert [run.accuracy for run in found.runs] == ([accuracy] if accuracy else [])
    assert (
        len(found.unfinished) == unfinished and [why for _, why in found.left_out if said[0] in why] if said else True
    )
    for run in found.runs:
        assert (run.record is not None) == (accuracy == 80)


def test_a_log_that_took_the_place_of_the_records_own(tmp_path):
    put(tmp_path, SHOT, made(80))
    add_records(tmp_path)
    put(tmp_path, SHOT, made(None))
    found = find_runs(tmp_path)
    assert [(path, run.accuracy, run.path) for path, run in found.unfinished] == [
        (f"{SHOT}/log.txt", 80, f"{SHOT}/{NAME}")
    ]
    put(tmp_path, SHOT, made(77))
    found = find_runs(tmp_path)
    assert [run.accuracy for run in found.runs] == [77] and found.runs[0].record is None
    ((path, why),) = found.left_out
    assert path == f"{SHOT}/{NAME}" and "it counts 8,000 correct images of 10,000, which no log beside it does" in why


def test_more_behind_the_result_than_is_looked_at(tmp_path):
    classes = "".join(f"* class: {i} (name)\ttotal: 50\tcorrect: 40\tacc: 80.0%\n" for i in range(1_000))
    put(tmp_path, SHOT, made(80, end=result(80) + "=> per-class result\n" + classes))
    add_records(tmp_path)
    (run,) = find_runs(tmp_path).runs
    assert run.accuracy == 80 and run.record is not None


def damaged(text: str) -> dict[str, str]:
    return {
        "a changed digit": text.replace('"correct": 8000', '"correct": 8001'),
        "cut short": text[: len(text) // 2],
        "empty": "",
        "of another program": '{"status": "COMPLETED"}',
        "a later version": text.replace('"version": 1', '"version": 2'),
    }


@pytest.mark.parametrize("kind", damaged(""))
def test_a_damaged_record_is_named_and_the_log_is_read(tmp_path, capsys, kind):
    put(tmp_path, SHOT, made(80))
    add_records(tmp_path)
    path = tmp_path / SHOT / NAME
    path.write_text(damaged(path.read_text())[kind])
    assert main([str(tmp_path), "--format", "csv"]) == 0
    out, err = capsys.readouterr()
    (said,) = [line for line in err.splitlines() if line.startswith(f"left out: {path}: ")]
    assert ",80.0000," in out and said.count(str(path)) == 1 and said.endswith("; log.txt is read in its place")
    (tmp_path / SHOT / "log.txt").unlink()
    assert main([str(tmp_path)]) == 2
    assert f"left out: {path}: " in capsys.readouterr().err


def test_moved_folders_are_known_by_the_file_that_was_tested(tmp_path, capsys):
    """Under names that say nothing, and that the command line did not have."""
    put(tmp_path, "x/seed1", made(80, classes="base", output="o/a", trainer="KgCoOp", file="mine"))
    put(tmp_path, "y/seed1", made(70, classes="new", model="../b", trainer="KgCoOp", shots=-1))
    main([str(tmp_path), "--no-write"])
    assert "neither its log nor a folder says" in capsys.readouterr().err
    add_records(tmp_path)
    for name in "xy":
        (tmp_path / name / "seed1/log.txt").unlink()
    assert {(run.classes, run.config, run.shots, run.dataset) for run in find_runs(tmp_path).runs} == {
        ("base", "mine", 16, "OxfordPets"),
        ("new", "mine", 16, "OxfordPets"),
    }


def test_what_the_tested_model_was_trained_on_is_recorded(tmp_path):
    """Also where its training is not there."""
    put(tmp_path, "y/seed1", made(70, "dtd", model="../b", shots=-1))
    add_records(tmp_path)
    path = tmp_path / "y/seed1"
    known = told_as_record(read_logs(path / "log.txt")[0])
    training = replace(of_a_test().model.training, dataset="ImageNet", shots=4, seed=1)
    write(path, replace(known, model=replace(known.model, training=training, files=[])))
    (run,) = find_runs(tmp_path).runs
    assert (run.setting, run.shots) == ("cross_dataset", 4)
    write(path, replace(known, model=replace(known.model, training=replace(training, seed=2), files=[])))
    ((_, why),) = find_runs(tmp_path).left_out
    assert "its seed is 1, but that of the model it tests, ../b, is 2" in why


@pytest.mark.parametrize("names, inductive", [("base", True), ("all", False), ("", False)])
def test_the_record_says_whose_names_phase_1_knew(tmp_path, names, inductive):
    put(tmp_path, SHOT.replace("CoOp", "CasPL_CoOp"), made(80, trainer="CasPL_CoOp"))
    (folder,) = [path.parent for path in tmp_path.rglob("log.txt")]
    known = told_as_record(read_logs(folder / "log.txt")[0])
    write(folder, replace(known, protocol=replace(known.protocol, names_phase1=names)))
    (run,) = find_runs(tmp_path).runs
    assert run.inductive is inductive


@pytest.mark.parametrize("status", ["running", "diverged", "interrupted", "refused", "failed"])
def test_a_record_of_a_run_that_did_not_finish_is_no_result(tmp_path, status):
    put(tmp_path, SHOT, made(80))
    write(tmp_path / SHOT, record(status=status, result=None, predictions=None))
    put(tmp_path, SHOT, made(None), LATER)
    found = find_runs(tmp_path)
    assert [(path, run.accuracy) for path, run in found.unfinished] == [(f"{SHOT}/{LATER}", 80)]
    for log in (tmp_path / SHOT).glob("log.txt*"):
        log.unlink()
    write(
        tmp_path / SHOT,
        told_as_record(
            Told(
                Path("log.txt"),
                config={
                    "DATASET.NAME": "OxfordPets",
                    "TRAINER.NAME": "CoOp",
                    "SEED": "1",
                    "MODEL.BACKBONE.NAME": "ViT-B/16",
                },
            )
        ),
    )
    found = find_runs(tmp_path)
    assert not found.runs and [path for path, _ in found.unfinished] == [f"{SHOT}/{NAME}"]


@pytest.mark.parametrize(
    "chosen_by, config", [("val", "vit_b16"), ("last_step", "vit_b16/epoch 7"), ("given", "vit_b16/epoch 7")]
)
def test_the_best_epoch_makes_no_row_of_its_own(tmp_path, chosen_by, config):
    """As where the log gives no --load-epoch; another one than training ended with does."""
    put(tmp_path, BASE, made(80, classes="base", output=BASE))
    put(tmp_path, NEW, made(70, classes="new", model=BASE))
    add_records(tmp_path)
    known = told_as_record(read_logs(tmp_path / NEW / "log.txt")[0])
    protocol = replace(known.protocol, chosen_by=chosen_by)
    write(tmp_path / NEW, replace(known, model=replace(known.model, epoch=7), protocol=protocol))
    assert {run.classes: run.config for run in find_runs(tmp_path).runs} == {"base": "vit_b16", "new": config}
