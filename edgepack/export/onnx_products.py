"""Products and norms in an ONNX graph.

Every int8 product with its bias is one `DynamicQuantizeMatMul`, and a weight set that layers share is one initializer
(tracing and constant folding store it once for each use).

Residual + norm is written out in plain operators on purpose: ONNX Runtime 1.32 computes `SkipLayerNormalization` and
`LayerNormalization` with scalar code, the plain ones with vector code; at 32 tokens of 384 numbers 15 µs against 58 µs,
and the norms were half of a small student's latency. The mean and the deviation come from one `InstanceNormalization`,
which sees tokens as channels: it is vectorized, and one node for seven.

How weights are stored and unpacked is `onnx_packing.py`: 8-bit operands as they are, smaller ones packed, expanded to
int8 once at load, so that a small file runs at int8 speed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from onnx import TensorProto

from edgepack.export.linear import Linear
from edgepack.export.matrix_format import MatrixFormat, packed_format, width_of
from edgepack.export.onnx_graph import Graph
from edgepack.export.onnx_packing import Packing
from edgepack.export.onnx_tokens import Tokens
from edgepack.export.weights import Weights
from edgepack.student.config import StudentConfig

FLOAT, FLOAT16, INT8 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8
FUSED_ACTIVATIONS = {"gelu": "BiasGelu", "gelu_tanh": "FastGelu"}  # these add the bias of the product themselves
ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh"}


class Products:
    """The products and norms of one graph, with the vectors that they need."""

    def __init__(self, graph: Graph, packing: Packing, tokens: Tokens, config: StudentConfig) -> None:
        self._graph, self._packing, self._tokens, self._config = graph, packing, tokens, config
        self._made: dict[str, str] = {}  # tables that several layers use

    def product(self, output: str, x: str, linear: Linear) -> str:
        """`x @ weight + bias`."""
        return self.multiply(output, x, *self.operand(linear))

    def chain(self, tag: str, x: str, linears: Sequence[Linear]) -> str:
        """A projection's products, one after the other."""
        return self.product(tag, self._low(tag, x, linears), linears[-1])

    def activated(self, tag: str, x: str, linears: Sequence[Linear], act: str) -> str:
        """A projection's products and an activation."""
        x = self._low(tag, x, linears)
        operand, scale, bias = self.operand(linears[-1])
        if act in FUSED_ACTIVATIONS:
            x = self.multiply(tag, x, operand, scale, "")
            return self._graph.node(FUSED_ACTIVATIONS[act], [x, bias], f"{tag}.act")
        return self._graph.node(ACTIVATIONS[act], [self.multiply(tag, x, operand, scale, bias)], f"{tag}.act")

    def multiply(self, output: str, x: str, operand: str, scale: str, bias: str) -> str:
        """`x @ operand + bias`; `scale` is "" for an fp32 operand, `bias` where there is none."""
        if scale:
            return self._graph.node("DynamicQuantizeMatMul", [x, operand, scale, "", bias], output)
        product = self._graph.node("MatMul", [x, operand], f"{output}.product" if bias else output)
        return self._graph.node("Add", [product, bias], output) if bias else product

    def operand(self, linear: Linear) -> tuple[str, str, str]:
        """Operand `(in, out)`, scale `(out,)` ("" with an fp32 operand), bias `(out,)` ("" without one)."""
        bias, width, size = "", width_of(linear, self._config), linear.out_features
        if linear.bias:
            bias = self.vector(f"{linear.name}.bias", size, lambda weights: weights.bias(linear).numpy())
        shape, found = (linear.in_features, size), packed_format(linear, self._config)
        if found is MatrixFormat.FLOATS:
            weight = self._graph.initializer(
                f"{linear.name}.weight", FLOAT, shape, lambda weights: weights.matrix(linear).T.numpy()
            )
            return weight, "", bias
        if found is MatrixFormat.CHANNELS:
            scale = self.vector(f"{linear.name}.scale", size, lambda w: w.channels(linear).scale.numpy())
            codes = self._graph.initializer(
                f"{linear.name}.codes", INT8, shape, lambda weights: weights.channels(linear).q.T.numpy()
            )
            return codes, scale, bias
        scale = self.vector(f"{linear.name}.scale", size, lambda w: w.blocks(linear, width).scale.numpy())
        return self._packing.operand(linear, width, self._config.block_size), scale, bias

    def norm(self, tag: str, x: str, path: str, size: int) -> str:
        """The config's norm over the last axis, of the given size."""
        graph = self._graph
        gain = self.vector(f"{path}.gain", size, lambda weights: weights.parameter(f"{path}.weight").numpy())
        bias = self.vector(f"{path}.bias", size, lambda weights: weights.parameter(f"{path}.bias").numpy())
        if self._config.norm == "layer_norm":
            x = graph.node(
                "InstanceNormalization", [x, *self._tokens.units()], f"{tag}.whitened", epsilon=self._config.norm_eps
            )
        return graph.node("Add", [graph.node("Mul", [x, gain], f"{tag}.scaled"), bias], f"{tag}.norm")

    def parameter(self, path: str, shape: tuple[int, int]) -> str:
        """A small table: fp16 in a rounded student's file, like the vectors."""
        name = path.removesuffix(".weight")
        if not self._config.body_width.is_rounded:
            return self._graph.initializer(name, FLOAT, shape, lambda weights: weights.parameter(path).numpy())
        if name not in self._made:
            stored = self._graph.initializer(name, FLOAT16, shape, lambda w: w.parameter(path).half().numpy())
            self._made[name] = self._graph.node("Cast", [stored], f"{name}.float", to=FLOAT)
        return self._made[name]

    def vector(self, name: str, size: int, values: Callable[[Weights], np.ndarray]) -> str:
        """A bias, a gain or scales: fp16 in a rounded student's file, with all the others."""
        if not self._config.body_width.is_rounded:
            return self._graph.initializer(name, FLOAT, (size,), values)
        return self._packing.vector(name, size, values)

    def _low(self, tag: str, x: str, linears: Sequence[Linear]) -> str:
        for linear in linears[:-1]:
            x = self.product(f"{tag}.low", x, linear)
        return x
