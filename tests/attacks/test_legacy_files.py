"""Files of torch.save before 1.6, and files that only look like them."""

from __future__ import annotations

import pickle
import struct

import pytest
import torch
from torch import nn

from tests.attacks.archives import Evaluated, saved, written
from tests.attacks.commands import assert_one_error, assert_refused, assert_refused_without_memory, needs
from tests.attacks.opcodes import (
    NONE,
    START,
    STOP,
    TRUE,
    call,
    listed,
    mapping,
    named,
    number,
    several,
    storage,
    tensor,
    text,
)

MEMORY = 640 * 1024**2
MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
PROTOCOL = pickle.dumps(1001, 2)
SYSTEM = pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {"long": 4}}, 2)
NO_STORAGES = pickle.dumps([], 2)
CHECK = ("check", "m.pt", "--layer", "auto", "--input-shape", "1,5")


def whole(body, *, magic=MAGIC, protocol=PROTOCOL, system=SYSTEM, keys=NO_STORAGES, after=b""):
    return magic + protocol + system + START + body + STOP + keys + after


def mkdir(canary):
    return call(named("os", "mkdir"), text(canary))


def held(count, key="0", kind="FloatStorage", view=NONE):
    """A storage as that format refers to it: with a view as its sixth part."""
    return (
        several(text("storage"), named("torch", kind), text(key), text("cpu"), number(count), view) + b"Q"
        if view is not None
        else storage(key, count, kind)
    )


def weights(count, size, stride, **more):
    return mapping([(text("weight"), tensor(held(count, **more), size, stride))])


KEYS = pickle.dumps(["0"], 2)
CASES = {
    "code in the first pickle": lambda canary: whole(NONE, magic=START + mkdir(canary) + STOP),
    "code in the second pickle": lambda canary: whole(NONE, protocol=START + mkdir(canary) + STOP),
    "code in the third pickle": lambda canary: whole(NONE, system=START + mkdir(canary) + STOP),
    "code in the fourth pickle": lambda canary: whole(mkdir(canary)),
    "code in the keys": lambda canary: whole(NONE, keys=START + mkdir(canary) + STOP),
    "code in a value": lambda canary: whole(mapping([(text("weight"), mkdir(canary))])),
    "code after it all": lambda canary: whole(mkdir(canary), after=START + mkdir(canary) + STOP),
    "code before the magic number": lambda canary: START + mkdir(canary) + b"0" + MAGIC + PROTOCOL + SYSTEM,
    "a magic number that is computed": lambda canary: whole(
        NONE, magic=START + mkdir(canary) + b"0" + MAGIC[2:-1] + STOP
    ),
    "only the magic number": lambda _: MAGIC,
    "no object": lambda _: MAGIC + PROTOCOL + SYSTEM,
    "another protocol": lambda _: whole(NONE, protocol=pickle.dumps(1002, 2)),
    "another byte order": lambda _: whole(NONE, system=pickle.dumps({"little_endian": False}, 2)),
    "no byte order": lambda _: whole(NONE, system=pickle.dumps([], 2)),
    "a plain pickle": lambda canary: START + mkdir(canary) + STOP,
    "a plain pickle of protocol 4": lambda canary: b"\x80\x04" + mkdir(canary) + STOP,
    "a huge storage": lambda _: whole(weights(2**40, (3, 5), (5, 1)), keys=KEYS, after=struct.pack("<Q", 2**40)),
    "a storage beyond numbers": lambda _: whole(weights(2**62, (3, 5), (5, 1)), keys=KEYS),
    "a negative storage": lambda _: whole(weights(-15, (3, 5), (5, 1)), keys=KEYS),
    "a storage that is not there": lambda _: whole(weights(15, (3, 5), (5, 1)), keys=KEYS),
    "half a storage": lambda _: whole(weights(15, (3, 5), (5, 1)), keys=KEYS, after=struct.pack("<Q", 15) + bytes(30)),
    "a storage of another size": lambda _: whole(
        weights(15, (3, 5), (5, 1)), keys=KEYS, after=struct.pack("<Q", 7) + bytes(60)
    ),
    "a storage of no size": lambda _: whole(
        weights(15, (3, 5), (5, 1)), keys=KEYS, after=struct.pack("<Q", 0) + bytes(60)
    ),
    "keys of other storages": lambda _: whole(weights(15, (3, 5), (5, 1)), keys=pickle.dumps(["1"], 2)),
    "keys that are numbers": lambda _: whole(weights(15, (3, 5), (5, 1)), keys=pickle.dumps([0], 2)),
    "keys that are none": lambda _: whole(weights(15, (3, 5), (5, 1)), keys=pickle.dumps(None, 2)),
    "keys twice": lambda _: whole(weights(15, (3, 5), (5, 1)), keys=pickle.dumps(["0", "0"], 2)),
    "a view of a storage": lambda _: whole(
        weights(15, (3, 5), (5, 1), view=several(text("1"), number(0), number(10**9))), keys=KEYS
    ),
    "a tensor beyond its storage": lambda _: whole(
        weights(4, (3, 5), (5, 1)), keys=KEYS, after=struct.pack("<Q", 4) + bytes(16)
    ),
    "a storage of two sizes": lambda _: whole(
        listed(tensor(held(4), (2, 2), (2, 1)), tensor(held(8), (2, 2), (2, 1))), keys=KEYS
    ),
    "bytes of a number": lambda _: whole(call(named("builtins", "bytearray"), number(10**9))),
    "a set of a range": lambda _: whole(
        call(named("builtins", "set"), call(named("builtins", "range"), number(0), number(10**8), number(1)))
    ),
    "a set of a range in the first pickle": lambda _: whole(
        NONE,
        magic=START + call(named("builtins", "set"), call(named("builtins", "range"), number(10**8))) + STOP,
    ),
    "a declared text": lambda _: b"\x80\x04\x8d" + (2**40).to_bytes(8, "little") + b"x",
    "marks": lambda _: whole(b"(" * 10**6),
    "a module by its source": lambda canary: whole(
        several(text("module"), named("torch.nn.modules.linear", "Linear"), text("x.py"), text(f"open({canary})"))
        + b"Q"
    ),
    "true": lambda _: whole(TRUE),
}


