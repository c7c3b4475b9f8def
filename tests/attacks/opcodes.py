"""Pickles, written opcode by opcode, with what torch's own unpickler knows."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path

START, STOP = b"\x80\x02", b"."
START_4 = b"\x80\x04"
NONE, TRUE, FALSE, EMPTY_DICT, EMPTY_LIST, EMPTY_TUPLE = b"N", b"\x88", b"\x89", b"}", b"]", b")"

HOOKS = (
    "_backward_pre_hooks _backward_hooks _forward_hooks _forward_hooks_with_kwargs _forward_hooks_always_called "
    "_forward_pre_hooks _forward_pre_hooks_with_kwargs _state_dict_hooks _state_dict_pre_hooks "
    "_load_state_dict_pre_hooks _load_state_dict_post_hooks"
).split()


def named(module: str, name: str) -> bytes:
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def named_by_stack(module: str, name: str) -> bytes:
    """As protocol 4 writes it: dots in the name are attributes of attributes."""
    return text(module) + text(name) + b"\x93"


def text(value: object) -> bytes:
    data = str(value).encode()
    return b"X" + struct.pack("<I", len(data)) + data


def raw(data: bytes) -> bytes:
    """Bytes."""
    return b"B" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def several(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def listed(*items: bytes) -> bytes:
    return b"](" + b"".join(items) + b"e"


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + several(*arguments) + b"R"


def made(cls: bytes, *arguments: bytes) -> bytes:
    return cls + several(*arguments) + b"\x81"


def with_state(value: bytes, state: bytes) -> bytes:
    return value + state + b"b"


def mapping(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"}(" + b"".join(key + value for key, value in pairs) + b"u"


def ordered(pairs: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
    empty = call(named("collections", "OrderedDict"))
    return empty + b"(" + b"".join(key + value for key, value in pairs) + b"u" if pairs else empty


def module(cls_module: str, cls_name: str, *, without: str = "", **attributes: bytes) -> bytes:
    """A module of torch, with whatever attributes, and without one."""
    state = dict.fromkeys(HOOKS, ordered()) | {
        "training": FALSE,
        "_parameters": EMPTY_DICT,
        "_buffers": EMPTY_DICT,
        "_modules": EMPTY_DICT,
        "_non_persistent_buffers_set": call(named("builtins", "set"), EMPTY_LIST),
        "_is_full_backward_hook": NONE,
    }
    pairs = [(text(name), value) for name, value in (state | attributes).items() if name != without]
    return with_state(made(named(cls_module, cls_name)), mapping(pairs))


def sequential(**members: bytes) -> bytes:
    pairs = [(text(name), member) for name, member in members.items()]
    return module("torch.nn.modules.container", "Sequential", _modules=mapping(pairs))


def meta_tensor(size: Iterable[int] = (3, 5), stride: Iterable[int] = (5, 1)) -> bytes:
    """Without memory."""
    shape, strides = several(*map(number, size)), several(*map(number, stride))
    rebuild = named("torch._utils", "_rebuild_meta_tensor_no_storage")
    return call(rebuild, named("torch", "float32"), shape, strides, TRUE)


def parameter(tensor: bytes, hooks: bytes = b"") -> bytes:
    return call(named("torch._utils", "_rebuild_parameter"), tensor, TRUE, hooks or ordered())


def linear(*, without: str = "", **attributes: bytes) -> bytes:
    usual = {
        "in_features": number(5),
        "out_features": number(3),
        "_parameters": mapping([(text("weight"), parameter(meta_tensor())), (text("bias"), NONE)]),
    }
    return module("torch.nn.modules.linear", "Linear", without=without, **(usual | attributes))


def linear_with_weight(weight: bytes) -> bytes:
    return linear(_parameters=mapping([(text("weight"), weight), (text("bias"), NONE)]))


def through_rebuild(function: bytes, *arguments: bytes, state: bytes = NONE) -> bytes:
    """A call that is an argument: torch's own helper calls the function, not the pickle."""
    helper = named("torch._tensor", "_rebuild_from_type_v2")
    return call(helper, function, named("torch", "Tensor"), several(*arguments), state)


def partial(function: bytes, *arguments: bytes) -> bytes:
    state = several(function, several(*arguments), EMPTY_DICT, NONE)
    return with_state(call(named("functools", "partial"), function), state)


def storage(key: str, count: int, kind: str = "FloatStorage") -> bytes:
    """A persistent id, as torch refers to the record of a storage."""
    return several(text("storage"), named("torch", kind), text(key), text("cpu"), number(count)) + b"Q"


def tensor(
    held: bytes, size: Iterable[int], stride: Iterable[int], offset: int = 0, hooks: bytes = b"", more: bytes = b""
) -> bytes:
    shape, strides = several(*map(number, size)), several(*map(number, stride))
    arguments = [held, number(offset), shape, strides, FALSE, hooks or ordered()]
    return call(named("torch._utils", "_rebuild_tensor_v2"), *arguments, *([more] if more else []))


def write_pickle(path: Path, body: bytes, start: bytes = START, **storages: bytes) -> Path:
    """A file of ``torch.save`` around this pickle; a storage has the name of its key with `s` before it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", start + body + STOP)
        archive.writestr("archive/byteorder", "little")
        for name, data in storages.items():
            archive.writestr(f"archive/data/{name.removeprefix('s')}", data)
        archive.writestr("archive/version", "3\n")
    return path
