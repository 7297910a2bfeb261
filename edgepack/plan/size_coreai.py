"""Bytes of a Core AI asset from the config alone, within 0.5 %.

Nearly all of an asset is stored numbers, and those are exact: the exporter's walk is taken with an emitter that counts.
The rest, MLIR bytecode that describes the graph, is written by coreai-core and takes a number of bytes for each thing
described: `FITTED` was fitted to 101 files of 1.0.0b3, of 1 to 7 layers, and all of them are within 500 bytes. Writing
a file takes half a second and needs the package, so it cannot be tried for each candidate.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from edgepack.export.coreai_encoder import BITS, CoreaiEncoder, Make
from edgepack.plan.model_size import ModelSize
from edgepack.student.config import StudentConfig
from edgepack.target import Target
from edgepack.task.encoded import MODEL_INPUTS

FITTED = {  # bytes; "stored": a tensor, "shapes": its shape and type, "plain": a constant of an operator's own
    "blockwise_shift_scale": 19, "broadcasting_add": 66, "broadcasting_batch_matmul": 178, "broadcasting_divide": 332,
    "broadcasting_mul": 122, "broadcasting_sub": 17, "expand_dims": 105, "get_shape": 367, "plain": 76,
    "reduce_mean": 364, "reduce_sum": 105, "relu": 90, "scan": 423, "shapes": 31, "slice_": 45, "softmax": 603,
    "split": 122, "stored": 91, "zeros": 28,
}  # fmt: skip


@dataclass(frozen=True)
class Counted:
    """A value of the walk: nothing is known of it but that it is there."""


VALUE = Counted()


class CountingEmitter:
    """Counts operators by kind, and adds up stored numbers by name."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.tensors: dict[str, int] = {}
        self._plain: set[tuple[str, tuple[int, ...], bytes]] = set()
        self._shapes: set[tuple[tuple[int, ...], str]] = set()

    def op(self, operator: str, name: str, *operands: Any, **attributes: Any) -> Any:
        """One operator, with the constants that arrays become."""
        self.kinds[operator] += 1
        for operand in operands:
            if isinstance(operand, np.ndarray):
                self._plain.add((operand.dtype.str, operand.shape, operand.tobytes()))
        self.kinds["plain"] = len(self._plain)
        return [VALUE] * len(operands[1]) if operator == "split" else VALUE

    def constant(self, name: str, shape: tuple[int, ...], type_: str, make: Make) -> Counted:
        """Stored numbers."""
        if name not in self.tensors:
            self.tensors[name] = -(-prod(shape) * BITS[type_] // 8)
            self.kinds["stored"] += 1
            self._see(shape, type_)
        return VALUE

    def zeros(self, shape: tuple[int, ...], type_: str) -> Counted:
        """Zeros, which take no bytes."""
        self.kinds["zeros"] += 1
        self._see(shape, type_)
        return VALUE

    def _see(self, shape: tuple[int, ...], type_: str) -> None:
        self._shapes.add((shape, type_))
        self.kinds["shapes"] = len(self._shapes)


def model_bytes(config: StudentConfig, _: Target | None = None) -> ModelSize:
    """The size that `export_coreai` would write for this config at its bit widths."""
    emit = count(config)
    rest = sum(FITTED.get(kind, 0) * number for kind, number in emit.kinds.items())
    return ModelSize(sum(emit.tensors.values()) + rest, tuple(emit.tensors.items()))


def count(config: StudentConfig) -> CountingEmitter:
    """What the asset of a config would hold."""
    emit = CountingEmitter()
    names = MODEL_INPUTS[: 3 if config.type_vocab_size > 1 else 2]
    CoreaiEncoder(config, emit, dict.fromkeys(names, VALUE)).output()
    return emit
