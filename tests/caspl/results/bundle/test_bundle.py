"""What a bundle holds, that it gives the page and the tables of its folder, and what is refused in one sentence."""

import json
import stat
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundles_made import MODEL, PHASE_1, RUN, forged, members, sha256, sweep, zipped
from caspl.results.bundle import archive as archives
from caspl.results.bundle.taking import course
from caspl.results.lacks import found_below
from caspl.results.reading.logs import logs_in
from caspl.results.records import NAME, features, read, write
from caspl.results.report.__main__ import main
from caspl.results.report.contents import page_of
from caspl.results.report.page import html
from caspl.results.report.panels.curves import epochs_of
from logs_made import made, put, result

COOP = RUN.format("train_base", "CoOp", 1)


@pytest.fixture
def top(tmp_path):
    return sweep(tmp_path / "output")


def bundled(top, capsys, name="b.zip"):
    """The bundle of a folder, and what is said on stderr."""
    path = top.parent / name
    assert main([str(top), "--bundle", str(path)]) == 0
    return path, capsys.readouterr().err


def log_of(top, place):
    """The log of a run, which says the same as its record."""
    found = read(top / place).result
    text = result(found.accuracy, total=found.total)
    return put(top, place, made(0, "digits", classes="base", output=f"output/{place}", file="digits", end=text))


