"""Which classes of modules a file may restore: those that are defined in the installed files of three libraries.

*Defined* means that the class statement stands in that very file. A name that a module merely imports or re-exports is
none of its own, however it is spelled.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import site
import sysconfig
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from gradflow.load.files.pickles.draft import MissingPackageError, RefusedError
from gradflow.load.paths import is_file

__all__ = ["installed_class", "installed_module", "module_class"]

_LIBRARIES = ("torch.nn", "torchvision", "timm")
"""Their modules are made of layers and of nothing that reaches outside of the process."""
_BESIDE = ("builtins", "abc", "typing", "enum", "collections")
"""Where their base classes may come from, beside the libraries themselves."""


def module_class(module: str, name: str) -> type[torch.nn.Module]:
    """The subclass of ``nn.Module`` that is defined as ``name`` in ``module``.

    Raises
    ------
    RefusedError
        When there is none, or restoring it would run more than Python's own object creation.
    MissingPackageError
        When the library is known and not installed.
    """
    described = f"{module}.{name}"
    cls = installed_class(module, name)
    if not issubclass(cls, torch.nn.Module):
        raise RefusedError(described, "is not a model class")
    if issubclass(cls, (torch.fx.GraphModule, torch.jit.ScriptModule)):
        raise RefusedError(described, "runs code that the file brings along")
    return cls


def installed_class(module: str, name: str) -> type:
    """The class that is defined as ``name`` in ``module``, a file of one of the libraries.

    Raises
    ------
    RefusedError, MissingPackageError
        As :func:`module_class`.
    """
    described = f"{module}.{name}"
    library = _library_of(module, described)
    if not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise RefusedError(described, "is no name of a class")
    if name not in _defined_classes(_installed_folder(library), module.removeprefix(library).strip(".")):
        raise RefusedError(described, f"is no class that a file of the installed {library} defines")
    cls = vars(installed_module(module)).get(name)
    if not isinstance(cls, type) or (cls.__module__, cls.__qualname__) != (module, name):
        raise RefusedError(described, f"is no class that a file of the installed {library} defines")
    creates: Any = cls.__new__
    if type(cls) is not type or creates is not object.__new__ or hasattr(cls, "__del__"):
        raise RefusedError(described, "runs code of its own when it is restored or dropped")
    for base in cls.__mro__:
        if not any(f"{base.__module__}.".startswith(f"{one}.") for one in (*_LIBRARIES, *_BESIDE)):
            raise RefusedError(described, f"is built on `{base.__module__}.{base.__qualname__}`, which is not known")
    return cls


def installed_module(name: str) -> ModuleType:
    """A module of one of the libraries, imported from where that is installed.

    Raises
    ------
    RefusedError
        When it cannot be imported, or is another one of that name.
    MissingPackageError
        When the library is not installed.
    """
    folder = _installed_folder(_library_of(name, name))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = importlib.import_module(name)
    except Exception as error:
        raise RefusedError(name, f"cannot be imported here ({type(error).__name__}: {error})") from error
    if not Path(module.__file__ or "").resolve().is_relative_to(folder):
        raise RefusedError(name, "is another module than the installed one")
    return module


def _library_of(module: str, described: str) -> str:
    library = next((one for one in _LIBRARIES if f"{module}.".startswith(f"{one}.")), None)
    if library is None:
        raise RefusedError(described, "is not part of torch.nn, torchvision or timm")
    return library


def _installed_folder(library: str) -> Path:
    """Where a library is installed; a folder of its name beside the file or on the user's path does not count."""
    try:
        spec = importlib.util.find_spec(library)
    except ValueError:  # somebody has put something of that name into `sys.modules`
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise MissingPackageError(library.partition(".")[0])
    folder = Path(next(iter(spec.submodule_search_locations))).resolve()
    if folder.parents[library.count(".")] not in _site_folders():
        raise RefusedError(
            library, "is found here in a folder that pip does not install to; an editable install does not count"
        )
    return folder


@functools.cache
def _site_folders() -> frozenset[Path]:
    """Where packages are installed: beside torch, and where this Python looks for them."""
    named = (*site.getsitepackages(), site.getusersitepackages(), *map(sysconfig.get_path, ("purelib", "platlib")))
    return frozenset((Path(torch.__path__[0]).resolve().parent, *(Path(one).resolve() for one in named)))


@functools.cache
def _defined_classes(folder: Path, inner: str) -> frozenset[str]:
    """The classes whose statement stands at the top of a file; the file is read, not run."""
    place = folder.joinpath(*inner.split(".")) if inner else folder
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if is_file(path) and path.resolve().is_relative_to(folder):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            return frozenset(node.name for node in tree.body if isinstance(node, ast.ClassDef))
    return frozenset()
