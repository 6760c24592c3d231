"""Downloads from a server on this machine: resumed, checked, refused; archives that try to get out; the prepare command."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from caspl.datasets.__main__ import main
from caspl.datasets.files import catalog, download, prepare
from caspl.datasets.files.catalog import BENCHMARKS, Benchmark, Source
from caspl.datasets.files.download import fetch, file_digest, unpack
from caspl.datasets.files.registry import dataset_class
from caspl.ground.errors import InputError
from caspl.ground.locks import locked


class Server:
    """Files by path, and how the answers misbehave."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cuts: list[int] = []  # for the next answers, the bytes after which the connection breaks
        self.status: dict[str, int] = {}
        self.ranges = True
        self.tag = '"v1"'
        self.linked = ""  # the checksum that the Hub would tell
        self.type = "application/octet-stream"
        self.asked: list[tuple[str, str | None]] = []  # path and Range of each request

        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.answer(body=False)

            def do_GET(self) -> None:
                outer.asked.append((self.path, self.headers.get("Range")))
                self.answer(body=True)

            def answer(self, body: bool) -> None:
                content = outer.files.get(self.path)
                status = outer.status.get(self.path, 200 if content is not None else 404)
                if status != 200:
                    self.send_error(status)
                    return
                first, asked = 0, self.headers.get("Range")
                if outer.ranges and asked and self.headers.get("If-Range") in (None, outer.tag):
                    first = int(asked.removeprefix("bytes=").rstrip("-"))
                if first >= len(content) > 0 and first:
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206 if first else 200)
                self.send_header("Content-Type", outer.type)
                self.send_header("Content-Length", str(len(content) - first))
                if outer.tag:
                    self.send_header("ETag", outer.tag)
                if outer.linked:
                    self.send_header("X-Linked-Etag", f'"{outer.linked}"')
                self.end_headers()
                cut = outer.cuts.pop(0) if body and outer.cuts else None
                if body:
                    self.wfile.write(content[first:] if cut is None else content[first : first + cut])
                if cut is not None:
                    self.close_connection = True

            def log_message(self, *_) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


BIG = bytes(range(256)) * 8000  # 2 MB
BIG_SHA = "sha256:" + hashlib.sha256(BIG).hexdigest()


# --- fetching --------------------------------------------------------------------------------------------------------
def test_a_file_arrives_whole_and_checked(server, tmp_path):
    server.files["/f.bin"] = BIG
    fetch(f"{server.url}/f.bin", str(tmp_path / "new" / "f.bin"), BIG_SHA)
    assert (tmp_path / "new" / "f.bin").read_bytes() == BIG
    assert os.listdir(tmp_path / "new") == ["f.bin"]


def test_broken_connections_are_resumed(server, tmp_path):
    server.files["/f.bin"], server.cuts = BIG, [700_000, 0, 600_000]
    fetch(f"{server.url}/f.bin", str(tmp_path / "f.bin"), BIG_SHA)
    assert (tmp_path / "f.bin").read_bytes() == BIG
    assert [asked for _, asked in server.asked] == [None, "bytes=700000-", "bytes=700000-", "bytes=1300000-"]


def test_the_next_command_resumes(server, tmp_path, monkeypatch):
    server.files["/f.bin"], server.cuts = BIG, [700_000, *[0] * download.ATTEMPTS]
    with pytest.raises(
        InputError, match=r"f\.bin cannot be downloaded \(the connection was closed early\); the same command"
    ):
        fetch(f"{server.url}/f.bin", str(tmp_path / "f.bin"))
    assert not (tmp_path / "f.bin").exists() and (tmp_path / "f.bin.part").stat().st_size == 700_000
    fetch(f"{server.url}/f.bin", str(tmp_path / "f.bin"), BIG_SHA)
    assert server.asked[-1][1] == "bytes=700000-"


