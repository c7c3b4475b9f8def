"""Which classes a model file may name and still be loaded without ``--trust``.

Allowed are the ``nn.Module`` classes of torch.nn, torchvision and timm, which are restored without their constructors;
their enumerations and plain helper classes; and a few functions that models of these packages hold as attributes
(activations). Functions are allowed only where the file does not call them itself.
"""

from __future__ import annotations

import enum
import importlib
import importlib.util
import inspect
from collections.abc import Iterable
from typing import Any

import numpy
import numpy.dtypes
import torch

from gradflow.load.files.pickle_scan import PickleContents

__all__ = ["Verdict", "allowed_globals"]

_PACKAGES = (
    "torch.nn.",
    "torchvision.models.",
    "torchvision.ops.",
    "torchvision.transforms.",
    "timm.layers.",
    "timm.models.",
)
_FUNCTION_MODULES = ("torch.nn.functional.", "torch._C._nn.", "timm.layers.activations.", "torchvision.ops.boxes.")
_FUNCTIONS = frozenset(("torchvision.models.optical_flow.raft._pass_through_h",))
_CALLABLE_DATA = frozenset(
    (
        "functools.partial",
        "argparse.Namespace",
        "types.SimpleNamespace",
        "datetime.datetime",
        "datetime.timedelta",
        "pathlib.PosixPath",
        "pathlib.WindowsPath",
        "pathlib.PurePosixPath",
        "pathlib._local.PosixPath",
        "builtins.slice",
        "builtins.range",
        "builtins.frozenset",
        "numpy.dtype",
        "numpy.ndarray",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
        "numpy.core.multiarray._reconstruct",
        "numpy._core.multiarray._reconstruct",
    )
)
"""Plain data that checkpoints often hold beside the weights; making it has no effect."""


class Verdict:
    """What of a pickle may be loaded: ``allowed`` for torch's allow-list, ``refused`` names with the reason."""

    def __init__(self) -> None:
        self.allowed: list[tuple[Any, str]] = []
        self.refused: dict[str, str] = {}
        self.missing_packages: set[str] = set()


def allowed_globals(contents: PickleContents) -> Verdict:
    """Sort the names of a pickle into those that are harmless and those that are not."""
    verdict = Verdict()
    by_torch = _allowed_by_torch()
    for name in sorted(contents.names - by_torch):
        if not _looks_known(name):
            verdict.refused[name] = "is not part of torch.nn, torchvision or timm"
            continue
        found = _resolve(name)
        if found is None:
            package = name.partition(".")[0]
            if importlib.util.find_spec(package) is None:
                verdict.missing_packages.add(package)
            verdict.refused[name] = f"does not exist in the installed {package}"
            continue
        reason = _refusal(name, found, is_called=name in contents.called)
        if reason:
            verdict.refused[name] = reason
            continue
        verdict.allowed.append((found, name))
        if name == "numpy.dtype":  # restoring one gives an instance of a class of its own
            kinds = [kind for kind in vars(numpy.dtypes).values() if isinstance(kind, type)]
            verdict.allowed.extend((kind, f"numpy.dtypes.{kind.__name__}") for kind in kinds)
    return verdict


def _allowed_by_torch() -> frozenset[str]:
    from torch import _weights_only_unpickler as unpickler

    user = unpickler._get_user_allowed_globals()  # type: ignore[no-untyped-call]
    return frozenset((*unpickler._get_allowed_globals(), *user))


def _looks_known(name: str) -> bool:
    if name in _CALLABLE_DATA or name in _FUNCTIONS:
        return True
    return name.startswith((*_PACKAGES, *_FUNCTION_MODULES)) or _is_numpy_dtype(name)


def _is_numpy_dtype(name: str) -> bool:
    return name.startswith("numpy.dtypes.") and name.endswith("DType")


def _resolve(name: str) -> Any:
    """The object of that name, importing only modules inside the known packages."""
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        return None
    for split in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:split]))
        except Exception:  # noqa: BLE001, S112 - packages fail in many ways; a name that is not found is refused
            continue
        for part in parts[split:]:
            found = inspect.getattr_static(found, part, None)
        return found
    return None


def _refusal(name: str, found: Any, *, is_called: bool) -> str:
    """Why this object may not be loaded; empty when it may."""
    if name in _CALLABLE_DATA or _is_numpy_dtype(name):
        return ""
    if isinstance(found, type):
        if not all(_is_known_base(base) for base in found.__mro__):
            return "has a base class outside torch.nn, torchvision and timm"
        if issubclass(found, enum.Enum):
            return ""
        if is_called and found is not torch.nn.Parameter:
            return "is called by the file, instead of only being restored"
        if issubclass(found, torch.nn.Module) or not _has_own_lifecycle(found):
            return ""
        return "is not a model class"
    if name not in _FUNCTIONS and not name.startswith(_FUNCTION_MODULES):
        return "is a function"
    return "is a function that the file calls" if is_called else ""


def _is_known_base(base: type) -> bool:
    if base.__module__.partition(".")[0] in ("builtins", "typing", "abc", "enum", "collections"):
        return True
    return f"{base.__module__}.".startswith(_PACKAGES)


def _has_own_lifecycle(plain_class: type) -> bool:
    """Whether restoring or dropping an instance would run code of its class."""
    hooks: Iterable[str] = ("__setstate__", "__del__", "__setattr__", "__new__")
    return any(getattr(plain_class, hook, None) is not getattr(object, hook, None) for hook in hooks)
