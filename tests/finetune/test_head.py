"""What a fresh head begins with: the answer that has the least loss where texts say nothing."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgepack.finetune import head
from edgepack.finetune.head import Beginning, begin_at_shares, bias_of, last_layer, load_with_new_head
from edgepack.finetune.loop import class_weights, summed_loss
from edgepack.finetune.settings import CLASS_WEIGHTS, ClassWeights, Options, choose
from edgepack.task.scoring import MULTI_LABEL
from edgepack.task.task import Task
from edgepack.teacher import open_checkpoint
from tests.finetune.test_loop import LABELS, data_for, model_for
from tests.finetune.tiny import Files

SETTINGS = choose(Options(label_smoothing=0.0), "text-classification", 16, 80, judged=False)
SETS = Task("text-classification", LABELS, problem=MULTI_LABEL)
HEAD = {"classifier.weight", "classifier.bias"}
POOLER = {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}


def label_sets(count: int) -> np.ndarray:
    """Three labels that half, a tenth and a fiftieth of the texts have."""
    return (np.random.default_rng(0).random((count, 3)) < [0.5, 0.1, 0.02]).astype(np.int64)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", CLASS_WEIGHTS)
def test_no_other_constant_answer_has_less_loss(
    monkeypatch: pytest.MonkeyPatch, smoothing: float, weights: ClassWeights
) -> None:
    monkeypatch.setattr(head, "UNSEEN", 0.0)
    labels = label_sets(200)
    bias = torch.from_numpy(bias_of(labels, replace(SETTINGS, label_smoothing=smoothing, class_weights=weights)))
    bias = bias.double().requires_grad_()
    weighted = torch.from_numpy(class_weights(weights, labels, 3)).double()
    summed_loss(bias.expand(len(labels), 3), torch.from_numpy(labels), SETS, weighted, smoothing).backward()
    assert bias.grad is not None
    torch.testing.assert_close(bias.grad / len(labels), torch.zeros(3).double(), rtol=0, atol=1e-6)


def test_a_label_that_no_text_has_is_rare_but_possible() -> None:
    bias = bias_of(np.array([[1, 0, 0], [1, 1, 0]]), SETTINGS)
    assert np.isfinite(bias).all()
    assert bias.argmin() == 2


def test_only_a_fresh_bias_of_label_sets_is_set() -> None:
    model, data = model_for(per_token=False), data_for(per_token=False)
    last = last_layer(model, 3)
    assert last is not None
    begin_at_shares(Beginning(model, frozenset(HEAD)), Task("text-classification", LABELS), data, SETTINGS)
    sets = replace(data, labels=label_sets(len(data)))
    begin_at_shares(Beginning(model, frozenset({"classifier.weight"})), SETS, sets, SETTINGS)
    assert not last.bias.any()
    begin_at_shares(Beginning(model, frozenset(HEAD)), SETS, sets, SETTINGS)
    np.testing.assert_array_equal(last.bias.detach(), bias_of(sets.labels, SETTINGS))


def test_a_layer_of_other_outputs_is_none_of_the_head() -> None:
    assert last_layer(model_for(per_token=False), 2) is None


@pytest.mark.parametrize(
    ("labels", "fresh"),
    [(("a", "b", "c"), set()), (("a", "b"), HEAD | POOLER)],
    ids=["a head of as many outputs", "a head of others"],
)
def test_a_trained_head_is_not_fresh(files: Files, tmp_path: Path, labels: tuple[str, ...], fresh: set[str]) -> None:
    model_for(per_token=False).save_pretrained(tmp_path)
    for file in Path(files.base).glob("tokenizer*"):
        shutil.copy(file, tmp_path)
    checkpoint = open_checkpoint(str(tmp_path))
    assert load_with_new_head(checkpoint, Task("text-classification", labels), 0).fresh == fresh


def test_a_head_on_an_encoder_is_fresh(files: Files) -> None:
    checkpoint = open_checkpoint(files.base)
    found = load_with_new_head(checkpoint, Task("text-classification", LABELS), 0).fresh
    assert found == HEAD | POOLER
