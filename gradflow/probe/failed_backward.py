"""From an exception in backward to the operations behind it: who saved the tensor, and who changed it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch

from gradflow.graph.dependence import value_inputs
from gradflow.probe.evidence import BackwardError
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.other_runs.freeing import freeing_call
from gradflow.probe.other_runs.same_way import row_in
from gradflow.record.backward.walk import Node, link_operations, walk
from gradflow.record.conduct.raised_by import is_own_raise
from gradflow.record.conduct.their_exceptions import traceback_of
from gradflow.record.failure import failure_of
from gradflow.record.run import Run
from gradflow.recording import Recording
from gradflow.torch_facts.messages import of_backward
from gradflow.torch_facts.nodes import REENTRANT_CHECKPOINT, has_no_formula, is_accumulation, saved, saved_names
from gradflow.torch_facts.operations.queries import has, writes_in_place
from gradflow.torch_facts.running_calls import is_within_a_backward_of_a_function

__all__ = ["explain_backward_error"]


def explain_backward_error(
    laboratory: Laboratory, error: Exception, target: str, recording: Recording
) -> BackwardError:
    """Describe what backward raised; runs the forward once more to ask the graph who saved what.

    ``recording`` is the run of which the operations are told.
    """
    again: list[Recording] = []

    def run_again() -> Run:
        run = laboratory.forward()
        again.append(run.recording)
        return run

    found = _explain(laboratory, run_again, error, target)
    found = replace(found, is_of_function=is_within_a_backward_of_a_function(traceback_of(error)))
    if not again:
        return found
    return replace(
        found, saver=row_in(recording, again[-1], found.saver), writer=row_in(recording, again[-1], found.writer)
    )


def _explain(laboratory: Laboratory, run_again: Callable[[], Run], error: Exception, target: str) -> BackwardError:
    message = " ".join(str(error).split())
    if is_own_raise(error):
        span = failure_of(error).span
        return BackwardError(type_name=type(error).__name__, message=message, span=span, is_own_raise=True)
    if of_backward.CHANGED_IN_PLACE.is_in(message):
        run = run_again()
        saver, node = _broken_saver(run)
        return BackwardError(
            type_name=type(error).__name__,
            message=message,
            saver=saver,
            writer=_writer_after(run.recording, saver) if saver >= 0 else -1,
            node=node,
        )
    if of_backward.NOT_IMPLEMENTED.is_in(message):
        run = run_again()
        saver = _without_derivative(run)
        if saver >= 0:
            return BackwardError(type_name=type(error).__name__, message=message, saver=saver, lacks_derivative=True)
        # a node with a formula for some of its inputs only looks like any other, until it is its turn
        saver = _stopped_operation(laboratory.forward())
        return BackwardError(
            type_name=type(error).__name__, message=message, saver=saver, lacks_for_an_input=saver >= 0
        )
    if of_backward.GRAPH_FREED.is_in(message):
        reader = _reads_from_before(run_again().recording)
        freer = freeing_call(laboratory, target) if reader < 0 else None
        return BackwardError(type_name=type(error).__name__, message=message, saver=reader, freer=freer)
    if of_backward.speaks_of_checkpoints(message):
        run_trace = run_again().recording
        for operation in range(len(run_trace)):
            if operation in run_trace.checkpoint_operations:
                return BackwardError(
                    type_name=type(error).__name__, message=message, saver=operation, node=REENTRANT_CHECKPOINT
                )
    span = failure_of(error).span
    # an operator without a formula raises in torch's own code: the node that was due tells which one it was
    saver = _stopped_operation(run_again()) if span is None else -1
    return BackwardError(type_name=type(error).__name__, message=message, saver=saver, span=span)


def _stopped_operation(run: Run) -> int:
    """The operation whose node raises in a backward from the score, -1 where none does, or that is not found."""
    root = run.live.score.grad_fn if run.live.score is not None else None
    nodes = walk(root) if root is not None else None
    if run.live.score is None or not nodes:
        return -1
    begun: list[Node] = []
    ended: set[Node] = set()
    edges = [torch.autograd.graph.GradientEdge(node, 0) for node in nodes if is_accumulation(node)]
    # the graph may go on into one that others hold: neither a hook is left on it, nor is it freed
    with contextlib.ExitStack() as hooks:
        for node in nodes:
            hooks.callback(node.register_prehook(lambda *_, node=node: begun.append(node)).remove)
            hooks.callback(node.register_hook(lambda *_, node=node: ended.add(node)).remove)
        try:
            torch.autograd.grad(run.live.score, edges, allow_unused=True, retain_graph=True)
        except Exception:  # noqa: BLE001  (the very exception that is to be explained)
            # the one that began and did not end; where all did, what it handed on was refused
            stopped = next((node for node in begun if node not in ended), begun[-1] if begun else None)
            return link_operations(run.recording)(stopped) if stopped is not None else -1
    return -1


def _broken_saver(run: Run) -> tuple[int, str]:
    """The operation whose saved tensor can no longer be unpacked: reading it raises the very error of backward."""
    if run.live.score is None or run.live.score.grad_fn is None:
        return -1, ""
    nodes = walk(run.live.score.grad_fn)
    operation_of = link_operations(run.recording)
    for node in nodes:
        if any(_is_spoiled(node, name) for name in saved_names(node)):
            return operation_of(node), node.name()
    return -1, ""


def _reads_from_before(recording: Recording) -> int:
    """The first operation that reads a value with a history that this run did not make, -1 where none does."""
    for operation in range(len(recording)):
        for value in recording.inputs_of(operation):
            if recording.leaf_names.get(value, ("", ""))[0] == "opaque" and recording.values.requires_grad[value]:
                return operation
    return -1


def _without_derivative(run: Run) -> int:
    """The operation nearest to the score for which torch has no derivative formula, -1 where it is not found.

    Its node has no sequence number, so the operation is the one that made an input of the node before, and took none.
    """
    if run.live.score is None or run.live.score.grad_fn is None:
        return -1
    recording = run.recording
    columns = recording.operations
    operation_of = link_operations(recording)
    for node in walk(run.live.score.grad_fn):
        behind = (following for following, _ in node.next_functions if following is not None)
        user = operation_of(node) if any(map(has_no_formula, behind)) else -1
        for value in recording.inputs_of(user) if user >= 0 else ():
            producer = recording.values.producer[value]
            if producer >= 0 and columns.sequence_start[producer] == columns.sequence_end[producer]:
                return producer
    return -1


def _is_spoiled(node: Any, name: str) -> bool:
    try:
        saved(node, name)
    except RuntimeError as error:
        return of_backward.CHANGED_IN_PLACE.is_in(str(error))
    return False


def _writer_after(recording: Recording, saver: int) -> int:
    """The first operation after ``saver`` that changes in place one of the tensors that it read or made.

    Or, where none does, the tensor that one of them is a part of, as in ``states[:, t + 1] = f(states[:, t])``.
    """
    own = {*recording.inputs_of(saver), *recording.outputs_of(saver)}
    writer = _first_write(recording, saver, own)
    if writer >= 0:
        return writer
    return _first_write(recording, saver, {base for value in own for base in _bases(recording, value)})


def _bases(recording: Recording, value: int) -> Iterator[int]:
    while (producer := recording.values.producer[value]) >= 0 and _may_lie_in_its_memory(recording.name_of(producer)):
        value = recording.inputs_of(producer)[0]
        yield value


def _may_lie_in_its_memory(name: str) -> bool:
    """Whether what it gives may be a view of its first argument, or that tensor itself."""
    return has(name, "view", "aliases", "itself")


def _first_write(recording: Recording, saver: int, values: set[int]) -> int:
    shared = set(values)
    for operation in range(saver + 1, len(recording)):
        inputs = recording.inputs_of(operation)
        if not inputs or inputs[0] not in shared:
            continue
        name = recording.name_of(operation)
        if writes_in_place(name) or (has(name, "inplace") and _is_same_tensor(recording, operation)):
            return operation
        if _may_lie_in_its_memory(name):
            shared.update(recording.outputs_of(operation))
    return -1


def _is_same_tensor(recording: Recording, operation: int) -> bool:
    inputs, outputs = value_inputs(recording, operation), recording.outputs_of(operation)
    return bool(inputs and outputs) and recording.values.shape[inputs[0]] == recording.values.shape[outputs[0]]
