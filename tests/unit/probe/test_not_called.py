"""Small modules whose layer does not run, run for real; the line that is to blame is marked in their source."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from gradflow.location import SiteTable
from gradflow.probe.not_called import NotCalled, explain_not_called

HERE = Path(__file__)


class Sites(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.table = SiteTable()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.table.number(sys._getframe(1))
        return func(*args, **(kwargs or {}))


def explain(model: nn.Module, layer: str, value: torch.Tensor | None = None) -> NotCalled:
    ran: set[str] = set()
    for name, module in model.named_modules():
        module.register_forward_hook(lambda *_, name=name: ran.add(name))
    with Sites() as sites:
        model(torch.rand(2, 4) if value is None else value)
    assert layer not in ran
    parts = layer.split(".")
    chain = [
        (".".join(parts[:place]), type(model.get_submodule(".".join(parts[:place]))), parts[place])
        for place in reversed(range(len(parts)))
    ]
    executed = frozenset((span.path, span.line) for span in sites.table.spans())
    return explain_not_called(chain, executed, ran=ran, user_files=[str(HERE)])


def marked(word: str) -> int:
    """The number of the line with this comment."""
    return next(n for n, line in enumerate(HERE.read_text().splitlines(), 1) if line.endswith(f"# line: {word}"))


class SqueezeExcite(nn.Module):
    def __init__(self, use_se: bool = False) -> None:
        super().__init__()
        self.use_se = use_se
        self.conv = nn.Linear(4, 4)
        self.se = nn.Sequential(nn.Linear(4, 4), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.conv(x))
        if self.use_se:  # line: use_se
            y = y * self.se(y)
        return y


def test_a_block_skipped_by_a_setting() -> None:
    found = explain(SqueezeExcite(), "se.1")
    assert found.kind == "layer-not-called"
    assert found.location is not None
    assert (found.location.line, found.location.column) == (marked("use_se"), 12)
    assert found.label.startswith("`self.use_se` was false in this run, so `self.se(y)` on line")


def test_other_instances_of_the_class_that_ran_make_it_less_sure() -> None:
    found = explain(nn.Sequential(SqueezeExcite(use_se=True), SqueezeExcite()), "1.se.1")
    assert found.location is not None
    assert found.location.line == marked("use_se")
    assert "probably" in found.label
    assert found.note.startswith("inferred")


class FusedAttention(nn.Module):
    def __init__(self, fused: bool = True) -> None:
        super().__init__()
        self.fused = fused
        self.qkv = nn.Linear(4, 12)
        self.attn_drop = nn.Dropout(0.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        if self.fused:
            x = functional.scaled_dot_product_attention(
                q,
                k,
                v,
                dropout_p=self.attn_drop.p if self.training else 0.0,  # line: drop
            )
        else:
            x = self.attn_drop((q @ k.mT).softmax(-1)) @ v
        return x


def test_a_fused_attention_reads_the_dropout_and_does_not_call_it() -> None:
    found = explain(nn.ModuleDict({"a": FusedAttention()})["a"], "attn_drop")
    assert found.kind == "functional-bypass"
    assert found.location is not None
    assert found.location.line == marked("drop")
    assert "`self.fused` was true" in found.note


class ForwardOfForward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = FusedAttention()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.attention.forward(x)  # line: dot forward


def test_forward_called_directly() -> None:
    found = explain(ForwardOfForward(), "attention")
    assert found.kind == "functional-bypass"
    assert found.location is not None
    assert found.location.line == marked("dot forward")
    assert found.help == "call the module itself: `self.attention(x)`"


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, self.fc.weight)  # line: tied


def test_weights_used_by_a_function() -> None:
    found = explain(Tied(), "fc")
    assert found.kind == "functional-bypass"
    assert found.location is not None
    assert found.location.line == marked("tied")
    assert found.label == "uses `self.fc.weight` without calling `self.fc`"


def test_weights_handed_to_a_function_of_the_library() -> None:
    model = torchvision.models.swin_t().eval()
    found = explain(model, "features.1.0.attn.qkv", torch.rand(1, 3, 32, 32))
    assert found.kind == "functional-bypass"
    assert found.location is not None
    assert found.location.function == "ShiftedWindowAttention.forward"
    assert found.label == "uses `self.qkv.weight` without calling `self.qkv`"


def make_resnet_with_a_stray_head() -> nn.Module:
    net = torchvision.models.resnet18().eval()
    net.classifier = nn.Linear(512, 4)  # line: stray
    return net


def test_a_new_head_under_a_name_that_nobody_calls() -> None:
    found = explain(make_resnet_with_a_stray_head(), "classifier", torch.rand(1, 3, 32, 32))
    assert found.kind == "layer-not-called"
    assert found.location is not None
    assert found.location.line == marked("stray")
    assert "`self.fc`" in found.note
    assert "`fc`" in found.help


class AllButLast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers[:-1]:  # line: slice
            x = layer(x)
        return x


def test_a_slice_that_leaves_the_layer_out() -> None:
    found = explain(AllButLast(), "layers.2")
    assert found.kind == "layer-not-called"
    assert found.location is not None
    assert found.location.line == marked("slice")
    assert found.label == "`self.layers[:-1]` leaves out element 2, so it is not called"


class Router(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        best = int(x.new_tensor(1).item())
        return self.experts[best](x)  # line: expert


def test_an_index_that_was_never_chosen() -> None:
    found = explain(Router(), "experts.2")
    assert found.location is not None
    assert found.location.line == marked("expert")
    assert "did not pick element 2" in found.label


class Turns(nn.Module):
    """A layer in each turn of a loop."""

    def __init__(self, turns: int) -> None:
        super().__init__()
        self.steps, self.turns = nn.ModuleList(nn.Linear(4, 4) for _ in range(4)), turns

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, i = x + 1, 0
        while i < self.turns:
            x = self.steps[i](x)
            i += 1
        return x


class InOneLine(Turns):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, i = x + 1, 0
        # fmt: off
        while i < self.turns: x = self.steps[i](x); i += 1  # noqa: E701, E702
        # fmt: on
        return x


@pytest.mark.parametrize("kind", [Turns, InOneLine])
def test_a_loop_that_ended_after_some_turns_has_run(kind: type[Turns]) -> None:
    found = explain(kind(2), "steps.3")
    assert found.label == "`self.steps[i]` did not pick element 3 in this run"
    assert found.note.endswith("the loop may end before it comes to this one")


@pytest.mark.parametrize("kind", [Turns, InOneLine])
def test_a_loop_that_never_began_is_told_by_its_condition(kind: type[Turns]) -> None:
    found = explain(kind(0), "steps.3")
    assert found.label.startswith("`i < self.turns` was false in this run")


class Pooled(nn.Module):
    """Pools in one of several ways."""

    def __init__(self, kind: object) -> None:
        super().__init__()
        self.kind, self.first, self.second, self.rest, self.end = kind, *(nn.Linear(4, 4) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        match self.kind:
            case "first":
                x = self.first(x)
            case "second" | 2:
                x = self.second(x)
            case "plain":
                return x + 1
            case _:
                x = self.rest(x)
        return self.end(x)


@pytest.mark.parametrize(
    ("kind", "layer", "told", "help_"),
    [
        ("second", "first", "did not match `'first'`", "a value that matches `'first'`"),
        ("first", "second", "did not match `'second' | 2`", "a value that matches `'second' | 2`"),
        (2, "rest", "matched a case before `_`", "a value that no case before `_` matches"),
        ("plain", "end", "matched `'plain'`", "a value that does not match `'plain'`"),
    ],
)
def test_a_pattern_matches_or_does_not(kind: object, layer: str, told: str, help_: str) -> None:
    found = explain(Pooled(kind), layer)
    assert found.label.startswith(f"`self.kind` {told} in this run")
    assert found.help.startswith(f"give `self.kind` {help_} for this model")


def test_an_auxiliary_head_only_in_training() -> None:
    model = torchvision.models.googlenet(aux_logits=True, init_weights=False).eval()
    found = explain(model, "aux1.fc1", torch.rand(1, 3, 64, 64))
    assert found.subject == "aux1"
    assert found.note.startswith("the layer is inside `aux1`, which never ran")
    assert found.label.startswith("`self.training` was false in this run")
    assert "model.train()" in found.help


class Forgotten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used = nn.Linear(4, 4)
        self.extra = nn.Linear(4, 4)  # line: extra

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.used(x)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self.used(x)


def test_assigned_and_forgotten() -> None:
    found = explain(Forgotten(), "extra")
    assert found.location is not None
    assert found.location.line == marked("extra")
    assert found.label == "assigned here; it never ran"
    assert found.note == "no code of `Forgotten` calls `self.extra`"


def test_projection_inside_torchs_attention_is_shown_where_the_user_calls_it() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.attention(x, x, x)[0]  # line: mha

    found = explain(Block(), "attention.out_proj")
    assert found.kind == "functional-bypass"
    assert found.location is not None
    assert (found.location.path, found.location.line) == (str(HERE), marked("mha"))
    assert found.label.startswith("inside this call, torch uses `self.out_proj.weight`")


def test_class_without_source() -> None:
    namespace: dict[str, Any] = {"nn": nn}
    exec(
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return x
""",
        namespace,
    )
    found = explain(namespace["Net"](), "fc")
    assert found.kind == "layer-not-called"
    assert "could not be read" in found.note


