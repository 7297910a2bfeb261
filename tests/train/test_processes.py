"""Sharing out: pieces of a batch give the whole batch's loss, gradients and importance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.compress.distil.attention_maps import AttentionScores, AttentionTransfer
from edgepack.compress.distil.cosine import CosineStates
from edgepack.compress.distil.earth_mover import EarthMover
from edgepack.compress.distil.feature_maps import FeatureMaps
from edgepack.compress.distil.hidden_states import HiddenStates
from edgepack.compress.distil.layer_maps import LearnedMap
from edgepack.compress.distil.objective import LOSSES as KNOWN
from edgepack.compress.distil.objective import Objective
from edgepack.compress.distil.output_space import OutputSpace
from edgepack.compress.distil.patience import Patience
from edgepack.compress.distil.relations import LastLayerAttention, Relations
from edgepack.compress.distil.signals import Loss, Shapes
from edgepack.compress.distil.soft_targets import HardLabels, SoftTargets
from edgepack.compress.distil.vectors import Anchors
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.task.encoded import Encoded
from edgepack.train import processes
from edgepack.train.batches import Reader
from edgepack.train.processes import Share, shares_of
from edgepack.train.state_budget import DISK, LOOP, NONE
from edgepack.train.step import Models, StepResult, StepTask, compute_step
from edgepack.train.teacher_outputs import TeacherOutputs, load_teacher_outputs, padded_length, save_teacher_outputs
from tests.train.made import CPU, EVERY, LAYERS, LOSSES, PART, half, make_data, make_student, objective

# every loss there is, in a form that has something to be cut wrong
EACH: dict[str, tuple[Loss, ...]] = {
    "soft_targets": (SoftTargets(),),
    "hard_labels": (HardLabels(),),
    "anchors": (Anchors(temperature=0.2),),
    "cosine_states": (CosineStates(),),
    "patience": (Patience(), Patience(layers="last")),
    "hidden_states": (HiddenStates(), HiddenStates(normalized=True)),
    "attention_scores": (AttentionScores(),),
    "attention_transfer": (AttentionTransfer(), AttentionTransfer(progressive=True, share=1.0)),
    "feature_maps": (FeatureMaps(), FeatureMaps(progressive=True, share=1.0)),
    "relations": (Relations(relation_heads=4), Relations(relation_heads=3, kinds=("values",), layer=0)),
    "last_layer_attention": (LastLayerAttention(),),
    "earth_mover": (EarthMover(), EarthMover(temperature=None), EarthMover(normalized=True)),
    "output_space": (OutputSpace(),),
    "learned_map": (LearnedMap(), LearnedMap(normalized=True)),
}
CLOSE = 1e-5  # of gradients, by the norm of their difference


@pytest.fixture(params=["text-classification", "token-classification"])
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def fp32() -> Iterator[None]:
    """accelerate keeps the first precision it was made with; these tests need fp32, others may have had bf16."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def outputs(task: str, stored: dict[str, TeacherOutputs]) -> TeacherOutputs:
    return stored[task]


def gradients(
    task: str, outputs: TeacherOutputs, indices: np.ndarray, most_tokens: int, worlds: int = 1, alone: bool = False
) -> tuple[StepResult, dict[str, torch.Tensor]]:
    """Loss and gradients of one batch in pieces; with several worlds the mean of each process's, one after another."""
    student, data = half(task), make_data(task)
    asked = objective(task, alone)
    values = asked.learned(Shapes(16, 16, LAYERS + 1, LAYERS + 1), 0)
    learned = {name: value.requires_grad_() for name, value in values.items()}
    accelerator = Accelerator(cpu=True, mixed_precision="no")
    losses, results = [], []
    for rank in range(worlds):
        reader = Reader(data, outputs, 0, 24, most_tokens, rank, worlds)
        pieces = reader.read(indices)
        step = StepTask(asked, learned, 0.5, watch=True)
        results.append(compute_step(Models(student, outputs, accelerator), pieces, step))
        losses.append(results[-1].loss)
    trained = dict(student.named_parameters()) | learned
    found = {name: value.grad / worlds for name, value in trained.items() if value.grad is not None}
    return StepResult(float(np.mean(losses)), results[0].importance), found


