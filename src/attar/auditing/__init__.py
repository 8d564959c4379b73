"""Audits of trained models: how translation-invariant, where it is lost, what is dead.

`run` is `attar.audit`: it finds the images (`images`) and their classes (`labels`), and has `work`
put measures to a model, block by block, with a `checkpoint` on disk. The contract is in `measure`;
the measures are `shift`, `lost`, `space`, `position` and `cost`. What they find becomes a `report`:
`headlines` and `verdict` in words, `page` and its parts as HTML, `thresholds` as a check.
"""

from attar.auditing.cost import Cost
from attar.auditing.lost import Lost
from attar.auditing.position import Position
from attar.auditing.report import AuditReport
from attar.auditing.run import AuditInterrupted, audit
from attar.auditing.shift import Shift
from attar.auditing.space import Space

__all__ = [
    "AuditInterrupted",
    "AuditReport",
    "Cost",
    "Lost",
    "Position",
    "Shift",
    "Space",
    "audit",
]
