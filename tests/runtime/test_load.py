"""What a runtime makes no use of is refused before its package is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgepack.errors import InputError
from edgepack.runtime import load
from edgepack.target import load_target


@pytest.mark.parametrize("name", ["ios-coreml", "ios-coreai"])
def test_a_runtime_that_chooses_its_threads_takes_none(name: str) -> None:
    target = load_target(name)
    with pytest.raises(InputError, match=f"threads is 4; {target.runtime} chooses their number itself: leave it out"):
        load(Path("model"), target, threads=4)


def test_a_runtime_that_keeps_nothing_takes_no_cache(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pytorch-lite keeps nothing there: leave it out"):
        load(Path("model"), load_target("android-torchscript"), cache=tmp_path)
