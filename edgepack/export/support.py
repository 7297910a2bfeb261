"""What a target can hold, checked before a file is written: inputs, bit widths, pruning masks, operators."""

from __future__ import annotations

from collections.abc import Mapping

from edgepack.errors import CheckFailed, InputError
from edgepack.quantization import FP32
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.target import Target

MIXED = ("onnx", "coreai")  # formats whose files hold a width for each matrix


def check_student(student: Student, target: Target) -> None:
    """Raise `InputError` for widths that the target does not list and for pruning that is not finished."""
    check_widths(student.config, target)
    check_pruned(student)


def check_pruned(student: Student) -> None:
    """Raise `InputError` for heads and units that are masked and not removed: files have no masks."""
    masked = [name for name, module in student.named_modules() if getattr(module, "mask", None) is not None]
    if masked:
        raise InputError(f"student: {masked[0]} still has a pruning mask; remove pruned units before exporting")


def check_widths(config: StudentConfig, target: Target) -> None:
    """Body and embedding must have widths of the target, and every matrix the body's."""
    check_listed("body_bits", config.body_bits, target.body_bits, target)
    check_listed("embedding_bits", config.embedding_bits, target.embedding_bits, target)
    other = [name for name, bits in (config.widths or {}).items() if bits != config.body_bits]
    if other and config.body_width.is_rounded:  # unrounded students have no widths
        raise InputError(
            f"target {target.name}: widths[{other[0]!r}] is {(config.widths or {})[other[0]]} bits; "
            f"this format stores every matrix at body_bits, {config.body_bits}; leave widths empty"
        )


def check_mixed_widths(config: StudentConfig, target: Target) -> None:
    """Body, embedding and every matrix must have widths of the target."""
    check_listed("body_bits", config.body_bits, target.body_bits, target)
    check_listed("embedding_bits", config.embedding_bits, target.embedding_bits, target)
    for name, bits in (config.widths or {}).items():
        check_listed(f"widths[{name!r}]", bits, target.body_bits, target)


def check_listed(field: str, bits: int, allowed: tuple[int, ...], target: Target) -> None:
    """Raise `InputError` for a width that is not among the target's; students that are not rounded fit every target."""
    if bits not in (*allowed, FP32.bits):
        raise InputError(
            f"target {target.name}: {field} is {bits}; allowed: {', '.join(map(str, allowed))}; "
            "set the student's widths with set_bits"
        )


def check_operators(used: Mapping[str, str], target: Target) -> None:
    """`used`: each operator of the graph with a node that is one. `CheckFailed` names the first that is too many."""
    for operator, node in used.items():
        if operator not in target.operators:
            raise CheckFailed(
                f"target {target.name}: the node that computes {node!r} is a {operator}, which the target does not "
                f"allow; allowed: {', '.join(target.operators)}"
            )
