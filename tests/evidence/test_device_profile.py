"""A phone's speed profile out of its device reports: its own times, or another machine's scaled to them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edgepack.bundle.manifest import FileRecord, artifact_sha256, load_manifest
from edgepack.cli import main
from edgepack.errors import InputError
from edgepack.evidence.device_profile import profile_device
from edgepack.evidence.profile_machine import PROBES, Probe
from edgepack.evidence.speed_profile import Scaled, read_speed_profile
from edgepack.target import load_target
from tests.pages import REPOSITORY
from tests.report.made import manifest, plan, verdict, write_build

BASE = REPOSITORY / "benchmarks/results/speed-profile/epyc-linux-onnx.json"
TARGET = "android-onnx"
TOKENS = (16, 32, 64)


def made_build(folder: Path, probe: Probe, **changes: Any) -> Path:
    """A build of this shape; its model file's hash is its own."""
    shape = probe.config(load_target(TARGET), 8).to_dict() | changes
    write_build(folder, [verdict(TARGET)], plan={**plan([TARGET]), "shape": shape})
    record = manifest(TARGET, 10, 20)
    number = hashlib.sha256(folder.name.encode()).hexdigest()
    files = [FileRecord(path=load_target(TARGET).file, bytes=10, sha256=number, shipped=True)]
    place = folder / "bundles" / TARGET / "edgepack.json"
    place.write_text(record.model_copy(update={"files": files}).model_dump_json(by_alias=True))
    return folder


def report_of(build: Path, p50_ms: dict[int, float], **changes: Any) -> Path:
    """A device report of the build's artifact, beside it."""
    found = {
        "schema": 1,
        "device": "a phone",
        "os": "an OS 16",
        "runtime": "onnxruntime 1.27.0",
        "artifact_sha256": artifact_sha256(load_manifest(build / "bundles" / TARGET)),
        "load_ms": 30.0,
        "p50_ms": p50_ms,
        "peak_bytes": 60_000_000,
        "thermal": "nominal",
        "goldens": 3,
        "goldens_passed": 3,
        **changes,
    }
    path = build.parent / f"{build.name}.json"
    path.write_text(json.dumps(found))
    return path


@pytest.fixture
def ran(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """A build with a report of times that the base's models took, in the same shape, times a factor."""
    base = read_speed_profile(BASE).runtimes[0]

    def run(number: int, factor: float = 2.5, **changes: Any) -> tuple[Path, Path]:
        build = made_build(tmp_path / f"build-{number}", PROBES[number])
        times = {tokens: factor * base.models[number].p50_ms[tokens] for tokens in TOKENS}
        return build, report_of(build, times, **changes)

    return run


def test_the_devices_own_times_where_it_ran_enough_shapes(
    ran: Callable[..., tuple[Path, Path]], tmp_path: Path
) -> None:
    builds, reports = zip(*(ran(number) for number in range(7)), strict=True)
    result = profile_device(builds, reports, tmp_path / "phone.json")
    found = read_speed_profile(tmp_path / "phone.json")
    assert found.device == "a phone"
    (own,) = found.runtimes
    assert own.scaled is None
    assert '"scaled"' not in (tmp_path / "phone.json").read_text()
    assert [model.layers for model in own.models] == [probe.layers for probe in PROBES[:7]]
    assert own.models[5].token_labels == 9
    assert set(own.models[0].p50_ms) == set(TOKENS)
    assert len(result.errors["onnxruntime"]) == 7 * len(TOKENS)
    assert "estimated from all other shapes" in result.table()


def test_one_report_scales_a_profile_of_another_machine(ran: Callable[..., tuple[Path, Path]], tmp_path: Path) -> None:
    build, report = ran(1)
    out = tmp_path / "phone.json"
    arguments = ["profile", str(build), "--device-report", str(report), "-o", str(out)]
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == 2
    assert "the device ran models of 1 of the 6 shapes" in refused.stderr
    assert not out.exists()
    told = CliRunner().invoke(main, [*arguments, "--speed-profile", str(BASE), "--json"])
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)["runtimes"]["onnxruntime"]
    assert found["scaled"]["factor"] == pytest.approx(2.5, rel=0.03)
    assert found["largest_error"] < 0.05
    lent, own = (read_speed_profile(path).runtimes[0] for path in (BASE, out))
    assert own.scaled == Scaled(device="AMD EPYC", factor=found["scaled"]["factor"])
    assert own.models[0].p50_ms[32] == pytest.approx(own.scaled.factor * lent.models[0].p50_ms[32], rel=1e-3)
    assert own.models[0].peak_bytes is None, "memory of another machine is none of the phone's"


def test_what_makes_no_profile_is_refused(ran: Callable[..., tuple[Path, Path]], tmp_path: Path) -> None:
    out = tmp_path / "phone.json"
    build, report = ran(0)
    other, second = ran(1, device="another phone")
    with pytest.raises(InputError, match="are of a phone, an OS 16; another phone, an OS 16; a profile is of one"):
        profile_device([build, other], [report, second], out, BASE)
    with pytest.raises(InputError, match="none of the bundles holds it"):
        profile_device([other], [report], out, BASE)
    for number, changes in ((2, {"thermal": "critical"}), (3, {"goldens_passed": 2})):
        hot, measured = ran(number, **changes)
        with pytest.raises(InputError, match="its times are not to be believed"):
            profile_device([hot], [measured], out, BASE)
    uneven = made_build(tmp_path / "uneven", PROBES[0], num_heads=[2, 1])
    with pytest.raises(InputError, match="its layers differ from each other"):
        profile_device([uneven], [report_of(uneven, {16: 1.0})], out, BASE)
    longer = made_build(tmp_path / "longer", PROBES[0])
    with pytest.raises(InputError, match="no time between 16 and 128 tokens"):
        profile_device([longer], [report_of(longer, {256: 1.0})], out, BASE)
    assert not out.exists()


@pytest.mark.parametrize("arguments", [["--device-report", str(BASE)], ["--speed-profile", str(BASE)], ["."]])
def test_options_that_need_each_other(arguments: list[str], tmp_path: Path) -> None:
    told = CliRunner().invoke(main, ["profile", *arguments, "-o", str(tmp_path / "out.json")])
    assert told.exit_code == 2
    assert "device-report" in told.stderr
