"""Every module that torch tests, training and evaluating, with torch's own samples of its inputs (``ModuleInfo``)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial

import torch
from torch.testing._internal.common_modules import ModuleInfo, module_db

from tests.harmless.case import Call, Case, Wanted


def module_cases(samples: int) -> Iterator[Case]:
    """Two cases for each module, with at most so many of its samples."""
    for info in module_db:
        for training in (True, False):
            mode = "training" if training else "evaluating"
            yield Case(name=f"module {info.name} {mode}", calls=partial(_calls, info, training, samples))


def _calls(info: ModuleInfo, training: bool, samples: int) -> Iterator[tuple[Wanted, Call]]:
    inputs = info.module_inputs_func(info, device="cpu", dtype=info.dtypes[0], requires_grad=True, training=training)
    for sample in itertools.islice(inputs, samples):
        if sample.forward_input is None:
            continue
        module = info.module_cls(*sample.constructor_input.args, **sample.constructor_input.kwargs).train(training)
        yield partial(_learning, module), partial(module, *sample.forward_input.args, **sample.forward_input.kwargs)


def _learning(module: torch.nn.Module) -> list[torch.Tensor]:
    return [each for each in module.parameters() if each.requires_grad]
