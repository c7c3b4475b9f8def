"""What a report says, in words: headlines, numbers and counts, the same in every format. Backticks mark code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from gradflow.diagnose.diagnostic import Diagnostic, Repair, Severity
from gradflow.diagnose.groups.same_story import Story, story_of
from gradflow.graph.elements import Branch, Cut
from gradflow.report import NO_TARGET, GradientStatistics, Report, Score, Target

__all__ = [
    "branches_text",
    "cuts_text",
    "distinct_diagnostics",
    "gradient_text",
    "headline",
    "hidden_text",
    "largest_norm",
    "measured_shape",
    "number",
    "outcome",
    "plural",
    "ranked",
    "run_text",
    "score_text",
    "shape_text",
    "summary",
    "target_text",
    "tried_text",
]

_SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
_NAMES_SHOWN = 4


def plural(count: int, noun: str) -> str:
    """``1 error``, ``2 errors``, ``2 branches``."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun}{'es' if noun.endswith(('ch', 's')) else 's'}"


def number(value: float) -> str:
    """Three significant digits: ``0.0123``, ``1.2e-09``."""
    return f"{value:.3g}"


def shape_text(shape: Sequence[int] | None) -> str:
    """``[1, 512, 7, 7]``, ``scalar``; empty when the shape is not known."""
    if shape is None:
        return ""
    return f"[{', '.join(map(str, shape))}]" if shape else "scalar"


def target_text(target: Target) -> str:
    """The layer or parameter that the gradient was asked of, with its slice."""
    kind = "parameter " if target.kind == "parameter" else ""
    return f"{kind}`{target.name}{target.slice}`"


def score_text(score: Score) -> str:
    """The score, with the name of the class where there is one."""
    description = score.description or "the score"
    return f"{description} ({score.class_name})" if score.class_name else description


def headline(report: Report) -> str:  # noqa: PLR0911  (one for each verdict)
    """The verdict as one honest sentence; of a watched program without a fault, what was seen of its gradients."""
    if report.connected and report.seen:
        return _seen(report)
    target, score = target_text(report.target), score_text(report.score)
    match report.verdict:
        case "connected":
            return f"connected: a gradient reaches {target} from {score}"
        case "broken":
            return f"broken: no gradient reaches {target}, although {score} depends on it"
        case "unused" if report.target.kind == "layer" and report.target.call_count == 0:
            return f"unused: {target} did not run, so {score} does not depend on it"
        case "unused":
            return f"unused: {score} does not depend on {target}"
        case "zero":
            return f"zero: {target} is connected to {score}, but its gradient is zero everywhere for this input"
        case "wrong":
            return f"wrong: a gradient reaches {target} from {score}, but it is not the true derivative"
        case "nan":
            return f"nan: the gradient that reaches {target} from {score} is not finite"
        case "stale":
            return f"stale: the activation of {target} was captured in another forward pass than {score}"
        case "not determined":
            return f"not determined: {'; '.join(report.undetermined)}"
        case "error":
            where = f" at {target}" if report.target.name != NO_TARGET else ""
            return f"error: the gradient of {score}{where} could not be computed"


def _seen(report: Report) -> str:
    is_clear = report.is_clear and all(diagnostic.severity == "info" for diagnostic in report.diagnostics)
    # the verdict is about a gradient that was asked for, and says nothing of those that were not
    return f"{'no fault found' if is_clear else 'seen'}: {'; '.join(report.seen)}"


