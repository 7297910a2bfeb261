"""Batches: padded as they should be, in order though read ahead, and errors of the reading thread come out."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from edgepack.errors import DiskFull, InputError
from edgepack.task.encoded import Encoded, length_buckets
from edgepack.train.batches import Reader
from edgepack.train.schedule import iterate_batches
from edgepack.train.state_file import create_hidden_file, open_hidden_file
from edgepack.train.teacher_outputs import TeacherOutputs, load_teacher_outputs

LENGTHS = np.array([3, 6, 1, 9, 4, 2, 7])
STATES, WIDTH = 3, 5


def make_data() -> Encoded:
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)]).astype(np.int64)
    total = int(offsets[-1])
    return Encoded(np.arange(1, total + 1, dtype=np.int32), np.zeros(total, np.int8), offsets, np.arange(len(LENGTHS)))


@pytest.fixture
def outputs(tmp_path: Path) -> TeacherOutputs:
    """Random states, written example by example; `expected` holds them flat."""
    data = make_data()
    total = int(data.offsets[-1])
    flat = np.random.default_rng(0).normal(size=(total, STATES, WIDTH)).astype(np.float16)
    np.save(tmp_path / "expected.npy", flat)
    file = create_hidden_file(tmp_path / "hidden.npy", flat.shape)
    for examples in ([4, 0, 6], [1, 2, 3, 5]):
        padded = np.full((len(examples), LENGTHS.max(), STATES, WIDTH), np.nan, np.float16)
        for row, example in enumerate(examples):
            padded[row, : LENGTHS[example]] = flat[data.offsets[example] : data.offsets[example + 1]]
        file.write(data.offsets[examples], LENGTHS[examples], padded)
    np.save(tmp_path / "logits.npy", np.random.default_rng(1).normal(size=(len(LENGTHS), 2)).astype(np.float32))
    kept = {"states": [0, 1, 2], "form": "fp16", "first_token": False, "loop_share": 0.0, "hidden_size": WIDTH}
    (tmp_path / "kept.json").write_text(json.dumps(kept))
    np.save(tmp_path / "first_rows.npy", data.offsets[:-1])
    return load_teacher_outputs(tmp_path, range(STATES - 1))


def test_states_that_the_disk_cannot_hold_are_refused_before_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(free=400_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    with pytest.raises(DiskFull, match=r"take 400\.1 kB .* has 400\.0 kB free; make room"):
        create_hidden_file(tmp_path / "hidden.npy", (1000, 2, 100))
    assert (tmp_path / "hidden.npy").stat().st_size < 1000
    free.free = 401_000
    assert create_hidden_file(tmp_path / "hidden.npy", (1000, 2, 100)).row_bytes == 400


def test_the_file_is_a_plain_array(outputs: TeacherOutputs, tmp_path: Path) -> None:
    assert np.array_equal(np.load(tmp_path / "hidden.npy"), np.load(tmp_path / "expected.npy"))
    opened = open_hidden_file(tmp_path / "hidden.npy")
    assert (opened.shape, opened.start) == (outputs.hidden.shape, outputs.hidden.start)


def test_a_batch_holds_each_examples_states_and_zeros(outputs: TeacherOutputs, tmp_path: Path) -> None:
    data, flat = make_data(), np.load(tmp_path / "expected.npy")
    (batch,) = Reader(data, outputs, 0, 16, 10_000).read(np.array([1, 4, 5]))
    assert batch.teacher_hidden.shape == (3, 8, STATES, WIDTH)
    assert batch.inputs["input_ids"].shape == batch.inputs["attention_mask"].shape == (3, 8)
    for row, example in enumerate([1, 4, 5]):
        length, first = LENGTHS[example], data.offsets[example]
        assert np.array_equal(batch.teacher_hidden[row, :length].numpy(), flat[first : first + length])
        assert not batch.teacher_hidden[row, length:].any()
        assert batch.inputs["attention_mask"][row].tolist() == [1] * length + [0] * (8 - length)
        assert batch.inputs["input_ids"][row, :length].tolist() == data.input_ids[first : first + length].tolist()
    assert torch.equal(batch.teacher_logits, torch.from_numpy(outputs.logits[[1, 4, 5]]))


def test_reading_ahead_keeps_the_order_and_is_done_in_another_thread(outputs: TeacherOutputs) -> None:
    data = make_data()
    reader = Reader(data, outputs, 0, 16, 10_000)
    order = list(iterate_batches(data.lengths, 2, 5, 3, 17))
    threads: set[str] = set()
    read = Reader.read

    def watched(self: Reader, indices: np.ndarray, step: int) -> object:
        threads.add(threading.current_thread().name)
        return read(self, indices, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Reader, "read", watched)
        seen = [pieces[0].share.indices.tolist() for pieces in reader.read_ahead(order)]
    assert seen == [indices.tolist() for indices in order]
    assert len(seen) == 14
    assert threading.current_thread().name not in threads


def test_batches_follow_from_seed_and_step() -> None:
    data = make_data()
    whole = [batch.tolist() for batch in iterate_batches(data.lengths, 2, 5, 0, 12)]
    assert whole[7:] == [batch.tolist() for batch in iterate_batches(data.lengths, 2, 5, 7, 12)]
    assert whole[4:8] == [batch.tolist() for batch in length_buckets(data.lengths, 2, 5, 1)]
    assert sorted(example for batch in whole[:4] for example in batch) == list(range(len(LENGTHS)))


def test_a_file_cut_short_is_named(outputs: TeacherOutputs, tmp_path: Path) -> None:
    path = tmp_path / "hidden.npy"
    path.write_bytes(path.read_bytes()[:-10])
    reader = Reader(make_data(), outputs, 0, 16, 10_000)
    with pytest.raises(InputError, match=r"hidden\.npy ends before row 32; build again with --fresh"):
        list(reader.read_ahead([np.array([0]), np.array([6])]))
