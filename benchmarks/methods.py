"""What is compared: each method asks its own question of the same model and input, once."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.subjects import Subject
from gradflow.load.workload import Objective, Workload
from gradflow.record.program_sites import ProgramSites
from gradflow.record.run import run_forward
from gradflow.recording import Recording


def plain(subject: Subject) -> None:
    """A forward and a backward to all parameters, which everything is measured against."""
    subject.model.zero_grad(set_to_none=True)
    subject.model(subject.x)[0, 0].backward()


def gradflow_check(subject: Subject) -> None:
    import gradflow

    gradflow.check(subject.model, subject.layer, inputs=subject.x, target=0, cam=subject.has_feature_map)


def gradflow_trace(subject: Subject) -> None:
    _trace(subject)


def operation_count(subject: Subject) -> int:
    """How many operations gradflow records in one forward pass."""
    return len(_trace(subject))


def _trace(subject: Subject) -> Recording:
    workload = Workload(
        model=subject.model,
        model_name=subject.name,
        inputs=(subject.x,),
        objective=Objective(compute=lambda output: (output[0, 0], "score[0]", 0)),
    )
    return run_forward(workload, {}, {}, sites=ProgramSites()).recording


def captum_grad_cam(subject: Subject) -> None:
    from captum.attr import LayerGradCam

    LayerGradCam(subject.model, subject.model.get_submodule(subject.layer)).attribute(subject.x, target=0)


def torchlens_trace(subject: Subject) -> None:
    import torchlens

    torchlens.trace(subject.model, subject.x)


def torchview_draw(subject: Subject) -> None:
    import torchview

    torchview.draw_graph(subject.model, input_data=subject.x)


def anomaly_mode(subject: Subject) -> None:
    subject.model.zero_grad(set_to_none=True)
    with warnings.catch_warnings(action="ignore"), torch.autograd.detect_anomaly():
        subject.model(subject.x)[0, 0].backward()


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """``package`` is what must be installed; ``needs_feature_map`` leaves out subjects that have none."""

    name: str
    run: Callable[[Subject], None]
    package: str = "torch"
    needs_feature_map: bool = False

    @property
    def is_installed(self) -> bool:
        return importlib.util.find_spec(self.package) is not None


PLAIN = Method(name="plain forward + backward", run=plain)
CHECK = Method(name="`gradflow.check` (with Grad-CAM)", run=gradflow_check, package="gradflow.checking")
TRACE = Method(name="gradflow, tracing only", run=gradflow_trace, package="gradflow")
OTHERS = (
    Method(name="captum `LayerGradCam`", run=captum_grad_cam, package="captum", needs_feature_map=True),
    Method(name="torchlens `trace`", run=torchlens_trace, package="torchlens"),
    Method(name="torchview `draw_graph`", run=torchview_draw, package="torchview"),
    Method(name="anomaly mode", run=anomaly_mode),
)
METHODS = (CHECK, TRACE, *OTHERS)
