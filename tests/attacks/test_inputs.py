"""Files of inputs: arrays, tensors and pictures are data too, and small ones do not take the memory."""

from __future__ import annotations

import io
import json
import struct
import zlib

import numpy
import pytest
import torch

from tests.attacks.archives import Evaluated, saved, written
from tests.attacks.commands import assert_refused, assert_refused_or_harmless, assert_refused_without_memory

MEMORY = 640 * 1024**2


def npy(header, data=b""):
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def of_objects(canary):
    file = io.BytesIO()
    numpy.save(file, numpy.array([Evaluated(written(canary, "1"))], dtype=object), allow_pickle=True)
    return file.getvalue()


ARRAYS = {
    "objects": of_objects,
    "a pickle under that name": lambda canary: saved(Evaluated(written(canary, "1"))),
    "an old pickle under that name": lambda canary: saved(Evaluated(written(canary, "1")), legacy=True),
    "a header that is code": lambda canary: npy(f"__import__('os').mkdir({str(canary)!r})"),
    "a header that is deep": lambda _: npy("(" * 5000 + ")" * 5000),
    "a header of many digits": lambda _: npy(
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 6000 + ",)}"
    ),
    "a huge shape": lambda _: npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }"),
    "a shape beyond numbers": lambda _: npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2**62, 9), }"),
    "a negative shape": lambda _: npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 5), }", bytes(40)),
    "a shape of no bytes": lambda _: npy("{'descr': '|V0', 'fortran_order': False, 'shape': (10**12,), }"),
    "a large shape of no bytes": lambda _: npy("{'descr': '|V0', 'fortran_order': False, 'shape': (9999999999,), }"),
    "a shape of text": lambda _: npy("{'descr': '<f4', 'fortran_order': False, 'shape': ('2', 5), }", bytes(40)),
    "a dtype of text": lambda _: npy("{'descr': '<U100', 'fortran_order': False, 'shape': (2,), }", bytes(800)),
    "a dtype with fields": lambda _: npy(
        "{'descr': [('a', '<f4'), ('b', '<f4')], 'fortran_order': False, 'shape': (5,), }", bytes(40)
    ),
    "a dtype of dates": lambda _: npy("{'descr': '<M8[s]', 'fortran_order': False, 'shape': (5,), }", bytes(40)),
    "a dtype that is none": lambda _: npy("{'descr': 'zz', 'fortran_order': False, 'shape': (5,), }", bytes(40)),
    "half of it": lambda _: npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 5), }", bytes(10)),
    "another version": lambda _: b"\x93NUMPY\x09\x00" + bytes(100),
    "a header that ends": lambda _: b"\x93NUMPY\x02\x00\xff\xff\xff\xff{",
    "only the beginning": lambda _: b"\x93NUMPY",
}


@pytest.mark.parametrize("case", ARRAYS)
def test_an_array_is_data(cli, tmp_path, canary, net, case):
    (tmp_path / "x.npy").write_bytes(ARRAYS[case](canary))
    done = cli("check", "net.py:Net", "--layer", "a", "--input", "x.npy", timeout=10, memory=MEMORY)
    assert_refused(done, canary)
    assert_refused_without_memory(done)


TENSORS = {
    "evaluated": lambda canary: saved(Evaluated(written(canary, "1"))),
    "evaluated in a list": lambda canary: saved([torch.ones(2, 5), Evaluated(written(canary, "1"))]),
    "old format": lambda canary: saved(Evaluated(written(canary, "1")), legacy=True),
    "expanded": lambda _: saved(torch.ones(1).expand(2**36, 5)),
    "text": lambda _: saved("x"),
    "nothing": lambda _: saved(None),
    "a model": lambda _: saved(torch.nn.Linear(5, 4)),
    "a list of lists": lambda _: saved([[[[]]]]),
}


@pytest.mark.parametrize("case", TENSORS)
def test_a_saved_input_is_data(cli, tmp_path, canary, net, case):
    (tmp_path / "x.pt").write_bytes(TENSORS[case](canary))
    done = cli("check", "net.py:Net", "--layer", "a", "--input", "x.pt", timeout=10, memory=MEMORY)
    assert_refused(done, canary)
    assert_refused_without_memory(done)


def chunk(kind, data):
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def png(width, height, *more, pixels=b""):
    header = chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def tiff(samples):
    """As Pillow reads it, with that many samples for each of its pixels."""
    entries = [(256, 8), (257, 8), (258, 8), (259, 1), (262, 2), (273, 200), (277, samples), (278, 8), (279, 192)]
    table = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + table + bytes(4 + 300)


