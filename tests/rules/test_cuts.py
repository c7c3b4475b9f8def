"""Every form in which a path is cut, at its true line."""

from __future__ import annotations

import pytest

# what the programs themselves warn of is theirs
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")

FORMS = [
    pytest.param("detach", {"forward": "h = h.detach()  # <- here"}, id="detach"),
    pytest.param("detach", {"forward": "h.detach_()  # <- here"}, id="detach_"),
    pytest.param("detach", {"forward": "h = h.data  # <- here"}, id="data"),
    pytest.param("detach", {"forward": "h = torch.detach(h)  # <- here"}, id="torch.detach"),
    pytest.param("no-grad", {"forward": "with torch.no_grad():  # <- here\n    h = h * 2"}, id="no_grad with"),
    pytest.param("no-grad", {"decorator": "@torch.no_grad()  # <- here"}, id="no_grad decorator"),
    pytest.param(
        "no-grad",
        {"top": "@torch.no_grad()  # <- here\ndef double(x):\n    return x * 2", "forward": "h = double(h)"},
        id="no_grad decorated helper",
    ),
    pytest.param(
        "no-grad",
        {"top": "def double(x):\n    return x * 2", "forward": "h = torch.no_grad()(double)(h)  # <- here"},
        id="no_grad call wrapper",
    ),
    pytest.param("no-grad", {"forward": "torch.set_grad_enabled(False)  # <- here\nh = h * 2"}, id="set_grad_enabled"),
    pytest.param(
        "no-grad",
        {"forward": "with torch.set_grad_enabled(self.training is None):  # <- here\n    h = h * 2"},
        id="set_grad_enabled with",
    ),
    pytest.param(
        "no-grad", {"decorator": "@torch.set_grad_enabled(False)  # <- here"}, id="set_grad_enabled decorator"
    ),
    pytest.param(
        "no-grad",
        {
            "top": "class Base(nn.Module):\n    @torch.no_grad()  # <- here\n    def embed(self, h):\n"
            "        return h * 2\nclass Sub(Base):\n    pass",
            "init": "self.sub=Sub()",
            "forward": "h = self.sub.embed(h)",
        },
        id="no_grad inherited",
    ),
    pytest.param("no-grad", {"build": "torch.set_grad_enabled(False)  # <- here"}, id="no_grad leaked"),
    pytest.param("no-grad", {"top": "torch.set_grad_enabled(False)  # <- here"}, id="no_grad global leaked at import"),
    pytest.param(
        "inference-mode",
        {"forward": "with torch.inference_mode():  # <- here\n    h = h * 2\nh=h.clone()"},
        id="inference with",
    ),
    pytest.param("inference-mode", {"decorator": "@torch.inference_mode()  # <- here"}, id="inference decorator"),
    pytest.param(
        "inference-mode",
        {
            "top": "@torch.inference_mode()  # <- here\ndef double(x):\n    return x * 2",
            "forward": "h = double(h).clone()",
        },
        id="inference decorated helper",
    ),
    pytest.param("nondiff-op", {"forward": "i = h.argmax(1)  # <- here\nh = F.one_hot(i, 6).float()"}, id="argmax"),
    pytest.param("nondiff-op", {"forward": "i = torch.argsort(h)  # <- here\nh = i.float()"}, id="argmin or sort idx"),
    pytest.param("nondiff-op", {"forward": "h = (h > 0).float()  # <- here"}, id="comparison"),
    pytest.param("nondiff-op", {"forward": "h = (h * 10).long().float()  # <- here"}, id="cast"),
    pytest.param("nondiff-op", {"forward": "h = (h * 10).to(torch.int32)  # <- here\nh = h / 10"}, id="cast int"),
    pytest.param("nondiff-op", {"forward": "values, i = h.topk(6)  # <- here\nh = i.float()"}, id="topk"),
    pytest.param(
        "nondiff-op",
        {"forward": "i = (h[:, 0] * 3).long().clamp(0, 5)  # <- here\nh = F.one_hot(i, 6).float()"},
        id="one_hot",
    ),
    pytest.param("nondiff-op", {"forward": "c = torch.histc(h, 6)  # <- here\nh = c.repeat(2, 1)"}, id="histc"),
    pytest.param(
        "nondiff-op", {"forward": "h = torch.bucketize(h, torch.linspace(-1, 1, 5)).float()  # <- here"}, id="bucketize"
    ),
    pytest.param("nondiff-op", {"forward": "h = torch.isfinite(h).float() + h.gt(0)  # <- here"}, id="logical"),
    pytest.param("tensor-rewrap", {"forward": "h = torch.tensor(h)  # <- here"}, id="torch.tensor"),
    pytest.param(
        "tensor-rewrap", {"forward": "h = torch.tensor(h, requires_grad=True)  # <- here"}, id="torch.tensor rg"
    ),
    pytest.param(
        "tensor-rewrap", {"forward": "h = torch.autograd.Variable(h, requires_grad=True)  # <- here"}, id="variable"
    ),
    pytest.param(
        "tensor-rewrap",
        {"forward": "h = torch.autograd.Variable(h.data, requires_grad=True)  # <- here"},
        id="variable data",
    ),
    pytest.param("tensor-rewrap", {"forward": "h = nn.Parameter(h)  # <- here"}, id="parameter"),
    pytest.param(
        "tensor-rewrap",
        {
            "init": "self.scale = nn.Parameter(torch.ones(2, 6))",
            "forward": "self.scale.data = h  # <- here\nh = self.scale * 1.0",
        },
        id="param.data",
    ),
    pytest.param(
        "tensor-rewrap",
        {
            "init": "self.scale = nn.Parameter(torch.ones(2, 6))",
            "forward": "self.scale.data.copy_(h)  # <- here\nh = self.scale * 1.0",
        },
        id="param.data copy",
    ),
    pytest.param(
        "tensor-rewrap",
        {"forward": "h = torch.tensor([[v for v in row] for row in h])  # <- here"},
        id="list of scalars",
    ),
    pytest.param(
        "tensor-rewrap",
        {"forward": "m = torch.tensor([row.sum() for row in h])  # <- here\nh = m.unsqueeze(1).expand(2, 6)"},
        id="list of flat scalars",
    ),
    pytest.param(
        "tensor-rewrap",
        {"forward": "m = torch.Tensor([row.sum() for row in h])  # <- here\nh = m.unsqueeze(1).expand(2, 6)"},
        id="torch.Tensor",
    ),
    pytest.param(
        "tensor-rewrap",
        {"forward": "m = torch.FloatTensor([row.sum() for row in h])  # <- here\nh = m.unsqueeze(1).expand(2, 6)"},
        id="FloatTensor",
    ),
    pytest.param("tensor-rewrap", {"forward": "h = h.new_tensor(h)  # <- here"}, id="new_tensor"),
    pytest.param(
        "tensor-rewrap",
        {"forward": "m = h.new_tensor([row.sum() for row in h])  # <- here\nh = m.unsqueeze(1).expand(2, 6)"},
        id="new_tensor list",
    ),
    pytest.param(
        "tensor-rewrap",
        {"forward": "m = torch.as_tensor([row.sum() for row in h])  # <- here\nh = m.unsqueeze(1).expand(2, 6)"},
        id="as_tensor list",
    ),
    pytest.param("numpy-roundtrip", {"forward": "h = torch.from_numpy(h.detach().numpy())  # <- here"}, id="numpy"),
    pytest.param(
        "numpy-roundtrip",
        {"forward": "a = h.detach().numpy()  # <- here\nh = torch.from_numpy(a * 2)"},
        id="numpy two lines",
    ),
    pytest.param(
        "numpy-roundtrip",
        {"forward": "a = h.detach().numpy()  # <- here\na = np.maximum(a, 0) + a.mean()\nh = torch.tensor(a)"},
        id="numpy computation",
    ),
    pytest.param(
        "numpy-roundtrip", {"forward": "h = torch.tensor(h.detach().numpy())  # <- here"}, id="numpy torch.tensor"
    ),
    pytest.param(
        "numpy-roundtrip",
        {"forward": "h = torch.as_tensor(np.exp(h.detach().cpu().numpy()))  # <- here"},
        id="numpy cpu detach",
    ),
    pytest.param("numpy-roundtrip", {"forward": "s = h.mean().item()  # <- here\nh = torch.ones(2, 6) * s"}, id="item"),
    pytest.param(
        "numpy-roundtrip", {"forward": "s = float(h.mean())  # <- here\nh = torch.ones(2, 6) * s"}, id="float"
    ),
    pytest.param("numpy-roundtrip", {"forward": "s = h.tolist()  # <- here\nh = torch.tensor(s)"}, id="tolist"),
    pytest.param(
        "numpy-roundtrip",
        {"forward": "a = np.asarray(h.detach())  # <- here\nh = torch.from_numpy(a * 2)"},
        id="asarray",
    ),
    pytest.param(
        "numpy-roundtrip",
        {"forward": "a = np.array(h.detach())  # <- here\nh = torch.from_numpy(a * 2)"},
        id="np.array",
    ),
    pytest.param(
        "numpy-roundtrip",
        {"forward": "a = np.exp(h.detach())  # <- here\nh = torch.as_tensor(a)"},
        id="np func on tensor",
    ),
    pytest.param(
        "numpy-roundtrip",
        {"forward": "if h.sum() > 0.1:  # <- here\n    h = torch.ones(2, 6)\nelse:\n    h = torch.zeros(2, 6)"},
        id="control flow",
    ),
    pytest.param(
        "numpy-roundtrip",
        {"forward": "if bool((h > 0).any()):  # <- here\n    h = x * 2\nelse:\n    h = x * 3"},
        id="control flow 2",
    ),
    pytest.param("numpy-roundtrip", {"forward": "n = int(h.sum() * 100)  # <- here\nh = x * n"}, id="int"),
    pytest.param("numpy-roundtrip", {"forward": "h = torch.full((2, 6), h.mean().item())  # <- here"}, id="item full"),
    pytest.param(
        "numpy-roundtrip", {"top": "import math", "forward": "s = math.exp(h.mean())  # <- here\nh = x * s"}, id="math"
    ),
]


