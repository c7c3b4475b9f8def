"""What people save beside and inside of models comes back as it was; in every format of torch.save."""

from __future__ import annotations

import argparse
import collections
import datetime
import functools
import pathlib
import random
import types

import numpy
import pytest
import torch
from torch import nn

from gradflow.errors import UntrustedFileError
from gradflow.load.files.saved_file import load_tensors

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
LINEAR = nn.Linear(2, 2)


def optimizer_states():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    kinds = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.LBFGS)
    return {kind.__name__: stepped(kind(model.parameters(), lr=0.1), model) for kind in kinds}


def stepped(optimizer, model):
    def closure():
        optimizer.zero_grad()
        loss = model(torch.randn(8, 4)).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return optimizer.state_dict()


def tensors():
    base = torch.arange(12.0)
    parameter = nn.Parameter(torch.ones(2))
    parameter.no_decay = True
    tagged = torch.ones(2)
    tagged.note = "h"
    return {
        "view": base.view(3, 4).t(),
        "expanded": base[:1].expand(1000),
        "offset": base[5:],
        "complex": torch.randn(2, dtype=torch.complex64),
        "conjugate": torch.randn(2, dtype=torch.complex64).conj(),
        "bfloat16": torch.ones(2, dtype=torch.bfloat16),
        "float8": torch.ones(2).to(torch.float8_e4m3fn),
        "uint16": torch.ones(2, dtype=torch.uint16),
        "bool": torch.tensor([True]),
        "empty": torch.empty(0, 3),
        "scalar": torch.tensor(1.0),
        "requires grad": torch.ones(2, requires_grad=True),
        "parameter": parameter,
        "attribute": tagged,
        "device": torch.device("cuda:0"),
        "dtype": torch.float16,
        "size": torch.Size([1, 2]),
    }


def modules():
    layer = nn.TransformerEncoderLayer(8, 2)
    return {
        "sequential": nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
        "lstm": nn.LSTM(3, 4, 2, bidirectional=True),
        "gru cell": nn.GRUCell(3, 4),
        "transformer": nn.Transformer(8, 2, 1, 1, 16, batch_first=True),
        "encoder": nn.TransformerEncoder(layer, 2, enable_nested_tensor=False),
        "attention": nn.MultiheadAttention(8, 2, kdim=4, vdim=4),
        "list": nn.ModuleList([nn.Linear(2, 2)]),
        "dictionary": nn.ModuleDict({"a": nn.ReLU()}),
        "parameters": nn.ParameterList([nn.Parameter(torch.ones(2))]),
        "data parallel": nn.DataParallel(nn.Linear(2, 2)),
        "loss": nn.CrossEntropyLoss(torch.ones(3)),
        "half": nn.Linear(2, 2).half(),
        "frozen": nn.Linear(2, 2).requires_grad_(False),
        "shared": nn.Sequential(LINEAR, nn.ReLU(), LINEAR),
    }


SAVED = {
    "optimizers": optimizer_states,
    "tensors": tensors,
    "modules": modules,
    "checkpoint": lambda: {
        "epoch": 1,
        "model": LINEAR.state_dict(),
        "args": argparse.Namespace(lr=0.1, out=pathlib.PurePosixPath("x"), more=argparse.Namespace(a=[1, 2])),
        "best": numpy.float64(0.3),
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(
            torch.optim.SGD(LINEAR.parameters(), lr=0.1), 10
        ).state_dict(),
        "scaler": torch.amp.GradScaler("cpu").state_dict(),
    },
    "random state": lambda: {
        "torch": torch.get_rng_state(),
        "numpy": numpy.random.get_state(),  # noqa: NPY002 - what people save
        "generator": numpy.random.default_rng(0).bit_generator.state,
        "python": random.Random(0).getstate(),
    },
    "numpy": lambda: {
        "numbers": [numpy.float64(0.5), numpy.int64(3), numpy.bool_(True), numpy.float16(1), numpy.str_("hey")],
        "array": numpy.arange(6).reshape(2, 3),
        "other byte order": numpy.arange(6, dtype=">i4"),
        "fortran": numpy.asfortranarray(numpy.arange(6.0).reshape(2, 3)),
        "empty": numpy.zeros((0, 3)),
        "texts": numpy.array(["a", "bc"]),
        "dtype": numpy.dtype("float32"),
    },
    "containers": lambda: {
        "counter": collections.Counter("aab"),
        "default": collections.defaultdict(list, {"a": [1]}),
        "deque": collections.deque([1, 2], maxlen=3),
        "namespace": types.SimpleNamespace(x=1),
        "slice": slice(1, None, 2),
        "range": range(3),
        "bytes": [b"ab", b"", bytearray(b"xy")],
        "numbers": [2**70, -(2**70), 1 + 2j, float("inf")],
    },
    "times": lambda: [
        datetime.datetime(2020, 1, 2, 3, tzinfo=datetime.UTC),
        datetime.date(2020, 1, 1),
        datetime.timedelta(1),
    ],
}


