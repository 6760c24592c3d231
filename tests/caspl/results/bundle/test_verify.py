"""What is found in a bundle that somebody has altered, and in a folder: every forgery but one that is consistent throughout."""

import gzip
import json
import re
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from bundles_made import MODEL, PHASE_1, RUN, forged, members, method, of_record, settle, sha256, sweep
from caspl.results.bundle import links, numbers
from caspl.results.bundle.comparing import page_differences
from caspl.results.records import ModelFile, Predictions, predictions, read, write
from caspl.results.report.__main__ import main

COOP, COOP_NEW = (RUN.format(part, "CoOp", 1) for part in ("train_base", "test_new"))
CASPL = RUN.format("train_base", "CasPL_CoOp", 1)


def verified(path, capsys):
    """The exit status, and what is said."""
    capsys.readouterr()
    status = main([str(path), "--verify"])
    said = capsys.readouterr()
    assert not said.err, said.err
    return status, said.out.splitlines()


def found(path, capsys):
    """The lines about what does not agree, of which there is one at least."""
    status, lines = verified(path, capsys)
    wrong = [line.removeprefix("differs: ") for line in lines if line.startswith("differs: ")]
    assert status == 1 and wrong and "not as recorded" in lines[-1]
    return wrong


def test_a_whole_bundle_is_verified(whole, capsys):
    status, lines = verified(whole, capsys)
    assert status == 0
    counts = "6 runs and 1 that they rest on or beside them, 280 predictions, 22 numbers in 6 tables, 21 files"
    assert lines == [f"{counts}: all recomputed, all as recorded"]


def other_prediction(content):
    """The likeliest label of the first image that is right and the next one change places."""
    lines = gzip.decompress(content).decode().split("\n")
    number, cells = next(
        (n, line.split(",")) for n, line in enumerate(lines) if n and line.split(",")[1] == line.split(",")[2]
    )
    cells[2], cells[3] = cells[3], cells[2]
    lines[number] = ",".join(cells)
    return gzip.compress("\n".join(lines).encode(), mtime=0)


def test_a_changed_prediction(bundle, capsys):
    forged(bundle, {f"{COOP}/predictions.csv.gz": other_prediction}, consistent=False)
    wrong = found(bundle, capsys)
    assert any(line.startswith(f"{COOP}/predictions.csv.gz is another file than was bundled") for line in wrong)
    assert any(line.startswith(f"{COOP}/predictions.csv.gz is not the file of its run") for line in wrong)


def test_a_changed_prediction_of_a_forger_who_mends_every_checksum(bundle, tmp_path, capsys):
    """Only the numbers of the record are left as they were: they are found by computing them anew."""
    name = f"{COOP}/predictions.csv.gz"
    changed = other_prediction(members(bundle)[name])
    mended = lambda run: replace(run, predictions=Predictions("predictions.csv.gz", 40, sha256(changed)))  # noqa: E731
    record = partial(of_record, change=mended, place=tmp_path / "forge")
    forged(bundle, {name: changed, f"{COOP}/run.json": record})
    wrong = found(bundle, capsys)
    assert all(
        line.startswith((f"{COOP}: ", "report.html: ")) for line in wrong
    )  # the page shows the record's checksum
    assert re.fullmatch(rf"{COOP}: correct is recorded as (\d+), and its predictions give (\d+)", wrong[0])
    assert any(line.startswith(f"{COOP}: accuracy is recorded as") for line in wrong)


def test_another_probability_is_another_calibration_error(bundle, tmp_path, capsys):
    name = f"{COOP}/predictions.csv.gz"
    text = gzip.decompress(members(bundle)[name]).decode().split("\n")
    cells = text[1].split(",")
    cells[7] = "0.01"
    cells[8:] = ["0.001"] * len(cells[8:])
    text[1] = ",".join(cells)
    changed = gzip.compress("\n".join(text).encode(), mtime=0)
    mended = lambda run: replace(run, predictions=Predictions("predictions.csv.gz", 40, sha256(changed)))  # noqa: E731
    forged(bundle, {name: changed, f"{COOP}/run.json": partial(of_record, change=mended, place=tmp_path / "forge")})
    assert any(line.startswith(f"{COOP}: ece is recorded as") for line in found(bundle, capsys))


