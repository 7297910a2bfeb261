"""A step's loss: PyTorch's own mean over the batch, whatever the pieces; class weights; what is decayed."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from transformers import BertConfig, BertForSequenceClassification, BertForTokenClassification, PreTrainedModel

from edgepack.console import Console
from edgepack.finetune import loop
from edgepack.finetune.checkpoint import Training
from edgepack.finetune.loop import Job, Step, class_weights, make_optimizer, plain_attention
from edgepack.finetune.schedule import learning_rate
from edgepack.finetune.settings import FRESH_MOST, FRESH_RATE, Options, choose, fresh_factor
from edgepack.inference import torch_batch
from edgepack.task.encoded import IGNORED, Encoded
from edgepack.task.task import Task

LABELS = ("O", "B-x", "I-x")
Gradients = dict[str, torch.Tensor]


def model_for(per_token: bool) -> PreTrainedModel:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=3,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return cast(PreTrainedModel, (BertForTokenClassification if per_token else BertForSequenceClassification)(config))


def data_for(per_token: bool) -> Encoded:
    generator = np.random.default_rng(0)
    lengths = generator.integers(3, 9, 12)
    total = int(lengths.sum())
    labels = generator.integers(0, 3, total if per_token else 12)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    if per_token:
        labels[offsets[:-1]] = labels[offsets[1:] - 1] = IGNORED
    ids = generator.integers(1, 50, total).astype(np.int32)
    return Encoded(ids, np.zeros(total, dtype=np.int8), offsets, labels.astype(np.int64))


@pytest.mark.parametrize("per_token", [False, True])
@pytest.mark.parametrize("tokens", [1, 12, 1_000])
def test_a_step_is_that_of_the_mean_loss(monkeypatch: pytest.MonkeyPatch, per_token: bool, tokens: int) -> None:
    monkeypatch.setattr(loop, "piece_tokens", lambda device: tokens)
    task = Task("token-classification" if per_token else "text-classification", LABELS)
    data, model = data_for(per_token), model_for(per_token)
    settings = choose(Options(label_smoothing=0.1, batch_size=12), task.name, 16, 12, False)
    job = Job(task, data, None, settings, frozenset(), torch.device("cpu"), False, None, Console(quiet=True))
    weights = torch.tensor([0.5, 1.0, 2.0])
    before = {name: value.clone() for name, value in model.named_parameters()}
    indices = np.arange(12)
    gradients = reference(model, data, indices, weights)
    seen: Gradients = {}

    class Watcher(torch.optim.SGD):
        def step(self, closure: object = None) -> None:  # type: ignore[override]
            seen.update(gradients_of(model))

    step = Step(model.train(), Watcher([{"params": list(model.parameters()), "factor": 1.0}], lr=0.0), job, weights)
    loss = step.take(indices, Training())
    assert float(loss) == pytest.approx(float(gradients.pop("loss")), rel=1e-5)
    norm = float(torch.sqrt(sum((g**2).sum() for g in gradients.values())))
    for name, expected in gradients.items():
        torch.testing.assert_close(seen[name], expected * min(1.0, 1 / norm), rtol=1e-3, atol=1e-6)
    assert all(torch.equal(before[name], value) for name, value in model.named_parameters())


def reference(model: PreTrainedModel, data: Encoded, indices: np.ndarray, weights: torch.Tensor) -> Gradients:
    """The loss and gradients of the whole batch at once, by PyTorch's weighted mean."""
    batch = torch_batch(data, indices)
    labels = batch.pop("labels")
    logits = model(**batch).logits.flatten(0, -2)
    loss = functional.cross_entropy(logits, labels.flatten(), weight=weights, label_smoothing=0.1, ignore_index=IGNORED)
    loss.backward()
    found = {"loss": loss.detach(), **gradients_of(model)}
    model.zero_grad()
    return found


def gradients_of(model: PreTrainedModel) -> Gradients:
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