@pytest.mark.parametrize("case", CASES)
def test_a_file_of_the_old_format_is_data(cli, tmp_path, canary, case):
    (tmp_path / "m.pt").write_bytes(CASES[case](canary))
    done = cli(*CHECK, timeout=10, memory=MEMORY)
    assert_refused(done, canary)
    assert_refused_without_memory(done)


@pytest.mark.parametrize("make", ["torch.nn", "torchvision", "evaluated", "hidden"])
def test_a_whole_model_of_the_old_format_is_one_error(cli, tmp_path, canary, make):
    if make == "torchvision":
        needs("torchvision")
        from torchvision.ops import MLP

        model = MLP(5, [4])
    else:
        model = nn.Sequential(nn.Linear(5, 4))
    if make == "evaluated":
        model.extra = Evaluated(written(canary, "1"))
    if make == "hidden":
        model.forward = Evaluated(written(canary, "print"))
    (tmp_path / "m.pt").write_bytes(saved(model, legacy=True))
    assert_refused(cli(*CHECK), canary)


def test_the_weights_of_the_old_format_are_loaded(cli, tmp_path, net):
    model = nn.ModuleDict({"a": nn.Linear(5, 4), "b": nn.Linear(4, 3)})
    (tmp_path / "w.pt").write_bytes(saved(model.state_dict(), legacy=True))
    done = cli("check", "w.pt", "--arch", "net.py:Net", "--layer", "a", "--input-shape", "2,5")
    assert done.status == 0, done.text


@pytest.mark.parametrize("name", ["m.tar", "m.pt", "m.pth"])
def test_the_oldest_format_is_one_error(cli, tmp_path, name):
    """torch 0.1 wrote tar archives."""
    import tarfile

    (tmp_path / "pickle").write_bytes(pickle.dumps(torch.ones(2).tolist()))
    with tarfile.open(tmp_path / name, "w") as archive:
        for inner in ("storages", "tensors", "pickle"):
            archive.add(tmp_path / "pickle", inner)
    assert_one_error(cli("check", name, "--layer", "auto"))
