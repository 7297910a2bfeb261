"""The layers of a student as ONNX nodes: attention, the feed-forward network, and the products and norms of both.

Every int8 product with its bias is one `DynamicQuantizeMatMul`, attention is one `QAttention` with the products that it
begins with (`MultiHeadAttention` behind them where these are in fp32, factorized or of one token alone, or scores have
a bias), and a weight set that layers share is one initializer (tracing and constant folding store it once for each
use).

Residual + norm is written out in plain operators on purpose: ONNX Runtime 1.32 computes `SkipLayerNormalization` and
`LayerNormalization` with scalar code, the plain ones with vector code; at 32 tokens of 384 numbers 15 µs against 58 µs,
and the norms were half of a small student's latency. The mean and the deviation come from one `InstanceNormalization`,
which sees tokens as channels: it is vectorized, and one node for seven.

How weights are stored and unpacked is `onnx_packing.py`: 8-bit operands as they are, smaller ones packed, expanded to
int8 once at load, so that a small file runs at int8 speed.

Query, key and value stand side by side in one product where none of them is factorized. Masks: ONNX Runtime adds
−10,000 to a padded key's score, torch −3.4e38; after the softmax both are 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from onnx import TensorProto, numpy_helper

from edgepack.export.onnx_tables import TableGraph
from edgepack.export.onnx_weights import Linear, Weights
from edgepack.student.config import ATTENTION_MATRICES, FFN_MATRICES, StudentConfig
from edgepack.student.model import matrix_name, relative_buckets

FLOAT, FLOAT16, UINT8, INT8 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8, TensorProto.INT8


class LayerGraph(TableGraph):
    """A graph builder with a student's layers.

    With `static_shape` padding would be part of every tensor whose range is rounded by: each is multiplied by the mask
    first, and zero is always in the range.
    """

    def __init__(self, config: StudentConfig, static_shape: bool = False) -> None:
        super().__init__()
        self.config, self.static_shape = config, static_shape
        self._made: dict[str, str] = {}  # values that several layers use
        self._first_only = False  # whether the head needs nothing but the first token of this layer

    def _attention(
        self, tag: str, path: str, x: str, width: int, heads: tuple[int, int], weight_set: int | None = None
    ) -> str:
        """Attention's output."""
        num_heads, head_size = heads
        inner = num_heads * head_size
        ranks = self._ranks(ATTENTION_MATRICES, weight_set)
        x, bias = self._real(x), "" if weight_set is None else self._relative_bias(path, num_heads)
        joined = self._joined(path, width, inner)
        factorized = any(ranks[name] for name in ("query", "key", "value"))
        if factorized or bias or self._first_only or self.config.bits_of(matrix_name(joined.name)) == 32:
            queries = self._query_key_value(tag, path, x, width, inner, ranks)
            if bias and self._first_only:
                limits = [self.integers(0), self.integers(1), self.integers(2)]
                bias = self.node("Slice", [bias, *limits], f"{tag}.bias")  # the first query's row
            inputs = [*queries, "", "mask", bias]
            context = self.node("MultiHeadAttention", inputs, f"{tag}.context", num_heads=num_heads)
        else:
            operand, scale, shift = self._operand(joined)
            names = [f"{tag}.{name}" for name in ("codes", "step", "zero")]
            codes, step, zero = self.split_node("DynamicQuantizeLinear", [x], names)
            inputs = [codes, operand, shift, step, scale, "mask", zero]
            context = self.node("QAttention", inputs, f"{tag}.context", num_heads=num_heads)
        output = self._factors(f"{path}.output", inner, width, ranks["output"])
        context = context if self._first_only else self._real(context)
        return self._chain(f"{tag}.output", context, output, fold_bias=False)[0]

    def _real(self, x: str) -> str:
        """`x` `(batch, seq, width)`, zero at padding where that would count in a rounding's range."""
        if not self.static_shape or self.config.body_bits == 32:
            return x
        if "real" not in self._made:
            real = self.node("Cast", ["attention_mask"], "mask.float", to=FLOAT)
            self._made["real"] = self.node("Unsqueeze", [real, self.integers(2)], "mask.real")
        return self.node("Mul", [x, self._made["real"]], f"{x}.real")

    def _ranks(self, matrices: Sequence[str], weight_set: int | None) -> dict[str, int]:
        """Rank of each matrix of a weight set; the embedding's own network (`None`) is never factorized."""
        ranks = self.config.ranks or {}
        return {matrix: 0 if weight_set is None else ranks[matrix][weight_set] for matrix in matrices}

    def _query_key_value(
        self, tag: str, path: str, x: str, width: int, inner: int, ranks: dict[str, int]
    ) -> Sequence[str]:
        names = ("query", "key", "value")
        outputs = [f"{tag}.{name}" for name in names]
        if any(ranks[name] for name in names):
            factors = [self._factors(f"{path}.{name}", width, inner, ranks[name]) for name in names]
            sources = [self._first(x) if self._first_only else x, x, x]
            triples = zip(outputs, sources, factors, strict=True)
            return [self._chain(output, source, f, fold_bias=False)[0] for output, source, f in triples]
        linear = self._joined(path, width, inner)
        if self._first_only:
            return self._first_query(tag, x, linear, inner)
        fused, _ = self._product(f"{tag}.qkv", x, linear, fold_bias=False)
        return self.split_node("Split", [fused, self.integers(inner, inner, inner)], outputs, axis=-1)

    def _joined(self, path: str, width: int, inner: int) -> Linear:
        """Query, key and value side by side in one product."""
        parts = tuple(f"{path}.{name}.full" for name in ("query", "key", "value"))
        return Linear(f"{path}.qkv", parts, width, 3 * inner)

    def _first_query(self, tag: str, x: str, linear: Linear, inner: int) -> Sequence[str]:
        """The first token's query, and all keys and values: the joined operand is cut when the session loads it."""
        operand, scale, bias = self._operand(linear)
        at = self.integers(-1)

        def product(source: str, name: str, first: int, last: int) -> str:
            limits = [self.integers(first), self.integers(last), at]
            weight, step, shift = (
                part and self.node("Slice", [part, *limits], f"{name}.{i}")
                for i, part in enumerate((operand, scale, bias))
            )
            return self._multiply(name, source, weight, step, shift)

        query = product(self._first(x), f"{tag}.query", 0, inner)
        both = product(x, f"{tag}.key_value", inner, 3 * inner)
        pair = self.split_node("Split", [both, self.integers(inner, inner)], [f"{tag}.key", f"{tag}.value"], axis=-1)
        return [query, *pair]

    def _first(self, x: str) -> str:
        """The first token `(batch, 1, width)`."""
        if "first" not in self._made:
            limits = [self.integers(0), self.integers(1), self.integers(1)]
            self._made["first"] = self.node("Slice", [x, *limits], "first")
        return self._made["first"]

    def _relative_bias(self, path: str, num_heads: int) -> str:
        """MPNet's bias `(1, heads, seq, seq)`, made once for each weight set; "" where there is none."""
        buckets = self.config.relative_attention_buckets
        if not buckets:
            return ""
        if path not in self._made:
            table = self._parameter(f"{path}.relative_bias", (buckets, num_heads))
            by_pair = self.node("Gather", [table, self._bucket_of_pair()], f"{path}.pairs")  # (seq, seq, heads)
            by_head = self.node("Transpose", [by_pair], f"{path}.heads", perm=[2, 0, 1])
            self._made[path] = self.node("Unsqueeze", [by_head, self.integers(0)], f"{path}.bias")
        return self._made[path]

    def _bucket_of_pair(self) -> str:
        """Bucket of each (query, key), int32 `(seq, seq)`: looked up by their distance, query − key."""
        if "buckets" in self._made:
            return self._made["buckets"]
        config, most = self.config, self.config.max_position_embeddings

        def by_distance(_: Weights) -> np.ndarray:
            pairs = relative_buckets(most, config.relative_attention_buckets, config.relative_attention_max_distance)
            return torch.cat([pairs[0, 1:].flip(0), pairs[:, 0]]).numpy().astype(np.uint8)  # −(most − 1) … most − 1

        table = self.initializer("relative_buckets", UINT8, (2 * most - 1,), by_distance)
        length = self.node("Squeeze", ["length"], "r.length")
        positions = self.node("Range", [self.scalar(0), length, self.scalar(1)], "r.positions")
        query = self.node("Unsqueeze", [positions, self.integers(1)], "r.query")
        distance = self.node("Sub", [query, positions], "r.distance")
        index = self.node("Add", [distance, self.scalar(most - 1)], "r.index")
        bucket = self.node("Gather", [table, index], "r.bucket")
        self._made["buckets"] = self.node("Cast", [bucket], "r.buckets", to=TensorProto.INT32)
        return self._made["buckets"]

    def _feed_forward(
        self,
        tag: str,
        path: str,
        x: str,
        width: int,
        inner: int,
        weight_set: int | None = None,
    ) -> str:
        """The feed-forward network's output."""
        config = self.config
        ranks = self._ranks(FFN_MATRICES, weight_set)
        up = self._factors(f"{path}.up", width, inner, ranks["up"])
        x = self._activated(f"{tag}.up", x if self._first_only else self._real(x), up, config.hidden_act)
        x = x if self._first_only else self._real(x)
        down = self._factors(f"{path}.down", inner, config.hidden_size, ranks["down"])
        return self._chain(f"{tag}.down", x, down, fold_bias=False)[0]

    def _activated(self, tag: str, x: str, factors: Sequence[Linear], act: str) -> str:
        """Product, bias and activation; the two GELUs add the bias themselves."""
        fused = {"gelu": "BiasGelu", "gelu_tanh": "FastGelu"}.get(act)
        x, bias = self._chain(tag, x, factors, fold_bias=fused is not None)
        if fused:
            return self.node(fused, [x, bias or ""], f"{tag}.act")
        return self.node("Relu" if act == "relu" else "Tanh", [x], f"{tag}.act")

    # products and norms

    def _factors(self, path: str, in_features: int, out_features: int, rank: int) -> list[Linear]:
        if not rank:
            return [Linear(path, (f"{path}.full",), in_features, out_features)]
        down = Linear(f"{path}.down", (f"{path}.down",), in_features, rank, bias=False)
        return [down, Linear(f"{path}.up", (f"{path}.up",), rank, out_features)]

    def _chain(self, tag: str, x: str, factors: Sequence[Linear], fold_bias: bool) -> tuple[str, str | None]:
        for linear in factors[:-1]:
            x, _ = self._product(f"{tag}.low", x, linear, fold_bias=False)
        return self._product(tag, x, factors[-1], fold_bias)

    def _product(self, output: str, x: str, linear: Linear, fold_bias: bool) -> tuple[str, str | None]:
        """`x @ weight`, with its bias, or with the bias's name for the next node to add (`fold_bias`)."""
        operand, scale, bias = self._operand(linear)
        y = self._multiply(output, x, operand, scale, "" if fold_bias else bias)
        return y, bias if fold_bias else None

    def _multiply(self, output: str, x: str, operand: str, scale: str, bias: str) -> str:
        """`x @ operand + bias`; `scale` is "" for an fp32 operand, `bias` where there is none."""
        if scale:
            return self.node("DynamicQuantizeMatMul", [x, operand, scale, "", bias], output)
        product = self.node("MatMul", [x, operand], f"{output}.product" if bias else output)
        return self.node("Add", [product, bias], output) if bias else product

    def _operand(self, linear: Linear) -> tuple[str, str, str]:
        """Operand `(in, out)`, scale `(out,)` ("" with an fp32 operand), bias `(out,)` ("" without one)."""
        bits, bias = self.config.bits_of(matrix_name(linear.name)), ""
        if linear.bias:
            bias = self._vector(f"{linear.name}.bias", linear.out_features, lambda weights: weights.bias(linear))
        shape = (linear.in_features, linear.out_features)
        if bits == 32:
            return self.initializer(f"{linear.name}.weight", FLOAT, shape, lambda w: w.operand(linear, 32)), "", bias
        scale = self._vector(f"{linear.name}.scale", linear.out_features, lambda weights: weights.scale(linear, bits))
        if bits == 8:
            return self.initializer(f"{linear.name}.codes", INT8, shape, lambda w: w.operand(linear, 8)), scale, bias
        return self.packed_operand(linear, bits, self.config.block_size), scale, bias

    def _parameter(self, path: str, shape: tuple[int, int]) -> str:
        """A small table: fp16 in a rounded student's file, like the vectors."""
        name = path.removesuffix(".weight")
        if self.config.body_bits == 32:
            return self.initializer(name, FLOAT, shape, lambda weights: weights.parameter(path))
        if name not in self._made:
            stored = self.initializer(name, FLOAT16, shape, lambda w: w.parameter(path).astype(np.float16))
            self._made[name] = self.node("Cast", [stored], f"{name}.float", to=FLOAT)
        return self._made[name]

    def _vector(self, name: str, size: int, values: Callable[[Weights], np.ndarray]) -> str:
        if self.config.body_bits == 32:
            return self.initializer(name, FLOAT, (size,), values)
        return self.vector(name, size, values)

    def _add_norm(self, tag: str, x: str, skip: str, path: str, size: int) -> str:
        """`norm(x + skip)`."""
        return self._norm(tag, self.node("Add", [x, skip], f"{tag}.sum"), path, size)

    def _norm(self, tag: str, x: str, path: str, size: int) -> str:
        """The config's norm over the last axis, of the given size."""
        gain = self._vector(f"{path}.gain", size, lambda weights: weights.parameter(f"{path}.weight"))
        bias = self._vector(f"{path}.bias", size, lambda weights: weights.parameter(f"{path}.bias"))
        if self.config.norm == "layer_norm":
            x = self.node("InstanceNormalization", [x, *self._units()], f"{tag}.whitened", epsilon=self.config.norm_eps)
        return self.node("Add", [self.node("Mul", [x, gain], f"{tag}.scaled"), bias], f"{tag}.norm")

    def _units(self) -> tuple[str, str]:
        """Ones and zeros `(seq,)`: InstanceNormalization's own gain and bias, one for each token here."""
        if self._first_only:
            one = self.initializer("one", FLOAT, (1,), lambda _: np.ones(1, np.float32))
            return one, self.initializer("zero", FLOAT, (1,), lambda _: np.zeros(1, np.float32))
        for name, value in (("ones", 1.0), ("zeros", 0.0)):
            if name not in self._made:
                filler = numpy_helper.from_array(np.array([value], np.float32))
                self._made[name] = self.node("ConstantOfShape", ["length"], name, value=filler)
        return self._made["ones"], self._made["zeros"]
