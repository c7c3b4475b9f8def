"""What the record says of the weights of a layer that was not called: who reads them, and whether for anything."""

from __future__ import annotations

import torch

from gradflow.graph.dependence import analyse
from gradflow.graph.ways_to_score import upstream_of
from gradflow.load.module_tree import named_parameters_in
from gradflow.location import SourceSpan
from gradflow.probe.layer_view import NotCalled
from gradflow.recording import Recording
from gradflow.spelled import Spelled

__all__ = ["idle_parameters", "read_without_call"]


def read_without_call(model: torch.nn.Module, recording: Recording, target: str) -> NotCalled | None:
    """An operation that read the layer's own parameters for the score although the layer was not called."""
    columns = recording.operations
    called = recording.calls_by_module
    shared = _shared_parameters(model, target)
    counts = _used_values(recording)
    for operation in range(len(recording)):
        for value in recording.inputs_of(operation):
            role, name = recording.leaf_names.get(value, ("", ""))
            name, sharing = shared.get(name, (name, ()))
            owner = name.rpartition(".")[0]
            call = columns.call[operation]
            innermost = recording.calls[call].module if call >= 0 else ""
            # a sub-module that was called read its own parameters: then the layer's forward was called directly
            is_own = role == "parameter" and f"{owner}.".startswith(f"{target}.") and owner not in called
            if is_own and innermost not in sharing and any(counts[made] for made in recording.outputs_of(operation)):
                module, is_handed = _reader(recording, call, target)
                caller = f"`{module}`" if module else "the model"
                otherwise = f"or for the whole of {caller}" if module else "or call the layer itself"
                used = operation if is_handed else _meets_data(recording, operation)
                place, read_at = recording.span_of(used), recording.span_of(operation)
                verb = "reads" if used == operation else "uses"
                note = f"{caller} uses the weights of `{target}` without calling it, so hooks on it never fire"
                if sharing:
                    note += f"; `{name}` is shared with `{sharing[0]}`"
                if place is not None and read_at is not None and _line(read_at) != _line(place):
                    note += f"; they are read on line {read_at.line}"
                return NotCalled(
                    kind="functional-bypass",
                    location=place,
                    label=f"`{recording.name_of(used)}` {verb} `{name}` here",
                    note=note,
                    help=_ask_for(name, otherwise),
                    subject=target,
                )
    return None


def _ask_for(name: str, otherwise: str) -> str:
    ask = "ask for the parameter"
    return Spelled(f"{ask}: `--param {name}`, {otherwise}", in_python=f"{ask}: `parameter={name!r}`, {otherwise}")


def _used_values(recording: Recording) -> bytearray:
    """One byte per value: whether the score has something of it, or anything else that the model returned."""
    used = analyse(recording, ()).reaches
    returned = [value for call in recording.calls if call.parent < 0 for value in call.outputs if value >= 0]
    for value, is_before in enumerate(
        upstream_of(recording, *(recording.values.producer[value] for value in returned))
    ):
        used[value] |= is_before
    for value in returned:
        used[value] = 1
    return used


def _reader(recording: Recording, call: int, target: str) -> tuple[str, bool]:
    """The module whose code reads a weight of a layer in a call, and whether it handed it to one that has none of it.

    A module can read what is in it; any other one was given the weight, by somebody who can.
    """
    is_handed = False
    while (
        call >= 0 and not f"{target}.".startswith(f"{recording.calls[call].module}.") and recording.calls[call].module
    ):
        call, is_handed = recording.calls[call].parent, True
    return recording.calls[call].module if call >= 0 else "", is_handed


def idle_parameters(model: torch.nn.Module, recording: Recording, target: str) -> frozenset[str]:
    """The names, within a layer that never ran, of parameters that were met and of which nothing was made use.

    What is written over is read by nobody: ``layer.weight.data.copy_(other)``.
    """
    used = _used_values(recording)
    values: dict[str, list[int]] = {}
    for value, (role, name) in recording.leaf_names.items():
        if role == "parameter" and name.startswith(f"{target}."):
            values.setdefault(name, []).append(value)
    shared = _shared_parameters(model, target).keys()
    return frozenset(
        name.removeprefix(f"{target}.")
        for name, its in values.items()
        if name not in shared
        and not any(used[value] or value in recording.completeness.read_unseen for value in its)
        and not analyse(recording, its).exits
    )


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


def _meets_data(recording: Recording, reader: int) -> int:
    """The operation at which what was read from a weight meets the data, as ``linear(x, w - w.mean())``.

    The layer's own work is done there; what comes before only prepares the weight.
    """
    data = {value for value, (role, _) in recording.leaf_names.items() if role == "input"}
    prepared: set[int] = set()
    for operation in range(len(recording)):
        inputs = set(recording.inputs_of(operation))
        from_weight = operation == reader or not prepared.isdisjoint(inputs)
        if not data.isdisjoint(inputs):
            if from_weight:
                return operation
            data.update(recording.outputs_of(operation))
        elif from_weight:
            prepared.update(recording.outputs_of(operation))
    return reader
