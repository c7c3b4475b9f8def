"""Brings together what the source code says about a layer that never ran."""

from __future__ import annotations

import torch

from gradflow.layers.names import module_named
from gradflow.location import is_installed
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.layer_view import NotCalled
from gradflow.probe.never_ran.read_weights import idle_parameters, read_without_call
from gradflow.probe.not_called import explain_not_called
from gradflow.probe.twin import explain_copy, explain_copy_of_the_run
from gradflow.recording import Recording

__all__ = ["explain_unused"]


def explain_unused(laboratory: Laboratory, recording: Recording, target: str) -> NotCalled | None:
    """Why the layer never ran, from the source of the classes above it; ``None`` for what did run."""
    if target in laboratory.parameters or recording.layer_values.get(target) or recording.unseen_calls.get(target):
        return None
    model = laboratory.workload.model
    found = (
        _inside_script(laboratory, recording, target)
        or explain_copy_of_the_run(model, recording, target)
        or read_without_call(model, recording, target)
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
    executed = recording.executed_lines
    user_files = dict.fromkeys(
        span.path for span in (*provenance.registered_at.values(), *recording.spans) if not is_installed(span.path)
    )
    explained = explain_not_called(
        owners,
        executed,
        provenance.registered_at.get(target),
        ran=_ran(recording),
        user_files=tuple(user_files),
        target_class=type(module_named(model, target)),
        idle=idle_parameters(model, recording, target),
    )
    # code that would call the layer explains more than a module that happens to be equal
    copied = None if explained.is_called_somewhere else explain_copy(model, recording, target, provenance.registered_at)
    return copied or explained


def _ran(recording: Recording) -> frozenset[str]:
    return recording.completeness.ran_unseen.union(call.module for call in recording.calls)


def _inside_script(laboratory: Laboratory, recording: Recording, target: str) -> NotCalled | None:
    """A layer inside a TorchScript module that may have run: it would run there as compiled code, unseen by hooks."""
    outer = _script_around(laboratory.workload.model, target)
    if outer is None:
        return None
    if outer and outer not in _ran(recording):
        around = explain_unused(laboratory, recording, outer)
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
