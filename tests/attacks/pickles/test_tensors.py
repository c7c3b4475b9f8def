"""Tensors that reach beyond their storage, or are larger than anything in the file."""

from __future__ import annotations

import pytest
import torch

from tests.attacks.commands import assert_refused, assert_refused_without_memory
from tests.attacks.opcodes import (
    FALSE,
    NONE,
    TRUE,
    call,
    linear_with_weight,
    listed,
    mapping,
    meta_tensor,
    named,
    number,
    ordered,
    parameter,
    raw,
    several,
    storage,
    tensor,
    text,
    write_pickle,
)

MEMORY = 640 * 1024**2
FIFTEEN = bytes(60)
CHECK = ("check", "m.pt", "--param", "weight", "--input-shape", "1,5")


def weight(size, stride, offset=0, *, key="0", count=15, kind="FloatStorage"):
    return tensor(storage(key, count, kind), size, stride, offset)


BEYOND = {
    "one entry too many": weight((3, 5), (5, 1), 1),
    "a stride too wide": weight((3, 5), (6, 1)),
    "a negative stride": weight((3, 5), (-5, 1), 14),
    "a negative stride that wraps": weight((3, 5), (2**63 - 5, 1), 0),
    "a negative offset": weight((3, 5), (5, 1), -1),
    "an offset near the end of numbers": weight((3, 5), (5, 1), 2**63 - 1),
    "an offset that wraps when it is bytes": weight((3, 5), (5, 1), 2**62),
    "an offset beyond 64 bits": weight((3, 5), (5, 1), 2**64),
    "a negative size": weight((-3, 5), (5, 1)),
    "two negative sizes": weight((-3, -5), (5, 1)),
    "a size that overflows": weight((2**32, 2**32), (0, 0)),
    "sizes whose product is small again": weight((2**32, 2**32 + 1), (0, 0)),
    "a size beyond 64 bits": weight((2**64 + 3, 5), (5, 1)),
    "no entries, and an offset far away": weight((0, 5), (5, 1), 10**12),
    "more strides than sizes": weight((3, 5), (5, 1, 1)),
    "more axes than torch has": weight((1,) * 100, (1,) * 100),
    "expanded beyond all memory": weight((2**40, 5), (0, 1)),
    "another size than the record": weight((3, 5), (5, 1), count=16),
    "a larger dtype than the record": weight((3, 5), (5, 1), kind="DoubleStorage"),
    "a negative count": weight((3, 5), (5, 1), count=-15),
    "a count that overflows": weight((3, 5), (5, 1), count=2**62 + 15),
    "a count that is huge": weight((3, 5), (5, 1), count=10**12),
    "a record that is not there": weight((3, 5), (5, 1), key="7"),
    "a record of another place": weight((3, 5), (5, 1), key="../data.pkl"),
    "a key that is a path": weight((3, 5), (5, 1), key="/etc/passwd"),
    "a size that is text": call(
        named("torch._utils", "_rebuild_tensor_v2"), storage("0", 15), number(0), several(text("3")), several(text("1"))
    ),
    "a size that is true": call(
        named("torch._utils", "_rebuild_tensor_v2"),
        *(storage("0", 15), number(0), several(TRUE), several(TRUE), FALSE, ordered()),
    ),
    "no storage": call(
        named("torch._utils", "_rebuild_tensor_v2"),
        *(text("0"), number(0), several(number(3)), several(number(1)), FALSE, ordered()),
    ),
    "arguments that are missing": call(named("torch._utils", "_rebuild_tensor_v2"), storage("0", 15)),
    "a meta tensor beyond all memory": meta_tensor((2**40, 2**40), (2**40, 1)),
    "a meta tensor with a negative stride": meta_tensor((3, 5), (-5, 1)),
    "a wrapper class": call(
        named("torch._utils", "_rebuild_wrapper_subclass"),
        *(named("torch", "Tensor"), named("torch", "float32"), several(number(3), number(5)), several(number(5))),
    ),
}


@pytest.mark.parametrize("case", BEYOND)
def test_a_tensor_beyond_its_storage_is_one_error(cli, tmp_path, canary, case):
    write_pickle(tmp_path / "m.pt", linear_with_weight(parameter(BEYOND[case])), s0=FIFTEEN)
    done = cli(*CHECK, memory=MEMORY)
    assert_refused(done, canary)
    assert_refused_without_memory(done)


def test_the_tensor_that_fits_is_loaded(cli, tmp_path):
    write_pickle(tmp_path / "m.pt", linear_with_weight(parameter(weight((3, 5), (5, 1)))), s0=FIFTEEN)
    done = cli(*CHECK, memory=MEMORY)
    assert done.status in (0, 1), done.text


