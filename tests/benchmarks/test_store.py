"""Results that are whole or not there."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.building import Result
from benchmarks.runs import Run
from benchmarks.store import Store
from edgepack.errors import InputError

Make = Callable[..., Result]


def keep(store: Store, *results: Result) -> None:
    for result in results:
        store.save(result.run.key, result)


def test_a_result_comes_back_as_it_was_kept(tmp_path: Path, result_of: Make) -> None:
    store, run = Store(tmp_path / "frontier"), Run("frontier", "sst2", 500_000, 1)
    kept = result_of(run, 0.8123)
    assert not store.has(run.key)
    store.save(run.key, kept)
    assert store.has(run.key)
    assert store.load(run.key, Result) == kept
    assert store.load(run.key, Result).run == run
    assert (tmp_path / "frontier" / "sst2-0.5MB-standard-seed1.json").is_file()


def test_a_result_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, result_of: Make) -> None:
    store, run = Store(tmp_path), Run("frontier", "sst2", 500_000, 0)
    other = replace(run, seed=1)
    keep(store, result_of(run, 0.8))

    def die(*_: Any) -> None:
        raise OSError("killed")

    monkeypatch.setattr(os, "replace", die)
    for broken in (run, other):
        with pytest.raises(OSError, match="killed"):
            keep(store, result_of(broken, 0.5))
    assert store.keys() == [run.key]
    assert store.load(run.key, Result).metric.value == 0.8
    assert not store.has(other.key)


def test_what_a_kill_leaves_beside_is_no_result(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / ".sst2-4MB.json.77.tmp").write_text("{")
    (tmp_path / ".hidden.json").write_text("{")
    assert store.keys() == []
    assert store.load_all(Result) == {}


@pytest.mark.parametrize("key", ["", "../up", "a/b", ".hidden", "a b"])
def test_a_key_is_a_plain_file_name(tmp_path: Path, key: str) -> None:
    with pytest.raises(InputError, match="not a result's name"):
        Store(tmp_path).path(key)


def test_a_damaged_result_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"shipped_bytes": "many"}')
    with pytest.raises(InputError, match=r"x\.json"):
        Store(tmp_path).load("x", Result)
    with pytest.raises(InputError, match="no result 'y'"):
        Store(tmp_path).load("y", Result)


def test_forgetting_takes_patterns_and_refuses_unknown_ones_before_it_drops_any(
    tmp_path: Path, result_of: Make
) -> None:
    store = Store(tmp_path)
    keep(store, *(result_of(Run("frontier", task, 1_000_000, seed)) for task in ("sst2", "snips") for seed in (0, 1)))
    with pytest.raises(InputError, match="mrpc"):
        store.forget(["sst2-*", "mrpc-*"])
    assert len(store.keys()) == 4
    assert store.forget(["sst2-*", "*-seed1"]) == [
        "snips-1MB-standard-seed1",
        "sst2-1MB-standard-seed0",
        "sst2-1MB-standard-seed1",
    ]
    assert store.keys() == ["snips-1MB-standard-seed0"]
