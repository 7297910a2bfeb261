"""Parity measured again: the artifact compared with the quantized torch model that it was exported from.

Goldens that somebody made anew from a broken model come out again. The build's `student/` folder does not lie: at its
own bit widths the torch model computes what the artifact must, so both run the goldens' texts here. Loaded by
name, because it needs torch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgepack.bundle.goldens import CLOSENESS, relative_error, run_golden
from edgepack.bundle.manifest import task_of
from edgepack.bundle.verdict import Check, limit_check
from edgepack.errors import InputError, bare
from edgepack.evidence.opened import OpenBundle
from edgepack.inference import TorchSession
from edgepack.student.folder import load_student


def check_student_folder(folder: Path) -> None:
    """`InputError` where there is no student in the folder."""
    load_student(folder)


def student_check(bundle: OpenBundle, folder: Path) -> Check:
    """Relative error of the artifact's logits over the goldens' texts, the student's being right."""
    student = load_student(folder)
    config, manifest = student.config, bundle.manifest
    if config.task != manifest.task or config.outputs != task_of(manifest).outputs:
        reason = f"{bare(str(folder), 200)} is a student of {config.task} with {config.outputs} outputs"
        return Check(name="student", status="failed", reason=reason)
    student.round_activations_by(bundle.target.activations)
    torch_session, compared = TorchSession(student), []
    for golden in bundle.goldens:
        expected = run_golden(torch_session, golden, manifest.longest).astype(np.float64)
        logits = run_golden(bundle.session, golden, manifest.longest)
        if logits.shape != expected.shape:
            raise InputError(f"the artifact gives logits of shape {logits.shape}, its student {expected.shape}")
        compared.append((logits, expected))
    what = "relative error of the logits, compared with the student's,"
    return limit_check("student", relative_error(compared), CLOSENESS, True, what)
