"""Brings together what the source code says about a layer that never ran."""

from __future__ import annotations

from gradflow.location import is_installed
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.layer_view import NotCalled
from gradflow.probe.not_called import explain_not_called
from gradflow.trace.data import Trace

__all__ = ["explain_unused"]


def explain_unused(laboratory: Laboratory, trace: Trace, target: str) -> NotCalled | None:
    """Why the layer never ran, from the source of the classes above it; ``None`` for what did run."""
    if target in laboratory.parameters or trace.layer_values.get(target):
        return None
    bypass = _bypass(trace, target)
    if bypass is not None:
        return bypass
    model = laboratory.workload.model
    owners: list[tuple[str, type, str]] = []
    name = target
    while name:
        parent, _, attribute = name.rpartition(".")
        owners.append((parent, type(model.get_submodule(parent)), attribute))
        name = parent
    if not owners:
        return None
    provenance = laboratory.workload.provenance
    executed = frozenset((span.path, span.line) for span in trace.spans)
    user_files = dict.fromkeys(
        span.path for span in (*provenance.registered_at.values(), *trace.spans) if not is_installed(span.path)
    )
    return explain_not_called(
        owners,
        executed,
        provenance.registered_at.get(target),
        ran=frozenset(call.module for call in trace.calls),
        user_files=tuple(user_files),
    )


def _bypass(trace: Trace, target: str) -> NotCalled | None:
    """An operation that read the layer's own parameters although the layer was not called."""
    columns = trace.operations
    called = trace.calls_by_module
    for operation in range(len(trace)):
        for value in trace.inputs_of(operation):
            role, name = trace.leaf_names.get(value, ("", ""))
            owner = name.rpartition(".")[0]
            # a sub-module that was called read its own parameters: then the layer's forward was called directly
            if role == "parameter" and f"{owner}.".startswith(f"{target}.") and owner not in called:
                call = columns.call[operation]
                caller = f"`{trace.calls[call].module or 'the model'}`" if call >= 0 else "the model"
                return NotCalled(
                    kind="functional-bypass",
                    location=trace.span_of(operation),
                    label=f"`{trace.name_of(operation)}` reads `{name}` here",
                    note=f"{caller} uses the weights of `{target}` without calling it, so hooks on it never fire",
                    help=f"ask for {caller} itself, or for the parameter: `--param {name}`",
                    subject=target,
                )
    return None
