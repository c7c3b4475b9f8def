"""The numbers that autograd gives to the nodes of its graph, in the order in which a thread makes them."""

from __future__ import annotations

from collections.abc import Callable

import torch

__all__ = ["next_sequence_number"]

next_sequence_number: Callable[[], int] = torch.autograd._get_sequence_nr  # type: ignore[attr-defined]
"""The one that this thread's next node gets; looking at it uses none up."""