def test_other_images(bundle, tmp_path, capsys):
    name = f"{COOP}/predictions.csv.gz"
    changed = gzip.compress(gzip.decompress(members(bundle)[name]).replace(b"0/0000.png", b"0/9999.png"), mtime=0)
    mended = lambda run: replace(run, predictions=Predictions("predictions.csv.gz", 40, sha256(changed)))  # noqa: E731
    forged(bundle, {name: changed, f"{COOP}/run.json": partial(of_record, change=mended, place=tmp_path / "forge")})
    wrong = [line for line in found(bundle, capsys) if not line.startswith("report.html: ")]
    assert wrong == [
        f"{COOP}: its predictions are of other images, or with other labels, than the checksum of its dataset says"
    ]


@pytest.mark.parametrize("table", ["results.csv", "results.md"])
def test_a_changed_number_in_a_table(bundle, capsys, table):
    text = members(bundle)[table].decode()
    number = re.search(r"(?<=base,)[\d.]+" if table == "results.csv" else r"\d\d\.\d\d", text)[0]
    forged(bundle, {table: text.replace(number, "99.99", 1).encode()})
    wrong = found(bundle, capsys)
    assert wrong and all(line.startswith(f"{table}: ") for line in wrong)
    assert "99.99" in wrong[0] and number in wrong[0] and "recorded" in wrong[0] and "recomputed" in wrong[0]
    if table == "results.csv":
        assert "base2new/" in wrong[0] and "accuracy" in wrong[0]
    else:
        assert "Base to new" in wrong[0] and "digits" in wrong[0]


def test_a_changed_number_in_a_record(bundle, tmp_path, capsys):
    other = lambda run: replace(run, result=replace(run.result, macro_f1=99.0))  # noqa: E731
    forged(bundle, {f"{COOP_NEW}/run.json": partial(of_record, change=other, place=tmp_path / "forge")})
    (line, *more) = found(bundle, capsys)
    assert line.startswith(f"{COOP_NEW}: macro_f1 is recorded as 99.0, and its predictions give ")
    assert all(line.startswith(("report.html", f"results.csv: {COOP_NEW}/run.json, macro_f1: ")) for line in more)


def test_a_digit_of_a_record_without_its_checksum(bundle, capsys):
    forged(bundle, {f"{COOP}/run.json": lambda content: content.replace(b'"epochs": 30', b'"epochs": 31')})
    assert any("its content is not what was written" in line for line in found(bundle, capsys))


def test_better_results_with_all_counts_but_not_the_predictions(bundle, tmp_path, capsys):
    """The record and both tables are changed to agree with each other."""

    def better(run):
        count = run.result.total
        bins = [replace(each, correct=each.images) for each in run.result.bins]
        gap = 100 * sum(abs(each.confidence - each.correct) for each in bins) / count
        changed = replace(
            run.result, correct=count, accuracy=100.0, class_correct=run.result.class_total, bins=bins, ece=gap
        )
        return replace(run, result=changed)

    forged(bundle, {f"{COOP}/run.json": partial(of_record, change=better, place=tmp_path / "forge")})
    wrong = found(bundle, capsys)
    assert any(line.startswith(f"{COOP}: correct is recorded as 40, and") for line in wrong)


@pytest.mark.parametrize("consistent", [True, False])
@pytest.mark.parametrize("name", [f"{COOP}/{MODEL}", f"{PHASE_1}/boosting.safetensors"])
def test_a_swapped_file(bundle, capsys, name, consistent):
    forged(bundle, {name: b"of another run"}, consistent=consistent)
    wrong = found(bundle, capsys)
    assert any(line.startswith(f"{name} is not the file that the record in") for line in wrong)
    assert any("is another file than was bundled" in line for line in wrong) != consistent


