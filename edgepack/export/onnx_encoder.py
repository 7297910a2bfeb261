"""A student's config as an ONNX graph, node by node.

Written rather than traced, so that every int8 product with its bias is one `DynamicQuantizeMatMul`, attention is one
`MultiHeadAttention`, and a weight set that layers share is one initializer (tracing and constant folding store it once
for each use). Residual + norm is written out in plain operators on purpose: ONNX Runtime 1.32 computes
`SkipLayerNormalization` and `LayerNormalization` with scalar code, the plain ones with vector code; at 32 tokens of 384
numbers 18 µs against 58 µs, and the norms were half of a small student's latency. The `Div` by the deviation stands on
the gain, so that no optimizer recognizes the pattern and fuses it back. Three formats, from
`edgepack.compress.quantization`:

- int8 weight `(in, out)` with one fp32 scale for each output channel; query, key and value stand side by side in one
  product where none of them is factorized, their scales too.
- 4 bits in the file, int8 at run time: codes `(blocks, block, out)` times multipliers `(blocks, 1, out)` make the
  int8 operand. The chain has only constants in it, so ONNX Runtime folds it once when it loads the file and then
  runs at int8 speed. Price: a longer load. Codes are packed in uint8 by hand, not stored as ONNX's INT4: the bytes
  are the same, but ONNX Runtime 1.22 and older cannot cast INT4, and BitwiseAnd needs opset 18 only, INT4 21.
- embedding rows as uint8 codes that are gathered first and expanded afterwards, so the table stays small in memory
  too.

The multiply in fp32 is exact: codes −8…7 times 1…15 stay within int8. Masks: ONNX Runtime adds −10,000 to a padded
key's score, torch −3.4e38; after the softmax both are 0. The graph does not return hidden states.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from onnx import TensorProto

from edgepack.export.onnx_graph import GraphBuilder
from edgepack.export.onnx_weights import CODE_OFFSET, Linear, Weights, pack_nibbles
from edgepack.student.config import ATTENTION_MATRICES, FFN_MATRICES, StudentConfig
from edgepack.student.model import relative_buckets

FLOAT, FLOAT16, UINT8, INT8 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8, TensorProto.INT8
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class EncoderGraph(GraphBuilder):
    """The graph of one config. Building it needs no weights; filling it does (`Weights`)."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.config = config
        self.inputs = INPUTS if config.type_vocab_size else INPUTS[:2]
        self.opset = 18 if 4 in (config.body_bits, config.embedding_bits) else 17  # 18 has BitwiseAnd
        self._made: dict[str, str] = {}  # values that several layers use
        self._build()

    def _build(self) -> None:
        config = self.config
        self.node("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)
        self.node("Shape", ["input_ids"], "length", start=1, end=2)
        x = self._embeddings()
        sizes, heads, widths = config.intermediate_sizes or [], config.num_heads or [], config.head_sizes or []
        for layer in range(config.num_hidden_layers):
            s = (config.attention_sharing or [])[layer]
            y = self._attention(f"l{layer}", f"attention.{s}", x, config.hidden_size, (heads[s], widths[s]), s)
            x = self._add_norm(f"l{layer}.a", y, x, f"attention_norms.{layer}", config.hidden_size)
            s = (config.ffn_sharing or [])[layer]
            y = self._feed_forward(f"l{layer}", f"feed_forward.{s}", x, config.hidden_size, sizes[s], s)
            x = self._add_norm(f"l{layer}.f", y, x, f"ffn_norms.{layer}", config.hidden_size)
        self._head(x)

    # embeddings

    def _embeddings(self) -> str:
        config = self.config
        x = self._word_rows()
        if config.has_projection and not config.norm_before_projection:
            x = self._projection(x)
        if config.type_vocab_size:
            shape = (config.type_vocab_size, config.sum_size)
            table = self._parameter("embeddings.token_type.weight", shape)
            x = self.node("Add", [x, self.node("Gather", [table, "token_type_ids"], "e.type")], "e.typed")
        x = self._add_norm("e", x, self._position_rows(), "embeddings.norm", config.sum_size)
        if config.has_projection and config.norm_before_projection:
            x = self._projection(x)
        return self._self_attentive(x) if config.embedding_projection == "self_attentive" else x

    def _projection(self, x: str) -> str:
        config = self.config
        sizes = (config.embedding_size, config.hidden_size)
        linear = Linear("embeddings.projection", ("embeddings.projection",), *sizes, config.projection_bias)
        return self._product("e.project", x, linear, fold_bias=False)[0]

    def _self_attentive(self, x: str) -> str:
        """Subformer's SAFE: attention at width E, then a feed-forward network to H without a residual."""
        config, width = self.config, self.config.embedding_size
        heads = (config.embedding_num_heads, width // config.embedding_num_heads)
        y = self._attention("e", "embeddings.attention", x, width, heads)
        x = self._add_norm("e.a", y, x, "embeddings.attention_norm", width)
        inner = config.embedding_intermediate_size
        y = self._feed_forward("e", "embeddings.feed_forward", x, width, inner)
        return self._norm("e.o", y, "embeddings.output_norm", config.hidden_size)

    def _word_rows(self) -> str:
        """Word vectors `(batch, seq, E)`: the codes are gathered, then expanded."""
        config = self.config
        shape = (config.vocab_size, config.embedding_size)

        def gather(table: str, name: str) -> str:
            return self.node("Gather", [table, "input_ids"], name)

        return self._rows("w", "embeddings.word.weight", shape, config.embedding_bits, gather)

    def _position_rows(self) -> str:
        """Position vectors `(seq, width)`, at 8 bits whenever the word table is rounded at all."""
        config = self.config
        bits = 32 if config.embedding_bits == 32 else 8

        def first(table: str, name: str) -> str:
            return self.node("Slice", [table, self.integers(0), "length", self.integers(0)], name)

        shape = (config.max_position_embeddings, config.sum_size)
        return self._rows("p", "embeddings.position.weight", shape, bits, first)

    def _rows(self, tag: str, path: str, shape: tuple[int, int], bits: int, select: Callable[[str, str], str]) -> str:
        """The selected rows of a table as fp32."""
        if bits == 32:
            return select(self._parameter(path, shape), f"{tag}.rows")
        rows, columns = shape
        stored = FLOAT16 if bits == 4 else FLOAT
        table_path = path.removesuffix(".weight")

        def table(part: str, data_type: int, width: int) -> str:
            values = lambda weights: weights.rows(path, bits)[part]  # noqa: E731
            return select(self.initializer(f"{table_path}.{part}", data_type, (rows, width), values), f"{tag}.{part}")

        codes = table("codes", UINT8, -(-columns * bits // 8))
        scale, minimum = table("scale", stored, 1), table("minimum", stored, 1)
        if bits == 4:
            codes = self._unpacked(tag, codes, columns)
            scale, minimum = (self.node("Cast", [v], f"{v}32", to=FLOAT) for v in (scale, minimum))
        x = self.node("Mul", [self.node("Cast", [codes], f"{tag}.float", to=FLOAT), scale], f"{tag}.scaled")
        return self.node("Add", [x, minimum], f"{tag}.rows")

    def _unpacked(self, tag: str, codes: str, columns: int) -> str:
        """`(…, ⌈columns/2⌉)` bytes → `(…, columns)` codes (the inverse of `pack_nibbles`)."""
        fifteen = self.initializer("nibble", UINT8, (), lambda _: np.array(15, np.uint8))
        four = self.initializer("shift", UINT8, (), lambda _: np.array(4, np.uint8))
        low = self.node("BitwiseAnd", [codes, fifteen], f"{tag}l")
        high = self.node("BitShift", [codes, four], f"{tag}h", direction="RIGHT")
        both = self.node("Concat", [low, high], f"{tag}b", axis=-1)
        if columns % 2 == 0:
            return both
        return self.node("Slice", [both, self.integers(0), self.integers(columns), self.integers(-1)], f"{tag}c")

    # layers

    def _attention(
        self, tag: str, path: str, x: str, width: int, heads: tuple[int, int], weight_set: int | None = None
    ) -> str:
        """Attention's output."""
        num_heads, head_size = heads
        inner = num_heads * head_size
        ranks = self._ranks(ATTENTION_MATRICES, weight_set)
        queries = self._query_key_value(tag, path, x, width, inner, ranks)
        bias = "" if weight_set is None else self._relative_bias(path, num_heads)
        context = self.node("MultiHeadAttention", [*queries, "", "mask", bias], f"{tag}.context", num_heads=num_heads)
        output = self._factors(f"{path}.output", inner, width, ranks["output"])
        return self._chain(f"{tag}.output", context, output, fold_bias=False)[0]

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
            return [self._chain(o, x, f, fold_bias=False)[0] for o, f in zip(outputs, factors, strict=True)]
        linear = Linear(f"{path}.qkv", tuple(f"{path}.{name}.full" for name in names), width, 3 * inner)
        fused, _ = self._product(f"{tag}.qkv", x, linear, fold_bias=False)
        return self.split_node("Split", [fused, self.integers(inner, inner, inner)], outputs, axis=-1)

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
        x = self._activated(f"{tag}.up", x, up, config.hidden_act)
        down = self._factors(f"{path}.down", inner, config.hidden_size, ranks["down"])
        return self._chain(f"{tag}.down", x, down, fold_bias=False)[0]

    def _activated(self, tag: str, x: str, factors: Sequence[Linear], act: str) -> str:
        """Product, bias and activation; the two GELUs add the bias themselves."""
        fused = {"gelu": "BiasGelu", "gelu_tanh": "FastGelu"}.get(act)
        x, bias = self._chain(tag, x, factors, fold_bias=fused is not None)
        if fused:
            return self.node(fused, [x, bias or ""], f"{tag}.act")
        return self.node("Relu" if act == "relu" else "Tanh", [x], f"{tag}.act")

    def _head(self, x: str) -> None:
        config = self.config
        if config.task == "text-classification":
            x = self.node("Gather", [x, self.scalar(0)], "h.first", axis=1)  # (batch, H)
        hidden = config.hidden_size
        if config.head_act is not None:
            x = self._activated("h.dense", x, [Linear("head.dense", ("head.dense",), hidden, hidden)], config.head_act)
        classifier = Linear("head.classifier", ("head.classifier",), hidden, config.num_labels)
        self._product("logits", x, classifier, fold_bias=False)

    @property
    def output_shape(self) -> tuple[str | int, ...]:
        """Declared shape of `logits`."""
        labels = self.config.num_labels
        return ("batch", labels) if self.config.task == "text-classification" else ("batch", "seq", labels)

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
        bias = None
        if linear.bias:
            shape = (linear.out_features,)
            bias = self.initializer(f"{linear.name}.bias", FLOAT, shape, lambda weights: weights.bias(linear))
        added = None if fold_bias else bias
        operand = self._int8_operand(linear) if self.config.body_bits == 4 else self._stored_operand(linear)
        if self.config.body_bits == 32:
            product = self.node("MatMul", [x, operand], output if added is None else f"{output}.product")
            y = product if added is None else self.node("Add", [product, added], output)
        else:
            scale = self._part(linear, "scale", FLOAT, (linear.out_features,))
            y = self.node("DynamicQuantizeMatMul", [x, operand, scale, "", added or ""], output)
        return y, bias if fold_bias else None

    def _stored_operand(self, linear: Linear) -> str:
        part, data_type = ("weight", FLOAT) if self.config.body_bits == 32 else ("codes", INT8)
        return self._part(linear, part, data_type, (linear.in_features, linear.out_features))

    def _int8_operand(self, linear: Linear) -> str:
        """The chain that the session folds into an int8 `(in, out)` operand, made once for each weight set."""
        if linear.name in self._made:
            return self._made[linear.name]
        tag, columns = f"w{len(self._made)}", linear.out_features
        block = min(self.config.block_size, linear.in_features)
        blocks = -(-linear.in_features // block)
        whole = blocks * block == linear.in_features
        shape = (blocks, block, columns) if whole else (linear.in_features, columns)
        codes = self._nibbles(f"{tag}q", linear, "codes", shape)
        multiplier = self._nibbles(f"{tag}m", linear, "multiplier", (blocks, 1, columns))
        if not whole:  # the last block is shorter: spread the multipliers over rows, cut to the rows there are
            spread = self.node("Expand", [multiplier, self.integers(blocks, block, columns)], f"{tag}.spread")
            rows = self.node("Reshape", [spread, self.integers(-1, columns)], f"{tag}.rows")
            limits = [self.integers(0), self.integers(linear.in_features), self.integers(0)]
            multiplier = self.node("Slice", [rows, *limits], f"{tag}.cut")
        eight = self.initializer("offset", FLOAT, (), lambda _: np.array(CODE_OFFSET, np.float32))
        product = self.node("Mul", [self.node("Sub", [codes, eight], f"{tag}s"), multiplier], f"{tag}p")
        operand = self.node("Cast", [product], f"{tag}i", to=INT8)
        if whole:
            operand = self.node("Reshape", [operand, self.integers(-1, columns)], f"{tag}r")
        self._made[linear.name] = operand
        return operand

    def _nibbles(self, tag: str, linear: Linear, part: str, shape: tuple[int, ...]) -> str:
        """A 4-bit part of an operand, unpacked to fp32 in the given shape."""
        packed = (*shape[:-1], -(-shape[-1] // 2))
        values = lambda weights: pack_nibbles(weights.operand(linear)[part].reshape(shape))  # noqa: E731
        name = self.initializer(f"{linear.name}.{part}", UINT8, packed, values)
        return self.node("Cast", [self._unpacked(tag, name, shape[-1])], f"{tag}f", to=FLOAT)

    def _part(self, linear: Linear, part: str, data_type: int, shape: tuple[int, ...]) -> str:
        """One of a product's arrays, in the shape the graph wants."""
        values = lambda weights: weights.operand(linear)[part].reshape(shape)  # noqa: E731
        return self.initializer(f"{linear.name}.{part}", data_type, shape, values)

    def _parameter(self, path: str, shape: tuple[int, ...]) -> str:
        return self.initializer(path.removesuffix(".weight"), FLOAT, shape, lambda weights: weights.parameter(path))

    def _norm_parameters(self, path: str, size: int) -> tuple[str, str]:
        gain = self.initializer(f"{path}.gain", FLOAT, (size,), lambda weights: weights.parameter(f"{path}.weight"))
        return gain, self.initializer(f"{path}.bias", FLOAT, (size,), lambda w: w.parameter(f"{path}.bias"))

    def _add_norm(self, tag: str, x: str, skip: str, path: str, size: int) -> str:
        """`norm(x + skip)`."""
        return self._norm(tag, self.node("Add", [x, skip], f"{tag}.sum"), path, size)

    def _norm(self, tag: str, x: str, path: str, size: int) -> str:
        """The config's norm over the last axis, of the given size."""
        gain, bias = self._norm_parameters(path, size)
        if self.config.norm == "layer_norm":
            epsilon = self.initializer("epsilon", FLOAT, (), lambda _: np.array(self.config.norm_eps, np.float32))
            x = self.node("Sub", [x, self._mean(f"{tag}.mean", x)], f"{tag}.centred")
            squares = self.node("Mul", [x, x], f"{tag}.squares")
            variance = self.node("Add", [self._mean(f"{tag}.variance", squares), epsilon], f"{tag}.positive")
            gain = self.node("Div", [gain, self.node("Sqrt", [variance], f"{tag}.deviation")], f"{tag}.gain")
        return self.node("Add", [self.node("Mul", [x, gain], f"{tag}.scaled"), bias], f"{tag}.norm")

    def _mean(self, output: str, x: str) -> str:
        """The mean over the last axis, kept as an axis of 1; opset 18 made the axes an input."""
        if self.opset < 18:
            return self.node("ReduceMean", [x], output, axes=[-1], keepdims=1)
        return self.node("ReduceMean", [x, self.integers(-1)], output, keepdims=1)
