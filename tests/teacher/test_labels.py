"""A config's class names and its head: read where one thing can be meant, refused where two can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgepack.errors import InputError
from edgepack.student.config import StudentConfig
from edgepack.teacher import load_teacher
from tests.teacher.tiny import edit, write_teacher

READ: dict[str, dict[str, Any]] = {
    "label2id alone": {"id2label": ..., "label2id": {"neg": 0, "pos": 1}},
    "label2id alone, ids as text": {"id2label": ..., "label2id": {"neg": "0", "pos": "1"}},
    "id2label alone": {"id2label": {"0": "neg", "1": "pos"}, "label2id": ...},
    "id2label of nobody": {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "label2id": {"neg": 0, "pos": 1}},
    "label2id in capitals": {"id2label": {"0": "neg", "1": "pos"}, "label2id": {"NEG": 0, "POS": 1}},
    "label2id of nobody": {"id2label": {"0": "neg", "1": "pos"}, "label2id": {"LABEL_0": 0, "LABEL_1": 1}},
}


@pytest.mark.parametrize("name", READ)
def test_names_are_read_wherever_they_stand(folder: Path, name: str) -> None:
    edit(folder, "config.json", **READ[name])
    teacher = load_teacher(str(folder))
    assert teacher.task.labels == ("neg", "pos")
    assert teacher.load_model().config.id2label == {0: "neg", 1: "pos"}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "contradiction": (
        {"label2id": {"neg": 1, "pos": 0}},
        "id2label says that class 0 is 'neg', label2id that 'neg' is",
    ),
    "other names": ({"label2id": {"bad": 0, "good": 1}}, "class 0 is 'neg' by id2label and 'bad' by label2id"),
    "an id in two spellings": ({"id2label": {"0": "neg", "1": "pos", "01": "new"}}, "id2label holds '01': 'new'"),
    "two kinds of head": (
        {"architectures": ["BertForSequenceClassification", "BertForTokenClassification"]},
        "names heads for text-classification and for token-classification; pass --task",
    ),
    "two ids": (
        {"id2label": ..., "label2id": {"neg": 0, "pos": 0}},
        "label2id must give each name a class id of its own",
    ),
    "an id with a point": ({"label2id": {"neg": 0.0, "pos": 1.0}}, "label2id gives 'neg' the id 0.0; whole numbers"),
    "a gap": ({"id2label": {"0": "neg", "2": "pos"}}, "each class id from 0 once; it names 2, and not 1"),
    "a name twice": (
        {"id2label": {str(i): str(i // 2 if i > 7 else 9 + i) for i in range(10)}, "label2id": ...},
        "each class id from 0 once; 8 and 9 are both '4': give one another name",
    ),
    "no family": ({"model_type": ...}, "model_type is None, as checkpoints of before 2020 have it: write it into"),
    "a family in capitals": ({"model_type": "BERT"}, "model_type is 'BERT': write 'bert'"),
    "an encoder with a decoder": (
        {"model_type": "t5", "is_encoder_decoder": True, "classifier_dropout": ...},
        "model_type is 't5', an encoder with a decoder",
    ),
    "an encoder turned into one": ({"is_encoder_decoder": True}, "is_encoder_decoder True.*set it to false"),
    "a type that is none": ({"dtype": "auto"}, "says dtype 'auto'; allowed: float32, float16, bfloat16, or none"),
    "quantized, in older words": ({"compression_config": {}}, r"weights are quantized .compression_config."),
    "no id": ({"id2label": {"zero": "neg", "1": "pos"}}, "id2label holds 'zero': 'neg'"),
    "no name": ({"id2label": {"0": None, "1": "pos"}}, "id2label holds '0': None"),
    "a blank name": ({"id2label": {"0": " ", "1": "pos"}}, "id2label holds '0': ' '"),
    "a list": ({"id2label": ["neg", "pos"]}, "an object of class ids and names"),
    "too many to be meant": ({"id2label": ..., "label2id": ..., "num_labels": 10**9}, "num_labels is 1000000000"),
    "no head": ({"architectures": ["BertModel"]}, r"BertModel, not fine-tuned.*without a head.*edgepack finetune"),
    "question answering": (
        {"architectures": ["BertForQuestionAnswering"]},
        r"marks answers in a text .question answering",
    ),
    "multiple choice": ({"architectures": ["BertForMultipleChoice"]}, "multiple choice"),
    "fill-mask": ({"architectures": ["BertForMaskedLM"]}, "BertForMaskedLM.*fills in masked words.*finetune"),
    "architectures as text": ({"architectures": "BertForTokenClassification"}, "a list with one name is needed"),
    "one threshold": ({"problem_type": "multi_label_classification", "thresholds": [0.5]}, "thresholds is"),
    "no thresholds": ({"problem_type": "multi_label_classification", "thresholds": "high"}, "thresholds is 'high'"),
    "regression": ({"problem_type": "regression"}, "regression with one output"),
    "a ranker": ({"id2label": {"0": "score"}, "label2id": {"score": 0}}, "names 1 labels"),
    "unknown problem": ({"problem_type": "wishful"}, "problem_type 'wishful'"),
    "a decoder": ({"is_decoder": True}, r"is_decoder True, which makes a decoder of it.*set it to false"),
    "cross attention": ({"add_cross_attention": True}, "add_cross_attention"),
    "no layers": ({"num_hidden_layers": 0}, r"says 0 layers; allowed: 1 to"),
    "layers without end": ({"num_hidden_layers": 10**12}, "says 1000000000000 layers"),
    "heads that do not divide": ({"num_attention_heads": 3}, "hidden size 16 is no multiple of its 3"),
    "padding beyond the table": ({"pad_token_id": 10**6}, "pad_token_id is 1000000"),
    "dropout of NaN": (
        {"attention_probs_dropout_prob": float("nan")},
        "attention_probs_dropout_prob nan; a finite number",
    ),
    "dropout of all": (
        {"hidden_dropout_prob": 2},
        "hidden_dropout_prob 2; a finite number is needed, a dropout between",
    ),
    "an infinite epsilon": ({"layer_norm_eps": float("inf")}, "layer_norm_eps inf; a finite number"),
    "quantized": ({"quantization_config": {"bits": 4}}, "weights are quantized"),
    "a student": ({"model_type": StudentConfig.model_type}, "a student that edgepack made"),
    "forged lines": (
        {"model_type": "x\nerror: \x1b[31mall is lost"},
        r"model_type is 'x\\nerror: \\x1b\[31mall is lost'",
    ),
    "megabytes": ({"model_type": "x" * 10**6}, r"model_type is 'x+…x+'; supported"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_mean_two_things_or_none_is_one_line(folder: Path, name: str) -> None:
    changes, message = REFUSED[name]
    edit(folder, "config.json", **changes)
    with pytest.raises(InputError, match=message) as caught:
        load_teacher(str(folder))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_a_key_with_two_values_is_refused(folder: Path) -> None:
    """Either could be meant; a key that stands twice with one value cannot be misread."""
    config = folder / "config.json"
    text = config.read_text().rstrip().removesuffix("}")
    config.write_text(f'{text}, "hidden_act": "gelu"}}')
    assert load_teacher(str(folder)).config.hidden_act == "gelu"
    config.write_text(f'{text}, "hidden_act": "relu"}}')
    with pytest.raises(InputError, match=r"config\.json is not valid JSON.*the key 'hidden_act' stands twice"):
        load_teacher(str(folder))


@pytest.mark.parametrize(
    ("name", "said"), [("TFBertForSequenceClassification", 0), ("OurForSequenceClassification", 1)]
)
def test_a_class_of_ones_own_code_is_said(folder: Path, name: str, said: int) -> None:
    edit(folder, "config.json", architectures=[name])
    notes = [note for note in load_teacher(str(folder)).notes if "run as transformers' BertForSeq" in note]
    assert len(notes) == said


@pytest.mark.parametrize("padding", [None, 0, 5])
def test_an_mpnet_counts_positions_from_behind_its_own_padding(tmp_path: Path, padding: int | None) -> None:
    folder = tmp_path / "teacher"
    write_teacher(folder, "mpnet")
    assert load_teacher(str(folder)).max_length == 38
    edit(folder, "config.json", pad_token_id=padding)
    with pytest.raises(InputError, match=f"pad_token_id is {padding}; an MPNet counts positions from behind 1"):
        load_teacher(str(folder))


def test_an_mpnet_has_its_own_number_of_distances(tmp_path: Path) -> None:
    write_teacher(tmp_path, "mpnet", relative_attention_num_buckets=8)
    with pytest.raises(InputError, match="relative_attention_num_buckets is 8; an MPNet has 32"):
        load_teacher(str(tmp_path))


def test_the_datas_problem_decides_only_where_the_config_names_none(folder: Path) -> None:
    sets = "multi_label_classification"
    assert load_teacher(str(folder)).task.problem == "single_label_classification"
    teacher = load_teacher(str(folder), fallback_problem=sets)
    assert teacher.task.is_multi_label
    assert "its data have sets of labels" in teacher.notes[0]
    assert teacher.config.problem_type == sets
    edit(folder, "config.json", problem_type="single_label_classification")
    assert not load_teacher(str(folder), fallback_problem=sets).task.is_multi_label
    edit(folder, "config.json", problem_type=sets, thresholds=[0.25, 0.5])
    assert load_teacher(str(folder)).task.thresholds == (0.25, 0.5)


def test_the_datas_task_decides_only_where_the_config_names_none(folder: Path) -> None:
    assert load_teacher(str(folder), fallback_task="token-classification").task.name == "text-classification"
    edit(folder, "config.json", architectures=None)
    assert load_teacher(str(folder), fallback_task="text-classification").task.name == "text-classification"
    with pytest.raises(InputError, match="pass --task"):
        load_teacher(str(folder))
