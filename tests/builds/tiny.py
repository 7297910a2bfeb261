"""A tiny teacher and what a build of it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from edgepack.build import recipe
from edgepack.build.flow import build
from edgepack.build.inputs import BuildRequest
from edgepack.bundle.manifest import load_manifest
from edgepack.console import Console
from edgepack.demo.base import make_tokenizer
from edgepack.evidence import measure
from edgepack.finetune import FinetuneResult, Options, finetune
from edgepack.task.examples import Columns

TARGETS = ("android-onnx", "android-torchscript")
EXAMPLES_SEEN = 6_400
TINY = replace(recipe.RECIPES["quick"], examples_seen=EXAMPLES_SEEN, batch_size=16, prune_ratio=2.0)
QUIET = Console(quiet=True)


@dataclass(frozen=True)
class Files:
    teacher: str
    train: str
    evaluation: str


def make_files(folder: Path) -> Files:
    """Data of a task that a bag of words decides, and a two-layer teacher of it."""
    generator = np.random.default_rng(0)
    words = {"light": ["lamp", "bright", "dim"], "music": ["song", "play", "tune"], "time": ["clock", "alarm", "hour"]}
    fillers = ["please", "now", "could", "you", "just", "the", "my", "a", "some", "very"]
    rows = [
        (" ".join([*generator.choice(fillers, generator.integers(1, 6)), generator.choice(keys)]), label)
        for _ in range(200)
        for label, keys in words.items()
    ]
    for name, chosen in (("train", rows[:480]), ("eval", rows[480:])):
        (folder / f"{name}.tsv").write_text("text\tlabel\n" + "".join(f"{t}\t{label}\n" for t, label in chosen))
    options = Options(epochs=6, batch_size=16, learning_rate=2e-3, label_smoothing=0.0, held_out=0.0)
    return make_teacher(folder, [text for text, _ in rows], options)[0]


def make_teacher(
    folder: Path,
    texts: Sequence[str],
    options: Options,
    suffix: str = "tsv",
    positions: int = 32,
    columns: Columns | None = None,
) -> tuple[Files, FinetuneResult]:
    """A two-layer base with the words of `texts`, fine-tuned on the folder's `train` and `eval` files."""
    tokenizer = make_tokenizer(texts)
    tokenizer.save_pretrained(folder / "base")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=positions,
    )
    BertModel(config).save_pretrained(folder / "base")
    paths = Files(str(folder / "teacher"), str(folder / f"train.{suffix}"), str(folder / f"eval.{suffix}"))
    result = finetune(
        str(folder / "base"),
        paths.train,
        paths.evaluation,
        folder / "teacher",
        columns=columns or Columns(),
        options=options,
        console=QUIET,
    )
    return paths, result


def shorten(patch: pytest.MonkeyPatch) -> None:
    """Little training, and each kind of model timed once: its figures are not what is tested here."""
    patch.setitem(recipe.RECIPES, "quick", TINY)
    patch.setattr(measure, "REPEATS", 1)
    patch.setattr(measure, "RUNS", 2)
    patch.setattr(measure, "started", started_first)


_FIRST: dict[tuple[object, ...], dict[str, Any]] = {}  # samples of this process, by kind of model
started_really = measure.started


@contextmanager
def started_first(
    subject: measure.Subject, token_counts: Sequence[int], runs: int
) -> Iterator[Callable[[], dict[str, Any]]]:
    """The first sample of such a model in this process: each takes seconds, nearly all of them imports."""
    assert subject.path.exists()
    key = (subject.kind, subject.name, subject.path.name, *token_counts)
    if key not in _FIRST:
        with started_really(subject, token_counts, runs) as sample:
            _FIRST[key] = sample()
    yield lambda: _FIRST[key]


def request(files: Files, output: Path, **changes: object) -> BuildRequest:
    asked = BuildRequest(
        files.teacher, files.train, files.evaluation, 60_000, TARGETS, output, effort="quick", max_drop=0.3
    )
    return replace(asked, **changes)  # type: ignore[arg-type]


def build_shortly(files: Files, output: Path, **changes: object) -> Path:
    """The output of a short build, for a fixture of more than one test."""
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        assert build(request(files, output, **changes), QUIET).passed
    return output


def hashes(output: Path) -> dict[str, str]:
    """sha256 of every shipped file, by target and path."""
    return {
        f"{target}/{record.path}": record.sha256
        for target in TARGETS
        for record in load_manifest(output / "bundles" / target).files
        if record.shipped
    }