def test_of_classes_without_readable_code_the_one_that_decides_is_named() -> None:
    namespace: dict[str, Any] = {"nn": nn}
    exec("class Net(nn.Module):\n    def forward(self, x):\n        return x", namespace)
    found = explain_not_called([("se", nn.Sequential, "0"), ("", namespace["Net"], "se")], ran={""})
    assert "`Net` could not be read" in found.note


def test_a_container_has_no_code_that_could_not_be_read() -> None:
    called = explain_not_called([("", nn.Sequential, "2")], ran={"", "0", "1"})
    assert "calls all that it holds" in called.note
    taken_apart = explain_not_called([("", nn.Sequential, "2")], ran={"0", "1"})
    a_list = explain_not_called([("", nn.ModuleList, "2")], ran={"", "0", "1"})
    for found in (taken_apart, a_list):
        assert "only holds it" in found.note
    assert not any("could not be read" in found.note for found in (called, taken_apart, a_list))


@pytest.mark.parametrize("layer", ["se.0", "se.1"])
def test_without_any_recorded_line_nothing_is_claimed_to_be_proven_by_them(layer: str) -> None:
    chain = [("se", nn.Sequential, layer[-1]), ("", SqueezeExcite, "se")]
    found = explain_not_called(chain)
    assert found.location is not None
    assert found.location.line == marked("use_se")
    assert "recorded on the other way" not in found.note
