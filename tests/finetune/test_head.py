"""What a fresh head begins with: the answer that has the least loss where texts say nothing."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgepack.finetune import head
from edgepack.finetune.head import Beginning, begin_at_shares, bias_of, last_layer, load_with_new_head
from edgepack.finetune.loop import class_weights, summed_loss
from edgepack.finetune.settings import CLASS_WEIGHTS, ClassWeights, Options, choose
from edgepack.task.encoded import IGNORED
from edgepack.task.scoring import MULTI_LABEL
from edgepack.task.task import Task, TaskName
from edgepack.teacher import open_checkpoint
from tests.finetune.test_loop import LABELS, data_for, model_for
from tests.finetune.tiny import Files

SETTINGS = choose(Options(label_smoothing=0.0), "text-classification", 16, 80, judged=False)
GENERATOR = np.random.default_rng(0)
HEAD = {"classifier.weight", "classifier.bias"}
POOLER = {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}
KINDS = {
    "classes": (Task("text-classification", LABELS), GENERATOR.choice(3, 200, p=[0.8, 0.15, 0.05])),
    "tags": (Task("token-classification", LABELS), GENERATOR.choice([0, 1, 2, IGNORED], 200, p=[0.6, 0.1, 0.1, 0.2])),
    "label sets": (
        Task("text-classification", LABELS, problem=MULTI_LABEL),
        (GENERATOR.random((200, 3)) < [0.5, 0.1, 0.02]).astype(np.int64),
    ),
}


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", CLASS_WEIGHTS)
def test_no_other_constant_answer_has_less_loss(
    monkeypatch: pytest.MonkeyPatch, kind: str, smoothing: float, weights: ClassWeights
) -> None:
    monkeypatch.setattr(head, "UNSEEN", 0.0)
    task, labels = KINDS[kind]
    bias = torch.from_numpy(bias_of(labels, 3, replace(SETTINGS, label_smoothing=smoothing, class_weights=weights)))
    bias = bias.double().requires_grad_()
    weighted = torch.from_numpy(class_weights(weights, labels, 3)).double()
    summed_loss(bias.expand(len(labels), 3), torch.from_numpy(labels), task, weighted, smoothing).backward()
    assert bias.grad is not None
    torch.testing.assert_close(bias.grad / len(labels), torch.zeros(3).double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("kind", "labels"), [("classes", [0, 0, 1]), ("label sets", [[1, 0, 0], [1, 1, 0]])])
def test_a_label_that_no_text_has_is_rare_but_possible(kind: str, labels: Sequence[object]) -> None:
    bias = bias_of(np.array(labels), 3, SETTINGS)
    assert np.isfinite(bias).all()
    assert bias.argmin() == 2


@pytest.mark.parametrize("name", ["text-classification", "token-classification"])
def test_only_a_fresh_bias_is_set(name: TaskName) -> None:
    model, data = model_for(name == "token-classification"), data_for(name == "token-classification")
    task, last = Task(name, LABELS), last_layer(model, 3)
    assert last is not None
    begin_at_shares(Beginning(model, frozenset({"classifier.weight"})), task, data, SETTINGS)
    assert not last.bias.any()
    begin_at_shares(Beginning(model, frozenset(HEAD)), task, data, SETTINGS)
    np.testing.assert_array_equal(last.bias.detach(), bias_of(data.labels, 3, SETTINGS))


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
