"""What a teacher's tags mean: as its user or its config says, else as its labels show, and of IOB1 and BIO its answers.

These two have the same labels, and entities are read from both by one rule; but B- stands elsewhere, and a student
that is taught the wrong one learns another model than its teacher. So the teacher is asked.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from edgepack.evidence.analyze import decisions_of
from edgepack.inference import predict
from edgepack.task.dataset import Dataset
from edgepack.task.schemes import SchemeName, parse_tag
from edgepack.task.tags import first_prefixes
from edgepack.task.task import Task
from edgepack.task.tokenize import encode
from edgepack.teacher import Teacher

ASKED = 100  # sentences whose entities show where B- stands


@dataclass(frozen=True)
class Told:
    """The teacher's task with the scheme in it, and how that was told."""

    task: Task
    scheme: SchemeName
    by: str

    @property
    def note(self) -> str:
        """For the user."""
        return f"tag scheme {self.scheme}, {self.by}; --tag-scheme names another"


def tell_scheme(teacher: Teacher, data: Dataset) -> Told:
    """The scheme of a tagging teacher; `data` are asked where labels do not tell."""
    task = teacher.task
    scheme, by = task.tag_scheme or "plain", "as the labels show"
    if task.scheme is not None:
        by = "as --tag-scheme or the teacher's config.json says"
    elif scheme == "BIO":
        begun = _begun_by(teacher, data)
        total = begun["B"] + begun["I"]
        if begun["I"] > begun["B"]:
            scheme = "IOB1"
        elif not total:
            by = "the usual one of such labels: the teacher finds no entity in the evaluation data"
        if total:
            by = f"as the teacher answers: {begun['B']:,} of {total:,} entities begin with B-"
    return Told(replace(task, scheme=scheme), scheme, by)


def _begun_by(teacher: Teacher, data: Dataset) -> Counter[str]:
    """How often the teacher begins an entity with B and with I where none of its type stands right before."""
    task = teacher.task
    few = replace(data, examples=data.examples[:ASKED])
    encoded = encode(few, task, teacher.tokenizer, teacher.max_length)
    decided = decisions_of(predict(teacher.load_model(), encoded), encoded, task)
    known = {label: parsed for label in task.labels if (parsed := parse_tag(label)) is not None}
    return first_prefixes([tuple(task.labels[int(tag)] for tag in row) for row in decided], known)
