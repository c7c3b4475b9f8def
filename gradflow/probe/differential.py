"""Differential recording: what changes in a run when the target's activation is changed.

Three runs of the same program from the same state: as it is, as it is once more (is it deterministic?), and with the
activation
moved. Every operation's outputs, Python arguments and unrecorded inputs are reduced to checksums; an operation whose
result moved although nothing recorded that it read has moved is where a value came back from outside torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from gradflow.graph.dependence import Bridge
from gradflow.probe.comparing.checksummed import Checksummed
from gradflow.probe.comparing.checksums import Checksums
from gradflow.probe.evidence import Influence
from gradflow.record.backward.dense_values import as_real
from gradflow.record.moving import CannotMoveError, why_unmovable
from gradflow.record.run import Run
from gradflow.torch_facts.operations.queries import decides, has

__all__ = [
    "Alteration",
    "Entries",
    "compare_runs",
    "differs",
    "entries_of_change",
    "find_bridges",
    "moved",
    "score_of",
]


_CONSTANT = 1e-4
"""A spread below this share of the largest value may be no more than rounding, also in half precision."""

Alteration = Callable[[str, int, torch.Tensor], torch.Tensor]
"""From a layer's name, the number of its call and its activation to the activation that takes its place."""


def moved(seed: int, index: Any = None, direction: float = 0, scatter: float = 0.0) -> Alteration:
    """An alteration that moves an activation by noise of half its spread and a shift of three times its spread.

    The shift makes thresholds and arg-max flip that mere noise would leave alone. It goes up or down with the noise,
    or for all entries alike, nine times as far, by the sign and size of ``direction``. Whole numbers move by one at
    least, and truth values all turn round. With ``scatter`` it is plain noise of so many spreads. What is moved stays
    within what its type holds.
    """

    def alter(layer: str, call: int, activation: torch.Tensor) -> torch.Tensor:
        if reason := why_unmovable(activation):
            raise CannotMoveError(reason)
        generator = torch.Generator().manual_seed(seed + call)
        with torch.no_grad():
            if activation.dtype == torch.bool:
                turned = ~activation if not direction else torch.full_like(activation, direction > 0)
                return torch.where(_mask(activation, index), turned, activation)
            values = as_real(activation.detach())
            spread = _spread_of(values)
            noise = torch.randn(values.shape, generator=generator).to(values.device)
            noise = noise.to(values.dtype) if values.is_floating_point() else noise
            if scatter:
                step = spread * scatter * noise
            elif direction:
                step = spread * direction * (9.0 + noise)
            else:
                step = spread * (1.5 * noise + 3.0 * torch.sign(noise))
            step = step.clamp(-_room(values), _room(values))
            if activation.is_complex():
                step = torch.view_as_complex(step)
            elif not activation.is_floating_point():
                step = torch.where(step > 0, step.ceil(), step.floor()).to(activation.dtype)
            if index is not None:
                step = step * _mask(activation, index)
            return activation + step

    return alter


def _room(values: torch.Tensor) -> float:
    """How far values may be moved: a quarter of the largest number of their type."""
    largest = torch.finfo(values.dtype).max if values.is_floating_point() else torch.iinfo(values.dtype).max
    return largest / 4


def _spread_of(values: torch.Tensor) -> float:
    """The standard deviation; where that is nothing beside the values themselves, as of a constant, their size."""
    if not values.numel():
        return 1.0
    largest = float(values.abs().max().double())
    spread = float(values.double().std(correction=0))
    spread = spread if spread > _CONSTANT * largest else largest
    return spread if spread > 0 and math.isfinite(spread) else 1.0


def _mask(values: torch.Tensor, index: Any) -> torch.Tensor:
    mask = torch.full_like(values, index is None)
    if index is not None:
        mask[index] = True
    return mask


def compare_runs(base: Run, again: Run, changed: Run, layer: str) -> Influence:
    """Conclude from the three runs."""
    first, second, third = (score_of(run) for run in (base, again, changed))
    if changed.unmoved:
        return Influence(matters=None, reason=f"its values cannot be moved: {changed.unmoved}")
    if first is None or second is None or not _same(first, second):
        return Influence(matters=None, reason="two runs of the same program differ")
    if third is None or math.isnan(first) != math.isnan(third):
        return Influence(matters=True, difference=math.inf)
    return Influence(matters=not _same(first, third), difference=abs(first - third))


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def score_of(run: Run) -> float | None:
    """The score as a number; ``None`` where the run failed, or has no values (meta tensors)."""
    return None if run.live.score is None or run.live.score.is_meta else float(run.live.score.detach().double())


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """Operations at which a change came back into torch.

    ``parting`` is where the two runs stop doing the same, -1 where they never do; ``differing`` holds the values that
    are not the same in both.
    """

    rows: tuple[int, ...]
    parting: int = -1
    differing: frozenset[int] = frozenset()


