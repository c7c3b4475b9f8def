"""Reduces what operations give, and what they are given besides recorded tensors, to checksums."""

from __future__ import annotations

import zlib
from itertools import chain
from numbers import Number
from typing import Any

import numpy
import torch

from gradflow.record.operations.nested import nested_tensors
from gradflow.record.operations.tables import Tables
from gradflow.record.seam.intervention import Call, Intervention
from gradflow.torch_facts.dispatch_modes import outside_dispatch
from gradflow.torch_facts.operations.queries import has
from gradflow.values import leaves_in, tensors_in

__all__ = ["Checksums"]


class Checksums(Intervention):
    """Keeps checksums by row and by value.

    Attributes
    ----------
    output_sums
        Of what each operation gave.
    argument_sums, number_sums
        Of each operation's arguments that are no tensors; of those among them that are no whole numbers.
    outside_sums
        Of values that no recorded tensor was made into: those without a producer, and those whose producer read none,
        as they were when they were first read. Somebody may have filled them meanwhile.
    """

    def __init__(self) -> None:
        self.output_sums: dict[int, int] = {}
        self.argument_sums: dict[int, int] = {}
        self.number_sums: dict[int, int] = {}
        self.outside_sums: dict[int, int] = {}
        self._blank: set[int] = set()

    def after(self, call: Call, result: Any) -> Any:
        """Reduce what the operation was given and what it gave."""
        if call.rows:
            self._reduce(call, result)
        return result

    def meet(self, recorder: Tables, value: int, tensor: torch.Tensor) -> None:
        """Reduce what comes into the run from outside."""
        self._note_outside(value, tensor)

    def _note_outside(self, value: int, tensor: torch.Tensor) -> None:
        found = _checksum(tensor)
        if found is not None:
            self.outside_sums[value] = found

    def _reduce(self, call: Call, result: Any) -> None:
        columns, row, arguments = call.recorder.operations, call.row, call.given
        plain = _plain(arguments)
        self.argument_sums[row] = zlib.crc32(repr(plain).encode())
        # whole numbers are sizes and positions, of which there is no derivative
        self.number_sums[row] = zlib.crc32(repr([one for one in plain if not isinstance(one, (int, str))]).encode())
        outputs = columns.outputs[columns.output_start[row] :]
        if not call.writes and self._is_blank(call):
            # what lies in fresh memory is nobody's value
            self._blank.update(outputs)
            self.output_sums[row] = 0
            return
        if outputs:
            made = tensors_in(result) or [a for a in arguments if isinstance(a, torch.Tensor)][:1]
            sums = [_checksum(tensor) for tensor in made]
            if None not in sums:
                self.output_sums[row] = zlib.crc32(repr(sums).encode())
        self._look_at_sources(call)

    def _is_blank(self, call: Call) -> bool:
        """Whether an operation gave memory that nothing recorded was put into yet, or a view of such."""
        columns, lies_in = call.recorder.operations, call.recorder.values.memory
        memory = {lies_in[v] for v in columns.inputs[columns.input_start[call.row] :] if v in self._blank}
        outputs = columns.outputs[columns.output_start[call.row] :]
        return has(call.name, "blank") or any(lies_in[value] in memory for value in outputs)

    def _look_at_sources(self, call: Call) -> None:
        recorder, columns = call.recorder, call.recorder.operations
        for tensor in nested_tensors(call.given):
            value = recorder.known_value(tensor)
            producer = recorder.values.producer[value] if value >= 0 else -1
            # what this very operation has written to is another value by now
            if 0 <= producer < call.row and value not in self.outside_sums:
                is_source = columns.input_start[producer] == columns.input_start[producer + 1]
                if is_source or value in self._blank:
                    self._note_outside(value, tensor)


def _checksum(tensor: torch.Tensor) -> int | None:
    """``None`` for tensors without plain memory (nested, wrapper subclasses): nothing to compare."""
    if tensor.is_meta:
        return 0  # no values, so none that differ
    try:
        if parts := _parts_of_sparse(tensor):
            return zlib.crc32(repr([_checksum(part) for part in parts]).encode())
        with torch.no_grad():
            data = tensor.detach().cpu().contiguous()
            if data.is_sparse or data.layout is not torch.strided or data.is_quantized:
                return None
            data = torch.view_as_real(data).contiguous() if data.is_complex() else data
            flat = data.reshape(-1)
            return zlib.crc32(flat.view(torch.uint8).numpy().data) if flat.numel() else 0
    except (RuntimeError, TypeError, NotImplementedError):
        return None


def _parts_of_sparse(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The tensors that a sparse one is made of; none for any other."""
    if type(tensor) is not torch.Tensor or tensor.layout is torch.strided:
        return ()
    with outside_dispatch(), torch.no_grad():
        data = tensor.detach()
        if data.layout is torch.sparse_coo:
            return data._indices(), data._values()
        if data.layout in (torch.sparse_csr, torch.sparse_bsr):
            return data.crow_indices(), data.col_indices(), data.values()
        if data.layout in (torch.sparse_csc, torch.sparse_bsc):
            return data.ccol_indices(), data.row_indices(), data.values()
        return ()


def _plain(arguments: Any) -> list[object]:
    found: list[object] = []
    leaves = leaves_in([*arguments])
    for argument in chain.from_iterable((a.start, a.stop, a.step) if isinstance(a, slice) else (a,) for a in leaves):
        if isinstance(argument, (Number, str)):
            found.append(argument)
        elif isinstance(argument, numpy.ndarray):
            reduced = zlib.crc32(repr((argument.dtype, argument.shape)).encode() + argument.tobytes())
            found.append(float(reduced) if argument.dtype.kind in "fc" else reduced)
    return found
