"""What went through memory or bytes that gradflow does not look into is not called unused."""

from __future__ import annotations

import pytest

THROUGH = """
import copy, io, pickle
first, last = nn.Linear(3, 3), nn.Linear(3, 1)
x = torch.randn(4, 3)
hidden = first(x).detach()
{through}
last(z).sum().backward()
print(first.weight.grad)
{after}
"""

SAVED = "kept = io.BytesIO(); torch.save({what}, kept); kept.seek(0); {name} = torch.load(kept)"

UNSEEN = {
    "saved and loaded": SAVED.format(what="hidden", name="z"),
    "pickled": "z = pickle.loads(pickle.dumps(hidden))",
    "storage set": "z = torch.empty(0).set_(hidden.untyped_storage(), 0, (4, 3), (3, 1))",
    "storage copied": "z = torch.empty(4, 3); z.untyped_storage().copy_(hidden.untyped_storage())",
}

UNUSED = {
    "saved only": SAVED.format(what="hidden", name="back") + "; z = x",
    "another one came back": "other = torch.randn(4, 3)\n" + SAVED.format(what="other", name="z"),
    "nothing handed out": "z = x",
    "handed out before it was computed": "pickle.dumps(x); z = x * 2",
}


@pytest.mark.parametrize("through", UNSEEN.values(), ids=UNSEEN)
def test_what_came_back_unseen_is_not_called_unused(explain, through):
    report = explain(THROUGH.format(through=through, after=""))
    assert "output-discarded" not in {one.name for one in report.diagnostics}
    assert any("handed out" in one for one in report.undetermined)


@pytest.mark.parametrize("through", UNUSED.values(), ids=UNUSED)
def test_what_is_not_used_is_told_all_the_same(explain, through):
    report = explain(THROUGH.format(through=through, after=""))
    assert report.diagnostics[0].name == "output-discarded"


def test_an_optimizer_is_not_told_to_let_a_loss_be_computed_from_it(explain):
    step = "torch.optim.SGD([*first.parameters(), *last.parameters()]).step()"
    report = explain(THROUGH.format(through=UNSEEN["pickled"], after=step))
    told = next(one for one in report.diagnostics if one.name == "no-gradient-at-step")
    assert any("handed out" in note for note in told.notes)
    assert not any("let the loss be computed" in one.text for one in told.helps)


def test_what_is_saved_afterwards_was_not_there_to_be_used(explain):
    through = "z = torch.empty(4, 3); z.untyped_storage().copy_(x.untyped_storage())"
    report = explain(THROUGH.format(through=through, after="torch.save(hidden, io.BytesIO())"))
    assert report.diagnostics[0].name == "output-discarded"
