"""Pickles of a few bytes that ask for a lot of work: deep, doubled, in circles, counted out or with equal hashes."""

from __future__ import annotations

import zipfile

import pytest

from tests.attacks.commands import assert_one_error, assert_refused_or_harmless, assert_refused_without_memory
from tests.attacks.opcodes import (
    EMPTY_DICT,
    EMPTY_LIST,
    EMPTY_TUPLE,
    NONE,
    START,
    STOP,
    TRUE,
    call,
    linear,
    listed,
    mapping,
    module,
    named,
    number,
    partial,
    raw,
    sequential,
    several,
    text,
    write_pickle,
)

MEMORY = 640 * 1024**2
SECONDS = 10
RELU = named("torch.nn.functional", "relu")


def doubled(start: bytes, times: int, pair: bytes) -> bytes:
    """A value that holds two of the one before: 2 ** times of them for whoever counts."""
    parts = [start, b"q\x00"]
    for turn in range(times):
        parts += [b"0h", bytes([turn]), b"h", bytes([turn]), pair, b"q", bytes([turn + 1])]
    return b"".join(parts)


def doubled_modules(times: int) -> bytes:
    """A network that runs one layer 2 ** times times; the memo holds each level."""
    body, held = linear() + b"q\x00", b"h\x00"
    for turn in range(times):
        body += b"0" + sequential(a=held, b=held) + b"q" + bytes([turn + 1])
        held = b"h" + bytes([turn + 1])
    return body


def inside_itself() -> bytes:
    cls = named("torch.nn.modules.container", "Sequential")
    return cls + EMPTY_TUPLE + b"\x81q\x01" + sequential(a=b"h\x01") + b"0h\x01" + sequential_state(b"h\x01") + b"b"


def sequential_state(member: bytes) -> bytes:
    whole = sequential(a=member)
    return whole[whole.index(b"\x81") + 1 : -1]


def nested(opening: bytes, closing: bytes, depth: int, inner: bytes = NONE) -> bytes:
    return opening * depth + inner + closing * depth


def equal_hashes(count: int) -> bytes:
    return mapping([(number(turn * (2**61 - 1)), NONE) for turn in range(1, count)])


