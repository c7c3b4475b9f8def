"""What is worth knowing about a check besides its findings, as sentences, the same in every format."""

from __future__ import annotations

from gradflow.render.words import branches_text, gradient_text, run_text
from gradflow.report import Report

__all__ = ["cam_texts", "fact_texts"]


def fact_texts(report: Report) -> tuple[str, ...]:
    """The gradient, the branches, the run, assumptions, what was not determined, and versions, in this order."""
    branches = () if report.environment.watched else report.flow.branches
    texts = [] if report.others else [gradient_text(report), branches_text(branches, report.verdict)]
    texts += [run_text(report), *cam_texts(report)]
    texts += [f"assumed: {text}" for one in report.reports for text in one.assumptions]
    texts += [f"not determined: {text}" for one in report.reports for text in one.undetermined]
    environment = report.environment
    versions = (("gradflow", environment.gradflow), ("torch", environment.torch), ("Python", environment.python))
    texts.append(", ".join(f"{name} {version}" for name, version in versions if version))
    return tuple(dict.fromkeys(filter(None, texts)))


def cam_texts(report: Report) -> tuple[str, ...]:
    """The class activation maps that were made and what to know about them."""
    texts = []
    for one in report.reports:
        if one.cam is not None:
            target = "" if one.cam.target is None else f" for class {one.cam.target}"
            written = f": wrote {', '.join(f'`{name}`' for name in one.cam.files)}" if one.cam.files else " computed"
            texts += [f"{one.cam.method} of `{one.cam.layer}`{target}{written}", *one.cam.notes]
        elif one.cam_refusal:
            texts.append(f"no Grad-CAM of `{one.target.name}`: {one.cam_refusal}")
    return tuple(texts)