def test_two_runs_that_change_places(bundle, capsys):
    held = members(bundle)
    names = [(f"{RUN.format('train_base', 'CoOp', seed)}/predictions.csv.gz") for seed in (1, 2)]
    forged(bundle, {names[0]: held[names[1]], names[1]: held[names[0]]})
    wrong = found(bundle, capsys)
    assert len([line for line in wrong if "is not the file of its run" in line]) == 2


@pytest.mark.parametrize("name", [f"{COOP}/predictions.csv.gz", f"{COOP}/run.json", f"{COOP}/{MODEL}", "results.csv"])
def test_a_missing_member(bundle, capsys, name):
    forged(bundle, {name: None}, consistent=False)
    assert f"{name} is missing" in found(bundle, capsys)


@pytest.mark.parametrize("name", ["results.csv", "results.md"])
def test_tables_that_nobody_misses(bundle, capsys, name):
    forged(bundle, {name: None})
    assert f"{name} is missing" in found(bundle, capsys)


def test_predictions_that_nobody_misses(bundle, capsys):
    """Without them the numbers can't be recomputed, which is no success."""
    forged(bundle, {f"{COOP}/predictions.csv.gz": None})
    status, lines = verified(bundle, capsys)
    assert status == 1 and f"not recomputed: {COOP}: its predictions.csv.gz is not there" in lines
    assert lines[-1].endswith("1 not to be recomputed")


def test_a_record_that_names_no_predictions(bundle, tmp_path, capsys):
    bare = partial(of_record, change=lambda run: replace(run, predictions=None), place=tmp_path / "forge")
    forged(bundle, {f"{COOP}/predictions.csv.gz": None, f"{COOP}/run.json": bare})
    status, lines = verified(bundle, capsys)
    assert status == 1 and any(
        line.startswith(f"not recomputed: {COOP}: the run left no predictions") for line in lines
    )


def test_an_additional_member(bundle, capsys):
    forged(bundle, {"notes.txt": b"trust me"}, consistent=False)
    assert found(bundle, capsys) == ["notes.txt was not bundled: bundle.json does not name it"]


def test_a_run_that_was_taken_out(bundle, capsys):
    place = RUN.format("train_base", "CoOp", 2)
    forged(bundle, {name: None for name in members(bundle) if name.startswith(place)})
    wrong = found(bundle, capsys)
    (line,) = (line for line in wrong if line.startswith("results.csv: "))
    assert line == f'results.csv: it has a line of "{place}/run.json"'
    assert any(line.startswith("results.md: ") for line in wrong)


def test_a_run_that_was_put_in(bundle, tmp_path, capsys):
    method(tmp_path, "KgCoOp", 1)
    more = {
        path.relative_to(tmp_path).as_posix(): path.read_bytes()
        for path in (tmp_path / "base2new").rglob("*")
        if path.is_file()
    }
    forged(bundle, more)
    lines = [line for line in found(bundle, capsys) if line.startswith("results.csv: ")]
    assert len(lines) == 2 and all("it lacks the line of " in line and "KgCoOp" in line for line in lines)


