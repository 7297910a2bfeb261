"""A student, its teacher, data and losses that are small and have something to be shared out wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from edgepack.compress.distil.attention_maps import AttentionScores
from edgepack.compress.distil.earth_mover import EarthMover
from edgepack.compress.distil.hidden_states import HiddenStates
from edgepack.compress.distil.layer_maps import LearnedMap
from edgepack.compress.distil.objective import Objective
from edgepack.compress.distil.output_space import OutputSpace
from edgepack.compress.distil.patience import Patience
from edgepack.compress.distil.relations import Relations
from edgepack.compress.distil.soft_targets import HardLabels, SoftTargets
from edgepack.compress.units import keep_units
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.task.encoded import Encoded
from edgepack.train.processes import UNLABELLED
from edgepack.train.state_budget import KeptStates

CPU = torch.device("cpu")
LAYERS = 3
EVERY = KeptStates(tuple(range(LAYERS + 1)))
PART = replace(EVERY, form="int8", examples=np.arange(0, 21, 4), loop_share=0.4)  # the rest with the teacher, or none
LOSSES = (
    SoftTargets(),
    HardLabels(weight=0.5),
    HiddenStates(weight=10.0),
    AttentionScores(weight=0.3),
    Relations(weight=0.2, relation_heads=4),
    Patience(weight=0.7),
    LearnedMap(weight=2.0),
    EarthMover(weight=0.6),
    HiddenStates(weight=0.9, normalized=True),
)


def objective(task: str, alone: bool = False) -> Objective:
    """Means of every kind; the output space is for whole texts only. `alone`: no process needs another's measure."""
    losses = tuple(loss for loss in LOSSES if not (alone and loss.measures))
    return Objective((*losses, OutputSpace(weight=0.4, classes=3)) if task == "text-classification" else losses)


def make_student(task: str) -> Student:
    torch.manual_seed(0)
    config = StudentConfig(
        vocab_size=40,
        embedding_size=16,
        hidden_size=16,
        num_hidden_layers=LAYERS,
        num_heads=[4] * LAYERS,
        head_sizes=[4] * LAYERS,
        intermediate_sizes=[24] * LAYERS,
        max_position_embeddings=24,
        head_act="tanh" if task == "text-classification" else None,
        task=task,
        id2label={0: "a", 1: "b", 2: "c"},
    )
    student = Student(config)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return student


def make_data(task: str, examples: int = 21) -> Encoded:
    generator = np.random.default_rng(3)
    lengths = generator.integers(3, 20, examples)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    total = int(offsets[-1])
    per_token = task == "token-classification"
    labels = generator.integers(0, 3, total if per_token else examples)
    if per_token:
        labels[generator.random(total) < 0.4] = -100
        labels[offsets[:-1]] = -100
        labels[offsets[:-1] + 1] = 1
    for example in range(1, examples, 3):  # as synthetic examples are
        rows = slice(offsets[example], offsets[example + 1]) if per_token else slice(example, example + 1)
        labels[rows][labels[rows] != -100] = UNLABELLED
    return Encoded(generator.integers(0, 40, total).astype(np.int32), np.zeros(total, np.int8), offsets, labels)


def half(task: str) -> Student:
    teacher = make_student(task)
    return keep_units(teacher, [torch.arange(2)] * LAYERS, [torch.arange(12)] * LAYERS)
