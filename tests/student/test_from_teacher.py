"""The identity test: a student of the teacher's own shape gives the teacher's logits, for every family."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    CamembertConfig,
    Data2VecTextConfig,
    DistilBertConfig,
    ElectraConfig,
    ErnieConfig,
    FlaubertConfig,
    MPNetConfig,
    PreTrainedConfig,
    RemBertConfig,
    RobertaConfig,
    XLMConfig,
    XLMRobertaConfig,
)

from edgepack.student.from_teacher import student_from_teacher

SHAPE = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
}
XLM = {"vocab_size": 60, "emb_dim": 32, "n_layers": 3, "n_heads": 4, "max_position_embeddings": 40}
CONFIGS: dict[str, PreTrainedConfig] = {
    "bert": BertConfig(**SHAPE),
    "distilbert": DistilBertConfig(
        vocab_size=60, dim=32, n_layers=3, n_heads=4, hidden_dim=48, max_position_embeddings=40
    ),
    "roberta": RobertaConfig(**SHAPE, type_vocab_size=1, pad_token_id=1),
    "electra": ElectraConfig(**SHAPE, embedding_size=16),
    "electra, unprojected": ElectraConfig(**SHAPE, embedding_size=32),
    "albert": AlbertConfig(**SHAPE, embedding_size=16),
    "albert, groups": AlbertConfig(**SHAPE | {"num_hidden_layers": 4}, embedding_size=16, num_hidden_groups=2),
    "mpnet": MPNetConfig(**SHAPE, pad_token_id=1),
    "xlm-roberta": XLMRobertaConfig(**SHAPE, type_vocab_size=1, pad_token_id=1),
    "camembert": CamembertConfig(**SHAPE, type_vocab_size=1, pad_token_id=1),
    "data2vec-text": Data2VecTextConfig(**SHAPE, type_vocab_size=1, pad_token_id=1),
    "ernie": ErnieConfig(**SHAPE),
    "ernie, with task types": ErnieConfig(**SHAPE, use_task_id=True),
    "rembert": RemBertConfig(**SHAPE, input_embedding_size=16, output_embedding_size=24),
    "xlm": XLMConfig(**XLM, n_langs=3, use_lang_emb=True),
    "xlm, relu": XLMConfig(**XLM, gelu_activation=False),
    "flaubert": FlaubertConfig(**XLM),
}
AUTO = {
    "text-classification": AutoModelForSequenceClassification,
    "token-classification": AutoModelForTokenClassification,
}


@pytest.mark.parametrize("task", AUTO)
@pytest.mark.parametrize("family", CONFIGS)
def test_own_shape_gives_the_teachers_logits(family: str, task: str) -> None:
    config = CONFIGS[family]
    config.num_labels = 5
    torch.manual_seed(0)
    teacher = AUTO[task].from_config(config).eval()
    with torch.no_grad():  # make biases and norms matter: fresh models have them at 0 and 1
        for parameter in teacher.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    student = student_from_teacher(teacher, task)
    input_ids = torch.randint(5, 60, (3, 17))
    attention_mask = torch.ones_like(input_ids)
    input_ids[1, 9:], attention_mask[1, 9:] = config.pad_token_id, 0
    inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
    if student.config.type_vocab_size:
        inputs["token_type_ids"] = (torch.arange(17) > 6).long().expand(3, -1).contiguous()
    with torch.no_grad():
        expected, actual = teacher(**inputs).logits, student(**inputs).logits
    if task == "token-classification":
        expected, actual = expected[attention_mask.bool()], actual[attention_mask.bool()]
    assert expected.std() > 0.05
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_teacher_of_label_sets_gives_its_problem_too(family: str) -> None:
    config = deepcopy(CONFIGS[family])
    config.num_labels, config.problem_type = 4, "multi_label_classification"
    torch.manual_seed(0)
    teacher = AUTO["text-classification"].from_config(config).eval()
    student = student_from_teacher(teacher, "text-classification")
    ids = torch.randint(5, 60, (2, 9))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    with torch.no_grad():
        torch.testing.assert_close(student(**inputs).logits, teacher(**inputs).logits, rtol=1e-5, atol=1e-5)
    assert student.config.problem_type == config.problem_type
    assert (
        student_from_teacher(
            AUTO["text-classification"].from_config(CONFIGS[family]), "text-classification"
        ).config.problem_type
        is None
    )


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_a_teacher_of_scores_gives_its_one_output(family: str) -> None:
    config = deepcopy(CONFIGS[family])
    config.num_labels, config.problem_type = 1, "regression"
    torch.manual_seed(0)
    teacher = AUTO["text-classification"].from_config(config).eval()
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    student = student_from_teacher(teacher, "text-classification")
    ids = torch.randint(5, 60, (3, 9))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    with torch.no_grad():
        expected, actual = teacher(**inputs).logits, student(**inputs).logits
    assert actual.shape == (3, 1)
    assert expected.std() > 0.01
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)
    assert student.config.problem_type == "regression"
