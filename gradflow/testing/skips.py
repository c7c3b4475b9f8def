"""Whether the skip connection of a block carries gradient: its share of what comes back to the block's input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from gradflow.checking import check_workload
from gradflow.errors import UsageError
from gradflow.graph.elements import Branch, BranchPath
from gradflow.layers.names import resolve_layers
from gradflow.load.loading import workload_from_objects
from gradflow.load.module_tree import named_modules_in
from gradflow.load.workload import Workload
from gradflow.probe.laboratory import Laboratory
from gradflow.record.failure import model_raised
from gradflow.record.state import preserved
from gradflow.report import Report
from gradflow.run_setting import recording_allowed
from gradflow.source_place import place
from gradflow.testing.asserting import assertion
from gradflow.testing.failure import GradientAssertionError, failing, reason_of
from gradflow.torch_facts.modes import is_in_train_mode

__all__ = ["assert_skip_carries_gradient", "first_layer", "require_skips"]

_ENTRY = "input"
"""Name of the layer that the model's input passes where no layer comes before the block."""


@assertion
def assert_skip_carries_gradient(
    model: torch.nn.Module,
    block: str | Sequence[str],
    inputs: Any = None,
    *,
    at_least: float = 0.05,
    target: int | str | None = None,
    score: Callable[[Any], Any] | None = None,
    output: str | None = None,
) -> Report:
    """Assert that the skip connection of each block brings back a fair share of the gradient.

    With ``g_s`` the gradient that comes back to the fork along the skip, and ``g`` all that comes back, the share is
    ``<g_s, g> / ||g||^2``; the shares of all ways sum to 1.

    Parameters
    ----------
    block
        Qualified names or globs of modules that hold a skip; ``""`` for the model itself.
    at_least
        The smallest share that passes.
    model, inputs, target, score, output
        As for :func:`gradflow.check`.

    Raises
    ------
    GradientAssertionError
        When a block has no skip, or its skip is cut, or carries less than ``at_least``.
    GradflowError
        When the check cannot be carried out.
    """
    return require_skips(
        workload_from_objects(model, inputs, target=target, score=score, output=output), block, at_least
    )


def require_skips(workload: Workload, block: str | Sequence[str], at_least: float = 0.05) -> Report:
    """Check a loaded workload and raise unless the skip of each block carries gradient."""
    patterns = [block] if isinstance(block, str) else list(block)
    blocks = list(resolve_layers(workload.model, patterns, model_name=workload.model_name))
    report: Report | None = None
    for name, candidate in _before(workload, blocks):
        report = check_workload(candidate, [name])
        missing = [one for one in blocks if not _skips(report, one)]
        if not missing:
            break
    if report is None:
        raise UsageError(
            "nothing that could carry a gradient comes before the block",
            hint="give an input of floating-point numbers, or test a block further in",
        )
    if missing and report.flow.omitted_count:
        raise UsageError(
            f"whether `{missing[0]}` has a skip connection is not determined",
            note="the run is too long for all of its branches to be kept",
            hint="test a part of the model that holds the block",
        )
    if missing:
        raise GradientAssertionError(f"no skip connection was found in `{missing[0]}`", report)
    for one in blocks:
        for branch, path in _skips(report, one):
            _require_share(report, one, branch, path, at_least)
    return report


def _require_share(report: Report, block: str, branch: Branch, path: BranchPath, at_least: float) -> None:
    where = f" at {place(branch.span)}" if branch.span is not None else ""
    if not path.carries_gradient:
        cuts = [one for one in failing(report.diagnostics) if not one.module or not block or _within(one.module, block)]
        reason = reason_of(cuts[0]) if cuts else f"the skip of `{block}`{where} carries no gradient"
        raise GradientAssertionError(reason, report, diagnostic=cuts[0] if cuts else None)
    if path.gradient_share is None:
        raise UsageError(
            f"how much gradient the skip of `{block}` carries was not measured",
            note="branches are measured in runs of at most 5,000 operations, and where a gradient arrives",
        )
    if path.gradient_share < at_least:
        raise GradientAssertionError(
            f"the skip of `{block}`{where} carries {100 * path.gradient_share:.2g}% of the gradient, "
            f"and {100 * at_least:.2g}% should come back on it",
            report,
        )


def _skips(report: Report, block: str) -> list[tuple[Branch, BranchPath]]:
    """The skips whose join lies in a block, each with its own short way."""
    flow = report.flow
    found = []
    for branch in flow.branches:
        if branch.kind.endswith("skip") and _within(flow[branch.join].module, block):
            path = min(branch.paths, key=lambda path: (not path.is_identity, len(path.nodes)))
            found.append((branch, path))
    # a long skip over the whole block tells nothing about the block's own
    short = [entry for entry in found if entry[0].kind != "long skip"]
    return short or found


def _within(module: str, block: str) -> bool:
    return not block or module == block or module.startswith(f"{block}.")


def _before(workload: Workload, blocks: Sequence[str]) -> Iterator[tuple[str, Workload]]:
    """Layers that may lie upstream of all blocks, the likeliest first; at last, the model's own input."""
    names = _finished_before(workload, blocks)
    for name in dict.fromkeys((*names[:1], *names[-1:])):
        yield name, workload
    if any(isinstance(value, torch.Tensor) and value.is_floating_point() for value in workload.inputs):
        entered = _Entered(workload.model)
        yield entered.entry_name, replace(workload, model=entered)


def first_layer(workload: Workload) -> str | None:
    """The first layer that gives floating-point numbers, from which nearly all of a model can be seen."""
    return next(iter(_finished_before(workload, ())), None)


def _finished_before(workload: Workload, blocks: Sequence[str]) -> list[str]:
    """Modules that had ended, with floating-point numbers, before the first of the blocks began; all without blocks."""
    inputs = (*workload.inputs, *workload.keyword_inputs.values())
    with recording_allowed(workload), preserved(workload.model, inputs) as keeper:
        run = Laboratory(workload, keeper, {}, {}).forward()
    if run.failure is not None:
        raise model_raised(run.failure)
    recording = run.recording
    starts = [calls[0].first_operation for name in blocks if (calls := recording.calls_by_module.get(name))]
    if blocks and not starts:
        raise UsageError(f"`{blocks[0]}` does not run with this input")
    ended = [
        call
        for call in recording.calls
        if call.first_operation < call.end_operation <= min(starts, default=len(recording))
        and call.outputs
        and "float" in recording.dtype_of(call.outputs[0])
    ]
    known = dict(named_modules_in(workload.model))
    return [call.module for call in sorted(ended, key=lambda call: call.end_operation) if call.module in known]


class _Entered(torch.nn.Module):
    """A model whose first floating-point argument passes a layer, so that a gradient can be asked for there."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.training = is_in_train_mode(model) or False
        # not as children: every name in the report stays as the user knows it
        for name, child in model.named_children():
            self.add_module(name, child)
        self.__dict__["model"] = model
        self.entry_name = _ENTRY
        while hasattr(model, self.entry_name):
            self.entry_name += "_"
        self.add_module(self.entry_name, torch.nn.Identity().train(self.training))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        place = next(i for i, value in enumerate(args) if isinstance(value, torch.Tensor) and value.is_floating_point())
        with torch.enable_grad():
            entered = self.get_submodule(self.entry_name)(args[place].detach().requires_grad_(True))
        return self.__dict__["model"](*args[:place], entered, *args[place + 1 :], **kwargs)
