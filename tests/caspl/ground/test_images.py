import io

import dassl.utils
import numpy as np
import pytest
from PIL import Image

from caspl.ground.errors import InputError
from caspl.ground.images import read_image, to_rgb


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
