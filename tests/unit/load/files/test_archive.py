"""Archives are read in the one way in which every reader would read them, or not at all."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gradflow.errors import LoadError
from gradflow.load.files.archive import Archive, ArchiveWriter, open_archive, write_archive
from gradflow.load.files.limits import MOST_COMPRESSED_BYTES


def saved(value=None):
    file = io.BytesIO()
    torch.save(torch.arange(100.0) if value is None else value, file)
    return file.getvalue()


def zipped(records, method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in records:
            archive.writestr(name, data)
    return file.getvalue()


def read(data):
    archive = Archive.from_bytes(data, "the file")
    return {name: archive.read(name) for name in archive.names}


def test_what_torch_writes_is_read_as_zipfile_reads_it():
    data = saved()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        expected = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    assert read(data) == expected


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_zipfile_writes_is_read(method):
    records = [("a/data.pkl", b"x" * 1000), ("a/data/0", b"y")]
    assert read(zipped(records, method)) == {"data.pkl": b"x" * 1000, "data/0": b"y"}


def test_what_is_written_is_aligned_and_torch_reads_it():
    archive = Archive.from_bytes(saved(), "the file")
    file = io.BytesIO()
    with ArchiveWriter(file, "copy") as writer:
        for name in archive.names:
            writer.copy(name, archive)
    assert torch.equal(torch.load(io.BytesIO(file.getvalue())), torch.arange(100.0))
    copy = Archive.from_bytes(file.getvalue(), "the copy")
    assert [copy.read(name) for name in copy.names] == [archive.read(name) for name in archive.names]
    with zipfile.ZipFile(file) as table:
        for info in table.infolist():
            name_length, extra_length = struct.unpack("<2H", file.getvalue()[info.header_offset + 26 :][:4])
            assert (info.header_offset + 30 + name_length + extra_length) % 64 == 0


@given(records=st.dictionaries(st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True), st.binary(max_size=200), max_size=5))
def test_what_is_written_comes_back(records):
    file = io.BytesIO()
    write_archive(file, "root", records)
    assert read(file.getvalue()) == records


def with_bytes(data, place, new):
    return data[:place] + new + data[place + len(new) :]


def end(data):
    return data.rindex(b"PK\5\6")


OF_TWO_MINDS = {
    "something before it": lambda data: b"MZ" + data,
    "something after it": lambda data: data + b"\0",
    "a comment": lambda data: with_bytes(data, len(data) - 2, b"\3\0") + b"abc",
    "another count in the end record": lambda data: with_bytes(data, end(data) + 10, b"\1\0"),
    "another place in the end record": lambda data: with_bytes(data, end(data) + 16, b"\7\0\0\0"),
    "another size in the end record": lambda data: with_bytes(data, end(data) + 12, b"\7\0\0\0"),
    "several parts": lambda data: with_bytes(data, end(data) + 4, b"\1\0"),
    "another name in a header": lambda data: with_bytes(data, data.index(b"data.pkl"), b"data.pkx"),
    "another method in a header": lambda data: with_bytes(data, 8, b"\x08\0"),
    "other flags in a header": lambda data: with_bytes(data, 6, b"\1\0"),
    "a size in a header": lambda data: with_bytes(data, 18, b"\7\0\0\0"),
}


@pytest.mark.parametrize("writer", [saved, lambda: zipped([("a/data.pkl", b"xyz"), ("a/version", b"3")])])
@pytest.mark.parametrize("change", OF_TWO_MINDS)
def test_an_archive_of_two_minds_is_not_read(change, writer):
    data = OF_TWO_MINDS[change](writer())
    with pytest.raises(LoadError):
        read(data)


@pytest.mark.parametrize(
    "names",
    [
        ("a/x", "a/X"),
        ("a/x", "a/x"),
        ("a/x", "b/y"),
        ("a/x", "A/y"),
        ("a/../x",),
        ("a//x",),
        ("a/x\\y",),
        ("a/x\u202ey",),
        ("x",),
        ("/x",),
        ("a/",),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_readers_take_differently_are_refused(names):
    with pytest.raises(LoadError):
        read(zipped([(name, b"1") for name in names]))


def test_a_name_of_the_file_beyond_ascii_is_fine(tmp_path):
    torch.save(torch.ones(2), tmp_path / "mod\u00e8le \u6a21\u578b.pt")
    with open_archive(tmp_path / "mod\u00e8le \u6a21\u578b.pt") as archive:
        assert archive.size("data/0") == 8


def test_records_that_overlap_are_refused():
    data = zipped([("a/x", b"1" * 50), ("a/y", b"1" * 50)])
    table = data.index(b"PK\1\2", data.index(b"PK\1\2") + 1)
    overlapping = with_bytes(data, table + 42, struct.pack("<I", 0))
    with pytest.raises(LoadError, match=r"another name|overlaps"):
        read(overlapping)


def test_a_flipped_bit_in_a_record_is_damage():
    data = saved()
    archive = Archive.from_bytes(data, "the file")
    place = data.index(torch.arange(100.0).numpy().tobytes()[:64]) + 40
    flipped = Archive.from_bytes(with_bytes(data, place, bytes([data[place] ^ 1])), "the file")
    assert archive.read("data/0")
    with pytest.raises(LoadError, match="damaged") as caught:
        flipped.read("data/0")
    assert "checksum" in caught.value.note


def test_a_record_that_is_larger_than_the_limit_is_not_read():
    archive = Archive.from_bytes(saved(), "the file")
    with pytest.raises(LoadError, match="at most 10 are read"):
        archive.read("data/0", limit=10)


def test_a_record_that_unfolds_to_more_than_it_declares_is_damage():
    data = zipped([("a/x", b"0" * 10_000)], zipfile.ZIP_DEFLATED)
    smaller = data.replace(struct.pack("<I", 10_000), struct.pack("<I", 100))
    with pytest.raises(LoadError, match="damaged"):
        read(smaller)


def test_compressed_records_have_a_limit(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        for index in range(5):
            archive.writestr(f"a/{index}", b"0" * (MOST_COMPRESSED_BYTES // 4))
    with pytest.raises(LoadError, match="compressed records unfold"), open_archive(tmp_path / "bomb.pt"):
        pass


def test_a_file_is_opened_once_and_stays_the_same(tmp_path):
    path = tmp_path / "m.pt"
    path.write_bytes(saved(torch.ones(3)))
    with open_archive(path) as archive:
        other = tmp_path / "other.pt"
        other.write_bytes(saved(torch.zeros(3)))
        other.replace(path)
        assert archive.read("data/0") == torch.ones(3).numpy().tobytes()
