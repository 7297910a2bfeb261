"""The plan: deterministic, within the budget to the byte, better with more bytes, clear when nothing fits."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.build.data_plan import DataPlan
from edgepack.build.results import PlanReport
from edgepack.errors import InputError
from edgepack.export import export
from edgepack.plan.grid import list_bodies
from edgepack.plan.losses import embedding_spectrum
from edgepack.plan.search import search
from edgepack.plan.space import CONVOLVED_LAYERS, FREE_KERNEL, SearchSpace, Structure, Vocabulary
from edgepack.plan.speed import speed_goal
from edgepack.student.config import StudentConfig, changed_config
from edgepack.student.model import Student
from edgepack.target import load_target

FULL = StudentConfig(
    vocab_size=500,
    embedding_size=96,
    embedding_projection="identity",
    hidden_size=96,
    num_hidden_layers=4,
    num_heads=[6] * 4,
    head_sizes=[16] * 4,
    intermediate_sizes=[384] * 4,
    max_position_embeddings=64,
    type_vocab_size=2,
    id2label={0: "a", 1: "b"},
)
SPACE = SearchSpace(
    full=FULL,
    spectrum=tuple(1.1**i for i in range(96)),
    vocabularies=(
        Vocabulary(tuple(range(300)), 300, 0, 900, 0.05),
        Vocabulary(tuple(range(500)), 500, 0, 1500, 0.0),
    ),
    targets=(load_target("android-onnx"), load_target("android-torchscript")),
    max_length=32,
    keep_types=False,
)


@settings(max_examples=12, deadline=None)
@given(st.integers(60_000, 900_000))
def test_every_candidate_fits_and_the_first_loses_least(budget_bytes: int) -> None:
    plan = search(SPACE, budget_bytes)
    for candidate in plan.candidates:
        assert max(candidate.shipped_bytes.values()) <= budget_bytes
    losses = [candidate.estimated_loss for candidate in plan.candidates]
    assert losses == sorted(losses)
    shapes = [candidate.describe() for candidate in plan.candidates]
    assert all(shape not in shapes[:i] for i, shape in enumerate(shapes)), "no shape is shown twice"


def test_the_same_search_finds_the_same() -> None:
    first, second = (search(SPACE, 200_000).candidates for _ in range(2))
    assert [candidate.describe() for candidate in first] == [candidate.describe() for candidate in second]


def test_a_teacher_of_few_units_shows_no_shape_twice() -> None:
    few = changed_config(FULL, num_heads=[2] * 4, head_sizes=[16] * 4, intermediate_sizes=[64] * 4)
    shapes = [candidate.describe() for candidate in search(replace(SPACE, full=few), 10_000_000).candidates]
    assert len(shapes) > 1
    assert all(shape not in shapes[:i] for i, shape in enumerate(shapes))


def test_the_table_has_no_two_rows_that_look_alike() -> None:
    heads = set()
    for budget in (80_000, 120_000, 200_000, 300_000, 2_000_000):
        report = PlanReport(search(SPACE, budget), cast(DataPlan, SimpleNamespace(lines=list)))
        header, *rows = (
            line.replace("head units", "head").split()
            for line in report.table().splitlines()[1 : 2 + len(report.plan.candidates)]
        )
        shapes = [row[row[0] == "→" :][: header.index("score")] for row in rows]
        heads.add("head" in header)
        assert all(shape not in shapes[:i] for i, shape in enumerate(shapes)), shapes
    assert heads == {True, False}, "the head has a column where candidates differ in it"


def test_more_bytes_are_never_estimated_worse() -> None:
    losses = [search(SPACE, budget).chosen.estimated_loss for budget in range(80_000, 900_000, 40_000)]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > losses[-1]


def test_predicted_bytes_are_those_of_the_exported_file(tmp_path: Path) -> None:
    chosen = search(SPACE, 200_000).chosen
    torch.manual_seed(0)
    student = Student(chosen.config).eval()
    for target in SPACE.targets:
        assert export(student, target, tmp_path / target.name).size_bytes == chosen.sizes[target.name].total
    assert sum(size for _, size in chosen.sizes["android-onnx"].tensors) <= chosen.sizes["android-onnx"].total


def test_too_small_a_budget_names_the_smallest_that_would_do() -> None:
    with pytest.raises(InputError) as caught:
        search(SPACE, 5_000)
    found = re.search(r"needs (\d+) bytes on", str(caught.value))
    assert found is not None
    smallest = int(found[1])
    assert max(search(SPACE, smallest).chosen.shipped_bytes.values()) == smallest
    with pytest.raises(InputError, match="no shape fits"):
        search(SPACE, smallest - 1)


def test_a_budget_that_is_not_used_up_says_why() -> None:
    assert "cost more in latency" in (search(SPACE, 50_000_000).note or "")
    alone = replace(SPACE, targets=SPACE.targets[:1])
    assert search(alone, 200_000).note is None
    together = search(SPACE, 48_000)  # a small ONNX file is structure to a smaller part than a TorchScript file
    assert min(together.chosen.shipped_bytes.values()) < 43_200 < max(together.chosen.shipped_bytes.values())
    assert "android-torchscript has no room for more" in (together.note or "")


def test_smaller_budgets_are_faster_and_every_candidate_reaches_its_goal() -> None:
    alone = replace(SPACE, targets=SPACE.targets[:1])
    speeds = [search(alone, budget).chosen.estimated_speed for budget in (300_000, 150_000, 80_000, 50_000)]
    assert speeds == sorted(speeds)
    for budget in (300_000, 150_000):
        assert all(c.estimated_speed >= speed_goal(FULL, budget) for c in search(alone, budget).candidates)


def test_a_structure_that_a_recipe_fixes_is_in_every_candidate_and_its_bytes_are_exact(tmp_path: Path) -> None:
    alone = replace(SPACE, targets=SPACE.targets[:1])
    structure = Structure(sharing="sandwich", embedding="self_attentive", rank_share=0.5)
    for candidate in search(replace(alone, structure=structure), 120_000).candidates:
        config = candidate.config
        assert config.num_attention_sets < config.num_hidden_layers
        assert config.embedding_projection == "self_attentive"
        assert all((config.ranks or {})["up"])
        student = Student(config).eval()
        artifact = export(student, alone.targets[0], tmp_path)
        assert artifact.size_bytes == candidate.sizes["android-onnx"].total


@pytest.mark.parametrize(("sharing", "least"), [("none", 1), ("ffn", 2), ("all", 2), ("sandwich", 4)])
def test_no_candidate_has_fewer_layers_than_can_share(sharing: str, least: int) -> None:
    counts = {len(body.layers) for body in list_bodies(replace(SPACE, structure=Structure(sharing=sharing)))}
    assert min(counts) == least


@pytest.mark.parametrize("kernel", [3, 5])
def test_a_convolution_is_in_every_candidate_that_can_have_one_and_its_bytes_are_exact(
    kernel: int, tmp_path: Path
) -> None:
    alone = replace(SPACE, targets=SPACE.targets[:1])
    plan = search(replace(alone, structure=Structure(embedding_kernel=kernel)), 120_000)
    for candidate in plan.candidates:
        assert candidate.config.embedding_kernel == candidate.describe()["embedding_kernel"] == kernel
        artifact = export(Student(candidate.config).eval(), alone.targets[0], tmp_path)
        assert artifact.size_bytes == candidate.sizes["android-onnx"].total
    assert plan.chosen.largest_bytes <= 120_000
    with pytest.raises(InputError, match=r"embedding_kernel is 3; allowed: 0, 1 with embedding 'self_attentive'$"):
        Structure(embedding_kernel=3, embedding="self_attentive")


def test_a_tagger_of_few_layers_has_a_convolution_where_the_recipe_leaves_it() -> None:
    tags = changed_config(FULL, task="token-classification", head_act=None)
    alone = replace(SPACE, full=tags, targets=SPACE.targets[:1])
    shapes = [each.config for budget in (60_000, 150_000) for each in search(alone, budget).candidates]
    few = [shape.num_hidden_layers <= CONVOLVED_LAYERS for shape in shapes]
    assert [shape.embedding_kernel for shape in shapes] == [FREE_KERNEL if each else 1 for each in few]
    assert len(set(few)) == 2
    others = (
        replace(alone, structure=Structure(embedding_kernel=1)),
        replace(alone, structure=Structure(embedding="self_attentive")),
        replace(alone, full=FULL),
    )
    assert all(c.config.embedding_kernel == 1 for space in others for c in search(space, 60_000).candidates)


def test_a_mark_of_matches_has_its_vocabularys_separator_and_its_bytes_are_exact(tmp_path: Path) -> None:
    first, second = SPACE.vocabularies
    vocabularies = (replace(first, separator_id=7), replace(second, separator_id=102))
    space = replace(SPACE, vocabularies=vocabularies, keep_types=True)
    plan = search(space, 120_000)
    assert {each.config.match_separator for each in plan.candidates} <= {7, 102}
    for candidate in plan.candidates:
        assert candidate.config.match_separator == candidate.vocabulary.separator_id
        assert candidate.describe()["match_feature"]
        for target in space.targets:
            artifact = export(Student(candidate.config).eval(), target, tmp_path)
            assert artifact.size_bytes == candidate.sizes[target.name].total
    assert "match_feature" not in search(SPACE, 120_000).chosen.describe()


def test_widths_are_those_that_every_target_can_run() -> None:
    narrow = replace(SPACE.targets[1], body_bits=(8,))
    space = replace(SPACE, targets=(SPACE.targets[0], narrow))
    assert {c.config.body_bits for c in search(space, 300_000).candidates} == {8}
    none = replace(SPACE.targets[1], body_bits=())
    with pytest.raises(InputError, match="no bit width in common"):
        search(replace(SPACE, targets=(SPACE.targets[0], none)), 300_000)


def test_shared_teachers_stay_shared_and_a_projected_table_keeps_its_width() -> None:
    albert = StudentConfig(
        vocab_size=500,
        embedding_size=32,
        norm_before_projection=True,
        projection_bias=True,
        hidden_size=96,
        num_hidden_layers=4,
        attention_sharing=[0, 0, 0, 0],
        ffn_sharing=[0, 0, 0, 0],
        num_heads=[6],
        head_sizes=[16],
        intermediate_sizes=[384],
    )
    space = replace(SPACE, full=albert, spectrum=tuple(1.1**i for i in range(32)))
    chosen = search(space, 150_000).chosen.config
    assert chosen.num_attention_sets == 1
    assert chosen.embedding_size == 32


def test_spectrum_is_the_variance_of_the_centred_table() -> None:
    table = torch.randn(200, 4) @ torch.randn(4, 10) + 7.0
    spectrum = embedding_spectrum(table, torch.zeros(200))
    assert sum(spectrum[:6]) < 1e-6 * sum(spectrum)
    assert sum(spectrum) == pytest.approx(float((table - table.mean(0)).square().sum()), rel=1e-4)


def test_a_hidden_width_is_every_candidates_own_and_its_bytes_are_exact(tmp_path: Path) -> None:
    alone = replace(SPACE, targets=SPACE.targets[:1])
    plan = search(replace(alone, structure=Structure(hidden_size=64)), 150_000)
    for candidate in plan.candidates:
        assert candidate.config.hidden_size == 64
        assert candidate.config.classifier_inputs in (64, 16)
        assert candidate.config.embedding_size <= 64 * 2 / 3
        artifact = export(Student(candidate.config).eval(), alone.targets[0], tmp_path)
        assert artifact.size_bytes == candidate.sizes["android-onnx"].total
    assert plan.chosen.estimated_speed > search(alone, 150_000).chosen.estimated_speed
    with pytest.raises(InputError, match="hidden_size is 97; the teacher's is 96"):
        search(replace(alone, structure=Structure(hidden_size=97)), 150_000)


def test_widths_and_vocabulary_are_as_a_recipe_fixes_them() -> None:
    alone = replace(SPACE, targets=SPACE.targets[:1])
    for body, embedding, vocabulary, size in ((3, 8, "task", 300), (1, 2, "whole", 500)):
        structure = Structure(body_bits=body, embedding_bits=embedding, vocabulary=vocabulary)
        for candidate in search(replace(alone, structure=structure), 150_000).candidates:
            assert (candidate.config.body_bits, candidate.config.embedding_bits) == (body, embedding)
            assert candidate.config.vocab_size == size
    with pytest.raises(InputError, match="body_bits is 3; the targets can run: 8, 4"):
        search(replace(SPACE, structure=Structure(body_bits=3)), 150_000)
    with pytest.raises(InputError, match="allowed: free, whole, task"):
        Structure(vocabulary="half")
