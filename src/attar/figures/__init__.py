"""Pictures: one function per figure, each takes a result and returns a Matplotlib figure.

Nothing here touches pyplot, so nothing needs a display, changes a global setting or has to be
closed. Positions are computed, in pixels of the file: a map is shown at a whole number of file
pixels per value where it is small, and reduced once, by a rule that fits it, where it is large.

>>> import numpy as np
>>> sorted(axes.get_label() for axes in kernel(np.eye(3)).axes)
['kernel']
"""

from attar.figures.contact import contact_sheet
from attar.figures.maps import feature_maps
from attar.figures.picture import Picture, write
from attar.figures.pools import pyramid
from attar.figures.receptive import receptive_field
from attar.figures.scores import global_pool
from attar.figures.sequence import StagesByRows, stages
from attar.figures.weights import kernel

__all__ = [
    "Picture",
    "StagesByRows",
    "contact_sheet",
    "feature_maps",
    "global_pool",
    "kernel",
    "pyramid",
    "receptive_field",
    "stages",
    "write",
]
