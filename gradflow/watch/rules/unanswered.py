"""GF101 to GF112, GF205, GF301: backward ran, or refused to, and no gradient came."""

from __future__ import annotations

from dataclasses import replace

from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnosing import diagnose
from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.diagnose.verdict import verdict_of
from gradflow.graph.dependence import analyse, is_differentiable
from gradflow.location import SourceSpan
from gradflow.probe.evidence import Evidence
from gradflow.watch.capture_facts import hook_around
from gradflow.watch.events import FlagChange, Observation
from gradflow.watch.finding import Finding, finding
from gradflow.watch.questions import Question, evidence_for, is_leaf_value, leaves_behind, name_of_value

__all__ = ["engine_findings", "grad_of_non_leaf", "no_gradient_came", "score_without_history"]


def score_without_history(observation: Observation, question: Question) -> tuple[Finding, ...]:
    """The score itself does not require grad, or only because it was told to: look for what cut it off."""
    found: list[Finding] = []
    late = _late_flag(observation, question.score)
    if late is not None:
        found.append(_too_late(observation, question, late, "the score"))
    leaves = leaves_behind(observation, question, trainable=True)
    leaves = tuple(leaf for leaf in leaves if leaf != question.score)
    wanted = question.target
    if wanted >= 0 and wanted in leaves:
        leaves = (wanted,)
    if late is None and leaves:
        flags = [_late_flag(observation, leaf) for leaf in leaves]
        if all(flag is not None for flag in flags):
            name, _ = name_of_value(observation, leaves[0])
            late = flags[0]
            found.append(_too_late(observation, question, late, f"`{name}`"))  # type: ignore[arg-type]
            return tuple(found)
    if leaves:
        asked = replace(question, target=-1) if wanted not in leaves else question
        evidence = evidence_for(observation, asked, leaves)
        found += engine_findings(observation, question, evidence)
    else:
        found += _region(observation, question)
        found += _frozen(observation, question)
        found += () if found else _out_of_torch(observation, question)
    return tuple(found)


def _out_of_torch(observation: Observation, question: Question) -> tuple[Finding, ...]:
    """No tensor leads to the score: perhaps plain numbers do."""
    trace = observation.trace
    trainable = tuple(
        value
        for value, (role, _) in trace.leaf_names.items()
        if role == "parameter" and trace.values.requires_grad[value]
    )
    if not trainable:
        return ()
    evidence = evidence_for(observation, replace(question, target=-1), trainable)
    return engine_findings(observation, question, evidence) if evidence.dependence.score_depends else ()


def _region(observation: Observation, question: Question) -> list[Finding]:
    """Nothing trainable is behind the score; it may have been made while recording was off besides."""
    trace = observation.trace
    leaves = set(leaves_behind(observation, question, trainable=False))
    reaches = analyse(replace(trace, score=question.score), ()).reaches
    for operation in range(len(trace)):
        mode = trace.operations.mode[operation]
        if not any(reaches[value] for value in trace.outputs_of(operation)):
            continue
        if mode in (1, 2) and any(value in leaves for value in trace.inputs_of(operation)):
            reads_parameter = any(trace.leaf_names.get(v, ("",))[0] == "parameter" for v in trace.inputs_of(operation))
            if not reads_parameter:
                continue
            cause = "inference-mode" if mode == 2 else "no-grad"
            return [
                finding(
                    cause,
                    "broken",
                    "the score has no history: it was computed while gradient recording was off",
                    trace.site_span(trace.operations.region[operation]) or trace.span_of(operation),
                    label="gradient recording is switched off here",
                    annotations=((trace.span_of(operation), "first operation that is not recorded"),),
                    notes=("what is computed while recording is off has no history, so no gradient can flow back",),
                    helps=("run this forward with gradients on",),
                    rank=0 if question.error else 1,
                    operation=question.operation,
                )
            ]
    return []


def _frozen(observation: Observation, question: Question) -> list[Finding]:
    trace = observation.trace
    leaves = leaves_behind(observation, question, trainable=False)
    frozen = [value for value in leaves if trace.leaf_names.get(value, ("",))[0] == "parameter"]
    flags = [flag for flag in observation.flags if flag.value in frozen and not flag.on and not flag.error]
    if not frozen:
        return []
    return [
        finding(
            "nothing-requires-grad",
            "broken",
            "nothing that the score was computed from requires grad",
            trace.site_span(flags[0].site) if flags else trace.site_span(question.site),
            label="frozen here" if flags else "backward from a score without any graph",
            notes=(
                "autograd records an operation only when one of its inputs requires grad; here none does",
                f"{len(frozen)} parameters take part, all of them frozen",
            ),
            helps=("let the input require grad, which leaves the parameters frozen: `x.requires_grad_(True)`",),
            rank=0 if question.error else 1,
            operation=question.operation,
        )
    ]