def test_a_run_that_is_copied_as_another_seed(tmp_path, capsys):
    """With all that follows from it, and other bytes in place of its model: its predictions give it away."""
    top = sweep(tmp_path / "output")
    for part in ("train_base", "test_new"):
        old, new = (RUN.format(part, "CoOp", seed) for seed in (1, 3))
        shutil.copytree(top / old, top / new)
        run = read(top / new)
        write(top / new, replace(run, **of_seed(run, 3)))
    lines = same_outcome(tmp_path, top, capsys)
    assert sorted(line.partition(" have the same ")[2].split()[0] for line in lines) == [
        "model",
        "predictions",
        "predictions",
    ]
    assert all("seed1 (seed 1) and " in line and "seed3 (seed 3) have" in line for line in lines)
    for part in ("train_base", "test_new"):
        new = RUN.format(part, "CoOp", 3)
        run = read(top / new)
        write(top / new, replace(run, model=replace(run.model, files=[ModelFile(MODEL, sha256(b"other"))])))
    (top / RUN.format("train_base", "CoOp", 3) / MODEL).write_bytes(b"other")
    assert len(same_outcome(tmp_path, top, capsys)) == 2
    for part in ("train_base", "test_new"):  # of what was not trained every seed has the same
        for seed in (1, 3):
            place = top / RUN.format(part, "CoOp", seed)
            run = read(place)
            write(place, replace(run, model=replace(run.model, training=replace(run.model.training, epochs=0))))
    assert main([str(top), "--bundle", str(tmp_path / "b.zip")]) == 0
    assert verified(tmp_path / "b.zip", capsys)[0] == 0


def of_seed(run, seed):
    """What a record says elsewhere when its run is another seed's."""
    folder = run.model.folder.replace("seed1", f"seed{seed}")
    return {
        "dataset": replace(run.dataset, seed=seed),
        "model": replace(run.model, folder=folder, training=replace(run.model.training, seed=seed)),
        "configuration": replace(run.configuration, settings=run.configuration.settings | {"SEED": str(seed)}),
    }


def same_outcome(place, top, capsys):
    assert main([str(top), "--bundle", str(place / "b.zip")]) == 0
    lines = found(place / "b.zip", capsys)
    assert all("have the same" in line for line in lines)
    return lines


def test_a_member_that_no_record_names(bundle, capsys):
    forged(bundle, {f"{COOP}/notes.txt": b"trust me"})
    assert found(bundle, capsys) == [f"{COOP}/notes.txt is of no run: no record of a finished one names it"]


def test_runs_that_are_renamed(bundle, capsys):
    """What contradicts its folder is named as it is called in the bundle, without a place on this machine."""
    held = members(bundle)
    seeds = [RUN.format("train_base", "CoOp", seed) for seed in (1, 2)]
    forged(
        bundle, {b + name[len(a) :]: held[name] for a, b in (seeds, seeds[::-1]) for name in held if name.startswith(a)}
    )
    wrong = found(bundle, capsys)
    assert f"{seeds[0]}/run.json: its record says SEED 2 where its folder says seed 1" in wrong[0]
    assert any("the record of the model that it tests, base2new/" in line for line in wrong)


def test_a_test_of_another_model(bundle, tmp_path, capsys):
    def other(run):
        files = [replace(file, sha256="e" * 64) for file in run.model.files]
        return replace(run, model=replace(run.model, files=files))

    forged(bundle, {f"{COOP_NEW}/run.json": partial(of_record, change=other, place=tmp_path / "forge")})
    assert any(
        line.startswith(f"{COOP_NEW}: it tests {MODEL} with the checksum eeee") for line in found(bundle, capsys)
    )


def test_other_boosting_prompts(bundle, tmp_path, capsys):
    other = lambda run: replace(run, boosting=replace(run.boosting, sha256="e" * 64))  # noqa: E731
    forged(bundle, {f"{CASPL}/run.json": partial(of_record, change=other, place=tmp_path / "forge")})
    wrong = found(bundle, capsys)
    assert any(
        line.startswith(f"{CASPL}: it rests on boosting prompts eeeeeeeeeeee..., and {PHASE_1} has made")
        for line in wrong
    )


def test_runs_of_one_table_on_other_images(tmp_path, capsys):
    top = sweep(tmp_path / "output")
    place = top / COOP
    run = read(place)
    table = predictions.read(place, run.predictions)
    settle(place, run, replace(table, images=[f"other/{name}" for name in table.images]), told=True)
    assert main([str(top), "--bundle", str(tmp_path / "b.zip")]) == 0
    (line,) = found(tmp_path / "b.zip", capsys)
    assert line.startswith("digits, base classes: not tested on the same images with the same labels, but on ")
    assert "1 run, first" in line and "2 runs, first" in line


