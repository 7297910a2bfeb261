"""A TFLite graph that is written by names: each tensor is known by its name, and a constant is stored once.

It knows operators and shapes, and nothing of transformers: `litert_encoder.py` does. The file's own form is
`tflite_file.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgepack.export.tflite_file import FLOAT32, INT32, Node, Option, Shape, Tensor, TfliteGraph


@dataclass
class NamedGraph(TfliteGraph):
    """Tensors and operators in order; `numbers` are the tensors' places, by name."""

    numbers: dict[str, int] = field(default_factory=dict)

    def value(self, name: str, shape: Shape, type_: int = FLOAT32, dynamic: Shape | None = None) -> int:
        """A value that is not constant; its number."""
        self.numbers[name] = self.add(Tensor(name, shape, type_, dynamic=dynamic))
        return self.numbers[name]

    def constant(
        self,
        name: str,
        shape: Shape,
        type_: int,
        data: Callable[[], np.ndarray],
        scales: Callable[[], np.ndarray] | None = None,
    ) -> str:
        """A constant, stored once, however many operators use it."""
        if name not in self.numbers:
            self.numbers[name] = self.add(Tensor(name, shape, type_, data, scales))
        return name

    def integers(self, *values: int) -> str:
        """A vector of int32."""
        return self.constant(f"i{values}", (len(values),), INT32, lambda: np.asarray(values, np.int32))

    def number(self, value: float) -> str:
        """An fp32 scalar."""
        return self.constant(f"f{value!r}", (), FLOAT32, lambda: np.asarray(value, np.float32))

    def shape(self, name: str) -> Shape:
        """A tensor's shape."""
        return self.tensors[self.numbers[name]].shape

    def op(
        self,
        operator: str,
        inputs: Sequence[str],
        output: str,
        shape: Shape,
        options: tuple[Option, ...] = (),
        type_: int = FLOAT32,
    ) -> str:
        """One operator over named tensors; the name of its output."""
        return self.node(operator, [self.numbers[name] for name in inputs], output, shape, options, type_)

    def node(
        self,
        operator: str,
        inputs: Sequence[int],
        output: str,
        shape: Shape,
        options: tuple[Option, ...] = (),
        type_: int = FLOAT32,
    ) -> str:
        """One operator over numbered tensors, where an input may be left out (-1); the name of its output."""
        assert output not in self.numbers, f"{output} is made twice"
        number = self.value(output, shape, type_)
        self.nodes.append(Node(operator, tuple(inputs), (number,), options))
        return output

    def split(self, x: str, outputs: Sequence[str], axis: int, shape: Shape) -> None:
        """`x` in parts of this shape, one for each name."""
        inputs = (self.numbers[self.integers(axis)], self.numbers[x])
        numbers = tuple(self.value(name, shape) for name in outputs)
        self.nodes.append(Node("SPLIT", inputs, numbers, (Option(0, "i", len(outputs)),)))

    def slice(self, x: str, output: str, shape: Shape, axis: int, stop: int) -> str:
        """`x` from 0 to `stop` on one axis, whole on the others."""
        rank, others = len(shape), sum(1 << i for i in range(len(shape)) if i != axis)
        limits = [self.integers(*[0] * rank), self.integers(*[stop if i == axis else 0 for i in range(rank)])]
        options = (Option(0, "i", others), Option(1, "i", others))
        return self.op("STRIDED_SLICE", [x, *limits, self.integers(*[1] * rank)], output, shape, options)

    def cut(self, x: str, output: str, shape: Shape, begin: Sequence[int], end: Sequence[int]) -> str:
        """`x` from `begin` to `end` on each axis; an end below 0 counts from the axis' own, 0 is it."""
        open_ended = sum(1 << axis for axis, stop in enumerate(end) if stop == 0)
        options = (Option(1, "i", open_ended),) if open_ended else ()
        limits = [self.integers(*begin), self.integers(*end), self.integers(*[1] * len(shape))]
        return self.op("STRIDED_SLICE", [x, *limits], output, shape, options)
