"""L0 pruning inside the loop: masks sampled in every step, log-alphas and multipliers learned with the student.

One set of masks serves a whole batch, as in CoFi (Xia et al. 2022, arXiv:2204.00408), and every process draws the
same. The masks that the student sees are leaves of the graph: a batch's pieces add their gradients up there, and one
pass leads them on to the log-alphas. The Lagrangian's target is the planned heads and units as a share of the
stage's first ones; at the end the units of greatest log-alpha stay, as many of each set as planned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from edgepack.compress.l0 import L0Pruning, expected_share, fold_masks, lagrangian, sample_masks
from edgepack.compress.surgery import State
from edgepack.compress.units import Importance, top_indices
from edgepack.student.model import Student
from edgepack.train.optimizer import read_moments, restore_moments
from edgepack.train.progress import Progress
from edgepack.train.random import MASKS, step_generator
from edgepack.train.schedule import PruneTarget, StageSettings

PREFIX = "l0."
MULTIPLIERS = f"{PREFIX}multipliers"


def initial_masks(student: Student, settings: L0Pruning) -> State:
    """First values by name: `l0.heads.{set} (heads,)`, `l0.units.{set} (units,)`, `l0.multipliers (2,)`."""
    config = student.config
    counts = {"heads": config.num_heads or [], "units": config.intermediate_sizes or []}
    masks = {
        f"{PREFIX}{kind}.{s}": torch.full((count,), settings.initial_log_alpha)
        for kind, sets in counts.items()
        for s, count in enumerate(sets)
    }
    return {**masks, MULTIPLIERS: torch.zeros(2)}


def kept_share(start: tuple[Sequence[int], Sequence[int]], target: PruneTarget, head_sizes: Sequence[int]) -> float:
    """Body parameters of the target as a share of those of `start` (heads, units); counted as `expected_share` does."""

    def count(heads: Sequence[int], units: Sequence[int]) -> int:
        return 4 * sum(n * size for n, size in zip(heads, head_sizes, strict=True)) + 2 * sum(units)

    return count(target.heads, target.units) / count(*start)


def log_alphas(tensors: Mapping[str, Tensor], kind: str) -> list[Tensor]:
    """Those of heads or units, by weight set."""
    prefix = f"{PREFIX}{kind}."
    count = sum(name.startswith(prefix) for name in tensors)
    return [tensors[f"{prefix}{s}"] for s in range(count)]


@dataclass(frozen=True, eq=False)
class MaskTraining:
    """Masks of a running stage with their optimizer; names as in `initial_masks`."""

    parameters: dict[str, Parameter]
    optimizer: torch.optim.Optimizer
    settings: L0Pruning
    keep: float  # the planned share of body parameters
    first: int
    last: int
    seed: int

    @contextmanager
    def sampled(self, student: Student, step: int) -> Iterator[None]:
        """The step's masks on the student's modules; after the block, gradients of all that is learned here."""
        heads, units = log_alphas(self.parameters, "heads"), log_alphas(self.parameters, "units")
        generator = step_generator(self.seed, step, MASKS, device=student.device)
        samples = [sample_masks(log_alpha, generator) for log_alpha in [*heads, *units]]
        leaves = [sample.detach().requires_grad_() for sample in samples]
        modules = [*student.attention, *student.feed_forward]
        for module, leaf in zip(modules, leaves, strict=True):
            module.mask = leaf[None]
        try:
            yield
        finally:
            for module in modules:
                module.mask = None
        reached = [(sample, leaf.grad) for sample, leaf in zip(samples, leaves, strict=True) if leaf.grad is not None]
        if reached:
            torch.autograd.backward([sample for sample, _ in reached], [gradient for _, gradient in reached])
        target = self.settings.target(self.keep, (step - self.first) / (self.last - self.first))
        expected = expected_share(heads, units, student.config.head_sizes or [])
        lagrangian(expected, target, self.parameters[MULTIPLIERS]).backward()

    def step(self) -> None:
        """Move log-alphas down their gradients and the multipliers up theirs."""
        self.optimizer.step()
        self.optimizer.zero_grad()

    def values(self) -> State:
        """What is learned, on the CPU."""
        return {name: value.detach().cpu().clone() for name, value in self.parameters.items()}

    def moments(self) -> State:
        """The optimizer's moments, named as those of what losses learn."""
        return read_moments({f"learned.{name}": value for name, value in self.parameters.items()}, self.optimizer)


def start_masks(progress: Progress, stage: StageSettings, seed: int, device: torch.device) -> MaskTraining | None:
    """The masks of a stage that prunes by them, first values or a checkpoint's; None where nothing is to be removed."""
    if stage.l0 is None or stage.prune is None or progress.shape_at_start is None:
        return None
    keep = kept_share(progress.shape_at_start, stage.prune, progress.student.config.head_sizes or [])
    if keep >= 1:
        return None
    settings = stage.l0
    values = {name: value for name, value in progress.learned.items() if name.startswith(PREFIX)}
    values = values or initial_masks(progress.student, settings)
    parameters = {name: Parameter(value.to(device, copy=True)) for name, value in values.items()}
    masks = [value for name, value in parameters.items() if name != MULTIPLIERS]
    groups: list[dict[str, Any]] = [
        {"params": masks, "lr": settings.gate_lr},
        {"params": [parameters[MULTIPLIERS]], "lr": settings.multiplier_lr, "maximize": True},
    ]
    optimizer = torch.optim.Adam(groups)
    named = {f"learned.{name}": value for name, value in parameters.items()}
    restore_moments(named, optimizer, progress.moments)
    return MaskTraining(parameters, optimizer, settings, keep, stage.first, stage.last, seed)


def remove_masked(progress: Progress, target: PruneTarget) -> None:
    """At the stage's end: the masks' values go into the weights, and the units of least log-alpha are removed."""
    masks = {name: value for name, value in progress.learned.items() if name.startswith(PREFIX)}
    if not masks:
        return
    heads, units = log_alphas(masks, "heads"), log_alphas(masks, "units")
    progress.student = fold_masks(progress.student, heads, units)
    progress.importance = Importance(tuple(heads), tuple(units))
    progress.keep(*top_indices(progress.importance, target.heads, target.units))
