"""Reads what a pickle would do without doing it.

Every class and function that the pickle names is replaced by an empty stand-in, so nothing of the file runs and nothing
is imported. What is learned: which names it takes from modules, and which of them it calls.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import IO, Any, Self

from torch._utils import IMPORT_MAPPING, NAME_MAPPING

__all__ = ["PickleContents", "scan_pickle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PickleContents:
    """Names a pickle takes from modules (``module.qualname``), and those among them that it calls.

    ``first_number`` is the value of the first pickle where that is a number: files of torch.save before 1.6 begin so.
    ``has_source`` tells a whole model of that time, which holds its own source code.
    """

    names: frozenset[str]
    called: frozenset[str]
    first_number: int | None = None
    has_source: bool = False


class _Called(type):
    """Calling a stand-in class (the pickle opcode REDUCE) is noted; ``__new__`` alone (NEWOBJ) is not."""

    noted: set[str]
    full_name: str

    def __call__(cls, *_args: Any, **_kwargs: Any) -> Any:
        cls.noted.add(cls.full_name)
        stand_in: Any = cls
        return object.__new__(stand_in)


class _StandIn:
    """Takes everything that a pickle can do to an object, and does nothing."""

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self:
        return object.__new__(cls)

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        pass

    def __setstate__(self, _state: Any) -> None:
        pass

    def __setitem__(self, _key: Any, _value: Any) -> None:
        pass

    def append(self, _value: Any) -> None:
        pass

    def extend(self, _values: Any) -> None:
        pass

    def add(self, _value: Any) -> None:
        pass


class _Scanner(pickle.Unpickler):
    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding="latin1")
        self.names: dict[str, type] = {}
        self.called: set[str] = set()
        self.has_source = False

    def find_class(self, module: str, name: str, /) -> type:
        # protocol 2, which torch.save writes, has the names of Python 2; torch translates them in the same way
        if (module, name) in NAME_MAPPING:
            module, name = NAME_MAPPING[module, name]
        else:
            module = IMPORT_MAPPING.get(module, module)
        full_name = f"{module}.{name}"
        if full_name not in self.names:
            stand_in = _Called("StandIn", (_StandIn,), {})
            stand_in.noted, stand_in.full_name = self.called, full_name
            self.names[full_name] = stand_in
        return self.names[full_name]

    def persistent_load(self, pid: Any, /) -> Any:
        # before 1.6, torch.save kept the source of every module class beside a reference to the class
        if isinstance(pid, tuple) and len(pid) > 1 and pid[0] in ("module", b"module") and isinstance(pid[1], _Called):
            self.has_source = True
            return pid[1]
        return _StandIn()


def scan_pickle(file: IO[bytes], *, count: int = 1) -> PickleContents:
    """What the first ``count`` pickles that stand one after another in ``file`` name and call.

    Raises
    ------
    Exception
        Whatever the standard unpickler raises for damaged data.
    """
    names: set[str] = set()
    called: set[str] = set()
    values: list[Any] = []
    has_source = False
    for _ in range(count):
        scanner = _Scanner(file)
        values.append(scanner.load())
        names.update(scanner.names)
        called.update(scanner.called)
        has_source = has_source or scanner.has_source
    first = values[0] if values and isinstance(values[0], int) else None
    return PickleContents(names=frozenset(names), called=frozenset(called), first_number=first, has_source=has_source)
