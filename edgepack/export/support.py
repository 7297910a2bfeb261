"""What a target can hold, checked before a file is written: bit widths, pruning gates, operators."""

from __future__ import annotations

from collections.abc import Mapping

from edgepack.errors import CheckFailed, InputError
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.target import Target

UNROUNDED = 32  # bits; every target takes it, for comparisons
BLOCK = 32  # inputs that share a scale in XNNPACK's 4-bit kernels


def check_student(student: Student, target: Target) -> None:
    """Raise `InputError` for widths that the target does not list and for pruning that is not finished."""
    check_widths(student.config, target)
    gated = [name for name, module in student.named_modules() if getattr(module, "gate", None) is not None]
    if gated:
        raise InputError(f"student: {gated[0]} still has a pruning gate; remove pruned units before exporting")


def check_widths(config: StudentConfig, target: Target) -> None:
    """Body and embedding must have widths of the target, and every matrix the body's."""
    for field in ("body_bits", "embedding_bits"):
        bits, allowed = getattr(config, field), getattr(target, field)
        if bits not in (*allowed, UNROUNDED):
            raise InputError(
                f"target {target.name}: {field} is {bits}; allowed: {', '.join(map(str, allowed))}; "
                "set the student's widths with set_bits"
            )
    other = [name for name, bits in (config.widths or {}).items() if bits != config.body_bits]
    if other and config.body_bits != UNROUNDED:  # unrounded students have no widths
        raise InputError(
            f"target {target.name}: widths[{other[0]!r}] is {(config.widths or {})[other[0]]} bits; "
            f"this format stores every matrix at body_bits, {config.body_bits}; leave widths empty"
        )


def check_operators(used: Mapping[str, str], target: Target) -> None:
    """`used`: each operator of the graph with a node that is one. `CheckFailed` names the first that is too many."""
    for operator, node in used.items():
        if operator not in target.operators:
            raise CheckFailed(
                f"target {target.name}: the node that computes {node!r} is a {operator}, which the target does not "
                f"allow; allowed: {', '.join(target.operators)}"
            )


def fits_blocks(in_features: int, config: StudentConfig) -> bool:
    """Whether XNNPACK's 4-bit kernels can hold a matrix with these inputs; others are stored as int8 operands q · m."""
    return in_features % BLOCK == 0 and config.block_size == BLOCK
