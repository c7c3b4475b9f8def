"""The real files that mutations start from, made by the libraries that write them."""

from __future__ import annotations

import argparse
import collections
import datetime
import functools
import io
import json
import pathlib
import tempfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import torch
from torch import nn

__all__ = [
    "NET",
    "PYPROJECT",
    "arrays",
    "exported",
    "legacy",
    "locks",
    "pictures",
    "reports",
    "safetensors_files",
    "save",
    "saved",
    "scripted",
]

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(5, 4)
        self.b = nn.Linear(4, 3)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))


class Cut(Net):
    def forward(self, x):
        return self.b(torch.tanh(self.a(x)).detach())


class Picture(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(3, 4, 3)
        self.b = nn.Linear(4, 3)

    def forward(self, x):
        return self.b(torch.tanh(self.c(x)).mean((2, 3)))
"""

PYPROJECT = """
[tool.gradflow.models.good]
source = "net.py:Net"
layers = ["a", "b*"]
input-shapes = ["2,5"]
target = 1

[tool.gradflow.models."with weights"]
source = "net.py:Cut"
layers = ["a"]
input-shapes = ["2,5:float32"]
train = true
seed = 3
"""

LOCKS = (
    'version = 1\n\n[good.layers]\n"a" = "connected"\n"b" = "connected"\n\n[good.parameters]\n"a.weight" = "learns"\n',
    '# Which gradients arrive.\nversion = 1\n\n["a b".layers]\n"a" = "disconnected"\n',
)


class Pair(NamedTuple):
    one: int
    other: torch.Tensor


def _sequential(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers)


def _models() -> list[nn.Module]:
    made = [
        _sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 3)),
        _sequential(nn.Unflatten(1, (1, 5)), nn.Conv1d(1, 2, 3), nn.GELU(), nn.Flatten(), nn.Linear(6, 3)),
        _sequential(nn.Linear(5, 8), nn.Unflatten(1, (2, 4)), nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)),
        nn.LSTM(5, 4, batch_first=True),
        _sequential(nn.Linear(5, 4), nn.LayerNorm(4), nn.ModuleDict({"x": nn.Linear(1, 1)})["x"], nn.Linear(1, 1)),
    ]
    try:
        from torchvision.ops import MLP, Conv2dNormActivation
    except ImportError:
        return made
    return [*made, MLP(5, [4, 3]), Conv2dNormActivation(3, 4)]


def _values() -> list[Any]:
    net = nn.ModuleDict({"a": nn.Linear(5, 4), "b": nn.Linear(4, 3)})
    optimizer = torch.optim.Adam(net.parameters())
    net["b"](net["a"](torch.ones(2, 5))).sum().backward()
    optimizer.step()
    checkpoint = {
        "model": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": numpy.int64(3),
        "loss": numpy.float64(0.5),
        "array": numpy.arange(6.0).reshape(2, 3),
        "args": argparse.Namespace(lr=0.1, path=pathlib.PurePosixPath("a/b")),
        "when": datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC),
        "more": {1, 2}, "counts": collections.Counter("ab"), "size": torch.Size((2, 3)), "device": torch.device("cpu"),
    }  # fmt: skip
    odd = {
        "a.weight": torch.ones(4, 5),
        "b.weight": torch.ones(5, 3).t(),
        "half": torch.ones(3, dtype=torch.bfloat16),
        "scalar": torch.tensor(3),
        "view": torch.arange(10.0)[2:4],
        "default": collections.defaultdict(list, a=[1]),
    }
    sparse = {"a.weight": torch.ones(4, 5).to_sparse(), "b.bias": torch.ones(3)}
    batch = {"a.weight": torch.ones(4, 5), "pair": Pair(1, torch.ones(2))}
    return [
        torch.ones(2, 5),
        net.state_dict(),
        checkpoint,
        odd,
        batch,
        sparse,
        {"state_dict": net.state_dict(), "arch": "net.py:Net"},
    ]


def save(value: Any, *, legacy: bool = False) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


@functools.cache
def saved() -> tuple[bytes, ...]:
    """Files of torch.save: whole models, state dicts, checkpoints."""
    torch.manual_seed(0)
    return tuple(save(value) for value in (*_models(), *_values()))


@functools.cache
def legacy() -> tuple[bytes, ...]:
    torch.manual_seed(0)
    return tuple(save(value, legacy=True) for value in (*_values(), _models()[0]))


class _Sized(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(5, 4)

    def forward(self, x: torch.Tensor, n: int) -> torch.Tensor:
        return torch.tanh(self.a(x)).reshape(n, -1)


@functools.cache
def exported() -> tuple[bytes, ...]:
    torch.manual_seed(0)
    size = torch.export.Dim.AUTO
    programs = (
        (nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)), (torch.ones(2, 5),), None),
        (nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4)), (torch.ones(3, 5),), ({0: size},)),
        (_Sized(), (torch.ones(3, 5), 3), {"x": {0: size}, "n": torch.export.Dim.DYNAMIC}),
    )
    made = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for model, inputs, shapes in programs:
            file = io.BytesIO()
            torch.export.save(torch.export.export(model.eval(), inputs, dynamic_shapes=shapes), file)
            made.append(file.getvalue())
    return tuple(made)


@functools.cache
def scripted() -> tuple[bytes, ...]:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3))), file)
    return (file.getvalue(),)


@functools.cache
def safetensors_files() -> tuple[bytes, ...]:
    import safetensors.torch

    net = nn.ModuleDict({"a": nn.Linear(5, 4), "b": nn.Linear(4, 3)})
    plain = dict(net.state_dict())
    wrapped = {f"module.{name}": tensor for name, tensor in plain.items()}
    return safetensors.torch.save(plain, {"format": "pt"}), safetensors.torch.save(wrapped)


@functools.cache
def arrays() -> tuple[bytes, ...]:
    made = []
    for array in (numpy.ones((2, 5), "f4"), numpy.ones((2, 5), ">f8"), numpy.asfortranarray(numpy.ones((2, 5), "i2"))):
        file = io.BytesIO()
        numpy.save(file, array)
        made.append(file.getvalue())
    return tuple(made)


@functools.cache
def pictures() -> tuple[bytes, ...]:
    from PIL import Image

    picture = Image.fromarray((numpy.arange(12 * 12 * 3) % 255).astype("u1").reshape(12, 12, 3))
    made = []
    for kind in ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP"):
        file = io.BytesIO()
        picture.save(file, kind)
        made.append(file.getvalue())
    return tuple(made)


@functools.cache
def locks() -> tuple[str, ...]:
    return LOCKS


@functools.cache
def reports() -> tuple[bytes, ...]:
    """Reports of a connected model and of a cut one, as gradflow saves them."""
    import gradflow

    namespace: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.py"
        path.write_text(NET, encoding="utf-8")
        exec(compile(NET, str(path), "exec"), namespace)
        made = []
        for name in ("Net", "Cut"):
            report = gradflow.check(namespace[name](), "a", inputs=torch.ones(2, 5))
            report.save(Path(folder) / "r.json")
            text = (Path(folder) / "r.json").read_text(encoding="utf-8").replace(folder, "/home/user")
            made.append(json.dumps(json.loads(text)).encode())
    return tuple(made)
