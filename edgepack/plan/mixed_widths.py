"""A bit width for each matrix in the bytes of one width for all: from sensitivity to a config's `widths`.

What a matrix costs at a width is the difference that it alone makes to the file; the choice among those costs is exact
(`compress/sensitivity.py`). The file of the whole choice is not quite their sum, since unpacking a width takes bytes
once, so it is sized again and the bytes to spend are lowered until it fits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgepack.compress.sensitivity import assign_widths
from edgepack.errors import InputError
from edgepack.plan.size import model_size
from edgepack.student.config import StudentConfig, changed_config
from edgepack.target import Target

TRIES = 20


def check_mixed_widths(targets: Sequence[Target]) -> None:
    """`InputError` naming the target whose files hold one width for all matrices."""
    for target in targets:
        if target.format != "onnx":
            raise InputError(
                f"mixed widths: target {target.name} stores every matrix at one width; allowed: targets of format onnx"
            )


def choose_widths(
    sensitivity: Mapping[str, Mapping[int, float]], shape: StudentConfig, targets: Sequence[Target]
) -> dict[str, int]:
    """`StudentConfig.widths`, without those of the shape's own bit width; empty where no other choice is better.

    No target's file is larger than the shape's own.
    """
    check_mixed_widths(targets)
    uniform = sum(by_width[shape.body_bits] for by_width in sensitivity.values())
    costs = _costs(sensitivity, shape, targets)
    to_spend = 0
    for _ in range(TRIES):
        try:
            assigned = assign_widths(sensitivity, costs, to_spend)
        except InputError:  # less than the narrowest widths take
            break
        widths = {name: bits for name, bits in assigned.items() if bits != shape.body_bits}
        if sum(sensitivity[name][bits] for name, bits in assigned.items()) >= uniform:
            break
        over = max(_file_bytes(shape, widths, target) - _file_bytes(shape, {}, target) for target in targets)
        if over <= 0:
            return widths
        to_spend -= over
    return {}


def _costs(
    sensitivity: Mapping[str, Mapping[int, float]], shape: StudentConfig, targets: Sequence[Target]
) -> dict[str, dict[int, int]]:
    """Bytes that a matrix adds to the file at each bit width, on the target where it adds most."""

    def cost(matrix: str, bits: int) -> int:
        # another matrix has that width already: what a width costs once is not this matrix's
        other = {next(name for name in sensitivity if name != matrix): bits}
        both = {**other, matrix: bits}
        return max(_file_bytes(shape, both, target) - _file_bytes(shape, other, target) for target in targets)

    return {
        name: {bits: 0 if bits == shape.body_bits else cost(name, bits) for bits in by_width}
        for name, by_width in sensitivity.items()
    }


def _file_bytes(shape: StudentConfig, widths: Mapping[str, int], target: Target) -> int:
    return model_size(changed_config(shape, widths=dict(widths)), target).total
