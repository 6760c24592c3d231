"""The page: every number of the tables, every record's facts, everything that is missing, and nothing foreign that acts."""

import base64
import csv
import hashlib
import re
from itertools import pairwise
from urllib.parse import unquote

import pytest

from caspl.results.__main__ import main as results
from caspl.results.records import write
from caspl.results.report.__main__ import main
from caspl.results.report.facts import duration, of_record
from logs_made import made, main_tables, put
from pages import parsed, rows
from records_made import boosting, record
from runs_made import BASE, digits, image, predicted


def page(top, capsys, *options):
    """The tree of the page, and what is said on stderr."""
    status = main([str(top), *options])
    said = capsys.readouterr()
    assert status == 0, said.err
    return parsed((top / "report.html").read_text(encoding="utf-8")), said.err


def test_every_number_of_the_tables_is_on_the_page(tmp_path, capsys):
    for seed in (1, 2):
        digits(tmp_path, seed=seed, base=80 + seed)
    put(tmp_path, "oxford_pets/CoOp/vit_b16_1shots/seed1", made(70, shots=1))
    put(tmp_path, "imagenet/CoOp/vit_b16_16shots/seed1", made(71, "imagenet"))
    put(tmp_path, "evaluation/CoOp/vit_b16_16shots/oxford_pets/seed1", made(88, shots=-1, model="o/imagenet/seed1"))
    shown, _ = page(tmp_path, capsys)
    assert results([str(tmp_path)]) == 0
    markdown = main_tables(capsys.readouterr().out)
    lines = [[c.strip() for c in line.split("|")[1:-1]] for line in markdown.splitlines() if line.startswith("| ")]
    of_results = [shown.called(name) for name in ("base-to-new", "few-shot", "cross-dataset")]
    assert [line for section in of_results for line in rows(section.one("table"))] == lines
    assert "81.50 ± 0.50" in shown.texts and any("(-" in text for text in shown.texts)
    with (tmp_path / "results.csv").open(encoding="utf-8", newline="") as file:
        for run in csv.DictReader(file):
            assert f"{float(run['accuracy']):.2f} %" in shown.texts and run["path"] in shown.texts
    notes = [line.removeprefix("- ").replace("\\", "") for line in markdown.splitlines() if line.startswith("- ")]
    assert notes and all(note in shown.texts for note in notes)


def test_the_page_is_one_file_that_fetches_nothing_and_runs_what_it_is_made_with(tmp_path, capsys):
    digits(tmp_path)
    put(tmp_path, "oxford_pets/CoOp/vit_b16_1shots/seed1", made(70, shots=1))
    shown, _ = page(tmp_path, capsys)
    assert not {node.tag for node in shown.nodes()} & {"link", "iframe", "object", "form", "base", "embed"}
    assert not [name for node in shown.nodes() for name in node.attributes if name.startswith("on") or name == "style"]
    pictures = [address for address in shown.addresses if not address.startswith(("#", "./"))]
    assert len(pictures) >= 4 and all(address.startswith("data:image/svg+xml;base64,") for address in pictures)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"url\(|@import|https?://", text)
    names = re.findall(r' id="([^"]+)"', text)
    assert len(set(names)) == len(names)
    assert {address[1:] for address in shown.addresses if address.startswith("#")} <= set(names)


def test_only_its_own_script_and_style_may_act(tmp_path, capsys):
    digits(tmp_path)
    shown, _ = page(tmp_path, capsys)
    (policy,) = [node.attributes["content"] for node in shown.all("meta") if "http-equiv" in node.attributes]
    for tag in ("script", "style"):
        (content,) = shown.one(tag).children
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'; img-src data:;") and "unsafe" not in policy


def test_the_place_of_a_number_is_one_click_away(tmp_path, capsys):
    for seed in (1, 2):
        digits(tmp_path, seed=seed)
        digits(tmp_path, "KgCoOp", seed=seed)
    shown, _ = page(tmp_path, capsys)
    for line in shown.called("base-to-new").all("tr")[1:]:
        method = line.all("th")[1].text
        for cell in line.all("td")[1:4]:
            place = shown.called(cell.one("a").attributes["href"][1:])
            commands = [pre.text for pre in place.all("pre")]
            assert len(commands) == 4 and all(command.startswith("caspl train --root data") for command in commands)
            assert [link.attributes["href"] for link in place.all("a")] == [
                f"./{(BASE.format(method, seed)).replace('train_base', part)}/run.json"
                for seed in (1, 2)
                for part in ("train_base", "test_new")
            ]
            assert all((tmp_path / link.attributes["href"]).is_file() for link in place.all("a"))


