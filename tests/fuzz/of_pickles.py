"""Mutations of pickles, instruction by instruction: most of what comes out is a pickle still."""

from __future__ import annotations

import functools
import importlib.util
import pickletools
from random import Random

from tests.attacks import opcodes
from tests.attacks.pickles.gadgets import GADGETS, read
from tests.fuzz.nasty import CODE, any_number, any_text
from tests.fuzz.of_bytes import mutate_bytes
from tests.fuzz.watch import MARK

__all__ = ["mutate_pickle"]

_FEW = (
    ("torch.nn.modules.container", "Sequential"), ("torch.nn.modules.linear", "Linear"), ("torch", "Tensor"),
    ("torch.nn.modules.rnn", "LSTM"), ("torch.nn.modules.activation", "MultiheadAttention"), ("torch", "FloatStorage"),
    ("torch.nn.modules.transformer", "TransformerEncoderLayer"), ("torch.nn.modules.batchnorm", "BatchNorm1d"),
    ("torch.nn.modules.conv", "Conv2d"), ("torch.nn.modules.sparse", "EmbeddingBag"), ("torch", "BFloat16Storage"),
    ("torch.nn.modules.linear", "LazyLinear"), ("torch._utils", "_rebuild_tensor_v2"), ("torch", "float8_e5m2"),
    ("torch._utils", "_rebuild_parameter"), ("torch._utils", "_rebuild_sparse_tensor"), ("torch", "device"),
    ("torch._utils", "_rebuild_meta_tensor_no_storage"), ("torch._tensor", "_rebuild_from_type_v2"), ("torch", "Size"),
    ("torch._utils", "_rebuild_tensor_v3"), ("torch._utils", "_rebuild_parameter_with_state"), ("torch", "complex32"),
    ("torch.serialization", "_get_layout"), ("collections", "OrderedDict"), ("collections", "defaultdict"),
    ("collections", "Counter"), ("collections", "deque"), ("builtins", "set"), ("builtins", "frozenset"),
    ("builtins", "bytearray"), ("builtins", "range"), ("builtins", "slice"), ("builtins", "complex"),
    ("builtins", "int"), ("builtins", "object"), ("_codecs", "encode"), ("datetime", "datetime"), ("datetime", "date"),
    ("datetime", "timedelta"), ("datetime", "timezone"), ("pathlib", "PosixPath"), ("argparse", "Namespace"),
    ("numpy", "dtype"), ("numpy", "ndarray"), ("numpy.core.multiarray", "scalar"), ("functools", "partial"),
    ("numpy.core.multiarray", "_reconstruct"), ("torch.nn.functional", "relu"), ("types", "SimpleNamespace"),
    ("torchvision.ops.misc", "FrozenBatchNorm2d"), ("torchvision.models.resnet", "ResNet"),
    ("timm.layers.drop", "DropPath"),
)  # fmt: skip
_PLAIN = (
    b"N", b"\x88", b"\x89", b"}", b"]", b")", b"\x8f", b"(", b"0", b"1", b"2", b"R", b"b", b"s", b"u", b"a", b"e", b"t",
    b"\x85", b"\x86", b"\x87", b"\x81", b"\x92", b"Q", b"d", b"l", b"o", b"\x90", b"\x91", b"\x93", b"\x94", b".",
    b"h\x00", b"h\x01", b"h\x05", b"q\x00", b"q\x05", b"\x82\x01", b"\x97", b"\x98", b"Iall\n", b"F1e999\n",
)  # fmt: skip
_KINDS = ("drop", "double", "swap", "insert", "insert", "call", "splice", "nest")
_CONSTANTS = ("NEWTRUE", "NEWFALSE", "NONE")
_NUMBERS = ("BININT", "BININT1", "BININT2", "LONG1", "INT", "LONG")
_TEXTS = ("BINUNICODE", "SHORT_BINUNICODE", "UNICODE", "BINSTRING", "SHORT_BINSTRING")
_GROUPS = (_NUMBERS, _TEXTS, _CONSTANTS, ("GLOBAL",), ("BINGET", "LONG_BINGET"), ("BINPUT",))


@functools.cache
def _names() -> tuple[tuple[str, str], ...]:
    """What a file may name, and what it may not."""
    import torch

    classes = [
        (cls.__module__, cls.__name__)
        for cls in vars(torch.nn).values()
        if isinstance(cls, type) and issubclass(cls, torch.nn.Module)
    ]
    known = [pair for pair in (*_FEW, *classes) if importlib.util.find_spec(pair[0].partition(".")[0])]
    return (*known, *((module, name) for module, name, _ in read(GADGETS)))


