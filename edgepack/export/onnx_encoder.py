"""A student's config as an ONNX graph, node by node: embeddings, layers (`onnx_layers.py`), head.

Written rather than traced, so that each operator is the one that ONNX Runtime is fast at, and the file's size is known
from the config alone. The graph does not return hidden states.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from edgepack.export.onnx_layers import LayerGraph
from edgepack.export.onnx_weights import Linear
from edgepack.quantization import LEVELS, TERNARY
from edgepack.student.config import StudentConfig

FLOAT = TensorProto.FLOAT
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class EncoderGraph(LayerGraph):
    """The graph of one config. Building it needs no weights; filling it does (`Weights`).

    With `static_shape` it takes batch 1 and `max_position_embeddings` tokens.
    """

    def __init__(self, config: StudentConfig, static_shape: bool = False) -> None:
        super().__init__(config, static_shape)
        self.inputs = INPUTS if config.type_vocab_size else INPUTS[:2]
        widths = {config.embedding_bits, config.body_bits, *(config.widths or {}).values()}
        self.opset = 18 if any(bits < 8 for bits in widths) else 17  # 18 has BitwiseAnd
        self._build()

    def _build(self) -> None:
        config = self.config
        self.node("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)
        self.node("Shape", ["input_ids"], "length", start=1, end=2)
        x = self._embeddings()
        sizes, heads, widths = config.intermediate_sizes or [], config.num_heads or [], config.head_sizes or []
        for layer in range(config.num_hidden_layers):
            s = (config.attention_sharing or [])[layer]
            self._first_only = layer == config.first_token_layer
            y = self._attention(f"l{layer}", f"attention.{s}", x, config.hidden_size, (heads[s], widths[s]), s)
            x = self._first(x) if self._first_only else x
            x = self._add_norm(f"l{layer}.a", y, x, f"attention_norms.{layer}", config.hidden_size)
            s = (config.ffn_sharing or [])[layer]
            y = self._feed_forward(f"l{layer}", f"feed_forward.{s}", x, config.hidden_size, sizes[s], s)
            x = self._add_norm(f"l{layer}.f", y, x, f"ffn_norms.{layer}", config.hidden_size)
        self._head(x)
        self.finish()

    # embeddings

    def _embeddings(self) -> str:
        config = self.config
        codes = config.multiplies_codes and config.bits_of("embeddings.projection") < 32
        x = self._projected_codes() if codes else self._word_rows()
        if config.has_projection and not config.norm_before_projection and x == "w.rows":
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
        return self._product("e.project", self._real(x), self._embedding_projection(), fold_bias=False)[0]

    def _embedding_projection(self) -> Linear:
        sizes = (self.config.embedding_size, self.config.hidden_size)
        return Linear("embeddings.projection", ("embeddings.projection",), *sizes, self.config.projection_bias)

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
        shape, path = (config.vocab_size, config.embedding_size), "embeddings.word.weight"
        bits = config.embedding_bits
        if bits == 32:
            return self.node("Gather", [self._parameter(path, shape), "input_ids"], "w.rows")
        codes, scale, minimum = self._table(path, shape, bits)
        x = self.node("Cast", [self.node("Gather", [codes, "input_ids"], "w.codes")], "w.float", to=FLOAT)
        x = self.node("Mul", [x, self.node("Gather", [scale, "input_ids"], "w.scale")], "w.scaled")
        return self.node("Add", [x, self.node("Gather", [minimum, "input_ids"], "w.minimum")], "w.rows")

    def _projected_codes(self) -> str:
        """Word vectors `(batch, seq, H)`: a centred row's codes are whole numbers, multiplied as they are.

        A symmetric row rounded again would put the zero point at 127.5, where the last bit of a scale decides.
        """
        config = self.config
        bits = config.embedding_bits
        step = 1 if bits == TERNARY else 2
        shape, path = (config.vocab_size, config.embedding_size), "embeddings.word.weight"
        codes, unit = self._centred_table(path, shape, bits)
        whole = codes if step == 1 else self._shifted(codes, 1, "w.whole")
        zero = self.bytes("w.zero", np.array(step * (LEVELS[bits] - 1) // 2, np.uint8))
        gathered = self.node("Gather", [whole, "input_ids"], "w.codes")
        linear = self._embedding_projection()
        operand, scale, bias = self._operand(linear)
        one = self.initializer("w.one", FLOAT, (), lambda _: np.array(1, np.float32))  # the units differ by row
        x = self.node("MatMulIntegerToFloat", [gathered, operand, one, scale, zero], "w.product")
        unit = self.node("Gather", [unit, "input_ids"], "w.unit")
        x = self.node("Mul", [x, unit], "e.product" if bias else "e.project")
        return self.node("Add", [x, bias], "e.project") if bias else x

    def _position_rows(self) -> str:
        """Position vectors `(seq, width)`; the table is small, and expanded to fp32 at load."""
        config = self.config
        shape, path = (config.max_position_embeddings, config.sum_size), "embeddings.position.weight"
        if config.embedding_bits == 32:
            table = self._parameter(path, shape)
        else:
            codes, scale, minimum = self._table(path, shape, config.position_bits)
            x = self.node("Mul", [self.node("Cast", [codes], "p.float", to=FLOAT), scale], "p.scaled")
            table = self.node("Add", [x, minimum], "p.table")
        return self.node("Slice", [table, self.integers(0), "length", self.integers(0)], "p.rows")

    def _head(self, x: str) -> None:
        config = self.config
        one_token = config.task == "text-classification"
        x = self.node("Squeeze", [x, self.integers(1)], "h.first") if one_token else self._real(x)  # (batch, H) if one
        hidden, inputs = config.hidden_size, config.classifier_inputs
        if config.head_act is not None:
            dense = Linear("head.dense", ("head.dense",), hidden, inputs)
            x = self._activated("h.dense", x, [dense], config.head_act)
            x = x if one_token else self._real(x)
        classifier = Linear("head.classifier", ("head.classifier",), inputs, config.num_labels)
        self._product("logits", x, classifier, fold_bias=False)

    @property
    def output_shape(self) -> tuple[str | int, ...]:
        """Declared shape of `logits`."""
        labels = self.config.num_labels
        one_token = self.config.task == "text-classification"
        return (self.input_shape[0], labels) if one_token else (*self.input_shape, labels)

    @property
    def input_shape(self) -> tuple[str | int, str | int]:
        """Declared shape of the inputs."""
        return (1, self.config.max_position_embeddings) if self.static_shape else ("batch", "seq")

    def declared(self) -> onnx.ModelProto:
        """The model, its initializers declared but empty."""
        return self.model(self.inputs, "logits", self.output_shape, self.opset, self.input_shape)