def test_the_first_thing_that_is_said_is_which_method_is_best(tmp_path, capsys):
    for seed in range(1, 7):
        digits(tmp_path, base=80 + seed, seed=seed)
        digits(tmp_path, "CasPL_CoOp", base=85 + seed, seed=seed, boosting=boosting(source="/away/output/boost/x"))
    phase1 = tmp_path / "output/boost/x"
    phase1.mkdir(parents=True)
    write(phase1, record(command=["--trainer", "CasPLBoost"], boosting=boosting(), result=None, predictions=None))
    shown, _ = page(tmp_path, capsys)
    (verdict,) = shown.all("article", "verdict")
    assert shown.one("main").all("section")[0].attributes["id"] == "short"
    assert verdict.one(kind="best").text == "CoOp + CasPL HM 71.51"
    assert verdict.one(kind="sure").text.startswith("CoOp + CasPL is the best of 2 methods on digits: HM 71.51")
    assert verdict.all("li")[0].text.startswith("+1.69 points against CoOp")
    assert verdict.one("pre").text.splitlines()[0] == "caspl train --trainer CasPLBoost"
    assert len(verdict.one("pre").text.splitlines()) == 2  # both records have the same command here
    assert shown.called(verdict.one("a").attributes["href"][1:]).all("article", "run")


def test_a_number_of_several_rows_lists_its_runs(tmp_path, capsys):
    digits(tmp_path)
    training = BASE.format("CoOp", 1).replace("digits", "dtd", 1)
    more = {"backbone": "demo/student", "file": "digits"}
    put(tmp_path, training, made(70, "dtd", classes="base", output=training, **more))
    test = training.replace("train_base", "test_new")
    put(tmp_path, test, made(60, "dtd", classes="new", output=test, model=training, **more))
    shown, _ = page(tmp_path, capsys)
    (average,) = shown.called("base-to-new").all("tr", "average")
    places = [shown.called(cell.one("a").attributes["href"][1:]) for cell in average.all("td")[1:4]]
    assert [len(place.all("a")) for place in places] == [4, 4, 4]  # one list for the line
    assert places[0].all("a")[0].text == "CoOp, DTD, seed 1, base classes: 70.00 %"
    for place in places:
        for link in place.all("a"):
            assert shown.called(link.attributes["href"][1:]).tag == "article"


def test_a_page_elsewhere_links_to_the_records_from_there(tmp_path, capsys):
    digits(tmp_path / "a folder#1", trainer="CoOp")
    place = tmp_path / "pages" / "mine.html"
    assert main([str(tmp_path / "a folder#1"), "--output", str(place)]) == 0
    (first, _) = parsed(place.read_text(encoding="utf-8")).called("row-1").all("a")
    assert first.attributes["href"] == f"./../a%20folder%231/{BASE.format('CoOp', 1)}/run.json"


def test_headings_go_down_by_one(tmp_path, capsys):
    """So that a screen reader's outline has no holes; and each table says what its first cells head."""
    predicted(tmp_path, [0, 1], [1, 1], [0.9, 0.8], names=["cat", "dog"])
    digits(tmp_path, "KgCoOp")
    shown, _ = page(tmp_path, capsys)
    levels = [int(node.tag[1]) for node in shown.nodes() if re.fullmatch("h[1-6]", node.tag)]
    assert levels[0] == 1 and all(below <= above + 1 for above, below in pairwise(levels)) and max(levels) == 5
    assert all(head.attributes.get("scope") in ("col", "row") for head in shown.all("th"))


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
    assert len(shown.all("script")) == 1 and not set(shown.text) & {"\x1b", "\u202e"}
    visible = ODD.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    assert f"cpu, {visible}" in shown.texts and visible in shown.texts
    assert any("{% raw %}" in text for text in shown.texts)
    known = parsed(_plain(tmp_path / "plain", capsys))
    assert {node.tag for node in shown.nodes()} <= {node.tag for node in known.nodes()} | {"b"}
    assert {name for node in shown.nodes() for name in node.attributes} <= {
        name for node in known.nodes() for name in node.attributes
    }
    links = [node.attributes["href"] for node in shown.all("a")]
    assert all(re.fullmatch(r"#[\w-]+|\./[\w./%~-]+", link) for link in links)


