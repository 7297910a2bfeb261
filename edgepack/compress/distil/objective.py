"""A recipe's losses as one objective: what they learn, their weighted sum, and the prediction part alone.

Pruning measures importance on the prediction losses only (soft targets, hard labels): gradients of hidden-state losses
show which unit matters for imitation, not for the task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from edgepack.compress.distil.attention_maps import AttentionScores, AttentionTransfer
from edgepack.compress.distil.cosine import CosineStates
from edgepack.compress.distil.earth_mover import EarthMover
from edgepack.compress.distil.feature_maps import FeatureMaps
from edgepack.compress.distil.hidden_states import HiddenStates
from edgepack.compress.distil.layer_maps import LearnedMap
from edgepack.compress.distil.output_space import OutputSpace
from edgepack.compress.distil.patience import Patience
from edgepack.compress.distil.relations import LastLayerAttention, Relations
from edgepack.compress.distil.signals import Loss, Shapes, Signals
from edgepack.compress.distil.soft_targets import HardLabels, SoftTargets
from edgepack.compress.distil.vectors import Anchors
from edgepack.errors import InputError

LOSSES: dict[str, type[Loss]] = {
    "soft_targets": SoftTargets,
    "hard_labels": HardLabels,
    "anchors": Anchors,
    "cosine_states": CosineStates,
    "patience": Patience,
    "hidden_states": HiddenStates,
    "attention_scores": AttentionScores,
    "attention_transfer": AttentionTransfer,
    "feature_maps": FeatureMaps,
    "relations": Relations,
    "last_layer_attention": LastLayerAttention,
    "earth_mover": EarthMover,
    "output_space": OutputSpace,
    "learned_map": LearnedMap,
}
NAMES = {kind: name for name, kind in LOSSES.items()}


@dataclass(frozen=True)
class Objective:
    """The losses of a phase; what a loss learns is known by the loss's place among them."""

    losses: tuple[Loss, ...]

    def __post_init__(self) -> None:
        if not self.losses:
            raise InputError(f"objective: no losses; give at least one of {', '.join(LOSSES)}")

    @property
    def needs_vectors(self) -> bool:
        """Whether any loss looks at queries, keys and values."""
        return any(loss.needs_vectors for loss in self.losses)

    @property
    def needs_states(self) -> bool:
        """Whether any loss looks at the teacher's hidden states; those of predictions do not."""
        return any(not loss.is_prediction for loss in self.losses)

    @property
    def predicts(self) -> bool:
        """Whether any loss looks at predictions."""
        return any(loss.is_prediction for loss in self.losses)

    def learned(self, shapes: Shapes, seed: int) -> dict[str, Tensor]:
        """First values of all that the losses learn, by `"{index}.{name}"`; the same seed gives the same."""
        generator = torch.Generator().manual_seed(seed)
        return {
            f"{index}.{name}": value
            for index, loss in enumerate(self.losses)
            for name, value in loss.initial(shapes, generator).items()
        }

    @property
    def measures(self) -> bool:
        """Whether a loss must know something of the whole batch first."""
        return any(loss.measures for loss in self.losses)

    def measure(self, signals: Signals, learned: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Means over the real tokens that losses need of the whole batch, by `"{index}.{name}"`."""
        return {
            f"{index}.{name}": value
            for index, loss in enumerate(self.losses)
            for name, value in loss.measure(signals, _own(learned, index)).items()
        }

    def __call__(self, signals: Signals, learned: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of all losses."""
        values = [loss(signals, _own(learned, index)) for index, loss in enumerate(self.losses)]
        return torch.stack([loss.weight * value for loss, value in zip(self.losses, values, strict=True)]).sum()

    def prediction(self, signals: Signals) -> Tensor:
        """The weighted sum of the prediction losses alone; InputError where there are none."""
        losses = [loss for loss in self.losses if loss.is_prediction]
        if not losses:
            raise InputError(
                f"objective: no prediction loss among {', '.join(NAMES[type(loss)] for loss in self.losses)}; "
                "importance is measured on it: add soft_targets or hard_labels"
            )
        return torch.stack([loss.weight * loss(signals, {}) for loss in losses]).sum()


def _own(learned: Mapping[str, Tensor], index: int) -> dict[str, Tensor]:
    """What the loss at `index` learns, by its own names."""
    prefix = f"{index}."
    return {name.removeprefix(prefix): value for name, value in learned.items() if name.startswith(prefix)}
