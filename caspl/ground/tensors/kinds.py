"""What a file is that was given for a weight file and is none, by what it begins with."""

from __future__ import annotations

LONGEST_MARK = 512  # bytes that `other_kind` looks at
MARKS = {
    b"version https://git-lfs": "a Git LFS pointer in place of the file, which git lfs pull fetches",
    b"\x1f\x8b": "compressed with gzip; unpack it",
    b"BZh": "compressed with bzip2; unpack it",
    b"\xfd7zXZ": "compressed with xz; unpack it",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; unpack it",
    b"7z\xbc\xaf": "a 7z archive; unpack it",
    b"Rar!": "a RAR archive; unpack it",
    b"\x89HDF": "HDF5, as Keras writes it",
    b"GGUF": "GGUF, as llama.cpp reads it",
    b"\x93NUMPY": "an array of NumPy",
    b"%PDF": "a PDF",
}


def other_kind(head: bytes) -> str:
    """A phrase for the kind of a file that begins like this; "" for one that may have been written by PyTorch."""
    if found := next((kind for mark, kind in MARKS.items() if head.startswith(mark)), ""):
        return found
    if head[257:262] == b"ustar":
        return "a tar archive; unpack it"
    if not head:
        return "empty"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "a web page in place of the file; download it again"
    if text.startswith((b"{", b"[")):
        return "JSON; where it lies beside a model, name their folder"
    return "" if head.startswith((b"PK\3\4", b"\x80")) else "of a kind that is not known here"