def test_a_damaged_member(bundle, capsys):
    content = bytearray(bundle.read_bytes())
    place = content.index(members(bundle)[f"{COOP}/predictions.csv.gz"])
    content[place + 50] ^= 1
    bundle.write_bytes(content)
    assert any(line.startswith(f"{COOP}/predictions.csv.gz: it is damaged") for line in found(bundle, capsys))


def test_the_page_is_compared_too(bundle, capsys):
    text = members(bundle)["report.html"].decode()
    number = re.search(r">(\d\d\.\d\d)<", text)[1]
    forged(bundle, {"report.html": text.replace(f">{number}<", ">99.99<", 1).encode()})
    (line,) = found(bundle, capsys)
    assert line.startswith("report.html: text ") and f'recorded "99.99", recomputed "{number}"' in line


@pytest.mark.parametrize("old, new", [("CoOp + CasPL", "CoOp + All"), ("</script>", ";alter()</script>")])
def test_what_the_page_says_beside_its_tables_is_compared(bundle, capsys, old, new):
    """Such as its verdicts, which are read first."""
    forged(
        bundle, {"report.html": lambda page: re.sub(rf"(?<!>){re.escape(old)}".encode(), new.encode(), page, count=1)}
    )
    (line,) = found(bundle, capsys)
    assert line.startswith("report.html: text ") and "recomputed" in line


def test_examples_on_a_page_need_images_that_a_check_has_not():
    page = "<p>70.00</p>{}<p>80.00</p>"
    more = '<div class="examples" data-of-place><div>7<br>99 %</div><img src="data:image/png;base64,{}"></div>'.format(
        "A" * 2**20
    )
    assert list(page_differences(page.format(more), page.format(""))) == []
    (line,) = page_differences(page.format(more), page.format("").replace("80", "81"))
    assert line == 'text 2 of 2: recorded "80.00", recomputed "81.00"'


def test_a_page_that_is_no_html_takes_no_time(bundle, capsys):
    forged(bundle, {"report.html": b"<" * 5_000_000})
    (line,) = found(bundle, capsys)
    assert line.startswith("report.html: it has 5,000,000 characters beside its pictures, recomputed ")


def test_another_version_compares_what_both_have(bundle, capsys):
    """A column that this program does not know is no number of its own; one that both have is."""

    def older(content):
        said = json.loads(content)
        said["program"]["sha256"] = "0" * 64
        return json.dumps(said).encode()

    lines = members(bundle)["results.csv"].decode().splitlines()
    without = "".join(",".join(line.split(",")[:3] + line.split(",")[4:]) + "\n" for line in lines)
    forged(bundle, {"bundle.json": older, "results.csv": without.encode(), "report.html": b"<p>of another program"})
    status, lines = verified(bundle, capsys)
    assert status == 0 and lines[0].startswith("note: another program made the bundle")
    forged(
        bundle, {"bundle.json": older, "results.csv": re.sub(r",\d\d\.\d{4},", ",99.9999,", without, count=1).encode()}
    )
    assert 'recorded "99.9999"' in found(bundle, capsys)[0]
    forged(bundle, {"bundle.json": older, "results.csv": "".join(without.splitlines(keepends=True)[:-1]).encode()})
    assert "results.csv: it lacks the line of " in found(bundle, capsys)[0]


