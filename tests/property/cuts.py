"""The forms in which people lose a gradient, each beside the same code without the loss."""

# one piece of code, one line: a table
# ruff: noqa: E501

from __future__ import annotations

from dataclasses import dataclass

from tests.property.fragment import Fragment

__all__ = ["FORMS", "Form"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One way to write a cut.

    ``healthy`` is the same computation, or one like it, with the gradient. ``verdict`` and ``causes`` are right for the
    cut on the only path.
    """

    name: str
    broken: Fragment
    healthy: Fragment
    causes: frozenset[str]
    verdict: str = "broken"


def _form(
    name: str, causes: str, broken: str, healthy: str = "{y} = {x}", *, verdict: str = "broken",
    definitions: str = "", methods: str = "", layers: tuple[str, ...] = (), fits: tuple[str, ...] = ("map", "sequence", "vector"),
) -> Form:  # fmt: skip
    return Form(
        name=name,
        broken=Fragment(body=broken, definitions=definitions, methods=methods, layers=layers, fits=fits),
        healthy=Fragment(body=healthy, layers=layers, fits=fits),
        causes=frozenset(causes.split()),
        verdict=verdict,
    )


_BLANK = "torch.sin(torch.arange({x}.numel(), dtype={x}.dtype).view_as({x}) + {a})"
"""A value made from one number ``{a}`` that no normalisation takes away."""

_FUNCTION = """class Step{n}(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value):
        ctx.save_for_backward(value)
        return value * 0.5

    @staticmethod
    def backward(ctx, gradient):
        """

FORMS: tuple[Form, ...] = (
    # detach
    _form("detach()", "detach", "{y} = {x}.detach()  # blame"),
    _form("detach() in an expression", "detach", "{y} = torch.tanh({x}.detach()) + 0.1  # blame", "{y} = torch.tanh({x}) + 0.1"),
    _form("torch.detach", "detach", "{y} = torch.detach({x})  # blame"),
    _form("clone().detach()", "detach", "{a} = {x}.clone().detach()  # blame\n{y} = {a} * 1.0"),
    _form("detach().requires_grad_()", "detach", "{y} = {x}.clone().detach().requires_grad_()  # blame"),
    _form(".data", "detach", "{y} = {x}.data  # blame"),
    _form(".data clone", "detach", "{y} = {x}.data.clone()  # blame"),
    _form("detach_()", "detach", "{a} = {x} * 1.0\n{a}.detach_()  # blame\n{y} = {a}", "{y} = {x} * 1.0"),
    _form("detach in a comprehension", "detach", "{y} = torch.stack([row.detach() for row in {x}])  # blame"),
    _form("detach in a helper", "detach", "{y} = freeze{n}({x})", definitions="def freeze{n}(value):\n    return value.detach()  # blame"),
    _form("detach in a lambda", "detach", "{a} = lambda value: value.detach()  # blame\n{y} = {a}({x})"),
    _form("detach behind a flag", "detach", "{a} = True\n{y} = {x}.detach() if {a} else {x}  # blame"),
    _form("deepcopy of a detached", "detach", "{y} = copy.deepcopy({x}.detach())  # blame"),
    _form(
        "written into a detached buffer", "detach",
        "{a} = torch.zeros_like({x})\n{a}[:] = {x}.detach()  # blame\n{y} = {a}",
    ),
    _form("copied through .data", "detach tensor-rewrap", "{a} = torch.zeros_like({x})\n{a}.data.copy_({x}.data)  # blame\n{y} = {a}"),
    # recording switched off
    _form("no_grad block", "no-grad", "with torch.no_grad():  # blame\n    {a} = {x} * 1.0\n{y} = {a}"),
    _form("no_grad around a layer", "no-grad", "with torch.no_grad():  # blame\n    {a} = {l0}({x})\n{y} = {a}", "{y} = {l0}({x})",
          layers=("nn.LayerNorm(8)",), fits=("sequence", "vector")),
    _form("no_grad around in-place copy", "no-grad",
          "{a} = torch.zeros_like({x})\nwith torch.no_grad():  # blame\n    {a}.copy_({x})\n{y} = {a}"),
    _form("no_grad method", "no-grad", "{y} = self.encode{n}({x})", "{y} = {x} * 1.0",
          methods="@torch.no_grad()  # blame\ndef encode{n}(self, value):\n    return value * 1.0"),
    _form("no_grad function", "no-grad", "{y} = encode{n}({x})", "{y} = {x} * 1.0",
          definitions="@torch.no_grad()  # blame\ndef encode{n}(value):\n    value = value * 2.0\n    return value * 0.5"),
    _form("set_grad_enabled(False) ... True", "no-grad",
          "torch.set_grad_enabled(False)  # blame\n{a} = {x} * 1.0\ntorch.set_grad_enabled(True)\n{y} = {a}", "{y} = {x} * 1.0"),
    _form("with set_grad_enabled(flag)", "no-grad", "{b} = False\nwith torch.set_grad_enabled({b}):  # blame\n    {a} = {x} * 1.0\n{y} = {a}"),
    _form("no_grad on an ExitStack", "no-grad",
          "with contextlib.ExitStack() as {b}:\n    {b}.enter_context(torch.no_grad())  # blame\n    {a} = {x} * 1.0\n{y} = {a}"),
    _form("nested no_grad and enable_grad", "no-grad",
          "with torch.no_grad():  # blame\n    with torch.enable_grad():\n        {b} = {x} * 2.0\n    {a} = {b} * 0.5\n{y} = {a}"),
    _form("inference_mode and clone", "inference-mode", "with torch.inference_mode():  # blame\n    {a} = {x} * 1.0\n{y} = {a}.clone()"),
    _form("inference_mode function", "inference-mode", "{y} = infer{n}({x}).clone()", "{y} = {x} * 1.0",
          definitions="@torch.inference_mode()  # blame\ndef infer{n}(value):\n    return value * 1.0"),
    # out of torch and back
    _form("NumPy and back", "numpy-roundtrip detach", "{y} = torch.from_numpy({x}.detach().numpy())  # blame"),
    _form("NumPy computation", "numpy-roundtrip",
          "{a} = {x}.detach().cpu().numpy()  # blame\n{b} = np.tanh({a}) + 0.1\n{y} = torch.from_numpy({b})", "{y} = torch.tanh({x}) + 0.1"),
    _form("NumPy on one line", "numpy-roundtrip", "{y} = torch.from_numpy(np.maximum({x}.detach().numpy(), -0.1))  # blame",
          "{y} = {x}.clamp(min=-0.1)"),
    _form("np.asarray", "numpy-roundtrip detach", "{y} = torch.as_tensor(np.asarray({x}.detach()) * 2)  # blame", "{y} = {x} * 2"),
    _form("NumPy helper", "numpy-roundtrip", "{y} = outside{n}({x})", "{y} = {x} * 0.5",
          definitions="def outside{n}(value):\n    array = value.detach().numpy()  # blame\n    array = array * np.float32(0.5)\n"
          "    return torch.tensor(array, dtype=torch.float32)"),
    _form("NumPy buffer", "numpy-roundtrip",
          "{a} = np.zeros({x}.shape, dtype=np.float32)\n{a}[:] = {x}.detach().numpy()  # blame\n{y} = torch.from_numpy({a})"),
    _form("tolist()", "numpy-roundtrip tensor-rewrap", "{y} = torch.tensor({x}.tolist())  # blame"),
    _form("tolist() with arithmetic", "numpy-roundtrip",
          "{a} = {x}.flatten().tolist()  # blame\n{b} = [2.0 * number for number in {a}]\n{y} = torch.tensor({b}).view({x}.shape)",
          "{y} = 2.0 * {x}"),
    _form("item() in a sum", "numpy-roundtrip", f"{{a}} = {{x}}.mean().item()  # blame\n{{y}} = {_BLANK}",
          f"{{a}} = {{x}}.mean()\n{{y}} = {_BLANK}"),
    _form("float() and math", "numpy-roundtrip", f"{{a}} = math.tanh(float({{x}}.mean()))  # blame\n{{y}} = {_BLANK}",
          f"{{a}} = torch.tanh({{x}}.mean())\n{{y}} = {_BLANK}"),
    _form("item() as full()", "numpy-roundtrip",
          "{a} = [row.mean().item() for row in {x}]  # blame\n{y} = torch.randn({x}.shape, generator=torch.Generator().manual_seed(0))"
          " * torch.tensor({a}).view(-1, *[1] * ({x}.dim() - 1))",
          "{a} = [row.mean() for row in {x}]\n{y} = torch.randn({x}.shape, generator=torch.Generator().manual_seed(0))"
          " * torch.stack({a}).view(-1, *[1] * ({x}.dim() - 1))"),
    _form("DLPack", "numpy-roundtrip detach tensor-rewrap", "{y} = torch.from_dlpack({x}.detach())  # blame"),
    # a new leaf
    _form("torch.tensor(x)", "tensor-rewrap", "{y} = torch.tensor({x})  # blame"),
    _form("torch.tensor(x.detach())", "tensor-rewrap detach", "{y} = torch.tensor({x}.detach(), requires_grad=True)  # blame"),
    _form("new_tensor", "tensor-rewrap detach", "{y} = {x}.new_tensor({x})  # blame"),
    _form("nn.Parameter(x)", "tensor-rewrap", "{y} = nn.Parameter({x})  # blame"),
    _form("nn.Parameter(x.detach())", "tensor-rewrap detach", "{y} = nn.Parameter({x}.detach())  # blame"),
    _form("Variable(x.data)", "detach tensor-rewrap", "{y} = torch.autograd.Variable({x}.data, requires_grad=True)  # blame"),
    # operations without a derivative
    _form("argmax and one_hot", "nondiff-op", "{a} = {x}.argmax(-1)  # blame\n{y} = F.one_hot({a}, {x}.shape[-1]).float() * 2.0",
          "{y} = torch.softmax({x}, -1) * 2.0"),
    _form("argmax and embedding", "nondiff-op", "{a} = {x}.argmax(-1)  # blame\n{y} = {l0}({a})", "{y} = {x} + {l0}.weight[0]",
          layers=("nn.Embedding(8, 8)",), fits=("sequence", "vector")),
    _form("comparison and float()", "nondiff-op", "{a} = {x} > {x}.mean()  # blame\n{y} = {a}.float()",
          "{y} = torch.sigmoid({x} - {x}.mean())"),
    _form("comparison as a mask", "nondiff-op", "{y} = ({x} > 0).to({x}.dtype) - 0.5  # blame", "{y} = torch.tanh({x})"),
    _form("comparison in where", "nondiff-op", "{y} = torch.where({x} > 0, 1.0, -0.5)  # blame", "{y} = torch.tanh({x})"),
    _form("long() and float()", "nondiff-op", "{y} = ({x} * 20).long().float()  # blame", "{y} = {x} * 20"),
    _form("int() and division", "nondiff-op", "{a} = ({x} * 100).int()  # blame\n{y} = {a} / 100", "{y} = {x} * 1.0"),
    _form("argsort", "nondiff-op", "{y} = {x}.argsort(-1).float() / 4  # blame", "{y} = {x}.sort(-1).values"),
    _form("indices of sort", "nondiff-op", "{a}, {b} = torch.sort({x}, dim=-1)  # blame\n{y} = {b}.float() * 0.1", "{y} = {x} * 0.1"),
    _form("bucketize", "nondiff-op", "{a} = torch.bucketize({x}, torch.linspace(-1, 1, 16))  # blame\n{y} = {a}.float() / 8",
          "{y} = {x} * 2.0"),
    # a custom Function
    _form("Function returning None", "custom-function", "{y} = Step{n}.apply({x})", "{y} = {x} * 0.5",
          definitions=_FUNCTION + "return None  # blame"),
    _form("Function marked non-differentiable", "custom-function nondiff-op", "{y} = Mark{n}.apply({x})", "{y} = {x} * 0.5",
          definitions="class Mark{n}(torch.autograd.Function):\n    @staticmethod\n    def forward(ctx, value):\n        result = value * 0.5\n"
          "        ctx.mark_non_differentiable(result)  # blame\n        return result\n\n    @staticmethod\n"
          "    def backward(ctx, gradient):\n        return gradient * 0.5"),
    # a gradient that is zero
    _form("Function returning zeros", "custom-function", "{y} = Step{n}.apply({x})", "{y} = {x} * 0.5", verdict="zero",
          definitions=_FUNCTION + "return torch.zeros_like(gradient)  # blame"),
    _form("round()", "zero-derivative-op", "{y} = torch.round({x} * 10)  # blame", "{y} = {x} * 10", verdict="zero"),
    _form("floor()", "zero-derivative-op", "{a} = {x} * 8\n{y} = {a}.floor() / 8  # blame", "{y} = {x} * 1.0", verdict="zero"),
    _form("sign()", "zero-derivative-op", "{y} = {x}.sign() + 0.1  # blame", "{y} = torch.tanh({x})", verdict="zero"),
    _form("times zero", "zero-multiplier", "{a} = 0.0\n{y} = {x} * {a}  # blame", "{y} = {x} * 0.5", verdict="zero"),
    _form("zero gate", "zero-multiplier", "{y} = {x} * torch.zeros(1)  # blame", "{y} = {x} * torch.ones(1)", verdict="zero"),
    _form("clamped away", "saturation", "{y} = {x}.clamp(500.0, 501.0) / 500  # blame", "{y} = {x}.clamp(-500.0, 501.0)", verdict="zero"),
    _form("softmax over one entry", "constant-score", "{y} = torch.softmax({x}.unsqueeze(-1), -1).squeeze(-1)  # blame",
          "{y} = torch.sigmoid({x})", verdict="zero"),
)  # fmt: skip
