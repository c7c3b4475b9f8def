"""Trial repair: run again with a suspected cut neutralised at that very call site.

Nothing of the user's is edited: in that run ``detach()`` returns its input there, recording stays on, and so on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from torch.autograd.graph import get_gradient_edge

from gradflow.location import SiteTable, SourceSpan
from gradflow.record.conduct.whose_error import run_theirs
from gradflow.record.operations.nested import nested_tensors
from gradflow.record.seam.intervention import AS_IT_IS, Call, Instead, Intervention
from gradflow.torch_facts.operations.queries import gives_values, has
from gradflow.torch_facts.smooth_draws import with_its_derivative

__all__ = ["Repair", "RepairPlan"]

Place = tuple[str, int]
"""The name of an operation and the number of its site."""

_MANY = 10_000
"""Lists of more numbers are not rebuilt from single tensors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairPlan:
    """What to neutralise: operations by ``(name, site)``, grad-mode regions by site.

    ``followers`` are operations that come right of themselves once the others are neutralised, such as the
    multiplication by a number that ``.item()`` gave; they are helped along where that is known how. ``draws`` are
    operations that draw at random, and are given the derivative that torch takes for zero.
    """

    operations: frozenset[tuple[str, int]] = frozenset()
    followers: frozenset[tuple[str, int]] = frozenset()
    regions: frozenset[int] = frozenset()
    draws: frozenset[tuple[str, int]] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.operations or self.regions or self.draws)


