"""A user's checkpoint as a teacher: found, loaded, compared with data. Its shape as a student belongs to `student`.

Whatever is wrong with what people bring is an `InputError` of one line that names it and the way on. Trust: weights
come from safetensors, or from a pickle with `weights_only=True`, which executes nothing; a checkpoint that names its
own Python code is refused; from the hub only the named files are fetched.
"""

from edgepack.teacher.checkpoint import Checkpoint, Sizes, config_sizes, feed_forward_size, open_checkpoint
from edgepack.teacher.data_check import (
    TeacherCheck,
    check_sides,
    check_teacher,
    check_tokenizer,
    check_unknown,
    check_words,
    unknown_share,
)
from edgepack.teacher.families import FAMILIES
from edgepack.teacher.label_check import count_answers, label_problem
from edgepack.teacher.load import Teacher, load_teacher
from edgepack.teacher.own_model import OwnModel
from edgepack.teacher.quiet import quiet_transformers
from edgepack.teacher.score_check import scale_note, score_problem
from edgepack.teacher.student_tokenizer import StudentTokenizer, open_student_tokenizer
from edgepack.teacher.tokenizer import load_tokenizer, position_limit
from edgepack.teacher.unseen import find_unseen, write_unseen
from edgepack.teacher.weights import check_base, load_weights
from edgepack.teacher.weights_beside import said_of_others

__all__ = [
    "FAMILIES",
    "Checkpoint",
    "OwnModel",
    "Sizes",
    "StudentTokenizer",
    "Teacher",
    "TeacherCheck",
    "check_base",
    "check_sides",
    "check_teacher",
    "check_tokenizer",
    "check_unknown",
    "check_words",
    "config_sizes",
    "count_answers",
    "feed_forward_size",
    "find_unseen",
    "label_problem",
    "load_teacher",
    "load_tokenizer",
    "load_weights",
    "open_checkpoint",
    "open_student_tokenizer",
    "position_limit",
    "quiet_transformers",
    "said_of_others",
    "scale_note",
    "score_problem",
    "unknown_share",
    "write_unseen",
]