@pytest.mark.parametrize(("cause", "parts"), FORMS)
def test_the_line_that_cuts_is_named(check_program, cause, parts) -> None:
    checked = check_program(**parts)
    assert checked.report.verdict == "broken", str(checked.report)
    assert checked.found == [(cause, checked.line)], str(checked.report)


def test_a_forward_wrapped_by_a_call_is_named_where_it_stands(check_program) -> None:
    build = "net = Net()\nnet.forward = torch.no_grad()(net.forward)\nreturn net"
    checked = check_program(build=build, top="PASS = 1")
    assert checked.report.diagnostics[0].name == "no-grad"
    assert checked.report.diagnostics[0].location.function == "Net.forward"


def test_cuts_in_a_row_are_all_named_in_order_from_the_layer(check_program) -> None:
    checked = check_program(
        forward="h = h.detach()  # <- here\nwith torch.no_grad():\n    h = h * 2\nh = torch.tensor(h)"
    )
    line = checked.line
    assert checked.found == [("detach", line), ("no-grad", line + 1), ("tensor-rewrap", line + 3)], str(checked.report)
    assert all(each.helps[0].repair.verified for each in checked.report.diagnostics)


def test_a_cut_inside_the_layer_stands_before_it_on_the_path(check_program) -> None:
    neck = """
        class Neck(nn.Module):
            def forward(self, h):
                h = h.detach()  # <- here
                return torch.relu(h)
    """
    parts = {"top": neck, "init": "self.neck = Neck()", "forward": "h = torch.tensor(self.neck(h))", "layer": "neck"}
    checked = check_program(**parts)
    assert [name for name, _ in checked.found] == ["detach", "tensor-rewrap"], str(checked.report)
    first = checked.report.diagnostics[0]
    assert first.location.line == checked.line
    assert [(step.kind, step.label) for step in first.path][-3:] == [
        ("cut", "tensor-rewrap"),
        ("cut", "detach"),
        ("layer", "neck"),
    ]
    assert "2 cuts must be mended before the gradient arrives" in first.notes
