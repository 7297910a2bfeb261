"""BERT-of-Theseus: the student's layers take the teacher's places one by one while they are trained.

Xu et al. 2020, arXiv:2002.02925. The teacher's layers are cut into groups, one for each student layer. In each batch
a group is replaced, with probability p, by its student layer (the successor); otherwise the teacher's layers (the
predecessor, frozen) run in its place (§3.1). p grows linearly, `min(1, k·t + b)` (§3.3), and at 1 the
student trains alone. The loss is the task's own, by the caller; no other term ties student to teacher.

Embeddings and head are always the student's and are trained (the paper keeps the teacher's and freezes them): they may
be factorized, trimmed or rounded, and the teacher's layers run on what they give. Only the hidden size must be the
same. The teacher is neither copied nor changed: its weights enter as constants, so gradients pass through its layers to
what is below and end nowhere in it. Student layers that do not run in a batch get no gradient (`None`): with several
processes all must draw alike, and DistributedDataParallel needs `find_unused_parameters`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from edgepack.errors import InputError
from edgepack.student.model import Student, StudentOutput
from edgepack.student.relative_positions import relative_buckets

Groups = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class ModuleReplacing:
    """The curriculum `p = min(1, k·t + b)`; t is the share of the training done, 0 to 1."""

    k: float = 1.0
    b: float = 0.5

    def __post_init__(self) -> None:
        if self.k < 0 or not 0 <= self.b <= 1:
            raise InputError(f"module replacing: k is {self.k} and b is {self.b}; allowed: k from 0, b from 0 to 1")

    def rate(self, progress: float) -> float:
        """The probability that a group of the teacher's layers is replaced, at this share of the training."""
        return min(1.0, self.k * progress + self.b)


def successor_groups(layers: Sequence[int], teacher_layers: int) -> Groups:
    """The teacher layers that each student layer stands for: those behind the previous one's, up to its own.

    `layers[i]` is the teacher layer that student layer `i` is made of, in rising order, the teacher's last among them.
    """
    ends = list(layers)
    if not ends or ends != sorted(set(ends)) or ends[0] < 0 or ends[-1] != teacher_layers - 1:
        raise InputError(
            f"student layers are made of the teacher's {ends}; module replacing needs rising layers from 0, "
            f"the last of them {teacher_layers - 1}"
        )
    starts = [0, *(end + 1 for end in ends[:-1])]
    return tuple(tuple(range(start, end + 1)) for start, end in zip(starts, ends, strict=True))


def draw_successors(groups: int, rate: float, generator: torch.Generator) -> tuple[bool, ...]:
    """For each group whether the student's layer runs, independently with probability `rate` (§3.1)."""
    return tuple((torch.rand(groups, generator=generator) < rate).tolist())


def theseus_forward(
    student: Student,
    teacher: Student,
    input_ids: Tensor,
    attention_mask: Tensor,
    token_type_ids: Tensor | None,
    groups: Groups,
    successors: Sequence[bool],
) -> StudentOutput:
    """Student and teacher as one model: student layer `i` where `successors[i]`, else the teacher's `groups[i]`.

    Inputs as for `Student.forward`, in the student's token ids. Hidden states: the embedding's output and one for each
    group, so they stand in line with the student's own. With all successors the outputs are the student's.
    """
    check_groups(student, teacher, groups, successors)
    mask = (1.0 - attention_mask[:, None, None, :].float()) * torch.finfo(torch.bfloat16).min
    own_buckets, teacher_buckets = (_buckets(model, input_ids) for model in (student, teacher))
    x = student.embeddings(input_ids, token_type_ids, mask)
    hidden = [x]
    x = student.embeddings.first_input(x, input_ids, attention_mask)
    for layer, (group, own) in enumerate(zip(groups, successors, strict=True)):
        if own:
            x = _run_layer(student, layer, x, mask, own_buckets, frozen=False)
        else:
            for each in group:
                x = _run_layer(teacher, each, x, mask, teacher_buckets, frozen=True)
        hidden.append(x)
    return StudentOutput(logits=student.head(x, attention_mask), hidden_states=tuple(hidden))


def check_groups(student: Student, teacher: Student, groups: Groups, successors: Sequence[bool]) -> None:
    """`InputError` unless the groups are the teacher's layers in order, one group and one draw for a student layer."""
    own, other = student.config, teacher.config
    if own.hidden_size != other.hidden_size:
        raise InputError(
            f"module replacing: hidden sizes are {own.hidden_size} (student) and {other.hidden_size} (teacher); "
            "layers can only stand in for each other at the same hidden size"
        )
    if not len(groups) == len(successors) == own.num_hidden_layers:
        raise InputError(
            f"module replacing: {len(groups)} groups and {len(successors)} draws; "
            f"the student's {own.num_hidden_layers} layers need as many of each"
        )
    if [layer for group in groups for layer in group] != list(range(other.num_hidden_layers)) or not all(groups):
        raise InputError(
            f"module replacing: groups {groups}; they must part the teacher's layers 0 to "
            f"{other.num_hidden_layers - 1} in order, none of them empty"
        )


def _run_layer(model: Student, layer: int, x: Tensor, mask: Tensor, buckets: Tensor | None, frozen: bool) -> Tensor:
    """Layer number `layer` of a student, as in `Student.forward`; `frozen`: its weights are constants."""
    attention = model.attention[(model.config.attention_sharing or [])[layer]]
    feed_forward = model.feed_forward[(model.config.ffn_sharing or [])[layer]]

    def call(module: nn.Module, *inputs: Tensor | None) -> Tensor:
        constants = {name: parameter.detach() for name, parameter in module.named_parameters()} if frozen else {}
        result: Tensor = functional_call(module, constants, inputs) if frozen else module(*inputs)
        return result

    x = call(model.attention_norms[layer], x + call(attention, x, mask, buckets))
    return call(model.ffn_norms[layer], x + call(feed_forward, x))


def _buckets(model: Student, input_ids: Tensor) -> Tensor | None:
    """The relative position buckets that the model's attention takes, where it has such a bias."""
    config = model.config
    if not config.relative_attention_buckets:
        return None
    distance = config.relative_attention_max_distance
    return relative_buckets(input_ids.shape[1], config.relative_attention_buckets, distance, input_ids.device)
