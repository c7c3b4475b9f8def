"""Differential trace: what changes in a run when the target's activation is changed.

Three runs of the same program from the same state: as it is, as it is once more (is it deterministic?), and with the
activation
moved. Every operation's outputs, Python arguments and unrecorded inputs are reduced to checksums; an operation whose
result moved although nothing recorded that it read has moved is where a value came back from outside torch.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import torch

from gradflow.graph.dependence import Bridge
from gradflow.location import SiteTable
from gradflow.probe.evidence import Influence
from gradflow.trace.capture import all_tensors
from gradflow.trace.operation_kinds import DECISIONS
from gradflow.trace.recorder import Recorder
from gradflow.trace.run import Run

__all__ = ["Alteration", "ChecksumRecorder", "compare_runs", "moved"]


class ChecksumRecorder(Recorder):
    """Keeps for every operation a checksum of its outputs and of its non-tensor arguments."""

    def __init__(self, sites: SiteTable, before_write: Callable[[torch.Tensor], None] | None = None) -> None:
        super().__init__(sites, before_write)
        self.output_sums: dict[int, int] = {}
        self.argument_sums: dict[int, int] = {}
        self.outside_sums: dict[int, int] = {}

    def record(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        kind: int,
        name: int,
        text: str,
    ) -> Any:
        """Record and reduce."""
        row_before = len(self.operations.name)
        result = super().record(func, args, kwargs, kind, name, text)
        self._reduce(len(self.operations.name) - 1, row_before, (*args, *kwargs.values()), result)
        return result

    def record_call(
        self, name: str, function: Callable[[], Any], inputs: Any, *, depth: int = 1, inner: bool = False
    ) -> Any:
        """Record and reduce what the function mode does not see."""
        row_before = len(self.operations.name)
        result = super().record_call(name, function, inputs, depth=depth + 1, inner=inner)
        self._reduce(len(self.operations.name) - 1, row_before, inputs, result)
        return result

    def _new_value(self, tensor: torch.Tensor, producer: int, group: int = -1) -> int:
        value = super()._new_value(tensor, producer, group)
        if producer < 0:
            self.outside_sums[value] = self._checksum(tensor)
        return value

    def _reduce(self, row: int, row_before: int, arguments: Any, result: Any) -> None:
        if row < row_before:
            return
        self.argument_sums[row] = zlib.crc32(repr(_plain(arguments)).encode())
        outputs = self.operations.outputs[self.operations.output_start[row] :]
        if outputs:
            total = 0
            for tensor in all_tensors(result) or [a for a in arguments if isinstance(a, torch.Tensor)][:1]:
                total = zlib.crc32(self._checksum(tensor).to_bytes(4, "little"), total)
            self.output_sums[row] = total

    def _checksum(self, tensor: torch.Tensor) -> int:
        self.suspended += 1
        try:
            with torch.no_grad():
                data = tensor.detach().cpu().contiguous()
                if data.is_sparse or data.layout is not torch.strided or data.is_quantized:
                    return 0
                data = torch.view_as_real(data).contiguous() if data.is_complex() else data
                flat = data.reshape(-1)
                return zlib.crc32(flat.view(torch.uint8).numpy().data) if flat.numel() else 0
        except (RuntimeError, TypeError, NotImplementedError):
            # tensors without plain memory (wrapper subclasses, meta) have nothing to compare
            return 0
        finally:
            self.suspended -= 1


def _plain(arguments: Any, depth: int = 0) -> list[object]:
    found: list[object] = []
    for argument in arguments:
        if isinstance(argument, (bool, int, float, complex, str)):
            found.append(argument)
        elif isinstance(argument, (list, tuple)) and depth < 4:
            found.extend(_plain(argument, depth + 1))
        elif isinstance(argument, slice):
            found.append(str(argument) if not isinstance(argument.start, torch.Tensor) else "slice")
    return found


Alteration = Callable[[str, int, torch.Tensor], torch.Tensor]
"""From a layer's name, the number of its call and its activation to the activation that takes its place."""


def moved(seed: int, index: Any = None, direction: int = 0) -> Alteration:
    """An alteration that moves an activation by noise of half its spread and a shift of three times its spread.

    The shift makes thresholds and arg-max flip that mere noise would leave alone. It goes up or down with the noise,
    or for all entries alike where ``direction`` is 1 or -1.
    """

    def alter(layer: str, call: int, activation: torch.Tensor) -> torch.Tensor:
        if not activation.is_floating_point():
            return activation
        generator = torch.Generator().manual_seed(seed + call)
        with torch.no_grad():
            spread = float(activation.detach().float().std(correction=0)) if activation.numel() > 1 else 0.0
            spread = spread if spread > 0 and math.isfinite(spread) else 1.0
            noise = torch.randn(activation.shape, generator=generator).to(activation.device, activation.dtype)
            step = spread * (direction * (9.0 + noise) if direction else 1.5 * noise + 3.0 * torch.sign(noise))
            if index is not None:
                mask = torch.zeros_like(step)
                mask[index] = 1
                step = step * mask
        return activation + step

    return alter


def compare_runs(base: Run, again: Run, changed: Run, layer: str) -> Influence:
    """Conclude from the three runs."""
    first, second, third = (_number(run) for run in (base, again, changed))
    if first is None or second is None:
        return Influence(matters=None)
    if not _same(first, second):
        return Influence(matters=None)
    if third is None or math.isnan(first) != math.isnan(third):
        return Influence(matters=True, difference=math.inf)
    return Influence(matters=not _same(first, third), difference=abs(first - third))


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _number(run: Run) -> float | None:
    return None if run.score is None else float(run.score.detach().double())


def find_bridges(
    base: ChecksumRecorder, changed: ChecksumRecorder, base_run: Run, layer: str, exits: tuple[int, ...]
) -> tuple[Bridge, ...]:
    """Where the change came back into torch; where the two runs part, the decision that made them part."""
    trace, other = base_run.trace, changed.operations
    rows = min(len(trace), len(other.name))
    names = tuple(changed._names)
    tainted = set(trace.layer_values.get(layer, ()))
    values_outside = changed.outside_sums
    bridges: list[Bridge] = []
    leaving = set(exits)
    last_exit = last_decision = -1
    for row in range(rows):
        if trace.name_of(row) != names[other.name[row]] or trace.operations.site[row] != other.site[row]:
            leave = last_decision if last_decision >= 0 else last_exit
            if leave >= 0:
                bridges.append(Bridge(leave=leave, enter=row))
            break
        inputs = trace.inputs_of(row)
        outputs = trace.outputs_of(row)
        reads_change = any(value in tainted for value in inputs)
        outside = any(
            value in values_outside and value in base.outside_sums and values_outside[value] != base.outside_sums[value]
            for value in inputs
        )
        arguments = base.argument_sums.get(row) != changed.argument_sums.get(row)
        differs = base.output_sums.get(row) != changed.output_sums.get(row)
        if row in leaving or (reads_change and not outputs):
            leaving.add(row)
            if trace.name_of(row) in DECISIONS:
                last_decision = row
            else:
                last_exit = row
        if outputs and (differs or reads_change):
            enters = outside or arguments or not reads_change
            if enters and (differs or outside) and (last_exit >= 0 or last_decision >= 0):
                bridges.append(Bridge(leave=last_exit if last_exit >= 0 else last_decision, enter=row))
            if differs:
                tainted.update(outputs)
    return tuple(bridges)
