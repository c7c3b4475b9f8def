"""The scalar that an audit differentiates: the user's own loss, or all outputs of the model together."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from gradflow.errors import ScoreError, UsageError
from gradflow.load.scores.choice import Choice, is_real_valued
from gradflow.load.scores.output_tensor import choose_tensor
from gradflow.load.scores.parts import Walk
from gradflow.load.scores.score_function import call_score_function, span_of_score
from gradflow.load.selector import Selector, parse_selector
from gradflow.load.workload import Objective, Workload
from gradflow.spelled import Spelled
from gradflow.torch_facts.function_modes import unseen
from gradflow.values import is_tensor

__all__ = ["with_loss"]

_SEED = 0

_CALLED_WITH_OUTPUT = (
    "it is called with the model's output alone; one that needs a target takes it along, as in "
    "`def loss(output): return criterion(output, target)`"
)


def with_loss(workload: Workload, loss: Callable[..., Any] | None = None, output: str | None = None) -> Workload:
    """The workload with a training loss in the place of its score.

    Parameters
    ----------
    workload
        What is to be audited.
    loss
        ``loss(output)`` or ``loss(output, batch)``, returning a tensor with one element; ``batch`` is what the model
        was given: its only argument, the tuple of its arguments, or the dictionary of its keyword arguments. Without
        it, the sum of all floating-point entries that the model returns, each with a fixed random weight: a plain sum
        would miss what a normalised output cannot change, such as the sum of a softmax.
    output
        A selector for the part of the model's result that is used, such as ``"logits"``.

    Raises
    ------
    UsageError
        When ``loss`` is not a function of one or two arguments.
    """
    selector = parse_selector(output) if output else None
    if loss is None:
        choice = Choice()
        said = partial(_said_of_default, choice)
        return replace(workload, objective=Objective(compute=_all_outputs(selector, choice), choice=choice, said=said))
    if not callable(loss):
        raise UsageError(f"the loss is a `{type(loss).__name__}`, not a function")
    takes_batch = _takes_batch(loss)
    batch = _batch(workload.inputs, workload.keyword_inputs)
    name = getattr(loss, "__name__", type(loss).__name__)

    def of_result(result: Any) -> Any:
        return loss(result, batch) if takes_batch else loss(result)

    of_result.__name__ = "loss" if name == "<lambda>" else name

    def compute(result: Any) -> tuple[torch.Tensor, str, int | None]:
        selected = selector.of(result)[0] if selector else result
        hint = "" if takes_batch else _CALLED_WITH_OUTPUT
        value, description = call_score_function(of_result, selected, kind="loss", hint=hint)
        return value, description.replace("(output)", "(output, batch)") if takes_batch else description, None

    return replace(workload, objective=Objective(compute=compute, span=span_of_score(loss)))


def _said_of_default(choice: Choice) -> tuple[str, ...]:
    where, dimensions = choice.taken
    if dimensions == 0:
        what = f"`{where}`, a single number"
    else:
        which = "output with a gradient history" if choice.left_out else "output"
        what = f"every entry of every {which} counts, with fixed random weights"
    said = Spelled(
        f"loss: {what} (`--loss` for a loss of your own)", in_python=f"loss: {what} (`loss` for one of your own)"
    )
    return (said, *choice.said_of_left_out("loss"))


def _takes_batch(loss: Callable[..., Any]) -> bool:
    """Whether the function wants a second argument; one with a default value for it does not."""
    try:
        parameters = inspect.signature(loss).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    required = [one for one in positional if one.default is one.empty]
    if len(required) > 2:
        names = ", ".join(one.name for one in required)
        raise UsageError(
            f"the loss wants {len(required)} arguments ({names}); it is called with one or two",
            note="`loss(output)`, or `loss(output, batch)` where `batch` is what the model was given",
            hint="wrap it: `def loss(output, batch): return criterion(output, batch[1], ...)`",
        )
    return len(required) == 2


def _batch(inputs: tuple[Any, ...], keyword_inputs: Mapping[str, Any]) -> Any:
    if keyword_inputs:
        return dict(keyword_inputs) if not inputs else (*inputs, dict(keyword_inputs))
    return inputs[0] if len(inputs) == 1 else inputs


def _all_outputs(selector: Selector | None, choice: Choice) -> Callable[[Any], tuple[torch.Tensor, str, int | None]]:
    def compute(result: Any) -> tuple[torch.Tensor, str, int | None]:
        selected, path = selector.of(result) if selector else (result, "output")
        found = list(Walk(lambda value, _: is_tensor(value)).through(selected, path))
        tensors = [(tensor, where) for tensor, where in choice.of(found) if is_real_valued(tensor)]
        if not tensors:
            tensor, where = choose_tensor(selected, path)  # says what is wrong where there is no tensor at all
            if not _is_differentiable(tensor):
                raise ScoreError(
                    f"`{where}` holds whole numbers ({str(tensor.dtype).removeprefix('torch.')}): no loss can be made",
                    hint=Spelled(
                        "give a loss of your own: `--loss file.py:function`",
                        in_python="give a loss of your own: `loss=function`",
                    ),
                )
            tensors = [(tensor, where)]
        if len(tensors) == 1 and tensors[0][0].numel() == 1:
            choice.taken = tensors[0][1], 0
            return tensors[0][0].reshape(()), tensors[0][1], None
        choice.taken = "", -1
        total = torch.stack([_weighted_sum(tensor, number) for number, (tensor, _) in enumerate(tensors)]).sum()
        return total, f"a weighted sum of {_named(tensors, choice)}", None

    return compute


def _named(tensors: Sequence[tuple[torch.Tensor, str]], choice: Choice) -> str:
    if len(tensors) == 1:
        return f"`{tensors[0][1]}`"
    return (
        f"{len(tensors)} of {len(tensors) + len(choice.left_out)} outputs"
        if choice.left_out
        else f"all {len(tensors)} outputs"
    )


def _is_differentiable(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _weighted_sum(tensor: torch.Tensor, number: int) -> torch.Tensor:
    """The sum with normally distributed weights, scaled so that the size of the output does not matter."""
    if tensor.is_nested:
        # the entries that there are, in a row
        is_jagged = tensor.layout == torch.jagged
        tensor = tensor.values() if is_jagged else torch.cat([part.flatten() for part in tensor.unbind()])
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    with unseen(), torch.no_grad():
        generator = torch.Generator().manual_seed(_SEED + number)
        count = tensor.numel()
        weights = torch.randn(count, generator=generator).div_(count**0.5).reshape(tensor.shape)
        weights = weights.to(device=tensor.device, dtype=tensor.dtype)
    return (tensor * weights).sum().to(torch.promote_types(tensor.dtype, torch.float32))
