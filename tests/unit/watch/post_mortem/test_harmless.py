"""Looking at what an exception left behind runs none of the program's code, and keeps nothing of it alive."""

from __future__ import annotations

import ast
import gc
import sys
import weakref

import pytest

torch = pytest.importorskip("torch")

import gradflow  # noqa: E402
from gradflow.watch.post_mortem.autograd_facts import carries_history, contains  # noqa: E402
from gradflow.watch.post_mortem.examine import findings_about  # noqa: E402
from gradflow.watch.post_mortem.look import MISSING, look_up, variables_of  # noqa: E402


class Touchy:
    """Everything that running code could trip over."""

    ran: list[str] = []  # noqa: RUF012

    def __init__(self) -> None:
        self.value = torch.ones(1, requires_grad=True)

    @property
    def loss(self) -> object:
        self.ran.append("property")
        return self.value

    def __getattr__(self, name: str) -> object:
        self.ran.append(name)
        raise AttributeError(name)

    @property
    def __class__(self) -> type:
        self.ran.append("__class__")
        return torch.Tensor

    def __eq__(self, other: object) -> bool:
        self.ran.append("__eq__")
        return False

    __hash__ = None

    def __bool__(self) -> bool:
        self.ran.append("__bool__")
        return True

    def __len__(self) -> int:
        self.ran.append("__len__")
        return 1


def test_no_code_of_the_program_is_run() -> None:
    touchy = Touchy()
    # the post-mortem meets it as a name, an attribute's owner, an argument and a member
    held = {"touchy": touchy}
    score = torch.ones(1).detach()
    with pytest.raises(RuntimeError) as caught:
        (score + 0 * len(held) + score * torch.tensor(id(touchy.value) * 0)).backward()
    Touchy.ran.clear()
    assert findings_about(caught.value)
    assert carries_history(touchy) is True
    assert look_up(ast.parse("touchy.loss", mode="eval").body, {"touchy": touchy}) is MISSING
    assert look_up(ast.parse("touchy.value", mode="eval").body, {"touchy": touchy}) is touchy.value
    assert Touchy.ran == []


def test_saved_tensors_are_not_unpacked_by_hooks_of_the_program() -> None:
    unpacked = []

    def program() -> None:
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: unpacked.append(1) or t):
            loss = torch.ones(2, requires_grad=True).exp().sum()
        loss.backward()
        unpacked.clear()
        loss.backward()

    with pytest.raises(RuntimeError) as caught:
        program()
    unpacked.clear()
    assert findings_about(caught.value)[0].diagnostic.name == "graph-freed"
    assert unpacked == []


def test_nothing_is_kept_alive() -> None:
    def program() -> tuple[weakref.ref, weakref.ref, str]:
        model, extra = torch.nn.Linear(2, 2), torch.ones(3)
        references = weakref.ref(model), weakref.ref(extra)
        try:
            model(torch.ones(1, 2)).detach().sum().backward()
        except RuntimeError:
            report = gradflow.explain_last_error(quiet=True)
        del model, extra
        gc.collect()
        return (*references, report.diagnostics[0].name)

    model, extra, name = program()
    assert (model(), extra(), name) == (None, None, "detach")


def test_a_dictionary_of_locals_that_the_program_holds_stays_as_it_is() -> None:
    value = 3
    mine = locals()
    with variables_of(sys._getframe()) as seen:
        assert seen["value"] == 3
    assert mine["value"] == value


def test_a_graph_is_asked_only_for_what_it_holds() -> None:
    first, other = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    hidden = first.exp()
    score = hidden.sum()
    assert contains(score, first) is True
    assert contains(score, hidden) is True
    assert contains(score, other) is False
    assert contains(score.detach(), first) is False
