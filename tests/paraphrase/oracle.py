"""What torch itself does in a program, without gradflow: what a paraphrase must leave as it is.

Compared are what is printed, the type of an exception, values of scores, and of each gradient whether there is one,
and its size. A paraphrase that changes one of these is no paraphrase of this program and does not count.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import io
import math
import re
import runpy
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.paraphrase.program import Program

ADDED = "layers_in_front"  # how attributes begin that a paraphrase adds
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_TOLERANCE = 1e-3  # printed numbers are rounded, and another spelling of an operation may round otherwise
_GUESSES: tuple[Callable[[], Tensor], ...] = (
    lambda: torch.linspace(-1, 1, 1536).reshape(2, 3, 16, 16),
    lambda: torch.arange(8).reshape(2, 4),
    lambda: torch.linspace(-1, 1, 32).reshape(2, 16),
)

Size = float | None  # the norm of a tensor; None where there is no gradient


@dataclass
class Facts:
    """What a run showed, in the order in which it happened; `leaves` in no order."""

    raised: str = ""
    printed: str = ""
    values: list[Size] = field(default_factory=list)
    leaves: list[Size] = field(default_factory=list)

    def agree(self, other: Facts, *, may_have_more_leaves: bool = False) -> bool:
        """Whether `other` shows the same."""
        if self.raised != other.raised or not _prints_alike(self.printed, other.printed):
            return False
        if len(self.values) != len(other.values) or not all(map(_close, self.values, other.values)):
            return False
        return _all_found(self.leaves, other.leaves, exactly=not may_have_more_leaves)


def plain_facts(program: Program, folder: Path) -> Facts:
    """Run the program by itself. Meant for a process of its own."""
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    path = folder / program.file
    facts = Facts()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            if program.question.kind == "script":
                with _backwards_noted(facts):
                    runpy.run_path(str(path), run_name="__main__")
            else:
                _run_model(program, _module_of(path), facts)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - which one is what is compared
            facts.raised = type(error).__name__
    facts.printed = printed.getvalue()
    return facts


def _module_of(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _run_model(program: Program, module: Any, facts: Facts) -> None:
    """One forward pass and the gradients of its score for the layer's outputs and for every parameter."""
    question = program.question
    model: nn.Module = getattr(module, question.model)()
    inputs = module.example_input() if question.kind == "model" else _guess(model)
    outputs: list[Tensor] = []
    if question.layer:
        layer = model.get_submodule(question.layer)
        layer.register_forward_hook(lambda _module, _inputs, output: outputs.extend(tensors_in(output)))
    added = [each for name, each in model.named_modules() if name.rpartition(".")[2] == ADDED]
    ran: list[str] = []
    for each in added:
        each.register_forward_hook(lambda *_: ran.append(ADDED))
    torch.manual_seed(1)
    result = (
        model(**inputs) if isinstance(inputs, dict) else model(*(inputs if isinstance(inputs, tuple) else (inputs,)))
    )
    if question.kind == "audit" and added and not ran:
        raise TypeError("the added layers take no such input: an audit is right to call them unused")
    score = module.score(result) if question.has_score else sum(map(_weighted_sum, tensors_in(result)))
    facts.values.append(_size(score))
    facts.values.extend(_size(each) for each in tensors_in(result))
    wanted = [each for each in outputs if each.requires_grad]
    parameters = [each for name, each in model.named_parameters() if ADDED not in name]
    learning = [each for each in parameters if each.requires_grad]
    gradients: list[Tensor | None] = [None] * len(wanted + learning)
    if isinstance(score, Tensor) and score.requires_grad and gradients:
        # by a backward: what a reentrant checkpoint runs again in it, `torch.autograd.grad` does not reach
        for each in wanted + learning:
            each.grad = None
            each.retain_grad()
        score.backward()
        gradients = [each.grad for each in wanted + learning]
    facts.values.extend([float(len(outputs)), float(len(wanted)), float(len(learning))])
    facts.values.extend(map(_size, gradients))


def _guess(model: nn.Module) -> Any:
    """The first of some usual inputs that the model takes."""
    for make in _GUESSES:
        with contextlib.suppress(Exception), torch.no_grad():
            model(make())
            return make()
    raise TypeError("none of the usual inputs fits")


@contextlib.contextmanager
def _backwards_noted(facts: Facts) -> Iterator[None]:
    """Note what every backward pass gave: `torch.autograd.backward`, which `Tensor.backward` calls, and `grad`."""
    plain_backward, plain_grad = torch.autograd.backward, torch.autograd.grad

    def backward(tensors: Any, *arguments: Any, **options: Any) -> None:
        leaves = list(_leaves_below(tensors))
        plain_backward(tensors, *arguments, **options)
        facts.values.extend(_size(each) for each in tensors_in(tensors))
        facts.leaves.extend(_size(leaf.grad) for leaf in leaves)

    def grad(outputs: Any, inputs: Any, *arguments: Any, **options: Any) -> tuple[Tensor, ...]:
        result = plain_grad(outputs, inputs, *arguments, **options)
        facts.values.extend(_size(each) for each in (*tensors_in(outputs), *result))
        return result

    torch.autograd.backward, torch.autograd.grad = backward, grad  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.autograd.backward, torch.autograd.grad = plain_backward, plain_grad


def _leaves_below(tensors: Any) -> Iterator[Tensor]:
    waiting = [each.grad_fn for each in tensors_in(tensors)]
    seen = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        waiting.extend(following for following, _ in node.next_functions)


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors in nested containers, in their order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if dataclasses.is_dataclass(value):
        value = [getattr(value, each.name) for each in dataclasses.fields(value)]
    entries: Iterable[Any] = value if isinstance(value, list | tuple) else ()
    return [tensor for entry in entries for tensor in tensors_in(entry)]


def _weighted_sum(tensor: Tensor) -> Tensor:
    """A sum in which no entry stands for another: that of a softmax, by itself, never changes."""
    flat = tensor.to_dense().reshape(-1) if tensor.layout != torch.strided else tensor.reshape(-1)
    return (flat * torch.linspace(1, 2, flat.numel(), dtype=torch.float64)).abs().sum()


def _size(value: Any) -> Size:
    if value is None:
        return None
    if not isinstance(value, Tensor):
        return float(value)
    dense = value.detach().to_dense() if value.layout != torch.strided else value.detach()
    if dense.numel() and dense.dtype != torch.bool:
        # weighted, so that a permutation shows
        dense = dense.reshape(-1).to(torch.complex128 if dense.is_complex() else torch.float64)
        return float((dense * torch.linspace(1, 2, dense.numel(), dtype=torch.float64)).abs().square().sum().sqrt())
    return float(dense.sum())


def _close(one: Size, other: Size) -> bool:
    if one is None or other is None:
        return one is other
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    # a zero is a fact, however small the other number
    return (one == 0) == (other == 0) and math.isclose(one, other, rel_tol=_TOLERANCE)


def _prints_alike(one: str, other: str) -> bool:
    if _NUMBER.sub("#", one) != _NUMBER.sub("#", other):
        return False
    numbers = ([float(each) for each in _NUMBER.findall(text)] for text in (one, other))
    return all(
        math.isclose(first, second, rel_tol=_TOLERANCE, abs_tol=1e-6) for first, second in zip(*numbers, strict=True)
    )


def _all_found(sizes: list[Size], others: list[Size], *, exactly: bool) -> bool:
    if exactly and len(sizes) != len(others):
        return False
    remaining = list(others)
    for size in sizes:
        found = next((number for number, other in enumerate(remaining) if _close(size, other)), None)
        if found is None:
            return False
        del remaining[found]
    return True
