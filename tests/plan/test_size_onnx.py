"""Predicted bytes are the file's bytes, to the byte, for any shape."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgepack.export.onnx import export_onnx
from edgepack.plan.size_onnx import model_bytes
from edgepack.quantization import BITS
from edgepack.student.config import ATTENTION_MATRICES, FFN_MATRICES, KERNELS, StudentConfig
from edgepack.student.model import Student
from edgepack.target import load_target

TARGET = load_target("android-onnx")
REALISTIC: dict[str, Any] = {
    "vocab_size": 12000,
    "embedding_size": 128,
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_heads": [4] * 6,
    "head_sizes": [32] * 6,
    "intermediate_sizes": [320] * 6,
}
MATRIX_NAMES = ("attention.0.qkv", "attention.0", "feed_forward.0.up", "embeddings.projection", "head.classifier")


@st.composite
def configs(draw: st.DrawFn) -> StudentConfig:
    """Small shapes over all axes: sharing, ranks, uneven widths, embeddings, norms, heads, bit widths."""
    layers = draw(st.integers(1, 4))
    sharing = {name: draw(sharing_maps(layers)) for name in ("attention_sharing", "ffn_sharing")}
    attention, ffn = (max(sharing[name]) + 1 for name in ("attention_sharing", "ffn_sharing"))

    def each(sets: int, values: st.SearchStrategy[int]) -> list[int]:
        return draw(st.lists(values, min_size=sets, max_size=sets))

    ranks = {m: each(attention, st.sampled_from([0, 0, 3, 8])) for m in ATTENTION_MATRICES}
    ranks |= {m: each(ffn, st.sampled_from([0, 0, 5])) for m in FFN_MATRICES}
    projection = draw(st.sampled_from(["identity", "linear", "self_attentive"]))
    hidden, first = draw(st.sampled_from([15, 24, 64])), draw(st.booleans())
    return StudentConfig(
        vocab_size=draw(st.integers(5, 300)),
        embedding_size=hidden if projection == "identity" else draw(st.sampled_from([6, 12, 30])),
        embedding_projection=projection,
        embedding_num_heads=3,
        embedding_intermediate_size=draw(st.integers(1, 50)),
        embedding_kernel=draw(st.sampled_from(KERNELS)) if projection == "linear" and not first else 1,
        match_separator=draw(st.sampled_from([None, 0, 4])),
        norm_before_projection=first,
        projection_bias=draw(st.booleans()),
        hidden_size=hidden,
        num_hidden_layers=layers,
        **sharing,
        num_heads=each(attention, st.integers(1, 3)),
        head_sizes=each(attention, st.sampled_from([4, 5, 8])),
        intermediate_sizes=each(ffn, st.integers(1, 70)),
        ranks=ranks,
        hidden_act=draw(st.sampled_from(["gelu", "gelu_tanh", "relu"])),
        head_size=draw(st.sampled_from([0, 0, 1, 7])),
        norm=draw(st.sampled_from(["layer_norm", "no_norm"])),
        max_position_embeddings=draw(st.integers(2, 140)),
        type_vocab_size=draw(st.integers(0, 2)),
        relative_attention_buckets=draw(st.sampled_from([0, 8])),
        head_act=draw(st.sampled_from(["tanh", "gelu", "relu", None])),
        task=draw(st.sampled_from(["text-classification", "token-classification"])),
        num_labels=draw(st.integers(1, 80)),
        body_bits=draw(st.sampled_from(BITS)),
        embedding_bits=draw(st.sampled_from(BITS)),
        widths=draw(st.none() | st.dictionaries(st.sampled_from(MATRIX_NAMES), st.sampled_from(BITS), max_size=3)),
        block_size=draw(st.sampled_from([8, 32])),
    )


def sharing_maps(layers: int) -> st.SearchStrategy[list[int]]:
    maps = [list(range(layers)), [0] * layers, [0] + [1] * (layers - 2) + [2]] if layers > 2 else [[0] * layers]
    return st.sampled_from(maps)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(configs())
def test_predicted_bytes_are_the_bytes_written(config: StudentConfig) -> None:
    predicted = model_bytes(config, TARGET)
    with tempfile.TemporaryDirectory() as folder:
        artifact = export_onnx(Student(config), TARGET, Path(folder))
        model = onnx.load(artifact.path)
    assert predicted.total == artifact.size_bytes
    assert predicted.tensors == tuple((t.name, len(t.raw_data)) for t in model.graph.initializer)


@pytest.mark.parametrize("bits", [(8, 8), (8, 4), (4, 4)])
def test_a_realistic_shape_is_exact_and_fast(bits: tuple[int, int], tmp_path: Path) -> None:
    config = StudentConfig(**REALISTIC, body_bits=bits[0], embedding_bits=bits[1])
    predicted = model_bytes(config, TARGET)
    assert predicted.total == export_onnx(Student(config), TARGET, tmp_path).size_bytes
    structure = predicted.total - sum(size for _, size in predicted.tensors)
    assert 0 < structure < 36_000
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        model_bytes(config, TARGET)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.02  # 1 to 3 ms seen; a search asks for hundreds


def test_bytes_of_the_parts_are_what_the_formats_say() -> None:
    config = StudentConfig(**REALISTIC, body_bits=4, embedding_bits=4, num_labels=3)
    sizes = dict(model_bytes(config, TARGET).tensors)
    assert sizes["embeddings.word.codes"] == 12000 * 128 // 2
    assert sizes["embeddings.word.scale"] == sizes["embeddings.word.minimum"] == 12000 * 2
    assert sizes["embeddings.position.codes"] == 512 * 384
    rows = (128 * 384, *[384 * (3 * 128 + 128 + 320 + 320)] * 6, 384 * 384, 384 * 3)  # every block of 32 is whole
    assert sizes["b4.codes"] == sum(rows) // 2
    assert sizes["b4.multipliers"] == -(-sum(rows) // 32 // 2)
    scales = 384 + 6 * (3 * 128 + 384 + 320 + 384) + 384 + 3
    biases = scales - 384  # the projection of the embeddings has none
    norms = 2 * 384 * 13
    assert sizes["vectors"] == 2 * (scales + biases + norms)


# bits of a code, and of a block's share of a multiplier: five ternary digits to a byte
@pytest.mark.parametrize(("bits", "stored"), [(1, 1.6), (2, 2), (3, 3), (4, 4)])
def test_bytes_of_a_matrix_and_a_table_at_every_packed_width(bits: int, stored: float) -> None:
    sizes = dict(model_bytes(StudentConfig(**REALISTIC, body_bits=bits, embedding_bits=bits), TARGET).tensors)
    count = 384 * (128 + 6 * (4 * 128 + 2 * 320) + 384 + 2)
    assert sizes[f"b{bits}.codes"] == pytest.approx(count * stored / 8, abs=1)
    assert sizes[f"b{bits}.multipliers"] == -(-count // 64)
    assert sizes["embeddings.word.codes"] == 12000 * -(-128 * stored // 8)
    if bits < 4:
        assert sizes["embeddings.word.exponent"] == 12000
        assert sizes["embeddings.position.codes"] == 512 * 384 // 2