def test_all_that_is_consistent_is_believed(bundle, tmp_path, capsys):
    """The limit of any check: predictions that were made up together with all that follows from them."""
    top = sweep(tmp_path / "made up")
    run = read(top / COOP)
    table = predictions.read(top / COOP, run.predictions)
    top_labels = table.top.copy()
    top_labels[:, 0] = table.labels
    top_labels[:, 1:] = (table.labels[:, None] + 1 + np.arange(top_labels.shape[1] - 1)) % 5
    settle(top / COOP, run, replace(table, top=top_labels), told=True)
    assert main([str(top), "--bundle", str(tmp_path / "b.zip")]) == 0
    assert verified(tmp_path / "b.zip", capsys)[0] == 0


# ---------------------------------------------------------------------------------------------------------------------
# A folder
# ---------------------------------------------------------------------------------------------------------------------
def test_a_folder_is_verified_where_it_lies(tmp_path, capsys):
    top = sweep(tmp_path / "output")
    assert main([str(top)]) == 0
    before = sorted(path for path in top.rglob("*"))
    status, lines = verified(top, capsys)
    assert status == 0 and lines[-1].startswith(
        "6 runs and 1 that they rest on or beside them, 280 predictions, 22 numbers"
    )
    assert sorted(path for path in top.rglob("*")) == before


def test_what_is_wrong_in_a_folder(tmp_path, capsys):
    top = sweep(tmp_path / "output")
    assert main([str(top)]) == 0
    run = read(top / COOP)
    write(top / COOP, replace(run, result=replace(run.result, macro_f1=1.0)))
    assert any(line.startswith(f"{COOP}: macro_f1 is recorded as 1.0") for line in found(top, capsys))
    write(top / COOP, run)
    (top / COOP / MODEL).write_bytes(b"trained once more")
    assert any(line.startswith(f"{COOP}/{MODEL} is not the file") for line in found(top, capsys))
    (top / COOP / MODEL).unlink()
    status, lines = verified(top, capsys)
    assert status == 0 and f"note: {COOP}/{MODEL} is not there, though a record names it" in lines
    assert lines[0] == "note: results.csv is not there, and compared with nothing; caspl results writes it"


# ---------------------------------------------------------------------------------------------------------------------
# Which run rests on which
# ---------------------------------------------------------------------------------------------------------------------
def test_a_training_is_found_where_its_folder_was_moved(tmp_path, capsys):
    """Below another root, and with a copy beside it that was trained otherwise."""
    sweep(tmp_path / "all" / "here")
    sweep(tmp_path / "all" / "copy")
    folder = tmp_path / "all" / "copy" / COOP
    (folder / MODEL).write_bytes(b"trained once more")
    run = read(folder)
    write(
        folder,
        replace(
            run, model=replace(run.model, files=[replace(run.model.files[0], sha256=sha256(b"trained once more"))])
        ),
    )
    status, lines = verified(tmp_path / "all", capsys)
    assert status == 0, lines


def test_another_dataset_of_one_configuration_is_no_training_of_it(tmp_path, capsys):
    """Only the training on other images is there: nothing is said of the file, which it has not made."""
    top = sweep(tmp_path / "output")
    place = top / COOP_NEW
    run = read(place)
    files = [replace(run.model.files[0], sha256="e" * 64)]
    training = replace(run.model.training, dataset="OxfordPets")
    other = f"/home/somebody/output/{COOP.replace('digits/shots', 'oxford_pets/shots')}"
    made = replace(run, model=replace(run.model, files=files, folder=other, training=training))
    records = {COOP: read(top / COOP), COOP_NEW: made}
    assert links.Trainings(records).of(COOP_NEW, made) is None
    assert list(numbers.models(COOP_NEW, records, links.Trainings(records))) == []


def test_phase_1_of_another_dataset_is_none_of_it(tmp_path):
    top = sweep(tmp_path / "output")
    first, second = read(top / PHASE_1), read(top / CASPL)
    known = replace(second.boosting, sha256="e" * 64)
    for dataset, maker in (("Digits", PHASE_1), ("OxfordPets", None)):
        run = replace(second, boosting=replace(known, dataset=dataset))
        assert links.Trainings({PHASE_1: first, CASPL: run}).phase_1(run) == maker
