"""A student's rounded numbers in the layouts that the ONNX file stores: codes from 0, blocks padded, rows with their
scales and minima in columns.

ONNX multiplies `(…, in) @ (in, out)`, torch keeps `(out, in)`: int8 operands are transposed before they are stored,
smaller ones by the session once it has unpacked them (`onnx_packing.py`).
"""

from __future__ import annotations

import numpy as np

from edgepack.export.encoder_walk import Table
from edgepack.export.weights import Weights
from edgepack.quantization import BitWidth, Blocks


def stored_codes(q: np.ndarray, width: BitWidth) -> np.ndarray:
    """Codes of `edgepack.quantization` as 0 … levels − 1: offset, halved where they are odd."""
    if width.code_step == 2:
        return ((q.astype(np.int16) + width.levels - 1) // 2).astype(np.uint8)
    return (q.astype(np.int16) + width.levels // 2).astype(np.uint8)


def padded_codes(blocks: Blocks) -> np.ndarray:
    """Codes 0 … levels − 1 of a matrix, uint8 `(out, blocks, block)`; the last block is padded with zeros."""
    rows, count = blocks.multiplier.shape
    padded = np.zeros((rows, count * blocks.block_size), np.uint8)
    padded[:, : blocks.q.shape[1]] = stored_codes(blocks.q.numpy(), blocks.width)
    return padded.reshape(rows, count, blocks.block_size)


def code_halves(blocks: Blocks) -> tuple[np.ndarray, np.ndarray]:
    """First and second codes of the pairs of all blocks, uint8 `(pairs,)` each; an odd block's last second one is 0."""
    codes = padded_codes(blocks)
    second = np.zeros_like(codes[..., ::2])
    second[..., : codes.shape[-1] // 2] = codes[..., 1::2]
    return codes[..., ::2].reshape(-1), second.reshape(-1)


def row_codes(weights: Weights, table: Table) -> np.ndarray:
    """Codes 0 … levels − 1 of a table, uint8 `(rows, columns)`."""
    if table.width.centred:
        return stored_codes(weights.centred_rows(table.path, table.width).q.numpy(), table.width)
    return weights.rows(table.path, table.width).q.numpy()


def row_scales(weights: Weights, table: Table) -> np.ndarray:
    """Scales of a table's rows, fp16 `(rows, 1)`."""
    return weights.rows(table.path, table.width).scale.half()[:, None].numpy()


def row_minima(weights: Weights, table: Table) -> np.ndarray:
    """Minima of a table's rows, fp16 `(rows, 1)`."""
    return weights.rows(table.path, table.width).minimum.half()[:, None].numpy()


def row_exponents(weights: Weights, table: Table) -> np.ndarray:
    """Exponents of the scales of a centred table's rows, uint8 `(rows, 1)`."""
    return weights.centred_rows(table.path, table.width).exponent[:, None].numpy()