def sparse(indices, size, values=(2,)):
    layout = call(named("torch.serialization", "_get_layout"), text("torch.sparse_coo"))
    parts = several(
        tensor(storage("1", len(indices), "LongStorage"), (2, len(indices) // 2), (len(indices) // 2, 1)),
        tensor(storage("0", 2), values, (1,)),
        several(*map(number, size)),
        FALSE,
    )
    return call(named("torch._utils", "_rebuild_sparse_tensor"), layout, parts)


@pytest.mark.parametrize(
    ("indices", "size"),
    [
        ((0, 7, 0, 1), (3, 5)),
        ((0, -1, 0, 1), (3, 5)),
        ((0, 1, 0, 2**62), (3, 5)),
        ((0, 1, 0, 1), (2**40, 2**40)),
        ((0, 1, 0, 1), (-3, 5)),
        ((0, 1, 0, 1), (3,)),
        ((0, 1, 0, 1), ()),
    ],
)
def test_a_sparse_tensor_with_indices_beyond_its_size_is_one_error(cli, tmp_path, canary, indices, size):
    body = mapping([(text("weight"), sparse(indices, size))])
    data = torch.tensor(indices).numpy().tobytes()
    write_pickle(tmp_path / "m.pt", body, s0=bytes(8), s1=data)
    assert_refused(cli("check", "m.pt", "--layer", "auto", memory=MEMORY), canary)


SHARED = listed(*(tensor(storage("0", 2**18), (512, 512), (512, 1)) for _ in range(4000)))


def test_thousands_of_tensors_of_one_storage_take_its_memory_once(cli, tmp_path, canary):
    write_pickle(tmp_path / "m.pt", mapping([(text("x"), SHARED)]), s0=bytes(2**20))
    assert_refused_without_memory(cli("check", "m.pt", "--layer", "auto", memory=MEMORY))


UNHASHABLE = {
    "layout": lambda odd: call(named("torch._utils", "_rebuild_sparse_tensor"), odd, several()),
    "layout alone": lambda odd: call(named("torch.serialization", "_get_layout"), odd),
    "device": lambda odd: call(named("torch", "device"), odd),
    "index of a device": lambda odd: call(named("torch", "device"), text("cpu"), odd),
    "size": lambda odd: call(named("torch", "Size"), listed(odd)),
    "dtype": lambda odd: call(
        named("torch._utils", "_rebuild_meta_tensor_no_storage"), odd, several(number(3)), several(number(1)), FALSE
    ),
    "dtype of NumPy": lambda odd: call(named("numpy", "dtype"), odd, FALSE, TRUE),
    "kind of a storage": lambda odd: (
        several(odd, named("torch", "FloatStorage"), text("0"), text("cpu"), number(15)) + b"Q"
    ),
    "class of a storage": lambda odd: several(text("storage"), odd, text("0"), text("cpu"), number(15)) + b"Q",
    "key of a storage": lambda odd: (
        several(text("storage"), named("torch", "FloatStorage"), odd, text("cpu"), number(15)) + b"Q"
    ),
    "encoding": lambda odd: call(named("_codecs", "encode"), text("x"), odd),
    "date": lambda odd: call(named("datetime", "date"), odd),
    "path": lambda odd: call(named("pathlib", "PosixPath"), odd),
    "complex number": lambda odd: call(named("builtins", "complex"), odd, odd),
    "pairs": lambda odd: call(named("collections", "OrderedDict"), listed(several(odd, odd))),
    "deque": lambda odd: call(named("collections", "deque"), odd, odd),
    "counter": lambda odd: call(named("collections", "Counter"), listed(odd)),
    "state of a tensor": lambda odd: call(
        named("torch._utils", "_rebuild_parameter_with_state"), meta_tensor(), TRUE, ordered(), several(odd, odd)
    ),
    "metadata of a tensor": lambda odd: tensor(storage("0", 15), (3, 5), (5, 1), more=odd),
    "number of NumPy": lambda odd: call(named("numpy.core.multiarray", "scalar"), odd, odd),
}
ODD = {
    "list": listed(),
    "dictionary": mapping([]),
    "list in a tuple": several(listed()),
    "none": NONE,
    "bytes": raw(b"x"),
}


@pytest.mark.parametrize("case", UNHASHABLE)
def test_an_argument_of_an_odd_type_is_no_bug_of_gradflow(cli, tmp_path, canary, case):
    names = [f"{odd}.pt" for odd in ODD]
    for path, odd in zip(names, ODD.values(), strict=True):
        write_pickle(tmp_path / path, mapping([(text("a.weight"), UNHASHABLE[case](odd))]), s0=FIFTEEN)
    for done in cli.each([("check", path, "--layer", "auto") for path in names]):
        assert_refused(done, canary)


def test_a_quantized_tensor_is_one_error(cli, tmp_path, canary):
    rebuild = named("torch._utils", "_rebuild_qtensor")
    scheme = several(named("torch", "per_tensor_affine"), number(1), number(0))
    body = call(rebuild, storage("0", 15), number(0), several(number(3)), several(number(1)), scheme, FALSE, NONE)
    write_pickle(tmp_path / "m.pt", body, s0=FIFTEEN)
    assert_refused(cli("check", "m.pt", "--layer", "auto"), canary)
