"""The `student/` folder of a build, written for transformers and opened again."""

from __future__ import annotations

import json
from copy import copy
from pathlib import Path

from safetensors import SafetensorError
from transformers import PreTrainedTokenizerFast

from edgepack.errors import InputError
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.teacher import quiet_transformers
from edgepack.workspace import written_folder


def save_student(student: Student, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """The student with its tokenizer, whose limit becomes the student's, so that truncation cuts where it ends."""
    own = copy(tokenizer)
    own.model_max_length = student.config.max_position_embeddings
    with written_folder(folder) as beside, quiet_transformers():
        student.save_pretrained(beside)
        own.save_pretrained(beside)


def load_student(folder: Path) -> Student:
    """The student in a build's `student/` folder."""
    try:
        kind = json.loads((folder / "config.json").read_bytes())["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise InputError(f"{folder} is no student: no config.json to read; give the student/ folder of a build") from e
    if kind != StudentConfig.model_type or not (folder / "model.safetensors").is_file():
        raise InputError(
            f"{folder} is no student: its model_type is {kind!r}, a student's is {StudentConfig.model_type!r} with a "
            "model.safetensors in the same folder; give the student/ folder of a build"
        )
    try:
        with quiet_transformers():
            student: Student = Student.from_pretrained(folder)
    except (OSError, ValueError, SafetensorError) as e:
        raise InputError(f"{folder}: {e}; give the student/ folder of a build") from e
    return student.eval()
