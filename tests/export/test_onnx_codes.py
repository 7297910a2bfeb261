"""Packed codes come back through the runtime, and so do the lookup tables that a file makes with nodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgepack.export.onnx_codes import Codes, pack_pairs, pack_rows, pair_bytes
from edgepack.export.onnx_graph import Graph
from edgepack.quantization import INT2, INT3, INT4, TERNARY, BitWidth

SHAPES_OF_CODES = hnp.array_shapes(min_dims=1, max_dims=2, max_side=70)
BELOW_8 = [TERNARY, INT2, INT3, INT4]


def run_constants(graph: Graph, codes: Codes, output: str, shape: Sequence[int]) -> np.ndarray:
    """What a graph without inputs gives."""
    graph.node("Cast", [output], "out", to=onnx.TensorProto.FLOAT)
    graph.nodes[:0] = codes.ahead
    model = graph.model((), "out", tuple(shape), 18)
    for tensor, initializer in zip(model.graph.initializer, graph.initializers.values(), strict=True):
        tensor.raw_data = initializer.raw(None)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {})[0]


@given(st.sampled_from(BELOW_8), SHAPES_OF_CODES, st.booleans(), st.integers(0, 2**31))
@settings(deadline=None)
def test_packed_rows_come_back_through_the_runtime(
    width: BitWidth, shape: tuple[int, ...], floats: bool, seed: int
) -> None:
    numbers = np.random.default_rng(seed).integers(0, width.levels, shape).astype(np.uint8)
    packed = pack_rows(numbers, width)
    assert packed.shape == (*shape[:-1], width.packed_bytes(shape[-1]))
    graph = Graph()
    codes, kind = Codes(graph), onnx.TensorProto.FLOAT if floats else onnx.TensorProto.UINT8
    places = 0 if floats else width.code_step - 1
    name = codes.rows("t", graph.bytes("packed", packed), width, len(shape) - 1, shape[-1], kind, places)
    np.testing.assert_array_equal(run_constants(graph, codes, name, shape), numbers * 2**places)


@given(st.sampled_from([INT2, INT3, INT4]), st.integers(1, 200), st.integers(0, 2**31))
@settings(deadline=None)
def test_packed_pairs_come_back_through_the_runtime(width: BitWidth, count: int, seed: int) -> None:
    first, second = np.random.default_rng(seed).integers(0, width.levels, (2, count)).astype(np.uint8)
    packed = pack_pairs(first | second << 4, width)
    assert packed.shape == (pair_bytes(count, width),)
    assert pair_bytes(count, width) <= width.stored_bits * 2 * count / 8 + len(width.planes)
    graph = Graph()
    codes = Codes(graph)
    name = codes.pairs("t", graph.bytes("packed", packed), width, count)
    found = run_constants(graph, codes, name, (count,))
    np.testing.assert_array_equal(found, first + 16 * second)


@pytest.mark.parametrize("width", BELOW_8)
def test_products_of_pairs(width: BitWidth) -> None:
    graph = Graph()
    codes = Codes(graph)
    found = run_constants(graph, codes, codes.pair_products("t", width), (4096, 2))
    largest, offset = width.largest_code, width.levels - 1 if width.code_step == 2 else width.levels // 2
    for multiplier in (0, 1, width.largest_multiplier):
        for first in range(width.levels):
            for second in range(width.levels):
                numbers = [width.code_step * code - offset for code in (first, second)]
                assert max(map(abs, numbers)) <= max(largest, offset)
                row = found[256 * multiplier + first + 16 * second]
                np.testing.assert_array_equal(row, [multiplier * number for number in numbers])
