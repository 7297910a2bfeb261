"""Walks that store a student's numbers: with a student they write its weights, without one they only count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np

from edgepack.export.encoder_walk import V
from edgepack.export.one_text_walk import OneTextWalk
from edgepack.export.weights import Weights
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student

E = TypeVar("E")  # the format's emitter


class WeightedWalk(OneTextWalk[V]):
    """A walk that takes numbers from `student`; None: their shapes are enough."""

    def __init__(self, config: StudentConfig, student: Student | None = None) -> None:
        super().__init__(config)
        self._weights = Weights(student) if student is not None else None

    def _taken(self) -> Weights:
        assert self._weights is not None, "this walk only counts"
        return self._weights

    def _parameter(self, path: str) -> np.ndarray:
        return self._taken().parameter(path).numpy()


class EmittedWalk(WeightedWalk[Any], Generic[E]):
    """A walk over the values of an emitter, which makes a graph or counts what it would hold. `inputs`: by name."""

    def __init__(self, config: StudentConfig, emit: E, inputs: dict[str, Any], student: Student | None = None) -> None:
        super().__init__(config, student)
        self._emit, self._inputs = emit, inputs
        self._made: dict[str, Any] = {}

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` gave when a step first needed it."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]
