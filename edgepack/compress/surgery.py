"""What every change of a student's shape is made of: a new student out of named weights, sets renumbered."""

from __future__ import annotations

from torch import Tensor

from edgepack.student.config import StudentConfig, changed_config
from edgepack.student.model import Student, student_of

State = dict[str, Tensor]
POSITION, TYPE, WORD = "embeddings.position.weight", "embeddings.token_type.weight", "embeddings.word.weight"


def rebuild(student: Student, state: State, share: bool = False, **changes: object) -> Student:
    """A new student with `changes` to the config and exactly the weights in `state`.

    `share`: it holds these very tensors, not copies, so that neither it nor `student` may be changed in place.
    """
    held = {name: tensor.detach() if share else tensor.detach().clone() for name, tensor in state.items()}
    return student_of(changed_config(student.config, **changes), held).train(student.training)


def own_tensors(student: Student, other: Student) -> Student:
    """`student` with copies of the tensors that it shares with `other`; itself where it is `other`."""
    if student is other:
        return student
    theirs = {tensor.untyped_storage().data_ptr() for tensor in other.parameters() if not tensor.is_meta}
    for parameter in student.parameters():
        if parameter.untyped_storage().data_ptr() in theirs:
            parameter.data = parameter.data.clone()
    return student


def sizes_of_sets(config: StudentConfig, room: str, sets: list[int]) -> dict[str, object]:
    """The config's sizes when only these weight sets of `room` (attention, feed_forward) remain, in this order."""
    fields = ("num_heads", "head_sizes") if room == "attention" else ("intermediate_sizes",)
    return {field: [getattr(config, field)[s] for s in sets] for field in fields}


def renumber(state: State, room: str, numbers: list[int]) -> State:
    """The entries `room.old.…` of the listed sets as `room.new.…`, new numbers in the order of the list."""
    kept: State = {}
    for new, old in enumerate(numbers):
        prefix = f"{room}.{old}."
        kept |= {f"{room}.{new}.{k.removeprefix(prefix)}": v for k, v in state.items() if k.startswith(prefix)}
    return kept