PICTURES = {
    "a TIFF of many samples": tiff(2048),
    "a TIFF of no samples": tiff(0),
    "a huge one": png(50_000, 50_000),
    "a very wide one": png(2**31 - 1, 1),
    "no pixels": png(0, 0),
    "half of it": png(64, 64)[:60],
    "text that unfolds": png(8, 8, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000)))),
    "a profile that unfolds": png(8, 8, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(50_000_000)))),
    "a bitmap of negative height": b"BM" + struct.pack("<LLLLllHHLLllLL", 54, 0, 54, 40, 8, -(2**31), 1, 24, *[0] * 6),
    "a picture of text": b"P6 100000 100000 255\n",
    "a picture that is a program": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n",
    "an SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><image href="/etc/passwd"/></svg>',
    "a TIFF of one huge strip": b"II*\0\x08\0\0\0" + struct.pack("<HHHLL", 1, 256, 4, 1, 2**31 - 1) + bytes(4),
    "an icon of many": b"\0\0\1\0\xff\xff" + bytes(64),
    "an animation": b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\x80\0\0" + bytes(6) + b";",
    "a model": saved(torch.nn.Linear(5, 4)),
}


@pytest.mark.parametrize("case", PICTURES)
def test_a_picture_is_data(cli, tmp_path, canary, net, case):
    (tmp_path / "p.png").write_bytes(PICTURES[case])
    done = cli("check", "net.py:Picture", "--layer", "c", "--image", "p.png", timeout=10, memory=MEMORY)
    assert_refused_or_harmless(done, canary)
    assert "MemoryError" not in done.text


def safetensors(header, data=b""):
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(text)) + text + data


ENTRY = {"dtype": "F32", "shape": [4, 5], "data_offsets": [0, 80]}
WEIGHTS = {
    "a huge header": struct.pack("<Q", 2**60) + b"{}",
    "a header that ends": struct.pack("<Q", 100) + b"{",
    "a deep header": safetensors("[" * 10_000 + "]" * 10_000),
    "a deep dictionary": safetensors('{"a":' * 10_000 + "{}" + "}" * 10_000),
    "a header that is a list": safetensors("[]"),
    "offsets beyond the file": safetensors({"a.weight": ENTRY | {"data_offsets": [0, 10**12]}}, bytes(80)),
    "negative offsets": safetensors({"a.weight": ENTRY | {"data_offsets": [-80, 0]}}, bytes(80)),
    "offsets that overlap": safetensors({"a.weight": ENTRY, "b.weight": ENTRY}, bytes(80)),
    "offsets in the other order": safetensors({"a.weight": ENTRY | {"data_offsets": [80, 0]}}, bytes(80)),
    "a shape that overflows": safetensors({"a.weight": ENTRY | {"shape": [2**62, 2**62]}}, bytes(80)),
    "a negative shape": safetensors({"a.weight": ENTRY | {"shape": [-4, -5]}}, bytes(80)),
    "an unknown dtype": safetensors({"a.weight": ENTRY | {"dtype": "O"}}, bytes(80)),
    "numbers that are text": safetensors({"a.weight": ENTRY | {"shape": ["4", "5"]}}, bytes(80)),
    "metadata that is none": safetensors({"__metadata__": 3, "a.weight": ENTRY}, bytes(80)),
    "an escape as a name": safetensors({"\x1b[2J\x07": ENTRY}, bytes(80)),
    "no weights": safetensors({}),
    "no weights, and metadata": safetensors({"__metadata__": {"format": "pt"}}),
    "a name of many prefixes": safetensors({"module." * 100_000 + "a.weight": ENTRY}, bytes(80)),
    "a name of a prefix only": safetensors({"module.": ENTRY}, bytes(80)),
    "an empty name": safetensors({"": ENTRY}, bytes(80)),
}


def test_a_name_twice_is_one_tensor(cli, tmp_path, canary, net):
    entry = f'"a.weight": {json.dumps(ENTRY)}'
    (tmp_path / "w.safetensors").write_bytes(safetensors(f"{{{entry}, {entry}}}", bytes(80)))
    command = ("check", "w.safetensors", "--arch", "net.py:Net", "--layer", "a", "--input-shape", "2,5")
    assert_refused_or_harmless(cli(*command), canary)


@pytest.mark.parametrize("case", WEIGHTS)
def test_weights_of_safetensors_are_one_error(cli, tmp_path, canary, net, case):
    (tmp_path / "w.safetensors").write_bytes(WEIGHTS[case])
    command = ("check", "w.safetensors", "--arch", "net.py:Net", "--layer", "a", "--input-shape", "2,5")
    done = cli(*command, timeout=10, memory=MEMORY)
    assert_refused(done, canary)
    assert_refused_without_memory(done)
    assert not {"\x1b", "\x07"} & set(done.text)
