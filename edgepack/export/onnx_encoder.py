"""A student's config as an ONNX graph: the walk of the encoder, each step written by the part that owns it.

Written rather than traced, so that each operator is the one that ONNX Runtime is fast at, and the file's size is known
from the config alone. The graph does not return hidden states.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto

from edgepack.export.encoder_walk import LEAST_LENGTH, Attention, EncoderWalk, Table
from edgepack.export.linear import Linear
from edgepack.export.matrix_format import width_of
from edgepack.export.onnx_attention import Attentions
from edgepack.export.onnx_graph import Graph
from edgepack.export.onnx_packing import Packing
from edgepack.export.onnx_products import ACTIVATIONS, FUSED_ACTIVATIONS, Products
from edgepack.export.onnx_tables import Tables
from edgepack.export.onnx_tokens import Tokens
from edgepack.quantization import bit_width
from edgepack.student.config import StudentConfig
from edgepack.task.encoded import MODEL_INPUTS

FLOAT = TensorProto.FLOAT
# values whose names in the file are not their tags'
NAMES = {"e.types.sum": "e.typed", "e.positions.sum": "e.sum", "wide.sum": "logits"}
# of a product of the words' codes: as it is, as a vector, and in between where it has a bias
CODE_PRODUCTS = {
    "e.projection": ("w.product", "e.project", "e.product"),
    "e.convolution": ("c.product", "c.products", "c.scaled"),
}
SHORT = {"attention": "a", "ffn": "f", "output": "o"}  # last words of a norm's and a sum's tag, in the file


class OnnxEncoder(EncoderWalk[str]):
    """The graph of one config. Building it needs no weights; filling it does (`Weights`).

    With `static_shape` it takes batch 1 and `max_position_embeddings` tokens.
    """

    added_tables = ("types", "positions")  # position rows have no batch, so they are added last

    def __init__(self, config: StudentConfig, static_shape: bool = False) -> None:
        super().__init__(config)
        self.static_shape = static_shape
        self.inputs = MODEL_INPUTS if config.type_vocab_size else MODEL_INPUTS[:2]
        widths = [config.embedding_width, config.body_width, *map(bit_width, (config.widths or {}).values())]
        self.opset = 18 if any(width.codes_per_byte > 1 for width in widths) else 17  # 18 has BitwiseAnd
        self.graph = Graph()
        self._word_codes: tuple[str, str] | None = None
        self._tokens = Tokens(self.graph, masked=static_shape and config.body_width.is_rounded)
        self._packing = Packing(self.graph)
        self._products = Products(self.graph, self._packing, self._tokens, config)
        self._tables = Tables(self.graph, self._packing, self._products)
        self._attentions = Attentions(self.graph, self._products, self._tokens, config)
        self.graph.node("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)
        self.graph.node("Shape", ["input_ids"], "length", start=1, end=2)
        last = self.logits()
        if last != self.config.output_name:
            self.graph.node("Identity", [last], self.config.output_name)
        self._packing.finish()

    # the steps of the walk

    def rows(self, table: Table) -> str:
        """The table's row of each token."""
        tables = self._tables
        steps = {"words": tables.words, "positions": tables.positions, "types": tables.types, "buckets": tables.buckets}
        return steps[table.index](table)

    def word_rows(self, tag: str, table: Table, linear: Linear | None) -> str:
        """Word vectors; where their codes can be multiplied as they are, the matrix behind them does that."""
        if linear is None or not self.config.multiplies_codes or not width_of(linear, self.config).is_rounded:
            return super().word_rows(tag, table, linear)
        return self._product_of_codes(tag, table, linear)

    def linear(self, tag: str, x: str, linear: Linear) -> str:
        """`x @ weight + bias`."""
        return self.chain(tag, x, (linear,))

    def chain(self, tag: str, x: str, linears: Sequence[Linear]) -> str:
        """A projection's products: zero at padding is zero behind the first of them too, which has no bias."""
        tag = "e.project" if tag == "e.projection" else tag
        return self._products.chain(tag, self._tokens.real(x), linears)

    def activated(self, tag: str, x: str, linears: Sequence[Linear], act: str) -> str:
        """A projection and an activation, which may add the bias itself."""
        return self._products.activated(tag, self._tokens.real(x), linears, act)

    def activation(self, tag: str, x: str, act: str) -> str:
        """An activation behind no projection."""
        return self.graph.node((ACTIVATIONS | FUSED_ACTIVATIONS)[act], [x], f"{tag}.act")

    def add(self, tag: str, x: str, y: str) -> str:
        """The sum of both."""
        name = f"{_short(tag)}.sum"
        return self.graph.node("Add", [x, y], NAMES.get(name, name))

    def residual(self, tag: str, x: str, y: str) -> str:
        """A block's output, and its input behind it."""
        return self.add(tag, y, x)

    def norm(self, tag: str, x: str, path: str, size: int) -> str:
        """The config's norm."""
        return self._products.norm(_short(tag), x, path, size)

    def first(self, tag: str, x: str) -> str:
        """The first token `(batch, 1, size)`."""
        return self._tokens.first(x)

    def attention(self, tag: str, x: str, attention: Attention) -> str:
        """Attention's output."""
        return self._attentions.attend(tag, x, attention)

    def pooled(self, x: str) -> str:
        """`(batch, size)` where the head gives one answer a text."""
        if not self.config.reads_first:
            return super().pooled(x)
        return self.graph.node("Squeeze", [x, self.graph.integers(1)], "h.first")

    def mean(self, tag: str, x: str, last: bool) -> str:
        """A row of weights times the tokens: `(batch, size)`."""
        return self._tokens.mean(tag, x, last)

    def sum_neighbours(self, tag: str, x: str, places: Sequence[int]) -> str:
        """Each place's columns, moved by padding and cutting off at the ends."""
        return self._tokens.sum_neighbours(tag, x, places, self.config.hidden_size)

    def matches(self, tag: str, path: str, separator: int) -> str:
        """Ids of both texts compared, all with all."""
        vector = self._products.vector(path, self.config.hidden_size, lambda weights: weights.parameter(path).numpy())
        return self._tokens.matches(tag, separator, vector)

    def unit(self, tag: str, x: str) -> str:
        """Vectors divided by their length; one that is 0 stays 0."""
        graph = self.graph
        squares = graph.node("Mul", [x, x], f"{tag}.squares")
        total = graph.node("ReduceSum", [squares, graph.integers(1)], f"{tag}.total")
        length = graph.node("Sqrt", [total], f"{tag}.length")
        least = graph.initializer("least_length", FLOAT, (), lambda _: np.array(LEAST_LENGTH, np.float32))
        return graph.node("Div", [x, graph.node("Max", [length, least], f"{tag}.divisor")], tag)

    def _product_of_codes(self, tag: str, table: Table, linear: Linear) -> str:
        """A product of word vectors `(batch, seq, n)`: a centred row's codes are whole numbers, multiplied as they are.

        A symmetric row rounded again would put the zero point at 127.5, where the last bit of a scale decides.
        """
        graph, width = self.graph, table.width
        codes, unit = self._codes_and_unit(table)
        zero = graph.bytes("w.zero", np.array(width.code_step * (width.levels - 1) // 2, np.uint8))
        operand, scale, bias = self._products.operand(linear)
        one = graph.initializer("w.one", FLOAT, (), lambda _: np.array(1, np.float32))  # the units differ by row
        first, last, scaled = CODE_PRODUCTS[tag]
        x = graph.node("MatMulIntegerToFloat", [codes, operand, one, scale, zero], first)
        x = graph.node("Mul", [x, unit], scaled if bias else last)
        return graph.node("Add", [x, bias], last) if bias else x

    def _codes_and_unit(self, table: Table) -> tuple[str, str]:
        """The words' codes `(batch, seq, E)` and what each row's are multiplied by, gathered once."""
        if self._word_codes is None:
            codes = self._tables.codes_of_words(table, TensorProto.UINT8)
            self._word_codes = codes, self.graph.node("Gather", [self._tables.unit(table), "input_ids"], "w.unit")
        return self._word_codes

    # the model

    @property
    def output_shape(self) -> tuple[str | int, ...]:
        """Declared shape of the output."""
        outputs = self.config.outputs
        return (*self.input_shape, outputs) if self.config.per_token else (self.input_shape[0], outputs)

    @property
    def input_shape(self) -> tuple[str | int, str | int]:
        """Declared shape of the inputs."""
        return (1, self.config.max_position_embeddings) if self.static_shape else ("batch", "seq")

    def declared(self) -> onnx.ModelProto:
        """The model, its initializers declared but empty."""
        return self.graph.model(self.inputs, self.config.output_name, self.output_shape, self.opset, self.input_shape)


def _short(tag: str) -> str:
    """A tag with its last word as the file has it: `l0.attention` is `l0.a`."""
    first, _, last = tag.rpartition(".")
    return f"{first}.{SHORT[last]}" if last in SHORT else tag
