"""What the program wanted to know of autograd, one :class:`Question` each, with what the recording says about it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from gradflow.graph.cut_group import Bridge
from gradflow.graph.dependence import Dependence, analyse, is_differentiable
from gradflow.location import SourceSpan, source_line
from gradflow.probe.evidence import Evidence, Measured
from gradflow.probe.source_state import source_state
from gradflow.trace.data import Trace
from gradflow.trace.operation_kinds import FROM_ARRAYS, IMPORTS, VALUE_EXITS
from gradflow.watch.events import Backward, GradRead, Observation

__all__ = [
    "Question",
    "call_of_value",
    "evidence_for",
    "is_leaf_value",
    "layer_of",
    "leaves_behind",
    "name_of_value",
    "questions_in",
    "score_text",
]

_TURNS = 8
_QUESTIONS = 200


@dataclass(frozen=True, kw_only=True)
class Question:
    """One gradient that the program asked for.

    ``score`` and ``target`` are value ids; ``target`` is -1 where backward was to reach whatever it can. ``site`` is
    where the answer was looked at, ``operation`` when.
    """

    backward: Backward
    backward_number: int
    score: int
    target: int
    measured: Measured
    site: int
    operation: int
    read: GradRead | None = None
    error: str = ""
    others: tuple[int, ...] = ()


def questions_in(observation: Observation) -> tuple[Question, ...]:
    """The questions in the order in which their answers were looked at; of a loop, the first turns of each kind."""
    kept = []
    counts: dict[object, int] = {}
    for question in sorted(_questions(observation), key=lambda question: question.operation):
        measured = question.measured
        kind = (question.site, question.target >= 0, measured.arrived, measured.is_zero, measured.is_finite)
        counts[kind] = counts.get(kind, 0) + 1
        if counts[kind] <= (_TURNS if measured.arrived else 3 * _TURNS):
            kept.append(question)
    return tuple(kept[:_QUESTIONS])


def _questions(observation: Observation) -> Iterator[Question]:
    for number, backward in enumerate(observation.backwards):
        score = backward.roots[0] if backward.roots else -1
        common = {"backward": backward, "backward_number": number, "score": score, "site": backward.site}
        if backward.kind == "grad" and backward.inputs:
            refused = [i for i, needs in enumerate(backward.inputs_require_grad) if not needs]
            for i, target in enumerate(backward.inputs):
                measured = backward.results[i] if i < len(backward.results) else Measured(arrived=False)
                if backward.error and backward.roots_require_grad and refused and i not in refused:
                    continue
                if backward.error and f"index {i}" not in backward.error and "index " in backward.error:
                    continue
                yield Question(
                    **common,  # type: ignore[arg-type]
                    target=target,
                    measured=measured,
                    operation=backward.operation,
                    error=backward.error,
                    others=tuple(v for v in backward.inputs if v != target),
                )
        elif backward.error:
            yield Question(
                **common,  # type: ignore[arg-type]
                target=-1,
                measured=Measured(arrived=False),
                operation=backward.operation,
                error=backward.error,
            )
    yield from _waiting_hooks(observation)
    for read in observation.reads:
        if read.backwards == 0 or read.is_guard:
            continue
        number = _backward_meant(observation, read)
        backward = observation.backwards[number]
        yield Question(
            backward=backward,
            backward_number=number,
            score=backward.roots[0] if backward.roots else -1,
            target=read.value,
            measured=read.measured,
            site=read.site,
            operation=read.operation,
            read=read,
        )


def _waiting_hooks(observation: Observation) -> Iterator[Question]:
    """Hooks that were to be given a gradient, and never were although backward ran."""
    fired = {hook.site for hook in observation.tensor_hooks if hook.runs}
    waiting = [(h.value, h.site, h.backwards) for h in observation.tensor_hooks if h.site not in fired]
    for hook in observation.hooks:
        if hook.kind == "backward" and not hook.runs:
            calls = [
                call
                for call in observation.trace.calls[hook.first_call :]
                if observation.call_modules[call.id] == hook.module and call.outputs
            ]
            if calls:
                value = calls[-1].outputs[0]
                since = sum(b.operation < calls[-1].first_operation for b in observation.backwards)
                waiting.append((value, hook.site, since))
    for value, site, since in waiting:
        for number in range(since, len(observation.backwards)):
            backward = observation.backwards[number]
            if backward.kind == "backward" and not backward.error and backward.roots:
                yield Question(
                    backward=backward,
                    backward_number=number,
                    score=backward.roots[0],
                    target=value,
                    measured=Measured(arrived=False),
                    site=site,
                    operation=backward.operation,
                )
                break


def _backward_meant(observation: Observation, read: GradRead) -> int:
    """The last backward that could have filled this ``.grad``: not ``autograd.grad``, which fills none."""
    for number in range(read.backwards - 1, -1, -1):
        backward = observation.backwards[number]
        if backward.kind == "backward" and not backward.error:
            return number
    return read.backwards - 1


def evidence_for(observation: Observation, question: Question, sources: tuple[int, ...] = ()) -> Evidence:
    """The recording about one question in the form that the rules of ``gradflow check`` take."""
    target = question.target
    values = sources or ((target,) if target >= 0 else ())
    name, kind = name_of_value(observation, values[0]) if values else ("the parameters", "parameter")
    base = observation.trace
    trace = replace(base, score=question.score, layer_values={name: values})
    dependence = analyse(trace, values)
    if not question.measured.arrived and not dependence.score_depends and dependence.exits:
        bridges = _bridges(trace, dependence)
        if bridges:
            dependence = analyse(trace, values, bridges)
    is_leaf = target >= 0 and is_leaf_value(base, target)
    small = (question.measured.max_abs or 0.0) < 1e-6
    return Evidence(
        target=name,
        kind=kind,
        type_name="Parameter" if kind == "parameter" else "Tensor",
        score=score_text(observation, question.backward),
        trace=trace,
        dependence=dependence,
        source=source_state(trace, values),
        measured=(question.measured,),
        call_count=1,
        shape=tuple(base.values.shape[target]) if target >= 0 else None,
        is_trainable=not is_leaf or (target >= 0 and base.values.requires_grad[target]),
        flows=question.backward.flows,
        objective_span=base.site_span(question.backward.site),
        function_spans=observation.function_spans,
        is_cancelled=question.measured.arrived and small and any(flow.is_end for flow in question.backward.flows),
    )


def leaves_behind(observation: Observation, question: Question, *, trainable: bool) -> tuple[int, ...]:
    """The leaves that the score was computed from, by whatever way, cuts included."""
    trace = observation.trace
    reaches = analyse(replace(trace, score=question.score), ()).reaches
    return tuple(
        value
        for value in range(len(trace.values.producer))
        if reaches[value]
        and is_differentiable(trace.dtype_of(value))
        and is_leaf_value(trace, value)
        and trace.values.requires_grad[value] == trainable
    )


def is_leaf_value(trace: Trace, value: int) -> bool:
    """Whether a value was not computed from other tensors: a parameter, an input, what ``torch.randn`` made."""
    producer = trace.values.producer[value]
    return producer < 0 or value in trace.leaf_names or not trace.inputs_of(producer)


def _bridges(trace: Trace, dependence: Dependence) -> tuple[Bridge, ...]:
    """Where a value that left torch most likely came back: a tensor made of plain numbers, after something had left.

    Nothing proves it, as ``gradflow check`` does by running again with other numbers: a program runs once.
    """
    columns = trace.operations
    leaving = [operation for operation in dependence.exits if trace.name_of(operation) in VALUE_EXITS]
    found = []
    for operation in range(len(trace)):
        if trace.name_of(operation) not in FROM_ARRAYS | IMPORTS:
            continue
        if not any(dependence.reaches[value] for value in trace.outputs_of(operation)):
            continue
        if columns.input_start[operation] != columns.input_start[operation + 1]:
            continue
        before = [leave for leave in leaving if leave < operation]
        if before:
            found.append(Bridge(leave=before[-1], enter=operation))
    return tuple(found)


def call_of_value(trace: Trace, value: int) -> int:
    """The innermost module call that returned a value, or a view, copy or slice of it; -1 for none."""
    made = {output: call.id for call in reversed(trace.calls) for output in call.outputs}
    for _ in range(64):
        if value in made:
            return made[value]
        producer = trace.values.producer[value]
        inputs = trace.inputs_of(producer) if producer >= 0 else ()
        if len(inputs) != 1:
            return -1
        value = inputs[0]
    return -1


def layer_of(observation: Observation, value: int) -> tuple[str, str]:
    """Qualified name and class of the module that a value came from; empty for none."""
    call = call_of_value(observation.trace, value)
    if call < 0:
        return "", ""
    made = observation.trace.calls[call]
    return made.module or made.type_name, made.type_name


def name_of_value(observation: Observation, value: int) -> tuple[str, Literal["layer", "parameter"]]:
    """How to call a value: a parameter's name, the layer that made it, or its shape."""
    role, name = observation.trace.leaf_names.get(value, ("", ""))
    if role == "parameter" and name:
        return name, "parameter"
    layer, _ = layer_of(observation, value)
    if layer:
        return layer, "layer"
    for read in observation.reads:
        if read.value == value:
            text = _text_at(observation.trace.site_span(read.site)).removesuffix(".grad")
            if text:
                return text, "parameter" if read.is_leaf else "layer"
    shape = ", ".join(map(str, observation.trace.values.shape[value]))
    return f"a tensor [{shape}]", "layer"


def score_text(observation: Observation, backward: Backward) -> str:
    """The score as the program's own source calls it."""
    text = _text_at(observation.trace.site_span(backward.site))
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return "the score"
    if not isinstance(tree, ast.Call):
        return "the score"
    if isinstance(tree.func, ast.Attribute) and tree.func.attr == "backward" and not _is_autograd(tree.func.value):
        return f"`{ast.unparse(tree.func.value)}`"
    return f"`{ast.unparse(tree.args[0])}`" if tree.args else "the score"


def _is_autograd(node: ast.expr) -> bool:
    return ast.unparse(node).endswith("autograd")


def _text_at(span: SourceSpan | None) -> str:
    if span is None or span.column is None or span.end_column is None or span.end_line != span.line:
        return ""
    return source_line(span.path, span.line)[span.column - 1 : span.end_column - 1]
