"""From what a user types for a layer or a parameter to qualified names of the model."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Container, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal

import torch

from gradflow.errors import LayerNotFoundError, UsageError
from gradflow.load.module_tree import named_buffers_in, named_modules_in, named_parameters_in, own_modules
from gradflow.load.plain_containers import plain_container_at
from gradflow.spelled import Spelled

__all__ = ["matched_by_glob", "module_named", "names_given", "resolve_layers", "resolve_parameters"]

WRAPPERS = ("module", "_orig_mod")
"""What DataParallel and ``torch.compile`` put into qualified names."""

VARIABLES = ("model", "self", "net")
"""How the model itself is called in code that a name may be copied from."""


_NAMED = {"layer": "modules", "parameter": "parameters"}


def module_named(model: torch.nn.Module, name: str) -> torch.nn.Module:
    """The module that is registered under a qualified name, also inside TorchScript.

    ``get_submodule`` finds the attribute of that name, which may be something else.

    Raises
    ------
    AttributeError
        When there is none.
    """
    found = model
    for part in name.split(".") if name else ():
        held = own_modules(found)
        if part not in held:
            raise AttributeError(f"no module `{name}` is registered")
        found = held[part]
    return found


def names_given(given: Any, argument: Literal["layer", "parameter"]) -> list[str]:
    """What was given for an argument of ``gradflow.check``, as a list.

    Raises
    ------
    UsageError
        When it is not one name or several, but the module or the parameter itself, for example.
    """
    # torch lets both be gone through, but each is one thing that was meant
    is_one = isinstance(given, (str, torch.Tensor, torch.nn.Module)) or not isinstance(given, Iterable)
    names = [given] if is_one else list(given)
    for name in names:
        if not isinstance(name, str):
            raise UsageError(
                f"`{argument}` takes qualified names, and `{type(name).__name__}` is none",
                hint=f"`[name for name, _ in model.named_{_NAMED[argument]}()]` has all of them",
            )
    return names


def resolve_layers(model: torch.nn.Module, patterns: Sequence[str], *, model_name: str = "MODEL") -> tuple[str, ...]:
    """Qualified names of modules, in the order asked for and without repetition.

    Each pattern is a qualified name (``layer4.1.conv2``), the same written as code (``layer4[-1].conv2``), or a glob
    (``layer*.conv?``; ``*`` also crosses dots), whose matches come in the model's order. A glob leaves out what has no
    ``forward`` and so never runs itself, such as ``nn.ModuleList``. Prefixes of wrappers (``module.``, ``_orig_mod.``)
    may be missing or too many. The empty name is the whole model.

    Raises
    ------
    LayerNotFoundError
        When a pattern matches nothing; it names the closest modules.
    """
    modules = dict(named_modules_in(model, remove_duplicate=False))
    containers = [name for name, module in modules.items() if not _can_run(module)]

    def advise(wanted: str) -> str:
        parameters = {name for name, _ in _tensors(model)}
        if _find(wanted, parameters):
            return Spelled(
                f"`{wanted}` is a parameter: ask for it with `--param {wanted}`",
                in_python=f"`{wanted}` is a parameter: ask for it with `parameter={wanted!r}`",
            )
        plain = plain_container_at(model, _dotted(wanted, list(modules)).partition("*")[0].rstrip("."))
        if plain is not None:
            whose = f"`{plain.owner}`" if plain.owner else "the model"
            return (
                f"{whose} keeps layers in a plain {plain.kind}, `{plain.written}`, and `nn.Module` does not look into "
                "it, so they are not registered and have no name to ask for; "
                f"`{plain.written} = {plain.remedy}(...)` registers them"
            )
        held = next((name for name in _glob(wanted, containers)), None)
        if held is not None:
            return _advise_on_container(held, [name for name in modules if name not in containers], parameters)
        return Spelled(
            f"`gradflow layers {model_name}` lists all layers",
            in_python="`[name for name, _ in model.named_modules()]` has all layers",
        )

    return _resolve(patterns, list(modules), "layer", advise, not_by_glob=containers)


def matched_by_glob(model: torch.nn.Module, patterns: Sequence[str], names: Iterable[str]) -> frozenset[str]:
    """Those of the resolved names that no pattern names as they are: nobody asked for the very layer."""
    if not any(map(_is_glob, patterns)):
        return frozenset()
    known = [name for name, _ in named_modules_in(model, remove_duplicate=False)]
    return frozenset(names).difference(*(_find(pattern, known) for pattern in patterns))


def _advise_on_container(held: str, layers: Iterable[str], tensors: Iterable[str]) -> str:
    """What to ask for in place of a module that has no ``forward``: what it holds."""
    if any(name.startswith(f"{held}.") for name in layers):
        why = f"`{held}` only holds other layers and never runs itself: ask for those with"
        return Spelled(f"{why} `--layer '{held}.*'`", in_python=f"{why} `{f'{held}.*'!r}`")
    if any(name.startswith(f"{held}.") for name in tensors):
        why = f"`{held}` only holds parameters and never runs itself: ask for those with"
        return Spelled(f"{why} `--param '{held}.*'`", in_python=f"{why} `parameter={f'{held}.*'!r}`")
    return f"`{held}` never runs itself, and holds no layer that does"


def _can_run(module: torch.nn.Module) -> bool:
    """Whether a module has a ``forward``, of its class or its own; a compiled one has it in C++."""
    if isinstance(module, torch.jit.ScriptModule):
        return True
    own = "forward" in object.__getattribute__(module, "__dict__")
    return own or type(module).forward is not torch.nn.Module.forward


def resolve_parameters(
    model: torch.nn.Module, patterns: Sequence[str], *, model_name: str = "MODEL"
) -> tuple[str, ...]:
    """Qualified names of parameters and buffers; patterns as in :func:`resolve_layers`.

    Raises
    ------
    LayerNotFoundError
        When a pattern matches nothing; it names the closest parameters.
    """
    if not patterns:
        return ()
    names = [name for name, _ in _tensors(model)]

    def advise(wanted: str) -> str:
        owner, _, short = wanted.rpartition(".")
        made_of = [name for name in names if name.startswith(f"{owner}.parametrizations.{short}.".lstrip("."))]
        if made_of:
            return f"`{wanted}` is computed, from {', '.join(f'`{name}`' for name in made_of)}: use its name"
        found = _find(wanted, (name for name, _ in named_modules_in(model, remove_duplicate=False)))
        if found:
            owned = ", ".join(f"`{name}`" for name in names if name.rpartition(".")[0] == found[0])
            what = f"`{wanted}` is a layer" + (f" with {owned}" if owned else "")
            return Spelled(f"{what}: use `--layer {wanted}`", in_python=f"{what}: ask for it as a layer")
        return Spelled(
            f"`gradflow layers {model_name}` lists all layers; a parameter is named `LAYER.weight` or `LAYER.bias`",
            in_python="`[name for name, _ in model.named_parameters()]` has all parameters",
        )

    return _resolve(patterns, names, "parameter", advise)


def _tensors(model: torch.nn.Module) -> Iterable[tuple[str, torch.Tensor]]:
    yield from named_parameters_in(model, remove_duplicate=False)
    yield from named_buffers_in(model, remove_duplicate=False)


def _resolve(
    patterns: Sequence[str],
    names: list[str],
    kind: str,
    advise: Callable[[str], str],
    not_by_glob: Container[str] = (),
) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for pattern in patterns:
        matches = _find(pattern, names) or [name for name in _glob(pattern, names) if name not in not_by_glob]
        if not matches:
            raise LayerNotFoundError(
                f"no {kind} matches `{pattern}`" if _is_glob(pattern) else f"the model has no {kind} `{pattern}`",
                note=_nearby(pattern, names),
                hint=advise(pattern),
            )
        found.update(dict.fromkeys(matches))
    return tuple(found)


def _find(wanted: str, names: Iterable[str]) -> list[str]:
    """The one name that is meant, in a list; an empty list when there is none."""
    names = list(names)
    if wanted in names:
        return [wanted]
    wanted = _without_wrappers(_dotted(wanted, names))
    spellings = [wanted]
    first, _, rest = wanted.partition(".")
    if rest and first in VARIABLES:
        spellings.append(rest)
    for spelling in spellings:
        # the outermost of several is the wrapper itself, whose output is the same
        matches = [name for name in names if spelling and _without_wrappers(name) == spelling]
        if matches:
            return [min(matches, key=len)]
    return []


def _glob(pattern: str, names: Iterable[str]) -> list[str]:
    if not _is_glob(pattern):
        return []
    return [
        name for name in names if name and (fnmatchcase(name, pattern) or fnmatchcase(_without_wrappers(name), pattern))
    ]


def _is_glob(pattern: str) -> bool:
    return any(mark in pattern for mark in "*?[")


def _without_wrappers(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _dotted(wanted: str, names: list[str]) -> str:
    """``layer4[-1].conv2`` as ``layer4.1.conv2``; an index from the end needs the names to count."""
    while index := re.search(r"\[(-?[0-9]{1,9})\]", wanted):
        number = int(index.group(1))
        prefix = wanted[: index.start()]
        if number < 0:
            parents = {prefix, *_find(prefix, _parents(names))}
            number += max(len(_children(parent, names)) for parent in parents)
        wanted = f"{prefix}.{number}{wanted[index.end() :]}".removeprefix(".")
    return wanted


def _parents(names: Iterable[str]) -> set[str]:
    """Every name that stands before a dot of another."""
    parts = [name.split(".") for name in names]
    return {".".join(part[:depth]) for part in parts for depth in range(1, len(part))}


def _children(parent: str, names: Iterable[str]) -> list[str]:
    """The names of what hangs directly under ``parent``, in the model's order."""
    prefix = f"{parent}." if parent else ""
    inside = (name[len(prefix) :] for name in names if name.startswith(prefix))
    return list(dict.fromkeys(name.partition(".")[0] for name in inside if name))


def _nearby(wanted: str, names: list[str]) -> str:
    """What a person who mistyped a name would like to see: what is there where the name goes astray, and lookalikes."""
    sentences = []
    parts = _dotted(wanted, names).split(".")
    for depth in range(len(parts) - 1, 0, -1):
        children = _children(".".join(parts[:depth]), names)
        if children and parts[depth] not in children:
            shown = ", ".join(f"`{child}`" for child in children[:8]) + (", ..." if len(children) > 8 else "")
            sentences.append(f"`{'.'.join(parts[:depth])}` has no `{parts[depth]}`, it has {shown}")
            break
    lookalikes = difflib.get_close_matches(wanted, names, n=3, cutoff=0.5)
    namesakes = _same_ending(wanted, names)
    closest = (lookalikes or namesakes) if "." in wanted else (namesakes or lookalikes)
    if closest:
        sentences.append("closest: " + ", ".join(f"`{name}`" for name in closest))
    return "; ".join(sentences)


def _same_ending(wanted: str, names: list[str]) -> list[str]:
    """Names that end in the same last part: the place in the tree was forgotten."""
    ending = wanted.rpartition(".")[2].lower()
    return [name for name in names if name.rpartition(".")[2].lower() == ending][:3]
