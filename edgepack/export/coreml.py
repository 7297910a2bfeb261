"""Export to Core ML: an `mlprogram` package of `coreml_encoder.py`'s operators, made with coremltools' own builder.

Nothing is converted: the builder checks each operator's types, and no pass is run after it, so what the encoder says is
what the file holds. Weights that layers share are one constant. A package is a folder; the ids that coremltools draws
for its entries are replaced by fixed ones, so the same student gives the same bytes.

coremltools writes packages on Linux and runs them on macOS alone: see `edgepack/runtime/coreml.py`.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.errors import MissingDependency
from edgepack.export import Artifact
from edgepack.export.coreml_encoder import CoremlEncoder, Make
from edgepack.export.support import check_operators, check_student
from edgepack.student.model import Student
from edgepack.target import Target
from edgepack.workspace import publish_folder

ENTRIES = {"model.mlmodel": "00000000-0000-4000-8000-000000000001", "weights": "00000000-0000-4000-8000-000000000002"}
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def export_coreml(student: Student, target: Target, folder: Path) -> Artifact:
    """Write the package `folder/<target.file>` with weights at the bit widths of the student's config."""
    check_student(student, target)
    with quiet():
        ct = import_coremltools()
        program, used = build_program(ct, student)
        check_operators(used, target)
        model = ct.convert(
            program,
            convert_to="mlprogram",
            minimum_deployment_target=ct.target.iOS18,
            compute_precision=ct.precision.FLOAT32,  # leaves numbers as they are: the program is fp16 already
            pass_pipeline=ct.PassPipeline.EMPTY,
            skip_model_load=True,
        )
        path = folder / target.file
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            beside = Path(scratch) / path.name
            model.save(str(beside))
            fix_package(beside, model.get_spec())
            shutil.rmtree(path, ignore_errors=True)
            publish_folder(beside, path)
    return Artifact(target, path, sum(f.stat().st_size for f in path.rglob("*") if f.is_file()), tuple(sorted(used)))
