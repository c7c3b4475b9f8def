"""Tables of hooks in which torch finds an observed hook, and everybody else the program's own.

Torch keeps the hooks of a module and of a tensor in dictionaries that programs read, too: to find a hook again by
``is``, to delete it, to show its source, to pickle a model. So the program's hook stays what lies there.
"""

from __future__ import annotations

import copy
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

from gradflow.torch_facts.module_machinery import GATHERING

__all__ = ["ModuleTable", "TensorTable"]

Observed = Callable[..., Any]


def _codes_within(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes_within(constant)


_CODES = [code for function in GATHERING for code in _codes_within(function.__code__)]
_CALLERS = frozenset(map(id, _CODES))
"""The code of torch that takes the hooks of a module from their table in order to call them."""


class ModuleTable(OrderedDict[int, Any]):
    """Stands in a module in the place of torch's own table, and passes everything on to it.

    Parameters
    ----------
    table
        Torch's own, to which handles refer.
    """

    def __init__(self, table: OrderedDict[int, Any]) -> None:
        super().__init__()
        self.table = table
        self.observed: dict[int, tuple[Any, Observed]] = {}
        self.on_reading: dict[int, Callable[[], None]] = {}

    def observe(self, key: int, observed: Observed, on_reading: Callable[[], None]) -> None:
        """Let torch call ``observed`` for the hook ``key``; ``on_reading`` is told where others may call the hook."""
        self.observed[key] = self.table[key], observed
        self.on_reading[key] = on_reading

    def forget(self, key: int) -> None:
        """A hook has been taken off: nothing keeps it, nor what it has closed over, any more."""
        self.observed.pop(key, None)
        self.on_reading.pop(key, None)

    def _forget_gone(self) -> None:
        for key in [key for key in self.observed if key not in self.table]:
            self.forget(key)

    def items(self) -> Any:  # noqa: D102  (as in OrderedDict)
        if id(sys._getframe(1).f_code) not in _CALLERS:
            return self._read().items()
        return [(key, self._for_torch(key, hook)) for key, hook in self.table.items()]

    def values(self) -> Any:  # noqa: D102
        if id(sys._getframe(1).f_code) not in _CALLERS:
            return self._read().values()
        return [self._for_torch(key, hook) for key, hook in self.table.items()]

    def _for_torch(self, key: int, hook: Any) -> Any:
        known, observed = self.observed.get(key, (None, hook))
        return observed if known is hook else hook

    def _read(self) -> OrderedDict[int, Any]:
        for note in self.on_reading.values():
            note()
        return self.table

    def get(self, key: Any, default: Any = None) -> Any:  # noqa: D102
        return self._read().get(key, default)

    def pop(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        found = self._read().pop(*args, **kwargs)
        self._forget_gone()
        return found

    def popitem(self, last: bool = True) -> Any:  # noqa: D102
        found = self._read().popitem(last)
        self._forget_gone()
        return found

    def setdefault(self, key: Any, default: Any = None) -> Any:  # noqa: D102
        return self._read().setdefault(key, default)

    def update(self, *args: Any, **kwargs: Any) -> None:  # noqa: D102
        self.table.update(*args, **kwargs)

    def clear(self) -> None:  # noqa: D102
        self.table.clear()
        self._forget_gone()

    def keys(self) -> Any:  # noqa: D102
        return self.table.keys()

    def move_to_end(self, key: Any, last: bool = True) -> None:  # noqa: D102
        self.table.move_to_end(key, last)

    def copy(self) -> Any:  # noqa: D102
        return self._read().copy()

    def __getitem__(self, key: Any) -> Any:
        return self._read()[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self.table[key] = value

    def __delitem__(self, key: Any) -> None:
        del self.table[key]
        self.forget(key)

    def __contains__(self, key: Any) -> bool:
        return key in self.table

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[int]:
        return iter(self.table)

    def __reversed__(self) -> Any:
        return reversed(self.table)

    def __or__(self, other: Any) -> Any:
        return self._read() | other

    def __ror__(self, other: Any) -> Any:
        return other | self._read()

    def __ior__(self, other: Any) -> Any:
        self.table.update(other)
        return self

    def __eq__(self, other: object) -> bool:
        return self.table == (other.table if isinstance(other, ModuleTable) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self.table)

    def __reduce__(self) -> Any:
        return self.table.__reduce__()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.table.__reduce_ex__(protocol)

    def __copy__(self) -> Any:
        return copy.copy(self.table)

    def __deepcopy__(self, memo: Any) -> Any:
        """The hooks of a copy are copies; they are observed as those of the model that was copied."""
        made = ModuleTable(copy.deepcopy(self.table, memo))
        for key, (hook, observed) in self.observed.items():
            if self.table.get(key) is hook:
                made.observe(key, observed.of(made.table[key]), self.on_reading[key])  # type: ignore[attr-defined]
        return made


class TensorTable(OrderedDict[int, Any]):
    """The hooks of one tensor: autograd, which is no Python, reads what is stored; Python is given the program's own.

    ``observe`` makes of a hook what is to be called; ``removed`` is told the number of one that is taken off.
    """

    def __init__(self, observe: Callable[[Any], Observed], removed: Callable[[int], None]) -> None:
        super().__init__()
        self.observe = observe
        self.removed = removed
        self._own: dict[int, Any] = {}

    def __setitem__(self, key: int, hook: Any) -> None:
        self._own[key] = hook
        super().__setitem__(key, self.observe(hook))

    def __getitem__(self, key: int) -> Any:
        super().__getitem__(key)
        return self._own[key]

    def get(self, key: Any, default: Any = None) -> Any:  # noqa: D102
        return self._own[key] if key in self else default

    def __delitem__(self, key: int) -> None:
        super().__delitem__(key)
        self._own.pop(key, None)
        self.removed(key)

    def pop(self, key: int, *default: Any) -> Any:  # noqa: D102
        if key not in self and default:
            return default[0]
        found = self[key]
        del self[key]
        return found

    def popitem(self, last: bool = True) -> Any:  # noqa: D102
        key = next(reversed(self) if last else iter(self), None)
        return super().popitem(last) if key is None else (key, self.pop(key))

    def clear(self) -> None:  # noqa: D102
        super().clear()
        self._own.clear()

    def values(self) -> Any:  # noqa: D102
        return self.plain().values()

    def items(self) -> Any:  # noqa: D102
        return self.plain().items()

    def copy(self) -> Any:  # noqa: D102
        return self.plain()

    def release(self) -> None:
        """Store the program's own hooks from now on: nobody observes any more."""
        self.observe = self.removed = _itself
        for key, hook in self._own.items():
            super().__setitem__(key, hook)

    def plain(self) -> OrderedDict[int, Any]:
        """The program's own hooks, in a table of torch's kind."""
        return OrderedDict((key, self._own[key]) for key in self)

    def __eq__(self, other: object) -> bool:
        return self.plain() == (other.plain() if isinstance(other, TensorTable) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __or__(self, other: Any) -> Any:
        return self.plain() | other

    def __ror__(self, other: Any) -> Any:
        return other | self.plain()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self.plain())

    def __reduce__(self) -> Any:
        return self.plain().__reduce__()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.plain().__reduce_ex__(protocol)

    def __copy__(self) -> Any:
        return self.plain()

    def __deepcopy__(self, memo: Any) -> Any:
        return copy.deepcopy(self.plain(), memo)


def _itself(hook: Any) -> Any:
    return hook
