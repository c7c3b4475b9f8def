"""Branches of published networks, recorded operation by operation at a small input."""

from __future__ import annotations

import weakref
from collections import Counter
from typing import Any

import pytest
import torch
import torchvision.models as zoo
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree

from gradflow.graph.branches import OperationView, RawBranch, find_branches

IGNORED = {"__get__", "__set__", "__len__", "size", "dim", "numel", "stride", "is_floating_point", "is_complex"}


class Recorder(TorchFunctionMode):
    """Notes each operation that depends on the input, with the ids of those that made its tensor arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.modules: list[str] = []
        self.inputs: dict[int, list[int]] = {}
        self.cut: set[tuple[int, int]] = set()
        self.stack: list[str] = [""]
        self.producer: dict[int, tuple[weakref.ref[torch.Tensor], int]] = {}

    def maker(self, tensor: torch.Tensor) -> int | None:
        entry = self.producer.get(id(tensor))
        return entry[1] if entry is not None and entry[0]() is tensor else None

    def remember(self, tensors: list[torch.Tensor], operation: int) -> None:
        for tensor in tensors:
            self.producer[id(tensor)] = (weakref.ref(tensor), operation)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.__name__
        outputs = [leaf for leaf in _pytree.tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        arguments = [leaf for leaf in _pytree.tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        makers = [maker for maker in map(self.maker, arguments) if maker is not None]
        if name not in IGNORED and outputs and makers:
            operation = len(self.names)
            self.names.append(name)
            self.modules.append(self.stack[-1])
            self.inputs[operation] = makers
            if not any(output.requires_grad for output in outputs):
                self.cut |= {(maker, operation) for maker in makers}
            self.remember(outputs, operation)
        return result


def record(model: nn.Module, *shape: int) -> Recorder:
    recorder = Recorder()
    names = {module: name for name, module in model.named_modules()}

    def enter(module: nn.Module, _: Any) -> None:
        recorder.stack.append(names[module])

    def leave(module: nn.Module, _: Any, __: Any) -> None:
        recorder.stack.pop()

    for module in model.modules():
        module.register_forward_pre_hook(enter)
        module.register_forward_hook(leave)
    image = torch.rand(shape, requires_grad=True)
    with recorder:
        start = image * 1.0
        recorder.names.append("mul")
        recorder.modules.append("")
        recorder.inputs[0] = []
        recorder.remember([start], 0)
        output = model(start)
    del image, output
    return recorder


def branches_of(recorder: Recorder, score: int | None = None) -> tuple[RawBranch, ...]:
    score = len(recorder.names) - 1 if score is None else score
    reaching = {score}
    for operation in range(score, -1, -1):
        if operation in reaching:
            reaching.update(recorder.inputs[operation])
    return find_branches(
        sorted(reaching),
        recorder.inputs,
        lambda producer, consumer: (producer, consumer) not in recorder.cut,
        lambda operation: OperationView(name=recorder.names[operation], module=recorder.modules[operation]),
    )


def kinds(recorder: Recorder) -> dict[str, int]:
    return dict(Counter(branch.kind for branch in branches_of(recorder)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", {"identity skip": 5, "projection skip": 3}),
        ("resnet50", {"identity skip": 12, "projection skip": 4}),
        ("mobilenet_v3_large", {"identity skip": 10, "gate": 8}),
        ("efficientnet_b0", {"identity skip": 9, "gate": 16}),
        ("convnext_tiny", {"identity skip": 18}),
        ("swin_t", {"identity skip": 24, "attention": 12}),
        ("densenet121", {"dense concatenation": 4}),
        ("shufflenet_v2_x1_0", {"parallel": 16}),
        ("squeezenet1_0", {"parallel": 8}),
        ("vgg11", {}),
    ],
)
def test_counts(name: str, expected: dict[str, int]) -> None:
    assert kinds(record(getattr(zoo, name)().eval(), 1, 3, 64, 64)) == expected


def test_vision_transformer() -> None:
    found = kinds(record(zoo.vit_b_32(image_size=32).eval(), 1, 3, 32, 32))
    assert found == {"identity skip": 24, "attention": 12}


def test_inception() -> None:
    assert kinds(record(zoo.googlenet(aux_logits=False, init_weights=False).eval(), 1, 3, 64, 64)) == {"parallel": 9}
    inception = zoo.inception_v3(aux_logits=False, init_weights=False).eval()
    assert kinds(record(inception, 1, 3, 75, 75)) == {"parallel": 15}


def test_resnet_names_the_block_and_tells_the_identity_from_the_convolutions() -> None:
    recorder = record(zoo.resnet18().eval(), 1, 3, 64, 64)
    projected, plain = (branch for branch in branches_of(recorder) if branch.module.startswith("layer2"))
    assert (projected.kind, projected.module) == ("projection skip", "layer2.0")
    assert (plain.kind, plain.module) == ("identity skip", "layer2.1")
    convolutions, identity = plain.paths
    names = [recorder.names[node] for node in convolutions.nodes]
    assert names == ["conv2d", "batch_norm", "relu", "conv2d", "batch_norm"]
    assert not convolutions.is_identity
    assert identity.nodes == ()
    assert identity.is_identity


def test_densenet_blocks_list_each_layer_once() -> None:
    recorder = record(zoo.densenet121().eval(), 1, 3, 32, 32)
    blocks = branches_of(recorder)
    assert [block.module for block in blocks] == [f"features.denseblock{number}" for number in (1, 2, 3, 4)]
    assert [len(block.paths) for block in blocks] == [7, 13, 25, 17]
    listed = [node for block in blocks for path in block.paths for node in path.nodes]
    assert len(listed) == len(set(listed))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(nn.Conv2d(*channels, 3, padding=1) for channels in ((3, 4), (4, 8), (8, 16)))
        self.up = nn.ModuleList(nn.ConvTranspose2d(*channels, 2, stride=2) for channels in ((16, 8), (8, 4)))
        self.merge = nn.ModuleList(nn.Conv2d(2 * count, count, 3, padding=1) for count in (8, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = torch.relu(self.down[0](x))
        second = torch.relu(self.down[1](nn.functional.max_pool2d(first, 2)))
        third = torch.relu(self.down[2](nn.functional.max_pool2d(second, 2)))
        y = torch.relu(self.merge[0](torch.cat([self.up[0](third), second], 1)))
        return self.merge[1](torch.cat([self.up[1](y), first], 1))


def test_unet_has_one_long_skip_per_level() -> None:
    outer, inner = branches_of(record(UNet(), 1, 3, 8, 8))
    assert (outer.kind, inner.kind) == ("long skip", "long skip")
    assert [path.nodes == () for path in outer.paths] == [False, True]
    assert outer.fork < inner.fork < inner.join < outer.join


class DetachedSkip(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        return self.conv(x) + x.detach()


def test_a_detached_skip_is_still_a_skip_and_carries_nothing() -> None:
    (branch,) = branches_of(record(DetachedSkip(), 1, 3, 8, 8))
    assert branch.kind == "identity skip"
    assert [path.carries_gradient for path in branch.paths] == [True, False]
    assert [path.is_identity for path in branch.paths] == [False, True]


class WrittenOutAttention(nn.Module):
    """Queries, keys and values with rotary-like mixing, a mask and a GELU written out: one attention, nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.queries, self.keys, self.values = (nn.Linear(8, 8) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(x)
        queries, keys, values = self.queries(x), self.keys(x), self.values(x)
        queries = queries * 0.5 + torch.cat([-queries[..., 4:], queries[..., :4]], -1) * 0.2
        weights = (queries @ keys.transpose(-1, -2) / 3 + torch.zeros(5, 5)).softmax(-1)
        y = weights @ values
        return 0.5 * y * (1 + torch.tanh(0.8 * (y + 0.04 * y**3)))


def test_the_insides_of_attention_are_one_branch_with_three_paths() -> None:
    recorder = record(WrittenOutAttention(), 1, 5, 8)
    (branch,) = branches_of(recorder)
    assert branch.kind == "attention"
    assert recorder.names[branch.fork] == "layer_norm"
    assert len(branch.paths) == 3
    assert [recorder.names[path.nodes[0]] for path in branch.paths] == ["linear"] * 3
