"""Whether the samples of a batch stay apart: the output of sample i has no gradient in the input of sample j."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from gradflow.checking import check_workload
from gradflow.errors import UsageError
from gradflow.layers.names import module_named
from gradflow.load.loading import workload_from_objects
from gradflow.load.module_tree import named_modules_in
from gradflow.load.scores.loss import with_loss
from gradflow.load.scores.output_tensor import choose_tensor
from gradflow.load.selector import parse_selector
from gradflow.load.workload import Workload
from gradflow.record.conduct.whose_error import is_ours, our_error, run_theirs
from gradflow.record.failure import failure_of, model_raised
from gradflow.record.state import preserved
from gradflow.render.words import number
from gradflow.report import Report
from gradflow.run_setting import recording_allowed
from gradflow.testing.asserting import assertion
from gradflow.testing.failure import GradientAssertionError
from gradflow.torch_facts.module_machinery import BATCH_NORMS
from gradflow.values import first_tensor

__all__ = ["assert_no_batch_leakage"]


@dataclass(slots=True)
class _Leak:
    sample: int
    other: int
    norm: float
    own: float


@dataclass(slots=True)
class _Call:
    """A call of a layer without layers of its own: what it was given, and what it returned."""

    layer: str
    given: torch.Tensor | None
    returned: torch.Tensor


@assertion
def assert_no_batch_leakage(model: torch.nn.Module, inputs: Any = None, *, output: str | None = None) -> Report:
    """Assert that the output for one sample does not depend on the other samples of the batch.

    Parameters
    ----------
    model
        In the mode in which it is to be tested. In train mode batch norms mix the samples, by design: test in eval
        mode, or learn here which layer it is.
    inputs
        A batch of at least two samples, along the first dimension; floating-point, or indices into an embedding.
    output
        Which part of the model's result, ``[N, ...]``, such as ``"logits"``.

    Raises
    ------
    GradientAssertionError
        When a gradient flows from one sample's output to another sample's input; names the layer where it begins.
    GradflowError
        When the check cannot be carried out.
    """
    workload = with_loss(workload_from_objects(model, inputs), None, output)
    with _run(workload, output) as (source, result, calls):
        leak = _leak(result, source)
        culprit = _first_mixed(calls, source) if leak is not None else None
    report = check_workload(workload, [culprit.layer] if culprit is not None else ["auto"])
    if leak is None:
        return report
    share = f", {leak.norm / leak.own:.1%} of that to its own" if leak.own else ""
    reason = (
        f"the output of sample {leak.sample} has a gradient in the input of sample {leak.other} "
        f"(L2 norm {number(leak.norm)}{share})"
    )
    if culprit is None:
        raise GradientAssertionError(f"{reason}: the code after the last layer mixes samples", report)
    module = module_named(model, culprit.layer)
    named = f"`{culprit.layer}` ({type(module).__name__})"
    if _leaks(culprit.given, source):
        raise GradientAssertionError(f"{reason}: the code before {named} mixes samples", report)
    raise GradientAssertionError(
        f"{reason}: {named} is the first layer that mixes samples", report, detail=_explanation(module)
    )


def _explanation(module: torch.nn.Module) -> str:
    if not isinstance(module, BATCH_NORMS):
        return ""
    why = "it is in train mode" if module.training else "it tracks no running statistics"
    return (
        f"note: a batch norm normalises with the mean and variance of the whole batch, because {why}; "
        "every sample then depends on all others, which is how it is meant to train\n"
        "help: test with `model.eval()`, or use `GroupNorm` or `LayerNorm` where samples must stay apart"
    )


@contextlib.contextmanager
def _run(workload: Workload, output: str | None) -> Iterator[tuple[torch.Tensor, torch.Tensor, list[_Call]]]:
    """The batch as a leaf that requires grad, the output, and the calls of the innermost layers in order."""
    calls: list[_Call] = []
    given: list[torch.Tensor | None] = []
    sources: list[torch.Tensor] = []
    arguments = (*workload.inputs, *workload.keyword_inputs.values())
    with recording_allowed(workload), preserved(workload.model, arguments) as keeper, contextlib.ExitStack() as hooks:
        entered, found = _entered(workload)
        sources += found

        def enter(value: Any) -> None:
            tensor = first_tensor(value)
            # clones: later in-place operations must not change what a layer got and gave
            given.append(None if tensor is None else tensor.clone())

        def keep(name: str, value: Any) -> Any:
            tensor = first_tensor(value)
            before = given.pop()
            if tensor is None or not tensor.is_floating_point():
                return None
            if not sources and isinstance(module_named(workload.model, name), torch.nn.Embedding):
                leaf = tensor.detach().clone().requires_grad_(True)
                sources.append(leaf)
                return leaf
            calls.append(_Call(name, before, tensor.clone()))
            return None

        for name, module in named_modules_in(workload.model):
            if name and not any(module.children()):
                hooks.callback(module.register_forward_pre_hook(lambda _module, value: enter(value)).remove)
                # also after a call that raises and is caught: what it was given is not the next one's
                hook = module.register_forward_hook(
                    lambda _module, _inputs, value, name=name: keep(name, value), always_call=True
                )
                hooks.callback(hook.remove)
        for value in arguments:
            keeper.before_write(value)
        try:
            with keeper.noting():
                result = entered.run_model(run_theirs)
        except Exception as error:
            raise (our_error(error) if is_ours(error) else model_raised(failure_of(error))) from error
        selected = parse_selector(output).of(result)[0] if output else result
        tensor, _ = choose_tensor(selected, "output")
        if not sources:
            raise UsageError("no input that could have a gradient", hint="give a batch of floating-point numbers")
        count = sources[0].shape[0] if sources[0].dim() else 0
        if count < 2 or not tensor.dim() or tensor.shape[0] != count:
            raise UsageError(
                f"a batch of two or more samples is needed, and an output for each: the input has the shape "
                f"{list(sources[0].shape)}, the output {list(tensor.shape)}"
            )
        yield sources[0], tensor, calls


def _entered(workload: Workload) -> tuple[Workload, list[torch.Tensor]]:
    """The workload with its first floating-point input as a leaf that requires grad."""
    found: list[torch.Tensor] = []

    def enter(value: Any) -> Any:
        if found or not isinstance(value, torch.Tensor) or not value.is_floating_point():
            return value
        found.append(value.detach().clone().requires_grad_(True))
        # in-place operations may not write to a leaf
        return found[0].clone()

    entered = replace(
        workload,
        inputs=tuple(map(enter, workload.inputs)),
        keyword_inputs={name: enter(value) for name, value in workload.keyword_inputs.items()},
    )
    return entered, found


def _leak(result: torch.Tensor, source: torch.Tensor) -> _Leak | None:
    """The largest gradient from one sample of ``result`` to another sample of ``source``; ``None`` without any."""
    if not result.requires_grad:
        return None
    weights = torch.randn(result[0].shape, generator=torch.Generator().manual_seed(0)).to(result)
    worst: _Leak | None = None
    for sample in range(result.shape[0]):
        (gradient,) = torch.autograd.grad(
            (result[sample] * weights).sum(), source, retain_graph=True, allow_unused=True
        )
        if gradient is None:
            continue
        norms = gradient.reshape(len(gradient), -1).norm(dim=1)
        own = float(norms[sample])
        norms[sample] = 0.0
        other = int(norms.argmax())
        if float(norms[other]) > 0.0 and (worst is None or float(norms[other]) > worst.norm):
            worst = _Leak(sample, other, float(norms[other]), own)
    return worst


def _first_mixed(calls: list[_Call], source: torch.Tensor) -> _Call | None:
    return next((call for call in calls if _leaks(call.returned, source)), None)


def _leaks(tensor: torch.Tensor | None, source: torch.Tensor) -> bool:
    if tensor is None or not tensor.dim() or tensor.shape[0] != source.shape[0]:
        return False
    return _leak(tensor, source) is not None
