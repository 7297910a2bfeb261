"""Methods inside the loop: module replacing, L0 masks and the objectives of raw text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgepack.compress.distil.hidden_states import HiddenStates
from edgepack.compress.distil.signals import Signals
from edgepack.compress.distil.soft_targets import SoftTargets
from edgepack.compress.general import General
from edgepack.compress.l0 import L0Pruning, expected_share
from edgepack.compress.module_replacing import ModuleReplacing
from edgepack.compress.units import keep_units
from edgepack.console import Console
from edgepack.student.config import StudentConfig
from edgepack.student.model import Student
from edgepack.task.encoded import IGNORED, Encoded
from edgepack.train import Phase, Progress, PruneTarget, Schedule, StageSettings, load_progress, loop, make_accelerator
from edgepack.train.batches import Reader
from edgepack.train.masks import PREFIX, initial_masks, kept_share, log_alphas
from edgepack.train.processes import UNLABELLED
from edgepack.train.random import step_generator
from edgepack.train.raw_text import RawText
from edgepack.train.replacing import Replacing
from edgepack.train.state_budget import KeptStates
from edgepack.train.step import Models, compute_signals
from edgepack.train.teacher_outputs import TeacherOutputs, load_teacher_outputs, save_teacher_outputs
from tests.noisy import noisy_student

STEPS = 24
PHASES = (Phase(1.0, (SoftTargets(), HiddenStates(weight=2.0))),)
SCHEDULE = Schedule(STEPS, 8, 2e-3, phases=PHASES)
QUIET = Console(quiet=True)
CPU = torch.device("cpu")


def make_student(hidden_size: int = 16) -> Student:
    config = StudentConfig(
        vocab_size=30,
        embedding_size=16,
        hidden_size=hidden_size,
        num_hidden_layers=2,
        num_heads=[4, 4],
        head_sizes=[4, 4],
        intermediate_sizes=[24, 24],
        max_position_embeddings=16,
        id2label={0: "a", 1: "b"},
    )
    return noisy_student(config, 0.2)


def half_of(student: Student) -> Progress:
    return Progress(keep_units(student, [torch.arange(2)] * 2, [torch.arange(12)] * 2), {}, 0, [])


@pytest.fixture(scope="module")
def data() -> Encoded:
    generator = np.random.default_rng(0)
    lengths = generator.integers(3, 13, 32)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = generator.integers(0, 30, int(offsets[-1])).astype(np.int32)
    return Encoded(ids, np.zeros(len(ids), np.int8), offsets, generator.integers(0, 2, 32))


@pytest.fixture(scope="module")
def outputs(data: Encoded, tmp_path_factory: pytest.TempPathFactory) -> TeacherOutputs:
    folder = tmp_path_factory.mktemp("teacher")
    save_teacher_outputs(make_student(), data, KeptStates((0, 1, 2)), folder, QUIET, device=CPU, bf16=False)
    return load_teacher_outputs(folder, range(2))


def run(
    start: Progress,
    data: Encoded,
    outputs: TeacherOutputs,
    scratch: Path,
    *,
    schedule: Schedule = SCHEDULE,
    stage: StageSettings | None = None,
    **methods: Any,
) -> Progress:
    course = loop.Course(schedule, stage or StageSettings(0, STEPS), seed=0, **methods)
    place = loop.Place(make_accelerator("cpu"), scratch, QUIET, "test")
    return loop.train(start, loop.Material(data, outputs), course, place)


def check_resumed(
    patch: pytest.MonkeyPatch, start: Progress, data: Encoded, outputs: TeacherOutputs, folder: Path, **settings: Any
) -> Progress:
    """A run that is broken off after 13 steps and taken up again is the unbroken one; what the checkpoint held."""
    whole = run(start, data, outputs, folder / "whole", **settings)
    original, calls = loop._step, iter(range(13))

    def interrupted(*arguments: Any) -> Any:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return original(*arguments)

    with patch.context() as inner:
        inner.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
        inner.setattr(loop, "_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(start, data, outputs, folder / "broken", **settings)
    kept = load_progress(folder / "broken" / "checkpoint")
    assert kept is not None
    resumed = run(start, data, outputs, folder / "broken", **settings)
    assert resumed.losses == whole.losses
    assert all(torch.equal(t, resumed.student.state_dict()[n]) for n, t in whole.student.state_dict().items())
    assert whole.moments.keys() == resumed.moments.keys()
    assert all(torch.equal(t, resumed.moments[n]) for n, t in whole.moments.items())
    return kept


def test_the_random_numbers_of_a_step_are_its_own() -> None:
    draws = [torch.rand(3, generator=step_generator(*where)) for where in ((0, 1, 0), (0, 1, 1), (0, 2, 0), (1, 1, 0))]
    assert len({tuple(draw.tolist()) for draw in draws}) == 4
    assert torch.equal(draws[0], torch.rand(3, generator=step_generator(0, 1, 0)))


# module replacing


def replacing(b: float) -> Replacing:
    return Replacing(ModuleReplacing(k=0.0, b=b), make_student(), ((0,), (1,)))


def test_with_no_successor_the_teacher_itself_runs_and_the_students_layers_rest(
    data: Encoded, outputs: TeacherOutputs, tmp_path: Path
) -> None:
    start, teacher = half_of(make_student()), make_student()
    schedule = replace(SCHEDULE, weight_decay=0.0)
    stage = StageSettings(0, 5)
    end = run(start, data, outputs, tmp_path, schedule=schedule, stage=stage, replacing=replacing(0.0))
    # the student's embedding and head are the teacher's, and so are the layers between: nothing is lost
    assert end.losses[0] < 1e-3
    before, after = start.student.state_dict(), end.student.state_dict()
    for name, tensor in before.items():
        if name.startswith(("attention", "feed_forward", "ffn_norms")):
            assert torch.equal(tensor, after[name]), name
    assert torch.equal(teacher.head.classifier.weight, make_student().head.classifier.weight)


def test_with_all_successors_the_student_trains_as_ever(data: Encoded, outputs: TeacherOutputs, tmp_path: Path) -> None:
    stage = StageSettings(0, 5)
    alone = run(half_of(make_student()), data, outputs, tmp_path / "a", stage=stage)
    all_own = run(half_of(make_student()), data, outputs, tmp_path / "b", stage=stage, replacing=replacing(1.0))
    assert alone.losses == all_own.losses
    mixed = run(half_of(make_student()), data, outputs, tmp_path / "c", stage=stage, replacing=replacing(0.5))
    assert mixed.losses != alone.losses


def test_replacing_resumes_to_the_bit_while_pruning_too(
    data: Encoded, outputs: TeacherOutputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = StageSettings(0, STEPS, prune=PruneTarget((2, 2), (12, 12), events=3))
    method = {"replacing": replacing(0.5), "stage": stage}
    check_resumed(monkeypatch, Progress(make_student(), {}, 0, []), data, outputs, tmp_path, **method)


# L0 masks


def test_the_share_to_keep_is_that_of_the_matrices_parameters() -> None:
    teacher, target = make_student(), PruneTarget((1, 3), (10, 20))

    def parameters(student: Student) -> int:
        weights = (p for n, p in student.named_parameters() if n.startswith(("attention.", "feed_forward.")))
        return sum(p.numel() for p in weights if p.dim() == 2)

    cut = keep_units(teacher, [torch.arange(n) for n in target.heads], [torch.arange(n) for n in target.units])
    share = kept_share(([4, 4], [24, 24]), target, [4, 4])
    assert share == pytest.approx(parameters(cut) / parameters(teacher))


def test_masks_end_at_the_plans_shape_with_their_share_steered_and_resume_to_the_bit(
    data: Encoded, outputs: TeacherOutputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = PruneTarget((1, 2), (8, 16))
    stage = StageSettings(4, STEPS, prune=target, l0=L0Pruning(warmup=0.3, gate_lr=0.5, multiplier_lr=0.5))
    start = Progress(make_student(), {}, 4, [])
    held: list[dict[str, torch.Tensor]] = []
    original = loop.remove_masked

    def watched(progress: Progress, *arguments: Any) -> None:
        held.append(dict(progress.learned))
        original(progress, *arguments)

    monkeypatch.setattr(loop, "remove_masked", watched)
    end = run(start, data, outputs, tmp_path / "end", stage=stage)
    assert end.student.config.num_heads == [1, 2]
    assert end.student.config.intermediate_sizes == [8, 16]
    assert not any(name.startswith(PREFIX) for name in end.learned)
    assert not any(name.startswith(f"learned.{PREFIX}") for name in end.moments)
    assert end.moments["feed_forward.0.up.full.weight.exp_avg"].shape == (8, 16)
    (masks,) = held
    heads, units = log_alphas(masks, "heads"), log_alphas(masks, "units")
    first = initial_masks(start.student, L0Pruning())
    shares = [
        float(expected_share(log_alphas(values, "heads"), log_alphas(values, "units"), [4, 4]))
        for values in (first, masks)
    ]
    assert shares[1] < shares[0] - 0.2
    # what stays is what the masks rank highest: the kept biases are those of the largest log-alphas
    kept = units[0].topk(8).indices.sort().values
    assert len(set(units[0].tolist())) > 1
    assert end.student.feed_forward[0].up.full.bias.shape == (len(kept),)
    assert all(len(log_alpha) == 4 for log_alpha in heads)
    kept_progress = check_resumed(monkeypatch, start, data, outputs, tmp_path, stage=stage)
    assert any(name.startswith(PREFIX) for name in kept_progress.learned)


def test_masks_with_nothing_to_remove_change_nothing(data: Encoded, outputs: TeacherOutputs, tmp_path: Path) -> None:
    stage = StageSettings(0, 6, prune=PruneTarget((2, 2), (12, 12)), l0=L0Pruning())
    masked = run(half_of(make_student()), data, outputs, tmp_path / "a", stage=stage)
    plain = run(half_of(make_student()), data, outputs, tmp_path / "b", stage=StageSettings(0, 6))
    assert masked.losses == plain.losses


# raw text

STATES = (Phase(1.0, (HiddenStates(weight=1.0),)),)
TEXT_SCHEDULE = Schedule(STEPS, 8, 2e-2, phases=STATES)


def raw_text(masked_words: float, sentence_order: float) -> RawText:
    settings = General(0.1, masked_words, sentence_order)
    return RawText(settings, 2, torch.tensor([0, 1, 2]), torch.arange(3, 30))


def test_what_the_student_reads_is_masked_the_same_way_every_time(data: Encoded, outputs: TeacherOutputs) -> None:
    (piece,) = Reader(data, outputs, 0, 16, 4096).read(np.arange(32))
    text = raw_text(1.0, 0.0)
    seen, targets = text.corrupt(piece, 0, 3)
    again, same = text.corrupt(piece, 0, 3)
    other, _ = text.corrupt(piece, 0, 4)
    ids, new = piece.inputs["input_ids"], seen.inputs["input_ids"]
    assert torch.equal(new, again.inputs["input_ids"])
    assert torch.equal(targets, same)
    assert not torch.equal(new, other.inputs["input_ids"])
    chosen = targets != IGNORED
    assert torch.equal(targets[chosen], ids[chosen])
    assert torch.equal(new[~chosen], ids[~chosen])
    assert not (chosen & ((ids < 3) | (piece.inputs["attention_mask"] == 0))).any()
    assert torch.equal(seen.teacher_hidden, piece.teacher_hidden)
    untouched, none = raw_text(0.0, 1.0).corrupt(piece, 0, 3)
    assert torch.equal(untouched.inputs["input_ids"], ids)
    assert (none == IGNORED).all()


@pytest.mark.parametrize(("masked", "order"), [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5)])
def test_the_heads_of_raw_text_are_trained_resume_to_the_bit_and_are_dropped(
    masked: float,
    order: float,
    data: Encoded,
    outputs: TeacherOutputs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text, start = raw_text(masked, order), half_of(make_student())
    settings: dict[str, Any] = {"schedule": TEXT_SCHEDULE, "raw_text": text}
    kept = check_resumed(monkeypatch, start, data, outputs, tmp_path, **settings)
    names = {"general.projection", "general.bias"} if masked else set()
    names |= {"general.order.weight", "general.order.bias"} if order else set()
    assert set(kept.learned) == names
    first = text.initial(start.student, 0)
    assert all(not torch.equal(kept.learned[name], first[name]) for name in names)
    end = run(start, data, outputs, tmp_path / "end", **settings)
    assert not end.learned
    assert np.mean(end.losses[-8:]) < np.mean(end.losses[:4])
    # the prediction head has no part in it
    assert torch.equal(end.student.head.classifier.weight, start.student.head.classifier.weight)


def test_sentence_order_reads_its_labels_at_the_first_token_too(data: Encoded, outputs: TeacherOutputs) -> None:
    (piece,) = Reader(data, outputs, 0, 16, 4096).read(np.arange(32))
    text, student = raw_text(0.0, 1.0), make_student()
    learned = text.initial(student, 0)
    state = torch.randn(32, 12, 16)
    labels = piece.inputs["labels"]
    per_token = torch.full((32, 12), IGNORED)
    per_token[:, 0] = labels
    targets = torch.full((32, 12), IGNORED)
    losses = [
        text.loss(student, replace(piece, inputs={**piece.inputs, "labels": given}), state, targets, learned, 0)
        for given in (labels, per_token)
    ]
    logits = state[:, 0] @ learned["general.order.weight"].T
    expected = -torch.log_softmax(logits, -1)[torch.arange(32), labels].mean()
    torch.testing.assert_close(losses[0], expected)
    assert torch.equal(losses[0], losses[1])


# maps and labels


def test_a_cut_students_map_starts_where_its_dimensions_came_from(
    data: Encoded, outputs: TeacherOutputs, tmp_path: Path
) -> None:
    selection = torch.eye(16)[:, [1, 3, 4, 8, 9, 10, 14, 15]]
    start = Progress(make_student(8), {}, 0, [], hidden_map=selection)
    end = run(start, data, outputs, tmp_path / "a", stage=StageSettings(0, 1))
    (name,) = end.learned
    assert (end.learned[name] - selection).abs().max() < 5e-3  # one step away
    assert torch.equal(end.hidden_map, selection)  # type: ignore[arg-type]
    plain = run(replace(start, hidden_map=None), data, outputs, tmp_path / "b", stage=StageSettings(0, 1))
    assert (plain.learned[name] - torch.eye(16, 8)).abs().max() < 5e-3


def test_labels_of_made_examples_are_unknown_but_their_rows_are_scored(data: Encoded, outputs: TeacherOutputs) -> None:
    labels = data.labels.copy()
    labels[::2] = UNLABELLED
    (piece,) = Reader(replace(data, labels=labels), outputs, 0, 16, 4096).read(np.arange(32))
    models = Models(make_student(), outputs, make_accelerator("cpu"))
    seen: Signals = compute_signals(models, piece, 0.0, False)
    assert len(seen.student_logits) == 32
    assert seen.labels.tolist() == [IGNORED if i % 2 == 0 else int(data.labels[i]) for i in range(32)]
