"""Scores as Python decides them, for the apps' decoders to be compared with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.task.scores import Activation, Correlation
from tests.apps.reference import write_reference


def write_scores(folder: Path, manifest: dict[str, Any], count: int, seed: int, activation: Activation) -> None:
    """`scores.jsonl` with lines of `folder`'s tokenizer, a logit and its score; `edgepack.json` of such a model."""
    (path,) = write_reference(folder, folder / "scores.jsonl", count, seed)
    fields = {"problem": "regression", "labels": ["relatedness"]}
    if activation != "identity":
        fields["activation"] = activation
    (folder / "edgepack.json").write_text(json.dumps({**manifest, **fields}))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    logits = np.round(np.random.default_rng(seed).normal(0, 8, (len(lines), 1)), 4)
    logits[:3, 0] = 0, 100, -100
    decided = Correlation(activation).decide(logits)
    for line, row, score in zip(lines, logits, decided, strict=True):
        line |= {"logits": row.tolist(), "score": round(float(score), 4)}
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
