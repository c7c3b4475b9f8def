"""A parameter whose memory NumPy was given may be moved there: it is not told that nobody moves it."""

from __future__ import annotations

LOOP = """
other = nn.Linear(3, 1)
optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
used = nn.Linear(3, 1)
for _ in range(3):
    used.zero_grad()
    used(torch.randn(4, 3)).square().sum().backward()
    optimizer.step()
    for parameter in used.parameters():
        {after}
"""


def told(report):
    said = [text for one in report.diagnostics for text in (one.message, *one.notes)]
    return [text for text in said if "which no optimizer that was seen holds" in text]


def test_what_an_array_moves_is_not_said_to_be_left_to_nobody(explain):
    report = explain(LOOP.format(after="parameter.detach().numpy()[...] -= 0.1 * parameter.grad.numpy()"))
    assert told(report) == []


def test_what_is_only_copied_for_numpy_is(explain):
    assert told(explain(LOOP.format(after="parameter.detach().clone().numpy().mean()")))
