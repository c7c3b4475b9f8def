"""Runs the opcodes of a pickle; what a name stands for is said by whoever runs it.

``pickletools`` reads the opcodes and their arguments. Nothing here imports, looks up an attribute or calls anything by
its name: a name becomes a :class:`~gradflow.load.files.pickles.draft.Draft`, and only that decides what can be done.
"""

from __future__ import annotations

import pickletools
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

import torch
from torch._utils import IMPORT_MAPPING, NAME_MAPPING

from gradflow.errors import GradflowError
from gradflow.load.files.pickles.draft import DamagedError, Draft, MissingPackageError, RefusedError, Unsettled, settled

__all__ = ["Machine", "PickleStream", "name_of_today"]

_MARK = object()
_LARGEST_KEY = 2**61 - 1
"""Integers below it are their own hash; larger ones can be made to collide, and a dictionary of them never ends."""
_LARGEST_NUMBER_BITS = 2048
_WORK_BEFORE_BYTES = 1_000_000
_WORK_PER_BYTE = 16
_KEY_BYTES = 64
_CONTAINER_WORK = 100
"""An empty container is one byte of a pickle and some two hundred of memory; in what people save it has entries."""


class PickleStream(Protocol):
    """What a pickle is read from."""

    def read(self, count: int, /) -> bytes:
        """At most ``count`` bytes."""

    def readline(self) -> bytes:
        """Up to the next line end."""


