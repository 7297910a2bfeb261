"""Which tokens a value of an ONNX graph holds: all of a batch, the real ones alone, or the first.

With a static shape padding would be part of every tensor whose range is rounded by: each is multiplied by the mask
first, and zero is always in the range. From the first token of the last layer on there is no padding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto, numpy_helper

from edgepack.export.onnx_graph import Graph

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
TO_THE_END = 2**31 - 1  # of a slice


class Tokens:
    """The tokens of one graph's values. `masked`: padding counts in roundings, so it is made zero."""

    def __init__(self, graph: Graph, masked: bool) -> None:
        self._graph, self._masked = graph, masked
        self._made: dict[str, str] = {}
        self.only_first = False  # from here on values hold the first token alone

    def real(self, x: str) -> str:
        """`x` `(batch, seq, size)`, zero at padding where that would count in a rounding's range."""
        if not self._masked or self.only_first:
            return x
        if "real" not in self._made:
            mask = self._graph.node("Cast", ["attention_mask"], "mask.float", to=FLOAT)
            self._made["real"] = self._graph.node("Unsqueeze", [mask, self._graph.integers(2)], "mask.real")
        return self._graph.node("Mul", [x, self._made["real"]], f"{x}.real")

    def first(self, x: str) -> str:
        """The first token `(batch, 1, size)`."""
        if "first" not in self._made:
            limits = [self._graph.integers(0), self._graph.integers(1), self._graph.integers(1)]
            self._made["first"] = self._graph.node("Slice", [x, *limits], "first")
        return self._made["first"]

    def mean(self, tag: str, x: str, last: bool) -> str:
        """The mean of the real tokens, or the last of them: `(batch, seq, size) → (batch, size)`."""
        graph = self._graph
        mask = graph.node("Cast", ["attention_mask"], f"{tag}.mask", to=FLOAT)
        count = graph.node("ReduceSum", [mask, graph.integers(1)], f"{tag}.count", keepdims=1)
        if last:
            place = graph.node("CumSum", [mask, graph.integers(1)], f"{tag}.place")
            is_last = graph.node("Equal", [place, count], f"{tag}.is_last")
            weights = graph.node("Mul", [mask, graph.node("Cast", [is_last], f"{tag}.one", to=FLOAT)], f"{tag}.weights")
        else:
            weights = graph.node("Div", [mask, count], f"{tag}.weights")
        row = graph.node("Unsqueeze", [weights, graph.integers(1)], f"{tag}.row")
        self.only_first = True  # there is no padding any more
        return graph.node("Squeeze", [graph.node("MatMul", [row, x], f"{tag}.mean"), graph.integers(1)], tag)

    def sum_neighbours(self, tag: str, x: str, places: Sequence[int], size: int) -> str:
        """`(batch, seq, places · size) → (batch, seq, size)`: what each token's neighbours have for it."""
        graph, reach = self._graph, max(places)
        mask = graph.node("Cast", ["attention_mask"], f"{tag}.mask", to=FLOAT)
        x = graph.node("Mul", [x, graph.node("Unsqueeze", [mask, graph.integers(2)], f"{tag}.real")], f"{tag}.present")
        padded = graph.node("Pad", [x, graph.integers(0, reach, 0, 0, reach, 0)], f"{tag}.padded")
        total = ""
        for number, place in enumerate(places):  # from so many tokens on, up to so many before the end
            begin = graph.integers(reach + place, number * size)
            end = graph.integers(place - reach or TO_THE_END, (number + 1) * size)
            part = graph.node("Slice", [padded, begin, end, graph.integers(1, 2)], f"{tag}.{number}")
            whole = tag if place == reach else f"{tag}.total{number}"
            total = graph.node("Add", [total, part], whole) if total else part
        return total

    def matches(self, tag: str, separator: int, vector: str) -> str:
        """`vector` `(H,)` at tokens that the other text has too, `(batch, seq, H)`."""
        graph, zero = self._graph, self._graph.number(0)
        following = graph.node("Add", ["input_ids", graph.scalar(1)], f"{tag}.following")
        ids = graph.node("Mul", [following, "attention_mask"], f"{tag}.ids")
        between = graph.node("Equal", [ids, graph.scalar(separator + 1)], f"{tag}.between")
        count = graph.node("Cast", [between], f"{tag}.one", to=FLOAT)
        count = graph.node("CumSum", [count, graph.integers(1)], f"{tag}.count")
        first = graph.node("Equal", [count, zero], f"{tag}.is_first")
        first = graph.node("Cast", [first], f"{tag}.first", to=INT64)
        double = graph.node("Add", [ids, ids], f"{tag}.double")
        own = graph.node("Add", [double, first], f"{tag}.own")
        wanted = graph.node("Add", [double, graph.scalar(1)], f"{tag}.next")
        wanted = graph.node("Sub", [wanted, first], f"{tag}.wanted")
        down = graph.node("Unsqueeze", [own, graph.integers(2)], f"{tag}.down")
        across = graph.node("Unsqueeze", [wanted, graph.integers(1)], f"{tag}.across")
        same = graph.node("Cast", [graph.node("Equal", [down, across], f"{tag}.same")], f"{tag}.pairs", to=FLOAT)
        found = graph.node("ReduceSum", [same, graph.integers(2)], f"{tag}.found", keepdims=1)
        absent = graph.node("Cast", [graph.node("Equal", [found, zero], f"{tag}.none")], f"{tag}.absent", to=FLOAT)
        present = graph.node("Sub", [graph.number(1), absent], f"{tag}.present")
        return graph.node("Mul", [present, vector], tag)

    def units(self) -> tuple[str, str]:
        """Gain and bias, ones and zeros, of an InstanceNormalization, whose channels are tokens here."""
        if self.only_first:
            one = self._graph.initializer("one", FLOAT, (1,), lambda _: np.ones(1, np.float32))
            return one, self._graph.initializer("zero", FLOAT, (1,), lambda _: np.zeros(1, np.float32))
        for name, value in (("ones", 1.0), ("zeros", 0.0)):
            if name not in self._made:
                filler = numpy_helper.from_array(np.array([value], np.float32))
                self._made[name] = self._graph.node("ConstantOfShape", ["length"], name, value=filler)
        return self._made["ones"], self._made["zeros"]
