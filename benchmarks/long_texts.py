"""What long texts gain from windows: a tagging teacher's F1 on whole texts, cut, in windows, and in one input.

    python -m benchmarks.long_texts --teacher TEACHER --eval DATA [--length 32] [--join 8]

`--join` puts so many sentences into one text, where the data have no long ones. Words behind a cut count as O, so all
rows are of the same words. Prints a table, then one JSON line. No training; minutes on one core at most.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import numpy as np

from benchmarks.tables import markdown_table
from edgepack.inference import predict
from edgepack.task.dataset import Dataset, Example
from edgepack.task.encoded import Encoded
from edgepack.task.examples import read_dataset
from edgepack.task.task import Task
from edgepack.task.tokenize import encode
from edgepack.task.windows import Longest, Windows
from edgepack.teacher import load_teacher


def joined(data: Dataset, count: int) -> Dataset:
    """The data with `count` sentences in each text."""
    groups = [data.examples[at : at + count] for at in range(0, len(data), count)]

    def one(group: tuple[Example, ...]) -> Example:
        words = tuple(word for example in group for word in example.words or ())
        tags = tuple(tag for example in group for tag in (example.label if isinstance(example.label, tuple) else ()))
        return Example("", None, words, tags)

    return replace(data, examples=tuple(map(one, groups)))


def whole_score(logits: np.ndarray, encoded: Encoded, whole: Encoded, task: Task) -> float:
    """The metric over all words of `whole`; those that `encoded` lacks, at the end of its texts, are O."""
    outside = np.zeros(logits.shape[1], np.float32)
    outside[task.labels.index("O")] = 1
    rows = np.tile(outside, (len(whole.labels), 1))
    for example in range(len(whole)):
        places = [np.flatnonzero(each.labels[each.rows([example])] >= 0) for each in (encoded, whole)]
        read = len(places[0])
        rows[whole.offsets[example] + places[1][:read]] = logits[encoded.offsets[example] + places[0]]
    return task.score(rows, whole)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--eval", required=True)
    parser.add_argument("--length", type=int, default=32)
    parser.add_argument("--join", type=int, default=1)
    given = parser.parse_args()
    teacher = load_teacher(given.teacher)
    task, length = teacher.task, given.length
    data = joined(read_dataset(given.eval, task, split="validation"), given.join)
    model, limit = teacher.load_model(), teacher.max_length
    whole = encode(data, task, teacher.tokenizer, limit)
    overlaps = (0, length // 8, length // 4, length // 2)
    ways: dict[str, Longest] = {f"cut at {length}": length, "one input": limit}
    ways |= {f"windows of {length}, overlap {overlap}": Windows(length, overlap, "inner") for overlap in overlaps}
    found = {}
    for name, longest in ways.items():
        encoded = encode(data, task, teacher.tokenizer, longest)
        found[name] = whole_score(predict(model, encoded), encoded, whole, task)
    rows = [("read", task.metric_name), *((name, f"{score:.4f}") for name, score in found.items())]
    long = int((whole.lengths > length).sum())
    print(f"{len(data)} texts, {long} of them longer than {length} tokens\n\n{markdown_table(rows)}")
    print(json.dumps({"texts": len(data), "long": long, "length": length, "join": given.join, "scores": found}))


if __name__ == "__main__":
    main()
