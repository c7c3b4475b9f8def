"""The user's own Python: object references such as ``train.py:build`` and ``pkg.module:model``."""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import linecache
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from gradflow.errors import GradflowError, LoadError
from gradflow.load.names import did_you_mean
from gradflow.load.paths import is_file, is_folder, special_kind, user_path
from gradflow.location import is_installed, is_machinery

__all__ = ["UserCode", "blaming_user_code", "is_object_reference", "raised_in"]

_ours: dict[str, str] = {}
"""Names under which gradflow put user files into ``sys.modules``, to the file."""


def is_object_reference(text: str) -> bool:
    """Whether ``text`` looks like ``file.py:name`` or ``pkg.module:name``."""
    source, colon, attribute = text.rpartition(":")
    return bool(colon and source and attribute) and all(part.isidentifier() for part in attribute.split("."))


class UserCode:
    """Objects from the user's files and packages; each file runs once, however many of its objects are asked for."""

    def __init__(self) -> None:
        self._modules: dict[str, ModuleType] = {}

    def object_at(self, reference: str, purpose: str) -> Any:
        """The object that ``file.py:name`` or ``pkg.module:name`` names.

        Raises
        ------
        LoadError
            When the file or the name does not exist, or the user's code raises while it is imported.
        """
        if not is_object_reference(reference):
            raise self._incomplete(reference, purpose)
        source, _, attribute = reference.rpartition(":")
        is_path = source.endswith(".py") or os.sep in source or is_file(Path(source))
        module = self._file(source) if is_path else self._package(source)
        found: Any = module
        for part in attribute.split("."):
            if not hasattr(found, part):
                # an object of C has no attributes of its own
                names = [name for name in getattr(found, "__dict__", ()) if not name.startswith("__")]
                raise LoadError(
                    f"`{source}` has no `{attribute}`",
                    hint=did_you_mean(part, names) or _examples(source, module, purpose),
                )
            found = getattr(found, part)
        return found

    def _incomplete(self, reference: str, purpose: str) -> LoadError:
        path = Path(reference.rpartition(":")[0] or reference)
        if path.suffix != ".py":
            path = Path(reference)
        if not is_file(path):
            return LoadError(
                f"`{reference}` is not an object reference",
                note=f"the {purpose} is named as `file.py:name` or `pkg.module:name`",
            )
        names = _top_level_names(path)
        example = f", for example `{path}:{names[0]}`" if names else ""
        return LoadError(
            f"`{reference}` does not say which object in the file is the {purpose}",
            hint=f"put its name after a colon{example}",
        )

    def _file(self, source: str) -> ModuleType:
        path = _python_file(source)
        key = str(path)
        if key not in self._modules:
            self._modules[key] = _import_file(path)
        return self._modules[key]

    def _package(self, name: str) -> ModuleType:
        if name not in self._modules:
            importlib.invalidate_caches()
            with _first_on_path(str(Path.cwd())), blaming_user_code(f"`{name}` cannot be imported"):
                self._modules[name] = importlib.import_module(name)
        return self._modules[name]


def _python_file(source: str) -> Path:
    """Where the file is, links followed."""
    path = user_path(source)
    if is_folder(path):
        raise LoadError(f"`{source}` is a folder, not a Python file")
    special = special_kind(path)
    if special:
        raise LoadError(f"`{source}` is {special}, not a Python file")
    try:
        path.stat()
        return path.resolve()
    except (FileNotFoundError, NotADirectoryError) as error:
        folder = Path(os.path.realpath(path.parent))
        near = [str(other) for other in path.parent.glob("*.py")] if is_folder(folder) else []
        raise LoadError(
            f"there is no file `{source}`",
            note=f"looked in `{folder}`" if is_folder(folder) else f"there is no folder `{folder}`",
            hint=did_you_mean(source, near),
        ) from error
    except (OSError, ValueError) as error:  # a closed folder, a name that is too long, links in a circle
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise LoadError(f"`{source}` cannot be read", note=f"{type(error).__name__}: {reason}") from error


def _import_file(path: Path) -> ModuleType:
    name = _module_name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise LoadError(f"`{path}` is not a Python file")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module
    linecache.checkcache(str(path))
    try:
        with _first_on_path(str(path.parent)), blaming_user_code(f"`{path.name}` cannot be imported"):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
        raise
    _ours[name] = str(path)
    return module


def _module_name(path: Path) -> str:
    """The name for ``sys.modules``: the stem, unless another module has that name already."""
    stem = path.stem
    taken = sys.modules.get(stem)
    is_free = taken is None or stem in _ours or getattr(taken, "__file__", None) == str(path)
    if stem.isidentifier() and is_free and stem not in sys.stdlib_module_names:
        return stem
    return f"gradflow_file_{''.join(letter if letter.isalnum() else '_' for letter in stem)}"


@contextlib.contextmanager
def _first_on_path(folder: str) -> Iterator[None]:
    """Import as ``python file.py`` does: from the file's own folder first.

    Afterwards the folder stays on ``sys.path``, but last: a model may import more when it runs.
    """
    had = folder in sys.path
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
        if not had:
            sys.path.append(folder)


@contextlib.contextmanager
def blaming_user_code(what: str, error_type: type[GradflowError] = LoadError, *, hint: str = "") -> Iterator[None]:
    """Turn whatever the user's code raises into one error that names the line of the raise, with a hint if given."""
    try:
        yield
    except (GradflowError, KeyboardInterrupt):
        raise
    except SyntaxError as error:
        raise error_type(what, note=f"{error.filename}:{error.lineno}: {error.msg}") from error
    except SystemExit as error:
        raise error_type(
            what,
            note=f"{raised_in(error)}: it ends the program (SystemExit)",
            hint='put what is only for running the file as a script under `if __name__ == "__main__":`',
        ) from error
    except BaseException as error:
        text = str(error).strip().partition("\n")[0]
        described = f"{type(error).__name__}: {text}" if text else type(error).__name__
        if isinstance(error, ModuleNotFoundError):
            hint = "run from the project's root folder, or install the missing module into this environment"
        raise error_type(what, note=f"{raised_in(error)}: {described}", hint=hint) from error


def raised_in(error: BaseException) -> str:
    """``file:line in function`` of the innermost frame of the user's own code in the traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not is_installed(frame.filename) and not is_machinery(frame.filename)]
    if not own:
        own = frames[-1:]
    return f"{own[-1].filename}:{own[-1].lineno} in {own[-1].name}" if own else "outside of any file"


def _top_level_names(path: Path) -> list[str]:
    try:
        tree = ast.parse(path.read_bytes())  # bytes may begin with a mark or say their encoding
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):  # the last two: nested too deeply
        return []
    kinds = (ast.FunctionDef, ast.ClassDef)
    names = [node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]
    likely = ("build", "make", "create", "get", "load", "model", "net")

    def rank(name: str) -> int:
        return next((place for place, start in enumerate(likely) if name.lower().startswith(start)), len(likely))

    return sorted(names, key=rank)


def _examples(source: str, module: ModuleType, purpose: str) -> str:
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    if not own:
        return ""
    return f"name the {purpose} after the colon, for example `{source}:{own[0]}`"
