"""Gradients that arrive as zero or not as numbers: each cause, at its true line."""

from __future__ import annotations

import pytest

# what the programs themselves warn of is theirs
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")

ZEROS = [
    pytest.param("zero-derivative-op", {"forward": "h = torch.round(h * 3)  # <- here"}, id="round"),
    pytest.param("zero-derivative-op", {"forward": "h = (h * 3).floor()  # <- here"}, id="floor"),
    pytest.param("zero-derivative-op", {"forward": "h = torch.sign(h)  # <- here"}, id="sign"),
    pytest.param("zero-derivative-op", {"forward": "h = (h*3).trunc()  # <- here"}, id="trunc"),
    pytest.param("zero-derivative-op", {"forward": "h = h.sgn()  # <- here"}, id="sub floor frac"),
    pytest.param(
        "zero-derivative-op", {"forward": "h = torch.div(h, 0.1, rounding_mode='floor')  # <- here"}, id="fake quantize"
    ),
    pytest.param(
        "zero-derivative-op",
        {
            "init": "self.register_buffer('img', torch.rand(2, 1, 8, 8))",
            "forward": "g = h.reshape(2, 1, 3, 2)\n"
            "s = F.grid_sample(self.img, g, mode='nearest', align_corners=False)  # <- here\n"
            "h = s.reshape(2, 3).repeat(1, 2)",
        },
        id="nearest sampling",
    ),
    pytest.param("saturation", {"forward": "h = F.relu(h - 5)  # <- here"}, id="dead relu"),
    pytest.param(
        "saturation",
        {"init": "self.act = nn.ReLU()", "forward": "h = self.act(h - 5)  # <- here"},
        id="dead relu module",
    ),
    pytest.param("saturation", {"forward": "h = F.relu6(h + 10)  # <- here"}, id="relu6 upper"),
    pytest.param("saturation", {"forward": "h = F.hardtanh(h * 0.1 + 5)  # <- here"}, id="hardtanh"),
    pytest.param("saturation", {"forward": "h = h.clamp(min=2)  # <- here"}, id="clamp"),
    pytest.param("saturation", {"forward": "h = (h * 1).clamp_(2, 3)  # <- here"}, id="clamp_"),
    pytest.param("saturation", {"forward": "h = torch.sigmoid(h + 200)  # <- here"}, id="sigmoid"),
    pytest.param("saturation", {"forward": "h = torch.tanh(h + 50)  # <- here"}, id="tanh"),
    pytest.param("saturation", {"forward": "h = torch.softmax(h * 1e4, 1)  # <- here"}, id="softmax saturated"),
    pytest.param("saturation", {"forward": "h = torch.exp(h - 500)  # <- here"}, id="exp underflow"),
    pytest.param("saturation", {"forward": "h = torch.maximum(h, torch.tensor(3.0))  # <- here"}, id="maximum"),
    pytest.param("saturation", {"forward": "a = F.relu(h - 5)  # <- here\nh = a + 1"}, id="two relus"),
    pytest.param(
        "constant-score",
        {"init": "self.one = nn.Linear(6, 1)", "head": "return torch.softmax(self.one(h), 1)  # <- here"},
        id="softmax one logit",
    ),
    pytest.param(
        "constant-score",
        {"head": "p = torch.softmax(self.head(h), 1)  # <- here\nreturn p.sum(1, keepdim=True)"},
        id="sum of softmax",
    ),
    pytest.param(
        "constant-score",
        {"init": "self.norm = nn.LayerNorm(6)", "head": "n = self.norm(h)  # <- here\nreturn n.sum(1, keepdim=True)"},
        id="sum of layernorm",
    ),
    pytest.param(
        "constant-score",
        {"head": "n = F.layer_norm(h, (6,))  # <- here\nreturn n.mean(1, keepdim=True)"},
        id="mean of layernorm noaffine",
    ),
    pytest.param(
        "constant-score",
        {"head": "n = h - h.mean(1, keepdim=True)  # <- here\nreturn n.sum(1, keepdim=True)"},
        id="centred by hand",
    ),
    pytest.param(
        "constant-score",
        {"forward": "h = h.exp()", "head": "n = h / h.sum(1, keepdim=True)  # <- here\nreturn n.sum(1, keepdim=True)"},
        id="divided by sum",
    ),
    pytest.param(
        "constant-score",
        {"head": "n = F.normalize(h, dim=1)  # <- here\nreturn n.pow(2).sum(1, keepdim=True)"},
        id="norm of normalised",
    ),
    pytest.param("constant-score", {"forward": "h = h - h  # <- here"}, id="x - x"),
    pytest.param(
        "constant-score",
        {"init": "self.one = nn.Linear(6, 1)", "head": "return F.log_softmax(self.one(h), dim=-1)  # <- here"},
        id="log_softmax one",
    ),
    pytest.param(
        "constant-score",
        {
            "init": "self.bn = nn.BatchNorm1d(6)",
            "head": "n = self.bn(h)  # <- here\nreturn n.mean(0, keepdim=True)[:, :3]",
        },
        id="batchnorm mean train",
    ),
    pytest.param("zero-multiplier", {"forward": "h = F.dropout(h, p=1.0)  # <- here"}, id="dropout p1"),
    pytest.param(
        "zero-multiplier",
        {"init": "self.drop = nn.Dropout(1.0)", "forward": "h = self.drop(h)  # <- here"},
        id="dropout module p1",
    ),
    pytest.param("zero-multiplier", {"head": "return self.head(h) * 0.0  # <- here"}, id="loss weight 0"),
    pytest.param(
        "zero-multiplier",
        {"init": "self.gate = nn.Parameter(torch.zeros(6))", "forward": "h = x + self.gate * h  # <- here"},
        id="zero gate",
    ),
    pytest.param(
        "zero-multiplier",
        {"init": "self.gate = nn.Parameter(torch.zeros(1))", "forward": "y = h * self.gate  # <- here\nh = x + y"},
        id="zero gate tensor*scalar",
    ),
    pytest.param(
        "zero-multiplier",
        {
            "init": "self.last = nn.Linear(6, 6)\nnn.init.zeros_(self.last.weight)",
            "forward": "h = x + self.last(h)  # <- here",
        },
        id="zero init linear",
    ),
    pytest.param(
        "zero-multiplier",
        {"init": "self.w = nn.Parameter(torch.zeros(6, 6))", "forward": "h = h @ self.w  # <- here"},
        id="zero matmul",
    ),
    pytest.param(
        "zero-multiplier",
        {
            "init": "self.w = nn.Parameter(torch.zeros(6, 6))",
            "forward": "h = torch.einsum('bi,ij->bj', h, self.w)  # <- here",
        },
        id="zero einsum",
    ),
    pytest.param(
        "zero-multiplier",
        {
            "init": "self.bn = nn.BatchNorm1d(6)\nnn.init.zeros_(self.bn.weight)",
            "forward": "h = x + self.bn(h)  # <- here",
        },
        id="bn zero gamma",
    ),
    pytest.param(
        "zero-multiplier",
        {
            "init": "self.ln = nn.LayerNorm(6)\nnn.init.zeros_(self.ln.weight)",
            "forward": "h = x + self.ln(h)  # <- here",
        },
        id="layerscale",
    ),
    pytest.param("zero-multiplier", {"forward": "mask = torch.zeros(2, 6)\nh = h * mask  # <- here"}, id="mask"),
    pytest.param("position-not-read", {"forward": "h = h * 1\nh[:] = 0  # <- here"}, id="overwritten"),
    pytest.param(
        "position-not-read",
        {"forward": "h = torch.where(torch.zeros(2, 6, dtype=torch.bool), h, x)  # <- here"},
        id="where",
    ),
    pytest.param(
        "position-not-read",
        {"forward": "h = h.masked_fill(torch.ones(2, 6, dtype=torch.bool), 0.)  # <- here"},
        id="masked fill",
    ),
    pytest.param(
        "position-not-read", {"forward": "c = torch.cat([h, x], 1)\nh = c[:, 6:]  # <- here"}, id="cat other part"
    ),
    pytest.param(
        "position-not-read", {"forward": "t = torch.stack([x, h], 1)\nh = t[:, 0]  # <- here"}, id="stack cls"
    ),
    pytest.param(
        "position-not-read", {"forward": "h = h[:, :1].expand(2, 6)  # <- here", "slice_": "[:, 1:]"}, id="tokens"
    ),
    pytest.param(
        "precision-underflow",
        {"head": "return self.head(h) * 1e-5 * 1e-4  # <- here", "dtype": "float16"},
        id="fp16 underflow",
    ),
    pytest.param(
        "precision-underflow",
        {"forward": "h = h * 1e-7  # <- here", "head": "return self.head(h) * 1e-2", "dtype": "float16"},
        id="fp16 underflow 2",
    ),
]

