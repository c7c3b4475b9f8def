"""What an audit says, in words, the same in every format. Backticks mark code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gradflow.audit_report import AuditReport
from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.render.audit_rows import ModuleRow
from gradflow.render.words import number, outcome, plural

__all__ = ["advice", "audit_facts", "count_text", "ending", "headline", "row_note", "with_names"]

_MOST_NAMES = 6


def headline(report: AuditReport) -> str:
    """``58 of 62 trainable parameters get a gradient from loss(output); 4 get exactly zero``."""
    trainable = report.trainable
    if not trainable:
        count = len(report.frozen)
        return f"nothing here can learn: all {plural(count, 'parameter')} are frozen" if count else "no parameters"
    reached = sum(one.state == "gradient" for one in trainable)
    if reached == len(trainable):
        who = f"all {reached:,} trainable parameters get" if reached > 1 else "the only trainable parameter gets"
    else:
        who = f"{reached:,} of {plural(len(trainable), 'trainable parameter')} get{'s' * (reached == 1)}"
    count = len(report.frozen)
    frozen = f" ({count:,} more {'is' if count == 1 else 'are'} frozen)" if count else ""
    return f"{who} a gradient from {report.score.description or 'the loss'}{_what_others_get(report)}{frozen}"


def _what_others_get(report: AuditReport) -> str:
    """Zeros are a gradient to autograd, and no fault for certain: they are told apart from none."""
    is_exact = all(not one.l2_norm for one in report.trainable if one.state == "zero")
    words = {
        "zero": "exactly zero" if is_exact else "zero, but for rounding",
        "not finite": "NaN or infinity",
        "none": "none",
    }
    counts = {state: sum(one.state == state for one in report.trainable) for state in words}
    if set(filter(counts.get, counts)) <= {"none"}:
        return ""
    parts = [f"{count:,} get{'s' * (count == 1)} {words[state]}" for state, count in counts.items() if count]
    return f"; {', '.join(parts)}"


def ending(report: AuditReport) -> str:
    """``2 errors, 1 note``; empty where nothing was found."""
    return outcome(report.diagnostics)


def advice(report: AuditReport) -> str:
    """What the parameters without a gradient mean to distributed training; empty without any."""
    count = len(report.unused)
    if not count or report.exit_code == 0:
        return ""
    which, them = ("the parameter", "it") if count == 1 else (f"the {count:,} parameters", "them")
    return (
        f"if you train with `DistributedDataParallel`: it waits for {which} without a gradient, and stops with an "
        f"error in the next step unless you use, remove or freeze {them}, or set `find_unused_parameters=True`, "
        f"which searches for {them} anew in every step"
    )


def with_names(diagnostic: Diagnostic) -> Diagnostic:
    """The finding with the parameters that it explains as a note, shortened to whole modules where they are many."""
    if not diagnostic.hides:
        return diagnostic
    names = _grouped(diagnostic.hides)
    shown = ", ".join(names[:_MOST_NAMES])
    rest = len(names) - _MOST_NAMES
    text = (
        f"{'this is' if len(diagnostic.hides) == 1 else 'these are'} {shown}{f' and {rest} more' if rest > 0 else ''}"
    )
    return replace(diagnostic, notes=(text, *diagnostic.notes), hides=())


def _grouped(names: Sequence[str]) -> list[str]:
    """The names themselves where they are few; else modules with the number of parameters, as deep as there is room."""
    if len(names) <= _MOST_NAMES:
        return [f"`{name}`" for name in names]
    deepest = max(name.count(".") for name in names)
    best: dict[str, int] = {}
    for depth in range(1, deepest + 1):
        counts: dict[str, int] = {}
        for name in names:
            parts = name.split(".")
            key = ".".join(parts[: min(depth, len(parts) - 1)]) or name
            counts[key] = counts.get(key, 0) + 1
        if best and len(counts) > _MOST_NAMES:
            break
        best = counts
    if not best:
        return [f"`{name}`" for name in names]
    return [f"`{name}`{f' ({count})' if count > 1 else ''}" for name, count in best.items()]


def count_text(row: ModuleRow) -> str:
    """How many parameters got a gradient of those that could: ``12``, or ``8 of 12``."""
    could = row.parameter_count - row.frozen_count
    if row.is_frozen or row.reached_count == could:
        return str(row.parameter_count)
    return f"{row.reached_count} of {could}"


def row_note(row: ModuleRow) -> str:
    """What is the matter with a module's parameters; empty where nothing is."""
    parts = []
    if row.is_frozen:
        parts.append("frozen")
    else:
        words = {"none": "no gradient", "zero": "zero", "not finite": "NaN or infinite"}
        parts += [words[state] for state in ("none", "zero", "not finite") if state in row.states]
        if row.frozen_count:
            parts.append(f"{row.frozen_count} frozen")
    if not row.is_registered:
        parts.append("not registered")
    codes = "" if row.is_frozen else ", ".join(row.codes)
    return ", ".join(parts) + (f" ({codes})" if codes else "")


def audit_facts(report: AuditReport) -> tuple[str, ...]:
    """The spread along the depth, and what ran."""
    environment = report.environment
    facts = []
    if report.depth is not None and report.depth.is_judged:
        facts.append(
            f"the gradients of the first layers are typically {_beside_last(report.depth.ratio)} those of the last "
            f"({report.depth.weight_count} weights; of those at the same depth the largest counts)"
        )
    mode = f"{environment.mode} mode" if environment.mode in ("eval", "train") else environment.mode
    runs = "" if environment.forward_count == 1 else plural(environment.forward_count, "forward pass")
    parts = [environment.model, f"input {environment.input}" if environment.input else "", mode]
    parts += [environment.device if environment.device not in ("", "cpu") else "", runs]
    parts.append(f"{environment.duration_s:.2f} s" if environment.duration_s > 0 else "")
    facts.append("; ".join(part for part in parts if part))
    return tuple(fact for fact in facts if fact)


def _beside_last(ratio: float) -> str:
    if number(max(ratio, 1 / ratio) if ratio else 0.0) == "1":
        return "as large as"
    if ratio > 1:
        return f"{number(ratio)} times larger than"
    return f"{number(1 / ratio)} times smaller than" if ratio > 0 else "vanishingly small beside"
