"""Checkpoints of a training: one file, replaced atomically, and the best weights so far in another.

`best-<step>.safetensors` is written before the `training.safetensors` that names it, and older ones are removed after,
so a kill at any point leaves a pair that belongs together. The CPU repeats the same steps from it, bit for bit.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from edgepack.errors import InputError, reason
from edgepack.finetune.schedule import Evaluation
from edgepack.workspace import written_beside

NAME = "training.safetensors"
State = dict[str, Tensor]


@dataclass
class Training:
    """All that the next step depends on, besides the weights and moments; `best`: the weights that would be kept."""

    step: int = 0
    cool_down: int | None = None
    finished: bool = False
    loss_sum: float = 0.0  # since the last evaluation
    history: list[Evaluation] = field(default_factory=list)
    best: State | None = None
    best_step: int | None = None


def save_training(folder: Path, training: Training, weights: State, moments: State) -> None:
    """Write a checkpoint; a kill leaves the old one or the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    if training.best is not None and not _best_path(folder, training.best_step).exists():
        with written_beside(_best_path(folder, training.best_step)) as beside:
            save_file(training.best, beside)
    tensors = {f"weights.{name}": value.contiguous() for name, value in weights.items()}
    tensors |= {f"moments.{name}": value.contiguous() for name, value in moments.items()}
    record = asdict(replace(training, best=None))
    with written_beside(folder / NAME) as beside:
        save_file(tensors, beside, metadata={"training": json.dumps(record)})
    for path in folder.glob("best-*.safetensors"):
        if path != _best_path(folder, training.best_step):
            path.unlink()


def load_training(folder: Path) -> tuple[Training, State, State] | None:
    """The last checkpoint's state, weights and moments; None without one, `InputError` for files that are broken."""
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        return _load(folder, path)
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as e:
        raise InputError(
            f"{path}: the checkpoint of an interrupted training is not readable: {reason(e)}; remove {folder}, and the "
            "same command begins anew"
        ) from e


def _load(folder: Path, path: Path) -> tuple[Training, State, State]:
    with safe_open(path, "pt") as file:
        record = json.loads(file.metadata()["training"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
    history = [Evaluation(**entry) for entry in record.pop("history")]
    training = Training(**{**record, "history": history})
    if training.best_step is not None:
        training.best = load_file(_best_path(folder, training.best_step))
    parts = []
    for prefix in ("weights.", "moments."):
        parts.append({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    return training, parts[0], parts[1]


def _best_path(folder: Path, step: int | None) -> Path:
    return folder / f"best-{step}.safetensors"
