"""Teacher outputs handed from build to build. No builds."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgepack.sweep import lending
from edgepack.workspace import stage_label


def stage(output: Path, key: str) -> Path:
    return output / ".edgepack" / "stages" / stage_label("teacher", key)


def make_stage(output: Path, key: str) -> None:
    stage(output, key).mkdir(parents=True)
    (stage(output, key) / "logits.npy").write_text(key)


def test_teacher_outputs_go_from_build_to_build_and_the_last_used_stay(tmp_path: Path) -> None:
    kept, outputs = tmp_path / "kept", [tmp_path / str(number) for number in range(4)]
    keys = [digit * 64 for digit in "abc"]
    for number, (output, key) in enumerate(zip(outputs, keys, strict=False)):
        lending.lend(output, kept)
        make_stage(output, key)
        for other in keys[:number]:
            shutil.rmtree(stage(output, other), ignore_errors=True)
        lending.set_aside(output, kept)
        for place, name in enumerate(keys):  # a clock of whole seconds would tell no order
            if (kept / stage_label("teacher", name)).exists():
                os.utime(kept / stage_label("teacher", name), (place, place))
        shutil.rmtree(output)
    assert len(lending.lend(outputs[3], kept)) == 2
    assert [stage(outputs[3], key).exists() for key in keys] == [False, True, True]
    assert (stage(outputs[3], keys[2]) / "logits.npy").read_text() == keys[2]
    assert lending.lend(outputs[3], kept) == []


def test_what_a_build_drops_is_still_there_for_others(tmp_path: Path) -> None:
    make_stage(tmp_path / "one", "a" * 64)
    lending.set_aside(tmp_path / "one", tmp_path / "kept")
    (stage(tmp_path / "one", "a" * 64) / "logits.npy").unlink()
    lending.lend(tmp_path / "two", tmp_path / "kept")
    assert (stage(tmp_path / "two", "a" * 64) / "logits.npy").read_text() == "a" * 64


def test_what_was_lent_in_vain_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("a" * 64, "b" * 64):
        make_stage(tmp_path, key)
    record = SimpleNamespace(stages=[{"name": "teacher", "key": "a" * 64}, {"name": "plan", "key": "c" * 64}])
    monkeypatch.setattr(lending, "load_build_manifest", lambda _: record)
    lending.return_unused(tmp_path, [stage_label("teacher", key) for key in ("a" * 64, "b" * 64)])
    assert [stage(tmp_path, key).exists() for key in ("a" * 64, "b" * 64)] == [True, False]


def test_without_links_nothing_is_lent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_stage(tmp_path / "one", "a" * 64)

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    lending.set_aside(tmp_path / "one", tmp_path / "kept")
    assert [path.name for path in tmp_path.glob("kept/*")] == []
