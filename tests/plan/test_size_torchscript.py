"""Predicted bytes of a TorchScript artifact are the file's bytes."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.export.torchscript import export_torchscript
from edgepack.plan.size_torchscript import model_bytes
from edgepack.student.config import ACTIVATIONS, KERNELS, NORMS, StudentConfig
from edgepack.student.model import Student
from edgepack.target import load_target


def realistic(body_bits: int, embedding_bits: int) -> StudentConfig:
    return StudentConfig(
        vocab_size=12000,
        embedding_size=128,
        hidden_size=384,
        num_heads=[4] * 6,
        head_sizes=[32] * 6,
        intermediate_sizes=[320] * 6,
        body_bits=body_bits,
        embedding_bits=embedding_bits,
    )


def exported_bytes(config: StudentConfig) -> int:
    with tempfile.TemporaryDirectory() as folder:
        return export_torchscript(Student(config), load_target("android-torchscript"), Path(folder)).size_bytes


TASKS: tuple[dict[str, Any], ...] = (
    {"task": "text-classification"},
    {"task": "token-classification"},
    {"task": "feature-extraction", "pooling": "mean", "normalized": True},
    {"task": "feature-extraction", "pooling": "last", "vector_size": 9},
)


@st.composite
def configs(draw: st.DrawFn) -> StudentConfig:
    """Any point of the student's space, small."""
    count = st.integers(1, 40)
    layers = draw(st.integers(1, 5))
    attention, ffn = draw(st.integers(1, layers)), draw(st.integers(1, layers))
    projection = draw(st.sampled_from(["identity", "linear", "self_attentive"]))
    hidden = draw(count)
    embedding = hidden if projection == "identity" else draw(count)
    some: dict[str, Any] = {
        "vocab_size": draw(st.sampled_from([3, 255, 256, 257, 2000])),
        "max_position_embeddings": draw(st.sampled_from([1, 128, 300, 512])),
        "attention_sharing": [min(i, attention - 1) for i in range(layers)],
        "ffn_sharing": [i % ffn for i in range(layers)],
        "num_heads": draw(st.lists(st.integers(1, 4), min_size=attention, max_size=attention)),
        "head_sizes": draw(st.lists(st.integers(1, 70), min_size=attention, max_size=attention)),
        "intermediate_sizes": draw(st.lists(st.integers(1, 300), min_size=ffn, max_size=ffn)),
    }
    ranks = {m: draw(st.lists(st.integers(0, 3), min_size=attention, max_size=attention)) for m in ("query", "output")}
    ranks["down"] = draw(st.lists(st.integers(0, 3), min_size=ffn, max_size=ffn))
    labels: dict[str, Any] = {"num_labels": draw(st.integers(2, 300))}
    first = draw(st.booleans())
    return StudentConfig(
        **some,
        **labels,
        num_hidden_layers=layers,
        hidden_size=hidden,
        embedding_size=embedding,
        embedding_projection=projection,
        embedding_num_heads=draw(st.integers(1, embedding)),
        embedding_intermediate_size=draw(count),
        embedding_kernel=draw(st.sampled_from(KERNELS)) if projection == "linear" and not first else 1,
        match_separator=draw(st.sampled_from([None, 0, 4])),
        norm_before_projection=first,
        projection_bias=draw(st.booleans()),
        ranks=ranks,
        hidden_act=draw(st.sampled_from(ACTIVATIONS)),
        head_act=draw(st.sampled_from([*ACTIVATIONS, None])),
        head_size=draw(st.sampled_from([0, 0, 1, 7])),
        norm=draw(st.sampled_from(NORMS)),
        type_vocab_size=draw(st.integers(0, 3)),
        relative_attention_buckets=draw(st.sampled_from([0, 8, 32])),
        **draw(st.sampled_from(TASKS)),
        body_bits=draw(st.sampled_from([4, 8, 32])),
        block_size=draw(st.sampled_from([1, 5, 32, 300])),
        embedding_bits=draw(st.sampled_from([4, 8, 32])),
    )


@given(configs())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_predicted_bytes_are_the_files_bytes(config: StudentConfig) -> None:
    assert model_bytes(config).total == exported_bytes(config)


@pytest.mark.parametrize("embedding_bits", [4, 8])
@pytest.mark.parametrize("body_bits", [4, 8])
def test_predicted_bytes_of_a_realistic_shape(body_bits: int, embedding_bits: int) -> None:
    config = realistic(body_bits, embedding_bits)
    size = model_bytes(config)
    assert size.total == exported_bytes(config)
    assert sum(count for _, count in size.tensors) > 0.995 * size.total


def test_a_four_bit_body_is_half_of_int8_and_its_multipliers() -> None:
    eight, four = (model_bytes(realistic(bits, 8)) for bits in (8, 4))
    # every linear has whole blocks of 32 columns, so each holds 1 / 32 of half a byte more per weight
    assert four.tensors[0][1] == eight.tensors[0][1] // 2 + eight.tensors[0][1] // 64
    assert four.tensors[1:] == eight.tensors[1:]


def test_a_shape_is_predicted_in_well_under_five_milliseconds() -> None:
    config = realistic(8, 8)
    seconds = []
    for _ in range(20):
        begin = time.perf_counter()
        model_bytes(config)
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.005  # 0.6 ms seen