SINGULARITIES = [
    pytest.param("nan-singularity", {"forward": "h = (h * 0).sqrt()  # <- here"}, id="sqrt 0"),
    pytest.param(
        "nan-singularity",
        {"forward": "d = (h - h.detach())\nh = d.pow(2).sum(1, keepdim=True).sqrt() + x  # <- here"},
        id="norm 0",
    ),
    pytest.param(
        "nan-singularity",
        {"forward": "d = h * 0\nn = d / d.norm(dim=1, keepdim=True)  # <- here\nh = n"},
        id="x or norm",
    ),
    pytest.param(
        "nan-singularity",
        {
            "forward": "c = F.cosine_similarity(h, h, dim=1)\n"
            "a = torch.acos(torch.ones(2) + 0 * c)  # <- here\nh = x * a[:, None]"
        },
        id="acos 1",
    ),
    pytest.param("nan-singularity", {"forward": "z = h * 0\nh = z / z  # <- here"}, id="0 or 0"),
    pytest.param(
        "nan-singularity", {"forward": "s = torch.sqrt(h - 5)  # <- here\nh = torch.where(h > 5, s, h)"}, id="where nan"
    ),
    pytest.param("nan-singularity", {"forward": "h = torch.exp(h * 1000)  # <- here"}, id="inf forward"),
    pytest.param(
        "nan-singularity",
        {"forward": "d = torch.linalg.vector_norm(h * 0, dim=1)\nh = x * (1 / d)[:, None]  # <- here"},
        id="dist",
    ),
    pytest.param("nan-singularity", {"forward": "h = torch.log(h * 0)  # <- here"}, id="log of zero"),
    pytest.param("nan-singularity", {"forward": "h = (h * 0) ** 0.5  # <- here"}, id="power of zero"),
    pytest.param(
        "nan-singularity", {"forward": "h = torch.softmax(h + float('-inf'), 1)  # <- here"}, id="masked softmax added"
    ),
]