def _plain(top, capsys):
    """A page with the same kinds of runs, all of which have usual names."""
    digits(top)
    put(top, "oxford_pets/CoOp/c_1shots/seed1", made(70, shots=1))
    put(top, "oxford_pets/CoOp/c_2shots/seed1", made(None, shots=2))
    page(top, capsys)
    return (top / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", ["javascript:alert(1)", "data:text/html,x", "%2e%2e", "a b?c&d#e", "..."])
def test_a_folder_that_is_called_like_an_address_is_a_folder(tmp_path, capsys, folder):
    digits(tmp_path / folder)
    shown, _ = page(tmp_path, capsys)
    for link in shown.called("row-1").all("a"):
        address = link.attributes["href"]
        assert address.startswith("./") and ":" not in address
        assert (tmp_path / unquote(address)).is_file()


def test_names_of_classes_and_images_are_text_in_pictures_too(tmp_path, capsys):
    names = [f"{ODD}{number}" for number in range(3)]
    odd = ODD.replace("/", "")
    image(tmp_path / "data" / "digits" / f"{odd}.png")
    predicted(
        tmp_path / "out",
        [0, 1, 2],
        [1, 1, 0],
        [0.9, 0.8, 0.7],
        names=names,
        images=[f"{odd}.png", "1.png", "../x.png"],
        root=str(tmp_path / "data"),
    )
    shown, _ = page(tmp_path / "out", capsys)
    assert len(shown.all("script")) == 1 and not set(shown.text) & {"\x1b", "\u202e"}
    (row,) = shown.all("details", "row")
    kinds = [
        "details",
        "summary",
        "span",
        "div",
        "article",
        "p",
        "b",
        "pre",
        "a",
        "h5",
        "h4",
        "dl",
        "dt",
        "dd",
        "section",
        "svg",
        "rect",
        "text",
        "title",
        "path",
    ]
    assert {node.tag for node in row.nodes()} <= set(kinds)
    seen = ODD.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    assert f"{seen}0" in [node.text for node in row.all("title")]
    assert f"taken for {seen}1 (1)" in row.texts and "data:" not in str(row.texts)
    assert not row.all("figure")  # the name of the image is not what stands in the file of predictions


def test_the_same_runs_give_the_same_page_with_its_panels(tmp_path, capsys):
    for number in range(4):
        image(tmp_path / "data" / "digits" / f"{number}.png", (50 * number, 0, 0))
    for seed in (1, 2):
        names, images = ["a", "b"], [f"{number}.png" for number in range(4)]
        guesses, sure, root = [1, 0, 1, 0], [0.9, 0.9, 0.8, 0.7], str(tmp_path / "data")
        predicted(tmp_path / "o", [0, 0, 1, 1], guesses, sure, names=names, images=images, root=root, seed=seed)
    pages = []
    for _ in range(2):
        shown, _ = page(tmp_path / "o", capsys)
        pages.append((tmp_path / "o/report.html").read_bytes())
    assert pages[0] == pages[1] and len(shown.all("figcaption")) == 2


def test_the_record_of_a_run_is_told(tmp_path, capsys):
    digits(
        tmp_path, "CasPL_CoOp", boosting=boosting(), **{"protocol.unlabelled": "Digits", "protocol.names_phase1": "all"}
    )
    shown, _ = page(tmp_path, capsys)
    for text in (
        "caspl train --root data --trainer CoOp --output-dir output/coop SEED 1",
        "8,500 of 10,000 images",
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
    assert shown.called("missing").texts[1:] == [
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


def test_predictions_and_images_that_are_not_there_are_named_once(tmp_path, capsys):
    """Each once, however many tables they are missing in; without the place of the folder, which may be a bundle's."""
    for seed in (1, 2):
        predicted(tmp_path, [0, 1], [1, 1], [0.9, 0.8], names=["cat", "dog"], seed=seed)
    (tmp_path / BASE.format("CoOp", 2) / "predictions.csv.gz").write_bytes(b"x")
    shown, _ = page(tmp_path, capsys)
    assert shown.called("missing").texts[-3:-1] == [
        "Predictions that can't be read (1)",
        f"{BASE.format('CoOp', 2)}/log.txt",
    ]
    assert shown.called("missing").texts[-1].startswith("predictions.csv.gz is not the file of its run")
    assert "digits: 1 example image left out, not found below data." in shown.texts


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


def test_the_reason_stands_beside_an_older_result(tmp_path, capsys):
    place = "digits/CoOp/digits_1shots/seed1"
    put(tmp_path, place, made(70, "digits", shots=1))
    put(tmp_path, place, made(None, "digits", shots=1), "log.txt-2026-01-02-03-04-05")
    write(tmp_path / place, record(status="interrupted", result=None, predictions=None))
    shown, _ = page(tmp_path, capsys)
    assert f"it was interrupted; the result of {place}/log.txt counts" in shown.texts


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
