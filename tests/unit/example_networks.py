"""Flow graphs as runs of real networks give them, made by hand: no torch, any size, cuts where they are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from gradflow.graph.elements import Branch, BranchPath, Cut, Edge, Node
from gradflow.graph.flow_graph import FlowGraph
from gradflow.location import SourceSpan

PATH = "/home/someone/project/models/net.py"


@dataclass
class Run:
    """Records operations as a forward pass would; :meth:`graph` works out what depends on what."""

    nodes: dict[str, Node] = field(default_factory=dict)
    inputs: dict[str, list[str]] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    branches: list[tuple[str, str, str, list[list[str]], list[float] | None]] = field(default_factory=list)
    detached: set[str] = field(default_factory=set)

    def leaf(self, kind: str, name: str, shape: tuple[int, ...] = (), *, requires_grad: bool = True) -> str:
        node_id = f"{'param' if kind == 'parameter' else kind}:{name}"
        if node_id not in self.inputs:
            module = name.rpartition(".")[0] if kind != "input" else ""
            self.nodes[node_id] = Node(
                id=node_id, kind=kind, name=name, index=-1, module=module, shape=shape, requires_grad=requires_grad
            )
            self.inputs[node_id] = []
        return node_id

    def op(self, name: str, inputs: Iterable[str], module: str = "", *, kind: str = "operation", line: int = 0) -> str:
        index = len(self.nodes)
        node_id = f"op{index}"
        span = SourceSpan(path=PATH, line=line or index + 1, column=9, function="Net.forward")
        self.nodes[node_id] = Node(
            id=node_id, kind=kind, name=name, index=index, module=module, shape=(1, 8), dtype="float32", span=span
        )
        self.inputs[node_id] = list(inputs)
        if name == "Tensor.detach" or kind == "re-entry":
            self.detached.add(node_id)
        return node_id

    def call(self, module: str, type_name: str, name: str, inputs: Iterable[str], *, frozen: bool = False) -> str:
        """A leaf module with one operation, and a weight where its kind has one."""
        self.modules[module] = type_name
        inputs = list(inputs)
        if type_name in ("Conv2d", "Linear", "BatchNorm2d"):
            inputs.append(self.leaf("parameter", f"{module}.weight", (8, 8), requires_grad=not frozen))
        return self.op(name, inputs, module)

    def graph(self, score: str, layer: Sequence[str]) -> FlowGraph:
        readers: dict[str, list[str]] = {}
        for node, sources in self.inputs.items():
            for source in sources:
                readers.setdefault(source, []).append(node)
        depends = _closure(layer, readers)
        reaches = _closure([score], self.inputs)
        carries: set[str] = set(layer)
        cut_at: dict[str, str] = {}
        for node in self.nodes:
            alive = [source for source in self.inputs[node] if source in carries]
            if not alive or node in carries:
                continue
            if node in self.detached:
                if node in reaches:
                    cut_at[node] = alive[0]
            else:
                carries.add(node)
        causes = {node: "numpy-roundtrip" if self.nodes[node].kind == "re-entry" else "detach" for node in cut_at}
        nodes = [
            replace(
                node,
                is_score=node.id == score,
                is_layer=node.id in layer,
                depends_on_layer=node.id in depends,
                carries_gradient=node.id in carries,
                reaches_score=node.id in reaches,
                cut=causes.get(node.id, ""),
            )
            for node in self.nodes.values()
        ]
        edges = []
        for node, sources in self.inputs.items():
            for source in sources:
                edges.append(Edge(source=source, target=node, kind="value", is_cut=cut_at.get(node) == source))
                if source in carries and node in carries and node in reaches:
                    edges.append(Edge(source=node, target=source, kind="gradient"))
        cuts = [
            Cut(node=node, cause=causes[node], operation=self.nodes[node].name, source=source,
                module=self.nodes[node].module, span=self.nodes[node].span)
            for node, source in cut_at.items()
        ]  # fmt: skip
        branches = [
            Branch(
                fork=fork,
                join=join,
                kind=kind,
                module=self.nodes[join].module,
                paths=tuple(
                    BranchPath(
                        nodes=tuple(path),
                        is_identity=not path,
                        carries_gradient=all(node in carries for node in (fork, *path)),
                        gradient_share=shares[place] if shares else None,
                    )
                    for place, path in enumerate(paths)
                ),
            )
            for fork, join, kind, paths, shares in self.branches
            if fork in depends
        ]
        return FlowGraph(nodes=nodes, edges=edges, cuts=cuts, branches=branches, modules=self.modules.items(),
                         score=score, layer=layer)  # fmt: skip


def _closure(start: Iterable[str], adjacency: dict[str, list[str]]) -> set[str]:
    seen = set(start)
    waiting = list(seen)
    while waiting:
        for there in adjacency.get(waiting.pop(), ()):
            if there not in seen:
                seen.add(there)
                waiting.append(there)
    return seen


def resnet(
    blocks: Sequence[int] = (3, 4, 6, 3),
    *,
    layer: str = "layer4",
    detach_before: str = "",
    detached_skip: str = "",
    frozen: Sequence[str] = (),
) -> FlowGraph:
    """A ResNet with bottlenecks; ``(3, 8, 36, 3)`` is ResNet-152.

    ``detach_before`` and ``detached_skip`` are qualified names of blocks.
    """
    run = Run()
    outputs: dict[str, list[str]] = {}

    def call(module: str, type_name: str, name: str, *inputs: str) -> str:
        made = run.call(module, type_name, name, inputs, frozen=module.startswith(tuple(frozen)))
        outputs.setdefault(module, []).append(made)
        return made

    value = run.leaf("input", "x", (1, 3, 64, 64))
    for module, type_name, name in (
        ("conv1", "Conv2d", "conv2d"), ("bn1", "BatchNorm2d", "batch_norm"), ("relu", "ReLU", "relu"),
        ("maxpool", "MaxPool2d", "max_pool2d"),
    ):  # fmt: skip
        value = call(module, type_name, name, value)
    for stage, count in enumerate(blocks, start=1):
        run.modules[f"layer{stage}"] = "Sequential"
        for number in range(count):
            block = f"layer{stage}.{number}"
            run.modules[block] = "Bottleneck"
            if block == detach_before:
                value = run.op("Tensor.detach", [value], f"layer{stage}", line=42)
            fork, path, skip = value, [], []
            for place in (1, 2, 3):
                value = call(f"{block}.conv{place}", "Conv2d", "conv2d", value)
                path.append(value)
                value = call(f"{block}.bn{place}", "BatchNorm2d", "batch_norm", value)
                path.append(value)
                if place < 3:
                    value = call(f"{block}.relu", "ReLU", "relu", value)
                    path.append(value)
            identity = fork
            if number == 0:
                run.modules[f"{block}.downsample"] = "Sequential"
                identity = call(f"{block}.downsample.0", "Conv2d", "conv2d", identity)
                skip.append(identity)
                identity = call(f"{block}.downsample.1", "BatchNorm2d", "batch_norm", identity)
                skip.append(identity)
            if block == detached_skip:
                identity = run.op("Tensor.detach", [identity], block, line=57)
                skip.append(identity)
            join = run.op("Tensor.add_", [value, identity], block)
            kind = "projection skip" if number == 0 else "identity skip"
            run.branches.append((fork, join, kind, [path, skip], [0.4, 0.6]))
            value = call(f"{block}.relu", "ReLU", "relu", join)
            outputs[block] = [value]
        outputs[f"layer{stage}"] = [value]
    value = call("avgpool", "AdaptiveAvgPool2d", "adaptive_avg_pool2d", value)
    value = run.op("flatten", [value])
    value = call("fc", "Linear", "linear", value)
    score = run.op("Tensor.__getitem__", [value])
    return run.graph(score, outputs.get(layer, []))


def loop(steps: int, *, layer: str = "embed") -> FlowGraph:
    """A recurrent cell called once per step."""
    run = Run(modules={"embed": "Linear", "cell": "Cell", "cell.input": "Linear", "cell.hidden": "Linear"})
    embedded = run.call("embed", "Linear", "linear", [run.leaf("input", "x")])
    cells = []
    hidden = run.op("zeros", [])
    for _ in range(steps):
        step = run.op("Tensor.__getitem__", [embedded])
        a = run.call("cell.input", "Linear", "linear", [step])
        b = run.call("cell.hidden", "Linear", "linear", [hidden])
        total = run.op("Tensor.add", [a, b], "cell")
        cells.append(run.op("tanh", [total], "cell"))
        hidden = run.op("Tensor.mul", [cells[-1]])
    score = run.call("head", "Linear", "linear", [hidden])
    return run.graph(score, cells if layer == "cell" else [embedded])


def dense(layers: int) -> FlowGraph:
    """One block in which each layer reads all that came before: the number of edges is quadratic."""
    run = Run()
    values = [run.call("stem", "Conv2d", "conv2d", [run.leaf("input", "x")])]
    for number in range(layers):
        joined = run.op("cat", values, f"block.layer{number}")
        run.modules[f"block.layer{number}"] = "DenseLayer"
        values.append(run.call(f"block.layer{number}.conv", "Conv2d", "conv2d", [joined]))
    score = run.op("cat", values)
    return run.graph(score, [values[0]])


def plain_chain(length: int, *, detach_at: int = -1) -> FlowGraph:
    """Operations one after the other, no modules at all."""
    run = Run()
    first = value = run.op("sin", [run.leaf("input", "x")])
    for place in range(length):
        value = run.op("Tensor.detach" if place == detach_at else "cos", [value])
    return run.graph(value, [first])


def numpy_roundtrip() -> FlowGraph:
    """A value leaves torch in the neck and comes back changed."""
    run = Run(modules={"neck": "Neck"})
    first = run.call("conv", "Conv2d", "conv2d", [run.leaf("input", "x")])
    out = run.op("Tensor.numpy", [first], "neck", kind="exit", line=7)
    back = run.op("from_numpy", [out], "neck", kind="re-entry", line=9)
    score = run.call("fc", "Linear", "linear", [back])
    return run.graph(score, [first])


def weight_target() -> FlowGraph:
    """The gradient is asked of a parameter."""
    run = Run()
    value = run.call("conv", "Conv2d", "conv2d", [run.leaf("input", "x")])
    score = run.call("fc", "Linear", "linear", [value])
    return run.graph(score, ["param:conv.weight"])


def discarded_output() -> FlowGraph:
    """The layer runs, but the score does not use what it gives."""
    run = Run()
    value = run.call("stem", "Conv2d", "conv2d", [run.leaf("input", "x")])
    aux = run.call("aux", "Linear", "linear", [value])
    run.op("relu", [aux])
    score = run.call("fc", "Linear", "linear", [value])
    return run.graph(score, [aux])