def same_tensor(one, other):
    plain = (one.resolve_conj(), other.resolve_conj())
    alike = all(getattr(one, what) == getattr(other, what) for what in ("dtype", "shape", "requires_grad"))
    state = [getattr(tensor, "__dict__", {}) for tensor in (one, other)]
    return (
        type(one) is type(other)
        and alike
        and state[0] == state[1]
        and repr(plain[0].tolist()) == repr(plain[1].tolist())
    )


def same(one, other):
    if isinstance(one, torch.Tensor):
        return one.stride() == other.stride() and same_tensor(one, other)
    if isinstance(one, nn.Module):
        return type(one) is type(other) and same(one.state_dict(), other.state_dict())
    if isinstance(one, numpy.ndarray):
        return one.dtype == other.dtype and numpy.array_equal(one, other)
    if isinstance(one, dict):
        return type(one) is type(other) and list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, (argparse.Namespace, types.SimpleNamespace)):
        return same(vars(one), vars(other))
    return type(one) is type(other) and (one == other or repr(one) == repr(other))  # NaN is what LBFGS may leave


@pytest.mark.parametrize("is_archive", [True, False], ids=["archive", "legacy"])
@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("kind", SAVED)
def test_what_is_saved_comes_back(tmp_path, kind, protocol, is_archive):
    value = SAVED[kind]()
    path = tmp_path / "saved.pt"
    torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=is_archive)
    if kind == "modules" and not is_archive:
        with pytest.raises(UntrustedFileError, match=r"before 1\.6") as caught:
            load_tensors(path)
        assert "--trust" in caught.value.hint
        return
    assert same(value, load_tensors(path))


@pytest.mark.parametrize("layout", ["coo", "coalesced", "csr"])
def test_sparse_tensors_come_back(tmp_path, layout):
    dense = torch.eye(3)
    value = {"coo": dense.to_sparse(), "coalesced": dense.to_sparse().coalesce(), "csr": dense.to_sparse_csr()}[layout]
    torch.save(value, tmp_path / "saved.pt")
    found = load_tensors(tmp_path / "saved.pt")
    assert found.layout == value.layout
    assert torch.equal(found.to_dense(), dense)


def test_a_partial_function_of_a_listed_class_comes_back(tmp_path):
    model = nn.Sequential(nn.Linear(2, 2))
    model.norm = functools.partial(nn.LayerNorm, eps=1e-6)
    torch.save(model, tmp_path / "saved.pt")
    found = load_tensors(tmp_path / "saved.pt").norm
    assert (found.func, found.keywords) == (nn.LayerNorm, {"eps": 1e-6})


def test_modules_that_share_memory_still_do(tmp_path):
    weight = nn.Parameter(torch.ones(2, 2))
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].weight = model[1].weight = weight
    torch.save(model, tmp_path / "saved.pt")
    found = load_tensors(tmp_path / "saved.pt")
    assert found[0].weight is found[1].weight


def test_views_of_one_storage_are_read_once(tmp_path):
    base = torch.arange(1000.0)
    torch.save([base[:10], base[10:]], tmp_path / "saved.pt")
    first, second = load_tensors(tmp_path / "saved.pt")
    assert first.untyped_storage().data_ptr() == second.untyped_storage().data_ptr()
