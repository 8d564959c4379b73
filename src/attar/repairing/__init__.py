"""Repair of trained models: strides that leave nothing out unseen."""

from attar.repairing.measuring import Bought, Measured
from attar.repairing.mend import repair
from attar.repairing.repaired import Repaired, Replacement

__all__ = ["Bought", "Measured", "Repaired", "Replacement", "repair"]
