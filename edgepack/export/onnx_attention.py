"""Attention in an ONNX graph.

It is one `QAttention` with the products that it begins with, or `MultiHeadAttention` behind them where these are in
fp32, factorized or of one token alone, or scores have a bias. Query, key and value stand side by side in one product
where none of them is factorized. Masks: ONNX Runtime adds −10,000 to a padded key's score, torch −3.4e38; after the
softmax both are 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto

from edgepack.export.encoder_walk import Attention
from edgepack.export.linear import ATTENTION_INPUTS, Linear
from edgepack.export.matrix_format import width_of
from edgepack.export.onnx_graph import Graph
from edgepack.export.onnx_products import Products
from edgepack.export.onnx_tokens import Tokens
from edgepack.student.config import StudentConfig
from edgepack.student.relative_positions import bucket_by_distance

UINT8, INT32 = TensorProto.UINT8, TensorProto.INT32


class Attentions:
    """The attentions of one graph."""

    def __init__(self, graph: Graph, products: Products, tokens: Tokens, config: StudentConfig) -> None:
        self._graph, self._products, self._tokens, self._config = graph, products, tokens, config
        self._made: dict[str, str] = {}  # biases that several layers use

    def attend(self, tag: str, x: str, attention: Attention) -> str:
        """Attention's output."""
        x = self._tokens.real(x)
        bias = self._relative_bias(attention) if attention.relative else ""
        joined = attention.joined
        if joined is None or bias or attention.first_only or not width_of(joined, self._config).is_rounded:
            context = self._behind_products(tag, x, attention, bias)
        else:
            context = self._with_products(tag, x, joined, attention.heads)
        self._tokens.only_first = attention.first_only
        return self._products.chain(f"{tag}.output", self._tokens.real(context), attention.output)

    def _with_products(self, tag: str, x: str, joined: Linear, heads: int) -> str:
        operand, scale, shift = self._products.operand(joined)
        names = [f"{tag}.{name}" for name in ("codes", "step", "zero")]
        codes, step, zero = self._graph.split_node("DynamicQuantizeLinear", [x], names)
        inputs = [codes, operand, shift, step, scale, "mask", zero]
        return self._graph.node("QAttention", inputs, f"{tag}.context", num_heads=heads)

    def _behind_products(self, tag: str, x: str, attention: Attention, bias: str) -> str:
        queries = self._query_key_value(tag, x, attention)
        if bias and attention.first_only:
            limits = [self._graph.integers(0), self._graph.integers(1), self._graph.integers(2)]
            bias = self._graph.node("Slice", [bias, *limits], f"{tag}.bias")  # the first query's row
        inputs = [*queries, "", "mask", bias]
        return self._graph.node("MultiHeadAttention", inputs, f"{tag}.context", num_heads=attention.heads)

    def _query_key_value(self, tag: str, x: str, attention: Attention) -> Sequence[str]:
        outputs, inner = [f"{tag}.{name}" for name in ATTENTION_INPUTS], attention.inner
        if attention.joined is None:
            sources = [self._tokens.first(x) if attention.first_only else x, x, x]
            triples = zip(outputs, sources, attention.inputs, strict=True)
            return [self._products.chain(*triple) for triple in triples]
        if attention.first_only:
            return self._first_query(tag, x, attention.joined, inner)
        fused = self._products.product(f"{tag}.qkv", x, attention.joined)
        return self._graph.split_node("Split", [fused, self._graph.integers(inner, inner, inner)], outputs, axis=-1)

    def _first_query(self, tag: str, x: str, linear: Linear, inner: int) -> Sequence[str]:
        """The first token's query, and all keys and values: the joined operand is cut when the session loads it."""
        graph, parts = self._graph, self._products.operand(linear)
        at = graph.integers(-1)

        def product(source: str, name: str, first: int, last: int) -> str:
            limits = [graph.integers(first), graph.integers(last), at]
            cut = [part and graph.node("Slice", [part, *limits], f"{name}.{i}") for i, part in enumerate(parts)]
            return self._products.multiply(name, source, *cut)

        query = product(self._tokens.first(x), f"{tag}.query", 0, inner)
        both = product(x, f"{tag}.key_value", inner, 3 * inner)
        lengths, names = graph.integers(inner, inner), [f"{tag}.key", f"{tag}.value"]
        return [query, *graph.split_node("Split", [both, lengths], names, axis=-1)]

    def _relative_bias(self, attention: Attention) -> str:
        """MPNet's bias `(1, heads, seq, seq)`, made once for each weight set."""
        graph, path = self._graph, attention.path
        if path not in self._made:
            shape = (self._config.relative_attention_buckets, attention.heads)
            table = self._products.parameter(f"{path}.relative_bias", shape)
            by_pair = graph.node("Gather", [table, self._bucket_of_pair()], f"{path}.pairs")  # (seq, seq, heads)
            by_head = graph.node("Transpose", [by_pair], f"{path}.heads", perm=[2, 0, 1])
            self._made[path] = graph.node("Unsqueeze", [by_head, graph.integers(0)], f"{path}.bias")
        return self._made[path]

    def _bucket_of_pair(self) -> str:
        """Bucket of each (query, key), int32 `(seq, seq)`: looked up by their distance, query − key."""
        if "buckets" not in self._made:
            graph, most = self._graph, self._config.max_position_embeddings
            buckets = graph.initializer("relative_buckets", UINT8, (2 * most - 1,), self._by_distance)
            length = graph.node("Squeeze", ["length"], "r.length")
            positions = graph.node("Range", [graph.scalar(0), length, graph.scalar(1)], "r.positions")
            query = graph.node("Unsqueeze", [positions, graph.integers(1)], "r.query")
            distance = graph.node("Sub", [query, positions], "r.distance")
            index = graph.node("Add", [distance, graph.scalar(most - 1)], "r.index")
            bucket = graph.node("Gather", [buckets, index], "r.bucket")
            self._made["buckets"] = graph.node("Cast", [bucket], "r.buckets", to=INT32)
        return self._made["buckets"]

    def _by_distance(self, _: object) -> np.ndarray:
        return bucket_by_distance(self._config).numpy().astype(np.uint8)
