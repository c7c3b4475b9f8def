"""Reports as checks of real models give them, made by hand: what the renderers are tested and looked at with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from gradflow.cam.result import CamResult
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help, PathStep, Repair
from gradflow.graph.elements import Branch, BranchKind, BranchPath, Cut, Edge, Node
from gradflow.graph.flow_graph import FlowGraph
from gradflow.location import SourceSpan
from gradflow.report import Environment, GradientStatistics, Report, Score, Target

SOURCES = Path(__file__).parents[3] / "fixtures" / "render"
SCORE = Score(description="score[281]", target=281, class_name="tabby", value=7.25)
LAYER = Target(name="layer4", type_name="Sequential", shape=(1, 512, 7, 7), call_count=1)
ENVIRONMENT = Environment(
    torch="2.10.0",
    python="3.12.3",
    gradflow="0.1.0",
    dtype="float32",
    mode="eval",
    seed=0,
    model="resnet18, random weights",
    input="random [1, 3, 224, 224]",
    parameter_count=11_689_512,
    operation_count=69,
    module_call_count=68,
    forward_count=1,
    duration_s=0.31,
)


def span(file: str, line: int, text: str, function: str = "") -> SourceSpan:
    """The span of ``text`` in a line of a file in fixtures/render."""
    path = SOURCES / file
    column = path.read_text(encoding="utf-8").splitlines()[line - 1].index(text) + 1
    return SourceSpan(
        path=str(path), line=line, column=column, end_line=line, end_column=column + len(text), function=function
    )


DETACH_SPAN = span("neck.py", 14, "features.detach()", "Neck.forward")
REDUCE_SPAN = span("neck.py", 13, "self.reduce(features)", "Neck.forward")
NO_GRAD_SPAN = span("neck.py", 27, "torch.no_grad()", "Head.forward")
NORMALIZE_SPAN = SourceSpan(
    path=str(SOURCES / "neck.py"), line=28, column=22, end_line=31, end_column=14, function="Head.forward"
)
DETACH_PATH = (
    PathStep(kind="score", label="score[281]", shape=(1, 1000)),
    PathStep(kind="step", label="head.fc", module="head.fc", operation="linear", shape=(1, 1000)),
    PathStep(kind="step", label="mean", module="head", operation="mean", shape=(1, 256)),
    PathStep(
        kind="cut", label="neck", module="neck", operation="Tensor.detach", shape=(1, 256, 7, 7), span=DETACH_SPAN
    ),
    PathStep(kind="step", label="neck.reduce", module="neck.reduce", operation="conv2d", shape=(1, 256, 7, 7)),
    PathStep(kind="layer", label="layer4", module="layer4", operation="relu_", shape=(1, 512, 7, 7)),
)
DETACH = Diagnostic(
    code="GF101",
    name="detach",
    severity="error",
    message="no gradient reaches `layer4` from class 281",
    location=DETACH_SPAN,
    label="the value goes on, its gradient does not",
    annotations=(Annotation(span=REDUCE_SPAN, label="last value with a gradient path (ConvolutionBackward0)"),),
    module="neck",
    path=DETACH_PATH,
    notes=("`detach` returns the same values without their history, so autograd cannot go back past this line",),
    helps=(
        Help(
            text="remove `.detach()`",
            repair=Repair(
                description="leave the `detach` out",
                verified=True,
                outcome="the gradient then reaches `layer4`, L2 norm 0.0123",
            ),
        ),
        Help(text="if the backbone is frozen on purpose, choose a layer after the neck: `head.fc`"),
    ),
    hides=("layer4", "layer3", "layer2", "layer1", "conv1", "bn1"),
)
DETACH_CUT = Cut(
    node="detach", cause="detach", operation="Tensor.detach", source="reduce", module="neck", span=DETACH_SPAN
)


def _node(
    name: str,
    index: int,
    operation: str,
    module: str,
    shape: tuple[int, ...],
    *,
    is_layer: bool = False,
    is_score: bool = False,
    carries_gradient: bool = False,
) -> Node:
    return Node(
        id=name, kind="operation", name=operation, index=index, module=module, shape=shape, is_layer=is_layer,
        is_score=is_score, carries_gradient=carries_gradient, depends_on_layer=True, reaches_score=True,
    )  # fmt: skip


def _flow(*cuts: Cut) -> FlowGraph:
    nodes = (
        _node("layer4", 0, "relu_", "layer4", (1, 512, 7, 7), is_layer=True, carries_gradient=True),
        _node("reduce", 1, "conv2d", "neck.reduce", (1, 256, 7, 7), carries_gradient=True),
        replace(_node("detach", 2, "Tensor.detach", "neck", (1, 256, 7, 7)), cut="detach", span=DETACH_SPAN),
        _node("mean", 3, "mean", "head", (1, 256)),
        _node("fc", 4, "linear", "head.fc", (1, 1000)),
        _node("score", 5, "select", "", (), is_score=True),
    )
    names = [node.id for node in nodes]
    return FlowGraph(
        nodes=nodes,
        edges=[Edge(source=a, target=b, kind="value") for a, b in pairwise(names)],
        cuts=cuts,
        modules=[
            ("layer4", "Sequential"),
            ("neck", "Neck"),
            ("neck.reduce", "Conv2d"),
            ("head", "Head"),
            ("head.fc", "Linear"),
        ],
        score="score",
        layer=["layer4"],
    )


def _gradient(
    name: str, norm: float, shape: tuple[int, ...], *, zero_count: int = 0, nan_count: int = 0
) -> GradientStatistics:
    entries = int(np.prod(shape))
    return GradientStatistics(
        name=name,
        arrived=True,
        shape=shape,
        l2_norm=norm,
        max_abs=norm / 7,
        entry_count=entries,
        zero_count=zero_count,
        nan_count=nan_count,
    )


def _skip(number: int, kind: BranchKind) -> Branch:
    return Branch(
        fork=f"fork{number}",
        join=f"join{number}",
        kind=kind,
        module=f"layer{number}",
        paths=(
            BranchPath(nodes=("a",), is_identity=False, carries_gradient=True, gradient_share=0.4),
            BranchPath(nodes=(), is_identity=True, carries_gradient=True, gradient_share=0.6),
        ),
    )


def detach() -> Report:
    """One cut, with a repair that works."""
    return Report(
        verdict="broken",
        target=LAYER,
        score=SCORE,
        diagnostics=(DETACH,),
        flow=_flow(DETACH_CUT),
        gradients=(GradientStatistics(name="layer4", arrived=False, shape=(1, 512, 7, 7)),),
        environment=ENVIRONMENT,
        assumptions=("weights: none, random initialisation", "target: the largest entry of the first sample"),
    )


def healthy() -> Report:
    """Connected, with a Grad-CAM."""
    flow = FlowGraph(
        branches=[_skip(i, "identity skip") for i in range(8)] + [_skip(i, "projection skip") for i in range(3)]
    )
    zeros = np.zeros((1, 7, 7), dtype=np.float32)
    return Report(
        verdict="connected",
        target=replace(LAYER, name="layer4.1.conv2", type_name="Conv2d"),
        score=SCORE,
        flow=flow,
        gradients=(_gradient("layer4.1.conv2", 0.0123, (1, 512, 7, 7), zero_count=752),),
        environment=ENVIRONMENT,
        assumptions=("weights: none, random initialisation", "target: the largest entry of the first sample"),
        cam=CamResult(
            method="Grad-CAM", layer="layer4.1.conv2", target=281, saliency=zeros, normalised=zeros,
            input_size=(224, 224), files=("overlay.png", "cam.npy"),
        ),
    )  # fmt: skip


def layer_not_called() -> Report:
    """A finding that has no line."""
    return Report(
        verdict="unused",
        target=Target(name="aux_classifier.4", type_name="Conv2d"),
        score=SCORE,
        diagnostics=(
            Diagnostic(
                code="GF301",
                name="layer-not-called",
                severity="error",
                message="`aux_classifier.4` did not run, so there is nothing to differentiate",
                module="aux_classifier",
                notes=(
                    "the model is in eval mode, in which this kind of model leaves its auxiliary classifiers out",
                    "no line can be named, because the call that is missing was never made",
                ),
                helps=(
                    Help(
                        text="check it in train mode: `--train`",
                        repair=Repair(description="train mode", verified=False, outcome="the layer still does not run"),
                    ),
                    Help(
                        text="ask for a layer that runs: `backbone.layer4`", repair=Repair(description="another layer")
                    ),
                ),
            ),
        ),
        environment=ENVIRONMENT,
    )


def two_cuts() -> Report:
    """Two cuts in a row: both must be mended."""
    no_grad = Diagnostic(
        code="GF102",
        name="no-grad",
        severity="error",
        message="no gradient reaches `layer4` from class 281",
        location=NO_GRAD_SPAN,
        label="gradient recording is off inside this block",
        annotations=(
            Annotation(span=NORMALIZE_SPAN, label="made without a gradient path"),
            Annotation(span=span("gate.py", 10, "torch.sqrt", "distance"), label="used here"),
        ),
        module="head",
        path=DETACH_PATH,
        helps=(Help(text="move `normalize` out of the `torch.no_grad()` block"),),
    )
    cut = Cut(node="mean", cause="no-grad", operation="normalize", source="mean", module="head", span=NO_GRAD_SPAN)
    return replace(detach(), diagnostics=(no_grad, DETACH), flow=_flow(DETACH_CUT, cut))


def several_layers() -> Report:
    """Four layers of one check: two behind the same cut, one behind none, one with a warning."""
    first, second = DETACH.helps
    tried = Repair(description="", verified=True, outcome="the gradient then reaches `layer3`, L2 norm 0.0456")
    late = replace(
        DETACH,
        message="no gradient reaches `layer3` from class 281",
        helps=(replace(first, repair=tried), second),
    )
    fc = Target(name="head.fc", type_name="Linear", shape=(1, 1000), call_count=1)
    return replace(
        detach(),
        others=(
            replace(detach(), target=replace(LAYER, name="layer3", shape=(1, 256, 14, 14)), diagnostics=(late,)),
            Report(verdict="connected", target=fc, score=SCORE, gradients=(_gradient("head.fc", 1.0, (1, 1000)),)),
            replace(
                partial_detach(),
                target=replace(LAYER, name="transformer.encoder.layers.encoder_layer_11.self_attention.out_proj"),
            ),
        ),
    )


def nan() -> Report:
    """A gradient with NaN entries; the source is indented with tabs."""
    return Report(
        verdict="nan",
        target=Target(name="encoder.fc", type_name="Linear", shape=(8, 64), call_count=1),
        score=Score(description="loss"),
        diagnostics=(
            Diagnostic(
                code="GF407",
                name="nan-singularity",
                severity="error",
                message="the gradient at `encoder.fc` turns into NaN in `torch.sqrt`",
                location=span("gate.py", 10, "torch.sqrt(((a - b) ** 2).sum(dim=1))", "distance"),
                label="derivative 1 / (2 sqrt(x)) is infinite at x = 0, and 0 × ∞ is NaN",
                notes=("3 of the 8 sums are exactly 0",),
                helps=(Help(text="add a small number inside the root:\n`torch.sqrt(x + 1e-12)`"),),
            ),
        ),
        gradients=(_gradient("encoder.fc", 2.5, (8, 64), nan_count=192, zero_count=1),),
        environment=replace(ENVIRONMENT, model="train.py:build", device="cuda:0", mode="train"),
    )


def partial_detach() -> Report:
    """Connected, with a warning on a very long line."""
    return Report(
        verdict="connected",
        target=LAYER,
        score=SCORE,
        diagnostics=(
            Diagnostic(
                code="GF401",
                name="partial-detach",
                severity="warning",
                message="one of two paths from `layer4` to class 281 carries no gradient",
                location=span("gate.py", 6, "weight.detach()", "build.<locals>.gate"),
                label="the gate's own gradient is lost here",
                annotations=(
                    Annotation(span=span("gate.py", 6, "weight.mean(dim=(2, 3), keepdim=True)"), label="kept here"),
                ),
                path=DETACH_PATH,
                notes=("a stopped gate is often wanted; the warning goes away with `--ignore GF401`",),
            ),
        ),
        gradients=(_gradient("layer4", 0.5, (1, 512, 7, 7)),),
        environment=ENVIRONMENT,
    )


def unicode_source() -> Report:
    """Wide characters before and in the span."""
    diagnostic = replace(
        DETACH,
        location=span("unicode_names.py", 5, "(重み * größe).detach()", "注意"),
        annotations=(
            Annotation(
                span=span("unicode_names.py", 5, "特徴.softmax(dim=1)"), label="last value with a gradient path"
            ),
        ),
        path=(),
        hides=(),
    )
    return replace(detach(), diagnostics=(diagnostic,))


def missing_source() -> Report:
    """The source lies in an installed package of another machine, and Python gave no columns."""
    location = SourceSpan(
        path="/opt/env/lib/python3.12/site-packages/torchvision/models/resnet.py",
        line=93,
        function="BasicBlock.forward",
    )
    return replace(detach(), diagnostics=(replace(DETACH, location=location, annotations=()),))


def not_determined() -> Report:
    """Broken, and no rule explains it."""
    return replace(
        detach(),
        diagnostics=(),
        undetermined=("the cause, because the model runs a compiled program that hides its operations",),
    )


def zero() -> Report:
    """A whole path whose gradient is zero, for a reason that is no mistake."""
    reason = Diagnostic(
        code="GF403", name="saturation", severity="info",
        message="every entry that `layer4` feeds is on the flat side of a ReLU for this input",
        notes=("another input may well give a gradient",),
    )  # fmt: skip
    return replace(
        healthy(), verdict="zero", diagnostics=(reason,), cam=None,
        gradients=(_gradient("layer4.1.conv2", 0.0, (1, 512, 7, 7), zero_count=25088),),
    )  # fmt: skip


EXAMPLES: dict[str, Callable[[], Report]] = {
    "detach": detach,
    "healthy": healthy,
    "layer_not_called": layer_not_called,
    "two_cuts": two_cuts,
    "several_layers": several_layers,
    "nan": nan,
    "partial_detach": partial_detach,
    "unicode_source": unicode_source,
    "missing_source": missing_source,
    "not_determined": not_determined,
    "zero": zero,
}
