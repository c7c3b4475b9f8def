"""Programs that autograd stops: what their remains tell, with nothing watched. ``# cause`` marks the line to name."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from gradflow.watch.post_mortem.examine import findings_about  # noqa: E402

Program = Callable[[], object]
CASES: list[tuple[Program, str, str, str]] = []
x, labels = torch.ones(5, 4), torch.tensor([0, 1, 2, 0, 1])


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def told(name: str, verdict: str = "broken", severity: str = "error") -> Callable[[Program], Program]:
    def note(program: Program) -> Program:
        CASES.append((program, name, verdict, severity))
        return program

    return note


# ---------------------------------------------------------------------------------------------- a score without history


@told("numpy-roundtrip")
def through_a_number():
    model = net()
    logits = model(x)
    loss = F.cross_entropy(logits, labels)
    number = loss.item()  # cause
    loss = torch.tensor(number)
    loss.backward()


@told("tensor-rewrap")
def into_a_new_tensor():
    model = net()
    logits = model(x)
    rows = [logits[0].sum(), logits[1].sum()]
    loss = torch.tensor(rows)  # cause
    loss.sum().backward()


@told("detach")
def detached_on_the_way():
    model = net()
    logits = model(x)
    probabilities = logits.softmax(1).detach()  # cause
    loss = -probabilities[:, 0].log().mean()
    loss.backward()


@told("detach")
def only_the_data():
    model = net()
    out = model(x).data  # cause
    out.sum().backward()


@told("no-grad")
def inside_a_region():
    model = net()
    with torch.no_grad():  # cause
        logits = model(x)
    F.cross_entropy(logits, labels).backward()


@told("no-grad")
def switched_off_by_a_call():
    model = net()
    torch.set_grad_enabled(False)  # cause
    try:
        model(x).sum().backward()
    finally:
        torch.set_grad_enabled(True)


@torch.no_grad()  # cause of by_a_decorator
def predict(model, value):
    return model(value)


@told("no-grad")
def by_a_decorator():
    model = net()
    out = predict(model, x)
    out.sum().backward()


@told("inference-mode")
def in_inference_mode():
    model = net()
    with torch.inference_mode():  # cause
        out = model(x)
    out.sum().backward()


@told("nondiff-op")
def the_class_instead_of_its_score():
    model = net()
    logits = model(x)
    chosen = logits.argmax(dim=1)  # cause
    chosen.float().mean().backward()


@told("nondiff-op")
def the_second_of_two_results():
    model = net()
    _, indices = model(x).max(dim=1)  # cause
    indices.float().mean().backward()


@told("detach")
def added_up_in_a_loop():
    model = net()
    total = torch.zeros(())
    for _ in range(2):
        loss = model(x).sum()
        total += loss.detach()  # cause
    total.backward()


@told("numpy-roundtrip")
def collected_in_a_list():
    model = net()
    losses = []
    for _ in range(2):
        losses.append(model(x).sum().item())  # cause  # noqa: PERF401
    torch.tensor(losses).mean().backward()


class CutsInside(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 1)

    def forward(self, value):
        hidden = self.first(value)
        out = self.second(hidden)
        return out.detach()  # cause of inside_a_module


@told("detach")
def inside_a_module():
    model = CutsInside()
    out = model(x)
    out.sum().backward()


def loss_of(model, value):
    out = model(value)
    return out.sum().item()  # cause of inside_a_function


@told("numpy-roundtrip")
def inside_a_function():
    model = net()
    loss = loss_of(model, x)
    loss = torch.tensor(loss)
    loss.backward()


def step(loss):
    loss.backward()


@told("detach")
def handed_to_a_function():
    model = net()
    loss = model(x).sum().detach()  # cause
    step(loss)


class Trainer:
    def __init__(self):
        self.model = net()

    def run(self):
        self.loss = self.model(x).detach().sum()  # cause of kept_on_self
        self.step()

    def step(self):
        self.loss.backward()


@told("detach")
def kept_on_self():
    Trainer().run()


@told("detach")
def in_one_branch(is_short: bool = True):
    model = net()
    out = model(x)
    features = out.detach() if is_short else out  # cause
    features.sum().backward()


@told("detach")
def in_one_branch_of_two(is_short: bool = True):
    model = net()
    out = model(x)
    if is_short:  # noqa: SIM108
        features = out.detach()  # cause
    else:
        features = out
    features.sum().backward()


@told("detach")
def detached_in_place():
    model = net()
    loss = model(x).sum()
    loss.detach_()  # cause
    loss.backward()


@told("no-grad")
def phase_of_a_loop():
    model = net()
    for phase in ("train", "val"):
        with torch.set_grad_enabled(phase == "train"):  # cause
            loss = model(x).sum()
        loss.backward()


@told("requires-grad-too-late")
def flag_set_afterwards():
    image = torch.ones(3)
    score = (image * 2).sum()
    image.requires_grad_()  # cause
    score.backward()


@told("nothing-requires-grad")
def all_frozen():
    model = net()
    model.requires_grad_(False)  # cause
    model(x).sum().backward()


@told("nothing-requires-grad")
def frozen_with_targets_of_another_model():
    student, teacher = net().requires_grad_(False), net()  # cause
    target = teacher(x).argmax(1)
    F.cross_entropy(student(x), target).backward()


@told("nothing-requires-grad")
def numbers_only():
    value = torch.ones(3)
    doubled = value * 2
    doubled.sum().backward()  # cause


@told("graph-freed", "error")
def gradient_of_a_gradient():
    features = net()[0](x)
    first = torch.autograd.grad(features.pow(2).sum(), features)[0]  # cause
    torch.autograd.grad(first.sum(), features)


# ------------------------------------------------------------------------------------ a tensor that cannot be asked


@told("hook-detach")
def hook_keeps_a_copy():
    model, kept = net(), {}

    def hook(module, inputs, output):
        kept["first"] = output.detach()  # cause

    model[0].register_forward_hook(hook)
    score = model(x)[0, 1]
    torch.autograd.grad(score, kept["first"])


@told("detach")
def retain_grad_refused():
    model = net()
    out = model(x).detach()  # cause
    out.retain_grad()


@told("no-grad")
def hook_refused():
    model = net()
    with torch.no_grad():  # cause
        out = model(x)
    out.register_hook(print)


@told("integer-input", "error")
def whole_numbers():
    ids = torch.tensor([1, 2])
    score = nn.Embedding(4, 2)(ids).sum()
    torch.autograd.grad(score, ids)  # cause


@told("stale-activation", "stale")
def two_passes():
    model = net()
    features = model[0](x)  # cause
    score = model(x)[0, 1]
    torch.autograd.grad(score, features)


@told("detach")
def cut_between():
    model = net()
    image = torch.ones(2, 4, requires_grad=True)
    hidden = model[0](image)
    kept = hidden.detach().relu()  # cause
    score = model[2](kept).sum()
    torch.autograd.grad(score, image)


@told("output-discarded", "unused", "warning")
def side_branch():
    model = net()
    features = model[0](x)
    tokens = features[:, 1:]
    score = model[2](model[1](features))[0, 1]
    torch.autograd.grad(score, tokens)  # cause


@told("wrong-grad-source", "error")
def asked_of_a_module():
    model = net()
    return model[0].grad  # cause


@told("hook-detach")
def lambda_keeps_a_copy():
    model, kept = net(), []
    model[0].register_forward_hook(lambda module, inputs, output: kept.append(output.detach()))  # cause
    score = model(x)[0, 1]
    torch.autograd.grad(score, kept[0])


@told("numpy-roundtrip")
def backward_of_a_number():
    model = net()
    losses = []
    for _ in range(2):
        loss = model(x).sum()
        losses.append(loss.item())  # cause
    total = sum(losses) / len(losses)
    total.backward()


# ---------------------------------------------------------------------------------------------------- `.grad` is `None`


@told("backward-raised", "error")
def cleared_before_it_is_read():
    model = net()
    loss = model(x).sum()
    loss.backward()
    model.zero_grad()  # cause
    return model[0].weight.grad.norm()


@told("non-leaf-grad", "connected")
def converted_afterwards():
    image = torch.ones(2, requires_grad=True) * 2
    (image**2).sum().backward()
    return image.grad.abs()  # cause


@told("detach")
def none_because_of_a_cut():
    model = net()
    image = torch.ones(2, 4, requires_grad=True)
    hidden = model[0](image).detach()  # cause
    score = model[2](hidden).sum()
    score.backward()
    return image.grad.abs()


@told("not-trainable")
def none_because_frozen():
    model = net()
    model[0].weight.requires_grad = False
    model(x).sum().backward()
    return model[0].weight.grad * 2  # cause


# --------------------------------------------------------------------------------------------------- backward raises


@told("graph-freed", "error")
def twice():
    loss = net()(x).pow(2).sum()
    loss.backward()  # cause
    loss.backward()


@told("graph-freed", "error")
def carried_over():
    cell, hidden = nn.RNNCell(4, 4), torch.zeros(5, 4)
    for _ in range(2):
        hidden = cell(x, hidden)
        loss = hidden.pow(2).sum()
        loss.backward()  # cause


@told("inplace-modification", "error")
def written_over():
    gate = torch.sigmoid(net()(x))
    gate += 1  # cause
    loss = gate.sum()
    loss.backward()


@told("inplace-modification", "error")
def stepped_too_early():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    first, second = model(x).sum(), model(x).pow(2).sum()
    first.backward(retain_graph=True)
    optimizer.step()  # cause
    second.backward()


@told("inplace-modification", "error")
def leaf_changed():
    weight = torch.ones(3, requires_grad=True)
    weight += 1  # cause


@told("backward-raised", "error")
def several_numbers():
    losses = F.cross_entropy(net()(x), labels, reduction="none")
    losses.backward()  # cause


def error_of(program: Program) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        program()
    return caught.value


def marked_line(program: Program) -> int:
    """The line of the mark in the program itself, else that of the mark with its name elsewhere in this file."""
    lines, first = inspect.getsourcelines(program)
    own = [first + i for i, line in enumerate(lines) if "# cause" in line]
    whole = inspect.getsource(inspect.getmodule(program)).splitlines()
    named = [i for i, line in enumerate(whole, 1) if f"# cause of {program.__name__}" in line]
    return (own or named)[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("program", "name", "verdict", "severity"), CASES, ids=[case[0].__name__ for case in CASES])
def test_the_line_and_cause_are_named(program: Program, name: str, verdict: str, severity: str) -> None:
    first = findings_about(error_of(program))[0]
    assert (first.diagnostic.name, first.verdict, first.diagnostic.severity) == (name, verdict, severity)
    assert first.diagnostic.location is not None
    assert first.diagnostic.location.line == marked_line(program)


# ----------------------------------------------------------------------------------------------------- what stays open


def test_where_the_source_does_not_tell_the_line_that_loses_it_is_named_without_a_cause() -> None:
    table = {"loss": lambda value: value.detach().sum()}

    def program():
        model = net()
        loss = table["loss"](model(x))
        loss.backward()

    table["loss"].__code__ = table["loss"].__code__.replace(co_filename="<generated>")
    found = findings_about(error_of(program))[0].diagnostic
    assert found.name == "backward-raised"
    assert found.location is not None
    assert found.location.line == program.__code__.co_firstlineno + 2
    assert any("is not determined" in note for note in found.notes)


def test_of_code_without_source_the_facts_are_told() -> None:
    code = compile("loss = (weight * 2).detach().sum()\nloss.backward()", "<nowhere>", "exec")
    found = findings_about(error_of(lambda: exec(code, {"weight": torch.ones(2, requires_grad=True)})))[0].diagnostic
    assert found.name == "backward-raised"
    assert any("no history" in note for note in found.notes)
    assert any("not determined" in note for note in found.notes)


def test_a_parameter_outside_of_the_graph_is_said_to_be_outside_and_no_more() -> None:
    def program():
        other = nn.Linear(2, 2)
        loss = net()(x).sum()
        loss.backward()
        return other.weight.grad.norm()

    found = findings_about(error_of(program))[0].diagnostic
    assert found.name == "backward-raised"
    assert "no gradient of `loss` reaches `other.weight`" in found.message


def test_what_two_backward_passes_go_through_is_named() -> None:
    generator, critic = nn.Linear(2, 3), nn.Linear(3, 1)

    def program():
        fake = generator(torch.ones(4, 2))
        critic(fake).pow(2).mean().backward()
        score = critic(fake).mean()
        score.backward()

    found = findings_about(error_of(program))[0].diagnostic
    assert found.location.line == program.__code__.co_firstlineno + 2
    assert "both go through `fake`, which was made before" in found.notes


def test_detaching_the_generator_is_not_blamed_for_a_critic_that_is_frozen() -> None:
    generator, critic = nn.Linear(2, 3), nn.Linear(3, 1)

    def program():
        optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
        critic.requires_grad_(False)
        loss = critic(generator(torch.ones(4, 2)).detach()).mean()
        optimizer.zero_grad()
        loss.backward()

    found = findings_about(error_of(program))
    assert [one.diagnostic.name for one in found] == ["nothing-requires-grad"]
    assert found[0].diagnostic.location.line == program.__code__.co_firstlineno + 2


def test_what_can_only_be_read_from_the_source_is_a_warning() -> None:
    def program():
        out = net()(x).detach()
        out.sum().backward()

    found = findings_about(error_of(program))[0].diagnostic
    assert (found.name, found.severity) == ("detach", "warning")
    assert any(note.startswith("likely, not proven") for note in found.notes)


def test_of_two_branches_that_may_have_run_neither_is_proven() -> None:
    def program(is_short: bool = True):
        model = net()
        out = model(x)
        if is_short:  # noqa: SIM108
            features = out.detach()
        else:
            features = torch.tensor(out.tolist())
        features.sum().backward()

    assert {one.diagnostic.severity for one in findings_about(error_of(program))} == {"warning"}


def test_what_another_pass_has_put_in_its_place_is_not_taken_for_what_was_there() -> None:
    def program():
        model, kept = net(), {}
        handle = model[0].register_forward_hook(lambda module, inputs, output: kept.update(first=output))
        with torch.no_grad():
            model(x)
        features = kept["first"]
        score = model(x)[0, 1]
        handle.remove()
        torch.autograd.grad(score, features)

    found = findings_about(error_of(program))[0].diagnostic
    assert found.location is not None
    assert found.location.line != program.__code__.co_firstlineno + 5


def test_flags_that_were_switched_since_leave_it_unproven() -> None:
    def program():
        model = net()
        model.requires_grad_(False)
        out = model(x)
        for parameter in model.parameters():
            parameter.requires_grad = True
        out.sum().backward()

    found = findings_about(error_of(program))[0].diagnostic
    assert (found.name, found.severity) == ("backward-raised", "warning")
    assert any("switched since" in note for note in found.notes)


def test_a_model_made_on_the_spot_may_be_trainable() -> None:
    def program():
        out = nn.Linear(4, 2).requires_grad_(False)(x)
        out.sum().backward()

    assert findings_about(error_of(program))[0].diagnostic.severity != "error" or (
        findings_about(error_of(program))[0].diagnostic.name == "backward-raised"
    )


def test_what_a_hook_put_into_a_dictionary_is_not_told_to_come_of_itself() -> None:
    """The line that makes the dictionary says nothing of what is put there later."""

    def program():
        kept = {}
        layer = nn.Linear(4, 2)
        layer.register_forward_hook(lambda module, given, out: kept.__setitem__("out", out))
        without_recording = torch.no_grad()(layer.__call__)
        without_recording(x)
        kept["out"].retain_grad()

    found = findings_about(error_of(program))[0].diagnostic
    assert found.name == "backward-raised"
    assert not any("alone" in note for note in found.notes)


# ------------------------------------------------------------------------------------------------------- near misses


def number_without_a_past():
    total = 3.0
    total.backward()


def shapes_differ():
    net()(torch.ones(2, 2))


def out_of_memory():
    raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")


def wrong_shape_of_gradient():
    torch.ones(2, requires_grad=True).sum().backward(torch.ones(3))


def none_of_something_else():
    settings = None
    return settings.grad


def missing_attribute_of_a_tensor():
    return x.nothing_like_that


def missing_attribute_of_a_module():
    return net().nothing_like_that


def to_numpy():
    torch.ones(2, requires_grad=True).numpy()


@pytest.mark.parametrize(
    "program",
    [
        number_without_a_past,
        shapes_differ,
        out_of_memory,
        wrong_shape_of_gradient,
        none_of_something_else,
        missing_attribute_of_a_tensor,
        missing_attribute_of_a_module,
        to_numpy,
        lambda: 1 / 0,
        lambda: {}["missing"],
        lambda: torch.ones(2) @ torch.ones(3),
    ],
)
def test_other_exceptions_are_not_explained(program: Program) -> None:
    assert findings_about(error_of(program)) == ()


def test_what_an_exception_was_raised_from_is_explained() -> None:
    def program():
        try:
            detached_on_the_way()
        except RuntimeError as error:
            raise ValueError("training failed") from error

    assert findings_about(error_of(program))[0].diagnostic.name == "detach"
