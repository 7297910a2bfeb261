"""The one training loop, with pruning and rounding inside it. Losses and methods belong to `compress`.

A build trains one student along one learning-rate schedule, cut into stages (`distil`, `prune`, `quantize`); each
stage is a call of `train` over its own range of steps. `schedule.py` holds the settings, `loop.py` the loop,
`step.py` what one step computes, `batches.py` what it reads, `processes.py` how several processes share it,
`optimizer.py` AdamW and its moments, `progress.py` what passes from stage to stage and into checkpoints.
"""

from edgepack.train.loop import Course, Material, Place, train
from edgepack.train.optimizer import make_optimizer
from edgepack.train.processes import from_main, has_bf16, make_accelerator, same_view
from edgepack.train.progress import (
    Progress,
    load_progress,
    read_result,
    save_progress,
    training_record,
    write_result,
)
from edgepack.train.schedule import Phase, PruneTarget, Schedule, StageSettings, steps_per_epoch

__all__ = [
    "Course",
    "Material",
    "Phase",
    "Place",
    "Progress",
    "PruneTarget",
    "Schedule",
    "StageSettings",
    "from_main",
    "has_bf16",
    "load_progress",
    "make_accelerator",
    "make_optimizer",
    "read_result",
    "same_view",
    "save_progress",
    "steps_per_epoch",
    "train",
    "training_record",
    "write_result",
]
