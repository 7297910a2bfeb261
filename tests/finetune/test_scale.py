"""A trained head put on the data's scale, whatever order a class has its layers in."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from edgepack.errors import InputError
from edgepack.finetune.scale import put_on_scale, score_layer
from tests.teacher.tiny import OFFSET, OWN_NAMES, SHAPE


def scorer(family: str) -> PreTrainedModel:
    """A small random model of one output."""
    sizes = OWN_NAMES.get(family, SHAPE)
    pad = 1 if family in OFFSET else 0
    config = AutoConfig.for_model(
        family, vocab_size=50, max_position_embeddings=20, pad_token_id=pad, num_labels=1, **sizes
    )
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config).eval()
    return model


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "camembert", "xlm", "funnel"])
def test_scores_are_spread_and_shifted(family: str) -> None:
    """XLM-RoBERTa and CamemBERT have the encoder behind the head."""
    model, ids = scorer(family), torch.tensor([[5, 6, 7, 8], [9, 8, 7, 6]])
    with torch.no_grad():
        before = model(input_ids=ids).logits
        put_on_scale(model, mean=3.0, spread=2.0)
        after = model(input_ids=ids).logits
    torch.testing.assert_close(after, 2 * before + 3, rtol=1e-5, atol=1e-5)


def test_a_head_without_a_bias_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"LlamaForSequenceClassification .* a base of another family"):
        score_layer(scorer("llama"))
