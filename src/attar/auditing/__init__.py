"""Audits of trained models: how translation-invariant, where it is lost, what is dead."""

from attar.auditing.report import AuditReport
from attar.auditing.run import AuditInterrupted, audit

__all__ = ["AuditInterrupted", "AuditReport", "audit"]
