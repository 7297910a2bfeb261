"""Each row of the table of teachers: a small checkpoint as the hub has them, loaded, and what a student starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers.processors import ByteLevel
from transformers.utils import ModelOutput

from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.inference import predict
from edgepack.student.from_parts import PARTS as WITH_PARTS
from edgepack.student.from_parts import student_from_parts, takes_parts
from edgepack.student.from_table import OwnTeacher, student_from_table, table_config
from edgepack.student.from_teacher import LAYOUTS, student_from_teacher
from edgepack.student.model import Student
from edgepack.task.encoded import Encoded
from edgepack.task.examples import Dataset, Example
from edgepack.task.tokenize import encode
from edgepack.teacher import FAMILIES, OwnModel, Teacher, load_teacher
from edgepack.teacher import own_model as own_model_room
from edgepack.train.state_budget import KeptStates
from edgepack.train.teacher_outputs import load_teacher_outputs, save_teacher_outputs
from tests.teacher.table import CARVED, PARTS, ROWS, Row
from tests.teacher.tiny import AUTO, edit, edit_weights, write_teacher
from tests.teacher.tokenizers import TEXTS, TOKENIZERS

DOCS = Path(__file__).parents[2] / "docs" / "inputs.md"


def make_teacher(folder: Path, row: Row, kind: str) -> Teacher:
    """A random teacher of the row's family, with biases and norms that matter."""
    model = write_teacher(folder, row.family, kind, TOKENIZERS[row.tokenizer]())
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(folder)
    return load_teacher(str(folder))


def encode_texts(teacher: Teacher) -> Encoded:
    per_token = teacher.task.name == "token-classification"
    examples = [
        Example("" if per_token else text, None, *((tuple(words), (0,) * len(words)) if per_token else (None, 0)))
        for text in TEXTS
        for words in (text.split(),)
    ]
    return encode(Dataset(tuple(examples), "", ""), teacher.task, teacher.tokenizer, teacher.max_length)


@pytest.mark.parametrize("kind", AUTO)
@pytest.mark.parametrize("row", [row for row in ROWS if row.start == CARVED], ids=lambda row: row.model)
def test_layers_that_fit_give_the_teachers_logits(tmp_path: Path, row: Row, kind: str) -> None:
    teacher = make_teacher(tmp_path, row, kind)
    encoded = encode_texts(teacher)
    model = teacher.load_model()
    expected = predict(model, encoded)
    assert expected.std() > 0.01
    np.testing.assert_allclose(
        predict(student_from_teacher(model, teacher.task.name), encoded), expected, rtol=1e-5, atol=1e-5
    )


def own_model(teacher: Teacher) -> OwnModel:
    model = teacher.load_model()
    assert isinstance(model, OwnModel)
    return model


def start_of(model: OwnModel, teacher: Teacher) -> Student:
    if takes_parts(teacher.config):
        return student_from_parts(model, teacher, teacher.max_length)
    return student_from_table(model, teacher, teacher.max_length, seed=0)


@pytest.mark.parametrize("kind", AUTO)
@pytest.mark.parametrize("row", [row for row in ROWS if row.start != CARVED], ids=lambda row: row.model)
def test_other_layers_give_outputs_and_the_word_table(tmp_path: Path, row: Row, kind: str) -> None:
    """Stored outputs are those of the model itself on each text alone; the student has the teacher's table."""
    teacher = make_teacher(tmp_path / "teacher", row, kind)
    encoded, model = encode_texts(teacher), own_model(teacher)
    alone = [predict(model.model, encoded.select([i])) for i in range(len(encoded))]
    assert np.concatenate(alone).std() > 0.01
    config = table_config(model, teacher, teacher.max_length)
    kept = KeptStates((0, 1, 2) if model.behaviour.states else ())
    settings = {"device": torch.device("cpu"), "bf16": True}  # which an own model does not run in
    save_teacher_outputs(OwnTeacher(model, config), encoded, kept, tmp_path, Console(quiet=True), **settings)
    outputs = load_teacher_outputs(tmp_path, [0, 1])
    np.testing.assert_allclose(outputs.logits, np.concatenate(alone), rtol=1e-4, atol=1e-4)
    if model.behaviour.states:
        states = outputs.batch_hidden(encoded, np.arange(len(encoded))).float()
        assert states.shape == (len(encoded), encoded.lengths.max(), 3, teacher.sizes.hidden_size)
        assert (states[0, :3].square().mean(-1) - 1).abs().max() < 0.02  # normed
    assert takes_parts(teacher.config) == (row.start == PARTS)
    student = start_of(model, teacher)
    table = model.model.get_input_embeddings().weight
    assert torch.equal(student.embeddings.word.weight, table)
    assert student.config.num_hidden_layers == teacher.sizes.layers == 2
    again = start_of(model, teacher).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in student.state_dict().items())
    assert np.isfinite(predict(student, encoded)).all()


