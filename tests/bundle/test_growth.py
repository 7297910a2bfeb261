"""What an app grows by: measured sizes as they are, the nearest ones as such, nothing guessed."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import pytest

from benchmarks.runtime_sizes import read_files
from edgepack.bundle import growth as module
from edgepack.bundle.growth import RuntimeSize, growth, growth_of
from edgepack.errors import InputError
from edgepack.target import list_targets, load_target

MEASURED = RuntimeSize(
    device="web",
    runtimes=("a",),
    library="liba",
    version="1.2",
    system="WebAssembly",
    same=True,
    registry="npm",
    bytes=14_300_000,
    gzip_bytes=3_700_000,
    date="2026-11-28",
)


def use(monkeypatch: pytest.MonkeyPatch, size: RuntimeSize) -> None:
    monkeypatch.setattr(module, "load_sizes", lambda: (size,))


def test_a_measured_runtime_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, MEASURED)
    found = growth("web", "a", 3_880_000)
    said = "an app grows by 3.9 MB of model and tokenizer and by the runtime, liba 1.2: 14.3 MB, 3.7 MB with gzip"
    assert found.describe() == said
    assert found.to_record() == {"own_bytes": 3_880_000, "runtime_bytes": 14_300_000, "described": said}


def test_another_systems_library_is_no_figure_of_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, MEASURED.model_copy(update={"same": False, "system": "Linux on ARM64"}))
    found = growth("web", "a", 1000)
    assert found.runtime_bytes is None
    assert "whose size is not known here (the same version's library for Linux on ARM64: 14.3 MB" in found.describe()


def test_what_nobody_measured_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, MEASURED)
    for device, runtime in (("web", "b"), ("ios", "a")):
        found = growth(device, runtime, 1000)
        assert found.runtime_bytes is None
        assert found.describe().endswith(f"and by the runtime, {runtime}, whose size is not known here")


def test_the_systems_own_runtime_adds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, MEASURED.model_copy(update={"registry": "system", "system": "iOS", "bytes": 0}))
    found = growth("web", "a", 1000)
    assert found.describe() == "an app grows by 1.0 kB of model and tokenizer; the runtime is part of iOS"
    assert found.runtime_bytes == 0


def test_every_target_has_a_line() -> None:
    said = {name: growth_of(load_target(name), 4_000_000).describe() for name in list_targets()}
    assert all(line.startswith("an app grows by 4.0 MB of model and tokenizer") for line in said.values())
    assert said["ios-coreml"].endswith("part of iOS")
    assert said["ios-coreai"].endswith("part of iOS")
    assert "not known" not in said["web-onnx"]


def test_a_file_that_the_package_does_not_hold_is_named(tmp_path: Path) -> None:
    wheel = tmp_path / "a-1.whl"
    with ZipFile(wheel, "w") as archive:
        archive.writestr("lib/a.so", b"code")
    assert read_files(wheel, ["lib/a.so"]) == [b"code"]
    with pytest.raises(InputError, match=r"a-1\.whl: .*lib/b\.so.*correct the files"):
        read_files(wheel, ["lib/a.so", "lib/b.so"])