def refusal(argv, capsys):
    """The one sentence."""
    capsys.readouterr()
    assert main([str(word) for word in argv]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("error: ") and said.err.count("\n") == 1, said
    return said.err


def test_what_is_in_it(top, capsys):
    path, _ = bundled(top, capsys)
    held = members(path)
    methods = (("CoOp", 1), ("CoOp", 2), ("CasPL_CoOp", 1))
    runs = [RUN.format(part, *method) for method in methods for part in ("train_base", "test_new")]
    expected = {f"{run}/{file}" for run in [*runs, PHASE_1] for file in ("run.json", "predictions.csv.gz")}
    expected |= {f"{run}/{MODEL}" for run in runs if "train_base" in run} | {f"{PHASE_1}/boosting.safetensors"}
    assert set(held) == expected | {"results.csv", "results.md", "report.html", "bundle.json"}
    said = json.loads(held["bundle.json"])
    assert {member["name"]: member["sha256"] for member in said["members"]} == {
        name: sha256(content) for name, content in held.items() if name != "bundle.json"
    }
    machines = ["7 runs: Python 3.11.9, PyTorch 2.4.0, cpu x86_64, float32, caspl 0.4.0 0123456789ab"]
    assert said["folder"] == "output" and "torch" in said["packages"] and said["machines"] == machines
    assert str(top.parent) not in held["bundle.json"].decode()


def test_the_same_folder_gives_the_same_bytes(top, capsys):
    first, _ = bundled(top, capsys)
    second, _ = bundled(top, capsys, "again.zip")
    assert first.read_bytes() == second.read_bytes()
    assert all(info.date_time == (1980, 1, 1, 0, 0, 0) for info in zipfile.ZipFile(first).infolist())


def test_its_checksum_is_told(top, capsys):
    assert main([str(top), "--bundle", str(top / "b.zip")]) == 0
    out = capsys.readouterr().out
    assert f"SHA-256 {sha256((top / 'b.zip').read_bytes())}" in out and "6 runs" in out


def test_the_page_of_a_bundle_is_that_of_its_folder(top, capsys):
    """But for links to records and pictures of images, which are not in it."""
    log_of(top, COOP)
    put(top, "digits/KgCoOp/digits_1shots/seed1", made(None, "digits", "KgCoOp", shots=1))  # unfinished
    put(top, "digits/KgCoOp/digits_2shots/seed1", made(70, "dtd", "KgCoOp", shots=2))  # left out
    put(top, "digits/ProGrad/digits_1shots/seed1", made(70, "digits", "ProGrad", shots=1, split="val"))
    put(top, "digits/ProGrad/digits_4shots/seed1", made(71, "digits", "ProGrad", shots=4))  # without a record
    path, _ = bundled(top, capsys)
    assert main([str(path)]) == 0
    said = capsys.readouterr()
    assert (
        said.out == f"wrote {path.with_suffix('.html')}\n" and "unfinished: " in said.err and "left out: " in said.err
    )
    page = html(page_of(top, found_below(top)))
    assert path.with_suffix(".html").read_text() == page
    assert (top / "report.html").read_bytes() == members(path)["report.html"]
    assert main([str(path), "--output", str(top / "other.html")]) == 0
    assert (top / "other.html").read_text() == page


def test_links_of_the_page_in_it_lead_to_its_records(top, tmp_path, capsys):
    """And not to where the folder was: also where the page itself is written elsewhere."""
    path = tmp_path / "b.zip"
    assert main([str(top), "--bundle", str(path), "--output", str(tmp_path / "pages" / "p.html")]) == 0
    page = members(path)["report.html"].decode()
    assert f'href="./{COOP}/run.json"' in page and f'href="./../output/{COOP}' not in page
    assert f'href="./../output/{COOP}/run.json"' in (tmp_path / "pages" / "p.html").read_text()


def test_of_a_log_beside_a_record_the_course_goes_in(top, capsys):
    """Its steps, for the curves of the page, and its result; nothing that it tells of machine and configuration."""
    log_of(top, COOP)
    whole = (top / COOP / "log.txt").read_text()
    path, _ = bundled(top, capsys)
    course = members(path)[f"{COOP}/log.txt"].decode()
    assert [line.split(" ")[0] for line in course.splitlines()] == ["epoch", "Finish", "Evaluate", "*", "*", "*"]
    assert set(course.splitlines()) < set(whole.splitlines()) and "OS: Ubuntu" in whole
    assert f"{COOP}/log.txt".encode() in members(path)["results.csv"]
    assert main([str(path), "--verify"]) == 0


def test_the_course_of_several_logs(tmp_path):
    """Each epoch once, by its last line; a resumed run goes on where it was."""
    step = "epoch [{}/9] batch [{}/2] time 0.1 (0.1) loss 1.0 ({}) lr 1e-3 eta 0:00:01\n"
    (tmp_path / "log.txt").write_text(step.format(1, 1, 5) + step.format(1, 2, 4) + step.format(2, 2, 3))
    (tmp_path / "log.txt-2026-01-02-03-04-05").write_text("Loading x\n" + step.format(2, 2, 2) + result(80.0))
    said = course(logs_in(tmp_path)).decode()
    assert said.startswith(step.format(1, 2, 4) + step.format(2, 2, 2) + "Evaluate") and "Loading" not in said
    assert len(epochs_of(tmp_path)) == 2


def test_a_log_goes_in_where_there_is_no_record(top, capsys):
    log = put(top, "digits/ProGrad/digits_4shots/seed1", made(71, "digits", "ProGrad", shots=4))
    path, _ = bundled(top, capsys)
    assert members(path)["digits/ProGrad/digits_4shots/seed1/log.txt"] == log.read_bytes()
    assert main([str(path), "--verify"]) == 1
    out = capsys.readouterr().out
    assert "not recomputed: digits/ProGrad/digits_4shots/seed1/log.txt: the run left no record, only a log" in out
    assert "differs" not in out and out.endswith("1 not to be recomputed\n")


def test_what_is_damaged_is_left_out_and_named(top, capsys):
    broken = top / RUN.format("test_new", "CoOp", 2) / NAME
    broken.write_bytes(broken.read_bytes().replace(b'"total": 40', b'"total": 41'))
    (top / COOP / MODEL).write_bytes(b"trained once more")
    path, err = bundled(top, capsys)
    held = members(path)
    assert f"left out: {broken}: " in err and broken.relative_to(top).as_posix() not in held
    assert f"not in the bundle: {COOP}/{MODEL}: it is not the file that the record speaks of" in err
    said = json.loads(held["bundle.json"])
    assert [left["path"] for left in said["left_out"]] == [broken.relative_to(top).as_posix()]
    assert [left["path"] for left in said["absent"]] == [f"{COOP}/{MODEL}"]
    assert main([str(path), "--verify"]) == 0
    assert f"note: not in the bundle: {COOP}/{MODEL}" in capsys.readouterr().out


def test_large_prompts_are_left_out_and_named(top, capsys, monkeypatch):
    monkeypatch.setattr("caspl.results.bundle.taking.LARGEST_FILE", 700)
    path, err = bundled(top, capsys)
    assert (
        f"not in the bundle: {PHASE_1}/boosting.safetensors: it cannot be read (" in err
        and "expected at most 700" in err
    )


def test_boosting_prompts_from_elsewhere(top, tmp_path, capsys):
    (top / PHASE_1).rename(tmp_path / "phase 1")
    for part in ("train_base", "test_new"):
        place = top / RUN.format(part, "CasPL_CoOp", 1)
        known = read(place)
        write(place, replace(known, boosting=replace(known.boosting, source=str(tmp_path / "phase 1"))))
    path, _ = bundled(top, capsys)
    inside = [name for name in members(path) if name.startswith("phase1/")]
    assert sorted(Path(name).name for name in inside) == ["boosting.safetensors", "predictions.csv.gz", "run.json"]
    assert main([str(path), "--verify"]) == 0
    assert main([str(path)]) == 0
    assert path.with_suffix(".html").read_text() == html(page_of(top, found_below(top)))


def test_features_that_a_record_names_go_in(top, capsys):
    known = read(top / COOP)
    said = features.write(
        top / COOP, features.Table(np.full((known.result.total, 4), 0.5), np.zeros(known.result.total))
    )
    write(top / COOP, replace(known, features=said))
    path, _ = bundled(top, capsys)
    name = f"{COOP}/{said.file}"
    assert members(path)[name] == (top / name).read_bytes()
    assert main([str(path), "--verify"]) == 0
    forged(path, {name: b"of other images"})
    assert main([str(path), "--verify"]) == 1
    assert f"differs: {name} is not the file that the record in {COOP} speaks of" in capsys.readouterr().out


def test_a_record_names_no_file_outside(top, tmp_path, capsys):
    (tmp_path / "secret").write_bytes(b"secret")
    known = read(top / COOP)
    file = replace(known.model.files[0], name="../../../../../../../../secret", sha256=sha256(b"secret"))
    write(top / COOP, replace(known, model=replace(known.model, files=[file])))
    path, err = bundled(top, capsys)
    assert b"secret" not in b"".join(members(path).values()).replace(b"../secret", b"")
    assert "is no path inside a folder" in err


def test_a_bundle_is_never_half_written(top, capsys, monkeypatch):
    path = top.parent / "b.zip"
    path.write_bytes(b"the old one")
    monkeypatch.setattr(
        "caspl.results.bundle.writing.manifests.encoded", lambda made: (_ for _ in ()).throw(OSError(28, "x"))
    )
    assert main([str(top), "--bundle", str(path)]) == 2
    assert path.read_bytes() == b"the old one" and [p.name for p in top.parent.iterdir() if "zip" in p.name] == [
        "b.zip"
    ]


# ---------------------------------------------------------------------------------------------------------------------
# Options
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "options, said",
    [
        (["output", "--verify", "--bundle", "x.zip"], "--bundle was given, too"),
        (["output", "--verify", "--output", "x.html"], "--output was given, too"),
        (["b.zip", "--bundle", "x.zip"], "is a file, and --bundle makes one of a folder"),
        (["output", "--bundle", "x.tar"], "expected a file whose name ends in .zip"),
        (["output", "--bundle", "x.zip", "--output", "x.zip"], "are both x.zip"),
        (["output", "--bundle", "output.zip"], "the bundle (--bundle) output.zip cannot be written"),
        (["nowhere.zip", "--verify"], "no folder nowhere.zip"),
        (["empty", "--bundle", "x.zip"], "no results below empty"),
        (["empty", "--verify"], "no results below empty"),
    ],
)
def test_options_that_contradict_each_other(top, capsys, monkeypatch, options, said):
    bundled(top, capsys)
    monkeypatch.chdir(top.parent)
    for name in ("empty", "output.zip"):
        Path(name).mkdir()
    before = sorted(Path().iterdir())
    assert said in refusal(options, capsys)
    assert sorted(Path().iterdir()) == before


