"""Label sets as Python decides them, for the apps' decoders to be compared with: logits near the thresholds too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.task.label_f1 import LabelF1
from tests.apps.reference import write_reference

LABELS = ("joy", "fear", "no", "so_so", "other")
THRESHOLDS = (0.5, 0.0123, 0.9876, 0.25, 0.4567)
FIELDS = {"problem": "multi_label_classification", "labels": list(LABELS), "thresholds": list(THRESHOLDS)}


def write_label_sets(folder: Path, manifest: dict[str, Any], count: int, seed: int) -> None:
    """`sets.jsonl` with lines of `folder`'s tokenizer, logits and label sets; `edgepack.json` with their thresholds."""
    (path,) = write_reference(folder, folder / "sets.jsonl", count, seed)
    (folder / "edgepack.json").write_text(json.dumps({**manifest, **FIELDS}))
    generator, scoring = np.random.default_rng(seed), LabelF1(len(LABELS), THRESHOLDS)
    limits = np.log(THRESHOLDS) - np.log1p(-np.array(THRESHOLDS))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    near = generator.random((len(lines), len(LABELS))) < 0.5
    spread = np.where(near, 0.001, 8.0)
    logits = np.round(limits + generator.normal(size=near.shape) * spread, 4)
    logits[0] = 0  # exactly at a threshold
    decided = scoring.decide(logits)
    for line, row, chosen in zip(lines, logits, decided, strict=True):
        line |= {"logits": row.tolist(), "labels": [LABELS[i] for i in np.flatnonzero(chosen)]}
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    assert "joy" in lines[0]["labels"]