@pytest.mark.parametrize("change", ["another file", "no ranges", "no tag", "another address"])
def test_what_cannot_be_resumed_starts_anew(server, tmp_path, change):
    server.files["/f.bin"], server.cuts = b"x" * len(BIG), [700_000, *[0] * download.ATTEMPTS]
    if change == "no tag":
        server.tag = ""
    with pytest.raises(InputError):
        fetch(f"{server.url}/f.bin", str(tmp_path / "f.bin"))
    server.files["/f.bin"] = server.files["/g.bin"] = BIG
    server.tag = server.tag if change in ("no ranges", "another address") else '"v2"'
    server.ranges = change != "no ranges"
    fetch(f"{server.url}/{'g' if change == 'another address' else 'f'}.bin", str(tmp_path / "f.bin"), BIG_SHA)
    assert (tmp_path / "f.bin").read_bytes() == BIG


def test_a_complete_part_is_taken(server, tmp_path):
    """Killed between the last byte and the renaming."""
    server.files["/f.bin"] = BIG
    (tmp_path / "f.bin.part").write_bytes(BIG)
    (tmp_path / "f.bin.part.from").write_text(f'{server.url}/f.bin\n"v1"')
    fetch(f"{server.url}/f.bin", str(tmp_path / "f.bin"), BIG_SHA)
    (tmp_path / "f.bin.part").write_bytes(BIG + b"more")
    (tmp_path / "f.bin.part.from").write_text(f'{server.url}/f.bin\n"v1"')
    fetch(f"{server.url}/f.bin", str(tmp_path / "f.bin"), BIG_SHA)
    assert (tmp_path / "f.bin").read_bytes() == BIG


def test_failures_are_one_sentence(server, tmp_path):
    server.files["/f.bin"], server.status["/busy"] = b"other", 503
    path = str(tmp_path / "f.bin")
    with pytest.raises(
        InputError, match=r"f\.bin gave has the checksum md5:795f3202b17cb6bc3d4b771d8c6c9eaf, expected md5:0;"
    ):
        fetch(f"{server.url}/f.bin", path, "md5:0")
    with pytest.raises(InputError, match=r"/none answers 404 \(Not Found\), expected the file; it has moved"):
        fetch(f"{server.url}/none", path)
    with pytest.raises(InputError, match=r"/busy cannot be downloaded \(the server answers 503\)"):
        fetch(f"{server.url}/busy", path)
    assert len(server.asked) == 2 + download.ATTEMPTS
    with pytest.raises(InputError, match=r"127\.0\.0\.1:9/x cannot be downloaded \(.*refused.*\)"):
        fetch("http://127.0.0.1:9/x", path)
    server.type = "text/html"
    with pytest.raises(InputError, match="gives a web page, expected the file; it is not public, or its quota"):
        fetch(f"{server.url}/f.bin", path)
    assert os.listdir(tmp_path) == []


# --- archives --------------------------------------------------------------------------------------------------------
def tar_of(path: Path, *members: tuple, mode: str = "w") -> Path:
    """Members are (name, content), or (name, type, where it leads)."""
    with tarfile.open(path, mode) as archive:
        for name, *rest in members:
            member = tarfile.TarInfo(name)
            if len(rest) == 2:
                member.type, member.linkname = rest
                archive.addfile(member)
            else:
                member.size = len(rest[0])
                archive.addfile(member, io.BytesIO(rest[0]))
    return path


def zip_of(path: Path, *members: tuple[str, bytes], link: bool = False) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = ((stat.S_IFLNK if link else stat.S_IFREG) | 0o644) << 16
            archive.writestr(info, content)
    return path


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


