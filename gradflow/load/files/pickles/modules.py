"""Modules of a file: restored without their constructors, and looked over before anybody calls them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import nn

from gradflow.load.files.limits import MOST_CALLS
from gradflow.load.files.pickles.draft import DamagedError, Name, RefusedError, settled
from gradflow.load.files.pickles.instances import check_attributes
from gradflow.load.files.pickles.recurrent import check_recurrent, require_named_weights
from gradflow.load.module_tree import MOST_NESTED, CircularModulesError, measure_modules

__all__ = ["ModuleMaker", "check_modules"]


_USUAL = vars(nn.Module())
"""What every module has when it is made."""
_MEMBERS = frozenset(("_parameters", "_buffers", "_modules"))
_HOOKS = frozenset(name for name, value in _USUAL.items() if isinstance(value, dict)) - _MEMBERS


class ModuleMaker:
    """Makes the modules of one file, and remembers them."""

    def __init__(self) -> None:
        self.made: list[nn.Module] = []

    def name(self, cls: type[nn.Module], *, value: bool) -> Name:
        """The entry for a class of modules; ``value`` tells whether a file may also hold the class itself."""

        def make(arguments: tuple[Any, ...]) -> nn.Module:
            if arguments:
                raise DamagedError(f"a `{cls.__qualname__}` is made with arguments")
            module = cls.__new__(cls)
            self.made.append(module)
            return module

        described = f"{cls.__module__}.{cls.__qualname__}"
        return Name(described, make=make, value=cls) if value else Name(described, make=make)

    def build(self, module: nn.Module, state: Any) -> None:
        """Give a module its attributes, as its class does when it is unpickled.

        Raises
        ------
        RefusedError, DamagedError
            When they would hide a method, hold a hook, or are none of a module.
        """
        cls = type(module)
        state = settled(state)
        if vars(module):
            raise DamagedError(f"a `{cls.__qualname__}` is given its state twice")
        _check_state(cls, state)
        require_named_weights(cls, state)
        try:
            module.__setstate__(state)  # type: ignore[no-untyped-call]
        except Exception as error:
            raise DamagedError(f"a `{cls.__qualname__}` cannot be restored: {type(error).__name__}: {error}") from error


def _check_state(cls: type, state: dict[str, Any], *, is_restored: bool = False) -> None:
    """Whether these may be the attributes of a module; once it is restored, it has all that every module has."""
    check_attributes(cls, state)
    what = f"a `{cls.__qualname__}`"
    for name, usual in _USUAL.items():
        value = state.get(name, usual)
        # torch leaves some of them at None until they are used
        if not isinstance(value, type(usual)) and not (usual is None and type(value) is bool):
            raise DamagedError(f"the `{name}` of {what} is a `{type(value).__name__}`")
    for name in _HOOKS & state.keys():
        if state[name]:
            raise RefusedError(f"{cls.__module__}.{cls.__qualname__}", "has a hook, which would be called")
    missing = sorted(_USUAL.keys() - state.keys())
    if is_restored and missing:
        raise DamagedError(f"{what} lacks what every module has: `{missing[0]}`")
    if "training" not in state:
        raise DamagedError(f"{what} is neither in train nor in eval mode")
    for name, kind in (("_parameters", torch.Tensor), ("_buffers", torch.Tensor), ("_modules", nn.Module)):
        _check_members(cls, state.get(name), kind)


def _check_members(cls: type, members: Any, kind: type) -> None:
    what = f"a `{cls.__qualname__}`"
    if type(members) not in (dict, OrderedDict):
        raise DamagedError(f"{what} has no dictionary of its members")
    for name, member in members.items():
        if type(name) is not str or not name or "." in name:
            raise DamagedError(f"a member of {what} has no name")
        if member is not None and not isinstance(member, kind):
            raise DamagedError(f"a member of {what} is no {kind.__name__}")


def check_modules(made: list[nn.Module]) -> None:
    """Whether every module was given its state, none contains itself, and calling all of them comes to an end.

    To be asked when the whole pickle has been read: it may add to a dictionary after a module was given it.

    Raises
    ------
    RefusedError, DamagedError
        Otherwise.
    """
    for module in made:
        if not vars(module):
            raise DamagedError(f"a `{type(module).__qualname__}` has no state")
        _check_state(type(module), vars(module), is_restored=True)
        if isinstance(module, nn.RNNBase):
            check_recurrent(module)
    try:
        tree = measure_modules(made)
    except CircularModulesError as error:
        raise DamagedError(str(error)) from error
    if tree.depth > MOST_NESTED:
        raise DamagedError(f"its modules are nested {tree.depth:,} deep, and at most {MOST_NESTED} are read")
    if tree.calls > MOST_CALLS:
        raise DamagedError(f"its modules contain each other more than {MOST_CALLS:,} times")