@pytest.mark.parametrize(("cause", "parts"), ZEROS)
def test_the_line_where_the_gradient_dies_is_named(check_program, cause, parts) -> None:
    checked = check_program(**parts)
    assert checked.report.verdict == "zero", str(checked.report)
    assert checked.found == [(cause, checked.line)], str(checked.report)


@pytest.mark.parametrize(("cause", "parts"), SINGULARITIES)
def test_the_line_where_nan_is_born_is_named(check_program, cause, parts) -> None:
    checked = check_program(**parts)
    assert checked.report.verdict == "nan", str(checked.report)
    assert checked.found == [(cause, checked.line)], str(checked.report)


def test_nan_that_is_masked_on_its_way_is_told_before_the_mask(check_program) -> None:
    mask = "torch.ones(2, 6, dtype=torch.bool)"
    checked = check_program(forward=f"h = h.masked_fill({mask}, float('-inf'))\nh = torch.softmax(h, 1)  # <- here")
    # the score is NaN as well
    assert checked.report.verdict == "nan", str(checked.report)
    assert checked.found == [("nan-singularity", checked.line)]


def test_rows_that_the_score_is_not_made_from(check_program) -> None:
    checked = check_program(slice_="[1:]")
    assert checked.report.verdict == "zero"
    assert checked.found == [("position-not-read", None)]
    assert "first sample" in checked.report.diagnostics[0].helps[0].text


@pytest.mark.parametrize("forward", ["h = h // 0.1  # <- here", "h = torch.heaviside(h, h.detach())  # <- here"])
def test_an_operation_without_a_derivative_formula(check_program, forward) -> None:
    checked = check_program(forward=forward)
    assert checked.report.verdict == "error"
    assert checked.found == [("backward-raised", checked.line)], str(checked.report)


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param({"forward": "h = h + F.relu(h - 5)"}, id="dead relu beside an identity"),
        pytest.param({"forward": "h = F.relu(h)"}, id="relu alive in part"),
        pytest.param({"forward": "h = h - h.mean(1, keepdim=True)"}, id="centred, read one by one"),
        pytest.param({"forward": "h = h + torch.round(h)"}, id="rounding beside an identity"),
        pytest.param({"forward": "h = F.dropout(h, p=0.5, training=False)"}, id="dropout that is off"),
        pytest.param({"forward": "h = torch.softmax(h, 1)"}, id="softmax read one by one"),
        pytest.param({"forward": "h = torch.where(h > 0, h, x)"}, id="where with both branches"),
        pytest.param({"forward": "h = h * 1e-9"}, id="tiny, not zero"),
        pytest.param({"forward": "h = h * 1e-4", "dtype": "float16"}, id="small in float16"),
    ],
)
def test_near_misses_are_silent(check_program, parts) -> None:
    checked = check_program(**parts)
    assert checked.report.verdict == "connected", str(checked.report)
    assert checked.found == []
