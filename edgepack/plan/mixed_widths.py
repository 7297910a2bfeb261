"""A bit width for each matrix within the bytes of one width for all: from sensitivity to a config's `widths`.

What a matrix costs at a width is the difference that it alone makes to the file; the choice among those costs is exact
(`compress/sensitivity.py`). The file of the whole choice is not quite their sum, since unpacking a width takes bytes
once, so it is sized anew and the bytes to spend are lowered until it fits.
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
    sensitivity: Mapping[str, Mapping[int, float]], config: StudentConfig, targets: Sequence[Target]
) -> dict[str, int]:
    """`StudentConfig.widths`, without those of the config's own width; empty where no other choice is better.

    No target's file is larger than at that one width.
    """
    check_mixed_widths(targets)
    uniform = sum(by_width[config.body_bits] for by_width in sensitivity.values())

    def bytes_of(widths: Mapping[str, int], target: Target) -> int:
        return model_size(changed_config(config, widths=dict(widths)), target).total

    def cost(matrix: str, bits: int) -> int:
        # another matrix has that width already: what a width costs once is not this matrix's
        other = {next(name for name in sensitivity if name != matrix): bits}
        return max(bytes_of({**other, matrix: bits}, target) - bytes_of(other, target) for target in targets)

    costs = {
        name: {bits: 0 if bits == config.body_bits else cost(name, bits) for bits in by_width}
        for name, by_width in sensitivity.items()
    }
    to_spend = 0
    for _ in range(TRIES):
        try:
            assigned = assign_widths(sensitivity, costs, to_spend)
        except InputError:  # less than the narrowest widths take
            break
        widths = {name: bits for name, bits in assigned.items() if bits != config.body_bits}
        if sum(sensitivity[name][bits] for name, bits in assigned.items()) >= uniform:
            break
        over = max(bytes_of(widths, target) - bytes_of({}, target) for target in targets)
        if over <= 0:
            return widths
        to_spend -= over
    return {}
