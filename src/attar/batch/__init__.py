"""Features of a whole data set, shard by shard, such that nothing is lost or done twice.

>>> from attar import batch
>>> batch.run("photos/", "features/", kernel="edge", reduce="spp")  # doctest: +SKIP

`attar batch` is the same from a shell. `process_shard` is the work itself.
"""

from attar.batch.config import BatchConfig, LayerOfModel, ThreeSteps
from attar.batch.report import BatchReport, Failure, Progress, status
from attar.batch.rows import Row
from attar.batch.runs import run
from attar.batch.shard import process_shard
from attar.batch.sources import list_rows

__all__ = [
    "BatchConfig",
    "BatchReport",
    "Failure",
    "LayerOfModel",
    "Progress",
    "Row",
    "ThreeSteps",
    "list_rows",
    "process_shard",
    "run",
    "status",
]