def mutate_pickle(random: Random, pickled: bytes, other: bytes) -> bytes:
    """Another pickle; ``other`` is one whose instructions may be taken over."""
    if random.random() < 0.1:
        return mutate_bytes(random, pickled, other)
    parts = _instructions(pickled)
    for _ in range(random.choice((1, 1, 1, 2, 2, 4, 10))):
        at = random.randrange(len(parts))
        kind = "argument" if random.random() < 0.6 else random.choice(_KINDS)
        if kind == "argument":
            _change_argument(random, parts)
        elif kind == "drop":
            del parts[at : at + random.choice((1, 1, 2, 5))]
        elif kind == "double":
            end = at + random.choice((1, 3, 10, 40))
            parts[end:end] = parts[at:end] * random.choice((1, 1, 2, 100))
        elif kind == "swap":
            there = random.randrange(len(parts))
            parts[at], parts[there] = parts[there], parts[at]
        elif kind == "insert":
            parts.insert(at, ("", _any_instruction(random)))
        elif kind == "call":
            parts.insert(at, ("", _any_call(random)))
        elif kind == "splice":
            taken = _instructions(other)
            start = random.randrange(len(taken))
            parts[at:at] = taken[start : start + random.choice((1, 5, 50))]
        else:
            depth = random.choice((10, 300, 5000))
            opening, closing = random.choice(
                ((b"]", b"a"), (b"(", b"t"), (b"}" + opcodes.text("a"), b"s"), (b"", b"\x85"))
            )
            parts.insert(at, ("", opening * depth + (b"N" if opening else b"") + closing * depth))
        if not parts:
            return b"."
    return b"".join(raw for _, raw in parts)


def _instructions(pickled: bytes) -> list[tuple[str, bytes]]:
    """``(name, bytes)`` of each; frames are left out."""
    found = list(pickletools.genops(pickled))
    ends = [position for _, _, position in found[1:]] + [len(pickled)]
    return [
        (opcode.name, pickled[start:end])
        for (opcode, _, start), end in zip(found, ends, strict=True)
        if opcode.name != "FRAME" and start is not None and end is not None
    ]


def _change_argument(random: Random, parts: list[tuple[str, bytes]]) -> None:
    group = random.choices(_GROUPS, (4, 4, 3, 2, 1, 0.5))[0]
    places = [index for index, (name, _) in enumerate(parts) if name in group]
    if not places:
        return
    at = random.choice(places)
    if group is _NUMBERS:
        raw = opcodes.number(any_number(random))
    elif group is _TEXTS:
        texts = [raw for name, raw in parts if name in _TEXTS]
        raw = random.choice((_any_text(random), random.choice(texts)))
    elif group == ("GLOBAL",):
        raw = _any_name(random)
    elif group is _CONSTANTS:
        raw = random.choice((b"N", b"\x88", b"\x89", opcodes.number(any_number(random))))
    else:
        raw = parts[at][1][:1] + bytes([random.randrange(256)]) + parts[at][1][2:]
    parts[at] = parts[at][0], raw


def _any_text(random: Random) -> bytes:
    value = any_text(random).encode("utf-8", "surrogatepass")
    return b"X" + len(value).to_bytes(4, "little") + value


def _any_name(random: Random) -> bytes:
    module, name = random.choice(_names())
    return opcodes.named(module, name) if random.random() < 0.7 else opcodes.named_by_stack(module, name)


def _any_instruction(random: Random) -> bytes:
    return random.choice(
        (
            random.choice(_PLAIN),
            random.choice(_PLAIN),
            opcodes.number(any_number(random)),
            _any_text(random),
            _any_name(random),
        )
    )


def _any_call(random: Random) -> bytes:
    """A call, an object or a state, with arguments that would be seen if it was made."""
    arguments = [
        random.choice(
            (
                opcodes.text(MARK),
                opcodes.text(CODE),
                opcodes.number(any_number(random)),
                b"N",
                b"}",
                b"]",
                _any_name(random),
            )
        )
        for _ in range(random.randrange(4))
    ]
    whole = random.choice((opcodes.call, opcodes.made))(_any_name(random), *arguments)
    return opcodes.with_state(whole, random.choice((b"N", b"}", b")", *arguments))) if random.random() < 0.4 else whole