class Repair(Intervention):
    """Does at the planned places what the user meant.

    ``applied`` counts how often; ``refused`` holds the names of planned operations for which it is not known how.
    ``without_history`` are the places at which numbers that could have a gradient still came out without one: planned
    ones, and those that read something which has one; ``mended`` are the nodes of what has one at planned places;
    ``left`` are those of what left torch, be it once more: a tensor in place of a number is turned into a number by
    ``math.sqrt``, and into text by an f-string.
    """

    def __init__(self, sites: SiteTable, plan: RepairPlan) -> None:
        self._sites = sites
        self.plan = plan
        self.applied = 0
        self.refused: set[str] = set()
        self.mended: dict[Place, set[Any]] = {}
        self.left: set[Any] = set()
        self._with_history: set[Place] = set()
        self._without_history: set[Place] = set()
        spans = sites.spans()
        # `with set_grad_enabled(...)` switches twice, in the call and on entering: two instructions, one line
        self._lines = frozenset(_line(spans[site]) for site in plan.regions if site >= 0)
        self._arrays: dict[int, torch.Tensor] = {}

    @property
    def without_history(self) -> frozenset[Place]:
        """Where no pass brought a history; a place in a loop may have brought one for some of its passes."""
        return frozenset(self._without_history - self._with_history)

    def _note(self, place: Place, result: Any, read: Any) -> None:
        given = [tensor for tensor in nested_tensors(result) if tensor.is_floating_point() or tensor.is_complex()]
        if any(tensor.requires_grad for tensor in given):
            self._with_history.add(place)
            if place in self.plan.operations or place in self.plan.followers:
                nodes = (get_gradient_edge(tensor).node for tensor in given if tensor.requires_grad)
                self.mended.setdefault(place, set()).update(nodes)
        elif given and (
            place in self.plan.operations
            or place in self.plan.followers
            or any(tensor.requires_grad for tensor in nested_tensors(read))
        ):
            self._without_history.add(place)

    def give_away(self, read: Any) -> None:
        """The values leave."""
        self._note_left(read)

    def _note_left(self, read: Any) -> None:
        self.left.update(get_gradient_edge(tensor).node for tensor in nested_tensors(read) if tensor.requires_grad)

    def before(self, call: Call) -> Any:
        """Neutralise the operation where it is planned."""
        place, arguments = (call.name, call.site), call.arguments
        is_planned = place in self.plan.operations
        if call.runs_modules and is_planned:
            # what `apply` of a reentrant checkpoint is given: the function, a flag, and the function's arguments
            self.applied += 1
            run, _, *given = arguments
            return Instead(lambda: run_theirs(run, tuple(given)))
        if is_planned or place in self.plan.followers:
            is_renamed = call.is_announced and call.name in ("Parameter", "Variable")
            replacement = arguments[0] if is_renamed else self._neutral(call.name, arguments, call.keywords)
            if replacement is not None and (not call.is_announced or isinstance(replacement, torch.Tensor)):
                self.applied += 1
                self._note(place, replacement, ())
                return replacement
            if is_planned:
                self.refused.add(call.name)
        elif call.name == "__deepcopy__" and not arguments[0].is_leaf:
            # it could copy what was detached; what has a history again, it would refuse
            return arguments[0].clone()
        return AS_IT_IS

    def after(self, call: Call, result: Any) -> Any:
        """Give what is drawn its derivative where that is planned, and note what has a history."""
        place = call.name, call.site
        if place in self.plan.draws and not call.is_announced and torch.is_grad_enabled():
            smooth = with_its_derivative(result, call.arguments, call.keywords)
            self.applied += smooth is not None
            result = result if smooth is None else smooth
        changed = call.writes and "out" not in call.keywords
        self._note(place, call.arguments[:1] if changed else result, call.arguments)
        if gives_values(call.name) and not call.is_announced:
            self._note_left(call.arguments)
        return result

    def keeps_recording(self, site: int) -> bool:
        """Whether the switch is a planned one."""
        is_planned = self._is_planned_region(site)
        self.applied += is_planned
        return is_planned

    def _is_planned_region(self, site: int) -> bool:
        if site in self.plan.regions:
            return True
        return site >= 0 and bool(self._lines) and _line(self._sites.span(site)) in self._lines

    def _neutral(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """What the operation should have given, with its history; ``None`` where that is not known."""
        first = args[0] if args else None
        if name == "grad" and kwargs.get("create_graph") is False:
            return torch.autograd.grad(*args, **{**kwargs, "create_graph": True})
        if isinstance(first, torch.Tensor):
            if has(name, "detaches"):
                return first
            if name == "_make_subclass":
                return first.as_subclass(args[1])
            if name == "item":
                return first.reshape(())
            if name == "tolist" and first.numel() <= _MANY:
                return _nested(first)
            if has(name, "array"):
                return self._array_of(first)
        if has(name, "imports", "from-arrays"):
            data = args[1] if name == "new_tensor" and len(args) > 1 else first
            made = self._unchanged(data) if isinstance(data, numpy.ndarray) else _stack(data)
            dtype = kwargs.get("dtype")
            return made if made is None or dtype is None else made.to(dtype)
        return None

    def _array_of(self, tensor: torch.Tensor) -> numpy.ndarray[Any, Any]:
        """An array of the tensor's values by which the tensor is found again."""
        array = tensor.detach().cpu().clone().numpy()
        self._arrays[_address(array)] = tensor
        return array

    def _unchanged(self, array: numpy.ndarray[Any, Any]) -> torch.Tensor | None:
        """The tensor that an array was made from, if NumPy has not computed anything in between."""
        tensor = self._arrays.get(_address(array))
        if tensor is None or tuple(tensor.shape) != array.shape:
            return None
        same = numpy.array_equal(array, tensor.detach().cpu().numpy(), equal_nan=True)
        return tensor.clone() if same else None


def _line(span: SourceSpan) -> tuple[str, int]:
    return span.path, span.line


def _address(array: numpy.ndarray[Any, Any]) -> int:
    return int(array.__array_interface__["data"][0])


def _nested(tensor: torch.Tensor) -> Any:
    """What ``tolist()`` gives, with tensors of one element each in place of numbers."""
    return tensor if tensor.dim() == 0 else [_nested(row) for row in tensor.unbind()]


def _stack(data: Any) -> torch.Tensor | None:
    """Nested lists of tensors and numbers as one tensor with history."""
    if isinstance(data, torch.Tensor):
        return data.clone()
    if isinstance(data, (list, tuple)) and data:
        parts = [_stack(item) for item in data]
        if any(part is None for part in parts):
            return None
        return torch.stack([part for part in parts if part is not None])
    if isinstance(data, (int, float)):
        return torch.as_tensor(data, dtype=torch.get_default_dtype())
    return None
