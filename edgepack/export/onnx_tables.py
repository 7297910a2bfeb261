"""Embedding tables in an ONNX graph: codes of one byte a number, scales and minima by row.

At 8 and 4 bits a row is `code · scale + minimum`; below that it is centred, and its scale is one byte, an exponent
(formats: `edgepack.quantization`). What is stored smaller is unpacked by the session when it loads.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from onnx import TensorProto

from edgepack.export.onnx_packing import PackingGraph
from edgepack.export.onnx_weights import Weights
from edgepack.quantization import LEVELS, ROW_SCALE_ZERO, ROW_SCALES_PER_OCTAVE, TERNARY

FLOAT, FLOAT16, UINT8 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8


class TableGraph(PackingGraph):
    """A graph builder with rounded tables."""

    def _table(self, path: str, shape: tuple[int, int], bits: int) -> tuple[str, str, str]:
        """A table's codes uint8 `(rows, columns)`, scales and minima `(rows, 1)`, unpacked at load."""
        if bits < 4:
            codes, unit = self._centred_table(path, shape, bits)
            step = 1 if bits == TERNARY else 2  # odd codes are 2 apart
            scale = self.node("Mul", [unit, self.number(step)], f"{unit}.step")
            minimum = self.node("Mul", [unit, self.number(-(LEVELS[bits] - 1) * step / 2)], f"{unit}.minimum")
            return codes, scale, minimum
        name = path.removesuffix(".weight")
        scale, minimum = (
            self.initializer(f"{name}.{part}", FLOAT16, (shape[0], 1), partial(_row_part, path, bits, part))
            for part in ("scale", "minimum")
        )
        scale, minimum = (self.node("Cast", [part], f"{part}.float", to=FLOAT) for part in (scale, minimum))
        values = partial(_row_part, path, bits, "codes")
        if bits == 8:
            return self.initializer(f"{name}.codes", UINT8, shape, values), scale, minimum
        return self.packed_rows(f"{name}.codes", values, bits, shape), scale, minimum

    def _centred_table(self, path: str, shape: tuple[int, int], bits: int) -> tuple[str, str]:
        """A centred table's codes 0 … levels − 1, uint8 `(rows, columns)`, and the unit `(rows, 1)` of its numbers."""
        name = path.removesuffix(".weight")
        codes = self.packed_rows(f"{name}.codes", partial(_row_part, path, bits, "codes"), bits, shape)
        stored = self.initializer(f"{name}.exponent", UINT8, (shape[0], 1), partial(_row_part, path, bits, "exponent"))
        x = self.node("Cast", [stored], f"{name}.exponent.float", to=FLOAT)
        x = self.node("Sub", [x, self.number(ROW_SCALE_ZERO)], f"{name}.steps")
        octave = np.array(np.log(2) / ROW_SCALES_PER_OCTAVE, np.float32)
        x = self.node("Mul", [x, self.initializer("octave", FLOAT, (), lambda _: octave)], f"{name}.log")
        return codes, self.node("Exp", [x], f"{name}.unit")


def _row_part(path: str, bits: int, part: str, weights: Weights) -> np.ndarray:
    return weights.rows(path, bits)[part]
