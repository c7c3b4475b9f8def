"""Sorts the parameters without a usable gradient into groups that have one cause, so that each is looked into once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Literal

from gradflow.graph.ways_to_score import WaysToScore
from gradflow.probe.audit_evidence import GroupKind, ParameterGroup
from gradflow.recording import Recording
from gradflow.recording.gradients import Measured

__all__ = ["group_parameters", "outermost_idle", "state_of"]


def state_of(measured: Sequence[Measured]) -> Literal["none", "zero", "not finite", "gradient"]:
    """What holds of the gradient that one parameter got."""
    arrived = [one for one in measured if one.arrived]
    if not arrived:
        return "none"
    if any(not one.is_finite for one in arrived):
        return "not finite"
    # a tensor without entries has nothing to learn and nothing to lack
    return "zero" if all(one.is_zero and one.entry_count for one in arrived) else "gradient"


def group_parameters(
    recording: Recording,
    ways: WaysToScore,
    states: Mapping[str, str],
    death_of: Callable[[str], Hashable],
    replaced: Collection[str] = (),
) -> tuple[ParameterGroup, ...]:
    """Group the parameters whose state is not ``"gradient"``, the largest group first.

    Parameters
    ----------
    recording, ways
        The recorded run and :func:`ways_to_score` of it. ``recording.layer_values`` knows the parameters.
    states
        Qualified name of each trainable parameter to its :func:`state_of`.
    death_of
        Name to what keeps its gradient from being more than zero, for telling zero gradients apart.
    replaced
        Those in whose place the run put another tensor.
    """
    ran = {*recording.completeness.ran_unseen, *(call.module for call in recording.calls)}
    found: dict[tuple[Hashable, ...], list[str]] = {}
    for name, state in states.items():
        if state == "gradient":
            continue
        value = recording.layer_values[name][0]
        key: tuple[Hashable, ...]
        if state == "zero":
            key = ("zero", death_of(name))
        elif state == "not finite":
            key = ("not finite",)
        elif ways.first_read[value] < 0:
            owner = name.rpartition(".")[0]
            idle = outermost_idle(owner, ran)
            key = ("never read", owner, name in replaced) if idle is None else ("module not called", idle)
        else:
            obstacles = ways.obstacles[value]
            if obstacles is None:
                key = ("discarded", ways.last_use[value])
            else:
                key = ("cut", obstacles) if obstacles else ("lost",)
        found.setdefault(key, []).append(name)
    groups = [_group(recording, ways, key, members) for key, members in found.items()]
    return tuple(sorted(groups, key=lambda group: -len(group.members)))


def outermost_idle(module: str, ran: Collection[str]) -> str | None:
    """The outermost module around ``module`` in which nothing ran; ``None`` where it ran itself."""
    parts = module.split(".") if module else []
    for depth in range(1, len(parts) + 1):
        name = ".".join(parts[:depth])
        if name not in ran and not any(other.startswith(f"{name}.") for other in ran):
            return name
    return None


def _group(
    recording: Recording, ways: WaysToScore, key: tuple[Hashable, ...], members: Sequence[str]
) -> ParameterGroup:
    kind: GroupKind = key[0]  # type: ignore[assignment]  # every key starts with its kind
    subject = max(members, key=lambda name: ways.first_read[recording.layer_values[name][0]])
    if kind == "module not called":
        subject = str(key[1])
    return ParameterGroup(kind=kind, members=tuple(members), subject=subject)