def no_gradient_came(observation: Observation, question: Question, evidence: Evidence) -> tuple[Finding, ...]:
    """``None`` at a tensor, or autograd refuses because it is not in the graph."""
    trace, target = observation.trace, question.target
    frozen = _frozen_flag(observation, target)
    if is_leaf_value(trace, target):
        if not is_differentiable(trace.dtype_of(target)):
            return (_whole_numbers(observation, question, evidence),)
        if not trace.values.requires_grad[target]:
            return (_not_trainable(observation, question, evidence, frozen),) if _takes_part(evidence) else ()
        late = _late_flag(observation, target)
        if late is not None:
            return (_too_late(observation, question, late, f"`{evidence.target}`"),)
    if not evidence.source.recorded:
        own = _source_findings(observation, question, evidence)
        if own:
            return own
    if evidence.kind == "parameter" and not evidence.dependence.score_depends:
        idle = _idle_module(observation, target)
        if idle is not None:
            return (_never_ran(observation, question, evidence, idle),)
    return engine_findings(observation, question, evidence)


def engine_findings(observation: Observation, question: Question, evidence: Evidence) -> tuple[Finding, ...]:
    """What the rules of ``gradflow check`` say, with the names that a program's hooks and calls give to it."""
    found = []
    for diagnostic in diagnose(evidence):
        named = _in_the_programs_words(observation, evidence, diagnostic)
        verdict = verdict_of(evidence)
        if named.name == "graph-freed":
            verdict = "error"
        found.append(
            Finding(
                diagnostic=named,
                verdict=verdict,
                target=evidence.target,
                is_parameter=evidence.kind == "parameter",
                score=evidence.score,
                rank=0 if question.error else 1,
                operation=question.operation,
            )
        )
    return tuple(found)


def _in_the_programs_words(observation: Observation, evidence: Evidence, diagnostic: Diagnostic) -> Diagnostic:
    trace = observation.trace
    for group in evidence.dependence.cuts:
        operation = group.leave if group.leave >= 0 else group.operation
        if trace.span_of(operation) != diagnostic.location:
            continue
        if trace.name_of(operation) == "autograd.grad":
            return replace(
                diagnostic,
                code=code_of("graph-freed"),
                name="graph-freed",
                message="a gradient is differentiated again, and it was computed without a graph of its own",
                label="without `create_graph=True` the result is a plain number",
                notes=("the first derivative is a new tensor without history, unless autograd is told to record it",),
                helps=(),
            )
        if group.cause == "detach" and hook_around(observation, operation) is not None:
            return replace(diagnostic, code=code_of("hook-detach"), name="hook-detach")
    return diagnostic


def _takes_part(evidence: Evidence) -> bool:
    """Whether the score was computed from the target by operations that were recorded."""
    trace, dependence = evidence.trace, evidence.dependence
    if not dependence.score_depends:
        return False
    return all(
        trace.operations.mode[producer] == 0
        for value in dependence.way[1:]
        if (producer := trace.values.producer[value]) >= 0
    )


def _frozen_flag(observation: Observation, value: int) -> FlagChange | None:
    flags = [flag for flag in observation.flags if flag.value == value and not flag.error]
    return flags[-1] if flags and not flags[-1].on else None


def _late_flag(observation: Observation, value: int) -> FlagChange | None:
    """``requires_grad`` was switched on after the value had been made, or had been used."""
    if value < 0:
        return None
    trace = observation.trace
    for flag in observation.flags:
        if flag.value != value or not flag.on or flag.error:
            continue
        producer = trace.values.producer[value]
        later = range(flag.operation, len(trace))
        made_from = trace.inputs_of(producer) if producer >= 0 and value not in trace.leaf_names else ()
        is_computed = any(trace.values.requires_grad[v] or trace.values.producer[v] >= 0 for v in made_from)
        if is_computed and not any(value in trace.inputs_of(o) and trace.outputs_of(o) for o in later):
            return flag
        used_before = any(value in trace.inputs_of(o) for o in range(flag.operation))
        used_after = any(value in trace.inputs_of(o) for o in later)
        if used_before and not used_after and is_leaf_value(trace, value):
            return flag
    return None


def _too_late(observation: Observation, question: Question, flag: FlagChange, what: str) -> Finding:
    return finding(
        "requires-grad-too-late",
        "broken",
        f"`requires_grad` is switched on at {what} only after the forward that should have been recorded",
        observation.trace.site_span(flag.site),
        label="too late: what came before is not recorded afterwards",
        notes=("the flag makes this tensor a leaf; it does not bring back a history that was never recorded",),
        helps=("switch it on before the forward, or mend what keeps the forward from being recorded",),
        rank=0 if question.error else 1,
        operation=question.operation,
    )


