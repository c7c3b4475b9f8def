"""Puts weights from a file into a model, and says what did not fit."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from gradflow.errors import LoadError
from gradflow.load.module_tree import parameters_in
from gradflow.load.source import SourcedModel

__all__ = ["load_weights"]

_PREFIXES = ("module.", "model.", "_orig_mod.", "net.", "state_dict.", "model_ema.")
_WRAPPER = "_orig_mod."
_MOST_WRAPPERS = 8
_SHOWN = 4


def load_weights(source: SourcedModel, weights: Mapping[str, torch.Tensor], path: Path) -> SourcedModel:
    """``source`` with ``weights`` in its model, and with what was missing or left over among its assumptions.

    Prefixes that DataParallel, Lightning and torch.compile put before the names are taken off, or put on, where the
    names then fit.

    Raises
    ------
    LoadError
        When no name fits, or a shape does not.
    """
    wanted = source.model.state_dict()
    fitted, how = _fit_names(weights, frozenset(wanted))
    common = [name for name in wanted if name in fitted]
    if not common:
        raise LoadError(
            f"the weights in `{path}` do not belong to `{source.name}`: not one name fits",
            note=f"the file has {_listed(weights)}; the model has {_listed(wanted)}",
            hint="name the model that was trained with `--arch`",
        )
    wrong = [
        (name, tuple(fitted[name].shape), tuple(wanted[name].shape))
        for name in common
        if not _is_lazy(wanted[name]) and fitted[name].shape != wanted[name].shape
    ]
    if wrong:
        examples = "; ".join(
            f"`{name}` is {list(saved)} in the file, {list(built)} in the model"
            for name, saved, built in wrong[:_SHOWN]
        )
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise LoadError(
            f"the weights in `{path}` have other shapes than `{source.name}`",
            note=f"{examples}{more}",
            hint=f"build it as it was trained: {_argument_hint((saved, built) for _, saved, built in wrong)}",
        )
    on_meta = any(parameter.is_meta for parameter in parameters_in(source.model))
    try:
        source.model.load_state_dict({name: fitted[name] for name in common}, strict=False, assign=on_meta)
    except Exception as error:
        raise LoadError(
            f"the weights in `{path}` cannot be put into `{source.name}`",
            note=f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}",
        ) from error
    filled = {_memory(wanted[name]) for name in common} - {None}
    missing = [name for name, tensor in wanted.items() if name not in fitted and _memory(tensor) not in filled]
    unexpected = [name for name in fitted if name not in wanted]
    said = [f"weights: {len(common)} tensors from `{path}`{how}"]
    if missing:
        said.append(f"not in the file, left as built: {_listed(missing)}")
    if unexpected:
        said.append(f"in the file but not in the model, left out: {_listed(unexpected)}")
    kept = [text for text in source.assumptions if not text.startswith("weights: none")]
    return dataclasses.replace(source, assumptions=(*kept, *said))


def _argument_hint(shapes: Iterable[tuple[tuple[int, ...], tuple[int, ...]]]) -> str:
    """Which argument the model lacks, by the shapes in the file and in the model: its value where they tell one."""
    differing = {
        (saved, built)
        for shape, other in shapes
        for saved, built in itertools.zip_longest(shape, other)
        if saved != built
    }
    if len(differing) == 1:
        saved, built = differing.pop()
        if saved is not None and built is not None:
            return f"with {saved} instead of {built}, perhaps by `--model-arg NAME={saved}`"
    return "arguments go with `--model-arg NAME=VALUE`"


def _fit_names(weights: Mapping[str, torch.Tensor], wanted: frozenset[str]) -> tuple[Mapping[str, torch.Tensor], str]:
    """The weights under the names that fit best, and which prefixes were changed for it."""
    fitted, changes = weights, list[str]()
    while True:
        best, best_count, change = fitted, _fit_count(fitted, wanted), ""
        for renamed, said in _renamings(fitted, wanted):
            count = _fit_count(renamed, wanted)
            if count > best_count:
                best, best_count, change = renamed, count, said
        if not change:
            return fitted, f" ({', '.join(changes)})" if changes else ""
        fitted = best
        changes.append(change)


def _renamings(
    weights: Mapping[str, torch.Tensor], wanted: frozenset[str]
) -> Iterable[tuple[Mapping[str, torch.Tensor], str]]:
    for prefix in _PREFIXES:
        if any(name.startswith(prefix) for name in weights):
            yield _without(weights, prefix), f"prefix `{prefix}` taken off"
        if any(name.startswith(prefix) for name in wanted):
            yield {prefix + name: tensor for name, tensor in weights.items()}, f"prefix `{prefix}` put on"
    stacked = ""
    for _ in range(_MOST_WRAPPERS):
        wrapper = _wrapper_after(stacked, weights)
        if wrapper is None:
            break
        stacked += wrapper
        yield _without(weights, stacked), f"prefix `{stacked}` taken off"
    if any(_WRAPPER in name for name in weights):
        yield {name.replace(_WRAPPER, ""): tensor for name, tensor in weights.items()}, f"`{_WRAPPER}` taken out"


def _wrapper_after(prefix: str, weights: Mapping[str, torch.Tensor]) -> str | None:
    """The wrapper's prefix that every name has after ``prefix``, where there is one."""
    if not weights:
        return None
    return next((more for more in _PREFIXES if all(name.startswith(prefix + more) for name in weights)), None)


def _without(weights: Mapping[str, torch.Tensor], prefix: str) -> Mapping[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items()}


def _fit_count(weights: Mapping[str, torch.Tensor], wanted: frozenset[str]) -> int:
    return sum(name in wanted for name in weights)


def _memory(tensor: object) -> tuple[object, ...] | None:
    """What is one and the same for tied tensors; ``None`` where there are no numbers yet."""
    if not isinstance(tensor, torch.Tensor) or _is_lazy(tensor) or tensor.is_meta or not tensor.numel():
        return None
    return tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()


def _is_lazy(tensor: torch.Tensor) -> bool:
    return torch.nn.parameter.is_lazy(tensor)


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(f"`{name}`" for name in every[:_SHOWN]) + more
