"""The page: every number of the tables, every record's facts, everything that is missing, and nothing that acts or asks."""

import csv
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from caspl.results.__main__ import main as results
from caspl.results.records import write
from caspl.results.report.__main__ import main
from caspl.results.report.facts import duration, of_record
from logs_made import made, put
from records_made import boosting, of_a_test, record
from records_made import result as counted

BASE = "base2new/train_base/digits/shots_16/{}/digits/seed{}"
VOID = {"meta", "source", "img"}


class Parsed(HTMLParser):
    """A page as a browser sees it: tags that are closed in order, attributes, the text in each kind of tag."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links, self.texts, self.cells = [], set(), [], [], []
        self.feed(text)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "srcset", "action")]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag in ("td", "th"):
            self.cells.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data
        if "style" not in self.open:
            self.texts.append(data.strip())

    @property
    def text(self):
        return "\n".join(filter(None, self.texts))


def page(top, capsys, *options):
    """The page, and what is said on stderr."""
    status = main([str(top), *options])
    said = capsys.readouterr()
    assert status == 0, said.err
    return Parsed((top / "report.html").read_text(encoding="utf-8")), said.err


def digits(top, trainer="CoOp", seed=1, base=85, new=60, **changes):
    """A training and its test on the new classes, each with its record."""
    for make, classes, percent in ((record, "base", base), (of_a_test, "new", new)):
        place = BASE.format(trainer, seed).replace("train_base", "train_base" if classes == "base" else "test_new")
        model = "" if classes == "base" else BASE.format(trainer, seed)
        put(
            top,
            place,
            made(percent, "digits", trainer, seed=seed, classes=classes, output=place, model=model, file="digits"),
        )
        known = make(**{"result": counted((10_000,), (percent * 100,)), "predictions": None, **changes})
        known = replace(
            known,
            dataset=replace(known.dataset, classes=["zero"], seed=seed),
            model=replace(known.model, trainer=trainer, folder=model),
            configuration=replace(
                known.configuration,
                settings=known.configuration.settings | {"TRAINER.NAME": trainer, "SEED": str(seed)},
            ),
        )
        write(top / place, known)


def test_every_number_of_the_tables_is_on_the_page(tmp_path, capsys):
    for seed in (1, 2):
        digits(tmp_path, seed=seed, base=80 + seed)
    put(tmp_path, "oxford_pets/CoOp/vit_b16_1shots/seed1", made(70, shots=1))
    put(tmp_path, "imagenet/CoOp/vit_b16_16shots/seed1", made(71, "imagenet"))
    put(tmp_path, "evaluation/CoOp/vit_b16_16shots/oxford_pets/seed1", made(88, shots=-1, model="o/imagenet/seed1"))
    shown, _ = page(tmp_path, capsys)
    assert results([str(tmp_path)]) == 0
    markdown = capsys.readouterr().out
    cells = [cell.strip() for line in markdown.splitlines() if line.startswith("| ") for cell in line.split("|")[1:-1]]
    assert shown.cells == cells and "81.50 ± 0.50" in cells and any("(-" in cell for cell in cells)
    with (tmp_path / "results.csv").open(encoding="utf-8", newline="") as file:
        for run in csv.DictReader(file):
            assert f"{float(run['accuracy']):.2f} %" in shown.texts and run["path"] in shown.texts
    notes = [line.removeprefix("- ").replace("\\", "") for line in markdown.splitlines() if line.startswith("- ")]
    assert notes and all(note in shown.texts for note in notes)


def test_the_page_is_one_file_that_runs_and_fetches_nothing(tmp_path, capsys):
    digits(tmp_path)
    put(tmp_path, "oxford_pets/CoOp/vit_b16_1shots/seed1", made(70, shots=1))
    shown, _ = page(tmp_path, capsys)
    assert not shown.tags & {"script", "link", "iframe", "object", "form", "base"}
    pictures = [link for link in shown.links if not link.startswith("#")]
    assert len(pictures) == 4 and all(link.startswith("data:image/svg+xml;base64,") for link in pictures)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in text and not re.search(r"url\(|@import|https?://", text)
    assert {link[1:] for link in shown.links if link.startswith("#")} <= set(re.findall(r' id="([^"]+)"', text))


def test_the_same_runs_give_the_same_page(tmp_path, capsys):
    digits(tmp_path)
    page(tmp_path, capsys)
    first = (tmp_path / "report.html").read_bytes()
    page(tmp_path, capsys)
    assert (tmp_path / "report.html").read_bytes() == first


ODD = "<script>alert(1)</script>\x1b[2J\u202e&amp;\"'{{ 7*7 }}"


def test_names_from_outside_are_text_and_nothing_else(tmp_path, capsys):
    digits(
        tmp_path,
        command=["--trainer", ODD, "{% raw %}"],
        **{"machine.device_name": ODD, "protocol.unlabelled": ODD, "code.version": ODD},
    )
    put(tmp_path, f"oxford_pets/CoOp/{ODD.replace('/', '')}_1shots/seed1", made(70, shots=1, file="x"))
    put(tmp_path, f"oxford_pets/CoOp/{ODD.replace('/', '')}_2shots/seed1", made(None, shots=2))
    shown, _ = page(tmp_path, capsys)
    assert "script" not in shown.tags and not set(shown.text) & {"\x1b", "\u202e"}
    visible = ODD.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    assert f"cpu, {visible}" in shown.texts and visible in shown.texts
    assert any("{% raw %}" in text for text in shown.texts)


def test_the_record_of_a_run_is_told(tmp_path, capsys):
    digits(
        tmp_path, "CasPL_CoOp", boosting=boosting(), **{"protocol.unlabelled": "Digits", "protocol.names_phase1": "all"}
    )
    shown, _ = page(tmp_path, capsys)
    for text in (
        "caspl train --root data --trainer CoOp --output-dir output/coop SEED 1",
        "8,500 of 10,000 test images",
        "ECE 10.00 %",
        "10.00 %",  # |0.95 - 0.85|
        "of 16 images of each class",
        "all classes",
        "the base classes only, 1",
        "the new classes only, 1",
        "30, the last one of training",
        "demo/student, demo/teacher",
        "8 text in 3 blocks, 8 image in 4 blocks",
        "15.5 s",
        "16.0 s",
        "caspl 0.4.0, 0123456789ab",
        "fp32, in float32",
        "CoOp + CasPL",
    ):
        assert text in shown.texts, text
    assert "without a record" not in shown.text


@pytest.mark.parametrize(
    "chosen_by, said",
    [("test", "30, the best one on test images"), ("val", "30, the best one on validation images"), ("", None)],
)
def test_who_chose_the_epoch_is_told(chosen_by, said):
    (protocol,) = [kind for kind in of_record(record(**{"protocol.chosen_by": chosen_by})) if kind.title == "Protocol"]
    assert protocol.values.get("epoch") == said


def test_what_nobody_knows_has_no_line():
    bare = record(status="refused", dataset=None, protocol=None, model=None, result=None, predictions=None)
    assert [kind.title for kind in of_record(bare)] == ["Cost", "How it was run"]
    shown = of_record(record(**{"machine.computes_in": "", "model.fingerprint": "", "code.revision": ""}))
    assert all(value for kind in shown for value in kind.values.values())


def test_what_is_missing_is_named(tmp_path, capsys):
    digits(tmp_path)
    put(tmp_path, BASE.format("KgCoOp", 1), made(80, "digits", "KgCoOp", classes="base", output="o"))
    put(tmp_path, "oxford_pets/CoOp/c_1shots/seed1", made(None, shots=1))
    put(tmp_path, "oxford_pets/CoOp/c_2shots/seed1", made(70, shots=2))
    put(tmp_path, "oxford_pets/CoOp/c_2shots/seed1", made(None, shots=2), "log.txt-2026-01-02-03-04-05")
    put(tmp_path, "oxford_pets/CoOp/c_4shots/seed1", made(70, shots=4, split="val"))
    put(tmp_path, "oxford_pets/CoOp/c_8shots/seed1", made(70, "dtd", shots=8))
    put(tmp_path, "some/where", made(70, shots=-1))
    shown, err = page(tmp_path, capsys)
    missing = shown.text[shown.text.rindex("What is missing\n") : shown.text.rindex("\nRuns\nBase to new")]
    assert missing.splitlines()[1:] == [
        "Rows without all numbers (1)",
        "Base to new, digits, KgCoOp",
        "no new, HM",
        "Unfinished (2)",
        "oxford_pets/CoOp/c_1shots/seed1/log.txt",
        "oxford_pets/CoOp/c_2shots/seed1/log.txt-2026-01-02-03-04-05",
        "the result of oxford_pets/CoOp/c_2shots/seed1/log.txt counts",
        "Tested on validation images, in no table (1)",
        "oxford_pets/CoOp/c_4shots/seed1/log.txt",
        "70.00 %",
        "Left out (1)",
        "oxford_pets/CoOp/c_8shots/seed1/log.txt",
        "its log says DATASET.NAME DescribableTextures where its folder says oxford_pets; move it to where it belongs, or "
        "remove it and run it again",
        "Not read: in no known layout, or trained on all images (1)",
        "some/where",
    ]
    assert "2 without a record" in shown.texts and "It left no record, so its command is not known." in shown.texts
    assert err.count("unfinished: ") == 2 and err.count("left out: ") == 1


def test_nothing_missing_is_said(tmp_path, capsys):
    digits(tmp_path)
    shown, _ = page(tmp_path, capsys)
    assert any(text.startswith("Nothing: every run below the folder has finished") for text in shown.texts)


def test_the_reason_of_a_run_that_did_not_finish(tmp_path, capsys):
    put(tmp_path, "digits/CoOp/digits_1shots/seed1", made(None, "digits", shots=1))
    why = "training has diverged in epoch 3"
    stopped = {"status": "diverged", "reason": why, "result": None, "predictions": None}
    write(tmp_path / "digits/CoOp/digits_1shots/seed1", record(**stopped))
    shown, _ = page(tmp_path, capsys)
    assert why in shown.texts and "No results yet" in shown.texts


def test_where_the_page_goes(tmp_path, capsys):
    digits(tmp_path / "output")
    place = tmp_path / "pages" / "mine.html"
    assert main([str(tmp_path / "output"), "--output", str(place)]) == 0
    assert capsys.readouterr().out == f"wrote {place}\n" and place.is_file()
    assert not (tmp_path / "output/report.html").exists()


@pytest.mark.parametrize("what", ["nowhere", "empty", "file", "output is a folder", "output in a file"])
def test_what_cannot_be_is_one_sentence(tmp_path, capsys, what):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    digits(tmp_path / "good")
    argv = {
        "output is a folder": ["good", "--output", str(tmp_path / "empty")],
        "output in a file": ["good", "--output", str(tmp_path / "file" / "x.html")],
    }.get(what, [what])
    assert main([str(tmp_path / argv[0]), *argv[1:]]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("error: ") and said.err.count("\n") == 1


def test_the_place_is_tried_before_the_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("caspl.results.report.__main__.found_below", lambda folder: pytest.fail("read first"))
    assert main([str(tmp_path), "--output", str(tmp_path)]) == 2
    assert "--output" in capsys.readouterr().err


def test_durations():
    assert [duration(seconds) for seconds in (0.04, 59.94, 61, 3599, 3600 + 5 * 60)] == [
        "0.0 s",
        "59.9 s",
        "1 min 01 s",
        "59 min 59 s",
        "1 h 05 min",
    ]