def grad_of_non_leaf(observation: Observation, question: Question, evidence: Evidence) -> Finding | None:
    """``.grad`` of a computed tensor is not filled unless it was told to keep it."""
    read = question.read
    if read is None or read.is_leaf or not read.requires_grad or read.retains_grad:
        return None
    trace = observation.trace
    producer = trace.values.producer[question.target]
    made = trace.span_of(producer) if producer >= 0 else None
    return finding(
        "non-leaf-grad",
        "connected",
        f"`.grad` is read of `{evidence.target}`, which is computed and not a leaf: autograd fills it for leaves only",
        trace.site_span(question.site),
        label="a computed tensor keeps no gradient",
        annotations=((made, f"computed here (`{trace.name_of(producer)}`)" if producer >= 0 else ""),),
        notes=("the gradient does pass through it; it is not stored, to save memory",),
        helps=(
            "call `.retain_grad()` on it before backward",
            "of a parametrized weight, read the gradient of what makes it: `parametrizations.weight.original0`",
            "if it was to be a leaf, set `requires_grad` after the last step that makes it (`.to(device)`)",
        ),
        target=evidence.target,
        score=evidence.score,
        operation=question.operation,
    )


def _whole_numbers(observation: Observation, question: Question, evidence: Evidence) -> Finding:
    return finding(
        "integer-input",
        "error",
        f"a gradient is asked of `{evidence.target}`, which holds whole numbers",
        observation.trace.site_span(question.site),
        label="an integer tensor has no gradient",
        notes=("a whole number cannot move a little, so there is no derivative with respect to it",),
        helps=(
            "of token ids, ask at the output of the embedding",
            "if they are pixel values or the like, convert them first: `x = x.float().requires_grad_()`",
        ),
        target=evidence.target,
        score=evidence.score,
        rank=0 if question.error else 1,
        operation=question.operation,
    )


def _not_trainable(
    observation: Observation, question: Question, evidence: Evidence, flag: FlagChange | None
) -> Finding:
    module = evidence.target.rpartition(".")[0]
    made = next((m.made_at for m in observation.modules.values() if question.target in m.parameters), -1)
    place: SourceSpan | None = observation.trace.site_span(flag.site if flag is not None else made)
    return finding(
        "not-trainable",
        "broken",
        f"`{evidence.target}` gets no gradient: its `requires_grad` is `False`",
        place,
        label="switched off here" if flag is not None else "made here",
        annotations=((observation.trace.site_span(question.site), "`None` is read here"),),
        notes=("autograd leaves out what does not require grad; if it is frozen on purpose, `None` is right",),
        severity="warning",
        helps=(f"switch it on after everything that freezes: `{module or 'model'}.requires_grad_(True)`",),
        target=evidence.target,
        is_parameter=True,
        score=evidence.score,
        operation=question.operation,
    )


def _source_findings(observation: Observation, question: Question, evidence: Evidence) -> tuple[Finding, ...]:
    """The tensor asked for has no history itself."""
    trace, source = observation.trace, evidence.source
    if source.cause == "nothing-requires-grad":
        below = replace(question, score=question.target, target=-1)
        found = _frozen(observation, below)
        return tuple(replace(f, target=evidence.target, rank=0 if question.error else 1) for f in found)
    if source.operation < 0 or source.cause in ("integer-input", ""):
        return ()
    inside = hook_around(observation, source.operation)
    name = "hook-detach" if inside and source.cause == "detach" else source.cause
    region = trace.site_span(source.site) if source.site >= 0 else None
    return (
        finding(
            name,
            "broken",
            f"the tensor asked for, of `{evidence.target}`, has no history",
            region or trace.span_of(source.operation),
            label="from here on nothing is recorded" if region is not None else "its history ends here",
            annotations=(
                (trace.span_of(source.operation), "made without history"),
                (trace.site_span(question.site), "its gradient is asked for here"),
            ),
            notes=("a tensor without history is not in autograd's graph, so there is nothing to differentiate",),
            helps=("keep the tensor as the forward made it, with gradients on",),
            target=evidence.target,
            score=evidence.score,
            rank=0 if question.error else 1,
            operation=question.operation,
        ),
    )


def _idle_module(observation: Observation, value: int) -> int | None:
    called = set(observation.call_modules)
    for module in observation.modules.values():
        if value in module.parameters and module.key not in called:
            return module.key
    return None


def _never_ran(observation: Observation, question: Question, evidence: Evidence, key: int) -> Finding:
    module = observation.modules[key]
    return finding(
        "layer-not-called",
        "unused",
        f"`{module.name or module.type_name}` never ran, so `{evidence.target}` gets no gradient",
        observation.trace.site_span(module.made_at),
        label="made here, never called",
        annotations=((observation.trace.site_span(question.site), "`None` is read here"),),
        notes=("a parameter that takes no part in the score has no gradient",),
        helps=(f"call `{module.name or module.type_name}` in `forward`, or remove it",),
        target=evidence.target,
        is_parameter=True,
        score=evidence.score,
        operation=question.operation,
    )