BEHAVIOUR = {  # states after each layer in one size, answers that padding changes, a head that reads the last token
    "DeBERTa-v2, v3": (True, False, False),
    "ModernBERT": (True, False, False),
    "Longformer": (True, False, False),
    "FNet": (True, True, False),
    "Funnel": (False, False, False),
    "Llama": (True, False, True),
}


@pytest.mark.parametrize("model", BEHAVIOUR)
def test_what_a_model_shows_when_it_runs(tmp_path: Path, model: str) -> None:
    row = next(row for row in ROWS if row.model == model)
    behaviour = own_model(make_teacher(tmp_path, row, "text")).behaviour
    assert (behaviour.states, behaviour.reads_padding, behaviour.reads_last) == BEHAVIOUR[model]


def test_rounding_makes_no_model_that_reads_both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a mixture of experts, which takes the tokens of a batch in another order."""
    own, calls = own_model_room.call, []

    def rounded(*arguments: Any) -> ModelOutput:
        output = own(*arguments)
        calls.append(1)
        output.hidden_states = tuple(state * (1 + 1e-7 * len(calls)) for state in output.hidden_states)
        return output

    monkeypatch.setattr(own_model_room, "call", rounded)
    for model, reads_last in (("Llama", True), ("ModernBERT", False)):
        row = next(row for row in ROWS if row.model == model)
        assert own_model(make_teacher(tmp_path / model, row, "text")).behaviour.reads_last == reads_last
    assert len(calls) >= 4


def test_a_student_learns_the_last_state_where_the_teacher_reads_that(tmp_path: Path) -> None:
    model = own_model(make_teacher(tmp_path, next(row for row in ROWS if row.model == "Llama"), "text"))
    ids, mask = torch.randint(5, 99, (2, 9)), torch.ones(2, 9, dtype=torch.int64)
    mask[1, 6:] = 0
    with torch.no_grad():
        states = model(ids, mask, None, True).hidden_states or ()
        plain = model.model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
    for own, other in zip(states, plain, strict=True):
        normed = torch.nn.functional.layer_norm(other, other.shape[-1:])
        torch.testing.assert_close(own[:, 0], torch.stack([normed[0, 8], normed[1, 5]]))
        torch.testing.assert_close(own[0, 1:], normed[0, 1:])


REFUSED = {
    "an encoder with a decoder": ({"model_type": "bart"}, "model_type is 'bart', an encoder with a decoder"),
    "no head": ({"model_type": "splinter"}, "model_type is 'splinter', no model with a classification head"),
    "code": ({"model_type": "nomic_bert", "auto_map": {"AutoModel": "x.Y"}}, "own Python code .auto_map."),
    "weights of another": ({"model_type": "longformer"}, "not fine-tuned for text-classification, its weights lack"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_teacher_is_one_line(tmp_path: Path, name: str) -> None:
    changes, message = REFUSED[name]
    write_teacher(tmp_path)
    edit(tmp_path, "config.json", **changes)
    with pytest.raises(InputError, match=message) as caught:
        load_teacher(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_text_without_a_special_token_has_nothing_for_a_head_to_read(tmp_path: Path) -> None:
    tokenizer = TOKENIZERS["byte-level BPE"]()
    tokenizer.backend_tokenizer.post_processor = ByteLevel()
    write_teacher(tmp_path, "gpt2", tokenizer=tokenizer)
    with pytest.raises(InputError, match="puts no special token around a text"):
        load_teacher(str(tmp_path))


SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "the last token": ("xlm", {"summary_type": "last"}),
    "activation": ("bert", {"hidden_act": "silu"}),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_that_layers_cannot_be_carved_with(tmp_path: Path, name: str) -> None:
    family, settings = SETTINGS[name]
    write_teacher(tmp_path, family, **settings)
    teacher = load_teacher(str(tmp_path))
    assert not teacher.is_carved
    model = own_model(teacher)
    assert torch.equal(
        student_from_table(model, teacher, 16, seed=0).embeddings.word.weight,
        model.model.get_input_embeddings().weight,
    )


def test_weights_that_an_own_model_lacks_are_refused(tmp_path: Path) -> None:
    write_teacher(tmp_path, "deberta-v2")
    edit_weights(tmp_path, lambda held: held | {"extra.weight": torch.ones(2, 2)})
    with pytest.raises(InputError, match=r"hold extra\.weight, which a deberta-v2 for text-classification does not"):
        load_teacher(str(tmp_path))


def test_every_family_that_is_carved_has_a_layout_and_a_row() -> None:
    assert set(LAYOUTS) == set(FAMILIES) == {row.family for row in ROWS if row.start == CARVED}
    assert set(WITH_PARTS) == {row.family for row in ROWS if row.start == PARTS}


def test_the_table_in_the_docs_has_these_rows() -> None:
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    begin = lines.index("| teacher | `model_type` | tokenizer | the student starts from | tasks |") + 2
    end = next(number for number in range(begin, len(lines)) if not lines[number].startswith("|"))
    found = [tuple(cell.strip().strip("`") for cell in line.strip("|").split("|")) for line in lines[begin:end]]
    assert found == [tuple(row) for row in ROWS]
