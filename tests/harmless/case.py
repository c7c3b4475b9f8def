"""One operator or module of torch's own test-suite, with its sample inputs, that can be run again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

Call = Callable[[], Any]
Wanted = Callable[[], list[Tensor]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """`calls` makes anew, for every sample, what gives the tensors that a gradient is asked of, and the call itself.

    Anew, because a run may write to its inputs. The tensors are asked for after the call: before it a lazy module has
    none.
    """

    name: str
    calls: Callable[[], Iterator[tuple[Wanted, Call]]]
