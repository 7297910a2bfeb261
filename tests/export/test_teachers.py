"""A student of every teacher family's own shape, exported unrounded, gives the teacher's logits in both runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    MPNetConfig,
    PreTrainedConfig,
    RobertaConfig,
)

from edgepack.export import export
from edgepack.runtime import load
from edgepack.student.from_teacher import student_from_teacher
from edgepack.target import load_target

SHAPE: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
}
DISTIL = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 40, "vocab_size": 60}
TASKS = {
    "text-classification": AutoModelForSequenceClassification,
    "token-classification": AutoModelForTokenClassification,
}


def make_config(family: str) -> PreTrainedConfig:
    config: PreTrainedConfig = {
        "bert": lambda: BertConfig(**SHAPE),
        "distilbert": lambda: DistilBertConfig(**DISTIL),
        "roberta": lambda: RobertaConfig(**SHAPE, type_vocab_size=1, pad_token_id=1),
        "electra": lambda: ElectraConfig(**SHAPE, embedding_size=16),
        "albert": lambda: AlbertConfig(**SHAPE, embedding_size=16),
        "mpnet": lambda: MPNetConfig(**SHAPE, pad_token_id=1),
    }[family]()
    config.num_labels = 5
    return config


@pytest.mark.parametrize("target", ["android-onnx", "android-torchscript"])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "electra", "albert", "mpnet"])
def test_the_file_gives_the_teachers_logits_in_a_padded_batch(
    family: str, task: str, target: str, tmp_path: Path
) -> None:
    config = make_config(family)
    torch.manual_seed(0)
    teacher = TASKS[task].from_config(config).eval()
    with torch.no_grad():  # make biases and norms matter: fresh models have them at 0 and 1
        for parameter in teacher.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    student = student_from_teacher(teacher, task)
    session = load(export(student, load_target(target), tmp_path).path, load_target(target))
    ids = torch.randint(5, 60, (3, 13))
    mask = torch.ones_like(ids)
    ids[1, 6:], mask[1, 6:] = config.pad_token_id or 0, 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    if student.config.type_vocab_size:
        inputs["token_type_ids"] = (torch.arange(13) > 4).long().expand(3, -1).contiguous()
    with torch.no_grad():
        expected = teacher(**inputs).logits.numpy()
    got = session.run({name: tensor.numpy() for name, tensor in inputs.items()})
    real = mask.numpy() == 1 if got.ndim == 3 else np.ones(3, bool)
    assert expected[real].std() > 0.05
    np.testing.assert_allclose(got[real], expected[real], rtol=0, atol=2e-5)
