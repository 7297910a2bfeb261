"""Tiny seeded students whose every parameter is off its initial value: a zero bias hides what a test looks for."""

from __future__ import annotations

import torch

from edgepack.student.config import StudentConfig
from edgepack.student.model import Student


def noisy_student(config: StudentConfig, noise: float = 0.3) -> Student:
    """A student of this config with normal noise on all parameters; the same for the same config."""
    torch.manual_seed(0)
    student = Student(config)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(torch.randn_like(parameter) * noise)
    return student
