"""Healthy pieces of networks, written the ways in which people write them."""

# one piece of code, one line: a table
# ruff: noqa: E501

from __future__ import annotations

from tests.property.fragment import Fragment

__all__ = ["BLOCKS", "BRIDGES", "TARGETS"]

_CONV = "nn.Conv2d(8, 8, 3, padding=1)"
_POINTWISE = "nn.Conv2d(8, 8, 1)"
_LINEAR = "nn.Linear(8, 8)"


def _on(kind: str, body: str, *layers: str, definitions: str = "", methods: str = "") -> Fragment:
    return Fragment(body=body, layers=layers, fits=(kind,), definitions=definitions, methods=methods)


_ANYWHERE = (
    Fragment(body="{y} = F.leaky_relu({x}, 0.2)"),
    Fragment(body="{y} = torch.tanh({x})"),
    Fragment(body="{y} = F.gelu({x})"),
    Fragment(body="{y} = {x} * torch.sigmoid({x})"),
    Fragment(body="{y} = 0.5 * {x} + 0.1"),
    Fragment(body="{y} = F.dropout({x}, 0.2, training=True)"),
    Fragment(body="{a} = {x} * 1.5\n{a} += {x}\n{y} = {a}"),
    Fragment(body="{a} = {x}.clone()\n{a}[1:] = {a}[1:] * 0.5\n{y} = {a}"),
    Fragment(body="{a} = {x} + 0.1\n{y} = F.elu({a}, inplace=True)"),
    Fragment(body="{y} = torch.where({x} > 0, {x}, 0.2 * {x})"),
    Fragment(body="{y} = torch.stack([{x}, -0.5 * {x}], dim=-1).sum(-1)"),
    Fragment(body="{y} = torch.cat([{x}[:1], {x}[1:] * 2.0])"),
    Fragment(body="{a} = [{x} * scale for scale in (0.5, 0.25)]\n{y} = sum({a})"),
    Fragment(body="{a} = {{'main': {x}, 'extra': {x} * 0.5}}\n{y} = {a}['main'] + {a}['extra']"),
    Fragment(body="{y} = torch.lerp({x}, torch.tanh({x}), 0.5)"),
    Fragment(body="{y} = {x}.reshape({x}.shape[0], -1).view_as({x}) * 0.9"),
    Fragment(body="{y} = torch.addcmul({x}, {x}, torch.ones_like({x}), value=0.5)"),
    Fragment(body="{a} = torch.empty_like({x})\n{a}.copy_({x})\n{y} = {a}"),
    Fragment(body="{y} = {x}.to(torch.float64).mul(0.5).float()"),
    Fragment(body="{y} = checkpoint({l0}, {x}, use_reentrant=False)", layers=("nn.Softplus()",)),
    Fragment(
        body="{y} = Doubled{n}.apply({x})",
        definitions=(
            "class Doubled{n}(torch.autograd.Function):\n"
            "    @staticmethod\n"
            "    def forward(ctx, value):\n"
            "        return value * 2\n"
            "\n"
            "    @staticmethod\n"
            "    def backward(ctx, gradient):\n"
            "        return gradient * 2"
        ),
    ),
    Fragment(
        body="{y} = soften{n}({x}, slope=0.3)",
        definitions="def soften{n}(value, *, slope):\n    low = value.clamp(max=0) * slope\n    return value.clamp(min=0) + low",
    ),
)

_MAPS = (
    _on("map", "{y} = {l0}({x})", _CONV),
    _on("map", "{y} = F.relu({l1}({l0}({x})), inplace=True) + 0.1 * {x}", _CONV, "nn.BatchNorm2d(8)"),
    _on("map", "{y} = {l0}({x})", f"nn.Sequential({_CONV}, nn.BatchNorm2d(8), nn.LeakyReLU(inplace=True))"),
    _on("map", "{y} = {x} + {l0}({x})", f"nn.Sequential({_CONV}, nn.SiLU(), {_POINTWISE})"),
    _on("map", "{a} = {l1}({l0}({x}))\n{a} += {x}\n{y} = {l2}({a})", _CONV, "nn.BatchNorm2d(8)", "nn.ELU(inplace=True)"),
    _on("map", "{y} = {l0}(torch.cat([{x}, {l1}({x})], dim=1))", "nn.Conv2d(16, 8, 1)", _CONV),
    _on("map", "{a}, {b} = {x}.chunk(2, dim=1)\n{y} = torch.cat([{a} * torch.sigmoid({b}), {b}], dim=1)"),
    _on("map", "{y} = {l0}({x}.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)", "nn.LayerNorm(8)"),
    _on("map", "{a} = torch.sigmoid({l0}({x}.mean((2, 3))))\n{y} = {x} * {a}[:, :, None, None]", _LINEAR),
    _on("map", "{y} = {l0}({x})", "nn.GroupNorm(2, 8)"),
    _on("map", "{y} = {l0}({l0}({x}))", _POINTWISE),
    _on("map", "{y} = {x} + F.avg_pool2d({x}, 3, stride=1, padding=1)"),
    _on("map", "{y} = torch.roll({x}, 1, dims=2) + {x}.flip(3)"),
    _on("map", "{y} = torch.einsum('nchw,dc->ndhw', {x}, {l0}.weight)", "nn.Linear(8, 8, bias=False)"),
    _on("map", "{y} = F.pad({x}, (1, 1, 1, 1))[..., 1:-1, 1:-1] * 1.1"),
    _on("map", "{y} = F.interpolate(F.max_pool2d({x}, 2), scale_factor=2.0)"),
    _on("map", "with torch.autocast('cpu', dtype=torch.bfloat16):\n    {a} = {l0}({x})\n{y} = {a}.float()", _CONV),
    _on("map", "for layer in {l0}:\n    {x} = {x} + layer({x})\n{y} = {x}", f"nn.ModuleList([{_POINTWISE}, {_CONV}])"),
    _on(
        "map",
        "{a} = self.split{n}({x})\n{y} = {a}['low'] + 0.5 * {a}['high']",
        _CONV,
        methods="def split{n}(self, value):\n    high = {l0}(value)\n    return {{'low': value - high, 'high': high}}",
    ),
)  # fmt: skip

