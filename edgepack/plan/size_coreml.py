"""Bytes of a Core ML package from the config alone.

`weight.bin` is exact to some hundred bytes: a header of 64 bytes, then for each constant of ten numbers or more 64
bytes that say what it is and its content, padded to 64. `model.mlmodel` is protobuf: each operator takes a number of
bytes that its kind decides, and names, which stand at the value that they name and wherever it is used. The walk that
the exporter takes is taken here too, with an emitter that counts. The kinds' bytes were fitted to 24 packages
(`FITTED`), of which none is further off than 0.5 % of its specification; the fit tells kinds that come together apart
by chance, so only the sum means anything. Dimensions above 127, a byte longer in protobuf, are what it does not know.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import Any

from edgepack.export.coreml_encoder import BITS, CoremlEncoder, Make
from edgepack.plan.model_size import ModelSize
from edgepack.student.config import StudentConfig
from edgepack.target import Target
from edgepack.task.encoded import MODEL_INPUTS
from edgepack.task.similarity import EMBEDS

ALIGNMENT = 64
INLINE = 10  # constants of fewer numbers stand in the specification
MANIFEST_BYTES = 509
FITTED = {  # bytes without names; "const": one in weight.bin, "inline": one in the specification
    "base": 282, "add": 241, "cast": 344, "const": 99, "constexpr_blockwise_shift_scale": -123,
    "constexpr_lut_to_dense": 60, "cumsum": 282,
    "expand_dims": 314, "fill_like": 185, "gather": 429, "gelu": 296, "inline": 97, "layer_norm": 465, "linear": 216,
    "matmul": 160, "mod": 130, "mul": 9, "pad": 770, "relu": 198, "reshape": 115, "slice_by_index": 555,
    "slice_by_size": 329, "softmax": 190,
    "split": 213, "squeeze": 385, "sub": 298, "tanh": 183, "transpose": 148,
    "equal": 330, "maximum": 200, "real_div": 184, "reduce_l2_norm": 254, "reduce_sum": 200, "vector": 360,
    "match": -1885,  # of the steps that find words of both texts, which are smaller than their kinds say
}  # fmt: skip


@dataclass(frozen=True)
class Counted:
    """A value of the walk: its name."""

    name: str


class CountingEmitter:
    """Counts operators by kind, characters of names, and constants."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.characters = 0
        self.tensors: dict[str, int] = {}  # constants in weight.bin
        self.inline_bytes = 0
        self._made: dict[str, Counted] = {}

    def op(self, operator: str, name: str, **inputs: Any) -> Any:
        """One operator, with the constants that its own arguments become."""
        self.kinds[operator] += 1
        self.characters += 2 * len(name)
        for key, value in inputs.items():
            used = value if isinstance(value, Counted) else None
            self.characters += len(used.name) if used else len(name) + len(key)
        if operator == "split":
            return [Counted(f"{name}_{i}") for i in range(inputs["num_splits"])]
        return Counted(name)

    def constant(self, name: str, shape: tuple[int, ...], dtype: str, make: Make) -> Counted:
        """A constant."""
        if name not in self._made:
            self._made[name] = Counted(name)
            self.characters += 2 * len(name)
            size = -(-prod(shape) * BITS[dtype] // 8)
            self.kinds["const" if prod(shape) >= INLINE else "inline"] += 1
            if prod(shape) >= INLINE:
                self.tensors[name] = size
            else:
                self.inline_bytes += size
        return self._made[name]


def model_bytes(config: StudentConfig, _: Target | None = None) -> ModelSize:
    """The size that `export_coreml` would write for this config at its bit widths."""
    emit = count(config)
    padded = sum(ALIGNMENT + -(-size // ALIGNMENT) * ALIGNMENT for size in emit.tensors.values())
    return ModelSize(ALIGNMENT + padded + specification_bytes(emit) + MANIFEST_BYTES, tuple(emit.tensors.items()))


def count(config: StudentConfig) -> CountingEmitter:
    """What the package of a config would hold."""
    emit = CountingEmitter()
    names = MODEL_INPUTS[: 3 if config.type_vocab_size > 1 else 2]
    emit.kinds["vector"] += config.task == EMBEDS  # such a head has one linear layer fewer, or two
    emit.kinds["match"] += config.match_separator is not None
    CoremlEncoder(config, emit, {name: Counted(name) for name in names}).output()
    return emit


def specification_bytes(emit: CountingEmitter) -> int:
    """Bytes of `model.mlmodel`."""
    fitted = FITTED["base"] + sum(FITTED[kind] * number for kind, number in emit.kinds.items())
    return round(fitted + emit.characters + emit.inline_bytes)
