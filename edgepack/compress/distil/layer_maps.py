"""Which teacher layer a student layer learns from: its own, evenly spread ones, the last ones, or a learned mixture.

- Carved: the layer that the student's was carved out of.
- Uniform: student layer m of M (from 1) and teacher layer ⌈m · N / M⌉ of N; with N a multiple of M TinyBERT's
  `g(m) = m · N / M` (Jiao et al. 2020, arXiv:1909.10351, §4.1). The last layers belong together.
- Last: the teacher's last M layers, in order (PKD-Last's rule).
- Learned: each student state's target is a mixture of all teacher states, its weights learned through a softmax. As in
  ALP-KD (Passban et al. 2021, arXiv:2012.14022) no teacher layer is left out. Deviation: ALP-KD takes the weights from
  dot products of states, example by example; here they are parameters, one row for each student state, that start near
  the evenly spread map. All tokens are matched, not the first alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgepack.compress.distil.signals import Loss, Shapes, Signals
from edgepack.compress.distil.states import SQUARE, initial_map, mapped, relative, state_square
from edgepack.errors import InputError

MIXTURE = "mixture"
LAYER_MAPS = ("carved", "uniform", "last", "learned")


def followed_layers(layer_map: str, carved: Sequence[int], teacher_layers: int) -> list[int]:
    """The teacher's layer, from 0, that each student layer learns from.

    `carved`: those that it was carved out of. For "learned" they stay the pairs of losses that know no mixture.
    """
    if layer_map not in LAYER_MAPS:
        raise InputError(f"layer map is {layer_map!r}; allowed: {', '.join(LAYER_MAPS)}")
    maps = {"uniform": uniform_map, "last": last_map}
    return list(maps[layer_map](len(carved), teacher_layers)) if layer_map in maps else list(carved)


def uniform_map(student_layers: int, teacher_layers: int) -> tuple[int, ...]:
    """The teacher's layer, from 0, of each student layer: evenly spread, the last with the last."""
    _check(student_layers, teacher_layers)
    return tuple(-(-(m + 1) * teacher_layers // student_layers) - 1 for m in range(student_layers))


def last_map(student_layers: int, teacher_layers: int) -> tuple[int, ...]:
    """The teacher's layer, from 0, of each student layer: its last ones in order."""
    _check(student_layers, teacher_layers)
    return tuple(range(teacher_layers - student_layers, teacher_layers))


def _check(student_layers: int, teacher_layers: int) -> None:
    if not 1 <= student_layers <= teacher_layers:
        raise InputError(
            f"layer map: {student_layers} student layers for a teacher of {teacher_layers}; "
            f"allowed: 1 to {teacher_layers}"
        )


def initial_mixture(student_states: int, teacher_states: int, sharpness: float) -> Tensor:
    """`(student_states, teacher_states)` scores: minus `sharpness` for each teacher state away from the even spread."""
    places = torch.arange(student_states) * ((teacher_states - 1) / max(1, student_states - 1))
    return -sharpness * (places[:, None] - torch.arange(teacher_states)).abs()


def mixture_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], mixture: Tensor, mask: Tensor) -> Tensor:
    """States `(batch, seq, H)` of both, `mixture (student states, teacher states)` → mean squared error to mixtures."""
    stacked = torch.stack([state.detach().float() for state in teacher])
    weights = torch.softmax(mixture.float(), dim=-1)
    targets = (weights @ stacked.flatten(1)).view(len(student), *stacked.shape[1:])
    real = mask[:, :, None].float()
    squares = [((own.float() - target) * real).square().sum() for own, target in zip(student, targets, strict=True)]
    return torch.stack(squares).sum() / (real.sum() * len(squares) * stacked.shape[-1])


@dataclass(frozen=True)
class LearnedMap(Loss):
    """Hidden-state matching to learned mixtures.

    `sharpness`: 0 starts from the mean of all teacher states. `normalized`: by the teacher's mean square.
    """

    sharpness: float = 3.0  # the nearest state starts with about nine tenths
    normalized: bool = False

    def __post_init__(self) -> None:
        if self.sharpness < 0:
            raise InputError(f"learned map: sharpness is {self.sharpness}; allowed: 0 or more")

    def states_needed(self, followed: Sequence[int], layers: int) -> set[int]:
        return set(range(layers + 1))

    @property
    def measures(self) -> bool:
        return self.normalized

    def initial(self, shapes: Shapes, generator: torch.Generator) -> dict[str, Tensor]:
        mixture = initial_mixture(shapes.student_states, shapes.teacher_states, self.sharpness)
        return {MIXTURE: mixture, **initial_map(shapes)}

    def measure(self, signals: Signals, learned: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {SQUARE: state_square(signals.teacher_states, signals.mask)} if self.normalized else {}

    def __call__(self, signals: Signals, learned: Mapping[str, Tensor]) -> Tensor:
        student, teacher = [mapped(state, learned) for state in signals.student_states], signals.teacher_states
        loss = mixture_loss(student, teacher, learned[MIXTURE], signals.mask)
        return relative(loss, teacher, signals.mask, learned) if self.normalized else loss
