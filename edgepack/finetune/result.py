"""What a fine-tuning reports: the metric, each class, how it was trained, and what the held-out slice said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgepack.console import format_table
from edgepack.finetune.schedule import Evaluation
from edgepack.finetune.scores import ClassScore
from edgepack.finetune.settings import Settings
from edgepack.finetune.trials import Trial


@dataclass(frozen=True)
class FinetuneResult:
    """The new teacher's metric on `n` evaluation examples, and where it comes from.

    `kept_step`: the step whose weights were kept; `held_out_rows` of the training examples chose it. Of several
    `trials`, settings, steps and history are those of the one that was best on these; what is kept may be an average.
    """

    output: Path
    metric_name: str
    metric: float
    n: int
    classes: tuple[ClassScore, ...]
    settings: Settings
    rows: int
    held_out_rows: int
    max_length: int
    steps: int
    kept_step: int
    history: tuple[Evaluation, ...]
    thresholds: tuple[float, ...]  # of label sets, found on the held-out examples
    held_out_metric: float | None
    held_out_loss: float | None
    trials: tuple[Trial, ...]
    others: Mapping[str, float] = field(default_factory=dict)  # of scores: metrics beside its own

    @property
    def kept(self) -> Evaluation:
        """The evaluation of the weights that were kept."""
        return next(evaluation for evaluation in self.history if evaluation.step == self.kept_step)

    def to_record(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {
            "output": str(self.output),
            "metric_name": self.metric_name,
            "metric": self.metric,
            "n": self.n,
            "held_out": {"rows": self.held_out_rows, "metric": self.held_out_metric, "loss": self.held_out_loss},
            "training": {
                "rows": self.rows,
                "steps": self.steps,
                "kept_step": self.kept_step,
                "epochs": round(self.steps / self.settings.epoch_steps, 2),
                "learning_rate": self.settings.learning_rate,
                "batch_size": self.settings.batch_size,
                "label_smoothing": self.settings.label_smoothing,
                "class_weights": self.settings.class_weights,
                "max_length": self.max_length,
                "seed": self.settings.seed,
            },
            **({"thresholds": list(self.thresholds)} if self.thresholds else {}),
            **({"other_metrics": dict(self.others)} if self.others else {}),
            "trials": [asdict(trial) for trial in self.trials],
            "classes": [asdict(score) for score in self.classes],
            "history": [asdict(evaluation) for evaluation in self.history],
        }

    def _averaged(self) -> str:
        """What the weights were averaged with, if so."""
        others = sum(trial.averaged for trial in self.trials) - 1
        return f", averaged with {others} other trainings" if others > 0 else ""

    def table(self) -> str:
        """The classes, then the figures of the whole."""
        rows = [("class", "precision", "recall", "F1", "n")]
        rows += [
            (score.label, f"{score.precision:.4f}", f"{score.recall:.4f}", f"{score.f1:.4f}", str(score.n))
            for score in self.classes
        ]
        epochs, kept = self.steps / self.settings.epoch_steps, self.kept
        judged = (
            f", {self.held_out_metric:.4f} on {self.held_out_rows} held-out training examples"
            if self.held_out_rows
            else ""
        )
        others = "".join(f", {name} {value:.4f}" for name, value in self.others.items())
        lines = [
            *([format_table(rows), ""] if self.classes else []),
            f"{self.metric_name} {self.metric:.4f}{others} on {self.n} evaluation examples{judged}",
            f"trained on {self.rows} examples for {epochs:.1f} epochs at {self.settings.learning_rate:g}, "
            f"kept after epoch {kept.epoch:.1f}{self._averaged()}: {self.output}",
        ]
        return "\n".join(lines)
