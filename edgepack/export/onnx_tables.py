"""Embedding tables in an ONNX graph: codes of one byte a number, scales and minima by row.

At 8 and 4 bits a row is `code · scale + minimum`; below that it is centred, and its scale is one byte, an exponent
(formats: `edgepack.quantization`). What is stored smaller is unpacked: of words, the rows that a text takes; of
positions, all of it when the session loads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto

from edgepack.export.encoder_walk import Table
from edgepack.export.onnx_graph import Graph
from edgepack.export.onnx_packing import Packing
from edgepack.export.onnx_products import Products
from edgepack.export.onnx_weights import row_codes, row_exponents, row_minima, row_scales
from edgepack.export.weights import Weights
from edgepack.quantization import INT8, ROW_SCALE_ZERO, ROW_SCALES_PER_OCTAVE

FLOAT, FLOAT16, UINT8 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8


class Tables:
    """The tables of one graph, and the rows that tokens take from them."""

    def __init__(self, graph: Graph, packing: Packing, products: Products) -> None:
        self._graph, self._packing, self._products = graph, packing, products

    def words(self, table: Table) -> str:
        """Word vectors `(batch, seq, E)`: the codes are gathered, then expanded."""
        graph = self._graph
        if not table.width.is_rounded:
            stored = self._products.parameter(table.path, (table.rows, table.columns))
            return graph.node("Gather", [stored, "input_ids"], "w.rows")
        scale, minimum = self._scales(table)
        codes = self.codes_of_words(table, FLOAT)
        x = graph.node("Mul", [codes, graph.node("Gather", [scale, "input_ids"], "w.scale")], "w.scaled")
        return graph.node("Add", [x, graph.node("Gather", [minimum, "input_ids"], "w.minimum")], "w.rows")

    def positions(self, table: Table) -> str:
        """Position vectors `(seq, size)`."""
        graph, whole = self._graph, self._expanded(table, "p")
        return graph.node("Slice", [whole, graph.integers(0), "length", graph.integers(0)], "p.rows")

    def buckets(self, table: Table) -> str:
        """Rows of the ids modulo the table's, `(batch, seq, columns)`: ids − rows · (ids / rows), all whole numbers."""
        graph = self._graph
        rows = graph.scalar(table.rows)
        times = graph.node("Mul", [graph.node("Div", ["input_ids", rows], "wide.times"), rows], "wide.whole")
        buckets = graph.node("Sub", ["input_ids", times], "wide.buckets")
        return graph.node("Gather", [self._expanded(table, "wide"), buckets], "wide.rows")

    def _expanded(self, table: Table, tag: str) -> str:
        """A small table in fp32, expanded when the session loads."""
        graph = self._graph
        if not table.width.is_rounded:
            return self._products.parameter(table.path, (table.rows, table.columns))
        scale, minimum = self._scales(table)
        x = graph.node("Mul", [self._numbers(table, tag), scale], f"{tag}.scaled")
        return graph.node("Add", [x, minimum], f"{tag}.table")

    def types(self, table: Table) -> str:
        """Vectors of the token types `(batch, seq, size)`."""
        stored = self._products.parameter(table.path, (table.rows, table.columns))
        return self._graph.node("Gather", [stored, "token_type_ids"], "e.type")

    def codes_of_words(self, table: Table, to: int) -> str:
        """Codes of each token's row `(batch, seq, columns)` as fp32; as uint8 the whole numbers that they stand for."""
        if table.width == INT8:
            codes = self._graph.node("Gather", [self._bytes(table), "input_ids"], "w.codes")
            return self._graph.node("Cast", [codes], "w.float", to=to) if to == FLOAT else codes
        name, values = f"{table.name}.codes", self._values(table)
        return self._packing.token_rows(name, values, table.width, table.rows, table.columns, "w", to)

    def unit(self, table: Table) -> str:
        """The unit `(rows, 1)` of a centred table's numbers."""
        graph, name = self._graph, table.name
        stored = graph.initializer(f"{name}.exponent", UINT8, (table.rows, 1), lambda w: row_exponents(w, table))
        x = graph.node("Cast", [stored], f"{name}.exponent.float", to=FLOAT)
        x = graph.node("Sub", [x, graph.number(ROW_SCALE_ZERO)], f"{name}.steps")
        octave = np.array(np.log(2) / ROW_SCALES_PER_OCTAVE, np.float32)
        x = graph.node("Mul", [x, graph.initializer("octave", FLOAT, (), lambda _: octave)], f"{name}.log")
        return graph.node("Exp", [x], f"{name}.unit")

    def _scales(self, table: Table) -> tuple[str, str]:
        """Scales and minima of a table's rows `(rows, 1)`, unpacked at load."""
        graph, width = self._graph, table.width
        if width.centred:
            unit = self.unit(table)
            scale = graph.node("Mul", [unit, graph.number(width.code_step)], f"{unit}.step")
            lowest = -(width.levels - 1) * width.code_step / 2
            return scale, graph.node("Mul", [unit, graph.number(lowest)], f"{unit}.minimum")
        shape = (table.rows, 1)
        scale = graph.initializer(f"{table.name}.scale", FLOAT16, shape, lambda w: row_scales(w, table))
        minimum = graph.initializer(f"{table.name}.minimum", FLOAT16, shape, lambda w: row_minima(w, table))
        scale, minimum = (graph.node("Cast", [part], f"{part}.float", to=FLOAT) for part in (scale, minimum))
        return scale, minimum

    def _numbers(self, table: Table, tag: str) -> str:
        """All codes of a table, fp32 `(rows, columns)`, unpacked at load."""
        if table.width == INT8:
            return self._graph.node("Cast", [self._bytes(table)], f"{tag}.float", to=FLOAT)
        return self._packing.table(f"{table.name}.codes", self._values(table), table.width, table.rows, table.columns)

    def _bytes(self, table: Table) -> str:
        """Codes of 8 bits, uint8 `(rows, columns)`."""
        return self._graph.initializer(f"{table.name}.codes", UINT8, (table.rows, table.columns), self._values(table))

    def _values(self, table: Table) -> Callable[[Weights], np.ndarray]:
        return lambda weights: row_codes(weights, table)
