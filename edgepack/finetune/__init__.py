"""Making a teacher: a base checkpoint, a new head, and the task's data. Making it smaller belongs to `compress`.

`vector_cut.py` makes one whose vectors have fewer numbers, of one that embeds.

`settings.py` says what the data decides, `held_out.py` which training examples judge the training, `schedule.py` the
learning rate and when it is over, `loop.py` trains, `trials.py` averages several trainings, `checkpoint.py` lets a
killed run resume, `scores.py` counts by class, `run.py` puts them together. The evaluation data decides nothing: it is
read, and reported.
"""

from edgepack.finetune.result import FinetuneResult
from edgepack.finetune.run import finetune
from edgepack.finetune.settings import CLASS_WEIGHTS, Options
from edgepack.finetune.vector_cut import CUTS, CutResult, cut_vectors

__all__ = ["CLASS_WEIGHTS", "CUTS", "CutResult", "FinetuneResult", "Options", "cut_vectors", "finetune"]
