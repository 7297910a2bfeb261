"""Teachers that embed: sentence-transformers folders, encoders with a pooling, and what is refused by its name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModel

from edgepack.demo.base import make_tokenizer
from edgepack.errors import InputError
from edgepack.student.from_parts import student_from_parts, takes_parts
from edgepack.student.from_table import student_from_table
from edgepack.student.from_teacher import student_from_teacher
from edgepack.task.similarity import Prompts
from edgepack.teacher import load_teacher
from edgepack.teacher.embedding_model import EmbeddingModel
from edgepack.teacher.families import FAMILIES
from edgepack.teacher.model_call import call
from edgepack.teacher.own_model import OwnModel
from tests.teacher.table import CARVED, ROWS
from tests.teacher.tiny import OFFSET, OWN_NAMES, SENTENCES, SHAPE, edit

EMBEDS = "feature-extraction"
KINDS = {"mean": "pooling_mode_mean_tokens", "first": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken"}


def write_encoder(folder: Path, family: str = "bert") -> torch.nn.Module:
    """A random encoder without a head."""
    tokenizer = make_tokenizer(SENTENCES)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    settings = {"max_position_embeddings": 40, "pad_token_id": 1 if family in OFFSET else 0}
    sizes = OWN_NAMES.get(family, SHAPE)
    config = AutoConfig.for_model(family, vocab_size=len(tokenizer), architectures=[], **settings, **sizes)
    model = AutoModel.from_config(config).eval()
    model.save_pretrained(folder)
    return model


def write_modules(folder: Path, pooling: str = "mean", *others: str, inside: str = "", size: int = 16) -> None:
    """What sentence-transformers writes around an encoder."""
    kinds = ["Transformer", "Pooling", *others]
    paths = [inside, *(f"{i}_{kind}" for i, kind in enumerate(kinds) if i)]
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    flags = {flag: name == pooling for name, flag in KINDS.items()}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": size, **flags}))
    (folder / inside / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": 12, "do_lower_case": False})
    )


def write_dense(folder: Path, activation: str = "torch.nn.modules.activation.Tanh") -> torch.nn.Linear:
    folder.mkdir()
    layer = torch.nn.Linear(16, 6)
    config = {"in_features": 16, "out_features": 6, "bias": True, "activation_function": activation}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(
        {"linear.weight": layer.weight.detach(), "linear.bias": layer.bias.detach()}, folder / "model.safetensors"
    )
    return layer


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


def with_modules(*kinds: str) -> Callable[[Path], Any]:
    return lambda folder: write_modules(folder, "mean", *kinds)


def changed(name: str, **values: Any) -> Callable[[Path], Any]:
    def make(folder: Path) -> None:
        write_modules(folder)
        edit(folder, name, **values)

    return make


def odd_dense(folder: Path) -> None:
    write_modules(folder, "mean", "Dense")
    write_dense(folder / "2_Dense", "torch.nn.modules.activation.SiLU")


def dense_with(name: str, content: bytes) -> Callable[[Path], Any]:
    def make(folder: Path) -> None:
        write_modules(folder, "mean", "Dense")
        write_dense(folder / "2_Dense")
        (folder / "2_Dense" / name).write_bytes(content)

    return make


def dense_of_integers(folder: Path) -> None:
    write_modules(folder, "mean", "Dense")
    write_dense(folder / "2_Dense")
    weights = {"linear.weight": torch.ones(6, 16, dtype=torch.int8), "linear.bias": torch.ones(6)}
    save_file(weights, folder / "2_Dense" / "model.safetensors")


def of_its_own_code(folder: Path) -> None:
    write_modules(folder)
    modules = (folder / "modules.json").read_text()
    (folder / "modules.json").write_text(modules.replace("sentence_transformers.models.Tr", "custom_st.Tr"))


def lower_cased(folder: Path) -> None:
    write_modules(folder)
    edit(folder, "sentence_bert_config.json", do_lower_case=True)
    document = json.loads((folder / "tokenizer.json").read_text())
    document["normalizer"]["lowercase"] = False
    (folder / "tokenizer.json").write_text(json.dumps(document))


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no word on pooling": (lambda folder: None, r"has no modules\.json.*pass --pooling mean, first or last"),
    "another module": (
        with_modules("CNN"),
        "its module CNN has no counterpart in a student; allowed: Transformer, Pool",
    ),
    "another order": (
        with_modules("Normalize", "Dense"),
        "its modules are Transformer, Pooling, Normalize, Dense; allow",
    ),
    "twice a layer": (with_modules("Dense", "Dense"), "each once"),
    "the largest of tokens": (
        changed("1_Pooling/config.json", pooling_mode_mean_tokens=False, pooling_mode_max_tokens=True),
        "its pooling is pooling_mode_max_tokens; allowed: one of",
    ),
    "two poolings": (
        changed("1_Pooling/config.json", pooling_mode_cls_token=True),
        "its pooling is pooling_mode_mean_tokens, pooling_mode_cls_token; allowed: one",
    ),
    "a flag that is no truth value": (
        changed("1_Pooling/config.json", pooling_mode_cls_token=1),
        "pooling_mode_cls_token is 1; allowed: true, false",
    ),
    "a list of poolings": (changed("1_Pooling/config.json", pooling_mode=["mean", "cls"]), "its pooling is mean, cls"),
    "lower case as text": (changed("sentence_bert_config.json", do_lower_case="true"), "do_lower_case is 'true'"),
    "a module without its config": (
        lambda folder: (write_modules(folder), (folder / "1_Pooling" / "config.json").unlink()),
        r"names 1_Pooling, which has no config\.json; download",
    ),
    "a module of its own code": (of_its_own_code, r"its module custom_st\.Transformer is code of its own"),
    "an activation of its own code": (
        lambda folder: (write_modules(folder, "mean", "Dense"), write_dense(folder / "2_Dense", "my.Tanh")),
        r"its Dense module ends in my\.Tanh; allowed: Identity",
    ),
    "a dense pointer": (
        dense_with("model.safetensors", b"version https://git-lfs.github.com/spec/v1"),
        r"2_Dense: model\.safetensors is a Git LFS pointer",
    ),
    "a dense layer of integers": (dense_of_integers, "weights of its Dense module do not load.*quantized"),
    "an unknown similarity": (
        lambda folder: (
            write_modules(folder),
            (folder / "config_sentence_transformers.json").write_text('{"similarity_fn_name": "hamming"}'),
        ),
        "similarity_fn_name is 'hamming'",
    ),
    "modules that are a folder": (
        lambda folder: (folder / "modules.json").mkdir(),
        r"modules\.json: is no regular file",
    ),
    "no such prompt": (
        lambda folder: (
            write_modules(folder),
            (folder / "config_sentence_transformers.json").write_text('{"prompts": {}, "default_prompt_name": "a"}'),
        ),
        "default_prompt_name is 'a'",
    ),
    "prompts left out": (changed("1_Pooling/config.json", include_prompt=False), "leaves prompts out"),
    "a length of none": (
        changed("sentence_bert_config.json", max_seq_length=-1),
        "max_seq_length is -1; a number from",
    ),
    "an odd activation": (odd_dense, "its Dense module ends in SiLU; allowed: Identity, Tanh, GELU, ReLU"),
    "case": (lower_cased, "says do_lower_case, its tokenizer does not"),
    "no list": (
        lambda folder: (folder / "modules.json").write_text("{}"),
        r"modules\.json is {}; a JSON list is needed",
    ),
    "a place outside": (
        lambda folder: (folder / "modules.json").write_text(
            '[{"path": "../x", "type": "sentence_transformers.models.Transformer"}]'
        ),
        "a type and a path inside the folder are needed",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    write_encoder(tmp_path)
    make, message = REFUSED[name]
    make(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        load_teacher(str(tmp_path), EMBEDS)
    assert str(caught.value).isprintable()


def test_a_pooling_must_agree(tmp_path: Path) -> None:
    write_encoder(tmp_path)
    with pytest.raises(InputError, match="pooling is 'max'; allowed: mean, first, last"):
        load_teacher(str(tmp_path), EMBEDS, pooling="max")
    write_modules(tmp_path)
    assert load_teacher(str(tmp_path), EMBEDS, pooling="mean").task.embeds
    with pytest.raises(InputError, match=r"pooling is mean by its modules\.json, first by --pooling"):
        load_teacher(str(tmp_path), EMBEDS, pooling="first")


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