def ranked(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Errors, then warnings, then infos; otherwise in the order given, which has the root cause first."""
    return tuple(sorted(diagnostics, key=lambda diagnostic: _SEVERITIES.index(diagnostic.severity)))


def distinct_diagnostics(report: Report) -> tuple[tuple[Diagnostic, tuple[Report, ...]], ...]:
    """Each story once, ranked, with the reports (one per layer) in which it was found.

    The module is that of the cause; it is left out where one line of a class stands for several of them.
    """
    found: list[tuple[Story, list[tuple[Diagnostic, Report]]]] = []
    for one in report.reports:
        for diagnostic in one.diagnostics:
            story = story_of(diagnostic, one.target.name)
            same = next((same for other, same in found if story.is_told_by(other)), None)
            if same is None:
                found.append((story, [(diagnostic, one)]))
            else:
                same.append((diagnostic, one))
    told: list[tuple[Diagnostic, tuple[Report, ...]]] = []
    for _, same in found:
        first = same[0][0]
        is_in_one = all(diagnostic.module == first.module for diagnostic, _ in same)
        told.append((first if is_in_one else replace(first, module=""), tuple(one for _, one in same)))
    return tuple(sorted(told, key=lambda each: _SEVERITIES.index(each[0].severity)))


def outcome(diagnostics: Iterable[Diagnostic]) -> str:
    """``1 error, 2 warnings``; empty without any."""
    counts = Counter(diagnostic.severity for diagnostic in diagnostics)
    nouns: dict[Severity, str] = {"error": "error", "warning": "warning", "info": "note"}
    return ", ".join(plural(counts[severity], nouns[severity]) for severity in _SEVERITIES if counts[severity])


def summary(report: Report) -> str:
    """The last line of a report: ``broken (1 error, 1 warning)`` or ``2 of 3 layers connected (1 error)``."""
    found = outcome(diagnostic for diagnostic, _ in distinct_diagnostics(report))
    ending = f" ({found})" if found else ""
    if not report.others:
        but = f", but {report.lacking}" if report.connected and report.lacking else ""
        return f"{report.verdict}{but}{ending}"
    connected = sum(one.connected for one in report.reports)
    return f"{connected} of {_targets(report.reports)} connected{ending}"


def _targets(reports: Sequence[Report]) -> str:
    noun = "parameter" if all(report.target.kind == "parameter" for report in reports) else "layer"
    return plural(len(reports), noun)


def gradient_text(report: Report) -> str:
    """The gradient that arrived: its norm, shape, and what is odd about it; empty when none did."""
    arrived = [statistics for statistics in report.gradients if statistics.arrived]
    if not arrived:
        return ""
    if len(report.gradients) == 1:
        return _statistics_text(arrived[0])
    norms = ", ".join(
        "none" if not one.arrived or one.l2_norm is None else number(one.l2_norm)
        for one in report.gradients[:_NAMES_SHOWN]
    )
    more = len(report.gradients) - _NAMES_SHOWN
    return f"L2 norm per call of the layer: {norms}{f' and {more} more' if more > 0 else ''}"


def largest_norm(report: Report) -> str:
    """The largest L2 norm of what arrived, one for each call of the layer, as torch would give it; empty when none."""
    arrived = [one for one in report.gradients if one.arrived]
    if any(one.nan_count for one in arrived):
        return "nan"
    if any(one.inf_count for one in arrived):
        return "inf"
    norms = [one.l2_norm for one in arrived if one.l2_norm is not None]
    return number(max(norms)) if norms else ""


def measured_shape(report: Report) -> tuple[int, ...] | None:
    """The shape of what was measured: of the slice that was asked for, else of the activation or parameter."""
    shapes = [one.shape for one in report.gradients if one.arrived] if report.target.slice else []
    return shapes[0] if shapes else report.target.shape


def _statistics_text(statistics: GradientStatistics) -> str:
    parts = []
    shape = shape_text(statistics.shape)
    if statistics.l2_norm is not None:
        finite = " of the finite entries" if statistics.nan_count or statistics.inf_count else ""
        parts.append(f"L2 norm{finite} {number(statistics.l2_norm)}{f' over {shape}' if shape else ''}")
    elif shape:
        parts.append(f"shape {shape}")
    parts += [
        f"{_share(count, statistics.entry_count)} {what}"
        for count, what in (
            (statistics.zero_count, "exact zeros"),
            (statistics.nan_count, "NaN"),
            (statistics.inf_count, "infinite"),
        )
        if count
    ]
    return ", ".join(parts)


def _share(count: int, total: int) -> str:
    """A share in percent that never rounds some to none, or most to all."""
    if count >= total:  # a report that came from elsewhere may count more than there are
        return "100%"
    percent = 100 * count / total
    if percent < 1:
        return "under 1%"
    return "over 99%" if percent > 99 else f"{percent:.0f}%"


_BRINGS_GRADIENT = frozenset({"connected", "wrong"})


def branches_text(branches: Sequence[Branch], verdict: str = "connected") -> str:
    """How many branches of each kind, and on how many of them a way is cut; empty without any.

    That what is not cut carries a gradient is said only where one came.
    """
    if not branches:
        return ""
    kinds = Counter(branch.kind for branch in branches)
    counted = ", ".join(f"{count} {kind.removesuffix(' skip')}" for kind, count in kinds.most_common())
    cut = sum(any(not path.carries_gradient for path in branch.paths) for branch in branches)
    noun = "skip branches" if all(kind.endswith("skip") for kind in kinds) else "branches"
    if verdict not in _BRINGS_GRADIENT:
        which = plural(cut, "branch") if cut else "none"
        return f"{noun}: {counted}; {which} {'are' if cut > 1 else 'is'} cut on a way"
    if not cut:
        return f"{noun}: {counted}; all carry gradient"
    return f"{noun}: {counted}; {plural(cut, 'branch')} ha{'s' if cut == 1 else 've'} a path that is cut"


def cuts_text(cuts: Sequence[Cut]) -> str:
    """Says that several cuts must be mended together; empty when at most one must."""
    count = sum(cut.needed for cut in cuts)
    if count < 2:
        return ""
    return f"{count} cuts must {'both' if count == 2 else 'all'} be mended before the gradient arrives"


def hidden_text(diagnostic: Diagnostic, target: Target) -> str:
    """What else gets no gradient because of this finding; empty when nothing else does."""
    names = [name for name in diagnostic.hides if name != target.name]
    if not names:
        return ""
    shown = ", ".join(f"`{name}`" for name in names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return f"this also keeps the gradient from {shown}{f' and {more:,} more' if more > 0 else ''}"


def tried_text(repair: Repair | None) -> str:
    """What came of trying a repair: ``tried: ...`` or ``not tried: ...``; empty where there is nothing to tell."""
    if repair is None:
        return ""
    if repair.verified is None:
        reason = repair.outcome.removeprefix("not tried").lstrip(": ")
        return f"not tried: {reason}" if reason else ""
    usual = "the gradient then arrives" if repair.verified else "the gradient still does not arrive"
    return f"tried: {repair.outcome or usual}"


def run_text(report: Report) -> str:
    """What ran: model, input, mode, device where it is not the CPU, and the time it took."""
    environment = report.environment
    mode = f"{environment.mode} mode" if environment.mode in ("eval", "train") else environment.mode
    parts = [environment.model, f"input {environment.input}" if environment.input else "", mode]
    if environment.device not in ("", "cpu"):
        parts.append(environment.device)
    if environment.watched:
        parts.append(f"watched: {environment.watched}")
    if environment.duration_s > 0:
        parts.append(f"{environment.duration_s:.2f} s")
    return "; ".join(part for part in parts if part)
