"""What a recipe asks of a teacher, its task, targets, raw text and the planned student, refused in one line."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from edgepack.build.after_plan import check_planned, pair_warnings, plan_warnings
from edgepack.build.recipe import find_recipe
from edgepack.build.recipe_check import check_recipe, check_shape, check_vocabulary, warn_without_text
from edgepack.build.recipe_file import parse_recipe
from edgepack.build.results import part_lines
from edgepack.console import Console
from edgepack.demo.base import make_tokenizer
from edgepack.errors import InputError
from edgepack.plan.space import Structure
from edgepack.student.config import StudentConfig, changed_config
from edgepack.target import load_target
from edgepack.task.scoring import SINGLE_LABEL, Problem
from edgepack.task.task import Task, TaskName
from tests.builds.recipe_texts import ANSWERS, MINE, TASK_TOKENS, with_losses


def teacher(
    task: TaskName = "text-classification",
    labels: int = 3,
    layers: int = 6,
    problem: Problem = SINGLE_LABEL,
    **config: Any,
) -> Any:
    return SimpleNamespace(
        task=Task(task, tuple("abcdefgh"[:labels]), problem=problem, vector_size=0 if labels else 8),
        sizes=SimpleNamespace(layers=layers, hidden_size=384),
        config=SimpleNamespace(**config),
        tokenizer=SimpleNamespace(mask_token_id=None),
        behaviour=None,
        family="bert",
    )


@pytest.mark.parametrize(
    ("text", "who", "message"),
    [
        (
            "base = 'universal-kd'",
            teacher("token-classification"),
            r"losses\[1\]: output_space compares classes of whole",
        ),
        (
            with_losses("{ loss = 'output_space', classes = 2 }"),
            teacher(),
            r"losses\[0\].classes is 2; the task has 3 labels, allowed: that, or 0",
        ),
        ("base = 'universal-kd'", teacher(layers=1), "the teacher has 1, needed: 2"),
        (
            "base = 'hidden-256'\nstructure.hidden_size = 512",
            teacher(),
            "structure.hidden_size is 512; the teacher's is 384",
        ),
        (
            "base = 'safe'",
            teacher(embedding_size=128),
            "structure.embedding is 'self_attentive', and the teacher's table",
        ),
        (
            "base = 'convolution'",
            teacher(embedding_size=128),
            "structure.embedding_kernel is 5, and the teacher's table has a size of its own, 128; allowed: 1",
        ),
        ("base = 'ternary'", teacher(), "structure.body_bits is 1; ios-torchscript runs"),
        ("base = 'mixed-widths'", teacher(), "mixed_widths: mixed widths: target ios-torchscript"),
        ("base = 'general-text'", teacher(), "general.masked_words needs a mask token"),
        (
            with_losses("{ loss = 'relations', relation_heads = 500 }"),
            teacher(),
            r"relation_heads is 500; the teacher has vectors of 384, allowed: 1 to that",
        ),
        (f"{MINE}layer_map = 'last'\n{ANSWERS}", teacher(), "layer_map is 'last', and no loss compares the layers"),
        (
            "base = 'subformer'",
            teacher(layers=3),
            "structure.sharing is 'sandwich', which 4 layers or more can do",
        ),
        (
            "base = 'mobilebert'",
            teacher(layers=1),
            r"losses\[1\] goes layer after layer \(progressive\); the teacher",
        ),
        (
            "base = 'wide-and-deep'",
            teacher("token-classification"),
            "structure.wide_rows is 4096, and a table beside the encoder goes with one label for each text",
        ),
        (f"{MINE}structure.match_feature = false", teacher(), "match_feature is false, and this teacher takes single"),
        (
            with_losses("{ loss = 'soft_targets', temperature = 4 }"),
            teacher(labels=1, problem="regression"),
            r"losses\[0\]: temperature is 4.0; it softens probabilities, and the teacher gives one score",
        ),
        (
            with_losses("{ loss = 'soft_targets', temperature = 4 }"),
            teacher("feature-extraction", labels=0),
            r"losses\[0\]: temperature is 4.0; it softens probabilities, and the teacher gives vectors",
        ),
        (
            with_losses("{ loss = 'relations', layer = -7 }"),
            teacher(),
            "layer is -7; the teacher has 6 layers, allowed: -6 to 5",
        ),
    ],
)
def test_what_this_teacher_cannot_serve_is_refused(text: str, who: Any, message: str) -> None:
    recipe = parse_recipe("mine.toml", text).recipe
    targets = [load_target("android-onnx"), load_target("ios-torchscript")]
    with pytest.raises(InputError, match=f"^mine.toml: .*{message}"):
        check_recipe(recipe, "mine.toml", who, targets)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pkd", "the student planned for 1,000 bytes has 1, needed: 2"),
        ("minilmv2", r"relation_heads is 12; the student .* has vectors of 8"),
    ],
)
def test_what_the_planned_student_cannot_serve_is_refused(name: str, message: str) -> None:
    shape = StudentConfig(num_hidden_layers=1, num_heads=[1], head_sizes=[8], intermediate_sizes=[8])
    check_shape(find_recipe("standard"), "standard", shape, 1_000)
    with pytest.raises(InputError, match=rf"^recipe {name}: phases\[0\].losses\[\d\].*{message}"):
        check_shape(find_recipe(name), name, shape, 1_000)


def test_a_map_of_layers_may_be_for_raw_text_or_for_replaced_layers(tmp_path: Path) -> None:
    mapped = parse_recipe("mine.toml", f"{MINE}layer_map = 'last'\n{ANSWERS}").recipe
    check_recipe(mapped, "mine.toml", teacher(), [], tmp_path / "raw.txt")
    for text in ("base = 'theseus'", f"{MINE}layer_map = 'uniform'"):
        check_recipe(parse_recipe("mine.toml", text).recipe, "mine.toml", teacher(), [])


def test_raw_text_and_vocabularies_that_nothing_follows_from_are_refused(tmp_path: Path) -> None:
    pieces = BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")])
    whole = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(pieces))
    parts = make_tokenizer(["a text"])
    task, alone = (parse_recipe("mine.toml", MINE + each).recipe for each in (TASK_TOKENS, "general = false"))
    check_vocabulary(task, "mine.toml", parts, tmp_path)
    check_vocabulary(alone, "mine.toml", parts, tmp_path)
    with pytest.raises(InputError, match=r"^mine.toml: structure.vocabulary is 'task', and a BPE vocabulary without"):
        check_vocabulary(task, "mine.toml", whole, None)
    with pytest.raises(InputError, match=r"^--raw-text .*general = false\), and it decides no tokens \(a BPE"):
        check_vocabulary(alone, "mine.toml", whole, tmp_path)
    with pytest.raises(InputError, match=r"decides no tokens \(structure.vocabulary is 'task'\); leave it out"):
        check_vocabulary(replace(task, general=None), "mine.toml", parts, tmp_path)


def test_a_stage_on_raw_text_that_is_left_out_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    console = Console()
    warn_without_text(find_recipe("standard"), "standard", None, console)
    warn_without_text(find_recipe("general-text"), "general-text", tmp_path, console)
    assert capsys.readouterr().err == ""
    warn_without_text(find_recipe("general-text"), "general-text", None, console)
    assert "recipe general-text: its stage on raw text is left out" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("changes", "heads", "rows", "said"),
    [
        (
            {"prune_ratio": 1.5},
            4,
            0,
            ["mine.toml: prune_ratio 1.5 prunes nothing: the student planned for 1,000"],
        ),
        ({"prune_ratio": 1.5}, 2, 0, []),
        (
            {"structure": Structure(wide_rows=4096)},
            4,
            0,
            ["mine.toml: structure.wide_rows 4096: .* no room"],
        ),
        ({"structure": Structure(wide_rows=4096)}, 4, 64, []),
        ({}, 4, 0, []),
    ],
)
def test_what_does_nothing_for_the_planned_student_is_said(
    changes: dict[str, Any], heads: int, rows: int, said: list[str]
) -> None:
    full = StudentConfig(num_hidden_layers=1, num_heads=[4], head_sizes=[8], intermediate_sizes=[64])
    shape = changed_config(full, num_heads=[heads], wide_rows=rows)
    recipe = replace(find_recipe("standard"), **changes)
    inputs: Any = SimpleNamespace(
        recipe=recipe, unseen=True, request=SimpleNamespace(effort="mine.toml", budget_bytes=1_000)
    )
    found = plan_warnings(inputs, shape, full)
    assert len(found) == len(said)
    assert all(map(re.match, said, found))


def test_few_layers_for_pairs_of_texts_are_said() -> None:
    pairs, layer = Task("text-classification", ("a", "b"), pair=True), {"head_sizes": [8], "intermediate_sizes": [64]}
    one = StudentConfig(num_hidden_layers=1, num_heads=[4], **layer)
    three = StudentConfig(num_hidden_layers=3, num_heads=[4] * 3, head_sizes=[8] * 3, intermediate_sizes=[64] * 3)
    for marks, why in ((True, "no token of its tokenizer says where"), (False, "structure.match_feature is false")):
        (warning,) = pair_warnings(pairs, one, marks)
        assert warning.startswith("the planned student has 1 layer to compare two texts in")
        assert why in warning
    assert not pair_warnings(pairs, three, True)
    assert not pair_warnings(replace(pairs, pair=False), one, True)
    assert not pair_warnings(pairs, changed_config(one, match_separator=102), True)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"embedding_kernel": 5}, "a convolution over 5 words"),
        ({"match_separator": 102}, "a mark on tokens that both texts of a pair have"),
        ({"wide_rows": 64}, "a wide table of 64 rows"),
    ],
)
def test_a_plan_names_the_parts_that_its_candidates_have_no_column_for(part: dict[str, int], said: str) -> None:
    plain = StudentConfig(num_hidden_layers=1, num_heads=[4], head_sizes=[8], intermediate_sizes=[64])
    assert part_lines(plain) == []
    (line,) = part_lines(changed_config(plain, **part))
    assert line.startswith(said)


def test_nothing_is_said_of_a_training_that_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    shape = StudentConfig(num_hidden_layers=1, num_heads=[4], head_sizes=[8], intermediate_sizes=[64])
    request = SimpleNamespace(effort="standard", budget_bytes=1_000, chosen_recipe=find_recipe("standard"))
    task = Task("text-classification", ("a", "b"), pair=True)
    inputs: Any = SimpleNamespace(
        recipe=find_recipe("standard"), unseen=False, request=request, teacher=SimpleNamespace(task=task)
    )
    plan: Any = SimpleNamespace(chosen=SimpleNamespace(config=shape))
    check_planned(inputs, plan, shape, None)
    assert capsys.readouterr().err == ""
    check_planned(inputs, plan, shape, Console())
    assert "the planned student has 1 layer to compare two texts in" in " ".join(capsys.readouterr().err.split())
