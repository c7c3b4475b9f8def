"""Carries out the checks of declared models."""

from __future__ import annotations

from gradflow.audit_report import AuditReport
from gradflow.auditing import audit_workload
from gradflow.checking import check_workload
from gradflow.declared.loading import loaded
from gradflow.declared.model import DeclaredModel
from gradflow.report import Report
from gradflow.testing.asserting import assertion
from gradflow.testing.connection import require_connected, require_disconnected
from gradflow.testing.learning import require_all_learn, require_frozen
from gradflow.testing.skips import require_skips

__all__ = ["verified"]


@assertion
def verified(model: DeclaredModel, kind: str) -> Report | AuditReport:
    """Check one kind of expectation; see :meth:`gradflow.declared.expectations.Expectation.verify`."""
    with loaded(model, with_loss=kind in ("frozen", "all-parameters-learn")) as workload:
        match kind:
            case "layers":
                return require_connected(check_workload(workload, model.layers))
            case "disconnected":
                return require_disconnected(check_workload(workload, model.disconnected))
            case "skips":
                return require_skips(workload, model.skips)
            case "frozen":
                return require_frozen(audit_workload(workload), model.frozen)
            case "all-parameters-learn":
                return require_all_learn(audit_workload(workload), model.except_)
    raise ValueError(kind)