# ---------------------------------------------------------------------------------------------------------------------
# A file from outside
# ---------------------------------------------------------------------------------------------------------------------
def hostile(path, info, content=b"x", sound=()):
    with zipfile.ZipFile(path, "w") as archive:
        for name, inner in dict(sound).items():
            archive.writestr(name, inner)
        archive.writestr(info, content)


def entry(name, mode=stat.S_IFREG | 0o644, packing=zipfile.ZIP_STORED):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr, info.compress_type = 3, mode << 16, packing
    return info


NAMES = {
    "up": "../../outside/run.json",
    "up inside": "a/../../outside",
    "absolute": "/tmp/outside",
    "backslashes": "..\\outside",
    "drive": "C:/outside",
    "dot": "./run.json",
    "empty part": "a//run.json",
    "escape": "a\x1b[2J/run.json",
    "direction": "a\u202e/run.json",
    "new line": "a\nb/run.json",
    "long": "a" * 300,
    "deep": "a/" * 100 + "run.json",
}


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("what", NAMES)
def test_names_that_lead_out(tmp_path, capsys, what, verify):
    hostile(tmp_path / "b.zip", entry(NAMES[what]))
    before = sorted(tmp_path.parent.rglob("*"))
    said = refusal([tmp_path / "b.zip", *["--verify"] * verify], capsys)
    assert "is no bundle of results: its member" in said and "\x1b" not in said and "\u202e" not in said
    assert sorted(tmp_path.parent.rglob("*")) == before


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFIFO | 0o644, stat.S_IFCHR | 0o644])
def test_links_and_odd_files(tmp_path, capsys, mode):
    hostile(tmp_path / "b.zip", entry("run.json", mode), b"/etc/passwd")
    assert "expected files only" in refusal([tmp_path / "b.zip", "--verify"], capsys)


