import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import dassl.utils
import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin

from caspl.ground.errors import InputError
from caspl.ground.images import FORMATS, MOST_BYTES, images_among, is_image, read_image, to_rgb

ROOT = Path(__file__).parents[3]


def test_dassl_reads_images_with_the_same_function():
    assert dassl.utils.read_image is read_image


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1"])
def test_files_and_bytes_are_read_alike(tmp_path, mode):
    pixels = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3) * 4
    picture = Image.fromarray(pixels).convert(mode)
    picture.save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert (image.mode, image.size) == ("RGB", (5, 4))
    assert image.tobytes() == picture.convert("RGB").tobytes()
    assert image.tobytes() == read_image("any name", (tmp_path / "a.png").read_bytes()).tobytes()


def test_what_cannot_be_read_is_named(tmp_path):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(file, "PNG")
    for content, message in (
        (b"", r"x\.png is empty \(0 bytes\), expected an image; replace or remove it$"),
        (b"<html>", r"x\.png is no image of a known kind"),
        (file.getvalue()[:2000], r"x\.png cannot be read \("),
    ):
        (tmp_path / "x.png").write_bytes(content)
        for arguments in ((tmp_path / "x.png",), ("shard.tar/x.png", content)):
            with pytest.raises(InputError, match=message) as caught:
                read_image(*arguments)
            assert str(caught.value).startswith(str(arguments[0]))
    with pytest.raises(InputError, match="there is no image nowhere.png"):
        read_image("nowhere.png")
    with pytest.raises(InputError, match=r"^mine has 32-bit pixels \(F\)"):
        to_rgb(Image.new("F", (2, 2)), "mine")


# ---------------------------------------------------------------------------------------------------------------------
# Kinds of images
# ---------------------------------------------------------------------------------------------------------------------
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8))
Image.init()
KINDS = [kind for kind in FORMATS if kind in Image.SAVE]


def saved(kind, picture=NOISE, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_the_pixels_that_pillow_gives_it(tmp_path, kind):
    (tmp_path / "x").write_bytes(saved(kind))
    assert read_image(tmp_path / "x").tobytes() == Image.open(tmp_path / "x").convert("RGB").tobytes()


def test_endings_follow_from_the_kinds():
    assert all(
        map(is_image, ["a.JPG", "a.jpeg", "a.mpo", "a.png", "a.gif", "a.webp", "a.tif", "a.bmp", "a.pgm", "a.jp2"])
    )
    assert not any(map(is_image, ["a.eps", "a.ps", "a.pdf", "a.psd", "a.wmf", "a.fits", "a.txt", "jpg"]))


def test_images_of_other_kinds_are_named(caplog):
    assert images_among(["a.jpg", "b.eps", "c.txt", "d.PSD"], "photos") == ["a.jpg"]
    assert caplog.messages[0].startswith("b.eps in photos and 1 more are left out: such files are not read as images")
    assert images_among(["a.jpg", "IMG_1.HEIC"], "phone") == ["a.jpg"] and "IMG_1.HEIC in phone is" in caplog.text
    assert images_among(["a.jpg", "c.txt"], "photos") == ["a.jpg"] and len(caplog.messages) == 2


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width, height, *more, color=0, data=b""):
    """A PNG of 8 bits, or of 1 bit where it is large; the header may be a lie."""
    header = struct.pack(">IIBBBBB", width, height, 1 if width > 1000 else 8, color, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(data or bytes(height * (width + 1) if width * height < 1e6 else 100)))
    return b"".join((b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), *more, body, chunk(b"IEND", b"")))


