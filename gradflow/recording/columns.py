"""Operations and values: as parallel columns, and one of them as an object."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Operation", "OperationColumns", "ValueColumns", "ValueMeta"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueMeta:
    """What is known of one value; ``role`` tells where it came from when no recorded operation made it."""

    id: int
    producer: int
    shape: tuple[int, ...]
    dtype: str
    requires_grad: bool
    role: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One recorded operation.

    ``name`` is torch's (``conv2d``, ``detach``, ``MyFunction.apply``); ``region`` is the site at which gradient
    recording was
    switched off, ``-1`` while it was on; autograd nodes with a sequence number in ``sequence_start <= s <
    sequence_end`` were made by it.
    """

    id: int
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    site: int
    call: int
    grad_enabled: bool
    inference: bool
    region: int
    sequence_start: int
    sequence_end: int


@dataclass(kw_only=True)
class OperationColumns:
    """Operations as parallel lists, one entry each: what the recorder appends to, and what the analysis reads.

    The inputs of operation ``i`` are ``inputs[input_start[i] : input_start[i + 1]]`` (the lists of starts have one
    entry more);
    ``argument`` holds the position of the top-level argument that each input came from. ``mode`` is 0 while gradients
    are recorded, 1 under ``no_grad``, 2 under ``inference_mode``.
    """

    name: list[int] = field(default_factory=list)
    site: list[int] = field(default_factory=list)
    call: list[int] = field(default_factory=list)
    mode: list[int] = field(default_factory=list)
    region: list[int] = field(default_factory=list)
    sequence_start: list[int] = field(default_factory=list)
    sequence_end: list[int] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    argument: list[int] = field(default_factory=list)
    input_start: list[int] = field(default_factory=lambda: [0])
    outputs: list[int] = field(default_factory=list)
    output_start: list[int] = field(default_factory=lambda: [0])

    def copy(self) -> OperationColumns:
        """All operations as they are now."""
        return OperationColumns(**{name: column.copy() for name, column in vars(self).items()})


@dataclass(kw_only=True)
class ValueColumns:
    """Values as parallel lists.

    ``producer`` is an operation's id, or -1 for a value that was there before. Values with the same ``memory`` (the
    first value that lay there) may share it. ``requires_grad`` is what it was when the value was first seen: that of a
    leaf may be switched while it stays the same value, and ``Recording.requires_grad_of`` tells what it was at a time.
    Of what an operation computed it tells whether that has a history, which no switch brings or takes.
    """

    producer: list[int] = field(default_factory=list)
    requires_grad: list[bool] = field(default_factory=list)
    shape: list[tuple[int, ...]] = field(default_factory=list)
    dtype: list[int] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    def copy(self) -> ValueColumns:
        """All values as they are now."""
        return ValueColumns(**{name: column.copy() for name, column in vars(self).items()})
