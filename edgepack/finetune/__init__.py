"""Making a teacher: a base checkpoint, a new head, and the task's data. Making it smaller belongs to `compress`.

`settings.py` says what the data decides, `held_out.py` which training examples judge the training, `schedule.py` the
learning rate and when it is over, `loop.py` trains, `trials.py` averages several trainings, `checkpoint.py` lets a
killed run resume, `scores.py` counts by class, `run.py` puts them together. The evaluation data decides nothing: it is
read, and reported.
"""

from edgepack.finetune.result import FinetuneResult
from edgepack.finetune.run import finetune
from edgepack.finetune.settings import CLASS_WEIGHTS, Options

__all__ = ["CLASS_WEIGHTS", "FinetuneResult", "Options", "finetune"]
