"""gradflow's verdict beside autograd's own."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch

import gradflow
from tests.zoo.as_found import difference, snapshot
from tests.zoo.case import SEED, Case, tensors_in
from tests.zoo.reference import Truth, called_layers, spread, true_gradient

AGREEING_VERDICTS = {
    "arrives": {"connected"},
    "zero": {"zero"},
    "nan": {"nan"},
    "none": {"broken", "unused"},
    "raises": {"error"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One layer of one model.

    ``truth`` is autograd's word, in a plain run that took ``plain_s`` seconds. ``verdict``, ``norm`` (of the gradient),
    ``errors`` (codes), ``infos`` (names) and ``undetermined`` are gradflow's, which took ``check_s``. ``score`` is the
    one that the model computed while it was checked. ``changed`` is what is not as it was before the check, and
    ``map_is_off`` tells that the Grad-CAM is another than by hand.
    """

    model: str
    family: str
    layer: str
    truth: Truth
    verdict: str
    norm: float
    errors: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()
    undetermined: tuple[str, ...] = ()
    score: float | None = None
    changed: tuple[str, ...] = ()
    map_is_off: bool = False
    plain_s: float
    check_s: float

    @property
    def objections(self) -> tuple[str, ...]:
        """What is wrong with gradflow's answer, in words; nothing where it is right."""
        found = []
        if self.verdict not in AGREEING_VERDICTS[self.truth.status]:
            found.append(f"the gradient is {self.truth.status}, gradflow says {self.verdict}")
        elif self.truth.status == "arrives" and not math.isclose(self.truth.norm, self.norm, rel_tol=1e-3):
            found.append(f"the gradient has norm {self.truth.norm:.4g}, gradflow says {self.norm:.4g}")
        if self.truth.status == "arrives" and self.errors:
            found.append(f"a gradient arrives, gradflow reports {', '.join(self.errors)}")
        # what a library cuts off is its authors' decision: what that takes away need not be known
        theirs = "how much of the gradient is lost at torch"
        unknown = [text for text in self.undetermined if not text.startswith(theirs)]
        if unknown:
            found.append(f"not determined: {'; '.join(unknown)}")
        if self.score != self.truth.score and not (math.isnan(self.truth.score) and math.isnan(self.score or 0.0)):
            found.append(f"the score is {self.truth.score!r}, and {self.score!r} under the check")
        if self.map_is_off:
            found.append("the Grad-CAM is another than by hand")
        if self.changed:
            found.append(f"not as it was before: {', '.join(self.changed)}")
        return tuple(found)

    @property
    def agrees(self) -> bool:
        """Whether there is nothing to object to."""
        return not self.objections

    def __str__(self) -> str:
        return f"{self.model}, layer {self.layer}: {'; '.join(self.objections) or 'agrees'}"


def compare(case: Case, layer_count: int) -> Iterator[Comparison]:
    """Check some layers of a model, each beside a plain reference run."""
    before = tensors_in(case.run())
    for layer in spread(called_layers(case), layer_count):
        start = time.perf_counter()
        truth = true_gradient(case, layer)
        plain_s = time.perf_counter() - start
        torch.manual_seed(SEED)
        before_check = snapshot(case.model)
        start = time.perf_counter()
        report = gradflow.check(case.model, layer, inputs=case.inputs, score=case.score, cam=bool(truth.maps))
        check_s = time.perf_counter() - start
        changed = difference(before_check, snapshot(case.model))
        if not _are_equal(before, tensors_in(case.run())):
            changed += ("what the model computes",)
        yield Comparison(
            model=case.name,
            family=case.family,
            layer=layer,
            truth=truth,
            verdict=report.verdict,
            norm=math.hypot(*(gradient.l2_norm or 0.0 for gradient in report.gradients)),
            errors=tuple(found.code for found in report.diagnostics if found.severity == "error"),
            infos=tuple(found.name for found in report.diagnostics if found.severity == "info"),
            undetermined=report.undetermined,
            score=report.score.value,
            changed=changed,
            map_is_off=report.cam is not None and not _is_one_of(torch.from_numpy(report.cam.saliency), truth.maps),
            plain_s=plain_s,
            check_s=check_s,
        )


def _is_one_of(saliency: torch.Tensor, maps: list[tuple[torch.Tensor, torch.Tensor]]) -> bool:
    return any(
        each.shape == saliency.shape
        and bool(((saliency.double() - each).abs() <= 1e-4 * each.max() + 32 * noise).all())
        for each, noise in maps
    )


def _are_equal(before: list[torch.Tensor], after: list[torch.Tensor]) -> bool:
    """Bit by bit; two NaN are equal."""
    return len(before) == len(after) and all(
        torch.allclose(one, other, rtol=0.0, atol=0.0, equal_nan=True) for one, other in zip(before, after, strict=True)
    )