def test_small_pieces_give_the_whole_batchs_gradients(task: str, outputs: TeacherOutputs) -> None:
    indices = np.arange(13)
    whole, expected = gradients(task, outputs, indices, 10_000)
    parts, found = gradients(task, outputs, indices, 50)
    assert parts.loss == pytest.approx(whole.loss, rel=1e-5)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=2e-4, atol=2e-6, msg=name)
    assert parts.importance is not None
    assert whole.importance is not None
    for one, other in zip(
        parts.importance.heads + parts.importance.units, whole.importance.heads + whole.importance.units, strict=True
    ):
        torch.testing.assert_close(one, other, rtol=2e-4, atol=1e-7)


def test_every_loss_is_among_those_that_are_cut() -> None:
    assert {name: type(losses[0]) for name, losses in EACH.items()} == KNOWN
    assert all(type(loss) is KNOWN[name] for name, losses in EACH.items() for loss in losses)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TeacherOutputs]:
    """A teacher's outputs on each task's data: with all states, and under "… part" with some."""
    found = {}
    for task in ("text-classification", "token-classification"):
        for name, kept in ((task, EVERY), (f"{task} part", PART)):
            folder, teacher, quiet = tmp_path_factory.mktemp("teacher"), make_student(task), Console(quiet=True)
            save_teacher_outputs(teacher, make_data(task), kept, folder, quiet, device=CPU, bf16=False)
            found[name] = load_teacher_outputs(folder, range(LAYERS), teacher)
    return found


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.data())
@pytest.mark.parametrize("name", KNOWN)
def test_the_pieces_of_a_batch_add_up_to_its_gradient(
    name: str, stored: dict[str, TeacherOutputs], data: st.DataObject
) -> None:
    """Any batch, cut anyhow: unlabelled examples, padding, pieces with no label or no state are among them."""
    tasks = ["text-classification", *([] if name == "output_space" else ["token-classification"])]
    task, loss = data.draw(st.sampled_from(tasks)), data.draw(st.sampled_from(EACH[name]))
    indices = np.array(data.draw(st.lists(st.integers(0, 20), min_size=2, max_size=21, unique=True)))
    most_tokens, outputs = data.draw(st.integers(1, 150)), stored[data.draw(st.sampled_from([task, f"{task} part"]))]
    whole = gradient_of(task, outputs, loss, indices, 10_000)
    parts = gradient_of(task, outputs, loss, indices, most_tokens)
    assert parts[0] == pytest.approx(whole[0], rel=CLOSE, abs=1e-9)
    assert float((parts[1] - whole[1]).norm()) <= CLOSE * float(whole[1].norm()) + 1e-9


def gradient_of(
    task: str, outputs: TeacherOutputs, loss: Loss, indices: np.ndarray, most_tokens: int
) -> tuple[float, torch.Tensor]:
    """A batch's loss, and the gradient of all that is trained as one vector; parameters without one have zeros."""
    student, one = half(task), Objective((loss,))
    values = one.learned(Shapes(16, 16, LAYERS + 1, LAYERS + 1, 3), 0)
    learned = {name: value.requires_grad_() for name, value in values.items()}
    pieces = Reader(make_data(task), outputs, 0, 24, most_tokens).read(indices)
    models = Models(student, outputs, Accelerator(cpu=True, mixed_precision="no"))
    result = compute_step(models, pieces, StepTask(one, learned, 0.5))
    trained = [*student.parameters(), *learned.values()]
    return result.loss, torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in trained])


