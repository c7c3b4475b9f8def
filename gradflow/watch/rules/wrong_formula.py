"""GF111: a custom Function whose backward is not the derivative of its forward took part in a score."""

from __future__ import annotations

from dataclasses import replace

from gradflow.diagnose.rules.custom_formula import custom_function_is_no_derivative
from gradflow.probe.formula_check import FormulaCheck, wrong_formulas
from gradflow.recording.gradients import Measured
from gradflow.watch.facts.evidence import evidence_for
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding
from gradflow.watch.observation import Observation

__all__ = ["formula_is_wrong"]


def formula_is_wrong(observation: Observation) -> tuple[Finding, ...]:
    """One finding per Function and input; nothing where the formula is right, meant, or could not be checked."""
    worst: dict[tuple[str, int], FormulaCheck] = {}
    for check in wrong_formulas(observation.formulas):
        key = check.function, check.argument
        if key not in worst or worst[key].relative_error < check.relative_error:
            worst[key] = check
    return tuple(one for check in worst.values() for one in _findings(observation, check))


def _findings(observation: Observation, check: FormulaCheck) -> tuple[Finding, ...]:
    question = _question(observation, check)
    if question is None:
        return ()
    evidence = replace(evidence_for(observation, question), formulas=(check,))
    return tuple(
        Finding(
            # it is hidden from nobody: the gradient comes, and is wrong
            diagnostic=replace(diagnostic, hides=()),
            verdict="wrong",
            target=evidence.target,
            is_parameter=evidence.kind == "parameter",
            score=evidence.score,
            operation=question.operation,
            question=question,
        )
        for diagnostic in custom_function_is_no_derivative(evidence)
    )


def _question(observation: Observation, check: FormulaCheck) -> Question | None:
    columns = observation.recording.operations
    start, end = columns.input_start[check.operation], columns.input_start[check.operation + 1]
    pairs = zip(columns.inputs[start:end], columns.argument[start:end], strict=True)
    target = next((value for value, argument in pairs if argument == check.argument), -1)
    for number, backward in enumerate(observation.program.backwards):
        if backward.operation > check.operation and backward.roots and not backward.error and target >= 0:
            return Question(
                backward=backward,
                backward_number=number,
                score=backward.score,
                target=target,
                measured=Measured(arrived=True, shape=tuple(observation.recording.values.shape[target]), entry_count=1),
                site=backward.site,
                operation=backward.operation,
            )
    return None
