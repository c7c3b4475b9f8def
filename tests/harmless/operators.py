"""Every operator that torch tests, on the CPU, with torch's own samples of its inputs (``OpInfo``)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.opinfo.core import OpInfo, SampleInput
from torch.utils._pytree import tree_leaves

from tests.harmless.case import Call, Case, Wanted

_PREFERRED = (torch.float32, torch.float64, torch.complex64, torch.int64, torch.bool)


def operator_cases(samples: int) -> Iterator[Case]:
    """A case for each operator, with at most so many of its samples."""
    for op in op_db:
        dtypes = op.supported_dtypes("cpu")
        if dtypes:
            dtype = next((each for each in _PREFERRED if each in dtypes), None) or min(dtypes, key=str)
            yield Case(name=f"op {op.full_name}", calls=partial(_calls, op, dtype, samples))


def _calls(op: OpInfo, dtype: torch.dtype, samples: int) -> Iterator[tuple[Wanted, Call]]:
    asks = op.supports_autograd and (dtype.is_floating_point or dtype.is_complex)
    for sample in itertools.islice(op.sample_inputs("cpu", dtype, requires_grad=asks), samples):
        yield partial(_learning, sample), partial(_call, op, sample)


def _learning(sample: SampleInput) -> list[torch.Tensor]:
    values = tree_leaves((sample.input, sample.args, sample.kwargs))
    return [each for each in values if isinstance(each, torch.Tensor) and each.requires_grad]


def _call(op: OpInfo, sample: SampleInput) -> Any:
    return op(sample.input, *sample.args, **sample.kwargs)