_SEQUENCES = (
    _on("sequence", "{y} = {l0}({x})", _LINEAR),
    _on("sequence", "{y} = {l0}({x})", f"nn.Sequential(nn.LayerNorm(8), {_LINEAR}, nn.GELU())"),
    _on("sequence", "{y} = {x} + {l0}({x}, {x}, {x}, need_weights=False)[0]", "nn.MultiheadAttention(8, 2, batch_first=True)"),
    _on("sequence", "{y}, _ = {l0}({x})", "nn.GRU(8, 8, batch_first=True)"),
    _on("sequence", "{y}, ({a}, {b}) = {l0}({x})\n{y} = {y} + {a}[-1][:, None]", "nn.LSTM(8, 8, batch_first=True)"),
    _on("sequence", "{a} = {l0}({x}).chunk(3, dim=-1)\n{y} = {x} + F.scaled_dot_product_attention(*{a})", "nn.Linear(8, 24)"),
    _on("sequence", "{a} = torch.softmax({x} @ {x}.transpose(1, 2) / 8**0.5, dim=-1)\n{y} = {a} @ {x} + {x}"),
    _on("sequence", "{y} = {l0}({x})", "nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)"),
    _on("sequence", "{y} = {x} + {l0}({x}.transpose(1, 2)).transpose(1, 2)", "nn.Conv1d(8, 8, 3, padding=1)"),
    _on(
        "sequence",
        "{a} = torch.zeros({x}.shape[0], 8)\n{b} = []\nfor {c} in range({x}.shape[1]):\n    {a} = {l0}({x}[:, {c}], {a})\n"
        "    {b}.append({a})\n{y} = torch.stack({b}, dim=1)",
        "nn.GRUCell(8, 8)",
    ),
    _on(
        "sequence",
        "{a} = {x}.new_zeros({x}.shape[0], 8)\n{b} = torch.zeros_like({x})\nfor {c}, step in enumerate({x}.unbind(1)):\n"
        "    {a} = torch.tanh({l0}(step) + 0.5 * {a})\n    {b}[:, {c}] = {a}\n{y} = {b}",
        _LINEAR,
    ),
    _on("sequence", "{y} = {x} + {l0}(torch.arange({x}.shape[1]))", "nn.Embedding(64, 8)"),
    _on("sequence", "{y} = {x}.cumsum(1) / torch.arange(1, {x}.shape[1] + 1)[:, None]"),
    _on("sequence", "{y} = torch.baddbmm({x}, {x}, torch.eye(8).expand({x}.shape[0], 8, 8), beta=0.5)"),
)  # fmt: skip

_VECTORS = (
    _on("vector", "{y} = {l0}({x})", _LINEAR),
    _on("vector", "{y} = {x} + {l0}({x})", f"nn.Sequential({_LINEAR}, nn.Tanh(), {_LINEAR})"),
    _on("vector", "{y} = {l0}({x})", f"nn.Sequential({_LINEAR}, nn.BatchNorm1d(8), nn.ELU(inplace=True))"),
    # not of a value with itself: where that is zero, the product is blamed (see test_a_zero_that_meets_itself)
    _on("vector", "{y} = {l0}({x}, {x} + 1)", "nn.Bilinear(8, 8, 8)"),
    _on("vector", "{y} = {x} + F.linear({x}, {l0}.weight, {l0}.bias)", _LINEAR),
    _on("vector", "{y} = {l0}({x}) + 0.1 * {x}", f"nn.ModuleDict(dict(only={_LINEAR}))['only']"),
    _on("vector", "{y} = torch.matmul({x}, torch.softmax({l0}.weight, dim=0)) + {x}", _LINEAR),
)

BLOCKS: dict[str, tuple[Fragment, ...]] = {
    "map": _ANYWHERE + _MAPS * 2,
    "sequence": _ANYWHERE + _SEQUENCES * 2,
    "vector": _ANYWHERE + _VECTORS * 2,
}
"""By the kind of value; those that know their kind are twice as likely."""


def _bridge(comes: str, gives: str, body: str) -> Fragment:
    return Fragment(body=body, fits=(comes,), gives=gives)


BRIDGES: tuple[Fragment, ...] = (
    _bridge("map", "sequence", "{y} = {x}.flatten(2).transpose(1, 2)"),
    _bridge("map", "vector", "{y} = {x}.mean((2, 3))"),
    _bridge("map", "vector", "{y} = torch.flatten(F.adaptive_avg_pool2d({x}, 1), 1)"),
    _bridge("sequence", "vector", "{y} = {x}.mean(1)"),
    _bridge("sequence", "vector", "{y} = {x}.logsumexp(1)"),
)
"""From one kind of value to another."""

TARGETS: dict[str, tuple[str, ...]] = {
    "map": (_CONV, f"nn.Sequential({_CONV}, nn.BatchNorm2d(8))", "nn.GroupNorm(2, 8)", f"nn.Sequential({_POINTWISE}, nn.GELU())"),
    "sequence": (_LINEAR, "nn.LayerNorm(8)", "nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)"),
    "vector": (_LINEAR, f"nn.Sequential({_LINEAR}, nn.Softplus())"),
}  # fmt: skip
"""How the layer is made whose gradient is asked for."""
