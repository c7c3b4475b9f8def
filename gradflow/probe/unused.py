"""Brings together what the source code says about a layer that never ran."""

from __future__ import annotations

import torch

from gradflow.graph.dependence import analyse
from gradflow.load.layers import module_named
from gradflow.load.module_tree import named_parameters_in
from gradflow.location import SourceSpan, is_installed
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.layer_view import NotCalled
from gradflow.probe.not_called import explain_not_called
from gradflow.probe.twin import explain_copy, explain_copy_of_the_run
from gradflow.spelled import Spelled
from gradflow.trace.data import Trace

__all__ = ["explain_unused"]


def explain_unused(laboratory: Laboratory, trace: Trace, target: str) -> NotCalled | None:
    """Why the layer never ran, from the source of the classes above it; ``None`` for what did run."""
    if target in laboratory.parameters or trace.layer_values.get(target) or trace.unseen_calls.get(target):
        return None
    model = laboratory.workload.model
    found = (
        _inside_script(laboratory, trace, target)
        or explain_copy_of_the_run(model, trace, target)
        or _bypass(model, trace, target)
    )
    if found is not None:
        return found
    owners: list[tuple[str, type, str]] = []
    name = target
    while name:
        parent, _, attribute = name.rpartition(".")
        owners.append((parent, type(module_named(model, parent)), attribute))
        name = parent
    if not owners:
        return None
    provenance = laboratory.workload.provenance
    executed = trace.executed_lines
    user_files = dict.fromkeys(
        span.path for span in (*provenance.registered_at.values(), *trace.spans) if not is_installed(span.path)
    )
    explained = explain_not_called(
        owners,
        executed,
        provenance.registered_at.get(target),
        ran=_ran(trace),
        user_files=tuple(user_files),
        target_class=type(module_named(model, target)),
    )
    # code that would call the layer explains more than a module that happens to be equal
    copied = None if explained.is_called_somewhere else explain_copy(model, trace, target, provenance.registered_at)
    return copied or explained


def _ran(trace: Trace) -> frozenset[str]:
    return trace.ran_unseen.union(call.module for call in trace.calls)


def _bypass(model: torch.nn.Module, trace: Trace, target: str) -> NotCalled | None:
    """An operation that read the layer's own parameters for the score although the layer was not called."""
    columns = trace.operations
    called = trace.calls_by_module
    shared = _shared_parameters(model, target)
    used = analyse(trace, ()).reaches
    for operation in range(len(trace)):
        for value in trace.inputs_of(operation):
            role, name = trace.leaf_names.get(value, ("", ""))
            name, sharing = shared.get(name, (name, ()))
            owner = name.rpartition(".")[0]
            call = columns.call[operation]
            module = trace.calls[call].module if call >= 0 else ""
            # a sub-module that was called read its own parameters: then the layer's forward was called directly
            is_own = role == "parameter" and f"{owner}.".startswith(f"{target}.") and owner not in called
            if is_own and module not in sharing and any(used[made] for made in trace.outputs_of(operation)):
                caller = f"`{module}`" if module else "the model"
                otherwise = f"or for the whole of {caller}" if module else "or call the layer itself"
                used = _meets_data(trace, operation)
                place, read_at = trace.span_of(used), trace.span_of(operation)
                verb = "reads" if used == operation else "uses"
                note = f"{caller} uses the weights of `{target}` without calling it, so hooks on it never fire"
                if sharing:
                    note += f"; `{name}` is shared with `{sharing[0]}`"
                if place is not None and read_at is not None and _line(read_at) != _line(place):
                    note += f"; they are read on line {read_at.line}"
                return NotCalled(
                    kind="functional-bypass",
                    location=place,
                    label=f"`{trace.name_of(used)}` {verb} `{name}` here",
                    note=note,
                    help=_ask_for(name, otherwise),
                    subject=target,
                )
    return None


def _ask_for(name: str, otherwise: str) -> str:
    ask = "ask for the parameter"
    return Spelled(f"{ask}: `--param {name}`, {otherwise}", in_python=f"{ask}: `parameter={name!r}`, {otherwise}")


def _line(span: SourceSpan) -> tuple[str, int]:
    return span.path, span.line


def _shared_parameters(model: torch.nn.Module, target: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """The layer's parameters that others have, too: from their first name to their name here, and the other owners."""
    names: dict[int, list[str]] = {}
    for name, parameter in named_parameters_in(model, remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    found = {}
    for first, *others in names.values():
        here = next((name for name in (first, *others) if name.startswith(f"{target}.")), None)
        if here is not None and others:
            found[first] = here, tuple(name.rpartition(".")[0] for name in (first, *others) if name != here)
    return found


def _meets_data(trace: Trace, reader: int) -> int:
    """The operation at which what was read from a weight meets the data, as ``linear(x, w - w.mean())``.

    The layer's own work is done there; what comes before only prepares the weight.
    """
    data = {value for value, (role, _) in trace.leaf_names.items() if role == "input"}
    prepared: set[int] = set()
    for operation in range(len(trace)):
        inputs = set(trace.inputs_of(operation))
        from_weight = operation == reader or not prepared.isdisjoint(inputs)
        if not data.isdisjoint(inputs):
            if from_weight:
                return operation
            data.update(trace.outputs_of(operation))
        elif from_weight:
            prepared.update(trace.outputs_of(operation))
    return reader


def _inside_script(laboratory: Laboratory, trace: Trace, target: str) -> NotCalled | None:
    """A layer inside a TorchScript module that may have run: it would run there as compiled code, unseen by hooks."""
    outer = _script_around(laboratory.workload.model, target)
    if outer is None:
        return None
    if outer and outer not in _ran(trace):
        around = explain_unused(laboratory, trace, outer)
        if around is not None and around.kind == "layer-not-called":
            return None
    return NotCalled(
        kind="compiled-hooks",
        location=laboratory.workload.provenance.registered_at.get(outer),
        label=f"`{outer or 'the model'}` runs as compiled TorchScript from here",
        note="no Python runs inside TorchScript: hooks on layers in it never fire",
        help=f"ask for `{outer}` itself, or keep it a plain module while gradients are looked at"
        if outer
        else "load the model as a plain module while gradients are looked at",
        subject=outer,
    )


def _script_around(model: torch.nn.Module, target: str) -> str | None:
    """The outermost TorchScript module around a layer, by its qualified name; ``None`` where there is none."""
    parts = target.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts)))
    return next((name for name in names if isinstance(module_named(model, name), torch.jit.ScriptModule)), None)
