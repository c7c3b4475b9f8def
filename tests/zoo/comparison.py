"""gradflow's verdict beside autograd's own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch

import gradflow
from tests.zoo.models import SEED, Case
from tests.zoo.reference import called_layers, gradient_status, spread

AGREEING_VERDICTS = {
    "arrives": {"connected"},
    "zero": {"zero"},
    "nan": {"nan"},
    "none": {"broken", "unused"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One layer of one model. ``status`` is autograd's word, ``verdict`` and ``errors`` (codes) are gradflow's."""

    model: str
    layer: str
    status: str
    verdict: str
    errors: tuple[str, ...]
    duration_s: float

    @property
    def agrees(self) -> bool:
        """Whether the verdict is autograd's, and no error is reported where a gradient arrives."""
        false_alarm = self.status == "arrives" and self.errors
        return self.verdict in AGREEING_VERDICTS[self.status] and not false_alarm

    def __str__(self) -> str:
        errors = f" with {', '.join(self.errors)}" if self.errors else ""
        return f"{self.model}, layer {self.layer}: gradient {self.status}, gradflow says {self.verdict}{errors}"


def compare(case: Case, layer_count: int) -> Iterator[Comparison]:
    """Check some layers of a model, each beside a plain reference run."""
    for layer in spread(called_layers(case.model, case.inputs), layer_count):
        status = gradient_status(case.model, case.inputs, layer)
        start = time.perf_counter()
        torch.manual_seed(SEED)
        report = gradflow.check(case.model, layer, inputs=case.inputs, target=0)
        yield Comparison(
            model=case.name,
            layer=layer,
            status=status,
            verdict=report.verdict,
            errors=tuple(found.code for found in report.diagnostics if found.severity == "error"),
            duration_s=time.perf_counter() - start,
        )