EVIL_TARS = {
    "parent": [("../evil", b"x")],
    "parent inside": [("a/../../evil", b"x")],
    "absolute": [("/tmp/caspl-evil", b"x")],
    "windows": [("..\\evil", b"x")],
    "drive": [("C:/evil", b"x")],
    "symlink out": [("out", tarfile.SYMTYPE, "../.."), ("out/evil", b"x")],
    "symlink absolute": [("out", tarfile.SYMTYPE, "/tmp"), ("out/caspl-evil", b"x")],
    "symlink up and down": [("d/up", tarfile.SYMTYPE, ".."), ("d/up/../evil", b"x")],
    "hard link": [("evil", tarfile.LNKTYPE, "../secret")],
    "hard link absolute": [("evil", tarfile.LNKTYPE, "/etc/hostname")],
    "device": [("evil", tarfile.CHRTYPE, "")],
    "pipe": [("evil", tarfile.FIFOTYPE, "")],
}


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("kind", EVIL_TARS)
def test_tars_that_try_to_get_out(tmp_path, kind, mode):
    (tmp_path / "secret").write_text("secret")
    archive = tar_of(tmp_path / "a.tar", ("good.txt", b"good"), *EVIL_TARS[kind], mode=mode)
    target = tmp_path / "deep" / "target"
    target.mkdir(parents=True)
    outside = everything(tmp_path) - {"deep/target/good.txt"}
    with pytest.raises(InputError, match=r"a\.tar (is refused: |cannot be unpacked \()") as caught:
        unpack(str(archive), str(target))
    assert "\n" not in str(caught.value)
    assert {name for name in everything(tmp_path) if not name.startswith("deep/target/")} == outside
    assert (tmp_path / "secret").read_text() == "secret" and not Path("/tmp/caspl-evil").exists()
    assert not any(path.is_symlink() for path in target.rglob("*"))


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/tmp/caspl-evil", "..\\evil", "C:\\evil"])
def test_zips_that_try_to_get_out(tmp_path, name):
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(
        InputError, match=r"a\.zip is refused: a member is called .*, expected a path inside the archive"
    ):
        unpack(str(zip_of(tmp_path / "a.zip", ("good.txt", b"good"), (name, b"x"))), str(target))
    assert everything(tmp_path) == {"a.zip", "target"} and not Path("/tmp/caspl-evil").exists()
    with pytest.raises(InputError, match=r"b\.zip is refused: out is a link, expected files and folders only"):
        unpack(str(zip_of(tmp_path / "b.zip", ("out", b"../.."), link=True)), str(target))
    assert everything(target) == set()


def test_good_archives(tmp_path):
    for number, archive in enumerate(
        [
            tar_of(tmp_path / "a.tar", ("a/ü 1.txt", b"one"), ("a/link", tarfile.SYMTYPE, "ü 1.txt")),
            tar_of(tmp_path / "b.tgz", ("./a/ü 1.txt", b"one"), mode="w:gz"),
            zip_of(tmp_path / "c.zip", ("a/ü 1.txt", b"one")),
        ]
    ):
        target = tmp_path / str(number)
        target.mkdir()
        unpack(str(archive), str(target))
        assert (target / "a" / "ü 1.txt").read_bytes() == b"one"


def test_damaged_archives(tmp_path):
    whole = tar_of(tmp_path / "a.tgz", ("a", os.urandom(5000)), mode="w:gz").read_bytes()
    zipped = zip_of(tmp_path / "a.zip", ("a", b"content " * 500)).read_bytes()
    broken = zipped.replace(b"content content", b"content cOntent", 1)
    for number, content in enumerate((b"", b"<html>", whole[:2000], zipped[:1000], broken)):
        (tmp_path / "x").write_bytes(content)
        target = tmp_path / str(number)
        target.mkdir()
        with pytest.raises(
            InputError, match=r"/x cannot be unpacked \(.*\), expected a complete tar or zip file; download"
        ):
            unpack(str(tmp_path / "x"), str(target))