BOMBS = {
    "tuples doubled": doubled(several(NONE), 60, b"\x86"),
    "tuples doubled, as a key": mapping([(doubled(several(NONE), 60, b"\x86"), NONE)]),
    "tuples doubled, in a set": call(named("builtins", "set"), listed(doubled(several(NONE), 40, b"\x86"))),
    "tuples doubled, as arguments": call(named("collections", "OrderedDict"), doubled(several(NONE), 60, b"\x86")),
    "tuples of names doubled": doubled(several(RELU), 60, b"\x86"),
    "lists doubled": EMPTY_LIST + b"q\x000" + doubled(listed(b"h\x00"), 60, b"\x86"),
    "modules doubled": doubled_modules(60),
    "modules doubled, in a state dict": mapping([(text("model"), doubled_modules(40))]),
    "a module in itself": inside_itself(),
    "a list in itself": EMPTY_LIST + b"q\x00h\x00a",
    "a list in itself, in a module": linear(x=EMPTY_LIST + b"q\x00h\x00a"),
    "a dictionary in itself": EMPTY_DICT + b"q\x00" + text("x") + b"h\x00s",
    "a dictionary in itself, as a state dict": EMPTY_DICT + b"q\x00" + text("state_dict") + b"h\x00s",
    "a module that holds itself beside its members": named("torch.nn.modules.linear", "Linear")
    + EMPTY_TUPLE
    + b"\x81q\x00"
    + mapping([(text("x"), listed(b"h\x00"))])
    + b"b",
    "lists, deep": nested(b"]", b"a", 100_000, EMPTY_LIST),
    "tuples, deep": nested(b"(", b"t", 100_000),
    "tuples, deep, as a key": mapping([(nested(b"(", b"t", 50_000), NONE)]),
    "dictionaries, deep": nested(b"}" + text("x"), b"s", 100_000),
    "tuples of names, deep": nested(b"(", b"t", 100_000, RELU),
    "partials, deep": b"".join([RELU, b"q\x00", *(b"0" + partial(b"h\x00") + b"q\x00" for _ in range(20_000))]),
    "marks": b"(" * 1_000_000,
    "duplicates": NONE + b"2" * 1_000_000 + b"t",
    "equal hashes": equal_hashes(200_000),
    "equal hashes in tuples": mapping([(several(number(turn * (2**61 - 1))), NONE) for turn in range(1, 50_000)]),
    "equal hashes in a set": call(
        named("builtins", "frozenset"), listed(*(number(turn * (2**61 - 1)) for turn in range(1, 200_000)))
    ),
    "a number of many digits": b"\x8b" + (10**7).to_bytes(4, "little") + b"\x7f" * 10**7,
    "a number of many digits as text": b"I" + b"7" * 10**6 + b"\nL" + b"7" * 10**6 + b"L\n",
    "a set of a range": call(named("builtins", "set"), call(named("builtins", "range"), number(10**9))),
    "a set of a long range": call(
        named("builtins", "set"), call(named("builtins", "range"), number(0), number(10**9), number(1))
    ),
    "a range of a range": call(named("builtins", "range"), number(0), number(2**62), number(1)),
    "a deque of a range": call(
        named("collections", "deque"), call(named("builtins", "range"), number(0), number(10**9), number(1))
    ),
    "a counter of text": call(named("collections", "Counter"), text("x" * 10)),
    "an ordered dictionary of text": call(named("collections", "OrderedDict"), text("xy")),
    "bytes of a number": call(named("builtins", "bytes"), number(2**33)),
    "a byte array of a number": call(named("builtins", "bytearray"), number(2**33)),
    "a byte array of a range": call(named("builtins", "bytearray"), call(named("builtins", "range"), number(10**9))),
    "a byte array of a list": call(named("builtins", "bytearray"), listed(number(1))),
    "an array of another size": call(
        named("numpy.core.multiarray", "_reconstruct"),
        *(named("numpy", "ndarray"), several(number(10**10)), raw(b"f")),
    ),
    "a dtype of many fields": call(named("numpy", "dtype"), text(",".join(["f8"] * 1000)), TRUE, TRUE),
    "a dtype of text": call(named("numpy", "dtype"), text("S1000000000"), TRUE, TRUE),
    "a declared length": b"\x8d" + (2**40).to_bytes(8, "little") + b"x",
    "a declared length of bytes": b"\x8e" + (2**62).to_bytes(8, "little") + b"x",
    "a declared array of bytes": b"\x96" + (2**62).to_bytes(8, "little") + b"x",
    "a declared frame": b"\x95" + (2**62).to_bytes(8, "little") + NONE,
    "a far place of the memo": NONE + b"r\xff\xff\xff\x7f",
    "a place of the memo beyond numbers": NONE + b"p" + b"9" * 4000 + b"\n",
    "a date of a year beyond dates": call(named("datetime", "date"), number(10**6), number(1), number(1)),
    "layers without number": module(
        "torch.nn.modules.container", "ModuleList", _modules=mapping([(text(str(turn)), linear()) for turn in range(9)])
    ),
    "a huge embedding": module(
        "torch.nn.modules.sparse", "Embedding", num_embeddings=number(10**9), embedding_dim=number(10**6)
    ),
    "a huge upsampling": sequential(
        a=linear(), b=module("torch.nn.modules.upsampling", "Upsample", size=number(10**9), mode=text("nearest"))
    ),
    "huge padding": module("torch.nn.modules.padding", "ZeroPad2d", padding=several(*[number(10**9)] * 4)),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_pickle_that_asks_for_much_is_one_error(cli, tmp_path, bomb):
    write_pickle(tmp_path / "m.pt", BOMBS[bomb])
    done = cli("check", "m.pt", "--layer", "auto", "--input-shape", "1,5", timeout=SECONDS, memory=MEMORY)
    assert_refused_without_memory(done)


@pytest.mark.parametrize("depth", [100, 300, 900, 3000])
def test_modules_that_are_nested_deeply_are_no_bug_of_gradflow(cli, tmp_path, canary, depth):
    levels = (b"0" + sequential(a=b"h\x00") + b"q\x00" for _ in range(depth))
    write_pickle(tmp_path / "m.pt", b"".join([linear(), b"q\x00", *levels]))
    done = cli("check", "m.pt", "--layer", "auto", "--input-shape", "1,5", timeout=SECONDS, memory=MEMORY)
    assert_refused_or_harmless(done, canary)


@pytest.mark.parametrize("size", [64 * 2**20 + 1, 2**31, 2**32 - 2])
def test_a_pickle_that_is_declared_huge_is_one_error(cli, tmp_path, size):
    """The table says that the pickle has that many bytes, and the file has them not."""
    write_pickle(tmp_path / "m.pt", linear())
    path = tmp_path / "m.pt"
    data = bytearray(path.read_bytes())
    old = len(START + linear() + STOP).to_bytes(4, "little")
    assert data.count(old) >= 4
    path.write_bytes(data.replace(old, size.to_bytes(4, "little")))
    assert_one_error(cli("check", "m.pt", "--layer", "auto", timeout=SECONDS, memory=MEMORY))


def test_a_pickle_that_unfolds_is_one_error(cli, tmp_path):
    with zipfile.ZipFile(tmp_path / "m.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", START + b"(" * 100_000_000 + STOP)
        archive.writestr("archive/byteorder", "little")
    assert_refused_without_memory(cli("check", "m.pt", "--layer", "auto", timeout=SECONDS, memory=MEMORY))