@pytest.mark.parametrize(("examples", "worlds"), [(13, 2), (13, 3), (2, 4)])
def test_the_mean_over_processes_is_the_whole_batchs(
    task: str, outputs: TeacherOutputs, examples: int, worlds: int
) -> None:
    indices = np.arange(examples) + 4
    whole, expected = gradients(task, outputs, indices, 10_000, alone=True)
    shared, found = gradients(task, outputs, indices, 60, worlds, alone=True)
    assert shared.loss == pytest.approx(whole.loss, rel=1e-5)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=2e-4, atol=2e-6, msg=name)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 21), st.integers(1, 5), st.integers(1, 120))
def test_every_example_is_in_one_piece_and_weights_add_up(examples: int, worlds: int, most_tokens: int) -> None:
    data = make_data("token-classification")
    indices = np.random.default_rng(examples).permutation(21)[:examples]
    shares = [share for rank in range(worlds) for share in shares_of(data, indices, rank, worlds, most_tokens)]
    weighted = [share for share in shares if share.examples]
    assert sorted(np.concatenate([share.indices for share in weighted]).tolist()) == sorted(indices.tolist())
    for kind in ("rows", "examples", "tokens", "pairs"):
        assert sum(getattr(share, kind) for share in shares) == pytest.approx(worlds)
    assert sum(share.labelled for share in shares) in (pytest.approx(worlds), 0)  # 0: synthetic examples alone
    sources = np.random.default_rng(most_tokens).choice([DISK, LOOP, NONE], examples)
    sources[examples // 2] = LOOP
    shares = [s for rank in range(worlds) for s in shares_of(data, indices, rank, worlds, most_tokens, sources)]
    assert all(any(s.source != NONE for s in shares_of(data, indices, r, worlds, 50, sources)) for r in range(worlds))
    for kind in ("rows", "examples", "tokens", "pairs", "text_examples", "text_tokens"):
        assert sum(getattr(share, kind) for share in shares) == pytest.approx(worlds)
    assert all(share.tokens == share.pairs == share.examples == 0 for share in shares if share.source == NONE)
    for share in shares:
        padded = len(share.indices) * int(data.lengths[share.indices].max())
        assert padded <= most_tokens or len(share.indices) == 1


def test_a_whole_batch_keeps_the_objective_itself() -> None:
    whole = Objective(LOSSES)
    assert Share(np.arange(3)).weigh(whole) is whole


def test_lengths_are_rounded_up_but_never_past_the_positions() -> None:
    assert [padded_length(n, 14) for n in (1, 4, 5, 12, 13, 14)] == [4, 4, 8, 12, 14, 14]
    assert [padded_length(n, 100) for n in (31, 32, 33, 63, 64, 65, 97)] == [32, 32, 40, 64, 64, 80, 100]


def test_the_lengths_and_sizes_of_pieces_are_few() -> None:
    assert len({padded_length(n, 512) for n in range(1, 513)}) == 8 + 4 * 4
    lengths = np.repeat(np.arange(4, 70), 64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    tokens = np.zeros(offsets[-1], np.int32)
    data = Encoded(tokens, tokens.astype(np.int8), offsets, np.zeros(len(lengths), np.int64))
    batches = np.arange(len(lengths)).reshape(-1, 64)
    assert {len(share.indices) for batch in batches for share in shares_of(data, batch, 0, 1, 1024)} == {8, 16, 32, 64}


def test_a_gloo_group_is_left_once_and_another_backends_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    processes.leave_group()  # there is none
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(torch.distributed, "get_backend", lambda: "nccl")
            processes.leave_group()
            assert torch.distributed.is_initialized()
    finally:
        processes.leave_group()
    assert not torch.distributed.is_initialized()


def test_a_gpu_named_by_its_number_is_the_one_that_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", used.append)
    monkeypatch.setattr(processes, "has_bf16", lambda cpu: False)
    monkeypatch.setattr(processes, "Accelerator", lambda **settings: settings)
    for name, cpu in (("cuda:1", False), ("cuda", False), ("cpu", True)):
        assert processes.make_accelerator(name)["cpu"] is cpu
    assert used == [torch.device("cuda:1")]
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="each of several processes has a GPU of its own: use cuda"):
        processes.make_accelerator("cuda:1")