BOMB = zlib.compress(bytes(20_000_000))
HOSTILE = {
    "a program": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
        "is no image of a known",
    ),
    "a document": (b"%PDF-1.4\n", "is no image of a known kind, expected an image"),
    "layers": (b"8BPS\0\1" + bytes(100), "is no image of a known kind"),
    "a metafile": (b"\xd7\xcd\xc6\x9a" + bytes(100), "is no image of a known kind"),
    "400 megapixels": (png(20_000, 20_000), r"cannot be read \(Image size \(400000000 pixels\)"),
    "more than there are": (png(2**31 - 1, 2**31 - 1), r"cannot be read \(Image size"),
    "no pixels": (png(0, 0), "is no image of a known kind"),
    "a line": (png(1, 1001), "has 1 x 1,001 pixels, expected one side at most 1,000 times the other"),
    "compressed text": (png(9, 9, chunk(b"zTXt", b"a\0\0" + BOMB)), "cannot be read"),
    "compressed profile": (png(9, 9, chunk(b"iCCP", b"a\0\0" + BOMB)), "cannot be read"),
    "no palette": (png(9, 9, color=3, data=b"\xff" * 90), "cannot be read"),
    "huge PPM": (b"P6 99999 99999 255\n", "cannot be read"),
    "half a PPM": (b"P3 3 3 255\n1 2 x", r"cannot be read \(invalid literal"),
    **{f"half a {kind}": (saved(kind)[: len(saved(kind)) // 2], "cannot be read|is no image") for kind in KINDS},
}


@pytest.mark.parametrize("content, said", HOSTILE.values(), ids=HOSTILE)
def test_hostile_images_are_one_sentence(tmp_path, content, said):
    (tmp_path / "x.jpg").write_bytes(content)
    for arguments in ((tmp_path / "x.jpg",), ("shard.tar/x.jpg", content)):
        with pytest.raises(InputError, match=rf"^\S+x\.jpg ({said})") as caught:
            read_image(*arguments)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_bytes_change_an_image_is_read_or_refused(kind):
    rng, sound, refused = np.random.default_rng(0), np.frombuffer(saved(kind), np.uint8), 0
    for number in range(40):
        content = sound.copy()
        places = rng.integers(4, min(len(content), 200) if number % 2 else len(content), 10)
        content[places] = rng.integers(0, 256, 10)
        try:
            assert read_image("x", content.tobytes()).mode == "RGB"
        except InputError:
            refused += 1
    assert refused or kind in ("DIB", "PPM")


@pytest.mark.parametrize(
    "error, said",
    [
        (struct.error("odd"), r"\(error: odd\)"),
        (IndexError("odd"), r"\(IndexError: odd\)"),
        (AttributeError("odd"), r"\(AttributeError: odd\)"),
        (NotImplementedError("odd"), r"\(NotImplementedError: odd\)"),
        (zlib.error("odd"), r"\(error: odd\)"),
        (MemoryError(), r"\(there is not enough memory for it\)"),
        (OSError(5, "Input/output error"), r"\(Input/output error\)"),
    ],
)
def test_whatever_a_decoder_raises_is_a_sentence(monkeypatch, error, said):
    def load(self):
        raise error

    content = saved("PNG")
    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", load, raising=False)
    with pytest.raises(InputError, match=rf"^x cannot be read {said}; replace or remove it$"):
        read_image("x", content)


def test_only_files_of_bounded_size_are_images(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with open(tmp_path / "large.jpg", "wb") as file:
        file.truncate(MOST_BYTES + 1)
    for name, said in (("pipe.jpg", "it is a named pipe, expected a file"), ("large.jpg", "it has 134,217,729 bytes")):
        with pytest.raises(InputError, match=rf"{name} cannot be read \({said}"):
            read_image(tmp_path / name)


@pytest.mark.slow
def test_pillow_says_nothing_of_its_own(tmp_path):
    (tmp_path / "a.png").write_bytes(saved("PNG", NOISE.convert("P"), transparency=bytes(range(256))))
    (tmp_path / "b.jpg").write_bytes(saved("JPEG", exif=b"Exif\0\0MM\0*" + b"\xff" * 1000))
    (tmp_path / "c.tiff").write_bytes(saved("TIFF")[:200])
    (tmp_path / "d.png").write_bytes(png(10_000, 10_000, data=bytes(10_000 * 1_251)))  # of which Pillow warns
    code = "import sys\nfrom caspl.ground.images import read_image\nfor path in sys.argv[1:]:\n"
    code += "    try: read_image(path)\n    except ValueError: pass\n"
    command = [sys.executable, "-W", "default", "-c", code, *map(str, sorted(tmp_path.iterdir()))]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stderr == b""
