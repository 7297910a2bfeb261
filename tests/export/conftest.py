"""Tiny seeded students for the formats that are run in a package of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from edgepack.student.config import StudentConfig
from edgepack.student.model import Student

SHAPE: dict[str, Any] = {
    "vocab_size": 60,
    "embedding_size": 32,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_heads": [2, 2],
    "head_sizes": [16, 16],
    "intermediate_sizes": [40, 40],
    "max_position_embeddings": 24,
    "num_labels": 3,
}
FORMAT_AXES: dict[str, dict[str, Any]] = {
    "plain": {},
    "identity": {"embedding_projection": "identity", "embedding_size": 64},
    "self_attentive": {
        "embedding_projection": "self_attentive",
        "embedding_num_heads": 2,
        "embedding_intermediate_size": 24,
    },
    "norm_before_projection": {"norm_before_projection": True, "projection_bias": True, "type_vocab_size": 1},
    "albert": {"attention_sharing": [0, 0], "ffn_sharing": [0, 0], "num_heads": [2], "head_sizes": [16]}
    | {"intermediate_sizes": [40]},
    "sandwich": {"num_hidden_layers": 4, "attention_sharing": [0, 1, 1, 2], "ffn_sharing": [0, 1, 1, 2]}
    | {"num_heads": [2, 1, 3], "head_sizes": [16, 16, 8], "intermediate_sizes": [40, 24, 32]},
    "ranks": {"ranks": {m: [8, 0] for m in ("query", "key", "value", "output", "up", "down")}},
    "gelu_tanh": {"hidden_act": "gelu_tanh", "head_act": "relu"},
    "relu": {"hidden_act": "relu", "head_act": "gelu"},
    "no_norm": {"norm": "no_norm"},
    "two_types": {"type_vocab_size": 2},
    "relative": {"relative_attention_buckets": 8, "relative_attention_max_distance": 16},
    "token_head": {"task": "token-classification", "head_act": None},
    "odd_width": {"embedding_size": 31},
    "convolution": {"embedding_kernel": 5},
    "convolution_tags": {"embedding_kernel": 3, "task": "token-classification", "head_act": None, "type_vocab_size": 2},
    "match": {"match_separator": 7},
    "match_everything": {"match_separator": 59, "type_vocab_size": 2, "embedding_kernel": 3, "wide_rows": 16},
    "match_self_attentive": {"match_separator": 7, "embedding_projection": "self_attentive"}
    | {"embedding_num_heads": 2, "embedding_intermediate_size": 24},
    "wide": {"wide_rows": 16},
    "wide_two_types": {"wide_rows": 70, "num_labels": 5, "type_vocab_size": 2},
    "mean_vector": {"task": "feature-extraction", "pooling": "mean", "head_act": None, "normalized": True},
    "last_vector": {"task": "feature-extraction", "pooling": "last", "head_act": "tanh", "vector_size": 12},
    "first_vector": {"task": "feature-extraction", "head_act": None, "vector_size": 12, "normalized": True},
}


@pytest.fixture
def make_student() -> Callable[..., Student]:
    """`make_student(body_bits, embedding_bits, **changes)`: numbers large enough for every part to matter."""

    def make(body_bits: int, embedding_bits: int, **changes: Any) -> Student:
        torch.manual_seed(0)
        student = Student(StudentConfig(**(SHAPE | changes))).eval()
        with torch.no_grad():
            for parameter in student.parameters():
                parameter.copy_(torch.randn(parameter.shape) * (0.2 if parameter.dim() > 1 else 0.1))
            for module in student.modules():
                if "Norm" in type(module).__name__:
                    module.weight.add_(1.0)
        student.set_bits(body_bits, embedding_bits)
        student.round_vectors()
        return student

    return make


@pytest.fixture
def make_inputs() -> Callable[..., dict[str, torch.Tensor]]:
    """`make_inputs(lengths, types=1)`: a right-padded batch of these lengths."""

    def make(lengths: tuple[int, ...], types: int = 1) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(sum(lengths))
        shape = (len(lengths), max(lengths))
        mask = (torch.arange(shape[1])[None] < torch.tensor(lengths)[:, None]).long()
        return {
            "input_ids": torch.randint(0, SHAPE["vocab_size"], shape, generator=generator) * mask,
            "attention_mask": mask,
            "token_type_ids": torch.randint(0, max(types, 1), shape, generator=generator),
        }

    return make


def torch_logits(student: Student, inputs: dict[str, torch.Tensor], activations: str) -> np.ndarray:
    """What the student itself computes, its activations rounded as a format's runtime rounds them."""
    student.round_activations_by(activations)
    with torch.no_grad():
        logits: np.ndarray = student(
            inputs["input_ids"], inputs["attention_mask"], inputs["token_type_ids"]
        ).logits.numpy()
    return logits


def in_turn(axis: dict[str, Any], widths: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Each axis has one of the widths, and each width many axes: where a file takes seconds to write."""
    return widths[list(FORMAT_AXES.values()).index(axis) % len(widths)]


@pytest.fixture(params=FORMAT_AXES)
def axis(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Changes of the shape, one axis at a time."""
    return FORMAT_AXES[request.param]
