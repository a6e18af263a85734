"""The tar reader and writer against Python's tarfile and hypothesis."""

from __future__ import annotations

import contextlib
import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tare.linux import tar

NAMES = st.binary(min_size=1, max_size=400).filter(
    lambda name: b"\0" not in name and name.strip(b"/") != b"" and not name.endswith(b"/")
)


class Slow:
    """A source that gives a few bytes at a time, as a pipe may."""

    def __init__(self, data: bytes, step: int) -> None:
        self._stream = io.BytesIO(data)
        self._step = step

    def read(self, size: int, /) -> bytes:
        return self._stream.read(min(size, self._step))


def content(reader: tar.Reader, entry: tar.Entry) -> bytes:
    whole = bytearray(entry.size)
    for offset, piece in reader.extents():
        whole[offset : offset + len(piece)] = piece
    return bytes(whole)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NAMES, st.binary(max_size=1500)), max_size=6), st.integers(1, 4000))
def test_what_is_written_is_read_in_pieces_of_any_size(files: list[tuple[bytes, bytes]], step: int) -> None:
    out = io.BytesIO()
    for name, data in files:
        entry = tar.Entry(name, tar.FILE)
        entry.size, entry.mode = len(data), 0o640
        out.write(tar.header(entry) + data + bytes(-len(data) % tar.RECORD))
    out.write(tar.END)
    reader = tar.Reader(Slow(out.getvalue(), step))
    assert [(entry.name, content(reader, entry)) for entry in reader] == files


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_formats_of_others(form: int) -> None:
    out = io.BytesIO()
    names = ["short", "d" * 60 + "/" + "f" * 80]
    if form != tarfile.USTAR_FORMAT:
        names += ["n" * 300, "\u00fc" * 60]
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size, info.uid, info.mtime, info.mode = 3, 1000, 1_600_000_000, 0o4755
            archive.addfile(info, io.BytesIO(b"abc"))
            link = tarfile.TarInfo(name[:90] + ".link")
            link.type, link.linkname = tarfile.SYMTYPE, name[:90]
            archive.addfile(link)
    out.seek(0)
    reader = tar.Reader(out)
    found = []
    for entry in reader:
        if entry.kind == tar.FILE:
            assert (entry.uid, entry.mtime, entry.mode, content(reader, entry)) == (1000, 1_600_000_000 * 10**9, 0o4755, b"abc")
            found.append(entry.name.decode())
        else:
            assert entry.name == entry.link + b".link"
    assert found == names


def test_content_that_nobody_reads_is_skipped() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in "abc":
            info = tarfile.TarInfo(name)
            info.size = 5000
            archive.addfile(info, io.BytesIO(bytes(5000)))
    assert [entry.name for entry in tar.Reader(Slow(out.getvalue(), 700))] == [b"a", b"b", b"c"]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=3000))
def test_noise_is_damaged_and_nothing_else(noise: bytes) -> None:
    reader = tar.Reader(io.BytesIO(noise))
    with contextlib.suppress(tar.Damaged):
        for entry in reader:
            content(reader, entry)


@settings(max_examples=150, deadline=None)
@given(st.binary(min_size=1, max_size=300), st.sampled_from([b"x", b"g", b"L", b"K", b"S", b"V", b"D", b"M"]))
def test_noise_in_extended_headers(body: bytes, kind: bytes) -> None:
    entry = tar.Entry(b"name", tar.FILE)
    entry.size = len(body)
    plain = bytearray(tar.header(entry))
    plain[156:157] = kind
    plain[148:156] = b" " * 8
    plain[148:156] = b"%06o\0 " % sum(plain)
    data = bytes(plain) + body + bytes(-len(body) % tar.RECORD) + tar.header(tar.Entry(b"next", tar.FILE)) + tar.END
    with contextlib.suppress(tar.Damaged):
        list(tar.Reader(io.BytesIO(data)))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("GNU.sparse.map", "0,10,5,10"),
        ("GNU.sparse.map", "0,99"),
        ("GNU.sparse.map", "x"),
        ("size", "-1"),
        ("mtime", "soon"),
        ("uid", "1e3"),
    ],
)
def test_contradictions_are_damaged(key: str, value: str) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("a")
        info.size = 20
        info.pax_headers = {key: value, "GNU.sparse.size": "20"} if "sparse" in key else {key: value}
        archive.addfile(info, io.BytesIO(bytes(20)))
    with pytest.raises(tar.Damaged):
        list(tar.Reader(io.BytesIO(out.getvalue())))
