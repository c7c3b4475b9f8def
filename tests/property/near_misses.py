"""Code that looks like a cut and is none: the gradient of the score is whole, so gradflow must say nothing."""

# one piece of code, one line: a table
# ruff: noqa: E501

from __future__ import annotations

from tests.property.fragment import Fragment

__all__ = ["NEAR_MISSES"]

_ALL = ("map", "sequence", "vector")


def _look_alike(
    body: str, *layers: str, definitions: str = "", methods: str = "", fits: tuple[str, ...] = _ALL
) -> Fragment:
    return Fragment(body=body, layers=layers, definitions=definitions, methods=methods, fits=fits)


NEAR_MISSES: dict[str, Fragment] = {
    "metric kept on self": _look_alike("self.last{n} = {x}.detach()\n{y} = {x} * 1.0", methods="last{n} = None"),
    "item() for a log": _look_alike("self.log{n} = {x}.mean().item()\n{y} = {x} + 0.1", methods="log{n} = 0.0"),
    "history of floats": _look_alike("self.seen{n}.append(float({x}.abs().max()))\n{y} = {x} * 2", methods="seen{n} = []"),
    "formatted into a string": _look_alike("{a} = f'mean {{{x}.mean():.3f}}'\n{y} = {x} + 0.0 * len({a})"),
    "assertion about the values": _look_alike("assert not torch.isnan({x}).any()\n{y} = {x} * 1.0"),
    "raise on what never happens": _look_alike("if bool(({x}.abs() > 1e30).any()):\n    raise ValueError('too large')\n{y} = {x} * 1.0"),
    "running mean": _look_alike(
        "with torch.no_grad():\n    self.mean{n}.lerp_({x}.flatten(1).mean(1)[0], 0.1)\n{y} = {x} * 1.0", methods="mean{n} = torch.zeros(())"
    ),
    "NumPy after the fact": _look_alike("{a} = {x}.detach().numpy().copy()\nself.kept{n} = np.abs({a}).max()\n{y} = {x} * 1.0", methods="kept{n} = 0"),
    "shape through Python": _look_alike("{a} = int({x}.shape[0])\n{y} = {x} / float({a})"),
    "stable softmax": _look_alike("{a} = {x} - {x}.max(dim=-1, keepdim=True).values.detach()\n{y} = {a}.exp() / {a}.exp().sum(-1, keepdim=True)"),
    "straight-through rounding": _look_alike("{y} = {x} + (torch.round({x} * 4) / 4 - {x}).detach()"),
    "straight-through one-hot": _look_alike(
        "{a} = torch.softmax({x}, -1)\n{b} = F.one_hot({a}.argmax(-1), {x}.shape[-1]).float()\n{y} = {b} + {a} - {a}.detach()"
    ),
    "no_grad value that is not used": _look_alike("with torch.no_grad():\n    {a} = torch.tanh({x}).mean()\n{y} = {x} * 1.0"),
    "no_grad on the weights": _look_alike("with torch.no_grad():\n    {a} = {l0}.weight.abs().mean()\n{y} = {x} * {a} + {x}", "nn.Linear(8, 8)"),
    "weights as NumPy": _look_alike("{a} = float({l0}.weight.detach().numpy().std())\n{y} = {x} * (1.0 + {a})", "nn.Linear(8, 8)"),
    "enable_grad in no_grad": _look_alike("with torch.no_grad():\n    with torch.enable_grad():\n        {a} = {x} * 2.0\n{y} = {a}"),
    "set_grad_enabled(True)": _look_alike("with torch.set_grad_enabled(True):\n    {a} = {x} * 0.5\n{y} = {a}"),
    "no_grad over before it matters": _look_alike("with torch.no_grad():\n    {a} = torch.rand(1) + 1.0\n{y} = {x} * {a}"),
    "topk and gather": _look_alike("{a} = {x}.topk(4, dim=-1).indices\n{y} = {x} + {x}.gather(-1, {a}).mean(-1, keepdim=True)", fits=("sequence", "vector")),
    "argsort and gather": _look_alike("{a} = {x}.detach().argsort(-1)\n{y} = torch.gather({x}, -1, {a})"),
    "argmax as an index": _look_alike("{a} = {x}.flatten(1).sum(1).argmax()\n{y} = {x} + 0.5 * {x}[{a}]"),
    "argmax through Python": _look_alike("{a} = int({x}.flatten(1).sum(1).argmax())\n{y} = {x} + 0.5 * {x}[{a}]"),
    "mask of a comparison": _look_alike("{a} = ({x} > 0).float()\n{y} = {x} * (0.5 + {a})"),
    "masked_fill": _look_alike("{y} = {x}.masked_fill({x} < -0.5, -0.5)"),
    "boolean index": _look_alike("{a} = {x}.clone()\n{a}[{x} > 1] = 1.0\n{y} = {a}"),
    "keep the largest": _look_alike("{a} = {x}.abs()\n{y} = torch.where({a} >= {a}.median(), {x}, torch.zeros_like({x}))"),
    "noise of the same shape": _look_alike("{y} = {x} + 0.01 * torch.randn_like({x}.detach())"),
    "ones like the detached": _look_alike("{y} = {x} * torch.ones_like({x}.data) + torch.zeros_like({x})"),
    "detached, then not used": _look_alike("{a} = {x}.detach()\n{y} = {x} * 1.0"),
    "detached for the other output": _look_alike("{a} = torch.tanh({x}.detach()).mean()\n{b} = ({x} * 1.0, {a})\n{y} = {b}[0]"),
    "dropout": _look_alike("{y} = F.dropout({x}, 0.3, training=True)"),
    "values read in a condition": _look_alike("{a} = {x} * 1.0\nif {x}.mean() > 1e9:\n    {a} = {a} * 2\n{y} = {a}"),
    "unused branch with NumPy": _look_alike("{y} = np_twin{n}({x})", definitions="def np_twin{n}(value, export=False):\n    if export:\n        "
        "return torch.from_numpy(value.detach().numpy())\n    return value * 1.0"),
    "decorator on a metric": _look_alike("self.watch{n}({x})\n{y} = {x} * 1.0",
        methods="@torch.no_grad()\ndef watch{n}(self, value):\n    self.energy{n} = value.square().sum()"),
    "gumbel softmax, hard": _look_alike("{y} = F.gumbel_softmax({x}, hard=True) + 0.1 * {x}"),
    "spectral norm": _look_alike("{y} = {x} + {l0}({x})", "nn.utils.parametrizations.spectral_norm(nn.Linear(8, 8))", fits=("sequence", "vector")),
    "weight norm": _look_alike("{y} = {x} + {l0}({x})", "nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))", fits=("sequence", "vector")),
    "retain_grad and a hook": _look_alike("{a} = {x} * 1.0\nif {a}.requires_grad:\n    {a}.register_hook(lambda gradient: None)\n{y} = {a}"),
    "same layer in no_grad, too": _look_alike("with torch.no_grad():\n    {a} = {l0}({x})\n{y} = {l0}({x}) + 0.0 * {a}.shape[0]", "nn.LayerNorm(8)",
        fits=("sequence", "vector")),
}  # fmt: skip
