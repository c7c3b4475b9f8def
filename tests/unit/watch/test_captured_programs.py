"""Models that torch captures while gradflow watches: hooks are part of them as they would be without it."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from gradflow.record.program.watching import Watch
from gradflow.watch.explaining import findings_in
from gradflow.watch.finding import Finding
from gradflow.watch.observing import observation_of


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x)  # type: ignore[no-any-return]


def double(self: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
    return output * 2


def found_in(program: Any) -> tuple[Finding, ...]:
    watch = Watch()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with watch.watching():
            program()
    return findings_in(observation_of(watch))


def test_scripting_compiles_a_hook_that_is_there() -> None:
    def program() -> None:
        net, x = Net(), torch.ones(1, 3)
        net.register_forward_hook(double)
        scripted = torch.jit.script(net)
        assert torch.equal(scripted(x), 2 * net.fc(x))

    assert found_in(program) == ()


def test_a_hook_registered_after_scripting_never_runs() -> None:
    def program() -> None:
        net = Net()
        scripted = torch.jit.script(net)
        net.fc.register_forward_hook(lambda module, inputs, output: None)
        scripted(torch.ones(1, 3)).sum().backward()

    assert [one.diagnostic.name for one in found_in(program)] == ["compiled-hooks"]


def test_a_hook_that_ran_only_while_tracing_never_runs() -> None:
    seen: list[torch.Tensor] = []

    def program() -> None:
        net = Net()
        net.fc.register_forward_hook(lambda module, inputs, output: seen.append(output))
        traced = torch.jit.trace(net, torch.ones(1, 3))
        traced(torch.ones(1, 3)).sum().backward()

    found = found_in(program)
    assert seen
    assert [one.diagnostic.name for one in found] == ["compiled-hooks"]


def test_a_graph_calls_the_innermost_layers_only() -> None:
    def program() -> None:
        net = torch.nn.Sequential(torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.ReLU()), torch.nn.Linear(3, 1))
        graph = torch.fx.symbolic_trace(net)
        net[0][0].register_forward_hook(lambda module, inputs, output: None)
        net[0].register_forward_hook(lambda module, inputs, output: None)
        graph(torch.ones(1, 3)).sum().backward()

    found = found_in(program)
    assert [one.diagnostic.name for one in found] == ["compiled-hooks"]
    assert found[0].target == "Sequential"


def test_what_torch_registers_itself_is_not_told() -> None:
    def program() -> None:
        net = torch.nn.utils.spectral_norm(torch.nn.Linear(3, 3))
        torch.nn.utils.spectral_norm(torch.nn.Linear(3, 3))
        net(torch.ones(1, 3)).sum().backward()

    assert found_in(program) == ()


def test_a_hook_on_a_model_that_does_not_run_yet_is_no_fault() -> None:
    def program() -> None:
        critic, actor = torch.nn.Linear(4, 1), torch.nn.Linear(3, 2)
        critic.register_full_backward_hook(lambda module, grad_in, grad_out: None)
        actor(torch.ones(1, 3)).sum().backward()

    assert found_in(program) == ()


def test_each_gradient_belongs_to_its_own_call() -> None:
    watch = Watch()
    with watch.watching():
        layer, grads = torch.nn.Linear(3, 3), []
        layer.register_full_backward_hook(lambda module, grad_in, grad_out: grads.append((grad_in, grad_out)))
        first = layer(torch.ones(1, 3, requires_grad=True))
        (layer(first) * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    observation = observation_of(watch)
    (hook,) = observation.program.hooks
    assert [run.call for run in hook.runs] == [1, 0]
    calls = observation.recording.calls
    assert observation.program.gradient_of[hook.runs[0].outputs[0]] == calls[1].outputs[0]
    assert observation.program.gradient_of[hook.runs[1].outputs[0]] == calls[0].outputs[0]
    assert not any(run.inputs_equal for run in hook.runs)


def test_dropout_in_eval_mode_is_the_same_value() -> None:
    watch = Watch()
    with watch.watching():
        x = torch.ones(2, 3, requires_grad=True)
        y = x * 2
        dropped = torch.nn.functional.dropout(y, training=False)
        inplace = torch.nn.functional.relu(y, inplace=True)
    value_of = watch.recorder.known_value
    assert dropped is y
    assert inplace is y
    recording = observation_of(watch).recording
    names = [
        recording.name_of(operation)
        for operation in range(len(recording))
        if value_of(y) in recording.outputs_of(operation)
    ]
    assert names == ["relu"]


def test_one_of_many_hooks_of_a_loop_need_not_run() -> None:
    class Aided(Net):
        def __init__(self) -> None:
            super().__init__()
            self.aid = torch.nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.aid(self.fc(x)) if self.training else self.fc(x)

    def program(names: tuple[str, ...]) -> None:
        net = Aided().eval()
        for name in names:
            net.get_submodule(name).register_forward_hook(lambda module, inputs, output: None)
        net(torch.ones(1, 3)).sum().backward()

    assert found_in(lambda: program(("fc", "aid"))) == ()
    assert [one.diagnostic.name for one in found_in(lambda: program(("aid",)))] == ["layer-not-called"]
