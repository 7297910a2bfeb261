"""Teacher outputs handed from build to build. No builds."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import teacher_cache
from edgepack.workspace import stage_label


def test_teacher_outputs_go_from_build_to_build_and_the_last_used_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, outputs = tmp_path / "kept", [tmp_path / str(number) for number in range(4)]
    keys = [digit * 64 for digit in "abc"]

    def stage(output: Path, key: str) -> Path:
        return output / ".edgepack" / "stages" / stage_label("teacher", key)

    for output, key in zip(outputs, keys, strict=False):
        teacher_cache.lend(output, kept)
        if not stage(output, key).exists():
            stage(output, key).mkdir(parents=True)
            (stage(output, key) / "logits.npy").write_text(key)
        record = SimpleNamespace(stages=[{"name": "teacher", "key": key}, {"name": "plan", "key": key}])
        monkeypatch.setattr(teacher_cache, "load_build_manifest", lambda _, record=record: record)
        teacher_cache.set_aside(output, kept)
        shutil.rmtree(output)
    teacher_cache.lend(outputs[3], kept)
    assert [stage(outputs[3], key).exists() for key in keys] == [False, True, True]
    assert (stage(outputs[3], keys[2]) / "logits.npy").read_text() == keys[2]