def test_members_of_one_name(tmp_path, capsys):
    with pytest.warns(UserWarning):
        hostile(tmp_path / "b.zip", entry("run.json"), sound={"run.json": b"first"})
    assert "it has two members" in refusal([tmp_path / "b.zip", "--verify"], capsys)


def test_a_file_that_is_a_folder_too(tmp_path, capsys):
    hostile(tmp_path / "b.zip", entry("a/b"), sound={"a": b"file"})
    assert '"a" is a file and a folder' in refusal([tmp_path / "b.zip", "--verify"], capsys)


def test_folders_of_another_packer_are_passed_over(bundle, capsys):
    held = members(bundle)
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("base2new") if hasattr(archive, "mkdir") else archive.writestr("base2new/", b"")
        for name, content in held.items():
            archive.writestr(name, content)
    assert main([str(bundle), "--verify"]) == 0


def test_encrypted_members(tmp_path, capsys):
    hostile(tmp_path / "b.zip", entry("run.json"))
    content = bytearray((tmp_path / "b.zip").read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    content[6] |= 1
    (tmp_path / "b.zip").write_bytes(content)
    assert "is encrypted" in refusal([tmp_path / "b.zip", "--verify"], capsys)


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_packings(tmp_path, capsys, packing):
    hostile(tmp_path / "b.zip", entry("run.json", packing=packing))
    assert "is packed in a way that no bundle is" in refusal([tmp_path / "b.zip", "--verify"], capsys)


def test_a_bomb(tmp_path, capsys):
    hostile(tmp_path / "b.zip", entry("run.json", packing=zipfile.ZIP_DEFLATED), bytes(2**24))
    assert "as only a trap has" in refusal([tmp_path / "b.zip", "--verify"], capsys)


@pytest.mark.parametrize(
    "limit, said",
    [
        ("LARGEST_MEMBER", "bytes, expected at most 5"),
        ("MOST_MEMBERS", "members, expected"),
        ("LARGEST_WHOLE", "its members have"),
        ("LARGEST_DIRECTORY", "directory is longer"),
    ],
)
def test_what_is_too_large(bundle, capsys, monkeypatch, limit, said):
    monkeypatch.setattr(archives, limit, 5)
    assert said in refusal([bundle, "--verify"], capsys)


def test_members_that_share_bytes(tmp_path, capsys):
    """Two entries of the directory that lead to one place."""
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for name in ("a", "b"):
            archive.writestr(entry(name), bytes(50))
    content = bytearray((tmp_path / "b.zip").read_bytes())
    second = content.rindex(b"PK\1\2")
    content[second + 42 : second + 46] = struct.pack("<L", 0)
    (tmp_path / "b.zip").write_bytes(content)
    assert "lies in another one" in refusal([tmp_path / "b.zip", "--verify"], capsys)


ODD = {
    "empty": b"",
    "text": b"results",
    "html": b"<!doctype html>",
    "gzip": b"\x1f\x8b" + bytes(100),
    "zip's head alone": b"PK\3\4" + bytes(200),
    "a directory that is announced only": b"PK\5\6" + bytes(8) + b"\xff" * 10,
}


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("what", ODD)
def test_what_is_no_zip_file(tmp_path, capsys, what, verify):
    (tmp_path / "b.zip").write_bytes(ODD[what])
    assert "is no bundle of results: " in refusal([tmp_path / "b.zip", *["--verify"] * verify], capsys)


def test_an_empty_zip_file_and_one_of_other_things(tmp_path, capsys):
    zipped(tmp_path / "b.zip", {})
    assert "it has no bundle.json" in refusal([tmp_path / "b.zip", "--verify"], capsys)
    zipped(tmp_path / "b.zip", {"holiday.txt": b"sea"})
    assert "it has no bundle.json" in refusal([tmp_path / "b.zip"], capsys)


MANIFESTS = {
    "no JSON": lambda said: b"{",
    "a list": lambda said: b"[1]",
    "another kind": lambda said: json.dumps(said | {"format": "caspl run"}).encode(),
    "a later version": lambda said: json.dumps(said | {"version": 2}).encode(),
    "no members": lambda said: json.dumps({k: v for k, v in said.items() if k != "members"}).encode(),
    "members that are numbers": lambda said: json.dumps(said | {"members": [1, 2]}).encode(),
    "a member twice": lambda said: json.dumps(said | {"members": said["members"] * 2}).encode(),
    "another field": lambda said: json.dumps(said | {"more": 1}).encode(),
    "a path elsewhere": lambda said: json.dumps(said | {"paths": {"a/run.json": "b/log.txt"}}).encode(),
    "brackets without end": lambda said: b"[" * 200_000,
}


@pytest.mark.parametrize("what", MANIFESTS)
def test_a_manifest_that_says_what_cannot_be(bundle, capsys, what):
    forged(bundle, {"bundle.json": lambda content: MANIFESTS[what](json.loads(content))}, consistent=False)
    assert "is no bundle of results: its bundle.json" in refusal([bundle, "--verify"], capsys)


@pytest.mark.parametrize("folder", ["..", "/", "a/b", "", "\x1b[2J", "x" * 400])
def test_the_folder_that_a_manifest_names_is_only_a_title(bundle, capsys, folder):
    forged(bundle, {"bundle.json": lambda content: json.dumps(json.loads(content) | {"folder": folder}).encode()})
    before = sorted(bundle.parent.parent.iterdir())
    assert main([str(bundle), "--output", str(bundle.parent / "p.html")]) == 0
    assert "Results of results" in (bundle.parent / "p.html").read_text()
    assert sorted(bundle.parent.parent.iterdir()) == before


def test_an_altered_bundle_gives_no_page(bundle, capsys):
    forged(bundle, {f"{COOP}/{MODEL}": b"other"}, consistent=False)
    assert "is another file); caspl report" in refusal([bundle], capsys)
    forged(bundle, {f"{COOP}/{MODEL}": None}, consistent=False)
    assert "is missing); caspl report" in refusal([bundle], capsys)
    assert not bundle.with_suffix(".html").exists()


def test_nothing_is_left_in_the_temporary_folder(top, tmp_path, capsys, monkeypatch):
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    path, _ = bundled(top, capsys)
    assert main([str(path), "--verify"]) == main([str(path)]) == 0
    assert list(place.iterdir()) == []
    content = path.read_bytes()
    for cut in (len(content) // 2, len(content) - 10, 100):
        path.write_bytes(content[:cut])
        refusal([path, "--verify"], capsys)
    assert list(place.iterdir()) == []


def test_flipped_bits_never_end_in_a_trace(bundle, capsys):
    forged(bundle, {"report.html": None})  # which takes its time
    content = bundle.read_bytes()
    end = len(content) - 1
    of_the_directory = range(end, end - 200, -7)
    for place in (*range(0, end, len(content) // 30), *of_the_directory):
        changed = bytearray(content)
        changed[place] ^= 0x10
        bundle.write_bytes(changed)
        assert main([str(bundle), "--verify"]) in (0, 1, 2)
        assert "unexpected" not in capsys.readouterr().err
