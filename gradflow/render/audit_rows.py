"""The modules of an audited model at a depth that fits on a page, with what their parameters got."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from gradflow.audit_report import AuditReport, ParameterGradient, ParameterState

__all__ = ["MOST_ROWS", "ModuleRow", "module_rows"]

MOST_ROWS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleRow:
    """A module (or a parameter that belongs to an opened one) and everything in it.

    ``l2_norm`` is of all gradients taken together, ``typical`` the root mean square of an entry in those of the weights
    (of everything where there are no weights); ``None`` where none arrived. ``codes`` of what explains missing ones.
    """

    name: str
    parameter_count: int
    entry_count: int
    reached_count: int
    frozen_count: int
    l2_norm: float | None
    typical: float | None
    states: frozenset[ParameterState]
    codes: tuple[str, ...]
    is_registered: bool = True

    @property
    def is_frozen(self) -> bool:
        """Whether nothing in it can learn."""
        return self.frozen_count == self.parameter_count


@dataclass(slots=True)
class _Branch:
    """A module in the tree of names, ``depth`` levels down."""

    name: str
    depth: int = 0
    members: list[ParameterGradient] = field(default_factory=list)
    children: dict[str, _Branch] = field(default_factory=dict)

    @property
    def is_mixed(self) -> bool:
        """Whether opening it tells more: some of it got a gradient, some did not."""
        return len({(one.state, one.codes) for one in self.members}) > 1


def module_rows(report: AuditReport, most: int = MOST_ROWS) -> tuple[ModuleRow, ...]:
    """At most about ``most`` rows, in the model's order: modules of which only a part got a gradient are opened first.

    Raises
    ------
    ValueError
        When ``most`` is not positive.
    """
    if most < 1:
        raise ValueError(f"at least one row is needed, not {most}")
    root = _tree(report.parameters)
    shown = _opened(root)
    while True:
        # what is mixed tells most when it is opened, then what is largest
        candidates = [
            (branch.is_mixed, sum(one.entry_count for one in branch.members), -position)
            for position, branch in enumerate(shown)
            if branch.children and len(shown) - 1 + len(_opened(branch)) <= most
        ]
        if not candidates:
            break
        position = -max(candidates)[2]
        shown[position : position + 1] = _opened(shown[position])
    return tuple(_row(branch) for branch in shown)


def _tree(parameters: Sequence[ParameterGradient]) -> _Branch:
    root = _Branch("")
    for parameter in parameters:
        branch = root
        branch.members.append(parameter)
        for part in _parts(parameter):
            name = f"{branch.name}.{part}" if branch.depth else part
            branch = branch.children.setdefault(part, _Branch(name, branch.depth + 1))
            branch.members.append(parameter)
    return root


def _opened(branch: _Branch) -> list[_Branch]:
    """Its children, and each of its own parameters, in the order in which they come."""
    found: dict[tuple[str, bool], _Branch] = {}
    for parameter in branch.members:
        parts = _parts(parameter)
        if len(parts) == branch.depth:
            found.setdefault((parameter.name, True), _Branch(parameter.name, branch.depth + 1, [parameter]))
        else:
            part = parts[branch.depth]
            found.setdefault((part, False), branch.children[part])
    return list(found.values())


def _parts(parameter: ParameterGradient) -> list[str]:
    return parameter.module.split(".") if parameter.module else []


def _row(branch: _Branch) -> ModuleRow:
    members = branch.members
    arrived = [one for one in members if one.l2_norm is not None]
    # a bias has gradients of another size than the weights, which would hide how those compare
    weights = [one for one in arrived if len(one.shape) > 1] or arrived
    entries = sum(one.entry_count for one in weights)
    return ModuleRow(
        name=branch.name,
        parameter_count=len(members),
        entry_count=sum(one.entry_count for one in members),
        reached_count=sum(one.state == "gradient" for one in members),
        frozen_count=sum(one.state == "frozen" for one in members),
        l2_norm=_norm(arrived) if arrived else None,
        typical=_norm(weights) / entries**0.5 if entries else None,
        states=frozenset(one.state for one in members),
        codes=tuple(
            dict.fromkeys(code for one in members if one.state not in ("gradient", "frozen") for code in one.codes)
        ),
        is_registered=all(one.is_registered for one in members),
    )


def _norm(members: Sequence[ParameterGradient]) -> float:
    return math.hypot(*(one.l2_norm or 0.0 for one in members))
