"""Files that are no weight files are called what they are."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from caspl.ground.tensors.archives import UnreadableError, opened


def zipped():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("clip.pt", "x")
    return stream.getvalue()


def tarred():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("clip.pt"))
    return stream.getvalue()


def array():
    stream = io.BytesIO()
    np.save(stream, np.ones(2))
    return stream.getvalue()


KINDS = {
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n": "a Git LFS pointer .* git lfs pull",
    b"\n<!DOCTYPE html><html>": "a web page in place of the file",
    b"<html>404</html>": "a web page",
    b'\xef\xbb\xbf{"error": "Repository not found"}': "JSON",
    gzip.compress(b"x"): "with gzip; unpack",
    bz2.compress(b"x"): "with bzip2; unpack",
    lzma.compress(b"x"): "with xz; unpack",
    tarred(): "a tar archive; unpack",
    zipped(): r"a zip archive of other things .clip.pt.; unpack",
    array(): "an array of NumPy",
    b"GGUF\3\0\0\0": "GGUF",
    b"\x89HDF\r\n\x1a\n": "HDF5",
    b"": "empty",
    b"hello": "of a kind that is not known here",
    b"\x08\x07\x12\x07pytorch": "of a kind that is not known here",  # ONNX
}


@pytest.mark.parametrize("content", KINDS, ids=KINDS.values())
def test_what_is_no_weight_file(content, tmp_path):
    path = tmp_path / "clip.pt"
    path.write_bytes(content)
    with pytest.raises(UnreadableError, match=KINDS[content]), opened(path):
        pass


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
def test_what_is_one(new, protocol, tmp_path):
    path = tmp_path / "clip.pt"
    torch.save({"x": torch.ones(2)}, path, _use_new_zipfile_serialization=new, pickle_protocol=protocol)
    with opened(path) as content:
        assert content.tensor(content.root["x"]).tolist() == [1, 1]
