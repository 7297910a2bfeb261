"""Teachers that embed: sentence-transformers folders, and encoders with a pooling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel

from edgepack.student.from_parts import student_from_parts, takes_parts
from edgepack.student.from_table import student_from_table
from edgepack.student.from_teacher import student_from_teacher
from edgepack.task.similarity import Prompts
from edgepack.teacher import load_teacher
from edgepack.teacher.embedding_model import EmbeddingModel
from edgepack.teacher.families import FAMILIES
from edgepack.teacher.model_call import call
from edgepack.teacher.own_model import OwnModel
from tests.teacher.embedding_folders import EMBEDS, KINDS, write_dense, write_encoder, write_modules
from tests.teacher.table import CARVED, ROWS
from tests.teacher.tiny import edit


def batch(rows: int = 30) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids of three texts of 9, 4 and 1 tokens, padded, and their mask."""
    ids = torch.randint(5, rows, (3, 9), generator=torch.Generator().manual_seed(1))
    mask = (torch.arange(9) < torch.tensor([[9], [4], [1]])).long()
    return ids * mask, mask


@pytest.mark.parametrize("pooling", KINDS)
@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"xlm", "flaubert"}))
def test_the_teachers_shape_gives_the_teachers_vectors(tmp_path: Path, family: str, pooling: str) -> None:
    """The identity test, for each family that is carved and each pooling, on padded batches."""
    write_encoder(tmp_path / "t", family)
    teacher = load_teacher(str(tmp_path / "t"), EMBEDS, pooling=pooling)
    model = teacher.load_model()
    assert isinstance(model, EmbeddingModel)
    student = student_from_teacher(model, EMBEDS)
    ids, mask = batch(teacher.sizes.vocabulary)
    with torch.no_grad():
        expected, found = model(ids, mask).logits, student(ids, mask).logits
        alone = student(ids[1:2, :4], mask[1:2, :4]).logits
    assert expected.shape == (3, 16) == (3, teacher.task.outputs)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(alone[0], expected[1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(expected.norm(dim=1), torch.ones(3))


@pytest.mark.parametrize("inside", ["", "0_Transformer"])
@pytest.mark.parametrize("pooling", KINDS)
def test_modules_are_read_in_both_layouts(tmp_path: Path, inside: str, pooling: str) -> None:
    folder = tmp_path / "mine"
    (folder / inside).mkdir(parents=True)
    encoder = write_encoder(folder / inside)
    write_modules(folder, pooling, "Dense", "Normalize", inside=inside)
    layer = write_dense(folder / "2_Dense")
    teacher = load_teacher(str(folder), EMBEDS)
    assert (teacher.name, teacher.max_length, teacher.task.vector_size) == ("mine", 12, 6)
    assert teacher.task.labels == ()
    assert "vectors of 6" in teacher.describe()
    ids, mask = batch()
    with torch.no_grad():
        states = encoder(ids, mask).last_hidden_state
        last = mask.sum(1) - 1
        pooled = {
            "first": states[:, 0],
            "last": states[torch.arange(3), last],
            "mean": torch.stack([state[: int(n) + 1].mean(0) for state, n in zip(states, last, strict=True)]),
        }[pooling]
        expected = torch.nn.functional.normalize(torch.tanh(layer(pooled)), dim=-1)
        model = teacher.load_model()
        torch.testing.assert_close(model(ids, mask).logits, expected)
        torch.testing.assert_close(student_from_teacher(model, EMBEDS)(ids, mask).logits, expected)


def test_vectors_without_normalize_keep_their_length(tmp_path: Path) -> None:
    write_encoder(tmp_path)
    write_modules(tmp_path)
    student = student_from_teacher(load_teacher(str(tmp_path), EMBEDS).load_model(), EMBEDS)
    assert not student.config.normalized
    assert student.config.num_labels in (0, 2)
    assert not student.config.has_classifier


def test_weights_beside_a_pretraining_head_are_an_encoder(tmp_path: Path) -> None:
    from transformers import BertForMaskedLM

    write_encoder(tmp_path)
    plain = load_teacher(str(tmp_path), EMBEDS, pooling="mean").load_model()
    config = AutoConfig.from_pretrained(tmp_path)
    model = BertForMaskedLM(config)
    model.bert.load_state_dict(plain.encoder.state_dict(), strict=False)
    model.save_pretrained(tmp_path)
    ids, mask = batch()
    with torch.no_grad():
        found = load_teacher(str(tmp_path), EMBEDS, pooling="mean").load_model()(ids, mask).logits
        torch.testing.assert_close(found, plain(ids, mask).logits)


@pytest.mark.parametrize(
    ("settings", "query", "text"),
    [
        ({"prompts": {"query": "query: ", "document": ""}, "default_prompt_name": None}, "query: ", ""),
        ({"prompts": {"query": "query: ", "passage": "passage: ", "STS": "other: "}}, "query: ", "passage: "),
        ({"prompts": {"a": "all: ", "query": "query: "}, "default_prompt_name": "a"}, "query: ", "all: "),
        ({"prompts": {"query": "", "document": ""}}, "", ""),
        ({"prompts": {"STS": "other: "}}, "", ""),
    ],
)
def test_prompts_are_those_of_queries_and_of_other_texts(
    tmp_path: Path, settings: dict[str, Any], query: str, text: str
) -> None:
    write_encoder(tmp_path)
    write_modules(tmp_path)
    before = load_teacher(str(tmp_path), EMBEDS)
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps(settings))
    teacher = load_teacher(str(tmp_path), EMBEDS)
    assert teacher.task.prompts == Prompts(query, text)
    assert (teacher.sha256 == before.sha256) == (not query and not text)
    assert [f"{query!r} is written before queries" in note for note in teacher.notes if "before q" in note] == [
        True
    ] * bool(query)


def test_what_is_not_read_of_a_folder_is_said(tmp_path: Path) -> None:
    """Prompts of other names, and settings with another value than a student's."""
    write_encoder(tmp_path)
    write_modules(tmp_path, "mean", "Dense")
    write_dense(tmp_path / "2_Dense")
    edit(tmp_path, "2_Dense/config.json", module_input_name="sentence_embedding")
    edit(tmp_path, "sentence_bert_config.json", transformer_task="feature-extraction", model_args={})
    own = tmp_path / "config_sentence_transformers.json"
    own.write_text('{"__version__": {}, "model_type": "SentenceTransformer", "prompts": {"query": ""}}')
    assert load_teacher(str(tmp_path), EMBEDS).notes == ()
    edit(tmp_path, "2_Dense/config.json", module_input_name="token_embeddings", scale=3.0)
    edit(tmp_path, "sentence_bert_config.json", config_args={"num_hidden_layers": 1})
    own.write_text('{"prompts": {"STS": "other: "}}')
    notes = " ".join(load_teacher(str(tmp_path), EMBEDS).notes)
    for said in ("Dense says module_input_name", "Dense says scale 3.0", "Transformer says config_args", "for STS"):
        assert said in notes


def test_the_settings_have_older_names(tmp_path: Path) -> None:
    write_encoder(tmp_path)
    write_modules(tmp_path)
    (tmp_path / "sentence_bert_config.json").rename(tmp_path / "sentence_roberta_config.json")
    assert load_teacher(str(tmp_path), EMBEDS).max_length == 12


def test_a_teacher_whose_vectors_are_compared_by_something_else_is_said(tmp_path: Path) -> None:
    write_encoder(tmp_path)
    write_modules(tmp_path)
    (tmp_path / "config_sentence_transformers.json").write_text('{"similarity_fn_name": "dot"}')
    (note,) = load_teacher(str(tmp_path), EMBEDS).notes
    assert "compared by dot" in note


def test_what_a_module_says_decides_the_hash(tmp_path: Path) -> None:
    write_encoder(tmp_path)
    write_modules(tmp_path)
    before = load_teacher(str(tmp_path), EMBEDS).sha256
    edit(tmp_path, "1_Pooling/config.json", pooling_mode_mean_tokens=False, pooling_mode_cls_token=True)
    assert load_teacher(str(tmp_path), EMBEDS).sha256 != before


@pytest.mark.parametrize("pooling", KINDS)
@pytest.mark.parametrize("family", sorted({row.family for row in ROWS if row.start != CARVED}))
def test_layers_that_are_not_carved_give_their_own_vectors(tmp_path: Path, family: str, pooling: str) -> None:
    """Of a padded batch those of each text alone, and a student of the teacher's sizes with its word table."""
    write_encoder(tmp_path, family)
    encoder = AutoModel.from_pretrained(tmp_path).eval()
    write_modules(tmp_path, pooling, "Dense")
    layer = write_dense(tmp_path / "2_Dense")
    teacher = load_teacher(str(tmp_path), EMBEDS)
    model = teacher.load_model()
    assert isinstance(model, OwnModel)
    ids, _ = batch(teacher.sizes.vocabulary)
    mask = (torch.arange(9) < torch.tensor([[9], [5], [3]])).long()  # a Funnel runs on no single token
    with torch.no_grad():
        alone = [row[None, :n] for row, n in zip(ids, mask.sum(1), strict=True)]
        inputs = [{"input_ids": row, "attention_mask": torch.ones_like(row)} for row in alone]
        states = [call(encoder, each, False).last_hidden_state[0] for each in inputs]
        vectors = [{"first": each[0], "last": each[-1], "mean": each.mean(0)}[pooling] for each in states]
        expected = torch.tanh(layer(torch.stack(vectors)))
        output = model(ids, mask, output_hidden_states=True)
    torch.testing.assert_close(output.logits, expected, atol=1e-4, rtol=1e-4)
    if takes_parts(teacher.config):
        student = student_from_parts(model, teacher, teacher.max_length)
    else:
        student = student_from_table(model, teacher, teacher.max_length, 0)
    assert (student.config.pooling, student.config.vector_size, student.config.head_act) == (pooling, 6, "tanh")
    assert student(ids, mask).logits.shape == (3, 6)
    torch.testing.assert_close(student.head.classifier.weight, layer.weight)
    if output.hidden_states is not None:
        assert len(output.hidden_states) == student.config.num_hidden_layers + 1
        assert not torch.equal(output.hidden_states[-1][0, 0], output.hidden_states[-1][0, 8])


@pytest.mark.needs_shared
def test_the_shared_teacher(shared: Path) -> None:
    teacher = load_teacher(str(shared / "models" / "base-minilm"), EMBEDS)
    assert (teacher.task.vector_size, teacher.max_length) == (384, 256)
    assert teacher.embedding is not None
    assert (teacher.embedding.pooling, teacher.embedding.normalized) == ("mean", True)
    model = teacher.load_model()
    ids, mask = batch(20_000)
    with torch.no_grad():
        torch.testing.assert_close(student_from_teacher(model, EMBEDS)(ids, mask).logits, model(ids, mask).logits)
