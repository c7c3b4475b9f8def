"""Archives whose bytes another reader could read in another way."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import pytest
import torch
from torch import nn

from tests.attacks.archives import (
    end_record,
    evil_inputs,
    local_header,
    quietly,
    record_name,
    records,
    table_entry,
    write_records,
)
from tests.attacks.commands import assert_refused, assert_refused_or_harmless
from tests.attacks.opcodes import START, STOP, call, named, text

CHECK = ("check", "m.pt", "--layer", "auto", "--input-shape", "2,5")


def build(entries, *, comment=b"", before=b"", after=b"", between=b""):
    """An archive of ``(name, data)`` pairs, with other bytes around and between its parts."""
    data, table = before, b""
    for name, content in entries:
        table += table_entry(name, content, len(data))
        data += local_header(name, content) + content
    data += between
    return data + table + end_record(len(entries), len(table), len(data), comment) + after


def good_records():
    file = io.BytesIO()
    with quietly():
        torch.save(nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3)), file)
    return records(file.getvalue())


@pytest.fixture(scope="module")
def model():
    return list(good_records().items())


def evil(canary):
    return START + call(named("os", "mkdir"), text(canary)) + STOP


def test_the_archive_that_this_module_builds_is_loaded(cli, tmp_path, model):
    (tmp_path / "m.pt").write_bytes(build(model))
    assert cli(*CHECK).status == 0


def renamed(entries, old, new):
    return [(name.replace(old, new), data) for name, data in entries]


NAMES = {
    "a name twice": lambda model, canary: [*model, ("archive/data.pkl", evil(canary))],
    "a name twice, evil first": lambda model, canary: [("archive/data.pkl", evil(canary)), *model],
    "another case": lambda model, canary: [("archive/Data.pkl", evil(canary)), *model],
    "another case of the folder": lambda model, canary: [("ARCHIVE/data.pkl", evil(canary)), *model],
    "two roots": lambda model, canary: [("brchive/data.pkl", evil(canary)), *model],
    "no root": lambda model, canary: [("data.pkl", evil(canary)), *model],
    "an absolute name": lambda model, canary: [("/archive/data.pkl", evil(canary)), *model],
    "an absolute root": lambda model, _: renamed(model, "archive/", "/"),
    "a parent": lambda model, canary: [("archive/../archive/data.pkl", evil(canary)), *model],
    "a parent as root": lambda model, _: renamed(model, "archive/", "../"),
    "a dot": lambda model, canary: [("archive/./data.pkl", evil(canary)), *model],
    "two slashes": lambda model, canary: [("archive//data.pkl", evil(canary)), *model],
    "a backslash": lambda model, canary: [("archive\\data.pkl", evil(canary)), *model],
    "a drive": lambda model, canary: [("C:/data.pkl", evil(canary)), *model],
    "a null": lambda model, canary: [("archive/data.pkl\0.txt", evil(canary)), *model],
    "a folder": lambda model, _: [*model, ("archive/data/", b"")],
    "an escape": lambda model, _: [*model, ("archive/\x1b[2J", b"x")],
    "another script": lambda model, canary: [*model, ("archive/dаta.pkl", evil(canary))],  # noqa: RUF001 - Cyrillic
    "a very long name": lambda model, _: [*model, ("archive/" + "x" * 60_000, b"x")],
    "an empty name": lambda model, _: [*model, ("", b"x")],
    "a byte order that is big": lambda model, _: [
        (name, b"big" if name.endswith("byteorder") else data) for name, data in model
    ],
    "a byte order that is none": lambda model, _: [
        (name, b"middle" if name.endswith("byteorder") else data) for name, data in model
    ],
    "no pickle": lambda model, _: [(name, data) for name, data in model if not name.endswith(".pkl")],
    "no storages": lambda model, _: [(name, data) for name, data in model if "/data/" not in name],
    "an empty pickle": lambda model, _: [(name, b"" if name.endswith(".pkl") else data) for name, data in model],
    "nothing": lambda _model, _canary: [],
}
# what torch reads too, and nobody in another way
MAY_BE_READ = ("a parent as root", "part of another disk")


@pytest.mark.parametrize("case", NAMES)
def test_an_archive_with_odd_names_is_one_error(cli, tmp_path, canary, model, case):
    (tmp_path / "m.pt").write_bytes(build(NAMES[case](model, canary)))
    (assert_refused_or_harmless if case in MAY_BE_READ else assert_refused)(cli(*CHECK), canary)


def with_field(data, mark, offset, value, *, last=False):
    """The archive with another value in the first header that begins with this mark."""
    at = (data.rindex if last else data.index)(mark) + offset
    return data[:at] + value + data[at + len(value) :]


LOCAL, TABLE, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
END64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 46, 0)
LOCATOR64 = struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1)


def with_end64(data, end64):
    at = data.rindex(END)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, at, 1)
    return data[:at] + end64 + locator + data[at:]


def without_sizes(data):
    """Flag 8: the sizes stand behind the record; the header has none."""
    return with_field(with_field(data, LOCAL, 6, b"\x08\x00"), LOCAL, 14, bytes(12))


LAYOUTS = {
    "something before": lambda data: b"#!/bin/sh\nexit\n" + data,
    "a picture before": lambda data: b"\x89PNG\r\n\x1a\n" + data,
    "something after": lambda data: data + b"more",
    "another archive after": lambda data: data + data,
    "a comment": lambda data: with_field(data, END, 20, b"\x04\x00") + b"four",
    "a comment with an end record": lambda data: with_field(data, END, 20, b"\x16\x00") + data[-22:],
    "a comment that is declared only": lambda data: with_field(data, END, 20, b"\x04\x00"),
    "an encrypted record": lambda data: with_field(with_field(data, LOCAL, 6, b"\1\0"), TABLE, 8, b"\1\0"),
    "an encrypted record, in the table only": lambda data: with_field(data, TABLE, 8, b"\1\0"),
    "an encrypted record, in its header only": lambda data: with_field(data, LOCAL, 6, b"\1\0"),
    "another name in the header": lambda data: with_field(data, LOCAL, 30, b"brchive"),
    "another name in the table": lambda data: with_field(data, TABLE, 46, b"brchive"),
    "another size in the header": lambda data: with_field(data, LOCAL, 22, b"\1\0\0\0"),
    "another packed size in the header": lambda data: with_field(data, LOCAL, 18, b"\1\0\0\0"),
    "another size in the table": lambda data: with_field(data, TABLE, 24, b"\1\0\0\0"),
    "another packed size in the table": lambda data: with_field(data, TABLE, 20, b"\1\0\0\0"),
    "a size beyond the file": lambda data: with_field(data, TABLE, 24, b"\xfe\xff\xff\xff"),
    "another method in the header": lambda data: with_field(data, LOCAL, 8, b"\x08\0"),
    "another method in the table": lambda data: with_field(data, TABLE, 10, b"\x08\0"),
    "an unknown method": lambda data: with_field(with_field(data, LOCAL, 8, b"\x63\0"), TABLE, 10, b"\x63\0"),
    "another checksum in the header": lambda data: with_field(data, LOCAL, 14, b"\0\0\0\0"),
    "another checksum in both": lambda data: with_field(
        with_field(data, LOCAL, 14, b"\0\0\0\0"), TABLE, 16, b"\0\0\0\0"
    ),
    "a place in another record": lambda data: with_field(data, TABLE, 42, b"\5\0\0\0"),
    "a place behind the file": lambda data: with_field(data, TABLE, 42, b"\xfe\xff\xff\xff"),
    "the place of the first for the last": lambda data: with_field(data, TABLE, 42, b"\0\0\0\0", last=True),
    "another start of the table": lambda data: with_field(data, END, 16, b"\1\0\0\0"),
    "another size of the table": lambda data: with_field(data, END, 12, b"\1\0\0\0"),
    "fewer records": lambda data: with_field(with_field(data, END, 8, b"\1\0"), END, 10, b"\1\0"),
    "more records": lambda data: with_field(with_field(data, END, 8, b"\x7f\0"), END, 10, b"\x7f\0"),
    "another number of this part": lambda data: with_field(data, END, 8, b"\1\0"),
    "several parts": lambda data: with_field(data, END, 4, b"\1\0"),
    "no end record": lambda data: data[: data.rindex(END)],
    "half an end record": lambda data: data[:-7],
    "half of it": lambda data: data[: len(data) // 2],
    "two end records": lambda data: data + data[-22:],
    "a 64-bit end record of other contents": lambda data: with_end64(data, END64),
    "a 64-bit end record of other length": lambda data: with_end64(data, END64 + bytes(8)),
    "a 64-bit locator that points nowhere": lambda data: data[:-22] + LOCATOR64 + data[-22:],
    "a 64-bit locator that points far away": lambda data: (
        data[:-22] + struct.pack("<4sLQL", b"PK\6\7", 0, 2**62, 1) + data[-22:]
    ),
    "sizes behind the record": without_sizes,
    "an extra field in the header that reaches further": lambda data: with_field(data, LOCAL, 28, b"\xff\xff"),
    "an extra field in the table that reaches further": lambda data: with_field(data, TABLE, 30, b"\xff\xff"),
    "a comment in the table that reaches further": lambda data: with_field(data, TABLE, 32, b"\xff\xff"),
    "a name that reaches further": lambda data: with_field(data, TABLE, 28, b"\xff\xff"),
    "part of another disk": lambda data: with_field(data, TABLE, 34, b"\7\0"),
    "sizes of 64 bits without a field": lambda data: with_field(data, TABLE, 20, b"\xff" * 8),
    "a place of 64 bits without a field": lambda data: with_field(data, TABLE, 42, b"\xff" * 4),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_an_archive_of_another_layout_is_one_error(cli, tmp_path, canary, model, case):
    (tmp_path / "m.pt").write_bytes(LAYOUTS[case](build(model)))
    (assert_refused_or_harmless if case in MAY_BE_READ else assert_refused)(cli(*CHECK, timeout=10), canary)


@pytest.mark.parametrize("suffix", ["pt", "npz", "npy", "png", "safetensors", "pt2"])
def test_such_an_archive_is_one_error_also_as_an_input_and_under_other_names(cli, tmp_path, canary, net, model, suffix):
    changes = [change for case, change in LAYOUTS.items() if case not in MAY_BE_READ]
    for number, change in enumerate(changes):
        (tmp_path / f"{number}.{suffix}").write_bytes(change(build(model)))
    option = "--image" if suffix == "png" else "--input"
    paths = [f"{number}.{suffix}" for number in range(len(changes))]
    if suffix in ("pt", "npz", "npy", "png"):
        commands = [("check", "net.py:Net", "--layer", "a", option, path) for path in paths]
    else:
        commands = [("check", path, "--layer", "auto") for path in paths]
    for done in cli.each(commands):
        assert_refused(done, canary)


def test_sizes_behind_the_record_that_are_others_are_one_error(cli, tmp_path, canary, model):
    """A data descriptor, as torch's writer has them, with sizes that are not those of the table."""
    for sizes in ((1, 1), (2**31, 2**31), (0, 0)):
        (name, first), *rest = model
        follows = struct.pack("<4sLLL", b"PK\7\x08", zlib.crc32(first), *sizes)
        header = struct.pack("<4s5H3L2H", LOCAL, 45, 8, 0, 0, 0x21, 0, 0, 0, len(name), 0) + name.encode()
        data, table = header + first + follows, table_entry(name, first, 0, flags=8)
        for name, content in rest:
            table += table_entry(name, content, len(data))
            data += local_header(name, content) + content
        (tmp_path / "m.pt").write_bytes(data + table + end_record(len(model), len(table), len(data)))
        assert_refused_or_harmless(cli(*CHECK), canary)


def test_an_archive_in_a_program_of_torch_is_checked_alike(cli, tmp_path, exported, canary):
    """The sample inputs are an archive in the archive: also there nothing may be hidden."""
    content = records(exported)
    name = record_name(content, "data/sample_inputs/model.pt")
    inner = records(evil_inputs(canary))
    hidden = [("archive/Data.pkl", inner["archive/data.pkl"]), *records(content[name]).items()]
    write_records(tmp_path / "m.pt2", content | {name: build(hidden)})
    assert_refused_or_harmless(cli("check", "m.pt2", "--layer", "a"), canary)


def test_many_records_are_one_error(cli, tmp_path, canary):
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        for turn in range(30_000):
            archive.writestr(f"archive/data/{turn}", b"")
    assert_refused(cli(*CHECK, timeout=10), canary)