def entries_of_change(
    base: Checksummed, again: Checksummed, changed: Checksummed, moved_values: Iterable[int] = ()
) -> Entries:
    """Compare a changed run with the base run, row by row, as long as both do the same.

    Parameters
    ----------
    base, again, changed
        The base run, its repetition (what differs there is noise), and the changed run.
    moved_values
        Values that were moved on purpose.
    """
    recording, other = base.run.recording, changed.run.recording
    differing = set(moved_values)
    found: list[int] = []
    for row in range(len(recording)):
        if (
            row >= len(other)
            or recording.name_of(row) != other.name_of(row)
            or recording.operations.site[row] != other.operations.site[row]
        ):
            return Entries(rows=tuple(found), parting=row, differing=frozenset(differing))
        outputs = recording.outputs_of(row)
        if _is_noise(base.sums, again.sums, row):
            continue
        inputs = recording.inputs_of(row)
        reads_change = any(value in differing for value in inputs)
        came_in = (base.sums.outside_sums, changed.sums.outside_sums)
        outside = any(value not in differing and differs(*came_in, value) for value in inputs)
        arguments = differs(base.sums.argument_sums, changed.sums.argument_sums, row)
        # rows that stand for what happened through a view have no checksum of their own
        known = row in base.sums.output_sums and row in changed.sums.output_sums
        is_other = differs(base.sums.output_sums, changed.sums.output_sums, row) if known else reads_change
        if is_other and outputs:
            # which entry is picked is no way beside that of the values that it is picked from
            is_number = arguments and differs(base.sums.number_sums, changed.sums.number_sums, row)
            if outside or is_number or not reads_change:
                found.append(row)
            differing.update(outputs)
    parting = len(recording) if len(other) > len(recording) else -1
    return Entries(rows=tuple(found), parting=parting, differing=frozenset(differing))


def differs(one: Mapping[int, int], other: Mapping[int, int], key: int) -> bool:
    """Whether both know a checksum, and not the same one."""
    return key in one and key in other and one[key] != other[key]


def _is_noise(base: Checksums, again: Checksums, row: int) -> bool:
    return any(differs(getattr(base, sums), getattr(again, sums), row) for sums in ("output_sums", "argument_sums"))


def find_bridges(
    base: Checksummed, again: Checksummed, changed: Checksummed, layer: str, exits: Sequence[int]
) -> tuple[Bridge, ...]:
    """Where the change of a layer's activation came back into torch; where the two runs part, the decision behind it.

    What came back is taken to have left at the last exit before it whose own value differs; ``is_nonzero`` and
    Python conditions count only where nothing else left, or where the runs part.
    """
    recording = base.run.recording
    memory = {recording.values.memory[value] for value in recording.layer_values.get(layer, ())}
    moved_values = [value for value, lies_in in enumerate(recording.values.memory) if lies_in in memory]
    entries = entries_of_change(base, again, changed, moved_values)
    end = entries.parting if entries.parting >= 0 else len(recording)
    decisions = [row for row in exits if decides(recording.name_of(row)) and row < end]
    # others give no tensor either, but facts about it: whether two are of one type, say
    values = [row for row in exits if has(name := recording.name_of(row), "leaves") and not decides(name) and row < end]
    bridges = []
    for enter in entries.rows:
        leave = _last_before(enter, values) if _last_before(enter, values) >= 0 else _last_before(enter, decisions)
        if leave >= 0:
            bridges.append(Bridge(leave=leave, enter=enter))
    if 0 <= entries.parting < len(recording):
        leave = decisions[-1] if decisions else _last_before(entries.parting, values)
        if leave >= 0:
            bridges.append(Bridge(leave=leave, enter=entries.parting))
    return tuple(bridges)


def _last_before(row: int, rows: Sequence[int]) -> int:
    return max((candidate for candidate in rows if candidate < row), default=-1)