class Machine:
    """Runs one pickle.

    Parameters
    ----------
    name
        What ``(module, name)`` stands for; raises :class:`RefusedError` for what is on no list.
    load_persistent
        The value for a persistent id.
    build
        Gives an object that is no draft its state; raises :class:`RefusedError` where that may not be.
    size
        Bytes of the pickle, against which its work is held: entries that it makes containers from.
    """

    def __init__(
        self,
        *,
        name: Callable[[str, str], Draft],
        load_persistent: Callable[[Any], Any],
        build: Callable[[Any, Any], None],
        size: int,
    ) -> None:
        self._name, self._load_persistent, self._build = name, load_persistent, build
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._protocol = 0
        self._work_left = _WORK_BEFORE_BYTES + _WORK_PER_BYTE * size

    def run(self, stream: PickleStream | bytes) -> Any:
        """The value that the pickle is; a stream is read up to its end and no further.

        Raises
        ------
        RefusedError
            When it asks for what is on no list.
        DamagedError
            When it is none that a pickler writes.
        """
        try:
            return self._run(stream)
        except (RefusedError, DamagedError, MissingPackageError, GradflowError):
            raise
        except Exception as error:
            # what Python, NumPy and torch raise over arguments that no pickler writes: an array where a text belongs
            raise DamagedError(f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}") from error

    def _run(self, stream: PickleStream | bytes) -> Any:
        for opcode, argument, _ in pickletools.genops(cast(Any, stream)):
            handler = _HANDLERS.get(opcode.name)
            if handler is not None:
                handler(self, argument)
            elif opcode.name == "STOP":
                return settled(self._pop())
            else:
                raise RefusedError(opcode.name, "is an instruction that torch.save does not write")
        raise DamagedError("it ends without an end mark")

    def charge(self, entries: int) -> None:
        """Count work that the file asks for.

        Raises
        ------
        DamagedError
            When it is out of proportion to the file.
        """
        self._work_left -= entries
        if self._work_left < 0:
            raise DamagedError("it asks for far more work than its size explains")

    # the stack

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise DamagedError("it takes from an empty stack")
        return self._stack.pop()

    def _top(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise DamagedError("it takes from an empty stack")
        return self._stack[-1]

    def _drop(self, _: Any) -> None:
        self._pop()

    def _drop_to_mark(self, _: Any) -> None:
        self._pop_to_mark()

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop_to_mark(self) -> list[Any]:
        stack = self._stack
        for index in range(len(stack) - 1, -1, -1):
            if stack[index] is _MARK:
                items = stack[index + 1 :]
                del stack[index:]
                return items
        raise DamagedError("it takes from an empty stack")

    # simple values

    def _push_number(self, value: int) -> None:
        if value.bit_length() > _LARGEST_NUMBER_BITS:
            raise DamagedError("it holds a number of more digits than any checkpoint needs")
        self._push(value)

    def _push_old_text(self, value: Any) -> None:
        # of Python 2: text where it can be one, as torch.load has it
        try:
            self._push(value.encode("latin-1").decode("utf-8") if isinstance(value, str) else value.decode("utf-8"))
        except UnicodeDecodeError:
            self._push(value.encode("latin-1") if isinstance(value, str) else value)

    def _push_tuple(self, items: list[Any]) -> None:
        has_drafts = any(isinstance(item, Draft) or type(item) is Unsettled for item in items)
        self._push(Unsettled(items) if has_drafts else tuple(items))

    def _take_tuple(self, count: int) -> None:
        items = [self._pop() for _ in range(count)]
        self._push_tuple(items[::-1])

    # containers

    def _append(self, items: list[Any]) -> None:
        target = self._top()
        if type(target) not in (list, deque):
            raise RefusedError(_described(target), "is appended to by the file")
        target.extend(settled(item) for item in items)

    def _add(self, items: list[Any]) -> None:
        target = self._top()
        if type(target) is not set:
            raise RefusedError(_described(target), "is added to by the file")
        target.update(self.key(item) for item in items)

    def _set_items(self, items: list[Any]) -> None:
        target = self._top()
        if type(target) not in (dict, OrderedDict, Counter, defaultdict):
            raise RefusedError(_described(target), "is given items by the file")
        if len(items) % 2:
            raise DamagedError("a key has no value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[self.key(key)] = settled(value)

    def _push_dict(self, _: Any) -> None:
        items = self._pop_to_mark()
        self._push({})
        self._set_items(items)

    def key(self, value: Any) -> Any:
        """The value where it may be a key or a member of a set: one whose hash is quick and cannot be chosen.

        Raises
        ------
        RefusedError
            For anything else.
        """
        value = settled(value)
        if isinstance(value, (str, bytes)):
            self.charge(len(value) // _KEY_BYTES)  # that equal keys are equal is found out letter by letter
        if type(value) is tuple:
            self.charge(100)
            if len(value) <= 100 and all(_is_plain_key(item) for item in value):
                return value
        elif _is_plain_key(value):
            return value
        raise RefusedError(_described(value), "is used as a key by the file")

    # names, calls, objects

    def _find(self, module: str, name: str) -> None:
        if self._protocol < 3:
            module, name = name_of_today(module, name)
        self._push(self._name(module, name))

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._find(module, name)

    def _stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        if type(name) is not str or type(module) is not str:
            raise DamagedError("a name is no text")
        self._find(module, name)

    def _reduce(self, _: Any) -> None:
        arguments, function = self._pop(), self._pop()
        if not isinstance(arguments, tuple):
            raise DamagedError("the arguments of a call are no tuple")
        if not isinstance(function, Draft):
            raise RefusedError(_described(function), "is called by the file")
        self.charge(_weight(arguments) + _CONTAINER_WORK)
        self._push(function.call(arguments))

    def _new(self, _: Any) -> None:
        arguments, cls = self._pop(), self._pop()
        if not isinstance(arguments, tuple) or not isinstance(cls, Draft):
            raise RefusedError(_described(cls), "is made into an object by the file")
        self.charge(_CONTAINER_WORK)
        self._push(cls.make(arguments))

    def _new_ex(self, _: Any) -> None:
        if settled(self._pop()) != {}:
            raise RefusedError("NEWOBJ_EX", "is given arguments by name")
        self._new(_)

    def _give_state(self, _: Any) -> None:
        state, target = self._pop(), self._top()
        self.charge(_weight((state,)))
        if isinstance(target, Draft):
            target.build(state)
        else:
            self._build(target, settled(state))

    def _persistent(self, _: Any) -> None:
        self._push(self._load_persistent(self._pop()))

    # the memo

    def _put(self, key: int) -> None:
        self._memo[key] = self._top()

    def _get(self, key: int) -> None:
        if key not in self._memo:
            raise DamagedError("it refers to something that is not there")
        self._push(self._memo[key])

    def _set_protocol(self, protocol: int) -> None:
        self._protocol = protocol


def name_of_today(module: str, name: str) -> tuple[str, str]:
    """A name of Python 2, which pickles of its protocols hold, as it is called now; translated as torch does."""
    if (module, name) in NAME_MAPPING:
        module, name = NAME_MAPPING[module, name]
        return module, name
    return IMPORT_MAPPING.get(module, module), name


def _weight(arguments: tuple[Any, ...]) -> int:
    """How much whoever takes these arguments may copy."""
    containers = (list, set, frozenset, dict, tuple, deque, str, bytes, bytearray)
    inside = [item for item in arguments if isinstance(item, tuple)]
    return sum(len(item) for part in (arguments, *inside) for item in part if isinstance(item, containers)) + 1


def _is_plain_key(value: Any) -> bool:
    if type(value) is int:
        return -_LARGEST_KEY < value < _LARGEST_KEY
    return value is None or type(value) in (str, bytes, float, bool, torch.dtype, torch.device)


def _described(value: Any) -> str:
    kind = type(value)
    return value.described if isinstance(value, Draft) else f"{kind.__module__}.{kind.__qualname__}"


def _constant(value: Any) -> Callable[[Machine, Any], None]:
    return lambda machine, _: machine._push(value)


def _container(kind: Callable[[], Any]) -> Callable[[Machine, Any], None]:
    def push(machine: Machine, _: Any) -> None:
        machine.charge(_CONTAINER_WORK)
        machine._push(kind())

    return push


_Handler = Callable[[Machine, Any], None]


def _alike(handler: _Handler, *names: str) -> dict[str, _Handler]:
    return dict.fromkeys(names, handler)


_HANDLERS: Mapping[str, _Handler] = {
    "PROTO": Machine._set_protocol,
    "FRAME": lambda _machine, _: None,
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
    "EMPTY_LIST": _container(list),
    "EMPTY_DICT": _container(dict),
    "EMPTY_SET": _container(set),
    "EMPTY_TUPLE": _constant(()),
    **_alike(Machine._push_number, "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "INT"),
    **_alike(Machine._push, "BINFLOAT", "FLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE"),
    **_alike(Machine._push, "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    **_alike(Machine._push_old_text, "STRING", "BINSTRING", "SHORT_BINSTRING"),
    "MARK": _constant(_MARK),
    "POP": Machine._drop,
    "POP_MARK": Machine._drop_to_mark,
    "DUP": lambda machine, _: machine._push(machine._top()),
    "TUPLE": lambda machine, _: machine._push_tuple(machine._pop_to_mark()),
    "TUPLE1": lambda machine, _: machine._take_tuple(1),
    "TUPLE2": lambda machine, _: machine._take_tuple(2),
    "TUPLE3": lambda machine, _: machine._take_tuple(3),
    "APPEND": lambda machine, _: machine._append([machine._pop()]),
    "APPENDS": lambda machine, _: machine._append(machine._pop_to_mark()),
    "ADDITEMS": lambda machine, _: machine._add(machine._pop_to_mark()),
    "SETITEM": lambda machine, _: machine._set_items([machine._pop(), machine._pop()][::-1]),
    "SETITEMS": lambda machine, _: machine._set_items(machine._pop_to_mark()),
    "LIST": lambda machine, _: machine._push([settled(item) for item in machine._pop_to_mark()]),
    "DICT": Machine._push_dict,
    "FROZENSET": lambda machine, _: machine._push(frozenset(machine.key(item) for item in machine._pop_to_mark())),
    "GLOBAL": Machine._global,
    "STACK_GLOBAL": Machine._stack_global,
    "REDUCE": Machine._reduce,
    "NEWOBJ": Machine._new,
    "NEWOBJ_EX": Machine._new_ex,
    "BUILD": Machine._give_state,
    "BINPERSID": Machine._persistent,
    **_alike(Machine._put, "PUT", "BINPUT", "LONG_BINPUT"),
    "MEMOIZE": lambda machine, _: machine._put(len(machine._memo)),
    **_alike(Machine._get, "GET", "BINGET", "LONG_BINGET"),
}