# --- preparing -------------------------------------------------------------------------------------------------------
@pytest.fixture
def offer(server, monkeypatch, tmp_path):
    """A function that puts archives on the server and makes a benchmark's sources point there."""
    monkeypatch.setattr(prepare, "MIRROR", f"{server.url}/mirror")

    def offer(name: str, *sources: Source, mirror: str = "", manual: str = "") -> None:
        official = tuple(replace(source, urls=tuple(server.url + url for url in source.urls)) for source in sources)
        facts = Benchmark(BENCHMARKS[name].config, 2, 1, 1, 1, official, mirror, manual, BENCHMARKS[name].entry)
        monkeypatch.setitem(BENCHMARKS, name, facts)

    return offer


def archive(server, url: str, *names: str, folder: Path) -> str:
    """Put an archive with these files on the server; gives its checksum."""
    path = folder / f"archive{len(server.files)}"
    members = [(name, name.encode()) for name in names]
    zip_of(path, *members) if url.endswith(".zip") else tar_of(path, *members, mode="w:gz")
    server.files[url] = path.read_bytes()
    path.unlink()
    return "md5:" + hashlib.md5(server.files[url]).hexdigest()


def on_disk(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_prepare_from_the_official_pages(server, offer, tmp_path, capsys):
    root = tmp_path / "DATA"
    digest = archive(server, "/images.tar.gz", "images/a_1.jpg", "images/b_1.jpg", folder=tmp_path)
    archive(server, "/annotations.tar.gz", "annotations/test.txt", folder=tmp_path)
    server.files["/split"] = b"{}"
    offer(
        "OxfordPets",
        Source("images", ("/gone", "/images.tar.gz"), digest),
        Source("annotations", ("/annotations.tar.gz",)),
        Source("split_zhou_OxfordPets.json", ("/split",), "md5:" + hashlib.md5(b"{}").hexdigest()),
    )
    assert main(["prepare", "OxfordPets", "--root", str(root)]) == 0
    pets = {
        f"oxford_pets/{name}"
        for name in ("images/a_1.jpg", "images/b_1.jpg", "annotations/test.txt", "split_zhou_OxfordPets.json")
    }
    assert on_disk(root) == pets and os.listdir(root) == ["oxford_pets"]
    asked = len(server.asked)
    assert main(["prepare", "OxfordPets", "--root", str(root)]) == 0
    assert len(server.asked) == asked  # nothing was lacking
    (root / "oxford_pets" / "images" / "a_1.jpg").write_bytes(b"mine")
    (root / "oxford_pets" / "split_zhou_OxfordPets.json").unlink()
    assert main(["prepare", "OxfordPets", "--root", str(root)]) == 0
    assert [path for path, _ in server.asked[asked:]] == ["/split"]
    assert (root / "oxford_pets" / "images" / "a_1.jpg").read_bytes() == b"mine"


def test_prepare_from_folders_and_archives_in_archives(server, offer, tmp_path):
    archive(
        server, "/food.tar.gz", "food-101/images/pie/1.jpg", "food-101/meta/x.txt", "food-101/README", folder=tmp_path
    )
    server.files["/split.json"] = b"{}"
    offer(
        "Food101",
        Source("images", ("/food.tar.gz",), inside="food-101"),
        Source("split_zhou_Food101.json", ("/split.json",)),
    )
    prepare.prepare("Food101", str(tmp_path / "a"))
    assert on_disk(tmp_path / "a" / "food-101") == {
        "images/pie/1.jpg",
        "meta/x.txt",
        "README",
        "split_zhou_Food101.json",
    }

    inner = tar_of(tmp_path / "inner.tgz", ("101_ObjectCategories/ant/1.jpg", b"x"), mode="w:gz").read_bytes()
    server.files["/caltech.zip"] = zip_of(tmp_path / "z", ("c/101.tgz", inner), ("c/Annotations.tar", b"")).read_bytes()
    offer(
        "Caltech101",
        Source("101_ObjectCategories", ("/caltech.zip",), nested="c/101.tgz"),
        Source("split_zhou_Caltech101.json", ("/split.json",)),
    )
    prepare.prepare("Caltech101", str(tmp_path / "b"))
    assert on_disk(tmp_path / "b") == {
        "caltech-101/101_ObjectCategories/ant/1.jpg",
        "caltech-101/split_zhou_Caltech101.json",
    }


@pytest.mark.parametrize("prefix", ["food-101/", "food101/", "", "food101/food-101/"])
def test_prepare_from_the_mirror(server, offer, tmp_path, prefix, caplog):
    """Its archives hold the dataset's folder, under its own or another name."""
    archive(
        server,
        "/mirror/resolve/main/food101.zip",
        f"{prefix}images/pie/1.jpg",
        f"{prefix}split_zhou_Food101.json",
        "__MACOSX/x",
        folder=tmp_path,
    )
    server.linked = hashlib.sha256(server.files["/mirror/resolve/main/food101.zip"]).hexdigest()
    offer(
        "Food101",
        Source("images", ("/food.tar.gz",), inside="food-101"),
        Source("split_zhou_Food101.json", ("/split.json",)),
        mirror="food101.zip",
    )
    prepare.prepare("Food101", str(tmp_path / "root"))
    assert {"images/pie/1.jpg", "split_zhou_Food101.json"} <= on_disk(tmp_path / "root" / "food-101")
    assert "/split.json answers 404" in caplog.text
    assert "/food.tar.gz" not in [path for path, _ in server.asked]  # no large download in vain
    server.linked = "0" * 64
    with pytest.raises(InputError, match=r"food101\.zip gave has the checksum sha256:\w+, expected sha256:0000"):
        prepare.prepare("Food101", str(tmp_path / "again"), mirror=True)
    assert not (tmp_path / "again" / "food-101").exists()


def test_prepare_cars(server, offer, tmp_path):
    """Its images lie in two folders beside the split."""
    archive(
        server,
        "/mirror/resolve/main/stanford_cars.zip",
        *(
            f"stanford_cars/{name}"
            for name in ("cars_train/00001.jpg", "cars_test/00001.jpg", "split_zhou_StanfordCars.json")
        ),
        folder=tmp_path,
    )
    offer("StanfordCars", mirror="stanford_cars.zip")
    prepare.prepare("StanfordCars", str(tmp_path / "root"))
    assert len(on_disk(tmp_path / "root" / "stanford_cars")) == 3


def test_prepare_gives_folders_their_usual_name(server, offer, tmp_path):
    archive(
        server,
        "/mirror/resolve/main/eurosat.zip",
        "eurosat/EuroSAT_RGB/River/1.jpg",
        "eurosat/split_zhou_EuroSAT.json",
        folder=tmp_path,
    )
    offer("EuroSAT", mirror="eurosat.zip")
    prepare.prepare("EuroSAT", str(tmp_path / "root"))
    assert on_disk(tmp_path / "root" / "eurosat") == {"2750/River/1.jpg", "split_zhou_EuroSAT.json"}


def test_what_cannot_be_downloaded_is_told(server, offer, tmp_path, capsys):
    server.files["/names"] = b"n00000001 ant"
    offer("ImageNet", replace(catalog.CLASSNAMES_SOURCE, urls=("/names",)), manual="image-net.org needs an account")
    assert main(["prepare", "ImageNet", "--root", str(tmp_path / "a")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "imagenet cannot be completed by downloading; to do by hand: image-net.org needs an account" in error
    assert on_disk(tmp_path / "a") == {"imagenet/classnames.txt"}
    offer("SUN397", mirror="sun397.zip", manual="the official links are dead since 2025")
    assert main(["prepare", "SUN397", "--root", str(tmp_path / "b")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "sun397.zip answers 404" in error and "by hand: the official links are dead since 2025" in error
    assert f"listed at {server.url}/mirror/tree/main" in error
    assert main(["prepare", "Digits", "--root", str(tmp_path / "c")]) == 2
    assert "Digits is not for downloading, expected one of ImageNet, Caltech101" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main(["prepare", "SUN397", "--root", str(tmp_path / "file")]) == 2
    assert "SUN397 cannot be written to" in capsys.readouterr().err


def test_interrupted_preparation_leaves_nothing_half(server, offer, tmp_path, monkeypatch, capsys):
    digest = archive(server, "/dtd.tar.gz", "dtd/images/a/1.jpg", "dtd/labels/x.txt", folder=tmp_path)
    server.files["/split.json"] = b"{}"
    offer(
        "DescribableTextures",
        Source("images", ("/dtd.tar.gz",), digest, inside="dtd"),
        Source("split_zhou_DescribableTextures.json", ("/split.json",)),
    )
    command = ["prepare", "DescribableTextures", "--root", str(tmp_path / "root")]

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "_move", interrupted)
        assert main(command) == 130
    assert on_disk(tmp_path / "root" / "dtd") == {"split_zhou_DescribableTextures.json"}
    moved = []
    rename = os.rename

    def first_only(source, target):
        if moved:
            raise KeyboardInterrupt
        moved.append(target)
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(prepare.os, "rename", first_only)
        assert main(command) == 130
    assert on_disk(tmp_path / "root" / "dtd") == {
        "split_zhou_DescribableTextures.json",
        "labels/x.txt",
    }  # images come last
    assert main(command) == 0
    assert (tmp_path / "root" / "dtd" / "images" / "a" / "1.jpg").is_file() and os.listdir(tmp_path / "root") == ["dtd"]


def test_a_refused_archive_writes_nothing(server, offer, tmp_path, capsys):
    server.files["/evil.tar"] = tar_of(tmp_path / "e", ("images/1.jpg", b"x"), ("../../../../evil", b"x")).read_bytes()
    server.files["/other.tar"] = tar_of(tmp_path / "e", ("pictures/1.jpg", b"x")).read_bytes()
    (tmp_path / "e").unlink()
    server.files["/split.json"] = b"{}"
    split = Source("split_zhou_OxfordPets.json", ("/split.json",))
    for url, message in (
        ("/evil.tar", "evil.tar is refused: a member is called '../../../../evil'"),
        ("/other.tar", "other.tar holds pictures, expected images; it is another archive"),
    ):
        offer("OxfordPets", split, Source("images", (url,)))
        assert main(["prepare", "OxfordPets", "--root", str(tmp_path / "root")]) == 2
        assert message in capsys.readouterr().err
        assert on_disk(tmp_path) == {
            "root/oxford_pets/split_zhou_OxfordPets.json",
        }


def test_two_at_once(server, offer, tmp_path):
    offer("SUN397", mirror="sun397.zip")
    work = tmp_path / ".caspl-downloads" / "sun397"
    work.mkdir(parents=True)
    with locked(work / ".lock"), pytest.raises(InputError, match="another process is preparing SUN397 in .*; wait"):
        prepare.prepare("SUN397", str(tmp_path))


def test_the_published_sources_are_well_formed():
    for name, facts in BENCHMARKS.items():
        kind = dataset_class(name)
        entries = [source.entry for source in facts.official]
        assert facts.mirror or facts.manual
        assert not entries or name == "ImageNet" or kind.image_dir in entries
        assert kind.split_file in entries or not kind.split_file or not entries
        for source in facts.official:
            assert all(url.startswith(("https://", "http://data.vision.ee.ethz.ch/")) for url in source.urls)
            kind_of, _, value = source.digest.partition(":")
            assert (kind_of, len(value)) in (("", 0), ("md5", 32), ("sha256", 64))
            if source.entry == kind.split_file and kind.split_sha256:
                assert value == kind.split_sha256


def test_file_digest(tmp_path):
    (tmp_path / "f").write_bytes(BIG)
    assert file_digest(str(tmp_path / "f"), "sha256") == BIG_SHA
