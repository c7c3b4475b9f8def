"""Plain data of Python's own libraries, as checkpoints hold it beside the weights."""

from __future__ import annotations

import argparse
import datetime
import functools
import pathlib
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

from gradflow.load.files.pickles.draft import DamagedError, Draft, Name, RefusedError, settled

__all__ = ["HOLDERS", "plain_names"]

_LARGEST_RANGE = 2**20
_FACTORIES: dict[str, Callable[[], Any]] = {
    f"builtins.{kind.__name__}": kind for kind in (dict, list, set, int, float, str)
}

HOLDERS: tuple[type, ...] = (argparse.Namespace, types.SimpleNamespace, OrderedDict)
"""Classes whose objects take attributes by BUILD; an ordered dictionary of weights has its ``_metadata`` so."""

_Call = Callable[[tuple[Any, ...]], Any]


def plain_names(key: Callable[[Any], Any]) -> dict[tuple[str, str], Draft]:
    """What a pickle may name; ``key`` raises for what may be no key of a dictionary and no member of a set."""
    calls: dict[tuple[str, str], _Call] = {
        ("collections", "OrderedDict"): lambda arguments: OrderedDict(_pairs(arguments, key)),
        ("collections", "Counter"): lambda arguments: Counter(dict(_pairs(arguments, key))),
        ("collections", "defaultdict"): _defaultdict,
        ("collections", "deque"): _deque,
        ("builtins", "set"): lambda arguments: set(map(key, _items(arguments))),
        ("builtins", "frozenset"): lambda arguments: frozenset(map(key, _items(arguments))),
        ("builtins", "bytes"): lambda arguments: b"" if not arguments else _refuse("bytes"),
        ("builtins", "object"): lambda arguments: object() if not arguments else _refuse("object"),
        ("builtins", "bytearray"): lambda arguments: bytearray(_bytes(arguments)),
        ("builtins", "complex"): _complex,
        ("builtins", "slice"): _slice,
        ("builtins", "range"): _range,
        ("_codecs", "encode"): _bytes,
    }
    for kind in (datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone):
        calls["datetime", kind.__name__] = functools.partial(_time, kind)
    for module in ("pathlib", "pathlib._local"):
        for path in (pathlib.PurePosixPath, pathlib.PureWindowsPath):
            calls[module, path.__name__] = functools.partial(_path, path)
            calls[module, path.__name__.removeprefix("Pure")] = functools.partial(_path, path)
    names: dict[tuple[str, str], Draft] = {pair: Name(".".join(pair), call=call) for pair, call in calls.items()}
    for described in _FACTORIES:
        pair = ("builtins", described.partition(".")[2])
        names.setdefault(pair, Name(described))
    names["argparse", "Namespace"] = _holder("argparse.Namespace", argparse.Namespace)
    names["types", "SimpleNamespace"] = _holder("types.SimpleNamespace", types.SimpleNamespace)
    return names


def _holder(described: str, cls: Callable[[], Any]) -> Name:
    def make(arguments: tuple[Any, ...]) -> Any:
        return cls() if not arguments else _refuse(described)

    return Name(described, call=make, make=make)


def _refuse(described: str) -> Any:
    raise RefusedError(described, "is called with arguments by the file")


def _items(arguments: tuple[Any, ...]) -> Any:
    """The one container among the arguments: what the file holds, not what it could count out."""
    if not arguments:
        return ()
    if len(arguments) > 1 or type(arguments[0]) not in (list, tuple, set, frozenset):
        raise DamagedError("a set is made of something that is no list")
    return arguments[0]


def _pairs(arguments: tuple[Any, ...], key: Callable[[Any], Any]) -> Any:
    arguments = settled(arguments)
    if arguments and isinstance(arguments[0], dict) and len(arguments) == 1:
        return arguments[0].items()
    pairs = _items(arguments)
    if not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs):
        raise DamagedError("a dictionary is not made of pairs")
    return [(key(one), value) for one, value in pairs]


def _defaultdict(arguments: tuple[Any, ...]) -> Any:
    """With a factory of the list: one that makes something empty."""
    if len(arguments) > 1:
        _refuse("collections.defaultdict")
    factory = arguments[0] if arguments else None
    if factory is None:
        return defaultdict(None)
    described = factory.described if isinstance(factory, Draft) else type(factory).__name__
    if described not in _FACTORIES:
        raise RefusedError(described, "would be called by a dictionary")
    return defaultdict(_FACTORIES[described])


def _deque(arguments: tuple[Any, ...]) -> Any:
    arguments = settled(arguments)
    items, most = arguments[0] if arguments else (), arguments[1] if len(arguments) > 1 else None
    if len(arguments) > 2 or not (most is None or (type(most) is int and 0 <= most < 2**31)):
        raise DamagedError("a deque has no length that there is")
    return deque(_items((items,)), most)


def _bytes(arguments: tuple[Any, ...]) -> bytes:
    """``(bytes,)``, or ``(text, "latin-1")`` as protocol 2 writes them: never as many as a number says."""
    if not arguments:
        return b""
    if len(arguments) == 1 and isinstance(arguments[0], (bytes, bytearray)):
        return bytes(arguments[0])
    if len(arguments) == 2 and type(arguments[0]) is str and arguments[1] in ("latin1", "latin-1"):
        try:
            return arguments[0].encode("latin-1")
        except UnicodeEncodeError as error:
            raise DamagedError("bytes are written as text that cannot be turned back") from error
    raise RefusedError("builtins.bytearray", "is made of something else than bytes")


def _complex(arguments: tuple[Any, ...]) -> complex:
    if len(arguments) != 2 or not all(type(part) in (int, float) for part in arguments):
        raise DamagedError("a complex number has not two parts")
    try:
        return complex(*arguments)
    except OverflowError as error:
        raise DamagedError("a complex number is larger than any") from error


def _slice(arguments: tuple[Any, ...]) -> slice:
    if len(arguments) != 3 or not all(part is None or type(part) is int for part in arguments):
        raise DamagedError("a slice has not three parts")
    return slice(*arguments)


def _range(arguments: tuple[Any, ...]) -> range:
    is_whole = len(arguments) == 3 and all(type(part) is int and abs(part) < 2**62 for part in arguments)
    if not is_whole or arguments[2] == 0:
        raise DamagedError("a range has not three parts")
    made = range(*arguments)
    if len(made) > _LARGEST_RANGE:
        raise DamagedError(f"a range counts further than {_LARGEST_RANGE:,}")
    return made


def _time(kind: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    try:
        return kind(*settled(arguments))
    except (TypeError, ValueError, OverflowError) as error:
        raise DamagedError(f"a date or time is none: {error}") from error


def _path(kind: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Always a pure path, which reaches no file system."""
    if not all(type(part) is str for part in arguments):
        raise DamagedError("a path is not made of text")
    return kind(*arguments)