@given(st.lists(st.integers(1, 500), min_size=2, max_size=9))
def test_class_weights_are_one_on_average_and_favour_the_rare(counts: list[int]) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    order = np.argsort(counts, kind="stable")
    assert (class_weights("none", labels, len(counts)) == 1).all()
    for kind, power in (("sqrt", 0.5), ("balanced", 1.0)):
        weights = class_weights(kind, labels, len(counts))  # type: ignore[arg-type]
        assert float(weights[labels].mean()) == pytest.approx(1, rel=1e-4)
        assert (np.diff(weights[order]) <= 1e-6).all()
        ratio = (counts[order[-1]] / counts[order[0]]) ** power
        assert float(weights[order[0]] / weights[order[-1]]) == pytest.approx(ratio, rel=1e-4)


def test_class_weights_leave_unscored_positions_out() -> None:
    weights = class_weights("balanced", np.array([IGNORED, 0, 0, 0, IGNORED, 1]), 3)
    assert weights.tolist() == pytest.approx([2 / 3, 2, 2])


def test_norms_and_biases_are_not_decayed() -> None:
    parameters = dict(model_for(False).named_parameters())
    decayed, others = make_optimizer(parameters, frozenset(), 1e-4).param_groups
    names = {id(value): name for name, value in parameters.items()}
    assert decayed["weight_decay"] > 0
    assert others["weight_decay"] == 0
    assert {names[id(p)] for p in others["params"]} == {
        n for n in names.values() if n.endswith("bias") or "LayerNorm" in n
    }
    assert len(decayed["params"]) + len(others["params"]) == len(parameters)


def test_weights_that_the_base_did_not_have_are_trained_faster() -> None:
    model, task, data = model_for(False), Task("text-classification", LABELS), data_for(False)
    settings = choose(Options(batch_size=4, epochs=1), task.name, 16, 12, False)
    fresh = frozenset({"classifier.weight", "classifier.bias"})
    job = Job(task, data, None, settings, fresh, torch.device("cpu"), False, None, Console(quiet=True))
    parameters = dict(model.named_parameters())
    before = {name: value.detach().clone() for name, value in parameters.items()}
    Step(model, make_optimizer(parameters, fresh, settings.learning_rate), job, torch.ones(3)).take(
        np.arange(4), Training()
    )
    moved = {name: float((value.detach() - before[name]).abs().max()) for name, value in parameters.items()}
    rate = learning_rate(0, settings, None)  # Adam's first step is as long as the rate
    assert moved["classifier.bias"] == pytest.approx(fresh_factor(settings.learning_rate) * rate, rel=1e-3)
    assert moved["bert.pooler.dense.bias"] == pytest.approx(rate, rel=1e-3)


def test_the_faster_rate_has_a_limit() -> None:
    rates = np.array([1e-5, 1e-4, 1e-3, 1e-2])
    factors = np.array([fresh_factor(float(rate)) for rate in rates])
    assert factors[:2].tolist() == [FRESH_RATE, FRESH_RATE]
    assert factors[2] * rates[2] == pytest.approx(FRESH_MOST)
    assert factors[3] == 1


def test_a_batch_with_nothing_to_score_changes_nothing_but_by_decay(tmp_path: Path) -> None:
    """Texts cut before their first word have no tag that counts."""
    data = data_for(True)
    data = Encoded(data.input_ids, data.token_type_ids, data.offsets, np.full_like(data.labels, IGNORED))
    task = Task("token-classification", LABELS)
    settings = choose(Options(batch_size=4, epochs=1), task.name, 16, 12, False)
    job = Job(task, data, None, settings, frozenset(), torch.device("cpu"), False, None, Console(quiet=True))
    model = model_for(True)
    step = Step(model, make_optimizer(dict(model.named_parameters()), frozenset(), 1e-4), job, torch.ones(3))
    assert float(step.take(np.arange(4), Training())) == 0
    assert all(torch.isfinite(value).all() for value in model.parameters())


@pytest.mark.parametrize(("device", "inside"), [("cpu", "eager"), ("cuda", "sdpa")])
def test_attention_is_plain_while_a_cpu_trains(device: str, inside: str) -> None:
    model = model_for(False).eval()
    ids = torch.arange(1, 13).reshape(2, 6)
    assert model.config._attn_implementation == "sdpa"
    before = model(input_ids=ids).logits
    with plain_attention(model, torch.device(device)):
        assert model.config._attn_implementation == inside
        assert torch.allclose(model(input_ids=ids).logits, before, atol=1e-6)
    assert model.config._attn_implementation == "sdpa"
