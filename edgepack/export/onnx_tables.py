"""Embedding tables in an ONNX graph: codes of one byte a number, scales and minima by row.

At 8 and 4 bits a row is `code · scale + minimum`; below that it is centred, and its scale is one byte, an exponent
(formats: `edgepack.quantization`). What is stored smaller is unpacked by the session when it loads.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from edgepack.export.encoder_walk import Table
from edgepack.export.onnx_graph import Graph
from edgepack.export.onnx_packing import Packing
from edgepack.export.onnx_products import Products
from edgepack.export.onnx_weights import row_codes, row_exponents, row_minima, row_scales
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
        codes, scale, minimum = self._parts(table)
        x = graph.node("Cast", [graph.node("Gather", [codes, "input_ids"], "w.codes")], "w.float", to=FLOAT)
        x = graph.node("Mul", [x, graph.node("Gather", [scale, "input_ids"], "w.scale")], "w.scaled")
        return graph.node("Add", [x, graph.node("Gather", [minimum, "input_ids"], "w.minimum")], "w.rows")

    def positions(self, table: Table) -> str:
        """Position vectors `(seq, size)`; the table is small, and expanded to fp32 at load."""
        graph = self._graph
        if table.width.is_rounded:
            codes, scale, minimum = self._parts(table)
            x = graph.node("Mul", [graph.node("Cast", [codes], "p.float", to=FLOAT), scale], "p.scaled")
            whole = graph.node("Add", [x, minimum], "p.table")
        else:
            whole = self._products.parameter(table.path, (table.rows, table.columns))
        return graph.node("Slice", [whole, graph.integers(0), "length", graph.integers(0)], "p.rows")

    def types(self, table: Table) -> str:
        """Vectors of the token types `(batch, seq, size)`."""
        stored = self._products.parameter(table.path, (table.rows, table.columns))
        return self._graph.node("Gather", [stored, "token_type_ids"], "e.type")

    def centred(self, table: Table) -> tuple[str, str]:
        """A centred table's codes 0 … levels − 1, uint8 `(rows, columns)`, and the unit `(rows, 1)` of its numbers."""
        graph, name = self._graph, table.name
        codes = self._codes(table)
        stored = graph.initializer(f"{name}.exponent", UINT8, (table.rows, 1), lambda w: row_exponents(w, table))
        x = graph.node("Cast", [stored], f"{name}.exponent.float", to=FLOAT)
        x = graph.node("Sub", [x, graph.number(ROW_SCALE_ZERO)], f"{name}.steps")
        octave = np.array(np.log(2) / ROW_SCALES_PER_OCTAVE, np.float32)
        x = graph.node("Mul", [x, graph.initializer("octave", FLOAT, (), lambda _: octave)], f"{name}.log")
        return codes, graph.node("Exp", [x], f"{name}.unit")

    def _parts(self, table: Table) -> tuple[str, str, str]:
        """A table's codes uint8 `(rows, columns)`, scales and minima `(rows, 1)`, unpacked at load."""
        graph, width = self._graph, table.width
        if width.centred:
            codes, unit = self.centred(table)
            scale = graph.node("Mul", [unit, graph.number(width.code_step)], f"{unit}.step")
            lowest = -(width.levels - 1) * width.code_step / 2
            return codes, scale, graph.node("Mul", [unit, graph.number(lowest)], f"{unit}.minimum")
        shape = (table.rows, 1)
        scale = graph.initializer(f"{table.name}.scale", FLOAT16, shape, lambda w: row_scales(w, table))
        minimum = graph.initializer(f"{table.name}.minimum", FLOAT16, shape, lambda w: row_minima(w, table))
        scale, minimum = (graph.node("Cast", [part], f"{part}.float", to=FLOAT) for part in (scale, minimum))
        return self._codes(table), scale, minimum

    def _codes(self, table: Table) -> str:
        name, shape = f"{table.name}.codes", (table.rows, table.columns)
        if table.width == INT8:
            return self._graph.initializer(name, UINT8, shape, lambda weights: row_codes(weights, table))
        return self._packing.codes(name, lambda w: row_codes(w, table), table.width, shape[:1], table.columns)
